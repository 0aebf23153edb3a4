"""Whatever happens, in whatever order: steps run one by one, and every workflow comes to an end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apps.workflows import graph
from apps.workflows.graph import Begin, Finish, Outcome, Phase, Shape, State, Step

shapes = st.builds(Shape, st.lists(st.integers(0, 3), max_size=4).map(tuple), collect=st.booleans())
starts = st.lists(
    st.sampled_from([State.WAITING, State.SKIPPED, State.REUSED]), min_size=1, max_size=6
)
happenings = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(Outcome), shapes),
        st.just("kill"),
        st.just("late"),
        st.just("cannot_apply"),
    ),
    max_size=60,
)


class World:
    """Carries transitions out and checks what must hold at each of them."""

    def __init__(self, states: list[State]):
        self.steps = tuple(Step(state) for state in states)
        self.log: list[graph.Command] = []
        self.take(graph.submitted(self.steps))

    def take(self, transition: graph.Transition) -> None:
        before, self.steps = self.steps, transition.steps
        running = [i for i, step in enumerate(self.steps) if step.state == State.RUNNING]
        assert len(running) <= 1
        for old, new in zip(before, self.steps, strict=True):
            if old.state in graph.FINAL:
                assert new.state == old.state
        for i in running:
            assert all(step.state in graph.GOOD for step in self.steps[:i])
        self.log.extend(transition.commands)

    @property
    def running(self) -> int | None:
        found = [i for i, step in enumerate(self.steps) if step.state == State.RUNNING]
        return found[0] if found else None


@given(starts, happenings)
def test_any_course_of_events_keeps_order_and_ends(states: list[State], course: list) -> None:
    world = World(states)

    for what in course:
        index = world.running
        if what == "kill":
            world.take(graph.killed(world.steps))
        elif what == "late":
            other = next((i for i, s in enumerate(world.steps) if i != index), None)
            if other is not None:
                late = graph.phase_ended(world.steps, other, Outcome.SUCCEEDED, Shape((1,), True))
                assert late == graph.Transition(world.steps)
        elif index is not None and what != "cannot_apply":
            outcome, shape = what
            world.take(graph.phase_ended(world.steps, index, outcome, shape))
        elif index is not None:
            world.take(graph.step_failed(world.steps, index))
    while (index := world.running) is not None:
        world.take(graph.phase_ended(world.steps, index, Outcome.SUCCEEDED, Shape((1, 2), True)))

    assert graph.workflow_state(world.steps) in graph.FINAL
    for index in range(len(states)):
        mine = [c for c in world.log if isinstance(c, Begin) and c.step == index]
        assert sum(c.phase == Phase.PLAN for c in mine) <= 1
        rounds = [c.round for c in mine if c.phase == Phase.RUN]
        assert rounds == sorted(set(rounds))
        phases = [c.phase for c in mine]
        assert phases == sorted(phases, key=[Phase.PLAN, Phase.RUN, Phase.COLLECT].index)
        finished = sum(isinstance(c, Finish) and c.step == index for c in world.log)
        assert finished == (world.steps[index].state == State.SUCCEEDED)


@given(st.lists(shapes, min_size=1, max_size=5))
def test_success_runs_exactly_what_the_plans_say(plans: list[Shape]) -> None:
    world = World([State.WAITING] * len(plans))

    while (index := world.running) is not None:
        world.take(graph.phase_ended(world.steps, index, Outcome.SUCCEEDED, plans[index]))

    assert graph.workflow_state(world.steps) == State.SUCCEEDED
    expected: list[graph.Command] = []
    for index, shape in enumerate(plans):
        expected.append(Begin(index, Phase.PLAN))
        full = [number for number, size in enumerate(shape.rounds) if size]
        expected += [Begin(index, Phase.RUN, number) for number in full]
        if shape.collect:
            expected.append(Begin(index, Phase.COLLECT, full[-1] if full else 0))
        expected.append(Finish(index))
    assert world.log == expected


def test_failure_leaves_later_steps_waiting_and_kill_takes_them_along() -> None:
    world = World([State.WAITING, State.WAITING])

    failed = graph.phase_ended(world.steps, 0, Outcome.FAILED)
    killed = graph.killed(world.steps)

    assert [step.state for step in failed.steps] == [State.FAILED, State.WAITING]
    assert [step.state for step in killed.steps] == [State.KILLED, State.KILLED]
    assert graph.workflow_state(failed.steps) == State.FAILED


def test_products_that_cannot_be_applied_take_the_next_step_back() -> None:
    world = World([State.WAITING, State.WAITING])
    plan = graph.phase_ended(world.steps, 0, Outcome.SUCCEEDED, Shape((), False))
    assert plan.commands == (Finish(0), Begin(1, Phase.PLAN))

    back = graph.step_failed(plan.steps, 0)

    assert [step.state for step in back.steps] == [State.FAILED, State.WAITING]
