"""The rendered rules in the kernel: applied as one transaction, so that no packet sees half of them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

CONFIG = Path("/etc/siplab/nat.json")
RULES = Path("/etc/siplab/rules.nft")
STATE = Path("/run/siplab/nat.json")
TABLE = "table ip siplab"
POOLS = ((20000, 39999), (40000, 59999))
"""Public ports. The other half is used after each flush: a NAT that restarted gives every flow another port."""

NO_UDP = "add rule ip siplab wrong meta l4proto udp drop"
DEAF = "deaf-after-flush"
WRONG = {
    "drop-udp": NO_UDP,
    "drop-keepalives": "add rule ip siplab unseen udp dport 5060 udp length < 60 drop",
    "symmetric": "insert rule ip siplab translate meta l4proto udp masquerade to :20000-59999 fully-random",
    "no-hairpin": "insert rule ip siplab wrong iifname $inside oifname $inside drop",
    "no-alg": "flush chain ip siplab rewrite",
    DEAF: "",
}
"""Negative controls, each a change to the rules."""
NEEDS = {"no-hairpin": ("hairpin",), "no-alg": ("alg",)}
"""What a NAT must have for a misbehaviour to change anything."""


class NatError(Exception):
    """What does not work, in one line."""


@dataclass(frozen=True)
class Config:
    """The NAT as it was rendered: `outside` and `inside` are its own addresses, never names of interfaces, which the engine deals out."""

    type: str
    outside: str
    inside: tuple[str, ...]
    hairpin: bool
    binding_timeout: int
    alg: bool

    @classmethod
    def load(cls) -> Config:
        """From `/etc/siplab/nat.json`."""
        given = json.loads(CONFIG.read_text())
        names = ("type", "outside", "hairpin", "binding_timeout", "alg")
        return cls(inside=tuple(given["inside"]), **{name: given[name] for name in names})


def run(argv: Sequence[str], text: str = "") -> str:
    """A command's output; NatError with its first line of complaint where it fails."""
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"ended with {done.returncode}"]
        raise NatError(f"{argv[0]}: {lines[0]}")
    return done.stdout


def interface_of(address: str, links: Sequence[dict[str, Any]]) -> str:
    """The interface that has an address."""
    for link in links:
        if any(entry.get("local") == address for entry in link.get("addr_info", [])):
            return str(link["ifname"])
    raise NatError(f"no interface has {address}")


@dataclass(frozen=True)
class State:
    """What a running NAT remembers: which half of the public ports it uses, and how it is to be wrong."""

    pool: int
    wrong: str = "none"

    @classmethod
    def load(cls) -> State:
        """As `apply` left it."""
        return cls(**json.loads(STATE.read_text()))


def apply(config: Config, state: State, more: str = "") -> None:
    """Replace the table by the rendered one, with public ports from its half and the rules of its misbehaviour."""
    links = json.loads(run(("ip", "-j", "-4", "address", "show")))
    inside = ", ".join(f'"{interface_of(address, links)}"' for address in config.inside)
    low, high = POOLS[state.pool]
    head = (
        f'define outside = "{interface_of(config.outside, links)}"\ndefine inside = {{ {inside} }}\n'
        f"define ports = {low}-{high}\n{TABLE}\ndelete {TABLE}\n"
    )
    try:
        run(("nft", "-f", "-"), f"{head}{RULES.read_text()}{WRONG.get(state.wrong, '')}\n{more}\n")
    except NatError as error:
        if config.alg and "helper" in str(error):
            raise NatError("alg: this kernel has no SIP helper (nf_conntrack_sip, nf_nat_sip)") from error
        raise
    STATE.parent.mkdir(parents=True, exist_ok=True)
    STATE.write_text(json.dumps(asdict(state)))


def forget(config: Config) -> None:
    """As after a restart: no binding is left, and new ones get other ports."""
    old = State.load()
    apply(config, State(1 - old.pool, old.wrong), NO_UDP if old.wrong == DEAF else "")
    run(("conntrack", "-F"))
