"""How each side wants its media keyed."""

from __future__ import annotations

import pytest
from test_evidence_sip import DIRECTORY, sip

from lab.evidence.keying import Keying
from lab.evidence.signalling import Signalling

CRYPTO = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n"
FINGERPRINT = "a=fingerprint:sha-256 AA:BB\r\n"


def body(profile: str = "RTP/AVP", attributes: str = "", port: int = 4000) -> str:
    return f"v=0\r\nc=IN IP4 198.18.0.31\r\nm=audio {port} {profile} 0\r\n{attributes}"


def view(*bodies: str) -> Keying:
    """alice's offer, and bob's answer where there is one."""
    offer, *answer = bodies
    told = [sip(n, *way, "INVITE sip:b SIP/2.0", cseq="1 INVITE", body=offer) for n, way in enumerate((("alice", "pa"), ("pb", "bob")), 1)]
    told += [sip(3, "bob", "pb", "SIP/2.0 200 OK", cseq="1 INVITE", body=text) for text in answer]
    return Keying(Signalling(told, DIRECTORY))


@pytest.mark.parametrize(
    ("profile", "attributes", "kind", "found"),
    [
        ("RTP/AVP", "", "rtp", ""),
        ("RTP/SAVP", CRYPTO, "sdes", ""),
        ("RTP/SAVPF", CRYPTO, "sdes", ""),
        ("UDP/TLS/RTP/SAVP", FINGERPRINT, "dtls", ""),
        ("RTP/SAVP", "", "dtls", "SRTP without keys"),
        ("RTP/AVP", CRYPTO, "rtp", "rtp or sdes"),
        ("RTP/AVP", FINGERPRINT, "rtp", "rtp or dtls"),
        ("RTP/SAVP", CRYPTO + FINGERPRINT, "sdes", "sdes and dtls"),
        ("RTP/AVP", "", "sdes", "rtp"),
        ("RTP/SAVP", CRYPTO, "dtls", "sdes"),
    ],
)
def test_who_gives_in_is_to_blame(profile: str, attributes: str, kind: str, found: str) -> None:
    described = body(profile, attributes)
    for element, verb, seen in (("alice", "offers", view(described)), ("bob", "answers", view(described, described))):
        check = seen.insists(element, kind)
        assert check.ok == (not found)
        if found:
            assert (check.what, check.blame) == (f"{element} {verb} {found}, should insist on {kind}", element)


@pytest.mark.parametrize(
    ("profile", "attributes", "kind", "found"),
    [
        ("RTP/SAVP", CRYPTO, "dtls", "sdes"),
        ("RTP/SAVP", CRYPTO, "rtp", "sdes"),
        ("RTP/AVP", "", "sdes", "rtp"),
        ("RTP/AVP", CRYPTO, "rtp", ""),
        ("RTP/SAVP", CRYPTO + FINGERPRINT, "dtls", ""),
    ],
)
def test_who_takes_an_offer_that_was_another_gives_in(profile: str, attributes: str, kind: str, found: str) -> None:
    own = {"rtp": body(), "sdes": body("RTP/SAVP", CRYPTO), "dtls": body("RTP/SAVP", FINGERPRINT)}
    check = view(body(profile, attributes), own[kind]).insists("bob", kind)
    assert check.ok == (not found)
    if found:
        assert (check.what, check.blame) == (f"bob takes an offer of {found}, should insist on {kind}", "bob")


def test_media_that_are_refused_are_keyed_in_no_way() -> None:
    seen = view(body("RTP/SAVP", CRYPTO), body("RTP/SAVP", "", port=0))
    assert seen.insists("alice", "sdes")
    check = seen.insists("bob", "dtls")
    assert (check.ok, check.what) == (False, "bob describes no media, should insist on dtls")
    assert not view(body()).insists("bob", "rtp")
