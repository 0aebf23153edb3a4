"""Uploads in pieces of at most 16 MB; entry point: `file_append`.

A file's offset stands in its row. A piece is written below ``uploads/.parts`` under the row's lock,
flushed to the disk, and only then counted, so that after any crash the row never claims more than
the disk holds. The whole file appears under its name by one rename.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import shutil
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

import redis
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, Sum

from apps.accounts.models import ResearchGroup, User
from apps.core import audit
from apps.core.errors import Conflict, Invalid, NotFound, TooLarge
from apps.core.permissions import Level
from apps.core.valkey import client
from apps.experiments.models import (
    Acquisition,
    AcquisitionSource,
    AcquisitionStatus,
    FileStatus,
    SourceFile,
)
from apps.experiments.selectors import acquisition_get, experiment_root, group_bytes
from apps.experiments.services.filenames import name_check, shown
from apps.jobs.services import event_publish
from gpu_workers.storage import paths

RESERVE_BYTES = 1024**3
"""Space on the disk that uploads leave to the rest of the platform."""
PARTS = "uploads/.parts"
_RANGE = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18})")
_DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/=]+):")


@dataclass(frozen=True, slots=True)
class Piece:
    """The bytes [start, end) of a file of `total` bytes."""

    start: int
    end: int
    total: int

    @property
    def length(self) -> int:
        """Number of bytes in the piece."""
        return self.end - self.start


def piece_parse(header: str | None, content_length: int | None) -> Piece:
    """Return which bytes a request carries, from its Content-Range, or all without one.

    Raises
    ------
    Invalid
        The header is malformed, or contradicts the Content-Length.
    TooLarge
        More than one request may carry.
    """
    if header is None:
        if content_length is None:
            raise Invalid("send Content-Range: bytes first-last/total", code="range_required")
        piece = Piece(0, content_length, content_length)
    else:
        match = _RANGE.fullmatch(header.strip())
        if match is None:
            raise Invalid(
                f"Content-Range {shown(header)} is not bytes first-last/total", code="bad_range"
            )
        first, last, total = match.groups()
        piece = Piece(int(first or 0), int(last) + 1 if last else 0, int(total))
        empty = first is None
        if empty != (piece.total == 0) or (
            not empty and not piece.start < piece.end <= piece.total
        ):
            raise Invalid(f"Content-Range {shown(header)} is impossible", code="bad_range")
    if piece.length > settings.UPLOAD_REQUEST_BYTES:
        limit = settings.UPLOAD_REQUEST_BYTES
        raise TooLarge(f"send at most {limit} bytes a request", extra={"limit": limit})
    if content_length is not None and content_length != piece.length:
        raise Invalid(
            f"the range is {piece.length} bytes long, the body {content_length}",
            code="length_mismatch",
        )
    return piece


def _read(body: BinaryIO, piece: Piece, digest: str | None) -> bytes:
    """Return the piece's bytes; Invalid if the body is shorter, longer or not what its digest says."""
    blocks: list[bytes] = []
    left = piece.length + 1
    while left > 0 and (block := body.read(min(left, 1024**2))):
        blocks.append(block)
        left -= len(block)
    data = b"".join(blocks)
    if len(data) != piece.length:
        raise Invalid(
            f"the range is {piece.length} bytes long, the body is not", code="length_mismatch"
        )
    if digest:
        match = _DIGEST.search(digest)
        try:
            wanted = base64.b64decode(match.group(1), validate=True) if match else b""
        except binascii.Error:
            wanted = b""
        if wanted != hashlib.sha256(data).digest():
            raise Invalid("the body does not match its Content-Digest", code="digest_mismatch")
    return data


def _check_room(acquisition: Acquisition, size: int, name: str) -> None:
    """Refuse a file that the group's quota or the disk has no room for; holds the group's lock."""
    group_id = acquisition.plate.experiment.group_id
    group = ResearchGroup.objects.select_for_update().get(id=group_id)
    used = group_bytes(group_id=group_id)
    if used + size > group.quota_bytes:
        raise TooLarge(
            f"{shown(name)} would take {size} bytes; the group has {used} of {group.quota_bytes} in use",
            code="quota_exceeded",
            extra={"name": name, "size": size, "used": used, "quota": group.quota_bytes},
        )
    data = Path(settings.TISSUEMAPS_DATA)
    data.mkdir(parents=True, exist_ok=True)
    announced = SourceFile.objects.filter(
        status=FileStatus.UPLOADING, acquisition__source=AcquisitionSource.UPLOADS
    ).aggregate(n=Sum(F("size") - F("received")))["n"]
    free = shutil.disk_usage(data).free - RESERVE_BYTES - int(announced or 0)
    if size > free:
        raise Conflict(
            f"{shown(name)} would take {size} bytes; the server's disk has not that much room",
            code="no_space",
            extra={"name": name, "size": size},
        )


