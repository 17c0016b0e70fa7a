"""The smallest agent that keeps the contract: no SIP, and a library that prints where it should not."""

from __future__ import annotations

import os

from siplab_agent import Account, Agent, BadState, Call


class FakeAgent(Agent):
    """Software that registers at once, and rings for ever."""

    vendor = "fake"
    capabilities = frozenset({"udp", "tcp", "invite", "cancel", "busy", "message"})

    def start(self) -> None:
        print("a library that prints")
        os.system("echo a child that prints")
        self.spawn(["sleep", "600"], name="software", on_exit=lambda code: None)

    def version(self) -> str:
        return "1.0"

    def stop(self) -> None:
        print("a library that prints at the end")

    def reset(self) -> None:
        pass

    def account_add(self, account: Account) -> None:
        account.native = "idle"

    def account_remove(self, account: Account) -> None:
        account.native = None

    def register(self, account: Account, expires: int | None) -> None:
        self.registration(account, "registered", code=200, expires=expires or account.expires)

    def unregister(self, account: Account) -> None:
        self.registration(account, "unregistered", code=200)

    def call_invite(self, call: Call, target: str, offer: str) -> None:
        self.after(0.01, lambda: self.call_state(call, "ringing", 180, "Ringing"))

    def call_ring(self, call: Call) -> None:
        raise BadState("an outgoing call rings elsewhere")

    call_answer = call_hold = call_resume = call_ring

    def call_reject(self, call: Call, code: int, reason: str | None) -> None:
        raise BadState("an outgoing call is rejected elsewhere")

    def call_cancel(self, call: Call) -> None:
        self.call_state(call, "terminated", 487, "Request Terminated")

    def call_bye(self, call: Call) -> None:
        raise BadState("not answered")

    def message_send(self, message: str, account: Account, target: str, body: str, content_type: str) -> None:
        self.emit("message.status", message=message, code=200, ok=True)

    def media_play(self, call: Call, tone_hz: int) -> None:
        pass

    def media_record(self, recording: str, path: str, call: Call, seconds: float) -> None:
        raise BadState("no media")


if __name__ == "__main__":
    FakeAgent.main()
