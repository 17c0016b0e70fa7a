"""The call flow of a cell as text; `drawing` makes the SVG of the same layout."""

from __future__ import annotations

from lab.evidence.layout import Ladder, Row, clip

_COLUMN = 26


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
