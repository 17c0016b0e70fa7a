"""Removal: of one lab at its end, of a lab whose owner died (the watchdog), of what both left behind (the sweep at every start)."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial

from lab.errors import RuntimeFault
from lab.runtime.base import Found, Runtime
from lab.runtime.forwarding import FORWARDING, close_forwarding
from lab.runtime.labels import LAB, MARK, OWNER, Owner
from lab.runtime.parallel import WORKERS, run_each

_ORDER = ("container", "network", "volume")  # a network with endpoints and a volume in use cannot be removed
_ROUND_SECONDS = 60.0


def remove_lab(runtime: Runtime, selector: Mapping[str, str], *, timeout: float = 60.0) -> int:
    """Remove everything with these labels, and again until nothing is found; how many objects. RuntimeFault with what remains."""
    return _remove_until_gone(runtime, selector, timeout=timeout, quiet_checks=1)


def remove_orphan(runtime: Runtime, selector: Mapping[str, str], *, timeout: float = 120.0) -> int:
    """The same for a dead owner: what the engine still creates on its behalf is removed too (nothing found twice, a second apart)."""
    return _remove_until_gone(runtime, selector, timeout=timeout, quiet_checks=2)


def _remove_until_gone(runtime: Runtime, selector: Mapping[str, str], *, timeout: float, quiet_checks: int) -> int:
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    removed: set[str] = set()
    quiet = 0
    while True:
        found = runtime.inventory(selector)
        quiet = 0 if found else quiet + 1
        if quiet >= quiet_checks:
            return len(removed)
        errors = remove_objects(runtime, found)
        removed |= {item.handle for item in found if item.name not in errors}
        if time.monotonic() > deadline:
            left = ", ".join(item.name for item in found) or "nothing seen"
            reason = next(iter(errors.values()), "")
            raise RuntimeFault(f"clean-up did not end within {timeout:g} s; left: {left} {reason}".rstrip(), remedy="run `siplab down`")
        if not found or errors:
            pause.wait(1.0 if not found else 0.2)


def remove_objects(runtime: Runtime, found: Sequence[Found]) -> dict[str, Exception]:
    """Take away what a lab put on the host; remove its containers in parallel, then networks, then volumes. Errors by name."""
    errors = _close_rules(runtime, found)
    found = [item for item in found if item.name not in errors]
    remove = {"container": runtime.remove, "network": runtime.remove_network, "volume": runtime.remove_volume}
    for kind in _ORDER:
        tasks = {item.name: partial(remove[kind], item.handle) for item in found if item.kind == kind}
        if tasks:
            errors |= run_each(tasks, timeout=_ROUND_SECONDS, workers=ending(runtime) if kind == "container" else WORKERS)
    return errors


def ending(runtime: Runtime) -> int:
    """How many containers of a lab may end at a time on this engine."""
    return WORKERS if runtime.info().ends_at_once else 1


def _close_rules(runtime: Runtime, found: Sequence[Found]) -> dict[str, Exception]:
    """Rules on the host go before the helper that can take them away; errors by the helper's name."""
    helpers = [item for item in found if item.kind == "container" and f"siplab.{FORWARDING}" in item.labels]
    return run_each({item.name: partial(close_forwarding, runtime, item.handle, item.labels) for item in helpers}, timeout=_ROUND_SECONDS)


def sweep(runtime: Runtime, *, observer: Owner | None = None) -> tuple[str, ...]:
    """Remove all labs of dead owners; their ids. Labs of other machines, and labels that cannot be read, are left alone."""
    observer = observer or Owner.current()
    found = runtime.inventory({MARK: "1"})
    engine_host = runtime.info().host if found else ""
    dead = sorted({item.labels[LAB] for item in found if item.labels.get(LAB) and _is_dead(item, observer, engine_host)})
    for lab in dead:
        remove_lab(runtime, {MARK: "1", LAB: lab})
    return tuple(dead)


def _is_dead(item: Found, observer: Owner, engine_host: str) -> bool:
    try:
        return Owner.parse(item.labels.get(OWNER, "")).dead(observer, engine_host)
    except ValueError:
        return False


class Watchdog:
    """A process that outlives its owner to remove the owner's lab.

    It holds the reading end of a pipe: however the owner dies, the kernel closes the other end. It runs in its own session, so the
    terminal's Ctrl-C does not reach it, and is a fresh interpreter, since forking a process with threads is not safe.
    """

    def __init__(self, lab: str, *, environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "lab.runtime.watchdog", lab],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=None if environment is None else dict(environment),
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def dismiss(self, timeout: float = 10.0) -> None:
        """The lab is down and cleaned: end without looking. Idempotent."""
        pipe = self._process.stdin
        if pipe is None or pipe.closed:
            return
        try:
            pipe.write(b"done")
            pipe.close()
        except BrokenPipeError:  # it was killed: the next sweep is the safety net
            pass
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
