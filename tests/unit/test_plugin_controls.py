"""Negative controls: red for the expected reason is a pass, anything else proves nothing or worse."""

import pytest
from session_fixtures import Inside, inside

from lab.errors import AgentError, LabError
from lab.verdict.model import Status

CONTROL = '@pytest.mark.control("pb", "no-record-route", expect="Record-Route|route set")\n'


@pytest.fixture
def pairing(pytester, monkeypatch) -> Inside:
    return inside(pytester, monkeypatch)


def verdict(pairing, scenario):
    code = pairing.run(CONTROL + scenario, "--controls")
    return code, pairing.only(controls=True).verdict


def test_red_for_the_expected_reason_is_a_pass(pairing):
    code, found = verdict(pairing, 'def test_it(lab): assert Check(False, "no Record-Route on hop 2", blame="pb")')
    assert (code, found.status) == (0, Status.PASS)
    assert found.reason == "pb no-record-route: no Record-Route on hop 2"
    assert pairing.world.log == ["up", "control pb no-record-route", "behave", "down"]
    assert pairing.cells() == {}


def test_a_control_that_stays_green_is_a_fail(pairing):
    code, found = verdict(pairing, "def test_it(lab): pass")
    assert (code, found.status, found.blame) == (1, Status.FAIL, "lab")
    assert found.reason == "stayed green although pb no-record-route: this scenario proves nothing"


def test_red_for_another_reason_is_a_fail(pairing):
    code, found = verdict(pairing, 'def test_it(lab): assert Check(False, "media in clear")')
    assert (code, found.status) == (1, Status.FAIL)
    assert "red, but not for 'Record-Route|route set': media in clear" in found.reason


def test_a_scenario_without_a_control_is_inconclusive_and_starts_nothing(pairing):
    assert pairing.run("def test_it(lab): pass", "--controls") == 3
    assert pairing.only(controls=True).verdict.reason == "the scenario has no negative control"
    assert pairing.world.log == []


def test_an_inconclusive_control_is_tried_once_more_and_proves_nothing(pairing):
    code, found = verdict(pairing, 'def test_it(lab): raise EvidenceError("no Record-Route: the capture is empty")')
    assert (code, found.status) == (3, Status.INCONCLUSIVE)


@pytest.mark.parametrize(
    "error", [AgentError("pb: misbehave: no Record-Route switch", element="pb"), LabError("pb: no control command for the route set")]
)
def test_a_control_that_cannot_be_switched_on_is_inconclusive_whatever_its_words(pairing, error):
    pairing.world.controls = [error, error]
    code, found = verdict(pairing, "def test_it(lab): pass")
    assert (code, found.status) == (3, Status.INCONCLUSIVE)
    assert "cannot be switched on" in found.reason


def test_an_element_that_dies_is_not_the_expected_red(pairing):
    scenario = 'def test_it(lab):\n    lab.world.dead["pb"] = "died by signal 11"\n    assert Check(False, "no Record-Route")'
    code, found = verdict(pairing, scenario)
    assert (code, found.status, found.blame) == (1, Status.FAIL, "pb")


def test_an_element_that_cannot_start_is_not_the_expected_red(pairing):
    pairing.world.starts = [AgentError("pb: no route set; last log lines: Record-Route", element="pb")]
    code, found = verdict(pairing, "def test_it(lab): pass")
    assert (code, found.status, found.blame) == (1, Status.FAIL, "pb")


def test_a_server_that_cannot_be_told_to_behave_is_replaced(pairing):
    pairing.world.behaves = [AgentError("pb: behave ended with 1", element="pb")]
    red = 'assert Check(False, "no Record-Route")'
    assert pairing.run(f"{CONTROL}def test_a(lab): {red}\n{CONTROL}def test_b(lab): {red}", "--controls") == 0
    assert pairing.world.log.count("up") == 2


def test_expectations_do_not_touch_controls(pairing):
    folder = pairing.root / "scenarios"
    folder.mkdir()
    (folder / "expectations.yaml").write_text(
        'schema: 1\nexpectations: [{scenario: it, match: ., reason: known for long, expires: "2999-01-01"}]\n'
    )
    assert verdict(pairing, "def test_it(lab): pass")[1].status is Status.FAIL


def test_a_misbehaviour_that_the_vendor_does_not_list_starts_nothing(pairing):
    scenario = '@pytest.mark.control("alice", "misbehave=drop-ack", expect="ACK")\ndef test_it(lab): pass'
    assert pairing.run(scenario, "--controls") == 3
    assert "alice (acme@1.1) has no misbehaviour drop-ack" in pairing.only(controls=True).verdict.reason
    assert pairing.world.log == []


def test_a_control_that_expects_nothing_in_particular_starts_nothing(pairing):
    scenario = '@pytest.mark.control("pb", "no-record-route")\ndef test_it(lab): assert Check(False, "anything")'
    assert pairing.run(scenario, "--controls") == 3
    assert pairing.only(controls=True).verdict.reason.startswith("the negative control expects no reason")
    assert pairing.world.log == []
