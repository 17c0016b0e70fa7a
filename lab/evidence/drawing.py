"""The ladder as SVG: one file that any browser shows, light or dark, with nothing to load."""

from __future__ import annotations

from html import escape

from lab.evidence.layout import Ladder, Row, clip

_LEFT, _TOP, _STEP, _WIDTH, _RIGHT = 96, 100, 34, 230, 150
_CHARACTER = 6.9  # pixels per character of the label's font
COLOURS = {"tls": "#1a7f37", "srtp": "#1a7f37", "udp": "#cf222e", "tcp": "#bc4c00", "rtp": "#cf222e"}
_LEGEND = (("tls", "TLS, SRTP"), ("tcp", "TCP in clear"), ("udp", "UDP, RTP in clear"))
_STYLE = """
text{font:13px ui-sans-serif,system-ui,"DejaVu Sans",sans-serif;fill:#1f2328}
.title{font-size:17px;font-weight:600}.dim{font-size:11px;fill:#656d76}.name{font-weight:600;text-anchor:middle}
.page{fill:#fff}.box{fill:#f6f8fa;stroke:#8c959f}
.rail{stroke:#afb8c1;stroke-dasharray:3 4}.gap{fill:#fff}.mid{text-anchor:middle}.end{text-anchor:end}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.dim{fill:#9198a1}
.page,.gap{fill:#0d1117}.box{fill:#161b22;stroke:#6e7681}.rail{stroke:#484f58}}
"""


def as_svg(ladder: Ladder) -> str:
    """A complete, well-formed SVG document. Text of the wire is escaped; its control characters are gone already."""
    width = _LEFT + _WIDTH * max(1, len(ladder.columns)) + _RIGHT - _WIDTH // 2
    height = _TOP + _STEP * (len(ladder.rows) + 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">',
        f"<title>{_text(ladder.title)}</title><style>{_STYLE}</style><defs>{''.join(_head(kind) for kind in COLOURS)}</defs>",
        f'<rect class="page" width="{width}" height="{height}"/><text class="title" x="16" y="28">{_text(ladder.title)}</text>',
        *_legend(),
        *(_column(index, name, height) for index, name in enumerate(ladder.columns)),
        *(_arrow(row, index, ladder.columns) for index, row in enumerate(ladder.rows)),
    ]
    if not ladder.rows:
        parts.append(f'<text x="16" y="{_TOP}">no message</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _text(text: str) -> str:
    return escape(text, quote=True)


def _head(kind: str) -> str:
    shape = f'<path d="M0 0L10 5L0 10z" fill="{COLOURS[kind]}"/>'
    size = 'viewBox="0 0 10 10" refX="9" refY="5" markerWidth="6" markerHeight="6"'
    return f'<marker id="{kind}" {size} orient="auto-start-reverse">{shape}</marker>'


def _legend() -> list[str]:
    parts = []
    for index, (kind, words) in enumerate(_LEGEND):
        x = 16 + 150 * index
        parts.append(
            f'<path d="M{x} 45h22" stroke="{COLOURS[kind]}" stroke-width="3"/><text class="dim" x="{x + 28}" y="49">{words}</text>'
        )
    return parts


def _x(index: int) -> int:
    return _LEFT + _WIDTH * index + _WIDTH // 2 - 40


def _column(index: int, name: str, height: int) -> str:
    x = _x(index)
    return (
        f'<line class="rail" x1="{x}" y1="88" x2="{x}" y2="{height - 12}"/>'
        f'<rect class="box" x="{x - 70}" y="62" width="140" height="26" rx="5"/>'
        f'<text class="name" x="{x}" y="80">{_text(clip(name, 20))}</text>'
    )


def _arrow(row: Row, index: int, columns: tuple[str, ...]) -> str:
    y = _TOP + _STEP * index + _STEP // 2
    one, other = _x(columns.index(row.left)), _x(columns.index(row.right))
    colour = COLOURS.get(row.kind, "#656d76")
    room = max(16, int(abs(other - one) / _CHARACTER) - 2)
    label = clip(row.label, room)
    middle = (one + other) // 2 if one != other else one + 60
    gap = int(len(label) * _CHARACTER / 2) + 6
    thick = 5 if row.kind in ("rtp", "srtp") else 2
    path = f"M{one} {y}L{other} {y}" if one != other else f"M{one} {y}h40v12h-38"
    heads = f'marker-end="url(#{row.kind})"' + (f' marker-start="url(#{row.kind})"' if row.both else "")
    if thick == 5:
        heads = ""
    tip = _text(f"frame {row.frame}: {row.left} to {row.right} over {row.kind}: {row.label}")
    last = _x(len(columns) - 1) + 16
    note = f"{row.kind} #{row.frame}" + (f" {row.note}" if row.note else "")
    return (
        f'<g><title>{tip}</title><text class="dim end" x="{_LEFT - 34}" y="{y + 4}">{row.seconds:.3f} s</text>'
        f'<rect class="gap" x="{middle - gap}" y="{y - 17}" width="{2 * gap}" height="14"/>'
        f'<path d="{path}" stroke="{colour}" stroke-width="{thick}" fill="none" {heads}/>'
        f'<text class="mid" x="{middle}" y="{y - 6}">{_text(label)}</text>'
        f'<text class="dim" x="{last}" y="{y + 4}">{_text(note)}</text></g>'
    )
