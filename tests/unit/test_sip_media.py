"""Descriptions, offer and answer, SRTP by SDP, RTP, G.711."""

import base64
from dataclasses import replace
from itertools import permutations

import pytest

from lab.sip import g711, srtp
from lab.sip.dtls import Identity
from lab.sip.fault import SdpError, TransportError
from lab.sip.keying import Clear, Dtls, Sdes
from lab.sip.negotiation import Negotiation
from lab.sip.rtp import Event, Packet, events_of
from lab.sip.sdp import Audio, Crypto, Session, answer, meet, parse
from lab.sip.tls import check_peer

OFFER = (
    b"v=0\r\no=- 7 8 IN IP4 198.18.0.1\r\ns=-\r\nc=IN IP4 198.18.0.1\r\nt=0 0\r\nm=video 5000 RTP/AVP 97\r\n"
    b"m=audio 4000 RTP/AVP 9 8 0 96\r\na=rtpmap:96 telephone-event/8000\r\na=sendonly\r\n"
)
OURS = Audio("198.18.0.2", 6000, ((0, "PCMU/8000"), (101, "telephone-event/8000")))


class Stream:
    port = 6000

    def agree(self, agreed):
        self.agreed = agreed


def test_an_answer_keeps_the_offers_numbers_and_refuses_other_streams_in_their_place():
    """RFC 3264 §6."""
    session = parse(bytes(answer(parse(OFFER), OURS, identity=1, version=1)))
    assert session.audio.formats == ((0, "PCMU/8000"), (96, "telephone-event/8000"))
    assert session.audio.direction == "recvonly"
    assert (session.audio_index, session.others) == (1, ("video 0 RTP/AVP 97",))


@pytest.mark.parametrize(
    ("wanted", "offered", "met"),
    [("sendrecv", "sendonly", "recvonly"), ("sendonly", "sendonly", "inactive"), ("sendrecv", "inactive", "inactive"), ("sendrecv",) * 3],
)
def test_directions_meet(wanted, offered, met):
    assert meet(wanted, offered) == met


@pytest.mark.parametrize("body", [b"", b"v=0\r\n", b"v=0\r\nc=IN IP4 1\r\nm=audio x RTP/AVP 0\r\n", b"\xff"])
def test_broken_descriptions_are_sdp_errors(body):
    with pytest.raises(SdpError):
        parse(body)


KEYINGS = {"rtp": Clear, "sdes": Sdes, "dtls": lambda: Dtls(Identity())}


def negotiations(caller: str, callee: str) -> tuple[Negotiation, Negotiation]:
    return Negotiation(KEYINGS[caller](), "198.18.0.1", Stream()), Negotiation(KEYINGS[callee](), "198.18.0.2", Stream())


@pytest.mark.parametrize("secure", [False, True])
def test_two_sides_agree_and_hear_each_other(secure):
    one, two = negotiations(*2 * ["sdes" if secure else "rtp"])
    one.accept_answer(two.accept_offer(one.offer()))
    assert one.agreed.sending
    assert two.agreed.receiving
    if secure:
        packet = bytes(Packet(0, 1, 160, 7, b"x" * 160))
        assert two.agreed.protection.unprotect(one.agreed.protection.protect(packet)) == packet
        assert one.agreed.protection.unprotect(two.agreed.protection.protect(packet)) == packet
        assert two.agreed.protection.unprotect(packet + b"0" * 10) is None


@pytest.mark.parametrize(("caller", "callee"), list(permutations(KEYINGS, 2)))
def test_exactly_the_media_that_was_asked_for(caller, callee):
    one, two = negotiations(caller, callee)
    with pytest.raises(SdpError):
        two.accept_offer(one.offer())


def test_media_of_the_other_address_family_are_refused():
    """RFC 6157 §4: nothing could come of it."""
    six = Negotiation(Clear(), "2001:db8::2", Stream())
    for offer in (six.accept_offer, six.check_offer):
        with pytest.raises(SdpError, match=r"198\.18\.0\.1 cannot be reached from 2001:db8::2"):
            offer(OFFER)


def test_an_answer_in_clear_or_with_another_tag_is_refused():
    one, two = negotiations("sdes", "sdes")
    sdp = two.accept_offer(one.offer())
    for wrong in (sdp.replace(b"SAVP", b"AVP"), sdp.replace(b"a=crypto:1", b"a=crypto:9")):
        with pytest.raises(SdpError):
            one.accept_answer(wrong)


