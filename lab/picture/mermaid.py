"""The picture as a Mermaid flowchart, for pages that draw those."""

from __future__ import annotations

from lab.picture.model import Node, Picture

_ENTITIES = {ord(char): f"#{ord(char)};" for char in '#&"<>|`\\[]{}()'}
"""Mermaid knows characters by `#` and their number; these would end a label or be taken for markup."""


def as_mermaid(picture: Picture) -> str:
    """Networks as hexagons, elements as boxes, a line for each place of an element."""
    lines = ["---", f"title: {_quoted(f'{picture.name}: {picture.title}')}", "---", "flowchart TB"]
    for bus in picture.networks:
        words = "<br/>".join([f"<b>{_text(bus.label)}</b>", *map(_text, bus.subnets)])
        lines.append(f'  {_id("net", bus.name)}{{{{"{words}"}}}}')
    for node in picture.elements:
        lines.append(f'  {_id("el", node.name)}["{_label(node)}"]')
        lines += [f'  {_id("net", place.network)} ---|"{_text(place.short)}"| {_id("el", node.name)}' for place in node.places]
    for realm in picture.domains:
        lines += [f'  {_id("el", realm.server)} -.->|"{_text(route.text)}"| {_id("el", route.to)}' for route in realm.routes]
    return "\n".join(lines) + "\n"


def _label(node: Node) -> str:
    parts = [f"{node.role} · {node.vendor}", node.identity, *node.notes]
    return "<br/>".join([f"<b>{_text(node.name)}</b>", *(_text(part) for part in parts if part)])


def _id(kind: str, name: str) -> str:
    """Never one of Mermaid's own words, such as `end`."""
    return f"{kind}_{name.replace('-', '_')}"


def _text(text: str) -> str:
    return text.translate(_ENTITIES)


def _quoted(text: str) -> str:
    """For the front matter, which is YAML."""
    return "'" + text.replace("'", "''") + "'"
