"""The commands behind ``./run``: what they refuse, what they pass on, what they print."""

from __future__ import annotations

import http.server
import json
import logging
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tissuemaps.cli import bootstrap, checks
from tissuemaps.cli.client import ApiError, Client
from tissuemaps.cli.main import main
from tissuemaps.embedded.state import CHECKOUT
from tissuemaps.logs import ContextFilter, JsonFormatter, LineFormatter, bound


def pip_answers(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    done = subprocess.CompletedProcess([], 0, stdout=text, stderr="")
    monkeypatch.setattr(bootstrap.subprocess, "run", lambda *_, **__: done)


@pytest.fixture(autouse=True)
def _no_index_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, _ in bootstrap.PIP_TO_UV.values():
        monkeypatch.delenv(variable, raising=False)


def test_pips_index_settings_reach_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    pip_answers(
        monkeypatch,
        "global.index-url='https://one.example/simple'\n"
        "global.extra-index-url='https://two.example/simple https://three.example/simple'\n"
        ":env:.find-links='/some/wheels'\nglobal.timeout='60'\n",
    )

    found = bootstrap._index_settings()

    assert found == {
        "UV_DEFAULT_INDEX": "https://one.example/simple",
        "UV_INDEX": "https://two.example/simple https://three.example/simple",
        "UV_FIND_LINKS": "/some/wheels",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }


def test_a_variable_that_is_set_wins_over_pips_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    pip_answers(monkeypatch, "global.index-url='https://one.example/simple'\n")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://mine.example/simple")

    assert "UV_DEFAULT_INDEX" not in bootstrap._index_settings()


def test_set_up_errors_are_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(bootstrap.SetUpError, match="no space left") as caught:
        bootstrap._command(
            ["sh", "-c", "echo write: No space left on device; exit 1"], "installing"
        )

    assert "\n" not in str(caught.value)


def test_run_needs_a_python_of_the_right_age(tmp_path: Path) -> None:
    # given a machine with the usual tools and no Python
    (tmp_path / "dirname").symlink_to(shutil.which("dirname") or "")

    done = subprocess.run(
        ["/bin/sh", CHECKOUT / "run", "doctor"], env={"PATH": str(tmp_path)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert "3.11, 3.12 or 3.13" in done.stderr
    assert done.stderr.count("\n") == 1


def test_summaries_of_several_pytest_runs_add_up() -> None:
    joined = checks._joined(
        ["10 passed, 2 skipped in 3.50s", "===== 1 failed, 5 passed in 61.20s (0:01:01) ====="]
    )

    assert joined == "15 passed, 2 skipped, 1 failed in 64.70s"


def test_what_a_person_can_mend_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["demo", "--data", "/nowhere/at/all", "--once"])

    captured = capsys.readouterr()
    assert code == 1
    assert captured.err == "run: --data /nowhere/at/all is not a folder\n"


def test_a_folder_without_a_plate_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["demo", "--data", str(tmp_path), "--once"])

    assert code == 1
    assert str(tmp_path) in capsys.readouterr().err


def test_pattern_without_data_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--pattern", "x"]) == 1
    assert "--data" in capsys.readouterr().err


def test_worker_entry_knows_no_django() -> None:
    script = (
        "import sys, tissuemaps.worker, gpu_workers.actors\n"
        "sys.exit('loaded' if 'django' in sys.modules else 0)"
    )

    assert subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, check=False).returncode == 0


def test_log_lines_carry_their_context() -> None:
    record = logging.makeLogRecord({"msg": "line\nbreak", "levelname": "INFO", "name": "n"})
    with bound(job="42"), bound(experiment="e"):
        ContextFilter().filter(record)

    assert LineFormatter().format(record).endswith("INFO n: line\\nbreak job=42 experiment=e")
    assert json.loads(JsonFormatter().format(record))["job"] == "42"


class _Api(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((self.command, self.path, dict(self.headers), body))  # type: ignore[attr-defined]
        status, content = self.server.answer  # type: ignore[attr-defined]
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = _answer  # noqa: N815

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def api() -> Iterator[http.server.HTTPServer]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Api)
    server.seen, server.answer = [], (200, b"{}")  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_large_files_go_up_in_pieces_with_their_place(
    api: http.server.HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tissuemaps.cli.client.REQUEST_BYTES", 4)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a b.tif").write_bytes(b"0123456789")
    client = Client(f"http://127.0.0.1:{api.server_port}")
    client.token = "secret"

    sent = client.upload_folder("files/", tmp_path, lambda _: None)

    assert sent == 10
    seen = api.seen  # type: ignore[attr-defined]
    assert [s[2]["Content-Range"] for s in seen] == ["bytes 0-3/10", "bytes 4-7/10", "bytes 8-9/10"]
    assert {s[1] for s in seen} == {"/api/v1/files/in/a%20b.tif/"}
    assert {s[2]["Authorization"] for s in seen} == {"Bearer secret"}
    assert b"".join(s[3] for s in seen) == b"0123456789"


def test_refusals_carry_the_servers_words(api: http.server.HTTPServer) -> None:
    api.answer = (409, b'{"code": "name_taken", "message": "taken", "extra": {}}')  # type: ignore[attr-defined]

    with pytest.raises(
        ApiError, match=r"POST experiments/ was refused \(409\): taken \[name_taken\]"
    ):
        Client(f"http://127.0.0.1:{api.server_port}").post("experiments/", {})


def test_a_server_that_is_not_there_is_one_line() -> None:
    with pytest.raises(ApiError, match="does not answer") as caught:
        Client("http://127.0.0.1:9").get("me/")

    assert "\n" not in str(caught.value)
