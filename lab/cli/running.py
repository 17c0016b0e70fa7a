"""Commands that run labs and report on them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from lab.cli.inspect import SECONDS, as_json, bind, external, seed, topology_argument
from lab.cli.machine import image_progress
from lab.cli.output import Output
from lab.cli.progress import RunProgress
from lab.plan.binding import Binding
from lab.plan.control import Stage, stages
from lab.plan.share import share
from lab.report import run as runs
from lab.report.diff import Change, compare
from lab.report.matrix import counts, matrix_json
from lab.report.summary import summary
from lab.report.write import write_reports
from lab.schedule import Job, Schedule, collect
from lab.session.selection import Selected, expectations, external_images, images_for, open_runtime, select
from lab.spec.catalog import project_root
from lab.verdict.decide import exit_code


@dataclass(frozen=True)
class Wanted:
    """The options of `siplab run`."""

    bind: tuple[str, ...]
    external: tuple[str, ...]
    seed: int
    keyword: str
    jobs: int | None
    controls: bool
    timeout: float
    json_: bool

    @property
    def chosen(self) -> list[str]:
        """pytest's selection arguments."""
        return ["-k", self.keyword] if self.keyword else []

    @property
    def parallel(self) -> int:
        """Pairings at a time."""
        return self.jobs or min(2 * (os.cpu_count() or 1), 8)


@click.command("run")
@topology_argument
@bind
@external
@seed
@click.option("-k", "keyword", default="", help="Only scenarios whose name matches, as in pytest.")
@click.option("-j", "--jobs", type=click.IntRange(1), help="Pairings at a time (default: two per core, at most 8).")
@click.option("--controls", is_flag=True, help="Also run every scenario's negative control, on the first pairing that can play it.")
@click.option("--timeout", default=900.0, type=SECONDS, show_default=True, help="Seconds after which a pairing is ended.")
@as_json
@click.pass_obj
def run(output: Output, /, topology: str, **options: Any) -> None:
    """Run every scenario of a topology for every pairing, and print the matrix."""
    wanted = Wanted(**options)
    selected = select(topology, wanted.bind, external=wanted.external)
    found = collect(selected.root, selected.reference, wanted.chosen)
    if not found:
        what = f"matches {wanted.keyword!r}" if wanted.keyword else "is there"
        click.echo(f"siplab: no scenario of {topology} {what}; see `siplab scenarios {topology}`", err=True)
        raise click.exceptions.Exit(5)
    shares = share(found, selected.topology, selected.bindings, selected.vendors)
    control_stages = _control_stages(selected, found) if wanted.controls else []
    expectations(selected.root)  # as all before it: a mistake in a file is told before anything is built or started
    runtime = open_runtime()
    with image_progress(output) as progress:
        images = images_for(replace(selected, bindings=(*selected.bindings, *(stage.binding for stage in control_stages))), progress)
    about = runs.about(
        ["siplab", *sys.argv[1:]],
        topology=selected.topology.name,
        seed=wanted.seed,
        pairings=[binding.id for binding in selected.bindings],
        scenarios={item["scenario"]: Path(item["file"]) for item in found},
        engine=vars(runtime.info()),
    )
    about["external"] = external_images(selected, images)
    made = runs.create(selected.root / "results", about)
    try:
        _execute(output, made, selected, found, wanted, shares, control_stages)
    finally:
        made.update(ended=datetime.now(UTC).isoformat())
        page = write_reports(made)
    _print(output, made, page, wanted.json_)


def _control_stages(selected: Selected, found: list[dict[str, Any]]) -> list[Stage]:
    controls = {str(item["scenario"]): str(item["control"]) for item in found}
    return stages(selected.topology, selected.bindings, selected.chosen, controls, selected.vendors)


