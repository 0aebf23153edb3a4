"""``python -m gpu_workers pipeline …``; entry points: `add_parser` and `do`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_workers.errors import UserError

if TYPE_CHECKING:
    from gpu_workers.messages import Json
    from gpu_workers.pipelines.plain.run import RunOptions

Progress = Callable[[float, str], None]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command ``pipeline`` and what it can do."""
    pipeline = commands.add_parser("pipeline", help="image analysis on plain image files")
    actions = pipeline.add_subparsers(dest="action", required=True)
    run = actions.add_parser("run", help="run a pipeline on image files")
    run.add_argument("pipeline", help="a template's name, or a YAML or JSON file")
    run.add_argument(
        "--channel", action="append", default=[], metavar="NAME=GLOB", help="images of a channel"
    )
    run.add_argument(
        "--objects", action="append", default=[], metavar="NAME=GLOB",
        help="label images that stand in for the objects of a type",
    )  # fmt: skip
    run.add_argument(
        "--role", action="append", default=[], metavar="ROLE=NAME",
        help="which channel the pipeline takes for one that it asks for",
    )  # fmt: skip
    run.add_argument("--out", type=Path, help="folder of the results")
    run.add_argument("--device", choices=["cpu", "gpu"], default="cpu")
    run.add_argument("--workers", type=int, default=1, help="processes, one core each")
    run.add_argument("--pixel-size", type=float, metavar="UM", help="lengths in µm as well")
    run.add_argument("--z-step", type=float, metavar="UM")
    run.add_argument(
        "--estimate", action="store_true", help="try one image and say what all will take"
    )
    run.add_argument("--json", action="store_true", help="print the report as JSON")
    templates = actions.add_parser("templates", help="list the pipelines that come along")
    templates.add_argument("name", nargs="?", help="print this one as YAML")
    templates.add_argument("--json", action="store_true")
    modules = actions.add_parser("modules", help="list the modules and their arguments")
    modules.add_argument("name", nargs="?", help="only this one")
    modules.add_argument("--json", action="store_true")
    check = actions.add_parser("check", help="say what is wrong with a pipeline")
    check.add_argument("pipeline")
    check.add_argument("--channel", action="append", default=[], metavar="NAME")
    check.add_argument("--json", action="store_true")
    convert = actions.add_parser(
        "convert", help="make a pipeline of a project of TissueMAPS before version 1"
    )
    convert.add_argument("folder", type=Path, help="holds pipeline.yaml and handles/")


def _pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    """Return NAME=VALUE options as a mapping."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals or not value:
            raise UserError(f"--{option} {text}: write NAME=VALUE", code="invalid_option")
        if name in found:
            raise UserError(f"--{option} {name} is given twice", code="invalid_option")
        found[name] = value
    return found


def _wanted(options: argparse.Namespace) -> RunOptions:
    from gpu_workers.pipelines.plain.run import RunOptions
    from gpu_workers.pipelines.prepared import Spacing

    if options.out is None and not options.estimate:
        raise UserError("name a folder for the results: --out DIR", code="invalid_option")
    return RunOptions(
        pipeline=options.pipeline,
        channels=_pairs("channel", options.channel),
        out=options.out or Path(),
        objects=_pairs("objects", options.objects),
        roles=_pairs("role", options.role),
        device=options.device,
        workers=options.workers,
        spacing=Spacing(options.pixel_size, options.z_step),
    )


def _estimate(options: argparse.Namespace) -> int:
    from gpu_workers.pipelines.plain.run import estimate_files

    told = estimate_files(_wanted(options))
    if options.json:
        print(json.dumps(told, indent=1))
        return 0
    for module in told["modules"]:
        print(f"{module['seconds']:10.3f} s  {module['where']}")
    print(f"{told['seconds_per_image']:10.3f} s  an image, {told['read_s']:.3f} s of it to read it")
    print(f"{told['seconds']:10.1f} s  for {told['images']} image(s)")
    return 0


def _run(options: argparse.Namespace, progress: Progress) -> int:
    from gpu_workers.pipelines.plain.results import write_all
    from gpu_workers.pipelines.plain.run import run_files

    if options.estimate:
        return _estimate(options)
    prepared, results, facts = run_files(_wanted(options), progress)
    told = write_all(options.out, prepared, results, {**facts, "device": options.device})
    for text in told["missing"]:
        print(text, file=sys.stderr)
    if options.json:
        print(json.dumps(told, indent=1))
    else:
        counts = ", ".join(f"{n} {name}" for name, n in told["objects"].items()) or "no objects"
        print(f"{len(results)} image(s), {counts}: {options.out}")
    return 0


def _templates(options: argparse.Namespace, progress: Progress) -> int:
    del progress
    from gpu_workers.pipelines import library
    from gpu_workers.pipelines.binding import roles
    from gpu_workers.pipelines.text import write_pipeline

    if options.name:
        print(write_pipeline(library.load(options.name)), end="")
        return 0
    told = []
    for name in library.names():
        pipeline = library.load(name)
        told.append(
            {
                "name": name,
                "title": pipeline.title,
                "description": pipeline.description,
                "channels": list(roles(pipeline)),
                "objects": [o.name for o in pipeline.objects],
            }
        )
    if options.json:
        print(json.dumps(told, indent=1))
        return 0
    for entry in told:
        print(f"{entry['name']}: {entry['description'] or entry['title']}")
        print(
            f"    channels {', '.join(entry['channels']) or '-'}; objects {', '.join(entry['objects'])}"
        )
    return 0


def _modules(options: argparse.Namespace, progress: Progress) -> int:
    del progress
    from gpu_workers.pipelines.catalogue import describe, describe_all

    told = [describe(options.name)] if options.name else describe_all()
    if options.json:
        print(json.dumps(told, indent=1))
        return 0
    for entry in told:
        print(f"{entry['name']}: {entry['help']}")
        for part in ("inputs", "outputs"):
            named = [f"{h['name']} ({h['kind']})" for h in entry[part]]
            print(f"    {part}: {', '.join(named) or '-'}")
        for argument in entry["arguments"]:
            print(f"    {argument['name']} = {argument['default']}: {argument['title']}")
    return 0


def _check(options: argparse.Namespace, progress: Progress) -> int:
    del progress
    from gpu_workers.pipelines.binding import bind, roles
    from gpu_workers.pipelines.plain.run import load_pipeline
    from gpu_workers.pipelines.prepared import pipeline_problems

    pipeline = load_pipeline(options.pipeline)
    channels = tuple(options.channel) or roles(pipeline)
    labels = dict.fromkeys(pipeline.labels.values(), ())
    problems = pipeline_problems(bind(pipeline, channels), channels, labels)
    told: list[Json] = [{"code": p.code, "where": p.where, "message": p.message} for p in problems]
    if options.json:
        print(json.dumps(told, indent=1))
    else:
        for problem in problems:
            print(f"{problem.where}: {problem.message}")
        if not problems:
            print(f"{pipeline.name}: nothing is wrong")
    return 1 if problems else 0


def _convert(options: argparse.Namespace, progress: Progress) -> int:
    del progress
    from gpu_workers.pipelines.convert import convert_project
    from gpu_workers.pipelines.text import write_pipeline

    pipeline, notes = convert_project(options.folder)
    for note in notes:
        print(f"# {note}")
    print(write_pipeline(pipeline), end="")
    return 0


def do(options: argparse.Namespace, progress: Progress) -> int:
    """Do what the command line says; returns the exit status."""
    actions = {
        "run": _run,
        "templates": _templates,
        "modules": _modules,
        "check": _check,
        "convert": _convert,
    }
    return actions[options.action](options, progress)
