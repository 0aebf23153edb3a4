"""The state folder: where the embedded services keep what they know. Entry point: `locate`."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import pwd
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tissuemaps.embedded.errors import StartError

CHECKOUT = Path(__file__).resolve().parents[2]
SOCKET_LIMIT = 107  # bytes of a unix socket's path that every system takes
LONGEST_SOCKET = ".s.PGSQL.5432.lock"


def others_may_enter(path: Path) -> bool:
    """Return whether any user of the machine can reach `path`."""
    return all(p.stat().st_mode & stat.S_IXOTH for p in [path, *path.parents])


def _short_name(path: Path) -> str:
    return f"tissuemaps-{hashlib.sha256(str(path).encode()).hexdigest()[:10]}"


@dataclass(frozen=True, slots=True)
class State:
    """One installation's folders. Everything the platform writes without being told otherwise is here."""

    folder: Path
    sockets: Path

    @property
    def data(self) -> Path:
        """Pixels and results, where `TISSUEMAPS_DATA` names no other place."""
        return Path(os.environ.get("TISSUEMAPS_DATA") or self.folder / "data")

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def secret_file(self) -> Path:
        return self.folder / "secret_key"

    @property
    def environment_file(self) -> Path:
        return self.folder / "environment.json"

    @property
    def pids_file(self) -> Path:
        return self.folder / "pids.json"

    @property
    def numba_cache(self) -> Path:
        return self.folder / "numba"

    def write_json(self, path: Path, value: Any) -> None:
        """Write a small file of the state folder atomically, readable by its owner only."""
        handle, temporary = tempfile.mkstemp(dir=self.folder, prefix=".tmp-")
        with os.fdopen(handle, "w") as stream:
            json.dump(value, stream)
        Path(temporary).replace(path)


def read_json(path: Path) -> Any:
    """Return the content of a JSON file; None where it is missing or torn."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def service_user() -> pwd.struct_passwd | None:
    """Return whom the services run as: `nobody` for root, whom PostgreSQL refuses; else None."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        raise StartError(
            "root cannot run PostgreSQL and this system has no user `nobody`; start as a plain user"
        ) from None


def _default_folder(checkout: Path) -> Path:
    folder = checkout / ".state"
    if os.geteuid() == 0 and not others_may_enter(checkout):
        return Path("/var/tmp") / _short_name(checkout)  # noqa: S108  owner and mode are checked in `_own`
    return folder


def _own(folder: Path, mode: int) -> None:
    """Make a folder of ours, or refuse one that somebody else made."""
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise StartError(
                f"{folder} belongs to another user; set TISSUEMAPS_STATE to a folder of yours"
            )
        folder.chmod(mode)
    except OSError as error:
        raise _unwritable(folder, error) from None


def _unwritable(folder: Path, error: OSError) -> StartError:
    if error.errno == errno.ENOSPC:
        return StartError(f"no space left on the disk of {folder}")
    return StartError(f"cannot write in {folder}: {error.strerror}")


def _socket_folder(folder: Path) -> Path:
    own = folder / "run"
    if len(os.fsencode(own / LONGEST_SOCKET)) <= SOCKET_LIMIT:
        return own
    return Path("/tmp") / _short_name(folder)  # noqa: S108  owner and mode are checked in `hand_over`


def locate(checkout: Path = CHECKOUT) -> State:
    """Return the state of a checkout, or the one that ``TISSUEMAPS_STATE`` names."""
    named = os.environ.get("TISSUEMAPS_STATE")
    folder = Path(named).absolute() if named else _default_folder(checkout)
    return State(folder, _socket_folder(folder))


def hand_over(folder: Path) -> None:
    """Make `folder` private (0700) to the user the services run as."""
    user = service_user()
    owner = user.pw_uid if user else os.geteuid()
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.lstat().st_uid not in {owner, os.geteuid()} or folder.is_symlink():
            raise StartError(
                f"{folder} belongs to another user; set TISSUEMAPS_STATE to another folder"
            )
        if user:
            os.chown(folder, user.pw_uid, user.pw_gid)
        folder.chmod(0o700)
    except OSError as error:
        raise _unwritable(folder, error) from None


def check_writable(folder: Path, megabytes: int = 200) -> None:
    """Raise `StartError` where `folder` cannot be written or has less than `megabytes` left."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as stream:
            stream.write(b"\0" * 4096)
            stream.flush()
            os.fsync(stream.fileno())
        free = shutil.disk_usage(folder).free // 2**20
    except OSError as error:
        raise _unwritable(folder, error) from None
    if free < int(os.environ.get("TISSUEMAPS_MIN_FREE_MB", megabytes)):
        raise StartError(f"no space: {folder} has only {free} MB left")


def _secret_key(state: State) -> None:
    try:
        handle = os.open(state.secret_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if state.secret_file.stat().st_size >= 50:
            return
        handle = os.open(state.secret_file, os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as stream:
        stream.write(secrets.token_urlsafe(50))


def _private_data(folder: Path) -> None:
    """Close the folder of all groups' pixels to other users of the machine, if it is made here."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return
    except OSError as error:
        raise _unwritable(folder, error) from None


def prepare(state: State) -> None:
    """Make the folders and the secret key of a state; say in one line why that fails."""
    _own(state.folder, 0o755)
    check_writable(state.folder)
    _private_data(state.data)
    check_writable(state.data)
    if service_user() and not others_may_enter(state.folder):
        raise StartError(
            f"{state.folder} lies in a folder that only root may enter, so that the services (run as "
            "nobody) cannot reach it; set TISSUEMAPS_STATE to another folder"
        )
    try:
        for folder in (state.logs, state.numba_cache):
            folder.mkdir(mode=0o700, exist_ok=True)
        _secret_key(state)
    except OSError as error:
        raise _unwritable(state.folder, error) from None
    hand_over(state.sockets)


@contextmanager
def locked(state: State) -> Iterator[None]:
    """Hold the state folder for this process; `StartError` where another one holds it.

    The kernel lets go of the lock when the process dies, however it dies.
    """
    handle = os.open(state.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartError(
                f"the platform already runs with the state folder {state.folder}"
            ) from None
        yield
    finally:
        os.close(handle)


def is_running(state: State) -> bool:
    """Return whether another process holds the state folder."""
    try:
        handle = os.open(state.folder / "lock", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(handle)
