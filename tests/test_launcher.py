"""`make run`: what is in the way is said in one line; what dies is named, and all else ends."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.launcher import ROOT, Launcher, box, choose, explain, reachable
from app.preflight import CannotStart, check_folder, check_port
from app.settings import Settings
from app.supervisor import Ended
from tests.processes import clean_environment, free_port
from tests.waiting import eventually

PROCFILE = {"web": "a", "relay": "b", "mlflow": "c", "model": "d"}
SERVER = '''"""Answers every request with 200, in place of a web or an MLflow server."""
import http.server
import sys

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
'''


def settings(tmp_path: Path, **given: object) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path, **given)  # type: ignore[call-arg,arg-type]


@contextmanager
def launched(folder: Path, commands: Mapping[str, str], **environment: str) -> Iterator[Run]:
    """`python -m app.launcher` on a Procfile of `commands`, its output in a file."""
    procfile = folder / "Procfile"
    procfile.write_text("".join(f"{name}: {line}\n" for name, line in commands.items()))
    (folder / "server.py").write_text(SERVER)
    output = folder / "output.txt"
    given = clean_environment(DATA_DIR=str(folder / "data"), **environment)
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.launcher", str(procfile)],
            env=given,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Run(process, output)
    finally:
        process.terminate()
        process.wait(30)


class Run:
    """A launcher under test and what it has printed."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self.process = process
        self._output = output

    def said(self, text: str) -> bool:
        """Whether it has printed `text` by now."""
        return text in self.output()

    def output(self) -> str:
        """Everything it has printed by now."""
        return self._output.read_text()


def elsewhere() -> dict[str, str]:
    """Settings of a run that needs neither an MLflow server nor a model of its own."""
    return {
        "PORT": str(free_port()),
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
    }


def pid_in(path: Path) -> int:
    """The process ID that a fake process has written."""
    return int(eventually(lambda: path.exists() and path.read_text().strip(), timeout=30))


