"""Messages, session descriptions and assertions over signalling, without a wire."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import falsehood
from lab.errors import EvidenceError
from lab.evidence.check import Check
from lab.evidence.dialog import astray
from lab.evidence.directory import Directory, Endpoint, sip_ports, tls_ports
from lab.evidence.dissection import Dissection, tshark_arguments
from lab.evidence.events import Mark, Stray, TlsRecord, parse
from lab.evidence.message import SipMessage, trim, uri_host, via_host
from lab.evidence.negotiation import Negotiation
from lab.evidence.signalling import Signalling
from lab.evidence.tls import TlsView, undecrypted
from lab.plan.model import Domain, Element, Interface, Listener, Network, Plan

NAMES = ("alice", "pa", "pb", "bob")


def plan() -> Plan:
    def element(name: str, number: int) -> Element:
        place = Interface("internet", IPv4Address(f"198.18.0.{number}"), IPv6Address(f"2001:db8::{number:x}"))
        doors = (Listener("tls", 5071, f"expired.{name}.example", "expired"),) if name == "pa" else ()
        return Element(name, "proxy", "test", "1", (place,), f"{name}.atlanta.example", listeners=doors)

    elements = tuple(element(name, 11 + i) for i, name in enumerate(NAMES))
    network = Network("internet", IPv4Network("198.18.0.0/24"), IPv6Network("2001:db8::/64"))
    return Plan("trapezoid", "", 1, (network,), (Domain("biloxi.example", "pb", ()),), elements, ())


DIRECTORY = Directory(plan())


def end(name: str, port: int = 5060) -> Endpoint:
    return Endpoint(f"198.18.0.{11 + NAMES.index(name)}", port, name)


def sip(frame: int, src: str, dst: str, start: str, *headers: str, transport: str = "udp", body: str = "", cseq: str = "") -> SipMessage:
    method = start.split(maxsplit=1)[0]
    lines = [
        start,
        *headers,
        "Call-ID: c1",
        f"CSeq: {cseq or f'1 {method}'}",
        *(["Content-Type: application/sdp"] if body else []),
        "",
        body,
    ]
    return SipMessage(frame, 100.0 + frame / 10, end(src), end(dst), transport, "\r\n".join(lines).encode())


def call() -> Signalling:
    """alice – pa – pb – bob: INVITE, 180, CANCEL, 487."""
    path = [("alice", "pa"), ("pa", "pb"), ("pb", "bob")]
    vias = [
        "Via: SIP/2.0/UDP 198.18.0.11;branch=z9hG4bKa",
        "Via: SIP/2.0/TLS pa.atlanta.example:5061;branch=z9hG4bKp",
        "v: SIP/2.0/UDP [2001:db8::d];branch=z9hG4bKb",
    ]
    routes = [[], ["Record-Route: <sip:198.18.0.12;lr>"], ["Record-Route: <sip:biloxi.example;lr>, <sip:198.18.0.12;lr>"]]
    messages = []
    for hop, (src, dst) in enumerate(path):
        stack = list(reversed(vias[: hop + 1]))
        messages.append(sip(hop, src, dst, "INVITE sip:bob@biloxi.example SIP/2.0", *stack, *routes[hop], "To: <sip:bob@biloxi.example>"))
        messages.append(sip(hop + 10, src, dst, "CANCEL sip:bob@biloxi.example SIP/2.0", stack[0], "To: <sip:bob@biloxi.example>"))
        messages.append(sip(hop + 20, dst, src, "SIP/2.0 200 OK", stack[0], cseq="1 CANCEL"))
        messages.append(sip(hop + 30, dst, src, "SIP/2.0 487 Request Terminated", stack[0], cseq="1 INVITE"))
    return Signalling(sorted(messages, key=lambda m: m.frame), DIRECTORY)


# -- messages -----------------------------------------------------------------------------------------------------------------------


def test_a_message_reads_its_headers() -> None:
    raw = (
        b"SIP/2.0 180 Ringing\r\nv: SIP/2.0/UDP a;branch=z9hG4bK1,\r\n SIP/2.0/TCP b;branch=z9hG4bK2\r\n"
        b'CONTACT: "A, B" <sip:a,b@c>, <sip:d>\r\n'
        b"i: x@y\r\nCSeq: 7 INVITE\r\nt: <sip:b;tag=no>;tag=yes\r\n\r\nbody"
    )
    message = SipMessage(1, 1.0, end("pa"), end("alice"), "udp", raw)
    assert (message.status, message.reason, message.method, message.cseq, message.call_id) == (180, "Ringing", "INVITE", 7, "x@y")
    assert message.branch == "z9hG4bK1"
    assert len(message.header_values("Via")) == 2
    assert message.header_values("Contact") == ('"A, B" <sip:a,b@c>', "<sip:d>")
    assert message.to_tag == "yes"
    assert message.body == b"body"
    assert not message.is_request
    assert message.uri == ""


@given(st.binary(max_size=300))
def test_no_bytes_make_a_message_raise(raw: bytes) -> None:
    for data in (
        raw,
        b"INVITE sip:a SIP/2.0\r\n" + raw,
        b"SIP/2.0 200\r\nCSeq:" + raw,
        b"SIP/2.0 \xb2\xb2\xb2 OK\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n" + raw,
    ):
        message = SipMessage(1, 1.0, end("pa"), end("alice"), "udp", trim(data))
        _ = (
            message.label,
            message.status,
            message.method,
            message.cseq,
            message.branch,
            message.to_tag,
            message.header_values("Via"),
            message.uri,
        )
        _ = [(media.cryptos, media.direction, media.secure) for media in (message.sdp.media if message.sdp else ())]
        assert repr(message)


def test_a_message_is_cut_out_of_a_stream() -> None:
    one = b"OPTIONS sip:a SIP/2.0\r\nl: 2\r\n\r\nhi"
    assert trim(b"\r\n\r\n" + one + b"OPTIONS sip:b SIP/2.0\r\n") == one
    assert trim(b"OPTIONS sip:a SIP/2.0\r\n\r\nall") == b"OPTIONS sip:a SIP/2.0\r\n\r\nall"


@pytest.mark.parametrize(
    ("via", "host"),
    [("SIP/2.0/TLS a.example:5061;branch=x", "a.example"), ("SIP / 2.0 / UDP [2001:db8::1]:5060", "[2001:db8::1]"), ("junk", "")],
)
def test_via_host(via: str, host: str) -> None:
    assert via_host(via) == host


@pytest.mark.parametrize(
    ("uri", "host"), [("<sip:a@b.example;lr>", "b.example"), ("<sips:[2001:db8::1]:5061>", "[2001:db8::1]"), ("tel:1", "")]
)
def test_uri_host(uri: str, host: str) -> None:
    assert uri_host(uri) == host


def test_a_multipart_body_holds_sdp() -> None:
    body = b"v=0\r\nc=IN IP4 198.18.0.11\r\nm=audio 4 RTP/AVP 0\r\na=sendonly"
    head = b"INVITE sip:a SIP/2.0\r\nContent-Type: multipart/mixed;boundary=b\r\n\r\n--b\r\nContent-Type: application/sdp\r\n\r\n"
    raw = head + body + b"\r\n--b--\r\n"
    sdp = SipMessage(1, 1.0, end("pa"), end("alice"), "udp", raw).sdp
    assert sdp
    (media,) = sdp.media
    assert (media.address, media.port, media.direction, media.secure) == ("198.18.0.11", 4, "sendonly", False)


# -- directory ------------------------------------------------------------------------------------------------------------------------


def test_elements_are_found_by_address_name_and_domain() -> None:
    assert DIRECTORY.endpoint("198.18.0.12", 5061).element == "pa"
    assert DIRECTORY.host("[2001:DB8:0::C]") == "pa"
    assert DIRECTORY.host("expired.pa.example.") == "pa"
    assert DIRECTORY.host("biloxi.example") == "pb"
    assert DIRECTORY.host("198.18.0.99") == DIRECTORY.host("nobody.example") == ""
    assert str(DIRECTORY.endpoint("2001:db8::99", 1)) == "[2001:db8::99]:1"
    assert 5071 in sip_ports(plan())
    assert tls_ports(plan()) == (5061, 5071)
    assert "tls.port==5071,sip" in tshark_arguments("-i -", sip_ports(plan()), tls_ports(plan()))


# -- assertions -----------------------------------------------------------------------------------------------------------------------


def test_the_way_through_both_proxies() -> None:
    assert call().passed_through("pa", "pb")
    assert not call().passed_through("pb", "pa")
    missing = call().where(lambda m: m.dst.element != "bob").passed_through("pa", "pb")
    assert not missing
    assert missing.blame == "pb"


def test_hops_branches_and_order() -> None:
    signalling = call()
    assert signalling.on_every_hop("CANCEL")
    assert signalling.on_every_hop("CANCEL", "alice", "pa", "pb", "bob")
    assert not signalling.on_every_hop("BYE")
    assert signalling.on_every_hop("BYE", "alice", "pa").blame == "alice"
    assert signalling.same_branch("INVITE", "CANCEL")
    assert not signalling.where(lambda m: not (m.method == "CANCEL" and m.src.element == "pb")).on_every_hop("CANCEL")
    assert signalling.order("INVITE", "CANCEL", 487, at="alice")
    late = signalling.order("CANCEL", "INVITE")
    assert not late
    assert "after CANCEL" in late.what
    assert signalling.response_to("INVITE", 487, to="alice")
    assert not signalling.response_to("INVITE", 200, to="alice")
    assert signalling.never_answered("INVITE", 200)
    assert signalling.hop_over("alice", "pa", "udp")
    assert not signalling.all_over("tls")


def test_a_foreign_branch_is_blamed() -> None:
    wrong = sip(40, "alice", "pa", "CANCEL sip:bob@biloxi.example SIP/2.0", "Via: SIP/2.0/UDP 198.18.0.11;branch=z9hG4bKother")
    check = Signalling([*call(), wrong], DIRECTORY).same_branch("INVITE", "CANCEL")
    assert (bool(check), check.blame, check.frame) == (False, "alice", 40)


def test_no_branch_at_all_is_not_the_same_branch() -> None:
    both = [sip(n, "alice", "pa", f"{method} sip:bob@x SIP/2.0", cseq=f"1 {method}") for n, method in enumerate(("INVITE", "CANCEL"))]
    check = Signalling(both, DIRECTORY).same_branch("INVITE", "CANCEL")
    assert (bool(check), check.what) == (False, "CANCEL from alice 198.18.0.11:5060 has branch none, its INVITE none")


def test_a_request_without_call_id_has_a_way_too() -> None:
    bare = [replace(message, raw=message.raw.replace(b"Call-ID: c1\r\n", b"")) for message in call()]
    assert Signalling(bare, DIRECTORY).passed_through("pa", "pb")
    assert not Signalling(bare, DIRECTORY).passed_through("pb", "pa")


@pytest.mark.parametrize(
    "ask",
    [
        lambda s: s.all_over("tls"),
        lambda s: s.passed_through("pa"),
        lambda s: s.on_every_hop("BYE"),
        lambda s: s.same_branch("INVITE", "CANCEL"),
        lambda s: s.order("INVITE"),
        lambda s: s.response_to("INVITE", 200),
        lambda s: s.never_answered("INVITE", 200),
        lambda s: s.carries_sdp("INVITE", wanted=False),
        lambda s: s.offered("sendonly", by="alice"),
        lambda s: s.authorized("REGISTER", source="alice"),
        lambda s: s.binding_expires("alice"),
        lambda s: s.no_sip_bytes("alice", "pa"),
    ],
)
def test_nothing_is_proven_by_nothing(ask) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(EvidenceError):
        ask(Signalling([], DIRECTORY))


def test_registration() -> None:
    messages = [
        sip(1, "alice", "pa", "REGISTER sip:a SIP/2.0"),
        sip(2, "pa", "alice", "SIP/2.0 401 Unauthorized", cseq="1 REGISTER"),
        sip(3, "alice", "pa", "REGISTER sip:a SIP/2.0", "Authorization: Digest x", cseq="2 REGISTER"),
        sip(4, "pa", "alice", "SIP/2.0 200 OK", "Contact: <sip:alice@198.18.0.11>;expires=60", cseq="2 REGISTER"),
    ]
    signalling = Signalling(messages, DIRECTORY)
    assert signalling.authorized("REGISTER", source="alice")
    assert signalling.binding_expires("alice")
    assert not signalling[:2].authorized("REGISTER", source="alice")
    assert not signalling[:3].authorized("REGISTER", source="alice")
    assert not signalling[:3].binding_expires("alice")


def test_hold_and_delayed_offer() -> None:
    def sdp(direction: str) -> str:
        return f"v=0\r\nc=IN IP4 198.18.0.11\r\nm=audio 4 RTP/AVP 0\r\na={direction}\r\n"

    hold = [
        sip(1, "alice", "pa", "INVITE sip:b SIP/2.0", body=sdp("sendonly")),
        sip(2, "pa", "alice", "SIP/2.0 200 OK", cseq="1 INVITE", body=sdp("recvonly")),
    ]
    signalling = Signalling(hold, DIRECTORY)
    assert signalling.offered("sendonly", by="alice", answered=("recvonly",))
    assert not signalling.offered("sendonly", by="alice", answered=("inactive",))
    assert not signalling.offered("inactive", by="alice")
    assert signalling.carries_sdp("INVITE", source="alice")
    assert not signalling.carries_sdp("INVITE", wanted=False)
    challenged = [
        sip(1, "alice", "pa", "INVITE sip:b SIP/2.0", body=sdp("sendonly")),
        sip(2, "pa", "alice", "SIP/2.0 407 Proxy Authentication Required", cseq="1 INVITE"),
        sip(3, "alice", "pa", "INVITE sip:b SIP/2.0", cseq="2 INVITE", body=sdp("sendonly")),
        sip(4, "pa", "alice", "SIP/2.0 200 OK", cseq="2 INVITE", body=sdp("recvonly")),
    ]
    assert Signalling(challenged, DIRECTORY).offered("sendonly", by="alice", answered=("recvonly",))
    assert Signalling(challenged[:3], DIRECTORY).offered("sendonly", by="alice").blame == "pa"


@pytest.mark.parametrize(
    ("route", "blame"),
    [
        ("<sip:198.18.0.12;lr>", "pa"),
        ("<sip:198.18.0.12;lr;transport=tcp>", "alice"),
        ("", "alice"),
    ],
)
def test_a_route_without_transport_is_its_proxys_choice(route: str, blame: str) -> None:
    headers = ["To: <sip:bob@biloxi.example>;tag=b", *([f"Route: {route}"] if route else [])]
    bye = sip(7, "alice", "pa", "BYE sip:bob@198.18.0.14 SIP/2.0", *headers)
    check = Signalling([bye], DIRECTORY).all_over("tcp")
    assert (check.ok, check.blame, check.frame) == (False, blame, 7)


def test_what_still_waits_for_an_answer() -> None:
    via = "Via: SIP/2.0/UDP 198.18.0.11;branch=z9hG4bK1"
    invite = sip(1, "alice", "pa", "INVITE sip:bob@biloxi.example SIP/2.0", via)
    ringing = sip(2, "pa", "alice", "SIP/2.0 180 Ringing", via, cseq="1 INVITE")
    busy = sip(3, "pa", "alice", "SIP/2.0 486 Busy Here", via, cseq="1 INVITE")
    ack = sip(4, "alice", "pa", "ACK sip:bob@biloxi.example SIP/2.0", via)
    assert [m.frame for m in Signalling([invite, ringing], DIRECTORY).unfinished()] == [1]
    assert [m.frame for m in Signalling([invite, ringing, busy], DIRECTORY).unfinished()] == [1]
    assert not Signalling([invite, ringing, busy, ack], DIRECTORY).unfinished()


def test_a_failing_check_reads_well_and_is_remembered() -> None:
    falsehood.forget()
    assert falsehood.last() == ()
    check = Check(False, "INVITE went over udp", "alice", 7)
    assert not check
    (found,) = falsehood.last()
    assert found.what is check
    assert found.places[0][0] == __file__
    assert repr(check) == "<NOT so: INVITE went over udp (frame 7), blame alice>"


# -- the dissector's lines -------------------------------------------------------------------------------------------------------------


def line(kind: str, frame: int = 1, **more: object) -> bytes:
    base = {
        "kind": kind,
        "frame": frame,
        "interface": 0,
        "time": 1.0,
        "src": "198.18.0.11",
        "sport": 1,
        "dst": "198.18.0.12",
        "dport": 5061,
        "transport": "tls",
    }
    return json.dumps(base | more).encode()


def tls(frame: int = 1, stream: int = 1, **more: object) -> TlsRecord:
    lists: dict[str, object] = {name: [] for name in ("types", "opaque", "handshake", "sni", "alerts", "names", "uris")}
    (event,) = parse(line("tls", frame, stream=stream, **(lists | more)), DIRECTORY)
    assert isinstance(event, TlsRecord)
    return event


def test_lines_become_facts() -> None:
    (message,) = parse(line("sip", raw=[b"OPTIONS sip:a SIP/2.0\r\n\r\n".hex()]), DIRECTORY)
    assert isinstance(message, SipMessage)
    assert message.dst.element == "pa"
    (late,) = parse(line("stray", raw=[b"\r\n\r\nOPTIONS sip:a SIP/2.0\r\n\r\n".hex()]), DIRECTORY)
    assert isinstance(late, SipMessage)
    (stray,) = parse(line("stray", raw=[b"\r\n\r\n".hex()]), DIRECTORY)
    assert isinstance(stray, Stray)


@pytest.mark.parametrize("bad", [b"", b"{", b"{}", b"[]", line("new"), line("sip", raw=["zz"])])
def test_a_line_that_cannot_be_read_is_an_error(bad: bytes) -> None:
    with pytest.raises(EvidenceError, match="dissector"):
        list(parse(bad, DIRECTORY))


def test_a_dissection_takes_chunks_and_a_later_pass() -> None:
    live, later = Dissection(DIRECTORY), Dissection(DIRECTORY)
    whole = line("mark", 5, text="siplab mark 1 x") + b"\n" + line("mark", 9, text="siplab mark 2 y") + b"\n"
    for index in range(len(whole)):
        live.feed(whole[index : index + 1])
    assert [event.frame for event in live.events] == [5, 9]
    later.feed(line("sip", 2, raw=[b"A".hex()]) + b"\n" + line("mark", 5, text="siplab mark 1 x") + b"\n")
    live.replace(later)
    assert [event.frame for event in live.events] == [2, 5, 9]
    assert [event.frame for event in live.between(2, 5)] == [5]
    assert isinstance(live.marks["siplab mark 2 y"], Mark)


def test_events_come_in_the_order_of_their_times() -> None:
    """Frames of several networks are captured batch by batch."""
    live = Dissection(DIRECTORY)
    for frame, time in ((2, 30.0), (3, 10.0), (4, 20.0)):
        live.feed(line("dns", frame, time=time, response=False, rcode=0, names=[], qtypes=[]) + b"\n")
    assert [event.frame for event in live.between(1, 4)] == [3, 4, 2]


# -- TLS ------------------------------------------------------------------------------------------------------------------------------


def test_tls_1_3_is_open_where_the_inner_types_show() -> None:
    hello, flight = tls(types=[22], handshake=[1]), tls(types=[22, 20, 22, 22, 22, 22], opaque=[23] * 4, handshake=[2, 8, 11, 15, 20])
    data = tls(types=[23], opaque=[23])
    assert undecrypted([hello, flight, data]) == ()
    dark = tls(types=[22, 20], opaque=[23] * 4, handshake=[2])
    assert undecrypted([hello, dark, tls(types=[20], opaque=[23]), tls(opaque=[23])]).__len__() == 3
    assert undecrypted([hello, tls(types=[21], alerts=[48])]) == ()


def test_tls_1_2_is_open_where_the_finished_shows() -> None:
    data = tls(types=[23])
    assert undecrypted([tls(types=[22, 20, 22], handshake=[16, 20]), data]) == ()
    assert undecrypted([tls(types=[22, 20, 22], handshake=[16]), data]) == (data,)
    assert undecrypted([tls(types=[22], handshake=[20], stream=2), data]) == (data,)
    assert len(undecrypted([tls(types=[21])])) == 1


def test_no_sip_bytes_counts_application_data() -> None:
    records = [tls(1, types=[22], handshake=[1]), tls(2, types=[21], alerts=[48])]
    assert Signalling([], DIRECTORY, others=records).no_sip_bytes("alice", "pa", port=5061)
    assert not Signalling([], DIRECTORY, others=[*records, tls(3, types=[23])]).no_sip_bytes("alice", "pa")
    assert TlsView(tuple(records)).attempted("alice", "pa", port=5061)
    assert not TlsView(tuple(records)).attempted("alice", "pa", port=5071)
    assert [alert.name for alert in TlsView(tuple(records)).alerts] == ["unknown_ca"]


def test_a_client_certificate_is_proven_by_its_signature() -> None:
    shown = tls(handshake=[11, 15, 20], uris=["sip:alice@atlanta.example"])
    check = TlsView((shown,)).client_certificate("alice", "pa")
    assert check
    assert "sip:alice@atlanta.example" in check.what
    for other in (tls(handshake=[11, 20]), tls(handshake=[15], src="198.18.0.12", dst="198.18.0.11")):
        missing = TlsView((other,)).client_certificate("alice", "pa")
        assert (bool(missing), missing.blame) == (False, "alice")


# -- keys -------------------------------------------------------------------------------------------------------------------------------


def test_the_answer_chooses_the_key() -> None:
    def sdp(number: int, port: int, *tags: int) -> str:
        lines = "".join(f"a=crypto:{tag} AES_CM_128_HMAC_SHA1_80 inline:KEY{number}{tag}|2^31\r\n" for tag in tags)
        return f"v=0\r\nc=IN IP4 198.18.0.{number}\r\nm=audio {port} RTP/SAVP 0\r\na=rtpmap:101 telephone-event/8000\r\n{lines}"

    offer = sip(1, "alice", "pa", "INVITE sip:b SIP/2.0", body=sdp(11, 4000, 1, 2))
    answer = sip(2, "pa", "alice", "SIP/2.0 200 OK", cseq="1 INVITE", body=sdp(14, 6000, 2))
    both = Negotiation(Signalling([offer, answer], DIRECTORY))
    assert [crypto.key for crypto in both.keys(end("alice", 4000))] == ["KEY112"]
    assert [crypto.key for crypto in both.keys(end("bob", 6000))] == ["KEY142"]
    assert both.keys(end("bob", 6001)) == ()
    assert both.telephone_events(end("alice", 4000)) == {101}
    assert len(Negotiation(Signalling([offer], DIRECTORY)).keys(end("alice", 4000))) == 2


def in_dialog(frame, start, *headers):
    lines = [start, "Call-ID: c1", "To: <sip:bob@biloxi.example>;tag=b", *headers, "", ""]
    return SipMessage(frame, float(frame), end("alice"), end("pa"), "udp", "\r\n".join(lines).encode())


def test_a_request_within_a_dialog_asks_for_a_contact():
    dialog = [
        in_dialog(1, "SIP/2.0 200 OK", "CSeq: 1 INVITE", "Contact: <sip:bob@198.18.0.13:5062>"),
        in_dialog(2, "ACK sip:bob@biloxi.example SIP/2.0", "CSeq: 1 ACK"),
        in_dialog(3, "BYE sip:bob@198.18.0.13:5062;alias=1 SIP/2.0", "CSeq: 2 BYE"),
        in_dialog(4, "BYE sip:bob@biloxi.example SIP/2.0", "CSeq: 3 BYE"),
        in_dialog(5, "SIP/2.0 404 Not Found", "CSeq: 3 BYE"),
    ]
    assert astray(dialog) == {4}


def test_where_no_contact_was_seen_nothing_is_astray():
    assert astray([in_dialog(1, "BYE sip:bob@biloxi.example SIP/2.0", "CSeq: 3 BYE")]) == set()


def test_who_was_not_to_be_asked() -> None:
    bystander = call().where(lambda m: m.dst.element != "bob")
    assert bystander.kept_from("bob")
    for ask in (lambda: bystander.kept_from("bbo"), lambda: call().never_answered("INVITE", 200, to="alcie")):
        with pytest.raises(KeyError, match=r"no element '.*there: alice, pa, pb, bob"):
            ask()
    reached = call().kept_from("bob")
    assert (reached.ok, reached.blame, reached.frame) == (False, "pb", 2)


def test_a_refused_request_is_the_fault_of_who_refused_it_first() -> None:
    way = [("alice", "pa"), ("pa", "bob")]
    messages = [sip(n, *hop, "INVITE sip:bob@biloxi.example SIP/2.0") for n, hop in enumerate(way)]
    messages += [sip(n + 10, *hop, "NOTIFY sip:bob@biloxi.example SIP/2.0", cseq="2 NOTIFY") for n, hop in enumerate(way)]
    messages += [sip(n + 20, b, a, "SIP/2.0 400 Missing Contact", cseq="2 NOTIFY") for n, (a, b) in enumerate(reversed(way))]
    check = Signalling(messages, DIRECTORY).on_every_hop("NOTIFY")
    assert (check.ok, check.blame, check.frame, check.what) == (False, "bob", 20, "400 Missing Contact to NOTIFY from bob")


def test_a_redirection_is_followed_exactly_or_not_at_all() -> None:
    carol = "sip:carol@biloxi.example"
    moved = sip(2, "pa", "alice", "SIP/2.0 302 Moved Temporarily", f"Contact: <{carol}>;q=1", cseq="1 INVITE")
    obeyed = sip(3, "alice", "pa", f"INVITE {carol};transport=udp SIP/2.0", cseq="2 INVITE")
    ignored = sip(4, "alice", "pa", "INVITE sip:bob@biloxi.example SIP/2.0", cseq="3 INVITE")
    assert Signalling([moved], DIRECTORY).redirected(carol, to="alice")
    assert Signalling([moved, obeyed], DIRECTORY).redirected(carol, to="alice")
    assert Signalling([moved, ignored], DIRECTORY).redirected(carol, to="alice").blame == "alice"
    assert Signalling([moved], DIRECTORY).redirected("sip:dave@biloxi.example", to="alice").blame == "pa"
    assert not Signalling([obeyed], DIRECTORY).redirected(carol, to="alice")


def test_a_wrong_final_response_is_blamed_on_who_made_it() -> None:
    messages = [
        sip(1, "alice", "pa", "INVITE sip:bob@biloxi.example SIP/2.0"),
        sip(2, "pa", "alice", "SIP/2.0 407 Proxy Authentication Required", cseq="1 INVITE"),
        sip(3, "bob", "pb", "SIP/2.0 486 Busy Here", cseq="2 INVITE"),
        sip(4, "pb", "pa", "SIP/2.0 500 Server Internal Error", cseq="2 INVITE"),
        sip(5, "pa", "alice", "SIP/2.0 500 Server Internal Error", cseq="2 INVITE"),
    ]
    check = Signalling(messages, DIRECTORY).response_to("INVITE", 486, to="alice")
    assert (check.ok, check.blame, check.frame) == (False, "pb", 4)
    challenged = Signalling(messages[:2], DIRECTORY).final_response("INVITE", 400, 699, to="alice")
    assert not challenged, "a challenge refuses nothing"
    assert challenged.blame == "pa"
    assert Signalling(messages, DIRECTORY).response_to("INVITE", 407, to="alice")


@pytest.mark.parametrize(
    ("routes", "blame"),
    [
        ("<sip:198.18.0.13;lr;transport=tcp>, <sip:198.18.0.13;lr;transport=tls>, <sip:198.18.0.12;lr>", None),
        ("<sip:198.18.0.13;lr>, <sip:198.18.0.13;transport=tls;lr>", "pb"),
        ("<sip:198.18.0.13;transport=tcp;lr>, <sips:198.18.0.13;lr>", None),
        ("<sip:198.18.0.13;transport=tcp;lr>", "pb"),
        ("", None),
    ],
)
def test_a_proxy_names_the_transport_that_it_is_used_over(routes: str, blame: str | None) -> None:
    """pa calls pb over TLS, pb calls bob over TCP; who stays in the dialog has to be found again from both sides."""
    headers = [f"Record-Route: {routes}"] if routes else []
    arrives = sip(1, "pa", "pb", "INVITE sip:bob@biloxi.example SIP/2.0", transport="tls")
    leaves = sip(2, "pb", "bob", "INVITE sip:bob@biloxi.example SIP/2.0", *headers, transport="tcp")
    check = Signalling([arrives, leaves], DIRECTORY).record_routes_fit()
    assert (check.ok, check.blame) == (blame is None, blame or "")


def test_a_body_is_the_same_on_every_hop() -> None:
    hops = [
        sip(1, "alice", "pa", "MESSAGE sip:bob@b SIP/2.0", body="\u00fc"),
        sip(2, "pa", "bob", "MESSAGE sip:bob@b SIP/2.0", body="\u00fc"),
    ]
    assert Signalling(hops, DIRECTORY).brought("MESSAGE", "\u00fc".encode(), to="bob")
    changed = [hops[0], sip(2, "pa", "bob", "MESSAGE sip:bob@b SIP/2.0", body="?")]
    answer = Signalling(changed, DIRECTORY).brought("MESSAGE", "\u00fc".encode(), to="bob")
    assert (answer.ok, answer.blame, answer.frame) == (False, "pa", 2)
    with pytest.raises(EvidenceError):
        Signalling(hops[:1], DIRECTORY).brought("MESSAGE", b"", to="bob")


def test_what_a_header_shows() -> None:
    focus = Signalling([sip(1, "pb", "pa", "SIP/2.0 200 OK", "Contact: <sip:room@198.18.0.13>;isfocus", cseq="1 INVITE")], DIRECTORY)
    plain = Signalling([sip(2, "pb", "pa", "SIP/2.0 200 OK", "m: <sip:room@198.18.0.13>", cseq="1 INVITE")], DIRECTORY)
    assert focus.shows("Contact", ";isfocus")
    failed = plain.shows("Contact", ";isfocus")
    assert (bool(failed), failed.blame, failed.frame) == (False, "pb", 2)
    asked = Signalling([sip(3, "pa", "pb", "INVITE sip:bob@vm.example;target=sip:bob;cause=486 SIP/2.0", body="v=0")], DIRECTORY)
    assert asked.shows("Request-URI", ";cause=486")
    assert not asked.shows("Request-URI", ";cause=408")
    assert asked.shows("body", "v=0")
    with pytest.raises(EvidenceError):
        asked[1:].shows("Contact", "x")
