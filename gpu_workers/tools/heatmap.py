"""Heat map: colour every object by one of its measurements, or by the aggregate of its well."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from gpu_workers.errors import UserError
from gpu_workers.registry import Arguments, StepContext, StepOutput, Tool
from gpu_workers.storage.objects import load_manifest
from gpu_workers.tools import results

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from gpu_workers.messages import Json
    from gpu_workers.storage.objects import TypeObjects, WellObjects

    Values = npt.NDArray[np.float32]


class HeatMapArguments(Arguments):
    """What to show and how far the colours reach."""

    object_type: str = Field(description="objects to colour")
    feature: str = Field(description="measurement to show")
    per: Literal["object", "well"] = Field(
        "object", description="each object's own value, or the median of its well"
    )
    low_percentile: float = Field(1.0, ge=0, lt=100, description="shown in the first colour")
    high_percentile: float = Field(99.0, gt=0, le=100, description="shown in the last colour")

    @model_validator(mode="after")
    def _ordered(self) -> HeatMapArguments:
        if self.low_percentile >= self.high_percentile:
            raise ValueError("low_percentile must lie below high_percentile")
        return self


class HeatMap(Tool[HeatMapArguments]):
    """One continuous value per object, with robust colour limits (one outlier flattens nothing)."""

    name: ClassVar[str] = "heatmap"
    title: ClassVar[str] = "Heat map"
    help: ClassVar[str] = "Colours objects by a measurement; wells at a glance at plate zoom."
    VERSION: ClassVar[int] = 1
    Arguments: ClassVar[type[Arguments]] = HeatMapArguments

    def run(self, context: StepContext, arguments: HeatMapArguments, batch: Json) -> StepOutput:
        """Write the values of every plate of the object type.

        Raises
        ------
        UserError
            There is no such object type or feature; the message lists those there are.
        """
        from gpu_workers.storage.features import FeatureStore

        result = str(batch["result"])
        manifest = context.inputs["objects"]
        described = load_manifest(context.root, manifest).type(arguments.object_type)
        unit = _unit(described, arguments.feature)
        store = FeatureStore(context.root, manifest)
        columns: list[Values] = []
        plates: list[results.PlateValues] = []
        for number, plate in enumerate(described.plates):
            own = store.column(described.name, plate.id, arguments.feature)
            wells, shown = _per_well(own, plate.wells, arguments.per)
            path = results.write_values(context.root, result, plate.id, shown)
            columns.append(shown)
            plates.append(
                results.PlateValues(id=plate.id, path=path, n_objects=len(shown), wells=wells)
            )
            context.progress((number + 1) / len(described.plates), f"{len(shown)} objects")
        low, high, missing = _limits(columns, arguments)
        suffix = "" if arguments.per == "object" else ", median of the well"
        info = results.ResultInfo(
            tool=self.name,
            tool_version=self.VERSION,
            label=arguments.feature + suffix,
            unit=unit,
            low=low,
            high=high,
            n_missing=missing,
            plates=tuple(plates),
        )
        path = results.write_info(context.root, result, info)
        return StepOutput(output=info.model_dump(mode="json"), products={"result": path})


def _unit(described: TypeObjects, feature: str) -> str:
    for known in described.features:
        if known.name == feature:
            return known.unit or ""
    names = ", ".join(sorted(f.name for f in described.features)[:20]) or "none"
    raise UserError(
        f"{described.name} have no feature {feature!r}; there are: {names}", code="unknown_feature"
    )


def _per_well(
    column: Values, wells: Sequence[WellObjects], per: str
) -> tuple[tuple[results.WellValue, ...], Values]:
    """Aggregate the contiguous ranges of the wells; with ``per="well"`` spread the medians back."""
    import numpy as np

    shown = column.copy() if per == "well" else column
    values = []
    for well in wells:  # at most 1,536 of them: a plate's wells, not its objects
        span = slice(well.first - 1, well.first - 1 + well.count)
        part = column[span]
        known = part[np.isfinite(part)]
        mean = float(known.mean(dtype=np.float64)) if known.size else None
        median = float(np.median(known)) if known.size else None
        values.append(
            results.WellValue(name=well.name, count=int(part.size), mean=mean, median=median)
        )
        if per == "well":
            shown[span] = np.nan if median is None else median
    return tuple(values), shown


SAMPLE = 1_000_000


def _limits(columns: list[Values], arguments: HeatMapArguments) -> tuple[float, float, int]:
    """Return the colour limits and the number of objects without a value.

    Percentiles are exact up to a million objects; above that of every k-th object, since a colour
    limit needs no more (1/16 of 10 M objects: 10 ms instead of 150).
    """
    import numpy as np

    total = sum(len(c) for c in columns)
    step = max(1, total // SAMPLE)
    sample = np.concatenate([c[::step] for c in columns]) if columns else np.empty(0, np.float32)
    sample = sample[np.isfinite(sample)]
    missing = int(sum(len(c) - int(np.isfinite(c).sum()) for c in columns))
    if not sample.size:
        return 0.0, 1.0, missing
    low, high = np.percentile(sample, [arguments.low_percentile, arguments.high_percentile])
    return float(low), float(high if high > low else low + 1), missing
