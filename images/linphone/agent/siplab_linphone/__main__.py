"""The agent: answers the lab, and passes what concerns SIP on to the driver process."""

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
from typing import Any

from siplab_agent import (
    Account,
    Agent,
    BadParams,
    BadState,
    Call,
    Config,
    Dead,
    Refused,
    UnknownAccount,
    UnknownCall,
    log,
)
from siplab_agent.child import describe_end
from siplab_agent.wire import Wire

from .driver import ENDED
from .media import RtpIo

DATA = "/var/lib/siplab/linphone"
ANSWER_WITHIN = 8.0
READY_WITHIN = 15.0
"""Seconds; the first time a certificate is made as well."""
GOODBYE = 0.3
"""Seconds that a reset or the end gives BYE and REGISTER (expires 0) to be answered."""
_ERRORS = {error.code: error for error in (BadParams, BadState, Refused, UnknownAccount, UnknownCall, Dead)}


class Link:
    """The connection to one driver process: requests with their answers, and its events."""

    def __init__(self, agent: LinphoneAgent, path: str) -> None:
        self._agent = agent
        self._answers: dict[int, queue.SimpleQueue[dict[str, Any]]] = {}
        self._numbers = itertools.count(1)
        self.ready = threading.Event()
        self.pid = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(1)
        self._listener.settimeout(READY_WITHIN)
        self._socket: socket.socket | None = None

    def accept(self) -> None:
        """Wait for the driver to connect and to have a running core."""
        self._socket, _ = self._listener.accept()
        self._listener.close()
        threading.Thread(target=self._read, name="driver-events", daemon=True).start()
        if not self.ready.wait(READY_WITHIN):
            raise RuntimeError(f"liblinphone is not ready after {READY_WITHIN} s")

    def close(self) -> None:
        """No event of this driver is told any more. The reader closes what it reads from: a number closed under it may be another file."""
        if self._socket:
            with contextlib.suppress(OSError):  # the driver went first
                self._socket.shutdown(socket.SHUT_RDWR)

    def request(self, method: str, timeout: float = ANSWER_WITHIN, **params: Any) -> dict[str, Any]:
        """Ask the driver; its errors are raised as they were there."""
        number = next(self._numbers)
        answers = self._answers[number] = queue.SimpleQueue()
        try:
            assert self._socket
            self._socket.sendall(json.dumps({"id": number, "method": method, "params": params}).encode() + b"\n")
            answer = answers.get(timeout=timeout)
        except queue.Empty:
            raise Refused(f"{method}: no answer from liblinphone within {timeout} s") from None
        except OSError as error:
            raise Dead(f"{method}: linphone is gone: {error}") from error
        finally:
            del self._answers[number]
        if "error" in answer:
            raise _ERRORS.get(answer["error"]["code"], Refused)(answer["error"]["message"])
        return dict(answer["result"])

    def _read(self) -> None:
        assert self._socket
        try:
            for line in Wire(self._socket.fileno(), -1).lines():
                self._told(json.loads(line))
        except OSError as error:  # a driver that was killed with requests unread
            log(f"driver: {error}")
        finally:
            self._socket.close()
            for waiting in list(self._answers.values()):
                waiting.put({"error": {"code": "fault", "message": "linphone died"}})

    def _told(self, message: dict[str, Any]) -> None:
        if "id" in message:
            if waiting := self._answers.get(message["id"]):
                waiting.put(message)
        elif message["event"] == "ready":
            self.pid = message["pid"]
            self.ready.set()
        else:
            self._agent.post(lambda: self._agent.driver_event(self, message))


