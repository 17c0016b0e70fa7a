"""SIP where it meets the telephone network: causes, telephone numbers and who may see them, what is heard before an answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from urllib.parse import unquote

import dpkt

from lab.errors import EvidenceError
from lab.evidence.audio import decode_g711, seconds_of
from lab.evidence.check import Check
from lab.evidence.directory import Directory
from lab.evidence.media import Flow, Media
from lab.evidence.message import CHALLENGES, SipMessage
from lab.evidence.pcapng import Frame
from lab.evidence.signalling import Signalling

_CAUSE = re.compile(r'(?:^|,)\s*Q\.850\s*(?:;[^,]*?)?;\s*cause\s*=\s*"?(\d{1,3})\b', re.IGNORECASE)
_RATE = 8000
_SOUNDS = 0.5
"""Seconds of a tone that can be heard as one."""


class Telephony:
    """Questions to one scenario's capture. `frames` gives its packets anew each time."""

    def __init__(self, signalling: Signalling, frames: Callable[[], Iterable[Frame]], media: Media, directory: Directory) -> None:
        self._signalling, self._frames, self._media, self._directory = signalling, frames, media, directory

    def refused(self, status: int, *, by: str, to: str) -> Check:
        """`by` refused an INVITE of `to` with this code; a challenge is no refusal."""
        last = self._refusal(by, to)
        if isinstance(last, Check):
            return last
        return _judged(last, last.status == status, f"{by} refused the INVITE with {last.status}", str(status))

    def released(self, cause: int, *, by: str, to: str) -> Check:
        """`by` told `to`, when it refused its INVITE, this cause of ITU-T Q.850 (RFC 3326 §2, RFC 6432)."""
        last = self._refusal(by, to)
        if isinstance(last, Check):
            return last
        found = cause_of(last)
        said = f"cause {found}" if found is not None else "no cause"
        return _judged(last, found == cause, f"{by} refused the INVITE with {last.status} and {said}", f"cause {cause}")

    def _refusal(self, by: str, to: str) -> SipMessage | Check:
        """The last one; or what is wrong, and with whom, where there is none."""
        if not self._signalling.requests("INVITE").across(source=to, to=by):
            return Check(False, f"{to} sent {by} no INVITE", to)
        answers = self._signalling.responses(method="INVITE").across(source=by, to=to)
        refusals = answers.where(lambda m: (m.status or 0) >= 300 and m.status not in CHALLENGES, "refusals")
        if not refusals:
            codes = ", ".join(str(m.status) for m in answers) or "none"
            return Check(False, f"{by} refused no INVITE of {to} (responses: {codes})", by)
        return refusals[-1]

    def asserted(self, number: str, *, by: str, to: str, private: bool = False) -> Check:
        """In every INVITE from `by` to `to` exactly one P-Asserted-Identity, of that number; with `Privacy: id` where the caller is
        `private`, and without where it is not (RFC 3325 §9.1, §9.3)."""
        for message in self._invites(by, to):
            found = message.header_values("P-Asserted-Identity")
            users = [re.search(r"(?:sips?|tel):([^@;>]+)", value) for value in found]
            names = [match[1] if match else "?" for match in users]
            secret = "id" in re.split(r"\s*;\s*", message.header("Privacy"))
            if names != [number]:
                return Check(False, f"{by} asserts {' and '.join(names) or 'nobody'}, should be {number}", by, message.frame)
            if secret != private:
                return Check(False, f"{by} says {'' if secret else 'not '}to keep {number} private", by, message.frame)
        return Check(True, f"{by} asserts {number}{', in private' if private else ''}")

    def hidden(self, *words: str, source: str = "", to: str) -> Check:
        """None of these words is in anything that `to` received (from `source`), in whatever header or body, a telephone number however it
        is written (RFC 3966 §5.1.1). EvidenceError where it received no INVITE, or nothing from there."""
        self._received(to)
        read = self._signalling.across(source=source, to=to)
        if not read:
            raise EvidenceError(f"no SIP message from {source} reached {to}", remedy="was the call placed at all?")
        for message in read:
            lines = unquote(message.raw.decode("utf-8", "replace")).splitlines()
            for word in words:
                if line := next(filter(_spellings(word).search, lines), ""):
                    return Check(False, f"{to} reads {word} in {message.label}: {line[:120]}", message.src.name, message.frame)
        return Check(True, f"{to} reads {' and '.join(words)} nowhere")

    def untouched(self, one: str, other: str) -> Check:
        """Not one IP packet between the two elements, but what finds neighbours (ARP, ICMPv6)."""
        addresses, wanted = self._directory.packed(), {self._directory.element(one), self._directory.element(other)}
        for frame in self._frames():
            ends = _ends(frame.data)
            if ends and {addresses.get(end, "") for end in ends} == wanted:
                sender = addresses[ends[0]]
                return Check(False, f"a packet went from {sender} to {other if sender == one else one}", sender, frame.number)
        return Check(True, f"no packet between {one} and {other}")

    def early(self, tone_hz: int, *, by: str, to: str) -> Check:
        """A 183 with a session description reached `to`, and before a 2xx, if there is one, half a second of this tone (RFC 3960 §2)."""
        answers = self._signalling.responses(method="INVITE").received_by(to)
        progress = answers.responses(183).where(lambda m: m.sdp is not None, "with SDP")
        if not progress:
            seen = ", ".join(str(m.status) for m in answers) or "none"
            return Check(False, f"no 183 with a session description reached {to} (responses: {seen})", by)
        answered = min((m.time for m in answers.where(lambda m: 200 <= (m.status or 0) < 300)), default=float("inf"))
        flows = [flow.until(answered) for flow in self._media.from_(by) if flow.dst.element == to]
        seconds = max((_seconds(flow, tone_hz) for flow in flows if flow.packets), default=0.0)
        what = f"{to} got {seconds:.1f} s of {tone_hz} Hz before an answer"
        return Check(seconds >= _SOUNDS, what, "" if seconds >= _SOUNDS else by, progress[0].frame)

    def barred(self, *, to: str) -> Check:
        """What `to` asked for by INVITE was answered 401, 403 or 407, and nothing else but 100 (RFC 3261 §22, §21.4.4)."""
        answers = self._signalling.responses(method="INVITE").received_by(to)
        wrong = answers.where(lambda m: m.status not in (100, 401, 403, 407))
        if wrong:
            return Check(False, f"no 401, 403 or 407 but {wrong[0].label} from {wrong[0].src.name}", wrong[0].src.name, wrong[0].frame)
        refusals = answers.where(lambda m: m.status != 100)
        if not refusals:
            asked = self._signalling.requests("INVITE").sent_by(to)
            return Check(False, f"no 401, 403 or 407 reached {to}", asked[-1].dst.name if asked else to)
        return Check(True, f"{refusals[0].label} from {refusals[0].src.name}", frame=refusals[0].frame)

    def shown(self, number: str, *, to: str) -> Check:
        """Every INVITE that reached `to` says in From that this number calls."""
        for message in self._received(to):
            if number not in message.header("From"):
                return Check(False, f"{to} reads {message.header('From')[:80]}, not {number}", message.src.name, message.frame)
        return Check(True, f"{to} reads {number}")

    def _received(self, to: str) -> Signalling:
        found = self._signalling.requests("INVITE").received_by(to)
        if not found:
            raise EvidenceError(f"no INVITE reached {to}", remedy="was the call placed at all?")
        return found

    def _invites(self, by: str, to: str) -> Signalling:
        found = self._signalling.requests("INVITE").across(source=by, to=to).where(lambda m: not m.to_tag, "outside a dialog")
        if not found:
            raise EvidenceError(f"no INVITE from {by} to {to}", remedy="was the call placed at all?")
        return found


