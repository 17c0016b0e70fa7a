"""Per-pair JUnit XML, for the CI systems that read it.

testsuite = pairing, classname = `siplab.<topology>.<left>__<right>`, name = scenario. A vendor's failure is a `<failure>` whose type is
the blamed element, a lab fault an `<error>`, unsupported and known failures are `<skipped>` with their reason. Versions are properties,
never part of a name: a test must keep its identity across versions, or no CI can show its history.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from junit_xml import TestCase, TestSuite, to_xml_report_string

from lab.report.run import Run, write_atomically
from lab.report.text import xml_safe
from lab.verdict.model import Cell, Status


def write_junit(run: Run) -> list[Path]:
    """One file per pairing below `junit/<topology>/`, from what cells.jsonl holds now; also of an interrupted run."""
    groups: dict[str, list[Cell]] = defaultdict(list)
    for cell in run.cells():
        groups[cell.pairing].append(cell)
    about = run.pairings()
    written = []
    for pairing, cells in sorted(groups.items()):
        path = run.folder / "junit" / cells[0].topology / f"{pairing}.xml"
        written.append(write_atomically(path, suite_xml(cells, about.get(pairing, {}), run.id)))
    return written


def suite_xml(cells: Sequence[Cell], about: Mapping[str, Any], run_id: str) -> str:
    """The XML of one pairing. `about` is its pairing.json."""
    first = cells[0]
    properties = {"run": run_id, "topology": first.topology, **{f"binding.{k}": v for k, v in first.binding.items()}}
    for element, version in dict(about.get("versions", {})).items():
        properties[f"version.{element}"] = str(version)
    for element, image in dict(about.get("images", {})).items():
        properties[f"image.{element}"] = str(image)
    suite = TestSuite(
        name=xml_safe(f"{first.topology} {first.pairing}"),
        test_cases=[_case(cell) for cell in cells],
        timestamp=datetime.fromtimestamp(min(a.started for c in cells for a in c.attempts), UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        hostname=xml_safe(str(about.get("host", ""))) or None,
        properties={xml_safe(name): xml_safe(value) for name, value in properties.items()},
    )
    return str(to_xml_report_string([suite], encoding="utf-8"))


def classname(cell: Cell) -> str:
    """`siplab.trapezoid.acme__globex`: vendors without flavours, of the elements that the pairing is named after."""
    parts = cell.pairing.split("--")
    named = [value for element, value in cell.binding.items() if f"{element}-{value.replace('@', '-')}" in parts]
    vendors = "__".join(value.split("@", 1)[0] for value in named or cell.binding.values())
    return f"siplab.{cell.topology}.{vendors}"


class Seconds(float):
    """junit_xml leaves out the time of a case that took none, such as an unsupported one; there are readers that insist on it."""

    def __bool__(self) -> bool:
        return True


def _case(cell: Cell) -> TestCase:
    last = cell.attempts[-1]
    attachments = "\n".join(f"[[ATTACHMENT|{xml_safe(path)}]]" for path in last.evidence)
    case = TestCase(
        name=xml_safe(cell.scenario),
        classname=xml_safe(classname(cell)),
        elapsed_sec=Seconds(round(last.seconds, 3)),
        stdout=attachments or None,
        timestamp=None,
    )
    verdict = cell.verdict
    reason = xml_safe(verdict.reason)
    blame = xml_safe(verdict.blame)
    details = f"{reason}\nblame: {blame or '-'}\nstep: {xml_safe(verdict.step) or '-'}\nattempts: {len(cell.attempts)}"
    if verdict.status in (Status.FAIL, Status.XPASS):
        case.add_failure_info(message=reason, output=details, failure_type=blame or verdict.status.value)
    elif verdict.status is Status.INCONCLUSIVE:
        case.add_error_info(message=reason, output=details, error_type="lab")
    elif verdict.status in (Status.UNSUPPORTED, Status.XFAIL):
        case.add_skipped_info(message=f"{verdict.status.value}: {reason}")
    return case
