"""From the parts of a channel's sample to its estimates and what they are worth; entry point: `estimate`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_workers.errors import UserError
from gpu_workers.imaging.illumination import quality
from gpu_workers.imaging.illumination.correction import (
    LEAST_FLOAT,
    MIN_IMAGES,
    Correction,
    IlluminationStatistics,
    Method,
    choose_method,
    statistics,
)
from gpu_workers.imaging.illumination.flatfield import estimate_flatfield, reduced
from gpu_workers.imaging.illumination.quality import Fit, Stack
from gpu_workers.registry import StepContext
from gpu_workers.steps.corilla.pictures import range_of, side_by_side, window_of
from gpu_workers.steps.corilla.sampling import Recipe
from gpu_workers.steps.corilla.vendor import vendor_fields
from gpu_workers.storage import paths
from gpu_workers.storage.illumination import (
    PERCENTILES,
    ChannelIllumination,
    Part,
    channel_path,
    picture_path,
    read_correction,
    save_channel,
)
from gpu_workers.storage.layout import ChannelLayout

NAMED_PERCENTILES = (0, 0.1, 1, 50, 99, 99.9, 100)
PROFILE_PLACES = 32


@dataclass(slots=True)
class _Found:
    """What is known of a channel besides its statistics, and how well each correction does."""

    small: Stack
    second: NDArray[np.bool_]
    fields: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    methods: list[Method] = field(default_factory=list)
    darkfield: bool = False
    vendor_problem: str | None = None
    corrected: dict[Method, Stack] = field(default_factory=dict)
    shading: dict[str, float] = field(default_factory=dict)
    residual: dict[Method, float] = field(default_factory=dict)

    def judge(self, method: Method, fit: Fit) -> float | None:
        """Correct images by what others tell; keep and return the shading that is left."""
        if not 0 < self.second.sum() < len(self.second) or len(self.small) < quality.FEWEST:
            return None
        try:
            corrected, residual = quality.held_out(self.small, self.second, fit)
        except UserError:
            return None
        return self._keep(method, corrected, residual)

    def judge_known(self, correction: Correction) -> None:
        """Correct images by what was known without them."""
        if len(self.small):
            corrected = np.stack([correction.apply(image) for image in self.small])
            self._keep(correction.method, corrected, None)

    def _keep(self, method: Method, corrected: Stack, residual: float | None) -> float | None:
        left = quality.shading(corrected)
        if left is not None:
            self.corrected[method], self.shading[method] = corrected, round(left, 4)
            if residual is not None:
                self.residual[method] = residual
        return left


def estimate(
    context: StepContext, recipe: Recipe, channel: ChannelLayout, parts: Iterable[Part]
) -> ChannelIllumination:
    """Write a channel's estimates and pictures; return what the manifest says of them."""
    part = _joined(parts)
    if part is None or not part.moments.n:
        return ChannelIllumination(
            index=channel.index,
            name=channel.name,
            path=None,
            n_images=0,
            n_left_out=part.n_left_out if part else 0,
            methods=(),
            warning="none of its images could be used",
        )
    samples = recipe.samples(channel.index)
    groups = np.array([samples[place].group for place in part.places], int)
    smoothed = statistics(part.moments, recipe.arguments.sigma)
    found = _Found(part.small, quality.halves(groups))
    _find(context, recipe, channel, smoothed, found)
    entry = _entry(context, recipe, channel, part, found)
    assert entry.path is not None
    save_channel(
        context.root / entry.path,
        part.moments,
        smoothed,
        part.histogram.percentile(PERCENTILES),
        **found.fields,
    )
    typical = recipe.read(samples[_typical(part)], channel.index) if len(part.small) else None
    pictures = _pictures(context, entry, found, typical)
    return entry.model_copy(update={"pictures": pictures})


def _joined(parts: Iterable[Part]) -> Part | None:
    """Return all parts together, one after the other: only two are in memory at a time."""
    joined: Part | None = None
    for part in parts:
        joined = part if joined is None else joined.merge(part)
    return joined


def _find(
    context: StepContext,
    recipe: Recipe,
    channel: ChannelLayout,
    smoothed: IlluminationStatistics,
    found: _Found,
) -> None:
    """Add all that can be estimated; the statistics are there already."""
    shape = (smoothed.mean.shape[0], smoothed.mean.shape[1])
    if recipe.arguments.method == "basic":
        _find_fields(found, recipe.arguments.darkfield)
    found.methods += ["std", "flat"]
    least = LEAST_FLOAT if channel.dtype == "float32" else 1.0
    sigma = recipe.arguments.sigma * found.small.shape[1] / shape[0]
    for method in ("std", "flat"):
        fit = partial(quality.fit_logarithms, method=method, sigma=sigma, least=least)
        found.judge(method, fit)
    vendor, found.vendor_problem = vendor_fields(context, recipe.layout, channel, shape)
    if vendor:
        found.fields |= vendor
        found.methods.append("vendor")
        flat, dark = (vendor.get(name) for name in ("vendor_flat", "vendor_dark"))
        assert flat is not None
        fitted = None if dark is None else reduced(dark)
        found.judge_known(Correction.from_fields(reduced(flat), fitted, method="vendor"))


