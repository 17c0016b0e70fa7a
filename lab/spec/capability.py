"""Capabilities: the names by which vendors say what they can do and scenarios what they need.

The same names as in docs/reference/agent-contract.md §Capabilities and docs/reference/vendor-manifest.md §Capabilities of servers; a test
holds them together.
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


_CONTRACT = (
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

_SERVERS = (
    Capability("stateful-proxy", "3261 §16", "passes requests and responses on within one dialog, with its Via and Record-Route"),
    Capability("fork-parallel", "3261 §16.6", "calls all contacts of a user at once"),
    Capability("fork-serial", "3261 §16.6", "calls the contacts of a user one after the other, in the order of q"),
    Capability("routes", "3261 §16.5, 4458", "sends requests on to other servers as the domain's routes say"),
    Capability("asserted-identity", "3325 §5, §7", "says who calls to whom it trusts, and withholds it from others where asked"),
    Capability("srv-failover", "3263 §4.3", "goes on to a domain's next server when one is silent or answers 503"),
    Capability("transit", "3261 §16.4, §16.6", "stands before a domain and hands on to its proxy"),
    Capability("topology-hiding", "5853 §3.1", "shows nothing outside of what is inside"),
    Capability("media-anchor", "5853 §3.2", "relays the media of either side, also after a re-INVITE"),
    Capability("srtp-interworking", "5853 §3.7", "joins SRTP outside with RTP inside"),
    Capability("overload-protection", "3261 §21.5.4", "answers 503 to who sends too much, and serves the others"),
)

CONTRACT_CAPABILITIES: dict[str, Capability] = {capability.name: capability for capability in _CONTRACT}
"""Those that an agent can declare, in the contract's order. Those about signalling are for servers, too."""

SERVER_CAPABILITIES: dict[str, Capability] = {capability.name: capability for capability in _SERVERS}
"""Those that only a server can have."""

CAPABILITIES: dict[str, Capability] = CONTRACT_CAPABILITIES | SERVER_CAPABILITIES
"""Name -> capability."""

CapabilityName = Annotated[str, Field(json_schema_extra={"enum": list(CAPABILITIES)}), AfterValidator(one_of("capability", CAPABILITIES))]
"""The name of a capability, for models."""
