"""Dialogs as the wire shows them (RFC 3261 §12)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from lab.evidence.message import SipMessage, uri_host

OTHERWISE_ADDRESSED = frozenset({"ACK", "CANCEL"})
"""Requests that repeat the INVITE's Request-URI where they belong to its transaction (RFC 3261 §9.1, §17.1.1.3)."""


def astray(messages: Iterable[SipMessage]) -> frozenset[int]:
    """Frames of requests within a dialog that ask for a host which no Contact of that dialog named.

    Such a request has to ask for the other side's Contact (RFC 3261 §12.2.1.1). Where it does not, a proxy that cannot deliver it is not to
    blame. `messages` are in order of time.
    """
    contacts: dict[str, set[str]] = defaultdict(set)
    found = set()
    for message in messages:
        known = contacts[message.call_id]
        within = message.is_request and message.to_tag and message.method not in OTHERWISE_ADDRESSED
        if within and known and uri_host(message.uri) not in known:
            found.add(message.frame)
        if host := uri_host(message.header("Contact")):
            known.add(host)
    return frozenset(found)
