"""A matrix as processes: one pytest per pairing, N at a time, and no cell forgotten.

Each pairing runs in a process of its own, so that a vendor that hangs or floods delays its own cells only. What every process will run
is known beforehand (the collection), so a cell that nobody recorded becomes inconclusive instead of going missing.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.errors import LabError, SpecError
from lab.plan.binding import Binding
from lab.report.proof import take_back
from lab.report.run import Run
from lab.report.write import write_reports
from lab.verdict import cells
from lab.verdict.decide import one_line
from lab.verdict.model import Attempt, Cell, Status, Verdict

Say = Callable[[str, dict[str, Any]], None]
"""Told (pairing id, event): `{"selected": n}`, `{"cell": name, "status": …}`, `{"ended": code}`."""

GRACE = 45.0
"""Seconds that a pairing gets to take its lab down after an interrupt."""
_PLACE = re.compile(r"(?:E +File \"(.*)\", line (\d+)|(\S+\.py):(\d+): in )")
"""Where a file could not be parsed or imported, as pytest tells it."""
PYTEST = (sys.executable, "-P", "-m", "pytest", "-p", "lab.pytest_plugin", "-p", "no:cacheprovider")
"""pytest with the plugin, which imports nothing from the folder one is in."""
COLLECTED = (0, 5)
"""pytest's exit codes after a collection without errors: something, or nothing, was selected."""


@dataclass(frozen=True)
class Job:
    """One pairing to run: how pytest is called for it, and which scenarios it has to record (default: all of the schedule)."""

    binding: Binding
    varied: tuple[str, ...]
    arguments: tuple[str, ...]
    scenarios: Sequence[Mapping[str, Any]]


@dataclass
class Schedule:
    """The pairings of one run."""

    run: Run
    jobs: Sequence[Job]
    parallel: int
    timeout: float
    say: Say
    controls: bool = False
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def execute(self) -> None:
        """Run all; reports are written after every pairing. KeyboardInterrupt once everything that ran has been cleaned up."""
        pool = ThreadPoolExecutor(self.parallel, thread_name_prefix="pairing")
        futures = [pool.submit(self._pairing, job) for job in self.jobs]
        try:
            for future in futures:
                future.result()
        except BaseException:
            self._stop()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            write_reports(self.run)

    def _pairing(self, job: Job) -> None:
        if self._stopping.is_set():
            return
        name = job.binding.id
        log = self.run.pairing(name) / ("controls.txt" if self.controls else "pytest.txt")
        log.parent.mkdir(parents=True, exist_ok=True)
        code, late = self._process(job, log)
        take_back(self.run, name, controls=self.controls)  # where pytest could not do so itself
        if not self._stopping.is_set():
            self._account(job, code, late, log)
            write_reports(self.run)
        self.say(name, {"ended": code})

    def _process(self, job: Job, log: Path) -> tuple[int, bool]:
        """Start pytest, pass its progress on, and end it where it overruns."""
        name = job.binding.id
        reading, writing = os.pipe()
        environment = {**os.environ, "SIPLAB_PROGRESS_FD": str(writing), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*PYTEST, *job.arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(writing,),
                env=environment,
                start_new_session=True,
            )
        os.close(writing)
        self._processes[name] = process
        if self._stopping.is_set():  # the interrupt came while this one was being started
            _signal(process, signal.SIGINT)
        reader = threading.Thread(target=self._relay, args=(name, reading), daemon=True)
        reader.start()
        late = _wait(process, self.timeout)
        reader.join(5)
        del self._processes[name]
        return process.returncode, late

    def _relay(self, name: str, descriptor: int) -> None:
        with os.fdopen(descriptor, "rb") as lines:
            for line in lines:
                self.say(name, json.loads(line))

    def _account(self, job: Job, code: int, late: bool, log: Path) -> None:
        """Every scheduled cell is recorded, or becomes inconclusive with the reason why it is not."""
        recorded = self.run.controls() if self.controls else self.run.cells()
        done = {cell.scenario for cell in recorded if cell.pairing == job.binding.id}
        why = f"not run: the pairing was ended after {self.timeout:g} s" if late else f"not run: {_ended(code)}, {_tail(log)}"
        binding = {name: str(job.binding.selections[name]) for name in job.varied}
        for scenario in job.scenarios:
            if scenario["scenario"] in done:
                continue
            attempt = Attempt(Verdict(Status.INCONCLUSIVE, one_line(why), "lab", "schedule"), time.time(), 0.0)
            where = (self.run.id, job.binding.id, scenario["topology"], binding)
            cell = Cell(cells.SCHEMA, *where, scenario["scenario"], scenario["title"], (attempt,), tuple(scenario["about"]))
            cells.append(self.run.controls_file if self.controls else self.run.cells_file, cell)
            self.say(job.binding.id, {"cell": scenario["scenario"], "status": Status.INCONCLUSIVE.value})

    def _stop(self) -> None:
        """Interrupt every pairing and let it clean up."""
        self._stopping.set()
        for process in list(self._processes.values()):
            _signal(process, signal.SIGINT)
        deadline = time.monotonic() + GRACE
        for process in list(self._processes.values()):
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal(process, signal.SIGKILL)  # its watchdog removes the lab


def _wait(process: subprocess.Popen[bytes], timeout: float) -> bool:
    """Wait for its end; True where it had to be ended."""
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        _signal(process, signal.SIGINT)
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            _signal(process, signal.SIGKILL)
            process.wait()
        return True
    return False


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def _ended(code: int) -> str:
    return f"pytest died by signal {-code}" if code < 0 else f"pytest ended with exit code {code}"


def _tail(log: Path) -> str:
    """The line that says most: an error that pytest reports, else the last one."""
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("ERROR", "E  ", "INTERNALERROR"))]
    return (errors or lines or ["no output"])[-1][:200] + f" ({log.name})"


def _complaint(done: subprocess.CompletedProcess[str]) -> str:
    """What pytest says is wrong, without its headings and rulers."""
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E  ", "ERROR", "INTERNALERROR"))]
    places = [match for line in lines if (match := _PLACE.match(line))]
    what = [line.removeprefix("E").strip() for line in errors if re.match(r"E +\w+(Error|Exception|Exit)\b", line)]
    if places and what:
        file, number = [group for group in places[-1].groups() if group]
        return one_line(f"{os.path.relpath(file)}:{number}: {what[-1]}")
    return one_line(" ".join((errors or lines or ["no output"])[-3:]))


def collect(root: Path, topology: str, arguments: Sequence[str]) -> list[dict[str, Any]]:
    """The scenarios that would run, by pytest's own collection. SpecError where pytest cannot collect."""
    with tempfile.TemporaryDirectory() as folder:
        listing = Path(folder) / "cells.json"
        done = subprocess.run(
            [
                *(*PYTEST, "-q", str(root / "scenarios"), "--rootdir", str(root), "--topology", topology),
                *("--list-cells", str(listing), *arguments),
            ],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            check=False,
            timeout=120,
        )
        if done.returncode not in COLLECTED or (done.returncode == 0 and not listing.exists()):
            raise SpecError(f"pytest cannot collect the scenarios: {_complaint(done)}", remedy="run pytest scenarios/ --collect-only")
        if not listing.exists():
            return []
        found = json.loads(listing.read_text())
    if not isinstance(found, list):
        raise LabError("the collection wrote no list")
    return found
