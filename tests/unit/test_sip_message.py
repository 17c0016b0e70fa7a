"""Messages: well-formed ones, streams of them, and bytes that are none."""

import time

import pytest
from sipmessage import URI, Address, Request

from lab.sip.fault import MessageError
from lab.sip.framing import StreamFramer
from lab.sip.message import branch_of, parse, respond, serialize
from lab.sip.raw import RawMessage
from lab.sip.responder import refusal, response

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
        list(framer.feed(OPTIONS.replace(b"l: 2\r\n", b"")))


@pytest.mark.parametrize(
    ("head", "wrong"),
    [
        (b"Content-Length: 5\r\nContent-Length: 6", "Content-Length is 5 and 6"),
        (b"Content-Length: x", "no number"),
        (b"Content-Length: -1", "no number"),
        (b"Content-Length: 300000", "a body of 300000 bytes"),
        (b"Subject: x\nContent-Length: 5", "CR or LF alone"),
        (b"X: " + b"x" * 70_000, "bytes of header fields"),
    ],
)
def test_a_stream_that_readers_could_cut_differently_is_refused_after_what_came_before(head, wrong):
    got = []
    messages = StreamFramer().feed(OPTIONS + b"OPTIONS sip:a@b SIP/2.0\r\n" + head + b"\r\n\r\n")
    with pytest.raises(MessageError, match=wrong):
        got.extend(messages)
    assert got == [OPTIONS]


def test_a_folded_length_is_read_in_a_stream_as_in_a_message():
    data = OPTIONS.replace(b"l: 2", b"L :\r\n  2")
    assert list(StreamFramer().feed(data)) == [data]
    assert parse(data).body == b"hi"


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        (b"l: 2", b"l: 2\r\nContent-Length: 1", "Content-Length is 1 and 2"),
        (b"l: 2", b"l: -2", "no number"),
        (b"Call-ID: a", b"Call-ID: a\nRoute: <sip:evil.example>", "CR or LF alone"),
        (b"Call-ID: a", b"Call-ID: a\rb", "CR or LF alone"),
        (b"Call-ID: a", b"Call-ID: a\r\ni: b", "more than one Call-ID header"),
        (b"Call-ID: a", b"Call-ID:", "no Call-ID header"),
        (b"To: <sip:bob@biloxi.example>", b"To: <sip:bob@biloxi.example>\r\nt: <sip:eve@evil.example>", "more than one To header"),
        (b"\r\n OPTIONS", b" INVITE", "CSeq of INVITE in a request OPTIONS"),
        (b"CSeq: 1", b"CSeq: 2147483648", "less than 2"),
        (b";branch=z9hG4bK1", b";branch=z9hG4bK1;self=x", "not a SIP message"),
        (b";tag=1", b";tag=1;self=x", "not a SIP message"),
        (b"v: SIP/2.0/UDP 198.18.0.1;branch=z9hG4bK1, SIP/2.0/TCP 198.18.0.2;branch=z9hG4bK2", b"v:", "no Via header"),
        (b"OPTIONS sip:bob@biloxi.example SIP/2.0", b"SIP/2.0 1000 OK", "status code 1000"),
        (b"OPTIONS sip:bob@biloxi.example SIP/2.0", b"SIP/2.0 -1 OK", "status code -1"),
    ],
)
def test_what_is_ambiguous_or_out_of_range_is_refused(old, new, wrong):
    """RFC 3261 §8.1.1.5, §7.2, §7.3.1: nobody else may read another message in it than we do."""
    assert old in OPTIONS
    with pytest.raises(MessageError, match=wrong):
        parse(OPTIONS.replace(old, new, 1))


@pytest.mark.parametrize("place", [b"sip:bob@biloxi.example", b"<sip:alice@atlanta.example>"])
def test_a_number_that_is_slow_to_read_is_refused_at_once(place):
    begun = time.process_time()
    with pytest.raises(MessageError, match="telephone number"):
        parse(OPTIONS.replace(place, b"tel:+" + b"1" * 20_000 + b"!", 1))
    assert time.process_time() - begun < 1
    assert parse(OPTIONS.replace(b"sip:bob@biloxi.example", b"tel:+4930123456", 1)).uri.scheme == "tel"


def test_blanks_before_a_colon_are_allowed():
    """RFC 3261 §7.3.1, RFC 4475 §3.1.1.1."""
    request = parse(OPTIONS.replace(b"To:", b"TO\t :").replace(b"v:", b"v \t:"))
    assert request.to_address.uri.user == "bob"
    assert len(request.via) == 2


def test_a_reason_that_quotes_the_other_side_stays_one_short_line():
    head, _, _ = serialize(respond(parse(OPTIONS), 488, "a\r\nVia: x\x1b" + "y" * 5000)).partition(b"\r\n\r\n")
    start, *lines = head.split(b"\r\n")
    assert start.startswith(b"SIP/2.0 488 a??Via: x?yyy")
    assert len(start) < 150
    assert len([line for line in lines if line.startswith(b"Via")]) == 1


@pytest.mark.parametrize(
    ("data", "start"),
    [
        (OPTIONS.replace(b"To:", b"Ot:"), b"SIP/2.0 400 Bad Request"),
        (OPTIONS.replace(b"SIP/2.0\r", b"SIP/7.0\r", 1), b"SIP/2.0 505 Version Not Supported"),
        (OPTIONS.replace(b"OPTIONS", b"ACK"), None),
        (OPTIONS.replace(b"v:", b"x:"), None),
        (OPTIONS.replace(b"Call-ID: a", b"Call-ID: a\nVia: b"), None),
        (b"SIP/2.0 200 OK\r\nv: x\r\n\r\n", None),
        (b"", None),
    ],
)
def test_who_sends_a_request_that_cannot_be_read_is_told(data, start):
    """RFC 3261 §21.4.1, §21.5.6; an ACK is never answered."""
    answer = refusal(data)
    assert (answer.split(b"\r\n")[0] if answer else None) == start


def test_a_stateless_answer_copies_folded_lines_whole():
    answer = response(OPTIONS.replace(b"z9hG4bK1,", b"z9hG4bK1,\r\n "), 486)
    assert b"z9hG4bK1, SIP/2.0/TCP 198.18.0.2;branch=z9hG4bK2\r\n" in answer
    assert b"CSeq: 1 OPTIONS\r\n" in answer


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
