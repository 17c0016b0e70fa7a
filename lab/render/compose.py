"""A compose file and the files beside it, from the same plan that the runtime starts: what is run can be brought up by hand too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from lab.errors import PlanError
from lab.plan.model import Element, Network, Plan
from lab.render.agent import KEYS_DIR, TLS_DIR
from lab.render.files import Rendering, render, vendor_of
from lab.render.pki import Issuer, Placeholders
from lab.render.vendor import Vendor

FILE = "compose.yaml"
_HEADER = "# {title}\n# Written by `siplab render`; change the topology, not this file. How to bring it up by hand: compose/README.md\n"
_HELPER = "helper:1"
_BRIDGES = "slh"
_PASSAGE = f"iptables -I DOCKER-USER -i {_BRIDGES}+ -m physdev --physdev-is-bridged -j ACCEPT"
_NO_BUILD = "(run siplab images build first)"


def compose_text(plan: Plan, vendors: Mapping[str, Vendor], rendering: Rendering) -> str:
    """The compose file (Compose specification; read by docker-compose 1.29 and by docker compose)."""
    _check(plan)
    services = {element.name: _service(plan, element, vendor_of(element, vendors), rendering) for element in plan.elements}
    document = {
        "services": {**services, **{f"{each.name}-network": _settling(each) for each in plan.elements if each.settling}},
        "networks": {network.name: _network(network, index) for index, network in enumerate(plan.networks)},
        "volumes": {"keys": {}},
    }
    text = yaml.safe_dump(document, sort_keys=False, default_flow_style=False, width=140)
    return _HEADER.format(title=plan.title) + "".join(f"# By hand: {line}\n" for line in left_to_you(plan)) + text


def left_to_you(plan: Plan) -> tuple[str, ...]:
    """What a lab needs and a compose file cannot do, one line each; empty where there is nothing."""
    nats = ", ".join(element.name for element in plan.with_role("nat"))
    waiting = [f"{each.name} starts after {', '.join(each.start_after)}, ready or not" for each in plan.elements if each.start_after]
    passage = f"where `sysctl net.bridge.bridge-nf-call-iptables` is 1, {nats} can route only after `{_PASSAGE}` (-D takes it back)"
    return (*([passage] if nats else []), *waiting)


def render_to_dir(plan: Plan, vendors: Mapping[str, Vendor], issuer: Issuer, out: Path) -> tuple[Path, ...]:
    """Write the compose file and every element's files below `out`; returns what was written.

    Private keys are world-readable there: a container without capabilities is not the owner of a mounted file. They protect a
    sealed network for as long as a lab lives, and nothing else.
    """
    written = []
    for name, data in _tree(plan, vendors, issuer).items():
        path = out / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError as error:
            raise PlanError(f"cannot write {path}: {error.strerror}", remedy="choose another folder with -o") from error
        written.append(path)
    return tuple(written)


def check_dir(plan: Plan, vendors: Mapping[str, Vendor], golden: Path) -> tuple[str, ...]:
    """What differs between `golden` and a fresh rendering, one line each; empty when it is up to date.

    Certificates and keys are left out: they are new for every lab and never committed.
    """
    wanted = {name: data for name, data in _tree(plan, vendors, Placeholders()).items() if not _secret(name)}
    present = {path.relative_to(golden).as_posix() for path in golden.rglob("*") if path.is_file()}
    found = {name for name in present if not _secret(name)}
    lines = [f"missing: {golden / name}" for name in wanted.keys() - found]
    lines += [f"not rendered: {golden / name}" for name in found - wanted.keys()]
    lines += [f"differs: {golden / name}" for name in wanted.keys() & found if (golden / name).read_bytes() != wanted[name]]
    return tuple(sorted(lines))


def _tree(plan: Plan, vendors: Mapping[str, Vendor], issuer: Issuer) -> dict[str, bytes]:
    """Relative path -> content of everything in a rendered folder: `ELEMENT/path/in/container`."""
    rendering = render(plan, vendors, issuer)
    tree = {FILE: compose_text(plan, vendors, rendering).encode()}
    for element, files in rendering.files.items():
        tree |= {f"{element}{path}": file.data for path, file in files.items()}
    return tree


def _check(plan: Plan) -> None:
    """PlanError, one line, where the topology has what no compose file can say."""
    for network in plan.networks:
        for what, value in (("loss", network.loss), ("rate", network.rate), ("delay", network.delay)):
            if value:
                raise PlanError(f"network {network.name}: a compose file cannot give it {what}", remedy="run it with siplab")


def _settling(element: Element) -> dict[str, object]:
    """Routes, and an address family less: done once, beside an element that has no right to do it."""
    return {
        "image": f"siplab/{_HELPER}",
        "pull_policy": "never",
        "build": {"context": ".", "dockerfile": _NO_BUILD},
        "network_mode": f"service:{element.name}",
        "cap_drop": ["ALL"],
        "cap_add": ["NET_ADMIN"],
        "security_opt": ["no-new-privileges:true"],
        "command": ["sh", "/usr/lib/siplab/settle.sh", *element.settling],
        "depends_on": [element.name],
    }


def _secret(name: str) -> bool:
    return f"{TLS_DIR}/" in f"/{name}"


def _service(plan: Plan, element: Element, vendor: Vendor, rendering: Rendering) -> dict[str, object]:
    """Least privilege as the runtime has it. An image is never fetched: compose 1.29 does not know `pull_policy`, so that a build
    that cannot be done stands in its way and says what to do."""
    mounts = [f"./{element.name}{path}:{path}:ro" for path in rendering.files[element.name]]
    service: dict[str, object] = {
        "image": f"siplab/{element.vendor}:{element.flavour}",
        "pull_policy": "never",
        "build": {"context": ".", "dockerfile": _NO_BUILD},
        "hostname": element.name,
        "stdin_open": vendor.agent,
        "cap_drop": ["ALL"],
        "cap_add": list(vendor.capabilities),
        "sysctls": dict(rendering.sysctls[element.name]),
        "security_opt": ["no-new-privileges:true"],
        "mem_limit": f"{vendor.memory_mb}m",
        "pids_limit": vendor.pids,
        "command": list(vendor.command),
        "environment": {name: _literal(value) for name, value in rendering.environment[element.name].items()},
        "depends_on": [*dict.fromkeys((*_name_servers(plan, element), *element.start_after))],
        "volumes": [*mounts, f"keys:{KEYS_DIR}"] if vendor.keylog else mounts,
        "networks": {
            interface.network: {f"ipv{address.version}_address": str(address) for address in interface.addresses}
            for interface in element.interfaces
        },
    }
    return {name: value for name, value in service.items() if value not in ([], {}, False)}


def _name_servers(plan: Plan, element: Element) -> list[str]:
    """Those that start first; one that itself waits for others starts when it may."""
    return [server.name for server in plan.with_role("dns") if server is not element and not server.start_after]


def _network(network: Network, index: int) -> dict[str, object]:
    """Sealed: nothing leaves it, and the host has no IPv4 address on it. Its bridge has a name, so that a rule can mean it and no other."""
    return {
        "driver": "bridge",
        "internal": True,
        "enable_ipv6": network.ipv6 is not None,
        "driver_opts": {"com.docker.network.bridge.name": f"{_BRIDGES}{index}", "com.docker.network.bridge.inhibit_ipv4": "true"},
        "ipam": {"driver": "default", "config": [{"subnet": str(subnet)} for subnet in network.subnets]},
    }


def _literal(value: str) -> str:
    """Compose replaces `$NAME` in values; two dollars are one."""
    return value.replace("$", "$$")
