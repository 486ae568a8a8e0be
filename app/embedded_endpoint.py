"""Where the embedded model answers: the file its process leaves in DATA_DIR for the others."""

import json
from dataclasses import dataclass
from pathlib import Path

FILE_NAME = "embedded-model.json"


@dataclass(frozen=True, slots=True)
class EmbeddedEndpoint:
    """Address, key and model name of the running embedded model."""

    base_url: str
    api_key: str
    model: str


def read_endpoint(data_dir: Path) -> EmbeddedEndpoint | None:
    """The endpoint that answers now, or None while the model is not running."""
    try:
        return EmbeddedEndpoint(**json.loads((data_dir / FILE_NAME).read_text()))
    except FileNotFoundError:
        return None