def test_hold_keeps_the_keys_and_tells_both_directions():
    one, two = negotiations("sdes", "sdes")
    one.accept_answer(two.accept_offer(one.offer()))
    pair = one.agreed.protection
    one.direction = "sendonly"
    one.accept_answer(two.accept_offer(one.offer()))
    assert (one.met, two.met) == ("sendonly", "recvonly")
    assert one.agreed.protection is pair
    assert not two.agreed.sending


def test_crypto_lines_that_cannot_be_used_are_skipped():
    """RFC 4568 §6.1, §5.1.2."""
    assert Crypto.parse("1 AES_CM_128_HMAC_SHA1_80 inline:x UNENCRYPTED_SRTP") is None
    good = Crypto(2, "AES_CM_128_HMAC_SHA1_32", base64.b64encode(bytes(30)).decode())
    assert (
        srtp.choose(
            [replace(good, key="short", tag=1), replace(good, key="é" * 40, tag=4), Crypto(3, "F8_128_HMAC_SHA1_80", good.key), good]
        )
        == good
    )
    with pytest.raises(SdpError):
        srtp.choose([replace(good, suite="NULL")])


def test_rtp_survives_and_rtcp_is_none():
    packet = Packet(101, 65535, 2**32 - 1, 9, b"x", marker=True)
    assert Packet.parse(bytes(packet)) == packet
    assert Packet.parse(b"\x80\xc8" + bytes(20)) is None
    assert Packet.parse(b"\0" * 20) is None


@pytest.mark.parametrize("length", [1, 200])
def test_an_extension_that_does_not_fit_is_no_packet(length):
    """RFC 3550 §5.3.1."""
    head = b"\x90\x00" + bytes(10)
    assert Packet.parse(head + b"\0\0" + length.to_bytes(2, "big")) is None
    assert Packet.parse(head) is None
    whole = Packet.parse(head + b"\0\0\0\x01" + b"ext." + b"payload")
    assert whole is not None
    assert whole.payload == b"payload"


def test_each_side_s_digits_have_the_number_that_the_other_has_said():
    """RFC 3264 §5.1: an answer may have another one than the offer."""
    one, two = negotiations("rtp", "rtp")
    answered = two.accept_offer(one.offer()).replace(b"0 8 101", b"0 8 96").replace(b"map:101", b"map:96").replace(b"fmtp:101", b"fmtp:96")
    one.accept_answer(answered)
    assert (one.agreed.digits, one.agreed.digits_here) == (96, 101)
    assert (two.agreed.digits, two.agreed.digits_here) == (101, 101)
    one.accept_answer(answered.replace(b"0 8 96", b"0 8"))
    assert (one.agreed.digits, one.agreed.digits_here) == (None, None)


def test_a_digit_grows_and_ends_three_times():
    """RFC 4733 §2.5.1."""
    events = [Event.parse(bytes(event)) for event in events_of("#")]
    assert [event.duration for event in events[:3]] == [160, 320, 480]
    assert [event.end for event in events].count(True) == 3
    assert {event.digit for event in events} == {"#"}


@pytest.mark.parametrize("codec", g711.CODECS)
def test_g711_is_its_own_inverse(codec):
    every = bytes(range(256))
    again = g711.encode(codec, g711.decode(codec, every))
    assert g711.decode(codec, again) == g711.decode(codec, every)


def test_silence_is_what_itu_says():
    assert g711.encode("PCMU/8000", bytes(2)) == b"\xff"
    assert g711.encode("PCMA/8000", bytes(2)) == b"\xd5"


CERTIFICATE = {"subjectAltName": (("DNS", "pa.atlanta.example"), ("URI", "sip:atlanta.example"), ("URI", "sip:eve@evil.example"))}


def test_a_certificate_must_name_the_domain_dialled():
    """RFC 5922 §7.1, §7.2."""
    check_peer(CERTIFICATE, "atlanta.example")
    check_peer(CERTIFICATE, "PA.atlanta.example")
    for wrong in ("evil.example", "x.pa.atlanta.example", "198.18.0.1"):
        with pytest.raises(TransportError, match=wrong):
            check_peer(CERTIFICATE, wrong)
    with pytest.raises(TransportError):
        check_peer({"subjectAltName": (("DNS", "*.atlanta.example"),)}, "pa.atlanta.example")
    with pytest.raises(TransportError):
        check_peer({"subject": ((("commonName", "atlanta.example"),),)}, "atlanta.example")


def test_a_session_reads_back():
    session = Session(OURS, 1, 2)
    assert parse(bytes(session)) == session
