"""A lab that is up, as people see it, and servers in it that can be told things."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.text import Text

from lab.cli.output import Output
from lab.verdict.model import Status

_STYLES = {Status.PASS: "bold green", Status.FAIL: "bold red"}


def coloured(status: Status, text: str) -> Text:
    """A verdict at a glance."""
    return Text(text, style=_STYLES.get(status, "bold yellow"))


def show_status(output: Output, status: dict[str, Any]) -> None:
    """Picture, accounts, and what can be done next."""
    output.line(f"lab {status['lab']} is up")
    output.line("")
    output.line(status["picture"].rstrip())
    users = [element for element in status["elements"] if element["account"]]
    if users:
        rows = [
            (u["name"], u["account"].removeprefix("sip:"), u["account"].removeprefix("sip:").partition("@")[0], u["password"])
            for u in users
        ]
        output.line("")
        output.table(("element", "address of record", "user name", "password"), rows, "Accounts, for software of your own")
    output.table(("to", "type"), _advice(status, [u["name"] for u in users if u["role"] == "user-agent"]), "What next")


def _advice(status: dict[str, Any], users: list[str]) -> list[tuple[str, str]]:
    names = [element["name"] for element in status["elements"]]
    roles = {element["role"]: element["name"] for element in status["elements"]}
    found = [("let two talk", f"siplab call {users[0]} {users[1]}")] if len(users) > 1 else []
    found += [("read along", f"siplab logs -f {roles.get('proxy', names[0])}"), ("look inside", f"siplab shell {names[-1]}")]
    if "dns" in roles:
        found.append(("make the DNS wrong", "siplab dns fault nxdomain '*'"))
    if "nat" in roles:
        found.append(("see address translations", "siplab nat show"))
    found += [(f"join {net['name']}", net["join"]) for net in status["networks"]]
    return [*found, ("end it", f"siplab down {status['lab']}")]


def parameters(words: tuple[str, ...]) -> dict[str, object]:
    """`key=value` words as members of a request; a value that is JSON (a number, true, a list) is taken as that."""
    found: dict[str, object] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise click.UsageError(f"{word!r} is no parameter: write KEY=VALUE")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found
