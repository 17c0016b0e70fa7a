"""Statuses, blame, expectations and cells: pure decisions."""

from dataclasses import replace
from datetime import date

import pytest

from lab.errors import EvidenceError
from lab.verdict import cells
from lab.verdict.blame import Hop, trace
from lab.verdict.decide import Failure, against, decide, exit_code, one_line, unsupported
from lab.verdict.expectation import Expectation, known
from lab.verdict.model import Attempt, Cell, Status, Verdict


def hops(*rows):
    return [Hop(number, *row) for number, row in enumerate(rows, 1)]


def test_no_failure_is_a_pass():
    assert decide(None) == Verdict(Status.PASS)


@pytest.mark.parametrize("kind", ["lab", "scenario"])
def test_what_the_lab_broke_is_never_a_vendors_failure(kind):
    verdict = decide(Failure(kind, "the capture is empty", element="alice"))
    assert (verdict.status, verdict.blame) == (Status.INCONCLUSIVE, "lab")


def test_a_check_names_element_and_packet():
    verdict = decide(Failure("check", "MESSAGE pa → pb over udp", element="pa", step="all over tls", frame=41))
    assert verdict == Verdict(Status.FAIL, "MESSAGE pa → pb over udp [frame 41]", "pa", "all over tls")


def test_an_element_that_died_is_blamed_whatever_the_wire_says():
    wire = hops(("alice", "pa", "INVITE"))
    assert decide(Failure("element", "died by signal 11", element="bob", trace="INVITE"), wire).blame == "bob"


def test_blame_goes_to_who_received_it_last_and_kept_it():
    wire = hops(("alice", "pa", "INVITE"), ("pa", "pb", "INVITE"))
    verdict = decide(Failure("step", "no call", element="bob", step="call.incoming", trace="INVITE"), wire)
    assert verdict.blame == "pb"
    assert "[frame 2]" in verdict.reason


def test_blame_goes_to_who_refused_first():
    wire = hops(("alice", "pa", "INVITE"), ("pa", "pb", "INVITE"), ("pb", "pa", "INVITE", 404), ("pa", "alice", "INVITE", 404))
    assert trace(wire, "INVITE", "bob").element == "pb"


def test_a_request_that_asks_for_no_contact_is_its_senders_fault():
    wire = [Hop(1, "alice", "pa", "BYE", None, True), Hop(2, "pa", "pb", "BYE", None, True), Hop(3, "pb", "pa", "BYE", 404)]
    assert (trace(wire, "BYE", "bob").element, trace(wire, "BYE", "bob").frame) == ("alice", 1)


def test_a_malformed_request_that_nobody_answered_blames_its_sender():
    wire = [Hop(1, "alice", "pa", "REGISTER", flaw="no valid Call-ID")]
    assert trace(wire, "REGISTER", "alice").why == "REGISTER from alice is malformed (no valid Call-ID)"
    answered = [*wire, Hop(2, "pa", "alice", "REGISTER", 400)]
    assert trace(answered, "REGISTER", "alice").element == "pa"


def test_a_registration_that_was_never_sent_is_not_another_ones():
    bob = [Hop(1, "bob", "pb", "REGISTER", call_id="b"), Hop(2, "pb", "bob", "REGISTER", 200, call_id="b")]
    assert trace(bob, "REGISTER", "alice").element == "alice"
    alice = [Hop(3, "alice", "edge", "REGISTER", call_id="a"), Hop(4, "edge", "pa", "REGISTER", call_id="a")]
    assert (trace([*alice, *bob], "REGISTER", "alice").element, trace([*alice, *bob], "REGISTER", "alice").frame) == ("pa", 4)


def test_a_timeout_is_the_fault_of_who_did_not_answer():
    wire = hops(("alice", "pa", "MESSAGE"), ("pa", "pb", "MESSAGE"), ("pa", "pb", "MESSAGE"), ("pa", "alice", "MESSAGE", 408))
    assert (trace(wire, "MESSAGE", "bob").element, trace(wire, "MESSAGE", "bob").frame) == ("pb", 3)


