"""Previews: a pipeline tried on a few sites before a plate is submitted."""

from __future__ import annotations

import shutil
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from django.db import transaction
from django.utils import timezone
from pydantic import ValidationError

from apps.core.errors import Conflict, Invalid
from apps.experiments.selectors import current_inputs, experiment_description, experiment_root
from apps.jobs.services import NewJob, event_publish, jobs_kill, jobs_submit
from apps.workflows.graph import State
from apps.workflows.models import Preview
from apps.workflows.selectors.pipelines import preview_get, preview_sites_choose
from apps.workflows.selectors.workflows import whole_experiment
from gpu_workers import registry
from gpu_workers.messages import Limits

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.jobs.models import Job
    from gpu_workers.messages import JobResult

KEPT = 20
LIMITS = Limits(time_s=600, memory_mb=6000)
LOST_AFTER = timedelta(minutes=30)
"""None takes longer, so that those whose end was never told hold up nobody."""
_ENDED = (State.SUCCEEDED, State.FAILED, State.KILLED)
REQUIRED = ("layout", "plates")


def _validated(arguments: dict[str, Any], pipeline: str) -> dict[str, Any]:
    """Return the arguments of the step that the worker resolves; raises Invalid naming one."""
    step = registry.load("steps", "jterator")
    try:
        valid = step.Arguments.model_validate({**arguments, "pipeline": pipeline})
    except ValidationError as error:
        faults = {".".join(map(str, e["loc"])) or "arguments": e["msg"] for e in error.errors()}
        text = "; ".join(f"{where}: {what}" for where, what in faults.items())
        raise Invalid(text, code="invalid_arguments", extra=faults) from error
    return dict(valid.model_dump(mode="json"))


@transaction.atomic
def preview_request(
    *,
    user: User,
    experiment_id: UUID,
    pipeline: str,
    sites: list[UUID],
    t: int,
    z: int,
    arguments: dict[str, Any],
) -> Preview:
    """Try a pipeline on a few sites, on the ``interactive`` queue; the newest 20 are kept.

    Raises
    ------
    NotFound
        No such experiment or site, or only a part of the experiment is to be seen.
    Invalid
        An argument is wrong; the message names it.
    Conflict
        Nothing has been converted yet, or many previews have not ended.
    """
    experiment = whole_experiment(user=user, experiment_id=experiment_id, level="edit")
    valid = _validated(arguments, pipeline)
    inputs = current_inputs(experiment_id=experiment_id)
    if any(product not in inputs for product in REQUIRED):
        raise Conflict(
            "there are no images yet: run the workflow as far as the conversion first",
            code="missing_input",
        )
    chosen = preview_sites_choose(experiment_id=experiment_id, sites=sites)
    begun = Preview.objects.filter(
        experiment=experiment, created_at__gte=timezone.now() - LOST_AFTER
    )
    if begun.exclude(state__in=_ENDED).count() >= KEPT:
        raise Conflict(
            f"{KEPT} previews of the experiment have not ended yet: wait for them",
            code="too_many_previews",
        )
    identifier = uuid4()
    places = [{"plate": each["plate"], "site": each["site"]} for each in chosen]
    jobs = jobs_submit(
        scope=experiment_id,
        group_id=experiment.group_id,
        parent=identifier,
        jobs=[
            NewJob(
                kind="preview",
                name="jterator",
                queue="interactive",
                experiment=experiment_description(experiment_id=experiment_id, corrected=False),
                arguments=valid,
                inputs=inputs,
                batch={"preview": str(identifier), "sites": places, "t": t, "z": z},
                limits=LIMITS,
                max_attempts=2,
            )
        ],
    )
    made = Preview.objects.create(
        id=identifier,
        experiment=experiment,
        pipeline=pipeline,
        arguments=arguments,
        sites=chosen,
        job=jobs[0].id,
        created_by=user,
    )
    _forget_old(experiment_id)
    return made


def _forget_old(experiment_id: UUID) -> None:
    """Delete all but the newest previews that have ended, with their files once that is certain."""
    ended = Preview.objects.filter(experiment_id=experiment_id, state__in=_ENDED)
    old = list(ended.order_by("-created_at", "id").values_list("id", flat=True)[KEPT:])
    Preview.objects.filter(id__in=old).delete()
    transaction.on_commit(lambda: _remove(experiment_id, old))


def _remove(experiment_id: UUID, previews: list[UUID]) -> None:
    for identifier in previews:
        folder = experiment_root(experiment_id) / "previews" / str(identifier)
        shutil.rmtree(folder, ignore_errors=True)


def preview_started(job: Job) -> None:
    """Mark the preview of a job that a worker has claimed; repeats do nothing."""
    waiting = Preview.objects.filter(job=job.id, state=State.WAITING)
    if waiting.update(state=State.RUNNING):
        _announce(Preview.objects.get(job=job.id))


def preview_apply(job: Job, outcome: JobResult) -> None:
    """Keep how a job ended; called in the transaction that ends it."""
    found = Preview.objects.select_for_update().filter(job=job.id).first()
    if found is None or found.state in _ENDED:
        return
    found.state = State(outcome.state)
    found.error = outcome.error.model_dump(mode="json") if outcome.error else None
    found.save(update_fields=["state", "error", "updated_at"])
    _announce(found)


def _announce(preview: Preview) -> None:
    event_publish(
        scope=preview.experiment_id,
        kind="preview.state",
        payload={"preview": str(preview.id), "state": preview.state},
    )


@transaction.atomic
def preview_delete(*, user: User, experiment_id: UUID, preview_id: UUID) -> None:
    """Stop a preview and delete what it made."""
    whole_experiment(user=user, experiment_id=experiment_id, level="edit")
    found = preview_get(user=user, experiment_id=experiment_id, preview_id=preview_id)
    if found.job:
        jobs_kill(job_ids=[found.job])
    found.delete()
    transaction.on_commit(lambda: _remove(experiment_id, [preview_id]))
