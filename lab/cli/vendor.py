"""`siplab vendor`: the agent contract, and vendors held against it."""

from __future__ import annotations

import json

import click

from lab.conformance.schema import contract_json_schema


@click.group("vendor")
def vendor() -> None:
    """The agent contract, and vendors held against it."""


@vendor.command("schema")
def schema() -> None:
    """Print the JSON Schema of the agent contract: one line, in either direction."""
    click.echo(json.dumps(contract_json_schema(), indent=2))


COMMANDS = (vendor,)
