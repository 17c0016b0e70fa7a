"""One side of one call, as the scenario sees it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from lab.agents.client import AgentClient
from lab.agents.events import Event
from lab.agents.step import Outcome
from lab.errors import AgentError

ECHO = "hears its own tone"
"""How the word of who judges a mix begins where the listener's own tone is in it."""
OVER = "the call is over"
SECONDS_OF_AUDIO = 0.8
"""How much received audio is judged: enough for 1.25 Hz resolution and 40 packets of 20 ms."""


class ToneReport(Protocol):
    """What the audio analysis found; truthy where the tone was heard."""

    def __bool__(self) -> bool:
        """Heard or not."""


@dataclass(frozen=True)
class Ears:
    """How a recording leaves the element and who judges it. Given by the session, which knows the runtime and the evidence."""

    fetch: Callable[[str, str], bytes]
    judge: Callable[[bytes, int, float], tuple[bool, str]]
    holds: Callable[[bytes, int], tuple[bool, str]]
    mix: Callable[[bytes, Sequence[int], int, float], tuple[bool, str]]
    keep: Callable[[str, str, bytes], None]


class Call:
    """A call leg. Every wait has a deadline; every answer is an `Outcome` that reads well when an assertion fails."""

    def __init__(self, client: AgentClient, identifier: str, *, ears: Ears, start: int, remote: str = "") -> None:
        self._client = client
        self._ears = ears
        self._start = start
        self.id = identifier
        self.remote = remote
        self._digits_from = start

    @property
    def element(self) -> str:
        """Whose leg this is."""
        return self._client.element

    # -- what the element is told ------------------------------------------------------------------------------------------------

    def ring(self) -> None:
        """Send 180 (RFC 3261 §13.3.1.1); user agents that ring by themselves accept it as well."""
        self._client.request("call.ring", call=self.id)

    def answer(self) -> None:
        """Answer with 200."""
        self._client.request("call.answer", call=self.id)

    def try_answer(self) -> bool:
        """Answer if that is still possible: False where the vendor refuses or the call is over already."""
        try:
            self.answer()
        except AgentError as error:
            if error.code == "fault":
                raise
            return False
        return True

    def reject(self, code: int, reason: str = "") -> None:
        """Refuse with a final response, 4xx to 6xx."""
        extra: dict[str, Any] = {"reason": reason} if reason else {}
        self._client.request("call.reject", call=self.id, code=code, **extra)

    def redirect(self, contact: str) -> None:
        """Answer 302 with `contact` (RFC 3261 §8.3)."""
        self._client.request("call.redirect", call=self.id, contact=contact)

    def cancel(self) -> None:
        """CANCEL the pending INVITE (RFC 3261 §9.1)."""
        self._client.request("call.cancel", call=self.id)

    def bye(self) -> None:
        """Hang up (RFC 3261 §15)."""
        self._client.request("call.bye", call=self.id)

    def try_bye(self) -> bool:
        """Hang up if there still is a call: False where the other side, or the software by itself, was quicker."""
        try:
            self.bye()
        except AgentError as error:
            if error.code not in ("unknown-call", "bad-state"):
                raise
            return False
        return True

    def hold(self, within: float = 5.0) -> Outcome:
        """Put the other side on hold (RFC 3264 §8.4) and wait for the answer to the re-INVITE."""
        start = len(self._client.events)
        self._client.request("call.hold", call=self.id)
        return self._reached("held", within, start=start, trace="INVITE")

    def resume(self, within: float = 5.0) -> Outcome:
        """Take it off hold and wait for the answer."""
        start = len(self._client.events)
        self._client.request("call.resume", call=self.id)
        return self._reached("resumed", within, start=start, trace="INVITE")

    def refer(self, target: str, replaces: Call | None = None) -> None:
        """Transfer the other side to `target` (RFC 3515), replacing a call (RFC 3891) where one is given."""
        extra: dict[str, Any] = {"replaces": replaces.id} if replaces else {}
        self._client.request("call.refer", call=self.id, target=target, **extra)

    def dtmf(self, digits: str, via: str = "rfc4733") -> None:
        """Send digits as RTP events (RFC 4733) or INFO."""
        self._client.request("call.dtmf", call=self.id, digits=digits, via=via)

    def play(self, tone_hz: int) -> None:
        """Another tone than the element's own from now on."""
        self._client.request("media.play", call=self.id, tone_hz=tone_hz)

    # -- what became of it -------------------------------------------------------------------------------------------------------

    def ringing(self, within: float = 5.0) -> Outcome:
        """A provisional response above 100 was received (or sent)."""
        return self._reached("ringing", within, trace="INVITE")

    def established(self, within: float = 5.0) -> Outcome:
        """The dialog is confirmed on this side."""
        return self._reached("established", within, trace="INVITE")

    def ended(self, within: float = 5.0) -> Outcome:
        """The leg is over; `.code` is the final code where the vendor tells it."""
        return self._over(self._state(("terminated",), within, self._start), within)

    def refused(self, within: float = 10.0) -> Outcome:
        """The INVITE ended without the call ever having been established on this side."""
        event = self._state(("established", "terminated"), within, self._start)
        if event is not None and event.data["state"] == "established":
            return self._outcome(False, "refused", "the call was established")
        return self._over(event, within)

    def heard(self, tone_hz: int, *, seconds: float = SECONDS_OF_AUDIO, within: float = 4.0) -> Outcome:
        """Record until one recording is filled by the tone: media may start late, but has to come within `within` seconds."""
        return self._listen(lambda recording: recording.hears(tone_hz), f"hear {tone_hz} Hz", seconds, within)

    def hears_all(self, *tones: int, own: int, within: float = 6.0) -> Outcome:
        """Record until all these tones are heard at the same time; the own one in any recording is an echo, and ends it."""
        step = f"hear {' + '.join(map(str, tones))} Hz"
        return self._listen(lambda recording: recording.mixes(tones, own), step, SECONDS_OF_AUDIO, within)

    def _listen(self, judge: Callable[[Recording], Outcome], step: str, seconds: float, within: float) -> Outcome:
        deadline = time.monotonic() + within
        while True:
            known = len(self._client.events)
            try:
                outcome = judge(self.record(seconds))
            except AgentError as error:
                if error.code not in ("unknown-call", "bad-state"):
                    raise
                if self.states()[-1:] != ["terminated"] and self._state(("established",), max(0.0, deadline - time.monotonic()), known):
                    continue  # the other side knew of the call a moment earlier
                return self._outcome(False, step, f"cannot hear anything, {self._last_state()}", trace="BYE")
            if outcome.ok or outcome.details.get("final") or time.monotonic() >= deadline:
                return outcome

    def record(self, seconds: float = SECONDS_OF_AUDIO) -> Recording:
        """Start recording what this side receives; several legs can record at the same time."""
        start = len(self._client.events)
        result = self._client.request("media.record", call=self.id, seconds=seconds)
        return Recording(self._client, self._ears, self.id, str(result.get("recording", "")), seconds, start)

    def transferred(self, within: float = 8.0) -> Outcome:
        """The other side has called whom this one referred it to, and said so (RFC 3515 §2.4.4)."""

        def over(event: Event) -> bool:
            return event.name == "fault" or (event.matches("transfer", call=self.id) and event.data.get("state") in ("done", "failed"))

        event = self._client.events.wait(over, within=within, start=self._start)
        if event is None:
            return self._outcome(False, "transfer", f"no outcome within {within:g} s", trace="REFER")
        state = str(event.data.get("state") or event.data.get("what", ""))
        outcome = self._outcome(state == "done", "transfer", state, event=event, trace="REFER")
        return replace(outcome, details={"final": state == "failed"})

    def received_digits(self, digits: str, within: float = 6.0) -> Outcome:
        """The next digits that were reported are exactly these, in order (RFC 4733 §2.5.1.4: redundancy must not double them). What comes
        after them is for the next question, or for `no_other_digits`."""
        got: list[str] = []

        def collect(event: Event) -> bool:
            self._digits_from += 1
            if event.matches("call.dtmf", call=self.id):
                got.append(str(event.data.get("digit")))
            return len(got) >= len(digits)

        self._client.events.wait(collect, within=within, start=self._digits_from)
        heard = "".join(got)
        return self._outcome(heard == digits, "dtmf", f"received digits {heard!r}, wanted {digits!r}")

    def no_other_digits(self, digits: str) -> Outcome:
        """In the whole call these digits were reported and no others: to be asked when it is over."""
        events = [event for event in self._client.events.since(self._start) if event.matches("call.dtmf", call=self.id)]
        heard = "".join(str(event.data.get("digit")) for event in events)
        return self._outcome(heard == digits, "dtmf", f"received digits {heard!r} in all, wanted {digits!r}")

    def states(self) -> list[str]:
        """All states reported so far."""
        events = self._client.events.since(self._start)
        return [str(event.data.get("state")) for event in events if event.matches("call.state", call=self.id)]

    # -- plumbing ----------------------------------------------------------------------------------------------------------------

    def _state(self, states: tuple[str, ...], within: float, start: int) -> Event | None:
        def reached(event: Event) -> bool:
            if event.name == "fault":
                return True
            return event.matches("call.state", call=self.id) and event.data.get("state") in (*states, "terminated")

        event = self._client.events.wait(reached, within=within, start=start)
        return event if event and event.data.get("state") in states else None

    def _reached(self, state: str, within: float, *, start: int | None = None, trace: str = "") -> Outcome:
        event = self._state((state,), within, self._start if start is None else start)
        if event is None:
            return self._outcome(False, state, f"not {state} within {within:g} s, {self._last_state()}", trace=trace)
        return self._outcome(True, state, state, event=event)

    def _over(self, event: Event | None, within: float) -> Outcome:
        if event is None:
            return self._outcome(False, "ended", f"not terminated within {within:g} s, {self._last_state()}", trace="BYE")
        return self._outcome(True, "ended", "terminated", event=event)

    def _last_state(self) -> str:
        events = [e for e in self._client.events.since(self._start) if e.matches("call.state", call=self.id) or e.name == "fault"]
        if not events:
            return "no state was reported"
        data = events[-1].data
        if events[-1].name == "fault":
            return f"the element failed: {data.get('what', '')}"
        text = " ".join(str(data[key]) for key in ("state", "code", "reason") if data.get(key) not in (None, ""))
        return f"last state: {text}"

    def _outcome(self, ok: bool, step: str, what: str, *, event: Event | None = None, trace: str = "") -> Outcome:
        data = event.data if event else {}
        code = data.get("code")
        return Outcome(
            ok=ok,
            what=what,
            element=self.element,
            step=step,
            code=code if isinstance(code, int) else None,
            reason=str(data.get("reason") or ""),
            trace=trace,
        )


