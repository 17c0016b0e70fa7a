"""An agent whose software lives on an asyncio event loop."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Coroutine
from typing import Any

from .agent import Agent
from .config import Config
from .wire import Wire, log


class AsyncAgent(Agent):
    """Handlers, posted functions, timers and coroutines share one thread: that of the event loop `aio`."""

    def __init__(self, config: Config, wire: Wire) -> None:
        super().__init__(config, wire)
        self.aio = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._looping = True

    def post(self, job: Callable[[], None]) -> None:
        """As the library does, and wake the event loop."""
        super().post(job)
        self.aio.call_soon_threadsafe(self._serve_queue)

    def after(self, seconds: float, job: Callable[[], None]) -> None:
        """Run `job` on the loop's thread in `seconds`. From any thread."""
        self.aio.call_soon_threadsafe(self.aio.call_later, seconds, self._guard, job)

    def loop(self) -> None:
        """The event loop is the main loop."""
        self.aio.run_forever()

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

    def _serve_queue(self) -> None:
        self.pump(0)
        if self._looping and not self.running:  # once: `stop` needs the loop again
            self._looping = False
            self.aio.stop()
