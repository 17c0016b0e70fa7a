"""Several waits at once: creating, filling, starting and removing containers is waiting for the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import TypeVar

from lab.errors import RuntimeFault

T = TypeVar("T")
WORKERS = 8


def run_all(doing: str, tasks: Mapping[str, Callable[[], T]], *, timeout: float, workers: int = WORKERS) -> dict[str, T]:
    """Run named tasks in threads; results by name, in the tasks' order.

    The first error wins: tasks not begun are cancelled, those under way are awaited (so that a clean-up afterwards sees all they
    made), then it is raised. RuntimeFault after `timeout` seconds names the tasks that had not ended; the threads are not awaited.
    """
    pool = ThreadPoolExecutor(max_workers=min(workers, len(tasks)) or 1, thread_name_prefix=doing)
    futures = {name: pool.submit(task) for name, task in tasks.items()}
    try:
        _settle(doing, futures, timeout)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return {name: future.result() for name, future in futures.items()}


def _settle(doing: str, futures: Mapping[str, Future[T]], timeout: float) -> None:
    """Wait for all; after an error or Ctrl-C only for those under way."""
    try:
        done, pending = wait(futures.values(), timeout=timeout, return_when=FIRST_EXCEPTION)
    except BaseException:
        _drain(futures, timeout)
        raise
    failed = next((future for future in futures.values() if future in done and future.exception()), None)
    if failed is not None:
        _drain(futures, timeout)
        failed.result()
    if pending:
        late = ", ".join(name for name, future in futures.items() if future in pending)
        raise RuntimeFault(f"{doing}: not done within {timeout:g} s: {late}", remedy="is the engine overloaded? see `siplab doctor`")


def _drain(futures: Mapping[str, Future[T]], timeout: float) -> None:
    wait([future for future in futures.values() if not future.cancel()], timeout=timeout)


def run_each(tasks: Mapping[str, Callable[[], object]], *, timeout: float, workers: int = WORKERS) -> dict[str, Exception]:
    """Run all tasks whatever the others do, for clean-up: the errors by name, empty when all went well."""

    def guarded(task: Callable[[], object]) -> Exception | None:
        try:
            task()
        except Exception as error:
            return error
        return None

    results = run_all("clean up", {name: partial(guarded, task) for name, task in tasks.items()}, timeout=timeout, workers=workers)
    return {name: error for name, error in results.items() if error is not None}
