"""Every scenario goes green with everything right, and red, for the reason that it names, when one element is made wrong.

Where the vendor at hand is known to be wrong by itself, the scenario is red for that (`xfail`), and its control for another reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from lab_home import REPOSITORY, make_home, siplab

from lab.report.run import Run
from lab.verdict.model import Cell, Status

pytestmark = pytest.mark.docker

OTHERS = sorted(path.stem for path in (REPOSITORY / "topologies").glob("*.yaml") if path.stem not in ("check", "trapezoid"))
BINDINGS = {
    "conference": ("--bind", "carol=reference"),
    "forking": ("--bind", "alice=reference"),
    "pstn-gateway": ("--bind", "alice=reference"),
    "sbc": ("--bind", "alice=reference", "--bind", "bob=pjsip"),
    "trapezoid": ("--bind", "alice,bob=reference"),
    "trapezoid-ipv6": ("--bind", "alice,bob=reference"),
    "voicemail-ivr": ("--bind", "bob=reference"),
}
"""Where the topology's own vendors cannot do all."""
LACKING: dict[str, set[str]] = {"pstn-gateway": {"pstn-early-media-heard"}}
"""Topology -> scenarios that these vendors cannot play."""
WITHIN = 1500.0


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


INDISTINCT = {"conf-isfocus"}
"""Scenarios that the only vendor at hand fails in the way of the control, which therefore proves nothing there: no focus says `isfocus`."""


def honest(item: dict[str, str], cell: Cell) -> bool:
    """Green, or red for what the vendor is known for: not for what the control is about, or the control would prove nothing."""
    own, known, _ = cell.verdict.reason.partition(" (known")
    return cell.verdict.status is Status.PASS or (
        cell.verdict.status is Status.XFAIL and bool(known) and (item["scenario"] in INDISTINCT or not re.search(item["expect"], own))
    )


def controlled(item: dict[str, str], cell: Cell) -> bool:
    """Red for the reason that the control names, which makes a green control."""
    return cell.verdict.status is Status.PASS and cell.verdict.reason.startswith(f"{item['control']}: ")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("home"))


@pytest.mark.timeout(1600)
@pytest.mark.parametrize("topology", ["trapezoid", *(pytest.param(name, marks=pytest.mark.exhaustive) for name in OTHERS)])
def test_every_scenario_passes_and_every_control_goes_red(home: Path, topology: str) -> None:
    """With the vendors that can do most. What they cannot is told by name in LACKING, so that nothing goes untried in silence."""
    scenarios = json.loads(siplab(home, "scenarios", topology, "--json").stdout)
    assert scenarios
    assert all(item["control"] for item in scenarios), "every scenario has a negative control"

    done = siplab(home, "run", topology, *BINDINGS.get(topology, ()), "--controls", "--json", within=WITHIN)

    assert (home / "results" / "latest").exists(), done.stderr
    run = Run((home / "results" / "latest").resolve())
    cells, controls = run.cells(), run.controls()
    lacking = {cell.scenario for cell in cells if cell.verdict.status is Status.UNSUPPORTED}
    tried = [item for item in scenarios if item["scenario"] not in lacking]
    found = {
        "scenarios": not_as_wanted(tried, (cell for cell in cells if cell.scenario not in lacking), honest),
        "controls": not_as_wanted(tried, (cell for cell in controls if cell.scenario not in lacking), controlled),
    }
    print(json.dumps(found, indent=2))
    assert found == {"scenarios": {}, "controls": {}}, done.stderr
    assert lacking == LACKING.get(topology, set())
    assert done.returncode == 0, done.stderr
    assert tried
