"""A STUN server with two addresses (RFC 5780), to find out what a NAT does: stun_server.py ADDRESS OTHER/BITS [TCP-PORT…]

OTHER is added to the interface that has ADDRESS. The TCP ports accept connections and say nothing. UDP port 5060 tells, in hexadecimal,
what it got. Prints `ready` when all is open.
"""

import selectors
import socket
import struct
import subprocess
import sys

import stun


def add_address(beside, address):
    """Have a second address where the first one is."""
    lines = subprocess.run(["ip", "-o", "-4", "address", "show"], check=True, capture_output=True, text=True).stdout.splitlines()
    interface = next(line.split()[1] for line in lines if f" {beside}/" in line)
    subprocess.run(["ip", "address", "add", address, "dev", interface], check=True)


def answer(data, source, at, sockets):
    """Answer a Binding request from the address and port, and to the port, that it asks for."""
    parsed = stun.parse(data)
    if parsed is None or parsed[0] != stun.REQUEST:
        return
    _, transaction, attributes = parsed
    change = struct.unpack("!I", attributes.get(stun.CHANGE_REQUEST, bytes(4)))[0]
    place = (at[0] ^ bool(change & stun.CHANGE_ADDRESS), at[1] ^ bool(change & stun.CHANGE_PORT))
    port = struct.unpack("!H", attributes[stun.RESPONSE_PORT][:2])[0] if stun.RESPONSE_PORT in attributes else source[1]
    other = (
        stun.OTHER_ADDRESS,
        struct.pack("!BBH4s", 0, 1, stun.PORTS[1 - at[1]], socket.inet_aton(sockets[(1 - at[0], 0)].getsockname()[0])),
    )
    sockets[place].sendto(stun.message(stun.SUCCESS, transaction, stun.mapped_address(source), other), (source[0], port))


def main():
    """Serve until killed."""
    first, second = sys.argv[1], sys.argv[2]
    add_address(first, second)
    sockets, poll, kept = {}, selectors.DefaultSelector(), []
    for row, address in enumerate((first, second.partition("/")[0])):
        for column, port in enumerate(stun.PORTS):
            sock = sockets[(row, column)] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind((address, port))
            poll.register(sock, selectors.EVENT_READ, (row, column))
    mirror = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    mirror.bind((first, stun.SIP))
    poll.register(mirror, selectors.EVENT_READ, "mirror")
    for port in sys.argv[3:]:
        poll.register(socket.create_server((first, int(port))), selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in poll.select():
            if key.data is None:
                kept.append(key.fileobj.accept())
            elif key.fileobj is mirror:
                data, source = mirror.recvfrom(4096)
                mirror.sendto(data.hex().encode(), source)
            else:
                data, source = key.fileobj.recvfrom(2048)
                answer(data, source, key.data, sockets)


main()
