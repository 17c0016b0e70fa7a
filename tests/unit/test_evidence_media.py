"""Packets, SRTP, audio and drawings, without a wire."""

from __future__ import annotations

import base64
import io
import json
import struct
import wave
from pathlib import Path
from xml.etree import ElementTree

import dpkt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_evidence_sip import DIRECTORY, call, end, sip, tls

from lab.errors import EvidenceError
from lab.evidence.audio import decode_g711, hears, read_wav
from lab.evidence.drawing import as_svg
from lab.evidence.ladder import as_text
from lab.evidence.layout import build
from lab.evidence.media import Media
from lab.evidence.pcapng import Frame, Walker
from lab.evidence.sdp import Crypto
from lab.evidence.signalling import Signalling
from lab.evidence.srtp import authenticator, session_key
from lab.evidence.timeline import write

KEY = bytes(range(30))
WIDE = bytes(range(46))
TONE = bytes([0x10] * 10 + [0x90] * 10) * 8


def rtp(count: int = 40, payload: bytes = TONE, kind: int = 0, start: int = 65520) -> list[bytes]:
    return [struct.pack("!BBHII", 0x80, kind, (start + n) % 65536, 160 * n, 7) + payload for n in range(count)]


def protect(packets: list[bytes], key: bytes = KEY) -> list[bytes]:
    from pylibsrtp import Policy, Session

    session = Session(Policy(key=key, ssrc_type=Policy.SSRC_ANY_OUTBOUND))
    return [session.protect(packet) for packet in packets]


def frames(packets: list[bytes], sport: int = 4000, src: int = 11) -> list[Frame]:
    found = []
    for number, data in enumerate(packets):
        udp = dpkt.udp.UDP(sport=sport, dport=6000, data=data, ulen=8 + len(data))
        ip = dpkt.ip.IP(src=bytes([198, 18, 0, src]), dst=bytes([198, 18, 0, 14]), p=17, data=udp, len=28 + len(data))
        found.append(Frame(number + 1, 0, 0, 100 + number / 50, bytes(dpkt.ethernet.Ethernet(data=ip))))
    return found


def media(packets: list[bytes], profile: str = "RTP/SAVP", key: bytes = KEY, suite: str = "AES_CM_128_HMAC_SHA1_80") -> Media:
    crypto = f"a=crypto:1 {suite} inline:{base64.b64encode(key).decode()}|2^31\r\n" if "SAVP" in profile else ""
    body = f"v=0\r\nc=IN IP4 198.18.0.11\r\nm=audio 4000 {profile} 0 101\r\na=rtpmap:101 telephone-event/8000\r\n{crypto}"
    return Media(frames(packets), Signalling([sip(1, "alice", "pa", "INVITE sip:b SIP/2.0", body=body)], DIRECTORY), DIRECTORY)


# -- pcapng -----------------------------------------------------------------------------------------------------------------------------


def pcapng(count: int, order: str = "<") -> bytes:
    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)

    head = block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    interface = block(1, struct.pack(order + "HHI", 1, 0, 0) + struct.pack(order + "HHB3x", 9, 1, 9) + struct.pack(order + "HH", 0, 0))
    packets = (block(6, struct.pack(order + "IIIII", 0, *divmod(n * 10**9, 2**32), 3, 3) + b"abc") for n in range(count))
    return head + interface + b"".join(packets)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_capture_is_walked_in_any_pieces(order: str) -> None:
    data = pcapng(3, order)
    walker = Walker()
    found = [frame for index in range(len(data)) for frame in walker.feed(data[index : index + 1])]
    assert [(frame.number, frame.time, frame.data) for frame in found] == [
        (1, 0.0, b"abc"),
        (2, 1.0, b"abc"),
        (3, pytest.approx(2.0), b"abc"),
    ]
    assert found[-1].end == walker.offset == len(data)
    again = list(walker.at(found[0].end, found[0].number).feed(data[found[0].end :]))
    assert [(frame.number, frame.end) for frame in again] == [(frame.number, frame.end) for frame in found[1:]]


@pytest.mark.parametrize("data", [b"GIF89a" + bytes(20), pcapng(1)[:-36] + struct.pack("<II", 6, 13) + bytes(30)])
def test_a_damaged_capture_is_an_error(data: bytes) -> None:
    with pytest.raises(EvidenceError, match="damaged"):
        list(Walker().feed(data))


