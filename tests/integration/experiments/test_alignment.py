"""The layout that goes with an alignment becomes the current one, as long as it means this layout."""

from __future__ import annotations

from apps.experiments.models import LayoutVersion, Site
from apps.experiments.selectors import current_inputs, experiment_root
from gpu_workers.storage import paths
from gpu_workers.storage.alignment import AlignmentManifest, manifest_path, stitched_layout_path
from tests.integration.experiments.conftest import Lab
from tests.integration.experiments.test_products import apply, write_layout

KEY = "5" * 20


def write_alignment(lab: Lab, source: str, *, stitched: bool = True, key: str = KEY) -> str:
    """Write an alignment of a layout; stitched, each site lies 3 px further down."""
    root = experiment_root(lab.experiment.id)
    layout = paths.read_json(root / source)
    manifest = AlignmentManifest(
        key=key,
        layout=stitched_layout_path(key) if stitched else source,
        layout_key=key if stitched else layout["key"],
        source_layout_key=layout["key"],
        stitched=stitched,
    )
    if stitched:
        for site in layout["plates"][0]["sites"]:
            site["y"] += 3
        layout["key"] = key
        paths.write_json(root / manifest.layout, layout)
    paths.write_json(root / manifest_path(key), manifest.model_dump(mode="json"))
    return manifest_path(key)


def current(lab: Lab) -> tuple[str, list[int]]:
    """Return the key of the current layout and where sites lie."""
    found = LayoutVersion.objects.get(experiment=lab.experiment, is_current=True)
    return found.key, list(Site.objects.order_by("index").values_list("y", flat=True)[:4])


def test_stitched_places_become_those_of_the_sites(lab: Lab) -> None:
    source = write_layout(lab)
    apply(lab, "layout", source)
    before = {s.name: s.id for s in Site.objects.filter(well__name="A01")}

    path = write_alignment(lab, source)
    apply(lab, "alignment", path)

    assert current(lab) == (KEY, [3, 3, 453, 453])
    assert {s.name: s.id for s in Site.objects.filter(well__name="A01")} == before
    shown = lab.client.get(f"{lab.address}sites/").json()["results"]
    assert shown[2]["y"] == 453
    # Steps still begin from what metaconfig made.
    assert current_inputs(experiment_id=lab.experiment.id) == {
        "layout": source,
        "alignment": path,
    }


def test_applying_twice_changes_nothing(lab: Lab) -> None:
    source = write_layout(lab)
    apply(lab, "layout", source)
    path = write_alignment(lab, source)

    apply(lab, "alignment", path)
    apply(lab, "alignment", path)

    assert current(lab) == (KEY, [3, 3, 453, 453])
    assert LayoutVersion.objects.count() == 2


def test_the_same_layout_again_leaves_stitched_sites_stitched(lab: Lab) -> None:
    source = write_layout(lab)
    apply(lab, "layout", source)
    apply(lab, "alignment", write_alignment(lab, source))

    apply(lab, "layout", source)

    assert current(lab) == (KEY, [3, 3, 453, 453])


def test_another_layout_is_not_that_which_was_stitched(lab: Lab) -> None:
    source = write_layout(lab)
    apply(lab, "layout", source)
    apply(lab, "alignment", write_alignment(lab, source))

    apply(lab, "layout", write_layout(lab, "b" * 20))

    assert current(lab) == ("b" * 20, [0, 0, 450, 450])


def test_without_stitching_sites_go_back(lab: Lab) -> None:
    source = write_layout(lab)
    apply(lab, "layout", source)
    apply(lab, "alignment", write_alignment(lab, source))

    apply(lab, "alignment", write_alignment(lab, source, stitched=False, key="6" * 20))

    assert current(lab) == ("a" * 20, [0, 0, 450, 450])


def test_an_alignment_that_is_gone_stops_no_layout(lab: Lab) -> None:
    source = write_layout(lab)
    apply(lab, "layout", source)
    path = write_alignment(lab, source)
    apply(lab, "alignment", path)
    (experiment_root(lab.experiment.id) / path).unlink()

    apply(lab, "layout", write_layout(lab, "b" * 20))

    assert current(lab)[0] == "b" * 20
