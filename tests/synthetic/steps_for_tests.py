"""Cheap real steps and a tool for tests of the engine; loaded through ``TISSUEMAPS_PLUGINS``."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from gpu_workers.errors import FileError
from gpu_workers.messages import Json, Plan, Problem
from gpu_workers.registry import Arguments, Step, StepContext, StepOutput, Tool
from gpu_workers.storage import paths

ENTRIES = {
    "steps": {
        "count": "tests.synthetic.steps_for_tests:Count",
        "add": "tests.synthetic.steps_for_tests:Add",
    },
    "tools": {"wait": "tests.synthetic.steps_for_tests:Wait"},
}


class CountArguments(Arguments):
    """How the step behaves."""

    rounds: tuple[int, ...] = Field((3,), description="jobs in each round")
    salt: int = Field(0, description="changes the key")
    seconds: float = Field(0.0, ge=0, description="how long a job sleeps")
    trouble: Literal["none", "user", "internal", "crash", "memory", "crash_once", "full"] = "none"
    trouble_in: int = Field(0, description="index of the job that has the trouble")
    collect: bool = True


class Count(Step[CountArguments]):
    """Writes one number per job; collect adds them up."""

    name: ClassVar[str] = "count"
    title: ClassVar[str] = "Count"
    help: ClassVar[str] = "Writes numbers."
    VERSION: ClassVar[int] = 1
    Arguments: ClassVar[type[Arguments]] = CountArguments

    def plan(self, context: StepContext, arguments: CountArguments) -> Plan:
        key = paths.content_key(self.name, self.VERSION, context.inputs, arguments.salt)
        rounds = tuple(
            tuple({"round": r, "number": n} for n in range(size))
            for r, size in enumerate(arguments.rounds)
        )
        return Plan(key=key, rounds=rounds, collect=arguments.collect)

    def run(self, context: StepContext, arguments: CountArguments, batch: Json) -> StepOutput:
        print("working on", batch["number"])
        folder = context.root / "numbers" / context.key
        context.progress(0.5, "half")
        time.sleep(arguments.seconds)
        if batch["number"] == arguments.trouble_in:
            _trouble(arguments.trouble, folder)
        name = f"{batch['round']}-{batch['number']}.json"
        paths.write_json(folder / "parts" / name, batch["number"])
        with (folder / "runs.txt").open("a") as log:
            log.write(f"{name} {os.getpid()}\n")
        context.problems.append(Problem(code="odd", message="odd number")) if batch[
            "number"
        ] % 2 else None
        return StepOutput({"number": batch["number"]})

    def collect(self, context: StepContext, arguments: CountArguments) -> StepOutput:
        folder = context.root / "numbers" / context.key
        parts = sorted((folder / "parts").glob("*.json"))
        total = sum(paths.read_json(part) for part in parts)
        paths.write_json(folder / "numbers.json", {"total": total, "parts": len(parts)})
        return StepOutput({"total": total}, {"numbers": f"numbers/{context.key}/numbers.json"})


def _trouble(kind: str, folder: Path) -> None:
    if kind == "user":
        raise FileError("plane 3 is truncated", files=("plane3.tif",))
    if kind == "internal":
        raise ZeroDivisionError("nobody expected this")
    if kind == "full":
        Path("/dev/full").write_bytes(b"x")
    if kind == "memory":
        hog = bytearray(600 * 1024**2)
        hog[::4096] = b"x" * len(hog[::4096])
        time.sleep(30)
    marker = folder / "crashed"
    if kind == "crash" or (kind == "crash_once" and not marker.exists()):
        paths.write_json(marker, 1)
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)


class AddArguments(Arguments):
    """What to add."""

    summand: int = Field(1, ge=0, description="added to the total")


class Add(Step[AddArguments]):
    """Adds a number to the total of the step before."""

    name: ClassVar[str] = "add"
    title: ClassVar[str] = "Add"
    help: ClassVar[str] = "Adds to the total."
    VERSION: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("numbers",)
    Arguments: ClassVar[type[Arguments]] = AddArguments

    def plan(self, context: StepContext, arguments: AddArguments) -> Plan:
        key = paths.content_key(self.name, self.VERSION, context.inputs, arguments.summand)
        return Plan(key=key, rounds=(({"only": True},),), collect=False)

    def run(self, context: StepContext, arguments: AddArguments, batch: Json) -> StepOutput:
        numbers = paths.read_json(context.root / context.inputs["numbers"])
        path = f"sums/{context.key}/sum.json"
        paths.write_json(context.root / path, {"sum": numbers["total"] + arguments.summand})
        return StepOutput({}, {"sum": path})


class WaitArguments(Arguments):
    """How the tool behaves."""

    seconds: float = 0.0
    text: str = ""
    trouble: Literal["none", "user", "internal", "crash", "memory", "spin", "full"] = "none"


class Wait(Tool[WaitArguments]):
    """Sleeps and answers."""

    name: ClassVar[str] = "wait"
    title: ClassVar[str] = "Wait"
    help: ClassVar[str] = "Sleeps."
    VERSION: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ()
    Arguments: ClassVar[type[Arguments]] = WaitArguments

    def run(self, context: StepContext, arguments: WaitArguments, batch: Json) -> StepOutput:
        print("waiting", arguments.text)
        with (context.root / "waits.txt").open("a") as log:
            log.write(f"{arguments.text} {os.getpid()} {time.time()}\n")
        time.sleep(arguments.seconds)
        _trouble(arguments.trouble, context.root)
        return StepOutput({"text": arguments.text, "at": time.time()})
