"""As much of STUN as behaviour discovery takes: Binding, and the attributes of RFC 5780."""

import os
import socket
import struct

REQUEST, SUCCESS = 0x0001, 0x0101
CHANGE_REQUEST, RESPONSE_PORT, XOR_MAPPED, OTHER_ADDRESS = 0x0003, 0x0027, 0x0020, 0x802C
CHANGE_ADDRESS, CHANGE_PORT = 4, 2
COOKIE = 0x2112A442
PORTS = (3478, 3479)
SIP = 5060


def message(kind, transaction, *attributes):
    """A message with attributes whose lengths are multiples of four (RFC 8489 §5)."""
    body = b"".join(struct.pack("!HH", number, len(value)) + value for number, value in attributes)
    return struct.pack("!HHI", kind, len(body), COOKIE) + transaction + body


def request(change=0, response_port=0):
    """A Binding request and its transaction."""
    transaction = os.urandom(12)
    attributes = [(CHANGE_REQUEST, struct.pack("!I", change))] if change else []
    attributes += [(RESPONSE_PORT, struct.pack("!H2x", response_port))] if response_port else []
    return message(REQUEST, transaction, *attributes), transaction


def parse(data):
    """Kind, transaction and attributes; None where it is no STUN message."""
    if len(data) < 20 or struct.unpack("!I", data[4:8])[0] != COOKIE:
        return None
    attributes, rest = {}, data[20:]
    while len(rest) >= 4:
        number, length = struct.unpack("!HH", rest[:4])
        attributes[number], rest = rest[4 : 4 + length], rest[4 + (length + 3) // 4 * 4 :]
    return struct.unpack("!H", data[:2])[0], data[8:20], attributes


def mapped_address(place):
    """XOR-MAPPED-ADDRESS of an IPv4 address and port (RFC 8489 §14.2)."""
    address = struct.unpack("!I", socket.inet_aton(place[0]))[0]
    return XOR_MAPPED, struct.pack("!BBHI", 0, 1, place[1] ^ COOKIE >> 16, address ^ COOKIE)


def read_mapped(attributes):
    """Address and port of XOR-MAPPED-ADDRESS."""
    port, address = struct.unpack("!2xHI", attributes[XOR_MAPPED])
    return socket.inet_ntoa(struct.pack("!I", address ^ COOKIE)), port ^ COOKIE >> 16