def test_of_proxies_that_give_up_one_after_the_other_none_is_the_silent_one():
    wire = hops(("alice", "pa", "MESSAGE"), ("pa", "pb", "MESSAGE"), ("pb", "bob", "MESSAGE"), ("pa", "alice", "MESSAGE", 408))
    assert (trace(wire, "MESSAGE", "bob").element, trace(wire, "MESSAGE", "bob").frame) == ("bob", 3)
    there = [*wire[:3], Hop(9, "bob", "pb", "MESSAGE", 200), *wire[3:]]
    assert trace(there, "MESSAGE", "bob").element == "pb"


def test_blame_goes_by_time_and_not_by_frame_numbers():
    wire = [Hop(7, "alice", "pa", "MESSAGE"), Hop(2, "pa", "bob", "MESSAGE"), Hop(9, "pa", "alice", "MESSAGE", 408)]
    assert trace(wire, "MESSAGE", "bob").element == "bob"
    wire = [Hop(9, "alice", "pa", "BYE"), Hop(3, "pa", "bob", "BYE"), Hop(4, "bob", "pa", "BYE", 200)]
    assert trace(wire, "BYE", "bob").why == "200 to BYE was delivered to pa"


def test_a_timeout_of_who_had_an_answer_is_its_own():
    wire = hops(("alice", "pa", "MESSAGE"), ("pa", "pb", "MESSAGE"), ("pb", "pa", "MESSAGE", 200), ("pa", "alice", "MESSAGE", 408))
    assert trace(wire, "MESSAGE", "bob").element == "pa"


def test_an_answer_to_an_earlier_request_does_not_excuse_silence():
    call = (("pa", "bob", "INVITE"), ("bob", "pa", "INVITE", 200), ("pa", "alice", "INVITE", 200))
    wire = hops(*call, ("alice", "pa", "INVITE"), ("pa", "bob", "INVITE"), ("pa", "bob", "INVITE"), ("pa", "alice", "INVITE", 408))
    assert (trace(wire, "INVITE", "alice").element, trace(wire, "INVITE", "alice").frame) == ("bob", 6)


def test_a_challenge_is_no_refusal():
    wire = hops(("alice", "pa", "REGISTER"), ("pa", "alice", "REGISTER", 401))
    assert trace(wire, "REGISTER", "alice").element == "alice"


def test_nothing_on_the_wire_blames_who_should_have_sent():
    assert trace([], "INVITE", "alice").element == "alice"


def test_what_was_never_sent_blames_who_was_told_to_send_it():
    verdict = decide(Failure("step", "not terminated", element="alice", step="ended", trace="BYE", sender="bob"), [])
    assert (verdict.blame, verdict.reason) == ("bob", "not terminated: no BYE from bob on the wire")


def test_a_delivered_answer_that_was_not_taken_blames_its_receiver():
    wire = hops(("alice", "pa", "INVITE"), ("pa", "bob", "INVITE"), ("bob", "pa", "INVITE", 200), ("pa", "alice", "INVITE", 200))
    assert trace(wire, "INVITE", "alice").element == "alice"


def test_unsupported_names_the_side():
    verdict = unsupported([("alice", "twinkle@1.10", "tls")])
    assert verdict.status is Status.UNSUPPORTED
    assert verdict.reason == "alice (twinkle@1.10) has no tls"


SOON = date(2026, 12, 31)


def expectation(match="", **members):
    return Expectation("tls-server-name", {"pa": "kamailio"}, match, "does not check names", SOON, **members)


def test_expectations_turn_fail_and_pass_and_nothing_else():
    entries = [expectation()]
    assert against(Verdict(Status.FAIL, "x"), entries).status is Status.XFAIL
    assert against(Verdict(Status.PASS), entries).status is Status.XPASS
    assert against(Verdict(Status.INCONCLUSIVE, "x"), entries).status is Status.INCONCLUSIVE
    assert against(Verdict(Status.FAIL, "x"), []).status is Status.FAIL


