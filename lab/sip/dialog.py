"""A dialog (RFC 3261 §12): its three-part name, its route set, its counters."""

from __future__ import annotations

from dataclasses import dataclass, field

from sipmessage import URI, Address, CSeq, Request, Response

from .message import methods_of, new_tag, tag_of, with_tag


@dataclass
class Dialog:
    """One side's state. `remote` has no tag before the other side answered."""

    call_id: str
    local: Address
    remote: Address
    target: URI
    contact: Address
    routes: list[Address] = field(default_factory=list)
    sequence: int = 0
    remote_sequence: int = -1
    initiated: bool = True
    """We made its Call-ID."""
    allowed: frozenset[str] = frozenset()
    """Methods that the other side says it knows (RFC 3261 §20.5)."""

    @classmethod
    def of_incoming(cls, request: Request, contact: Address) -> Dialog:
        """The callee's (§12.1.1): routes in the order of Record-Route."""
        return cls(
            call_id=request.call_id,
            local=with_tag(request.to_address, new_tag()),
            remote=request.from_address,
            target=request.contact[0].uri if request.contact else request.from_address.uri,
            contact=contact,
            routes=request.record_route,
            remote_sequence=request.cseq.sequence,
            initiated=False,
            allowed=methods_of(request),
        )

    def learn(self, response: Response) -> None:
        """The caller's (§12.1.2): tag, target, and routes in reverse order."""
        self.remote = response.to_address
        self.routes = list(reversed(response.record_route))
        self.refresh(response)

    def refresh(self, message: Request | Response) -> None:
        """A target refresh (§12.2): the Contact is the new target."""
        if message.contact:
            self.target = message.contact[0].uri
        self.allowed = methods_of(message) or self.allowed

    def request(self, method: str, sequence: int | None = None) -> Request:
        """A request within the dialog (§12.2.1.1); an ACK has the sequence number of what it acknowledges.

        To a strict router, one without `lr`, its own URI is the Request-URI, and the target the last route.
        """
        if sequence is None:
            self.sequence += 1
            sequence = self.sequence
        target, routes = self.target, self.routes
        if routes and "lr" not in map(str.lower, routes[0].uri.parameters):
            target, routes = routes[0].uri, [*routes[1:], Address(uri=target)]
        request = Request(method=method, uri=target)
        request.max_forwards = 70
        if routes:
            request.route = routes
        request.from_address, request.to_address = self.local, self.remote
        request.call_id, request.cseq = self.call_id, CSeq(sequence=sequence, method=method)
        if method in ("INVITE", "UPDATE", "REFER", "SUBSCRIBE", "NOTIFY"):
            request.contact = [self.contact]
        return request

    @property
    def next_hop(self) -> URI:
        """The first route, or the target."""
        return self.routes[0].uri if self.routes else self.target

    def matches(self, message: Request) -> bool:
        """A request of the other side within this dialog."""
        tags = (tag_of(message.to_address), tag_of(message.from_address))
        return message.call_id == self.call_id and tags == (tag_of(self.local), tag_of(self.remote))
