"""Holds the README to the code: what it lists is what there is, and nothing is missing.

`python -m tests.test_docs` writes the README's settings table anew.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest
from flask import Flask

from app import create_app, outbox, protocol
from app.clock import now_ms
from app.llm.agent import AgentModel
from app.settings import Settings, load_settings
from app.web.open_sockets import GOING_AWAY, SERVICE_RESTART, TRY_AGAIN_LATER
from app.web.services import Services
from app.web.socket import INTERNAL_ERROR
from tests.processes import ROOT, clean_environment, free_port

README_PATH = ROOT / "README.md"
README = README_PATH.read_text()

SETTINGS_TABLE = re.compile(r"(?s)(<!-- settings:[^\n]*-->\n).*?(<!-- /settings -->)")
# These end a start and are read in a terminal; no client ever gets them.
TERMINAL_ONLY = {"settings", "cannot_start", "cannot_evaluate", "model_not_installed"}


def section(title: str) -> str:
    """The text below the heading `title`, up to the next heading."""
    found = re.search(rf"(?ms)^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", README)
    assert found, f"the README has no section {title!r}"
    return found[1]


def rows(title: str) -> list[list[str]]:
    """The cells of the tables in a section whose first cell is code, that cell without its `s."""
    lines = re.findall(r"(?m)^\| (`.*) \|$", section(title))
    return [[cell.strip().strip("`") for cell in line.split(" | ")] for line in lines]


