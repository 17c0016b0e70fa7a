"""Causes of the telephone network (ITU-T Q.850) in SIP messages: the Reason header field (RFC 3326 §2, RFC 6432)."""

from __future__ import annotations

import re

from sipmessage import Request, Response

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_CAUSE = re.compile(r"(?:^|,)\s*Q\.850\s*(?:;[^,]*?)?;\s*cause\s*=\s*([0-9]{1,3})\b", re.IGNORECASE)


def cause_of(message: Request | Response) -> int | None:
    """The cause that a message gives; None where it gives none."""
    found = _CAUSE.search(_QUOTED.sub(_bare, ",".join(message.headers.getlist("Reason"))))
    return int(found[1]) if found and int(found[1]) <= 127 else None


def _bare(quoted: re.Match[str]) -> str:
    """A number without its quotes, as some write the cause; of a text nothing that could pass for a parameter."""
    return quoted[0][1:-1] if quoted[0][1:-1].isdecimal() else ""


def give_cause(message: Request | Response, cause: int) -> None:
    """Say why the telephone network ends this call."""
    message.headers.set("Reason", f"Q.850;cause={cause}")