@dataclass(frozen=True)
class Recording:
    """A recording under way."""

    client: AgentClient
    ears: Ears
    call: str
    id: str
    seconds: float
    start: int

    def hears(self, tone_hz: int, *, within: float = 8.0) -> Outcome:
        """The recording holds this tone, and no other, for (nearly) its whole length."""
        wav = self._audio(within)
        if wav is None:
            what = f"no {self.seconds:g} s of audio received within {within:g} s"
            return Outcome(False, what, self.client.element, f"hear {tone_hz} Hz")
        ok, what = self.ears.judge(wav, tone_hz, self.seconds)
        return Outcome(ok, what, self.client.element, f"hear {tone_hz} Hz")

    def mixes(self, tones: Sequence[int], own: int, *, within: float = 8.0) -> Outcome:
        """The recording holds all these tones at once for most of its length, and the own one not at all."""
        step = f"hear {' + '.join(str(hz) for hz in tones)} Hz"
        wav = self._audio(within)
        if wav is None:
            return Outcome(False, f"no {self.seconds:g} s of audio received within {within:g} s", self.client.element, step)
        ok, what = self.ears.mix(wav, tones, own, self.seconds)
        return Outcome(ok, what, self.client.element, step, details={"final": what.startswith(ECHO)})

    def silent(self, *, within: float = 2.5, tones: tuple[int, ...] = ()) -> Outcome:
        """No packet came, or what came holds none of `tones`: what a held side must find (music on hold is allowed). It is no silence where
        the call is over, or nobody is left to listen."""
        wav = self._audio(within)
        if wav is None:
            why = self._deaf()
            return Outcome(not why, why or "no audio received", self.client.element, "silence", trace="BYE" if why == OVER else "")
        for tone in tones:
            is_there, what = self.ears.holds(wav, tone)
            if is_there:
                return Outcome(False, f"still hears {what}", self.client.element, "silence")
        return Outcome(True, "none of the tones", self.client.element, "silence")

    def _deaf(self) -> str:
        """Why nothing can have been heard since the recording began; empty where it could."""
        for event in self.client.events.since(self.start):
            if event.name == "fault":
                return f"the element failed: {event.data.get('what', '')}"
            if event.matches("call.state", call=self.call, state="terminated"):
                return OVER
        return self.client.events.closed or ""

    def _audio(self, within: float) -> bytes | None:
        events = self.client.events
        event = events.wait(lambda e: e.matches("media.recorded", recording=self.id), within=within, start=self.start)
        if event is None:
            return None
        name = str(event.data.get("file", ""))
        wav = self.ears.fetch(self.client.element, name)
        self.ears.keep(self.client.element, name.rsplit("/", 1)[-1], wav)
        return wav
