"""`./run manage collect_garbage`: delete what nobody can reach any more."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand

from apps.accounts.services import tokens_collect
from apps.experiments.services import garbage_collect


class Command(BaseCommand):
    """Delete deleted experiments, orphaned uploads, abandoned pieces and expired tokens."""

    help = "Delete what nobody can reach any more, once its grace is over."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the grace and the dry run."""
        parser.add_argument("--days", type=float, default=7.0, help="grace (7)")
        parser.add_argument("--dry-run", action="store_true", help="only count")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Collect and say how much."""
        dry = bool(options["dry_run"])
        done = garbage_collect(grace=timedelta(days=options["days"]), dry_run=dry)
        tokens = 0 if dry else tokens_collect()
        self.stdout.write(
            f"{'would collect' if dry else 'collected'}: {done.experiments} experiments, "
            f"{done.uploads} upload folders, {done.parts} abandoned uploads, {tokens} tokens"
        )
