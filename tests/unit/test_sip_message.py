"""Messages: well-formed ones, streams of them, and bytes that are none."""

import pytest
from sipmessage import URI, Address, Request

from lab.sip.fault import MessageError
from lab.sip.framing import StreamFramer
from lab.sip.message import branch_of, parse, respond, serialize
from lab.sip.raw import RawMessage

OPTIONS = (
    b"OPTIONS sip:bob@biloxi.example SIP/2.0\r\n"
    b"v: SIP/2.0/UDP 198.18.0.1;branch=z9hG4bK1, SIP/2.0/TCP 198.18.0.2;branch=z9hG4bK2\r\n"
    b"From: <sip:alice@atlanta.example>;tag=1\r\nTo: <sip:bob@biloxi.example>\r\n"
    b"Call-ID: a\r\nCSeq: 1\r\n OPTIONS\r\nRecord-Route: <sip:pa.example;lr>\r\nl: 2\r\n\r\nhi"
)


def test_compact_forms_folding_and_lists_are_understood():
    request = parse(OPTIONS)
    assert [via.host for via in request.via] == ["198.18.0.1", "198.18.0.2"]
    assert request.cseq.method == "OPTIONS"
    assert request.body == b"hi"


def test_bytes_beyond_content_length_are_dropped_and_missing_ones_are_an_error():
    assert parse(OPTIONS + b"more").body == b"hi"
    with pytest.raises(MessageError, match="Content-Length is 2"):
        parse(OPTIONS[:-1])


@pytest.mark.parametrize("name", [b"From", b"To", b"Call-ID", b"CSeq", b"v"])
def test_a_mandatory_header_that_is_missing_is_named(name):
    lines = [line for line in OPTIONS.split(b"\r\n") if not line.startswith((name + b":", b" "))]
    with pytest.raises(MessageError, match=name.decode() if name != b"v" else "Via"):
        parse(b"\r\n".join(lines))


@pytest.mark.parametrize(
    "data", [b"", b"\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", OPTIONS.replace(b"SIP/2.0\r", b"SIP/7.0\r", 1), b"\xff" * 50 + b"\r\n\r\n"]
)
def test_what_is_no_sip_is_a_message_error(data):
    with pytest.raises(MessageError):
        parse(data)


def test_a_response_takes_over_what_it_must_and_gets_a_tag():
    """RFC 3261 §8.2.6.2."""
    response = parse(serialize(respond(parse(OPTIONS), 200, tag="x")))
    assert response.to_address.parameters["tag"] == "x"
    assert [via.host for via in response.via] == ["198.18.0.1", "198.18.0.2"]
    assert response.record_route[0].uri.host == "pa.example"
    assert not respond(parse(OPTIONS), 486).record_route


def test_a_stream_is_cut_by_content_length_wherever_the_pieces_end():
    framer = StreamFramer()
    stream = b"\r\n\r\n" + OPTIONS + b"\r\n" + OPTIONS
    got = [message for n in range(len(stream)) for message in framer.feed(stream[n : n + 1])]
    assert got == [OPTIONS, OPTIONS]
    with pytest.raises(MessageError, match="no Content-Length"):
        framer.feed(OPTIONS.replace(b"l: 2\r\n", b""))


def test_raw_messages_survive_unchanged():
    wild = b"INVITE  sip:x SIP/7.0\r\nVia:\xff\r\nX : 1\r\nvia: 2\r\n\r\n\r\n\0"
    raw = RawMessage.read(wild)
    assert bytes(raw) == wild
    assert raw.values("Via") == [b"\xff", b"2"]


def test_uri_parameters_go_out_as_they_came_in():
    target = "sip:bob@[2001:db8::1]:5061;alias=[2001:db8::31]~45437~3;transport=tls"
    request = Request(method="ACK", uri=URI.parse(target))
    request.contact = [Address.parse(f"<{target};x=a/b&c+d$e%20f>")]
    head = serialize(request).decode()
    assert head.startswith(f"ACK {target} SIP/2.0\r\n")
    assert f"Contact: <{target};x=a/b&c+d$e%20f>\r\n" in head


def test_an_ipv6_address_in_received_goes_through_unchanged():
    """RFC 3261 §25.1: without brackets, unlike everywhere else."""
    via = "Via: SIP/2.0/UDP [2001:db8::1]:5060;received=2001:db8::2;branch=z9hG4bKa;rport=5060"
    response = parse(
        f"SIP/2.0 200 OK\r\n{via}\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: c\r\nCSeq: 1 BYE\r\n\r\n".encode()
    )
    assert response.via[0].host == "[2001:db8::1]"
    assert branch_of(response) == "z9hG4bKa"
    assert f"{via}\r\n".encode() in serialize(response)
