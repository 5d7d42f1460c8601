"""The configuration's contract as types: every section, key, default, unit and range of it.

`piyasad.config.load` reads files and the environment into `Settings`; everything else only reads attributes.
Models are frozen. No secret is ever kept in them.
"""

from piyasad.config.persona import (
    BotDefaults,
    BotPace,
    BotSettings,
    EmotionSettings,
    HoldingSettings,
    PersonaSettings,
    RelationSettings,
    StanceSettings,
    StyleSettings,
)
from piyasad.config.presets import PRESETS
from piyasad.config.providers import ProviderSettings
from piyasad.config.section import Between, HourlyLimit
from piyasad.config.service import (
    DaemonSettings,
    GatewaySettings,
    HttpSettings,
    OperatorSettings,
    SecretsSettings,
    StoreSettings,
    TelegramSettings,
)
from piyasad.config.settings import DEFAULT_TOPICS, ChatSettings, Settings
from piyasad.config.talk import (
    DEFAULT_NOTICE,
    ConversationSettings,
    DisclosureSettings,
    FactsSettings,
    GuardsSettings,
    MemorySettings,
    NewsSettings,
    PaceSettings,
    PrivacySettings,
    SimulationSettings,
)

__all__ = [
    "DEFAULT_NOTICE",
    "DEFAULT_TOPICS",
    "PRESETS",
    "Between",
    "BotDefaults",
    "BotPace",
    "BotSettings",
    "ChatSettings",
    "ConversationSettings",
    "DaemonSettings",
    "DisclosureSettings",
    "EmotionSettings",
    "FactsSettings",
    "GatewaySettings",
    "GuardsSettings",
    "HoldingSettings",
    "HourlyLimit",
    "HttpSettings",
    "MemorySettings",
    "NewsSettings",
    "OperatorSettings",
    "PaceSettings",
    "PersonaSettings",
    "PrivacySettings",
    "ProviderSettings",
    "RelationSettings",
    "SecretsSettings",
    "Settings",
    "SimulationSettings",
    "StanceSettings",
    "StoreSettings",
    "StyleSettings",
    "TelegramSettings",
]