# -- SRTP -------------------------------------------------------------------------------------------------------------------------------


def test_key_derivation_of_rfc_3711_b3_and_rfc_6188_7_2() -> None:
    master, salt = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE4139"), bytes.fromhex("0EC675AD498AFEEBB6960B3AABE6")
    assert session_key(master, salt, label=0, length=16).hex().upper() == "C61E7A93744F39EE10734AFE3FF7A087"
    assert session_key(master, salt, label=1, length=20).hex().upper() == "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"
    wide = bytes.fromhex("f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6")
    salt = bytes.fromhex("3b04803de51ee7c96423ab5b78d2")
    assert session_key(wide, salt, label=0, length=32).hex() == "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4"
    assert session_key(wide, salt, label=1, length=20).hex() == "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05"


def wide_packets(count: int, tag: int = 10) -> list[bytes]:
    import hmac

    auth = session_key(WIDE[:32], WIDE[32:], label=1, length=20)
    found = []
    for number, packet in enumerate(rtp(count)):
        roll = (65520 + number) // 65536
        found.append(packet + hmac.new(auth, packet + struct.pack("!I", roll), "sha1").digest()[:tag])
    return found


@pytest.mark.parametrize(("suite", "tag"), [("AES_256_CM_HMAC_SHA1_80", 10), ("AES_CM_256_HMAC_SHA1_32", 4)])
def test_aes_256_authenticates_across_a_rollover(suite: str, tag: int) -> None:
    packets = wide_packets(40, tag)
    judge = authenticator(Crypto("1", suite, base64.b64encode(WIDE).decode()))
    assert all(judge.authentic(packet) for packet in packets)
    other = authenticator(Crypto("1", suite, base64.b64encode(WIDE[::-1]).decode()))
    assert not any(other.authentic(packet) for packet in packets)
    assert not judge.authentic(b"short")


@pytest.mark.parametrize(
    ("suite", "key"), [("F8_128_HMAC_SHA1_80", KEY), ("AES_CM_128_HMAC_SHA1_80", KEY[:20]), ("AES_CM_128_HMAC_SHA1_80", b"")]
)
def test_an_unknown_suite_or_a_bad_key_is_an_error(suite: str, key: bytes) -> None:
    with pytest.raises(EvidenceError):
        authenticator(Crypto("1", suite, base64.b64encode(key).decode()))


def test_srtp_is_proven_and_refuted() -> None:
    good = protect(rtp())
    assert media(good).all_srtp()
    assert media(good + good[-3:]).all_srtp(), "a packet that is repeated bit by bit is as authentic"
    assert "AES_CM_128_HMAC_SHA1_80" in media(good).all_srtp().what
    assert media(wide_packets(40), suite="AES_256_CM_HMAC_SHA1_80", key=WIDE).all_srtp()
    bent = [good[0], good[1][:-1] + bytes([good[1][-1] ^ 1]), *good[2:]]
    check = media(bent).all_srtp()
    assert (bool(check), check.frame, check.blame) == (False, 2, "alice")
    assert "39 of 40" in check.what
    assert "0 of 40" in media(protect(rtp(), KEY[::-1])).all_srtp().what
    plain = media(rtp()).all_srtp()
    assert not plain
    assert "plain RTP" in plain.what
    assert not media(good, profile="RTP/AVP").all_srtp()


@pytest.mark.parametrize(("suite", "length"), [("AEAD_AES_128_GCM", 28), ("AEAD_AES_256_GCM", 44), ("AES_CM_128_HMAC_SHA1_32", 30)])
def test_every_suite_of_libsrtp(suite: str, length: int) -> None:
    from pylibsrtp import Policy, Session

    profile = {
        28: Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
        44: Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
        30: Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    }
    key = bytes(range(length))
    session = Session(Policy(key=key, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile[length]))
    packets = [session.protect(packet) for packet in rtp()]
    assert media(packets, suite=suite, key=key).all_srtp()
    assert not media(packets, suite=suite, key=key[::-1]).all_srtp()


@pytest.mark.parametrize("count", [1, 2, 3, 5, 10, 60])
def test_few_packets_are_enough_to_tell_plain_from_secret(count: int) -> None:
    assert media(rtp(count), "RTP/AVP").all_rtp()
    assert not media(protect(rtp(count)), "RTP/AVP").all_rtp()


