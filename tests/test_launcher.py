"""`make run`: what is in the way is said in one line; what dies is named, and all else ends."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest

from app.launcher import ROOT, Launcher, box, choose, explain, reachable
from app.preflight import CannotStart, check_folder, check_port
from app.settings import Settings
from app.stop_signal import StopSignal
from app.supervisor import Ended, Supervisor
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


class Run:
    """A launcher that runs fake processes in `folder`, in a thread of this process."""

    def __init__(self, folder: Path, commands: Mapping[str, str], **given: object) -> None:
        (folder / "server.py").write_text(SERVER)
        self._screen = io.StringIO()
        chosen = settings(folder / "data", **given)
        self.launcher = Launcher(chosen, commands, self._screen, folder)
        self.stopping = StopSignal()
        self.status: int | None = None
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self.status = self.launcher.run(self.stopping)

    def output(self) -> str:
        """Everything it has printed by now."""
        return self._screen.getvalue()

    def said(self, text: str) -> bool:
        """Whether it has printed `text` by now."""
        return text in self.output()

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stopping.give()
        self.thread.join(30)
        assert not self.thread.is_alive()


def settings(data_dir: Path, **given: object) -> Settings:
    return Settings(_env_file=None, data_dir=data_dir, **given)  # type: ignore[call-arg,arg-type]


def elsewhere() -> dict[str, object]:
    """Settings of a run that needs neither an MLflow server nor a model of its own."""
    return {
        "port": free_port(),
        "mlflow_tracking_uri": "http://127.0.0.1:9",
        "openai_base_url": "http://127.0.0.1:9/v1",
    }


@contextmanager
def launcher_process(
    folder: Path, commands: Mapping[str, str], **given: object
) -> Iterator[subprocess.Popen[str]]:
    """`python -m app.launcher` on a Procfile of `commands`, as make starts it."""
    procfile = folder / "Procfile"
    procfile.write_text("".join(f"{name}: {line}\n" for name, line in commands.items()))
    environment = {name.upper(): str(value) for name, value in given.items()}
    with subprocess.Popen(
        [sys.executable, "-m", "app.launcher", str(procfile)],
        env=clean_environment(DATA_DIR=str(folder / "data"), **environment),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def pid_in(path: Path) -> int:
    """The process ID that a fake process has written."""
    return int(eventually(lambda: path.exists() and path.read_text().strip(), timeout=60))


def has_ended(pid: int) -> bool:
    """Whether no such process is left."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_port_in_use_is_one_line_on_the_screen_and_exit_status_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with launcher_process(tmp_path, {"web": "touch started"}, port=port) as process:
            output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert output.count("\n") == 1
    assert f"Port {port} (PORT) is in use" in output
    assert not (tmp_path / "started").exists()


def test_the_mlflow_port_is_checked_too_and_its_setting_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        run = Run(tmp_path, {"mlflow": "touch started"}, mlflow_port=port)
        with pytest.raises(CannotStart, match=rf"Port {port} \(MLFLOW_PORT\) is in use"):
            run.launcher.run(run.stopping)
    assert not (tmp_path / "started").exists()


def test_a_wrong_setting_is_one_line_and_nothing_starts(tmp_path: Path) -> None:
    with launcher_process(tmp_path, {"web": "touch started"}, port="eighty") as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert output.startswith("PORT: ")
    assert output.count("\n") == 1
    assert not (tmp_path / "started").exists()


def test_a_second_run_on_the_same_folder_is_one_line_and_touches_nothing(tmp_path: Path) -> None:
    with Run(tmp_path, {"relay": "echo first; exec sleep 600"}, **elsewhere()) as first:
        log_path = tmp_path / "data" / "logs" / "run.log"
        eventually(lambda: log_path.exists() and "first" in log_path.read_text())
        second = Run(tmp_path, {"relay": "touch started"}, **elsewhere())
        with pytest.raises(CannotStart, match=r"Another `make run` has .*data \(DATA_DIR\)"):
            second.launcher.run(second.stopping)
        assert first.thread.is_alive()
        assert "first" in log_path.read_text()
    assert not (tmp_path / "started").exists()
    with Run(tmp_path, {"relay": "touch started; exec sleep 600"}, **elsewhere()):
        eventually((tmp_path / "started").exists)


def test_a_data_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    check_folder(tmp_path / "data")
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_a_data_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotStart, match=r"Cannot write to .* \(DATA_DIR\)") as caught:
        check_folder(tmp_path / "file" / "data")
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("in_the_way", "words"),
    [("run.lock", r"Cannot lock .*run\.lock"), ("logs/run.log", r"Cannot write to .*run\.log")],
)
def test_a_file_that_cannot_be_opened_is_one_line(
    tmp_path: Path, in_the_way: str, words: str
) -> None:
    (tmp_path / "data" / in_the_way).mkdir(parents=True)
    run = Run(tmp_path, {"relay": "exec sleep 600"}, **elsewhere())
    with pytest.raises(CannotStart, match=words + r".*: Is a directory\.$"):
        run.launcher.run(run.stopping)


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
    with Run(tmp_path, commands, **elsewhere()) as run:
        run.thread.join(30)
        assert run.status == 1
        assert has_ended(pid_in(tmp_path / "pid"))
    assert "relay ended (exit status 7)" in run.output()
    assert "the disk is on fire" in run.output()


