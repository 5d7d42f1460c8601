"""What a reload would change."""

from __future__ import annotations

from typing import Any

from piyasad.config import Settings
from piyasad.config.changes import RESTART, diff


def settings(**sections: Any) -> Settings:
    return Settings.model_validate(sections)


def bot(name: str, **keys: Any) -> dict[str, Any]:
    return {"name": name, "username": f"{name}_bot", **keys}


def test_equal_configurations_change_nothing() -> None:
    changes = diff(settings(bots=[bot("anna")]), settings(bots=[bot("anna")]))
    assert not changes
    assert changes.bots.unchanged == ("anna",)


def test_bots_chats_and_providers_are_told_apart() -> None:
    old = settings(
        bots=[bot("anna"), bot("bert"), bot("carl")],
        chats=[{"id": -1}, {"id": -2}],
        providers={"groq": {"rpm": 1}, "x": {"preset": "groq"}},
    )
    new = settings(
        bots=[bot("bert"), bot("carl", enabled=False), bot("dora")],
        chats=[{"id": -2, "title": "T"}, {"id": -3}],
        providers={"groq": {"rpm": 2}},
    )
    changes = diff(old, new)
    assert changes
    assert changes.bots.added == ("dora",)
    assert changes.bots.removed == ("anna",)
    assert changes.bots.changed == ("carl",)
    assert changes.bots.unchanged == ("bert",)
    assert (changes.chats.added, changes.chats.removed, changes.chats.changed) == ((-3,), (-1,), (-2,))
    assert (changes.providers.changed, changes.providers.removed) == (("groq",), ("x",))
    assert changes.settings == ()


def test_settings_are_named_and_those_that_need_a_restart_too() -> None:
    new = settings(pace={"burstiness": 0.1}, http={"listen": "127.0.0.1:1"}, store={"postgres": "postgres://h/d"})
    changes = diff(settings(), new)
    assert changes.settings == ("pace.burstiness", "store.postgres", "http.listen")
    assert changes.restart == ("store.postgres", "http.listen")
    assert changes.sections == {"pace", "store", "http"}


def test_every_restart_key_exists() -> None:
    for key in RESTART:
        section, _, name = key.partition(".")
        model = type(getattr(Settings(), section))
        assert not name or name in model.model_fields
