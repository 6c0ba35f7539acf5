"""What the package depends on, from pyproject.toml and the environment that `make dev` installs by hash.

python scripts/dependencies.py licences          what each extra brings, with versions and licences
python scripts/dependencies.py sbom [WHEEL]      a CycloneDX 1.6 bill of materials on stdout

Both give the same on every machine that has the pinned versions. SOURCE_DATE_EPOCH dates the bill.
"""

import hashlib
import importlib.metadata
import json
import os
import re
import sys
import tomllib
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# what the package runs on: a dependency for anything else (Windows, a browser) is none of ours
SUPPORTED = [
    {
        "python_version": version,
        "python_full_version": f"{version}.0",
        "sys_platform": name.lower(),
        "platform_system": name,
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    for version in ("3.11", "3.12", "3.13")
    for name in ("Linux", "Darwin")
]

# packages that do not name their licence by SPDX yet: what their classifiers and licence files say
CLASSIFIERS = {
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: MIT License": "MIT",
}
SPDX = re.compile(r"(?:MIT|MPL-2\.0|Apache-2\.0|BSD-3-Clause|PSF-2\.0)(?: (?:OR|AND) [\w.-]+)*")


@dataclass(frozen=True, slots=True)
class Dependency:
    """One distribution, as it is pinned."""

    name: str
    version: str
    licence: str
    needs: frozenset[str] = field(default=frozenset())

    @property
    def purl(self) -> str:
        return f"pkg:pypi/{self.name}@{self.version}"


def direct() -> Mapping[str, tuple[Requirement, ...]]:
    """Return what pyproject.toml asks for, by extra; under the empty name what every installation has."""
    extras = {"": PROJECT["dependencies"]} | PROJECT["optional-dependencies"]
    return {extra: tuple(map(Requirement, texts)) for extra, texts in extras.items()}


def closure(requirements: tuple[Requirement, ...]) -> dict[str, Dependency]:
    """Return these requirements and everything below them, by name."""
    found: dict[str, Dependency] = {}
    waiting = list(requirements)
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        below = tuple(_below(name, requirement.extras))
        needs = frozenset(canonicalize_name(other.name) for other in below)
        known = found.get(name)
        if known is None:
            found[name] = Dependency(name, importlib.metadata.version(name), licence_of(name), needs)
        elif needs <= known.needs:
            continue
        else:
            found[name] = Dependency(name, known.version, known.licence, known.needs | needs)
        waiting += below
    return found


def _below(name: str, extras: set[str]) -> Iterator[Requirement]:
    for text in importlib.metadata.requires(name) or ():
        requirement = Requirement(text)
        marker = requirement.marker
        asked = [environment | {"extra": extra} for environment in SUPPORTED for extra in (*extras, "")]
        if marker is None or any(marker.evaluate(environment) for environment in asked):
            yield requirement


def licence_of(name: str) -> str:
    """Return the SPDX expression of an installed package's licence."""
    metadata = importlib.metadata.metadata(name)
    expression = metadata.get("License-Expression") or metadata.get("License") or ""
    if SPDX.fullmatch(expression) or metadata.get("License-Expression"):
        return expression
    named = sorted({CLASSIFIERS[line] for line in metadata.get_all("Classifier", []) if line in CLASSIFIERS})
    if not named:
        raise SystemExit(
            f"watchword: expected {name} to name its licence, found none: look, and add a rule here"
        )
    return " OR ".join(named)


def everything() -> dict[str, Dependency]:
    """Return what the package with every extra depends on."""
    found: dict[str, Dependency] = {}
    for requirements in direct().values():
        for name, dependency in closure(requirements).items():
            known = found.get(name, dependency)
            found[name] = Dependency(
                name, dependency.version, dependency.licence, dependency.needs | known.needs
            )
    return dict(sorted(found.items()))


def bill(wheel: Path | None = None) -> dict[str, Any]:
    """Return the bill of materials of the package with every extra; of one wheel, if it is named."""
    required = closure(direct()[""])
    purl = f"pkg:pypi/{PROJECT['name']}@{PROJECT['version']}"
    subject: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": PROJECT["name"],
        "version": PROJECT["version"],
        "description": PROJECT["description"],
        "licenses": [{"license": {"id": PROJECT["license"]}}],
        "purl": purl,
    }
    if wheel is not None:
        subject["hashes"] = [{"alg": "SHA-256", "content": hashlib.sha256(wheel.read_bytes()).hexdigest()}]
    found = everything()
    top = sorted(canonicalize_name(one.name) for all_of in direct().values() for one in all_of)
    document: dict[str, Any] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"lifecycles": [{"phase": "build"}], "component": subject},
        "components": [_component(one, required=one.name in required) for one in found.values()],
        "dependencies": [
            {"ref": purl, "dependsOn": [found[name].purl for name in top]},
            *(
                {"ref": one.purl, "dependsOn": sorted(found[name].purl for name in one.needs)}
                for one in found.values()
            ),
        ],
    }
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is not None:
        moment = datetime.fromtimestamp(int(epoch), UTC)
        document["metadata"]["timestamp"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    text = json.dumps(document, sort_keys=True)
    return document | {"serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, text)}"}


def _component(dependency: Dependency, *, required: bool) -> dict[str, Any]:
    licence = dependency.licence
    simple = " " not in licence
    return {
        "type": "library",
        "bom-ref": dependency.purl,
        "name": dependency.name,
        "version": dependency.version,
        "scope": "required" if required else "optional",
        "licenses": [{"license": {"id": licence}} if simple else {"expression": licence}],
        "purl": dependency.purl,
    }


def licences() -> Iterator[str]:
    """Tell what each extra brings, with everything below it."""
    for extra, requirements in direct().items():
        yield f"watchword[{extra}]" if extra else "watchword"
        for dependency in sorted(closure(requirements).values(), key=lambda one: one.name):
            yield f"  {dependency.name:<20} {dependency.version:<12} {dependency.licence}"


def main(arguments: list[str]) -> int:
    match arguments:
        case ["licences"]:
            print("\n".join(licences()))
        case ["sbom", *wheel] if len(wheel) <= 1:
            print(json.dumps(bill(Path(wheel[0]) if wheel else None), indent=2))
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