class LinphoneAgent(Agent):
    """linphone as an element of the lab."""

    vendor = "linphone"
    capabilities = frozenset(
        {
            "udp", "tcp", "tls", "ipv6", "digest-md5", "digest-sha-256", "tls-server-name", "mtls", "srv",
            "invite", "cancel", "busy", "reject-any", "redirect", "hold", "delayed-offer", "delayed-offer-uas", "early-media",
            "dtmf-rfc4733", "dtmf-info", "message", "refer", "refer-replaces", "srtp-sdes", "srtp-dtls", "zrtp", "ice", "update", "mwi",
            "q-value",
        }
    )  # fmt: skip

    def __init__(self, config: Config, wire: Wire) -> None:
        super().__init__(config, wire)
        self._generation = itertools.count(1)
        self._leaving = False
        self._ended = threading.Event()
        self._recordings = 0

    # ---- the driver process -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Audio first: liblinphone sends to it as soon as there is a call."""
        os.makedirs(self.config.recordings, exist_ok=True)
        os.makedirs(DATA, exist_ok=True)
        self._audio = RtpIo(self.config.tone_hz)
        self._software = self.spawn([sys.executable, "-m", "siplab_linphone.driver"], name="linphone", on_line=self._on_line)
        self._start_driver()

    def _start_driver(self) -> None:
        number = next(self._generation)
        path = os.path.join(DATA, f"driver-{number}.sock")
        self._link = Link(self, path)
        self._leaving = False
        self._ended.clear()
        self._software.write(f"{path} {os.path.join(DATA, str(number))}\n".encode())
        self._link.accept()

    def _on_line(self, line: str) -> None:
        """Output of the driver; runs in the reader's thread."""
        if not line.startswith(ENDED):
            return
        number, code = describe_end(int(line.removeprefix(ENDED)))
        self._ended.set()
        if not self._leaving:
            how = f"signal {number} ({signal.Signals(number).name})" if number else f"exit status {code}"
            self.software_died(f"linphone ended by {how}", signal=number, exit=code)

    def _stop_driver(self) -> None:
        self._leaving = True
        try:
            self._link.request("leave", timeout=GOODBYE + 1.0, seconds=GOODBYE)
        except (Refused, Dead) as error:
            log(f"linphone does not leave: {error}")
        if not self._ended.wait(0.2):
            with contextlib.suppress(ProcessLookupError):  # it ended just now
                os.kill(self._link.pid, signal.SIGKILL)
            self._ended.wait(1.0)
        self._link.close()

    def version(self) -> str:
        """What the library says of itself."""
        return str(self._link.request("version")["version"])

    def stop(self) -> None:
        """Hang up, unregister, end."""
        if not self._ended.is_set():
            self._stop_driver()

    def reset(self) -> None:
        """A new driver process, forked from one that has loaded the library: nothing of the old state can survive."""
        self._stop_driver()
        self._audio.play(self.config.tone_hz)
        self._hush()
        self._start_driver()

    # ---- requests ---------------------------------------------------------------------------------------------------

    def account_add(self, account: Account) -> None:
        """An account that does not register by itself."""
        names = ("aor", "username", "password", "proxy", "transport", "media", "family", "expires", "ice", "q")
        account.native = self._link.request("account.add", **{name: getattr(account, name) for name in names})["account"]

    def account_remove(self, account: Account) -> None:
        """Remove it, with its binding."""
        self._link.request("account.remove", account=account.native)

    def register(self, account: Account, expires: int | None) -> None:
        """REGISTER."""
        self._link.request("register", account=account.native, expires=expires)

    def unregister(self, account: Account) -> None:
        """REGISTER with expires 0."""
        self._link.request("unregister", account=account.native)

    def call_invite(self, call: Call, target: str, offer: str) -> None:
        """INVITE."""
        call.native = self._link.request("call.invite", account=call.account.native, target=target, offer=offer)["call"]
        self._audio.speak(True)

    def call_ring(self, call: Call) -> None:
        """180."""
        self._link.request("call.ring", call=call.native)

    def call_answer(self, call: Call) -> None:
        """200."""
        self._link.request("call.answer", call=call.native)

    def call_reject(self, call: Call, code: int, reason: str | None) -> None:
        """Any code from 400 to 699."""
        self._link.request("call.reject", call=call.native, code=code, reason=reason)

    def call_redirect(self, call: Call, contact: str) -> None:
        """302."""
        self._link.request("call.redirect", call=call.native, contact=contact)

    def call_cancel(self, call: Call) -> None:
        """CANCEL."""
        self._link.request("call.cancel", call=call.native)

    def call_bye(self, call: Call) -> None:
        """BYE."""
        self._link.request("call.bye", call=call.native)

    def call_hold(self, call: Call) -> None:
        """re-INVITE sendonly. With a sound card liblinphone would take the microphone off the call; here that is ours to do."""
        self._link.request("call.hold", call=call.native)
        self._audio.mute(True)

    def call_resume(self, call: Call) -> None:
        """re-INVITE sendrecv."""
        self._link.request("call.resume", call=call.native)

    def call_refer(self, call: Call, target: str, replaces: Call | None) -> None:
        """REFER."""
        self._link.request("call.refer", call=call.native, target=target, replaces=replaces.native if replaces else None)

    def call_dtmf(self, call: Call, digits: str, via: str) -> None:
        """Digits."""
        self._link.request("call.dtmf", call=call.native, digits=digits, via=via)

    def message_send(self, message: str, account: Account, target: str, body: str, content_type: str) -> None:
        """MESSAGE."""
        self._link.request("message.send", message=message, account=account.native, target=target, body=body, content_type=content_type)

    def subscribe(self, subscription: str, account: Account, target: str, package: str, expires: int) -> None:
        """SUBSCRIBE."""
        self._link.request("subscribe", subscription=subscription, account=account.native, target=target, package=package, expires=expires)

    def media_play(self, call: Call, tone_hz: int) -> None:
        """Another tone, for all calls: linphone has one microphone."""
        self._audio.play(tone_hz)

    def media_record(self, recording: str, path: str, call: Call, seconds: float) -> None:
        """From now on, what liblinphone would play to the ear."""
        if not call.answered and (call.incoming or call.state != "ringing"):
            raise BadState(f"{call.id} is {call.state}: there is no audio yet")

        def done(file: str, length: float) -> None:
            self.emit("media.recorded", call=call.id, recording=recording, file=file, seconds=round(length, 3))
            self.post(self._recorded)

        self._recordings += 1
        self._audio.recorder.start(path, seconds, done)
        self._audio.recording.set()

    def _recorded(self) -> None:
        self._recordings -= 1
        if self._recordings <= 0:
            self._audio.recording.clear()

    def stats(self, call: Call | None) -> dict[str, Any]:
        """RTP packets of one call."""
        return {**self._link.request("stats", call=call.native)} if call else {}

    # ---- events -----------------------------------------------------------------------------------------------------

    def driver_event(self, link: Link, message: dict[str, Any]) -> None:
        """An event of the driver, on the main thread; those of a driver that was replaced are dropped."""
        if link is not self._link:
            return
        members = {key: value for key, value in message.items() if key not in ("event", "t", "source", "account", "call")}
        account = next((item for item in self.accounts.values() if item.native == message.get("account")), None)
        call = next((item for item in self.calls.values() if item.native == message.get("call")), None)
        name = message["event"]
        if name in ("call.incoming", "call.outgoing"):
            self._new_call(name, message, account)
        elif name == "registration":
            if account:
                self.registration(account, **members)
        elif name in ("message.received", "message.status", "notify"):
            self.emit(name, **members)
        elif call is None:
            log(f"event of a call that is over: {message}")
        elif name == "call.state":
            if members["state"] == "resumed":
                self._audio.mute(False)
            self.call_state(call, **members)
            self._quiet()
        else:
            self.emit(name, call=call.id, **members)

    def _new_call(self, name: str, message: dict[str, Any], account: Account | None) -> None:
        if account is None:
            log(f"call without an account ignored: {message}")
            return
        self._audio.speak(True)
        if name == "call.incoming":
            self.incoming(account, message["from"], message.get("to"), native=message["call"])
            return
        call = Call(self.new_id("c"), account, incoming=False, target=message["to"], native=message["call"])
        self.calls[call.id] = call
        self.call_state(call, "calling")

    def _quiet(self) -> None:
        if not self.calls:
            self._hush()

    def _hush(self) -> None:
        """Without a call nobody speaks, and recordings end with what they have."""
        self._audio.speak(False)
        self._audio.mute(False)
        self._audio.recorder.close()


if __name__ == "__main__":
    LinphoneAgent.main()