def has_ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize(
    ("setting", "commands"),
    [("PORT", {"web": "sleep 60"}), ("MLFLOW_PORT", {"mlflow": "sleep 60"})],
)
def test_a_port_in_use_is_one_line_that_names_port_and_setting(
    tmp_path: Path, setting: str, commands: dict[str, str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        ports = {"PORT": str(free_port()), "MLFLOW_PORT": str(free_port()), setting: port}
        with launched(tmp_path, commands, **ports) as run:
            assert run.process.wait(30) == 1
    assert run.output().count("\n") == 1
    assert f"Port {port} ({setting}) is in use" in run.output()


def test_a_wrong_setting_is_one_line_and_nothing_starts(tmp_path: Path) -> None:
    with launched(tmp_path, {"web": "touch started"}, PORT="eighty") as run:
        assert run.process.wait(30) == 1
    assert run.output().startswith("PORT: ")
    assert run.output().count("\n") == 1
    assert not (tmp_path / "started").exists()


def test_a_data_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotStart, match=r"Cannot write to .* \(DATA_DIR\)") as caught:
        check_folder(tmp_path / "file" / "data")
    assert "\n" not in caught.value.message


def test_too_little_free_disk_is_said_in_megabytes(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="1000000000000 MB are needed"):
        check_folder(tmp_path, least_free_bytes=10**18)


def test_a_free_port_is_in_nobodys_way() -> None:
    check_port("127.0.0.1", free_port(), "PORT")


def test_a_process_that_dies_is_named_with_its_status_and_last_lines_and_all_else_ends(
    tmp_path: Path,
) -> None:
    commands = {
        "web": "echo $$ > pid; exec python server.py $PORT",
        "relay": "echo the disk is on fire; exit 7",
    }
    with launched(tmp_path, commands, **elsewhere()) as run:
        assert run.process.wait(30) == 1
        assert "relay ended (exit status 7)" in run.output()
        assert "the disk is on fire" in run.output()
        assert has_ended(pid_in(tmp_path / "pid"))


def test_the_chat_is_announced_before_mlflow_is_up_and_all_addresses_after(tmp_path: Path) -> None:
    given = {**elsewhere(), "MLFLOW_TRACKING_URI": "", "MLFLOW_PORT": str(free_port())}
    commands = {
        "web": "python server.py $PORT",
        "mlflow": "read line < gate; exec python server.py $MLFLOW_PORT",
    }
    os.mkfifo(tmp_path / "gate")
    with launched(tmp_path, commands, **given) as run:
        chat = f"http://127.0.0.1:{given['PORT']}"
        eventually(lambda: run.said(f"You can chat now: {chat}"), timeout=30)
        assert run.said("MLflow is still starting")
        assert not run.said("MLflow UI")
        (tmp_path / "gate").write_text("open\n")
        eventually(lambda: run.said(f"MLflow UI  http://127.0.0.1:{given['MLFLOW_PORT']}"), 30)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_a_stop_and_a_closed_terminal_end_everything(
    tmp_path: Path, number: signal.Signals
) -> None:
    with launched(tmp_path, {"relay": "echo $$ > pid; exec sleep 600"}, **elsewhere()) as run:
        pid = pid_in(tmp_path / "pid")
        run.process.send_signal(number)
        assert run.process.wait(30) == 0
        assert has_ended(pid)
    assert run.output().endswith("Stopped.\n")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_nothing_outlives_a_killed_launcher(tmp_path: Path) -> None:
    with launched(tmp_path, {"relay": "echo $$ > pid; exec sleep 600"}, **elsewhere()) as run:
        pid = pid_in(tmp_path / "pid")
        run.process.kill()
        run.process.wait()
        eventually(lambda: has_ended(pid))


def test_everything_printed_is_logged_and_only_trouble_is_shown(tmp_path: Path) -> None:
    talk = "echo all is well; echo 'WARNING the milk is off'; echo $$ > pid; exec sleep 600"
    with launched(tmp_path, {"relay": talk}, **elsewhere()) as run:
        eventually(lambda: run.said("the milk is off"), timeout=30)
        assert not run.said("all is well")
    logged = (tmp_path / "data" / "logs" / "run.log").read_text()
    assert "all is well" in logged
    assert "the milk is off" in logged


def test_processes_are_told_the_checked_settings(tmp_path: Path) -> None:
    given = elsewhere()
    command = 'echo "$PORT $DATA_DIR" > told; exec sleep 600'
    with launched(tmp_path, {"relay": command}, **given):
        told = eventually(lambda: (tmp_path / "told").read_text(), timeout=30)
    assert told == f"{given['PORT']} {tmp_path / 'data'}\n"


def test_what_the_settings_have_elsewhere_is_not_started(tmp_path: Path) -> None:
    assert list(choose(settings(tmp_path), PROCFILE)) == ["web", "relay", "mlflow", "model"]
    tracked = settings(tmp_path, mlflow_tracking_uri="http://mlflow.example")
    assert list(choose(tracked, PROCFILE)) == ["web", "relay", "model"]
    pointed = settings(tmp_path, openai_base_url="http://model.example/v1")
    assert list(choose(pointed, PROCFILE)) == ["web", "relay", "mlflow"]
    brought = settings(tmp_path, chat_agent="mine:agent")
    assert list(choose(brought, PROCFILE)) == ["web", "relay", "mlflow"]


def test_a_launcher_refuses_before_it_starts_anything(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        chosen = settings(tmp_path, port=busy.getsockname()[1])
        launcher = Launcher(chosen, {"web": f"touch {tmp_path}/started"}, io.StringIO())
        with pytest.raises(CannotStart):
            launcher.run()
    assert not (tmp_path / "started").exists()


def test_a_process_killed_by_a_signal_is_said_to_be(tmp_path: Path) -> None:
    text = explain(Ended("web", -signal.SIGKILL, ()))
    assert "web ended (SIGKILL)" in text
    assert "it printed nothing" in text


def test_a_server_that_listens_everywhere_is_reached_on_loopback() -> None:
    assert reachable("0.0.0.0") == "127.0.0.1"
    assert reachable("192.0.2.7") == "192.0.2.7"


def test_the_box_is_as_wide_as_its_longest_line() -> None:
    assert {len(line) for line in box(["a", "abc"]).splitlines()} == {7}


def test_the_procfile_has_the_four_processes() -> None:
    names = [line.split(":")[0] for line in (ROOT / "Procfile").read_text().splitlines()]
    assert names == ["web", "relay", "mlflow", "model"]
