"""The process that holds PJSIP: one life from start to reset, then a new one.

It speaks JSON lines with the agent on an inherited socket. pjsua2 has one endpoint per process, a second to end it and asserts that
abort; a process of its own makes an abort an event and a reset both quick and complete (accounts, transports, DNS cache).
There is one Python thread: it alternates between the socket and `libHandleEvents`, so every callback arrives here as well.
"""

from __future__ import annotations

import itertools
import json
import os
import select
import socket
import sys
import time
import traceback
from typing import Any, NoReturn

import pjsua2 as pj
from siplab_agent.config import Config
from siplab_agent.faults import RequestError
from siplab_agent.wire import Wire, log

from . import operations
from .accounts import Account
from .calls import Call
from .media import Recording
from .translate import STATUS, bare_uri, log_level

TICK_MS = 10
_DISCARD_NONE = 0
"""PJMEDIA_JB_DISCARD_NONE."""
GOODBYE = 0.25
"""Seconds that BYE, CANCEL and unregistering may take at the end; what is unanswered by then is left behind."""
_TRANSPORTS = {"udp": pj.PJSIP_TRANSPORT_UDP, "tcp": pj.PJSIP_TRANSPORT_TCP, "tls": pj.PJSIP_TRANSPORT_TLS}


class Engine:
    """An endpoint with its accounts and calls."""

    def __init__(self, config: Config, wire: Wire, sock: socket.socket) -> None:
        self.config = config
        self.wire = wire
        self.accounts: dict[str, Account] = {}
        self.calls: dict[str, Call] = {}
        self.grave: list[Any] = []  # what must not be dropped inside a callback
        self.sent: list[tuple[str, str, str, pj.Buddy]] = []
        self.running = True
        self._sock = sock
        self._input = b""
        self._handles = itertools.count(1)
        self._finishing: list[Recording] = []
        self._transports: set[str] = set()
        self.registered: set[str] = set()
        self.endpoint = self._start()

    def _start(self) -> pj.Endpoint:
        endpoint = pj.Endpoint()
        endpoint.libCreate()
        endpoint.libInit(_endpoint_config(self.config))
        endpoint.libStart()
        endpoint.audDevManager().setNullDev()
        for codec in endpoint.codecEnum2():
            endpoint.codecSetPriority(codec.codecId, {"PCMU/8000/1": 255, "PCMA/8000/1": 254}.get(codec.codecId, 0))
        return endpoint

    # -- services for accounts and calls ---------------------------------------------------------------------------------------

    def event(self, name: str, **members: Any) -> None:
        """Tell the agent."""
        self.wire.event({"event": name, **members})

    def new_handle(self) -> str:
        """A name for a call that PJSIP made."""
        return f"in-{next(self._handles)}"

    def transport(self, kind: str) -> None:
        """Listen on it. Only what an account asked for exists: with a TCP transport PJSIP would send large UDP requests over it."""
        if kind in self._transports:
            return
        config = pj.TransportConfig()
        config.port = 5061 if kind == "tls" else 5060
        config.boundAddress = self.config.ipv4
        if kind == "tls":
            _secure(config.tlsConfig, self.config)
        self.endpoint.transportCreate(_TRANSPORTS[kind], config)
        self._transports.add(kind)

    def reported(self, account: str, state: str) -> None:
        """Remember which accounts have a binding to take back at the end."""
        (self.registered.add if state == "registered" else self.registered.discard)(account)

    def message(self, prm: Any) -> None:
        """A MESSAGE came, in or out of a dialog."""
        self.event("message.received", **{"from": bare_uri(prm.fromUri)}, body=prm.msgBody, content_type=prm.contentType or None)

    def message_status(self, prm: Any) -> None:
        """A MESSAGE of ours was answered or timed out: the oldest with this target and body."""
        target = bare_uri(prm.toUri)
        entry = next((entry for entry in self.sent if entry[1:3] == (target, prm.msgBody)), None)
        if entry is None:
            log(f"status {prm.code} of an unknown message to {target}")
            return
        self.sent.remove(entry)
        self.grave.append(entry[3])
        self.event("message.status", message=entry[0], code=prm.code, ok=prm.code // 100 == 2)

    def finish(self, recordings: list[Recording]) -> None:
        """Let pj finalise these and tell of them when it has."""
        self._finishing += [recording for recording in recordings if recording.drop()]

    # -- life ------------------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until `quit` or EOF."""
        self.event("ready", version=self.endpoint.libVersion().full, pid=os.getpid())
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        while self.running:
            idle = not (self.accounts or self.calls or self._finishing)
            if poll.poll(1000 if idle else 0):
                self._receive()
            self.tick(0 if idle else TICK_MS)
        self._goodbye()

    def tick(self, milliseconds: int) -> None:
        """Let PJSIP work, then do what must not be done inside its callbacks."""
        self.endpoint.libHandleEvents(milliseconds)
        self.grave.clear()
        for call in self.calls.values():
            due = [recording for recording in call.recordings if recording.due]
            if due:
                call.recordings = [recording for recording in call.recordings if recording not in due]
                self.finish(due)
        self._finishing = [recording for recording in self._finishing if not recording.collect()]

    def _goodbye(self) -> None:
        """End calls and bindings politely, without waiting long for an answer. `os._exit` because libDestroy takes a second."""
        self.endpoint.hangupAllCalls()
        for name in list(self.registered):
            self.accounts[name].unregister()
        deadline = time.monotonic() + GOODBYE
        while (self.calls or self.registered or self._finishing) and time.monotonic() < deadline:
            self.tick(TICK_MS)
        self.event("goodbye")
        os._exit(0)

    def _receive(self) -> None:
        data = self._sock.recv(65536)
        if not data:
            self.running = False
        *lines, self._input = (self._input + data).split(b"\n")
        for line in lines:
            self._serve(json.loads(line))

    def _serve(self, request: dict[str, Any]) -> None:
        try:
            if request["method"] == "quit":
                self.running = False
                result: Any = None
            else:
                result = operations.HANDLERS[request["method"]](self, **request["params"])
            self.wire.event({"id": request["id"], "result": result or {}})
        except RequestError as error:
            self.wire.event({"id": request["id"], "error": [error.code, str(error)]})
        except pj.Error as error:
            self.wire.event({"id": request["id"], "error": ["vendor", f"{error.title}: {error.reason} ({error.status})"]})


def _endpoint_config(config: Config) -> pj.EpConfig:
    settings = pj.EpConfig()
    settings.logConfig.level = settings.logConfig.consoleLevel = log_level(config.log_level)
    settings.logConfig.msgLogging = 1
    agent = settings.uaConfig
    agent.threadCnt, agent.mainThreadOnly, agent.maxCalls, agent.userAgent = 0, True, 16, "siplab-pjsip"
    agent.natTypeInSdp = 0
    for address in [address for address in config.dns if ":" not in address] or list(config.dns):
        agent.nameserver.append(address)
    media = settings.medConfig
    media.clockRate = media.sndClockRate = 8000
    media.noVad, media.ecTailLen, media.sndAutoCloseTime = True, 0, -1
    # A fixed delay and nothing discarded: adapting to a busy host's jitter cuts samples out of the tone that is measured.
    media.jbInit = media.jbMinPre = media.jbMaxPre = 60
    media.jbMax = 1000
    return _never_discarding(settings)


def _never_discarding(settings: pj.EpConfig) -> pj.EpConfig:
    """The same with jbDiscardAlgo 0. SWIG does not let Python set that enumeration, PJSUA2's JSON does."""
    document = pj.JsonDocument()
    document.writeObject(settings)
    values = json.loads(document.saveString())
    values["EpConfig"]["MediaConfig"]["jbDiscardAlgo"] = _DISCARD_NONE
    changed, document = pj.EpConfig(), pj.JsonDocument()
    document.loadString(json.dumps(values))
    document.readObject(changed)
    return changed


def _secure(tls: pj.TlsConfig, config: Config) -> None:
    """TLS 1.2 (the newest that the wheel's OpenSSL 1.0.2 has), the server verified, ours presented where we have a certificate."""
    tls.method = pj.PJSIP_TLSV1_2_METHOD
    tls.verifyServer, tls.verifyClient, tls.requireClientCert = True, False, False
    tls.msecTimeout = 5000
    tls.CaListFile = config.ca or ""
    tls.certFile, tls.privKeyFile = config.certificate or "", config.key or ""


def _live(config: Config, sock: socket.socket) -> NoReturn:
    """A forked engine's whole life."""
    try:
        engine = Engine(config, Wire(sock.fileno(), sock.fileno()), sock)
        engine.run()
    except pj.Error as error:
        log(f"PJSIP failed: {error.title}: {error.reason} ({error.status})")
    except Exception:
        log(traceback.format_exc())
    os._exit(1)


def main() -> None:
    """The nursery: for every socket that comes over the inherited one fork an engine, and tell how it ended once it has.

    Loading PJSIP takes most of an engine's start, and one process is enough to do that. No thread runs here, so forking is safe.
    """
    os.dup2(2, 1)
    control = socket.socket(fileno=int(sys.argv[1]))
    config = Config.load()
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not data:
            return
        child = os.fork()
        if child == 0:
            control.close()
            _live(config, socket.socket(fileno=descriptors[0]))
        os.close(descriptors[0])
        control.sendall(STATUS.pack(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))


if __name__ == "__main__":
    main()
