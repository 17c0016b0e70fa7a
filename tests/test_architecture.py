"""The shape of the code, held against design's import table: a package imports what its row allows and nothing else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
LAB = ROOT / "lab"
SOURCES = sorted(LAB.rglob("*.py"))
MAX_LINES = 400

ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "falsehood": set(),
    "spec": {"errors"},
    "plan": {"spec", "errors"},
    "picture": {"spec", "plan", "errors"},  # a topology as people see it: what was chosen and what became of it
    "render": {"plan", "errors"},
    "runtime": {"plan", "errors"},
    "agents": {"falsehood", "errors"},
    "evidence": {"falsehood", "plan", "errors"},
    "verdict": {"errors"},
    "sip": set(),  # copied into an image, so it stands alone
    "report": {"verdict", "errors"},
    "session": {"spec", "plan", "render", "runtime", "agents", "evidence", "verdict", "falsehood", "errors"},
    "live": {"session", "spec", "plan", "picture", "runtime", "agents", "evidence", "verdict", "errors"},
    "pytest_plugin": {"session", "verdict", "report", "errors"},  # it writes the run's files
    "conformance": {"session", "spec", "plan", "agents", "evidence", "verdict", "report", "schedule", "errors"},
    "schedule": {"spec", "plan", "verdict", "report", "errors"},  # pairings are the plan's, statuses the verdict's: both pure
}
"""Package or module of lab/ -> what it may import besides itself: the design's table, and everywhere the errors, which import nothing."""

FREE = {"cli", "__init__", "__main__"}
"""The command line, and what loads it, may import everything."""

OWN = {"siplab-dns", "reference", "helper", "keylog"}
"""Images of the lab itself, which its code may name."""
ALWAYS_FOREIGN = {"kamailio", "baresip", "linphone", "pjsip"}
"""Vendors that the code may never name, even while their folders are missing."""


def unit(path: Path) -> str:
    return path.relative_to(LAB).parts[0].removesuffix(".py")


def imports(path: Path, text: str) -> Iterator[str]:
    """Dotted names of all modules that a file imports, relative ones made absolute, wherever in the file."""
    package = ("lab", *path.relative_to(LAB).with_suffix("").parts)[:-1]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def forbidden(path: Path, text: str) -> list[str]:
    """The imports of a file that its row does not allow."""
    own = unit(path)
    if own in FREE:
        return []
    targets = {parts[1] for parts in (name.split(".") for name in imports(path, text)) if parts[0] == "lab" and len(parts) > 1}
    targets = {name for name in targets if (LAB / name).is_dir() or (LAB / f"{name}.py").exists()}
    return sorted(targets - ALLOWED[own] - {own})


def test_sources_are_found() -> None:
    assert len(SOURCES) > 10
    assert {unit(path) for path in SOURCES} >= {"errors", "spec", "plan"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_table(path: Path) -> None:
    own = unit(path)
    assert own in ALLOWED or own in FREE, f"{path} is in no row of the table: add it to design and here"
    assert forbidden(path, path.read_text()) == [], f"{own} may import {sorted(ALLOWED.get(own, set()))} only"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_size_and_name(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES
    assert path.name != "utils.py"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_docker_runtime_imports_docker(path: Path) -> None:
    users = [name for name in imports(path, path.read_text()) if name.split(".")[0] == "docker"]
    assert not users or (path.parent == LAB / "runtime" and path.name.startswith("docker"))


def vendor_names() -> set[str]:
    manifests = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "images").glob("*/vendor.yaml"))]
    return ({manifest["name"] for manifest in manifests} | ALWAYS_FOREIGN) - OWN


def named_vendors(text: str, names: set[str]) -> list[str]:
    pattern = re.compile(rf"(?i)(?<![a-z0-9])({'|'.join(map(re.escape, sorted(names)))})(?![a-z0-9])")
    return [match.group(0) for match in pattern.finditer(text)]


@pytest.mark.parametrize(
    "path", [path for path in sorted(LAB.rglob("*")) if path.suffix in {".py", ".j2"}], ids=lambda path: str(path.relative_to(ROOT))
)
def test_the_core_names_no_vendor(path: Path) -> None:
    assert named_vendors(path.read_text(), vendor_names()) == []


# The rules themselves: each must be able to fail.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import lab.runtime.docker", ["runtime"]),
        ("from lab.runtime import base", ["runtime"]),
        ("from lab import runtime", ["runtime"]),
        ("from ..runtime.base import Runtime", ["runtime"]),
        ("from .. import runtime, render", ["render", "runtime"]),
        ("def f():\n    from lab.report import page", ["report"]),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from lab.agents import client", ["agents"]),
        ("from lab.spec.topology import Topology\nfrom .model import Plan\nfrom lab.errors import LabError\nimport json", []),
    ],
)
def test_the_import_rule_sees(text: str, expected: list[str]) -> None:
    assert forbidden(LAB / "plan" / "build.py", text) == expected


def test_the_vendor_rule_sees() -> None:
    names = {"baresip", "kamailio"}
    assert named_vendors("# as Kamailio does", names) == ["Kamailio"]
    assert named_vendors('x = "siplab-baresip_1"', names) == ["baresip"]
    assert named_vendors("# baresipx and xkamailio", names) == []
