"""How messages and members are named on the command line."""

from __future__ import annotations

import pytest

from piyasad.commands.link import BadArgument, Link, is_link, link_of, parse_link, parse_member, parse_message

CHAT = -1001234567890


@pytest.mark.parametrize(
    "text",
    [
        "https://t.me/c/1234567890/55",
        " t.me/c/1234567890/55/ ",
        "http://telegram.me/c/1234567890/7/55",
        "https://t.me/c/1234567890/55?thread=7&single",
        "tg://privatepost?channel=1234567890&post=55",
        "tg://privatepost?post=55&channel=1234567890&single",
    ],
)
def test_every_form_of_a_private_groups_link_is_understood(text: str) -> None:
    assert is_link(text)
    assert parse_link(text) == parse_message(text) == parse_member(text) == Link(CHAT, 55)


def test_a_public_groups_link_needs_the_chats_id() -> None:
    with pytest.raises(BadArgument, match="--chat"):
        parse_link("https://t.me/borsa_grubu/55")
    assert parse_link("https://t.me/borsa_grubu/7/55", CHAT) == Link(CHAT, 55, "borsa_grubu")


@pytest.mark.parametrize("text", ["https://t.me/c/x/55", "https://example.org/c/1/2", "t.me/joinchat", "t.me/c/1/2 ve"])
def test_what_is_no_link_to_a_message_is_said(text: str) -> None:
    with pytest.raises(BadArgument, match="no link to a message"):
        parse_link(text, CHAT)


def test_a_text_with_a_link_in_it_is_a_text() -> None:
    assert not is_link("bakın https://t.me/c/1234567890/55")
    assert not is_link("https://t.me/c/1234567890/55 güzel")


@pytest.mark.parametrize(
    ("text", "member"),
    [
        ("5012345678", 5012345678),
        ("-1001234567890", CHAT),
        ("@Zehra_K", "Zehra_K"),
        ("zehra_k", "zehra_k"),
        ("https://t.me/zehra_k", "zehra_k"),
    ],
)
def test_a_member_is_an_id_or_a_handle(text: str, member: int | str) -> None:
    assert parse_member(text) == member


@pytest.mark.parametrize("text", ["", "0", "@", "Zehra Korkmaz", "@ab", "１２３", "9" * 19, "zehra-k"])
def test_what_is_no_member_is_said(text: str) -> None:
    with pytest.raises(BadArgument, match="is no member"):
        parse_member(text)


@pytest.mark.parametrize("text", ["", "-5", "@zehra_k", "1.5", "9" * 19])
def test_what_is_no_message_is_said(text: str) -> None:
    assert parse_message("55") == 55
    with pytest.raises(BadArgument, match="neither the id"):
        parse_message(text)


def test_only_supergroups_have_links() -> None:
    assert link_of(CHAT, 55) == "https://t.me/c/1234567890/55"
    assert (link_of(CHAT, None), link_of(-4012345678, 55)) == ("", "")
