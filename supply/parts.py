"""Which packages there are: those installed here, and those of a release with their hashes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement

RELEASE = Path(__file__).with_name("release.txt")

# What classifiers and older fields say, as SPDX says it (https://spdx.org/licenses/).
_SPDX = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "GNU General Public License (GPL)": "GPL-1.0-or-later",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
# Packages whose metadata says nothing, or everything: what their licence files say.
_STATED = {
    "axe-playwright-python": "MIT",
    "huey": "MIT",
    "pyasn1-modules": "BSD-2-Clause",
    "python-dateutil": "Apache-2.0 OR BSD-3-Clause",
    "skops": "MIT",
    "sniffio": "MIT OR Apache-2.0",
    "text-unidecode": "Artistic-1.0-Perl",  # or the GPL, whichever one likes
}


@dataclass(frozen=True, slots=True)
class Part:
    """One package: its normalised name, version, licence (SPDX, "" if unknown), and needs."""

    name: str
    version: str
    licence: str
    needs: frozenset[str]


def installed() -> list[Part]:
    """Every package of this environment, by name."""
    parts = {part.name: part for part in map(_as_part, distributions())}
    return [parts[name] for name in sorted(parts)]


def release() -> dict[str, tuple[str, list[str]]]:
    """Version and SHA-256 hashes of every package of a release, by normalised name."""
    found: dict[str, tuple[str, list[str]]] = {}
    for entry in re.split(r"\n(?=[A-Za-z])", RELEASE.read_text()):
        if match := re.match(r"([\w.-]+)(?:\[[\w,-]+\])?==(\S+)", entry):
            hashes = re.findall(r"--hash=sha256:([0-9a-f]{64})", entry)
            found[normalise(match[1])] = (match[2], hashes)
    return found


def normalise(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _as_part(found: Distribution) -> Part:
    name = normalise(found.metadata["Name"])
    needs = {
        normalise(need.name)
        for need in map(Requirement, found.requires or ())
        if need.marker is None or need.marker.evaluate({"extra": ""})
    }
    return Part(name, found.version, _licence(name, found), frozenset(needs))


def _licence(name: str, found: Distribution) -> str:
    metadata = found.metadata
    if name in _STATED:
        return _STATED[name]
    if "License-Expression" in metadata:
        return metadata["License-Expression"]
    classifiers = [one for one in metadata.get_all("Classifier", []) if one.startswith("License ")]
    said = [one.split(" :: ")[-1] for one in classifiers] or metadata.get_all("License", [])
    # Some paste the whole text there.
    return " AND ".join(sorted({_SPDX.get(one, one) for one in said if len(one) < 60}))