def _check_paths(acquisition: Acquisition, name: str) -> None:
    """Refuse a file whose folder is another file, or that is another file's folder."""
    folders = [name[:i] for i, c in enumerate(name) if c == "/"]
    rows = SourceFile.objects.filter(acquisition=acquisition)
    clash = rows.filter(Q(name__in=folders) | Q(name__startswith=f"{name}/")).first()
    if clash:
        raise Conflict(
            f"{shown(name)} and {shown(clash.name)} cannot both be files", code="name_clash"
        )


@transaction.atomic
def _claim(acquisition: Acquisition, name: str, piece: Piece) -> UUID:
    """Return the id of the file's row, made for the first piece if there is room."""
    Acquisition.objects.select_for_update().get(id=acquisition.id)
    row = SourceFile.objects.filter(acquisition=acquisition, name=name).first()
    if row is not None:
        if row.size != piece.total:
            raise Conflict(
                f"{shown(name)} is there already with {row.size} bytes, not {piece.total}:"
                " delete it first to replace it",
                code="total_mismatch",
                extra={"total": row.size, "received": row.received, "status": row.status},
            )
        return row.id
    if piece.start:
        raise Conflict(
            f"{shown(name)} has not been begun", code="wrong_offset", extra={"expected": 0}
        )
    _check_paths(acquisition, name)
    _check_room(acquisition, piece.total, name)
    row = SourceFile.objects.create(acquisition=acquisition, name=name, size=piece.total)
    Acquisition.objects.filter(id=acquisition.id).update(
        status=AcquisitionStatus.UPLOADING, size=F("size") + piece.total
    )
    return row.id


@dataclass(frozen=True, slots=True)
class _Places:
    part: Path
    whole: Path


def _places(acquisition: Acquisition, row: SourceFile) -> _Places:
    root = experiment_root(acquisition.plate.experiment_id)
    return _Places(root / PARTS / f"{row.id}", root / paths.uploads(acquisition.id) / row.name)


def _heal(row: SourceFile, places: _Places) -> None:
    """Bring row and disk together after a crash between a rename and its commit, or a lost disk."""
    if row.received and not places.part.exists() and places.whole.exists():
        places.whole.replace(places.part)
    held = places.part.stat().st_size if places.part.exists() else 0
    if held < row.received:
        row.received, row.checksum = 0, ""
        row.save(update_fields=["received", "checksum", "updated_at"])


def _write(row: SourceFile, places: _Places, piece: Piece, data: bytes) -> None:
    """Put a piece at its offset and onto the disk, dropping whatever an uncounted try left behind."""
    places.part.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(places.part, os.O_WRONLY | os.O_CREAT, 0o644)
    with os.fdopen(handle, "wb") as stream:
        stream.truncate(piece.start)
        stream.seek(piece.start)
        stream.write(data)
        stream.flush()
        os.fdatasync(stream.fileno())
    row.received = piece.end
    row.checksum = f"{zlib.crc32(data, int(row.checksum or '0', 16)):08x}"


def _finish(acquisition: Acquisition, row: SourceFile, places: _Places) -> None:
    places.whole.parent.mkdir(parents=True, exist_ok=True)
    places.part.replace(places.whole)
    row.status = FileStatus.COMPLETE
    transaction.on_commit(partial(_announce, acquisition.plate.experiment_id, acquisition.id))


def _announce(experiment_id: UUID, acquisition_id: UUID) -> None:
    """Tell watchers that files have come, once a second at most: a plate has thousands."""
    try:
        if not client().set(f"files:{acquisition_id}", 1, nx=True, px=1000):
            return
    except redis.RedisError:
        return
    event_publish(
        scope=experiment_id, kind="files.changed", payload={"acquisition": str(acquisition_id)}
    )


def _same(places: _Places, piece: Piece, data: bytes) -> bool:
    with places.whole.open("rb") as stream:
        stream.seek(piece.start)
        return stream.read(piece.length) == data


