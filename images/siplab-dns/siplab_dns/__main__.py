"""`python3 -m siplab_dns FOLDER [FAULTS]`: serve the zones in FOLDER, with the faults of a file, until SIGTERM or `shutdown`."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from pathlib import Path

from siplab_dns.control import Control, event, read_lines, write
from siplab_dns.faults import BadParams, FaultBook
from siplab_dns.server import Answerer, Seen, Server
from siplab_dns.zones import ZoneError, Zones


async def _serve(folder: Path, faults: FaultBook) -> None:
    zones = Zones.load(folder)
    out = sys.stdout.buffer

    def told(seen: Seen) -> None:
        write(out, event("fault.struck", **seen._asdict()))

    answerer = Answerer(zones, faults, told)
    server = Server(answerer)
    port = await server.start()
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    control = Control(answerer, zones.origins(), stopped.set)
    write(out, event("ready", port=port, zones=zones.origins()))

    def deliver(line: bytes) -> None:
        loop.call_soon_threadsafe(lambda: write(out, control.handle(line)))

    read_lines(sys.stdin.buffer, deliver)
    await stopped.wait()
    server.close()


def standing(path: Path) -> FaultBook:
    """The faults that a file names, `{"hosts": {element: [address]}, "faults": [{kind, …}]}`. BadParams where one is none."""
    data = json.loads(path.read_text("utf-8"))
    return FaultBook(hosts=data["hosts"], standing=data["faults"])


def main() -> int:
    """Exit code 0 after an orderly stop, 1 where the zones, the faults or the port cannot be had."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        faults = standing(Path(sys.argv[2])) if len(sys.argv) > 2 else FaultBook()
        asyncio.run(_serve(Path(sys.argv[1]), faults))
    except (ZoneError, BadParams, OSError, ValueError, KeyError) as error:
        print(f"siplab-dns: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
