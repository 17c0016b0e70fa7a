"""Gathers what the doctor decides on: from /proc, the engine, and where those do not tell, from a container of the helper image."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path
from typing import Any

from lab.runtime.docker_images import DockerImages
from lab.runtime.doctor import Check, Facts, Network, Occupied, checks
from lab.runtime.engine import Contact, find_engine
from lab.runtime.image_source import ImageSource
from lab.runtime.images import ImageStatus, list_images
from lab.runtime.labels import MARK
from lab.runtime.machine import Machine

_PROBE = (
    "nft add table inet t && nft add chain inet t c '{ type filter hook input priority 0; }' && nft add rule inet t c ct state new accept"
)
_CONFIG_NAMES = {"nftables": "CONFIG_NF_TABLES", "conntrack": "CONFIG_NF_CONNTRACK"}


def diagnose(sources: Sequence[ImageSource] = (), helper: str = "helper") -> list[Check]:
    """Look and judge. `sources` are the images that should be there, `helper` the name of the image that can ask the kernel."""
    return checks(gather(sources, helper))


def gather(sources: Sequence[ImageSource] = (), helper: str = "helper") -> Facts:
    """All facts. An engine that does not answer is a fact too; RuntimeFault only where one that answered broke off."""
    contact = find_engine()
    root = Machine().is_root
    shared = contact.address.is_local_socket
    kernel = kernel_features() if shared else {}
    occupied = host_routes() if shared else []
    if not contact.answers:
        return Facts(contact, root=root, shared_kernel=shared, kernel=kernel, occupied=tuple(occupied))
    engine = DockerImages(contact.address)
    try:
        return _with_engine(contact, engine, root, kernel, occupied, list_images(sources, engine=engine), helper)
    finally:
        engine.close()


def _with_engine(
    contact: Contact,
    engine: DockerImages,
    root: bool,
    kernel: dict[str, bool | None],
    routes: list[Occupied],
    images: Sequence[ImageStatus],
    helper: str,
) -> Facts:
    info = engine.info()
    shared = is_shared_kernel(info)
    if not shared:  # Docker Desktop: a local socket, but the engine runs in a virtual machine
        kernel, routes = {}, []
    networks = engine.networks()
    disk, free = _disk(str(info.get("DockerRootDir", "")), shared)
    tag = next((status.tag for status in images if status.is_present and status.source.name == helper), "")
    if tag and (kernel.get("nftables") is None or kernel.get("conntrack") is None):
        kernel = {**kernel, **_ask_helper(engine, tag)}
    return Facts(
        contact=contact,
        engine=f"{info.get('OperatingSystem', 'Docker')}, version {info.get('ServerVersion', '?')}",
        root=root,
        shared_kernel=shared,
        kernel=with_engine_view(kernel, info),
        disk_path=disk,
        free_bytes=free,
        images_present=tuple(status.source.label for status in images if status.is_present),
        images_missing=tuple(status.source.label for status in images if not status.is_present),
        occupied=tuple(occupied_ranges(routes, networks)),
    )


def is_shared_kernel(info: Mapping[str, Any]) -> bool:
    """Does the engine run on this very kernel."""
    return bool(info.get("KernelVersion") == os.uname().release and info.get("OSType") == "linux")


def with_engine_view(kernel: dict[str, bool | None], info: Mapping[str, Any]) -> dict[str, bool | None]:
    """The engine tells about bridge netfilter itself, of its own kernel (newer ones only while it is on)."""
    if "BridgeNfIptables" not in info or kernel.get("bridge netfilter") is not None:
        return kernel
    return {**kernel, "bridge netfilter": bool(info["BridgeNfIptables"])}


def _ask_helper(engine: DockerImages, tag: str) -> dict[str, bool | None]:
    works = engine.run_probe(tag, ("sh", "-c", _PROBE))
    return {"nftables": works, "conntrack": works}


def _disk(root_dir: str, shared: bool) -> tuple[str, int | None]:
    """Free bytes where the engine keeps images; unreadable for a person without rights in there, so the nearest readable parent."""
    if not shared or not root_dir:
        return root_dir, None
    for path in (Path(root_dir), *Path(root_dir).parents):
        try:
            return str(path), shutil.disk_usage(path).free
        except (PermissionError, FileNotFoundError):
            continue
    return root_dir, None


def kernel_features(proc: Path = Path("/proc"), boot: Path = Path("/boot"), modules: Path = Path("/lib/modules")) -> dict[str, bool | None]:
    """What this kernel has, from its own words; None where it does not say. A module that could be loaded counts."""
    release = os.uname().release
    config = _kernel_config(proc / "config.gz", boot / f"config-{release}")
    listed = _module_names(modules / release)
    found: dict[str, bool | None] = {}
    for feature, option in _CONFIG_NAMES.items():
        module = option.removeprefix("CONFIG_").lower()
        if module in listed or config.get(option) in ("y", "m"):
            found[feature] = True
        else:
            found[feature] = False if config else None
    if (proc / "sys/net/netfilter/nf_conntrack_max").exists():
        found["conntrack"] = True
    bridge = proc / "sys/net/bridge/bridge-nf-call-iptables"
    found["bridge netfilter"] = bridge.is_file() and bridge.read_text().strip() == "1"
    return found


def _kernel_config(*paths: Path) -> dict[str, str]:
    for path in paths:
        if path.is_file():
            data = path.read_bytes()
            text = gzip.decompress(data).decode() if path.suffix == ".gz" else data.decode()
            return dict(line.split("=", 1) for line in text.splitlines() if line.startswith("CONFIG_") and "=" in line)
    return {}


def _module_names(folder: Path) -> set[str]:
    """Names of loadable and built-in modules, from depmod's lists."""
    names: set[str] = set()
    for index in ("modules.dep", "modules.builtin"):
        path = folder / index
        if path.is_file():
            names.update(Path(line.split(":")[0]).name.split(".ko")[0].replace("-", "_") for line in path.read_text().splitlines())
    return names


