"""One capture per lab, over all its bridges, for its whole life.

dumpcap writes to a file in the lab's helper. Two readers follow that file: `tail`, whose bytes reach the host as they come, so that the
evidence survives a crash, and tshark, which dissects live. A reader that is slow delays itself only: no packet is lost.
"""

from __future__ import annotations

import itertools
import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lab.errors import AgentError, EvidenceError, LabError, RuntimeFault
from lab.evidence.directory import Directory, sip_ports, tls_ports
from lab.evidence.dissection import FOLDER, KEYS, LIVE, Dissection, tshark_arguments
from lab.evidence.dtls import master_secrets
from lab.evidence.events import Event
from lab.evidence.flood import FloodWatch
from lab.evidence.message import SipMessage
from lab.evidence.pcapng import Frame, Walker
from lab.plan.model import Plan

if TYPE_CHECKING:
    from lab.evidence.wire import Wire

_FOLLOW = ("tail", "-c", "+1", "-s", "0.02", "-f")
_DISSECT = f'pid=$1; shift; {" ".join(_FOLLOW)} --pid="$pid" {LIVE} | HOME=/tmp exec tshark "$@" 2>/tmp/siplab-dissect.log'
_USER = "nobody"  # Wireshark loads no Lua for root, and what parses hostile packets shall hold no rights
_FINAL = f"{FOLDER}/capture.pcapng"
_MARK = b"siplab mark "
_LOST = re.compile(r"received/dropped on interface '[^']*': \d+/\d+ \(pcap:(\d+)/dumpcap:(\d+)/")
"""By the kernel and by dumpcap itself. What it has flushed came after it was told to end."""


class Outcome(Protocol):
    """Of a finished command."""

    @property
    def exit_code(self) -> int:
        """0 where it went well."""

    @property
    def stdout(self) -> bytes:
        """Standard output."""

    @property
    def stderr(self) -> bytes:
        """Standard error."""


class Output(Protocol):
    """Of a command that goes on, and its stdin."""

    def send(self, line: bytes) -> None:
        """Tell it a line."""

    def chunks(self) -> Iterator[bytes]:
        """Bytes as they come, to the command's end."""

    def close(self) -> None:
        """Stop reading."""


class Runtime(Protocol):
    """The part of lab.runtime.base.Runtime that evidence needs."""

    def exec(self, handle: str, argv: tuple[str, ...], *, stdin: bytes | None = None, timeout: float = 10.0, user: str = "") -> Outcome:
        """Run a command to its end."""

    def stream(self, handle: str, argv: tuple[str, ...], *, user: str = "", stdin: bool = False) -> Output:
        """Run a command and follow its stdout; with `stdin` it can be told lines."""


@dataclass(frozen=True)
class Position:
    """A place in the capture: everything that crossed a bridge before is in frames up to `frame`, file bytes up to `offset`."""

    frame: int
    offset: int
    time: float
    text: str


