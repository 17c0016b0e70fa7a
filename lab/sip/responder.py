"""Answers without a user agent behind them: what a SIP address says that is not what callers take it for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from .fault import MessageError
from .framing import normal, unfolded
from .message import PHRASES
from .raw import RawMessage

_REQUEST = re.compile(rb"([!-~]+) ([!-~]+) SIP/\d\.\d")
_COPIED = ("Via", "From", "Call-ID", "CSeq")
_COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact"}
_EXPIRES = b"300"


@dataclass(frozen=True)
class Asked:
    """A request, as far as it could be read."""

    method: str
    uri: str


def asked(data: bytes) -> Asked | None:
    """Method and Request-URI; None where this is no request."""
    found = _REQUEST.fullmatch(RawMessage.read(data).start)
    return Asked(found[1].decode("ascii"), found[2].decode("ascii")) if found else None


def response(data: bytes, code: int, headers: Mapping[str, str] | None = None) -> bytes:
    """The response with that code to a request (RFC 3261 §8.2.6), stateless: the same bytes get the same answer.

    A 2xx to a REGISTER confirms what it asked for, as a registrar would (§10.3 step 8). Nothing is checked: a request that is malformed
    gets a response that is.
    """
    request = RawMessage.read(unfolded(data))
    lines = [line for line in request.lines if _name(line) in {name.lower() for name in _COPIED}]
    lines += [_tagged(line, data) if code > 100 else line for line in request.lines if _name(line) == "to"]
    if data.startswith(b"REGISTER ") and code // 100 == 2:
        lines += [line for line in request.lines if _name(line) == "contact"]
        lines.append(b"Expires: " + _EXPIRES)
    lines += [f"{name}: {value}".encode() for name, value in (headers or {}).items()]
    start = f"SIP/2.0 {code} {PHRASES.get(code, 'Told So')}".encode()
    return bytes(RawMessage(start, (*lines, b"Content-Length: 0")))


def refusal(data: bytes) -> bytes | None:
    """400 to a request that cannot be read (RFC 3261 §21.4.1), 505 to one of another version (§21.5.6).

    None where that is not to be answered: no request, an ACK, no Via, or lines that the next one on the way would read differently.
    """
    try:
        head = normal(data.partition(b"\r\n\r\n")[0])
    except MessageError:
        return None
    request = asked(head)
    if request is None or request.method == "ACK" or not any(_name(line) == "via" for line in RawMessage.read(head).lines):
        return None
    return response(head, 400 if RawMessage.read(head).start.endswith(b" SIP/2.0") else 505)


def _name(line: bytes) -> str:
    name = line.partition(b":")[0].strip().lower().decode("ascii", "replace")
    return _COMPACT.get(name, name)


def _tagged(line: bytes, data: bytes) -> bytes:
    """With a tag of ours, unless it has one: the request is of a dialog then."""
    parameters = line.rpartition(b">")[2] if b">" in line else line
    return line if re.search(rb";\s*tag\s*=", parameters, re.IGNORECASE) else line + b";tag=" + sha256(data).hexdigest()[:12].encode()
