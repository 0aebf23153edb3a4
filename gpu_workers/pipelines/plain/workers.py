"""Images one after the other, or in several processes; entry point: `process_all`."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import TYPE_CHECKING

from gpu_workers.errors import UserError

if TYPE_CHECKING:
    from gpu_workers.pipelines.plain.matching import ImageSet
    from gpu_workers.pipelines.plain.results import Results
    from gpu_workers.pipelines.plain.run import Job

Progress = Callable[[float, str], None]
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def _one(job: Job, image: ImageSet) -> Results:
    from gpu_workers.pipelines.plain.run import process_image

    return process_image(job, image)[0]


def _in_order(job: Job, images: tuple[ImageSet, ...]) -> Iterator[Results]:
    """Process images as time points of one site: what modules remember is handed on."""
    from gpu_workers.pipelines.plain.run import process_image

    memory = None
    for image in images:
        results, memory = process_image(job, image, memory)
        yield results


def _here(job: Job, images: tuple[ImageSet, ...]) -> Iterator[Results]:
    from gpu_workers.pipelines.plain.run import process_batches

    several = job.device == "gpu" and not job.prepared.remembers
    return process_batches(job, images) if several else _in_order(job, images)


def process_all(
    job: Job, images: tuple[ImageSet, ...], workers: int, progress: Progress
) -> Iterator[Results]:
    """Yield the results of all images in their order.

    Parameters
    ----------
    workers
        Processes, each on one core. With 1, or where modules remember the time point before, all
        images are done here one after the other, on a GPU in batches.
    """
    if workers <= 1 or len(images) == 1:
        for done, results in enumerate(_here(job, images), start=1):
            progress(done / len(images), results.stem)
            yield results
        return
    for name in _THREADS:
        os.environ.setdefault(name, "1")
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            found = pool.map(partial(_one, job), images, chunksize=1)
            for done, results in enumerate(found, start=1):
                progress(done / len(images), results.stem)
                yield results
    except BrokenProcessPool as error:
        raise UserError(
            "a process was ended from outside, probably for want of memory: use fewer workers",
            code="process_died",
        ) from error
