"""The picture as SVG: one file that any browser shows, light or dark, with nothing to load."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from lab.picture.layout import Layout, Spot, arrange
from lab.picture.model import Bus, Node, Picture, Realm, clip

_PITCH, _BOX_WIDTH, _BOX_HEIGHT = 212, 188, 92
_MARGIN, _TOP = 28, 84
_BUS, _TAP = 30, 34  # height of a network's bar; length of the line between it and an element
_LINE = 22
_ROLES = {
    "dns": "#8250df", "proxy": "#0969da", "user-agent": "#1a7f37", "gateway": "#bc4c00", "voicemail": "#bc4c00", "focus": "#bc4c00",
    "trunk": "#953800", "sbc": "#0550ae", "nat": "#9a6700", "turn": "#6e7781", "attacker": "#cf222e",
}  # fmt: skip
_DOMAINS = ("#0969da", "#d4467e", "#0f9d8a", "#9a6700", "#8250df", "#cf222e")
_STYLE = """
text{font:12px ui-sans-serif,system-ui,"DejaVu Sans",sans-serif;fill:#1f2328}
.title{font-size:20px;font-weight:600}.sub{font-size:14px;fill:#59636e}.name{font-size:15px;font-weight:600}.dim{fill:#59636e}
.role{font-size:11px;text-anchor:end}.host{font:11px ui-monospace,"DejaVu Sans Mono",monospace;fill:#59636e}
.page{fill:#fff}.box{fill:#fff;stroke:#c4ccd4;stroke-width:1.2}.bus{fill:#30363d}.private{fill:#6f5a1f}.wire{stroke:#59636e;stroke-width:2}.tap{fill:#59636e}
.net{font-size:14px;font-weight:600;fill:#fff}.subnet{font:12px ui-monospace,"DejaVu Sans Mono",monospace;fill:#c9d1d9}.end{text-anchor:end}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.sub,.dim,.host{fill:#9198a1}.page{fill:#0d1117}.box{fill:#161b22;stroke:#3d444d}
.bus{fill:#3d444d}.private{fill:#6f5a1f}.wire{stroke:#9198a1}.tap{fill:#9198a1}.role{filter:brightness(1.5)}}
"""


def as_svg(picture: Picture) -> str:
    """A complete, well-formed SVG document. All text is escaped."""
    layout = arrange(picture)
    panel = [*_panel(picture, _TOP + _height(layout) + 36)]
    width = 2 * _MARGIN + _PITCH * max(layout.columns, 3)
    height = _TOP + _height(layout) + (48 + _LINE * len(panel) if panel else 8)
    body = [
        *(_bus(layout, number, bus, width) for number, bus in enumerate(layout.buses)),
        *(part for spot in layout.spots for part in _spot(layout, spot, width, _colours(picture))),
    ]
    wires = [part for part in body if part.startswith("<line")]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">',
        f"<title>{_text(picture.title)}</title><style>{_STYLE}</style>",
        f'<rect class="page" width="{width}" height="{height}"/>',
        f'<text class="title" x="{_MARGIN}" y="36">{_text(picture.name)}</text>',
        f'<text class="sub" x="{_MARGIN}" y="58">{_text(clip(picture.title, (width - 2 * _MARGIN) // 7))}</text>',
        *wires,
        *(part for part in body if not part.startswith("<line")),
        *panel,
        "</svg>",
        "",
    ])  # fmt: skip


def _text(text: str) -> str:
    return escape(text, quote=True)


def _colours(picture: Picture) -> dict[str, str]:
    return {realm.name: _DOMAINS[number % len(_DOMAINS)] for number, realm in enumerate(picture.domains)}


# -- heights and widths ---------------------------------------------------------------------------------------------------------------


def _row_height(layout: Layout, row: int) -> int:
    """A row without elements takes no room at the edges, and a little between two networks, for the lines that pass."""
    edges = (row > 0) + (row < len(layout.buses))
    if any(spot.row == row for spot in layout.spots):
        return _BOX_HEIGHT + _TAP * edges
    return 0 if edges == 1 else _TAP


def _row_top(layout: Layout, row: int) -> int:
    return _TOP + sum(_row_height(layout, above) for above in range(row)) + _BUS * row


def _bus_top(layout: Layout, bus: int) -> int:
    return _row_top(layout, bus) + _row_height(layout, bus)


def _height(layout: Layout) -> int:
    last = len(layout.buses)
    return _row_top(layout, last) + _row_height(layout, last) - _TOP


def _middle(layout: Layout, spot: Spot, width: int) -> float:
    return width / 2 + (spot.column - (layout.columns - 1) / 2) * _PITCH


# -- parts ----------------------------------------------------------------------------------------------------------------------------


def _bus(layout: Layout, number: int, bus: Bus, width: int) -> str:
    y = _bus_top(layout, number)
    kind = "bus private" if bus.private else "bus"
    return (
        f'<g><rect class="{kind}" x="{_MARGIN}" y="{y}" width="{width - 2 * _MARGIN}" height="{_BUS}" rx="6"/>'
        f'<text class="net" x="{_MARGIN + 14}" y="{y + 20}">{_text(bus.label)}</text>'
        f'<text class="subnet end" x="{width - _MARGIN - 14}" y="{y + 20}" xml:space="preserve">{_text("   ".join(bus.subnets))}</text></g>'
    )


def _spot(layout: Layout, spot: Spot, width: int, colours: dict[str, str]) -> Iterator[str]:
    x = _middle(layout, spot, width)
    top = _row_top(layout, spot.row) + (_TAP if spot.row > 0 else 0)
    for bus in spot.ends:
        above = bus < spot.row
        edge = _bus_top(layout, bus) + (_BUS if above else 0)
        yield f'<line class="wire" x1="{x:g}" y1="{top if above else top + _BOX_HEIGHT}" x2="{x:g}" y2="{edge}"/>'
        yield f'<circle class="tap" cx="{x:g}" cy="{edge}" r="4"/>'
        place = next(place for place in spot.node.places if place.network == layout.buses[bus].name)
        yield f'<text class="host" x="{x + 8:g}" y="{edge + 19 if above else edge - 10}">{_text(place.short)}</text>'
    yield _box(spot.node, x - _BOX_WIDTH / 2, top, colours)


def _box(node: Node, x: float, y: int, colours: dict[str, str]) -> str:
    colour = _ROLES.get(node.role, "#59636e")
    tip = "\n".join(
        [f"{node.name}: {node.role}, {node.vendor}", *(f"{p.network}: {' '.join(p.addresses)}" for p in node.places), *node.notes]
    )
    dot = f'<circle cx="{x + 20:g}" cy="{y + 60}" r="4.5" fill="{colours[node.domain]}"/>' if node.domain in colours else ""
    lines = [("", node.vendor, 16), ("dim", node.identity, 30 if dot else 16), *(("dim", words, 16) for words in _notes(node))]
    return (
        f'<g><title>{_text(tip)}</title><rect class="box" x="{x:g}" y="{y}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="8"/>'
        f'<path d="M{x + 8:g} {y}a8 8 0 0 0 -8 8v{_BOX_HEIGHT - 16}a8 8 0 0 0 8 8z" fill="{colour}"/>{dot}'
        f'<text class="name" x="{x + 16:g}" y="{y + 23}">{_text(clip(node.name, 14))}</text>'
        f'<text class="role" x="{x + _BOX_WIDTH - 12:g}" y="{y + 22}" style="fill:{colour}">{_text(node.role)}</text>'
        + "".join(
            f'<text class="{kind}" x="{x + left:g}" y="{y + 44 + 20 * number}">{_text(clip(words, 28 - left // 8))}</text>'
            for number, (kind, words, left) in enumerate(line for line in lines if line[1])
        )
        + "</g>"
    )


def _notes(node: Node) -> list[str]:
    """One line each while there is room, and the rest together."""
    room = 1 if node.identity else 2
    return [*node.notes[: room - 1], "; ".join(node.notes[room - 1 :])]


def _panel(picture: Picture, top: int) -> Iterator[str]:
    """The domains below the networks, each with its routes."""
    colours = _colours(picture)
    y = top
    for realm in picture.domains:
        dot = f'<circle cx="{_MARGIN + 8}" cy="{y - 4}" r="5" fill="{colours[realm.name]}"/>'
        yield f'<g>{dot}<text x="{_MARGIN + 22}" y="{y}">{_realm(realm)}</text></g>'
        y += _LINE
        for route in realm.routes:
            words = f'<tspan class="dim">{_text(route.text)}</tspan>'
            yield f'<text x="{_MARGIN + 40}" y="{y}">→ <tspan font-weight="600">{_text(route.to)}</tspan>: {words}</text>'
            y += _LINE


def _realm(realm: Realm) -> str:
    users = f", users: {', '.join(realm.users)}" if realm.users else ""
    rest = _text(f": served by {realm.server}{users}")
    return f'<tspan font-weight="600">{_text(realm.name)}</tspan><tspan class="dim">{rest}</tspan>'
