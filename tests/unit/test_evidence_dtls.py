"""SRTP keyed by DTLS, proven from packets: handshakes made by OpenSSL, and what must refute them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_evidence_media import frames, rtp
from test_evidence_sip import DIRECTORY, sip

from lab.errors import EvidenceError
from lab.evidence.dtls import Handshake, master_secrets
from lab.evidence.dtls_reader import Handshakes
from lab.evidence.media import Media
from lab.evidence.pcapng import Frame
from lab.evidence.sdp import Fingerprint
from lab.evidence.signalling import Signalling
from lab.sip.dtls import Association, Identity, Terms
from lab.sip.srtp import SrtpPair

OTHER = {"alice": "bob", "bob": "alice"}
ALICE, BOB = ("198.18.0.11", 4000), ("198.18.0.14", 6000)


@dataclass
class Shaken:
    """A handshake of alice (who begins) and bob: its datagrams, their certificates' fingerprints, the keys they got, the key log."""

    keylog: str
    announced: dict[str, str]
    datagrams: list[tuple[str, bytes]] = field(default_factory=list)
    keys: dict[str, SrtpPair] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def packets(self, count: int = 40, *, of: str = "alice") -> list[bytes]:
        pair = SrtpPair(self.keys[of].ours, self.keys[of].theirs)
        return [pair.protect(packet) for packet in rtp(count)]


class Line:
    """Carries datagrams between two associations, but those that are lost."""

    def __init__(self, shaken: Shaken, lost: Callable[[int], bool]) -> None:
        self.shaken, self.lost = shaken, lost
        self.loop, self.over = asyncio.get_running_loop(), asyncio.Event()
        self.sides: dict[str, Association] = {}

    def open(self, name: str, terms: Terms) -> None:
        note = partial(self.done, name)
        self.sides[name] = Association(terms, partial(self.send, name), partial(note, self.shaken.keys), partial(note, self.shaken.failed))

    def send(self, name: str, datagram: bytes) -> None:
        self.shaken.datagrams.append((name, datagram))
        if not self.lost(len(self.shaken.datagrams)):
            self.loop.call_soon(lambda: self.sides[OTHER[name]].receive(datagram))

    def done(self, name: str, where: dict[str, object], what: object) -> None:
        where[name] = what
        if len(self.shaken.keys) == 2 or self.shaken.failed:
            self.loop.call_later(0.05, self.over.set)


def shake(folder: Path, *, suite: bytes = b"", lost: Callable[[int], bool] = lambda _: False, trusting: bool = True) -> Shaken:
    identities = {"alice": Identity(str(folder / "alice.log")), "bob": Identity()}
    shaken = Shaken("", {name: str(identity.fingerprint) for name, identity in identities.items()})

    async def script() -> None:
        line = Line(shaken, lost)
        for name in ("bob", "alice"):
            if suite:
                identities[name].context.set_cipher_list(suite)
            expected = identities[OTHER[name] if trusting else name].fingerprint
            line.open(name, Terms(identities[name], name == "alice", (expected,)))
        await asyncio.wait_for(line.over.wait(), 20)
        for side in line.sides.values():
            side.close()

    asyncio.run(script())
    log = folder / "alice.log"
    shaken.keylog = log.read_text() if log.exists() else ""
    return shaken


@pytest.fixture(scope="module")
def shaken(tmp_path_factory: pytest.TempPathFactory) -> Shaken:
    return shake(tmp_path_factory.mktemp("keys"))


def udp(packets: list[tuple[str, bytes]], ports: tuple[int, int] = (4000, 6000)) -> list[Frame]:
    found: list[Frame] = []
    for name, data in packets:
        one = frames([data], sport=ports[0] if name == "alice" else ports[1], src=11 if name == "alice" else 14)[0]
        whole = bytearray(one.data)
        if name == "bob":
            whole[30:34], whole[36:38] = bytes([198, 18, 0, 11]), ports[0].to_bytes(2, "big")
        found.append(Frame(len(found) + 1, 0, 0, 100 + len(found) / 50, bytes(whole)))
    return found


def media(shaken: Shaken, datagrams: list[tuple[str, bytes]], packets: list[bytes], *, keylog: str = "", **announced: str) -> Media:
    def body(name: str, place: tuple[str, int], setup: str) -> str:
        line = f"a=fingerprint:{announced.get(name, shaken.announced[name])}\r\na=setup:{setup}\r\n"
        return f"v=0\r\nc=IN IP4 {place[0]}\r\n{line}m=audio {place[1]} UDP/TLS/RTP/SAVP 0\r\n"

    messages = [
        sip(1, "alice", "pa", "INVITE sip:b SIP/2.0", body=body("alice", ALICE, "actpass"), cseq="1 INVITE"),
        sip(2, "pa", "alice", "SIP/2.0 200 OK", body=body("bob", BOB, "passive"), cseq="1 INVITE"),
    ]
    both = udp([*datagrams, *(("alice", packet) for packet in packets)])
    return Media(both, Signalling(messages, DIRECTORY), DIRECTORY, lambda: master_secrets(keylog))


