"""baresip-python's runtime on an event loop in a thread of its own: the agent's thread asks and waits."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import uuid
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

import baresip
from baresip._native import ffi, lib
from siplab_agent import BadState, Dead, Refused, log
from siptext import Message

MAX_CALLS = 8


class Stack:
    """One runtime at a time. `on_event` and `on_message` are called in other threads than the agent's."""

    def __init__(self, on_event: Callable[[Any], None], on_message: Callable[[Message], None], on_dead: Callable[[], None]) -> None:
        self._on_event, self._on_dead = on_event, on_dead
        self._runtime: Any = None
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="baresip", daemon=True).start()
        _listen(on_message)

    def start(self, name: str, network: str) -> None:
        """Bring the runtime up with these lines of configuration. A runtime before it must have been closed.

        Every name has an instance id of its own (RFC 5626 §4.1), which does not change.
        """
        config = baresip.Config(
            native_log_level="info",
            sip_trace=True,
            max_concurrent_calls=MAX_CALLS,
            instance_id=str(uuid.uuid5(uuid.NAMESPACE_DNS, name)),
            extra_config_text=network,
        )
        self._runtime = baresip.Runtime()
        self._runtime.on_dead = self._on_dead
        self._runtime.subscribe(self._on_event)
        self.run(self._runtime.start(config))

    def close(self) -> None:
        """End the runtime and all that it has."""
        self.run(self._runtime.close())

    def agent(self, line: str) -> Any:
        """A new user agent of the runtime, which does what a REFER asks for."""
        return self.run(baresip.UserAgent.create(self._runtime, line, transfer_policy="auto"))

    def run(self, work: Coroutine[Any, Any, Any], timeout: float = 3.0) -> Any:
        """The result of `work`; Refused, BadState or Dead where baresip-python raises."""
        future = self.launch(work)
        try:
            return future.result(timeout)
        except TimeoutError as error:
            future.cancel()
            raise Refused(f"no answer from baresip within {timeout} s") from error
        except baresip.RuntimeDead as error:
            raise Dead(str(error)) from error
        except baresip.StaleHandleError as error:
            raise BadState(str(error)) from error
        except baresip.BaresipError as error:
            raise Refused(str(error)) from error

    def launch(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Start `work` beside the rest; what it raises is in the future, and in the log for who does not look there."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        future.add_done_callback(_log_failure)
        return future


def _log_failure(future: Future[Any]) -> None:
    if not future.cancelled() and (error := future.exception()):
        log(f"baresip-python: {error!r}")


def library_version() -> str:
    """Of baresip, as the library says."""
    return str(ffi.string(lib.bp_version()).decode())


class _Trace(logging.Handler):
    """The runtime's SIP trace: `TX UDP 198.18.0.13:5060 -> 198.18.0.11:5060` and, in lines of its own, the message."""

    def __init__(self, on_message: Callable[[Message], None]) -> None:
        super().__init__()
        self._on_message = on_message

    def emit(self, record: logging.LogRecord) -> None:
        head, *lines = record.getMessage().replace("\r", "").split("\n")
        if lines and lines[0]:
            self._on_message(Message.parse(head.startswith("TX "), lines))


def _listen(on_message: Callable[[Message], None]) -> None:
    """Everything that is logged goes to stderr, and the SIP trace to `on_message`, too."""
    logging.basicConfig(stream=sys.stderr, format="%(name)s %(levelname)s %(message)s", level=logging.INFO)
    trace = logging.getLogger("baresip.native.sip")
    trace.setLevel(logging.DEBUG)
    trace.addHandler(_Trace(on_message))
    log(f"baresip-python {baresip.__version__}")
