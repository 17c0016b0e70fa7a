"""The capture's barriers against a helper that is played, so that every way of failing can be had."""

from __future__ import annotations

import json
import queue
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from test_evidence_media import pcapng
from test_evidence_sip import plan

from lab.errors import EvidenceError, RuntimeFault
from lab.evidence.capture import Capture
from lab.runtime.base import ExecResult

END = b""


class Pipe:
    """A stream that is fed; an empty chunk ends it."""

    def __init__(self, told: Callable[[str], None] = lambda line: None) -> None:
        self.queue: queue.Queue[bytes] = queue.Queue()
        self.told = told

    def send(self, line: bytes) -> None:
        self.told(line.decode())

    def chunks(self) -> Iterator[bytes]:
        while chunk := self.queue.get():
            yield chunk

    def close(self) -> None:
        self.queue.put(END)


def dumpcap_says(*bridges: str, figures: str = "9/2 (pcap:2/dumpcap:0/flushed:0/ps_ifdrop:0) (81.8%)") -> dict[str, object]:
    """What the supervisor says in the end."""
    return {"ended": 0, "said": [f"Packets received/dropped on interface '{bridge}': {figures}" for bridge in bridges]}


class Helper:
    """Plays dumpcap, tail and tshark. `mute` names the followers that lose the marker frames."""

    def __init__(self, *, mute: tuple[str, ...] = (), started: object = None, ended: object = None) -> None:
        self.mute, self.frames = mute, 0
        self.started = started or {"started": 7}
        self.ended = ended or dumpcap_says("br0")
        self.pipes = {"capture": Pipe(self.told), "copy": Pipe(), "dissection": Pipe()}
        self.bridges: tuple[str, ...] = ()
        self.failing = ""

    def told(self, line: str) -> None:
        if self.failing == "python3":
            raise RuntimeFault("its process has ended")
        for bridge in self.bridges:
            self.mark(f"{line} {bridge}")

    def stream(self, handle: str, argv: tuple[str, ...], *, user: str = "", stdin: bool = False) -> Pipe:
        if argv[0] == "cat":
            final = Pipe()
            final.queue.put(b"whole")
            final.queue.put(END)
            return final
        name = {"python3": "capture", "tail": "copy", "sh": "dissection"}[argv[0]]
        assert (user == "nobody") == (name != "capture")
        if name == "capture":
            self.bridges = argv[3:]
            self.pipes[name].queue.put(json.dumps(self.started).encode() + b"\n")
        if name == "copy":
            self.pipes[name].queue.put(pcapng(0))
        return self.pipes[name]

    def exec(self, handle: str, argv: tuple[str, ...], *, stdin: bytes | None = None, timeout: float = 10.0, user: str = "") -> ExecResult:
        if self.failing and self.failing in argv[0]:
            return ExecResult(1, b"", b"no")
        if argv[0] == "kill":
            self.pipes["capture"].queue.put(json.dumps(self.ended).encode() + b"\n")
            for pipe in self.pipes.values():
                pipe.close()
        return ExecResult(0, {"cat": b"SECRET x\n", "stat": b"5\n"}.get(argv[0], b""), b"")

    def mark(self, text: str) -> None:
        self.frames += 1
        data = bytes(42) + b"<14>" + text.encode()
        body = struct.pack("<IIIII", 0, 0, 0, len(data), len(data)) + data
        body += bytes(-len(body) % 4)
        block = struct.pack("<II", 6, len(body) + 12) + body + struct.pack("<I", len(body) + 12)
        line = {
            "kind": "mark",
            "frame": self.frames,
            "time": 1.0,
            "src": "",
            "sport": 0,
            "dst": "",
            "dport": 0,
            "transport": "udp",
            "text": text,
        }
        for name, chunk in (("copy", block), ("dissection", json.dumps(line).encode() + b"\n")):
            if name not in self.mute:
                self.pipes[name].queue.put(chunk)


