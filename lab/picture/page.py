"""The page of all topologies: a section each, with its purpose, its picture and the files of its scenarios."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from lab.picture.model import Picture
from lab.picture.svg import as_svg

PAGE = "docs/reference/topologies.md"
"""Where the page is, relative to the project; the pictures are in `docs/pictures/`."""

_HEAD = """\
# Topologies

Every topology of the project, as `siplab topology show NAME` draws it. Vendors and addresses are examples: a binding chooses other
vendors, and a lab that starts leases its own subnets. `make pictures` writes this page; a test fails where it is not what the files say.
"""


@dataclass(frozen=True)
class Subject:
    """A file of scenarios and the first line of its docstring."""

    file: str
    text: str


def documents(pictures: Sequence[Picture], subjects: Mapping[str, Sequence[Subject]]) -> dict[str, str]:
    """The page and its pictures: path in the project → content. Vendors are shown without flavour, which changes more often."""
    found = {f"docs/pictures/{picture.name}.svg": as_svg(_without_flavours(picture)) for picture in pictures}
    sections = [section for picture in pictures for section in _section(picture, subjects.get(picture.name, ()))]
    return {PAGE: "\n".join([_HEAD, *sections]), **found}


def subjects_of(source: str, file: str) -> dict[str, Subject]:
    """The topologies that a scenario file names in its `lab` markers, each with the file's subject."""
    tree = ast.parse(source)
    subject = Subject(file, (ast.get_docstring(tree) or file).splitlines()[0].rstrip("."))
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    marks = (call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "lab")
    values = (keyword.value for mark in marks for keyword in mark.keywords if keyword.arg == "topology")
    names = (name for value in values for name in (value.elts if isinstance(value, ast.List | ast.Tuple) else [value]))
    return {str(name.value): subject for name in names if isinstance(name, ast.Constant)}


def _without_flavours(picture: Picture) -> Picture:
    return replace(picture, elements=tuple(replace(node, vendor=node.vendor.partition("@")[0]) for node in picture.elements))


def _section(picture: Picture, subjects: Sequence[Subject]) -> Iterator[str]:
    yield f"## {picture.name}"
    yield f"{_markdown(picture.title)} ([file](../../topologies/{picture.name}.yaml))\n"
    yield f"![{picture.name}: networks, elements and domains](../pictures/{picture.name}.svg)\n"
    if not subjects:
        yield "No file in `scenarios/` names it.\n"
        return
    yield "| scenarios | subject |"
    yield "|---|---|"
    for subject in sorted(subjects, key=lambda subject: subject.file):
        yield f"| [{subject.file}](../../scenarios/{subject.file}) | {_markdown(subject.text)} |"
    yield ""


def _markdown(text: str) -> str:
    """What would be markup is shown as it stands."""
    return "".join(f"\\{char}" if char in r"\`*_[]<>|#" else char for char in text)
