"""Flows of a user agent and what came down them, out of messages (RFC 5626). Here `pa` is an edge and `pb` the registrar."""

from __future__ import annotations

import pytest
from test_evidence_sip import DIRECTORY, end

from lab.evidence.directory import Endpoint
from lab.evidence.message import SipMessage, uri_user
from lab.evidence.outbound import Outbound
from lab.evidence.signalling import Signalling

SOCKET = end("alice", 40000)
EDGE, REGISTRAR = end("pa"), end("pb")


def message(frame: int, src: Endpoint, dst: Endpoint, start: str, *headers: str, branch: str, transport: str = "udp") -> SipMessage:
    method = start.split(maxsplit=1)[0]
    cseq = [] if any(header.startswith("CSeq") for header in headers) else [f"CSeq: 1 {method}"]
    lines = [start, f"Via: SIP/2.0/UDP h;branch={branch}", *cseq, *headers, "", ""]
    return SipMessage(frame, 100.0 + frame, src, dst, transport, "\r\n".join(lines).encode())


def register(frame: int, to: Endpoint, reg_id: int, instance: str = "urn:uuid:1", tags: str = "outbound, path") -> SipMessage:
    contact = f'Contact: <sip:a@10.64.0.30>;reg-id={reg_id};+sip.instance="<{instance}>"'
    return message(frame, SOCKET, to, "REGISTER sip:x SIP/2.0", contact, f"Supported: {tags}", branch=f"b{frame}")


def granted(frame: int, of: SipMessage, *headers: str) -> SipMessage:
    return message(frame, of.dst, of.src, "SIP/2.0 200 OK", "CSeq: 1 REGISTER", *headers, branch=of.branch)


def view(*messages: SipMessage) -> Outbound:
    return Outbound(Signalling(messages, DIRECTORY))


def both(instance: str = "urn:uuid:1", tags: str = "outbound, path", second: Endpoint = REGISTRAR) -> list[SipMessage]:
    one, two = register(1, EDGE, 1), register(2, second, 2, instance, tags)
    return [one, two, granted(3, one), granted(4, two)]


def test_two_flows_of_one_instance() -> None:
    assert view(*both()).registered("alice", 2)
    assert [(flow.reg_id, flow.edge) for flow in view(*both()).flows("alice")] == [(1, "pa"), (2, "pb")]


@pytest.mark.parametrize(
    ("messages", "what"),
    [
        (both()[:3], "has registered 1 flows, 2 expected"),
        (both(instance="urn:uuid:2"), "2 flows of alice are of 2 instances"),
        (both(second=EDGE), "2 flows of alice are of 1 instances and go to pa"),
        (both(tags="path"), "does not support outbound"),
    ],
)
def test_what_is_no_second_flow(messages: list[SipMessage], what: str) -> None:
    check = view(*messages).registered("alice", 2)
    assert (bool(check), check.blame) == (False, "alice")
    assert what in check.what


@pytest.mark.parametrize(
    ("path", "require", "what", "blame"),
    [
        ("Path: <sip:token@198.18.0.12;lr;ob>", "Require: outbound", "", ""),
        ("Path: <sip:198.18.0.12;lr;ob>", "Require: outbound", "with the Path <sip:198", "pa"),
        ("Path: <sip:token@198.18.0.12;lr;obx>", "Require: outbound", "with the Path", "pa"),
        ("X-Path: none", "Require: outbound", "with no Path", "pa"),
        ("Path: <sip:token@198.18.0.12;lr;ob>", "Supported: outbound", "without Require: outbound", "pb"),
    ],
)
def test_an_edge_names_the_flow(path: str, require: str, what: str, blame: str) -> None:
    contact = 'Contact: <sip:a@10.64.0.30>;reg-id=1;+sip.instance="<urn:uuid:1>"'
    handed = message(5, EDGE, REGISTRAR, "REGISTER sip:x SIP/2.0", contact, path, branch="b5")
    check = view(handed, granted(6, handed, require)).names_flow("pa", "pb")
    assert (bool(check), check.blame) == (not what, blame)
    assert what in check.what


def test_an_edge_that_hands_nothing_on_names_nothing() -> None:
    assert not view(*both()).names_flow("pa", "pb")


def call(frame: int, src: Endpoint, dst: Endpoint, call_id: str = "c1", transport: str = "udp") -> SipMessage:
    return message(
        frame, src, dst, "INVITE sip:a@x SIP/2.0", f"Call-ID: {call_id}", "To: <sip:a@x>", branch=f"b{frame}", transport=transport
    )


def test_calls_come_down_flows_and_by_no_other_way() -> None:
    good = view(*both(), call(7, EDGE, SOCKET))
    assert good.came_down("alice", "INVITE")
    assert (good.carrier("alice"), good.carrier("alice", "BYE"), good.carrier("bob")) == ("pa", "", "")
    assert "no BYE" in good.came_down("alice", "INVITE", "BYE").what
    for wrong in (call(7, end("pa", 31000), SOCKET), call(7, EDGE, end("alice")), call(7, EDGE, SOCKET, transport="tcp")):
        check = view(*both(), wrong).came_down("alice", "INVITE")
        assert (bool(check), check.blame) == (False, "pa")


def test_a_call_takes_one_flow_at_a_time() -> None:
    assert view(*both(), call(7, EDGE, SOCKET), call(8, REGISTRAR, SOCKET, "c2")).one_flow_at_a_time("alice")
    check = view(*both(), call(7, EDGE, SOCKET), call(8, REGISTRAR, SOCKET)).one_flow_at_a_time("alice")
    assert (bool(check), check.blame) == (False, "pb")
    assert not view(*both()).one_flow_at_a_time("alice")


def test_a_flow_is_registered_again_by_its_number() -> None:
    last = call(7, EDGE, SOCKET)
    assert view(*both(), last, register(9, EDGE, 1)).tried_again("alice", "pa", last)
    assert not view(*both(), last, register(9, EDGE, 3)).tried_again("alice", "pa", last)
    assert not view(*both(), last, register(9, REGISTRAR, 2)).tried_again("alice", "pa", last)


def test_a_flow_is_formed_anew_as_what_it_was() -> None:
    last = call(7, EDGE, SOCKET)

    def later(*messages: SipMessage) -> tuple[bool, str]:
        check = view(*both(), last, *messages).formed_anew("alice", "pa", last)
        assert check or check.blame == "alice"
        return bool(check), check.what

    again, other, stranger, elsewhere = (
        register(9, EDGE, 1),
        register(9, EDGE, 3),
        register(9, EDGE, 1, "urn:uuid:2"),
        register(9, REGISTRAR, 1),
    )
    assert later(again, granted(10, again)) == (True, "alice forms flow 1 by pa anew")
    assert later(again) == later(elsewhere, granted(10, elsewhere)) == later() == (False, "alice forms no flow by pa anew")
    assert later(other, granted(10, other)) == (False, "alice forms flow 3 of <urn:uuid:1> by pa, which was flow 1 of <urn:uuid:1>")
    assert later(stranger, granted(10, stranger)) == (False, "alice forms flow 1 of <urn:uuid:2> by pa, which was flow 1 of <urn:uuid:1>")
    assert "had no flow by pa" in view(last, again, granted(10, again)).formed_anew("alice", "pa", last).what


def test_user_part_of_a_uri() -> None:
    assert uri_user("<sip:a+b/=@198.18.0.12;lr>") == "a+b/="
    assert uri_user("<sip:198.18.0.12;lr;x=a@b>") == uri_user("") == ""
