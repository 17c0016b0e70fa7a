"""Zone files (RFC 1035 §5)."""

from __future__ import annotations

from lab.plan.model import Record, Zone

TTL = 5
"""Seconds: short, because scenarios change answers while elements run."""


def zone_text(zone: Zone, server: str) -> str:
    """`zone` as a master file. Where the plan has no SOA or NS at the apex, `server` (a host name) becomes the authority."""
    held = {record.type for record in zone.records if record.name == "@"}
    records = list(zone.records)
    if "NS" not in held:
        records.insert(0, Record("@", TTL, "NS", f"{server}."))
    if "SOA" not in held:
        records.insert(0, Record("@", TTL, "SOA", f"{server}. hostmaster.{zone.origin}. 1 60 60 600 {TTL}"))
    lines = [f"$ORIGIN {zone.origin}.", f"$TTL {TTL}"]
    lines += [f"{record.name} {record.ttl} IN {record.type} {record.data}" for record in records]
    return "\n".join(lines) + "\n"
