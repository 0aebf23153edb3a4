"""Uploads in pieces: any order of mishaps ends in the right bytes or a clear refusal."""

from __future__ import annotations

import base64
import hashlib
import threading
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.http import HttpResponse
from django.test import AsyncClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.experiments.models import Acquisition, SourceFile
from apps.experiments.selectors import experiment_root
from apps.jobs.models import Event
from gpu_workers.storage import paths
from tests.integration.experiments.conftest import Lab

CONTENT = bytes(range(256)) * 40


def put(
    lab: Lab, name: str, data: bytes, start: int = 0, total: int | None = None, **headers: str
) -> HttpResponse:
    """Send a piece; returns the response."""
    end = start + len(data) - 1
    span = f"bytes {start}-{end}/{total}" if total else None
    if span:
        headers["HTTP_CONTENT_RANGE"] = span
    kind = "application/octet-stream"
    address = f"{lab.files}{quote(name, safe='/')}/"
    answer: HttpResponse = lab.client.put(address, data, content_type=kind, **headers)
    return answer


def stored(lab: Lab, name: str) -> Path:
    """Return where the whole file of a name lies."""
    return experiment_root(lab.experiment.id) / paths.uploads(lab.acquisition.id) / name


def everything(data: Path) -> list[Path]:
    """Return all files below the data folder."""
    return [path for path in data.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", [".zattrs", "plate.zarr/B/03/0/.zgroup", "a.zarr/0/0.0.0"])
def test_hidden_files_of_a_zarr_hierarchy_are_files(name: str, lab: Lab, data: Path) -> None:
    answer = put(lab, name, CONTENT, 0, len(CONTENT))

    assert answer.json()["status"] == "complete"
    assert stored(lab, name).read_bytes() == CONTENT


def test_a_file_in_pieces_appears_whole_and_only_then(lab: Lab, data: Path) -> None:
    half = len(CONTENT) // 2

    first = put(lab, "TimePoint_1/a.tif", CONTENT[:half], 0, len(CONTENT))
    between = stored(lab, "TimePoint_1/a.tif").exists()
    last = put(lab, "TimePoint_1/a.tif", CONTENT[half:], half, len(CONTENT))

    assert first.json() == {
        "name": "TimePoint_1/a.tif",
        "size": len(CONTENT),
        "received": half,
        "status": "uploading",
        "checksum": f"{zlib.crc32(CONTENT[:half]):08x}",
    }
    assert not between
    assert last.json()["status"] == "complete"
    assert last.json()["checksum"] == f"{zlib.crc32(CONTENT):08x}"
    assert stored(lab, "TimePoint_1/a.tif").read_bytes() == CONTENT
    assert [p.name for p in everything(data)] == ["a.tif"]
    assert Acquisition.objects.get(id=lab.acquisition.id).status == "complete"
    listed = lab.client.get(f"{lab.address}acquisitions/").json()["results"][0]
    assert (listed["files"], listed["bytes"], listed["status"]) == (1, len(CONTENT), "complete")


@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(cuts=st.lists(st.integers(1, len(CONTENT) - 1), max_size=6), retries=st.booleans())
def test_any_cutting_gives_the_same_bytes(lab: Lab, cuts: list[int], retries: bool) -> None:
    edges = [0, *sorted(set(cuts)), len(CONTENT)]
    name = f"cut-{SourceFile.objects.count()}.tif"

    for start, end in pairwise(edges):
        answer = put(lab, name, CONTENT[start:end], start, len(CONTENT))
        assert answer.status_code == 200
        if retries and end < len(CONTENT):
            again = put(lab, name, CONTENT[start:end], start, len(CONTENT))
            assert (again.status_code, again.json()["extra"]) == (409, {"expected": end})

    assert stored(lab, name).read_bytes() == CONTENT


def test_out_of_order_and_overlapping_pieces_are_told_where_to_go_on(lab: Lab) -> None:
    total = len(CONTENT)
    early = put(lab, "a.tif", CONTENT[100:200], 100, total)
    put(lab, "a.tif", CONTENT[:100], 0, total)

    overlap = put(lab, "a.tif", CONTENT[50:150], 50, total)
    gap = put(lab, "a.tif", CONTENT[300:400], 300, total)
    other = put(lab, "a.tif", CONTENT[100:200], 100, total + 1)

    assert early.json()["extra"] == {"expected": 0}
    assert overlap.json()["extra"] == gap.json()["extra"] == {"expected": 100}
    assert {overlap.json()["code"], gap.json()["code"]} == {"wrong_offset"}
    assert (other.status_code, other.json()["code"]) == (409, "total_mismatch")
    assert other.json()["message"].endswith("delete it first to replace it")
    assert lab.client.get(f"{lab.files}a.tif/").json()["received"] == 100


def test_a_complete_file_sent_again_changes_nothing_and_other_bytes_are_refused(lab: Lab) -> None:
    put(lab, "a.tif", CONTENT)
    row = SourceFile.objects.get(name="a.tif")

    same = put(lab, "a.tif", CONTENT)
    piece = put(lab, "a.tif", CONTENT[512:1024], 512, len(CONTENT))
    other = put(lab, "a.tif", CONTENT[::-1])

    assert (same.status_code, piece.status_code) == (200, 200)
    assert (other.status_code, other.json()["code"]) == (409, "file_exists")
    assert stored(lab, "a.tif").read_bytes() == CONTENT
    row.refresh_from_db()
    assert row.checksum == f"{zlib.crc32(CONTENT):08x}"


@pytest.mark.parametrize(
    "name",
    [
        "../a.tif",
        "a/../b.tif",
        "a//b.tif",
        "/etc/passwd",
        "./a.tif",
        "a\nb.tif",
        "a\x00b.tif",
        "a\tb.tif",
        "a\\b.tif",
        "a\u202ef.tif",
        "x" * 256,
        "ä" * 128,
        "/".join(["d" * 200] * 6),
    ],
)
def test_names_that_could_do_harm_are_refused_by_name(lab: Lab, data: Path, name: str) -> None:
    answer = put(lab, name, b"12345")

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_file_name")
    assert ascii(name[:50])[1:-1] in answer.json()["message"]
    assert not everything(data)
    assert not SourceFile.objects.exists()


def test_odd_but_harmless_names_are_kept(lab: Lab) -> None:
    for name in ("Zelle ä 1%.tif", "a b/#1?.tif", ".hidden", "..a", "A" * 255):
        assert put(lab, name, CONTENT).status_code == 200
        assert stored(lab, name).read_bytes() == CONTENT
        assert lab.client.get(f"{lab.files}{quote(name, safe='/')}/").json()["name"] == name


def test_a_file_cannot_be_a_folder_of_another(lab: Lab) -> None:
    put(lab, "a/b.tif", CONTENT)
    put(lab, "c", CONTENT)

    for name in ("a", "c/d.tif"):
        answer = put(lab, name, CONTENT)
        assert (answer.status_code, answer.json()["code"]) == (409, "name_clash")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("bytes 0-4", "bad_range"),
        ("bytes=0-4/5", "bad_range"),
        ("bytes 4-0/5", "bad_range"),
        ("bytes 0-5/5", "bad_range"),
        ("bytes */5", "bad_range"),
        ("bytes 0-9/10", "length_mismatch"),
        ("bytes 0-3/10", "length_mismatch"),
        (f"bytes 0-{'9' * 30}/1", "bad_range"),
    ],
)
def test_ranges_that_say_something_else_than_the_body_are_refused(
    lab: Lab, data: Path, header: str, code: str
) -> None:
    answer = put(lab, "a.tif", b"12345", HTTP_CONTENT_RANGE=header)

    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert not everything(data)


