"""Commands that start nothing: what there is, what would be."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
from click.shell_completion import get_completion_class

from lab.cli.complete import bindings as bindings_
from lab.cli.complete import topology_names
from lab.cli.output import Output
from lab.conformance.files import COUNTED, LEGEND, SYMBOLS, counted, last, outcomes
from lab.conformance.probes import SUBJECTS
from lab.plan.binding import Binding, pairings, parse_bindings
from lab.plan.build import make_plan
from lab.plan.model import Plan
from lab.plan.show import plan_tables, plan_to_dict
from lab.render.compose import check_dir, left_to_you, render_to_dir
from lab.render.pki import Authority
from lab.schedule import collect
from lab.session.vendors import render_vendors
from lab.spec.capability import CAPABILITIES
from lab.spec.catalog import load_topology, project_root, topologies, topology_reference, vendors
from lab.spec.topology import topology_json_schema
from lab.spec.vendor import Vendor, vendor_json_schema

as_json = click.option("--json", "json_", is_flag=True, help="Machine-readable output.")
topology_argument = click.argument("topology", shell_complete=topology_names)
external = click.option(
    "--vendor", "external", multiple=True, metavar="NAME=IMAGE", help="A vendor from outside: an image, or a folder with a Dockerfile."
)
SECONDS = click.FloatRange(min=0, min_open=True)
seed = click.option("--seed", default=1, show_default=True, help="Seed of every choice in the plan.")


def bind(command: Callable[..., Any]) -> Callable[..., Any]:
    """Bindings of a command, as arguments and as `--bind`: they add up, and reach it as `bind`."""

    @click.argument("bindings", nargs=-1, shell_complete=bindings_)
    @click.option(
        *("--bind", "bind"),
        multiple=True,
        metavar="ELEMENT=VENDOR[@FLAVOUR]",
        shell_complete=bindings_,
        help="Bind an element to a vendor; repeatable. The same as an argument.",
    )
    @wraps(command)
    def bound(*arguments: Any, bindings: tuple[str, ...], bind: tuple[str, ...], **options: Any) -> Any:
        return command(*arguments, bind=(*bind, *bindings), **options)

    return bound


def one_plan(topology: str, bind: tuple[str, ...], seed: int) -> tuple[Plan, Binding, Path]:
    """The plan of exactly one pairing; elements without a vendor in the topology must be bound."""
    root = project_root()
    known = vendors(root)
    loaded = load_topology(topology, root)
    found = pairings(loaded, parse_bindings(bind, loaded, known), known)
    if len(found) != 1:
        raise click.UsageError(f"these bindings make {len(found)} pairings, a plan is of one: bind each element to one vendor")
    return make_plan(loaded, found[0], known, seed=seed), found[0], root


@click.group("topologies", invoke_without_command=True)
@as_json
@click.pass_context
def topologies_(context: click.Context, json_: bool) -> None:
    """List the topologies with what each is for, one line each."""
    if context.invoked_subcommand:
        return
    output: Output = context.obj
    root = project_root()
    loaded = [load_topology(name, root) for name in topologies(root)]
    if json_:
        output.data([{"name": t.name, "title": t.title, "elements": list(t.elements)} for t in loaded])
    else:
        output.table(("topology", "purpose", "elements"), [(t.name, t.title, " ".join(t.elements)) for t in loaded])


@topologies_.command("schema")
@click.option("--vendor", "vendor_", is_flag=True, help="The schema of vendor.yaml instead.")
@click.pass_obj
def schema(output: Output, vendor_: bool) -> None:
    """Print the JSON Schema of the topology language, for editors."""
    output.data(vendor_json_schema() if vendor_ else topology_json_schema())


@click.command("vendors")
@click.option("--capabilities", is_flag=True, help="Every capability of every flavour, as the last check found it.")
@as_json
@click.pass_obj
def vendors_(output: Output, capabilities: bool, json_: bool) -> None:
    """List the vendors with their roles, flavours and capabilities: declared, and as `siplab vendor check` last found them."""
    root = project_root()
    known = vendors(root).values()
    checked = {v.name: _checked(root, v) for v in known}
    if json_:
        output.data([{**v.model_dump(mode="json", by_alias=True), "checked": checked[v.name]} for v in known])
    elif capabilities:
        shown = {f"{v.name}@{flavour}": found for v in known for flavour, found in checked[v.name].items() if found}
        rows = [(name, *(SYMBOLS.get(found.get(name, ""), "") for found in shown.values())) for name in CAPABILITIES]
        output.table(("capability", *shown), [row for row in rows if any(row[1:])])
        output.line(LEGEND)
    else:
        lines = [(f"{v.name}@{key}", v.title, " ".join(v.roles), *counted(found)) for v in known for key, found in checked[v.name].items()]
        output.table(("vendor", "title", "roles", *COUNTED), lines)


def _checked(root: Path, vendor: Vendor) -> dict[str, dict[str, str]]:
    """What the last check of each flavour found, under the flavour's name, and in a further role under `22.gateway`, as it was stored."""
    main, *further = [role for role in vendor.roles if role in SUBJECTS] or vendor.roles[:1]
    keys = {
        (f"{flavour}.{role}" if role in further else flavour): (flavour, role) for role in (main, *further) for flavour in vendor.flavours
    }
    return {
        key: outcomes(last(root / "results", vendor.name, key), sorted(vendor.playing(role).capabilities_of(flavour)))
        for key, (flavour, role) in keys.items()
    }


