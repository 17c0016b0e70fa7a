"""timeline.jsonl of a cell: all that happened, on one clock, one JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from lab.evidence.events import DnsMessage, Event, Mark, Stray, TlsRecord
from lab.evidence.message import SipMessage
from lab.evidence.tls import ALERTS


def entry(event: Event) -> dict[str, object]:
    """An event of the wire as a flat object: `t` (epoch seconds), `source` wire, `kind`, `frame`, and what that kind has to tell."""
    base: dict[str, object] = {"t": round(event.time, 6), "source": "wire", "frame": event.frame}
    if isinstance(event, Mark):
        return base | {"kind": "mark", "text": event.text}
    base |= {"src": event.src.name, "dst": event.dst.name}
    if isinstance(event, SipMessage):
        return base | {"kind": "sip", "transport": event.transport, "label": event.label, "call_id": event.call_id, "cseq": event.cseq}
    if isinstance(event, TlsRecord):
        alerts = [ALERTS.get(number, str(number)) for number in event.alerts]
        return base | {"kind": "tls", "handshake": list(event.handshake), "alerts": alerts, "sni": list(event.sni)}
    if isinstance(event, DnsMessage):
        return base | {
            "kind": "dns",
            "response": event.response,
            "rcode": event.rcode,
            "names": list(event.names),
            "qtypes": list(event.qtypes),
        }
    return base | {"kind": "stray", "transport": event.transport, "bytes": len(event.raw)}


def write(path: Path, events: Iterable[Event], others: Iterable[Mapping[str, object]] = ()) -> int:
    """Write wire events and those of `others` (agents' events, steps: anything with `t`), sorted by time. Returns how many lines.

    Plain TLS data records are left out: the SIP messages within them are there.
    """
    wire = [entry(event) for event in events if not _is_plain_data(event)]
    lines = sorted([*wire, *(dict(other) for other in others)], key=lambda line: float(str(line.get("t", 0))))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line, ensure_ascii=True, default=str) + "\n" for line in lines), encoding="utf-8")
    return len(lines)


def _is_plain_data(event: Event) -> bool:
    if isinstance(event, Stray):
        return not event.raw.strip()
    return isinstance(event, TlsRecord) and not (event.handshake or event.alerts)