def test_srtp_without_encryption_is_no_srtp() -> None:
    line = f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{base64.b64encode(KEY).decode()}"
    for end_of_line, wanted in (("|2^31 UNENCRYPTED_SRTP", "without encryption"), ("|2^31|1:4", "master key identifier")):
        body = f"v=0\r\nc=IN IP4 198.18.0.11\r\nm=audio 4000 RTP/SAVP 0\r\n{line}{end_of_line}\r\n"
        both = Media(frames(protect(rtp())), Signalling([sip(1, "alice", "pa", "INVITE sip:b SIP/2.0", body=body)], DIRECTORY), DIRECTORY)
        if "MKI" in wanted or "identifier" in wanted:
            with pytest.raises(EvidenceError, match=wanted):
                both.all_srtp()
        else:
            assert wanted in both.all_srtp().what


def test_plain_rtp_is_told_from_noise_and_silence() -> None:
    assert media(rtp(), "RTP/AVP").all_rtp()
    assert not media(rtp(payload=b"\xff" * 160), "RTP/AVP").all_rtp()
    assert not media(protect(rtp()), "RTP/AVP").all_rtp()
    assert not media(rtp(), "RTP/AVP").no_clear_rtp()
    assert not media(rtp(), "RTP/AVP").none()


def test_what_is_said_and_whose_leg_it_is() -> None:
    found = media(rtp(), "RTP/AVP")
    said = found.sound("alice", "bob")
    assert (said.seconds, said.name) == (0.8, "alice → bob")
    assert said.holds(400)
    assert found.of("bob").both_ways("alice", "alice")
    assert found.of("pa").none()
    for other in (protect(rtp()), rtp(kind=9)):
        with pytest.raises(EvidenceError, match="cannot be heard"):
            media(other, "RTP/AVP").sound("alice", "bob")
    with pytest.raises(EvidenceError, match="from bob to alice"):
        found.sound("bob", "alice")


def test_no_media() -> None:
    empty = media([b"\x00\x01" + bytes(30), bytes([0x80, 200]) + bytes(30)])
    assert empty.none()
    assert empty.no_clear_rtp()
    for ask in (
        empty.all_srtp,
        empty.all_rtp,
        lambda: empty.both_ways("alice", "bob"),
        lambda: empty.events("1", source="alice", destination="bob"),
    ):
        with pytest.raises(EvidenceError):
            ask()


def test_telephone_events_count_once_each() -> None:
    digits = [
        struct.pack("!BBHII", 0x80, 101, 9 * d + n, 1000 * d, 7) + bytes([code, 0, 0, n])
        for d, code in enumerate((5, 11, 5))
        for n in range(4)
    ]
    sent = media(rtp(5) + digits, "RTP/AVP")
    assert sent.events("5#5", source="alice", destination="bob")
    assert not sent.events("5#", source="alice", destination="bob")
    assert not sent.both_ways("alice", "bob")


# -- audio ------------------------------------------------------------------------------------------------------------------------------


def wav(*tones: float, seconds: float = 1.0, level: float = 0.3, rate: int = 8000) -> bytes:
    time = np.arange(int(seconds * rate)) / rate
    samples = sum((level * np.sin(2 * np.pi * hz * time) for hz in tones), np.zeros_like(time))
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return out.getvalue()


def test_a_tone_is_heard() -> None:
    report = hears(wav(440), 440, others=(523, 659))
    assert report
    assert report.dominant_hz == pytest.approx(440, abs=5)
    assert report.level_dbfs == pytest.approx(-13.5, abs=0.5)
    assert report.seconds == pytest.approx(1.0, abs=0.1)
    assert report.purity > 0.95


@pytest.mark.parametrize(
    ("recording", "why"),
    [
        (wav(), "silence"),
        (wav(523), "523 Hz"),
        (wav(440, seconds=0.3), "0.3 s"),
        (wav(440, level=0.0005), "silence"),
        (wav(440, 523), "523 Hz for"),
    ],
)
def test_what_is_not_the_tone_is_not_heard(recording: bytes, why: str) -> None:
    report = hears(recording, 440, min_seconds=0.5, others=(523,))
    assert not report
    assert why in repr(report)


@pytest.mark.parametrize("recording", [b"", b"RIFF", b"RIFF....WAVE", wav(440)[:44], wav(440)[:200], b"OggS" + bytes(100)])
def test_an_unreadable_recording_is_an_error(recording: bytes) -> None:
    with pytest.raises(EvidenceError):
        hears(recording, 440)


