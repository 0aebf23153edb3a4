"""One owner for every pixel that several sites cover; entry points: `owner_mask` and `owner_of`.

Neighbouring fields of view overlap, so that the same cell may stand in two images. Each site owns
the region up to the middle of the overlap: of the sites that cover a point, the one whose own
border is farthest from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[Any]  # of int64 or float64


class Field(Protocol):
    """A field of view placed on its plate; `gpu_workers.storage.layout.SiteLayout` is one."""

    @property
    def index(self) -> int: ...
    @property
    def y(self) -> int: ...
    @property
    def x(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...


def overlap(a: Field, b: Field) -> tuple[int, int, int, int] | None:
    """Return the rectangle (y0, x0, y1, x1) in plate pixels that both cover, else None."""
    y0, x0 = max(a.y, b.y), max(a.x, b.x)
    y1, x1 = min(a.y + a.height, b.y + b.height), min(a.x + a.width, b.x + b.width)
    return (y0, x0, y1, x1) if y0 < y1 and x0 < x1 else None


def _border_distances(site: Field, y: Numbers, x: Numbers) -> tuple[Numbers, Numbers]:
    """Return the smaller and the larger of the distances to the site's borders along y and x."""
    down = np.minimum(y - site.y, site.y + site.height - 1 - y)
    along = np.minimum(x - site.x, site.x + site.width - 1 - x)
    return np.minimum(down, along), np.maximum(down, along)


def owner_mask(site: Field, neighbours: Iterable[Field]) -> NDArray[np.bool_]:
    """Return which pixels of a site the site owns.

    Parameters
    ----------
    site
        The site, in pixels of its plate.
    neighbours
        Any other sites of the same plate; those that don't overlap, and the site itself, are
        ignored.

    Returns
    -------
    ndarray of bool, shape (height, width)
        True where no neighbour has a better claim.

    Notes
    -----
    The claim of a site on a pixel is the pair (distance to its nearest border, distance to its
    nearest border along the other axis), compared in that order; equal claims go to the lower
    `index`. The second distance makes the seam of two sites of one row the straight middle line of
    their overlap, also close to their upper and lower borders. The masks of all sites are a
    partition of the pixels that any of them covers.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> left = SimpleNamespace(index=0, y=0, x=0, height=2, width=5)
    >>> right = SimpleNamespace(index=1, y=0, x=3, height=2, width=5)
    >>> owner_mask(left, [right]).astype(int)
    array([[1, 1, 1, 1, 0],
           [1, 1, 1, 1, 0]])
    """
    owned = np.ones((site.height, site.width), bool)
    for other in neighbours:
        box = None if other.index == site.index else overlap(site, other)
        if box is None:
            continue
        y = np.arange(box[0], box[2])[:, None]
        x = np.arange(box[1], box[3])[None, :]
        near, far = _border_distances(site, y, x)
        other_near, other_far = _border_distances(other, y, x)
        on_tie = far >= other_far if site.index < other.index else far > other_far
        wins = (near > other_near) | ((near == other_near) & on_tie)
        owned[box[0] - site.y : box[2] - site.y, box[1] - site.x : box[3] - site.x] &= wins
    return owned


def owner_of(
    y: NDArray[np.floating], x: NDArray[np.floating], sites: Sequence[Field]
) -> NDArray[np.int64]:
    """Return the `index` of the site that owns each point.

    Parameters
    ----------
    y, x : ndarray, shape (n,)
        Points in plate pixels; integers are pixel centres, fractions are allowed (centroids).
    sites
        The sites that might cover a point: those of its well, or of the whole plate.

    Returns
    -------
    ndarray of int64, shape (n,)
        -1 where no site covers the point. For pixel centres this agrees with `owner_mask`.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> left = SimpleNamespace(index=0, y=0, x=0, height=2, width=5)
    >>> right = SimpleNamespace(index=1, y=0, x=3, height=2, width=5)
    >>> owner_of(np.array([0.0, 0.0, 1.0]), np.array([2.0, 4.2, 30.0]), [left, right])
    array([ 0,  1, -1])
    """
    y = np.asarray(y, np.float64)
    x = np.asarray(x, np.float64)
    owner = np.full(y.shape, -1, np.int64)
    best_near = np.full(y.shape, -np.inf)
    best_far = np.full(y.shape, -np.inf)
    for site in sorted(sites, key=lambda s: s.index):
        near, far = _border_distances(site, y, x)
        wins = (near >= -0.5) & ((near > best_near) | ((near == best_near) & (far > best_far)))
        owner[wins] = site.index
        best_near[wins] = near[wins]
        best_far[wins] = far[wins]
    return owner
