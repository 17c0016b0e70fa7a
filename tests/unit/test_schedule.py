"""Pairings as processes, played by a pytest that does what it is told: no cell is forgotten, and nobody is left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from spec_fixtures import loaded

from lab import schedule
from lab.errors import PlanError, SpecError
from lab.plan.binding import Binding, Selection, plainest_first
from lab.plan.share import share
from lab.report import run as runs
from lab.schedule import Job, Schedule, collect
from lab.verdict.model import Status

FAKE_PYTEST = """
import json, os, signal, sys, time
from pathlib import Path
from lab.verdict.cells import append
from lab.verdict.model import Attempt, Cell, Status, Verdict

folder, pairing, play = Path(sys.argv[-3]), sys.argv[-2], sys.argv[-1]

def say(**what):
    os.write(int(os.environ["SIPLAB_PROGRESS_FD"]), (json.dumps(what) + "\\n").encode())

def lab(**about):
    target = folder / "pairings" / pairing / "pairing.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(about))

lab(capture_dropped=0)

def record(scenario):
    append(folder / "cells.jsonl", Cell(1, folder.name, pairing, "pair", {}, scenario, "", (Attempt(Verdict(Status.PASS), 1.0, 1.0),)))
    say(cell=scenario, status="pass")

def wait():
    try:
        say(waiting=True)
        signal.pause()
    except KeyboardInterrupt:
        (folder / f"cleaned-{pairing}").touch()
        raise SystemExit(2)

