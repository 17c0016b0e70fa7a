"""What the NAT knows now, as data."""

from __future__ import annotations

import re
from typing import Any

from siplab_nat.rules import Config, run

_PAIR = re.compile(r"(src|dst|sport|dport)=(\S+)")


def parse(listing: str, outside: str) -> list[dict[str, Any]]:
    """`conntrack -L` as one object per flow: who (`inside`), as whom (`public`), with whom (`remote`), for how many seconds more.

    A line names the flow in the direction that opened it, then the reply's. What came in by itself is turned round.
    """
    found = []
    for line in listing.splitlines():
        fields, ends = line.split(), _PAIR.findall(line)
        if len(ends) != 8 or fields[0] not in ("udp", "tcp"):
            continue
        first, reply = dict(ends[:4]), dict(ends[4:])
        opened = _endpoint(first, "s"), _endpoint(first, "d")
        replied = _endpoint(reply, "s"), _endpoint(reply, "d")
        inward = first["dst"] == outside
        found.append(
            {
                "protocol": fields[0],
                "inside": replied[0] if inward else opened[0],
                "public": opened[1] if inward else replied[1],
                "remote": opened[0] if inward else opened[1],
                "seconds": int(fields[2]),
                "opened": "outside" if inward else "inside",
                "replied": "[UNREPLIED]" not in line,
            }
        )
    return found


def _endpoint(ends: dict[str, str], side: str) -> str:
    address = ends["src" if side == "s" else "dst"]
    return f"{address}:{ends[side + 'port']}"


def show(config: Config) -> dict[str, Any]:
    """The NAT and all its flows."""
    return {
        "type": config.type,
        "outside": config.outside,
        "inside": list(config.inside),
        "hairpin": config.hairpin,
        "binding_timeout": config.binding_timeout,
        "alg": config.alg,
        "bindings": parse(run(("conntrack", "-L")), config.outside),
    }