def capture(helper: Helper, folder: Path, *bridges: str) -> Capture:
    return Capture(helper, "h", bridges or ("br0",), folder, plan())


def test_a_mark_is_reached_on_every_bridge(tmp_path: Path) -> None:
    running = capture(Helper(ended=dumpcap_says("br0", "br1")), tmp_path, "br0", "br1")
    assert running.start(deadline=5).frame == 2
    position = running.mark("b\u00e9gin\x07")
    assert (position.frame, position.text) == (4, "b?gin?")
    assert position.offset == running.path.stat().st_size
    running.stop(deadline=5)
    assert running.path.read_bytes() == b"whole"
    assert running.keys.read_bytes() == b"SECRET x\n"
    assert running.dropped == 4


def test_what_was_flushed_at_the_end_is_no_loss(tmp_path: Path) -> None:
    running = capture(
        Helper(ended=dumpcap_says(*(f"br{n}" for n in range(12)), figures="9/7 (pcap:1/dumpcap:2/flushed:4/")),
        tmp_path,
        *(f"br{n}" for n in range(12)),
    )
    running.start(deadline=5)
    running.stop(deadline=5)
    assert running.dropped == 36


@pytest.mark.parametrize("told", [dumpcap_says(), dumpcap_says("br0"), dumpcap_says("br0", "br1", figures="?"), {"ended": 0}])
def test_figures_that_are_missing_are_not_zero(tmp_path: Path, told: object) -> None:
    running = capture(Helper(ended=told), tmp_path, "br0", "br1")
    running.start(deadline=5)
    with pytest.raises(EvidenceError, match=r"dumpcap tells what it lost on [01] of 2 bridges"):
        running.stop(deadline=5)
    assert running.dropped is None


@pytest.mark.parametrize("mute", ["copy", "dissection"])
def test_a_mark_that_one_follower_misses_is_an_error(tmp_path: Path, mute: str) -> None:
    with pytest.raises(EvidenceError, match="'capture begins' was not seen"):
        capture(Helper(mute=(mute,)), tmp_path).start(deadline=0.3)


@pytest.mark.parametrize("name", ["capture", "copy", "dissection"])
def test_a_follower_that_ends_early_is_an_error(tmp_path: Path, name: str) -> None:
    helper = Helper()
    running = capture(helper, tmp_path)
    running.start(deadline=5)
    helper.mute = ("copy", "dissection")
    helper.pipes[name].close()
    with pytest.raises(EvidenceError, match=f"the {name} ended before the lab did"):
        running.mark("next", deadline=5)


@pytest.mark.parametrize(("name", "junk"), [("copy", bytes(range(40))), ("dissection", b"junk\n"), ("capture", b"junk\n")])
def test_junk_from_a_follower_is_an_error(tmp_path: Path, name: str, junk: bytes) -> None:
    helper = Helper()
    running = capture(helper, tmp_path)
    running.start(deadline=5)
    helper.mute = ("copy", "dissection")
    helper.pipes[name].queue.put(junk)
    with pytest.raises(EvidenceError):
        running.mark("next", deadline=5)


def test_what_does_not_start_or_end_well_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="dumpcap did not start"):
        capture(Helper(started={"ended": 1, "said": ["no such device"]}), tmp_path).start(deadline=1)
    with pytest.raises(EvidenceError, match="at least one bridge"):
        Capture(Helper(), "h", (), tmp_path, plan()).start()
    for helper, command, match in (
        (Helper(ended={"ended": 2, "said": []}), "", "dumpcap ended with 2"),
        (Helper(), "editcap", "writing the secrets failed: no"),
        (Helper(), "cat", "reading the TLS keys failed"),
    ):
        running = capture(helper, tmp_path)
        running.start(deadline=5)
        helper.failing = command
        with pytest.raises(EvidenceError, match=match):
            running.stop(deadline=5)
