"""An account: who we are, where our requests go, and our answers to challenges. sipua has none of these."""

from __future__ import annotations

import asyncio
import secrets
import socket
from dataclasses import dataclass, field

from sipmessage import URI, Request, Response

from lab.sip.digest import Challenge, Credentials, answer, choose
from lab.sip.fault import DigestError

CHALLENGES = {401: ("WWW-Authenticate", "authorization"), 407: ("Proxy-Authenticate", "proxy_authorization")}
"""Status code → header with the challenge, member of a request for the answer (RFC 3261 §22)."""


@dataclass(eq=False)
class Subscriber:
    """One address of record at one proxy. `media` is `rtp` or `dtls`."""

    aor: URI
    credentials: Credentials
    proxy: URI
    transport: str
    media: str
    call_id: str = field(default_factory=lambda: secrets.token_hex(12))
    """All its REGISTERs have the same (RFC 3261 §10.2.4)."""
    registrations: int = 0
    registered: bool = False
    removed: bool = False
    """Takes no more calls; its last requests may still be under way."""
    _next_hop: tuple[str, int] | None = None

    async def next_hop(self) -> tuple[str, int]:
        """The proxy's address and port. OSError where its name has no IPv4 address."""
        if self._next_hop is None:
            port = self.proxy.port or 5060
            found = await asyncio.get_running_loop().getaddrinfo(self.proxy.host, port, family=socket.AF_INET)
            self._next_hop = (str(found[0][4][0]), port)
        return self._next_hop

    def authorise(self, request: Request, response: Response) -> str | None:
        """Give `request` credentials for the challenges in `response`. What is wrong, where none can be answered."""
        header, member = CHALLENGES[response.code]
        try:
            challenge = choose([Challenge.parse(value) for value in response.headers.getlist(header)])
            credentials = answer(challenge, self.credentials, request.method, str(request.uri), body=request.body)
        except DigestError as error:
            return str(error)
        setattr(request, member, credentials)
        return None


def granted(response: Response, host: str) -> int | None:
    """Seconds that a registrar granted the contact at `host`, or all of them (RFC 3261 §10.2.4); None where it says neither."""
    ours = next((contact for contact in response.contact if contact.uri.host == host), None)
    told = ours.parameters.get("expires") if ours else None
    return int(told) if told and told.isdecimal() else response.expires
