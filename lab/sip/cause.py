"""Causes of the telephone network (ITU-T Q.850) in SIP messages: the Reason header field (RFC 3326 §2, RFC 6432)."""

from __future__ import annotations

import re

from sipmessage import Request, Response

_CAUSE = re.compile(r'(?:^|,)\s*Q\.850\s*(?:;[^,]*?)?;\s*cause\s*=\s*"?(\d{1,3})\b', re.IGNORECASE)


def cause_of(message: Request | Response) -> int | None:
    """The cause that a message gives; None where it gives none."""
    found = _CAUSE.search(",".join(message.headers.getlist("Reason")))
    return int(found[1]) if found else None


def give_cause(message: Request | Response, cause: int) -> None:
    """Say why the telephone network ends this call."""
    message.headers.set("Reason", f"Q.850;cause={cause}")
