"""Where everything stands: networks one below the other, elements in the rows between them, each in a column of its own.

Row `r` is above network `r`; the last row is below the last network. An element on several networks stands between two of them, and its
line may pass others, so its column is kept free there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

from lab.picture.model import Bus, Node, Picture

_MOST_ORDERED = 7  # networks: 5040 orders to weigh
_USERS = frozenset({"user-agent", "attacker"})


@dataclass(frozen=True)
class Spot:
    """An element's place: its row, its column (fractional in rows that are centred), and the networks that its lines end at."""

    node: Node
    row: int
    column: float
    ends: tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """`buses` from top to bottom, `columns` in all."""

    buses: tuple[Bus, ...]
    columns: int
    spots: tuple[Spot, ...]


def arrange(picture: Picture) -> Layout:
    """Networks in the order that makes the lines shortest, elements centred, users at the edges of a network with servers between them."""
    buses = _ordered(picture)
    index = {bus.name: number for number, bus in enumerate(buses)}
    ends = {node.name: tuple(sorted(index[name] for name in node.networks)) for node in picture.elements}
    rows = _rows(picture.elements, ends, len(buses))
    passing = {
        row: [n for n in picture.elements if len(ends[n.name]) > 1 and ends[n.name][0] < row <= ends[n.name][-1]]
        for row in range(len(buses) + 1)
    }
    places, columns = _columns(rows, passing)
    spots = tuple(Spot(node, row, places[node.name], ends[node.name]) for row, nodes in rows.items() for node in nodes)
    return Layout(buses, columns, spots)


def _ordered(picture: Picture) -> tuple[Bus, ...]:
    if len(picture.networks) > _MOST_ORDERED:
        return picture.networks

    def cost(order: Sequence[Bus]) -> int:
        index = {bus.name: number for number, bus in enumerate(order)}
        spans = [[index[name] for name in node.networks] for node in picture.elements]
        return sum(max(span) - min(span) for span in spans)

    return min(permutations(picture.networks), key=cost)


def _rows(nodes: Iterable[Node], ends: Mapping[str, tuple[int, ...]], buses: int) -> dict[int, list[Node]]:
    """Who stands between networks goes there; of a network's own elements, users go to its outer side and servers to the other."""
    rows: dict[int, list[Node]] = {row: [] for row in range(buses + 1)}
    single = []
    for node in nodes:
        if len(ends[node.name]) > 1:
            rows[ends[node.name][0] + 1].append(node)
        else:
            single.append(node)
    for node in single:
        (bus,) = ends[node.name]
        rows[_side(node, bus, buses, rows)].append(node)
    return {row: sorted(found, key=lambda node: list(ends).index(node.name)) for row, found in rows.items()}


def _side(node: Node, bus: int, buses: int, rows: Mapping[int, Sequence[Node]]) -> int:
    if buses == 1:
        return 1 if node.role in _USERS else 0
    if bus in (0, buses - 1):
        return 0 if bus == 0 else buses
    return bus if len(rows[bus]) <= len(rows[bus + 1]) else bus + 1


def _columns(rows: Mapping[int, Sequence[Node]], passing: Mapping[int, Sequence[Node]]) -> tuple[dict[str, float], int]:
    """Columns from the middle outwards: first who crosses networks, then everybody else in the file's order; and how many there are.

    Rows that a line crosses share a grid, which is centred as a whole; every other row is centred by itself.
    """
    sizes = {row: len(passing[row]) + sum(node not in passing[row] for node in rows[row]) for row in rows}
    columns = max(sizes.values())
    grid = max((size for row, size in sizes.items() if passing[row]), default=0)
    middle, shift = (columns - 1) / 2, (columns - grid) / 2
    outwards = sorted(range(grid), key=lambda column: (abs(column - (grid - 1) / 2), column))
    places: dict[str, float] = {}
    used: dict[int, set[int]] = {row: set() for row in rows}
    for node in dict.fromkeys(node for row in rows for node in passing[row]):
        mine = [row for row in rows if node in passing[row]]
        column = next(column for column in outwards if all(column not in used[row] for row in mine))
        places[node.name] = column + shift
        for row in mine:
            used[row].add(column)
    for row, nodes in rows.items():
        rest = [node for node in nodes if node.name not in places]
        if used[row]:
            free = sorted([column for column in outwards if column not in used[row]][: len(rest)])
            places |= {node.name: column + shift for node, column in zip(rest, free, strict=True)}
        else:
            places |= {node.name: middle + number - (len(rest) - 1) / 2 for number, node in enumerate(rest)}
    return places, columns
