"""Module: objects that a Cellpose network finds."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from gpu_workers.errors import UserError
from gpu_workers.imaging.flows import objects_of_flows
from gpu_workers.models.networks import check_network, is_flat, load_network, normalised, predict
from gpu_workers.models.weights import weights_digest
from gpu_workers.modules.module import Intensity, LabelImage, module
from gpu_workers.modules.objects.segment_stardist import resized
from gpu_workers.registry import Arguments


class SegmentCellposeArguments(Arguments):
    model: str = Field(
        min_length=1,
        max_length=500,
        title="Model",
        description="its name in the folder of models: an ONNX file, or weights of the package cellpose",
    )
    diameter: float | None = Field(
        None,
        gt=0,
        le=2000,
        title="Diameter (px)",
        description="of your objects; that which the model was trained with if empty",
    )
    cellprob_threshold: float = Field(
        0.0, ge=-20, le=20, title="Threshold", description="of the logit of belonging to an object"
    )
    n_steps: int = Field(200, ge=1, le=5000, title="Steps", description="along the flows")
    min_area: int = Field(15, ge=1, title="Smallest area (px)")

    def sources(self) -> dict[str, str]:
        """Return the digest of the network's weights: a file of the same name may be another one."""
        return {f"model:{self.model}": weights_digest(self.model)}


@module(
    title="Segment (Cellpose)",
    help="Finds cells or nuclei with a Cellpose network; its weights and onnxruntime or cellpose are needed.",
    version=1,
    outputs=("objects",),
    bytes_per_pixel=400,
)
def segment_cellpose(
    arguments: SegmentCellposeArguments, image: Intensity, nuclei: Intensity | None = None
) -> LabelImage:
    """Return the objects of an image; nuclei help a model of two channels.

    Raises
    ------
    UserError
        The model or its library is missing (``missing_model``), or it takes no second image
        (``unused_input``).
    """
    given = [image] if nuclei is None else [image, nuclei]
    if all(is_flat(i) for i in given):
        check_network(arguments.model, "cellpose")
        return np.zeros(image.shape, np.int32)
    network = load_network(arguments.model, "cellpose")
    card = network.card
    if len(given) > card.channels:
        raise UserError(f"the model {arguments.model} takes one image", code="unused_input")
    factor = 1.0 if arguments.diameter is None else card.diameter / arguments.diameter
    height, width = (max(1, round(n * factor)) for n in image.shape)
    several = [normalised(resized(i, (height, width)), card.percentiles) for i in given]
    blank = [np.zeros((height, width), np.float32)] * (card.channels - len(several))
    found = predict(network, np.stack([*several, *blank]))
    dy, dx, logit = (resized(f, image.shape[-2:]) for f in found[:3])
    return np.asarray(
        objects_of_flows(
            dy, dx, logit, arguments.cellprob_threshold, arguments.n_steps, arguments.min_area
        )
    )
