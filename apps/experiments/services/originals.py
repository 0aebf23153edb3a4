"""Uploads whose files a conversion has removed, as it was asked to, once every plane was read back."""

from __future__ import annotations

from typing import Any

from apps.experiments.models import Acquisition, AcquisitionSource, Experiment, SourceFile
from apps.experiments.selectors import experiment_root
from apps.experiments.services.uploads import acquisition_settle
from gpu_workers.storage import paths

BATCH = 2000


def originals_apply(experiment: Experiment, path: str, manifest: dict[str, Any]) -> None:  # noqa: ARG001
    """Forget the rows of uploaded files that imextract has removed; those uploaded again stay."""
    removed = manifest.get("removed")
    if not removed:
        return
    import pyarrow.parquet as parquet

    root = experiment_root(experiment.id)
    table = parquet.read_table(root / removed["path"], columns=["acquisition", "file"])
    by_acquisition: dict[str, list[str]] = {}
    for row in table.to_pylist():
        by_acquisition.setdefault(row["acquisition"], []).append(row["file"])
    own = Acquisition.objects.filter(
        plate__experiment=experiment, source=AcquisitionSource.UPLOADS, id__in=by_acquisition
    )
    for acquisition in own.select_for_update(of=("self",)).order_by("id"):
        folder = root / paths.uploads(acquisition.id)
        gone = [
            name for name in by_acquisition[str(acquisition.id)] if not (folder / name).exists()
        ]
        for first in range(0, len(gone), BATCH):
            rows = SourceFile.objects.filter(
                acquisition=acquisition, name__in=gone[first : first + BATCH]
            )
            acquisition.size -= sum(rows.values_list("size", flat=True))
            rows.delete()
        acquisition.size = max(acquisition.size, 0)
        acquisition.save(update_fields=["size", "updated_at"])
        acquisition_settle(acquisition.id)
