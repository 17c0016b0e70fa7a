"""Capabilities: the names by which vendors say what they can do and scenarios what they need.

The same names as in docs/reference/agent-contract.md §Capabilities; a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field

from lab.spec.names import one_of


@dataclass(frozen=True)
class Capability:
    """One thing that an element can do, and the RFCs that say how."""

    name: str
    rfc: str
    meaning: str


_TABLE = (
    Capability("udp", "3261 §18", "SIP over UDP"),
    Capability("tcp", "3261 §18", "SIP over TCP"),
    Capability("tls", "3261 §26.3", "SIP over TLS, verifying the peer"),
    Capability("ipv6", "3261, 4291", "SIP and RTP over IPv6"),
    Capability("digest-md5", "3261 §22", "Digest authentication with MD5"),
    Capability("digest-sha-256", "8760", "Digest authentication with SHA-256"),
    Capability("tls-server-name", "5922 §7", "checks the certificate against the domain dialled"),
    Capability("mtls", "5922", "presents a client certificate"),
    Capability("sips", "5630", "sips: addresses of record"),
    Capability("srv", "3263", "server location by SRV records"),
    Capability("naptr", "3263", "server location by NAPTR records"),
    Capability("invite", "3261 §13", "makes and takes calls"),
    Capability("cancel", "3261 §9", "cancels a pending call"),
    Capability("busy", "3261 §21", "answers 486"),
    Capability("reject-any", "3261 §21", "rejects with any code"),
    Capability("redirect", "3261 §8.3", "answers 302"),
    Capability("hold", "3264 §8.4", "re-INVITE sendonly or inactive, and back"),
    Capability("delayed-offer", "3264, 6337", "calls without SDP, the offer comes in the 200"),
    Capability("delayed-offer-uas", "3264, 6337", "answers a call without SDP with an offer"),
    Capability("early-media", "3960", "hears and records what comes before the answer to its call"),
    Capability("dtmf-rfc4733", "4733", "sends and reports digits as telephone events"),
    Capability("dtmf-info", "6086", "sends and reports digits in INFO"),
    Capability("dtmf-inband", "Q.23", "sends digits as sound, without telephone events"),
    Capability("message", "3428", "page-mode messages"),
    Capability("refer", "3515", "transfers a call"),
    Capability("refer-replaces", "3891", "attended transfer"),
    Capability("srtp-sdes", "4568", "SRTP keyed by SDP"),
    Capability("srtp-dtls", "5764", "SRTP keyed by DTLS"),
    Capability("prack", "3262", "reliable provisional responses"),
    Capability("update", "3311", "UPDATE"),
    Capability("session-timer", "4028", "session timers"),
    Capability("mwi", "3842", "message waiting indication"),
    Capability("ice", "8445", "ICE"),
    Capability("turn", "8656", "TURN client"),
    Capability("stun", "8489", "STUN client"),
    Capability("outbound", "5626", "client-initiated connections"),
    Capability("outbound-flows", "5626 §4.2", "registers through several proxies, a flow each"),
    Capability("q-value", "3261 §20.10", "registers its contact with a preference"),
    Capability("zrtp", "6189", "media keys agreed in the media path"),
    Capability("raw", "4475", "sends bytes past its own stack: raw.open, raw.send"),
)

CAPABILITIES: dict[str, Capability] = {capability.name: capability for capability in _TABLE}
"""Name -> capability, in the contract's order."""

CapabilityName = Annotated[str, Field(json_schema_extra={"enum": list(CAPABILITIES)}), AfterValidator(one_of("capability", CAPABILITIES))]
"""The name of a capability, for models."""
