"""What a ladder shows, before it is drawn as text or as SVG."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

from lab.evidence.media import Flow
from lab.evidence.message import SipMessage

_MOST_ARRANGED = 6  # columns: 720 orders to weigh
_MOST_ROWS = 500  # more than that nobody reads


Pair = tuple[str, str]


@dataclass(frozen=True)
class Row:
    """One arrow. `kind` is a transport (`udp`, `tcp`, `tls`) or `rtp`, `srtp`; `both` is a bar with two heads."""

    seconds: float
    left: str
    right: str
    label: str
    kind: str
    frame: int
    note: str = ""
    both: bool = False


@dataclass(frozen=True)
class Ladder:
    """A drawing before it is drawn: `columns` from left to right, `rows` in time."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def printable(text: str) -> str:
    """Hostile text made harmless: control, format and surrogate characters become `·` (XML 1.0 §2.2 forbids most of them)."""
    return "".join("·" if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp") else c for c in text)


def clip(text: str, width: int) -> str:
    """At most `width` characters."""
    return text if len(text) <= width else text[: width - 1] + "…"


def build(
    title: str,
    elements: Sequence[str],
    messages: Sequence[SipMessage],
    flows: Sequence[Flow] = (),
    secured: bool = False,
    *,
    beside: Sequence[Pair] = (),
) -> Ladder:
    """Lay out a scenario. Only elements that took part get a column, strangers under their address.

    `secured` says that the media was proven to be SRTP (`Media.all_srtp`). `beside` are who is behind which NAT: they stand side by side.
    """
    ends = [name for m in messages for name in (m.src.name, m.dst.name)] + [name for f in flows for name in (f.src.name, f.dst.name)]
    known = [name for name in elements if name in ends]
    columns = _arranged(known + [name for name in dict.fromkeys(ends) if name not in known], messages, flows, beside)
    start = min([m.time for m in messages] + [f.packets[0].time for f in flows], default=0.0)
    shown = messages[:_MOST_ROWS]
    rows = [_row(message, start) for message in shown] + _bars(flows, start, "srtp" if secured else "rtp")
    more = f" (the first {len(shown)} of {len(messages)} messages)" if len(messages) > len(shown) else ""
    return Ladder(printable(title) + more, columns, tuple(sorted(rows, key=lambda row: (row.seconds, row.frame))))


def _arranged(names: list[str], messages: Sequence[SipMessage], flows: Sequence[Flow], beside: Sequence[Pair]) -> tuple[str, ...]:
    """The order with the shortest arrows: proxies stand between their users, the first caller stands left of its callee. What a NAT has
    translated is another arrow for each of its sides, and says nothing of who is next to whom: `beside` does, and weighs more than all.
    """
    if len(names) > _MOST_ARRANGED:
        return tuple(names)
    pairs = Counter([(m.src.name, m.dst.name) for m in messages] + [(f.src.name, f.dst.name) for f in flows])
    for one, other in beside:
        if one in names and other in names:
            pairs[one, other] += len(messages) + len(flows)
    caller = next((m.src.name for m in messages if m.method == "INVITE"), messages[0].src.name if messages else "")

    def cost(order: tuple[str, ...]) -> tuple[int, int]:
        place = {name: index for index, name in enumerate(order)}
        return sum(count * abs(place[a] - place[b]) for (a, b), count in pairs.items()), place.get(caller, 0)

    return min(permutations(names), key=cost)


def _row(message: SipMessage, start: float) -> Row:
    note = message.sdp.media[0].profile if message.sdp and message.sdp.media else ""
    label = printable(message.label) or "?"
    return Row(message.time - start, message.src.name, message.dst.name, label, message.transport, message.frame, printable(note))


def _bars(flows: Sequence[Flow], start: float, kind: str) -> list[Row]:
    """Media summarised: one bar for the flows of two elements, at the time of its first packet."""
    pairs: dict[frozenset[str], list[Flow]] = {}
    for flow in flows:
        pairs.setdefault(frozenset((flow.src.name, flow.dst.name)), []).append(flow)
    rows = []
    for together in pairs.values():
        first = min(together, key=lambda flow: flow.packets[0].time)
        both = len({flow.src.name for flow in together}) > 1
        count = sum(len(flow.packets) for flow in together)
        seconds = max(flow.packets[-1].time for flow in together) - first.packets[0].time
        label = f"{kind.upper()} payload type {first.payload_type}, {count} packets, {seconds:.1f} s"
        packet = first.packets[0]
        rows.append(Row(packet.time - start, first.src.name, first.dst.name, label, kind, packet.frame, both=both))
    return rows
