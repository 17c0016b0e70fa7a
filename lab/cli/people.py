"""A lab that is up, as people see it, and servers in it that can be told things."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.text import Text

from lab.cli.output import Output
from lab.picture.model import clean
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
    roles = {element["role"]: element["name"] for element in reversed(status["elements"])}
    found = [("let two talk", f"siplab call {users[0]} {users[1]}")] if len(users) > 1 else []
    found += [("read along", f"siplab logs -f {roles.get('proxy', names[0])}"), ("look inside", f"siplab shell {names[-1]}")]
    if "dns" in roles:
        found.append(("make the DNS wrong", "siplab dns fault nxdomain '*'"))
    if "nat" in roles:
        found.append(("see address translations", "siplab nat show"))
    found += [(f"join {net['name']}", net["join"]) for net in status["networks"]]
    return [*found, ("end it", f"siplab down {status['lab']}")]


def show_told(output: Output, name: str, value: object) -> None:
    """What a server said of itself, whatever its shape: members in a line, lists of objects as tables, text as it stands."""
    members = value if isinstance(value, dict) else {"": value}
    tables = {key: rows for key, rows in members.items() if isinstance(rows, list) and all(isinstance(row, dict) for row in rows)}
    words = [f"{key} {_cell(key, item)}".strip() for key, item in members.items() if key not in tables]
    output.line(f"{name}: {', '.join(words)}".rstrip(": "))
    for key, rows in tables.items():
        if rows:
            show_rows(output, rows, key)
        else:
            output.line(f"no {key or 'entry'}")


def show_rows(output: Output, rows: Sequence[Mapping[str, object]], title: str = "") -> None:
    """Objects as a table: their members are the columns."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    output.table(columns, [[_cell(key, row.get(key)) for key in columns] for row in rows], title)


def _cell(key: str, value: object) -> str:
    if key == "t" and isinstance(value, int | float):
        return time.strftime("%H:%M:%S", time.localtime(value)) + f".{int(value % 1 * 1000):03d}"
    if value is None or isinstance(value, bool):
        return {None: "", True: "yes", False: "no"}[value]
    return clean(" ".join(map(str, value)) if isinstance(value, list) else str(value))


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
