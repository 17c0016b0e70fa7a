"""What the trace shows of one call's dialog: its tags, its SDP, its last final response, whether it is on hold."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .trace import Message

DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
_HOLDS = ("sendonly", "inactive")


@dataclass(frozen=True)
class Sdp:
    """The part of a session description that an event tells."""

    direction: str
    encryption: str
    codec: str | None


def read_sdp(text: str) -> Sdp | None:
    """Of the first audio stream (RFC 8866); None where there is none."""
    found = re.search(r"^m=audio (\d+) (\S+) ?(\d*)", text, re.M)
    if not found:
        return None
    port, profile, first = found.groups()
    direction = next((line[2:] for line in text.splitlines() if line[2:] in DIRECTIONS and line.startswith("a=")), "sendrecv")
    encryption = "dtls" if "TLS" in profile else "sdes" if "SAVP" in profile else "none"
    mapped = re.search(rf"^a=rtpmap:{first} ([^/\s]+)", text, re.M) if first else None
    codec = mapped[1] if mapped else {"0": "PCMU", "8": "PCMA"}.get(first)
    return Sdp("inactive" if port == "0" else direction, encryption, codec)


@dataclass(eq=False)
class Dialog:
    """Follows the messages of one Call-ID. `code` and `reason` are the first INVITE's last final response, until it is tried again."""

    call_id: str
    local_tag: str = ""
    remote_tag: str = ""
    local: Sdp | None = None
    remote: Sdp | None = None
    code: int | None = None
    reason: str = ""
    confirmed: bool = False

    def follow(self, message: Message) -> None:
        """Take in one message."""
        from_us = message.sent == (message.status is None)
        local, remote = ("from", "to") if from_us else ("to", "from")
        self.local_tag = message.tag(local) or self.local_tag
        self.remote_tag = message.tag(remote) or self.remote_tag
        sdp = read_sdp(message.body) if "sdp" in message.headers.get("content-type", "") else None
        if sdp and message.sent:
            self.local = sdp
        elif sdp:
            self.remote = sdp
        if message.method == "INVITE" and message.status is None and message.sent and not self.confirmed:
            self.code, self.reason = None, ""  # a challenge was answered: the call goes on
        if message.method == "INVITE" and message.status and message.status >= 200 and not self.confirmed:
            self.code, self.reason = message.status, message.reason
        if message.method == "ACK" and self.code is not None and self.code < 300:
            self.confirmed = True

    @property
    def held(self) -> bool:
        """One side sends only, or neither sends (RFC 3264 §8.4)."""
        return any(sdp.direction in _HOLDS for sdp in (self.local, self.remote) if sdp)
