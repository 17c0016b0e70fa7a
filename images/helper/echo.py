"""Measures a network by echo requests (RFC 792, RFC 4443), from the network namespace that it runs in: echo.py ADDRESS BITS_PER_SECOND

Prints what came back as JSON: `sent`, `answered`, `round_trip` (the shortest, in seconds), `rate` (of a burst, in bit/s; 0 where none was
asked for). Unprivileged: a datagram socket of protocol ICMP (the engine lets every group have one).
"""

import contextlib
import json
import select
import socket
import struct
import sys
import time

ADDRESS, RATE = sys.argv[1], int(sys.argv[2])
FAMILY, PROTOCOL, REQUEST = (socket.AF_INET6, socket.IPPROTO_ICMPV6, 128) if ":" in ADDRESS else (socket.AF_INET, socket.IPPROTO_ICMP, 8)
SMALL, LARGE = 12, 1200
OVERHEAD = 14 + (40 if ":" in ADDRESS else 20) + 8
COUNT = 1000 if RATE == 0 or RATE >= 1_000_000 else 200
IDLE = 0.5  # seconds without an answer after which no more are waited for

sock = socket.socket(FAMILY, socket.SOCK_DGRAM, PROTOCOL)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
sock.connect((ADDRESS, 0))
sock.setblocking(False)


def send(number, size):
    """One echo request, with its number and the time in it. A full queue counts as lost."""
    data = struct.pack("!Id", number, time.monotonic()).ljust(size, b"\0")
    with contextlib.suppress(BlockingIOError):
        sock.send(struct.pack("!BBHHH", REQUEST, 0, 0, 0, number & 0xFFFF) + data)


def answers(within, until=float("inf")):
    """(number, arrival, round trip) of the answers that come before `until`, none later than `within` seconds after the one before."""
    while (left := min(within, until - time.monotonic())) > 0 and select.select([sock], [], [], left)[0]:
        data = sock.recv(2048)
        number, sent = struct.unpack_from("!Id", data, 8)
        now = time.monotonic()
        yield number, now, now - sent


def loss():
    """Small ones at a pace that is well below the rate."""
    pause = max(0.0005, (SMALL + OVERHEAD) * 8 * 3 / RATE if RATE else 0)
    seen, trips, start = set(), [], time.monotonic()
    for number in range(COUNT):
        send(number, SMALL)
        for found, _, trip in answers(pause, until=start + (number + 1) * pause):
            seen.add(found)
            trips.append(trip)
    for found, _, trip in answers(IDLE):
        seen.add(found)
        trips.append(trip)
        if len(seen) == COUNT:
            break
    return len(seen), min(trips, default=0.0)


def rate():
    """A burst of what the rate lets through in a second; how fast the later half of the answers came."""
    if not RATE:
        return 0.0
    for number in range(int(RATE / 8 / (LARGE + OVERHEAD)) or 1):
        send(COUNT + number, LARGE)
    came = [at for number, at, _ in answers(IDLE) if number >= COUNT]
    half = came[len(came) // 2 :]
    return (len(half) - 1) * (LARGE + OVERHEAD) * 8 / (half[-1] - half[0]) if len(half) > 2 else 0.0


answered, shortest = loss()
print(json.dumps({"sent": COUNT, "answered": answered, "round_trip": shortest, "rate": rate()}))
