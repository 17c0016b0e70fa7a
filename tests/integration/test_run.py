"""`siplab run` for real, as a process: what it leaves in its folder, and what it leaves on the engine (nothing), however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import xmlschema
from lab_home import SIPLAB, environment, make_home, siplab

from lab.report.run import Run
from lab.runtime.base import ContainerSpec, FileContent
from lab.runtime.docker import DockerRuntime
from lab.runtime.labels import MARK, RUN, Identity
from lab.runtime.reaper import remove_lab
from lab.verdict.model import Status

pytestmark = pytest.mark.docker

REPOSITORY = Path(__file__).parents[2]
RUNNING = ("run", "trapezoid", "--bind", "alice,bob=baresip", "-k", "busy or reg_digest or tls_good")
SCENARIOS = ["busy", "reg-digest", "reg-wrong-password", "reg-foreign-aor", "call-wrong-password", "tls-good-certificate"]
GONE_WITHIN = 60.0


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return make_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def engine() -> DockerRuntime:
    return DockerRuntime()


def latest(home: Path) -> Run:
    return Run((home / "results" / "latest").resolve(strict=True))


def left(engine: DockerRuntime, run: Run) -> list[str]:
    return [item.name for item in engine.inventory({MARK: "1", RUN: run.id})]


def processes(run: Run) -> list[int]:
    """Processes that were told the run's folder: its pairings."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:  # it has just ended
            continue
        if str(run.folder).encode() in words:
            found.append(int(path.parent.name))
    return found


def wait_until(what: str, true: Callable[[], object], within: float) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        time.sleep(0.1)


# -- a run that comes to its end -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(home) -> tuple[subprocess.CompletedProcess[str], Run]:
    done = siplab(home, *RUNNING, "--json")
    return done, latest(home)


def test_the_run_goes_through(finished):
    done, run = finished
    reasons = {cell.scenario: (cell.verdict.status.value, cell.verdict.reason) for cell in run.cells()}
    assert (done.returncode, reasons) == (0, dict.fromkeys(SCENARIOS, ("pass", "")))
    data = json.loads(done.stdout)
    assert data["run"] == run.id
    assert data["counts"]["pass"] == len(SCENARIOS)
    assert "✓✓✓✓" in done.stderr


def test_nothing_is_left_of_it(finished, engine):
    _, run = finished
    assert left(engine, run) == []
    assert processes(run) == []


def test_the_folder_holds_all_of_it(finished):
    _, run = finished
    about = run.describe()
    assert about["command"].startswith("siplab")
    assert about["ended"] > about["started"]
    assert set(about["scenarios"]) == set(SCENARIOS)
    pairing = run.pairing("alice-baresip-1.1--bob-baresip-1.1")
    wanted = [
        *(run.folder / name for name in ("run.json", "cells.jsonl", "matrix.json", "index.html")),
        *(pairing / name for name in ("pairing.json", "plan.json", "capture.pcapng", "keys.log", "pytest.txt")),
        *(pairing / "logs" / f"{name}.txt" for name in ("alice", "bob", "pa", "pb")),
        *(run.folder / path for cell in run.cells() for path in cell.attempts[-1].evidence),
    ]
    assert [str(path) for path in wanted if not path.is_file() or not path.stat().st_size] == []
    assert all(cell.attempts[-1].evidence for cell in run.cells())
    assert json.loads((pairing / "pairing.json").read_text())["problems"] == {}
    assert not list(run.folder.rglob("*.key")), "private keys stay in the lab"
    (junit,) = run.folder.glob("junit/trapezoid/*.xml")
    xmlschema.XMLSchema(REPOSITORY / "tests" / "golden" / "junit.xsd").validate(str(junit))


@pytest.fixture
def tshark(engine) -> Iterator[Callable[..., list[str]]]:
    """tshark on a capture, in a container that is given nothing but the file."""
    me = Identity()
    try:
        handle = engine.create(ContainerSpec(me.name("reader"), "siplab/helper:1", command=("sleep", "infinity"), labels=me.labels()))
        engine.start(handle)

        def read(capture: Path, *arguments: str) -> list[str]:
            engine.put(handle, {"/tmp/capture.pcapng": FileContent(capture.read_bytes())})
            done = engine.exec(handle, ("tshark", "-r", "/tmp/capture.pcapng", *arguments), timeout=60, user="nobody")
            assert done.exit_code == 0, done.stderr
            return done.stdout.decode().splitlines()

        yield read
    finally:
        remove_lab(engine, me.selector)


def test_the_capture_opens_decrypted(finished, tshark):
    _, run = finished
    capture = run.pairing("alice-baresip-1.1--bob-baresip-1.1") / "capture.pcapng"
    secret = tshark(capture, "-d", "tcp.port==5061,tls", "-Y", "tls && sip.Method == REGISTER", "-T", "fields", "-e", "sip.from.user")
    assert "alice" in secret


# -- runs that do not --------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def under_way(home, engine) -> Iterator[tuple[subprocess.Popen[str], Run]]:
    """A run of which one cell is recorded and more are to come."""
    before = set((home / "results").glob("2*"))
    process = subprocess.Popen(
        [*SIPLAB, *RUNNING], env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        wait_until("a run folder", lambda: set((home / "results").glob("2*")) - before or process.poll() is not None, 60)
        (folder,) = set((home / "results").glob("2*")) - before
        run = Run(folder.resolve())
        wait_until("a cell", lambda: run.cells() or process.poll() is not None, 60)
        assert process.poll() is None
        assert left(engine, run)
        yield process, run
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "a ci system's cancel"])
def test_an_interrupt_cleans_up_and_ends_with_130(under_way, engine, number):
    process, run = under_way
    os.kill(process.pid, number)
    _, stderr = process.communicate(timeout=GONE_WITHIN)
    assert process.returncode == 130
    assert stderr.strip().splitlines()[-1] == "interrupted"
    assert left(engine, run) == []
    assert processes(run) == []
    assert {"matrix.json", "index.html", "junit"} <= {path.name for path in run.folder.iterdir()}
    assert 1 <= len(run.cells()) < len(SCENARIOS)


@pytest.mark.parametrize("pytest_too", [False, True], ids=["the scheduler", "the scheduler and its pairing"])
def test_kill_9_leaves_nothing_and_a_run_that_can_be_reported(under_way, engine, home, pytest_too):
    process, run = under_way
    victims = processes(run) if pytest_too else []
    os.killpg(process.pid, signal.SIGKILL)
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    assert bool(victims) == pytest_too
    wait_until("everything is gone", lambda: not left(engine, run) and not processes(run), GONE_WITHIN)
    assert run.cells()[0].verdict.status is Status.PASS
    done = siplab(home, "report", run.id)
    assert done.returncode in (0, 3)
    assert "report: " in done.stdout
    assert (run.folder / "index.html").is_file()
