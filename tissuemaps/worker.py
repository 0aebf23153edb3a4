"""What a background process runs: ``python -m tissuemaps.worker control`` or ``cpu,interactive``."""

from __future__ import annotations

import os
import sys
from importlib import import_module

from tissuemaps.logs import configure


def main(arguments: list[str]) -> int:
    """Run control, or a worker of the named queues; returns when told to stop (SIGTERM)."""
    if len(arguments) != 1 or not arguments[0]:
        sys.stderr.write("usage: python -m tissuemaps.worker control | QUEUE[,QUEUE…]\n")
        return 2
    queues = arguments[0].split(",")
    if queues == ["control"]:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tissuemaps.settings.base")
        import django

        django.setup()
        import_module("apps.jobs.actors").run_control()
        return 0
    configure()
    # The worker side stays free of Django: it holds no credentials of the database.
    slots = int(os.environ.get("TISSUEMAPS_SLOTS") or os.cpu_count() or 1)
    import_module("gpu_workers.actors").run_worker(queues, slots)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
