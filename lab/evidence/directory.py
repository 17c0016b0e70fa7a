"""Who is who on the wire: addresses, host names and ports, from the plan."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from lab.plan.model import Plan


@dataclass(frozen=True)
class Endpoint:
    """One end of a packet. `element` is empty where no element of the plan has the address."""

    address: str
    port: int
    element: str = ""

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.element} {host}:{self.port}" if self.element else f"{host}:{self.port}"

    @property
    def name(self) -> str:
        """The element, or the address of a stranger."""
        return self.element or self.address


class Directory:
    """Finds elements by what packets and SIP headers hold."""

    def __init__(self, plan: Plan) -> None:
        self.elements = tuple(element.name for element in plan.elements)
        self.behind = tuple((element.name, element.behind) for element in plan.elements if element.behind)
        self._networks = tuple(network.name for network in plan.networks)
        self._addresses = {
            str(address): element.name for element in plan.elements for place in element.interfaces for address in place.addresses
        }
        self._places = [
            (place.network, element.hostname.lower(), tuple(str(address) for address in place.addresses))
            for element in plan.elements
            for place in element.interfaces
        ]
        self._names = {domain.name.lower(): domain.proxy for domain in plan.domains}
        for element in plan.elements:
            self._names[element.hostname.lower()] = element.name
            self._names.update({listener.hostname.lower(): element.name for listener in element.listeners})

    def endpoint(self, address: str, port: int) -> Endpoint:
        """An endpoint with its element's name filled in."""
        return Endpoint(address, port, self._addresses.get(address, ""))

    def element(self, name: str) -> str:
        """The name, for what is to be said of its absence; KeyError where the plan has no such element, which would be absent for ever."""
        if name not in self.elements:
            raise KeyError(f"no element {name!r} (there: {', '.join(self.elements)})")
        return name

    def network(self, interface: int) -> str:
        """The network behind an interface of the capture, which has one for each of the plan's networks, in the plan's order."""
        return self._networks[interface]

    def interface(self, network: str) -> int:
        """The capture's interface on a network; KeyError where the plan has none of this name."""
        if network not in self._networks:
            raise KeyError(f"no network {network!r} (there: {', '.join(self._networks)})")
        return self._networks.index(network)

    def only_on(self, network: str, *, seen_from: str) -> tuple[str, ...]:
        """What a network has that another has not: its elements' addresses there, and the names of those that are not on the other."""
        known = {name for place, name, _ in self._places if place == seen_from}
        here = [(name, addresses) for place, name, addresses in self._places if place == network]
        return (*(address for _, addresses in here for address in addresses), *(name for name, _ in here if name not in known))

    def packed(self) -> dict[bytes, str]:
        """Elements by their addresses as packets hold them."""
        return {ip_address(address).packed: element for address, element in self._addresses.items()}

    def host(self, host: str) -> str:
        """The element behind a host of a Via or a URI (RFC 3261 §25.1: name, IPv4 or bracketed IPv6), else an empty string."""
        bare = host.strip().strip("[]").lower().rstrip(".")
        try:
            return self._addresses.get(str(ip_address(bare)), "")
        except ValueError:
            return self._names.get(bare, "")


def sip_ports(plan: Plan) -> tuple[int, ...]:
    """Every port that a SIP server of the plan listens on, and the two well-known ones."""
    return tuple(sorted({5060, 5061} | {listener.port for element in plan.elements for listener in element.listeners}))


def tls_ports(plan: Plan) -> tuple[int, ...]:
    """Every port on which the plan expects SIP over TLS, and 5061."""
    listeners = [listener for element in plan.elements for listener in element.listeners]
    return tuple(sorted({5061} | {listener.port for listener in listeners if listener.transport == "tls"}))
