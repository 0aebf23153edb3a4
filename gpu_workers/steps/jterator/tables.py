"""Tables of the objects of one plane or stack; entry points: `object_table`, `Owners`, `discs`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gpu_workers.errors import UserError
from gpu_workers.imaging.alignment.translation import Box
from gpu_workers.imaging.labels import lookup
from gpu_workers.imaging.outlines import Outlines, trace_outlines
from gpu_workers.imaging.ownership import owner_of
from gpu_workers.imaging.regions import region_geometry
from gpu_workers.pipelines.description import ObjectOutput
from gpu_workers.pipelines.prepared import ObjectsFound
from gpu_workers.storage.layout import SiteLayout
from gpu_workers.storage.objects import SiteObjects

INT16_MAX: Final = 32767
# Points are shown as discs of this radius: to be seen and hit, but not to cover their neighbours.
POINT_RADIUS: Final = 2


@dataclass(frozen=True, slots=True)
class Plane:
    """Where one image stands: its site and those that overlap it, t and z; `seen` is what it shows.

    In three dimensions `z` is the first plane of the stack.
    """

    site: SiteLayout
    rivals: tuple[SiteLayout, ...]
    seen: Box
    t: int
    z: int


@dataclass(frozen=True, slots=True)
class Geometry:
    """Place of each object of a plane or stack, px, rows by label - 1; area 0: no such label.

    Attributes
    ----------
    box
        int32, (n, 4): y0, x0, y1, x1, ends excluded.
    z_range
        int64, (n, 2): first plane and the one after the last.
    """

    area: NDArray[np.float64]
    z: NDArray[np.float64]
    y: NDArray[np.float64]
    x: NDArray[np.float64]
    box: NDArray[np.int32]
    z_range: NDArray[np.int64]


def geometry_of(labels: NDArray[np.int32]) -> Geometry:
    """Return where objects lie.

    Parameters
    ----------
    labels : ndarray of int32, shape (height, width) or (z, height, width)
        Objects 1…n; numbers may be missing.

    Examples
    --------
    >>> stack = np.zeros((3, 1, 4), np.int32)
    >>> stack[1:, 0, 1:] = 1
    >>> found = geometry_of(stack)
    >>> found.z, found.x, found.z_range, found.box
    (array([1.5]), array([2.]), array([[1, 3]]), array([[0, 1, 1, 4]], dtype=int32))
    """
    planes = labels[None] if labels.ndim == 2 else labels
    n = int(labels.max()) if labels.size else 0
    sums = np.zeros((4, n))
    low = np.full((n, 3), np.iinfo(np.int32).max, np.int64)
    high = np.zeros((n, 3), np.int64)
    for z, plane in enumerate(planes):
        found = region_geometry(plane)
        rows = np.flatnonzero(found.area > 0)
        area, box = found.area[rows], found.box[rows]
        sums[:, rows] += area * np.stack([np.ones(rows.size), np.full(rows.size, z),
                                          found.y[rows], found.x[rows]])  # fmt: skip
        z_box = np.full((rows.size, 1), z)
        low[rows] = np.minimum(low[rows], np.hstack([z_box, box[:, :2]]))
        high[rows] = np.maximum(high[rows], np.hstack([z_box + 1, box[:, 2:]]))
    with np.errstate(invalid="ignore"):
        z, y, x = sums[1:] / sums[0]
    box = np.hstack([low[:, 1:], high[:, 1:]]).astype(np.int32)
    return Geometry(sums[0], z, y, x, box, np.stack([low[:, 0], high[:, 0]], axis=1))


@dataclass(slots=True)
class Owners:
    """Which labels of each type count in one plane, for the types that follow their parent."""

    by_type: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    known: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    def decide(
        self,
        output: ObjectOutput,
        labels: NDArray[np.int32],
        own: NDArray[np.bool_],
    ) -> NDArray[np.bool_]:
        """Return whether each label counts: as its parent of the same number does, if there is one."""
        owned = own
        if output.parent is not None:
            has_parent = lookup(labels, self.known[output.parent])
            owned = np.where(has_parent, lookup(labels, self.by_type[output.parent]), own)
        size = int(labels.max()) + 1 if labels.size else 1
        self.by_type[output.name] = np.zeros(size, np.bool_)
        self.known[output.name] = np.zeros(size, np.bool_)
        self.by_type[output.name][labels] = owned
        self.known[output.name][labels] = True
        return owned


def discs(
    shape: tuple[int, ...],
    labels: NDArray[np.int32],
    y: NDArray[np.floating],
    x: NDArray[np.floating],
    z: NDArray[np.integer] | None = None,
) -> NDArray[np.int32]:
    """Return a label image with a small disc at each centre.

    Parameters
    ----------
    shape
        (height, width), with `z` (z, height, width).
    labels : ndarray of int32, shape (n,)
        The objects.
    y, x
        Their centres, px.
    z
        The planes of their centres.

    Returns
    -------
    ndarray of int32
        Where discs overlap, a pixel belongs to the nearer centre, of equally near ones to the lower
        label. Of several objects with their centres in one pixel only one is seen.

    Examples
    --------
    >>> one, two = np.array([1, 2], np.int32), np.array([0.0, 3.0])
    >>> discs((1, 6), one, np.zeros(2), two)
    array([[1, 1, 2, 2, 2, 2]], dtype=int32)
    """
    image = np.zeros(shape, np.int32)
    falling = np.argsort(-labels, kind="stable")
    span = np.arange(-POINT_RADIUS, POINT_RADIUS + 1)
    dy, dx = (d.ravel() for d in np.meshgrid(span, span, indexing="ij"))
    squared = dy * dy + dx * dx
    # What is written last stays: the centres after their rims, the lowest label last.
    for distance in np.unique(squared[squared <= POINT_RADIUS**2])[::-1]:
        ring = squared == distance
        py = np.rint(y[falling]).astype(np.int64)[:, None] + dy[ring]
        px = np.rint(x[falling]).astype(np.int64)[:, None] + dx[ring]
        inside = (py >= 0) & (px >= 0) & (py < shape[-2]) & (px < shape[-1])
        at: tuple[NDArray[np.integer], ...] = (py[inside], px[inside])
        if z is not None:
            at = (np.broadcast_to(z[falling][:, None], py.shape)[inside], *at)
        image[at] = np.broadcast_to(labels[falling][:, None], py.shape)[inside]
    return image


def _outlines(found: ObjectsFound, output: ObjectOutput) -> Outlines:
    """Return outlines; of a stack those of its maximum projection, of points none."""
    if output.representation == "points":
        empty = np.zeros(0, np.int32)
        return Outlines(empty, np.zeros(1, np.int64), np.zeros(1, np.int64), empty, empty)
    flat = found.labels if found.labels.ndim == 2 else found.labels.max(axis=0)
    return trace_outlines(np.ascontiguousarray(flat))


def _rings(outlines: Outlines, labels: NDArray[np.int32]) -> tuple[Outlines, NDArray[np.int64]]:
    """Return outlines with a row for each of `labels`, and the row each point belongs to."""
    counts = np.zeros(labels.size, np.int64)
    rows = np.searchsorted(labels, outlines.labels)
    counts[rows] = np.diff(outlines.rings)
    rings = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    own = Outlines(labels, rings, outlines.points, outlines.y, outlines.x)
    per_object = np.diff(outlines.points[rings])
    return own, np.repeat(np.arange(labels.size), per_object)


def _features(
    found: ObjectsFound, names: tuple[str, ...], rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the values of some objects, (objects, features)."""
    values = np.empty((rows.size, len(names)), np.float32)
    for number, name in enumerate(names):
        values[:, number] = np.asarray(found.columns[name])[rows]
    return values


