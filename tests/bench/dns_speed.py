"""Queries per second of the lab's DNS over loopback, as ratios: to an echo on the same event loop, which is as fast as asyncio gets, and to
itself without its cache of answers.

python tests/bench/dns_speed.py [--seconds 3] [--repeat 3]

A client in a process of its own keeps WINDOW queries in flight over UDP. Numbers of different machines cannot be compared, ratios can.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

import dns.message

sys.path.insert(0, str(Path(__file__).parents[2] / "images" / "siplab-dns"))

from siplab_dns.faults import FaultBook
from siplab_dns.server import Answerer, Server
from siplab_dns.zones import Zones

WINDOW = 32
NAMES = 50
ZONE = '''$ORIGIN atlanta.example.
$TTL 5
@ IN SOA ns.siplab.example. h.siplab.example. 1 60 60 600 3
@ IN NS ns.siplab.example.
@ IN NAPTR 10 50 "s" "SIPS+D2T" "" _sips._tcp
_sips._tcp IN SRV 10 0 5061 pa0
''' + "".join(f"pa{n} IN A 198.18.96.{n}\npa{n} IN AAAA 2001:db8:60::{n}\n" for n in range(NAMES))  # fmt: skip
QUESTIONS = [("atlanta.example", "NAPTR"), ("_sips._tcp.atlanta.example", "SRV")] + [
    (f"pa{n}.atlanta.example", kind) for n in range(NAMES) for kind in ("A", "AAAA")
]
KINDS = ("echo", "cached", "fault elsewhere", "no cache")


class Echo(asyncio.DatagramProtocol):
    """Sends back what comes."""

    def connection_made(self, transport):
        """Keep it."""
        self.transport = transport

    def datagram_received(self, data, addr):
        """Back."""
        self.transport.sendto(data, addr)


class Forgetful(dict):
    """A cache that keeps nothing."""

    def __setitem__(self, key, value):
        """Nothing."""


async def serve(kind, ready):
    """Serve until killed."""
    if kind == "echo":
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
        ready.send(transport.get_extra_info("sockname")[1])
    else:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "atlanta.example.zone").write_text(ZONE)
            answerer = Answerer(Zones.load(Path(folder)), FaultBook())
        if kind == "no cache":
            answerer._cache = Forgetful()
        if kind == "fault elsewhere":
            answerer.faults.set({"kind": "drop", "name": "*.biloxi.example"})
        ready.send(await Server(answerer, port=0, hosts=("127.0.0.1",)).start())
    await asyncio.Event().wait()


def measure(kind, seconds):
    """Answers per second."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=lambda: asyncio.run(serve(kind, theirs)), daemon=True)
    server.start()
    port = ours.recv()
    queries = [dns.message.make_query(name, kind).to_wire()[2:] for name, kind in QUESTIONS]
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.connect(("127.0.0.1", port))
    client.settimeout(5)
    for number in range(WINDOW):
        client.send(number.to_bytes(2) + queries[number % len(queries)])
    answered, begun = 0, time.monotonic()
    while time.monotonic() < begun + seconds:
        client.recv(4096)
        answered += 1
        client.send((answered & 0xFFFF).to_bytes(2) + queries[answered % len(queries)])
    rate = answered / (time.monotonic() - begun)
    server.kill()
    server.join()
    return rate


def main():
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--repeat", type=int, default=3, help="rounds; within one, all are measured in turn")
    options = parser.parse_args()
    rounds = [{kind: measure(kind, options.seconds) for kind in KINDS} for _ in range(options.repeat)]
    print("| server | queries/s | of echo | of no cache |\n|---|---|---|---|")
    for kind in KINDS:
        rate = statistics.median(one[kind] for one in rounds)
        ratios = [statistics.median(one[kind] / one[other] for one in rounds) for other in ("echo", "no cache")]
        print(f"| {kind} | {rate:.0f} | {ratios[0]:.2f} | {ratios[1]:.1f} |")


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    main()
