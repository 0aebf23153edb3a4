"""Simulate a plate: draw each well once, cut its sites, write them as a vendor would. Entry: `simulate_plate`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tissuemaps.cli.simulate import cellvoyager, imagexpress, optics
from tissuemaps.cli.simulate.cells import Cells, Floats, draw, moved, place, smooth_noise
from tissuemaps.cli.simulate.scene import PlateScene, Vendor, well_name
from tissuemaps.cli.simulate.truth import Truth, truth_path
from tissuemaps.cli.simulate.writing import PlaneAddress, PlateWriter

WRITERS: dict[str, Callable[[Path, PlateScene, int], PlateWriter]] = {
    "cellvoyager": cellvoyager.CellVoyagerWriter,
    "imagexpress": imagexpress.ImageXpressWriter,
}


@dataclass(frozen=True, slots=True)
class _Optics:
    """What all wells of a plate share."""

    camera: optics.Camera
    lights: tuple[Floats, ...]
    banks: dict[str, Floats]
    drift: tuple[float, float]
    cycle_shifts: NDArray[np.float64]


def _shared(scene: PlateScene) -> _Optics:
    rng = np.random.default_rng((scene.seed, 0xCA7))
    shifts = rng.uniform(-12, 12, (scene.cycles, 2)).round()
    shifts[0] = 0
    return _Optics(
        camera=optics.make_camera(rng, scene.size),
        lights=tuple(
            optics.illumination(scene.size, scene.illumination, c) for c in range(scene.channels)
        ),
        banks={
            "wobble": smooth_noise(rng, 7.0),
            "grain": smooth_noise(rng, 1.4),
            "fibres": smooth_noise(rng, 2.2),
            "islands": smooth_noise(rng, 90.0),
        },
        drift=(float(rng.uniform(-1.5, 1.5)), float(rng.uniform(-1.5, 1.5))),
        cycle_shifts=shifts,
    )


def _planes(
    rng: np.random.Generator,
    scene: PlateScene,
    shared: _Optics,
    cells: Cells,
    well: tuple[int, int],
    cycle: int,
) -> Iterator[tuple[int, int, Floats]]:
    """Yield (channel, z, photons of the whole well) of one time point."""
    anatomy = draw(
        rng, cells, scene.canvas, shared.banks, spots=any(s.spots[1] for s in scene.stains)
    )
    best = (scene.z - 1) / 2 + float(rng.normal(0, 0.35)) * (scene.z > 1)
    level = float(np.exp(rng.normal(0, 0.03)))
    dy, dx = shared.cycle_shifts[cycle]
    for c, stain in enumerate(scene.stains):
        sharp = optics.expose(anatomy, stain, scene.dose(well[1])) * np.float32(level)
        if cycle:
            shift = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
            shifted = cv2.warpAffine(
                sharp,
                shift,
                sharp.shape[::-1],
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=optics.BACKGROUND,
            )
            sharp = np.asarray(shifted, np.float32)
        for z in range(scene.z):
            yield c, z, optics.focus(sharp, z - best)


def _write_well(
    scene: PlateScene, shared: _Optics, writers: Sequence[PlateWriter], index: int
) -> list[Cells]:
    """Draw and write one well; returns its cells at each time point."""
    well = scene.present[index]
    number = scene.wells.index(well)
    rng = np.random.default_rng((scene.seed, 1 + number))
    cells = [place(rng, scene.canvas, scene.nucleus_radius, scene.density, shared.banks["islands"])]
    for _ in range(1, scene.t):
        cells.append(moved(rng, cells[-1], scene.canvas, shared.drift))
    for cycle, writer in enumerate(writers):
        for t, population in enumerate(cells):
            # One stream for a time point: every cycle sees the same cells.
            look = np.random.default_rng((scene.seed, 1 + number, t))
            for c, z, photons in _planes(look, scene, shared, population, well, cycle):
                for s, (y, x) in enumerate(scene.offsets):
                    cut = np.ascontiguousarray(photons[y : y + scene.size, x : x + scene.size])
                    image = optics.record(
                        rng, cut, shared.lights[c], shared.camera, noise=scene.noise
                    )
                    writer.write_plane(PlaneAddress(*well, s, t, c, z), image)
    return cells


def _truth(scene: PlateScene, shared: _Optics, wells: list[list[Cells]]) -> Truth:
    flat = [(w, t, cells) for w, times in enumerate(wells) for t, cells in enumerate(times)]

    def joined(name: str) -> NDArray[np.float32]:
        return np.concatenate([getattr(cells, name) for _, _, cells in flat])

    sizes = [len(cells) for _, _, cells in flat]
    return Truth(
        wells=tuple(well_name(*w) for w in scene.present),
        site_offsets=np.array(scene.offsets, np.int64),
        size=scene.size,
        doses=np.array([scene.dose(c) for _, c in scene.present]),
        well=np.repeat(np.array([w for w, _, _ in flat], np.int32), sizes),
        t=np.repeat(np.array([t for _, t, _ in flat], np.int32), sizes),
        y=joined("y"),
        x=joined("x"),
        radius=joined("radius"),
        cycle_shifts=shared.cycle_shifts,
    )


def _silent(fraction: float) -> None: ...


def simulate_scene(
    folder: Path,
    scene: PlateScene,
    vendor: Vendor = "cellvoyager",
    progress: Callable[[float], None] = _silent,
    threads: int | None = None,
) -> Truth:
    """Write the plate of `scene` into `folder` and its truth beside it; equal scenes give equal files.

    Several cycles become sub-folders ``cycle_1``, ``cycle_2``…, one acquisition each.

    Raises
    ------
    FileExistsError
        `folder` exists and holds something.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty")
    temporary = folder.with_name(f".{folder.name}-{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    places = (
        [temporary / f"cycle_{i + 1}" for i in range(scene.cycles)]
        if scene.cycles > 1
        else [temporary]
    )
    writers = [WRITERS[vendor](place_, scene, i) for i, place_ in enumerate(places)]
    shared = _shared(scene)
    wells: list[list[Cells]] = []
    try:
        with ThreadPoolExecutor(threads or min(4, os.cpu_count() or 1)) as pool:
            jobs = [
                pool.submit(_write_well, scene, shared, writers, i)
                for i in range(len(scene.present))
            ]
            for done, job in enumerate(jobs, 1):
                wells.append(job.result())
                progress(done / len(jobs))
        for writer in writers:
            writer.finish()
        truth = _truth(scene, shared, wells)
        truth.save(truth_path(folder))
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return truth


