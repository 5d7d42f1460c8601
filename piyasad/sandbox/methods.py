"""The Bot API's methods that bots of a group need, worded as the real server words them. No HTTP here.

`telegram.py` calls; the world is changed through `world.py`. What tdlib/telegram-bot-api (Client.cpp) says itself is
said in its words (check_chat_access, check_message, get_input_message_text); what Telegram's own servers behind it say
is worded as clients report it.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from piyasad.sandbox.limits import VIOLATIONS_KEPT, Excess, Traffic
from piyasad.sandbox.objects import STANDARD_REACTIONS, Bot, Group, Line, member, message
from piyasad.sandbox.visibility import MEMBERS, units
from piyasad.sandbox.world import World

TEXT_MOST = 4096
"""Characters of a message (Bot API, sendMessage), counted in UTF-16 units."""

BYTES_MOST = 1 << 15
"""Bytes of a text before anything is done with it (get_formatted_text)."""

NAME_MOST, DESCRIPTION_MOST, SHORT_MOST = 64, 512, 120
"""Bot API, setMyName, setMyDescription, setMyShortDescription."""

REACTIONS_MOST = 11
"""Different reactions on one message (ChatFullInfo.max_reaction_count, as groups report it)."""

ACTIONS = frozenset(
    (
        *("typing", "upload_photo", "record_video", "upload_video", "record_voice", "upload_voice", "record_audio"),
        *("upload_audio", "upload_document", "choose_sticker", "pick_up_location", "find_location"),
        *("record_video_note", "upload_video_note", "cancel"),
    )
)
"""Client::get_chat_action."""

_GIFTS = dict.fromkeys(
    ("unlimited_gifts", "limited_gifts", "unique_gifts", "premium_subscription", "gifts_from_channels"), False
)


class Refused(Exception):
    """The Bot API's "ok": false."""

    def __init__(self, code: int, description: str, **parameters: int) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.parameters = parameters

    def body(self) -> dict[str, Any]:
        """What is answered."""
        made: dict[str, Any] = {"ok": False, "error_code": self.code, "description": self.description}
        return made | {"parameters": self.parameters} if self.parameters else made


@dataclass(slots=True)
class Tally:
    """What the server counted. A violation is a message (or a new token) refused by a limit."""

    requests: Counter[str] = field(default_factory=Counter)
    throttled: int = 0
    conflicts: int = 0
    conflicts_of: Counter[int] = field(default_factory=Counter)
    violations: list[dict[str, Any]] = field(default_factory=list)


