"""SIPp processes, and the agent's end of their 3PCC connection: commands in, what happened out.

3PCC is SIPp's way to let two instances play one scenario together. Here the agent is the other instance. A command is lines with the
Call-ID of the call that it is for, ended by ESC; SIPp makes a call of a command with a new Call-ID.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from siplab_agent import Account, Agent, Config, Dead, Refused, log
from siptext import Message

from .scenarios import callee, caller

FOLDER = Path("/run/sipp")
END = b"\x1b"
START_WITHIN = 8.0
"""Seconds for SIPp to start and to connect, on a machine with much else to do."""
_LONGEST = 60000
"""Bytes of a command: SIPp's buffer for one message is 64 KiB."""
_REFUSED = "Unexpected control message received"
_TRIES = 50
"""How often a command is sent to a call that is not yet where it takes one."""
_SETTLED = 0.03
"""Seconds from what SIPp tells until a command is sent: for some ms it throws commands away, and of 200 calls that were sent theirs again
one or two still ended without a word."""


@dataclass(frozen=True)
class Told:
    """What SIPp told: the call, what happened, and the message that it is about."""

    call_id: str
    event: str
    message: Message

    @classmethod
    def parse(cls, text: str) -> Told:
        """SIPp's own `internal-cmd: abort_call` names no event: the call is aborted."""
        head, _, message = text.replace("\r\n", "\n").partition("\nMessage:\n")
        members = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head.split("\n"))}
        return cls(members.get("call-id", ""), members.get("event", "aborted"), Message.parse(False, message.rstrip("\n").split("\n")))


class Sipp:
    """One SIPp process. `on_told` is called in the reader's thread."""

    def __init__(self, agent: Agent, name: str, argv: list[str], listen: bool, on_told: Callable[[Told], None]) -> None:
        self._on_told = on_told
        self._lock = threading.Lock()
        self._sent: dict[str, tuple[bytes, int]] = {}
        self._refused = False
        self._told_at = 0.0
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            if not listen:
                server.close()
            command = ["sh", "-c", 'exec "$@" >/dev/null', "sh", *argv, "-3pcc", f"127.0.0.1:{port}"]
            self.child = agent.spawn(command, name=name, on_line=self._on_line)
            try:
                self._socket = _accept(server) if listen else _connect(port)
            except OSError:
                self.child.end(0.5)
                raise
        threading.Thread(target=self._read, name=name, daemon=True).start()

    def command(self, call_id: str, do: str, body: bytes = b"", **members: str) -> None:
        """Make a call go on. Refused for what SIPp's commands cannot hold."""
        lines = {
            "Call-ID": call_id,
            "Do": do,
            "Token": secrets.token_hex(8),
            **{name.capitalize(): value for name, value in members.items()},
        }
        data = "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode() + b"Body:\r\n" + body
        if END in data or b"\0" in data or len(data) > _LONGEST:
            raise Refused(f"{do}: SIPp's commands hold neither ESC nor NUL, and at most {_LONGEST} bytes")
        self._sent[call_id] = (data, 1)
        time.sleep(max(0.0, self._told_at + _SETTLED - time.monotonic()))
        try:
            self._send(data)
        except OSError as error:
            raise Dead(f"{do}: SIPp is gone: {error}") from error

    def _send(self, data: bytes) -> None:
        with self._lock:
            self._socket.sendall(data + END)

    def _on_line(self, line: str) -> None:
        """SIPp throws a command away that comes while a call is on its way from telling something to the place where it takes commands
        (some ms), and says so on stderr only: it is sent again."""
        refused, self._refused = self._refused, line.startswith(_REFUSED)
        call_id = line.removeprefix("Call-ID: ")
        if not refused or call_id not in self._sent:
            return
        data, tries = self._sent[call_id]
        if tries < _TRIES:
            self._sent[call_id] = (data, tries + 1)
            with contextlib.suppress(OSError):  # SIPp is gone: its end is told elsewhere
                self._send(data)

    def end(self) -> None:
        """Make it go."""
        self.child.end(0.5)
        self._socket.close()

    def _read(self) -> None:
        rest = b""
        while data := self._receive():
            *parts, rest = (rest + data).split(END)
            for part in parts:
                told = Told.parse(part.decode("utf-8", "replace"))
                self._told_at = time.monotonic()
                log(f"sipp tells {told.event} of {told.call_id}: {told.message.start}")
                self._on_told(told)

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(65536)
        except OSError:
            return b""


def argv(account: Account, config: Config, number: int, incoming: bool) -> list[str]:
    """SIPp's command line for one of the two processes of an account."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / ("callee.xml" if incoming else "caller.xml")
    path.write_text(callee() if incoming else caller())
    ports = (5060 + 4 * number, 5062 + 4 * number)
    contacts = [f"sip:{account.user}@{config.ipv4}:{port};transport=udp" for port in ports]
    keys = {"me": f"<{account.aor}>", "contact": contacts[0 if incoming else 1], "binding": contacts[0], "rnd": secrets.token_hex(6)}
    remote = [] if incoming else [_next_hop(account)]
    files = ["-trace_msg", "-message_file", "/dev/stderr", "-trace_err", "-error_file", "/dev/stderr"]
    options = ["-i", config.ipv4, "-p", str(ports[0 if incoming else 1]), "-t", "u1", "-nostdin", "-skip_rlimit", "-watchdog_interval", "0"]
    login = ["-au", account.username, "-ap", account.password, "-auth_uri", account.domain]
    return ["sipp", *remote, "-sf", str(path), *options, *login, *files, *(word for key in keys.items() for word in ("-key", *key))]


def _next_hop(account: Account) -> str:
    """The proxy's address. SIPp itself takes the IPv6 one where there are both, and then gives up for the family of its own."""
    host, _, port = account.proxy.partition(":")[2].partition(";")[0].partition(":")
    return f"{socket.gethostbyname(host)}:{port or 5060}"


def _accept(server: socket.socket) -> socket.socket:
    server.settimeout(START_WITHIN)
    accepted, _ = server.accept()
    return accepted


def _connect(port: int) -> socket.socket:
    deadline = time.monotonic() + START_WITHIN
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)  # nothing tells when it listens
