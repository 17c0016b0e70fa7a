"""The labs that are kept up from this checkout, found by their sockets, and what one asks them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import AgentError, LabError, RuntimeFault, SpecError
from lab.live.lines import SOCKET, dial
from lab.spec.names import nearest

FOLDER = "up"
"""Below `results/`: a folder per lab that was ever kept up."""

Say = Callable[[str], None]
"""Told what is going on, a line at a time."""


@dataclass(frozen=True)
class Found:
    """A lab whose owner answers. `status` is what it said of itself."""

    folder: Path
    status: dict[str, Any]

    @property
    def lab(self) -> str:
        """Its id."""
        return str(self.status["lab"])

    @property
    def label(self) -> str:
        """For lists in errors."""
        return f"{self.lab} ({self.status['topology']})"

    def ask(self, operation: str, say: Say = lambda _: None, **params: Any) -> dict[str, Any]:
        """Ask the owner; what it says on the way goes to `say`. Its error is raised here as the same kind of error."""
        return ask(self.folder, operation, say, **params)


def ask(folder: Path, operation: str, say: Say = lambda _: None, **params: Any) -> dict[str, Any]:
    """One operation of the lab in `folder`: OSError where no owner listens, RuntimeFault where it ends without an answer."""
    talk = dial(folder)
    try:
        talk.say(operation=operation, params=params)
        while (heard := talk.hear()) is not None:
            if "result" in heard:
                result: dict[str, Any] = heard["result"]
                return result
            if "error" in heard:
                raise _error(heard)
            say(str(heard.get("line", "")))
    except OSError as error:
        raise RuntimeFault(f"{operation}: the lab's owner went away: {error}") from error
    finally:
        talk.close()
    raise RuntimeFault(f"{operation}: the lab's owner ended without an answer", remedy=f"see {folder}")


def _error(heard: dict[str, Any]) -> LabError:
    what, code = str(heard["error"]), heard.get("exit")
    if code == AgentError.exit_code:
        return AgentError(what, element=str(heard.get("element", "")), code=str(heard.get("code", "fault")))
    return SpecError(what) if code == SpecError.exit_code else RuntimeFault(what)


def running(results: Path) -> list[Found]:
    """Every lab that is up and answers, oldest first. What a dead owner left is passed over."""
    found = []
    for path in sorted((results / FOLDER).glob(f"*/{SOCKET}")):
        with suppress(OSError, LabError):
            found.append(Found(path.parent, ask(path.parent, "status")))
    return found


def pick(results: Path, wanted: str = "") -> Found:
    """The lab that is meant: the only one, or the one whose id or topology `wanted` is (or its id begins with)."""
    labs = running(results)
    if not labs:
        raise SpecError("no lab is up", remedy="start one: siplab up TOPOLOGY")
    matching = [lab for lab in labs if lab.status["topology"] == wanted or lab.lab.startswith(wanted)]
    if len(matching) == 1:
        return matching[0]
    if not matching:
        raise SpecError(f'no lab "{wanted}" is up', remedy=nearest(wanted, [lab.lab for lab in labs]))
    listed = ", ".join(lab.label for lab in matching)
    raise SpecError(f"{len(matching)} labs are up: {listed}", remedy="name one by its id: --lab ID")
