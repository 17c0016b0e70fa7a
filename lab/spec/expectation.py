"""The file of known failures, `scenarios/expectations.yaml`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from lab.spec.loader import read_document
from lab.spec.model import SchemaVersion, SpecModel
from lab.spec.names import Name, Pattern, VendorSelection, problem, quoted
from lab.spec.validation import validated


def _iso_date(text: str) -> str:
    try:
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            raise ValueError(text)
        date.fromisoformat(text)
    except ValueError:
        raise problem(f"{quoted(text)} is not a date", 'write it quoted, as "2027-06-30"') from None
    return text


def _listed(value: object) -> object:
    return (value,) if isinstance(value, (str, dict)) else value


class KnownFailure(SpecModel):
    """Cells that are known to fail: which, how, why, and until when nobody needs to look again.

    `scenario`, `topology` and `binding` are one or several: every scenario under every binding is meant, on every one of the topologies,
    or where none is given, on all. `match`, a pattern in the reason, and `blame` tell one failure, so that another one in the same cell is
    news. `permits` is the RFC section that permits what was seen: such a cell says something about the specification, not against the
    vendor. `sometimes` is for what hangs on a number that an element draws: a pass is no news.
    """

    scenario: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_listed), Field(min_length=1)]
    topology: Annotated[tuple[Name, ...], BeforeValidator(_listed)] = ()
    binding: Annotated[tuple[Mapping[Name, VendorSelection], ...], BeforeValidator(_listed), Field(min_length=1)] = ({},)
    blame: Name | None = None
    match: Pattern
    reason: Annotated[str, Field(min_length=10)]
    permits: Annotated[str, Field(min_length=3)] | None = None
    sometimes: Literal[True] | None = None
    expires: Annotated[str, AfterValidator(_iso_date)]


class ExpectationFile(SpecModel):
    """All known failures."""

    schema_version: SchemaVersion = Field(alias="schema")
    expectations: tuple[KnownFailure, ...] = ()


def load_expectations(path: Path) -> tuple[KnownFailure, ...]:
    """The entries of a file; none where there is no file."""
    if not path.exists():
        return ()
    return validated(read_document(path), ExpectationFile).expectations
