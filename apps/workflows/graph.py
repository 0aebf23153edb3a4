"""What runs next: pure, from the steps' states and one event to new states and commands.

Steps run one after the other. A step plans, runs its rounds with a barrier between them, collects,
is finished (its products become current) and only then the next one begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum


class State(StrEnum):
    """States of steps, stages and workflows."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    KILLED = "killed"
    SKIPPED = "skipped"
    REUSED = "reused"


class Phase(StrEnum):
    """What a running step is at."""

    PLAN = "plan"
    RUN = "run"
    COLLECT = "collect"


class Outcome(StrEnum):
    """How a phase's jobs ended, together."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    KILLED = "killed"


GOOD = frozenset({State.SUCCEEDED, State.SKIPPED, State.REUSED})
FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.KILLED, State.SKIPPED, State.REUSED})


@dataclass(frozen=True, slots=True)
class Step:
    """State of one step. `rounds` are the numbers of jobs per round, known after the plan."""

    state: State
    phase: Phase | None = None
    round: int = 0
    rounds: tuple[int, ...] = ()
    collect: bool = True


@dataclass(frozen=True, slots=True)
class Shape:
    """What a plan says: jobs per round, and whether there is a collect job."""

    rounds: tuple[int, ...]
    collect: bool


@dataclass(frozen=True, slots=True)
class Begin:
    """Make the jobs of a phase of a step."""

    step: int
    phase: Phase
    round: int = 0


@dataclass(frozen=True, slots=True)
class Finish:
    """Make a step's products current; carried out before anything that follows it."""

    step: int


Command = Begin | Finish
Steps = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Transition:
    """New states and what to do, in order."""

    steps: Steps
    commands: tuple[Command, ...] = ()


def combined(states: Iterable[State]) -> State:
    """Return the state of a stage or workflow from those of its parts."""
    found = list(states)
    for state in (State.KILLED, State.FAILED):
        if state in found:
            return state
    if all(state == State.REUSED for state in found):
        return State.REUSED if found else State.SKIPPED
    if all(state == State.SKIPPED for state in found):
        return State.SKIPPED
    if all(state in GOOD for state in found):
        return State.SUCCEEDED
    begun = State.RUNNING in found or State.SUCCEEDED in found
    return State.RUNNING if begun else State.WAITING


def workflow_state(steps: Sequence[Step]) -> State:
    """Return a workflow's state; nothing to do is success."""
    state = combined(step.state for step in steps)
    if state in GOOD:
        return State.SUCCEEDED
    return State.RUNNING if state == State.WAITING else state


def _changed(steps: Steps, index: int, step: Step) -> Steps:
    return (*steps[:index], step, *steps[index + 1 :])


def _next(steps: Steps, commands: tuple[Command, ...]) -> Transition:
    for index, step in enumerate(steps):
        if step.state == State.WAITING:
            begun = replace(step, state=State.RUNNING, phase=Phase.PLAN)
            commands = (*commands, Begin(index, Phase.PLAN))
            return Transition(_changed(steps, index, begun), commands)
    return Transition(steps, commands)


def submitted(steps: Steps) -> Transition:
    """Begin the first step that waits."""
    return _next(steps, ())


def _end(steps: Steps, index: int, state: State) -> Transition:
    return Transition(_changed(steps, index, replace(steps[index], state=state)))


def phase_ended(
    steps: Steps, index: int, outcome: Outcome, shape: Shape | None = None
) -> Transition:
    """Go on after all jobs of a step's current phase and round are at their end.

    `shape` is what the plan said, when the phase was the plan. A step that does not run (a late
    word after a kill) changes nothing. A plan without a shape is a failure.
    """
    step = steps[index]
    if step.state != State.RUNNING:
        return Transition(steps)
    if outcome == Outcome.KILLED:
        return _end(steps, index, State.KILLED)
    planning = step.phase == Phase.PLAN
    if outcome == Outcome.FAILED or (planning and shape is None):
        return _end(steps, index, State.FAILED)
    if planning and shape is not None:
        step = replace(step, rounds=shape.rounds, collect=shape.collect)
    if step.phase != Phase.COLLECT:
        first = 0 if planning else step.round + 1
        for number in range(first, len(step.rounds)):
            if step.rounds[number]:
                running = replace(step, phase=Phase.RUN, round=number)
                begin = Begin(index, Phase.RUN, number)
                return Transition(_changed(steps, index, running), (begin,))
        if step.collect:
            collecting = replace(step, phase=Phase.COLLECT)
            begin = Begin(index, Phase.COLLECT, step.round)
            return Transition(_changed(steps, index, collecting), (begin,))
    done = _changed(steps, index, replace(step, state=State.SUCCEEDED))
    return _next(done, (Finish(index),))


def step_failed(steps: Steps, index: int) -> Transition:
    """Fail a step whose products could not be made current, or whose jobs could not be made.

    A step that had begun after it in the same transition waits again.
    """
    back = tuple(
        replace(step, state=State.WAITING, phase=None)
        if i > index and step.state == State.RUNNING
        else step
        for i, step in enumerate(steps)
    )
    return _end(back, index, State.FAILED)


def killed(steps: Steps) -> Transition:
    """Kill what runs and what waits."""
    alive = (State.RUNNING, State.WAITING)
    return Transition(
        tuple(replace(s, state=State.KILLED) if s.state in alive else s for s in steps)
    )
