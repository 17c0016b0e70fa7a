"""The agent: reads requests, calls the vendor's handlers, answers each exactly once, tells events. See ../README.md."""

from __future__ import annotations

import contextlib
import functools
import heapq
import itertools
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from . import contract
from .child import Child, describe_end, output_of, reap_orphans
from .config import Config, ConfigError
from .faults import BadParams, Dead, Refused, RequestError, UnknownAccount, UnknownCall, Unsupported
from .model import Account, Call
from .request import Request
from .wire import Wire, log

ANSWER_WITHIN = 9.0
"""Seconds after which the library itself answers for a handler that hangs (the contract allows 10)."""
END_WITHIN = 4.0
"""Seconds from EOF or SIGTERM to the end of the process, whatever the software does."""

LIBRARY_OWN = frozenset({"hello", "stats", "shutdown"})
"""Methods that need nothing of a vendor."""


@functools.cache
def claim_stdio() -> Wire:
    """Protect the protocol from printing libraries. Idempotent; call it before importing a library that prints on import."""
    return Wire.claim()


class Agent:
    """Base class of a vendor's agent.

    Handlers are methods named like the contract's (`call.invite` → `call_invite`); one that is not defined is `unsupported`.
    All handlers, posted functions and timers run on the main thread, one at a time; events may be told from any thread.
    """

    vendor = "unnamed"
    capabilities: frozenset[str] = frozenset()

    def __init__(self, config: Config, wire: Wire) -> None:
        self.config = config
        self.accounts: dict[str, Account] = {}
        self.calls: dict[str, Call] = {}
        self.running = True
        self.dead = False
        self._wire = wire
        self._queue: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count(1)
        self._ids: dict[str, itertools.count[int]] = {}
        self._state_lock = threading.RLock()
        self._children: list[Child] = []
        self._spawn_lock = threading.Lock()
        self._deadlines: dict[int, tuple[float, Request]] = {}
        self._version = "unknown"

    # ---- hooks of a vendor ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Bring the software up; runs before the first request is read, so that `hello` means ready."""

    def version(self) -> str:
        """Version of the software, asked once after `start`."""
        return "unknown"

    def stop(self) -> None:
        """End the software (shutdown, EOF, SIGTERM). Must take less than 3 s."""

    def reset(self) -> Any:
        """End every call and remove every account in the software: here by starting it anew. The library clears its registries."""
        self.stop()
        self.start()

    def loop(self) -> None:
        """The main loop. An event-loop library overrides it: `while self.running: library.poll(0.02); self.pump(0)`."""
        while self.running:
            self.pump(1.0)

    # ---- services for a vendor --------------------------------------------------------------------------------------

    def pump(self, timeout: float = 0.0) -> None:
        """Run what waits for the main thread (requests, posted functions, due timers); wait up to `timeout` s for the first."""
        self._run_timers()
        if self._timers:
            timeout = min(timeout, max(0.0, self._timers[0][0] - time.monotonic()))
        try:
            job = self._queue.get(timeout=timeout) if timeout > 0 else self._queue.get_nowait()
            while True:
                self._guard(job)
                job = self._queue.get_nowait()
        except queue.Empty:
            self._run_timers()

    def post(self, job: Callable[[], None]) -> None:
        """Run `job` on the main thread, soon. From any thread."""
        self._queue.put(job)

    def after(self, seconds: float, job: Callable[[], None]) -> None:
        """Run `job` on the main thread in `seconds`. From any thread."""
        self.post(lambda: heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._count), job)))

    def emit(self, event: str, *, source: str = "native", **members: Any) -> None:
        """Tell an event; members that are None are left out."""
        known = {name: value for name, value in members.items() if value is not None}
        self._wire.event({"event": event, "t": round(time.time(), 6), "source": source, **known})

    def registration(self, account: Account, state: str, *, source: str = "native", **members: Any) -> None:
        """Tell `registered`, `unregistered` or `failed` of an account."""
        self.emit("registration", source=source, account=account.id, state=state, **members)

    def incoming(self, account: Account, sender: str, to: str | None = None, *, native: Any = None, source: str = "native") -> Call:
        """Register an incoming call, tell `call.incoming`, and return it in state `incoming`."""
        call = Call(self.new_id("c"), account, incoming=True, target=sender, state="incoming", native=native)
        self.calls[call.id] = call
        self.emit("call.incoming", source=source, call=call.id, account=account.id, **{"from": sender, "to": to})
        return call

    def call_state(self, call: Call, state: str, code: int | None = None, reason: str | None = None, *, source: str = "native") -> bool:
        """Tell a call's new state. False where it must not be told: the call has terminated already."""
        with self._state_lock:
            if not call.live:
                return False
            call.state = state
            if state == "terminated":
                self.calls.pop(call.id, None)
            self.emit("call.state", source=source, call=call.id, state=state, code=code, reason=reason)
        return True

    def recorded(self, call: Call, recording: str, path: str, seconds: float, *, source: str = "native") -> None:
        """Tell that a recording is complete. `partial(self.recorded, call, recording)` is what recorders take as `done`."""
        self.emit("media.recorded", source=source, call=call.id, recording=recording, file=path, seconds=seconds)

    def new_id(self, prefix: str) -> str:
        """Next free id: a1, c1, m1, r1, s1 …; never used twice in a process."""
        return f"{prefix}{next(self._ids.setdefault(prefix, itertools.count(1)))}"

    def spawn(self, argv: list[str], *, name: str, on_exit: Callable[[int], None] | None = None, **options: Any) -> Child:
        """Start a supervised process. Its unexpected end is `software_died` unless `on_exit` is given."""
        with self._spawn_lock:  # against the reaper: a child that dies at once must be known as one
            child = Child(argv, name=name, on_exit=on_exit or (lambda code: self._child_died(name, code)), **options)
            self._children = [*(known for known in self._children if known.alive), child]
        return child

    def output_of(self, argv: list[str], timeout: float = 5.0) -> str:
        """What a command prints; Refused where it fails. `subprocess` alone takes an exit status that our reaper took for 0."""
        with self._spawn_lock:
            return output_of(argv, timeout)

    def software_died(self, what: str, *, signal: int | None = None, exit: int | None = None) -> None:
        """The software is gone: `fault`, `terminated` for its calls, and every later request is answered `fault`."""
        with self._state_lock:
            if self.dead or not self.running:
                return
            self.dead = True
            self.emit("fault", what=what, signal=signal, exit=exit)
            for call in list(self.calls.values()):
                self.call_state(call, "terminated", reason=what)

    # ---- the process ------------------------------------------------------------------------------------------------

    @classmethod
    def main(cls) -> None:
        """Run the agent as this process, to its end. Does not return."""
        wire = claim_stdio()
        try:
            agent = cls(Config.load(), wire)
        except ConfigError as error:
            log(str(error))
            wire.event({"event": "fault", "t": time.time(), "source": "native", "what": str(error)})
            sys.exit(2)
        status = agent.run()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # threads wait in reads: an interpreter that cleans up under them can crash (once in some 40 ends: signal 11)

    def run(self) -> int:
        """Start, serve until shutdown, EOF or SIGTERM, stop. Returns the exit status."""
        self._install_signals()
        try:
            self._hook(self.start)
            self._version = self._hook(self.version)
        except Exception as error:
            log(traceback.format_exc())
            self.emit("fault", what=f"cannot start {self.vendor}: {error}")
            self._end_children()
            return 1
        threading.Thread(target=self._read, name="requests", daemon=True).start()
        threading.Thread(target=self._watchdog, name="watchdog", daemon=True).start()
        self.loop()
        return self._finish()

    def quit(self) -> None:
        """Leave the main loop; the process is ended in any case within END_WITHIN seconds. From any thread."""
        timer = threading.Timer(END_WITHIN, self._give_up)
        timer.daemon = True
        timer.start()
        self.running = False
        self.post(lambda: None)

    def _finish(self) -> int:
        try:
            self._hook(self.stop)
        except Exception:
            log(traceback.format_exc())
        self._end_children()
        return 0

    def _end_children(self) -> None:
        for child in self._children:
            child.end(0.5)

    def _give_up(self) -> None:
        log(f"{self.vendor} did not end within {END_WITHIN} s: leaving it")
        os._exit(1)

    def _child_died(self, name: str, returncode: int) -> None:
        number, code = describe_end(returncode)
        how = f"signal {number} ({signal.Signals(number).name})" if number else f"exit status {code}"
        self.software_died(f"{name} ended by {how}", signal=number, exit=code)
        self.post(lambda: None)

    def _install_signals(self) -> None:
        """The wakeup descriptor is written by C code, so SIGTERM works while a vendor library holds the main thread."""
        read_fd, write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        os.set_blocking(read_fd, True)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
        threading.Thread(target=self._signals, args=(read_fd,), name="signals", daemon=True).start()

    def _signals(self, read_fd: int) -> None:
        while True:
            for number in os.read(read_fd, 64):
                if number in (signal.SIGTERM, signal.SIGINT):
                    self.quit()
                elif number == signal.SIGCHLD and os.getpid() == 1 and self._spawn_lock.acquire(blocking=False):  # else with the next one
                    reap_orphans({child.pid for child in self._children})
                    self._spawn_lock.release()

    # ---- requests ---------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        for line in self._wire.lines():
            request = Request(self._wire, line)
            if request.broken:
                request.fail(BadParams(request.broken))
                continue
            self._deadlines[id(request)] = (time.monotonic() + ANSWER_WITHIN, request)
            self.post(lambda request=request: self._serve(request))  # type: ignore[misc]
        self.quit()

    def _watchdog(self) -> None:
        while self.running:
            time.sleep(0.25)
            now = time.monotonic()
            for deadline, request in list(self._deadlines.values()):
                if now > deadline:
                    self._deadlines.pop(id(request), None)
                    request.fail(Refused(f"{request.method}: no answer from the software within {ANSWER_WITHIN} s"))

    def _serve(self, request: Request) -> None:
        with contextlib.suppress(StopIteration):  # at once: handlers are plain functions here, so nothing waits
            self._reply(request).send(None)

    def _hook(self, hook: Callable[[], Any]) -> Any:
        """Call `start`, `version` or `stop`."""
        return hook()

    async def _invoke(self, handler: Callable[..., Any], *args: Any, **values: Any) -> Any:
        """Call a vendor's handler."""
        return handler(*args, **values)

    async def _reply(self, request: Request) -> None:
        if not request.begin():
            return
        try:
            request.succeed(await self._dispatch(request.method, request.params))
        except RequestError as error:
            request.fail(error)
        except Exception as error:
            log(traceback.format_exc())
            request.fail(Refused(f"{request.method}: {type(error).__name__}: {error}"))
        finally:
            self._deadlines.pop(id(request), None)
        if request.method == "shutdown":
            self.quit()

    async def _dispatch(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        if method not in contract.METHODS:
            raise Unsupported(f"unknown method {method[:80]!r}")
        own = getattr(self, "_do_" + method.replace(".", "_"), None)
        handler = getattr(self, method.replace(".", "_"), None)
        if handler is None and method not in LIBRARY_OWN:
            raise Unsupported(f"{method}: this software cannot do it")
        values = contract.validate(method, params)
        contract.require(method, values, self.capabilities)
        if self.dead and method != "shutdown":
            raise Dead(f"{method}: {self.vendor} is dead")
        self._resolve(values)
        result = await (own(handler, **values) if own else self._invoke(handler, **values))  # type: ignore[arg-type]
        return result or {}

    def _resolve(self, values: dict[str, Any]) -> None:
        """Ids become objects."""
        if values.get("account") is not None:
            account = self.accounts.get(values["account"])
            if account is None:
                raise UnknownAccount(f"no account {values['account']!r}")
            values["account"] = account
        for name in ("call", "replaces"):
            if values.get(name) is not None:
                call = self.calls.get(values[name])
                if call is None:
                    raise UnknownCall(f"no call {values[name]!r}")
                values[name] = call

    async def _do_hello(self, _handler: Any) -> dict[str, Any]:
        return {"contract": contract.VERSION, "vendor": self.vendor, "version": self._version, "capabilities": sorted(self.capabilities)}

    async def _do_shutdown(self, _handler: Any) -> None:
        """Answered first; `_reply` then quits."""

    async def _do_stats(self, handler: Any, call: Call | None) -> dict[str, Any]:
        more = await self._invoke(handler, call) if handler else None
        return {"calls": sorted(self.calls), **(more or {})}

    async def _do_reset(self, handler: Any) -> None:
        await self._invoke(handler)
        for call in list(self.calls.values()):
            self.call_state(call, "terminated", reason="reset")
        self.accounts.clear()

    async def _do_account_add(self, handler: Any, **values: Any) -> dict[str, Any]:
        account = Account(id=self.new_id("a"), **values)
        self.accounts[account.id] = account
        try:
            await self._invoke(handler, account)
        except BaseException:
            del self.accounts[account.id]
            raise
        return {"account": account.id}

    async def _do_account_remove(self, handler: Any, account: Account) -> None:
        await self._invoke(handler, account)
        self.accounts.pop(account.id, None)

    async def _do_call_invite(self, handler: Any, account: Account, target: str, offer: str) -> dict[str, Any]:
        call = Call(self.new_id("c"), account, incoming=False, target=target)
        self.calls[call.id] = call
        try:
            await self._invoke(handler, call, target, offer)
        except BaseException:
            self.calls.pop(call.id, None)
            call.state = "terminated"
            raise
        if call.state == "new":
            self.call_state(call, "calling")
        return {"call": call.id}

    async def _do_message_send(self, handler: Any, **values: Any) -> dict[str, Any]:
        message = self.new_id("m")
        await self._invoke(handler, message, **values)
        return {"message": message}

    async def _do_subscribe(self, handler: Any, **values: Any) -> dict[str, Any]:
        subscription = self.new_id("s")
        await self._invoke(handler, subscription, **values)
        return {"subscription": subscription}

    async def _do_media_record(self, handler: Any, call: Call, seconds: float) -> dict[str, Any]:
        recording = self.new_id("r")
        await self._invoke(handler, recording, os.path.join(self.config.recordings, f"{call.id}-{recording}.wav"), call, float(seconds))
        return {"recording": recording}

    # ---- small things -----------------------------------------------------------------------------------------------

    def _guard(self, job: Callable[[], None]) -> None:
        try:
            job()
        except Exception:
            log(traceback.format_exc())

    def _run_timers(self) -> None:
        while self._timers and self._timers[0][0] <= time.monotonic():
            self._guard(heapq.heappop(self._timers)[2])
