"""Projects of TissueMAPS before version 1 become pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from gpu_workers import registry
from gpu_workers.__main__ import main
from gpu_workers.errors import UserError
from gpu_workers.modules.module import Kind, Module
from gpu_workers.pipelines.convert import convert_project
from gpu_workers.pipelines.prepared import prepare
from gpu_workers.pipelines.text import read_pipeline, write_pipeline
from tests.unit.modules.test_every_module import OF_OLD

CHANNELS = ("DAPI", "GFP (488)")


def image(name: str, key: str, kind: str = "IntensityImage") -> dict[str, Any]:
    return {"name": name, "type": kind, "key": key, "help": f"what {name} is"}


def value(name: str, given: Any, kind: str = "Numeric", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "value": given, **more}


PLOT = value("plot", False, "Plot")
FIGURE = {"name": "figure", "type": "Figure", "key": "x.figure"}


def measured(objects: str) -> list[dict[str, Any]]:
    given = {"type": "SegmentedObjects", "key": objects}
    return [{"name": "extract_objects", **given}, {"name": "assign_objects", **given}]


def measurement(**refs: str) -> list[dict[str, Any]]:
    return [{"name": "measurements", "type": "Measurement", **refs}, FIGURE]


# Name of the use -> source, version, inputs, outputs; in order.
USES: dict[str, tuple[str, str, list[dict[str, Any]], list[dict[str, Any]]]] = {
    "smooth_nuclei": (
        "smooth.py", "0.1.0",
        [image("image", "DAPI"), value("filter_name", "gaussian", "Character"), value("filter_size", 2), PLOT],
        [image("smoothed_image", "smooth_nuclei.smoothed_image"), FIGURE],
    ),
    "threshold": (
        "threshold_manual.py", "0.0.1",
        [image("image", "smooth_nuclei.smoothed_image", "Image"), value("threshold", 300.0, "Scalar"), PLOT],
        [image("mask", "threshold.mask", "BinaryImage"), FIGURE],
    ),
    "fill": ("fill.py", "0.0.1", [image("mask", "threshold.mask", "BinaryImage"), PLOT],
             [image("filled_mask", "fill.filled_mask", "MaskImage")]),
    "filter_small": (
        "filter.py", "0.2.0",
        [image("mask", "fill.filled_mask", "MaskImage"), value("feature", "area", "Character"),
         value("lower_threshold", 30), value("upper_threshold", None)],
        [image("filtered_mask", "filter_small.filtered_mask", "MaskImage")],
    ),
    "label": ("label.py", "0.1.0",
              [image("mask", "filter_small.filtered_mask", "MaskImage"), value("connectivity", 8.0)],
              [image("label_image", "label.label_image", "LabelImage")]),
    "register_nuclei": ("register_objects.py", "0.1.0", [image("mask", "label.label_image", "MaskImage")],
                        [image("objects", "Nuclei", "SegmentedObjects")]),
    "expand": ("expand_or_shrink.py", "0.1.1", [image("image", "label.label_image", "LabelImage"), value("n", 4)],
               [image("expanded_image", "expand.expanded_image", "LabelImage")]),
    "clip": ("clip.py", "0.1.0",
             [image("image", "expand.expanded_image", "MaskImage"),
              image("clipping_mask", "label.label_image", "MaskImage")],
             [image("clipped_image", "clip.clipped_image", "MaskImage")]),
    "register_rings": ("register_objects.py", "0.1.0", [image("mask", "clip.clipped_image", "MaskImage")],
                       [image("objects", "Rings", "SegmentedObjects")]),
    "combine": (
        "combine_channels.py", "0.0.2",
        [image("image_1", "DAPI"), image("image_2", "GFP (488)"), value("weight_1", 1), value("weight_2", 2), PLOT],
        [image("combined_image", "combine.combined_image")],
    ),
    "unused": ("nonsense.py", "0.0.1", [], []),
    "measure_gfp": (
        "measure_intensity.py", "0.1.1",
        [*measured("Rings"), image("intensity_image", "GFP (488)"), value("aggregate", False, "Boolean"),
         value("plot", True, "Plot")],
        measurement(objects="Rings", objects_ref="extract_objects", channel_ref="intensity_image"),
    ),
    "measure_shape": (
        "measure_morphology.py", "0.2.0",
        [*measured("Nuclei"), value("measure_zernike", False, "Boolean")],
        measurement(objects="Nuclei", objects_ref="extract_objects"),
    ),
}  # fmt: skip


class Plain(yaml.SafeDumper):
    """What occurs twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def write(folder: Path, project: dict[str, Any] | None = None, **changed: Any) -> Path:
    """Write a project; `changed` replaces uses by name, None leaves one out."""
    uses = {**USES, **changed}
    (folder / "handles").mkdir(parents=True)
    listed = []
    for name, use in uses.items():
        if use is None:
            continue
        source, version, inputs, outputs = use
        data = {"version": version, "input": inputs, "output": outputs}
        text = yaml.dump(data, Dumper=Plain)
        (folder / "handles" / f"{name}.handles.yaml").write_text(text)
        listed.append(
            {
                "source": source,
                "handles": f"handles/{name}.handles.yaml",
                "active": name != "unused",
            }
        )
    data = {
        "description": "Nuclei and a ring around each",
        "version": "0.0.1",
        "input": {"channels": [{"name": c, "correct": c == "DAPI"} for c in CHANNELS]},
        "pipeline": listed,
        "output": {"objects": [{"name": "Nuclei", "as_polygons": True}, {"name": "Rings", "as_polygons": False}]},
        **(project or {}),
    }  # fmt: skip
    (folder / "pipeline.yaml").write_text(yaml.dump(data, Dumper=Plain))
    return folder


