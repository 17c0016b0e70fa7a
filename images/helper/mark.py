"""Marker frames.

A marker is a syslog datagram (port 514), so that Wireshark shows its text. It is addressed to a MAC that nobody has: every element drops
it in its network card, the capture alone sees it.
"""

import socket
import struct

NOBODY = bytes.fromhex("025349504c42")
LAB = bytes.fromhex("025349504c41")


def checksum(header):
    """Internet checksum of an IPv4 header (RFC 1071)."""
    total = sum(struct.unpack("!10H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def frame(text):
    """An Ethernet frame with the text in a syslog datagram to the broadcast address, TTL 1."""
    payload = b"<14>" + text.encode("ascii", "replace")
    udp = struct.pack("!HHHH", 514, 514, 8 + len(payload), 0) + payload
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 1, 17, 0, bytes(4), b"\xff" * 4)
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return NOBODY + LAB + b"\x08\x00" + ip + udp


def send(text, bridges):
    """One frame over each bridge, which it names."""
    for bridge in bridges:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
            out.bind((bridge, 0))
            out.send(frame(f"{text} {bridge}"))
