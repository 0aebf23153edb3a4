"""``./run manage simulate_plate FOLDER``: write a simulated plate and its truth."""

import argparse
import re
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError


def _well(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([A-Za-z]{1,2})(\d{1,2})", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no well such as B02")
    row = 0
    for letter in found.group(1).upper():
        row = row * 26 + ord(letter) - ord("A") + 1
    return row - 1, int(found.group(2)) - 1


class Command(BaseCommand):
    """Writes a plate; prints what it holds."""

    help = "Write a simulated plate as a microscope would, with its truth beside it."
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Take the plate's description from the command line."""
        parser.add_argument("folder", type=Path)
        parser.add_argument(
            "--vendor", choices=["cellvoyager", "imagexpress"], default="cellvoyager"
        )
        parser.add_argument("--rows", type=int, default=4)
        parser.add_argument("--columns", type=int, default=6)
        parser.add_argument(
            "--wells", type=_well, nargs="+", help="such as B02 C07; instead of rows and columns"
        )
        parser.add_argument("--missing-wells", type=_well, nargs="+", default=[])
        parser.add_argument("--sites", type=int, nargs=2, default=[2, 2], metavar=("NY", "NX"))
        for name, type_, default in (
            ("size", int, 1024), ("channels", int, 3), ("overlap", float, 0.1), ("z", int, 1), ("t", int, 1),
            ("cycles", int, 1), ("seed", int, 0), ("plate-format", int, 96), ("density", float, 230.0),
            ("illumination", float, 0.3),
        ):  # fmt: skip
            parser.add_argument(f"--{name}", type=type_, default=default)
        parser.add_argument("--projection", action="store_true", help="add ZStep_0 (ImageXpress)")
        parser.add_argument("--no-noise", dest="noise", action="store_false")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Simulate, or say in one line why not."""
        names = ("vendor", "rows", "columns", "wells", "missing_wells", "size", "channels", "overlap", "z", "t",
                 "cycles", "seed", "plate_format", "density", "illumination", "projection", "noise")  # fmt: skip
        started = time.monotonic()
        # The simulator belongs to the command line, which stands above the apps.
        simulate = import_module("tissuemaps.cli.simulate").simulate_plate
        try:
            truth = simulate(
                options["folder"], sites=tuple(options["sites"]), **{n: options[n] for n in names}
            )
        except (OSError, ValueError) as error:
            raise CommandError(str(error)) from None
        seconds = time.monotonic() - started
        self.stdout.write(
            f"{options['folder']}: {len(truth.wells)} wells, {truth.total} nuclei, {seconds:.1f} s"
        )
