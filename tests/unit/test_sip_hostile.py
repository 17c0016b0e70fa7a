"""What others may send without harm: floods, addresses that are none, messages that are none, and who is asked next is still answered."""

from __future__ import annotations

import asyncio
from array import array
from types import SimpleNamespace

import pytest
from sip_pair import Side, established, own_net, pair, run, until
from sipmessage import URI, Address, Parameters, Response

from lab.sip import exchange, flow, g711, media, transports
from lab.sip.fault import SdpError, TransportError
from lab.sip.flow import StreamFlow
from lab.sip.media import Agreed, MediaStream
from lab.sip.message import parse, respond, serialize, set_body
from lab.sip.rtp import Packet
from lab.sip.sdp import parse as describe

SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN {}\r\nt=0 0\r\nm=audio {} RTP/AVP 0\r\n"


async def asked(alice: Side, bob: Side) -> int:
    """Does bob still answer?"""
    request = alice.ua.out_of_dialog("OPTIONS", alice.account, bob.account.aor, bob.account.aor)
    return (await asyncio.wait_for(alice.ua.dispatch.submit(request, alice.account, alice.account.hop), 5)).code


async def invited(alice: Side, bob: Side, body: bytes = b"", content_type: str = "application/sdp") -> Response:
    """An INVITE of alice's without a call behind it, to its final response."""
    request = alice.ua.out_of_dialog("INVITE", alice.account, bob.account.aor, bob.account.aor)
    request.contact = [alice.account.contact]
    if body:
        set_body(request, content_type, body)
    return await asyncio.wait_for(alice.ua.dispatch.submit(request, alice.account, alice.account.hop), 5)


@pytest.mark.parametrize("port", [0, 99999])
def test_a_contact_with_a_port_that_is_none_costs_that_call_and_not_the_socket(port):
    """asyncio closes a datagram socket that is told to send to such a port."""

    async def script():
        async with pair() as (alice, bob):
            _, leg = await established(alice, bob)
            leg.dialog.target = URI(scheme="sip", user="alice", host=alice.account.host, port=port)
            leg.hang_up()
            await bob.diary.wait("terminated")
            assert any(f"{port} is no port" in str(entry) for entry in bob.diary.entries)
            assert await asked(alice, bob) == 200
            bob.ua.register(bob.account, 60)
            await bob.diary.wait("registration", "failed", 405)

    run(script)


@pytest.mark.parametrize(
    ("host", "port"), [("IP4 127.0.0.1", "65536"), ("IP4 127.0.0.1", "-2"), ("IP4 media.example", "4000"), ("IP6 2001:db8::1", "4000")]
)
def test_media_that_nobody_can_send_to_are_refused(host, port):
    """A name would be looked up for each packet, and an address of the other family be sent nothing, in silence."""

    async def script():
        async with pair() as (alice, bob):
            assert (await invited(alice, bob, SDP.format(host, port).encode())).code == 488
            assert await asked(alice, bob) == 200
            assert not bob.diary.calls

    run(script)


def test_the_hold_of_rfc_2543_is_an_address_all_the_same():
    assert describe(SDP.format("IP4 0.0.0.0", 4000).encode()).audio.direction == "sendonly"
    with pytest.raises(SdpError, match="media"):
        describe(SDP.format("IP4 media.example", 4000).encode())


def test_more_calls_than_ports_for_their_media_are_busy(monkeypatch):
    def none(host: str, ports: tuple[int, int]) -> None:
        raise TransportError("no free RTP port")

    async def script():
        async with pair() as (alice, bob):
            call = alice.ua.call(alice.account, bob.account.aor)
            monkeypatch.setattr(media, "_bind", none)
            call.place(bob.account.aor, delayed=False)
            await alice.diary.wait("terminated", 486)
            await bob.diary.wait("trouble", "INVITE refused: no free RTP port")
            assert not bob.ua.calls

    run(script)


def test_a_transfer_to_a_call_that_has_no_port_is_503(monkeypatch):
    def none(host: str, ports: tuple[int, int]) -> None:
        raise TransportError("no free RTP port")

    async def script():
        async with pair() as (alice, bob):
            call, _ = await established(alice, bob)
            monkeypatch.setattr(media, "_bind", none)
            call.refer(alice.account.aor, None)
            await alice.diary.wait("transfer", "failed", 503)

    run(script)


