"""What the outcome of a call means for its endpoint: what it used, how long nobody asks again, when it is shut.

The gateway asks and acts. Pure but for the counts that stand in the endpoint.
"""

from __future__ import annotations

import math
from typing import Final

from piyasad.gateway.endpoint import Endpoint
from piyasad.gateway.quota.quota import Ticket
from piyasad.providers.interface import (
    BadRequest,
    Completion,
    NotSent,
    ProviderError,
    Request,
    ServerFault,
    Spent,
    Throttled,
    Transient,
)
from piyasad.providers.waits import MOST_WAIT

UNSAID_WAIT: Final = 5.0  # s; after a 429 that does not say how long to wait
UNSAID_DAY_WAIT: Final = 600.0  # s; the same when it was about a day's limit
MOST_UNSAID_WAIT: Final = 600.0  # s; it doubles while nothing else is heard
FIRST_EXTRA_WAIT: Final = 1.0  # s; from the second refusal in a row on, for waits that are said and do not help

DOUBTS: Final = 3  # refusals in a row that might mean the key or the model, or only the text
REJECTED: Final = 5  # requests in a row that are called bad: then the endpoint rests
FIRST_REST: Final = 60.0  # s
MOST_REST: Final = 3600.0  # s

CHARS_A_TOKEN: Final = 3.0  # of a text whose tokens nobody counted
MOST_A_CHAR: Final = 4.0  # tokens; who counts more for a prompt counts something else
FORM_TOKENS: Final = 2_000  # what a prompt may be counted beyond its characters


def used(endpoint: Endpoint, request: Request, completion: Completion) -> Spent:
    """The tokens of an answered call: as the provider counted them, or our estimate of what it did not tell."""
    chars = len(request.system) + len(request.user)
    spent = completion.spent
    if spent.prompt > chars * MOST_A_CHAR + FORM_TOKENS or not spent.prompt:
        spent = spent._replace(prompt=endpoint.estimator.tokens(chars), cached=0, written=0)
    if not spent.completion:
        spent = spent._replace(completion=math.ceil(len(completion.text) / CHARS_A_TOKEN))
    return spent


def settle_failure(endpoint: Endpoint, ticket: Ticket, error: ProviderError) -> None:
    """Give back what a failed call surely did not use."""
    quota = endpoint.quota
    if quota is None:
        return
    if error.usage is not None:
        quota.settle(ticket, error.usage, endpoint.micros(error.usage), requests=error.requests)
    elif isinstance(error, NotSent):
        quota.refund(ticket)
    elif isinstance(error, Transient) and not isinstance(error, ServerFault):
        quota.keep(ticket, requests=error.requests)
    else:
        quota.keep_request(ticket, requests=error.requests)


def fine(endpoint: Endpoint) -> None:
    """It answered: what was held against it is forgotten."""
    endpoint.throttled = endpoint.doubts = endpoint.rejected = 0


def wait_after(endpoint: Endpoint, error: ProviderError) -> float:
    """Seconds for which nothing is asked of the endpoint after a failure: as it says, whatever the failure was.

    A 429 that does not say holds until the limits that it says are used up refill, else for a while that grows; so do
    waits that are said and do not help.
    """
    if isinstance(error, Throttled):
        endpoint.throttled += 1
        again = endpoint.throttled - 1
        if error.retry_after is not None:
            extra = FIRST_EXTRA_WAIT * 2 ** min(again - 1, 16) if again > 1 else 0.0
            return min(MOST_WAIT, max(error.retry_after, min(extra, MOST_UNSAID_WAIT)))
        resets = [fact.reset for fact in error.facts if not fact.left and fact.reset]
        unsaid = UNSAID_DAY_WAIT if error.window in {"day", "month"} else UNSAID_WAIT * 2 ** min(again, 16)
        return min(MOST_WAIT, max(resets, default=min(unsaid, MOST_UNSAID_WAIT)))
    wait = error.retry_after or 0.0
    if isinstance(error, BadRequest) and not error.facts:
        endpoint.rejected += 1
        if endpoint.rejected >= REJECTED:
            wait = max(wait, min(MOST_REST, FIRST_REST * 2 ** min(endpoint.rejected - REJECTED, 16)))
    return min(wait, MOST_WAIT)


def believed(endpoint: Endpoint, error: ProviderError) -> bool:
    """Whether a refusal of the key or the model is taken for one: when it is clear, or comes again and again."""
    if error.sure:
        return True
    endpoint.doubts += 1
    return endpoint.doubts >= DOUBTS
