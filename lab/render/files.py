"""Plan to files: everything that is placed in the elements before they start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lab.errors import PlanError
from lab.plan.model import Address, Domain, Element, Plan
from lab.render.agent import KEYS_DIR, TLS_DIR, agent_json
from lab.render.pki import Issuer
from lab.render.templates import Templates
from lab.render.vendor import Vendor
from lab.render.zone import zone_text


@dataclass(frozen=True)
class RenderedFile:
    """A file's bytes and permission bits."""

    data: bytes
    mode: int = 0o644


@dataclass(frozen=True)
class Rendering:
    """Per element: its files by absolute path in the container, its environment and kernel parameters. `root` is the lab's trust anchor in
    PEM."""

    files: Mapping[str, Mapping[str, RenderedFile]]
    environment: Mapping[str, Mapping[str, str]]
    root: bytes
    sysctls: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Peer:
    """Another domain, the proxy that serves it, and all its servers, of which that is the first."""

    domain: Domain
    element: Element
    servers: tuple[Element, ...]


def render(plan: Plan, vendors: Mapping[str, Vendor], issuer: Issuer) -> Rendering:
    """All files of all elements. PlanError where a vendor is unknown or a template cannot be filled."""
    files: dict[str, Mapping[str, RenderedFile]] = {}
    environment: dict[str, Mapping[str, str]] = {}
    sysctls: dict[str, Mapping[str, str]] = {}
    for element in plan.elements:
        vendor = vendor_of(element, vendors)
        context = _context(plan, element)
        templates = Templates(vendor.folder)
        files[element.name] = {
            **_fixed(plan, element, vendor),
            **_certificates(element, issuer),
            **{path: RenderedFile(templates.render(name, context).encode()) for name, path in vendor.files.items()},
        }
        environment[element.name], sysctls[element.name] = (
            {name: templates.render_value(f"{what} {name}", value, context) for name, value in values.items()}
            for what, values in (("environment", vendor.environment), ("sysctls", vendor.sysctls))
        )
    return Rendering(files=files, environment=environment, root=issuer.root, sysctls=sysctls)


def vendor_of(element: Element, vendors: Mapping[str, Vendor]) -> Vendor:
    """What plays an element, as it is in that role; PlanError where it has no manifest."""
    try:
        return vendors[element.vendor].playing(element.role)
    except KeyError:
        known = ", ".join(sorted(vendors)) or "none"
        raise PlanError(f"element {element.name}: vendor {element.vendor!r} has no manifest", remedy=f"known: {known}") from None


def _context(plan: Plan, element: Element) -> dict[str, object]:
    """What a template knows. `domains` are those that the element serves, `domain` the first of them or None; `peers` are the others."""
    served = sorted((each for each in plan.domains if element.name in each.servers), key=lambda each: each.servers.index(element.name))
    others = [domain for domain in plan.domains if element.name not in domain.servers]
    peers = [Peer(each, plan.element(each.proxy), tuple(plan.element(name) for name in each.servers)) for each in others]
    return {
        "plan": plan,
        "element": element,
        "domain": served[0] if served else None,
        "domains": served,
        "peers": peers,
        "dns": _resolvers(plan, element),
        "tls_dir": TLS_DIR,
        "keys_dir": KEYS_DIR,
    }


def _fixed(plan: Plan, element: Element, vendor: Vendor) -> dict[str, RenderedFile]:
    """What an element gets whatever its vendor."""
    files: dict[str, str] = {}
    servers = _resolvers(plan, element)
    if servers:
        lines = [f"nameserver {server}" for server in servers] + ["options timeout:2 attempts:2"]
        files["/etc/siplab/resolv.conf"] = "\n".join(lines) + "\n"
    if element.has_agent:
        files["/etc/siplab/agent.json"] = agent_json(element, servers, keylog=vendor.keylog)
    if element.role == "dns":
        files |= {f"/etc/siplab/zones/{zone.origin}.zone": zone_text(zone, element.hostname) for zone in plan.zones}
        files["/etc/siplab/zones/networks"] = "".join(f"{' '.join(map(str, net.subnets))}\n" for net in plan.networks)
    return {path: RenderedFile(text.encode()) for path, text in files.items()}


def _certificates(element: Element, issuer: Issuer) -> dict[str, RenderedFile]:
    files = {f"{TLS_DIR}/ca.pem": RenderedFile(issuer.root)}
    for request in element.certificates:
        issued = issuer.issue(request)
        files[f"{TLS_DIR}/{request.name}.pem"] = RenderedFile(issued.certificate)
        files[f"{TLS_DIR}/{request.name}.key"] = RenderedFile(issued.key, 0o600)
    return files


def _resolvers(plan: Plan, element: Element) -> tuple[str, ...]:
    """Addresses of the lab's DNS in the families that the element has, IPv4 first: on a network of its own where the DNS is there too."""
    families = {address.version for place in element.interfaces for address in place.addresses}
    found: list[Address] = []
    for server in plan.with_role("dns"):
        near = [place for place in server.interfaces if element.on(place.network)]
        found += near[0].addresses if near else server.addresses
    return tuple(str(address) for version in (4, 6) for address in found if address.version == version and version in families)