class Capture:
    """Starts, marks, reads and ends the capture. `folder` receives capture.pcapng and keys.log."""

    def __init__(
        self,
        runtime: Runtime,
        helper: str,
        bridges: Sequence[str],
        folder: Path,
        plan: Plan,
        on_flood: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        """`on_flood(element, why)` is told of an element that sends too much (see `FloodWatch`): the copy ends there, and all proof."""
        self._runtime, self._helper, self._bridges = runtime, helper, tuple(bridges)
        self.directory = Directory(plan)
        self._flood, self._on_flood = FloodWatch(self.directory), on_flood
        self._ports = (sip_ports(plan), tls_ports(plan))
        self.path, self.keys = folder / "capture.pcapng", folder / "keys.log"
        self._changed = threading.Condition()
        self._dissection = Dissection(self.directory)
        self._walker = Walker()
        self._copied: dict[str, Frame] = {}
        self._supervisor: list[dict[str, object]] = []
        self._fault: LabError | None = None
        self._stopping = False
        self._threads: list[threading.Thread] = []
        self._capturing: Output | None = None
        self._numbers = itertools.count(1)
        self.dropped: int | None = None
        """Frames that were lost, known once the capture has been stopped."""

    # -- life ---------------------------------------------------------------------------------------------------------------------

    def start(self, deadline: float = 45.0) -> Position:
        """Start, and return once a marker frame was seen on every bridge by the live dissection and in the host's copy."""
        if not self._bridges:
            raise EvidenceError("a capture needs at least one bridge")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        until = time.monotonic() + deadline
        argv = ("python3", "-u", "/usr/lib/siplab/capture.py", *self._bridges)
        self._capturing = self._runtime.stream(self._helper, argv, stdin=True)
        self._follow("capture", self._capturing, self._take_supervisor())
        self._wait(lambda: bool(self._supervisor), until, "dumpcap did not start")
        pid = self._pid()
        self._follow("copy", self._run(*_FOLLOW, f"--pid={pid}", LIVE), self._take_copy())
        tshark = tshark_arguments("--update-interval 20 -i -", *self._ports)
        self._follow("dissection", self._run("sh", "-c", _DISSECT, "dissect", str(pid), *tshark), self._take_dissection())
        return self.mark("capture begins", deadline=until - time.monotonic())

    def _pid(self) -> int:
        first = self._supervisor[0]
        if "started" not in first:
            raise self._ended_early("capture")
        return int(str(first["started"]))

    def _ended_early(self, name: str) -> EvidenceError:
        last = self._supervisor[-1] if self._supervisor else {}
        if name == "capture" and "ended" in last:
            verb = "ended before the lab did" if len(self._supervisor) > 1 else "did not start"
            return EvidenceError(f"dumpcap {verb} on {', '.join(self._bridges)}: {_said(last)}")
        return EvidenceError(f"the {name} ended before the lab did", remedy="see the helper's log")

    def stop(self, deadline: float = 30.0) -> None:
        """End the capture and write the final capture.pcapng, which holds the TLS secrets. EvidenceError where anything is missing."""
        until = time.monotonic() + deadline
        self.mark("capture ends")
        self._stopping = True
        self._command("ending the capture", ("kill", "-INT", str(self._pid())))
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                raise EvidenceError(f"the {thread.name} did not end within {deadline:g} s")
        if self._fault:
            raise self._fault
        self._judge_end(self._supervisor[-1])
        self._inject(until)

    def _judge_end(self, end: dict[str, object]) -> None:
        said = _said(end)
        if end.get("ended") != 0:
            raise EvidenceError(f"dumpcap ended with {end.get('ended')}: {said}")
        figures = _LOST.findall(said)
        if len(figures) != len(self._bridges):
            raise EvidenceError(f"dumpcap tells what it lost on {len(figures)} of {len(self._bridges)} bridges: {said}")
        self.dropped = sum(int(kernel) + int(itself) for kernel, itself in figures)

    def _inject(self, until: float) -> None:
        keys = self._command("reading the TLS keys", ("cat", KEYS)).stdout
        self.keys.write_bytes(keys)
        if not keys:
            return
        self._command("writing the secrets", ("editcap", "--inject-secrets", f"tls,{KEYS}", LIVE, _FINAL))
        size = int(self._command("measuring the capture", ("stat", "-c", "%s", _FINAL)).stdout)
        whole = self.path.with_suffix(".whole")
        with whole.open("wb") as out:
            for chunk in self._runtime.stream(self._helper, ("cat", _FINAL)).chunks():
                out.write(chunk)
        if whole.stat().st_size != size or time.monotonic() > until:
            raise EvidenceError(
                f"the final capture came over incomplete: {whole.stat().st_size} of {size} bytes", remedy=f"see {self.path}"
            )
        whole.replace(self.path)

    def lap(self) -> None:
        """A scenario begins: packets are counted from here."""
        with self._changed:
            self._flood.lap()

    # -- the barrier ----------------------------------------------------------------------------------------------------------------

    def mark(self, text: str, *, deadline: float = 30.0) -> Position:
        """Send a marker frame over every bridge and wait until both the live dissection and the host's copy have it."""
        clean = re.sub(r"[^ -~]", "?", text)[:200]
        line = f"siplab mark {next(self._numbers)} {clean} #{secrets.token_hex(4)}"
        wanted = [f"{line} {bridge}" for bridge in self._bridges]
        until = time.monotonic() + deadline
        self._send_mark(line)
        self._wait(
            lambda: all(w in self._dissection.marks and w in self._copied for w in wanted), until, f"marker frame {clean!r} was not seen"
        )
        last = max((self._copied[w] for w in wanted), key=lambda frame: frame.number)
        return Position(last.number, last.end, last.time, clean)

    def _send_mark(self, line: str) -> None:
        if self._capturing is None:
            raise EvidenceError("the capture was not started")
        try:
            self._capturing.send(line.encode())
        except RuntimeFault as error:
            raise self._fault or EvidenceError(f"sending a marker frame failed: {error}") from error

    def begin(self, scenario: str) -> Wire:
        """Mark the beginning of a scenario; its wire sees what comes after."""
        from lab.evidence.wire import Wire

        return Wire(self, scenario)

    def _wait(self, done: Callable[[], bool], until: float, what: str) -> None:
        with self._changed:
            self._changed.wait_for(lambda: bool(self._fault) or done(), max(0.0, until - time.monotonic()))
            if self._fault:
                raise self._fault
            if not done():
                raise EvidenceError(f"{what} in time on {', '.join(self._bridges)}", remedy="the capture cannot be trusted: run again")

    # -- reading --------------------------------------------------------------------------------------------------------------------

    def events(self, begin: Position, end: Position) -> tuple[tuple[Event, ...], int]:
        """The events between two marks, and how many TLS records among them stayed unreadable.

        Live dissection can meet a packet before its key. What it could not read is dissected again from the file, with all keys there are.
        """
        with self._changed:
            hidden = self._dissection.hidden(begin.frame, end.frame)
        if hidden and not self._stopping:
            self._dissect_again(end)
        with self._changed:
            return self._dissection.between(begin.frame, end.frame), len(self._dissection.hidden(begin.frame, end.frame))

    def after(self, frame: int, within: float) -> tuple[Event, ...]:
        """Events in frames after `frame`, as soon as there are any or `within` seconds have passed. For people who watch, not for verdicts:
        a packet that came before its key is not among them. Raises what ended the capture.
        """
        with self._changed:
            self._changed.wait_for(lambda: bool(self._fault) or self._newest() > frame, within)
            if self._fault:
                raise self._fault
            return tuple(reversed([*takewhile(lambda event: event.frame > frame, reversed(self._dissection.events))]))

    def _newest(self) -> int:
        return self._dissection.events[-1].frame if self._dissection.events else 0

    def transactions(self, until: Position) -> frozenset[tuple[str, int | None]]:
        """Call-ID and CSeq number of every request up to a mark."""
        with self._changed:
            events = self._dissection.between(0, until.frame)
        return frozenset((event.call_id, event.cseq) for event in events if isinstance(event, SipMessage) and event.is_request)

    def _dissect_again(self, end: Position) -> None:
        later = Dissection(self.directory)
        argv = ("env", "HOME=/tmp", "tshark", *tshark_arguments(f"-r {LIVE}", *self._ports))
        later.feed(self._runtime.exec(self._helper, argv, timeout=60.0, user=_USER).stdout)
        if not later.events or later.events[-1].frame < end.frame:
            raise EvidenceError(f"dissecting the capture again stopped before frame {end.frame}")
        with self._changed:
            self._dissection.replace(later)

    def frames(self, begin: Position, end: Position) -> Iterator[Frame]:
        """Packets between two marks, out of the host's copy."""
        if self._stopping:
            raise EvidenceError("packets are read before the capture is stopped")
        walker = self._walker.at(begin.offset, begin.frame)
        with self.path.open("rb") as source:
            source.seek(begin.offset)
            yield from walker.feed(source.read(end.offset - begin.offset))

    def master_secrets(self) -> dict[bytes, bytes]:
        """Client randoms and master secrets that were logged so far, of TLS 1.2 and DTLS 1.2."""
        return master_secrets(self._command("reading the key logs", ("cat", KEYS)).stdout.decode("utf-8", "replace"))

    # -- followers ------------------------------------------------------------------------------------------------------------------

    def _run(self, *argv: str) -> Output:
        return self._runtime.stream(self._helper, argv, user=_USER)

    def _follow(self, name: str, output: Output, take: Callable[[bytes], None]) -> None:
        thread = threading.Thread(target=self._drain, args=(name, output, take), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _drain(self, name: str, output: Output, take: Callable[[bytes], None]) -> None:
        fault: LabError | None = None
        try:
            for chunk in output.chunks():
                with self._changed:
                    take(chunk)
                    self._changed.notify_all()
            if not self._stopping:
                fault = self._ended_early(name)
        except LabError as error:
            fault = error
        except ValueError as error:
            fault = EvidenceError(f"the {name} said what cannot be read: {error}", remedy="see the helper's log")
        except OSError as error:
            fault = EvidenceError(f"the {name} cannot be written: {error}", remedy=f"is the disk of {self.path.parent} full?")
        with self._changed:
            self._fault = self._fault or fault
            self._changed.notify_all()

    def _take_supervisor(self) -> Callable[[bytes], None]:
        rest = b""

        def take(chunk: bytes) -> None:
            nonlocal rest
            *lines, rest = (rest + chunk).split(b"\n")
            self._supervisor.extend(json.loads(line) for line in lines)

        return take

    def _take_copy(self) -> Callable[[bytes], None]:
        self.path.unlink(missing_ok=True)

        def take(chunk: bytes) -> None:
            with self.path.open("ab") as out:
                out.write(chunk)
            for frame in self._walker.feed(chunk):
                try:
                    self._flood.count(frame)
                except AgentError as flood:
                    self._on_flood(flood.element, flood.what)
                    raise
                text = _mark_text(frame.data)
                if text:
                    self._copied[text] = frame

        return take

    def _take_dissection(self) -> Callable[[bytes], None]:
        return self._dissection.feed

    def _command(self, what: str, argv: tuple[str, ...]) -> Outcome:
        result = self._runtime.exec(self._helper, argv, timeout=30.0)
        if result.exit_code:
            raise EvidenceError(f"{what} failed: {result.stderr.decode('utf-8', 'replace').strip() or result.exit_code}")
        return result


def _mark_text(data: bytes) -> str:
    start = data.find(_MARK, 42, 60)
    return "" if start < 0 else data[start:].decode("ascii", "replace")


def _said(end: dict[str, object]) -> str:
    lines = end.get("said")
    return " ".join(str(line).strip() for line in lines if str(line).strip()) if isinstance(lines, list) else ""
