"""Runs in a lab's helper for as long as the lab lives: dumpcap over its bridges, and all key logs merged into the one file tshark takes.

    capture.py BRIDGE… →  stdout, one JSON object per line: {"started": PID} once the file is there, {"ended": CODE, "said": […]} at the end
                       ←  stdin, one text per line: a marker frame with it goes over every bridge

SIGINT ends dumpcap, which then writes what it still holds. A key log line is merged only when it is complete.
"""

import json
import os
import select
import signal
import subprocess
import sys

from mark import send

FOLDER = "/run/siplab"
LIVE = f"{FOLDER}/live.pcapng"
MERGED = f"{FOLDER}/keys.log"
SAID = f"{FOLDER}/dumpcap.log"
KEYS = "/var/lib/siplab/keys"
MOST_KB = 500_000  # the lab ends an element that floods long before; this is for the disk's sake
TICK = 0.02  # seconds; far below dumpcap's own latency, so that keys are there before the packets they open


def say(**members):
    """One line for the lab."""
    print(json.dumps(members), flush=True)


def start_dumpcap(bridges):
    """Its messages go to a file: they tell what was dropped."""
    interfaces = [word for bridge in bridges for word in ("-i", bridge)]
    with open(SAID, "wb") as log:
        command = ["dumpcap", "-B", "16", "--update-interval", "20", "-a", f"filesize:{MOST_KB}", *interfaces, "-w", LIVE]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)


class Orders:
    """Lines of stdin, as they come."""

    def __init__(self):
        self.rest, self.open = b"", [0]

    def wait(self, seconds):
        """The lines that came within that time."""
        if not select.select(self.open, [], [], seconds)[0]:
            return []
        data = os.read(0, 65536)
        if not data:
            self.open = []
        *lines, self.rest = (self.rest + data).split(b"\n")
        return [line.decode("ascii", "replace") for line in lines]


class Merger:
    """Appends the complete new lines of every key log to the merged file."""

    def __init__(self):
        self.offsets = {}
        self.out = open(MERGED, "ab", buffering=0)  # noqa: SIM115 (for the life of the process)

    def step(self):
        """Look once at every log."""
        for entry in os.scandir(KEYS):
            done = self.offsets.get(entry.name, 0)
            if entry.name.endswith(".log") and entry.stat().st_size > done:
                self.offsets[entry.name] = done + self.append(entry.path, done)

    def append(self, path, offset):
        """How many bytes of complete lines were taken over."""
        with open(path, "rb") as source:
            source.seek(offset)
            new = source.read()
        whole = new[: new.rfind(b"\n") + 1]
        if whole:
            self.out.write(whole)
        return len(whole)


def main(bridges):
    """Until dumpcap ends."""
    os.makedirs(FOLDER, exist_ok=True)
    for stale in (LIVE, MERGED):
        if os.path.exists(stale):
            os.unlink(stale)
    merger = Merger()
    dumpcap = start_dumpcap(bridges)
    signal.signal(signal.SIGINT, lambda *_: dumpcap.send_signal(signal.SIGINT))
    started, orders = False, Orders()
    while dumpcap.poll() is None:
        if not started and os.path.exists(LIVE):
            os.chmod(LIVE, 0o644)
            say(started=dumpcap.pid)
            started = True
        merger.step()
        for text in orders.wait(TICK):
            send(text, bridges)
    merger.step()
    with open(SAID, errors="replace") as log:
        say(ended=dumpcap.returncode, said=log.read().split("\n"))


main(sys.argv[1:])
