"""``python -m gpu_workers``: everything a worker does, without a server.

``step NAME plan|run|collect|all`` does (a part of) a step below a folder; ``run spec.json`` replays
any job; ``inspect DIR`` says what a reader sees; ``pipeline run`` analyses plain image files
(``pipeline templates`` and ``pipeline modules`` list what there is); ``verify ROOT`` reads converted
plates back and compares them with the checksums recorded when they were written. Errors go to standard
error, exit status 1.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from gpu_workers.errors import FileError, TissueMapsError, UserError
from gpu_workers.messages import ExperimentDescription, JobResult, JobSpec
from gpu_workers.pipelines.plain import command as plain
from gpu_workers.runner.execute import execute, run_step
from gpu_workers.storage import paths


def _json(text: str) -> Any:
    """Return JSON given as text or as ``@file``."""
    return json.loads(Path(text[1:]).read_text() if text.startswith("@") else text)


def _progress(fraction: float, message: str) -> None:
    print(f"{fraction:6.1%} {message}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gpu_workers", description=__doc__)
    parser.add_argument("-v", "--verbose", action="store_true", help="say more")
    commands = parser.add_subparsers(dest="command", required=True)
    step = commands.add_parser("step", help="do a step, or a phase of it")
    step.add_argument("name")
    step.add_argument("phase", choices=["plan", "run", "collect", "all"])
    step.add_argument("--root", type=Path, required=True, help="folder of the experiment")
    step.add_argument("--experiment", required=True, help="JSON file of ExperimentDescription")
    step.add_argument("--arguments", default="{}", help="JSON or @file")
    step.add_argument("--inputs", default="{}", help="JSON or @file: product -> manifest")
    step.add_argument("--batch", default="{}", help="JSON or @file: what `run` does")
    step.add_argument("--key", default="", help="version that the plan named (run, collect)")
    step.add_argument("--round", type=int, default=0)
    step.add_argument("--backend", choices=["cpu", "gpu"], default="cpu")
    run = commands.add_parser("run", help="replay a job from its spec.json")
    run.add_argument("spec", type=Path)
    run.add_argument("--root", type=Path, help="folder of the experiment (from the spec's place)")
    run.add_argument("--out", type=Path, help="write the result there, not beside the spec")
    inspect = commands.add_parser("inspect", help="say what a reader sees in a folder")
    inspect.add_argument("folder", type=Path, help="one acquisition of one plate, or slides")
    inspect.add_argument("--microscope", help="name of the reader; else the one that fits best")
    inspect.add_argument(
        "--pattern",
        help="regular expression for file names with the groups well (or row, column), site, channel, z, t, cycle",
    )
    inspect.add_argument("--json", action="store_true", help="print JSON")
    verify = commands.add_parser("verify", help="compare converted plates with their checksums")
    verify.add_argument("root", type=Path, help="folder of the experiment")
    verify.add_argument("--plates", action="append", help="plates.json below it; all by default")
    verify.add_argument("--json", action="store_true", help="print JSON")
    plain.add_parser(commands)
    return parser


def _print_result(result: JobResult) -> int:
    print(result.model_dump_json(indent=1))
    if result.error is not None:
        print(f"{result.error.code}: {result.error.message}", file=sys.stderr)
    return 0 if result.state == "succeeded" else 1


def _execute(spec: JobSpec, root: Path) -> JobResult:
    """Do a job; what it prints goes to standard error, standard output is the result alone."""
    with contextlib.redirect_stdout(sys.stderr):
        return execute(spec, root, _progress)


def _step(options: argparse.Namespace) -> int:
    experiment = ExperimentDescription.model_validate_json(Path(options.experiment).read_bytes())
    arguments, inputs = _json(options.arguments), _json(options.inputs)
    options.root.mkdir(parents=True, exist_ok=True)
    if options.phase == "all":
        with contextlib.redirect_stdout(sys.stderr):
            output, problems = run_step(
                options.root, options.name, experiment, arguments, inputs, _progress
            )
        answer = {
            "output": output.output,
            "products": output.products,
            "problems": [problem.model_dump(mode="json") for problem in problems],
        }
        print(json.dumps(answer, indent=1))
        return 0
    spec = JobSpec(
        job=uuid4(),
        attempt=1,
        kind=options.phase,
        name=options.name,
        experiment=experiment,
        key=options.key,
        backend=options.backend,
        arguments=arguments,
        inputs=inputs,
        round=options.round,
        batch=_json(options.batch),
    )
    return _print_result(_execute(spec, options.root))


def _root_of(spec: Path) -> Path:
    """Return the experiment's folder that ``…/jobs/<job>/<attempt>/spec.json`` lies in."""
    parents = spec.resolve().parents
    if len(parents) > 3 and parents[2].name == "jobs":
        return parents[3]
    raise UserError(f"{spec} lies in no experiment: name its folder with --root", code="no_root")


def _run(options: argparse.Namespace) -> int:
    spec = JobSpec.model_validate_json(options.spec.read_bytes())
    root = options.root or _root_of(options.spec)
    result = _execute(spec, root)
    if options.out is not None:
        text = result.model_dump_json(indent=1)
        paths.write_atomically(options.out / "result.json", text.encode())
    return _print_result(result)


def _inspect(options: argparse.Namespace) -> int:
    from gpu_workers import formats
    from gpu_workers.formats.report import as_text

    try:
        found = formats.inspect(options.folder, options.microscope, options.pattern)
    except FileError as error:
        about = ", ".join(error.files) or str(options.folder)
        raise FileError(f"{error.message} ({about})", code=error.code, files=error.files) from error
    if options.json:
        print(json.dumps(found.model_dump(mode="json"), indent=1))
    else:
        print(as_text(found))
    return 0 if found.sites else 1


def _verify(options: argparse.Namespace) -> int:
    from gpu_workers.storage.verification import plates_verify

    found = sorted(options.root.glob("plates/*/plates.json"))
    manifests = options.plates or [str(path.relative_to(options.root)) for path in found]
    if not manifests:
        raise UserError(f"{options.root} holds no converted plates", code="missing_input")
    results = {name: plates_verify(options.root, name, _progress) for name in manifests}
    if options.json:
        print(json.dumps({n: r.model_dump(mode="json") for n, r in results.items()}, indent=1))
    for name, result in results.items():
        if options.json:
            continue
        print(f"{name}: {result.planes} planes, {result.n_damaged} damaged")
        for plane in result.damaged:
            print(f"  {plane.path}: {plane.reason}")
    return 1 if any(result.n_damaged for result in results.values()) else 0


def _pipeline(options: argparse.Namespace) -> int:
    return plain.do(options, _progress)


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; returns the exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level="INFO" if options.verbose else "WARNING", stream=sys.stderr)
    commands = {
        "step": _step,
        "run": _run,
        "inspect": _inspect,
        "verify": _verify,
        "pipeline": _pipeline,
    }
    try:
        return commands[options.command](options)
    except TissueMapsError as error:
        print(f"{error.code}: {error.message}", file=sys.stderr)
    except ValidationError as error:
        print(f"invalid: {error}", file=sys.stderr)
    except (OSError, json.JSONDecodeError) as error:
        print(f"cannot read: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
