"""Do one job in this process: `execute` (from a spec), `run_step` (a whole step)."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from pydantic import ValidationError

from gpu_workers import registry
from gpu_workers.errors import DataMissing, TissueMapsError, UserError
from gpu_workers.formats.examination import examine
from gpu_workers.messages import ExperimentDescription, JobError, JobResult, JobSpec, Json, Problem
from gpu_workers.registry import StepContext, StepOutput
from gpu_workers.runner.code_version import code_version
from gpu_workers.runner.processes import peak_memory_mb
from gpu_workers.steps.metaextract import acquisition_folder
from gpu_workers.steps.segmentations import segmentations_take

logger = logging.getLogger(__name__)

Progress = Callable[[float, str], None]


def _silent(fraction: float, message: str) -> None: ...


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _context(spec: JobSpec, root: Path, progress: Progress) -> StepContext:
    return StepContext(
        root=root,
        experiment=spec.experiment,
        key=spec.key,
        inputs=dict(spec.inputs),
        backend=spec.backend,
        progress=progress,
        problems=[],
        limits=spec.limits,
        code_version=code_version(),
    )


def _arguments(entry: Any, spec: JobSpec) -> Any:
    """Return the arguments of a step or tool; only here is a wrong value a user's mistake."""
    try:
        return entry.Arguments.model_validate(spec.arguments)
    except ValidationError as error:
        text = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UserError(text, code="invalid_arguments") from error


def _examine(spec: JobSpec, context: StepContext) -> Json:
    """Return what a reader or a pattern makes of an acquisition's files."""
    chosen = UUID(spec.batch["acquisition"])
    acquisition = next(a for a in spec.experiment.acquisitions if a.id == chosen)
    found = examine(
        acquisition_folder(context.root, acquisition),
        spec.batch.get("microscope") or acquisition.microscope,
        spec.batch.get("pattern") or acquisition.pattern,
    )
    return {"output": found.model_dump(mode="json")}


def _preview(spec: JobSpec, context: StepContext) -> Json:
    """Try a pipeline on a few sites."""
    from gpu_workers.steps.jterator.preview import preview_sites

    entry = registry.load("steps", spec.name)()
    output = preview_sites(context, _arguments(entry, spec), spec.batch)
    return {"output": output.output}


def _dispatch(spec: JobSpec, context: StepContext) -> Json:
    if spec.kind == "inspect":
        return _examine(spec, context)
    if spec.kind == "preview":
        return _preview(spec, context)
    if spec.kind == "segment":
        taken = segmentations_take(context, spec.batch)
        return {"output": taken.output, "products": taken.products}
    if spec.kind == "tool":
        tool = registry.load("tools", spec.name)()
        output = tool.run(context, _arguments(tool, spec), spec.batch)
        return {"output": output.output, "products": output.products}
    step = registry.load("steps", spec.name)()
    missing = [name for name in step.requires if name not in context.inputs]
    if missing:
        raise DataMissing(f"{spec.name} needs {', '.join(missing)}, which no earlier step has made")
    arguments = _arguments(step, spec)
    if spec.kind == "plan":
        return {"plan": step.plan(context, arguments)}
    run = spec.kind == "run"
    output = step.run(context, arguments, spec.batch) if run else step.collect(context, arguments)
    return {"output": output.output, "products": output.products}


def is_full(error: BaseException) -> bool:
    """Return whether an error says that the disk, or our share of it, is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def no_space() -> JobError:
    """Return the error of a job that met a full disk; to try at once again would help nobody."""
    text = "the disk of the experiments is full: make room, then submit again what failed"
    return JobError(code="no_space", message=text, user=True)


def _describe(error: Exception) -> JobError:
    if isinstance(error, TissueMapsError):
        return JobError(
            code=error.code,
            message=error.message,
            files=error.files,
            user=isinstance(error, UserError),
        )
    if is_full(error):
        return no_space()
    if isinstance(error, MemoryError):
        return JobError(code="out_of_memory", message="the job ran out of memory", user=False)
    return JobError(code="internal_error", message=f"{type(error).__name__}: {error}", user=False)


def execute(spec: JobSpec, root: Path, progress: Progress = _silent) -> JobResult:
    """Do the job of `spec` below the experiment folder `root`; never raises for a failing job."""
    context = _context(spec, root, progress)
    started, cpu = datetime.now(UTC), _cpu_s()
    done: Json = {}
    error: JobError | None = None
    try:
        done = _dispatch(spec, context)
    except Exception as exception:
        error = _describe(exception)
        # Where in our code a user's mistake was noticed helps nobody.
        trace = None if error.user else exception
        logger.error("%s %s failed: %s", spec.kind, spec.name, error.message, exc_info=trace)
    for problem in context.problems:
        files = f" [{', '.join(problem.files)}]" if problem.files else ""
        logger.warning("%s %s: %s%s", problem.severity, problem.code, problem.message, files)
    return JobResult(
        job=spec.job,
        attempt=spec.attempt,
        state="failed" if error else "succeeded",
        problems=tuple(context.problems),
        error=error,
        started_at=started,
        ended_at=datetime.now(UTC),
        code_version=code_version(),
        cpu_s=round(_cpu_s() - cpu, 4),
        peak_memory_mb=round(peak_memory_mb(), 1),
        **done,
    )


class StepFailed(TissueMapsError):
    """A job of a step run in this process failed; carries the job's own error."""

    def __init__(self, result: JobResult):
        assert result.error is not None
        super().__init__(result.error.message, code=result.error.code, files=result.error.files)
        self.result = result


def run_step(
    root: Path,
    name: str,
    experiment: ExperimentDescription,
    arguments: Json | None = None,
    inputs: dict[str, str] | None = None,
    progress: Progress = _silent,
) -> tuple[StepOutput, list[Problem]]:
    """Plan, run and collect one step in this process, one job after the other.

    Returns the output of the last phase and all problems.

    Raises
    ------
    StepFailed
        A job failed; its error's message, code and files.
    """
    problems: list[Problem] = []
    results: list[JobResult] = []

    def do(
        kind: str, key: str = "", round_: int = 0, index: int = 0, batch: Json | None = None
    ) -> JobResult:
        spec = JobSpec(
            job=uuid4(), attempt=1, kind=kind, name=name, experiment=experiment, key=key,
            arguments=arguments or {}, inputs=inputs or {}, round=round_, index=index, batch=batch or {},
        )  # fmt: skip
        result = execute(spec, root, progress)
        problems.extend(result.problems)
        if result.error:
            raise StepFailed(result)
        return result

    plan = do("plan").plan
    assert plan is not None
    for number, batches in enumerate(plan.rounds):
        results.extend(do("run", plan.key, number, i, batch) for i, batch in enumerate(batches))
    if plan.collect:
        results.append(do("collect", plan.key))
    products = {k: v for result in results for k, v in result.products.items()}
    return StepOutput(results[-1].output if results else {}, products), problems
