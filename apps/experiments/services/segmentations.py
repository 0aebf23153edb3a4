"""Segmentations made elsewhere: label images are uploaded one by one and taken in together.

A label image comes in one request (its bytes are not looked at here) and waits. `segmentations_publish`
has a worker read all that wait and make a new version of the product ``segmentations``; pipelines name
its object types as they name any other labels.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction

from apps.accounts.models import ResearchGroup
from apps.core import audit
from apps.core.errors import Conflict, Invalid, NotFound, TooLarge
from apps.experiments.models import Experiment, SegmentationState, SegmentationUpload, Site
from apps.experiments.selectors import (
    current_inputs,
    experiment_description,
    experiment_get,
    experiment_root,
    group_bytes,
)
from apps.experiments.services.products import products_apply
from apps.jobs.services import NewJob, event_publish, jobs_submit
from gpu_workers.errors import UserError
from gpu_workers.messages import Limits
from gpu_workers.storage import paths
from gpu_workers.storage.segmentations import UploadedPlane, upload_path

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.jobs.models import Job
    from gpu_workers.messages import JobResult

MAX_WAITING = 5000
LIMITS = Limits(time_s=3600, memory_mb=4000)
PRODUCTS = ("layout", "plates")


def _read(body: BinaryIO, length: int | None) -> bytes:
    """Return a request's body; TooLarge above the limit of one request."""
    limit = settings.UPLOAD_REQUEST_BYTES
    if length is not None and length > limit:
        raise TooLarge(f"send at most {limit} bytes a request", extra={"limit": limit})
    data = body.read(limit + 1)
    if len(data) > limit:
        raise TooLarge(f"send at most {limit} bytes a request", extra={"limit": limit})
    if not data:
        raise Invalid("the request has no body: send a label image", code="empty_file")
    return data


def _site(experiment: Experiment, site_id: UUID) -> Site:
    rows = Site.objects.filter(well__plate__experiment=experiment, well__removed=False)
    found = rows.select_related("well").filter(id=site_id).first()
    if found is None:
        raise NotFound(f"there is no site {site_id}")
    return found


def _check_plane(site: Site, object_type: str, t: int, z: int | None) -> None:
    """Refuse what no version could hold, while the person who sends it is there."""
    try:
        UploadedPlane(
            type=object_type, plate=str(site.well.plate_id), site=site.index, t=t, z=z
        ).check_name()
    except UserError as error:
        raise Invalid(error.message, code=error.code) from error
    except ValueError as error:
        raise Invalid(
            f"{object_type!r} can't be the name of an object type: letters, digits, _ and -, at most 50,"
            " a letter first",
            code="invalid_name",
        ) from error


def segmentation_add(
    *,
    user: User,
    experiment_id: UUID,
    object_type: str,
    site: UUID,
    t: int,
    z: int | None,
    name: str,
    content_length: int | None,
    body: BinaryIO,
) -> SegmentationUpload:
    """Keep a label image of a site until it is published; one of the same place replaces it.

    Raises
    ------
    NotFound
        No such experiment or site.
    Invalid
        The name can't be that of an object type, or the body is empty.
    TooLarge
        The body is above the limit of one request, or the group's quota (``quota_exceeded``).
    Conflict
        5,000 label images wait already.
    """
    experiment = experiment_get(user=user, experiment_id=experiment_id, level="edit")
    found = _site(experiment, site)
    _check_plane(found, object_type, t, z)
    data = _read(body, content_length)
    with transaction.atomic():
        group = ResearchGroup.objects.select_for_update().get(id=experiment.group_id)
        used = group_bytes(group_id=group.id)
        if used + len(data) > group.quota_bytes:
            raise TooLarge(
                f"the label image would take {len(data)} bytes; the group has {used} of"
                f" {group.quota_bytes} in use",
                code="quota_exceeded",
            )
        waiting = SegmentationUpload.objects.filter(
            experiment=experiment, state=SegmentationState.WAITING
        )
        same = waiting.filter(object_type=object_type, site=found, t=t, z=z)
        old = list(same.values_list("id", flat=True))
        same.delete()
        if waiting.count() >= MAX_WAITING:
            raise Conflict(
                f"{MAX_WAITING} label images wait: publish them first", code="too_many_waiting"
            )
        row = SegmentationUpload.objects.create(
            experiment=experiment,
            object_type=object_type,
            site=found,
            t=t,
            z=z,
            name=PurePath(name.replace("\x00", "")).name[:255] or f"{found.index}",
            size=len(data),
            created_by=user,
        )
        root = experiment_root(experiment_id)
        # Before the commit: a row without its bytes must not be.
        paths.write_atomically(root / upload_path(row.id), data)
    _unlink(experiment_id, old)
    return row


