"""How tshark is asked, and what it has answered so far."""

from __future__ import annotations

from collections.abc import Iterable

from lab.evidence.directory import Directory
from lab.evidence.events import Event, Mark, TlsRecord, parse
from lab.evidence.tls import undecrypted

FOLDER = "/run/siplab"
LIVE = f"{FOLDER}/live.pcapng"
KEYS = f"{FOLDER}/keys.log"
_CERTIFICATES = "x509ce,x509af,x509if,x509sat,pkix1explicit,pkix1implicit,pkixqualified,ber"
_PROTOCOLS = f"eth,ip,ipv6,ipv6.fraghdr,udp,tcp,tls,sip,sdp,dns,syslog,{_CERTIFICATES}"


def tshark_arguments(source: str, sip_ports: Iterable[int], tls_ports: Iterable[int]) -> tuple[str, ...]:
    """tshark's arguments for reading `source` (`-i -` live, `-r FILE` later) with the lab's script.

    Only the protocols that are looked at are enabled: media would cost more than all else, and no heuristic takes SIP for another protocol.
    """
    ports = ",".join(str(port) for port in sip_ports)
    decode = [word for port in tls_ports for word in ("-d", f"tcp.port=={port},tls", "-d", f"tls.port=={port},sip")]
    script = ("-X", "lua_script:/usr/lib/siplab/siplab.lua", "-X", f"lua_script1:{ports}")
    keys = ("-o", f"tls.keylog_file:{KEYS}", "-o", "tcp.reassemble_out_of_order:TRUE")
    return (*source.split(), "-n", "-q", "-l", *script, *keys, *decode, "--only-protocols", _PROTOCOLS)


class Dissection:
    """The events of a capture, in frame order. Not locked: its owner serialises `feed`, `replace` and the readers."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._rest = b""
        self.events: list[Event] = []
        self.marks: dict[str, Mark] = {}

    def feed(self, chunk: bytes) -> None:
        """Take in output of the dissector. EvidenceError where a line cannot be read."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            for event in parse(line, self._directory):
                self.events.append(event)
                if isinstance(event, Mark):
                    self.marks[event.text] = event

    def replace(self, later: Dissection) -> None:
        """Take a later pass over the same file instead, as far as that one went."""
        last = later.events[-1].frame if later.events else 0
        self.events = later.events + [event for event in self.events if event.frame > last]
        self.marks |= later.marks

    def hidden(self, begin: int, end: int) -> tuple[TlsRecord, ...]:
        """TLS records in frames after `begin` up to `end` that could not be decrypted."""
        records = [event for event in self.events if isinstance(event, TlsRecord)]
        return tuple(record for record in undecrypted(records) if begin < record.frame <= end)

    def between(self, begin: int, end: int) -> tuple[Event, ...]:
        """Events in frames after `begin` up to `end`, in the order of their times: frames of several networks are not."""
        return tuple(sorted((event for event in self.events if begin < event.frame <= end), key=lambda event: event.when))
