"""Assertions where SIP meets the telephone network, without a wire."""

from __future__ import annotations

import dpkt
import pytest
from test_evidence_sip import DIRECTORY, end, sip

from lab.errors import EvidenceError
from lab.evidence.media import Media
from lab.evidence.message import SipMessage
from lab.evidence.pcapng import Frame
from lab.evidence.signalling import Signalling
from lab.evidence.telephony import Telephony, cause_of
from lab.sip.media import tone


def view(*messages: SipMessage, frames: tuple[Frame, ...] = ()) -> Telephony:
    signalling = Signalling(messages, DIRECTORY)
    return Telephony(signalling, lambda: frames, Media(frames, signalling, DIRECTORY), DIRECTORY)


def invite(frame: int, src: str, dst: str, *headers: str) -> SipMessage:
    return sip(frame, src, dst, "INVITE sip:+49301@x SIP/2.0", *headers)


def answer(frame: int, src: str, dst: str, status: str, *headers: str, body: str = "") -> SipMessage:
    return sip(frame, src, dst, f"SIP/2.0 {status}", *headers, cseq="1 INVITE", body=body)


def test_the_last_refusal_counts_and_a_challenge_is_none():
    asked = invite(1, "pa", "pb")
    seen = view(
        asked, answer(2, "pb", "pa", "407 Proxy Authentication Required"), answer(3, "pb", "pa", "486 Busy", "Reason: Q.850;cause=17")
    )
    assert seen.refused(486, by="pb", to="pa")
    assert seen.released(17, by="pb", to="pa")
    wrong = seen.refused(404, by="pb", to="pa")
    assert (bool(wrong), wrong.what, wrong.blame, wrong.frame) == (False, "pb refused the INVITE with 486, should be 404", "pb", 3)
    wrong = seen.released(1, by="pb", to="pa")
    assert (wrong.what, wrong.blame) == ("pb refused the INVITE with 486 and cause 17, should be cause 1", "pb")
    silent = view(asked, answer(3, "pb", "pa", "486 Busy", "Reason: SIP;cause=486")).released(17, by="pb", to="pa")
    assert "and no cause" in silent.what


def test_without_a_refusal_it_is_told_whose_turn_it_was():
    assert view(invite(1, "pa", "pb"), answer(2, "pb", "pa", "180 Ringing")).refused(486, by="pb", to="pa").blame == "pb"
    nothing = view(invite(1, "alice", "pa")).released(17, by="pb", to="pa")
    assert (bool(nothing), nothing.blame) == (False, "pa")


def test_causes_are_read_from_any_of_several_reasons():
    assert cause_of(answer(1, "pb", "pa", "486 Busy", "Reason: SIP;cause=486", 'Reason: Q.850 ;cause="17";text="busy"')) == 17
    assert cause_of(answer(1, "pb", "pa", "486 Busy")) is None


@pytest.mark.parametrize(
    ("headers", "private", "what"),
    [
        (["P-Asserted-Identity: <sip:+49401@x>"], False, ""),
        (["P-Asserted-Identity: <tel:+49401>", "Privacy: user;id"], True, ""),
        (["P-Asserted-Identity : <sip:+49401@x>", "Privacy: id"], False, "pa says to keep"),
        (["P-Asserted-Identity: <sip:+49401@x>"], True, "pa says not to keep"),
        (["P-Asserted-Identity: <sip:bob@x>", "P-Asserted-Identity : <sip:+49401@x>"], False, "pa asserts bob and +49401"),
        ([], False, "pa asserts nobody"),
    ],
)
def test_exactly_one_identity_is_asserted(headers, private, what):
    check = view(invite(1, "pa", "pb", *headers)).asserted("+49401", by="pa", to="pb", private=private)
    assert bool(check) is not bool(what)
    assert check.what.startswith(what)
    assert check.blame == ("pa" if what else "")


