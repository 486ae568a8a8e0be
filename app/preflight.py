"""What must hold before anything starts: free ports, some disk, a folder to itself to write to."""

import errno
import fcntl
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from app.errors import ThumbprintError

LEAST_FREE_BYTES = 500_000_000


class CannotStart(ThumbprintError):
    """Something is in the way; the message is one line that says what and how to mend it."""

    code = "cannot_start"


def check_port(host: str, port: int, setting: str) -> None:
    """Raise `CannotStart` unless `port` of `host` can be listened on; `setting` names it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As servers do: a connection that has just closed is not in the way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CannotStart(_explain(error, host, port, setting)) from error


def _explain(error: OSError, host: str, port: int, setting: str) -> str:
    if error.errno == errno.EADDRINUSE:
        other = port + 1 if port < 65535 else port - 1
        return (
            f"Port {port} ({setting}) is in use. Stop the program that uses it, or put another "
            f"into .env: {setting}={other}"
        )
    if error.errno == errno.EACCES:
        return f"Port {port} ({setting}) needs more rights than you have. Choose one above 1023."
    return f"Cannot listen on {host} port {port} ({setting}): {error.strerror or error}."


def check_folder(folder: Path, least_free_bytes: int = LEAST_FREE_BYTES) -> None:
    """Make `folder` if need be. Raises `CannotStart` when it is read-only or its disk is full."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise CannotStart(
            f"Cannot write to {folder} (DATA_DIR): {error.strerror or error}."
        ) from error
    free = shutil.disk_usage(folder).free
    if free < least_free_bytes:
        raise CannotStart(
            f"Only {free // 1_000_000} MB are free on the disk of {folder} (DATA_DIR); "
            f"{least_free_bytes // 1_000_000} MB are needed."
        )


@contextmanager
def keep_folder(folder: Path) -> Iterator[None]:
    """Have `folder` for this run alone. Raises `CannotStart` while another run has it."""
    with ExitStack() as stack:
        try:
            lock = stack.enter_context((folder / "run.lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotStart(
                f"Another `make run` has {folder} (DATA_DIR). Stop it first, or give this one a "
                "folder and ports of its own: DATA_DIR, PORT and MLFLOW_PORT."
            ) from error
        except OSError as error:
            raise CannotStart(
                f"Cannot lock {folder / 'run.lock'} (DATA_DIR): {error.strerror}."
            ) from error
        yield
