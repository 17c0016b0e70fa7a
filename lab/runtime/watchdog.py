"""`python -m lab.runtime.watchdog LAB`: waits for the end of stdin, then removes the lab. Started by `reaper.Watchdog` only.

Imports nothing heavy before its owner is dead: it costs 10 ms and a few MB for as long as all goes well.
"""

from __future__ import annotations

import os
import signal
import sys


def main() -> int:
    """Exit 0 when dismissed or when nothing of the lab is left."""
    lab = sys.argv[1]
    for each in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    os.chdir("/")
    said = b""
    while chunk := os.read(0, 16):
        said += chunk
    return 0 if said == b"done" else _remove(lab)


def _remove(lab: str) -> int:
    from lab.runtime.docker import DockerRuntime
    from lab.runtime.labels import LAB, MARK
    from lab.runtime.reaper import remove_orphan

    remove_orphan(DockerRuntime(), {MARK: "1", LAB: lab})
    return 0


if __name__ == "__main__":
    sys.exit(main())