def test_a_flood_of_requests_is_503_and_forgotten(monkeypatch):
    monkeypatch.setattr(exchange, "MAX_SERVERS", 3)

    async def script():
        async with pair() as (alice, bob):
            assert [await asked(alice, bob) for _ in range(5)] == [200, 200, 200, 503, 503]
            assert len(bob.ua.exchange._servers) == 3

    run(script)


def test_requests_without_a_cookie_are_told_apart_by_what_they_are():
    """RFC 3261 §17.2.3: those of RFC 2543 have no branch that says so."""

    async def script():
        async with pair() as (alice, bob):
            way = await alice.ua.dispatch.flow(alice.account.hop, alice.account)
            request = alice.ua.out_of_dialog("OPTIONS", alice.account, bob.account.aor, bob.account.aor)
            request.headers.set("Via", f"SIP/2.0/UDP {alice.account.host}")
            for call_id in ("one", "one", "two"):
                request.call_id = call_id
                way.send(serialize(request))
            await until(lambda: len(alice.heard) == 3)
            assert sorted(answer.call_id for answer in alice.responses(200, "OPTIONS")) == ["one", "one", "two"]
            assert len(bob.ua.exchange._servers) == 2

    run(script)


def test_what_is_no_request_is_400_and_a_response_with_two_via_nobodys():
    """RFC 3261 §21.4.1, §8.1.3.3."""

    async def script():
        async with pair() as (alice, bob):
            request = alice.ua.out_of_dialog("OPTIONS", alice.account, bob.account.aor, bob.account.aor)
            request.headers.set("Via", f"SIP/2.0/UDP {alice.account.host};branch=z9hG4bKx")
            way = await alice.ua.dispatch.flow(alice.account.hop, alice.account)
            way.send(serialize(request).replace(b"CSeq: 1 OPTIONS", b"CSeq: 1 INVITE"))
            await until(lambda: alice.responses(400, "INVITE"))
            answer = parse(serialize(respond(request, 200)))
            answer.headers.add("Via", "SIP/2.0/UDP elsewhere;branch=z9hG4bKy")
            way.send(serialize(answer))
            entry = await bob.diary.wait("trouble")
            await until(lambda: len([entry for entry in bob.diary.entries if entry[0] == "trouble"]) == 2)
            assert "CSeq of INVITE" in entry[1]
            assert "for somebody else" in bob.diary.entries[-1][1]
            assert await asked(alice, bob) == 200

    run(script)


def test_a_response_after_the_final_one_changes_nothing():
    """RFC 3261 §17.2.1: what is sent again is the final response."""

    async def script():
        async with pair() as (alice, bob):
            bob.follow(lambda request: [respond(request, code) for code in (486, 180)])
            assert (await invited(alice, bob)).code == 486
            (transaction,) = bob.ua.exchange._servers.values()
            assert transaction.response.code == 486

    run(script)


def test_who_does_not_read_what_he_is_sent_loses_his_connection(monkeypatch):
    monkeypatch.setattr(flow, "MAX_QUEUED", 10)
    gone = []
    transport = SimpleNamespace(get_write_buffer_size=lambda: 11, abort=lambda: gone.append(True))
    writer = SimpleNamespace(write=lambda data: None, transport=transport, get_extra_info=lambda name: ("127.0.0.1", 5060))

    async def script():
        StreamFlow(writer, "tcp", lambda data, way: None).send(b"x")

    run(script)
    assert gone


def test_connections_are_bounded(monkeypatch):
    monkeypatch.setattr(transports, "MAX_STREAMS", 2)

    async def script():
        async with pair() as (alice, bob):
            opened = [await asyncio.open_connection(bob.account.host, 5060) for _ in range(3)]
            assert await asyncio.wait_for(opened[2][0].read(), 5) == b""
            assert len(bob.ua.transports._streams) == 2
            for _, writer in opened:
                writer.close()
            await until(lambda: not bob.ua.transports._streams)
            assert await asked(alice, bob) == 200

    run(script)