def _find_fields(found: _Found, wanted: str) -> None:
    """Estimate flat and dark field; there are none of images without light."""
    darkfield = wanted == "on"
    try:
        if wanted == "auto":
            with_it = found.judge("basic", partial(quality.fit_fields, darkfield=True))
            kept = dict(found.corrected), dict(found.shading), dict(found.residual)
            without = found.judge("basic", partial(quality.fit_fields, darkfield=False))
            darkfield = quality.darkfield_gains(without, with_it)
            if darkfield:
                found.corrected, found.shading, found.residual = kept
        else:
            found.judge("basic", partial(quality.fit_fields, darkfield=darkfield))
        estimated = estimate_flatfield(found.small, darkfield=darkfield)
    except UserError:
        return
    found.darkfield = darkfield
    found.fields |= {"flat": estimated.flat, "dark": estimated.dark}
    found.methods.append("basic")


def _entry(
    context: StepContext, recipe: Recipe, channel: ChannelLayout, part: Part, found: _Found
) -> ChannelIllumination:
    n = part.moments.n
    order: list[Method] = [m for m in MIN_IMAGES if m in found.methods]
    allowed = [m for m in order if n >= MIN_IMAGES[m]]
    shown = choose_method(n, order, force=True)
    named = part.histogram.percentile(np.array(NAMED_PERCENTILES))
    before = quality.shading(found.small) if len(found.small) else None
    return ChannelIllumination(
        index=channel.index,
        name=channel.name,
        path=channel_path(context.key, channel.index),
        n_images=n,
        n_sites=len(np.unique(part.groups)),
        n_left_out=part.n_left_out,
        n_flatfield=len(found.small),
        shape=(part.moments.mean.shape[0], part.moments.mean.shape[1]),
        smoothed_sigma=recipe.arguments.sigma,
        methods=tuple(order),
        method=allowed[0] if allowed else None,
        darkfield=found.darkfield,
        shading=None if before is None else round(before, 4),
        residual_shading=found.shading,
        residual=found.residual.get(shown),
        profile=_profile(found.small, found.corrected.get(shown)),
        percentiles={str(q): float(v) for q, v in zip(NAMED_PERCENTILES, named, strict=True)},
        vendor_problem=found.vendor_problem,
        warning=_warning(n, len(np.unique(part.groups)), vendor="vendor" in order),
    )


def _warning(n: int, n_sites: int, *, vendor: bool) -> str | None:
    least = MIN_IMAGES["flat"]
    if n < least:
        rest = "; the microscope's own profile can be used" if vendor else ""
        images = "1 image is" if n == 1 else f"{n} images are"
        return f"{images} too few for a correction, which needs {least}{rest}"
    if n_sites < least:
        sites = "one site" if n_sites == 1 else f"only {n_sites} sites"
        return f"the {n} images are of {sites}: their content may be taken for illumination"
    if n < MIN_IMAGES["std"]:
        return f"{n} images allow a flat field; correction of the spread needs {MIN_IMAGES['std']}"
    return None


def _profile(before: Stack, after: Stack | None) -> dict[str, tuple[float, ...]]:
    profile = {}
    for name, images in (("before", before), ("after", after)):
        light = None if images is None or not len(images) else quality.light(images)
        if light is None:
            continue
        for axis, along in ((1, "y"), (0, "x")):
            line = light.mean(axis=axis)
            places = (
                np.linspace(0, len(line) - 1, min(PROFILE_PLACES, len(line))).round().astype(int)
            )
            profile[f"{along}_{name}"] = tuple(round(float(v), 4) for v in line[places])
    return profile


def _typical(part: Part) -> int:
    """Return the place in the sample of the image of middling brightness."""
    brightness = part.small.mean(axis=(1, 2))
    return int(part.places[np.argsort(brightness, kind="stable")[len(brightness) // 2]])


def _pictures(
    context: StepContext, entry: ChannelIllumination, found: _Found, typical: NDArray[Any] | None
) -> dict[str, str]:
    """Write the pictures: what the best correction that there is does, allowed or not."""
    method = choose_method(entry.n_images, entry.methods, force=True)
    drawn: dict[str, bytes] = {}
    if typical is not None:
        after = read_correction(context.root, entry, method).apply(typical)
        window = window_of(typical)
        drawn["before_after"] = side_by_side((typical, window), (after, window))
    lights = [
        quality.light(images)
        for images in (found.small, found.corrected.get(method))
        if images is not None and len(images)
    ]
    shown = [light for light in lights if light is not None]
    if len(shown) == 2:
        drawn["light"] = side_by_side(*((light, range_of(*shown)) for light in shown))
    if "flat" in found.fields:
        fields = [found.fields["flat"], found.fields["dark"]]
        drawn["fields"] = side_by_side(*((f, range_of(f)) for f in fields))
    pictures = {}
    for name, data in drawn.items():
        pictures[name] = picture_path(context.key, entry.index, name)
        paths.write_atomically(context.root / pictures[name], data)
    return pictures