class Methods:
    """The methods, by their names in lower case. `now` is the clock of the limits."""

    def __init__(
        self, world: World, traffic: Traffic, tally: Tally, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._world = world
        self._traffic = traffic
        self._tally = tally
        self._now = now
        self.known: dict[str, Callable[[Bot, Mapping[str, Any]], Any]] = {
            "getme": self._get_me,
            "sendmessage": self._send_message,
            "sendchataction": self._send_chat_action,
            "setmessagereaction": self._set_message_reaction,
            "getchat": self._get_chat,
            "getchatmember": self._get_chat_member,
            "getmyname": lambda bot, _: {"name": bot.name},
            "setmyname": self._set_my_name,
            "getmydescription": lambda bot, _: {"description": bot.description},
            "setmydescription": self._set_my_description,
            "getmyshortdescription": lambda bot, _: {"short_description": bot.short_description},
            "setmyshortdescription": self._set_my_short,
            "pinchatmessage": self._pin,
            "leavechat": self._leave,
            "deletewebhook": self._delete_webhook,
            "getwebhookinfo": self._webhook_info,
        }

    def call(self, name: str, bot: Bot, given: Mapping[str, Any]) -> Any:
        """The method's result.

        Raises:
            Refused: the Bot API says no.
        """
        return self.known[name](bot, given)

    def _get_me(self, bot: Bot, _: Mapping[str, Any]) -> Any:
        return bot.user() | {
            "can_join_groups": True,
            "can_read_all_group_messages": not bot.privacy,
            "supports_inline_queries": False,
            "can_connect_to_business": False,
            "has_main_web_app": False,
        }

    # --- saying
    def _send_message(self, bot: Bot, given: Mapping[str, Any]) -> Any:
        text = _text(given)
        decoded(given.get("link_preview_options"), "link preview options")
        chat_id = whole(_required(given, "chat_id"), 0)
        home = self._private(bot, chat_id) if chat_id > 0 else self._group(bot, chat_id)
        reply_to = self._answered(home, given)
        thread = whole(given.get("message_thread_id"), 0) or None
        if thread is not None and thread not in home.threads:
            raise Refused(400, "Bad Request: message thread not found")
        excess = self._traffic.admit(bot.id, chat_id, group=home.person is None, now=self._now())
        if excess is not None:
            raise too_many(self._tally, excess, bot.id, chat_id)
        return message(self._world.send(bot, home, text, reply_to, thread))

    def _answered(self, home: Group, given: Mapping[str, Any]) -> int | None:
        """The message that is replied to, if it is there or must be."""
        reply = decoded(given.get("reply_parameters"), "reply parameters") or {}
        if not isinstance(reply, Mapping):
            raise Refused(400, "Bad Request: object expected as reply parameters")
        wanted = whole(reply.get("message_id", given.get("reply_to_message_id")), 0) or None
        if wanted is None or wanted in home.lines:
            return wanted
        spare = reply.get("allow_sending_without_reply", given.get("allow_sending_without_reply"))
        if not true(spare):
            raise Refused(400, "Bad Request: message to be replied not found")
        return None

    def _send_chat_action(self, bot: Bot, given: Mapping[str, Any]) -> Any:
        if given.get("action") not in ACTIONS:
            raise Refused(400, "Bad Request: wrong parameter action in request")
        chat_id = whole(_required(given, "chat_id"), 0)
        home = self._private(bot, chat_id) if chat_id > 0 else self._group(bot, chat_id)
        if given["action"] == "typing":
            self._world.typing(bot, home)
        return True

    def _set_message_reaction(self, bot: Bot, given: Mapping[str, Any]) -> Any:
        wanted = decoded(given.get("reaction"), "reaction types") or []
        if not isinstance(wanted, list) or not all(isinstance(each, Mapping) for each in wanted):
            raise Refused(400, "Bad Request: expected an Array of ReactionType")
        group = self._group(bot, whole(_required(given, "chat_id"), 0))
        line = self._line(group, given, "message to react")
        if len(wanted) > 1:  # "bots can set up to one reaction per message" (Bot API, setMessageReaction)
            raise Refused(400, "Bad Request: REACTIONS_TOO_MANY")
        emoji = wanted[0].get("emoji") if wanted else None
        allowed = STANDARD_REACTIONS if group.reactions is None else group.reactions
        if wanted and (wanted[0].get("type") != "emoji" or emoji not in allowed):
            raise Refused(400, "Bad Request: REACTION_INVALID")
        self._world.react(group, line, bot.id, emoji)
        return True

    def _pin(self, bot: Bot, given: Mapping[str, Any]) -> Any:
        group = self._group(bot, whole(_required(given, "chat_id"), 0))
        line = self._line(group, given, "message to pin")
        if group.members.get(bot.id) != "administrator":
            raise Refused(400, "Bad Request: not enough rights to manage pinned messages in the chat")
        self._world.pin(group, line, bot.id)
        return True

    # --- asking
    def _get_chat(self, bot: Bot, given: Mapping[str, Any]) -> Any:
        group = self._group(bot, whole(_required(given, "chat_id"), 0), writing=False)
        full = group.chat() | {
            "accent_color_id": 0,
            "max_reaction_count": REACTIONS_MOST,
            "accepted_gift_types": _GIFTS,
            "permissions": {"can_send_messages": True},
        }
        if group.reactions is not None:
            full["available_reactions"] = [{"type": "emoji", "emoji": emoji} for emoji in group.reactions]
        if group.pinned in group.lines:
            full["pinned_message"] = message(group.lines[group.pinned], nested=False)
        return full

    def _get_chat_member(self, bot: Bot, given: Mapping[str, Any]) -> Any:
        group = self._group(bot, whole(_required(given, "chat_id"), 0))
        user_id = whole(given.get("user_id"), 0)
        if user_id <= 0:
            raise Refused(400, "Bad Request: invalid user_id specified")
        other = self._world.bots.get(user_id)
        if other is not None:
            return member(other, group.members.get(user_id, "left"))
        person = self._world.people.get(user_id)
        if person is None:
            raise Refused(400, "Bad Request: PARTICIPANT_ID_INVALID")
        return {"user": person.user(), "status": "member"}

    # --- about itself
    def _set_my_name(self, bot: Bot, given: Mapping[str, Any]) -> Any:
        name = _short(given.get("name"), NAME_MOST, "name")
        if name:  # an empty one takes back a language's own name, of which there is none here
            self._world.rename(bot, name=name)
        return True

    def _set_my_description(self, bot: Bot, given: Mapping[str, Any]) -> Any:
        self._world.rename(bot, description=_short(given.get("description"), DESCRIPTION_MOST, "description"))
        return True

    def _set_my_short(self, bot: Bot, given: Mapping[str, Any]) -> Any:
        text = _short(given.get("short_description"), SHORT_MOST, "short description")
        self._world.rename(bot, short_description=text)
        return True

    def _leave(self, bot: Bot, given: Mapping[str, Any]) -> Any:
        self._world.membership(self._group(bot, whole(_required(given, "chat_id"), 0)), bot, "left")
        return True

    def _delete_webhook(self, bot: Bot, given: Mapping[str, Any]) -> Any:
        if true(given.get("drop_pending_updates")):
            bot.updates.clear()
        return True

    def _webhook_info(self, bot: Bot, _: Mapping[str, Any]) -> Any:
        return {"url": "", "has_custom_certificate": False, "pending_update_count": len(bot.updates)}

    # --- where
    def _group(self, bot: Bot, chat_id: int, *, writing: bool = True) -> Group:
        """The group, if the bot may act there (check_chat_access)."""
        group = self._world.groups.get(chat_id)
        if group is None:
            raise Refused(400, "Bad Request: chat not found")
        if group.moved_to is not None and writing:
            words = "Bad Request: group chat was upgraded to a supergroup chat"
            raise Refused(400, words, migrate_to_chat_id=group.moved_to)
        status = group.members.get(bot.id, "left")
        if status not in MEMBERS:
            what = "was kicked from" if status == "kicked" else "is not a member of"
            raise Refused(403, f"Forbidden: bot {what} the {group.kind} chat")
        return group

    def _private(self, bot: Bot, chat_id: int) -> Group:
        """The private chat; it is the person who begins it."""
        home = self._world.private.get((bot.id, chat_id))
        if home is None:
            if chat_id in self._world.people:
                raise Refused(403, "Forbidden: bot can't initiate conversation with a user")
            raise Refused(400, "Bad Request: chat not found")
        return home

    def _line(self, group: Group, given: Mapping[str, Any], what: str) -> Line:
        line = group.lines.get(whole(given.get("message_id"), 0))
        if line is None:
            raise Refused(400, f"Bad Request: {what} not found")
        return line


def too_many(tally: Tally, excess: Excess, bot: int, chat: int | None) -> Refused:
    """Write a violation down; the refusal for it."""
    tally.throttled += 1
    if len(tally.violations) < VIOLATIONS_KEPT:
        tally.violations.append({"bot": bot, "chat": chat, "limit": excess.limit, "wait": round(excess.wait, 3)})
    retry = max(1, math.ceil(excess.wait))
    return Refused(429, f"Too Many Requests: retry after {retry}", retry_after=retry)


def whole(value: Any, default: int) -> int:
    """An integer parameter; what is none counts as not given."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return default


def true(value: Any) -> bool:
    """A boolean parameter (Client::to_bool)."""
    return value is True or str(value).strip().lower() in {"true", "yes", "1"}


def decoded(value: Any, what: str) -> Any:
    """A parameter that is JSON, as text or already taken apart."""
    if not isinstance(value, str) or not value:
        return value or None
    try:
        return json.loads(value)
    except ValueError as error:
        raise Refused(400, f"Bad Request: can't parse {what} JSON object") from error


def _required(given: Mapping[str, Any], name: str) -> Any:
    value = given.get(name)
    if value is None or value == "":
        raise Refused(400, f"Bad Request: {name} is empty")
    return value


def _text(given: Mapping[str, Any]) -> str:
    """The message's text as it is shown."""
    value = given.get("text", "")
    text = value if isinstance(value, str) else json.dumps(value)
    if not text or value is None:
        raise Refused(400, "Bad Request: message text is empty")
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise Refused(400, "Bad Request: strings must be encoded in UTF-8") from error
    if size > BYTES_MOST:
        raise Refused(400, "Bad Request: text is too long")
    shown = text.strip()
    if not shown:
        raise Refused(400, "Bad Request: text must be non-empty")
    if units(shown) > TEXT_MOST:
        raise Refused(400, "Bad Request: message is too long")
    return shown


def _short(value: Any, most: int, what: str) -> str:
    text = str(value or "").strip()
    if len(text) > most:
        raise Refused(400, f"Bad Request: bot {what} is too long")
    return text
