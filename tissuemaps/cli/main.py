"""The commands behind ``./run``. Entry point: `main`; each command's work has its own module."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from tissuemaps.embedded.errors import StartError

Arguments = argparse.Namespace

# Passed on unread: the programs behind them have options of their own.
PASSED_ON = ("manage", "test", "e2e", "bench")


def _up(arguments: Arguments) -> int:
    return int(import_module("tissuemaps.cli.up").up(arguments))


def _worker(arguments: Arguments) -> int:
    return int(import_module("tissuemaps.cli.up").worker(arguments))


def _demo(arguments: Arguments) -> int:
    return int(import_module("tissuemaps.cli.demo").demo(arguments))


def _doctor(arguments: Arguments) -> int:
    if arguments.gpu:
        return int(import_module("tissuemaps.cli.doctor_gpu").doctor_gpu(arguments.image))
    return int(import_module("tissuemaps.cli.doctor").doctor(arguments))


def _backup(arguments: Arguments) -> int:
    return int(import_module("tissuemaps.cli.backup").backup(arguments.folder))


def _restore(arguments: Arguments) -> int:
    return int(import_module("tissuemaps.cli.backup").restore(arguments.folder))


def _passed_on(name: str, rest: list[str]) -> int:
    module = {"manage": "manage", "test": "checks", "e2e": "checks", "bench": "checks"}[name]
    function: Callable[[list[str]], int] = getattr(import_module(f"tissuemaps.cli.{module}"), name)
    return function(rest)


def _serving(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: loopback only)"
    )
    parser.add_argument(
        "--port", type=int, default=8000, help="port of the web server; 0: any free one"
    )
    parser.add_argument(
        "--slots", type=int, default=None, help="jobs at the same time (default: cores)"
    )


def _checking(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--gpu", action="store_true", help="compare every operation on CPU and GPU, and time both"
    )
    parser.add_argument(
        "--image", type=Path, metavar="FILE", help="with --gpu: also on an image of yours"
    )
    parser.set_defaults(function=_doctor)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="./run", description="TissueMAPS: run it, test it, look after it."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="start everything and analyse a plate")
    _serving(demo)
    demo.add_argument("--once", action="store_true", help="print a summary as JSON and stop")
    demo.add_argument(
        "--data", type=Path, help="folder of a plate of yours (default: a simulated one)"
    )
    demo.add_argument("--microscope", help="reader of --data (default: found from the files)")
    demo.add_argument(
        "--pattern", help="regular expression with named groups for the file names of --data"
    )
    demo.add_argument(
        "--nuclei-channel",
        metavar="NAME",
        help="channel of --data that shows nuclei (default: by its name, else the first)",
    )
    demo.set_defaults(function=_demo)

    up = commands.add_parser("up", help="start the platform and stay")
    _serving(up)
    up.set_defaults(function=_up)

    worker = commands.add_parser("worker", help="start one more worker of a running platform")
    worker.add_argument(
        "-Q", "--queues", default="cpu,interactive", help="queues, separated by commas"
    )
    worker.add_argument(
        "--slots", type=int, default=None, help="jobs at the same time (default: cores)"
    )
    worker.set_defaults(function=_worker)

    _checking(
        commands.add_parser("doctor", help="check installation, storage, services, queue and GPU")
    )
    backup = commands.add_parser(
        "backup", help="dump the database and list the files into a folder"
    )
    backup.add_argument("folder", type=Path)
    backup.set_defaults(function=_backup)
    restore = commands.add_parser(
        "restore", help="put a backup's database back and check its files"
    )
    restore.add_argument("folder", type=Path)
    restore.set_defaults(function=_restore)

    for name, text in (
        ("manage", "run a Django command"),
        ("test", "run every check and test that this machine can run"),
        ("e2e", "run the browser tests"),
        ("bench", "run the benchmarks"),
    ):
        commands.add_parser(name, help=text, add_help=False)
    return parser


def main(argv: list[str]) -> int:
    """Run one command and return its exit code; what a person can mend is one line on stderr."""
    logging.basicConfig(
        level=os.environ.get("TISSUEMAPS_LOG_LEVEL", "WARNING"), format="%(levelname)s: %(message)s"
    )
    try:
        if argv and argv[0] in PASSED_ON:
            return _passed_on(argv[0], argv[1:])
        arguments = build_parser().parse_args(["--help"] if argv in ([], ["help"]) else argv)
        return int(arguments.function(arguments))
    except StartError as error:
        print(f"run: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
