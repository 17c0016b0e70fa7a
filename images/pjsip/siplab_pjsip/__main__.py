"""The agent: the contract on one side, the engine process on the other."""

from __future__ import annotations

from typing import Any

from siplab_agent import Account, Agent, BadState, Call, Dead, log

from .process import Engine, Nursery

START_WITHIN = 15.0
CAPABILITIES = frozenset(
    {
        *("udp", "tcp", "tls", "tls-server-name", "mtls", "sips", "srv"),
        *("digest-md5", "digest-sha-256", "ice", "stun", "turn", "outbound", "outbound-flows", "q-value"),
        *(
            "invite",
            "cancel",
            "busy",
            "reject-any",
            "redirect",
            "hold",
            "delayed-offer",
            "delayed-offer-uas",
            "early-media",
            "prack",
            "update",
            "session-timer",
        ),
        *("srtp-sdes", "dtmf-rfc4733", "dtmf-info"),
        *("message", "refer", "refer-replaces", "mwi"),
    }
)


class PjsipAgent(Agent):
    """PJSIP as a vendor."""

    vendor = "pjsip"
    capabilities = CAPABILITIES

    def start(self) -> None:
        """Load PJSIP and start the first engine."""
        self.nursery = Nursery(self)
        self._start_engine()

    def _start_engine(self) -> None:
        self.engine = Engine(self, self.nursery)
        ready = self.engine.expect(lambda message: message.get("event") == "ready", START_WITHIN)
        if ready is None:
            raise Dead(f"PJSIP did not start within {START_WITHIN} s")
        self.engine.pid = int(ready["pid"])
        self._version_told = str(ready["version"])

    def version(self) -> str:
        """PJSIP's own."""
        return self._version_told

    def stop(self) -> None:
        """End calls and bindings, then the engine."""
        if not self.dead:
            self.engine.end()

    def reset(self) -> None:
        """A new engine, so that nothing of the old one is left."""
        self.engine.end()
        self._start_engine()

    # -- what the engine tells -------------------------------------------------------------------------------------------------

    def tell(self, engine: Engine, message: dict[str, Any]) -> None:
        """An event of the engine in the words of the contract: handles become calls."""
        name = message.pop("event")
        if name in ("ready", "goodbye"):
            return
        handle = message.pop("call", None)
        if name in ("call.incoming", "outgoing"):
            self._new_call(engine, name, handle, message)
            return
        call = engine.calls.get(handle) if handle else None
        if handle and call is None:
            log(f"event {name} of an unknown call {handle}: {message}")
        elif call and name == "call.state":
            self.call_state(call, message["state"], message.get("code"), message.get("reason"))
        elif name == "fault":
            self.emit("fault", what=message["what"])
        else:
            self.emit(name, **({"call": call.id} if call else {}), **message)

    def _new_call(self, engine: Engine, name: str, handle: str, message: dict[str, Any]) -> None:
        account = self.accounts[message["account"]]
        if name == "call.incoming":
            call = self.incoming(account, message["from"], message.get("to"), native=handle)
        else:
            call = Call(self.new_id("c"), account, incoming=False, target=message["target"], native=handle)
            self.calls[call.id] = call
        engine.calls[handle] = call

    # -- methods ---------------------------------------------------------------------------------------------------------------

    def account_add(self, account: Account) -> None:
        """Create it; no packet is sent."""
        self.engine.ask(
            "account_add",
            account=account.id,
            aor=account.aor,
            username=account.username,
            password=account.password,
            proxy=account.proxy,
            transport=account.transport,
            media=account.media,
            expires=account.expires,
            ice=account.ice,
            stun=account.stun,
            turn=account.turn,
            turn_username=account.turn_username,
            turn_password=account.turn_password,
            outbound=account.outbound,
            proxies=account.proxies,
            q=account.q,
        )

    def account_remove(self, account: Account) -> None:
        """Delete it; its calls go with it."""
        for call in [call for call in self.calls.values() if call.account is account]:
            self.engine.ask("hangup", call=call.native)
        self.engine.ask("account_remove", account=account.id)

    def register(self, account: Account, expires: int | None) -> None:
        """REGISTER."""
        self.engine.ask("register", account=account.id, expires=expires)

    def unregister(self, account: Account) -> None:
        """REGISTER with Expires 0."""
        self.engine.ask("unregister", account=account.id)

    def call_invite(self, call: Call, target: str, offer: str) -> None:
        """INVITE."""
        call.native = call.id
        self.engine.calls[call.id] = call
        self.engine.ask("invite", call=call.id, account=call.account.id, target=target, delayed=offer == "delayed")

    def call_ring(self, call: Call) -> None:
        """180."""
        self._respond(call, 180)

    def call_answer(self, call: Call) -> None:
        """200."""
        self._respond(call, 200)

    def call_reject(self, call: Call, code: int, reason: str | None) -> None:
        """A final response of the caller's choice."""
        self._respond(call, code, reason=reason or "")

    def call_redirect(self, call: Call, contact: str) -> None:
        """302 with that Contact."""
        self._respond(call, 302, contact=contact)

    def _respond(self, call: Call, code: int, **more: str) -> None:
        if not (call.incoming and call.pending):
            raise BadState(
                f"{call.id} is {'an incoming' if call.incoming else 'an outgoing'} call in state {call.state}: nothing to respond to"
            )
        self.engine.ask("respond", call=call.native, code=code, **more)

    def call_cancel(self, call: Call) -> None:
        """CANCEL; PJSIP waits for the first provisional response itself (RFC 3261 §9.1)."""
        if call.incoming or not call.pending:
            raise BadState(f"{call.id} is {call.state}: only an outgoing call that is not answered can be cancelled")
        self.engine.ask("hangup", call=call.native)

    def call_bye(self, call: Call) -> None:
        """BYE."""
        self._in_call(call, "hangup")

    def call_hold(self, call: Call) -> None:
        """re-INVITE with sendonly."""
        self._in_call(call, "hold")

    def call_resume(self, call: Call) -> None:
        """re-INVITE with sendrecv."""
        self._in_call(call, "resume")

    def call_refer(self, call: Call, target: str, replaces: Call | None) -> None:
        """REFER."""
        self._in_call(call, "refer", target=target, replaces=replaces.native if replaces else None)

    def call_dtmf(self, call: Call, digits: str, via: str) -> None:
        """Digits, one after the other."""
        self._in_call(call, "dtmf", digits=digits, via=via)

    def media_play(self, call: Call, tone_hz: int) -> None:
        """Another tone."""
        self.engine.ask("play", call=call.native, hz=tone_hz)

    def media_record(self, recording: str, path: str, call: Call, seconds: float) -> None:
        """Record what is received, also with what rings."""
        self._in_call(call, "record", early=not call.incoming, recording=recording, path=path, seconds=seconds)

    def _in_call(self, call: Call, method: str, *, early: bool = False, **params: Any) -> None:
        if not call.answered and not (early and call.state == "ringing"):
            raise BadState(f"{call.id} is {call.state}, not established")
        self.engine.ask(method, call=call.native, **params)

    def message_send(self, message: str, account: Account, target: str, body: str, content_type: str) -> None:
        """MESSAGE."""
        self.engine.ask("message", message=message, account=account.id, target=target, body=body, content_type=content_type)

    def subscribe(self, subscription: str, account: Account, target: str, package: str, expires: int) -> None:
        """SUBSCRIBE, as far as PJSUA2 goes."""
        self.engine.ask("subscribe", subscription=subscription, account=account.id, target=target, package=package, expires=expires)

    def stats(self, call: Call | None) -> dict[str, Any]:
        """Packet counts of a call."""
        return self.engine.ask("statistics", call=call.native) if call else {}


if __name__ == "__main__":
    PjsipAgent.main()
