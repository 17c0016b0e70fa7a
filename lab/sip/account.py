"""Who we are towards a domain, and what we do in its name."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sipmessage import URI, Address, Parameters

from .authentication import Protection
from .digest import Credentials
from .guard import Guard
from .session_timer import TAG, USUAL, Policy
from .transports import PORTS


@dataclass(frozen=True)
class Account:
    """An address of record with its next hop. `media` is `rtp`, `sdes` or `dtls`, and exactly that (no best effort).

    `host` is the address that it uses, of the family that it uses. `require` are option tags that it insists on: `100rel`, `timer`.
    `anonymous` calls do not say whose they are, and ask others not to (RFC 3323 §4.1). Who `asserts` is itself trusted to say so (RFC 3325
    §9.1). `inband` digits are sound, and telephone-events are not known.
    """

    name: str
    aor: URI
    credentials: Credentials
    proxy: URI
    transport: str
    media: str
    host: str
    require: frozenset[str] = frozenset()
    anonymous: bool = False
    asserts: bool = False
    inband: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    """Further header fields of its INVITEs, names and values as they are, right or wrong."""
    session: Policy = field(default_factory=Policy)
    protection: Protection = field(default_factory=Protection)
    preference: float | None = None
    """The q value of its Contact (RFC 3261 §20.10)."""
    elsewhere: URI | None = None
    """What it registers in place of its own address: calls go there (RFC 3261 §10.2.1)."""
    max_forwards: int = 70
    """Of an INVITE that opens a call (RFC 3261 §8.1.1.6)."""
    early_media: bool = False
    """Its ringing is a 183 with the answer, and its tone plays already (RFC 3960 §3.2)."""
    guard: Guard | None = None
    """What it demands of callers."""
    flows: tuple[URI, ...] = ()
    """Proxies that it registers through, a flow each (RFC 5626 §4.2); none where it does not use flows."""
    instance: str = ""
    """The URN that names this user agent in all its flows (RFC 5626 §4.1)."""

    @property
    def secure(self) -> bool:
        """A `sips:` address: TLS on every hop, and nothing else (RFC 5630 §3)."""
        return self.aor.scheme == "sips"

    @property
    def contact(self) -> Address:
        """Where we are reached: the port that we listen on, also over connections (RFC 3261 §8.1.1.8).

        A `sips:` one needs no transport parameter, and `transport=tls` would be the deprecated way to say it (RFC 5630 §3.1.3).
        """
        plain = self.transport == "udp" or self.secure
        parameters = Parameters() if plain else Parameters(transport=self.transport)
        if self.flows:  # requests of its dialogs come down a flow too (RFC 5626 §4.3)
            parameters = Parameters(**dict(parameters), ob=None)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return Address(uri=URI(scheme=self.aor.scheme, user=self.aor.user, host=host, port=PORTS[self.transport], parameters=parameters))

    def binding(self, expires: int) -> Address:
        """The Contact of a REGISTER (RFC 3261 §10.2.1)."""
        preferred = {} if self.preference is None else {"q": f"{self.preference:.3g}"}
        return Address(uri=self.elsewhere or self.contact.uri, parameters=Parameters(expires=str(expires), **preferred))

    def flow_binding(self, expires: int, reg_id: int) -> str:
        """The Contact of a REGISTER for one flow (RFC 5626 §4.2), as text: sipmessage escapes what is in its parameters."""
        uri = Address(uri=replace(self, flows=()).contact.uri)
        return f'{uri};expires={expires};+sip.instance="<{self.instance}>";reg-id={reg_id}'

    @property
    def caller(self) -> Address:
        """The From of its calls (RFC 3323 §4.1.1.3)."""
        if not self.anonymous:
            return Address(uri=self.aor)
        return Address(name="Anonymous", uri=URI(scheme="sip", user="anonymous", host="anonymous.invalid"))

    @property
    def calling(self) -> Address:
        """The Contact of its calls: without its name where nobody shall know it (RFC 3323 §4.1.1.2)."""
        if not self.anonymous:
            return self.contact
        uri = self.contact.uri
        return Address(uri=URI(scheme=uri.scheme, host=uri.host, port=uri.port, parameters=uri.parameters))

    @property
    def identity(self) -> dict[str, str]:
        """Header fields that say to those who may know it whose call this is (RFC 3325 §9.1, §9.2), and that others may not (§9.3)."""
        who = {"P-Asserted-Identity" if self.asserts else "P-Preferred-Identity": f"<{self.aor}>"}
        return {**(who if self.asserts or self.anonymous else {}), **({"Privacy": "id"} if self.anonymous else {})}

    @property
    def hop(self) -> URI:
        """The proxy: of a `sips:` address as a `sips:` URI too."""
        uri = self.proxy
        if not self.secure or uri.scheme == "sips":
            return uri
        rest = {name: value for name, value in dict(uri.parameters).items() if name.lower() != "transport"}
        return URI(scheme="sips", user=uri.user, host=uri.host, port=uri.port, parameters=Parameters(**rest))

    @property
    def route(self) -> Address:
        """The proxy as a loose route (RFC 3261 §16.12)."""
        uri = self.hop
        loose = Parameters(**{**dict(uri.parameters), "lr": None})
        return Address(uri=URI(scheme=uri.scheme, user=uri.user, host=uri.host, port=uri.port, parameters=loose))


def policy(require: frozenset[str], seconds: int | None, lowest: int) -> Policy:
    """The session timer of an account: who requires timers asks for one, of the usual length where none is given."""
    return Policy(seconds or (USUAL if TAG in require else None), lowest)
