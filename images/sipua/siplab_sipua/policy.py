"""What an account's `media` demands of a peer's session description: sipua itself holds it against nothing."""

from __future__ import annotations

import re

PROFILES = {"rtp": re.compile("RTP/AVP"), "dtls": re.compile("UDP/TLS/RTP/SAVPF?")}
"""The transport protocols of an m= line that each policy admits (RFC 3551, RFC 5764 §8)."""


class Refused(Exception):
    """The description is not what this account may agree to. One line."""


def demand(media: str, description: str) -> None:
    """Raise Refused where the first audio stream of `description` is missing, rejected, or not of the account's kind of media."""
    stream = re.search(r"^m=audio (\d+)(?:/\d+)? (\S+)", description, re.MULTILINE)
    if stream is None or stream[1] == "0":
        raise Refused("no audio stream in the peer's session description")
    if not PROFILES[media].fullmatch(stream[2]):
        raise Refused(f"the peer's audio is {stream[2]}, this account is for {media} only")
    if media == "dtls" and "a=fingerprint:" not in description:
        raise Refused("the peer's session description has no fingerprint")
