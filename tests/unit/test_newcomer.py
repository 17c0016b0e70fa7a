"""A vendor is small: the how-to's example, added by following it, has under 80 lines of its own."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "docs/examples/baresip-python"
FILES = {"agent.py": 63, "vendor.yaml": 11, "Dockerfile": 5}
"""What its README says."""


def own(path: Path) -> list[str]:
    """Lines that are neither blank nor a comment; docstrings count."""
    return [line for line in path.read_text("utf-8").splitlines() if line.strip() and not line.lstrip().startswith("#")]


def test_the_example_is_under_80_lines() -> None:
    lines = {path.name: own(path) for path in EXAMPLE.iterdir() if path.suffix != ".md"}
    assert {name: len(found) for name, found in lines.items()} == FILES
    assert sum(FILES.values()) < 80
    assert max(len(line) for found in lines.values() for line in found) <= 140
    readme = (EXAMPLE / "README.md").read_text("utf-8")
    assert all(f"| `{name}` | {count} |" in readme for name, count in FILES.items())
