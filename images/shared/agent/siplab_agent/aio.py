"""An agent whose software lives on an asyncio event loop."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import traceback
from collections.abc import Callable, Coroutine
from typing import Any

from .agent import ANSWER_WITHIN, Agent
from .config import Config
from .faults import Refused
from .request import Request
from .wire import Wire, log


class AsyncAgent(Agent):
    """Handlers, posted functions, timers and coroutines share one thread: that of the event loop `aio`.

    Handlers, `start`, `version`, `stop` and `reset` may be coroutines. Requests are served one after the other.
    """

    def __init__(self, config: Config, wire: Wire) -> None:
        super().__init__(config, wire)
        self.aio = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._looping = True
        self._requests: asyncio.Queue[Request] = asyncio.Queue()

    async def reset(self) -> None:
        """As the library does: `stop` and `start`."""
        await self._invoke(self.stop)
        await self._invoke(self.start)

    def post(self, job: Callable[[], None]) -> None:
        """As the library does, and wake the event loop."""
        super().post(job)
        self.aio.call_soon_threadsafe(self._serve_queue)

    def after(self, seconds: float, job: Callable[[], None]) -> None:
        """Run `job` on the loop's thread in `seconds`. From any thread."""
        self.aio.call_soon_threadsafe(self.aio.call_later, seconds, self._guard, job)

    def loop(self) -> None:
        """The event loop is the main loop."""
        serving = self.launch(self._serve_requests())
        self.aio.run_forever()
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            self.aio.run_until_complete(serving)

    def launch(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[Any]:
        """Run `work` beside the rest, kept alive; what it raises goes to the log."""
        task = self.aio.create_task(self._logged(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _logged(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:
            log(traceback.format_exc())

    def _serve(self, request: Request) -> None:
        self._requests.put_nowait(request)

    async def _serve_requests(self) -> None:
        while True:
            await self._reply(await self._requests.get())

    def _hook(self, hook: Callable[[], Any]) -> Any:
        outcome = hook()
        return self.aio.run_until_complete(outcome) if inspect.isawaitable(outcome) else outcome

    async def _invoke(self, handler: Callable[..., Any], *args: Any, **values: Any) -> Any:
        outcome = handler(*args, **values)
        if not inspect.isawaitable(outcome):
            return outcome
        try:
            return await asyncio.wait_for(outcome, ANSWER_WITHIN)
        except TimeoutError:
            raise Refused(f"no answer from the software within {ANSWER_WITHIN} s") from None

    def _serve_queue(self) -> None:
        self.pump(0)
        if self._looping and not self.running:  # once: `stop` needs the loop again
            self._looping = False
            self.aio.stop()
