"""Makes the fixtures of `tests/fixtures.py` known to `tests/` and `e2e/` alike."""

pytest_plugins = ["tests.fixtures"]
