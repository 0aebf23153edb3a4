"""Pipelines as text: read back as written, and refused with the place of what is wrong."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_workers.errors import UserError
from gpu_workers.pipelines.text import MAX_TEXT, read_pipeline, write_pipeline

TEXT = """
version: 1
channels: {dna: DAPI}
modules:
  - module: smooth
    inputs: {image: dna}
    outputs: {smoothed_image: soft}
  - module: measure_intensity
    inputs: {extract_objects: nuclei, intensity_image: "*"}
objects:
  - {name: Nuclei, labels: nuclei}
"""


def test_yaml_and_json_say_the_same() -> None:
    pipeline = read_pipeline(TEXT)

    assert read_pipeline(json.dumps(pipeline.model_dump(mode="json"))) == pipeline
    assert read_pipeline(write_pipeline(pipeline)) == pipeline
    assert pipeline.modules[1].inputs["intensity_image"] == "*"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a: &x 1\nb: *x", "line 1: aliases"),
        ("modules: [", "line 1"),
        ("a: !!python/object/apply:os.system [ls]", "line 1"),
        ("modules: []\nmodules: []", "line 2: 'modules' stands here twice"),
        ("[" * 30, "too deep"),
        ("- 1", "no mapping"),
        ("1: 2\nmodules: []", "line 1: the key 1 is no text"),
        ("modules: 3", "modules"),
        ("modules: []\nchannelz: {}", "channelz"),
        ("", "no mapping"),
        ("modules: [" + "{module: x}," * 201 + "]", "modules"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, where: str) -> None:
    with pytest.raises(UserError, match="malformed") as caught:
        read_pipeline(text)

    assert where in caught.value.message
    assert caught.value.code == "invalid_pipeline"


def test_text_is_bounded() -> None:
    with pytest.raises(UserError, match="characters"):
        read_pipeline("#" * (MAX_TEXT + 1))


def test_numbers_without_end_are_no_memory() -> None:
    with pytest.raises(UserError, match="too many parts"):
        read_pipeline("modules: [" + "1," * 30_000 + "]")


@given(st.text(max_size=200))
def test_any_text_is_a_pipeline_or_a_plain_error(text: str) -> None:
    codes = []
    try:
        read_pipeline(text)
    except UserError as error:
        codes.append(error.code)

    assert set(codes) <= {"invalid_pipeline"}