def test_a_hidden_number_is_in_no_message():
    seen = view(invite(1, "pa", "bob", "From: <sip:anonymous@anonymous.invalid>"), answer(2, "bob", "pa", "200 OK", "To: <sip:+49301@x>"))
    shown = view(invite(1, "pa", "bob", "From: <sip:+49302@x>"))
    assert seen.hidden("+49302", to="bob")
    assert shown.shown("+49302", to="bob")
    assert not shown.shown("+49301", to="bob")
    wrong = shown.hidden("+49302", to="bob")
    assert (wrong.blame, wrong.what) == ("pa", "bob reads +49302 in INVITE: From: <sip:+49302@x>")
    with pytest.raises(EvidenceError):
        seen.hidden("+49302", to="alice")
    with pytest.raises(EvidenceError, match="no SIP message from pb reached bob"):
        seen.hidden("+49302", source="pb", to="bob")


@pytest.mark.parametrize("written", ["+49302", "49302", "+49-30-2", "+49 (30) 2", "%2B49302", "%2b493%302"])
def test_a_number_is_not_hidden_by_how_it_is_written(written):
    assert not view(invite(1, "pa", "bob", f"From: <sip:{written}@x>")).hidden("+49302", to="bob")


@pytest.mark.parametrize("written", ["+493021", "149302", "4930"])
def test_another_number_is_none(written):
    assert view(invite(1, "pa", "bob", f"From: <sip:{written}@x>")).hidden("+49302", to="bob")


@pytest.mark.parametrize("written", ["bob@x", "BOB@x", "b%6Fb@x"])
def test_a_name_is_not_hidden_by_how_it_is_written(written):
    assert not view(invite(1, "pa", "bob", f"From: <sip:{written}>")).hidden("bob@", to="bob")


def test_who_is_barred_gets_nothing_but_a_challenge_or_a_refusal():
    asked = invite(1, "alice", "pa")
    assert view(asked, answer(2, "pa", "alice", "100 Trying"), answer(3, "pa", "alice", "407 x")).barred(to="alice")
    wrong = view(asked, answer(2, "pa", "alice", "407 x"), answer(3, "pa", "alice", "180 Ringing")).barred(to="alice")
    assert (bool(wrong), wrong.blame) == (False, "pa")
    assert view(asked).barred(to="alice").blame == "pa"


def packet(number: int, src: str, dst: str, data: bytes = b"x", sport: int = 40000, time: float = 0.0) -> Frame:
    ends = [bytes(int(part) for part in end(name).address.split(".")) for name in (src, dst)]
    udp = dpkt.udp.UDP(sport=sport, dport=40002, data=data)
    udp.ulen = len(udp)
    ip = dpkt.ip.IP(src=ends[0], dst=ends[1], p=17, data=udp)
    ip.len = len(ip)
    return Frame(number, 0, 0, time, bytes(dpkt.ethernet.Ethernet(data=ip)))


def test_one_packet_is_a_packet():
    arp = Frame(1, 0, 0, 0.0, bytes(dpkt.ethernet.Ethernet(type=dpkt.ethernet.ETH_TYPE_ARP, data=dpkt.arp.ARP())))
    assert view(frames=(arp, packet(2, "alice", "pa"))).untouched("pa", "pb")
    wrong = view(frames=(arp, packet(2, "pb", "pa"))).untouched("pa", "pb")
    assert (bool(wrong), wrong.blame, wrong.what, wrong.frame) == (False, "pb", "a packet went from pb to pa", 2)
    with pytest.raises(KeyError, match="no element 'trunk'"):
        view().untouched("pa", "trunk")


def test_a_tone_counts_until_the_answer():
    payloads = tone("PCMU/8000", 440)
    head = bytes([0x80, 0])

    def rtp(n: int) -> bytes:
        return head + n.to_bytes(2, "big") + (160 * n).to_bytes(4, "big") + b"ssrc" + payloads[n % 50]

    frames = tuple(packet(n, "bob", "alice", rtp(n), time=100.0 + n * 0.02) for n in range(50))
    progress = answer(2, "pa", "alice", "183 Session Progress", body="v=0\r\n")
    assert view(progress, frames=frames).early(440, by="bob", to="alice")
    assert not view(progress, frames=frames).early(880, by="bob", to="alice")
    soon = view(progress, answer(3, "pa", "alice", "200 OK"), frames=frames).early(440, by="bob", to="alice")
    assert (bool(soon), soon.blame) == (False, "bob")
    assert not view(answer(2, "pa", "alice", "180 Ringing"), frames=frames).early(440, by="bob", to="alice")
