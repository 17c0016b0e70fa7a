"""`siplab vendor`: the agent contract, and vendors held against it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click

from lab.cli.complete import checked_roles, role_names, vendor_names
from lab.cli.inspect import SECONDS, as_json, external
from lab.cli.machine import image_progress
from lab.cli.output import Output
from lab.cli.progress import RunProgress
from lab.conformance.check import Check, Limits
from lab.conformance.conclusion import Conclusion
from lab.conformance.files import COLUMNS, junit, store, table
from lab.conformance.new import STARTED, write_vendor
from lab.conformance.schema import contract_json_schema
from lab.report.run import write_atomically
from lab.schedule import Say
from lab.session.selection import expectations, open_runtime
from lab.spec.catalog import project_root


@click.group("vendor")
def vendor() -> None:
    """The agent contract, and vendors held against it."""


@vendor.command("schema")
@click.pass_obj
def schema(output: Output) -> None:
    """Print the JSON Schema of the agent contract: one line, in either direction."""
    output.data(contract_json_schema())


@vendor.command("new")
@click.argument("name")
@click.option(
    "--role", default=STARTED[0], show_default=True, shell_complete=role_names, help=f"What it is to play: {' or '.join(STARTED)}."
)
@click.pass_obj
def new(output: Output, name: str, role: str) -> None:
    """Write images/NAME: a vendor that builds, and fails its check with a list of what there is to do."""
    for path in write_vendor(project_root(), name, role):
        output.line(str(path))
    output.hint(f"next: siplab vendor check {name}")


@vendor.command("check")
@click.argument("name", metavar="VENDOR", shell_complete=vendor_names)
@external
@click.option(
    "--against",
    default="",
    metavar="VENDOR[@FLAVOUR]",
    shell_complete=vendor_names,
    help="The other side (default: whoever declares what each probe takes).",
)
@click.option("--role", default="", shell_complete=checked_roles, help="Which of its roles (default: the first that can be checked).")
@click.option("-k", "lines", multiple=True, metavar="TEXT", help="Only the lines with this in their name; repeatable. Not stored.")
@click.option("-j", "--jobs", default=2, type=click.IntRange(1), show_default=True, help="Labs at a time.")
@click.option("--timeout", default=600.0, type=SECONDS, show_default=True, help="Seconds after which a lab is ended.")
@click.option("--junit", "junit_", type=click.Path(dir_okay=False, path_type=Path), help="Write JUnit XML to this file.")
@as_json
@click.pass_obj
def check(  # noqa: PLR0913, PLR0917  one per option
    output: Output,
    name: str,
    external: tuple[str, ...],
    against: str,
    role: str,
    lines: tuple[str, ...],
    jobs: int,
    timeout: float,
    junit_: Path | None,
    json_: bool,
) -> None:
    """Hold a user agent against the agent contract, or a server against what its role demands, and probe every capability, declared or not.

    VENDOR is VENDOR[@FLAVOUR], an image, or a folder with a Dockerfile.
    """
    checked = Check(name, external, against, role, lines)
    expectations(checked.selected.root)  # a mistake in the file is told before anything is built or started
    runtime = open_runtime()
    with image_progress(output) as progress:
        checked.images(progress)
    made = checked.run(runtime, Limits(jobs, timeout), partial(_progress, output))
    conclusion = checked.conclude(made)
    if not checked.partial:
        store(checked.selected.root / "results", conclusion, checked.further_role)
    if junit_:
        write_atomically(junit_, junit(conclusion))
    _print(output, conclusion, made.folder / "index.html", json_, checked.partial)


@contextmanager
def _progress(output: Output, cells: Mapping[str, int]) -> Iterator[Say]:
    with RunProgress(output, cells) as progress:
        yield progress.say


def _print(output: Output, conclusion: Conclusion, page: Path, json_: bool, partial_: bool) -> None:
    with output.read_or_not():
        if json_:
            output.data(conclusion.to_dict())
        else:
            good = "conforms in these lines" if partial_ else "conforms"
            verdict = {0: good, 1: "does not conform", 3: "could not be checked: the lab failed"}[conclusion.exit_code]
            title = f"{conclusion.vendor}@{conclusion.flavour} against {conclusion.against}: {verdict}"
            output.table(COLUMNS, table(conclusion), title)
            output.line(f"report: {page}")
    raise click.exceptions.Exit(conclusion.exit_code)


COMMANDS = (vendor,)