def _grid(rows: int, columns: int) -> tuple[tuple[int, int], ...]:
    """Return a block of wells; away from the plate's border, as people fill plates, where it fits."""
    row, column = (1, 1) if rows <= 6 and columns <= 10 else (0, 0)
    return tuple((r + row, c + column) for r in range(rows) for c in range(columns))


def simulate_plate(
    folder: Path,
    *,
    vendor: Vendor = "cellvoyager",
    rows: int = 2,
    columns: int = 3,
    wells: Sequence[tuple[int, int]] | None = None,
    missing_wells: Sequence[tuple[int, int]] = (),
    progress: Callable[[float], None] = _silent,
    threads: int | None = None,
    **scene: object,
) -> Truth:
    """Write a simulated plate into `folder`; the Python entry for tests and benchmarks.

    Parameters
    ----------
    vendor
        Whose files to write.
    rows, columns
        Block of wells, where `wells` names none.
    wells, missing_wells
        ``(row, column)`` from 0; missing ones belong to the plate but have no files.
    progress
        Called with the fraction that is done.
    threads
        Wells at the same time; all cores up to four by default.
    **scene
        Fields of `PlateScene`: sites, size, channels, overlap, z, t, cycles, seed, …

    Returns
    -------
    Truth
        Also saved beside the folder.
    """
    chosen = tuple(wells) if wells is not None else _grid(rows, columns)
    described = PlateScene(wells=chosen, missing=frozenset(missing_wells), **scene)  # type: ignore[arg-type]
    return simulate_scene(Path(folder), described, vendor, progress, threads)
