"""Client-initiated connections (RFC 5626): the flows that a user agent opened, and what came down them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lab.evidence.check import Check
from lab.evidence.message import SipMessage, uri_user
from lab.evidence.signalling import Signalling

_REG_ID = re.compile(r";\s*reg-id\s*=\s*(\d+)", re.IGNORECASE)
_INSTANCE = re.compile(r';\s*\+sip\.instance\s*=\s*"([^"]*)"', re.IGNORECASE)
_OB = re.compile(r";\s*ob\s*[;>]", re.IGNORECASE)

Ends = tuple[str, str, int, str, int]
"""A flow: its transport, and both its ends, that of who opened it first."""


@dataclass(frozen=True)
class Flow:
    """A registration that was accepted: which flow it is of which instance, where it goes."""

    reg_id: int
    instance: str
    edge: str
    message: SipMessage


class Outbound:
    """What the messages of a scenario show of flows."""

    def __init__(self, signalling: Signalling) -> None:
        self._signalling = signalling

    def flows(self, element: str) -> tuple[Flow, ...]:
        """The flows of an element that it registered and was answered 200 on, by reg-id; of one that it registered again, the last."""
        found = {flow.reg_id: flow for flow in self._accepted(element)}
        return tuple(found[number] for number in sorted(found))

    def _accepted(self, element: str) -> Iterator[Flow]:
        granted = {m.branch for m in self._signalling.received_by(element).responses(200, "REGISTER")}
        for message in (m for m in self._signalling.sent_by(element).requests("REGISTER") if m.branch in granted):
            contact = message.header("Contact")
            number, instance = _REG_ID.search(contact), _INSTANCE.search(contact)
            if number and instance:
                yield Flow(int(number[1]), instance[1], message.dst.name, message)

    def registered(self, element: str, flows: int) -> Check:
        """The element has registered one instance over so many flows, by a proxy each (RFC 5626 §4.2.1)."""
        found = self.flows(element)
        if len(found) < flows:
            return Check(False, f"{element} has registered {len(found)} flows, {flows} expected", element)
        for flow in found:
            if "outbound" not in flow.message.header_values("Supported"):
                return Check(False, f"a REGISTER of {element} with reg-id does not support outbound", element, flow.message.frame)
        instances, edges = {flow.instance for flow in found}, {flow.edge for flow in found}
        if len(instances) > 1 or len(edges) < flows:
            what = f"{len(found)} flows of {element} are of {len(instances)} instances and go to {', '.join(sorted(edges))}"
            return Check(False, what, element, found[-1].message.frame)
        return Check(True, f"{element} is registered over {len(found)} flows, by {', '.join(flow.edge for flow in found)}")

    def names_flow(self, edge: str, registrar: str) -> Check:
        """`edge` has put itself into the Path of every REGISTER with a flow that it handed on, with a token for the flow and `ob`, and the
        registrar has answered one of them with `Require: outbound` (RFC 5626 §5.1, §6; RFC 3327)."""
        between = self._signalling.between(edge, registrar)
        handed = [m for m in between.requests("REGISTER") if m.src.name == edge and _REG_ID.search(m.header("Contact"))]
        if not handed:
            return Check(False, f"{edge} has handed no REGISTER with a flow on to {registrar}", edge)
        for message in handed:
            path = next(iter(message.header_values("Path")), "")
            if not _OB.search(path) or not uri_user(path):
                return Check(False, f"{edge} hands a REGISTER on with {f'the Path {path}' if path else 'no Path'}", edge, message.frame)
        if not any("outbound" in m.header_values("Require") for m in between.responses(200, "REGISTER")):
            return Check(False, f"{registrar} accepts the flows by {edge} without Require: outbound", registrar, handed[-1].frame)
        return Check(True, f"{edge} names the flow in {len(handed)} REGISTER", frame=handed[0].frame)

    def carrier(self, element: str, method: str = "INVITE") -> str:
        """Who brought the last request of that method to the element; empty where none came."""
        arrived = self._signalling.received_by(element).requests(method)
        return arrived[-1].src.name if arrived else ""

    def came_down(self, element: str, *methods: str) -> Check:
        """All requests of these methods that reached the element came down flows on which it had registered (RFC 5626 §5.3.1)."""
        opened = {_ends(m) for m in self._signalling.sent_by(element).requests("REGISTER")}
        seen: set[str] = set()
        for message in self._signalling.received_by(element).where(lambda m: m.is_request and m.method in methods):
            if _ends(message) not in opened:
                what = f"{message.method} came from {message.src} to {message.dst}, by no flow of {element}"
                return Check(False, what, message.src.name, message.frame)
            seen.add(message.method)
        if missing := [method for method in methods if method not in seen]:
            return Check(False, f"no {missing[0]} reached {element}", element)
        return Check(True, f"{', '.join(methods)} came down flows of {element}")

    def one_flow_at_a_time(self, element: str) -> Check:
        """Every call reached the element on one flow only (RFC 5626 §7)."""
        arrived = self._signalling.received_by(element).requests("INVITE").where(lambda m: not m.to_tag, "outside a dialog")
        for call_id in arrived.call_ids:
            carriers = list(dict.fromkeys(m.src.name for m in arrived.call(call_id)))
            if len(carriers) > 1:
                last = arrived.call(call_id)[-1]
                return Check(False, f"one call reached {element} by {' and '.join(carriers)}", last.src.name, last.frame)
        return Check(bool(arrived), f"{len(arrived.call_ids)} calls reached {element}, each by one flow")

    def tried_again(self, element: str, edge: str, after: SipMessage) -> Check:
        """The element has sent a REGISTER with the reg-id of its flow by `edge` there again, after a message (RFC 5626 §4.5)."""
        for flow in (flow for flow in self.flows(element) if flow.edge == edge):
            for message in self._again(element, edge, after):
                number = _REG_ID.search(message.header("Contact"))
                same = number is not None and int(number[1]) == flow.reg_id
                return Check(same, f"{element} registers flow {flow.reg_id} again", element, message.frame)
        return Check(False, f"{element} does not try to register by {edge} again", element)

    def formed_anew(self, element: str, edge: str, after: SipMessage) -> Check:
        """After a message the element has registered by `edge` again, with success, and as what it was before: the same instance and the
        same reg-id, so that the registrar replaces the binding of the flow that failed (RFC 5626 §4.5, §6)."""
        by_edge = [flow for flow in self._accepted(element) if flow.edge == edge]
        before = [flow for flow in by_edge if flow.message.when <= after.when]
        later = [flow for flow in by_edge if flow.message.when > after.when]
        if not before:
            return Check(False, f"{element} had no flow by {edge} that could be formed anew", element, after.frame)
        if not later:
            return Check(False, f"{element} forms no flow by {edge} anew", element, after.frame)
        old, new = before[-1], later[-1]
        if (old.reg_id, old.instance) != (new.reg_id, new.instance):
            what = f"{element} forms flow {new.reg_id} of {new.instance} by {edge}, which was flow {old.reg_id} of {old.instance}"
            return Check(False, what, element, new.message.frame)
        return Check(True, f"{element} forms flow {new.reg_id} by {edge} anew", frame=new.message.frame)

    def _again(self, element: str, edge: str, after: SipMessage) -> Iterator[SipMessage]:
        for message in self._signalling.sent_by(element).requests("REGISTER"):
            if message.dst.name == edge and message.when > after.when:
                yield message


def _ends(message: SipMessage) -> Ends:
    """The flow of a message: of a REGISTER by its sender, of what comes in by its receiver, so that both are the same."""
    own, other = (message.src, message.dst) if message.method == "REGISTER" else (message.dst, message.src)
    return message.transport, own.address, own.port, other.address, other.port
