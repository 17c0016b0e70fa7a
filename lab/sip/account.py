"""Who we are towards a domain, and what we do in its name."""

from __future__ import annotations

from dataclasses import dataclass

from sipmessage import URI, Address, Parameters

from .digest import Credentials
from .transports import PORTS


@dataclass(frozen=True)
class Account:
    """An address of record with its next hop. `media` is `rtp`, `sdes` or `dtls`, and exactly that (no best effort)."""

    name: str
    aor: URI
    credentials: Credentials
    proxy: URI
    transport: str
    media: str
    host: str

    @property
    def contact(self) -> Address:
        """Where we are reached: the port that we listen on, also over connections (RFC 3261 §8.1.1.8)."""
        parameters = Parameters() if self.transport == "udp" else Parameters(transport=self.transport)
        return Address(
            uri=URI(scheme=self.aor.scheme, user=self.aor.user, host=self.host, port=PORTS[self.transport], parameters=parameters)
        )

    @property
    def route(self) -> Address:
        """The proxy as a loose route (RFC 3261 §16.12)."""
        uri = self.proxy
        loose = Parameters(**{**dict(uri.parameters), "lr": None})
        return Address(uri=URI(scheme=uri.scheme, user=uri.user, host=uri.host, port=uri.port, parameters=loose))
