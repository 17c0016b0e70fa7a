"""Gets a container engine going on a machine that has none: Debian's docker.io, dockerd in a session of its own.

Only where nothing answers, nobody named another engine, and we are root on Debian or Ubuntu. An engine that answers is never touched.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from lab.errors import RuntimeFault
from lab.runtime import apt
from lab.runtime.apt import Say
from lab.runtime.docker_endpoint import LOCAL_SOCKET, EngineAddress
from lab.runtime.engine import Contact, find_engine, no_engine, reach
from lab.runtime.machine import Machine

DAEMON_LOG = Path("/var/log/siplab-dockerd.log")
_READY_SECONDS = 60.0
_TICK_SECONDS = 0.1
_PID_FILES = (
    (Path("/var/run/docker.pid"), "dockerd"),
    (Path("/var/run/docker/containerd/containerd.pid"), "containerd"),
)


def ensure_engine(say: Say, machine: Machine | None = None, find: Callable[[], Contact] = find_engine) -> Contact:
    """The engine that answers, started where that is ours to do. RuntimeFault with one clear message otherwise."""
    machine = machine or Machine()
    contact = find()
    if contact.answers:
        return contact
    refuse(contact, machine)
    if machine.which("dockerd") is None:
        apt.install(machine, ["docker.io", "iptables", "ca-certificates"], say)
        contact = find()  # the package's own service may have come up
        if contact.answers:
            return contact
    if machine.has_systemd():
        return _start_service(machine, say, find)
    return _start_daemon(machine, say)


def refuse(contact: Contact, machine: Machine) -> None:
    """Raise where starting an engine is not ours to do."""
    if contact.named or contact.reach in ("denied", "silent"):
        raise no_engine(contact)
    if machine.platform != "linux":
        raise RuntimeFault("no container engine answers", remedy="start Docker Desktop (or another Docker-compatible engine) and try again")
    if not machine.is_debian_like():
        system = machine.os_release().get("PRETTY_NAME", "this system")
        raise RuntimeFault(
            f"no container engine answers, and siplab can install one on Debian and Ubuntu only, not on {system}",
            remedy="install Docker 20.10 or newer with this system's own tools and start it",
        )
    if not machine.is_root:
        raise RuntimeFault(
            "no container engine answers, and installing or starting one needs root",
            remedy="run `sudo siplab doctor --fix` once, or start your rootless engine and set DOCKER_HOST",
        )


def _start_service(machine: Machine, say: Say, find: Callable[[], Contact]) -> Contact:
    say("systemctl start docker (its log: journalctl -u docker)")
    done = machine.run(["systemctl", "start", "docker"], timeout=90)
    contact = find()
    if done.code or not contact.answers:
        raise RuntimeFault(f"systemctl start docker: {done.last_line()}", remedy="read `journalctl -u docker`")
    return contact


def _start_daemon(machine: Machine, say: Say) -> Contact:
    for path, program in _PID_FILES:
        remove_stale_pid(machine, path, program, say)
    say(f"starting dockerd, log in {DAEMON_LOG}")
    process = machine.spawn([machine.which("dockerd") or "dockerd"], DAEMON_LOG)
    return wait_until_ready(process, lambda: reach(EngineAddress(f"unix://{LOCAL_SOCKET}")), _READY_SECONDS)


def remove_stale_pid(machine: Machine, path: Path, program: str, say: Say) -> None:
    """dockerd refuses to start while its pid file names any process, also a zombie or a stranger that got the number since."""
    text = machine.read(path)
    if text is None:
        return
    number = text.strip()
    if number.isdigit() and machine.program_of(int(number)) == program:
        return
    say(f"removing stale {path} (process {number or '?'} is no {program})")
    machine.remove(path)


def wait_until_ready(process: subprocess.Popen[bytes], ping: Callable[[], Contact], seconds: float, grace: float = 10.0) -> Contact:
    """Wait for `_ping` until the deadline; `grace` seconds are left to a rival where ours ended because another dockerd was starting."""
    deadline = time.monotonic() + seconds
    ended: int | None = None
    while time.monotonic() < deadline:
        contact = ping()
        if contact.answers:
            return contact
        if ended is not None:
            time.sleep(_TICK_SECONDS)  # between two pings, with a deadline: nothing else to wait on
            continue
        ended = _exit_code(process, _TICK_SECONDS)
        if ended is not None:
            deadline = min(deadline, time.monotonic() + grace)
    how = f"did not answer within {seconds:.0f} s" if ended is None else f"ended with code {ended}"
    raise RuntimeFault(f"dockerd {how}: {_last_words(DAEMON_LOG)}", remedy=f"read {DAEMON_LOG}")


def _exit_code(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    try:
        return process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return None


def _last_words(log: Path) -> str:
    if not log.is_file():
        return "it logged nothing"
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it logged nothing"
