"""The process that is linphone: one liblinphone core, driven by JSON lines over a Unix socket.

It runs apart from the agent so that a crash of the library is an event and not the end of the container. Everything happens on
one thread: requests are read, the core is iterated, its callbacks write events. Requests and events have the shape of the agent
contract; their parameters were validated by the agent.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

from siplab_agent.config import Config
from siplab_agent.faults import RequestError
from siplab_agent.wire import Wire, log

from .accounts import Accounts
from .api import LOG_LEVELS, Api
from .calls import Calls
from .messages import Messages
from .settings import linphonerc

ENDED = "driver ended: "
"""How a driver's exit status is announced on stdout."""
DTLS_IDENTITY = "linphone-dtls-default-identity"
"""The certificate that liblinphone looks for. Making it takes a second, or many on a busy machine: it is there before anybody calls."""
PRELOAD = "/usr/lib/siplab/linphone-preload"
PR_SET_PDEATHSIG = 1
TICK = 0.01
"""Seconds between two iterations of the core: the delay it adds to every SIP message."""


class Driver:
    """One core and the parts that act on it."""

    def __init__(self, config: Config, data: str, wire: Wire) -> None:
        self.wire = wire
        self._ids: dict[str, int] = {}
        self._later: list[Callable[[], None]] = []
        self.api = api = Api()
        self.factory = api.factory_get()
        self.core = self._start(config, data)
        cbs = api.factory_create_core_cbs(self.factory)
        self.accounts = Accounts(self)
        self.calls = Calls(self)
        self.messages = Messages(self)
        for part in (self.accounts, self.calls, self.messages):
            part.install(cbs)
        api.core_add_callbacks(self.core, cbs)
        if api.core_start(self.core):
            raise RuntimeError("linphone_core_start failed: see the log above")
        self.methods: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "version": lambda _: {"version": api.core_get_version()},
            **self.accounts.methods,
            **self.calls.methods,
            **self.messages.methods,
        }

    def _start(self, config: Config, data: str) -> int:
        api = self.api
        os.makedirs(data, exist_ok=True)
        path = os.path.join(data, "linphonerc")
        certificates = os.path.join(os.path.dirname(data), "certificates")
        if not os.path.exists(os.path.join(certificates, f"{DTLS_IDENTITY}.pem")):
            os.makedirs(certificates, exist_ok=True)
            api.make_certificate(certificates, DTLS_IDENTITY)
        with open(path, "w", encoding="utf-8") as file:
            file.write(linphonerc(config, certificates))
        api.factory_set_data_dir(self.factory, data)
        api.factory_set_config_dir(self.factory, data)
        api.logging_service_set_log_level(api.logging_service_get(), LOG_LEVELS.get(config.log_level, 4))
        core = api.factory_create_core_with_config_3(self.factory, api.factory_create_config(self.factory, path), None)
        if not core:
            raise RuntimeError("liblinphone made no core: see the log above")
        api.core_set_user_agent(core, "liblinphone", api.core_get_version())
        return int(core)

    def new_id(self, letter: str) -> str:
        """A handle by which this process and the agent name an object; the lab sees the agent's ids only."""
        self._ids[letter] = self._ids.get(letter, 0) + 1
        return f"{letter}{self._ids[letter]}"

    def event(self, name: str, **members: Any) -> None:
        """An event told by a callback of the library; members that are None are left out."""
        known = {key: value for key, value in members.items() if value is not None}
        self.wire.event({"event": name, "t": time.time(), "source": "native", **known})

    def later(self, action: Callable[[], None]) -> None:
        """Run after the current iteration: what must not be done inside a callback."""
        self._later.append(action)

    def address(self, uri: str) -> int:
        """A LinphoneAddress to be released by the caller with `address_unref`."""
        address = self.api.factory_create_address(self.factory, uri)
        if not address:
            raise RequestError(f"linphone cannot parse the URI {uri}")
        return int(address)

    def handle(self, request: dict[str, Any]) -> None:
        """Answer one request."""
        self.wire.hold()
        answer: dict[str, Any] = {"id": request["id"]}
        try:
            answer["result"] = self.methods[request["method"]](request["params"])
        except RequestError as error:
            answer["error"] = {"code": error.code, "message": str(error)}
        self.wire.answer(answer, release=True)

    def iterate(self) -> None:
        """One turn of the core, then what callbacks asked for."""
        self.api.core_iterate(self.core)
        actions, self._later = self._later, []
        for action in actions:
            action()

    def leave(self, seconds: float) -> None:
        """Hang up and unregister, for at most `seconds`."""
        self.api.core_terminate_all_calls(self.core)
        self.accounts.unregister_all()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and (self.calls.live or self.accounts.leaving):
            self.iterate()
            time.sleep(TICK)  # the core has no descriptor to wait on: it is iterated by a clock


def _serve(driver: Driver, link: socket.socket) -> None:
    buffer = b""
    while True:
        if select.select([link], [], [], TICK)[0]:
            data = link.recv(65536)
            if not data:
                return
            buffer += data
            *lines, buffer = buffer.split(b"\n")
            for line in lines:
                request = json.loads(line)
                if request["method"] == "leave":
                    driver.leave(request["params"]["seconds"])
                    driver.wire.answer({"id": request["id"], "result": {}}, release=True)
                    return
                driver.handle(request)
        driver.iterate()


def _run(path: str, data: str) -> None:
    """The life of one driver, in a process of its own."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    link = socket.socket(socket.AF_UNIX)
    link.connect(path)
    wire = Wire(link.fileno(), link.fileno())
    driver = Driver(Config.load(), data, wire)
    wire.event({"event": "ready", "pid": os.getpid()})
    _serve(driver, link)
    log("driver ends")


def _fork(path: str, data: str) -> int:
    """Run a driver and wait for its end; the result is as `subprocess` tells it: negative for a signal."""
    child = os.fork()
    if not child:
        status = 1
        try:
            _run(path, data)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)  # the library's own shutdown takes up to a second and may crash: nothing is left to save
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # and the driver with us: PR_SET_PDEATHSIG
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _preload() -> None:
    """Load what liblinphone needs, but nothing of Linphone's own: its random numbers are seeded when bctoolbox is loaded, and two
    drivers with the same seed would use the same Call-IDs, tags and SRTP keys."""
    try:
        with open(PRELOAD, encoding="utf-8") as file:
            names = file.read().split()
    except FileNotFoundError:
        log(f"{PRELOAD} is missing: every reset will be slower")
        return
    for name in names:
        ctypes.CDLL(name)


def main() -> None:
    """`python3 -m siplab_linphone.driver`: for each line `SOCKET DATA` on stdin, run a driver and tell on stdout how it ended.

    Starting Python and loading some 165 libraries that liblinphone needs is most of the start. It is done once, here; a driver is a fork.
    """
    _preload()
    for line in sys.stdin:
        path, data = line.split()
        status = _fork(path, data)
        os.write(1, f"\n{ENDED}{status}\n".encode())


if __name__ == "__main__":
    main()