exec(play)
"""

FORGETFUL = "record('a'); print('some noise'); print('E   no more'); print('the end')"


class Watch:
    """Receives what the scheduler says."""

    def __init__(self):
        self.events = []
        self.changed = threading.Condition()

    def __call__(self, pairing, event):
        with self.changed:
            self.events.append((pairing, event))
            self.changed.notify_all()

    def wait_for(self, key, count):
        with self.changed:
            assert self.changed.wait_for(lambda: sum(key in event for _, event in self.events) >= count, 20)


@pytest.fixture
def make(tmp_path, monkeypatch):
    """A schedule over one job per play."""
    (tmp_path / "fake" / "pytest").mkdir(parents=True)
    (tmp_path / "fake" / "pytest" / "__main__.py").write_text(FAKE_PYTEST)
    (tmp_path / "fake" / "pytest" / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "fake"))
    run = runs.create(tmp_path / "results", {})

    def made(*plays, timeout=30.0, parallel=2, controls=False):
        jobs = []
        scenarios = [{"scenario": name, "title": f"Title {name}", "topology": "pair", "about": []} for name in ("a", "b")]
        for number, play in enumerate(plays):
            name = f"alice-acme-{number}--bob-acme-1.1"
            binding = Binding(name, {"alice": Selection("acme", str(number)), "bob": Selection("acme", "1.1")})
            jobs.append(Job(binding, ("alice", "bob"), (str(run.folder), name, play), scenarios))
        return Schedule(run, jobs, parallel, timeout, Watch(), controls)

    return made


def statuses(plan):
    return {(cell.pairing[11], cell.scenario): cell.verdict.status for cell in plan.run.cells()}


def test_everything_recorded_is_left_as_it_is(make):
    plan = make("record('a'); record('b')")
    plan.execute()
    assert statuses(plan) == {("0", "a"): Status.PASS, ("0", "b"): Status.PASS}
    name = plan.jobs[0].binding.id
    passed = [(name, {"cell": scenario, "status": "pass"}) for scenario in "ab"]
    assert plan.say.events == [*passed, (name, {"ended": 0})]
    assert (plan.run.folder / "index.html").exists()


def test_cells_that_nobody_recorded_are_inconclusive_and_say_why(make):
    plan = make(FORGETFUL)
    plan.execute()
    first, second = plan.run.cells()
    assert (first.verdict.status, second.verdict.status) == (Status.PASS, Status.INCONCLUSIVE)
    assert second.verdict.reason == "not run: pytest ended with exit code 0, E no more (pytest.txt)"
    assert (second.title, second.binding) == ("Title b", {"alice": "acme@0", "bob": "acme@1.1"})
    assert (second.verdict.blame, second.verdict.step) == ("lab", "schedule")


def test_a_process_that_dies_by_a_signal_is_named_as_such(make):
    plan = make("record('a'); os.kill(os.getpid(), signal.SIGSEGV)", "record('a'); record('b')")
    plan.execute()
    assert statuses(plan) == {("0", "a"): Status.PASS, ("0", "b"): Status.INCONCLUSIVE, ("1", "a"): Status.PASS, ("1", "b"): Status.PASS}
    (lost,) = [cell for cell in plan.run.cells() if cell.verdict.status is Status.INCONCLUSIVE]
    assert lost.verdict.reason == "not run: pytest died by signal 11, no output (pytest.txt)"


@pytest.mark.parametrize(
    ("play", "reason"),
    [
        ("lab(capture_dropped=3); record('a'); record('b')", "had passed, but the capture lost 3 frames"),
        (
            "lab(up_seconds=1); record('a'); record('b'); os._exit(9)",
            "had passed, but what the capture lost is not known: the lab did not end",
        ),
    ],
)
def test_cells_whose_capture_is_in_doubt_are_inconclusive(make, play, reason):
    plan = make(play)
    plan.execute()
    assert set(statuses(plan).values()) == {Status.INCONCLUSIVE}
    assert all(cell.verdict.reason.startswith(reason) for cell in plan.run.cells())
    assert '"inconclusive": 2' in (plan.run.folder / "matrix.json").read_text()


def test_a_line_torn_by_a_death_does_not_spoil_the_run(make):
    plan = make("record('a'); (folder / 'cells.jsonl').open('a').write('{\"schema\":1,\"run'); os._exit(9)")
    plan.execute()
    assert statuses(plan) == {("0", "a"): Status.PASS, ("0", "b"): Status.INCONCLUSIVE}


def test_a_pairing_that_overruns_is_interrupted_and_may_clean_up(make):
    plan = make("record('a'); wait()", timeout=3)
    plan.execute()
    assert plan.run.cells()[1].verdict.reason == "not run: the pairing was ended after 3 s"
    assert list(plan.run.folder.glob("cleaned-*"))


def test_a_pairing_that_ignores_the_interrupt_is_killed(make, monkeypatch):
    monkeypatch.setattr(schedule, "GRACE", 0.3)
    plan = make("signal.signal(signal.SIGINT, signal.SIG_IGN); wait()", timeout=1.5)
    plan.execute()
    assert statuses(plan)[("0", "b")] is Status.INCONCLUSIVE
    assert plan.say.events[-1][1] == {"ended": -9}


def test_no_more_run_at_a_time_than_asked_for(make):
    play = "say(began=time.monotonic()); time.sleep(0.3); say(done=time.monotonic()); record('a'); record('b')"
    plan = make(*[play] * 4, parallel=2)
    plan.execute()
    moments = sorted((value, step) for _, event in plan.say.events for step, value in event.items() if step in ("began", "done"))
    running = most = 0
    for _, step in moments:
        running += 1 if step == "began" else -1
        most = max(most, running)
    assert most <= 2
    assert len(moments) == 8
    assert len(plan.run.cells()) == 8


def test_controls_are_accounted_for_in_their_own_file(make):
    plan = make("pass", controls=True)
    plan.execute()
    assert plan.run.cells() == []
    assert [cell.verdict.status for cell in plan.run.controls()] == [Status.INCONCLUSIVE] * 2


# -- Ctrl-C ------------------------------------------------------------------------------------------------------------------------------


def test_ctrl_c_lets_every_pairing_clean_up_and_writes_the_reports(make):
    plan = make("record('a'); wait()", "wait()", "wait()", parallel=2)

    def press():
        plan.say.wait_for("waiting", 2)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        plan.execute()
    assert time.monotonic() - begun < 15
    assert sorted(path.name[8:21] for path in plan.run.folder.glob("cleaned-*")) == ["alice-acme-0-", "alice-acme-1-"]
    assert statuses(plan) == {("0", "a"): Status.PASS}, "what was not judged is not there: the run says that it was interrupted"
    assert (plan.run.folder / "matrix.json").exists()
    assert plan._processes == {}


def test_a_pairing_that_is_being_started_hears_of_the_interrupt(make, monkeypatch):
    plan = make("wait()")
    real = subprocess.Popen

    def started(*arguments, **options):
        process = real(*arguments, **options)
        plan._stopping.set()
        return process

    monkeypatch.setattr(schedule.subprocess, "Popen", started)
    begun = time.monotonic()
    plan.execute()
    assert time.monotonic() - begun < 15


def test_a_pairing_whose_scheduler_was_killed_interrupts_itself(tmp_path):
    reading, writing = os.pipe()
    code = "import signal\nfrom lab.pytest_plugin import heed_scheduler\nheed_scheduler()\nprint('up', flush=True)\nsignal.pause()"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        pass_fds=(writing,),
        env={**os.environ, "SIPLAB_PROGRESS_FD": str(writing)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    assert process.stdout.readline() == b"up\n"
    assert process.poll() is None
    os.close(reading)
    assert process.wait(10) in (1, -signal.SIGINT, 130)


# -- who runs what -----------------------------------------------------------------------------------------------------------------------


def shares(tmp_path, needs, about, *alices):
    """How many of two scenarios each pairing gets; the second one judges `about` only. acme 2.0 has no UDP."""
    topology, known = loaded(tmp_path)
    bindings = [Binding(f"p{n}", {"alice": Selection("acme", a), "bob": Selection("acme", b)}) for n, (a, b) in enumerate(alices)]
    found = [{"scenario": "call", "needs": {}, "about": []}, {"scenario": "registers", "needs": needs, "about": about}]
    return {name: len(mine) for name, mine in share(found, topology, bindings, known).items()}


PAIRS = (("1.1", "1.1"), ("1.1", "2.0"), ("2.0", "1.1"))


def test_a_scenario_that_judges_one_side_runs_once_for_each_binding_of_it(tmp_path):
    assert shares(tmp_path, {}, ["alice"], *PAIRS) == {"p0": 2, "p1": 1, "p2": 2}


def test_it_runs_where_the_others_are_as_the_topology_has_them(tmp_path):
    topology, known = loaded(tmp_path)
    bound = [
        {"alice": Selection("acme", alice), "pa": Selection("globex", pa)} for alice, pa in (("2.0", "2.0"), ("2.0", "1.1"), ("1.1", "1.1"))
    ]
    bindings = [Binding(f"p{n}", selections) for n, selections in enumerate(bound)]
    found = [{"scenario": "refuses", "needs": {}, "about": ["pa"]}]
    assert {name for name, mine in share(found, topology, bindings, known).items() if mine} == {"p0", "p2"}
    assert [binding.id for binding in plainest_first(bindings, topology, known)] == ["p2", "p1", "p0"]


def test_it_runs_where_its_needs_are_met(tmp_path):
    assert shares(tmp_path, {"bob": ["udp"]}, ["alice"], *reversed(PAIRS)) == {"p0": 2, "p1": 1, "p2": 2}


def test_where_nobody_can_it_is_unsupported_once(tmp_path):
    assert shares(tmp_path, {"bob": ["zrtp"]}, ["alice"], *PAIRS) == {"p0": 2, "p1": 1, "p2": 2}


def test_a_scenario_about_nobody_there_is_an_error(tmp_path):
    with pytest.raises(PlanError, match='about names no element "alcie"') as caught:
        shares(tmp_path, {}, ["alcie"], *PAIRS)
    assert "did you mean alice" in str(caught.value)


def test_a_wrong_need_is_told_with_its_scenario(tmp_path):
    with pytest.raises(PlanError, match=r'^registers: needs of bob: unknown capability "holt"; did you mean hold'):
        shares(tmp_path, {"bob": ["holt"]}, [], *PAIRS)


# -- what is there to run ----------------------------------------------------------------------------------------------------------------


def scenarios(root: Path, text: str) -> Path:
    (root / "scenarios").mkdir()
    (root / "scenarios" / "test_it.py").write_text(text)
    return root


GOOD = 'import pytest\npytestmark = pytest.mark.lab(topology="pair")\ndef test_busy(lab):\n    """It is."""\ndef test_idle(lab): pass\n'


@pytest.mark.collects
def test_the_collection_is_pytests_own(tmp_path):
    root = scenarios(tmp_path, GOOD)
    assert [item["scenario"] for item in collect(root, "pair", [])] == ["busy", "idle"]
    assert [item["title"] for item in collect(root, "pair", ["-k", "busy"])] == ["It is."]
    assert collect(root, "pair", ["-k", "nothing"]) == []
    assert collect(root, "other", []) == []


@pytest.mark.collects
def test_a_file_that_cannot_be_read_is_an_error_and_never_a_shorter_list(tmp_path):
    root = scenarios(tmp_path, GOOD)
    (root / "scenarios" / "test_broken.py").write_text("import no_such_module\n")
    with pytest.raises(SpecError, match=r"cannot collect the scenarios.*no_such_module") as caught:
        collect(root, "pair", [])
    assert "\n" not in str(caught.value)
    assert "scenarios/test_broken.py:1: ModuleNotFoundError" in str(caught.value)
    (root / "scenarios" / "test_broken.py").write_text("\ndef x(:\n")
    with pytest.raises(SpecError, match=r"scenarios/test_broken.py:2: SyntaxError: invalid syntax"):
        collect(root, "pair", [])


@pytest.mark.collects
def test_a_keyword_that_is_no_expression_is_an_error(tmp_path):
    with pytest.raises(SpecError, match="cannot collect"):
        collect(scenarios(tmp_path, GOOD), "pair", ["-k", "a and or"])
