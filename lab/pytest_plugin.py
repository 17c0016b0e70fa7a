"""pytest inside one pairing: the lab is started once, every scenario that applies runs on it, each ends as one cell.

`pytest scenarios/ --topology trapezoid --bind alice=acme` in an editor and `siplab run` in CI are the same path. The plugin is idle
where no collected test has the `lab` marker.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from select import poll
from typing import Any

import pytest

from lab.errors import EvidenceError, LabError
from lab.report import run as runs
from lab.report.proof import take_back
from lab.report.write import write_reports
from lab.session.cells import ALIVE, UNTRIED, Pairing
from lab.session.lab import Lab
from lab.session.marks import about_of, check_topologies, control_of, expected_of, needs_of, scenario_name, title_of, topologies_of
from lab.session.selection import Binding, Runtime, Selected, expectations, open_runtime, select, setup_for
from lab.verdict import cells
from lab.verdict.decide import against, exit_code
from lab.verdict.expectation import Expectation, known
from lab.verdict.model import Attempt, Cell, Status, Verdict

ERROR = pytest.StashKey[BaseException]()
LAB = pytest.StashKey[Lab]()
ATTEMPTS = 2
"""A cell whose lab failed is tried once more on a fresh lab; a vendor's failure is never retried."""
INTERRUPTED = 130
OUTCOMES = {Status.PASS: "passed", Status.UNSUPPORTED: "skipped", Status.XFAIL: "skipped"}
"""How pytest counts a cell; whatever is not here has failed."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of a pairing."""
    group = parser.getgroup("siplab", "SIP interoperability labs")
    group.addoption("--topology", help="topology to run on; default: the one that the selected scenarios name")
    group.addoption("--bind", action="append", default=[], metavar="ELEMENT=VENDOR", help="bind an element to a vendor; repeatable")
    group.addoption("--vendor", action="append", default=[], metavar="NAME=IMAGE", help="a vendor from outside: an image or a folder")
    group.addoption("--pairing", metavar="ID", help="run only this one of the pairings that the bindings make")
    group.addoption("--pairing-prefix", default="", metavar="TEXT", help="begins the pairing's id, in a run on several topologies")
    group.addoption("--controls", action="store_true", help="run each scenario's negative control instead: it has to turn red")
    group.addoption("--leave-out", action="append", default=[], metavar="SCENARIO", help="another pairing of the run judges it; repeatable")
    group.addoption("--assume", action="append", default=[], metavar="ELEMENT", help="run its cells whatever its vendor declares")
    group.addoption("--run-folder", help="existing run folder to add cells to; default: a new one below results/")
    group.addoption("--seed", type=int, default=1, help="seed of the plan (default: 1)")
    group.addoption("--list-cells", metavar="FILE", help="write the selected scenarios as JSON and run nothing")


def pytest_configure(config: pytest.Config) -> None:
    """Markers of scenarios."""
    config.addinivalue_line(
        "markers",
        "lab(topology, needs, about): a scenario; needs maps elements to capabilities, about names whom it judges",
    )
    config.addinivalue_line("markers", "control(element, how, expect): its negative control; expect is a pattern of the red reason")
    config.pluginmanager.register(Scenarios(config), "siplab-scenarios")


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Lab:
    """The running lab, with every element as after start-up and the wire empty."""
    plugin: Scenarios = request.config.pluginmanager.get_plugin("siplab-scenarios")  # type: ignore[assignment]
    return plugin.open(request.node)


