"""pytest inside a pairing: whatever a scenario does, it ends as one cell that says so. Cells are looked at, not the console."""

import json
from datetime import date, timedelta
from pathlib import Path

import pytest
from session_fixtures import HEAD, Inside, inside

from lab.errors import AgentError, EvidenceError, RuntimeFault
from lab.session.cells import NothingCaptured
from lab.verdict.blame import Hop
from lab.verdict.model import Status


@pytest.fixture
def pairing(pytester, monkeypatch) -> Inside:
    return inside(pytester, monkeypatch)


def summary(cell):
    verdict = cell.verdict
    return verdict.status, verdict.blame, verdict.step, len(cell.attempts)


def test_a_scenario_that_goes_through_is_a_pass_with_its_evidence(pairing):
    code = pairing.run('def test_it_works(lab):\n    """What it says."""\n')
    cell = pairing.only()
    assert (code, summary(cell)) == (0, (Status.PASS, "", "", 1))
    assert (cell.scenario, cell.title, cell.topology) == ("it-works", "What it says.", "pair")
    assert cell.binding == {"alice": "acme@1.1", "bob": "acme@1.1", "pa": "globex@1.1", "pb": "globex@2.0"}
    assert [path.rpartition("/")[2] for path in cell.attempts[0].evidence] == ["ladder.svg", "timeline.jsonl"]
    assert all((pairing.folder / path).is_file() for path in cell.attempts[0].evidence)
    assert pairing.world.log == ["up", "down"]


def test_the_run_has_its_reports_and_its_end(pairing):
    pairing.run("def test_one(lab): pass")
    names = {path.name for path in pairing.folder.iterdir()}
    assert {"run.json", "cells.jsonl", "matrix.json", "index.html", "junit"} <= names
    assert json.loads((pairing.folder / "run.json").read_text())["ended"]


