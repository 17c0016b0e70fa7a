"""A user agent in a scenario's hand."""

from __future__ import annotations

import base64
import threading
import time
from dataclasses import dataclass
from typing import Any

from lab.agents.call import Call, Ears
from lab.agents.client import AgentClient
from lab.agents.driven import Driven
from lab.agents.events import Event
from lab.agents.step import Outcome

TIMER_F = 32.0
"""Seconds (RFC 3261 §17.1.2.2): a registration has ended by then, one way or the other."""


@dataclass(frozen=True)
class Identity:
    """Who a user agent is in this lab, and the proxies it can use: URIs by the names that scenarios give them. `family` is the address
    family that it uses unless a scenario says otherwise. `entrances` are the elements that it registers through, in the order in which it
    is to use them (RFC 5626 §3.1)."""

    aor: str
    username: str
    password: str
    tone_hz: int
    proxies: dict[str, str]
    family: int = 4
    entrances: tuple[str, ...] = ()


class UserAgent(Driven):
    """Drives one element. Names and tones come from the plan, so that no scenario invents an address."""

    def __init__(self, client: AgentClient, identity: Identity, ears: Ears) -> None:
        super().__init__(client)
        self.identity = identity
        self._ears = ears
        self._account: str | None = None
        self._flows = 1
        self._noted: dict[str, int] = {}
        self.overrides: dict[str, object] = {}

    @property
    def aor(self) -> str:
        """Its address of record."""
        return self.identity.aor

    @property
    def tone(self) -> int:
        """The tone it sends, in Hz: no other element of the lab has it."""
        return self.identity.tone_hz

    @property
    def sips(self) -> str:
        """Its address of record as a SIPS URI: to be reached over TLS on every hop (RFC 5630 §3)."""
        return self.aor.replace("sip:", "sips:", 1)

    def uri(self, transport: str) -> str:
        """Its address of record with a transport parameter: pins the next hop's transport (RFC 3263 §4.1)."""
        return f"{self.aor};transport={transport}"

    # -- registration ------------------------------------------------------------------------------------------------------------

    def add_account(
        self,
        *,
        transport: str = "udp",
        media: str = "rtp",
        aor: str | None = None,
        password: str | None = None,
        proxy: str | None = None,
        family: int | None = None,
        flows: int = 0,
        **more: object,
    ) -> str:
        """Configure the account without registering; one account at a time. `proxy` names one of the identity's proxies, `more` are other
        members of the contract's `account.add`. With `flows` it registers through so many entrances of its domain (RFC 5626 §4.2)."""
        if self._account is not None:
            self.client.request("account.remove", account=self._account)
        params: dict[str, Any] = {
            "aor": self.aor if aor is None else aor,
            "username": self.identity.username,
            "password": self.identity.password if password is None else password,
            "proxy": self.identity.proxies[proxy or transport],
            "transport": transport,
            "media": media,
            "family": family or self.identity.family,
            **({"outbound": True, "proxies": self._through(transport, flows)} if flows else {}),
            **more,
        }
        params.update(self.overrides)
        self._flows = len(params.get("proxies", ())) or 1
        self._account = str(self.client.request("account.add", **params)["account"])
        return self._account

    def _through(self, transport: str, flows: int) -> list[str]:
        """The first so many entrances; KeyError where its domain has less."""
        if flows > len(self.identity.entrances):
            raise KeyError(f"{self.name}: {flows} flows, and its domain has {len(self.identity.entrances)} entrances")
        return [self.identity.proxies[f"{entrance}/{transport}"] for entrance in self.identity.entrances[:flows]]

    def register(self, *, within: float = 10.0, **account: object) -> Outcome:
        """Register and insist on it: StepFailed where the registrar or the user agent does not agree within `within` seconds."""
        outcome = self.attempt_register(within=within, **account)
        return outcome.required()

    def attempt_register(self, *, within: float = TIMER_F, **account: object) -> Outcome:
        """Register and report what became of it, truthy when registered (with several flows: over all of them); `.code` where the vendor
        tells it."""
        identifier = self.add_account(**account)  # type: ignore[arg-type]
        start, until = len(self.client.events), time.monotonic() + within
        self.client.request("register", account=identifier)
        for flow in range(1, self._flows + 1):
            left = max(until - time.monotonic(), 0.0)
            outcome = self._registration(identifier, ("registered", "failed"), "register", left, start, flow if self._flows > 1 else 0)
            if not outcome:
                break
        return outcome

    def unregister(self, within: float = 10.0) -> Outcome:
        """Remove the binding."""
        start = len(self.client.events)
        self.client.request("unregister", account=self._required_account())
        return self._registration(self._required_account(), ("unregistered", "failed"), "unregister", within, start)

    def _registration(self, account: str, states: tuple[str, str], step: str, within: float, start: int, flow: int = 0) -> Outcome:
        """`flow` is the one that is asked for; 0 for any."""
        members: dict[str, Any] = {"account": account, **({"flow": flow} if flow else {})}

        def wanted(event: Event) -> bool:
            return event.name == "fault" or (event.matches("registration", **members) and event.data.get("state") in states)

        event = self.client.events.wait(wanted, within=within, start=start)
        if event is None:
            which = f" of flow {flow}" if flow else ""
            return Outcome(False, f"no outcome{which} within {within:.3g} s", self.name, step, trace="REGISTER")
        if event.name == "fault":
            return Outcome(False, f"the element failed: {event.data.get('what', '')}", self.name, step)
        state, code, reason = str(event.data["state"]), event.data.get("code"), str(event.data.get("reason") or "")
        text = " ".join(str(part) for part in (state, code, reason) if part not in (None, ""))
        number = code if isinstance(code, int) else None
        return Outcome(state == states[0], text, self.name, step, number, reason, trace="REGISTER", details={"final": True})

    # -- calls and messages ------------------------------------------------------------------------------------------------------

    def invite(self, target: str, *, offer: str = "early") -> Call:
        """Call `target`, with the offer in the INVITE or (`delayed`) in the 200."""
        start = len(self.client.events)
        extra: dict[str, Any] = {} if offer == "early" else {"offer": offer}
        result = self.client.request("call.invite", account=self._required_account(), target=target, **extra)
        return Call(self.client, str(result["call"]), ears=self._ears, start=start, remote=target)

    def dial(self, number: str) -> Call:
        """Call a telephone number, which its own domain is to find a way to (RFC 3966 §7.3, RFC 3398 §8.2.1.1)."""
        return self.invite(f"sip:{number}@{self.aor.rpartition('@')[2]}")

    def expect_invite(self, within: float = 8.0) -> Call:
        """The next incoming call, or StepFailed."""
        event = self._next("call.incoming", within, "INVITE")
        return Call(self.client, str(event.data["call"]), ears=self._ears, start=self._seen - 1, remote=str(event.data.get("from", "")))

    def incoming_or(self, call: Call, within: float) -> Call | None:
        """The incoming call that `call` caused, or None as soon as `call` is over without one; None too after `within` seconds."""

        def watch() -> None:
            call.ended(within)
            self.client.events.wake()

        threading.Thread(target=watch, daemon=True).start()
        event = self.client.events.wait(
            lambda e: e.name == "call.incoming", within=within, start=self._seen, unless=lambda: "terminated" in call.states()
        )
        return None if event is None else self.expect_invite(within=1.0)

    def message(self, target: str, body: str, within: float = 10.0) -> Outcome:
        """Send a page-mode message (RFC 3428) and wait for its final response."""
        start = len(self.client.events)
        result = self.client.request("message.send", account=self._required_account(), target=target, body=body)
        identifier = result.get("message")
        event = self.client.events.wait(lambda e: e.matches("message.status", message=identifier), within=within, start=start)
        if event is None:
            return Outcome(False, f"no final response within {within:g} s", self.name, "message", trace="MESSAGE")
        code = event.data.get("code")
        return Outcome(
            event.data.get("ok") is True, f"status {code}", self.name, "message", code if isinstance(code, int) else None, trace="MESSAGE"
        )

    def send_raw(self, text: str, *, proxy: str = "udp") -> None:
        """Send this to a next hop as it stands, past the user agent's own stack (capability `raw`). `{local}` becomes the address that it
        is sent from, for the Via. Answers are on the wire.
        """
        opened = self.client.request("raw.open", target=self.identity.proxies[proxy])
        data = text.replace("{local}", str(opened["local"])).encode()
        self.client.request("raw.send", raw=opened["raw"], data=base64.b64encode(data).decode())

    def expect_message(self, within: float = 8.0) -> str:
        """The body of the next message, or StepFailed."""
        return str(self._next("message.received", within, "MESSAGE").data.get("body", ""))

    def subscribe(self, target: str, package: str, expires: int = 300) -> str:
        """Subscribe to a package of `target` (RFC 6665); the subscription."""
        request: dict[str, Any] = {"account": self._required_account(), "target": target, "package": package, "expires": expires}
        return str(self.client.request("subscribe", **request).get("subscription", ""))

    def notified(self, subscription: str, text: str, within: float = 8.0) -> Outcome:
        """A notification whose body holds `text` was reported, after the one that was waited for before."""

        def wanted(event: Event) -> bool:
            return event.matches("notify", subscription=subscription) and text in str(event.data.get("body", ""))

        start = self._noted.get(subscription, self.began)
        event = self.client.events.wait(wanted, within=within, start=start)
        if event is not None:
            self._noted[subscription] = start + self.client.events.since(start).index(event) + 1
        what = "notified" if event else f"no notification with {text!r} within {within:g} s"
        return Outcome(event is not None, what, self.name, "notify", trace="NOTIFY")

    # -- between scenarios -------------------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Back to the state after the handshake."""
        super().reset()
        self._account = None
        self._flows = 1
        self._noted = {}
        self.overrides = {}

    def _required_account(self) -> str:
        if self._account is None:
            raise ValueError(f"{self.name}: no account: register first")
        return self._account
