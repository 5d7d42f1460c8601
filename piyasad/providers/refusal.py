"""What a refusal says: found in a body of any shape, read, and put into a class. The dialects share it.

Providers, proxies and servers word and wrap the same few things in a hundred ways, so everything that speaks is
gathered first (words, codes, fields, waits), and read together. Pure; a body is looked at no further than `_MOST_NODES`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from piyasad.language import border
from piyasad.providers.answer import json_of
from piyasad.providers.waits import moment

_MOST_NODES: Final = 300
_DEEPEST: Final = 8
_MOST_WORDS: Final = 2_000  # characters that are read
_MOST_SHOWN: Final = 300  # characters that are shown

# The names of fields, without signs and case.
_WORDS: Final = frozenset(
    {"message", "msg", "detail", "details", "error", "errors", "errormessage", "errordescription", "statusmsg", "title",
     "description", "reason", "cause", "faultstring", "raw", "body", "text", "info", "hint"}
)  # fmt: skip
_CODES: Final = frozenset(
    {"code", "type", "status", "reason", "reasons", "errorcode", "errortype", "statuscode", "errorstatus", "error",
     "quotaid", "innercode"}
)  # fmt: skip
_PARAMS: Final = frozenset({"param", "params", "parameter", "loc", "field", "property", "path", "instancepath"})
_WAITS: Final = {
    "retryafter": 1.0, "retryafterseconds": 1.0, "retryaftersec": 1.0, "retryafterms": 0.001, "retrydelay": 1.0,
    "retryin": 1.0, "waitseconds": 1.0, "wait": 1.0, "resetat": 1.0, "resetsat": 1.0, "resettime": 1.0, "resetin": 1.0,
}  # fmt: skip
_FLAGS: Final = frozenset({"flagged", "flaggedinput", "blockreason", "contentfilterresult", "contentfilterresults"})
_TOKEN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_./:-]{2,99}\Z")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NO_LETTER: Final = re.compile(r"[^a-z0-9]+")


class Kind(Enum):
    """What a refusal comes down to."""

    KEY = "key"  # wrong, revoked, shut out
    BILL = "bill"  # out of credit
    MODEL = "model"  # not there, or not for this key
    CONTENT = "content"  # this text is not answered
    LIMIT = "limit"  # a limit was met: wait
    LARGE = "large"  # can never pass
    FAULT = "fault"  # the provider failed
    PASSING = "passing"  # something in between failed
    REQUEST = "request"  # the request is not as it should be


@dataclass(frozen=True, slots=True)
class Told:
    """Everything that a refusal says."""

    status: int  # HTTP's, or the one that the error itself names; 0: none
    message: str = ""  # its words, to be shown
    words: str = ""  # its words in lower case, to be read
    codes: frozenset[str] = frozenset()  # snake case
    params: tuple[str, ...] = ()  # the fields that it is about
    flagged: bool = False  # it says what was found in the text
    wait: float | None = None  # seconds, of its fields
    headers: Mapping[str, str] = field(default_factory=dict)  # those that stand in the body
    nodes: tuple[Mapping[str, Any], ...] = ()  # every object in it
    spoken: bool = False  # whether an API speaks: JSON with words or codes


@dataclass(frozen=True, slots=True)
class Verdict:
    """The class of a refusal. Not `sure`: nothing clear was said. `lesson`: what the model does not take."""

    kind: Kind
    sure: bool = True
    lesson: str = ""


def read(status: int, content: bytes | str | Mapping[str, Any], now: float | None = None) -> Told:
    """What a body says. `status` is HTTP's; `now` Unix time, for times of day."""
    body = content if isinstance(content, Mapping) else json_of(content)
    if body is None or isinstance(body, bool | int | float):
        return _plain(status, content if isinstance(content, bytes | str) else "")
    words: list[str] = []
    codes: set[str] = set()
    params: list[str] = []
    numbers: list[int] = []
    waits: list[float] = []
    headers: dict[str, str] = {}
    nodes: list[Mapping[str, Any]] = []
    flagged = False
    waiting = deque([("error", body, _DEEPEST)])
    seen = 0
    while waiting and seen < _MOST_NODES:
        name, value, deep = waiting.popleft()
        seen += 1
        if isinstance(value, str):
            if name in _WORDS:
                inner = json_of(value) if value[:1] in "{[" else None
                if isinstance(inner, dict | list) and deep:
                    waiting.append(("error", inner, deep - 1))
                else:
                    words.append(value)
            if name in _CODES:
                if value.isascii() and value.isdigit() and len(value) < 6:
                    numbers.append(int(value))
                elif _TOKEN.match(value):
                    codes.add(_snake(value))
            if name in _PARAMS:
                params.append(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            if name in _CODES:
                numbers.append(value)
            elif name in _PARAMS:
                params.append(str(value)[:10])
        elif isinstance(value, list) and deep:
            if name in _PARAMS:
                params.append(".".join(str(each)[:60] for each in value[:10]))
            waiting.extend((name, each, deep - 1) for each in value[:50])
        elif isinstance(value, Mapping) and deep:
            nodes.append(value)
            if name == "headers":
                headers |= {str(key)[:60]: str(each)[:200] for key, each in list(value.items())[:50]}
                continue
            waiting.extend((_name(key), each, deep - 1) for key, each in list(value.items())[:50])
        if name in _FLAGS and value:
            flagged = True
        if name in _WAITS and (wait := moment(value, now, unit=_WAITS[name])) is not None:
            waits.append(wait)
    said = list(dict.fromkeys(" ".join(border.received(word, _MOST_WORDS).split()) for word in words if word.strip()))
    sentences = [word for word in said if " " in word] or said
    return Told(
        status=_status(status, numbers),
        message="; ".join(sentences[:3]) or ", ".join(sorted(codes)),
        words="; ".join(said)[:_MOST_WORDS].lower(),
        codes=frozenset(codes),
        params=tuple(params[:20]),
        flagged=flagged or ("reasons" in {_name(key) for node in nodes for key in node} and status == 403),
        wait=max(waits, default=None),
        headers=headers,
        nodes=tuple(nodes),
        spoken=bool(said or codes or numbers),
    )


def shown(message: str, key: str) -> str:
    """A message that is safe to show: no key in it, whole, in part or starred out; at most `_MOST_SHOWN` characters."""
    if len(message) > _MOST_SHOWN:
        message = message[:_MOST_SHOWN] + "…"
    if not key:
        return message
    message = message.replace(key, "…")
    head, tail = key[:6], key[-4:]
    return " ".join(
        "…" if "**" in word or (len(key) > 12 and (head in word or (tail in word and len(word) > 4))) else word
        for word in message.split(" ")
    )


# --- the reading. Words are in lower case and bounded; every gap in a pattern is bounded, too.
_LARGE: Final = re.compile(
    r"request too large|reduce (?:the|your) (?:message|prompt|length|input)|context[ _-](?:length|window|size)|maximum context|"
    r"(?:prompt|input|request|payload|body|entity) (?:is )?too (?:long|large)|string too long|too many input tokens"
)
_LARGE_CODES: Final = ("context_length", "too_large", "prompt_too_long", "above_max_length", "exceed_context")
_BROKE: Final = re.compile(r"insufficient (?:\w+ )?(?:balance|credit|funds)|credit balance|in arrears")
_BILL: Final = re.compile(  # not read in a 429, which may advise to buy more
    r"(?:insufficient|not enough|out of|no|exhausted|used all) (?:\w+ )?(?:\w+ )?(?:credits?|balance|funds)\b|credit balance|"
    r"(?:balance|credits?) (?:is|are|has|have|was|were) (?:\w+ ){0,3}(?:low|exhausted|depleted|insufficient|out|up|empty|negative|expired)\b|"
    r"payment required|billing (?:hard limit|is not active|not active|not enabled)|more credits|can only afford|"
    r"key limit exceeded \((?:total|monthly)|spend(?:ing)? (?:limit|cap)|unpaid|overdue"
)
_BILL_CODES: Final = (
    "insufficient_quota", "insufficient_balance", "insufficient_credit", "insufficient_funds", "billing_", "payment_required",
    "credit_exhausted", "credits_exhausted", "arrear", "balance_not_enough", "exceeded_current_quota_error",
)  # fmt: skip
_ID: Final = r"(?: [`'\"(]?[\w-]{0,60}[\d_-][\w-]{0,60}[`'\")]?)?"
_SHUT: Final = re.compile(
    rf"\b(?:account|organi[sz]ation|workspace|tenant|team|project|subscription|api[ _-]?key|key|token|user){_ID} "
    r"(?:has been|have been|was|were|is|are) (?:\w+ )?"
    r"(?:flagged|suspended|disabled|deactivated|restricted|blocked|banned|terminated|revoked|expired|deleted|inactive|locked|reported)\b|"
    r"(?:country|region|territory|location)\b[^;\n]{0,40}\b(?:not supported|unsupported|not available|not allowed)|"
    r"has not been used in project|api has not been enabled"
)
_SHUT_CODES: Final = (
    "organization_restricted", "account_deactivated", "account_suspended", "account_disabled", "unsupported_country",
    "service_disabled", "failed_precondition", "key_expired", "key_revoked", "consumer_suspended",
)  # fmt: skip
_CONTENT: Final = re.compile(
    r"\bmoderat|\b(?:input|prompt|content|text|output|response|completion)s?\b[^;\n]{0,60}\b(?:flagged|blocked|filtered|refused|rejected|"
    r"inappropriate|unsafe|sensitive|prohibited|disallowed|harmful)|"
    r"(?:content|usage|safety|acceptable[ -]use|community)[ -](?:management |usage )?(?:polic|filter|guideline|guard|system|check|inspection|standard)|"
    r"polic(?:y|ies)[ -]violation|violat\w{0,6}\b[^;\n]{0,60}\b(?:polic|guideline|terms|safety)|content exists risk|"
    r"sensitive (?:content|information|word|topic)|responsible ai|guardrail|harmful|unsafe|\bnsfw\b"
)
_CONTENT_CODES: Final = (
    "content_filter", "content_policy", "content_block", "content_moderation", "content_violation", "moderation", "flagged",
    "data_inspection", "responsible_ai", "prohibited_content", "safety", "sensitive", "unsafe", "policy_violation",
    "usage_policy", "invalid_prompt", "guardrail", "blocked_by",
)  # fmt: skip
_LIMIT: Final = re.compile(
    r"rate[ _-]?limit|too many (?:requests|tokens|concurrent)|\bquota|throttl|resource[ _]exhausted|"
    r"\b(?:daily|hourly|weekly|monthly|request|requests|token|tokens|usage|concurrency|concurrent)[ _-]limit|"
    r"limit (?:exceeded|reached|hit)|exceed\w{0,3} (?:\w+ ){0,3}limit|(?:requests|tokens) per (?:second|minute|hour|day|month)|slow down|"
    r"(?:try|retry) again (?:in|after|later)|service tier capacity"
)
_LIMIT_CODES: Final = (
    "rate_limit", "ratelimit", "too_many_requests", "resource_exhausted", "throttl", "quota_exceeded", "quota_exhausted",
    "limit_exceeded", "limit_reached", "limit_burst", "capacity_exceeded", "concurrency",
)  # fmt: skip
_MODEL_CODES: Final = re.compile(
    r"(?:invalid|unknown|unsupported|no_such|missing|unrecognized)_model|model_(?:not|un|in|no_|decommission|deprecat|retire|permission|"
    r"terms|access|block|does|removed|restricted)|deployment_?not_?found|no_endpoint"
)
_MODEL: Final = re.compile(
    r"\bmodels?\b[^;\n]{0,120}?\b(?:not (?:found|exist|available|supported (?:for|by|in|at)|allowed|enabled|a valid|authori[sz]ed|permitted|loaded|"
    r"accessible|offered|served)|(?:does|do) ?n[o']t exist|doesn.t exist|could not be found|decommissioned|deprecated|retired|removed|"
    r"shut ?down|no longer|sunset|blocked|unknown|invalid|inaccessible|restricted|requires?\b[^;\n]{0,40}\b(?:access|plan|tier|terms|acceptance))|"
    r"\b(?:invalid|unknown|unsupported|unrecognized|no such|wrong|missing) model|access (?:to )?(?:the |this |that |tuned )*models?\b|"
    r"not a valid model|use (?:the |this |that )models?\b|no (?:endpoints?|available channel|allowed providers|providers?)\b[^;\n]{0,60}\b(?:found|for|model)|"
    r"(?:\bnot|n't|\bno|lacks?|without|cannot)\b[^;\n]{0,60}\b(?:permission|access|authori[sz]ed|allowed|entitled|enabled|use)\b[^;\n]{0,60}\bmodels?\b|"
    r"(?:\bno|\bnot|n't)\b[^;\n]{0,40}\bdeployment|deployment\b[^;\n]{0,60}\b(?:not exist|not found)|limit: 0\b"
)
_KEY: Final = re.compile(
    r"api[ _-]?key|access[ _-]token|auth[ _-]?token|bearer|credential|unauthori[sz]ed|unauthenticated|authenticat|not authori[sz]ed|"
    r"permission|invalid token|no auth\b|\bip address\b|not allowed to access|leaked"
)
_KEY_IN_400: Final = re.compile(
    r"api[ _-]?key|invalid (?:access |auth |bearer )?token|unauthori[sz]ed|unauthenticated|authenticat|credentials?\b"
)
_KEY_CODES: Final = ("api_key", "authentication", "unauthenticated", "unauthorized", "invalid_auth", "invalid_token")
_FAULT_WORDS: Final = re.compile(
    r"overload|unavailable|internal (?:server )?error|timed? ?out|capacity|temporar|upstream|busy"
)

_TEACHING: Final = frozenset({0, 200, 400, 415, 422, 500, 501})
_OURS: Final = frozenset({400, 405, 406, 410, 411, 413, 414, 415, 417, 422, 431, 451})  # the request's fault


def verdict(told: Told, sent: Collection[str] = (), model: str = "") -> Verdict:
    """The class of a refusal.

    Args:
        sent: the parameters of the request that it could do without, and "system" where that role was used.
        model: who was asked: its name is not read as words.
    """
    status, words, codes = told.status, told.words, told.codes
    if model:
        words = words.replace(model.lower(), " ")
    failing = status >= 500 or status == 498
    if status == 413 or (status != 429 and _any(codes, _LARGE_CODES)) or _LARGE.search(words):
        return Verdict(Kind.LARGE)
    if not failing:
        broke = _any(codes, _BILL_CODES) or _BROKE.search(words)
        if status == 402 or broke or (status != 429 and _BILL.search(words)):
            return Verdict(Kind.BILL)
        if status != 429 and (_any(codes, _SHUT_CODES) or _SHUT.search(words)):
            return Verdict(Kind.KEY)
        if status not in {401, 404, 429} and (told.flagged or _any(codes, _CONTENT_CODES) or _CONTENT.search(words)):
            return Verdict(Kind.CONTENT)
    if status == 429 or (not failing and _any(codes, _LIMIT_CODES)):
        return Verdict(Kind.MODEL if re.search(r"\blimit: 0\b", words) else Kind.LIMIT)
    if not failing and any(_MODEL_CODES.search(code) for code in codes):
        return Verdict(Kind.MODEL)
    if status in _TEACHING and (lesson := lesson_of(told, words, sent, strict=failing)):
        return Verdict(Kind.REQUEST, lesson=lesson)
    if failing:
        return Verdict(Kind.FAULT)
    return _by_words(told, words)


def _by_words(told: Told, words: str) -> Verdict:
    """The class of a refusal below 500 whose codes tell nothing."""
    status, codes = told.status, told.codes
    if status in {0, 200, 400, 401, 403, 404, 410, 422} and _MODEL.search(words):
        return Verdict(Kind.MODEL)
    if status == 401:
        return Verdict(Kind.KEY)
    if status in {404, 405, 410}:
        return Verdict(Kind.MODEL, sure=False)
    if status != 400 and _LIMIT.search(words):
        return Verdict(Kind.LIMIT)
    if status == 403:
        if _any(codes, _KEY_CODES) or _KEY.search(words):
            return Verdict(Kind.KEY)
        return Verdict(Kind.KEY, sure=False) if told.spoken else Verdict(Kind.PASSING)
    if _any(codes, _KEY_CODES) or _KEY_IN_400.search(words):
        return Verdict(Kind.KEY)
    if status in _OURS:
        return Verdict(Kind.LIMIT if status == 400 and _LIMIT.search(words) else Kind.REQUEST)
    if _FAULT_WORDS.search(words):
        return Verdict(Kind.FAULT)
    return Verdict(Kind.PASSING)


# --- what a model does not take
_ALIASES: Final = {
    "temperature": ("temperature",),
    "reasoning_effort": ("reasoningeffort",),
    "reasoning": ("reasoning",),
    "max_tokens": ("maxtokens",),
    "max_completion_tokens": ("maxcompletiontokens",),
    "thinking": ("thinking",),
    "thinkingConfig": ("thinkingconfig", "thinkingbudget", "thinkinglevel"),
    "system": ("systeminstruction", "developerinstruction", "systemprompt", "systemmessage", "systemrole", "developermessage",
               "developerrole"),
}  # fmt: skip
_THINKING: Final = ("reasoning_effort", "reasoning", "thinking", "thinkingConfig")
_BARE: Final = frozenset({"thinking", "reasoning"})  # words, too: a message that holds them need not mean the field
_SIGN: Final = re.compile(
    r"unsupported|not support|n't support|unknown|unrecogni[sz]ed|unexpected|deprecated|not permitted|not allowed|not enabled|"
    r"not available|forbidden|extra|invalid|cannot|can't|can not|must|only|mandatory|required|requires|no longer|not accept|"
    r"disallow|reject|expected|should be|out of range|not valid|not work|does not take|refus|disabled|turned off"
)
_ROLE: Final = re.compile(
    r"\b(?:system|developer)\b['\"`]?[ _-](?:role|instruction|message|prompt)s?|\brole\b[^;\n]{0,60}\b(?:system|developer)\b|"
    r"\b(?:system|developer)\b[^;\n]{0,60}\brole|roles must alternate|user/assistant|input should be 'user'|'user' (?:or|and) '(?:assistant|model)'|"
    r"does not support '(?:system|developer)'"
)
_PREFIX: Final = re.compile(r"(?:^|; )([a-z_][\w.\[\]]{2,60}): ")  # "temperature: Extra inputs are not permitted"
_THOUGHT: Final = re.compile(r"\b(?:thinking|reasoning|thoughts?|budget)\b")


def lesson_of(told: Told, words: str, sent: Collection[str], *, strict: bool) -> str:
    """The parameter of ours that a refusal is about, or "system"; "" when it is about none.

    Args:
        strict: only what names the role clearly, for a server's own fault.
    """
    if strict:
        return "system" if "system" in sent and _ROLE.search(words) and _SIGN.search(words) else ""
    for param in (*told.params, *_PREFIX.findall(words)):
        name = _NO_LETTER.sub("", param.lower())
        for each in sorted(sent, key=len, reverse=True):
            if name and any(alias in name for alias in _aliases(each)):
                return each
        if "system" in sent and (name == "system" or ("messages" in name and "role" in name)):
            return "system"
    if not _SIGN.search(words):
        return ""
    plain = _NO_LETTER.sub("", words)
    for each in sorted(sent, key=len, reverse=True):
        if any(alias in plain for alias in _aliases(each) if alias not in _BARE):
            return each
    if "system" in sent and _ROLE.search(words):
        return "system"
    if _THOUGHT.search(words):
        return next((each for each in _THINKING if each in sent), "")
    return ""


def _aliases(name: str) -> tuple[str, ...]:
    return _ALIASES.get(name, (_NO_LETTER.sub("", name.lower()),))


def _any(codes: Collection[str], parts: Collection[str]) -> bool:
    return any(part in code for code in codes for part in parts)


def _plain(status: int, content: bytes | str) -> Told:
    """A body that is no JSON: a line of text says something, a page does not."""
    text = content[:_MOST_WORDS].decode("utf-8", "ignore") if isinstance(content, bytes) else content[:_MOST_WORDS]
    text = " ".join(border.received(text, _MOST_WORDS).split())
    if not text or text.startswith("<"):
        return Told(status)
    return Told(status, message=text, words=text.lower())


def _status(status: int, numbers: Collection[int]) -> int:
    """The status that counts: the error's own where HTTP's says nothing (a 200) or little (400, 5xx)."""
    told = next((number for number in numbers if 400 <= number <= 599), None)
    if told is None:
        return status if status >= 300 else 0
    return told if status < 400 or status == 400 or status >= 500 else status


def _snake(code: str) -> str:
    return _NO_LETTER.sub("_", _CAMEL.sub("_", code).lower()).strip("_")


def _name(key: Any) -> str:
    return _NO_LETTER.sub("", str(key)[:60].lower())
