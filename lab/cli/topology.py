"""`siplab topology` and the page of all topologies: what a topology looks like."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from lab.cli.inspect import as_json, bind, one_plan, topologies_, topology_argument
from lab.cli.output import Output
from lab.picture.mermaid import as_mermaid
from lab.picture.model import Picture, picture
from lab.picture.page import Subject, documents, subjects_of
from lab.picture.svg import as_svg
from lab.picture.text import as_text
from lab.report.run import write_atomically
from lab.spec.catalog import load_topology, project_root, topologies

file_option = click.Path(dir_okay=False, path_type=Path)


@click.group("topology")
def topology() -> None:
    """Look at one topology."""


@topology.command("show")
@topology_argument
@bind
@click.option("--svg", type=file_option, metavar="FILE", help="Write the picture as SVG to this file.")
@click.option("--mermaid", type=file_option, metavar="FILE", help="Write it as a Mermaid flowchart to this file.")
@as_json
@click.pass_obj
def show(output: Output, topology: str, bind: tuple[str, ...], svg: Path | None, mermaid: Path | None, json_: bool) -> None:
    """Print the picture of a topology: networks, elements with role, vendor and addresses, domains and routes."""
    drawn = draw(topology, bind)
    for file, text in ((svg, as_svg(drawn)), (mermaid, as_mermaid(drawn))):
        if file:
            write_atomically(file, text)
            output.hint(f"written: {file}")
    if json_:
        output.data(asdict(drawn))
    elif not (svg or mermaid):
        output.line(as_text(drawn).rstrip())


def draw(topology: str, bind: tuple[str, ...] = ()) -> Picture:
    """The picture of a topology with these bindings."""
    made, _, root = one_plan(topology, bind, seed=1)
    return picture(load_topology(topology, root), made)


@topologies_.command("document")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 where the page or a picture is not what would be written.")
@click.pass_obj
def document(output: Output, check: bool) -> None:
    """Write docs/reference/topologies.md and docs/pictures/: a section and a picture for every topology."""
    root = project_root()
    wanted = wanted_documents(root)
    there = {f"docs/pictures/{path.name}": path for path in (root / "docs" / "pictures").glob("*.svg")}
    stale = [path for path, text in wanted.items() if not (root / path).is_file() or (root / path).read_text("utf-8") != text]
    superfluous = sorted(there.keys() - wanted.keys())
    if check:
        for path in (*stale, *superfluous):
            output.line(f"{'superfluous' if path in superfluous else 'not up to date'}: {path}; run `make pictures`")
        raise click.exceptions.Exit(1 if stale or superfluous else 0)
    for path in stale:
        write_atomically(root / path, wanted[path])
        output.hint(f"written: {path}")
    for path in superfluous:
        there[path].unlink()
        output.hint(f"removed: {path}")


def wanted_documents(root: Path) -> dict[str, str]:
    """The page and the pictures as they should be: path in the project → content."""
    subjects: dict[str, list[Subject]] = {}
    for path in sorted((root / "scenarios").glob("test_*.py")):
        for name, subject in subjects_of(path.read_text("utf-8"), path.name).items():
            subjects.setdefault(name, []).append(subject)
    return documents([draw(name) for name in topologies(root)], subjects)


COMMANDS = (topology,)
