"""The call flow of a cell as a ladder: text, and by `drawing` SVG."""

from __future__ import annotations

from collections.abc import Sequence

from lab.evidence.drawing import as_svg
from lab.evidence.layout import Ladder, Row, build, clip
from lab.evidence.message import SipMessage
from lab.plan.model import Plan

__all__ = ["as_svg", "as_text", "ladder_svg", "ladder_text"]

_COLUMN = 26


def ladder_text(messages: Sequence[SipMessage], plan: Plan, *, title: str = "") -> str:
    """Messages as text, without media. `Wire.ladder` has both."""
    return as_text(build(title or plan.topology, [element.name for element in plan.elements], messages))


def ladder_svg(messages: Sequence[SipMessage], plan: Plan, *, title: str = "") -> str:
    """Messages as SVG, without media. `Wire.ladder` has both."""
    return as_svg(build(title or plan.topology, [element.name for element in plan.elements], messages))


def as_text(ladder: Ladder) -> str:
    """For terminals, logs and JUnit: seconds, arrows, transport and frame number."""
    if not ladder.columns:
        return f"{ladder.title}\n(no message)\n"
    head = " " * 9 + "".join(clip(name, _COLUMN - 2).center(_COLUMN) for name in ladder.columns).rstrip()
    return "\n".join([ladder.title, head, *(_line(row, ladder.columns) for row in ladder.rows)]) + "\n"


def _line(row: Row, columns: tuple[str, ...]) -> str:
    one, other = columns.index(row.left), columns.index(row.right)
    low, high = sorted((one, other))
    rails = [" "] * (_COLUMN * len(columns))
    for column in range(len(columns)):
        rails[_COLUMN * column + _COLUMN // 2] = "│"
    if low == high:
        return f"{row.seconds:8.3f} {''.join(rails)} ↺ {row.label} {row.kind} #{row.frame}"
    begin, end = _COLUMN * low + _COLUMN // 2 + 1, _COLUMN * high + _COLUMN // 2
    label = clip(row.label, end - begin - 4)
    body = f" {label} ".center(end - begin, "═" if row.kind in ("rtp", "srtp") else "─")
    body = ("◀" + body[1:]) if one > other or row.both else body
    body = (body[:-1] + "▶") if one < other or row.both else body
    rails[begin:end] = body
    more = [row.note] if row.note else []
    more += [row.label] if label != row.label else []
    return " ".join([f"{row.seconds:8.3f}", "".join(rails).rstrip(), "", row.kind, f"#{row.frame}", *more])
