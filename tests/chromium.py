"""Which Chromium tests and measurements run: Playwright's own, or the system's.

`python -m tests.chromium` fails when the system has none.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Playwright

# Not `chromium-headless-shell`: a sixth faster, but there tests of the page's speed fail at times.
SYSTEMS = ("chromium", "chromium-browser", "google-chrome")
QUIET = ("--disable-background-networking", "--disable-component-update", "--no-first-run")


def launch_arguments(playwright: Playwright) -> dict[str, Any]:
    """What `playwright.chromium.launch` takes on this machine."""
    if Path(playwright.chromium.executable_path).exists():
        return {"args": [*QUIET]}
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    return {"executable_path": find_system(), "args": [*QUIET, *as_root]}


def find_system() -> str | None:
    """The path of the system's."""
    return next(filter(None, map(shutil.which, SYSTEMS)), None)


if __name__ == "__main__":
    sys.exit(find_system() is None)
