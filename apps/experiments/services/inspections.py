"""Inspections: a reader or a pattern tried on an acquisition's files, as a job on a worker.

The file names and a person's regular expression are looked at by a worker and not by the web
server: a list of 100,000 names, or a pattern that takes for ever, must not keep others waiting.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from django.db import transaction
from django.utils import timezone

from apps.core.errors import Conflict
from apps.experiments.models import AcquisitionStatus, Inspection, InspectionState
from apps.experiments.selectors import acquisition_get, experiment_description
from apps.jobs.services import NewJob, event_publish, jobs_submit
from gpu_workers.messages import Limits

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.jobs.models import Job
    from gpu_workers.messages import JobResult

KEPT = 20
LIMITS = Limits(time_s=300, memory_mb=4000)
LOST_AFTER = timedelta(minutes=30)
"""None takes longer, so that those whose end was never told hold up nobody."""
_ENDED = {InspectionState.SUCCEEDED, InspectionState.FAILED, InspectionState.KILLED}


@transaction.atomic
def inspection_request(
    *,
    user: User,
    experiment_id: UUID,
    acquisition_id: UUID,
    microscope: str = "",
    pattern: str = "",
) -> Inspection:
    """Ask what a reader or a pattern sees in an acquisition's files; the newest 20 are kept.

    Raises
    ------
    Conflict
        The acquisition has no files yet, or many inspections of it have not ended.
    """
    acquisition = acquisition_get(
        user=user, experiment_id=experiment_id, acquisition_id=acquisition_id, level="edit"
    )
    if acquisition.status == AcquisitionStatus.EMPTY:
        raise Conflict("the acquisition has no files yet", code="no_files")
    begun = Inspection.objects.filter(
        acquisition=acquisition, created_at__gte=timezone.now() - LOST_AFTER
    )
    if begun.exclude(state__in=_ENDED).count() >= KEPT:
        raise Conflict(
            f"{KEPT} inspections of the acquisition have not ended yet: wait for them",
            code="too_many_inspections",
        )
    identifier = uuid4()
    jobs = jobs_submit(
        scope=experiment_id,
        group_id=acquisition.plate.experiment.group_id,
        parent=identifier,
        jobs=[
            NewJob(
                kind="inspect",
                name="inspect",
                queue="interactive",
                experiment=experiment_description(experiment_id=experiment_id, corrected=False),
                batch={
                    "acquisition": str(acquisition_id),
                    "microscope": microscope,
                    "pattern": pattern,
                },
                limits=LIMITS,
                max_attempts=2,
            )
        ],
    )
    made = Inspection.objects.create(
        id=identifier,
        acquisition=acquisition,
        microscope=microscope,
        pattern=pattern,
        job=jobs[0].id,
        created_by=user,
    )
    kept = Inspection.objects.filter(acquisition=acquisition).order_by("-created_at", "id")[:KEPT]
    old = Inspection.objects.filter(acquisition=acquisition, state__in=_ENDED)
    old.exclude(id__in=list(kept.values_list("id", flat=True))).delete()
    return made


def inspection_started(job: Job) -> None:
    """Mark the inspection of a job that a worker has claimed; repeats do nothing."""
    waiting = Inspection.objects.filter(job=job.id, state=InspectionState.WAITING)
    waiting.update(state=InspectionState.RUNNING)


def inspection_apply(job: Job, outcome: JobResult) -> None:
    """Keep what a job saw, or why it could not; called in the transaction that ends the job."""
    found = Inspection.objects.select_for_update().filter(job=job.id).first()
    if found is None or found.state in _ENDED:
        return
    found.state = InspectionState(outcome.state)
    found.result = outcome.output
    found.error = outcome.error.model_dump(mode="json") if outcome.error else None
    found.save(update_fields=["state", "result", "error", "updated_at"])
    event_publish(
        scope=job.scope,
        kind="inspection.state",
        payload={
            "inspection": str(found.id),
            "acquisition": str(found.acquisition_id),
            "state": found.state,
        },
    )