def test_packets_authenticate_with_the_keys_of_the_handshake(shaken: Shaken) -> None:
    check = media(shaken, shaken.datagrams, shaken.packets(), keylog=shaken.keylog).all_srtp()
    assert check
    assert "40 packets authenticate (AES_CM_128_HMAC_SHA1_80)" in check.what
    assert "random" not in check.what


@pytest.mark.parametrize("suite", [b"ECDHE-ECDSA-AES128-GCM-SHA256", b"ECDHE-ECDSA-AES256-GCM-SHA384"])
def test_keys_are_derived_with_the_hash_of_the_cipher_suite(tmp_path: Path, suite: bytes) -> None:
    """RFC 5246 §5."""
    shaken = shake(tmp_path, suite=suite)
    both = media(shaken, shaken.datagrams, shaken.packets(), keylog=shaken.keylog)
    assert "40 packets authenticate" in both.all_srtp().what
    assert not media(shaken, shaken.datagrams, shaken.packets(of="bob"), keylog=shaken.keylog).all_srtp(), "with the key of the other side"


def test_without_secrets_it_says_what_is_not_proven(shaken: Shaken) -> None:
    check = media(shaken, shaken.datagrams, shaken.packets()).all_srtp()
    assert check
    assert "authenticate" not in check.what
    assert "nobody logged the secrets" in check.what


@pytest.mark.parametrize("logged", [True, False])
def test_clear_rtp_is_refuted_whatever_was_logged(shaken: Shaken, logged: bool) -> None:
    both = media(shaken, shaken.datagrams, rtp(), keylog=shaken.keylog if logged else "")
    assert "plain RTP" in both.all_srtp().what
    assert (both.all_srtp().blame, bool(both.no_clear_rtp()), bool(both.all_rtp())) == ("alice", False, False)
    first = media(shaken, shaken.datagrams, rtp(3) + shaken.packets(), keylog=shaken.keylog).all_srtp()
    assert "40 of 43" in first.what


@pytest.mark.parametrize("liar", ["alice", "bob"])
def test_another_certificate_than_announced_is_refuted(shaken: Shaken, liar: str) -> None:
    wrong = shaken.announced["bob" if liar == "alice" else "alice"]
    check = media(shaken, shaken.datagrams, shaken.packets(), keylog=shaken.keylog, **{liar: wrong}).all_srtp()
    assert (bool(check), check.blame, check.frame) == (False, liar, 1)
    assert "fingerprint" in check.what
    with pytest.raises(EvidenceError, match="md5"):
        media(shaken, shaken.datagrams, shaken.packets(), alice="md5 AA:BB").all_srtp()


def test_a_handshake_that_is_missing_unfinished_or_elsewhere_is_refuted(shaken: Shaken) -> None:
    hello = [shaken.datagrams[0]]
    cut = [(name, data) for name, data in shaken.datagrams if name == "alice" or b"\x14\xfe\xfd" not in data]
    for datagrams in ([], hello, cut):
        check = media(shaken, datagrams, shaken.packets(), keylog=shaken.keylog).all_srtp()
        assert "completed no DTLS handshake" in check.what
    elsewhere = Handshakes()
    for name, data in shaken.datagrams:
        elsewhere.feed(0, ALICE if name == "alice" else BOB, BOB if name == "alice" else ALICE, 1, data)
    assert elsewhere.between(0, ALICE, BOB)[0].complete
    assert not elsewhere.between(1, ALICE, BOB)
    assert not elsewhere.between(0, (ALICE[0], 4001), BOB)


def test_who_showed_a_certificate_and_who_was_silent(shaken: Shaken) -> None:
    whole, begun = media(shaken, shaken.datagrams, shaken.packets(1)), media(shaken, shaken.datagrams[:1], shaken.packets(1))
    for source, destination in (("alice", "bob"), ("bob", "alice")):
        assert whole.certificate(source=source, destination=destination)
        assert not whole.certificate(source=source, destination="pa")
        assert not begun.certificate(source=source, destination=destination), "a client's hello shows nothing"
        assert not media(shaken, [], shaken.packets(1)).certificate(source=source, destination=destination)
    assert begun.certificate(source="alice", destination="bob").blame == "bob", "the server that answers no hello"
    assert begun.none(by="bob")
    assert begun.none(by="alice").blame == "alice"


def test_a_certificate_counts_though_the_handshake_was_begun_between_other_ports(shaken: Shaken) -> None:
    elsewhere = Handshakes()
    for name, data in shaken.datagrams[1:]:
        elsewhere.feed(0, ALICE if name == "alice" else BOB, BOB if name == "alice" else ALICE, 1, data)
    assert {(shown.source, shown.destination) for shown in elsewhere.shown} == {(ALICE, BOB), (BOB, ALICE)}
    assert not list(elsewhere.all())


