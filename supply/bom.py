"""Prints the list of parts of a release (SBOM) as CycloneDX 1.6 JSON: `python -m supply.bom`.

https://cyclonedx.org/docs/1.6/json/. Nothing in it depends on when or where it is made. The page
has no parts: frontend/ is all our own.
"""

from __future__ import annotations

import json
import tomllib
import uuid
from pathlib import Path
from typing import Any

from supply.parts import Part, installed, release

PROJECT = Path(__file__).parent.parent / "pyproject.toml"


def describe() -> dict[str, Any]:
    """The document."""
    ours = tomllib.loads(PROJECT.read_text())["project"]
    pinned = release()
    parts = [part for part in installed() if part.name in pinned]
    missing = pinned.keys() - {part.name for part in parts}
    if missing:
        raise SystemExit(
            f"sbom: not installed here: {', '.join(sorted(missing))}. See `make sbom`."
        )
    components = [_component(part, pinned[part.name][0]) for part in parts]
    refs = {part.name: one["bom-ref"] for part, one in zip(parts, components, strict=True)}
    root = f"pkg:pypi/{ours['name']}@{ours['version']}"
    serial = uuid.uuid5(uuid.NAMESPACE_URL, "\n".join([root, *sorted(refs.values())]))
    edges = [
        {"ref": refs[part.name], "dependsOn": sorted(refs[one] for one in part.needs & refs.keys())}
        for part in parts
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": ours["name"],
                "version": ours["version"],
                "purl": root,
                "licenses": [{"license": {"id": ours["license"]}}],
            }
        },
        "components": components,
        "dependencies": [{"ref": root, "dependsOn": sorted(refs.values())}, *edges],
    }


def _component(part: Part, version: str) -> dict[str, Any]:
    purl = f"pkg:pypi/{part.name}@{version}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": part.name,
        "version": version,
        "purl": purl,
        "licenses": [{"expression": part.licence}],
    }


if __name__ == "__main__":
    print(json.dumps(describe(), indent=1))