def test_more_than_a_request_may_carry_is_refused_before_it_is_read(
    lab: Lab, settings: Any
) -> None:
    settings.UPLOAD_REQUEST_BYTES = 1000

    answer = put(lab, "a.tif", CONTENT, 0, len(CONTENT))

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert not SourceFile.objects.exists()


def test_a_claim_beyond_the_quota_writes_nothing(lab: Lab, data: Path) -> None:
    lab.group.quota_bytes = 60 * 1024**3
    lab.group.save()

    answer = put(lab, "huge.tif", b"12345", 0, 70 * 1024**3)

    assert (answer.status_code, answer.json()["code"]) == (413, "quota_exceeded")
    assert "huge.tif" in answer.json()["message"]
    assert not everything(data)
    assert not SourceFile.objects.exists()


def test_a_claim_beyond_the_disk_writes_nothing(lab: Lab, data: Path) -> None:
    lab.group.quota_bytes = 2**62
    lab.group.save()

    answer = put(lab, "huge.tif", b"12345", 0, 10**17)

    assert (answer.status_code, answer.json()["code"]) == (409, "no_space")
    assert not everything(data)


def test_announced_files_count_against_the_quota(lab: Lab) -> None:
    lab.group.quota_bytes = 15000
    lab.group.save()
    first = put(lab, "a.tif", CONTENT[:10], 0, 10000)

    second = put(lab, "b.tif", CONTENT[:10], 0, 10000)

    assert first.status_code == 200
    assert second.json()["extra"]["used"] == 10000


def test_a_digest_is_verified(lab: Lab) -> None:
    right = base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()
    wrong = base64.b64encode(hashlib.sha256(b"").digest()).decode()

    refused = put(lab, "a.tif", CONTENT, HTTP_CONTENT_DIGEST=f"sha-256=:{wrong}:")
    accepted = put(lab, "a.tif", CONTENT, HTTP_CONTENT_DIGEST=f"sha-256=:{right}:")

    assert (refused.status_code, refused.json()["code"]) == (400, "digest_mismatch")
    assert accepted.json()["status"] == "complete"


def test_an_empty_file_is_complete_at_once(lab: Lab) -> None:
    answer = put(lab, "empty.txt", b"", HTTP_CONTENT_RANGE="bytes */0")

    assert answer.json()["status"] == "complete"
    assert stored(lab, "empty.txt").read_bytes() == b""