@transaction.atomic
def _append(
    acquisition: Acquisition, row_id: UUID, piece: Piece, data: bytes
) -> tuple[SourceFile, bool]:
    """Return the row, and whether it has the piece; a refusal still commits what `_heal` mended."""
    row = SourceFile.objects.select_for_update().filter(id=row_id).first()
    if row is None:
        raise NotFound("the file has been deleted meanwhile")
    places = _places(acquisition, row)
    if row.status == FileStatus.COMPLETE:
        if _same(places, piece, data):
            return row, True
        raise Conflict(
            f"{shown(row.name)} is there already, with other bytes",
            code="file_exists",
            extra={"received": row.received, "checksum": row.checksum},
        )
    _heal(row, places)
    if piece.start != row.received:
        return row, False
    _write(row, places, piece, data)
    if piece.end == row.size:
        _finish(acquisition, row, places)
    row.save(update_fields=["received", "checksum", "status", "updated_at"])
    return row, True


@transaction.atomic
def acquisition_settle(acquisition_id: UUID) -> None:
    """Mark the acquisition complete once none of its files is on its way."""
    acquisition = Acquisition.objects.select_for_update().get(id=acquisition_id)
    files = SourceFile.objects.filter(acquisition=acquisition)
    if files.filter(status=FileStatus.UPLOADING).exists():
        acquisition.status = AcquisitionStatus.UPLOADING
    elif files.exists():
        acquisition.status = AcquisitionStatus.COMPLETE
    else:
        acquisition.status = AcquisitionStatus.EMPTY
    acquisition.save(update_fields=["status", "updated_at"])


def _uploads_of(user: User, experiment_id: UUID, acquisition_id: UUID) -> Acquisition:
    acquisition = acquisition_get(
        user=user,
        experiment_id=experiment_id,
        acquisition_id=acquisition_id,
        level=Level.EDIT,
    )
    if acquisition.source != AcquisitionSource.UPLOADS:
        raise Conflict(
            f"{acquisition.name!r} is a registered folder, which is only read", code="registered"
        )
    return acquisition


def file_append(
    *,
    user: User,
    experiment_id: UUID,
    acquisition_id: UUID,
    name: str,
    content_range: str | None,
    content_length: int | None,
    content_digest: str | None,
    body: BinaryIO,
) -> SourceFile:
    """Add a piece to a file of an acquisition and return its row; the last piece completes it.

    A piece that a complete file already holds changes nothing. `content_digest` is an optional
    ``sha-256=:…:`` of the piece.

    Raises
    ------
    Invalid
        ``bad_file_name``, ``bad_range``, ``length_mismatch``, ``digest_mismatch``.
    TooLarge
        The piece is above the limit (``too_large``) or the file above the quota (``quota_exceeded``).
    Conflict
        ``wrong_offset`` (extra ``expected``), ``total_mismatch``, ``file_exists``, ``no_space``,
        ``name_clash``, ``registered``.
    """
    acquisition = _uploads_of(user, experiment_id, acquisition_id)
    name_check(name)
    piece = piece_parse(content_range, content_length)
    row_id = _claim(acquisition, name, piece)
    data = _read(body, piece, content_digest)
    row, accepted = _append(acquisition, row_id, piece, data)
    if not accepted:
        raise Conflict(
            f"{shown(name)} has {row.received} bytes; go on from there",
            code="wrong_offset",
            extra={"expected": row.received},
        )
    if row.status == FileStatus.COMPLETE:
        acquisition_settle(acquisition_id)
    return row


@transaction.atomic
def file_delete(*, user: User, experiment_id: UUID, acquisition_id: UUID, name: str) -> None:
    """Take back an upload, whole or begun; raises NotFound."""
    acquisition = _uploads_of(user, experiment_id, acquisition_id)
    rows = SourceFile.objects.select_for_update().filter(acquisition=acquisition)
    row = rows.filter(name=name).first() if "\x00" not in name else None
    if row is None:
        raise NotFound(f"there is no file {shown(name)}")
    places = _places(acquisition, row)
    audit.record(
        actor=user, action="file.delete", obj=row, experiment=str(experiment_id), size=row.size
    )
    row.delete()
    Acquisition.objects.filter(id=acquisition_id).update(size=F("size") - row.size)
    acquisition_settle(acquisition_id)

    def unlink() -> None:
        places.part.unlink(missing_ok=True)
        places.whole.unlink(missing_ok=True)

    transaction.on_commit(unlink)
