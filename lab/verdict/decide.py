"""From what happened to a verdict. Pure, and the only place where a status is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lab.verdict.blame import Hop, trace
from lab.verdict.expectation import Expectation
from lab.verdict.model import Status, Verdict


@dataclass(frozen=True)
class Failure:
    """What a scenario ended with, reduced to plain data by whoever caught it.

    `kind`: `step` a step did not happen, `check` an assertion about the evidence was false, `element` an element broke the contract or
    died, `lab` the lab's own machinery or proof failed, `scenario` the scenario itself is wrong. `trace` is the SIP method that was waited
    for, `sender` the element that was told to send it.
    """

    kind: str
    what: str
    element: str = ""
    step: str = ""
    trace: str = ""
    sender: str = ""
    frame: int = 0


def decide(failure: Failure | None, hops: Sequence[Hop] = ()) -> Verdict:
    """A pass where nothing failed, a fail with blame where an element did, inconclusive where the lab cannot tell."""
    if failure is None:
        return Verdict(Status.PASS)
    reason = one_line(failure.what)
    if failure.kind in ("lab", "scenario"):
        return Verdict(Status.INCONCLUSIVE, reason, "lab", failure.step)
    if failure.kind == "element" or not failure.trace:
        packet = f" [frame {failure.frame}]" if failure.frame else ""
        return Verdict(Status.FAIL, reason + packet, failure.element or "lab", failure.step)
    culprit = trace(hops, failure.trace, failure.sender or failure.element)
    packet = f" [frame {culprit.frame}]" if culprit.frame else ""
    return Verdict(Status.FAIL, f"{reason}: {culprit.why}{packet}", culprit.element, failure.step)


def unsupported(missing: Sequence[tuple[str, str, str]]) -> Verdict:
    """Declared before the run: who lacks what. `missing` holds (element, vendor@flavour, capability)."""
    text = "; ".join(f"{element} ({vendor}) has no {capability}" for element, vendor, capability in missing)
    return Verdict(Status.UNSUPPORTED, text, missing[0][0] if missing else "", "capability join")


def against(verdict: Verdict, expected: Sequence[Expectation]) -> Verdict:
    """Apply the known failures of a cell: one that is described is `xfail`, a pass in spite of all is `xpass`. Everything else stays."""
    if verdict.status is Status.FAIL:
        described = next((entry for entry in expected if entry.describes(verdict)), None)
        if described:
            return replace(verdict, status=Status.XFAIL, reason=f"{verdict.reason} ({one_line(described.explanation)})")
    certain = [entry for entry in expected if not entry.sometimes]
    if verdict.status is Status.PASS and certain:
        return replace(verdict, status=Status.XPASS, reason=f"passes, but is listed as known to fail: {one_line(certain[0].reason)}")
    return verdict


def unproven(verdict: Verdict, why: str) -> Verdict:
    """A verdict once the evidence turns out to be incomplete: what had passed is inconclusive. Everything else stays, as it is no pass."""
    if verdict.status not in (Status.PASS, Status.XPASS):
        return verdict
    return Verdict(Status.INCONCLUSIVE, f"had passed, but {why}", "lab", "capture")


def one_line(text: str, limit: int = 300) -> str:
    """Control characters and line breaks out: reasons go to terminals and XML, and part of them comes from the wire."""
    flat = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


EXIT_CODES = {
    Status.PASS: 0,
    Status.UNSUPPORTED: 0,
    Status.XFAIL: 0,
    Status.XPASS: 1,
    Status.FAIL: 1,
    Status.INCONCLUSIVE: 3,
}


def exit_code(statuses: Sequence[Status]) -> int:
    """0 all as expected, 1 a verdict failed, 3 the lab could not tell, 5 nothing was selected. A failure outranks a lab fault."""
    if not statuses:
        return 5
    codes = {EXIT_CODES[status] for status in statuses}
    return 1 if 1 in codes else max(codes)