def host_routes(proc: Path = Path("/proc")) -> list[Occupied]:
    """All routes of this host but the default ones, IPv4 and IPv6."""
    routes: list[Occupied] = []
    ipv4, ipv6 = proc / "net/route", proc / "net/ipv6_route"
    if ipv4.is_file():
        routes += parse_ipv4_routes(ipv4.read_text())
    if ipv6.is_file():
        routes += parse_ipv6_routes(ipv6.read_text())
    return routes


def parse_ipv4_routes(text: str) -> list[Occupied]:
    """/proc/net/route: destination and mask are hexadecimal numbers in the host's byte order (little endian where siplab runs)."""
    routes = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8 or int(fields[7], 16) == 0:
            continue
        address, mask = (IPv4Address(int(value, 16).to_bytes(4, "little")) for value in (fields[1], fields[7]))
        routes.append(Occupied(f"route on {fields[0]}", ip_network(f"{address}/{mask}", strict=False)))
    return routes


def parse_ipv6_routes(text: str) -> list[Occupied]:
    """/proc/net/ipv6_route: 32 hexadecimal digits and a hexadecimal prefix length; loopback's own routes say nothing."""
    routes = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 10 or fields[9] == "lo" or int(fields[1], 16) == 0:
            continue
        address = IPv6Address(int(fields[0], 16))
        routes.append(Occupied(f"route on {fields[9]}", ip_network(f"{address}/{int(fields[1], 16)}", strict=False)))
    return routes


def occupied_ranges(routes: Iterable[Occupied], networks: Iterable[Mapping[str, Any]]) -> list[Occupied]:
    """Routes and engine networks that are not our own labs'; a bridge's route is not told twice."""
    ours: set[Network] = set()
    theirs: list[Occupied] = []
    for network in networks:
        for pool in (network.get("IPAM") or {}).get("Config") or []:
            if not pool.get("Subnet"):
                continue
            subnet = ip_network(pool["Subnet"], strict=False)
            if MARK in (network.get("Labels") or {}):
                ours.add(subnet)
            else:
                theirs.append(Occupied(f"network {network['Name']}", subnet))
    known = ours | {item.network for item in theirs}
    inside = [item for item in routes if not any(item.network.version == net.version and _within(item.network, net) for net in known)]
    return [*inside, *theirs]


def _within(one: Network, other: Network) -> bool:
    return one.network_address in other and one.prefixlen >= other.prefixlen
