"""One element while it runs: its log as it grows, whether it is ready, whether it lives."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from lab.errors import AgentError, LabError, RuntimeFault
from lab.plan.model import Element
from lab.runtime.base import ContainerSpec, ContainerState, Runtime
from lab.spec.vendor import Ready, Vendor
from lab.verdict.decide import one_line

READY_WITHIN = 30.0
"""Seconds from start to readiness: vendors need 0.3 to 3 s, the rest is for a loaded machine."""
PROBE_PAUSE = 0.1
TAIL = 6
NAMED = frozenset(int(number) for number in signal.Signals)
LAST_SIGNAL = 64
"""Exit codes beyond 128 plus this are no signal but what a program chose, such as 255."""


LOG_BYTES = 20_000_000
"""What is kept of an element's output, and what it may put out during one scenario."""


class LogTap:
    """Follows a container's output into a file: evidence that is complete up to a crash, readiness by a line, and the news of its end.

    The file is cut off at `limit` bytes so that one vendor cannot fill the disk; what follows is still watched for its end. `on_flood`
    is told when more than that came since `lap`.
    """

    def __init__(
        self, chunks: Callable[[], object], path: Path, *, limit: int = LOG_BYTES, on_flood: Callable[[str], None] = lambda _: None
    ) -> None:
        self._chunks = chunks
        self._path = path
        self._limit = limit
        self._on_flood = on_flood
        self._since = 0
        self._last = b""
        self._changed = threading.Condition()
        self.ended = threading.Event()
        self.broken = ""
        self._thread = threading.Thread(target=self._follow, name=f"log-{path.stem}", daemon=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._thread.start()

    def _follow(self) -> None:
        try:
            self._copy()
        except (RuntimeFault, OSError) as error:
            self.broken = str(error)
            with suppress(OSError), self._path.open("ab") as file:  # the disk may be full: `broken` tells
                file.write(f"\n[siplab: the log broke off: {error}]\n".encode())
        self.ended.set()
        with self._changed:
            self._changed.notify_all()

    def _copy(self) -> None:
        written = 0
        with self._path.open("wb", buffering=0) as file:
            for chunk in self._chunks():  # type: ignore[attr-defined]
                if written < self._limit:
                    file.write(chunk[: self._limit - written])
                    written += len(chunk)
                    if written >= self._limit:
                        file.write(f"\n[siplab: cut off after {self._limit} bytes]\n".encode())
                self._count(len(chunk))
                with self._changed:
                    self._last = (self._last + chunk)[-65536:]
                    self._changed.notify_all()

    def _count(self, size: int) -> None:
        before, self._since = self._since, self._since + size
        if before <= self._limit < self._since:
            self._on_flood(f"flooded its output: more than {self._limit / 1e6:g} MB of log during one scenario")

    def lap(self) -> None:
        """A scenario begins: count from here."""
        self._since = 0

    def wait_for(self, pattern: str, within: float) -> bool:
        """A line matched, now or before the deadline; False too when the output ended."""
        expression = re.compile(pattern, re.MULTILINE)
        deadline = time.monotonic() + within
        with self._changed:
            while not expression.search(self._text()):
                left = deadline - time.monotonic()
                if left <= 0 or self.ended.is_set():
                    return False
                self._changed.wait(left)
        return True

    def tail(self, lines: int = TAIL) -> str:
        """The last lines, for error messages."""
        with self._changed:
            return " | ".join(self._text().strip().splitlines()[-lines:])

    def _text(self) -> str:
        return self._last.decode("utf-8", "replace")

    def join(self, timeout: float) -> None:
        """Wait until the end of the output has been written."""
        self._thread.join(timeout)


def wait_ready(runtime: Runtime, element: Element, handle: str, ready: Ready, log: LogTap, hello: Callable[[], object] | None) -> None:
    """Block until the element can be used; AgentError with its last log lines where it is not within READY_WITHIN.

    An element that cannot start is the vendor's fault: its own cells fail, the lab goes on with others. RuntimeFault where one runs whose
    output the lab has lost.
    """
    try:
        is_ready = _probe(runtime, handle, ready, log, hello)
    except LabError as error:
        raise _not_ready(runtime, element, handle, log, str(error)) from error
    if not is_ready and log.broken and runtime.state(handle).running:
        raise RuntimeFault(f"{element.name} runs, but its output broke off: {log.broken}", remedy="run `siplab doctor`")
    if not is_ready:
        raise _not_ready(runtime, element, handle, log, f"not ready within {READY_WITHIN:g} s")


def _probe(runtime: Runtime, handle: str, ready: Ready, log: LogTap, hello: Callable[[], object] | None) -> bool:
    if ready.agent and hello is not None:
        hello()
        return True
    if ready.log:
        return log.wait_for(ready.log, READY_WITHIN)
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline and not log.ended.is_set():
        if runtime.exec(handle, tuple(ready.exec or ())).exit_code == 0:
            return True
        log.ended.wait(PROBE_PAUSE)
    return False


def _not_ready(runtime: Runtime, element: Element, handle: str, log: LogTap, why: str) -> AgentError:
    log.ended.wait(0.5)
    ended = how_it_ended(runtime.state(handle))
    text = f"{element.name} ({element.vendor}@{element.flavour}): {ended or why}; last log lines: {log.tail() or 'none'}"
    return AgentError(text, element=element.name, code="fault")


def how_it_ended(state: ContainerState) -> str:
    """`died by signal 11 (SIGSEGV)`, `ended with exit code 1`, `was killed: memory limit of 128 MB`, or empty while it runs."""
    if state.running:
        return ""
    if state.oom_killed:
        return f"was killed: memory limit of {state.memory_mb} MB"
    number = (state.exit_code or 0) - 128
    if not 0 < number <= LAST_SIGNAL:
        return f"ended with exit code {state.exit_code or 0}"
    return f"died by signal {number} ({signal.Signals(number).name})" if number in NAMED else f"died by signal {number}"


def version_of(runtime: Runtime, element: Element, handle: str, vendor: Vendor) -> str:
    """What the version command of a manifest prints, its first line; vendor and flavour where there is no command, or it says nothing."""
    if not vendor.version:
        return f"{vendor.name} {element.flavour}"
    result = runtime.exec(handle, tuple(vendor.version))
    text = (result.stdout or result.stderr).decode("utf-8", "replace").strip()
    return one_line(text.splitlines()[0], 120) if text else f"{vendor.name} {element.flavour}"


def strain_on(runtime: Runtime, handle: str, spec: ContainerSpec) -> str:
    """Which limit of its container an element has reached, for the reason of its failure; empty where none, or where it cannot be told."""
    try:
        used = runtime.usage(handle)
    except RuntimeFault:
        return ""
    if used.pids >= spec.pids:
        return f"it is at its limit of {spec.pids} processes"
    if used.memory_mb > 0.95 * spec.memory_mb:
        return f"it is at its limit of {spec.memory_mb} MB of memory"
    return ""
