"""Registered folders: files of the server that are read where they lie, and never written."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from uuid import UUID

from django.conf import settings
from django.db import transaction

from apps.accounts.models import ResearchGroup, User
from apps.accounts.selectors import groups_list
from apps.core import audit
from apps.core.errors import Conflict, Invalid, PermissionDenied
from apps.core.permissions import Level
from apps.experiments.models import (
    Acquisition,
    AcquisitionSource,
    AcquisitionStatus,
    FileStatus,
    SourceFile,
)
from apps.experiments.selectors import acquisition_get
from apps.experiments.services.filenames import name_fault, shown
from apps.jobs.services import event_publish


def roots_of(group: ResearchGroup) -> list[Path]:
    """Return the folders that a group may register from.

    A root of the settings that holds ``{group}`` is a folder of its own for each group.
    """
    found: list[Path] = []
    for root in settings.TISSUEMAPS_ROOTS:
        text = str(root)
        if "{group}" in text:
            if name_fault(group.name) or "/" in group.name:
                continue
            text = text.replace("{group}", group.name)
        found.append(Path(text))
    return found


def _outside(path: str) -> Invalid:
    return Invalid(
        f"{shown(path)} is not below a folder that you may register from", code="outside_roots"
    )


def folder_resolve(path: str, roots: list[Path]) -> Path:
    """Return the real folder of a path below one of some roots.

    Raises
    ------
    Invalid
        ``bad_path`` (control characters, ``..``, not absolute), ``outside_roots``, ``symlink``,
        ``no_such_folder``, ``not_a_folder``; the message names the path.
    """
    plain = PurePosixPath(path)
    if any(ord(c) < 32 or ord(c) == 127 for c in path) or ".." in plain.parts:
        raise Invalid(f"{shown(path)} is not a plain path", code="bad_path")
    if not plain.is_absolute():
        raise Invalid(f"{shown(path)} is not an absolute path", code="bad_path")
    for root in roots:
        real = root.resolve()
        for base in (root.absolute(), real):
            if plain.is_relative_to(base):
                return _walk(real, plain.relative_to(base), path)
    raise _outside(path)


def _walk(root: Path, relative: PurePosixPath, path: str) -> Path:
    """Go down from a root, part by part, refusing links."""
    here = root
    mode = stat.S_IFDIR
    for part in relative.parts:
        here = here / part
        try:
            mode = here.lstat().st_mode
        except OSError:
            raise Invalid(f"there is no folder {shown(path)}", code="no_such_folder") from None
        if stat.S_ISLNK(mode):
            raise Invalid(f"{shown(str(here))} is a symbolic link", code="symlink")
    if not here.exists():
        raise Invalid(f"there is no folder {shown(path)}", code="no_such_folder")
    if not stat.S_ISDIR(mode):
        raise Invalid(f"{shown(path)} is not a folder", code="not_a_folder")
    data = Path(settings.TISSUEMAPS_DATA).resolve()
    if here.is_relative_to(data) or data.is_relative_to(here):
        raise _outside(path)
    return here


def _scan(folder: Path, prefix: str) -> Iterator[tuple[str, int]]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise Invalid(
            f"{shown(prefix or str(folder))} cannot be read: {error.strerror}", code="unreadable"
        ) from None
    for entry in entries:
        name = f"{prefix}{entry.name}"
        fault = name_fault(name)
        if fault:
            raise Invalid(f"the file name {shown(name)} {fault}", code="bad_file_name")
        if entry.is_symlink():
            raise Invalid(f"{shown(name)} is a symbolic link", code="symlink")
        if entry.is_dir(follow_symlinks=False):
            yield from _scan(Path(entry.path), f"{name}/")
        elif entry.is_file(follow_symlinks=False):
            yield name, entry.stat(follow_symlinks=False).st_size
        else:
            raise Invalid(f"{shown(name)} is neither a file nor a folder", code="not_a_file")


@transaction.atomic
def folder_register(
    *, user: User, experiment_id: UUID, acquisition_id: UUID, path: str
) -> tuple[int, int]:
    """Have an acquisition read its files from a folder of the server; returns files and bytes.

    Registering again lists the folder anew. Nothing is copied or written there.

    Raises
    ------
    PermissionDenied
        The user is no member of the experiment's group: a grant shares the experiment, not the
        group's folders on the server.
    Invalid
        The folder is not one the user may register, holds links, odd names or no file at all.
    Conflict
        The acquisition has uploads.
    """
    acquisition = acquisition_get(
        user=user,
        experiment_id=experiment_id,
        acquisition_id=acquisition_id,
        level=Level.EDIT,
    )
    group = acquisition.plate.experiment.group
    if not groups_list(user=user).filter(id=group.id).exists():
        raise PermissionDenied(f"only members of {group.name!r} may register its folders")
    folder = folder_resolve(path, roots_of(group))
    found = list(_scan(folder, ""))
    if not found:
        raise Invalid(f"there is no file in {shown(path)}", code="empty_folder")
    locked = Acquisition.objects.select_for_update().get(id=acquisition_id)
    files = SourceFile.objects.filter(acquisition=locked)
    if locked.source == AcquisitionSource.UPLOADS and files.exists():
        raise Conflict(f"{locked.name!r} has uploaded files", code="has_uploads")
    files.delete()
    SourceFile.objects.bulk_create(
        (
            SourceFile(
                acquisition=locked,
                name=name,
                size=size,
                received=size,
                status=FileStatus.COMPLETE,
            )
            for name, size in found
        ),
        batch_size=2000,
    )
    locked.source = AcquisitionSource.REGISTERED
    locked.folder = str(folder)
    locked.status = AcquisitionStatus.COMPLETE
    locked.size = sum(size for _, size in found)
    locked.save(update_fields=["source", "folder", "status", "size", "updated_at"])
    audit.record(actor=user, action="acquisition.register", obj=locked, folder=str(folder))
    event_publish(
        scope=experiment_id, kind="files.changed", payload={"acquisition": str(acquisition_id)}
    )
    return len(found), locked.size