def code_blocks(title: str, language: str) -> list[str]:
    """The fenced blocks of one language in a section."""
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```", section(title))


def commands(pattern: str) -> set[str]:
    """What follows `pattern` in any command the README shows."""
    shown = re.findall(r"(?ms)^```bash\n(.*?)^```|`([^`\n]+)`", README)
    return set(re.findall(pattern, "\n".join(block or inline for block, inline in shown)))


def settings_table() -> str:
    """The README's table of settings, in Markdown."""
    lines = ["| Variable | Default | Meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, tuple):
            default = ",".join(default)
        shown = "unset" if default in (None, "") else f"`{default}`".replace("|", "\\|")
        lines.append(f"| `{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(lines)


def with_settings_table(readme: str) -> str:
    return SETTINGS_TABLE.sub(lambda found: f"{found[1]}{settings_table()}\n{found[2]}", readme)


def codes_in(path: Path) -> Iterator[str]:
    """Every error code a file writes down: `code="…"`, or the first argument of `error_frame`."""
    for node in ast.walk(ast.parse(path.read_text())):
        candidates: list[ast.expr | None] = []
        match node:
            case ast.keyword(arg="code", value=value):
                candidates = [value]
            case ast.ClassDef(body=body):
                candidates = [
                    statement.value
                    for statement in body
                    if isinstance(statement, ast.Assign)
                    and [getattr(target, "id", None) for target in statement.targets] == ["code"]
                ]
            case ast.Call(func=ast.Name("error_frame"), args=[first, *_]):
                candidates = [first]
        for candidate in candidates:
            if isinstance(candidate, ast.Constant) and isinstance(candidate.value, str):
                yield candidate.value


def readme_agent() -> Any:
    """The function `answer` of the README's example of an agent."""
    [source] = code_blocks("Bring your own agent", "python")
    namespace: dict[str, Any] = {"__name__": "my_agent"}
    exec(compile(source, "README.md", "exec"), namespace)  # noqa: S102
    return namespace["answer"]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    """The app with the README's agent and no MLflow server."""
    settings = load_settings(
        _env_file=None,
        data_dir=tmp_path,
        database_url=None,
        mlflow_port=free_port(),
        mlflow_tracking_uri=None,
    )
    built = create_app(settings, AgentModel(readme_agent()))
    yield built
    services: Services = built.extensions["thumbprint"]
    services.database.close()


def test_the_settings_table_is_what_the_settings_are() -> None:
    assert with_settings_table(README) == README, "run: python -m tests.test_docs"
    assert settings_table() in README


def test_every_error_code_is_explained_and_no_other() -> None:
    sent = {code for path in (ROOT / "app").rglob("*.py") for code in codes_in(path)}
    explained = [code for code, *_ in rows("Error codes")]
    assert sorted(explained) == sorted(sent - TERMINAL_ONLY)


def test_every_server_frame_is_documented_with_its_fields() -> None:
    built = [
        protocol.start_frame("q1", "c1"),
        protocol.token_frame("q1", 1, "Hello"),
        protocol.done_frame("q1", 2, "tr-1", "stored", "stop", "<p>Hello</p>"),
        protocol.error_frame(
            "internal",
            "Sorry.",
            False,
            client_request_id="q1",
            seq=2,
            trace_id="tr-1",
            trace_state="queued",
        ),
    ]
    frames = map(json.loads, built)
    sent = {frame.pop("type"): set(frame) for frame in frames}
    table = rows("Frames from the server")
    documented = {kind: set(re.findall(r"\w+", names)) for kind, names, *_ in table}
    assert documented == sent


def test_every_client_frame_is_shown_with_all_its_fields() -> None:
    [examples] = code_blocks("Frames to the server", "json")
    shown = set()
    for line in examples.splitlines():
        frame = protocol.parse_client_frame(line, 8000)
        assert set(json.loads(line)) - {"type"} == {field.name for field in fields(frame)}
        shown.add(type(frame))
    assert shown == set(get_args(protocol.ClientFrame))


def test_the_close_codes_of_ours_are_documented() -> None:
    documented = re.findall(r"(?m)^\| (\d{4}) \|", README)
    ours = (GOING_AWAY, INTERNAL_ERROR, SERVICE_RESTART, TRY_AGAIN_LATER)
    # And those of simple-websocket and wsproto.
    theirs = {"1002", "1007", "1008", "1009"}
    assert documented == sorted({*map(str, ours), *theirs})


def test_every_route_is_documented_and_no_other(app: Flask) -> None:
    served = {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert {route for route, *_ in rows("HTTP")} == served


def test_every_make_target_the_readme_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert commands(r"\bmake ([a-z][\w-]*)") <= set(re.findall(r"(?m)^([a-z][\w-]*):", makefile))


def test_every_link_and_picture_leads_somewhere() -> None:
    headings = re.findall(r"(?m)^#+ (.+)$", README)
    anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}
    targets = re.findall(r"\]\(([^)\s]+)\)", README + (ROOT / "CHANGELOG.md").read_text())
    local = [target for target in targets if not target.startswith("http")]
    paths = [target for target in local if not target.startswith("#")]
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert {target[1:] for target in local if target.startswith("#")} <= anchors


def test_every_module_the_readme_runs_exists() -> None:
    modules = commands(r"python -m ([\w.]+)")
    assert [name for name in modules if importlib.util.find_spec(name) is None] == []


SHOWN = sorted(commands(r"flask --app app ([^\n>…]*\w)"))


@pytest.mark.parametrize("arguments", [shown for shown in SHOWN if "--" not in shown])
def test_an_operators_command_runs(arguments: str, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "flask", "--app", "app", *arguments.split()],
        env=clean_environment(DATA_DIR=str(tmp_path)),
        cwd=ROOT,
        check=True,
        timeout=60,
        # For those that ask something; in a session without a terminal they ask here.
        input=b"a long answer\n" * 2,
        start_new_session=True,
    )


@pytest.mark.parametrize("arguments", [shown for shown in SHOWN if "--" in shown])
def test_an_operators_command_has_the_options_shown(arguments: str, app: Flask) -> None:
    # What takes options works on MLflow and has tests of its own.
    result = app.test_cli_runner().invoke(args=[*arguments.split(), "--help"])
    assert result.exit_code == 0, result.output


# MLflow says this of itself while it makes its first span; as an error it would cost that span.
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")
def test_the_agent_in_the_readme_answers_and_its_span_is_in_the_trace(app: Flask) -> None:
    client = app.test_client()
    answer = client.post("/chat", json={"message": "What are your opening hours?"}).get_json()
    assert answer["response"] == "We open at nine and close at six."
    services: Services = app.extensions["thumbprint"]
    parcel = services.database.write(lambda c: outbox.claim(c, now_ms()))
    assert parcel is not None
    spans = json.loads(parcel.payload["trace"])["data"]["spans"]
    parents = {span["name"]: span["parent_span_id"] for span in spans}
    [root] = [span for span in spans if span["name"] == "chat_turn"]
    assert parents == {"chat_turn": None, "look_up": root["span_id"]}


if __name__ == "__main__":
    README_PATH.write_text(with_settings_table(README))
