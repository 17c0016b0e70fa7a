"""Commands about this machine: the engine and the images."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from lab.cli.complete import vendor_names
from lab.cli.output import Output
from lab.errors import PlanError
from lab.runtime.doctor import is_fit
from lab.runtime.doctor_facts import diagnose
from lab.runtime.engine_start import ensure_engine
from lab.runtime.image_engine import Event
from lab.runtime.image_engine import Progress as Receiver
from lab.runtime.image_source import ImageSource
from lab.runtime.images import ensure_images, list_images
from lab.session.vendors import image_sources
from lab.spec.catalog import project_root, vendors
from lab.spec.names import nearest

COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@contextmanager
def image_progress(output: Output) -> Iterator[Receiver]:
    """Bases and builds as they go: bars on a terminal, a line per state otherwise. Present images are not mentioned."""
    lock = threading.Lock()
    live = output.progress.is_terminal and not output.quiet
    bars = Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=output.progress, transient=True, disable=not live
    )
    tasks = {}

    def receive(event: Event) -> None:
        with lock:
            if event.state == "present":
                return
            if live and event.state in ("queued", "started", "step"):
                text = Text.assemble(f"{event.image}  ", (event.text[:90], "dim"))
                if event.image not in tasks:
                    tasks[event.image] = bars.add_task("", total=None)
                bars.update(tasks[event.image], description=text.markup)
            elif event.state in ("done", "failed") or (not live and event.state == "started"):
                if event.image in tasks:
                    bars.remove_task(tasks.pop(event.image))
                output.hint(f"image {event.image}: {event.state} {event.text}".rstrip())

    with bars:
        yield receive


@click.command("doctor")
@click.option("--fix", is_flag=True, help="Install and start Debian's Docker where no engine answers (root on Debian or Ubuntu).")
@click.option("--json", "json_", is_flag=True, help="Machine-readable output.")
@click.pass_obj
def doctor(output: Output, fix: bool, json_: bool) -> None:
    """Check that this machine can run labs: one line per check, each with its remedy."""
    if fix:
        ensure_engine(output.hint)
    root = project_root()
    lines = diagnose(image_sources(root, vendors(root)))
    if json_:
        output.data([vars(line) for line in lines])
    else:
        for line in lines:
            remedy = f"; {line.remedy}" if line.remedy else ""
            output.line(Text.assemble((f"{line.status:<5}", COLOURS[line.status]), f"{line.name}: {line.detail}{remedy}"))
    raise click.exceptions.Exit(0 if is_fit(lines) else 3)


@click.group("images")
def images() -> None:
    """Build and list the images of vendors and tools."""


@images.command("build")
@click.argument("names", nargs=-1, shell_complete=vendor_names)
@click.option("-j", "--jobs", type=click.IntRange(1), help="Builds at a time (default: one per core).")
@click.pass_obj
def build(output: Output, names: tuple[str, ...], jobs: int | None) -> None:
    """Build what is missing: NAMES (vendor or vendor@flavour), or everything."""
    root = project_root()
    sources = image_sources(root, vendors(root))
    for name in names:
        _check_image(name, sources)
    only = [s.key for s in sources if s.name in names or f"{s.name}@{s.flavour}" in names] if names else None
    with image_progress(output) as progress:
        tags = ensure_images(sources, only=only, state=root / ".siplab", progress=progress, workers=jobs)
    output.hint(f"{len(tags)} images are ready")


def _check_image(name: str, sources: Sequence[ImageSource]) -> None:
    """PlanError where nothing is built under this name: one misspelt of several must not go unbuilt in silence."""
    known = {source.name: [s.flavour for s in sources if s.name == source.name] for source in sources}
    vendor, at, flavour = name.partition("@")
    if vendor not in known:
        raise PlanError(f'no image "{name}"', remedy=nearest(vendor, known))
    if at and flavour not in known[vendor]:
        raise PlanError(f'no image "{name}": {vendor} has no flavour "{flavour}"', remedy=nearest(flavour, known[vendor]))


@images.command("list")
@click.option("--json", "json_", is_flag=True, help="Machine-readable output.")
@click.pass_obj
def list_(output: Output, json_: bool) -> None:
    """List every image with its tag and size; missing ones too."""
    root = project_root()
    found = list_images(image_sources(root, vendors(root)))
    if json_:
        output.data([{"image": s.source.label, "tag": s.tag, "id": s.id, "size": s.size} for s in found])
    else:
        rows = [(s.source.label, s.tag, f"{s.size / 1e6:.0f} MB" if s.is_present else "missing") for s in found]
        output.table(("image", "tag", "size"), rows)


COMMANDS = (doctor, images)