def _execute(
    output: Output,
    made: runs.Run,
    selected: Selected,
    found: list[dict[str, Any]],
    wanted: Wanted,
    shares: Mapping[str, list[dict[str, Any]]],
    control_stages: list[Stage],
) -> None:
    """The pairings, then the controls, each stage of them on a pairing of its own."""
    tests = [str(selected.root / "scenarios"), *wanted.chosen]
    jobs = [
        _job(made, selected, binding, wanted, wanted.bind, [*tests, *_left_out(found, mine)], mine)
        for binding in selected.bindings
        if (mine := shares[binding.id])
    ]
    _schedule(output, made, wanted, jobs, controls=False)
    for stage in control_stages:
        played = [item for item in found if item["scenario"] in stage.scenarios]
        tests = ["--controls", *(f"{item['file']}::{item['test']}" for item in played)]
        job = _job(made, selected, stage.binding, wanted, stage.binds, tests, played)
        _schedule(output, made, wanted, [job], controls=True)


def _left_out(found: Sequence[dict[str, Any]], mine: Sequence[dict[str, Any]]) -> list[str]:
    return [word for item in found if item not in mine for word in ("--leave-out", item["scenario"])]


def _schedule(output: Output, made: runs.Run, wanted: Wanted, jobs: list[Job], *, controls: bool) -> None:
    with RunProgress(output, {job.binding.id: len(job.scenarios) for job in jobs}, controls=controls) as progress:
        Schedule(made, jobs, wanted.parallel, wanted.timeout, progress.say, controls).execute()


def _job(
    made: runs.Run,
    selected: Selected,
    binding: Binding,
    wanted: Wanted,
    binds: Sequence[str],
    tests: Sequence[str],
    scenarios: Sequence[dict[str, Any]],
) -> Job:
    varied = tuple(selected.topology.varied) or tuple(binding.selections)
    arguments = [*tests, "--rootdir", str(selected.root), "--topology", selected.reference]
    for text in binds:
        arguments += ["--bind", text]
    for text in wanted.external:
        arguments += ["--vendor", text]
    arguments += ["--pairing", binding.id, "--run-folder", str(made.folder), "--seed", str(wanted.seed)]
    return Job(binding, varied, tuple(arguments), scenarios)


def _print(output: Output, made: runs.Run, page: Path, json_: bool) -> None:
    found = made.cells()
    controls = made.controls()
    with output.read_or_not():
        if json_:
            output.data({**matrix_json(made), "controls": counts(controls), "folder": str(made.folder)})
        else:
            output.show(summary(found) if found else "no cell was judged")
            if controls:
                output.show(summary(controls, title="Negative controls: ✓ went red, as it must, when one element was made wrong"))
            output.line(f"report: {page}")
    raise click.exceptions.Exit(exit_code([cell.verdict.status for cell in [*found, *controls]]))


@click.command("report")
@click.argument("name", default="latest")
@as_json
@click.pass_obj
def report(output: Output, name: str, json_: bool) -> None:
    """Write the reports of a run again from its files (default: the latest), and print its matrix."""
    found = runs.find(project_root() / "results", name)
    _print(output, found, write_reports(found), json_)


@click.command("diff")
@click.argument("runs_", metavar="RUNS", nargs=-1, required=True)
@as_json
@click.pass_obj
def diff(output: Output, runs_: tuple[str, ...], json_: bool) -> None:
    """Show the cells that were not judged alike in RUNS, oldest first; a single one is compared with the latest."""
    results = project_root() / "results"
    found = compare([runs.find(results, name) for name in (runs_ if len(runs_) > 1 else (*runs_, "latest"))])
    with output.read_or_not():
        if json_:
            output.data(found.to_dict())
        else:
            if found.changes:
                output.table(("cell", "pairing", *found.runs, "reason"), [_change_row(change) for change in found.changes])
            told = f"{len(found.changed)} judged differently, {len(found.missing)} missing in a run"
            output.line(f"{found.compared} cells in all runs, {told}")
    raise click.exceptions.Exit(5 if not found.compared else 1 if found.changed else 0)


def _change_row(change: Change) -> list[str]:
    shown = [f"{verdict.status.value} {verdict.blame}".strip() if verdict else "not run" for verdict in change.verdicts]
    return [change.scenario, change.pairing, *shown, change.reason]


COMMANDS = (run, report, diff)