def test_a_project_runs_as_a_pipeline(tmp_path: Path) -> None:
    pipeline, _ = convert_project(write(tmp_path / "old project"))
    nuclei = np.full((60, 70), 100, np.uint16)
    nuclei[10:20, 10:20], nuclei[40:52, 30:41], nuclei[5, 60] = 900, 700, 4000
    gfp = np.arange(60 * 70, dtype=np.uint16).reshape(60, 70)

    prepared = prepare(pipeline, CHANNELS)
    found = prepared.run({"DAPI": nuclei, "GFP (488)": gfp}, (60, 70))

    assert pipeline.name == "old project"
    assert list(found) == ["Nuclei", "Rings"]
    rings, inner = found["Rings"], found["Nuclei"]
    assert set(np.unique(inner.labels)) == {0, 1, 2}
    assert inner.labels[15, 15] == rings.labels[15, 6] == 1
    assert not ((rings.labels > 0) & (inner.labels > 0)).any()
    np.testing.assert_array_equal(
        inner.columns["Morphology_Area"], np.bincount(inner.labels.ravel())[1:]
    )
    np.testing.assert_allclose(
        rings.columns["Intensity_mean_GFP (488)"],
        [gfp[rings.labels == n].mean() for n in (1, 2)],
    )


def test_what_the_project_says_is_in_the_pipeline(tmp_path: Path) -> None:
    pipeline, notes = convert_project(write(tmp_path / "p"))

    assert pipeline.description == "Nuclei and a ring around each"
    assert pipeline.channels == {"DAPI": "DAPI", "GFP_488": "GFP (488)"}
    assert [u.module for u in pipeline.modules] == [
        use[0].removesuffix(".py") for name, use in USES.items() if name != "unused"
    ]
    smooth, *_ = pipeline.modules
    assert smooth.outputs == {"smoothed_image": "smooth_nuclei_smoothed_image"}
    assert smooth.arguments == {"filter_name": "gaussian", "filter_size": 2}
    assert [(o.name, o.representation) for o in pipeline.objects] == [
        ("Nuclei", "polygons"),
        ("Rings", "points"),
    ]
    combined = next(u for u in pipeline.modules if u.module == "combine_channels")
    assert combined.arguments["stretch"] is True
    for part in ("'DAPI' was corrected", "unused.handles.yaml is not active",
                 "measure_gfp.handles.yaml: input 'plot': figures"):  # fmt: skip
        assert any(part in note for note in notes), part
    assert read_pipeline(write_pipeline(pipeline)) == pipeline


def test_the_plain_sum_of_later_versions_stays_plain(tmp_path: Path) -> None:
    source, _, inputs, outputs = USES["combine"]

    pipeline, _ = convert_project(write(tmp_path / "p", combine=(source, "0.0.3", inputs, outputs)))

    combined = next(u for u in pipeline.modules if u.module == "combine_channels")
    assert "stretch" not in combined.arguments


def test_images_are_kept_and_existing_objects_are_used(tmp_path: Path) -> None:
    project = {
        "input": {"channels": [{"name": c} for c in CHANNELS], "objects": [{"name": "Old"}]},
        "output": {
            "objects": [{"name": "Rings 1"}],
            "images": [{"name": "combine.combined_image"}],
        },
    }
    changed = dict.fromkeys(USES, None) | {
        "combine": USES["combine"],
        "rasterize": ("rasterize.py", "0.1.0", [image("objects", "Old", "SegmentedObjects")],
                      [image("label_image", "rasterize.label_image", "LabelImage")]),
        "fill_old": ("fill.py", "0.0.2", [image("mask", "rasterize.label_image", "MaskImage")],
                 [image("filled_mask", "fill.filled_mask", "MaskImage")]),
        "register": ("register_objects.py", "0.1.0", [image("mask", "fill.filled_mask", "MaskImage")],
                     [image("objects", "Rings 1", "SegmentedObjects")]),
    }  # fmt: skip

    pipeline, notes = convert_project(write(tmp_path / "p", project, **changed))

    assert pipeline.labels == {"Old": "Old"}
    assert [o.name for o in pipeline.objects] == ["Rings_1"]
    assert any("'Rings 1' is called 'Rings_1' now" in n for n in notes)
    assert [i.name for i in pipeline.images] == ["combine.combined_image"]
    prepare(pipeline, CHANNELS, {"Old": ()})


