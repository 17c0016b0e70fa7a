"""The engine process as the agent sees it: a nursery that has loaded PJSIP and forks one engine after the other."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from siplab_agent import BadState, Call, Dead, Refused, RequestError, UnknownCall, Unsupported, log
from siplab_agent.child import describe_end

from .translate import STATUS

if TYPE_CHECKING:
    from .__main__ import PjsipAgent

ANSWER_WITHIN = 8.0
GOODBYE_WITHIN = 1.0
_ERRORS = {error.code: error for error in (BadState, Unsupported, UnknownCall, Refused)}


class Nursery:
    """Forks engines, one at a time, and learns how each ended."""

    def __init__(self, agent: PjsipAgent) -> None:
        self._engines: queue.SimpleQueue[Engine] = queue.SimpleQueue()
        self._sock, theirs = socket.socketpair()
        agent.spawn([sys.executable, "-m", "siplab_pjsip.engine", str(theirs.fileno())], name="pjsip", pass_fds=(theirs.fileno(),))
        theirs.close()
        threading.Thread(target=self._watch, name="nursery", daemon=True).start()

    def bear(self, engine: Engine, sock: socket.socket) -> None:
        """Fork an engine that serves `sock`; how it ended is told to `engine` some day."""
        self._engines.put(engine)
        socket.send_fds(self._sock, [b"+"], [sock.fileno()])

    def _watch(self) -> None:
        while status := self._sock.recv(STATUS.size, socket.MSG_WAITALL):
            self._engines.get().ended(STATUS.unpack(status)[0])
        while not self._engines.empty():  # the nursery itself died: an engine that nobody watches must not go on
            self._engines.get().kill()


class Engine:
    """One life of the engine process. Lines of it are queued by a thread and taken out by the agent's main thread only."""

    def __init__(self, agent: PjsipAgent, nursery: Nursery) -> None:
        self.calls: dict[str, Call] = {}
        self.pid = 0
        self._expected = False
        self._done = threading.Event()
        self._numbers = itertools.count(1)
        self._inbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._agent = agent
        self._sock, theirs = socket.socketpair()
        nursery.bear(self, theirs)
        theirs.close()
        self._reader = threading.Thread(target=self._read, name="engine", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with self._sock.makefile("rb") as stream:
            for line in stream:
                self._inbox.put(line)
                self._agent.post(self.drain)
        self._inbox.put(None)

    def drain(self) -> None:
        """Digest what has come."""
        while not self._inbox.empty():
            self._digest(self._inbox.get())

    def ended(self, returncode: int) -> None:
        """The process is gone, and unless we asked for it that is a fault: told after everything that it had to say."""
        self._done.set()
        if self._expected:
            return
        self._reader.join(1.0)
        number, code = describe_end(returncode)
        how = f"signal {number} ({signal.Signals(number).name})" if number else f"exit status {code}"

        def tell() -> None:
            self.drain()
            self._agent.software_died(f"pjsip ended by {how}", signal=number, exit=code)

        self._agent.post(tell)

    def expect(self, wanted: Callable[[dict[str, Any]], bool], within: float) -> dict[str, Any] | None:
        """Digest lines until a message is wanted; None where the engine is gone or silent."""
        deadline = time.monotonic() + within
        while (left := deadline - time.monotonic()) > 0:
            try:
                line = self._inbox.get(timeout=left)
            except queue.Empty:
                return None
            if line is None:
                self._inbox.put(None)
                return None
            message = self._digest(line)
            if message and wanted(message):
                return message
        return None

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Have the engine do something; its refusal is raised."""
        number = next(self._numbers)
        try:
            self._sock.sendall(json.dumps({"id": number, "method": method, "params": params}).encode() + b"\n")
        except OSError as error:
            raise Dead(f"{method}: PJSIP is gone: {error}") from error
        answer = self.expect(lambda message: message.get("id") == number, ANSWER_WITHIN)
        if answer is None:
            raise Dead(f"{method}: PJSIP gave no answer")
        if "error" in answer:
            code, text = answer["error"]
            raise _ERRORS.get(code, Refused)(text)
        return dict(answer["result"])

    def end(self) -> None:
        """Let it say goodbye, digest what it tells until then, and see to it that it is gone."""
        self._expected = True
        try:
            self.ask("quit")
            self.expect(lambda message: message.get("event") == "goodbye", GOODBYE_WITHIN)
        except RequestError as error:
            log(f"no goodbye: {error}")
        if not self._done.wait(0.2):
            self.kill()
            self._done.wait(0.5)
        self._sock.close()

    def kill(self) -> None:
        """End it the hard way."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def _digest(self, line: bytes | None) -> dict[str, Any] | None:
        if line is None:
            return None
        message: dict[str, Any] = json.loads(line)
        if "event" in message:
            self._agent.tell(self, dict(message))
        return message
