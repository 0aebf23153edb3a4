"""Taking in uploaded label images; entry point: `segmentations_take`."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from pydantic import Field

from gpu_workers.errors import UserError
from gpu_workers.messages import Json, Message
from gpu_workers.pipelines.plain.images import read_labels
from gpu_workers.registry import StepContext, StepOutput
from gpu_workers.storage import paths
from gpu_workers.storage.layout import Layout, load_layout
from gpu_workers.storage.segmentations import UploadedPlane, publish, upload_path, write_plane

VERSION: Final = 1


class Upload(Message):
    """One label image that waits, and what it shows."""

    upload: UUID
    name: str
    plane: UploadedPlane


class SegmentBatch(Message):
    """The label images that are taken in together."""

    images: tuple[Upload, ...] = Field(min_length=1)


def segmentations_take(context: StepContext, batch: Json) -> StepOutput:
    """Read label images and make a version of the product ``segmentations`` with them.

    A file with several planes (z, height, width) gives the labels of each z plane. Nothing becomes
    visible unless all can be read.

    Raises
    ------
    UserError
        An image is damaged, holds no labels or has another size than its site; the message names it.
    """
    work = SegmentBatch.model_validate(batch)
    layout = load_layout(context.root, context.inputs["layout"])
    base = context.inputs.get("segmentations")
    uploads = sorted(str(image.upload) for image in work.images)
    key = paths.content_key("segment", VERSION, context.inputs["layout"], base, uploads)
    planes: list[UploadedPlane] = []
    for done, image in enumerate(work.images, start=1):
        try:
            planes.extend(_take(context, key, layout, image))
        except UserError as error:
            told = f"{image.name}: {error.message}"
            raise UserError(told, code=error.code, files=(image.name,)) from error
        context.progress(done / len(work.images), image.name)
    path = publish(context.root, key, layout, planes, base)
    return StepOutput({"images": len(planes)}, {"segmentations": path})


def _take(context: StepContext, key: str, layout: Layout, image: Upload) -> list[UploadedPlane]:
    labels = read_labels(context.root / upload_path(image.upload))
    if labels.ndim == 2:
        write_plane(context.root, key, layout, image.plane, labels)
        return [image.plane]
    if image.plane.z is not None:
        raise UserError(
            f"it has {labels.shape[0]} planes and is said to be plane {image.plane.z}",
            code="several_planes",
        )
    planes = [image.plane.model_copy(update={"z": z}) for z in range(labels.shape[0])]
    for plane, part in zip(planes, labels, strict=True):
        write_plane(context.root, key, layout, plane, part)
    return planes
