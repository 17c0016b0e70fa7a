"""SIP messages of a scenario, and what can be asserted of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise, takewhile
from typing import overload

from lab.errors import EvidenceError
from lab.evidence.check import Check
from lab.evidence.directory import Directory
from lab.evidence.events import Stray, TlsRecord
from lab.evidence.message import CHALLENGES, SipMessage, Step, is_step, says_transport, uri_host, via_host
from lab.evidence.reach import Reach
from lab.evidence.tls import carries_data

Predicate = Callable[[SipMessage], bool]


class Signalling(Sequence[SipMessage]):
    """A selection of messages in capture order. Queries narrow it, assertions give a `Check`, or EvidenceError where it is empty."""

    def __init__(
        self,
        messages: Sequence[SipMessage],
        directory: Directory,
        about: str = "in this scenario",
        others: Sequence[TlsRecord | Stray] = (),
    ) -> None:
        self._messages, self._directory, self._about, self._others = tuple(messages), directory, about, tuple(others)

    def __len__(self) -> int:
        return len(self._messages)

    @overload
    def __getitem__(self, index: int) -> SipMessage: ...

    @overload
    def __getitem__(self, index: slice) -> Signalling: ...

    def __getitem__(self, index: int | slice) -> SipMessage | Signalling:
        if isinstance(index, slice):
            return Signalling(self._messages[index], self._directory, self._about, self._others)
        return self._messages[index]

    def __iter__(self) -> Iterator[SipMessage]:
        return iter(self._messages)

    def __repr__(self) -> str:
        if not self._messages:
            return f"<no SIP message {self._about}>"
        return (
            f"<{len(self)} SIP messages {self._about}: "
            + ", ".join(message.label for message in self[:8])
            + (" …>" if len(self) > 8 else ">")
        )

    # -- queries --------------------------------------------------------------------------------------------------------------------

    def where(self, predicate: Predicate, about: str = "that match") -> Signalling:
        """Messages for which `predicate` holds; `about` words the selection in errors."""
        return Signalling([m for m in self if predicate(m)], self._directory, f"{self._about}, {about}", self._others)

    def requests(self, method: str = "") -> Signalling:
        """Requests, of one method where given."""
        return self.where(lambda m: m.is_request and method in ("", m.method), f"{method or 'any'} requests")

    def responses(self, status: int | None = None, method: str = "") -> Signalling:
        """Responses, with that code and to that method where given."""
        return self.where(
            lambda m: not m.is_request and status in (None, m.status) and method in ("", m.method),
            f"{status or 'any'} responses {method}".strip(),
        )

    def on(self, network: str) -> Signalling:
        """Messages that were seen on this network."""
        return self.where(lambda m: m.network == network, f"on {network}")

    def between(self, one: str, other: str) -> Signalling:
        """Messages of these two elements, both directions."""
        return self.where(lambda m: {m.src.element, m.dst.element} == {one, other}, f"between {one} and {other}")

    def across(self, *, source: str = "", to: str = "") -> Signalling:
        """Messages that `source` sent and that `to` received, each only where given."""
        words = " ".join(word for word in (source and f"from {source}", to and f"to {to}") if word)
        return self.where(lambda m: source in ("", m.src.element) and to in ("", m.dst.element), words) if words else self

    def sent_by(self, element: str) -> Signalling:
        """Messages that left this element."""
        return self.where(lambda m: m.src.element == element, f"sent by {element}")

    def received_by(self, element: str) -> Signalling:
        """Messages that reached this element."""
        return self.where(lambda m: m.dst.element == element, f"received by {element}")

    def call(self, call_id: str) -> Signalling:
        """Messages with this Call-ID."""
        return self.where(lambda m: m.call_id == call_id, f"of Call-ID {call_id}")

    @property
    def call_ids(self) -> tuple[str, ...]:
        """Every Call-ID, in order of appearance."""
        return tuple(dict.fromkeys(m.call_id for m in self if m.call_id))

    def reach(self, method: str, element: str, domain: str = "") -> Reach:
        """How `element` got its requests of that method on to the next hops, those for users of one domain where given."""
        return Reach(self, method, element, domain)

    def unfinished(self) -> Signalling:
        """Requests that still wait: for a final response, or (a final response to INVITE) for its ACK (RFC 3261 §17)."""
        finals = {(m.dst.element, m.src.element, m.branch, m.method) for m in self if not m.is_request and (m.status or 0) >= 200}
        acks = {(m.src.element, m.dst.element, m.call_id, m.cseq) for m in self if m.is_request and m.method == "ACK"}

        def waits(m: SipMessage) -> bool:
            if not m.is_request or m.method == "ACK" or not m.branch:
                return False
            if (m.src.element, m.dst.element, m.branch, m.method) not in finals:
                return True
            return m.method == "INVITE" and (m.src.element, m.dst.element, m.call_id, m.cseq) not in acks

        return self.where(waits, "unfinished")

    # -- assertions -----------------------------------------------------------------------------------------------------------------

    def _evidence(self) -> Signalling:
        if not self._messages:
            raise EvidenceError(f"no SIP message captured {self._about}", remedy="look at capture.pcapng")
        return self

    def all_over(self, transport: str) -> Check:
        """Every message went over `transport`."""
        for message in self._evidence():
            if message.transport != transport:
                what = f"{message.label} went from {message.src} to {message.dst} over {message.transport}, not {transport}"
                return Check(False, what, self._chose(message, transport), message.frame)
        return Check(True, f"all {len(self)} messages over {transport}")

    def _chose(self, message: SipMessage, transport: str) -> str:
        """Who chose the transport of this message: its sender, or within a dialog the proxy that record-routed without saying which
        transport it is to be reached by (RFC 3261 §16.6 step 4, RFC 5658)."""
        route = next(iter(message.header_values("Route")), "").lower()
        owner = self._directory.host(uri_host(route)) if message.is_request and message.to_tag and route else ""
        return owner if owner and not says_transport(route, transport) else message.src.name

    def passed_through(self, *proxies: str, method: str = "INVITE") -> Check:
        """The request reached its target through these proxies, in this order, each in Via and (of a dialog's request) in Record-Route.

        Judged on every first request of `method` outside a dialog, as its last recipient saw it (RFC 3261 §16.6).
        """
        firsts = self._evidence().requests(method).where(lambda m: not m.to_tag, "outside a dialog")._evidence()
        for call_id in dict.fromkeys(m.call_id for m in firsts):
            last = max(firsts.call(call_id), key=lambda m: len(m.header_values("Via")))
            names = ("Via",) if method not in ("INVITE", "SUBSCRIBE", "REFER") else ("Via", "Record-Route")
            for name in names:
                missing = self._missing(last, name, proxies)
                if missing:
                    what = f"{last.label} reached {last.dst} without {missing[0]} in {name} (there: {', '.join(missing[1]) or 'nobody'})"
                    return Check(False, what, missing[0], last.frame)
        return Check(True, f"{method} passed through {', '.join(proxies)}")

    def record_routes_fit(self) -> Check:
        """A proxy that stays in the dialog names itself, on either side, by the transport that it is used over there.

        Otherwise requests within the dialog come by another: by UDP where the name has no NAPTR records (RFC 3263 §4.1), even in clear
        where the call asked for SIPS (RFC 3261 §16.6 step 4, RFC 5658 §3).
        """
        firsts = self.requests("INVITE").where(lambda m: not m.to_tag, "outside a dialog")
        for message in firsts._evidence():
            proxy = message.src.name
            mine = list(takewhile(partial(self._names, proxy), message.header_values("Record-Route")))
            arrived = [m.transport for m in firsts.call(message.call_id).received_by(proxy) if m.when < message.when]
            for value, transport in zip((*mine[:1], *mine[-1:]), (message.transport, *arrived[-1:]), strict=False):
                if transport != "udp" and not says_transport(value, transport):
                    return Check(False, f"{proxy} is used over {transport} and record-routes itself as {value}", proxy, message.frame)
        return Check(True, "every Record-Route names its transport")

    def _names(self, element: str, value: str) -> bool:
        return self._directory.host(uri_host(value)) == element

    def _missing(self, message: SipMessage, name: str, proxies: tuple[str, ...]) -> tuple[str, list[str]] | None:
        host = via_host if name == "Via" else uri_host
        found = [self._directory.host(host(value)) or host(value) for value in message.header_values(name)]
        there = list(reversed(found))
        for proxy in proxies:
            if proxy not in there:
                return proxy, list(reversed(found))
            there = there[there.index(proxy) + 1 :]
        return None

    def on_every_hop(self, method: str, *path: str) -> Check:
        """A request of `method` was seen on every hop, and on every hop a 2xx to it (ACK has no response).

        The hops are those between neighbours of `path` (`"alice", "pa", "pb", "bob"`, whose first is to blame where there was none at all),
        or else those that the first INVITE took.
        """
        pairs = {frozenset(pair) for pair in pairwise(path)} or self._hops()
        for pair in sorted(pairs, key=sorted):
            on_hop = self.where(lambda m, pair=pair: {m.src.element, m.dst.element} == pair)  # type: ignore[misc]
            name = " – ".join(sorted(pair))
            request = on_hop.requests(method)
            if not request:
                last = self.requests(method)[-1:]
                to_blame = last[0].dst.name if last else "".join(path[:1])
                return Check(False, f"no {method} between {name}", to_blame, last[0].frame if last else None)
            if method != "ACK" and not on_hop.responses(method=method).where(lambda m: 200 <= (m.status or 0) < 300):
                return self._unanswered(method, name, request[0])
        return Check(True, f"{method} on all {len(pairs)} hops")

    def _unanswered(self, method: str, hop: str, request: SipMessage) -> Check:
        """No 2xx on a hop: the fault of who refused the method first, else of who did not answer there."""
        refusals = self.responses(method=method).where(lambda m: (m.status or 0) >= 300 and m.status not in CHALLENGES)
        if refusals:
            first = refusals[0]
            return Check(False, f"{first.status} {first.reason} to {method} from {first.src.name}", first.src.name, first.frame)
        return Check(False, f"no 2xx to {method} between {hop}", request.dst.name, request.frame)

    def _hops(self) -> set[frozenset[str]]:
        invites = self.requests("INVITE")._evidence()
        return {frozenset((m.src.name, m.dst.name)) for m in invites.call(invites[0].call_id)}

    def same_branch(self, first: str, second: str, *, source: str = "") -> Check:
        """On every hop (or those from `source`) `second` carries the branch of the `first` that it belongs to.

        So must a CANCEL (RFC 3261 §9.1) and the ACK to a refusal (§17.1.1.3).
        """
        seconds = self.requests(second).across(source=source)._evidence()
        for message in seconds:
            same = self.call(message.call_id).requests(first).where(lambda m, of=message: m.cseq == of.cseq and m.dst == of.dst)  # type: ignore[misc]
            branches = {m.branch for m in same if m.branch}
            if message.branch not in branches:
                theirs = ", ".join(sorted(branches)) or ("none" if same else "was not seen")
                what = f"{second} from {message.src} has branch {message.branch or 'none'}, its {first} {theirs}"
                return Check(False, what, message.src.name, message.frame)
        return Check(True, f"all {len(seconds)} {second} have the branch of their {first}")

    def no_sip_bytes(self, one: str, other: str, *, port: int | None = None) -> Check:
        """The two elements met (on that server port) and exchanged not one byte of SIP: a refused certificate (RFC 5922 §7).

        EvidenceError where they did not even try. TLS counts by its records: application data is SIP whatever it holds.
        """
        events: list[SipMessage | TlsRecord | Stray] = sorted([*self, *self._others], key=lambda event: event.when)
        ours = [e for e in events if {e.src.element, e.dst.element} == {one, other} and port in (None, e.src.port, e.dst.port)]
        if not ours:
            where = f" on port {port}" if port else ""
            raise EvidenceError(f"nothing captured between {one} and {other}{where}", remedy="was it attempted at all?")
        for event in ours:
            if not isinstance(event, TlsRecord) or carries_data(event):
                what = event.label if isinstance(event, SipMessage) else "application data"
                return Check(False, f"{what} passed from {event.src} to {event.dst}", event.src.name, event.frame)
        return Check(True, f"no SIP byte between {one} and {other}")

    def response_to(self, method: str, status: int, *, to: str = "") -> Check:
        """A response with this code to `method` was seen (reaching element `to`)."""
        return self.final_response(method, status, status, to=to)

    def final_response(self, method: str, low: int, high: int, *, to: str = "") -> Check:
        """A response with a code of `low` … `high` to `method` was seen (reaching element `to`); in a range a challenge is none.

        The blame is on who sent the last other final response first, or where there is none on who received the request last.
        """
        answers = self._evidence().responses(method=method).across(to=to)
        ignored = () if low == high else CHALLENGES
        found = answers.where(lambda m: low <= (m.status or 0) <= high and m.status not in ignored)
        wanted = str(low) if low == high else f"{low}–{high}"
        if found:
            return Check(True, f"{found[0].status} to {method} reached {found[0].dst.name}", frame=found[0].frame)
        codes = ", ".join(str(m.status) for m in answers) or "none"
        first = self._first_sent([m for m in answers if (m.status or 0) >= 200 and m.status not in CHALLENGES])
        what = f"no {wanted} to {method}{f' reached {to}' if to else ''} (responses: {codes})"
        if first:
            return Check(False, what, first.src.name, first.frame)
        asked = self.requests(method)[-1:]
        return Check(False, what, asked[0].dst.name if asked else "", asked[0].frame if asked else None)

    def _first_sent(self, answers: Sequence[SipMessage]) -> SipMessage | None:
        """The last of these responses as it left the element that made it."""
        if not answers:
            return None
        last = answers[-1]
        return next((m for m in self.call(last.call_id).responses(last.status, last.method) if m.cseq == last.cseq), last)

    def redirected(self, contact: str, *, to: str) -> Check:
        """A 302 with this Contact reached `to`, whose later INVITEs, if there are any, ask for exactly that (RFC 3261 §8.1.3.4)."""
        answers = self._evidence().responses(302, "INVITE").received_by(to)
        for message in answers:
            if contact not in " ".join(message.header_values("Contact")):
                return Check(False, f"302 reached {to} without the Contact {contact}", message.src.name, message.frame)
        if not answers:
            return Check(False, f"no 302 to INVITE reached {to}")
        for message in self.requests("INVITE").sent_by(to).where(lambda m: m.when > answers[0].when, "after the 302"):
            if message.uri.split(";")[0] != contact:
                return Check(False, f"after a 302 to {contact} {to} called {message.uri}", to, message.frame)
        return Check(True, f"{to} was redirected to {contact}", frame=answers[0].frame)

    def never_answered(self, method: str, status: int, *, to: str = "") -> Check:
        """Requests of `method` were made, and no response with this code came (to element `to`)."""
        self.requests(method)._evidence()
        for message in self.responses(status, method).across(to=to and self._directory.element(to)):
            return Check(False, f"{method} was answered {message.label} by {message.src}", message.src.name, message.frame)
        return Check(True, f"no {status} to {method}")

    def kept_from(self, element: str, method: str = "INVITE") -> Check:
        """Requests of `method` were made, and none of them reached `element`."""
        for message in self.requests(method)._evidence().received_by(self._directory.element(element)):
            return Check(False, f"{method} reached {element} from {message.src}", message.src.name, message.frame)
        return Check(True, f"no {method} reached {element}")

    def hop_over(self, one: str, other: str, transport: str) -> Check:
        """Every message between these two elements went over `transport`."""
        return self.between(one, other).all_over(transport)

    def carries_sdp(self, method: str, *, source: str = "", to: str = "", wanted: bool = True) -> Check:
        """Every request of `method` (on that hop) has a session description, or none has where `wanted` is false."""
        for message in self.requests(method).across(source=source, to=to)._evidence():
            if (message.sdp is not None) != wanted:
                found = f"{method} from {message.src} carries {'no' if wanted else 'an'} SDP"
                return Check(False, found, message.src.name, message.frame)
        return Check(True, f"{method} carries {'an' if wanted else 'no'} SDP")

    def brought(self, method: str, body: bytes, *, to: str) -> Check:
        """`method` reached `to`, and has exactly this body on every hop; the blame is on who first sent it otherwise."""
        self.requests(method).received_by(to)._evidence()
        for message in self.requests(method):
            if message.body != body:
                what = f"{method} from {message.src} to {message.dst} has the body {message.body[:80]!r}, not {body[:80]!r}"
                return Check(False, what, message.src.name, message.frame)
        return Check(True, f"{method} reached {to} with its {len(body)} bytes as they were sent")

    def offered(self, *directions: str, by: str, answered: Sequence[str] = ()) -> Check:
        """`by` offered one of these directions in an INVITE, and the 2xx to it answered one of `answered` (RFC 3264 §6.1).

        An INVITE that was challenged and came again counts as one.
        """
        offers = [(m, m.sdp.media[0].direction) for m in self.requests("INVITE").sent_by(by)._evidence() if m.sdp and m.sdp.media]
        matches = [message for message, direction in offers if direction in directions]
        if not matches:
            seen = ", ".join(direction for _, direction in offers) or "none"
            return Check(
                False, f"{by} offered {' or '.join(directions)} in no INVITE (offers: {seen})", by, offers[-1][0].frame if offers else None
            )
        match = matches[-1]
        replies = self.call(match.call_id).responses(method="INVITE").across(to=by)
        accepted = [m for m in replies if m.cseq == match.cseq and 200 <= (m.status or 0) < 300 and m.sdp and m.sdp.media]
        if not accepted:
            return Check(False, f"no 2xx with an answer to the offer of {by}", match.dst.name, match.frame)
        answer = accepted[0].sdp.media[0].direction if accepted[0].sdp else ""
        if answered and answer not in answered:
            what = f"the answer is {answer}, not {' or '.join(answered)}"
            return Check(False, what, accepted[0].src.name, accepted[0].frame)
        return Check(True, f"offer of {by} answered {answer}", frame=match.frame)

    def authorized(self, method: str, *, source: str) -> Check:
        """After its challenge `source` sent `method` with Digest credentials, and got a 2xx to exactly that (RFC 3261 §22.2)."""
        tries = self.requests(method).across(source=source)._evidence()
        signed = [m for m in tries if m.header("Authorization") or m.header("Proxy-Authorization")]
        if not signed:
            return Check(False, f"{method} from {source} carries no credentials", source, tries[-1].frame)
        for message in signed:
            mine = [m for m in self.call(message.call_id).responses(method=method) if m.cseq == message.cseq]
            if any(200 <= (m.status or 0) < 300 for m in mine):
                return Check(True, f"{method} of {source} was accepted with credentials", frame=message.frame)
        return Check(False, f"{method} of {source} with credentials got no 2xx", signed[-1].dst.name, signed[-1].frame)

    def binding_expires(self, element: str) -> Check:
        """The 200 to a REGISTER of `element` lists a contact with a positive expiry (RFC 3261 §10.3 step 8)."""
        answers = self._evidence().responses(200, "REGISTER").across(to=element)
        for message in answers:
            contacts = message.header_values("Contact")
            times = [re.search(r";\s*expires\s*=\s*\"?(\d+)", contact, re.IGNORECASE) for contact in contacts]
            default = message.header("Expires")
            if contacts and all((found and int(found[1]) > 0) or (default.isdecimal() and int(default) > 0) for found in times):
                return Check(True, f"{element} is bound to {len(contacts)} contacts", frame=message.frame)
        last = answers[-1] if answers else None
        what = f"no 200 to a REGISTER of {element} lists a contact with an expiry"
        return Check(False, what, last.src.name if last else "", last.frame if last else None)

    def shows(self, header: str, *parts: str) -> Check:
        """Every message has all these parts in this header, `Request-URI` and `body` being two."""
        for message in self._evidence():
            if missing := " ".join(part for part in parts if part not in message.part(header)):
                what = f"{message.label} from {message.src}: {header} {message.part(header)!r} without {missing}"
                return Check(False, what, message.src.name, message.frame)
        return Check(True, f"{header} with {' '.join(parts)}")

    def order(self, *steps: Step, at: str = "") -> Check:
        """These steps (a method or a status code) happened in this order, others in between allowed; seen at element `at` where given."""
        seen = self.where(lambda m: at in (m.src.element, m.dst.element), f"at {at}") if at else self
        position, last = 0, None
        messages = list(seen._evidence())
        for step in steps:
            found = next((i for i in range(position, len(messages)) if is_step(messages[i], step)), None)
            if found is None:
                after = f" after {last.label}" if last else ""
                return Check(False, f"no {step}{after}{f' at {at}' if at else ''}", "", last.frame if last else None)
            position, last = found + 1, messages[found]
        return Check(True, f"{', '.join(str(step) for step in steps)} in this order")
