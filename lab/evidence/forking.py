"""Forks as the wire shows them: one INVITE that a proxy sent on to several contacts (RFC 3261 §16.6, §16.7, RFC 3326, RFC 5393)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from lab.evidence.check import Check
from lab.evidence.message import CHALLENGES, SipMessage
from lab.evidence.signalling import Signalling

SAME_STEP = 0.1
"""Seconds between a CANCEL and the INVITE to the next target where a proxy gives one up for the other."""

KINDS = {"WWW-Authenticate": "Authorization", "Proxy-Authenticate": "Proxy-Authorization"}


class Forking:
    """Questions about the initial INVITEs of a scenario and what became of each branch. EvidenceError where there is none.

    Branches are told apart by the element that they reach: a B2BUA gives each a Call-ID of its own.
    """

    def __init__(self, signalling: Signalling) -> None:
        self._all = signalling
        self._invites = signalling.requests("INVITE").where(lambda m: not m.to_tag, "outside a dialog")

    # -- the proxy's side -------------------------------------------------------------------------------------------------------

    def reached(self, *elements: str, by: str) -> Check:
        """`by` sent the INVITE to each of these."""
        for element in elements:
            if not self._branch(by, element):
                last = self._invites._evidence()[-1]
                return Check(False, f"no INVITE from {by} reached {element}", by, last.frame)
        return Check(True, f"INVITE reached {', '.join(elements)}")

    def kept_from(self, *elements: str) -> Check:
        """An INVITE was sent, and to none of these."""
        for element in elements:
            found = self._invites.kept_from(element)
            if not found.ok:
                return found
        return Check(True, f"no INVITE reached {', '.join(elements)}")

    def one_final(self, low: int, high: int, *, to: str) -> Check:
        """Exactly one final response to the INVITE reached `to`, a code of `low` … `high` (RFC 3261 §16.7 step 5); challenges are none.

        A response that came again is the same one.
        """
        finals = self._finals(to)
        different = {(m.call_id, m.status, m.to_tag): m for m in reversed(finals)}
        if len(different) == 1 and low <= (finals[0].status or 0) <= high:
            return Check(True, f"{finals[0].label} alone reached {to}", frame=finals[0].frame)
        seen = ", ".join(str(m.status) for m in sorted(different.values(), key=lambda m: m.when)) or "none"
        wanted = str(low) if low == high else f"one of {low}–{high}"
        what = f"{to} should get {wanted} to its INVITE, once (got: {seen})"
        if not finals:
            asked = self._invites.sent_by(to)._evidence()[-1]
            return Check(False, what, asked.dst.name, asked.frame)
        return Check(False, what, finals[0].src.name, finals[0].frame)

    def cancelled(self, *elements: str, by: str, cause: int | None = None) -> Check:
        """`by` cancelled the branches to these elements, with `Reason: SIP;cause=…` where `cause` is given (RFC 3326 §2), and each of them
        answered the CANCEL with 200 and the INVITE with 487 (RFC 3261 §9.2)."""
        for element in elements:
            invite = self._branch(by, element)
            if invite is None:
                return self.reached(element, by=by)
            hop = self._all.between(by, element)
            cancels = hop.requests("CANCEL").sent_by(by).where(lambda m, of=invite: m.branch == of.branch)  # type: ignore[misc]
            if not cancels:
                return Check(False, f"no CANCEL from {by} for the INVITE that reached {element}", by, invite.frame)
            reason = " ".join(cancels[0].header_values("Reason"))
            if cause is not None and not re.search(rf"\bSIP\s*;[^,]*\bcause\s*=\s*{cause}\b", reason, re.IGNORECASE):
                what = f"CANCEL from {by} to {element} has the Reason {reason or 'none'}, not SIP;cause={cause}"
                return Check(False, what, by, cancels[0].frame)
            for method, status in (("CANCEL", 200), ("INVITE", 487)):
                if not hop.responses(status, method).sent_by(element):
                    return Check(False, f"{element} did not answer {status} to {method}", element, cancels[0].frame)
        return Check(True, f"{by} cancelled {', '.join(elements)}")

    def one_after_the_other(self, *elements: str, by: str) -> Check:
        """`by` tried these in this order, each only when the one before had given its final answer or was given up (RFC 3261 §16.6):
        cancelled by then, or as part of the same step."""
        before: SipMessage | None = None
        for element in elements:
            invite = self._branch(by, element)
            if invite is None:
                return self.reached(element, by=by)
            if before is not None and not self._over(before, invite):
                what = f"{by} sent its INVITE to {element} while {before.dst.name} had not ended"
                return Check(False, what, by, invite.frame)
            before = invite
        return Check(True, f"{by} tried {', '.join(elements)} in turn")

    def early_descriptions(self, count: int, *, to: str) -> Check:
        """Provisional responses with SDP of so many branches reached `to` (RFC 3261 §13.2.1)."""
        answers = self._all.responses(method="INVITE").received_by(to).where(lambda m: (m.status or 0) < 200 and m.sdp is not None)
        tags = {m.to_tag for m in answers}
        last = self._invites._evidence()[-1]
        what = f"provisional responses with SDP of {len(tags)} branches reached {to}"
        return Check(len(tags) == count, what if len(tags) == count else f"{what}, not of {count}", last.src.name, last.frame)

    def challenged(self, *realms: str, to: str) -> Check:
        """One response to an INVITE brought `to` the challenges of all these realms (RFC 3261 §16.7 step 7)."""
        answers = self._all.responses(method="INVITE").received_by(to).where(lambda m: m.status in CHALLENGES, "that challenge")
        asked = [(m, _realms(m, KINDS)) for m in answers]
        found = [m for m, named in asked if set(realms) <= named]
        if found:
            return Check(True, f"{found[0].status} with {', '.join(realms)} reached {to}", frame=found[0].frame)
        theirs = [(m, named) for m, named in asked if set(realms) & named]
        last = theirs[0][0] if theirs else answers[-1] if answers else None
        seen = " and ".join(", ".join(sorted(named)) for _, named in theirs) or "none of them"
        return Check(False, f"no response with the challenges of {', '.join(realms)} reached {to} ({seen})", _source(last), _frame(last))

    def spirals(self, element: str) -> Check:
        """The INVITE of one call came to `element` more than once, with different Request-URIs, left it in as many branches, and nobody
        took that for a loop (RFC 3261 §16.3 step 4)."""
        came = self._invites.received_by(element)._evidence()
        call = self._invites._evidence().call(came[-1].call_id)
        asked = {m.uri for m in call.received_by(element)}
        branches = {m.branch: m.uri for m in call.sent_by(element)}
        loops = self._all.responses(482, "INVITE")
        if loops:
            return Check(False, f"{loops[0].src} took a spiral for a loop: 482 to INVITE", loops[0].src.name, loops[0].frame)
        if len(asked) < 2 or len(branches) < len(asked):
            what = f"INVITEs for {len(asked)} Request-URIs reached {element} and left it in {len(branches)} branches, which is no spiral"
            return Check(False, what, call[-1].dst.name, call[-1].frame)
        return Check(True, f"INVITE passed {element} {len(asked)} times, in {len(branches)} branches")

    def bounded(self, most: int) -> Check:
        """At most so many INVITEs crossed the wires; one that was sent again counts once. What happens without a bound: RFC 5393 §3."""
        sent = {(m.src, m.dst, m.branch): m for m in self._invites._evidence()}
        if len(sent) <= most:
            return Check(True, f"{len(sent)} INVITEs, at most {most} were expected")
        by = Counter(m.src.name for m in sent.values()).most_common(1)[0][0]
        return Check(False, f"{len(sent)} INVITEs crossed the wires, at most {most} were expected", by, self._invites[-1].frame)

    # -- the caller's side ------------------------------------------------------------------------------------------------------

    def credentials(self, *realms: str, by: str) -> Check:
        """The INVITE that `by` sent next after it was challenged for all these realms has credentials for all of them (RFC 3261 §22.3)."""
        challenged = self.challenged(*realms, to=by)
        if not challenged.ok or challenged.frame is None:
            return challenged
        since = challenged.frame
        sent = self._invites.sent_by(by).where(lambda m: m.frame > since, "after that")
        if not sent:
            return Check(False, f"no INVITE from {by} after the challenges of {', '.join(realms)}", by, since)
        named = _realms(sent[0], KINDS.values())
        if set(realms) <= named:
            return Check(True, f"INVITE from {by} has credentials for {', '.join(realms)}", frame=sent[0].frame)
        what = f"the INVITE from {by} after its challenges lacks credentials for {', '.join(sorted(set(realms) - named))}"
        return Check(False, what, by, sent[0].frame)

    def answers(self, count: int, *, to: str) -> Check:
        """2xx with so many different To tags reached `to` (RFC 3261 §16.7 step 5: a proxy passes on every one)."""
        tags = self._answered(to)
        if len(tags) == count:
            return Check(True, f"{count} branches were answered")
        first = next(iter(tags.values()), None) or self._invites._evidence()[-1]
        blame = first.dst.name if first.is_request else first.src.name
        return Check(False, f"2xx of {len(tags)} branches reached {to}, not of {count}", blame, first.frame)

    def acknowledged(self, *, by: str) -> Check:
        """`by` acknowledged every 2xx that reached it, each with its own To tag (RFC 3261 §13.2.2.4)."""
        tags = self._answered(by)
        acks = {m.to_tag for m in self._all.requests("ACK").sent_by(by)}
        for tag, answer in tags.items():
            if tag not in acks:
                return Check(False, f"no ACK from {by} for the 2xx with To tag {tag}", by, answer.frame)
        return Check(bool(tags), f"{by} acknowledged {len(tags)} 2xx", "" if tags else by)

    def hung_up(self, count: int, *, by: str) -> Check:
        """`by` sent BYE in exactly so many dialogs so far."""
        byes = self._all.requests("BYE").sent_by(by)
        tags = {m.to_tag for m in byes}
        what = f"{by} sent BYE in {len(tags)} dialogs"
        return Check(len(tags) == count, what if len(tags) == count else f"{what}, not in {count}", by, byes[0].frame if byes else None)

    # -- plumbing ---------------------------------------------------------------------------------------------------------------

    def _branch(self, by: str, element: str) -> SipMessage | None:
        """The first INVITE from one to the other."""
        return next((m for m in self._invites._evidence() if (m.src.element, m.dst.element) == (by, element)), None)

    def _finals(self, to: str) -> list[SipMessage]:
        answers = self._all.responses(method="INVITE").received_by(to)
        calls = {(m.call_id, m.cseq) for m in self._invites._evidence().sent_by(to)}
        return [m for m in answers if (m.status or 0) >= 200 and m.status not in CHALLENGES and (m.call_id, m.cseq) in calls]

    def _answered(self, to: str) -> dict[str, SipMessage]:
        """The first 2xx of each To tag."""
        return {m.to_tag: m for m in reversed(self._finals(to)) if (m.status or 0) < 300}

    def _over(self, branch: SipMessage, following: SipMessage) -> bool:
        hop = self._all.where(lambda m: m.branch == branch.branch)
        finals = hop.responses(method="INVITE").where(lambda m: (m.status or 0) >= 200 and m.when < following.when)
        return bool(finals or hop.requests("CANCEL").where(lambda m: m.time < following.time + SAME_STEP))


def _realms(message: SipMessage, headers: Iterable[str]) -> set[str]:
    values = (value for header in headers for value in message.header_values(header))
    return {found for value in values for found in re.findall(r'\brealm\s*=\s*"([^"]*)"', value, re.IGNORECASE)}


def _source(message: SipMessage | None) -> str:
    return message.src.name if message else ""


def _frame(message: SipMessage | None) -> int | None:
    return message.frame if message else None