@click.command("scenarios")
@click.argument("topology", required=False, shell_complete=topology_names)
@as_json
@click.pass_obj
def scenarios(output: Output, topology: str | None, json_: bool) -> None:
    """List the scenarios of a topology (default: of all), with what they need and their negative control."""
    root = project_root()
    names = [topology] if topology else list(topologies(root))
    for name in names:
        load_topology(name, root)  # a mistake in the file is told as such, not as one of the collection
    found = [item for name in names for item in collect(root, topology_reference(name), [])]
    if json_:
        output.data(found)
        return
    if not found:
        output.hint(f"no scenario names {' or '.join(names)} in its lab marker")
        return
    rows = [(i["scenario"], i["title"], "; ".join(f"{e}: {' '.join(c)}" for e, c in i["needs"].items()), i["control"]) for i in found]
    output.table(("scenario", "asserts", "needs", "negative control"), rows)


@click.command("validate")
@click.argument("files", nargs=-1, required=True, shell_complete=topology_names)
@click.pass_obj
def validate(output: Output, files: tuple[str, ...]) -> None:
    """Check topology files (names or paths); the first error ends with exit code 2."""
    root = project_root()
    for name in files:
        loaded = load_topology(name, root)
        output.line(f"{name}: valid ({len(loaded.elements)} elements on {len(loaded.networks)} network(s))")


@click.command("plan")
@topology_argument
@bind
@seed
@as_json
@click.pass_obj
def plan(output: Output, topology: str, bind: tuple[str, ...], seed: int, json_: bool) -> None:
    """Show everything that a lab would be: addresses, names, certificates, DNS."""
    made, _, _ = one_plan(topology, bind, seed)
    if json_:
        output.data(plan_to_dict(made))
        return
    for table in plan_tables(made):
        output.table(table.columns, table.rows, table.title)


@click.command("render")
@topology_argument
@bind
@seed
@click.option("-o", "--output", "folder", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 where the folder is not what would be written.")
@click.pass_obj
def render(output: Output, topology: str, bind: tuple[str, ...], seed: int, folder: Path, check: bool) -> None:
    """Write all configuration files and a compose file, to bring a lab up by hand."""
    made, _, root = one_plan(topology, bind, seed)
    manifests = render_vendors(root, vendors(root))
    if check:
        differences = check_dir(made, manifests, folder)
        for line in differences:
            output.line(line)
        output.hint(f"{folder}: {f'{len(differences)} differences' if differences else 'up to date'}")
        raise click.exceptions.Exit(1 if differences else 0)
    written = render_to_dir(made, manifests, Authority(), folder)
    output.hint(f"{len(written)} files in {folder}; next: docker compose -f {folder}/compose.yaml up -d")
    for line in left_to_you(made):
        output.hint(f"by hand: {line}")


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_obj
def completion(output: Output, shell: str) -> None:
    """Print the completion script of a shell: eval "$(siplab completion bash)"."""
    from lab.cli import siplab

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    output.raw(kind(siplab, {}, "siplab", "_SIPLAB_COMPLETE").source())


COMMANDS = (topologies_, vendors_, scenarios, validate, plan, render, completion)