def test_an_expectation_excuses_the_failure_that_it_describes_and_no_other():
    entries = [expectation(blame="pa", match="SIP bytes")]
    assert against(Verdict(Status.FAIL, "SIP bytes to pb", "pa"), entries).status is Status.XFAIL
    assert against(Verdict(Status.FAIL, "SIP bytes to pb", "bob"), entries).status is Status.FAIL
    assert against(Verdict(Status.FAIL, "pa died by signal 11", "pa"), entries).status is Status.FAIL
    assert against(Verdict(Status.PASS), entries).status is Status.XPASS


def test_what_hangs_on_a_drawn_number_may_pass():
    passed, failed = Verdict(Status.PASS), Verdict(Status.FAIL, "x")
    assert against(passed, [expectation(sometimes=True)]).status is Status.PASS
    assert against(failed, [expectation(sometimes=True)]).status is Status.XFAIL
    assert against(passed, [expectation(sometimes=True), expectation()]).status is Status.XPASS


def test_what_the_specification_permits_is_said():
    verdict = against(Verdict(Status.FAIL, "x"), [expectation(permits="RFC 3261 §16.6")])
    assert verdict.reason == "x (known, RFC 3261 §16.6 permits it: does not check names)"


def test_an_expectation_expires_and_matches_vendor_or_flavour():
    entry = expectation()
    binding = {"pa": "kamailio@6.0"}
    assert known([entry], "tls-server-name[wrong-san]", "trapezoid", binding, SOON) == [entry]
    assert known([entry], "tls-server-name[wrong-san]", "trapezoid", binding, date(2027, 1, 1)) == []
    assert known([entry], "busy", "trapezoid", binding, SOON) == []
    assert known([entry], "tls-server-name", "trapezoid", {"pa": "ejabberd@24"}, SOON) == []
    there = replace(entry, topologies=("trapezoid-ipv6",))
    assert known([there], "tls-server-name", "trapezoid", binding, SOON) == []
    assert known([there], "tls-server-name", "trapezoid-ipv6", binding, SOON) == [there]


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ([], 5),
        ([Status.PASS, Status.UNSUPPORTED, Status.XFAIL], 0),
        ([Status.PASS, Status.FAIL], 1),
        ([Status.XPASS], 1),
        ([Status.PASS, Status.INCONCLUSIVE], 3),
        ([Status.FAIL, Status.INCONCLUSIVE], 1),
    ],
)
def test_exit_codes(statuses, code):
    assert exit_code(statuses) == code


def test_reasons_are_one_line_without_control_characters():
    assert one_line("a\x1b[31mred\r\n\x00b") == "a [31mred b"
    assert len(one_line("x" * 1000)) == 300


def cell(status=Status.PASS, scenario="busy"):
    attempt = Attempt(Verdict(status, "why", "alice", "step"), 1764000000.0, 1.5, ("pairings/p/l.svg",))
    return Cell(1, "run", "p", "trapezoid", {"alice": "baresip@1.1"}, scenario, "title", (attempt,))


def test_cells_survive_the_file(tmp_path):
    path = tmp_path / "cells.jsonl"
    written = [cell(), cell(Status.FAIL, "with \x00 hostile \n text")]
    for one in written:
        cells.append(path, one)
    assert cells.read(path) == written


def test_a_torn_last_line_is_left_out_and_a_broken_one_before_it_is_an_error(tmp_path):
    path = tmp_path / "cells.jsonl"
    cells.append(path, cell())
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])
    assert len(cells.read(path)) == 1
    path.write_bytes(whole[:40] + b"\n" + whole)
    with pytest.raises(EvidenceError, match=r"cells.jsonl:1: not a cell"):
        cells.read(path)
