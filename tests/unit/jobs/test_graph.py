"""Sharing a queue is fair, bounded and wastes no place; attempts are bounded."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from apps.jobs import graph
from apps.jobs.graph import Tenant, Trial

groups = st.one_of(st.none(), st.integers(1, 4).map(lambda n: UUID(int=n)))
tenants = st.builds(Tenant, groups, st.integers(1, 5).map(lambda n: UUID(int=n)))
counts = st.dictionaries(tenants, st.integers(0, 12), max_size=8)
times = st.dictionaries(tenants, st.floats(0, 100), max_size=8)


@given(counts, counts, times, st.integers(0, 40))
def test_share_gives_every_place_and_no_more(waiting, flying, served, room) -> None:
    picks = graph.share(waiting, flying, served, room)

    assert sum(picks.values()) == min(room, sum(waiting.values()))
    assert all(0 < n <= waiting[tenant] for tenant, n in picks.items())


@given(counts, counts, times, st.integers(0, 40))
def test_share_is_fair_to_groups(waiting, flying, served, room) -> None:
    picks = graph.share(waiting, flying, served, room)

    before, after, wants = Counter(), Counter(), Counter()
    for tenant, n in flying.items():
        before[tenant.group] += n
    after.update(before)
    for tenant, n in picks.items():
        after[tenant.group] += n
    for tenant, n in waiting.items():
        wants[tenant.group] += n
    for group in wants:
        got = after[group] - before[group]
        if got < wants[group]:
            # Nobody was given a place beyond the one this hungry group could have had.
            for other in wants:
                if after[other] > before[other]:
                    assert after[other] <= after[group] + 1


@given(counts, counts, st.integers(0, 40), st.integers(0, 5))
def test_share_keeps_a_groups_limit(waiting, flying, room, limit) -> None:
    limited = UUID(int=1)

    picks = graph.share(waiting, flying, {}, room, {limited: limit})

    mine = sum(n for tenant, n in picks.items() if tenant.group == limited)
    before = sum(n for tenant, n in flying.items() if tenant.group == limited)
    assert mine <= max(0, limit - before)


def test_who_was_served_longest_ago_goes_first() -> None:
    a, b = Tenant(UUID(int=1), UUID(int=1)), Tenant(UUID(int=2), UUID(int=2))

    assert graph.share({a: 9, b: 9}, {}, {a: 5.0, b: 4.0}, 1) == {b: 1}
    assert graph.share({a: 100_000, b: 1}, {a: 3}, {}, 1) == {b: 1}


def test_window_is_slots_and_one_queued_per_worker() -> None:
    assert graph.window(slots=4, workers=2, in_flight=0, mean_s=60) == 6
    assert graph.window(slots=4, workers=2, in_flight=9, mean_s=60) == 0
    assert graph.window(slots=4, workers=2, in_flight=0, mean_s=0.1) == 14
    assert graph.window(slots=0, workers=0, in_flight=0, mean_s=None) == 0


trials = st.builds(
    Trial,
    outcome=st.sampled_from(["succeeded", "failed", "killed", "lost", "released"]),
    user_error=st.booleans(),
    failures=st.integers(0, 5),
    sends=st.integers(1, 30),
    max_attempts=st.integers(1, 3),
)


@given(trials)
def test_after_an_attempt_a_job_ends_or_has_tries_left(trial: Trial) -> None:
    state, failures = graph.after_attempt(trial)

    if trial.outcome in ("succeeded", "killed"):
        assert (state, failures) == (trial.outcome, trial.failures)
    elif trial.user_error:
        assert state == "failed"
    elif state == "again":
        assert failures < trial.max_attempts
        assert trial.sends < graph.MAX_SENDS
        assert failures == trial.failures + (trial.outcome != "released")
