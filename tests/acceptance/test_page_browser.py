"""The page in a real browser: it shows what is said, and a person joins in."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from piyasad.sandbox.server import Sandbox

CHROMIUM = Path("/usr/bin/chromium")
CHAT = -1001000000001
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]

try:
    from playwright.async_api import Page, async_playwright, expect
except ImportError:  # the product does without
    WHY = "playwright is not installed"
else:
    WHY = "" if CHROMIUM.exists() else "Debian's chromium is not installed"

if WHY and os.environ.get("PIYASAD_REQUIRE_ALL") != "1":
    pytest.skip(WHY, allow_module_level=True)


@pytest_asyncio.fixture
async def page(sandbox: Sandbox) -> AsyncIterator[Page]:
    """The page of a sandbox with two bots."""
    for number, (name, handle) in enumerate([("Ali Hoca 🤖", "ali_hoca_bot"), ("Ayşe Scalper 🤖", "ayse_scalper_bot")]):
        sandbox.add_bot(7100000001 + number, name, handle)
    sandbox.add_chat(CHAT, "Piyasa Sohbeti", bots=[7100000001, 7100000002])
    sandbox.world.header = "Sandbox: sözleri yazan offline"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        try:
            opened = await browser.new_page(viewport={"width": 1000, "height": 800})
            faults: list[str] = []
            opened.on("pageerror", lambda error: faults.append(str(error)))
            await opened.goto(sandbox.url)
            await expect(opened.locator("#title")).to_have_text("Piyasa Sohbeti")
            yield opened
            assert faults == []
        finally:
            await browser.close()


def bot_says(sandbox: Sandbox, number: int, text: str, reply_to: int | None = None) -> int:
    world = sandbox.world
    return world.send(world.bots[7100000001 + number], world.groups[CHAT], text, reply_to, None).id


async def test_lines_replies_reactions_and_typing_are_shown(sandbox: Sandbox, page: Page, tmp_path: Path) -> None:
    await expect(page.locator("#header")).to_contain_text("offline")
    first = bot_says(sandbox, 0, "Enflasyon katı seyrediyor.")
    answer = bot_says(sandbox, 1, "Ekran öyle demiyor.", reply_to=first)
    await expect(page.locator(f"#m{first} .name")).to_have_text("Ali Hoca 🤖")
    await expect(page.locator(f"#m{answer} .quote")).to_contain_text("Enflasyon katı")
    group = sandbox.world.groups[CHAT]
    sandbox.world.react(group, group.lines[answer], 7100000001, "🤔")
    await expect(page.locator(f"#m{answer} .reactions")).to_contain_text("🤔")
    sandbox.world.typing(sandbox.world.bots[7100000002], group)
    await expect(page.locator("#typing")).to_have_text("Ayşe Scalper yazıyor…")
    sandbox.world.pin(group, group.lines[first])
    await expect(page.locator("#pinned")).to_contain_text("Enflasyon katı")
    picture = tmp_path / "page.png"
    await page.screenshot(path=str(picture))
    assert picture.stat().st_size > 10_000


async def test_a_person_writes_mentions_and_replies(sandbox: Sandbox, page: Page) -> None:
    line = bot_says(sandbox, 0, "Kur sakin.")
    await page.fill("#who", "Ayla")
    await page.locator(f"#m{line}").hover()
    await page.locator(f"#m{line} .reply").click()
    await page.locator("#text").press_sequentially("@ali")
    await expect(page.locator("#names li")).to_have_count(1)
    await page.keyboard.press("Enter")
    await page.locator("#text").press_sequentially("sence?")
    await page.keyboard.press("Enter")
    await expect(page.locator(".mine .words")).to_have_text("@ali_hoca_bot sence?")
    said = [row for row in sandbox.messages(CHAT) if not row["bot"]]
    assert [(row["name"], row["text"], row["reply_to"]) for row in said] == [("Ayla", "@ali_hoca_bot sence?", line)]


async def test_what_people_write_stays_text(sandbox: Sandbox, page: Page) -> None:
    sandbox.say(CHAT, "<b>Ayla</b>", "<img src=x onerror=\"document.title='kaçtı'\"> **selam**")
    await expect(page.locator(".words")).to_contain_text("<img src=x")
    assert await page.locator(".text img, .name b").count() == 0
    assert "kaçtı" not in await page.title()


async def test_a_lost_connection_is_said_and_mended(sandbox: Sandbox, page: Page) -> None:
    for queue in sandbox.world.listeners:
        queue.put_nowait({"type": "end"})
    await expect(page.locator("#lost")).to_be_visible()
    bot_says(sandbox, 1, "Bu arada söylendi.")
    await expect(page.locator("#lost")).to_be_hidden(timeout=15_000)
    await expect(page.locator(".words").last).to_have_text("Bu arada söylendi.")
    assert await page.locator(".row").count() == 1
