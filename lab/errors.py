"""Every error that siplab raises on purpose.

    LabError
    ├── SpecError      a file or an argument is wrong         (exit 2)
    ├── PlanError      right files, impossible combination    (exit 2)
    ├── ImageError     an image cannot be had or built        (exit 3)
    ├── RuntimeFault   the engine or the lab failed           (exit 3)
    ├── EvidenceError  proof is missing or unreadable         (exit 3)
    └── AgentError     an element answered with an error or not at all

One line each: what, where, which value, what to do. `str(error)` is that line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Where:
    """A place in a file a person can open: 1-based line and column, 0 where unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        parts = [self.file]
        if self.line:
            parts.append(str(self.line))
            if self.column:
                parts.append(str(self.column))
        return ":".join(parts)


class LabError(Exception):
    """Root of the tree. `exit_code` is what the command line ends with."""

    exit_code = 3

    def __init__(self, what: str, *, where: Where | None = None, remedy: str = "") -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        super().__init__(what)

    def __str__(self) -> str:
        line = f"{self.where}: {self.what}" if self.where else self.what
        return _one_line(f"{line}; {self.remedy}" if self.remedy else line)


def _one_line(text: str) -> str:
    """Values in an error come from files and peers: control characters are shown escaped, so that one error stays one line."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


class SpecError(LabError):
    """A topology, manifest or argument that cannot be read as what it should be.

    A file can be wrong in several places: the error is the first of them, and `errors` holds all, itself first.
    """

    exit_code = 2

    def __init__(self, what: str, *, where: Where | None = None, remedy: str = "", others: Sequence[SpecError] = ()) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.others = tuple(others)

    @property
    def errors(self) -> tuple[SpecError, ...]:
        """All that is wrong in the file, in the file's order, this error first."""
        return (self, *self.others)


class PlanError(LabError):
    """Valid files that cannot be combined (unknown vendor in a binding, no address left)."""

    exit_code = 2


class ImageError(LabError):
    """A base image cannot be had, or a build failed. The remedy names the build's log."""


class RuntimeFault(LabError):
    """The engine, a network, a container or the helper failed: the lab's fault, never a vendor's."""


class EvidenceError(LabError):
    """A capture, recording or log that a verdict needs is missing, empty or unreadable."""


class AgentError(LabError):
    """An element's agent answered `error`, broke the contract or died.

    `element` is whose fault it is, `code` one of the contract's error codes (docs/reference/agent-contract.md).
    """

    exit_code = 1

    def __init__(self, what: str, *, element: str, code: str = "fault", remedy: str = "") -> None:
        super().__init__(what, remedy=remedy)
        self.element = element
        self.code = code
