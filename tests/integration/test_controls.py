"""Every scenario goes green with everything right, and red, for the reason that it names, when one element is made wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from lab.report.run import Run
from lab.verdict.model import Cell, Status

pytestmark = pytest.mark.docker

REPOSITORY = Path(__file__).parents[2]
SIPLAB = (sys.executable, "-c", "from lab.cli import main; main()")
CAN_DO_EVERYTHING = ("--bind", "alice=pjsip", "--bind", "bob=linphone")
WITHIN = 570.0


def siplab(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SIPLAB_HOME": str(home), "NO_COLOR": "1"}
    return subprocess.run([*SIPLAB, *arguments], env=environment, capture_output=True, text=True, timeout=WITHIN, check=False)


def not_as_wanted(wanted: dict[str, str], cells: Iterable[Cell]) -> dict[str, list[str]]:
    """Scenarios without exactly one pass whose reason begins as wanted, and what they have instead."""
    found: dict[str, list[Cell]] = {scenario: [] for scenario in wanted}
    for cell in cells:
        found.setdefault(cell.scenario, []).append(cell)
    return {
        name: [f"{cell.verdict.status.value} {cell.verdict.reason}" for cell in cells]
        for name, cells in found.items()
        if len(cells) != 1 or cells[0].verdict.status is not Status.PASS or not cells[0].verdict.reason.startswith(wanted.get(name, "?"))
    }


@pytest.mark.timeout(600)
def test_every_scenario_passes_and_every_control_goes_red(tmp_path):
    for folder in ("topologies", "scenarios"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "images").symlink_to(REPOSITORY / "images")
    controls = {item["scenario"]: item["control"] for item in json.loads(siplab(tmp_path, "scenarios", "trapezoid", "--json").stdout)}
    assert controls
    assert all(controls.values()), "every scenario has a negative control"

    done = siplab(tmp_path, "run", "trapezoid", *CAN_DO_EVERYTHING, "--controls", "--json")

    assert (tmp_path / "results" / "latest").exists(), done.stderr
    run = Run((tmp_path / "results" / "latest").resolve())
    found = {
        "scenarios": not_as_wanted(dict.fromkeys(controls, ""), run.cells()),
        "controls": not_as_wanted({name: f"{control}: " for name, control in controls.items()}, run.controls()),
    }
    print(json.dumps(found, indent=2))
    assert found == {"scenarios": {}, "controls": {}}, done.stderr
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["counts"]["pass"], told["controls"]["pass"]) == (len(controls), len(controls))
