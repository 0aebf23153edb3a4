"""Several small sites on a device at once; entry points: `process_batch` and `sites_per_batch`.

One site of 2,000 x 2,000 pixels keeps a large card busy for a part of the time only. So the images of
many sites go to the device as one array, their pipelines run beside each other in lanes, each with
a queue of its own, and everything they made comes back in one copy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np

from gpu_workers import xp
from gpu_workers.pipelines.prepared import Device, Images, Outcome, Prepared, fetched

LANES = 4
ENOUGH_PIXELS = 2**25
"""More pixels at once are not expected to be faster; it was not measured."""
USABLE = 0.5
"""Part of the free memory that a batch may take: filters need some of their own."""


def sites_per_batch(shape: tuple[int, ...], bytes_per_pixel: float, free_bytes: int) -> int:
    """Return how many sites fill a card without filling its memory; at least 1.

    Parameters
    ----------
    shape
        Of a site's images, px.
    bytes_per_pixel
        Memory that a site takes at most, its images included.
    free_bytes
        Memory of the device that nobody uses.

    Examples
    --------
    >>> sites_per_batch((1080, 1080), 100, 80 * 2**30)
    28
    >>> sites_per_batch((1080, 1080), 100, 2**29)
    2
    """
    pixels = max(1, math.prod(shape))
    within = int(free_bytes * USABLE / (pixels * bytes_per_pixel))
    return max(1, min(ENOUGH_PIXELS // pixels, within))


def _sent(sites: Sequence[Images]) -> list[Images]:
    """Return the sites with the images of their channels on the device, copied in one go."""
    arrays = [i for site in sites for i in site.channels.values() if i is not None]
    there = iter(xp.to_device_together([np.ascontiguousarray(a) for a in arrays]))
    return [
        replace(
            site,
            channels={n: None if i is None else next(there) for n, i in site.channels.items()},
        )
        for site in sites
    ]


def process_batch(
    prepared: Prepared, sites: Sequence[Images], device: Device = "gpu", lanes: int = LANES
) -> list[Outcome]:
    """Find and measure the objects of several sites.

    Parameters
    ----------
    sites
        Of a pipeline that remembers no time point; shapes may differ.
    lanes
        Sites that run beside each other on the device.

    Returns
    -------
    list of Outcome
        In the order of the sites, each as `Prepared.process` gives it.

    Raises
    ------
    UserError
        A module can't work with its input, or there is no GPU (``no_gpu``).
    ValueError
        The pipeline remembers time points: their order matters.
    """
    if prepared.remembers:
        raise ValueError("sites of a pipeline that remembers are not run beside each other")
    if device == "cpu":
        return [prepared.process(site) for site in sites]
    there = _sent(sites)
    xp.wait()

    def run(site: Images) -> Outcome:
        with xp.lane():
            return prepared.process(site, device=device, fetch=False)

    with ThreadPoolExecutor(lanes) as pool:
        outcomes: list[Any] = list(pool.map(run, there))
    return fetched(outcomes)
