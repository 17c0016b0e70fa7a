"""`/etc/siplab/agent.json`: what the agent contract says an agent finds before it starts."""

from __future__ import annotations

import json

from lab.plan.model import Element

CONTRACT = 1
TLS_DIR = "/etc/siplab/tls"
KEYS_DIR = "/var/lib/siplab/keys"
RECORDINGS_DIR = "/var/lib/siplab/rec"
RTP_PORTS = (40000, 40098)


def agent_json(element: Element, dns: tuple[str, ...], *, keylog: bool) -> str:
    """The configuration of `element`'s agent (docs/reference/agent-contract.md, Configuration)."""
    own = element.certificates[0].name if element.certificates else None
    document = {
        "contract": CONTRACT,
        "element": element.name,
        "ipv4": str(element.ipv4) if element.ipv4 else None,
        "ipv6": str(element.ipv6) if element.ipv6 else None,
        "dns": list(dns),
        **({"tone_hz": element.tone_hz} if element.tone_hz else {}),
        "rtp_ports": list(RTP_PORTS),
        "ca": f"{TLS_DIR}/ca.pem",
        "certificate": own and f"{TLS_DIR}/{own}.pem",
        "key": own and f"{TLS_DIR}/{own}.key",
        "recordings": RECORDINGS_DIR,
        "keylog": f"{KEYS_DIR}/{element.name}.log" if keylog else None,
        "log_level": "info",
    }
    return json.dumps(document, indent=1) + "\n"
