"""The real servers tests run against: MLflow, the app under gunicorn, the relay, and all of them.

Each has start(), kill9(), terminate() and restart(), and keeps its port and its data.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.mlflow_reader import MlflowReader
from tests.processes import ROOT, ServerProcess, answers, clean_environment, free_port
from tests.scripted_model import ScriptedModel

# The commands of an environment with nothing but requirements.txt in it, as production has it: so
# what the tests prove holds there, and servers start sooner than beside the whole of MLflow.
PRODUCTION = Path(sys.prefix) / "light" / "bin"


class MlflowServer(ServerProcess):
    """A real `mlflow server` with one worker on an SQLite file in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = folder / "mlflow.db"
        super().__init__(
            [
                *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
                *("--host", "127.0.0.1", "--port", str(self.port)),
                *("--backend-store-uri", f"sqlite:///{self.database}"),
                *("--artifacts-destination", str(folder / "artifacts")),
            ],
            clean_environment(
                MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
                # Else the first span of a model fetches a price list from the internet, and the
                # server answers nothing until that has failed.
                MLFLOW_MODEL_CATALOG_URI="",
            ),
            folder,
            "mlflow",
            self._is_answering,
            start_timeout=120,
        )

    def launch(self) -> None:
        """Start; the first time, make the tables before the server's processes open the file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.database.exists():
            subprocess.run(
                [sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{self.database}"],
                env=self.environment,
                check=True,
                capture_output=True,
            )
        super().launch()

    def _is_answering(self) -> bool:
        experiments = f"{self.url}/api/2.0/mlflow/experiments/get?experiment_id=0"
        return answers(f"{self.url}/health") and answers(experiments)


class AppServer(ServerProcess):
    """The app as it runs in production: gunicorn with the project's own configuration."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.socket_url = f"ws://127.0.0.1:{self.port}/ws/chat"
        defaults = {
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "DATA_DIR": str(folder),
            "RATE_LIMIT_MESSAGES": "100000/minute",
            "RATE_LIMIT_MESSAGES_PER_ADDRESS": "100000/minute",
            "RATE_LIMIT_FEEDBACK": "100000/minute",
        }
        super().__init__(
            [
                str(PRODUCTION / "python"),
                *("-m", "gunicorn", "-c", str(ROOT / "gunicorn.conf.py")),
                "app:create_app()",
            ],
            clean_environment(**{**defaults, **settings}),
            folder,
            "web",
            lambda: answers(f"{self.url}/healthz"),
        )


class Relay(ServerProcess):
    """The relay of an app server: same settings, same data."""

    def __init__(self, web: AppServer) -> None:
        command = [str(PRODUCTION / "python"), "-m", "app.relay"]
        super().__init__(command, web.environment, web.folder, "relay")


class Stack:
    """Scripted model, MLflow, web and relay together, with an experiment of their own."""

    def __init__(self, folder: Path, mlflow: MlflowServer, **settings: str) -> None:
        self.experiment = folder.name
        self.model = ScriptedModel()
        self.model.start()
        self.mlflow = mlflow
        self.web = AppServer(
            folder,
            **{
                "MLFLOW_TRACKING_URI": mlflow.url,
                "MLFLOW_EXPERIMENT_NAME": self.experiment,
                "OPENAI_BASE_URL": self.model.base_url,
                "OPENAI_API_KEY": "scripted-key",
                "CHAT_MODEL": "scripted",
                **settings,
            },
        )
        self.relay = Relay(self.web)
        self.reader = MlflowReader(mlflow.url, self.experiment)

    @property
    def url(self) -> str:
        """Where the app is."""
        return self.web.url

    def start(self) -> None:
        """Start web and relay side by side; MLflow and the model run already."""
        self.web.launch()
        self.relay.launch()
        self.web.wait_ready()
        self.relay.wait_ready()

    def stop(self) -> None:
        """End everything this stack started."""
        with ExitStack() as ending:
            for end in (self.model.stop, self.model.clear, self.relay.terminate):
                ending.callback(end)
            ending.callback(self.web.terminate)
            self.web.ask_to_end()
            self.relay.ask_to_end()