def object_table(
    found: ObjectsFound,
    names: tuple[str, ...],
    plane: Plane,
    output: ObjectOutput,
    owners: Owners,
    counted: NDArray[np.int64] | None = None,
) -> tuple[SiteObjects, NDArray[np.int32]]:
    """Return the objects of one type in one plane or stack, and the label image to keep.

    Parameters
    ----------
    names
        Features, in their order everywhere.
    counted
        Labels that count, where an earlier run has decided that.

    Raises
    ------
    UserError
        An object is too large for its outline to be stored (``object_too_large``).
    """
    site = plane.site
    geometry = geometry_of(found.labels)
    rows = np.flatnonzero(geometry.area > 0)
    labels = (rows + 1).astype(np.int32)
    box = geometry.box[rows]
    if box.size and (box[:, 2:] - box[:, :2]).max() > INT16_MAX:
        raise UserError(
            f"an object in site {site.name} is larger than {INT16_MAX} px", code="object_too_large"
        )
    y, x = geometry.y[rows], geometry.x[rows]
    own = owner_of(y + site.y, x + site.x, plane.rivals) == site.index
    if counted is not None:
        own = np.isin(labels, counted)
    z = np.rint(geometry.z[rows]).astype(np.int64)
    kept = found.labels
    if output.representation == "points":
        kept = discs(kept.shape, labels, y, x, z if kept.ndim == 3 else None)
    outlines, row = _rings(_outlines(found, output), labels)
    corner = np.array([site.y, site.x, site.y, site.x], np.int32)
    edge = np.array(plane.seen, np.int32)
    table = SiteObjects(
        label=labels.astype(np.uint32),
        t=np.full(rows.size, plane.t, np.uint16),
        z=(z + plane.z).astype(np.uint16),
        y=(y + site.y).astype(np.float32),
        x=(x + site.x).astype(np.float32),
        box=box + corner,
        z_range=(geometry.z_range[rows] + plane.z).astype(np.uint16),
        is_border=np.any([box[:, :2] <= edge[:2], box[:, 2:] >= edge[2:]], axis=(0, 2)),
        owned=owners.decide(output, labels, own),
        features=_features(found, names, rows),
        rings=outlines.rings,
        points=outlines.points,
        dy=(outlines.y - box[row, 0]).astype(np.int16),
        dx=(outlines.x - box[row, 1]).astype(np.int16),
    )
    return table, kept
