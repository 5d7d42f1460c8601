"""The root of the configuration: chats, and every section under one frozen `Settings`.

Everything that runs reads attributes from here; nothing here reads a file, the environment or the clock.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from piyasad.config.persona import BotDefaults, BotSettings, ChatId
from piyasad.config.presets import PRESETS
from piyasad.config.providers import ProviderSettings
from piyasad.config.section import Between, Flag, Name, Positive, Ranges, Rate, Section, Share, Text
from piyasad.config.service import (
    DaemonSettings,
    GatewaySettings,
    HttpSettings,
    OperatorSettings,
    SecretsSettings,
    StoreSettings,
    TelegramSettings,
)
from piyasad.config.talk import (
    ConversationSettings,
    DisclosureSettings,
    FactsSettings,
    GuardsSettings,
    LengthShares,
    MemorySettings,
    NewsSettings,
    PaceSettings,
    PersonaRefresh,
    PrivacySettings,
    SimulationSettings,
)

DEFAULT_TOPICS: Final = ("BIST", "FX", "Kripto", "Makro")


class ChatSettings(Section):
    """[[chats]]: a group the bots may talk in. What it leaves out follows [conversation] and [pace]."""

    id: ChatId = Field(description="Telegram's id: negative, -100… for supergroups")
    title: Text = Field("", description="for reports")
    enabled: Flag = True
    topics: tuple[Name, ...] = Field(
        ("BIST", "FX", "Kripto", "Makro"), min_length=1, description="what is talked about"
    )
    thread_id: Positive | None = Field(None, description="the topic's thread in a forum")
    quiet_hours: Ranges = Field((), description="hours without unprompted talk, local time")

    chat_per_minute: Rate | None = None
    burstiness: Share | None = None
    typing: Flag | None = None
    typing_cps: Between | None = None
    typing_seconds: Between | None = None

    reply_probability: Share | None = None
    reply_to_bots_probability: Share | None = None
    mention_probability: Share | None = None
    reaction_probability: Share | None = None
    continue_share: Share | None = None
    bot_share_max: Share | None = None
    length: LengthShares | None = None
    history_messages: Positive | None = None
    order: Literal["natural", "round_robin", "pooled", "manual"] | None = None
    answer_always: Flag | None = None
    presence: Flag | None = None
    persona_refresh: PersonaRefresh | None = None
    language: Literal["tr", "en"] | None = None

    @property
    def is_basic_group(self) -> bool:
        """A group that is no supergroup: message ids differ per account there."""
        return self.id > -(10**12)

    def overrides(self, model: type[Section]) -> dict[str, Any]:
        """The keys of `model` that this chat sets itself."""
        keys = (model.model_fields.keys() & type(self).model_fields.keys()) & self.model_fields_set
        return {key: value for key in sorted(keys) if (value := getattr(self, key)) is not None}


class Settings(Section):
    """The whole configuration. Cross-checks between sections are made by `config/load.py`, not here."""

    simulation: SimulationSettings = Field(default_factory=SimulationSettings)
    pace: PaceSettings = Field(default_factory=PaceSettings)
    conversation: ConversationSettings = Field(default_factory=ConversationSettings)
    guards: GuardsSettings = Field(default_factory=GuardsSettings)
    disclosure: DisclosureSettings = Field(default_factory=DisclosureSettings)
    privacy: PrivacySettings = Field(default_factory=PrivacySettings)
    news: NewsSettings = Field(default_factory=NewsSettings)
    facts: FactsSettings = Field(default_factory=FactsSettings)
    memory: MemorySettings = Field(default_factory=MemorySettings)
    gateway: GatewaySettings = Field(default_factory=GatewaySettings)
    providers: dict[Name, ProviderSettings] = Field(default_factory=dict)
    telegram: TelegramSettings = Field(default_factory=TelegramSettings)
    store: StoreSettings = Field(default_factory=StoreSettings)
    secrets: SecretsSettings = Field(default_factory=SecretsSettings)
    http: HttpSettings = Field(default_factory=HttpSettings)
    operator: OperatorSettings = Field(default_factory=OperatorSettings)
    daemon: DaemonSettings = Field(default_factory=DaemonSettings)
    bot_defaults: BotDefaults = Field(default_factory=BotDefaults)
    chats: tuple[ChatSettings, ...] = ()
    bots: tuple[BotSettings, ...] = ()

    @cached_property
    def zone(self) -> ZoneInfo:
        """The time zone of every hour in the configuration."""
        return ZoneInfo(self.simulation.timezone)

    @cached_property
    def config_hash(self) -> str:
        """sha256 of the canonical JSON, hexadecimal; passwords are left out."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def _by_chat(self) -> dict[int, tuple[ConversationSettings, PaceSettings]]:
        return {
            chat.id: (
                self.conversation.model_copy(update=chat.overrides(ConversationSettings)),
                self.pace.model_copy(update=chat.overrides(PaceSettings)),
            )
            for chat in self.chats
        }

    def conversation_for(self, chat_id: int) -> ConversationSettings:
        """[conversation] as it holds in a chat."""
        return self._by_chat[chat_id][0] if chat_id in self._by_chat else self.conversation

    def pace_for(self, chat_id: int) -> PaceSettings:
        """[pace] as it holds in a chat."""
        return self._by_chat[chat_id][1] if chat_id in self._by_chat else self.pace

    def chat(self, chat_id: int) -> ChatSettings | None:
        """The listed chat with that id."""
        return next((chat for chat in self.chats if chat.id == chat_id), None)

    def provider(self, name: str) -> ProviderSettings | None:
        """A provider with its preset filled in; what the file wrote itself is in `providers[name].model_fields_set`."""
        written = self.providers.get(name)
        named = (written.preset if written else None) or name
        preset = PRESETS.get(named)
        if preset is None:
            return written
        preset = preset.model_copy(update={"preset": named})
        if written is None:
            return preset
        keys = written.model_fields_set - {"preset"}
        if keys & {"model", "models"}:  # who names models means those alone
            keys |= {"model", "models"}
        if keys & {"api_key_env", "api_key_file"}:  # who names a place for the key means that place alone
            keys |= {"api_key_env", "api_key_file"}
        return preset.model_copy(update={key: getattr(written, key) for key in sorted(keys)})