def test_the_chat_is_announced_before_mlflow_is_up_and_all_addresses_after(tmp_path: Path) -> None:
    ports = {"port": free_port(), "mlflow_port": free_port()}
    commands = {
        "web": "exec python server.py $PORT",
        "relay": "exec sleep 600",
        "mlflow": "read line < gate; exec python server.py $MLFLOW_PORT",
    }
    os.mkfifo(tmp_path / "gate")
    with Run(tmp_path, commands, **ports) as run:
        chat = f"http://127.0.0.1:{ports['port']}"
        eventually(lambda: run.said(f"You can chat now: {chat}"), timeout=30)
        assert run.said("MLflow is still starting")
        assert not run.said("MLflow UI")
        (tmp_path / "gate").write_text("open\n")
        eventually(lambda: run.said(f"MLflow UI  http://127.0.0.1:{ports['mlflow_port']}"), 30)
        assert run.said(f"Insights   {chat}/insights")
    assert run.status == 0
    assert run.output().endswith("Stopped.\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_ctrl_c_and_a_closed_terminal_end_everything(
    tmp_path: Path, number: signal.Signals
) -> None:
    commands = {"relay": "echo $$ > pid; exec sleep 600"}
    with launcher_process(tmp_path, commands, **elsewhere()) as process:
        pid = pid_in(tmp_path / "pid")
        process.send_signal(number)
        output, _ = process.communicate(timeout=60)
        assert has_ended(pid)
    assert process.returncode == 0
    assert output.endswith("Stopped.\n")


def test_under_nohup_a_closed_terminal_ends_nothing(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # inherited, as from `nohup`
    try:
        commands = {"relay": "touch begun; exec sleep 600"}
        with launcher_process(tmp_path, commands, **elsewhere()) as launcher:
            eventually((tmp_path / "begun").exists, timeout=30)
            [ignored] = [
                int(line.split()[1], 16)
                for line in Path(f"/proc/{launcher.pid}/status").read_text().splitlines()
                if line.startswith("SigIgn")
            ]
            assert ignored & 1 << (signal.SIGHUP - 1)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_nothing_outlives_a_killed_launcher(tmp_path: Path) -> None:
    commands = {"relay": "echo $$ > pid; exec sleep 600"}
    with launcher_process(tmp_path, commands, **elsewhere()) as process:
        pid = pid_in(tmp_path / "pid")
        process.kill()
        process.wait()
        eventually(lambda: has_ended(pid))


def test_everything_printed_is_logged_and_only_trouble_is_shown(tmp_path: Path) -> None:
    talk = "echo all is well; echo 'WARNING the milk is off'; exec sleep 600"
    with Run(tmp_path, {"relay": talk}, **elsewhere()) as run:
        eventually(lambda: run.said("the milk is off"))
        assert not run.said("all is well")
    logged = (tmp_path / "data" / "logs" / "run.log").read_text()
    assert "all is well" in logged
    assert "the milk is off" in logged


def test_a_process_goes_on_when_what_it_prints_can_be_put_nowhere(tmp_path: Path) -> None:
    chatty = "yes 'WARNING: Grüße' | head -c 300000; touch finished; exec sleep 600"
    ascii_only = io.TextIOWrapper(io.BytesIO(), "ascii")
    with Supervisor(tmp_path, os.environ, Path("/dev/full"), ascii_only) as processes:
        processes.start("relay", chatty)
        eventually((tmp_path / "finished").exists)
        assert processes.find_ended() is None


def test_a_process_that_will_not_stop_is_killed(tmp_path: Path) -> None:
    stubborn = "trap '' TERM; echo $$ > pid; while true; do sleep 1; done"
    with Supervisor(tmp_path, os.environ, tmp_path / "run.log", io.StringIO()) as processes:
        processes.start("relay", stubborn)
        pid = pid_in(tmp_path / "pid")
        processes.stop(timeout_s=0.1)
        assert has_ended(pid)


def test_processes_are_told_the_checked_settings(tmp_path: Path) -> None:
    given = elsewhere()
    command = 'echo "$PORT $DATA_DIR" > told; exec sleep 600'
    with Run(tmp_path, {"relay": command}, **given):
        told = eventually(lambda: (tmp_path / "told").read_text())
    assert told == f"{given['port']} {tmp_path / 'data'}\n"


def test_what_the_settings_have_elsewhere_is_not_started(tmp_path: Path) -> None:
    assert list(choose(settings(tmp_path), PROCFILE)) == ["web", "relay", "mlflow", "model"]
    tracked = settings(tmp_path, mlflow_tracking_uri="http://mlflow.example")
    assert list(choose(tracked, PROCFILE)) == ["web", "relay", "model"]
    pointed = settings(tmp_path, openai_base_url="http://model.example/v1")
    assert list(choose(pointed, PROCFILE)) == ["web", "relay", "mlflow"]
    brought = settings(tmp_path, chat_agent="mine:agent")
    assert list(choose(brought, PROCFILE)) == ["web", "relay", "mlflow"]


def test_a_process_killed_by_a_signal_is_said_to_be() -> None:
    text = explain(Ended("web", -signal.SIGKILL, ()))
    assert "web ended (SIGKILL)" in text
    assert "it printed nothing" in text


def test_a_server_that_listens_everywhere_is_reached_on_loopback() -> None:
    assert reachable("0.0.0.0") == "127.0.0.1"
    assert reachable("192.0.2.7") == "192.0.2.7"
    assert reachable("::") == reachable("::1") == "[::1]"


def test_the_box_is_as_wide_as_its_longest_line() -> None:
    assert {len(line) for line in box(["a", "abc"]).splitlines()} == {7}


def test_the_procfile_has_the_four_processes() -> None:
    names = [line.split(":")[0] for line in (ROOT / "Procfile").read_text().splitlines()]
    assert names == ["web", "relay", "mlflow", "model"]