def _part(lab: Lab, name: str) -> Path:
    row = SourceFile.objects.get(name=name)
    return experiment_root(lab.experiment.id) / "uploads" / ".parts" / str(row.id)


def test_bytes_written_but_not_counted_before_a_crash_are_written_again(lab: Lab) -> None:
    put(lab, "a.tif", CONTENT[:100], 0, len(CONTENT))
    with _part(lab, "a.tif").open("ab") as stream:
        stream.write(b"half a piece that nobody counted" * 100)

    put(lab, "a.tif", CONTENT[100:], 100, len(CONTENT))

    assert stored(lab, "a.tif").read_bytes() == CONTENT


def test_a_crash_between_rename_and_commit_is_mended(lab: Lab) -> None:
    put(lab, "a.tif", CONTENT[:100], 0, len(CONTENT))
    part = _part(lab, "a.tif")
    part.write_bytes(CONTENT)
    stored(lab, "a.tif").parent.mkdir(parents=True, exist_ok=True)
    part.replace(stored(lab, "a.tif"))

    answer = put(lab, "a.tif", CONTENT[100:], 100, len(CONTENT))

    assert answer.json()["status"] == "complete"
    assert stored(lab, "a.tif").read_bytes() == CONTENT


def test_a_disk_that_lost_the_pieces_starts_over(lab: Lab) -> None:
    put(lab, "a.tif", CONTENT[:100], 0, len(CONTENT))
    _part(lab, "a.tif").unlink()

    answer = put(lab, "a.tif", CONTENT[100:], 100, len(CONTENT))

    assert (answer.status_code, answer.json()["extra"]) == (409, {"expected": 0})
    assert put(lab, "a.tif", CONTENT).status_code == 200


def test_an_upload_can_be_taken_back(lab: Lab, data: Path) -> None:
    put(lab, "whole.tif", CONTENT)
    put(lab, "begun.tif", CONTENT[:10], 0, len(CONTENT))

    with _committed():
        for name in ("whole.tif", "begun.tif"):
            assert lab.client.delete(f"{lab.files}{name}/").status_code == 204

    assert lab.client.get(f"{lab.files}whole.tif/").status_code == 404
    assert Acquisition.objects.get(id=lab.acquisition.id).status == "empty"
    assert not everything(data)


def _committed() -> Any:
    from django.test import TestCase

    return TestCase.captureOnCommitCallbacks(execute=True)


def test_watchers_are_told_once_a_second_at_most(
    lab: Lab, django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        for n in range(5):
            put(lab, f"{n}.tif", CONTENT)

    events = list(Event.objects.filter(scope=lab.experiment.id))
    assert [e.kind for e in events] == ["files.changed"]
    assert events[0].payload == {"acquisition": str(lab.acquisition.id)}


@pytest.mark.django_db(transaction=True)
def test_two_clients_that_send_the_same_piece_make_one_file(lab: Lab) -> None:
    half = len(CONTENT) // 2
    codes: list[int] = []

    def send() -> None:
        try:
            codes.append(put(lab, "a.tif", CONTENT[:half], 0, len(CONTENT)).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    put(lab, "a.tif", CONTENT[half:], half, len(CONTENT))

    assert sorted(codes) == [200, 409, 409, 409]
    assert stored(lab, "a.tif").read_bytes() == CONTENT


def test_the_acquisitions_size_follows_its_files(lab: Lab) -> None:
    put(lab, "a.tif", CONTENT)
    put(lab, "b.tif", CONTENT[:10], 0, 500)
    after_two = Acquisition.objects.get(id=lab.acquisition.id).size

    lab.client.delete(f"{lab.files}b.tif/")

    assert after_two == len(CONTENT) + 500
    assert Acquisition.objects.get(id=lab.acquisition.id).size == len(CONTENT)


def test_a_new_file_costs_the_same_beside_many(
    lab: Lab, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    SourceFile.objects.bulk_create(
        SourceFile(acquisition=lab.acquisition, name=f"x/{n:06d}.tif", size=1, received=1)
        for n in range(20000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE experiments_sourcefile")
        cursor.execute(
            "EXPLAIN SELECT 1 FROM experiments_sourcefile"
            " WHERE acquisition_id = %s AND name::text LIKE 'x/000001.tif/%%'",
            [lab.acquisition.id],
        )
        plan = "\n".join(row[0] for row in cursor.fetchall())

    with django_assert_max_num_queries(40):
        assert put(lab, "x/new.tif", CONTENT).status_code == 200

    assert "Index" in plan
    assert "x/000001.tif/" in plan.split("Index Cond")[1].splitlines()[0]


def test_uploads_arrive_through_asgi_as_well(lab: Lab) -> None:
    client = AsyncClient()
    client.force_login(lab.owner)

    # From a synchronous test the server's threads use this test's own connection.
    answer = async_to_sync(client.put)(
        f"{lab.files}a.tif/",
        CONTENT,
        content_type="image/tiff",
        headers={"content-range": f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"},
    )

    assert answer.json()["status"] == "complete"
    assert stored(lab, "a.tif").read_bytes() == CONTENT