def _unlink(experiment_id: UUID, uploads: list[UUID]) -> None:
    root = experiment_root(experiment_id)
    for identifier in uploads:
        (root / upload_path(identifier)).unlink(missing_ok=True)


@transaction.atomic
def segmentation_delete(*, user: User, experiment_id: UUID, upload_id: UUID) -> None:
    """Take back a label image that waits or failed; raises NotFound, Conflict once it is taken."""
    experiment = experiment_get(user=user, experiment_id=experiment_id, level="edit")
    rows = SegmentationUpload.objects.select_for_update().filter(experiment=experiment)
    row = rows.filter(id=upload_id).first()
    if row is None:
        raise NotFound("there is no such label image")
    if row.state in {SegmentationState.TAKEN, SegmentationState.PUBLISHED}:
        raise Conflict("the label image has been taken in already", code="published")
    row.delete()
    transaction.on_commit(lambda: _unlink(experiment_id, [upload_id]))


@transaction.atomic
def segmentations_publish(*, user: User, experiment_id: UUID) -> list[SegmentationUpload]:
    """Have a worker take in the label images that wait; returns them.

    Raises
    ------
    Conflict
        None wait, images are still being taken in, or nothing has been converted yet.
    """
    experiment = experiment_get(user=user, experiment_id=experiment_id, level="edit")
    Experiment.objects.select_for_update().get(id=experiment.id)
    inputs = current_inputs(experiment_id=experiment_id)
    if any(product not in inputs for product in PRODUCTS):
        raise Conflict(
            "there are no images yet: run the workflow as far as the conversion first",
            code="missing_input",
        )
    rows = SegmentationUpload.objects.select_for_update(of=("self",)).filter(experiment=experiment)
    if rows.filter(state=SegmentationState.TAKEN).exists():
        raise Conflict("label images are being taken in: wait for them", code="busy")
    waiting = list(
        rows.filter(state=SegmentationState.WAITING).select_related("site__well").order_by("id")
    )
    if not waiting:
        raise Conflict("no label images wait", code="nothing_waits")
    jobs = jobs_submit(
        scope=experiment_id,
        group_id=experiment.group_id,
        parent=uuid4(),
        jobs=[
            NewJob(
                kind="segment",
                name="segment",
                queue="cpu",
                experiment=experiment_description(experiment_id=experiment_id, corrected=False),
                inputs=inputs,
                batch={"images": [_planned(row) for row in waiting]},
                limits=LIMITS,
                max_attempts=2,
            )
        ],
    )
    ids = [row.id for row in waiting]
    SegmentationUpload.objects.filter(id__in=ids).update(
        state=SegmentationState.TAKEN, job=jobs[0].id
    )
    types = sorted({row.object_type for row in waiting})
    audit.record(
        actor=user, action="segmentations.publish", obj=experiment, types=types, images=len(ids)
    )
    return list(SegmentationUpload.objects.filter(id__in=ids).order_by("id"))


def _planned(row: SegmentationUpload) -> dict[str, Any]:
    """Return what the worker is told of a label image."""
    return {
        "upload": str(row.id),
        "name": row.name,
        "plane": {
            "type": row.object_type,
            "plate": str(row.site.well.plate_id),
            "site": row.site.index,
            "t": row.t,
            "z": row.z,
        },
    }


def segmentations_apply(job: Job, outcome: JobResult) -> None:
    """Enter the new version, or why there is none; called in the transaction that ends the job."""
    rows = SegmentationUpload.objects.filter(job=job.id, state=SegmentationState.TAKEN)
    ids = list(rows.values_list("id", flat=True))
    if not ids:
        return
    if outcome.state != "succeeded":
        error = outcome.error.model_dump(mode="json") if outcome.error else None
        rows.update(state=SegmentationState.FAILED, error=error)
    else:
        products_apply(
            experiment_id=job.scope,
            step="segment",
            products=outcome.products,
            output=outcome.output,
        )
        rows.update(state=SegmentationState.PUBLISHED, error=None)
        transaction.on_commit(lambda: _unlink(job.scope, ids))
    event_publish(
        scope=job.scope,
        kind="segmentations.state",
        payload={"job": str(job.id), "state": outcome.state},
    )
