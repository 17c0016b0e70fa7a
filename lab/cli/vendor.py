"""`siplab vendor`: the agent contract, and vendors held against it."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from lab.cli.complete import vendor_names
from lab.cli.inspect import as_json, external
from lab.cli.machine import image_progress
from lab.cli.output import Output
from lab.cli.progress import RunProgress
from lab.conformance import cases
from lab.conformance.conclusion import Conclusion, conclude
from lab.conformance.files import COLUMNS, junit, store, table
from lab.conformance.new import ROLES, write_vendor
from lab.conformance.probes import PEER, TOPOLOGY, UNDER_TEST, choose_peer, wanted
from lab.conformance.schema import contract_json_schema
from lab.report import run as runs
from lab.report.write import write_reports
from lab.schedule import Job, Schedule, collect
from lab.session.external import name_of
from lab.session.selection import Selected, external_images, images_for, open_runtime, select
from lab.spec.catalog import project_root, vendors


@click.group("vendor")
def vendor() -> None:
    """The agent contract, and vendors held against it."""


@vendor.command("schema")
def schema() -> None:
    """Print the JSON Schema of the agent contract: one line, in either direction."""
    click.echo(json.dumps(contract_json_schema(), indent=2))


@vendor.command("new")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default=ROLES[0], show_default=True, help="What it is to play.")
@click.pass_obj
def new(output: Output, name: str, role: str) -> None:
    """Write images/NAME: a vendor that builds, and fails its check with a list of what there is to do."""
    for path in write_vendor(project_root(), name, role):
        output.line(str(path))
    output.hint(f"next: siplab vendor check {name}" if role == ROLES[0] else f"next: siplab images build {name}")


@vendor.command("check")
@click.argument("name", metavar="VENDOR", shell_complete=vendor_names)
@external
@click.option(
    "--against",
    default="",
    metavar="VENDOR[@FLAVOUR]",
    shell_complete=vendor_names,
    help="The other side (default: the user agent that declares the most).",
)
@click.option("--timeout", default=600.0, show_default=True, help="Seconds after which the check is ended.")
@click.option("--junit", "junit_", type=click.Path(dir_okay=False, path_type=Path), help="Write JUnit XML to this file.")
@as_json
@click.pass_obj
def check(output: Output, name: str, external: tuple[str, ...], against: str, timeout: float, junit_: Path | None, json_: bool) -> None:
    """Hold a vendor against the agent contract, and probe every capability on a real lab, declared or not.

    VENDOR is VENDOR[@FLAVOUR], an image, or a folder with a Dockerfile.
    """
    name, external = _as_vendor(name, external)
    selected = _selected(name, external, against)
    found = [item for item in collect(selected.root, TOPOLOGY, [cases.__path__[0]]) if item["scenario"] in wanted()]
    runtime = open_runtime()
    with image_progress(output) as progress:
        images = images_for(selected, progress)
    about = runs.about(
        ["siplab", *sys.argv[1:]],
        topology=TOPOLOGY,
        seed=1,
        pairings=[selected.bindings[0].id],
        scenarios={item["scenario"]: Path(item["file"]) for item in found},
        engine=vars(runtime.info()),
    )
    about["external"] = external_images(selected, images)
    made = runs.create(selected.root / "results", about)
    try:
        _execute(output, made, selected, found, timeout, external)
    finally:
        made.update(ended=datetime.now(UTC).isoformat())
        page = write_reports(made)
    conclusion = _conclude(made, selected)
    store(selected.root / "results", conclusion)
    if junit_:
        runs.write_atomically(junit_, junit(conclusion))
    _print(output, conclusion, page, json_)


def _selected(name: str, external: tuple[str, ...], against: str) -> Selected:
    peer = choose_peer(name.partition("@")[0], vendors(project_root()), against)
    return select(TOPOLOGY, [f"{UNDER_TEST}={name}", f"{PEER}={peer}"], external=external)


def _as_vendor(name: str, external: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """An image or a folder in place of a vendor's name is a vendor from outside, named after it."""
    if not (set("/:") & set(name)):
        return name, external
    return name_of(name), (*external, f"{name_of(name)}={name}")


def _execute(
    output: Output, made: runs.Run, selected: Selected, found: list[dict[str, Any]], timeout: float, external: tuple[str, ...]
) -> None:
    (binding,) = selected.bindings
    arguments = [f"{item['file']}::{item['test']}" for item in found]
    arguments += ["--rootdir", str(selected.root), "--topology", TOPOLOGY, "--assume", UNDER_TEST, "--run-folder", str(made.folder)]
    for element in (UNDER_TEST, PEER):
        arguments += ["--bind", f"{element}={binding.selections[element]}"]
    for text in external:
        arguments += ["--vendor", text]
    job = Job(binding, (UNDER_TEST, PEER), tuple(arguments))
    with RunProgress(output, [binding.id], len(found)) as progress:
        Schedule(made, TOPOLOGY, found, [job], 1, timeout, progress.say).execute()


def _conclude(made: runs.Run, selected: Selected) -> Conclusion:
    (binding,) = selected.bindings
    chosen, peer = binding.selections[UNDER_TEST], binding.selections[PEER]
    pairing = made.pairings().get(binding.id, {})
    about = {
        "vendor": chosen.vendor,
        "flavour": chosen.flavour,
        "version": str(pairing.get("versions", {}).get(UNDER_TEST, "")),
        "image": str(pairing.get("images", {}).get(UNDER_TEST, "")),
        "against": str(peer),
        "run": made.id,
        "checked": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return conclude(made.cells(), selected.vendors[chosen.vendor].capabilities_of(chosen.flavour), about)


def _print(output: Output, conclusion: Conclusion, page: Path, json_: bool) -> None:
    if json_:
        output.data(conclusion.to_dict())
    else:
        verdict = {0: "conforms", 1: "does not conform", 3: "could not be checked: the lab failed"}[conclusion.exit_code]
        output.table(COLUMNS, table(conclusion), f"{conclusion.vendor}@{conclusion.flavour} against {conclusion.against}: {verdict}")
        output.line(f"report: {page}")
    raise click.exceptions.Exit(conclusion.exit_code)


COMMANDS = (vendor,)
