"""From an exception to plain data that a verdict can be decided on."""

from __future__ import annotations

import ast
import linecache
import traceback

from lab import falsehood
from lab.agents import step
from lab.agents.step import StepFailed
from lab.errors import AgentError, LabError
from lab.evidence.check import Check
from lab.verdict.decide import Failure, one_line


def forget() -> None:
    """Before a scenario: nothing has turned out false yet."""
    step.forget()
    falsehood.forget()


def classify(error: BaseException) -> Failure:
    """Who or what failed, as far as the exception tells.

    An assertion is traced to the outcome or check that turned out false in its own statement; one that is about neither has no element to
    blame, whatever was false before it. What is not one of our own exceptions is a mistake in the scenario, never a vendor's failure.
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
    file, lines = _failing_statement(error)
    candidates = [found for found in falsehood.last() if any(name == file and line in lines for name, line in found.places)]
    what = max(candidates, key=lambda found: found.at).what if candidates else None
    if isinstance(what, step.Outcome):
        text = f"{what.element}: {what.step}: {what.what}"
        return Failure("step", text, what.element, what.step, what.trace, sender=step.sender(what.trace))
    if isinstance(what, Check):
        return Failure("check", what.what, what.blame, "wire", frame=what.frame or 0)
    return Failure("check", text, step="assertion")


def _failing_statement(error: AssertionError) -> tuple[str, range]:
    """File and lines of the statement that raised; no lines where the error was never raised."""
    places = list(traceback.walk_tb(error.__traceback__))
    if not places:
        return "", range(0)
    frame, line = places[-1]
    file = frame.f_code.co_filename
    linecache.checkcache(file)
    try:
        nodes = list(ast.walk(ast.parse("".join(linecache.getlines(file)))))
    except SyntaxError:
        nodes = []
    spans = [range(node.lineno, (node.end_lineno or node.lineno) + 1) for node in nodes if isinstance(node, ast.stmt)]
    return file, min((span for span in spans if line in span), key=len, default=range(line, line + 1))
