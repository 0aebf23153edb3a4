"""Who may do what with the experiments' routes. How a row is written: see `roles`."""

import json

from apps.experiments.models import SegmentationUpload
from apps.experiments.selectors import experiment_root
from tests.factories import (
    AcquisitionFactory,
    ChannelFactory,
    CycleFactory,
    InspectionFactory,
    LayoutVersionFactory,
    MosaicFactory,
    ObjectSetFactory,
    ProductFactory,
    SiteFactory,
    SourceFileFactory,
    WellFactory,
)
from tests.integration.access.roles import EDIT, OWN, SIGNED_IN, VIEW, World, row


def _write(world: World, path: str, content: bytes) -> None:
    file = experiment_root(world.experiment.id) / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def _found(world: World) -> None:
    """Write what corilla and align leave, as far as the routes read it."""
    channel = {
        "index": 0, "name": "DAPI", "n_images": 40,
        "pictures": {"before_after": "illumination/1a/before_after.png"},
    }  # fmt: skip
    illumination = {"key": "1a", "sampled": 40, "channels": [channel]}
    alignment = {
        "key": "1a", "layout_key": "2b", "stitched": False, "reference_cycle": 0,
        "reference_channel": "DAPI", "n_outliers": 0, "median_residual_px": None, "wells": [],
    }  # fmt: skip
    for name, manifest in {"illumination": illumination, "alignment": alignment}.items():
        path = f"{name}/1a/{name}.json"
        _write(world, path, json.dumps(manifest).encode())
        ProductFactory(experiment=world.experiment, name=name, key="1a", path=path)
    _write(world, "illumination/1a/before_after.png", b"\x89PNG")


def build(world: World) -> dict[str, object]:
    """Add an acquisition with a file, a well with a site, a channel, a mosaic and an object set."""
    acquisition = AcquisitionFactory(plate=world.plate)
    SourceFileFactory(acquisition=acquisition, name="there.tif")
    site = SiteFactory(well=WellFactory(plate=world.plate))
    CycleFactory(experiment=world.experiment)
    mosaic = MosaicFactory(plate=world.plate)
    objects = ObjectSetFactory(plate=world.plate, object_type=world.object_type)
    LayoutVersionFactory(experiment=world.experiment)
    _found(world)
    return {
        "acquisition_id": acquisition.id,
        "name": "there.tif",
        "channel_id": ChannelFactory(experiment=world.experiment).id,
        "mosaic_id": mosaic.id,
        "object_set_id": objects.id,
        "key": "1a",
        "channel": 0,
        "picture": "before_after",
        "inspection_id": InspectionFactory(acquisition=acquisition).id,
        "subject_id": world.users["editor"].id,
        "site_id": site.id,
        "upload_id": SegmentationUpload.objects.create(
            experiment=world.experiment, object_type="Cells", site=site, name="a.tif", size=3
        ).id,
    }


NEW_EXPERIMENT = {"name": "new"}
NEW_ACCESS = {"user": "other_group", "level": "view"}

ROWS = [
    row("GET", "experiment-list", None, SIGNED_IN(200)),
    # Only members of a group can make an experiment: owner, editor and viewer are members.
    row("POST", "experiment-list", NEW_EXPERIMENT, [401, 201, 201, 201, 201, 400, 400]),
    row("GET", "experiment", None, VIEW(200)),
    row("PATCH", "experiment", {"description": "changed"}, EDIT(200)),
    row("DELETE", "experiment", None, OWN(204)),
    row("GET", "access-list", None, OWN(200)),
    row("POST", "access-list", NEW_ACCESS, OWN(201)),
    # The grant is the editor's, who may give it up.
    row("DELETE", "access", None, [401, 404, 403, 204, 204, 404, 404]),
    row("GET", "plate-list", None, VIEW(200)),
    row("POST", "plate-list", {"name": "another"}, EDIT(201)),
    row("GET", "plate", None, VIEW(200)),
    row("PATCH", "plate", {"description": "changed"}, EDIT(200)),
    row("DELETE", "plate", None, EDIT(204)),
    row("GET", "acquisition-list", None, VIEW(200)),
    row("POST", "acquisition-list", {"plate": "{plate_id}", "name": "another"}, EDIT(201)),
    row("GET", "acquisition", None, VIEW(200)),
    row("PATCH", "acquisition", {"description": "changed"}, EDIT(200)),
    row("DELETE", "acquisition", None, EDIT(204)),
    # Nothing may be registered where the settings name no folder: the editor gets as far as that.
    row("POST", "register", {"path": "/etc"}, EDIT(400)),
    row("GET", "file-list", None, VIEW(200)),
    row("GET", "file", None, VIEW(200)),
    # The file is there with 100 bytes: the editor gets as far as that.
    row("PUT", "file", b"12345", EDIT(409)),
    row("DELETE", "file", None, EDIT(204)),
    row("GET", "well-list", None, VIEW(200)),
    row("GET", "site-list", None, VIEW(200)),
    row("GET", "cycle-list", None, VIEW(200)),
    row("GET", "channel-list", None, VIEW(200)),
    row("PATCH", "channel", {"color": "#ff0000"}, EDIT(200)),
    row("GET", "mosaic-list", None, VIEW(200)),
    row("GET", "mosaic", None, VIEW(200)),
    row("GET", "object-type-list", None, VIEW(200)),
    row("GET", "object-set-list", None, VIEW(200)),
    row("GET", "object-set", None, VIEW(200)),
    row("GET", "layout", None, VIEW(200)),
    # The factory's layout has no table of planes.
    row("GET", "layout-plane-list?plate={plate_id}", None, VIEW(404)),
    row("GET", "layout-corrections", None, VIEW(200)),
    row("PUT", "layout-corrections", {"corrections": {}}, EDIT(200)),
    row("GET", "inspection-list", None, VIEW(200)),
    # The acquisition has no files yet: the editor gets as far as that.
    row("POST", "inspection-list", {"pattern": "x"}, EDIT(409)),
    row("GET", "inspection", None, VIEW(200)),
    row("GET", "illumination", None, VIEW(200)),
    row("GET", "illumination-picture", None, VIEW(200)),
    row("GET", "alignment", None, VIEW(200)),
    row("GET", "alignment-well-list?plate={plate_id}", None, VIEW(200)),
    row("GET", "alignment-shift-list?plate={plate_id}", None, VIEW(200)),
    row("GET", "segmentation-list", None, VIEW(200)),
    row("POST", "segmentation-list?object_type=Cells&site={site_id}", b"TIFF", EDIT(201)),
    row("DELETE", "segmentation", None, EDIT(204)),
    row("POST", "segmentation-publish", None, EDIT(409)),
]