def test_kinds_that_do_not_fit_are_bridged_and_told(tmp_path: Path) -> None:
    combine = (
        "combine_channels.py", "0.0.3",
        [image("image_1", "label.label_image"), image("image_2", "GFP (488)")],
        [image("combined_image", "combine.combined_image")],
    )  # fmt: skip
    projected = (
        "project.py", "0.1.0", [image("image", "DAPI"), value("method", "sum", "Character")],
        [image("projected_image", "project.projected_image")],
    )  # fmt: skip

    pipeline, notes = convert_project(write(tmp_path / "p", combine=combine, projected=projected))

    used = next(u for u in pipeline.modules if u.module == "combine_channels")
    assert used.inputs["image_1"] == "label_label_image_intensity"
    assert any("convert_to_intensity makes intensity of 'label_label_image'" in n for n in notes)
    assert pipeline.stacks == {"DAPI_stack": "DAPI"}
    prepare(pipeline, CHANNELS)


def test_built_in_modules_stand_for_files_of_ones_own_and_matlab(tmp_path: Path) -> None:
    own = ("/anywhere/modules/fill.py", *USES["fill"][1:])
    matlab = (
        "identify_spots_2D.m", "0.0.2", [image("image", "GFP (488)"), value("spot_size", 5)],
        [image("spots", "spots.spots", "LabelImage"), image("spots_deblend", "spots.spots_deblend", "LabelImage")],
    )  # fmt: skip

    _, notes = convert_project(write(tmp_path / "p", fill=own, spots=matlab))

    assert any("fill.handles.yaml" in n and "a file of its own" in n for n in notes)
    assert any("spots.handles.yaml" in n and "Matlab code" in n for n in notes)


def replaced(use: str, part: int, number: int, **changes: Any) -> dict[str, Any]:
    """Return a use of the good project with one handle changed."""
    parts = list(USES[use])
    handles = [dict(h) for h in parts[part]]  # type: ignore[arg-type]
    handles[number].update(changes)
    parts[part] = handles  # type: ignore[assignment]
    return {use: tuple(parts)}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"fill": ("own.R", *USES["fill"][1:])}, ["fill.handles.yaml", "own.R", "a module in R"]),
        ({"fill": ("mine.py", *USES["fill"][1:])}, ["fill.handles.yaml", "mine.py", "not installed"]),
        (replaced("fill", 2, 0, key="threshold.mosk"), ["fill.handles.yaml", "'mask'", "threshold.mosk"]),
        (replaced("fill", 2, 0, name="mosk"), ["fill.handles.yaml", "'mosk'", "no such input"]),
        (replaced("fill", 2, 0, key=None), ["fill.handles.yaml", "'mask'", "no key"]),
        (replaced("fill", 3, 0, name="mosk"), ["fill.handles.yaml", "'mosk'", "no such output"]),
        (replaced("fill", 3, 0, key="threshold.mask"), ["fill.handles.yaml", "exists already"]),
        (replaced("expand", 2, 1, name="m"), ["expand.handles.yaml", "'m'", "no such argument"]),
        (replaced("expand", 2, 1, value="far"), ["expand.handles.yaml", "n:", "number"]),
        (replaced("expand", 2, 1, value=10_000), ["expand.handles.yaml", "n:", "500"]),
        (replaced("expand", 2, 0, type=None), ["expand.handles.yaml", "input.0.type"]),
    ],
)  # fmt: skip
def test_what_cannot_be_converted_is_named(
    tmp_path: Path, changed: dict[str, Any], told: list[str]
) -> None:
    with pytest.raises(UserError) as caught:
        convert_project(write(tmp_path / "p", **changed))

    assert caught.value.code == "invalid_project"
    for part in told:
        assert part in caught.value.message


