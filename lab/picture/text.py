"""The picture for a terminal: each network with what hangs on it, then the domains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lab.picture.model import Bus, Node, Picture, Realm

_WIDTH = 78


def as_text(picture: Picture) -> str:
    """Networks as buses, elements below each that they are on, domains with their routes."""
    lines = [f"{picture.name}: {picture.title}", ""]
    for bus in picture.networks:
        lines += [*_bus(picture, bus), ""]
    if picture.domains:
        lines += ["Domains", *_domains(picture.domains), ""]
    return "\n".join(lines)


def _bus(picture: Picture, bus: Bus) -> Iterator[str]:
    head = f"══ {' ══ '.join([bus.label, *bus.subnets])} "
    yield head + "═" * max(2, _WIDTH - len(head))
    nodes = [node for node in picture.elements if bus.name in node.networks]
    rows = [_row(node, bus.name) for node in nodes]
    for index, cells in enumerate(_aligned(rows)):
        yield f" {'└' if index == len(rows) - 1 else '├'}─ {cells}"


def _row(node: Node, network: str) -> tuple[str, ...]:
    place = next(place for place in node.places if place.network == network)
    others = [name for name in node.networks if name != network]
    more = [node.identity, *node.notes]
    if others:
        more.append(f"{'leads to' if node.role == 'nat' else 'also on'} {', '.join(others)}")
    return node.name, node.role, node.vendor, *place.addresses, "; ".join(text for text in more if text)


def _domains(domains: Sequence[Realm]) -> Iterator[str]:
    rows = [(realm.name, f"served by {realm.server}", f"users: {', '.join(realm.users) or 'none'}") for realm in domains]
    for realm, line in zip(domains, _aligned(rows), strict=True):
        yield f"  {line}"
        for route in realm.routes:
            yield f"      → {route.to}: {route.text}"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
