"""The state folder: where it lies, who may use it, what is said when it cannot be used."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tissuemaps.embedded import state as states
from tissuemaps.embedded.errors import StartError
from tissuemaps.embedded.platform import free_port
from tissuemaps.embedded.state import State, is_running, locate, locked, prepare

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root meets this")
as_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")


@pytest.fixture
def state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> State:
    # Below /tmp: pytest's own folders are closed to other users.
    folder = Path("/tmp") / f"tm-state-{os.getpid()}-{tmp_path_factory.mktemp('s').name}"
    monkeypatch.setenv("TISSUEMAPS_STATE", str(folder))
    monkeypatch.delenv("TISSUEMAPS_DATA", raising=False)
    return locate()


def test_secret_key_is_made_once_and_private(state: State) -> None:
    prepare(state)
    first = state.secret_file.read_text()

    prepare(state)

    assert state.secret_file.read_text() == first
    assert len(first) >= 50
    assert stat.S_IMODE(state.secret_file.stat().st_mode) == 0o600


def test_the_data_of_all_groups_are_private(state: State) -> None:
    prepare(state)

    assert stat.S_IMODE(state.data.stat().st_mode) == 0o700


def test_data_that_are_there_keep_their_mode(state: State) -> None:
    state.data.mkdir(parents=True)
    state.data.chmod(0o750)

    prepare(state)

    assert stat.S_IMODE(state.data.stat().st_mode) == 0o750


def test_a_torn_secret_key_is_made_again(state: State) -> None:
    prepare(state)
    state.secret_file.write_text("torn")

    prepare(state)

    assert len(state.secret_file.read_text()) >= 50


def test_sockets_are_private(state: State) -> None:
    prepare(state)

    assert stat.S_IMODE(state.sockets.stat().st_mode) == 0o700


def test_a_long_path_gets_its_sockets_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TISSUEMAPS_STATE", "/tmp/" + "long" * 30)

    found = locate()

    assert len(str(found.sockets / states.LONGEST_SOCKET)) <= states.SOCKET_LIMIT


def test_only_one_process_holds_a_state(state: State) -> None:
    prepare(state)
    script = (
        "import sys; from tissuemaps.embedded.state import locate, locked\n"
        "with locked(locate()): print('held', flush=True); sys.stdin.read()"
    )

    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        cwd=states.CHECKOUT, text=True,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline().strip() == "held"
        held = is_running(state)
        with pytest.raises(StartError, match="already runs"), locked(state):
            pass
        other.kill()

    assert held
    assert not is_running(state)
    with locked(state):
        assert is_running(state)


def test_a_port_in_use_is_one_line() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(StartError, match=f"port {port} .*--port") as caught:
            free_port("127.0.0.1", port)

    assert "\n" not in str(caught.value)


def test_no_space_is_one_line(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TISSUEMAPS_MIN_FREE_MB", str(10**9))

    with pytest.raises(StartError, match="no space") as caught:
        prepare(state)

    assert "\n" not in str(caught.value)


def test_data_below_a_file_is_one_line(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TISSUEMAPS_DATA", str(tmp_path / "file" / "data"))

    with pytest.raises(StartError, match="cannot write in") as caught:
        prepare(state)

    assert "\n" not in str(caught.value)


@as_user
def test_unwritable_data_is_one_line(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir(mode=0o500)
    monkeypatch.setenv("TISSUEMAPS_DATA", str(tmp_path / "data"))

    with pytest.raises(StartError, match="cannot write in"):
        prepare(state)


@as_root
def test_root_in_a_closed_folder_uses_a_state_that_others_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TISSUEMAPS_STATE", raising=False)
    checkout = tmp_path / "closed" / "checkout"
    checkout.mkdir(parents=True)
    checkout.parent.chmod(0o700)

    found = locate(checkout)

    assert found.folder.parent == Path("/var/tmp")


@as_root
def test_a_state_that_only_root_reaches_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    monkeypatch.setenv("TISSUEMAPS_STATE", str(tmp_path / "closed" / "state"))
    monkeypatch.delenv("TISSUEMAPS_DATA", raising=False)

    with pytest.raises(StartError, match="TISSUEMAPS_STATE"):
        prepare(locate())


@as_root
def test_a_state_of_somebody_else_is_refused(
    state: State,
) -> None:
    state.folder.mkdir()
    os.chown(state.folder, 12345, 12345)

    with pytest.raises(StartError, match="belongs to another user"):
        prepare(state)


def test_a_second_worker_takes_the_data_folder_of_the_running_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tissuemaps.embedded.services import environment

    monkeypatch.delenv("TISSUEMAPS_DATA", raising=False)
    state = State(tmp_path, tmp_path / "run")

    told = environment(state, {"TISSUEMAPS_DATA": "/elsewhere"})
    untold = environment(state, {})

    assert told["TISSUEMAPS_DATA"] == "/elsewhere"
    assert untold["TISSUEMAPS_DATA"] == str(tmp_path / "data")