@pytest.mark.parametrize(
    ("project", "told"),
    [
        ({"output": {"objects": [{"name": "Cells"}]}}, "no module makes objects 'Cells'"),
        ({"output": {"objects": [], "images": [{"name": "x.y"}]}}, "no module makes 'x.y'"),
        ({"output": None}, "no objects and no images"),
        ({"pipeline": None}, "pipeline.yaml: pipeline"),
        ({"pipeline": [{"source": "fill.py"}]}, "pipeline.0.handles"),
        ({"pipeline": [{"source": "fill.py", "handles": "handles/no.yaml"}]}, "no such file"),
        ({"pipeline": [{"source": "fill.py", "handles": "../secret.yaml"}]}, "in the project's folder"),
        ({"pipeline": [{"source": "fill.py", "handles": "handles"}]}, "no file in the project"),
        ({"input": {"channels": [{"nome": "DAPI"}]}}, "input.channels.0.name"),
        ({"pipeline": [{"source": "a.py", "handles": "b"}] * 201}, "at most 200"),
    ],
)  # fmt: skip
def test_malformed_projects_are_refused(tmp_path: Path, project: dict[str, Any], told: str) -> None:
    (tmp_path / "secret.yaml").write_text("version: 0.0.1")

    with pytest.raises(UserError, match="cannot be converted") as caught:
        convert_project(write(tmp_path / "p", project))
    assert told in caught.value.message


BOMB = "a: &a [x, x, x, x]\nb: &b [*a, *a, *a, *a]\nc: [*b, *b, *b, *b]\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (BOMB, "aliases and anchors"),
        ("x: " + "a" * 300_000, "larger than"),
        ("[" * 500, "too deep"),
        ("pipeline: !!python/object/apply:os.system [ls]", "pipeline.yaml"),
        ("pipeline: [", "line 1"),
        ("- a", "no mapping"),
        (b"\xff\xfe\x00", "UTF-8"),
    ],
)
def test_hostile_text_is_refused(tmp_path: Path, text: str | bytes, told: str) -> None:
    (tmp_path / "pipeline.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())

    with pytest.raises(UserError, match=r"cannot be converted: pipeline\.yaml") as caught:
        convert_project(tmp_path)
    assert told in caught.value.message


def test_files_outside_are_not_read_through_links(tmp_path: Path) -> None:
    (tmp_path / "outside.yaml").write_text("pipeline: []")
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "pipeline.yaml").symlink_to(tmp_path / "outside.yaml")

    with pytest.raises(UserError, match="in the project's folder"):
        convert_project(tmp_path / "p")


def test_the_command_prints_the_pipeline_below_its_notes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path / "p")

    assert main(["pipeline", "convert", str(folder)]) == 0

    printed = capsys.readouterr().out
    assert printed.startswith("# pipeline.yaml: input.channels: 'DAPI' was corrected")
    assert read_pipeline(printed) == convert_project(folder)[0]


def test_a_bilateral_filter_keeps_its_one_size_for_distance_and_intensity(tmp_path: Path) -> None:
    changed = replaced("smooth_nuclei", 2, 1, value="bilateral")

    pipeline, _ = convert_project(write(tmp_path / "p", **changed))

    assert pipeline.modules[0].arguments == {
        "filter_name": "bilateral", "filter_size": 2, "sigma_intensity": 2,
    }  # fmt: skip


KEYS = {
    Kind.INTENSITY: "GFP (488)",
    Kind.CHANNELS: "GFP (488)",
    Kind.STACK: "DAPI",
    Kind.MASK: "threshold.mask",
    Kind.LABELS: "label.label_image",
}


@pytest.mark.parametrize("name", OF_OLD)
def test_every_module_of_old_is_converted(tmp_path: Path, name: str) -> None:
    inputs, arguments, outputs = (part.split() for part in OF_OLD[name])
    module: Module = registry.load("modules", name)
    given = [image(handle, KEYS[module.inputs[handle]]) for handle in inputs]
    # what was empty has the default of now
    constants = [value(a, 5 if a == "threshold" else None) for a in arguments]
    made = [
        {"name": o, "type": "Measurement" if o == "measurements" else "Image", "key": f"last.{o}"}
        for o in outputs
    ]
    before = {
        use: USES[use] if use in ("smooth_nuclei", "threshold", "label") else None for use in USES
    }
    before["label"] = ("label.py", "0.1.0", [image("mask", "threshold.mask")],
                       [image("label_image", "label.label_image")])  # fmt: skip
    last = {"last": (f"{name}.py", "1.0.0", [*given, *constants, PLOT], [*made, FIGURE])}

    pipeline, _ = convert_project(
        write(
            tmp_path / "p",
            {"output": {"objects": [{"name": "label.label_image"}]}},
            **before,
            **last,
        )
    )

    use = pipeline.modules[-1]
    assert use.module == name
    assert set(use.inputs) == set(inputs)
    assert set(use.outputs) >= set(outputs) - {"measurements"}
    prepare(pipeline, CHANNELS)
