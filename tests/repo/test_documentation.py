"""Pages that are made of the code say what the code says; every feature that is measured is described."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gpu_workers.pipelines import library
from gpu_workers.pipelines.binding import with_objects
from gpu_workers.pipelines.documentation import PAGES, families
from gpu_workers.pipelines.prepared import prepare

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_fresh(name: str) -> None:
    kept = (DOCS / name).read_text(encoding="utf-8")

    assert kept == PAGES[name](), "python -m gpu_workers.pipelines.documentation docs"


def test_every_feature_of_the_measuring_template_is_described() -> None:
    template = with_objects(library.load("measure"), ["Cells"])
    channels = ("Dna", "Gfp")
    measured = [f.name for f in prepare(template, channels, {"Cells": ()}).features["Cells"]]
    names = [f.name for _, told in families().values() for f in told]
    patterns = [
        re.compile(re.sub(r"\\\{[^}]*\\\}", r"[^_]+", re.escape(name)) + r"(_Dna|_Gfp)*$")
        for name in names
    ]

    missing = [m for m in measured if not any(p.match(m) for p in patterns)]

    assert len(measured) > 100
    assert missing == []
