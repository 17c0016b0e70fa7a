"""Names and labels of everything a lab makes: unique per lab, and telling whose it is, so that what a dead owner left can be removed."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MARK = "siplab"
LAB = "siplab.lab"
RUN = "siplab.run"
OWNER = "siplab.owner"
ELEMENT = "siplab.element"


def new_lab_id() -> str:
    """Eight random hex digits."""
    return secrets.token_hex(4)


@dataclass(frozen=True)
class Owner:
    """A process, named so that its death can be told for sure: a pid alone is used again.

    `start` is the process's start in clock ticks since boot; `pids` the PID namespace, because the same pid means another process there.
    """

    host: str
    boot: str
    pid: int
    start: int
    pids: str

    def __str__(self) -> str:
        return f"{self.host}:{self.boot}:{self.pid}:{self.start}:{self.pids}"

    @classmethod
    def parse(cls, text: str) -> Owner:
        """The inverse of `str`; ValueError where the label was not written by us."""
        host, boot, pid, start, pids = text.rsplit(":", 4)
        return cls(host, boot, int(pid), int(start), pids)

    @classmethod
    def current(cls) -> Owner:
        """This process."""
        start = _start_of(os.getpid())
        if start is None:
            raise OSError("/proc is not readable: siplab needs Linux")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return cls(socket.gethostname(), boot, os.getpid(), start, _pid_namespace())

    def dead(self, observer: Owner, engine_host: str = "") -> bool:
        """True only where `observer` can be sure: same machine and PID namespace and no such process, or the machine has rebooted.

        Another boot id under the same host name means a reboot only where the engine runs on the observer's own machine
        (`engine_host`): a remote engine may serve two machines of one name.
        """
        if self.host != observer.host:
            return False
        if self.boot != observer.boot:
            return engine_host == observer.host
        return self.pids == observer.pids and _start_of(self.pid) != self.start


def _start_of(pid: int) -> int | None:
    """Field 22 of /proc/PID/stat; None where the process is gone or a zombie (it cannot clean up any more)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def _pid_namespace() -> str:
    return os.readlink("/proc/self/ns/pid").strip("pid:[]")


@dataclass(frozen=True)
class Identity:
    """Who a lab is. `prefix` differs from `siplab` in tests only."""

    lab: str = field(default_factory=new_lab_id)
    run: str = ""
    owner: str = field(default_factory=lambda: str(Owner.current()))
    prefix: str = "siplab"

    def labels(self, **more: str) -> Mapping[str, str]:
        """What every object of the lab carries; `more` are labels `siplab.<key>`."""
        return {MARK: "1", LAB: self.lab, RUN: self.run, OWNER: self.owner, **{f"siplab.{key}": value for key, value in more.items()}}

    @property
    def selector(self) -> Mapping[str, str]:
        """Labels that select all objects of this lab and no others."""
        return {MARK: "1", LAB: self.lab}

    def name(self, element: str) -> str:
        """Name of a container, network or volume."""
        return f"{self.prefix}-{self.lab}-{element}"

    def bridge(self, index: int) -> str:
        """Interface name of a bridge: at most 15 characters (IFNAMSIZ)."""
        return f"sl{self.lab}n{index}"

    @property
    def bridges(self) -> str:
        """All bridges of the lab, as a firewall rule names them."""
        return f"sl{self.lab}n+"
