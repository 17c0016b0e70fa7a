"""What a check leaves behind: JUnit for CI systems, and the last conclusion about each flavour of each vendor."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from junit_xml import TestCase, TestSuite, to_xml_report_string

from lab.conformance.conclusion import Conclusion, Outcome, Row
from lab.errors import EvidenceError, Where
from lab.report.junit import Seconds
from lab.report.run import write_atomically
from lab.report.text import xml_safe

COLUMNS = ("check", "declared", "outcome", "why")
COUNTED = ("declared", "proven", "refuted", "works but undeclared")
"""Columns of `siplab vendors`."""
SYMBOLS = {Outcome.PROVEN.value: "✓", Outcome.REFUTED.value: "✗", "declared": "?", Outcome.UNDECLARED.value: "+"}
LEGEND = "✓ proven  ✗ refuted  ? declared, and not proven by the last check  + works but undeclared"
"""For a table that has a column per flavour."""
FOLDER = "checks"


def table(conclusion: Conclusion) -> list[tuple[str, str, str, str]]:
    """Rows to print. What is neither declared nor works, or has no probe and is not declared, is left out; a reason is told once."""
    shown = [row for row in conclusion.rows if _interesting(row)]
    before = ["", *(row.reason for row in shown)]
    reasons = ["as above" if row.reason and row.reason == last else row.reason for row, last in zip(shown, before, strict=False)]
    return [(row.name, _declared(row), row.outcome.value, reason) for row, reason in zip(shown, reasons, strict=True)]


def _interesting(row: Row) -> bool:
    return row.declared or row.outcome is Outcome.UNDECLARED or (row.outcome is Outcome.ABSENT)


def _declared(row: Row) -> str:
    return "contract" if row.kind == "contract" else "yes" if row.declared else "no"


def junit(conclusion: Conclusion) -> str:
    """A test case per row, as long as its probes took: one that several rows share counts for each.

    Refuted is a failure; a contract's check that could not be made an error; what was not probed is skipped.
    """
    cases = [_case(conclusion, row) for row in conclusion.rows]
    properties = {"version": conclusion.version, "image": conclusion.image, "against": conclusion.against, "run": conclusion.run}
    name = f"{conclusion.vendor}@{conclusion.flavour}"
    suite = TestSuite(xml_safe(name), cases, properties={key: xml_safe(value) for key, value in properties.items()})
    return str(to_xml_report_string([suite]))


def _case(conclusion: Conclusion, row: Row) -> TestCase:
    case = TestCase(xml_safe(row.name), classname=f"siplab.check.{conclusion.vendor}.{row.kind}", elapsed_sec=Seconds(row.seconds))
    reason = xml_safe(row.reason or row.outcome.value)
    if row.outcome is Outcome.REFUTED:
        case.add_failure_info(message=reason, failure_type=row.kind)
    elif row.outcome is Outcome.UNPROBED and row.kind == "contract":
        case.add_error_info(message=reason)
    elif row.outcome in (Outcome.UNPROBED, Outcome.ABSENT):
        case.add_skipped_info(message=reason)
    return case


def store(results: Path, conclusion: Conclusion, further_role: str = "") -> Path:
    """Keep it as the last one: results/checks/<vendor>@<flavour>.json, for a further role of the vendor with that in the name."""
    path = results / FOLDER / f"{conclusion.vendor}@{conclusion.flavour}{further_role and f'.{further_role}'}.json"
    return write_atomically(path, json.dumps(conclusion.to_dict(), indent=2) + "\n")


def last(results: Path, vendor: str, flavour: str) -> dict[str, Any] | None:
    """The last conclusion, as it was stored, or None where it was never checked."""
    path = results / FOLDER / f"{vendor}@{flavour}.json"
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise EvidenceError(f"not a conclusion: {error}", where=Where(str(path)), remedy="remove it and check again") from error
    if not isinstance(found, dict) or "rows" not in found:
        raise EvidenceError("not a conclusion", where=Where(str(path)), remedy="remove it and check again")
    return found


def outcomes(conclusion: dict[str, Any] | None, declared: Sequence[str]) -> dict[str, str]:
    """Capability -> its outcome at the last check; what was declared since then is merely that."""
    known = {str(row["name"]): str(row["outcome"]) for row in (conclusion or {}).get("rows", []) if row["kind"] == "capability"}
    shown = {name: "declared" if known.get(name) in (None, Outcome.UNPROBED, Outcome.ABSENT) else known[name] for name in declared}
    return shown | {name: outcome for name, outcome in known.items() if outcome == Outcome.UNDECLARED and name not in shown}


def counted(found: dict[str, str]) -> tuple[str, str, str, str]:
    """What is told of a flavour in one line: numbers, and names where something is to be done."""
    by = {outcome: [name for name, value in found.items() if value == outcome] for outcome in set(found.values())}
    undeclared = by.get(Outcome.UNDECLARED, [])
    numbers = (len(found) - len(undeclared), len(by.get(Outcome.PROVEN, [])))
    return str(numbers[0]), str(numbers[1] or ""), " ".join(by.get(Outcome.REFUTED, [])), " ".join(undeclared)
