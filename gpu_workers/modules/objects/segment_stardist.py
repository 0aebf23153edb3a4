"""Module: objects that a StarDist network finds."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from gpu_workers.errors import UserError
from gpu_workers.imaging.opencv import cv2
from gpu_workers.imaging.stardist_shapes import star_convex_objects
from gpu_workers.models.networks import check_network, is_flat, load_network, normalised, predict
from gpu_workers.models.weights import weights_digest
from gpu_workers.modules.module import Intensity, LabelImage, module
from gpu_workers.registry import Arguments


class SegmentStardistArguments(Arguments):
    model: str = Field(
        min_length=1,
        max_length=500,
        title="Model",
        description="its name in the folder of models: an ONNX file, or a folder of the package stardist",
    )
    min_probability: float | None = Field(
        None, ge=0, le=1, title="Least probability", description="the model's own if empty"
    )
    max_overlap: float | None = Field(
        None,
        ge=0,
        le=1,
        title="Largest overlap",
        description="of two objects; the model's own if empty",
    )
    scale: float = Field(
        1.0,
        gt=0.05,
        le=20,
        title="Scale",
        description="the image is enlarged by it for the model: size of the objects that it was"
        " trained with over that of yours",
    )

    def sources(self) -> dict[str, str]:
        """Return the digest of the network's weights: a file of the same name may be another one."""
        return {f"model:{self.model}": weights_digest(self.model)}


def resized(image: Intensity, shape: tuple[int, int]) -> Intensity:
    """Return an image of another size, float32; pixels are averaged when there are fewer."""
    values = np.asarray(image, np.float32)
    if values.shape == shape:
        return values
    method = cv2.INTER_AREA if shape[0] < values.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, shape[::-1], interpolation=method))


@module(
    title="Segment (StarDist)",
    help="Finds round objects with a StarDist network; its weights and onnxruntime or stardist are needed.",
    version=1,
    outputs=("objects",),
    bytes_per_pixel=400,
)
def segment_stardist(
    arguments: SegmentStardistArguments,
    image: Intensity,
    image_2: Intensity | None = None,
    image_3: Intensity | None = None,
) -> LabelImage:
    """Return the objects of an image (for models of colour images: red, green and blue).

    Raises
    ------
    UserError
        The model or its library is missing (``missing_model``), or it takes another number of
        channels (``missing_input``).
    """
    given = [i for i in (image, image_2, image_3) if i is not None]
    if all(is_flat(i) for i in given):
        check_network(arguments.model, "stardist")
        return np.zeros(image.shape, np.int32)
    network = load_network(arguments.model, "stardist")
    card = network.card
    if len(given) != card.channels:
        raise UserError(
            f"the model {arguments.model} takes {card.channels} images, {len(given)} are given",
            code="missing_input",
        )
    height, width = (max(1, round(n * arguments.scale)) for n in image.shape)
    several = [normalised(resized(i, (height, width)), card.percentiles) for i in given]
    found = predict(network, np.stack(several))
    least, most = arguments.min_probability, arguments.max_overlap
    labels = star_convex_objects(
        found[0],
        found[1:],
        (height, width),
        card.min_probability if least is None else least,
        card.max_overlap if most is None else most,
    )
    if labels.shape == image.shape:
        return labels
    back = cv2.resize(labels, image.shape[::-1], interpolation=cv2.INTER_NEAREST)
    return np.asarray(back, np.int32)
