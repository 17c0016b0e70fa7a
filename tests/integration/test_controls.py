"""Every scenario goes green with everything right, and red, for the reason that it names, when one element is made wrong.

Where the vendor at hand is known to be wrong by itself, the scenario is red for that (`xfail`), and its control for another reason.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from lab.report.run import Run
from lab.verdict.model import Cell, Status

pytestmark = pytest.mark.docker

REPOSITORY = Path(__file__).parents[2]
SIPLAB = (sys.executable, "-c", "from lab.cli import main; main()")
CAN_DO_EVERYTHING = ("--bind", "alice,bob=reference")
WITHIN = 570.0


def siplab(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SIPLAB_HOME": str(home), "NO_COLOR": "1"}
    return subprocess.run([*SIPLAB, *arguments], env=environment, capture_output=True, text=True, timeout=WITHIN, check=False)


Wanted = Callable[[dict[str, str], Cell], bool]


def not_as_wanted(scenarios: list[dict[str, str]], cells: Iterable[Cell], wanted: Wanted) -> dict[str, list[str]]:
    """Scenarios without exactly one cell that is as wanted, and what they have instead."""
    listed = {item["scenario"]: item for item in scenarios}
    found: dict[str, list[Cell]] = {scenario: [] for scenario in listed}
    for cell in cells:
        found.setdefault(cell.scenario, []).append(cell)
    return {
        name: [f"{cell.verdict.status.value} {cell.verdict.reason}" for cell in cells]
        for name, cells in found.items()
        if len(cells) != 1 or name not in listed or not wanted(listed[name], cells[0])
    }


def honest(item: dict[str, str], cell: Cell) -> bool:
    """Green, or red for what the vendor is known for: not for what the control is about, or the control would prove nothing."""
    own, known, _ = cell.verdict.reason.partition(" (known")
    return cell.verdict.status is Status.PASS or (
        cell.verdict.status is Status.XFAIL and bool(known) and not re.search(item["expect"], own)
    )


def controlled(item: dict[str, str], cell: Cell) -> bool:
    """Red for the reason that the control names, which makes a green control."""
    return cell.verdict.status is Status.PASS and cell.verdict.reason.startswith(f"{item['control']}: ")


@pytest.mark.timeout(600)
def test_every_scenario_passes_and_every_control_goes_red(tmp_path):
    for folder in ("topologies", "scenarios"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("images", "lab"):
        (tmp_path / folder).symlink_to(REPOSITORY / folder)
    scenarios = json.loads(siplab(tmp_path, "scenarios", "trapezoid", "--json").stdout)
    assert scenarios
    assert all(item["control"] for item in scenarios), "every scenario has a negative control"

    done = siplab(tmp_path, "run", "trapezoid", *CAN_DO_EVERYTHING, "--controls", "--json")

    assert (tmp_path / "results" / "latest").exists(), done.stderr
    run = Run((tmp_path / "results" / "latest").resolve())
    found = {
        "scenarios": not_as_wanted(scenarios, run.cells(), honest),
        "controls": not_as_wanted(scenarios, run.controls(), controlled),
    }
    print(json.dumps(found, indent=2))
    assert found == {"scenarios": {}, "controls": {}}, done.stderr
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    known = told["counts"].get("xfail", 0)
    assert (told["counts"]["pass"] + known, told["controls"]["pass"]) == (len(scenarios), len(scenarios))
