"""A small project on disk for tests of the spec and the plan: two user agents, a proxy and a name server of invented vendors."""

from __future__ import annotations

from pathlib import Path

from lab.spec.catalog import load_topology, vendors
from lab.spec.topology import Topology
from lab.spec.vendor import Vendor

TOPOLOGY = """\
schema: 1
name: pair
title: Two domains
networks:
  internet: {}
domains:
  atlanta.example: {proxy: pa}
  biloxi.example: {proxy: pb}
elements:
  dns: {role: dns, vendor: names}
  pa:
    role: proxy
    networks: [internet]
    vendor: globex
    presents: [wrong-san, expired]
  pb:
    role: proxy
    vendor: globex@2.0
  alice:
    role: user-agent
    vendor: acme
    aor: alice@atlanta.example
  bob:
    role: user-agent
    aor: bob@biloxi.example
matrix: [[alice, bob], [pa, pb]]
"""

VENDOR = """\
schema: 1
name: {name}
title: {name}
roles: [{role}]
default: "1.1"
flavours:
  "1.1": {{base: trixie}}
  "2.0": {{base: bookworm, args: {{VERSION: "2"}}, supports_add: [sips], supports_remove: [udp]}}
supports: [udp, tcp, tls]
ready: {{agent: true}}
version: [{name}, --version]
"""

ROLES = {"acme": "user-agent", "initech": "user-agent", "globex": "proxy", "names": "dns"}


def project(root: Path) -> Path:
    """Write it below `root` and return that."""
    (root / "topologies").mkdir()
    (root / "topologies" / "pair.yaml").write_text(TOPOLOGY)
    for name, role in ROLES.items():
        folder = root / "images" / name
        folder.mkdir(parents=True)
        (folder / "vendor.yaml").write_text(VENDOR.format(name=name, role=role))
    return root


def rewritten(root: Path, text: str) -> Topology:
    """The project's topology, after its file has become this text."""
    (root / "topologies" / "pair.yaml").write_text(text)
    return load_topology("pair", root)


def loaded(root: Path, text: str = TOPOLOGY) -> tuple[Topology, dict[str, Vendor]]:
    """The project's topology, of this text, and its vendors."""
    project(root)
    return rewritten(root, text), vendors(root)