FAILURES = {
    "step-failed": (
        'def test_it(lab): raise StepFailed("bob: register: no outcome", element="bob", step="register")',
        (Status.FAIL, "bob", "register", 1),
        "bob: register: no outcome",
    ),
    "outcome": (
        'def test_it(lab): assert Outcome(False, "486 Busy Here", "alice", "call")',
        (Status.FAIL, "alice", "call", 1),
        "alice: call: 486 Busy Here",
    ),
    "check": (
        'def test_it(lab): assert Check(False, "media in clear", blame="pb", frame=7)',
        (Status.FAIL, "pb", "wire", 1),
        "media in clear [frame 7]",
    ),
    "the later of two": (
        'def test_it(lab):\n    bool(Outcome(False, "x", "alice", "call"))\n    assert Check(False, "not over tls", blame="pa")',
        (Status.FAIL, "pa", "wire", 1),
        "not over tls",
    ),
    "over several lines": (
        'def test_it(lab):\n    assert (\n        Check(True, "x")\n        and Check(False, "not over tls", blame="pa")\n    )',
        (Status.FAIL, "pa", "wire", 1),
        "not over tls",
    ),
    "inside a helper": (
        'def over_tls():\n    return bool(Check(False, "not over tls", blame="pa"))\ndef test_it(lab):\n    assert over_tls()',
        (Status.FAIL, "pa", "wire", 1),
        "not over tls",
    ),
    "one of several": (
        'def test_it(lab):\n    assert all([Check(True, "x"), Check(False, "not over tls", blame="pa")])',
        (Status.FAIL, "pa", "wire", 1),
        "not over tls",
    ),
    "an old check": (
        'def test_it(lab):\n    if not Check(False, "not over tls", blame="pa"):\n        assert 1 == 2, "one is not two"',
        (Status.FAIL, "lab", "assertion", 1),
        "one is not two",
    ),
    "an old outcome": (
        'def test_it(lab):\n    bool(Outcome(False, "x", "alice", "call"))\n    assert 1 == 2, "one is not two"',
        (Status.FAIL, "lab", "assertion", 1),
        "one is not two",
    ),
    "plain assert": ('def test_it(lab): assert 1 == 2, "one is not two"', (Status.FAIL, "lab", "assertion", 1), "one is not two"),
    "agent fault": (
        'def test_it(lab): raise AgentError("alice: gone", element="alice", code="fault")',
        (Status.FAIL, "alice", "agent", 1),
        "alice: gone",
    ),
    "agent unsupported": (
        'def test_it(lab): raise AgentError("alice: no such method", element="alice", code="unsupported")',
        (Status.FAIL, "alice", "agent", 1),
        "declared, but: alice: no such method",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_vendors_failure_is_blamed_and_never_retried(pairing, name):
    scenario, expected, reason = FAILURES[name]
    assert pairing.run(scenario) == 1
    assert summary(pairing.only()) == expected
    assert pairing.only().verdict.reason.startswith(reason)


def test_a_failed_assertion_of_an_earlier_scenario_blames_nobody_in_a_later_one(pairing):
    pairing.run('def test_a(lab): assert Outcome(False, "no", "alice", "call")\ndef test_b(lab): assert not "empty"')
    assert pairing.cells()["b"].verdict.blame == "lab"


def test_blame_follows_the_message(pairing):
    pairing.world.hops = [Hop(1, "alice", "pa", "INVITE"), Hop(2, "pa", "pb", "INVITE")]
    pairing.run('def test_it(lab): raise StepFailed("bob: no INVITE", element="bob", step="expect", trace="INVITE")')
    assert pairing.only().verdict.blame == "pb"
    assert "INVITE reached pb and went no further [frame 2]" in pairing.only().verdict.reason


@pytest.mark.parametrize(
    ("scenario", "step"),
    [
        ('def test_it(lab): lab.visit(); raise EvidenceError("the capture is empty")', "EvidenceError"),
        ('def test_it(lab): lab.visit(); raise RuntimeFault("engine gone")', "RuntimeFault"),
        ("def test_it(lab): lab.visit(); lab.no_such_thing()", "scenario"),
        ('@pytest.fixture\ndef broken(lab):\n    lab.visit()\n    raise OSError("no")\ndef test_it(broken): pass', "scenario"),
    ],
)
def test_what_the_lab_cannot_tell_is_tried_exactly_once_more_on_a_fresh_lab(pairing, scenario, step):
    assert pairing.run(scenario) == 3
    assert summary(pairing.only()) == (Status.INCONCLUSIVE, "lab", step, 2)
    assert pairing.world.visits == 2
    assert pairing.world.log == ["up", "down", "up", "down"]


def test_the_second_attempt_counts_and_the_first_is_kept(pairing):
    assert pairing.run('def test_it(lab):\n    if lab.visit() == 1: raise EvidenceError("not yet")') == 0
    cell = pairing.only()
    assert [attempt.verdict.status for attempt in cell.attempts] == [Status.INCONCLUSIVE, Status.PASS]
    assert not set(cell.attempts[0].evidence) & set(cell.attempts[1].evidence)


def test_evidence_that_cannot_be_read_makes_a_passing_scenario_inconclusive(pairing):
    pairing.world.unreadable = [EvidenceError("no frames"), EvidenceError("no frames")]
    assert pairing.run("def test_it(lab): pass") == 3
    assert pairing.only().verdict.reason == "evidence: no frames"


LOST = {"capture_dropped": 3}
IN_DOUBT = [
    (LOST, "the capture lost 3 frames"),
    ({"capture_dropped": None, "problems": {"capture": "dumpcap ended with 1"}}, "the capture did not end well: dumpcap ended with 1"),
    ({"problems": {"saving": "not done within 60 s"}}, "what the capture lost is not known: not done within 60 s"),
    ({}, "what the capture lost is not known: the lab did not end in order"),
]


@pytest.mark.parametrize(("about", "why"), IN_DOUBT)
def test_a_capture_in_doubt_takes_back_what_passed_on_it(pairing, about, why):
    pairing.world.losses = [about]
    assert pairing.run("def test_it(lab): pass") == 3
    cell = pairing.only()
    assert [attempt.verdict.status for attempt in cell.attempts] == [Status.PASS, Status.INCONCLUSIVE]
    assert (cell.verdict.reason, cell.verdict.blame, cell.verdict.step) == (f"had passed, but {why}", "lab", "capture")
    assert why in (pairing.folder / "index.html").read_text()
    assert f'type="lab" message="had passed, but {why}' in next(pairing.folder.glob("junit/*/*.xml")).read_text()
    assert why in pairing.console


def test_only_what_passed_on_that_lab_is_taken_back(pairing):
    pairing.world.losses = [LOST]
    scenarios = (
        "def test_a(lab): pass\n"
        'def test_b(lab): assert Check(False, "clear", blame="pb")\n'
        'def test_c(lab): lab.stop("pb")\n'
        "def test_d(lab): pass\n"
    )
    assert pairing.run(scenarios) == 1
    found = {name: cell.verdict.status for name, cell in pairing.cells().items()}
    assert found == {"a": Status.INCONCLUSIVE, "b": Status.FAIL, "c": Status.INCONCLUSIVE, "d": Status.PASS}


REFUSED = 'raise AgentError("bob: account.add: unsupported: no zrtp", element="bob", code="unsupported")'
UNSENT = 'raise StepFailed("bob: register: failed", element="bob", step="register", trace="REGISTER")'


@pytest.mark.parametrize(
    ("scenario", "status"),
    [(REFUSED, Status.FAIL), (UNSENT, Status.FAIL), ("assert False", Status.INCONCLUSIVE), ("pass", Status.INCONCLUSIVE)],
)
def test_an_empty_wire_excuses_nobody_who_sent_nothing(pairing, scenario, status):
    pairing.world.unreadable += [NothingCaptured("nothing was captured")] * 2
    pairing.run(f"def test_it(lab): {scenario}")
    verdict = pairing.only().verdict
    assert (verdict.status, verdict.blame) == (status, "bob" if status is Status.FAIL else "lab")


@pytest.mark.parametrize("how", ['pytest.skip("not today")', 'pytest.importorskip("no_such_module")', 'pytest.xfail("known")'])
def test_a_scenario_that_steps_aside_proves_nothing(pairing, how):
    assert pairing.run(f"def test_it(lab): {how}") == 3
    assert pairing.only().verdict.status is Status.INCONCLUSIVE


@pytest.mark.parametrize("mark", ["skip", "xfail"])
def test_marks_of_pytest_make_no_pass(pairing, mark):
    assert pairing.run(f'@pytest.mark.{mark}(reason="whatever")\ndef test_it(lab): assert False') != 0
    assert pairing.only().verdict.status is not Status.PASS


def test_a_scenario_without_a_lab_proves_nothing(pairing):
    assert pairing.run("def test_it(): pass") == 3
    assert pairing.only().verdict.status is Status.INCONCLUSIVE


def test_an_error_while_tearing_down_counts(pairing):
    fixture = '@pytest.fixture\ndef late(lab):\n    yield\n    raise EvidenceError("recording gone")\n'
    assert pairing.run(fixture + "def test_it(late): pass") == 3


def test_what_nobody_declares_is_unsupported_and_starts_nothing(pairing):
    code = pairing.run('@pytest.mark.lab(needs={"bob": ["srtp-sdes"]})\ndef test_it(lab): pass')
    assert (code, summary(pairing.only())) == (0, (Status.UNSUPPORTED, "bob", "capability join", 1))
    assert pairing.only().verdict.reason == "bob (acme@1.1) has no srtp-sdes"
    assert pairing.world.log == []


def test_a_scenario_that_does_not_run_keeps_nothing_from_the_next_module(pairing):
    (pairing.root / "scenarios").mkdir()
    (pairing.root / "scenarios" / "test_next.py").write_text(HEAD + "def test_next(lab): pass")
    pairing.run('def test_one(lab): pass\n@pytest.mark.lab(needs={"bob": ["srtp-sdes"]})\ndef test_two(lab): pass')
    assert {name: cell.verdict.status for name, cell in pairing.cells().items()} == {
        "one": Status.PASS,
        "two": Status.UNSUPPORTED,
        "next": Status.PASS,
    }


@pytest.mark.parametrize(("scenario", "status", "code"), [("assert 1 == 2", Status.XFAIL, 0), ("pass", Status.XPASS, 1)])
def test_expectations_turn_fails_into_xfail_and_passes_into_xpass(pairing, scenario, status, code):
    _expect(pairing, date.today())
    assert pairing.run(f"def test_it(lab): {scenario}") == code
    assert pairing.only().verdict.status is status
    assert "a bug of theirs" in pairing.only().verdict.reason


def test_an_expired_expectation_excuses_nothing(pairing):
    _expect(pairing, date.today() - timedelta(days=1))
    assert pairing.run("def test_it(lab): assert False") == 1
    assert pairing.only().verdict.status is Status.FAIL


def _expect(pairing, expires):
    members = f'scenario: it, match: ., binding: {{alice: acme}}, reason: a bug of theirs, expires: "{expires}"'
    entry = f"schema: 1\nexpectations: [{{{members}}}]\n"
    (pairing.root / "scenarios").mkdir()
    (pairing.root / "scenarios" / "expectations.yaml").write_text(entry)


# -- elements and labs that die --------------------------------------------------------------------------------------------------------


def test_a_dead_element_fails_its_cell_and_the_next_gets_a_fresh_lab(pairing):
    code = pairing.run(
        "def test_a(lab):\n    lab.world.dead['bob'] = 'died by signal 11'\n    raise StepFailed('alice: x', element='alice', step='y')\n"
        "def test_b(lab): pass"
    )
    first, second = pairing.cells().values()
    assert code == 1
    assert summary(first) == (Status.FAIL, "bob", "alive", 1)
    assert first.verdict.reason == "bob died by signal 11; last log lines: the last words; then: alice: x"
    assert second.verdict.status is Status.PASS
    assert pairing.world.log == ["up", "down", "up", "down"]


def test_what_a_scenario_stops_is_gone_in_no_other(pairing):
    assert pairing.run("def test_a(lab): lab.stop('bob')\ndef test_b(lab): assert not lab.bench.stopped") == 0
    assert [cell.verdict.status for cell in pairing.cells().values()] == [Status.PASS, Status.PASS]
    assert pairing.world.log == ["up", "down", "up", "down"]


def test_a_death_beside_a_stopped_element_fails(pairing):
    assert pairing.run("def test_a(lab):\n    lab.stop('alice')\n    lab.world.dead['bob'] = 'died by signal 11'") == 1
    assert summary(pairing.only()) == (Status.FAIL, "bob", "alive", 1)


def test_a_passing_scenario_with_a_dead_element_fails(pairing):
    assert pairing.run("def test_a(lab): lab.world.dead['bob'] = 'ended with exit code 1'") == 1
    assert summary(pairing.only()) == (Status.FAIL, "bob", "alive", 1)


def test_an_element_that_dies_between_two_cells_harms_neither(pairing):
    code = pairing.run(
        "world = []\ndef test_a(lab): world.append(lab.world)\n"
        "@pytest.fixture\ndef between():\n    world and world.pop().dead.update(bob='died by signal 6')\ndef test_b(between, lab): pass"
    )
    assert code == 0
    assert pairing.world.log == ["up", "down", "up", "down"]
    lost, passed = pairing.cells()["b"].attempts
    assert (lost.verdict.status, passed.verdict.status) == (Status.INCONCLUSIVE, Status.PASS)
    assert lost.verdict.reason == "bob died by signal 6, after the cell before this one had been judged"


def test_an_element_that_cannot_be_reset_fails_the_cell_and_is_rebuilt(pairing):
    pairing.world.begins = [AgentError("bob: reset: no answer within 10 s", element="bob")]
    assert pairing.run("def test_a(lab): pass\ndef test_b(lab): pass") == 1
    first, second = pairing.cells().values()
    assert summary(first) == (Status.FAIL, "bob", "agent", 1)
    assert second.verdict.status is Status.PASS
    assert pairing.world.log == ["up", "down", "up", "down"]


def test_an_agent_that_failed_in_a_cell_does_not_spoil_the_next(pairing):
    pairing.run('def test_a(lab): raise AgentError("bob: hello: no answer", element="bob")\ndef test_b(lab): pass')
    assert pairing.world.log == ["up", "down", "up", "down"]


def test_an_element_that_cannot_start_fails_and_is_tried_twice_at_most(pairing):
    pairing.world.starts = [AgentError(f"bob: ended with exit code {n}", element="bob") for n in (1, 2, 3, 4)]
    assert pairing.run("\n".join(f"def test_{name}(lab): pass" for name in "abcd")) == 1
    assert pairing.world.log == ["up", "up"]
    assert [summary(cell) for cell in pairing.cells().values()] == [(Status.FAIL, "bob", "agent", 1)] * 4
    assert "bob: ended with exit code 2" in pairing.cells()["d"].verdict.reason


def test_a_lab_never_writes_over_another_one_of_the_same_pairing(pairing):
    pairing.run("def test_a(lab): pass")
    run = pairing.folder
    (folder,) = (run / "pairings").iterdir()
    (folder / "pairing.json").write_text("{}")
    pairing.run("def test_b(lab): pass", "--run-folder", str(run))
    (evidence,) = {Path(path).parent for path in pairing.cells()["b"].attempts[-1].evidence}
    assert evidence == Path("pairings") / folder.name / "lab-2" / "cells" / "b"


def test_a_lab_that_cannot_start_is_tried_twice_and_the_rest_say_so(pairing):
    pairing.world.starts = [RuntimeFault("no free subnet") for _ in range(9)]
    assert pairing.run("\n".join(f"def test_{name}(lab): pass" for name in "abc")) == 3
    assert pairing.world.log == ["up", "up"]
    for cell in pairing.cells().values():
        assert (cell.verdict.status, cell.verdict.blame) == (Status.INCONCLUSIVE, "lab")
        assert "no free subnet" in cell.verdict.reason


def test_one_failed_start_is_made_good_by_the_next(pairing):
    pairing.world.starts = [RuntimeFault("busy")]
    assert pairing.run("def test_a(lab): pass") == 0
    assert [attempt.verdict.status for attempt in pairing.only().attempts] == [Status.INCONCLUSIVE, Status.PASS]


def test_an_engine_that_goes_away_while_judging_is_inconclusive(pairing, monkeypatch):
    monkeypatch.setattr("session_fixtures.StubBench.dead", _engine_gone)
    assert pairing.run("def test_a(lab): pass\ndef test_b(lab): pass") == 3
    assert {cell.verdict.status for cell in pairing.cells().values()} == {Status.INCONCLUSIVE}


def _engine_gone(bench):
    raise RuntimeFault("the engine does not answer")


def test_a_lab_that_cannot_be_removed_leaves_every_cell_recorded(pairing):
    pairing.world.downs = [RuntimeFault("clean-up did not end"), RuntimeFault("clean-up did not end")]
    code = pairing.run("def test_a(lab):\n    lab.world.dead['bob'] = 'died by signal 11'\ndef test_b(lab): pass")
    assert code == 1
    assert "clean-up did not end" in pairing.cells()["a"].verdict.reason
    assert pairing.cells()["b"].verdict.status is Status.PASS
    assert (pairing.folder / "index.html").exists()


def test_a_last_lab_that_cannot_be_removed_is_no_success(pairing):
    pairing.world.downs = [RuntimeFault("clean-up did not end")]
    assert pairing.run("def test_a(lab): pass") == 3
    assert "clean-up did not end" in pairing.console
    assert "INTERNALERROR" not in pairing.console
    assert pairing.only().verdict.status is Status.PASS


def test_ctrl_c_takes_the_lab_down_and_writes_the_reports(pairing):
    code = pairing.run("def test_a(lab): pass\ndef test_b(lab): raise KeyboardInterrupt\ndef test_c(lab): pass")
    assert code == 130
    assert list(pairing.cells()) == ["a"]
    assert pairing.world.log == ["up", "down"]
    assert (pairing.folder / "index.html").exists()


def test_ctrl_c_while_starting(pairing):
    pairing.world.starts = [KeyboardInterrupt()]
    assert pairing.run("def test_a(lab): pass") == 130
    assert pairing.cells() == {}


# -- elements that ruin every cell -------------------------------------------------------------------------------------------------------

HUNG = "def test_{0}(lab): raise AgentError('alice: reset: no answer within 10 s', element='alice')\n"
FLOODED = "def test_{0}(lab): lab.world.ended['alice'] = 'flooded its output'\n"


@pytest.mark.parametrize("scenario", [HUNG, FLOODED])
def test_after_three_cells_that_one_element_ruined_its_others_fail_untried(pairing, scenario):
    pairing.run("".join(scenario.format(name) for name in "abcde"))
    found = [summary(cell) for cell in pairing.cells().values()]
    assert [(status, blame) for status, blame, *_ in found] == [(Status.FAIL, "alice")] * 5
    assert [step == "untried" for _, _, step, _ in found] == [False, False, False, True, True]
    assert pairing.cells()["e"].verdict.reason.startswith("not tried: alice has ruined the 3 cells before, the last one so: alice")
    assert pairing.world.log == ["up", "down"] * 3


@pytest.mark.parametrize(
    "between",
    [
        "def test_b(lab): pass\n",
        "def test_b(lab): raise AgentError('bob: reset: no answer', element='bob')\n",
        "def test_b(lab): lab.world.dead['alice'] = 'died by signal 11'\n",
    ],
)
def test_what_does_not_come_in_a_row_is_tried_on(pairing, between):
    pairing.run(HUNG.format("a") + between + HUNG.format("c") + HUNG.format("d") + "def test_e(lab): pass\n")
    assert pairing.cells()["e"].verdict.status is Status.PASS


def test_a_failed_element_at_its_limit_says_so(pairing):
    spoiled = "def test_it(lab):\n    lab.world.strained = 'it is at its limit of 9 processes'\n"
    pairing.run(spoiled + "    assert Outcome(False, 'silent', 'alice', 'call')\n")
    assert pairing.only().verdict.reason == "alice: call: silent; it is at its limit of 9 processes"
