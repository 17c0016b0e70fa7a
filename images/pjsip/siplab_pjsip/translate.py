"""PJSIP's numbers in the words of the agent contract. Pure: importable without pjsua2, for the unit tests."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Any

_DIRECTIONS = {0: "inactive", 1: "sendonly", 2: "recvonly", 3: "sendrecv"}
LOCAL_HOLD, REMOTE_HOLD, MEDIA_ACTIVE = 2, 3, 1
_PROFILE_SRTP = 1 << 14
STATUS = struct.Struct("i")
"""How an engine ended, as the nursery tells it: exit status, or the negative number of a signal."""
_LOG_LEVELS = {"error": 1, "warning": 2, "warn": 2, "info": 4, "debug": 5}


def direction(bits: int) -> str:
    """pjmedia_dir (1 encoding, 2 decoding) as the SDP attribute of our side (RFC 3264 §5.1)."""
    return _DIRECTIONS[bits & 3]


def encryption(protocol: int) -> str:
    """pjmedia_tp_proto of a running stream: this build keys SRTP by SDES or not at all."""
    return "sdes" if protocol & _PROFILE_SRTP else "none"


def log_level(name: str) -> int:
    """pj's log level; 4 is the first that prints SIP messages."""
    return _LOG_LEVELS.get(name, 4)


def bare_uri(name_addr: str) -> str:
    """The URI of a From or To value: `"Bob" <sip:bob@b>;tag=1` → `sip:bob@b`. Without <> parameters are the header's (§20.10)."""
    bracketed = re.search(r"<([^>]*)>", name_addr)
    return bracketed.group(1) if bracketed else name_addr.split(";", 1)[0].strip()


def host_of(aor: str) -> str:
    """The domain of an address of record, which is the Request-URI of a REGISTER (RFC 3261 §10.2)."""
    return re.split(r"[;?]", aor.split(":", 1)[1])[0].rsplit("@", 1)[-1]


def registrar_uri(aor: str) -> str:
    """`sip:domain` or, for a sips: address, `sips:domain`."""
    return f"{aor.split(':', 1)[0]}:{host_of(aor)}"


def loose_route(proxy: str) -> str:
    """The proxy as a Route value: without `lr` it would be a strict router (RFC 3261 §16.12)."""
    return proxy if re.search(r";lr(;|=|$)", proxy) else f"{proxy};lr"


def header(head: str, name: str) -> str:
    """A header's value in the head of a SIP message, or "". Long names only: PJSIP peers of ours use no compact form here."""
    found = re.search(rf"^{name}[ \t]*:[ \t]*(.*?)[ \t]*$", head, re.MULTILINE | re.IGNORECASE)
    return found.group(1).rstrip() if found else ""


def registration(code: int, expires: int, wanted: bool) -> str:
    """State after a REGISTER transaction. `wanted` is False after `unregister`."""
    if code // 100 != 2:
        return "failed"
    return "registered" if wanted and expires else "unregistered"


def outcome(code: int, reason: str, heard: bool) -> dict[str, Any]:
    """`code` and `reason` members. `heard` is False where no response came and PJSIP made the code up as RFC 3261 §8.1.3.1 says."""
    members: dict[str, Any] = {"code": code} if code else {}
    if reason:
        members["reason"] = reason if heard else f"{reason} (PJSIP's own, nothing was received)"
    return members


@dataclass
class HoldState:
    """Turns media states into `held` and `resumed`, once per change (a re-INVITE may report the same state twice)."""

    last: int = 0

    def change(self, status: int) -> str | None:
        """What to report now that the first audio stream is in this state."""
        before, self.last = self.last, status
        if status == before:
            return None
        if status in (LOCAL_HOLD, REMOTE_HOLD):
            return "held"
        return "resumed" if status == MEDIA_ACTIVE and before in (LOCAL_HOLD, REMOTE_HOLD) else None


def cut_wav(data: bytes, seconds: float, rate: int = 8000) -> bytes | None:
    """The first `seconds` of PCM of a finished WAV file with the usual 44 byte header; None while pj has not finalised it."""
    if len(data) <= 44 or int.from_bytes(data[40:44], "little") != len(data) - 44:
        return None
    return data[44 : 44 + 2 * round(seconds * rate)]
