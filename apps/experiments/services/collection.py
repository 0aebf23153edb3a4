"""Garbage: what nobody can reach any more, after a grace period; entry point: `garbage_collect`."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from apps.core import audit
from apps.core.models import AuditEntry
from apps.experiments.models import Acquisition, Experiment, FileStatus, SourceFile
from apps.experiments.selectors import experiment_root
from apps.experiments.services.uploads import PARTS
from apps.jobs.models import Job, Scope, SpecTemplate, Tally

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Collected:
    """How much was, or would be, collected."""

    experiments: int
    uploads: int
    parts: int


def _remove(path: Path) -> None:
    """Delete a folder or file; what resists is logged and tried again next time."""

    def failed(_function: object, name: str, error: object) -> None:
        logger.warning("could not delete %s: %s", name, error)

    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, onerror=failed)
    else:
        path.unlink(missing_ok=True)


def _experiments(before: timedelta, dry_run: bool) -> int:
    """Delete experiments whose grace is over: the folder first, so that a crash leaves the row."""
    due = Experiment.objects.filter(deleted_at__lt=timezone.now() - before)
    ids = list(due.values_list("id", flat=True))
    for experiment_id in [] if dry_run else ids:
        _remove(experiment_root(experiment_id))
        with transaction.atomic():
            experiment = Experiment.objects.get(id=experiment_id)
            audit.record(actor=None, action="experiment.collect", obj=experiment)
            experiment.delete()
            _forget_jobs(experiment_id)
    return len(ids)


def _forget_jobs(experiment_id: UUID) -> None:
    """Delete the ledger's rows of an experiment: they name it without a foreign key."""
    Job.objects.filter(scope=experiment_id).delete()
    SpecTemplate.objects.filter(scope=experiment_id).delete()
    Tally.objects.filter(scope=experiment_id).delete()
    Scope.objects.filter(id=experiment_id).delete()


def _folders(experiment_id: UUID) -> list[Path]:
    uploads = experiment_root(experiment_id) / "uploads"
    return [f for f in uploads.iterdir() if f.is_dir()] if uploads.is_dir() else []


def _recently_deleted(before: timedelta) -> set[str]:
    rows = AuditEntry.objects.filter(
        action="acquisition.delete", created_at__gte=timezone.now() - before
    )
    return set(rows.values_list("object_id", flat=True))


def _orphan_uploads(before: timedelta, dry_run: bool) -> int:
    """Delete the uploads of acquisitions that were deleted longer ago than the grace."""
    spared = _recently_deleted(before)
    known = {str(i) for i in Acquisition.objects.values_list("id", flat=True)}
    ids = Experiment.objects.filter(deleted_at__isnull=True).values_list("id", flat=True)
    count = 0
    for experiment_id in ids:
        for folder in _folders(experiment_id):
            if folder.name in known | spared or folder.name == Path(PARTS).name:
                continue
            count += 1
            if not dry_run:
                _remove(folder)
    return count


@transaction.atomic
def _drop(files: QuerySet[SourceFile]) -> None:
    """Delete rows of files and take their announced sizes off their acquisitions."""
    rows = list(files.select_for_update().values_list("id", "acquisition_id", "size"))
    for _, acquisition_id, size in rows:
        Acquisition.objects.filter(id=acquisition_id).update(size=F("size") - size)
    SourceFile.objects.filter(id__in=[row[0] for row in rows]).delete()


def _stale_parts(before: timedelta, dry_run: bool) -> int:
    """Delete uploads that nobody has gone on with, and pieces without a row."""
    old = timezone.now() - before
    stale = SourceFile.objects.filter(status=FileStatus.UPLOADING, updated_at__lt=old)
    count = stale.count()
    if not dry_run:
        _drop(stale)
    going = SourceFile.objects.filter(status=FileStatus.UPLOADING)
    known = {str(i) for i in going.values_list("id", flat=True)}
    for experiment_id in Experiment.objects.values_list("id", flat=True):
        parts = experiment_root(experiment_id) / PARTS
        for part in parts.iterdir() if parts.is_dir() else []:
            if not dry_run and part.name not in known and part.stat().st_mtime < old.timestamp():
                _remove(part)
    return count


def garbage_collect(*, grace: timedelta = timedelta(days=7), dry_run: bool = False) -> Collected:
    """Delete deleted experiments, orphaned uploads and abandoned pieces older than the grace.

    May be killed at any point and run again: rows outlive the files they name.
    """
    return Collected(
        experiments=_experiments(grace, dry_run),
        uploads=_orphan_uploads(grace, dry_run),
        parts=_stale_parts(grace, dry_run),
    )
