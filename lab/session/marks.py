"""What a scenario says of itself: the markers `lab` and `control`, its name and its title."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from lab.errors import SpecError
from lab.spec.catalog import topologies, topology_name
from lab.spec.names import nearest


def _listed(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def topologies_of(item: pytest.Item) -> tuple[str, ...]:
    """The topologies that a scenario runs on: those of the closest marker that names any, which may only choose from those further out."""
    lists = [_listed(mark.kwargs["topology"]) for mark in item.iter_markers("lab") if "topology" in mark.kwargs]
    if not lists or not lists[0]:
        raise pytest.UsageError(f"{item.nodeid}: the lab marker names no topology; name one or several")
    if strange := sorted({name for outer in lists[1:] for name in lists[0] if name not in outer}):
        raise pytest.UsageError(f"{item.nodeid}: the lab marker names {', '.join(strange)}, which the file's marker does not")
    return lists[0]


def check_topologies(items: Iterable[pytest.Item], asked: str | None, root: Path) -> str:
    """The name of the topology that is `asked` for by its name or its file, "" where none is.

    SpecError where that, or one that a scenario names, does not exist: scenarios would be left out without a word.
    """
    name, known = topology_name(asked or ""), topologies(root)
    if not known:
        return name  # scenarios on their own: whoever runs them is told that there is no project
    if asked != name:
        known = (*known, name)  # a file from elsewhere: it is read before a lab is up
    named = [(f"{item.nodeid}: the lab marker names", each) for item in items for each in topologies_of(item)]
    for where, each in [*named, *([("--topology:", name)] if name else [])]:
        if each not in known:
            raise SpecError(f'{where} an unknown topology "{each}"', remedy=nearest(each, known))
    return name


def needs_of(item: pytest.Item) -> dict[str, list[str]]:
    """All capabilities needed, over all lab markers, by element."""
    needs: dict[str, list[str]] = {}
    for mark in item.iter_markers("lab"):
        for element, capabilities in dict(mark.kwargs.get("needs", {})).items():
            known = needs.setdefault(element, [])
            known += [capability for capability in capabilities if capability not in known]
    return needs


def about_of(item: pytest.Item) -> tuple[str, ...]:
    """The elements that a scenario judges, as the marker next to it says; empty: all that a pairing varies."""
    return next((tuple(mark.kwargs["about"]) for mark in item.iter_markers("lab") if "about" in mark.kwargs), ())


def scenario_name(item: pytest.Item) -> str:
    """`test_trapezoid_call[udp+rtp]` → `trapezoid-call[udp+rtp]`: the name in reports."""
    base, bracket, rest = item.name.removeprefix("test_").partition("[")
    return base.replace("_", "-") + bracket + rest


def control_of(item: pytest.Item) -> str:
    """`element how` of the scenario's negative control; nothing where it has none."""
    mark = item.get_closest_marker("control")
    return " ".join(map(str, mark.args)) if mark else ""


def expected_of(item: pytest.Item) -> str:
    """The pattern that the red reason of the control must match."""
    mark = item.get_closest_marker("control")
    return str(mark.kwargs.get("expect", "")) if mark else ""


def title_of(item: pytest.Item) -> str:
    """First line of the scenario's docstring."""
    text = getattr(getattr(item, "function", None), "__doc__", None) or ""
    return text.strip().splitlines()[0] if text.strip() else ""
