"""What providers say about their limits, in every dialect; and what a quota makes of it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piyasad.gateway.quota.limits import Limits
from piyasad.gateway.quota.quota import Quota, Ticket
from piyasad.providers.interface import Spent
from piyasad.providers.limit_facts import Fact, of_gemini, of_headers, of_refusal
from piyasad.providers.waits import moment
from tests.virtual import HandClock


def headers(**rows: str) -> list[tuple[bytes, bytes]]:
    return [(name.replace("_", "-").encode(), value.encode()) for name, value in rows.items()]


GROQ = headers(
    x_ratelimit_limit_requests="14400",
    x_ratelimit_limit_tokens="18000",
    x_ratelimit_remaining_requests="14370",
    x_ratelimit_remaining_tokens="17997",
    x_ratelimit_reset_requests="2m59.56s",
    x_ratelimit_reset_tokens="7.66ms",
)


def test_groq_s_requests_are_the_day_s_and_its_tokens_the_minute_s() -> None:
    """The example of its documentation; the time to refill says the same without being told."""
    expected = (
        Fact("rpd", 14400, 14370, 179.56),
        Fact("tpm", 18000, 17997, 0.00766),
    )
    for told in (True, False):
        assert of_headers(GROQ, requests_a_day=told) == expected


def test_openai_s_are_the_minute_s() -> None:
    rows = headers(
        X_RateLimit_Limit_Requests="500",
        X_RateLimit_Remaining_Requests="499",
        X_RateLimit_Reset_Requests="120ms",
        X_RateLimit_Limit_Tokens="200000",
        X_RateLimit_Remaining_Tokens="199400",
        X_RateLimit_Reset_Tokens="180ms",
    )
    assert [(fact.name, fact.limit, fact.left) for fact in of_headers(rows)] == [
        ("rpm", 500, 499),
        ("tpm", 200000, 199400),
    ]


def test_a_limit_of_openai_s_that_refills_over_a_day_is_the_day_s() -> None:
    rows = headers(
        x_ratelimit_limit_requests="200", x_ratelimit_remaining_requests="199", x_ratelimit_reset_requests="7m12s"
    )
    assert of_headers(rows) == (Fact("rpd", 200, 199, 432.0),)


def test_anthropic_s_input_and_output_stand_for_its_tokens() -> None:
    rows = headers(
        anthropic_ratelimit_requests_limit="50",
        anthropic_ratelimit_requests_remaining="49",
        anthropic_ratelimit_requests_reset="2026-11-23T12:00:00Z",
        anthropic_ratelimit_tokens_limit="10000",
        anthropic_ratelimit_tokens_remaining="10000",
        anthropic_ratelimit_input_tokens_limit="50000",
        anthropic_ratelimit_input_tokens_remaining="49000",
        anthropic_ratelimit_output_tokens_limit="10000",
        anthropic_ratelimit_output_tokens_remaining="10000",
    )
    assert of_headers(rows) == (
        Fact("rpm", 50, 49),
        Fact("itpm", 50000, 49000),
        Fact("otpm", 10000, 10000),
    )


def test_mistral_and_cerebras_name_their_windows() -> None:
    rows = headers(
        x_ratelimit_limit_req_minute="720",
        x_ratelimit_remaining_req_minute="717",
        x_ratelimit_limit_tokens_minute="5000000",
        x_ratelimit_remaining_tokens_minute="4999911",
        x_ratelimit_limit_requests_day="14400",
        x_ratelimit_remaining_requests_day="14399",
        x_ratelimit_reset_requests_day="33011.382867",
        x_ratelimit_tokens_query_cost="52",
    )
    assert {(fact.name, fact.limit, fact.left) for fact in of_headers(rows)} == {
        ("rpm", 720, 717),
        ("tpm", 5000000, 4999911),
        ("rpd", 14400, 14399),
    }


@given(st.dictionaries(st.sampled_from([name for name, _ in GROQ]), st.binary(max_size=12)))
def test_nonsense_in_a_header_says_nothing(rows: dict[bytes, bytes]) -> None:
    for fact in of_headers(rows.items()):
        assert all(value is None or 0 <= value <= 1e12 for value in (fact.limit, fact.left))


def test_a_refusal_of_groq_tells_the_day_s_limit_that_no_header_tells() -> None:
    text = (
        "Rate limit reached for model `m` in organization `o` service tier `on_demand` on tokens per day (TPD): "
        "Limit 100000, Used 99990, Requested 500. Please try again in 7m12s."
    )
    assert of_refusal(text) == (Fact("tpd", 100000, 10, refused=True),)
    assert of_refusal("Request too large … (TPM): Limit 6000, Requested 7000, please") == (
        Fact("tpm", 6000, refused=True),
    )


def test_a_refusal_of_anthropic_tells_a_minute_s_limit() -> None:
    text = (
        "This request would exceed the rate limit for your organization: rate limit of 20,000 input tokens per minute."
    )
    assert of_refusal(text) == (Fact("itpm", 20000, refused=True),)


@pytest.mark.parametrize(
    ("quota", "name"),
    [
        ("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "rpd"),
        ("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "rpm"),
        ("GenerateContentInputTokensPerModelPerMinute-FreeTier", "itpm"),
        ("GenerateContentInputTokensPerModelPerDay-FreeTier", "tpd"),
    ],
)
def test_gemini_names_the_quota(quota: str, name: str) -> None:
    assert of_gemini(quota, "20") == Fact(name, 20, refused=True)


def test_gemini_s_other_quotas_are_nobody_s() -> None:
    assert of_gemini("SomethingPerHour", "20") is None
    assert of_gemini("", "") is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *[("2m59.56s", 179.56), ("120ms", 0.12), ("1h0m3s", 3603), ("8.64s", 8.64), ("41.5", 41.5), ("", None)],
        *[(text, None) for text in ("2026-11-23T12:00:00Z", "soon", "7m12", "1790000000000", "-3", "nan")],
    ],
)
def test_durations(text: str, seconds: float | None) -> None:
    found = moment(text, None)
    assert found == seconds if seconds is None else found == pytest.approx(seconds)


# --- the quota
@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def row(quota: Quota, name: str) -> tuple[int, int, str]:
    return next((row.limit, row.left, row.source) for row in quota.rows() if row.name == name)


def test_a_preset_s_limit_follows_both_ways_and_the_operator_s_is_never_raised(clock: HandClock) -> None:
    quota = Quota(Limits(rpm=30, tpm=1000), clock, written={"rpm"})
    assert row(quota, "rpm") == (30, 30, "file")
    assert row(quota, "tpm") == (1000, 1000, "preset")
    quota.learn([Fact("rpm", 60), Fact("tpm", 2000), Fact("rpd", 100)], None)
    assert row(quota, "rpm") == (30, 30, "file")
    assert row(quota, "tpm") == (2000, 2000, "headers")
    assert row(quota, "rpd") == (100, 100, "headers")
    quota.learn([Fact("rpm", 10), Fact("tpm", 500, refused=True)], None)
    assert row(quota, "rpm") == (10, 10, "headers")
    assert row(quota, "tpm") == (500, 500, "a refusal")
    quota.learn([Fact("rpm", 40), Fact("tpm", 1000)], None)
    assert row(quota, "rpm") == (30, 30, "file")
    assert row(quota, "tpm") == (1000, 1000, "preset")
    quota.change(Limits(rpm=20, tpm=700), written={"rpm", "tpm"})
    assert row(quota, "rpm") == (20, 20, "file")
    assert row(quota, "tpm") == (700, 700, "file"), "a reload takes the file's word, and what was said still counts"
    quota.unlearn()
    assert [limit.name for limit in quota.rows()] == ["rpm", "tpm"]


def test_a_provider_s_zero_is_no_limit(clock: HandClock) -> None:
    quota = Quota(Limits(tpm=1000), clock)
    quota.learn([Fact("tpm", 0, 0)], None)
    assert row(quota, "tpm")[0] == 1000


def test_what_others_used_is_counted_until_it_is_forgotten(clock: HandClock) -> None:
    quota = Quota(Limits(rpm=10), clock)
    ticket = quota.reserve(1, 1)
    assert ticket is not None
    quota.settle(ticket, Spent(1, 0, 1))
    quota.learn([Fact("rpm", 10, 4)], ticket)
    assert row(quota, "rpm")[1] == 4
    quota.learn([Fact("rpm", 10, 9)], ticket)
    assert row(quota, "rpm")[1] == 4, "it only lowers"
    clock.advance(61)
    assert row(quota, "rpm")[1] == 10


def test_a_bucket_that_refills_sooner_is_believed(clock: HandClock) -> None:
    quota = Quota(Limits(rpd=100), clock)
    quota.learn([Fact("rpd", 100, 50, 3600.0)], None)
    assert row(quota, "rpd")[1] == 50
    clock.advance(3700)
    assert row(quota, "rpd")[1] == 100


def test_a_shard_is_left_no_more_than_the_key(clock: HandClock) -> None:
    quota = Quota(Limits(rpm=100), clock, share=0.25)
    quota.learn([Fact("rpm", 100, 60)], None)
    assert row(quota, "rpm")[1] == 25
    quota.learn([Fact("rpm", 200, 7)], None)
    assert row(quota, "rpm") == (200, 7, "headers")


class Exact:
    """A provider that counts every request at its admission, over an exact sliding minute."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.rows: list[list[float]] = []  # [time, amount]

    def left(self, now: float) -> int:
        return self.limit - int(math.fsum(amount for at, amount in self.rows if at > now - 60))


