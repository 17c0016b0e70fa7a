"""Running one cell after the other on a bench: begin, judge, write down, rebuild where an element died."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lab.errors import AgentError, EvidenceError, LabError, RuntimeFault
from lab.evidence.dialog import astray
from lab.evidence.events import Mark
from lab.evidence.message import SipMessage
from lab.plan.capability import missing
from lab.plan.control import unplayable
from lab.runtime.base import Runtime
from lab.session.bench import Bench, Setup
from lab.session.failure import classify, forget
from lab.session.lab import Lab
from lab.verdict.blame import Hop
from lab.verdict.decide import Failure, decide, one_line, unsupported
from lab.verdict.model import Status, Verdict

GIVE_UP_AFTER = 2
"""Failed starts in a row after which the remaining cells get the same verdict without another try."""
HOPELESS_AFTER = 3
"""Cells in a row that one element has hung or been ended in, after which its other cells fail untried: each costs all its deadlines."""
ALIVE = "alive"
"""The step of a verdict about an element that has died."""
UNTRIED = "untried"
"""The step of a verdict about a cell that was not run, because the element ruined those before it."""


@dataclass
class Pairing:
    """A pairing under way. The bench comes up with the first cell that needs it."""

    setup: Setup
    runtime: Runtime
    base: Path
    assumed: tuple[str, ...] = ()
    bench: Bench | None = None
    _generation: int = 0
    _failed_starts: list[BaseException] = field(default_factory=list)
    _ruined: list[Verdict] = field(default_factory=list)

    def unsupported(self, needs: dict[str, list[str]]) -> Verdict | None:
        """The capability join: a verdict before anything starts, or None where the cell can run.

        Of the elements in `assumed` nothing is believed, not what they cannot do either: their cells run.
        """
        absent = missing(self.setup.binding, needs, self.setup.vendors, self.setup.topology)
        found = [item for item in absent if item.element not in self.assumed]
        return unsupported([(item.element, item.vendor, item.capability) for item in found]) if found else None

    def unplayable(self, control: str) -> Verdict | None:
        """A verdict where a scenario has no negative control, or nobody here can play it."""
        why = "the scenario has no negative control"
        if control:
            why = unplayable(control, self.setup.topology, self.setup.binding, self.setup.vendors)
        return Verdict(Status.INCONCLUSIVE, why, "lab", "controls") if why else None

    def hopeless(self) -> Verdict | None:
        """The verdict of every cell that is still to come, once an element has ruined HOPELESS_AFTER cells in a row."""
        if len(self._ruined) < HOPELESS_AFTER:
            return None
        last = self._ruined[-1]
        reason = f"not tried: {last.blame} has ruined the {HOPELESS_AFTER} cells before, the last one so: {last.reason}"
        return Verdict(Status.FAIL, one_line(reason), last.blame, UNTRIED)

    def open(self, scenario: str) -> Lab:
        """A lab for this scenario, begun. RuntimeFault where an element died since the last cell: the next attempt gets a fresh lab."""
        forget()
        if len(self._failed_starts) >= GIVE_UP_AFTER:
            raise self._failed_starts[-1]
        if self.bench is not None and (dead := self.bench.dead()):
            self.close()
            name, how = next(iter(dead.items()))
            raise RuntimeFault(f"{name} {how}, after the cell before this one had been judged")
        if self.bench is None:
            self.bench = self._start()
        folder = self.bench.setup.folder / "cells" / slug(scenario)
        lab = Lab(self.bench, scenario, folder)
        lab.begin()
        return lab

    def _start(self) -> Bench:
        folder = self._next_folder()
        bench = Bench(replace(self.setup, folder=folder), self.runtime)
        try:
            bench.up()
        except BaseException as error:
            self._failed_starts.append(error)
            raise
        self._failed_starts.clear()
        return bench

    def _next_folder(self) -> Path:
        """The pairing's own, or one inside it for every further lab, of this process or of one before it in the same run."""
        while True:
            self._generation += 1
            folder = self.base if self._generation == 1 else self.base / f"lab-{self._generation}"
            if not (folder / "pairing.json").exists():
                return folder

    def judge(self, lab: Lab | None, error: BaseException | None) -> tuple[Verdict, list[Path]]:
        """The verdict of the cell that just ran, and its evidence files.

        A bench that cannot be relied on any more (a dead, mute or stopped element, proof that is missing) is taken down afterwards.
        """
        failure = self._with_log(classify(error)) if error is not None else None
        if self.bench is None:
            return decide(failure or Failure("lab", "the lab did not start")), []
        if lab is None and failure is None:
            failure = Failure("lab", "the scenario did not use the lab", step="scenario")
        verdict, files = self._judge(self.bench, lab, failure)
        is_mute = isinstance(error, AgentError) and error.code == "fault"
        self._note(verdict, is_ruined=is_mute or verdict.blame in self.bench.ended)
        if is_mute or verdict.step == ALIVE or verdict.status is Status.INCONCLUSIVE or self.bench.stopped:
            problem = self._discard()
            verdict = replace(verdict, reason=f"{verdict.reason}; then: {problem}") if problem else verdict
        return verdict, files

    def _note(self, verdict: Verdict, *, is_ruined: bool) -> None:
        """Keep count of cells that one element has ruined, one after the other."""
        if not is_ruined or (self._ruined and self._ruined[-1].blame != verdict.blame):
            self._ruined.clear()
        if is_ruined:
            self._ruined.append(verdict)

    def _with_log(self, failure: Failure) -> Failure:
        """An element that does not answer is judged with its own last words."""
        if failure.kind != "element" or self.bench is None or "last log lines" in failure.what:
            return failure
        return replace(failure, what=f"{failure.what}; last log lines: {one_line(self.bench.log_tail(failure.element), 160) or 'none'}")

    def _judge(self, bench: Bench, lab: Lab | None, failure: Failure | None) -> tuple[Verdict, list[Path]]:
        """Evidence that cannot be written or read makes the cell inconclusive, whatever the scenario thought; a dead element a fail.

        Where an element refused what it was asked before it sent anything, an empty wire is what that looks like: the capture itself is
        live, its marks came through.
        """
        try:
            bench.pulse()
            verdict = decide(failure, save(lab) if lab else ())
        except NothingCaptured as error:
            verdict = decide(failure if failure and _before_the_wire(failure) else Failure("lab", f"evidence: {error}"))
        except (LabError, OSError) as error:
            verdict = decide(Failure("lab", f"evidence: {error}"))
        try:
            dead = bench.dead()
        except LabError as error:
            return decide(Failure("lab", str(error), step=type(error).__name__)), files_of(lab)
        if dead:
            verdict = of_the_dead(bench, dead, verdict)
        elif verdict.status is Status.FAIL and verdict.blame in bench.handles and (strain := bench.strain(verdict.blame)):
            verdict = replace(verdict, reason=f"{verdict.reason}; {strain}")
        return verdict, files_of(lab)

    def restore(self, lab: Lab) -> None:
        """End the misbehaviour of a negative control; a bench that cannot be told to is replaced by a fresh one."""
        if self.bench is not None:
            try:
                lab.behave()
            except LabError:
                self._discard()

    def _discard(self) -> str:
        """Take the lab down when a cell's verdict is known already; what went wrong with that, or nothing. Its watchdog tries again."""
        try:
            self.close()
        except LabError as error:
            return str(error)
        return ""

    def close(self) -> None:
        """Take the lab down, saving its evidence."""
        bench, self.bench = self.bench, None
        if bench is not None:
            bench.down()