def test_the_keys_of_another_handshake_do_not_prove(shaken: Shaken, tmp_path: Path) -> None:
    other = shake(tmp_path)
    assert "0 of 40" in media(shaken, shaken.datagrams, other.packets(), keylog=shaken.keylog).all_srtp().what
    again = media(shaken, shaken.datagrams + other.datagrams, other.packets(), keylog=shaken.keylog + other.keylog).all_srtp()
    assert "fingerprint" in again.what, "every handshake must be with whom was announced"


def test_a_profile_that_does_not_encrypt_is_refuted_and_an_unknown_one_an_error(shaken: Shaken) -> None:
    srtp = b"\x00\x0e\x00\x05\x00\x02\x00\x01\x00"
    null = [(name, data.replace(srtp, srtp[:-2] + b"\x05\x00")) for name, data in shaken.datagrams]
    assert "no encryption" in media(shaken, null, shaken.packets(), keylog=shaken.keylog).all_srtp().what
    with pytest.raises(EvidenceError, match="profile 9"):
        Handshake(1, ALICE, BOB, bytes(32), bytes(32), 9).srtp_keys(ALICE, bytes(48))


def test_dtls_1_3_cannot_be_judged(shaken: Shaken) -> None:
    both = media(shaken, shaken.datagrams, shaken.packets())
    handshake = both._dtls._handshakes.between(0, ALICE, BOB)[0]
    handshake.hidden = True
    with pytest.raises(EvidenceError, match=r"DTLS 1\.3"):
        both.all_srtp()


def test_fragments_may_come_twice_and_in_any_order() -> None:
    def fragment(offset: int, data: bytes, length: int) -> bytes:
        message = b"\x0b" + length.to_bytes(3, "big") + b"\0\1" + offset.to_bytes(3, "big") + len(data).to_bytes(3, "big") + data
        return b"\x16\xfe\xfd" + bytes(8) + len(message).to_bytes(2, "big") + message

    hello = b"\x16\xfe\xfd" + bytes(8) + (46).to_bytes(2, "big") + b"\1\0\0\x22" + bytes(5) + b"\0\0\x22" + b"\xfe\xfd" + bytes(32)
    body = b"\0\0\x0a\0\0\x07" + b"leaf..!"
    reader = Handshakes()
    reader.feed(0, ALICE, BOB, 1, hello)
    for part in (
        fragment(8, body[8:], 13),
        fragment(8, body[8:], 13),
        fragment(0, body[:5], 13),
        fragment(0, body[:8], 99),
        fragment(4, body[4:9], 13),
    ):
        reader.feed(0, BOB, ALICE, 2, part)
    assert reader.between(0, ALICE, BOB)[0].certificates == {BOB: b"leaf..!"}


@given(st.binary(max_size=200), st.integers(0, 200))
def test_hostile_datagrams_are_left_out(shaken: Shaken, noise: bytes, cut: int) -> None:
    reader = Handshakes()
    for data in (noise, b"\x16\xfe\xfd" + bytes(8) + noise, shaken.datagrams[0][1][:cut], shaken.datagrams[1][1][:cut] + noise):
        reader.feed(0, ALICE, BOB, 1, data)
        reader.feed(0, BOB, ALICE, 1, data)


@pytest.mark.parametrize("which", [1, 4])
def test_a_lost_flight_is_sent_again(tmp_path: Path, which: int) -> None:
    """RFC 6347 §4.2.4; also the last one, which only the other side's timer can ask for."""
    assert set(shake(tmp_path, lost=lambda n: n == which).keys) == {"alice", "bob"}


def test_both_sides_give_up_where_the_certificate_is_another(tmp_path: Path) -> None:
    shaken = shake(tmp_path, trusting=False)
    assert not shaken.keys
    assert "fingerprint" in shaken.failed["alice"]


def test_a_broken_key_log_is_an_error() -> None:
    assert master_secrets("# a comment\nSERVER_TRAFFIC_SECRET_0 aa bb\nCLIENT_RANDOM 00 01\n") == {b"\0": b"\1"}
    with pytest.raises(EvidenceError, match="broken"):
        master_secrets("CLIENT_RANDOM zz 01\n")


@pytest.mark.parametrize("name", ["sha-1", "sha-224", "sha-256", "sha-384", "sha-512"])
def test_every_hash_of_a_fingerprint(name: str) -> None:
    from lab.sip.sdp import Fingerprint as Ours

    ours = Ours.of(b"certificate", name)
    assert Ours.parse(str(ours).lower()) == ours
    assert Fingerprint(name, ours.digest).matches(b"certificate")
    assert not Fingerprint(name, ours.digest).matches(b"another")
