"""One ear per chat: chosen without asking Telegram, kept while it is good, replaced when it is not, over all shards."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from piyasad.telegram.ears import Candidate, choose, is_heard, stand_ins


def bot(number: int, *, ready: bool = True, ours: bool = True, hears: bool | None = None) -> Candidate:
    """A candidate."""
    return Candidate(number, ready, ours, hears)


def test_the_first_of_the_configuration_is_asked_first() -> None:
    assert choose([bot(1), bot(2)], None) == 1


def test_one_that_is_known_to_hear_goes_before_one_that_was_not_asked() -> None:
    assert choose([bot(1), bot(2, hears=True)], None) == 2


def test_the_present_ear_stays_while_it_is_good() -> None:
    candidates = [bot(1, hears=True), bot(2), bot(3, ours=False)]
    assert choose(candidates, 2) == 2
    assert choose(candidates, 3) == 3


def test_an_ear_that_was_lost_is_replaced() -> None:
    assert choose([bot(1, ready=False, hears=True), bot(2)], 1) == 2, "its lease ended, it was parked or removed"
    assert choose([bot(1, hears=False), bot(2)], 1) == 2, "it is no administrator any more"
    assert choose([bot(2)], 1) == 2, "it is not of this chat any more"


def test_nobody_is_chosen_where_nobody_can_hear() -> None:
    assert choose([bot(1, hears=False), bot(2, ready=False)], None) is None
    assert choose([], None) is None


def test_our_own_are_asked_before_we_wait_for_another_shard() -> None:
    assert choose([bot(1, ours=False), bot(2)], None) == 2
    assert choose([bot(1, ours=False), bot(2, hears=False)], None) == 1


def test_where_nobody_hears_the_group_every_bot_polls() -> None:
    candidates = [bot(1, hears=False), bot(2, hears=False), bot(3, ready=False, hears=False)]
    assert stand_ins(candidates, None) == [1, 2]
    assert stand_ins(candidates, 1) == [1, 2], "an ear that went deaf is none"


def test_where_there_is_an_ear_nobody_else_polls() -> None:
    assert stand_ins([bot(1, ours=False), bot(2, hears=False)], 1) == []


chats = st.lists(
    st.tuples(st.integers(0, 2), st.booleans(), st.booleans()), min_size=1, max_size=6
)  # shard, ready, hears in truth


@given(chat=chats, ear=st.none() | st.integers(0, 6), order=st.lists(st.integers(0, 2), max_size=12))
def test_over_all_shards_a_chat_is_heard_by_one_ear_or_by_every_bot(
    chat: list[tuple[int, bool, bool]], ear: int | None, order: list[int]
) -> None:
    """Each shard knows only what its own bots were told; whatever the order of their looks, nobody waits for ever."""
    told: dict[int, bool] = {}
    polls: dict[int, list[int]] = {}

    def look(shard: int) -> None:
        """What `polling.py` does for one chat, once."""
        nonlocal ear
        view = [
            Candidate(number, ready, of == shard, told.get(number) if of == shard else None)
            for number, (of, ready, _) in enumerate(chat)
        ]
        chosen = choose(view, ear)
        while chosen is not None and chat[chosen][0] == shard and not told.get(chosen):
            told[chosen] = chat[chosen][2]
            view = [replace(each, hears=told[chosen]) if each.bot_id == chosen else each for each in view]
            chosen = choose(view, ear)
        if chosen is not None and chat[chosen][0] == shard:
            ear = chosen
            polls[shard] = [chosen]
            return
        if not is_heard(view, ear):
            ear = None
        polls[shard] = stand_ins(view, ear)

    for shard in [*order, *(list(range(3)) * 3)]:
        look(shard)
    polling = sorted(number for of in polls for number in polls[of])
    inbound = [number for number, (_, ready, hears) in enumerate(chat) if ready and hears]
    if inbound:
        assert ear in inbound
        assert polling == [ear]
    else:
        assert polling == [number for number, (_, ready, _) in enumerate(chat) if ready]