def of_the_dead(bench: Bench, dead: Mapping[str, str], verdict: Verdict) -> Verdict:
    """The first of those that died is to blame, in its own last words, whatever the verdict was."""
    name, how = next(iter(dead.items()))
    words = "" if name in bench.ended else f"; last log lines: {one_line(bench.log_tail(name), 160)}"
    then = f"; then: {verdict.reason}" if verdict.status is Status.FAIL else ""
    return Verdict(Status.FAIL, one_line(f"{name} {how}{words}{then}", 500), name, ALIVE)


def _before_the_wire(failure: Failure) -> bool:
    """Is this a failure of an element alone: a request that it refused, a registration that it never sent?"""
    return failure.kind == "element" or (failure.kind == "step" and failure.trace == "REGISTER")


class NothingCaptured(EvidenceError):
    """Not one packet between the marks of a cell."""


def save(lab: Lab) -> list[Hop]:
    """Write ladder and timeline of a cell; the messages as hops, for the blame. NothingCaptured where there is nothing to draw."""
    wire = lab.wire
    wire.close()
    events = [event for event in wire.events() if not isinstance(event, Mark)]
    if not events:
        raise NothingCaptured(f"nothing was captured during {lab.scenario}")
    wire.save(lab.folder, lab.events())
    messages = [event for event in events if isinstance(event, SipMessage)]
    strays = astray(messages)
    return [Hop(m.frame, m.src.name, m.dst.name, m.method, m.status, m.frame in strays, m.flaw, m.call_id) for m in messages]


def files_of(lab: Lab | None) -> list[Path]:
    """Everything in the cell's folder, ladder first; nothing where the cell never had one."""
    found = sorted(path for path in lab.folder.iterdir() if path.is_file()) if lab and lab.folder.is_dir() else []
    return sorted(found, key=lambda path: (not path.name.startswith("ladder"), path.name))


def slug(scenario: str) -> str:
    """A scenario's name as a folder name."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", scenario).strip("_")
