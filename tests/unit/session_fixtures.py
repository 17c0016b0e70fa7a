"""A pairing without an engine: the real plugin, selection, capability join and judging on a bench that only pretends."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from spec_fixtures import project

from lab import pytest_plugin
from lab.report.run import Run
from lab.runtime.fake import FakeRuntime
from lab.session import cells as session_cells
from lab.session.bench import Setup
from lab.verdict.blame import Hop
from lab.verdict.cells import read
from lab.verdict.model import Cell

IDLE = "lab has not begun"


@dataclass
class World:
    """What the pretended labs do, and what was done to them. Scenarios reach it as `lab.world`."""

    starts: list[BaseException] = field(default_factory=list)
    begins: list[BaseException] = field(default_factory=list)
    downs: list[BaseException] = field(default_factory=list)
    dead: dict[str, str] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    strained: str = ""
    hops: list[Hop] = field(default_factory=list)
    unreadable: list[BaseException] = field(default_factory=list)
    behaves: list[BaseException] = field(default_factory=list)
    controls: list[BaseException] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    visits: int = 0
    losses: list[dict[str, object]] = field(default_factory=list)
    """What pairing.json says of each lab that goes down, in order; of the others that nothing was lost."""


def play(planned: list[BaseException]) -> None:
    """Raise what is planned next, if anything is."""
    if planned:
        raise planned.pop(0)


class StubBench:
    """A lab that starts in no time. `world` is set on the class that a test patches in."""

    world: World

    def __init__(self, setup: Setup, runtime: object) -> None:
        self.setup = setup
        self.is_up = False
        self.handles = dict.fromkeys(("alice", "bob"), "")
        self.ended: dict[str, str] = {}
        self.stopped: set[str] = set()

    def strain(self, element: str) -> str:
        return self.world.strained

    def up(self) -> None:
        self.world.log.append("up")
        play(self.world.starts)
        self.is_up = True

    def dead(self) -> dict[str, str]:
        self.ended.update(self.world.ended)
        return {**self.world.ended, **self.world.dead}

    def pulse(self) -> None:
        return None

    def log_tail(self, element: str) -> str:
        return "the last words"

    def down(self) -> None:
        self.world.log.append("down")
        self.world.dead.clear()
        self.world.ended.clear()
        about = self.world.losses.pop(0) if self.world.losses else {"capture_dropped": 0}
        (self.setup.folder / "pairing.json").write_text(json.dumps(about))
        play(self.world.downs)


class StubLab:
    """What scenarios get."""

    def __init__(self, bench: StubBench, scenario: str, folder: Path) -> None:
        self.bench, self.world = bench, bench.world
        self.scenario = scenario
        self.folder = folder
        self.begun = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)

    def stop(self, element: str) -> None:
        self.bench.stopped.add(element)

    def begin(self) -> None:
        play(self.world.begins)

    def control(self, element: str, how: str) -> None:
        play(self.world.controls)
        self.world.log.append(f"control {element} {how}")

    def behave(self) -> None:
        self.world.log.append("behave")
        play(self.world.behaves)

    def visit(self) -> int:
        """How often scenarios came by, this time included."""
        self.world.visits += 1
        return self.world.visits


@dataclass
class Inside:
    """pytest inside a pairing of an invented project."""

    pytester: pytest.Pytester
    world: World
    root: Path
    console: str = ""

    def run(self, scenarios: str, *options: str, bind: tuple[str, ...] = ("bob=acme",)) -> int:
        """Write `scenarios/test_it.py` and run it; the exit code."""
        folder = self.root / "scenarios"
        folder.mkdir(exist_ok=True)
        (folder / "test_it.py").write_text(HEAD + scenarios)
        bound = [part for text in bind for part in ("--bind", text)]
        plugins = ("-p", "lab.pytest_plugin", "-p", "no:cacheprovider")
        result = self.pytester.runpytest_inprocess(*plugins, str(folder), *bound, *options, no_reraise_ctrlc=True)
        self.console = result.stdout.str() + result.stderr.str()
        return int(result.ret)

    @property
    def folder(self) -> Path:
        """The latest run."""
        return (self.root / "results" / "latest").resolve()

    def cells(self, *, controls: bool = False) -> dict[str, Cell]:
        """Its cells by scenario, each exactly once."""
        run = Run(self.folder)
        found = read(run.controls_file if controls else run.cells_file)
        assert len({cell.scenario for cell in found}) == len(found)
        return {cell.scenario: cell for cell in found}

    def only(self, *, controls: bool = False) -> Cell:
        """Its only cell."""
        (cell,) = self.cells(controls=controls).values()
        return cell


HEAD = """
import pytest
from lab.agents.step import Outcome, StepFailed
from lab.errors import AgentError, EvidenceError, RuntimeFault
from lab.evidence.check import Check

pytestmark = pytest.mark.lab(topology="pair", needs={"alice": ["udp"]})
"""


def project_with_helper(root: Path) -> Path:
    """The project of the spec's tests, and the image that the lab's own tools are in."""
    folder = project(root) / "images" / "helper"
    folder.mkdir()
    (folder / "vendor.yaml").write_text(HELPER)
    return root


def inside(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Inside:
    """Patch the engine away."""
    root = project_with_helper(pytester.path)
    world = World()
    monkeypatch.setattr(session_cells, "Bench", type("Bench", (StubBench,), {"world": world}))
    monkeypatch.setattr(session_cells, "Lab", StubLab)
    monkeypatch.setattr(session_cells, "save", lambda lab: _save(world, lab))
    monkeypatch.setattr(pytest_plugin, "open_runtime", lambda: FakeRuntime({}))
    monkeypatch.setattr("lab.session.selection.images_for", lambda selected, progress=None: {})
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # as the scheduler does; hypothesis alone would cost a second each
    monkeypatch.delenv("SIPLAB_PROGRESS_FD", raising=False)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv("SIPLAB_HOME", raising=False)
    return Inside(pytester, world, root)


def _save(world: World, lab: StubLab) -> list[Hop]:
    play(world.unreadable)
    (lab.folder / "ladder.svg").write_text("<svg/>")
    (lab.folder / "timeline.jsonl").write_text("{}\n")
    return world.hops


def plain(text: str) -> str:
    """Console text without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


HELPER = """\
schema: 1
name: helper
title: helper
roles: [tool]
default: "1"
flavours: {"1": {base: trixie}}
ready: {exec: ["true"]}
"""
