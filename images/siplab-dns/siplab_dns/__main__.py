"""`python3 -m siplab_dns FOLDER`: serve the zones in FOLDER until SIGTERM or `shutdown`."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from pathlib import Path

from siplab_dns.control import Control, event, read_lines, write
from siplab_dns.server import Answerer, Server
from siplab_dns.zones import ZoneError, Zones


async def _serve(folder: Path) -> None:
    zones = Zones.load(folder)
    answerer = Answerer(zones)
    server = Server(answerer)
    port = await server.start()
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    control = Control(answerer, zones.origins(), stopped.set)
    out = sys.stdout.buffer
    write(out, event("ready", port=port, zones=zones.origins()))

    def deliver(line: bytes) -> None:
        loop.call_soon_threadsafe(lambda: write(out, control.handle(line)))

    read_lines(sys.stdin.buffer, deliver)
    await stopped.wait()
    server.close()


def main() -> int:
    """Exit code 0 after an orderly stop, 1 where the zones or the port cannot be had."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        asyncio.run(_serve(Path(sys.argv[1])))
    except (ZoneError, OSError) as error:
        print(f"siplab-dns: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
