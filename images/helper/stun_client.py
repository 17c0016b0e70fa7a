"""What the NAT on the way does (RFC 5780, RFC 4787 terms), as one JSON object: stun_client.py GATEWAY ADDRESS OTHER LIFETIME [TCP-PORT…]

GATEWAY becomes the default route. ADDRESS and OTHER are those of a stun_server.py. LIFETIME is the number of seconds for which a binding
that is not used should live; 0: not measured, since that takes as long. TCP ports are tried at ADDRESS.
"""

import json
import select
import socket
import subprocess
import sys
import threading
import time

from stun import CHANGE_ADDRESS, CHANGE_PORT, PORTS, SIP, SUCCESS, parse, read_mapped, request

WAIT = 1.6
RETRANSMIT = 0.25
ANYBODY = "endpoint-independent"
HOST = "address-dependent"
PLACE = "address-and-port-dependent"


class Test(threading.Thread):
    """A test that runs beside others."""

    def __init__(self, what, *arguments):
        super().__init__()
        self._what, self._arguments, self._found = what, arguments, None
        self.start()

    def run(self):
        """In its own thread."""
        self._found = self._what(*self._arguments)

    def found(self):
        """What came out of it, once it is done."""
        self.join()
        return self._found


def opened():
    """A socket of its own for each test: what one has sent must not open the NAT for another."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("", 0))
    return sock


def heard(sock, transaction, until):
    """The attributes of the response to a transaction, or None."""
    while (left := until - time.monotonic()) > 0 and select.select([sock], [], [], left)[0]:
        parsed = parse(sock.recv(2048))
        if parsed and parsed[:2] == (SUCCESS, transaction):
            return parsed[2]
    return None


def asked(sock, place, change=0, wait=WAIT):
    """Our address as `place` saw it, or None where no answer came in time."""
    data, transaction = request(change)
    end = time.monotonic() + wait
    while (now := time.monotonic()) < end:
        sock.sendto(data, place)
        attributes = heard(sock, transaction, min(end, now + RETRANSMIT))
        if attributes is not None:
            return read_mapped(attributes)
    return None


def mapping(first, other):
    """Is the same socket the same to everybody? `none` where it is seen as it is; None where somebody does not answer."""
    sock = opened()
    sock.connect((first, PORTS[0]))
    local = sock.getsockname()
    sock.close()
    sock = opened()
    seen = [asked(sock, place) for place in ((first, PORTS[0]), (other, PORTS[0]), (other, PORTS[1]))]
    if None in seen:
        return None
    if seen[0] == (local[0], sock.getsockname()[1]):
        return "none"
    if seen[0] == seen[1] == seen[2]:
        return ANYBODY
    return HOST if seen[1] == seen[2] else PLACE


def filtering(first):
    """Who is let in, once we have spoken to one place."""
    anybody, same_host = Test(let_in, first, CHANGE_ADDRESS | CHANGE_PORT), Test(let_in, first, CHANGE_PORT)
    return ANYBODY if anybody.found() else HOST if same_host.found() else PLACE


def let_in(first, change):
    """Does an answer from elsewhere arrive, once we have spoken to one place?"""
    sock = opened()
    return asked(sock, (first, PORTS[0])) is not None and asked(sock, (first, PORTS[0]), change) is not None


def hairpin(first):
    """Does what is sent to our own public address come back in (RFC 4787 §6)?"""
    one, other = opened(), opened()
    target = asked(one, (first, PORTS[0]))
    if target is None or asked(other, (first, PORTS[0])) is None:
        return False
    data, transaction = request()
    end = time.monotonic() + WAIT
    while (now := time.monotonic()) < end:
        other.sendto(data, target)
        if select.select([one], [], [], min(RETRANSMIT, end - now))[0]:
            parsed = parse(one.recv(2048))
            if parsed and parsed[1] == transaction:
                return True
    return False


def alive_after(first, seconds):
    """Is a binding still there after that time (RFC 5780 §4.6)? Asked for by another socket, so that the question does not refresh it."""
    sock, asker = opened(), opened()
    seen = asked(sock, (first, PORTS[0]))
    if seen is None:
        return False
    time.sleep(seconds)  # the binding's own time is what is measured
    data, transaction = request(response_port=seen[1])
    asker.sendto(data, (first, PORTS[0]))
    return heard(sock, transaction, time.monotonic() + 0.5) is not None


def lives_for(first, seconds):
    """As long as it should, and no longer."""
    if not seconds:
        return None
    before, after = Test(alive_after, first, seconds - 1), Test(alive_after, first, seconds + 1)
    return before.found() and not after.found()


def rewrites_sip(first):
    """Does something on the way change a SIP request (RFC 6314 §4.4: a SIP ALG)? None where none arrived."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("", SIP))
    sock.connect((first, SIP))
    here = f"{sock.getsockname()[0]}:{SIP}"
    told = (
        f"OPTIONS sip:{first} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK{time.time_ns()}\r\nMax-Forwards: 1\r\n"
        f"From: <sip:discovery@{here}>;tag=1\r\nTo: <sip:{first}>\r\nCall-ID: {time.time_ns()}@{here}\r\nCSeq: 1 OPTIONS\r\n"
        f"Contact: <sip:discovery@{here}>\r\nContent-Length: 0\r\n\r\n"
    ).encode()
    end = time.monotonic() + WAIT
    while (now := time.monotonic()) < end:
        sock.send(told)
        if select.select([sock], [], [], min(RETRANSMIT, end - now))[0]:
            return sock.recv(8192) != told.hex().encode()
    return None


def connects(first, port):
    """Does a TCP connection get through?"""
    try:
        socket.create_connection((first, port), WAIT).close()
    except OSError:
        return False
    return True


def main():
    """All tests at once."""
    gateway, first, other, lifetime, *ports = sys.argv[1:]
    subprocess.run(["ip", "-4", "route", "replace", "default", "via", gateway], check=True)
    tcp = {port: Test(connects, first, int(port)) for port in ports}
    tests = {
        "udp": Test(lambda: asked(opened(), (first, PORTS[0])) is not None),
        "mapping": Test(mapping, first, other),
        "filtering": Test(filtering, first),
        "hairpin": Test(hairpin, first),
        "alg": Test(rewrites_sip, first),
        "lifetime": Test(lives_for, first, int(lifetime)),
    }
    found = {name: test.found() for name, test in tests.items()}
    if not found["udp"]:
        found.update(mapping=None, filtering=None, hairpin=None)
    found["tcp"] = sorted(int(port) for port, test in tcp.items() if test.found())
    print(json.dumps(found))


main()
