"""Which guards a daemon's texts pass: those that the settings switch on, from the start and after a reload."""

from __future__ import annotations

from tests.house_kit import Home, at_home, changed

ALWAYS = {"speaker", "repetition", "language"}


def test_every_guard_that_the_settings_switch_on_is_wired() -> None:
    async def work(home: Home) -> set[str]:
        return {guard.name for guard in home.house.parts.guards}

    assert at_home(work) >= ALWAYS | {"safety"}


def test_a_reload_switches_guards_on_and_off() -> None:
    async def work(home: Home) -> tuple[set[str], set[str]]:
        assert await home.reload(changed(guards={"safety": False}))
        off = {guard.name for guard in home.house.parts.guards}
        assert await home.reload(changed())
        return off, {guard.name for guard in home.house.parts.guards}

    off, on = at_home(work)
    assert "safety" not in off
    assert off >= ALWAYS
    assert "safety" in on
