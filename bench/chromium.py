"""Starts the browser of the measurements: Playwright's own, or the system's."""

import os
import shutil
from pathlib import Path

from playwright.sync_api import Browser, Playwright


def launch(playwright: Playwright) -> Browser:
    """Return a headless Chromium."""
    own = Path(playwright.chromium.executable_path)
    if own.exists():
        return playwright.chromium.launch()
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    return playwright.chromium.launch(
        executable_path=found, args=["--disable-background-networking", *as_root]
    )
