"""Imports point downwards only, and each outside world is one module's business."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.processes import ROOT


def test_the_import_contracts_are_kept() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_single_process_does_without_redis() -> None:
    look = "import sys, app.factory, app.relay; print('redis' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_every_module_says_its_job() -> None:
    silent = [
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "app").rglob("*.py"))
        if not path.read_text().startswith('"""')
    ]
    assert silent == []


def test_no_module_has_two_jobs() -> None:
    long = {
        path.relative_to(ROOT).as_posix(): lines
        for path in sorted((ROOT / "app").rglob("*.py"))
        if (lines := len(path.read_text().splitlines())) > 260
    }
    assert long == {}
