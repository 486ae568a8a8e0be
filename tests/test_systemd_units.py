"""The systemd units of `docs/deploy`: systemd accepts them, and what they start starts."""

from __future__ import annotations

import configparser
import shlex
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from app.settings import Settings
from tests.processes import ROOT, ServerProcess, answers, free_port
from tests.servers import Stack

UNITS = sorted((ROOT / "docs" / "deploy").glob("*.service"))
# Where the units say that the code is.
INSTALLED = "/opt/thumbprint"


def service(unit: Path) -> configparser.SectionProxy:
    """What a unit says of its service."""
    parsed = configparser.ConfigParser(interpolation=None, comment_prefixes=("#",))
    parsed.optionxform = str  # type: ignore[assignment, method-assign]
    parsed.read_string(unit.read_text())
    return parsed["Service"]


def test_systemd_finds_nothing_wrong_with_them(tmp_path: Path) -> None:
    assert [unit.name for unit in UNITS] == ["thumbprint-relay.service", "thumbprint-web.service"]
    assert shutil.which("systemd-analyze"), (
        "systemd-analyze is missing (Debian, Ubuntu: apt-get install systemd)"
    )
    here = [tmp_path / unit.name for unit in UNITS]
    for unit, copy in zip(UNITS, here, strict=True):
        copy.write_text(unit.read_text().replace(INSTALLED, str(ROOT)))
    checked = subprocess.run(
        ["systemd-analyze", "verify", *map(str, here)], capture_output=True, text=True, timeout=60
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_they_set_what_the_app_knows_and_keep_its_data(unit: Path) -> None:
    said = service(unit)
    given = dict(pair.split("=", 1) for pair in said["Environment"].split())
    assert set(given) <= {name.upper() for name in Settings.model_fields}
    assert given["DATA_DIR"] == f"/var/lib/{said['StateDirectory']}"
    assert given["APP_ENVIRONMENT"] == "production"
    assert said["WorkingDirectory"] == INSTALLED
    assert said["Restart"] == "always"


def test_web_has_more_time_to_leave_than_gunicorn_takes() -> None:
    [unit] = [unit for unit in UNITS if unit.stem.endswith("web")]
    takes = [
        line.split("=")[1]
        for line in (ROOT / "gunicorn.conf.py").read_text().splitlines()
        if line.startswith("graceful_timeout")
    ]
    assert int(service(unit)["TimeoutStopSec"]) > int(takes[0])


def test_web_tells_systemd_when_it_has_started_and_leaves_on_sigterm(
    stack: Stack, tmp_path: Path
) -> None:
    [unit] = [unit for unit in UNITS if unit.stem.endswith("web")]
    command = shlex.split(service(unit)["ExecStart"].replace(INSTALLED, str(ROOT)))
    port = free_port()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(60)
        own = {"PORT": str(port), "DATA_DIR": str(tmp_path)}
        environment = {**stack.web.environment, **own, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        web = ServerProcess(
            command,
            environment,
            tmp_path,
            "web",
            lambda: answers(f"http://127.0.0.1:{port}/healthz"),
            run_in=ROOT,
        )
        try:
            web.start()
            assert b"READY=1" in systemd.recv(4096)
        finally:
            web.terminate()
    assert "Shutting down: Master" in web.log()