# -- media ----------------------------------------------------------------------------


async def heard(*payloads: bytes) -> tuple[MediaStream, list[bytes]]:
    """A stream that has received these payloads and waits for its clock."""
    frames: list[bytes] = []
    stream = MediaStream(f"{own_net()}.1", (40000, 40010), frames.append, lambda digit: None)
    stream.agree(Agreed(("127.0.0.1", 9), "PCMU/8000", 0, None, None, False, True, None))
    for number, payload in enumerate(payloads):
        stream._receive(bytes(Packet(0, number, 0, 1, payload)))
    return stream, frames


@pytest.mark.parametrize("milliseconds", [10, 20, 30, 40, 60])
def test_packets_of_any_length_are_heard_without_gaps(milliseconds):
    """RFC 3551 §4.2: receivers take 0 to 200 ms."""

    async def script():
        ramp = array("h", (n * 8 for n in range(1920))).tobytes()
        size = milliseconds * 8
        sound = g711.encode("PCMU/8000", ramp)
        stream, frames = await heard(*(sound[n : n + size] for n in range(0, len(sound), size)))
        await until(lambda: len(frames) >= 16)
        stream.close()
        assert g711.decode("PCMU/8000", sound) in b"".join(frames)
        assert {len(frame) for frame in frames} == {320}

    run(script)


def test_a_flood_of_audio_is_not_kept():
    async def script():
        stream, _ = await heard(*[b"\xff" * 160] * 500)
        assert len(stream._queue) == media.MOST
        stream.close()

    run(script)


# -- headers that are not ours ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "refer_to",
    [
        ["<sip:carol@biloxi.example?Replaces=a%3Bto-tag%3D1%3Bfrom-tag%3D2%0D%0ARoute%3A%20%3Csip%3Aevil%3E>"],
        ["<sip:carol@biloxi.example>", "<sip:dave@biloxi.example>"],
        ["<sip:carol@biloxi.example;self=x>"],
        [],
    ],
)
def test_a_refer_to_that_hides_something_is_400(refer_to):
    """RFC 3515 §2.4.1: and no header field of the referrer's gets into our INVITE."""

    async def script():
        async with pair() as (alice, bob):
            call, _ = await established(alice, bob)
            request = call.dialog.request("REFER")
            request.headers.setlist("Refer-To", refer_to)
            response = await call.send(request)
            assert response.code == 400
            assert len(bob.ua.calls) == 1

    run(script)


def test_a_body_that_is_no_description_is_415_in_and_before_a_dialog():
    """RFC 3261 §8.2.3."""

    async def script():
        async with pair() as (alice, bob):
            response = await invited(alice, bob, b"hello", "text/plain")
            assert (response.code, response.headers.get("Accept")) == (415, "application/sdp")
            call, _ = await established(alice, bob)
            request = call.dialog.request("INVITE")
            set_body(request, "multipart/mixed;boundary=x", b"--x--")
            assert (await call.send(request)).code == 415
            squeezed = call.dialog.request("UPDATE")
            set_body(squeezed, "application/sdp", call.negotiation.offer())
            squeezed.headers.set("Content-Encoding", "gzip")
            assert (await call.send(squeezed)).code == 415
            assert call.established

    run(script)


def test_a_strict_router_gets_its_own_uri():
    """RFC 3261 §12.2.1.1."""

    async def script():
        async with pair() as (alice, bob):
            call = alice.ua.call(alice.account, bob.account.aor)
            strict, loose = (Address(uri=URI.parse(uri)) for uri in ("sip:old.example", "sip:new.example;lr"))
            call.dialog.routes = [strict, loose]
            request = call.dialog.request("BYE")
            assert (str(request.uri), [str(route.uri) for route in request.route]) == (
                "sip:old.example",
                ["sip:new.example;lr", str(bob.account.aor)],
            )
            call.dialog.routes = [loose, strict]
            assert call.dialog.request("BYE").uri == bob.account.aor
            call.dialog.routes = [Address(uri=URI(scheme="sip", host="x.example", parameters=Parameters(LR=None)))]
            assert call.dialog.request("BYE").uri == bob.account.aor
            call.tell("terminated")

    run(script)