def test_a_header_that_was_never_finished_is_read() -> None:
    whole = bytearray(wav(440))
    for length in (0, 0xFFFFFFFF):
        whole[40:44] = length.to_bytes(4, "little")
        assert len(read_wav(bytes(whole))[0]) == 8000


def test_g711_decodes() -> None:
    assert decode_g711(b"\xff\x7f", alaw=False).tolist() == [0.0, 0.0]
    assert decode_g711(b"\x80\x00", alaw=False).tolist() == [32124 / 32768, -32124 / 32768]
    assert decode_g711(b"\xaa\x2a", alaw=True).tolist() == [32256 / 32768, -32256 / 32768]
    assert decode_g711(b"\xd5\x55", alaw=True).tolist() == [8 / 32768, -8 / 32768]


# -- drawings ---------------------------------------------------------------------------------------------------------------------------


def hostile(text: str) -> list:  # type: ignore[type-arg]
    return [sip(1, "alice", "pa", f"SIP/2.0 200 {text}", cseq=f"1 {text}"), sip(2, "pa", "pa", f"{text} sip:x SIP/2.0", transport="tls")]


@given(st.text(max_size=60))
def test_any_text_makes_well_formed_xml(text: str) -> None:
    messages = [m for m in hostile(text.encode("utf-8", "replace").decode())]
    drawing = build(text, DIRECTORY.elements, messages)
    assert ElementTree.fromstring(as_svg(drawing)).tag.endswith("svg")
    assert as_text(drawing)


def test_a_ladder_puts_a_nat_beside_who_is_behind_it() -> None:
    messages = [sip(number, source, "pa", "INVITE sip:b SIP/2.0") for number, source in enumerate(("alice", "pb", "bob"), 1)]
    names = ("pa", "pb", "alice", "bob")
    assert build("x", names, messages, beside=(("alice", "pb"), ("carol", "pa"))).columns == ("alice", "pb", "pa", "bob")
    assert build("x", names, messages).columns == ("alice", "pa", "pb", "bob")


def test_a_ladder_puts_proxies_between_their_users_and_has_media_bars() -> None:
    messages = [sip(1, "pb", "bob", "INVITE sip:b SIP/2.0"), sip(2, "alice", "pa", "<script>\x1b[31m sip:b SIP/2.0", transport="tls")]
    drawing = build("a <title>", DIRECTORY.elements, messages, media(protect(rtp())).flows, secured=True)
    assert build("x", ("pa", "pb", "bob", "alice"), call()).columns == ("alice", "pa", "pb", "bob")
    assert set(drawing.columns) == {"alice", "pa", "pb", "bob"}
    svg, text = as_svg(drawing), as_text(drawing)
    assert "<script>" not in svg
    assert "\x1b" not in svg + text
    assert "SRTP payload type 0, 40 packets" in svg
    assert "SRTP payload type 0, 40 packets" in text
    assert "no message" in as_svg(build("x", DIRECTORY.elements, []))
    assert as_text(build("x", DIRECTORY.elements, []))


def test_a_timeline_is_sorted_json_lines(tmp_path: Path) -> None:
    target = tmp_path / "cell" / "timeline.jsonl"
    assert (
        write(
            target, [sip(1, "pb", "bob", "INVITE sip:b SIP/2.0"), tls(2, types=[23]), tls(3, handshake=[1])], [{"t": 5.0, "kind": "step"}]
        )
        == 3
    )
    kinds = [json.loads(line)["kind"] for line in target.read_text().splitlines()]
    assert kinds == ["tls", "step", "sip"]
    assert end("alice").element == "alice"


def test_what_keys_of_the_media_path_leave_to_prove() -> None:
    assert media(protect(rtp()), "RTP/AVP").looks_random()
    for few in (rtp(7, b"\x05\x8a\x03\x20", kind=101), rtp(3, b"\x40", kind=13)):  # telephone-events, comfort noise
        assert not media(few, "RTP/AVP").looks_random()
    assert media(protect(rtp(3, b"\x05\x8a\x03\x20", kind=101)), "RTP/AVP").looks_random()
    with pytest.raises(KeyError, match="no element 'alcie'"):
        media(rtp()).none(by="alcie")
    check = media(rtp(), "RTP/AVP").looks_random()
    assert (bool(check), check.blame) == (False, "alice")