def _spellings(word: str) -> re.Pattern[str]:
    """The word in whatever case; a telephone number also without its plus, and with visual separators."""
    if number := re.fullmatch(r"\+(\d+)", word):
        return re.compile(rf"(?<!\d){r'[-.() ]*'.join(number[1])}(?!\d)")
    return re.compile(re.escape(word), re.IGNORECASE)


def cause_of(message: SipMessage) -> int | None:
    """The Q.850 cause of its Reason header fields; None where there is none."""
    found = _CAUSE.search(",".join(message.header_values("Reason")))
    return int(found[1]) if found else None


def _judged(message: SipMessage, ok: bool, what: str, wanted: str) -> Check:
    return Check(ok, what if ok else f"{what}, should be {wanted}", "" if ok else message.src.name, message.frame)


def _seconds(flow: Flow, tone_hz: int) -> float:
    return seconds_of(decode_g711(flow.payload(), alaw=flow.payload_type == 8), _RATE, tone_hz)


def _ends(data: bytes) -> tuple[bytes, bytes] | None:
    """Packed source and destination of an IP packet; None for what finds neighbours (RFC 826, RFC 4861)."""
    try:
        ip = dpkt.ethernet.Ethernet(data).data
    except (dpkt.UnpackError, ValueError, IndexError):
        return None
    if not isinstance(ip, dpkt.ip.IP | dpkt.ip6.IP6) or (isinstance(ip, dpkt.ip6.IP6) and isinstance(ip.data, dpkt.icmp6.ICMP6)):
        return None
    return ip.src, ip.dst
