"""Module: neighbours of objects and how crowded it is round them."""

from __future__ import annotations

from pydantic import Field

from gpu_workers.imaging.features.neighbours import (
    border_distances,
    closest,
    density,
    edge_distances,
    touching,
)
from gpu_workers.imaging.regions import RegionGeometry, region_geometry
from gpu_workers.modules.measure.assignment import (
    Column,
    MeasureArguments,
    assigned,
    in_micrometres,
)
from gpu_workers.modules.module import Features, LabelImage, Measurements, Setting, module


class MeasureNeighboursArguments(MeasureArguments):
    neighbour_distance: float = Field(
        3,
        ge=0,
        le=200,
        title="Neighbour distance (px)",
        description="nearer objects are neighbours",
    )
    touching_distance: float = Field(
        3, ge=0, le=200, title="Touching distance (px)", description="nearer edges touch"
    )
    n_nearest: int = Field(
        5, ge=2, le=50, title="Nearest", description="distance of which nearest object is measured"
    )
    density_radius: int = Field(
        100,
        ge=1,
        le=5000,
        title="Radius (px)",
        description="of the disc in which objects are counted",
    )
    density_sigma: int = Field(
        50, ge=1, le=1000, title="Sigma (px)", description="of the kernel density"
    )
    colony_distance: int | None = Field(
        None,
        ge=1,
        le=200,
        title="Colony distance (px)",
        description="how far a colony's edge lies outside its objects; empty: not measured",
    )


def _lengths(
    arguments: MeasureNeighboursArguments, labels: LabelImage, geometry: RegionGeometry
) -> dict[str, Column]:
    nearest = closest(geometry, arguments.n_nearest)
    columns = {
        "First_Closest_Distance": nearest.distance[0],
        "Second_Closest_Distance": nearest.distance[1],
        f"Distance_Of_Nearest-{arguments.n_nearest}": nearest.distance[-1],
        "Distance_To_Border": border_distances(geometry, (labels.shape[0], labels.shape[1])),
    }
    if arguments.colony_distance is not None:
        name = f"Distance_To_Colony_Edge-{arguments.colony_distance}"
        columns[name] = edge_distances(labels, geometry, arguments.colony_distance)
    return columns


@module(
    title="Measure neighbours",
    help="Number and distance of neighbours, touching edges, local density, distance to the border.",
    version=1,
    outputs=("measurements",),
    measures="assign_objects",
)
def measure_neighbours(
    arguments: MeasureNeighboursArguments,
    extract_objects: LabelImage,
    setting: Setting,
    assign_objects: LabelImage | None = None,
) -> Measurements:
    """Return ``Neighbours_<measure>``, lengths in µm too where the pixel size is known."""
    geometry = region_geometry(extract_objects)
    near = touching(extract_objects, arguments.neighbour_distance, arguments.touching_distance)
    nearest = closest(geometry)
    crowd = density(geometry, arguments.density_radius, arguments.density_sigma)
    kernel = f"Kernel_Density-{arguments.density_sigma}"
    lengths = _lengths(arguments, extract_objects, geometry)
    columns = {
        "Neighbours_Count": near.count,
        "Fraction_Touching": near.fraction,
        "First_Closest_Label": nearest.label[0],
        "Second_Closest_Label": nearest.label[1],
        "Angle_Between_Neighbours": nearest.angle,
        f"Count_Within-{arguments.density_radius}": crowd.count,
        kernel: crowd.kernel,
        **lengths,
    }
    units = dict.fromkeys(lengths, "px") | {"Angle_Between_Neighbours": "degree", kernel: "px⁻²"}
    if setting.pixel_size_um:
        columns[f"{kernel}_um2"] = crowd.kernel / setting.pixel_size_um**2
        units[f"{kernel}_um2"] = "µm⁻²"
    features = Features(
        {f"Neighbours_{name}": values for name, values in columns.items()},
        {f"Neighbours_{name}": unit for name, unit in units.items()},
    )
    return assigned(
        in_micrometres(features, setting),
        extract_objects,
        assign_objects,
        setting,
        aggregated=arguments.aggregate,
    )