steps = st.lists(
    st.tuples(
        st.sampled_from(["ask", "end", "pass"]),
        st.integers(1, 90),
        st.floats(0, 20),
        st.floats(0.0, 1.0),
        st.booleans(),
    ),
    max_size=60,
)


@given(steps)
def test_a_provider_s_word_about_our_own_calls_takes_nothing_away(
    rows: list[tuple[str, int, float, float, bool]],
) -> None:
    """However late it comes and whatever moment of the call it speaks of: alone on a key, nobody else is ever seen."""
    clock = HandClock()
    mine, plain, provider = Quota(Limits(tpm=300), clock), Quota(Limits(tpm=300), clock), Exact(300)
    flying: list[tuple[Ticket, Ticket, int, list[float], int]] = []
    for what, amount, seconds, share, early in rows:
        if what == "ask":
            ticket, twin = mine.reserve(amount, 0), plain.reserve(amount, 0)
            assert (ticket is None) == (twin is None)
            if ticket is not None and twin is not None:
                entry = [clock.mono(), float(amount)]
                provider.rows.append(entry)
                flying.append((ticket, twin, amount, entry, provider.left(clock.mono())))
        elif what == "end" and flying:
            ticket, twin, amount, entry, then = flying.pop(int(share * (len(flying) - 1)))
            used = int(amount * share)
            left = then if early else provider.left(clock.mono())
            entry[1] = float(used)
            mine.settle(ticket, Spent(used, 0, 0))
            plain.settle(twin, Spent(used, 0, 0))
            mine.learn([Fact("tpm", 300, left)], ticket)
        else:
            clock.advance(seconds)
        assert row(mine, "tpm") == row(plain, "tpm")
