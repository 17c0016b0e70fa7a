"""Bringing up a lab that stays: in this process, or in one of its own that outlives the terminal."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from select import POLLIN, poll

from lab.errors import LabError, RuntimeFault, SpecError
from lab.live.found import FOLDER
from lab.live.owner import Owner
from lab.runtime.base import Runtime
from lab.session.bench import Bench
from lab.session.selection import Selected, select, setup_for

LOG = "owner.txt"
"""In a detached lab's folder: what its owner would have printed."""
UP_WITHIN = 300.0
"""Seconds for a detached lab to come up: its stages have shorter deadlines of their own."""
DOWN_WITHIN = 120.0


@dataclass(frozen=True)
class Order:
    """Which lab: as on the command line. `folder` takes its evidence and its socket."""

    topology: str
    bind: tuple[str, ...]
    external: tuple[str, ...]
    seed: int
    folder: str


def chosen(topology: str, bind: tuple[str, ...], external: tuple[str, ...]) -> Selected:
    """What these arguments select; SpecError where they make several labs."""
    selected = select(topology, bind, external=external)
    if len(selected.bindings) != 1:
        raise SpecError(f"these bindings make {len(selected.bindings)} labs", remedy="bind each element to one vendor")
    return selected


def new_folder(root: Path, topology: str) -> Path:
    """A folder for one lab."""
    folder = root / "results" / FOLDER / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{topology}-{secrets.token_hex(3)}"
    folder.mkdir(parents=True)
    return folder


def bring_up(selected: Selected, order: Order, runtime: Runtime) -> Owner:
    """The lab, up, with its owner listening; nothing is left where it does not come up."""
    folder = Path(order.folder)
    bench = Bench(setup_for(selected, selected.bindings[0], folder, run=folder.name, seed=order.seed), runtime)
    bench.up()
    try:
        return Owner(bench)
    except BaseException:
        bench.down()
        raise


def detach(order: Order, root: Path) -> None:
    """Start a process that owns the lab and wait until it is up, UP_WITHIN at most. What keeps it from that is raised here.

    The process has a session of its own, so that neither Ctrl-C nor the end of the terminal reaches it. An interrupt while it is still
    coming up takes it down again.
    """
    with (Path(order.folder) / LOG).open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "lab.live.detached", json.dumps(asdict(order))],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "SIPLAB_HOME": str(root)},
        )
    try:
        said = _first_line(process, order.folder)
    except BaseException:
        process.send_signal(signal.SIGTERM)
        process.wait(DOWN_WITHIN)
        raise
    _believe(said, order.folder)


def _first_line(process: subprocess.Popen[bytes], folder: str) -> bytes:
    assert process.stdout is not None
    said = poll()
    said.register(process.stdout, POLLIN)
    if not said.poll(UP_WITHIN * 1000):
        raise RuntimeFault(f"the lab was not up within {UP_WITHIN:g} s and is taken down", remedy=f"see {folder}/{LOG}")
    return process.stdout.readline()


def _believe(said: bytes, folder: str) -> None:
    try:
        told = json.loads(said)
    except ValueError:
        raise RuntimeFault("the lab's owner ended before the lab was up", remedy=f"see {folder}/{LOG}") from None
    if "error" in told:
        kind = {SpecError.exit_code: SpecError}.get(told.get("exit"), RuntimeFault)
        raise kind(str(told["error"]))


def tell(outcome: LabError | None) -> None:
    """A detached owner's one line to who started it: nothing to say but that it is up, or the error."""
    line = {"error": str(outcome), "exit": outcome.exit_code} if outcome else {"up": True}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
