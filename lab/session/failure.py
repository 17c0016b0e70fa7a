"""From an exception to plain data that a verdict can be decided on."""

from __future__ import annotations

from lab.agents import step
from lab.agents.step import StepFailed
from lab.errors import AgentError, LabError
from lab.evidence import check
from lab.verdict.decide import Failure, one_line


def forget() -> None:
    """Before a scenario: nothing has turned out false yet."""
    step.forget()
    check.forget()


def classify(error: BaseException) -> Failure:
    """Who or what failed, as far as the exception tells.

    An assertion is traced to the outcome or check that last turned out false; one that is about neither has no element to blame. What
    is not one of our own exceptions is a mistake in the scenario, never a vendor's failure.
    """
    if isinstance(error, StepFailed):
        return Failure("step", error.what, error.element, error.step, error.trace, sender=step.sender(error.trace))
    if isinstance(error, AgentError):
        text = f"declared, but: {error}" if error.code == "unsupported" else str(error)
        return Failure("element", text, error.element, "agent")
    if isinstance(error, LabError):
        return Failure("lab", str(error), step=type(error).__name__)
    if isinstance(error, AssertionError):
        return _assertion(error)
    return Failure("scenario", f"error in the scenario: {type(error).__name__}: {one_line(str(error))}", step="scenario")


def _assertion(error: AssertionError) -> Failure:
    text = one_line(str(error).splitlines()[0] if str(error) else "assertion failed")
    candidates = [found for found in (step.last_failed(), check.last_failed()) if found is not None]
    if not candidates:
        return Failure("check", text, step="assertion")
    _, what = max(candidates, key=lambda pair: pair[0])
    if isinstance(what, step.Outcome):
        text = f"{what.element}: {what.step}: {what.what}"
        return Failure("step", text, what.element, what.step, what.trace, sender=step.sender(what.trace))
    return Failure("check", what.what, what.blame, "wire", frame=what.frame or 0)