class Scenarios:
    """The scenarios of one pytest process: one pairing, one lab."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.pairing: Pairing | None = None
        self.run: runs.Run | None = None
        self.statuses: list[Status] = []
        self._known: list[Expectation] = []
        self._own_run = False
        self._interrupted = False
        self._troubles: list[str] = []

    # -- selection ---------------------------------------------------------------------------------------------------------------

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the scenarios of one topology, and prepare the pairing."""
        scenarios = [item for item in items if item.get_closest_marker("lab")]
        if not scenarios:
            return
        try:
            asked = self.config.getoption("--topology")
            wanted = check_topologies(scenarios, asked, self.config.rootpath)
        except LabError as error:
            raise pytest.UsageError(str(error)) from error
        wanted = wanted or self._only_topology(scenarios)
        elsewhere = frozenset(self.config.getoption("--leave-out"))
        dropped = [item for item in scenarios if wanted not in topologies_of(item) or scenario_name(item) in elsewhere]
        if dropped:
            items[:] = [item for item in items if item not in dropped]
            self.config.hook.pytest_deselected(items=dropped)
        kept = [item for item in scenarios if item not in dropped]
        if listing := self.config.getoption("--list-cells"):
            Path(listing).write_text(json.dumps([self._describe(item, wanted) for item in kept]))
            items[:] = []
        elif kept and not self.config.option.collectonly:
            heed_scheduler()
            self._prepare(asked or wanted, kept)
            self._progress(selected=len(kept))

    @staticmethod
    def _only_topology(items: list[pytest.Item]) -> str:
        """The one that all scenarios name; of several, the one that is named first everywhere."""
        common = [name for name in topologies_of(items[0]) if all(name in topologies_of(item) for item in items)]
        if not common:
            names = ", ".join(sorted({name for item in items for name in topologies_of(item)}))
            raise pytest.UsageError(f"the selected scenarios belong to several topologies ({names}): choose one with --topology")
        return common[0]

    @staticmethod
    def _describe(item: pytest.Item, topology: str) -> dict[str, Any]:
        return {
            "scenario": scenario_name(item),
            "title": title_of(item),
            "topology": topology,
            "needs": needs_of(item),
            "about": list(about_of(item)),
            "control": control_of(item),
            "expect": expected_of(item),
            "file": str(item.path),
            "test": item.nodeid.split("::", 1)[-1],
        }

    def _prepare(self, topology: str, items: list[pytest.Item]) -> None:
        try:
            assumed = tuple(self.config.getoption("--assume"))
            selected = select(topology, self.config.getoption("--bind"), external=self.config.getoption("--vendor"), assume=assumed)
            wanted = self.config.getoption("--pairing")
            fitting = [binding for binding in selected.bindings if wanted in (None, binding.id)]
            if len(fitting) != 1:
                names = ", ".join(binding.id for binding in selected.bindings)
                raise pytest.UsageError(f"these bindings make {len(fitting)} pairings (of {names}): use `siplab run`, or --pairing")
            binding = replace(fitting[0], id=self.config.getoption("--pairing-prefix") + fitting[0].id)
            self._known = expectations(selected.root)
            runtime = open_runtime()
            self.run = self._given_run() or self._new_run(selected, binding, items, runtime)
            setup = setup_for(selected, binding, self.run.pairing(binding.id), run=self.run.id, seed=self.config.getoption("--seed"))
            self.pairing = Pairing(setup, runtime, self.run.pairing(binding.id), assumed)
        except LabError as error:
            raise pytest.UsageError(str(error)) from error

    def _given_run(self) -> runs.Run | None:
        given = self.config.getoption("--run-folder")
        return runs.find(Path(given).parent, given) if given else None

    def _new_run(self, selected: Selected, binding: Binding, items: list[pytest.Item], runtime: Runtime) -> runs.Run:
        self._own_run = True
        about = runs.about(
            ["pytest", *map(str, self.config.invocation_params.args)],
            topology=selected.topology.name,
            seed=self.config.getoption("--seed"),
            pairings=[binding.id],
            scenarios={scenario_name(item): item.path for item in items},
            engine=vars(runtime.info()),
        )
        return runs.create(selected.root / "results", about)

    # -- running -----------------------------------------------------------------------------------------------------------------

    def open(self, item: pytest.Item) -> Lab:
        """Called by the `lab` fixture: the lab for this item, with the control switched on where it runs as one."""
        if self.pairing is None:
            raise pytest.UsageError("the lab fixture needs the lab marker")
        opened = item.stash[LAB] = self.pairing.open(scenario_name(item))
        if self.config.getoption("--controls"):
            mark = item.get_closest_marker("control")
            assert mark is not None
            try:
                opened.control(str(mark.args[0]), str(mark.args[1]))
            except LabError as error:
                raise EvidenceError(f"the negative control cannot be switched on: {error}") from error
        return opened

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Run a scenario to its cell: the capability join first, then up to ATTEMPTS attempts."""
        if self.pairing is None or item.get_closest_marker("lab") is None:
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        controls = self.config.getoption("--controls")
        verdict = self.pairing.unsupported(needs_of(item))
        if verdict is None and controls:
            verdict = self.pairing.unplayable(control_of(item)) or unexpected(item)
        verdict = verdict or self.pairing.hopeless()
        if verdict:
            attempts = [Attempt(verdict, time.time(), 0.0)]
            item.session._setupstate.teardown_exact(nextitem)  # the item before kept what this one would have shared with it
        else:
            attempts = self._attempts(item, nextitem, controls)
        self._record(item, attempts, controls)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _attempts(self, item: pytest.Item, nextitem: pytest.Item | None, controls: bool) -> list[Attempt]:
        attempts: list[Attempt] = []
        while len(attempts) < ATTEMPTS and (not attempts or attempts[-1].verdict.status is Status.INCONCLUSIVE):
            attempts.append(self._attempt(item, nextitem, controls))
        return attempts

    def _attempt(self, item: pytest.Item, nextitem: pytest.Item | None, controls: bool) -> Attempt:
        from _pytest.runner import runtestprotocol

        assert self.pairing is not None
        key: Any
        for key in (ERROR, LAB):
            if key in item.stash:
                del item.stash[key]
        started, begun = time.time(), time.monotonic()
        if isinstance(item, pytest.Function):
            item._initrequest()  # fixtures afresh for every attempt
        runtestprotocol(item, nextitem=nextitem, log=False)
        opened = item.stash.get(LAB, None)
        verdict, files = self.pairing.judge(opened, item.stash.get(ERROR, None))
        if controls and opened is not None:
            self.pairing.restore(opened)
            verdict = inverted(verdict, item)
        root = self.run.folder if self.run else Path()
        evidence = tuple(str(path.relative_to(root)) for path in files)
        return Attempt(verdict, started, time.monotonic() - (opened.begun if opened else begun), evidence)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
        """Keep the first error of a scenario, from its set-up on. A skip is one: what has not run proves nothing."""
        if call.excinfo is not None and ERROR not in item.stash:
            item.stash[ERROR] = call.excinfo.value
        yield

    def _record(self, item: pytest.Item, attempts: list[Attempt], controls: bool) -> None:
        assert self.pairing is not None
        assert self.run is not None
        setup = self.pairing.setup
        varied = [name for row in setup.topology.matrix for name in row] or list(setup.binding.selections)
        binding = {name: str(setup.binding.selections[name]) for name in varied}
        name = scenario_name(item)
        if not controls:
            bound = {element: str(selection) for element, selection in setup.binding.selections.items()}
            expected = known(self._known, name, setup.topology.name, bound, date.today())
            last = attempts[-1]
            attempts[-1] = Attempt(against(last.verdict, expected), last.started, last.seconds, last.evidence)
        where = (self.run.id, setup.binding.id, setup.topology.name, binding)
        cell = Cell(cells.SCHEMA, *where, name, title_of(item), tuple(attempts), about_of(item))
        cells.append(self.run.controls_file if controls else self.run.cells_file, cell)
        self.statuses.append(cell.verdict.status)
        self._progress(cell=name, status=cell.verdict.status.value)
        item.ihook.pytest_runtest_logreport(report=report_of(item, cell))

    def _progress(self, **what: object) -> None:
        """One JSON line for the scheduler, on the descriptor it handed down."""
        descriptor = os.environ.get("SIPLAB_PROGRESS_FD")
        if descriptor:
            with suppress(BrokenPipeError):  # the scheduler is gone: `heed` has interrupted this process already
                os.write(int(descriptor), (json.dumps(what) + "\n").encode())

    # -- the end -----------------------------------------------------------------------------------------------------------------

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Ctrl-C has an exit code of its own."""
        self._interrupted = excinfo.errisinstance(KeyboardInterrupt)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Take the lab down; in a run of its own write the reports and end with siplab's exit code."""
        if self.pairing is not None and self.run is not None:
            for step in (self.pairing.close, self._take_back, self._report):
                try:
                    step()
                except LabError as error:
                    self._troubles.append(str(error))
            if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and self.statuses:
                session.exitstatus = self._exit_code(session)
        if self._interrupted:
            session.exitstatus = INTERRUPTED

    def _take_back(self) -> None:
        """What the lab's capture has lost is known only now."""
        assert self.pairing is not None
        assert self.run is not None
        taken = take_back(self.run, self.pairing.setup.binding.id, controls=self.config.getoption("--controls"))
        self._troubles += [f"{cell.scenario}: {cell.verdict.reason}" for cell in taken]

    def _report(self) -> None:
        if self._own_run and self.run is not None:
            self.run.update(ended=datetime.now(UTC).isoformat())
            write_reports(self.run)

    def _exit_code(self, session: pytest.Session) -> int:
        """Ordinary tests may run beside scenarios: their failures count too."""
        red = [status for status in self.statuses if OUTCOMES.get(status, "failed") == "failed"]
        codes = [exit_code(self.statuses), 1 if session.testsfailed > len(red) else 0, 3 if self._troubles else 0]
        return 1 if 1 in codes else max(codes)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Where to look."""
        for trouble in self._troubles:
            terminalreporter.write_line(f"siplab: {trouble}")
        if self._own_run and self.run is not None:
            terminalreporter.write_line(f"siplab: {self.run.folder / 'index.html'}")


def heed_scheduler() -> None:
    """Interrupt this process when nobody reads its progress any more: the scheduler was killed, and its labs shall not run on."""
    descriptor = os.environ.get("SIPLAB_PROGRESS_FD")
    if descriptor:
        threading.Thread(target=_heed, args=(int(descriptor),), name="scheduler", daemon=True).start()


def _heed(descriptor: int) -> None:
    end = poll()
    end.register(descriptor, 0)  # of a pipe's writing end: an error once there is no reader
    end.poll()
    os.kill(os.getpid(), signal.SIGINT)


def unexpected(item: pytest.Item) -> Verdict | None:
    """The verdict of a negative control that does not say for what reason it has to turn red: it would be right with any."""
    why = "the negative control expects no reason: write expect=…, a pattern of the red reason"
    return None if expected_of(item) else Verdict(Status.INCONCLUSIVE, why, "lab", "controls")


def inverted(verdict: Verdict, item: pytest.Item) -> Verdict:
    """The verdict of a negative control: red for the expected reason is a pass."""
    mark = item.get_closest_marker("control")
    assert mark is not None
    how = f"{mark.args[0]} {mark.args[1]}"
    if verdict.status is Status.PASS:
        return Verdict(Status.FAIL, f"stayed green although {how}: this scenario proves nothing", "lab", "control")
    if verdict.status is Status.FAIL and verdict.step not in (ALIVE, UNTRIED):
        expected = expected_of(item)
        if re.search(expected, verdict.reason):
            return Verdict(Status.PASS, f"{how}: {verdict.reason}", "", "control")
        return Verdict(Status.FAIL, f"{how}: red, but not for {expected!r}: {verdict.reason}", "lab", "control")
    return verdict


def report_of(item: pytest.Item, cell: Cell) -> pytest.TestReport:
    """The cell as pytest shows it: one line, its reason as the long text."""
    verdict = cell.verdict
    outcome: Any = OUTCOMES.get(verdict.status, "failed")
    longrepr: Any = None
    if outcome == "skipped":
        longrepr = (str(item.path), item.location[1] or 0, f"{verdict.status.value}: {verdict.reason}")
    elif outcome == "failed":
        files = "\n".join(f"  {path}" for path in cell.attempts[-1].evidence)
        longrepr = f"{verdict.status.value}: {verdict.reason}\nblame: {verdict.blame or '-'}  step: {verdict.step or '-'}\n{files}"
    seconds = sum(attempt.seconds for attempt in cell.attempts)
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords=dict.fromkeys(item.keywords, 1),
        outcome=outcome,
        longrepr=longrepr,
        when="call",
        duration=seconds,
    )
