"""TLS under a plain socket.

One thread must read a stream while others write to it, and a half-close must reach the engine. Python's `SSLSocket` can do neither: the
TLS state is not made for two threads, and its shutdown ends reading too. So one thread keeps the TLS state to itself and moves bytes
between the network and a socket pair, whose other end is as good as a plain connection.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
from contextlib import suppress

_CHUNK = 65536
_LIMIT = 4 * _CHUNK
_FLUSH_SECONDS = 5.0


def tunnel(
    network: socket.socket, context: ssl.SSLContext, *, server_hostname: str | None = None, server_side: bool = False
) -> socket.socket:
    """Shake hands on `network` (bounded by its timeout; OSError where it fails) and return the plain end. The tunnel owns `network`."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=server_side, server_hostname=server_hostname)
    try:
        _shake_hands(network, tls, incoming, outgoing)
    except OSError:
        network.close()
        raise
    ours, theirs = socket.socketpair()
    threading.Thread(target=_Tunnel(network, theirs, tls, incoming, outgoing).run, daemon=True, name="tls tunnel").start()
    return ours


def _shake_hands(network: socket.socket, tls: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> None:
    while True:
        try:
            tls.do_handshake()
            network.sendall(outgoing.read())
            return
        except ssl.SSLWantReadError:
            network.sendall(outgoing.read())
            incoming.write(_some(network))
        except ssl.SSLError:
            with suppress(OSError):
                network.sendall(outgoing.read())  # the alert
            raise


def _some(network: socket.socket) -> bytes:
    data = network.recv(_CHUNK)
    if not data:
        raise ConnectionError("closed during the TLS handshake")
    return data


class _Tunnel:
    """The thread's state. Nothing blocks but `poll`: a full direction must not stop the other one."""

    def __init__(
        self, network: socket.socket, plain: socket.socket, tls: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO
    ) -> None:
        self._network, self._plain, self._tls = network, plain, tls
        self._incoming, self._outgoing = incoming, outgoing
        self._to_network, self._to_plain = bytearray(), bytearray()
        self._sending, self._receiving, self._told = True, True, False

    def run(self) -> None:
        """Move bytes until both directions have ended, or the plain end is closed."""
        self._network.setblocking(False)
        self._plain.setblocking(False)
        with self._network, self._plain, suppress(OSError):
            self._decrypt()
            while self._receiving or self._sending or self._to_network or self._to_plain:
                events = self._poll()
                if events.get(self._network.fileno(), 0) & ~select.POLLOUT:
                    self._read_network()
                plain = events.get(self._plain.fileno(), 0)
                if plain & ~select.POLLOUT and self._sending:
                    self._read_plain()
                self._write()
                if plain & (select.POLLHUP | select.POLLERR):
                    return self._flush()

    def _poll(self) -> dict[int, int]:
        poll = select.poll()
        read_plain = self._sending and len(self._to_network) < _LIMIT
        read_network = self._receiving and len(self._to_plain) < _LIMIT
        poll.register(self._plain, (select.POLLIN if read_plain else 0) | (select.POLLOUT if self._to_plain else 0))
        if read_network or self._to_network:
            poll.register(self._network, (select.POLLIN if read_network else 0) | (select.POLLOUT if self._to_network else 0))
        return dict(poll.poll())

    def _read_network(self) -> None:
        with suppress(BlockingIOError):
            data = self._network.recv(_CHUNK)
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()
            self._decrypt()

    def _decrypt(self) -> None:
        """Everything that is complete. A far end that hangs up without saying so (close_notify) has hung up all the same."""
        try:
            while data := self._tls.read(_CHUNK):
                self._to_plain += data
            self._receiving = False
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self._receiving = False

    def _read_plain(self) -> None:
        with suppress(BlockingIOError):
            data = self._plain.recv(_CHUNK)
            if data:
                self._tls.write(data)
            else:
                self._sending = False
                with suppress(ssl.SSLError):  # "want read": the far end's own close_notify comes when it has no more to say
                    self._tls.unwrap()

    def _write(self) -> None:
        self._to_network += self._outgoing.read()
        for buffer, sock in ((self._to_network, self._network), (self._to_plain, self._plain)):
            with suppress(BlockingIOError):
                while buffer:
                    del buffer[: sock.send(buffer)]
        if not (self._receiving or self._to_plain or self._told):
            self._told = True
            self._plain.shutdown(socket.SHUT_WR)

    def _flush(self) -> None:
        """The plain end is closed: what it said before still goes out."""
        while self._sending:
            self._read_plain()
        self._network.settimeout(_FLUSH_SECONDS)
        self._network.sendall(bytes(self._to_network) + self._outgoing.read())
