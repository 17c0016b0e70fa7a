"""Calls: what the lab asks for, and liblinphone's call states as the contract's."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from siplab_agent.faults import BadState, RequestError, UnknownCall

from .accounts import Account, outcome
from .api import DIRECTION_NAMES, ENCRYPTION, ENCRYPTION_NAMES, CallState, RtpStats
from .digits import Digits

if TYPE_CHECKING:
    from .driver import Driver

_STREAMING = (CallState.RUNNING, CallState.PAUSED, CallState.PAUSED_BY_REMOTE)
_RELEASED_WITHIN_S = 2.0
_PENDING = (CallState.INCOMING, CallState.INCOMING_EARLY_MEDIA)


@dataclass
class Call:
    """A LinphoneCall, kept until liblinphone releases it."""

    id: str
    pointer: int
    account: Account | None
    incoming: bool
    state: int = CallState.IDLE
    rung: bool = False
    established: bool = False
    held: bool = False
    ended: bool = False
    cancelled: bool = False
    media: tuple[str | None, str | None, str | None] | None = None


class Calls:
    """All call.* methods, `stats`, and the events of calls."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._digits = Digits(driver)
        self._calls: dict[str, Call] = {}
        self._pointers: dict[int, Call] = {}
        self._inviting: Account | None = None
        self._refer_to: str | None = None
        self.methods: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "call.invite": self.invite,
            "call.ring": self.ring,
            "call.answer": self.answer,
            "call.reject": self.reject,
            "call.redirect": self.redirect,
            "call.cancel": self.cancel,
            "call.bye": self.bye,
            "call.hold": self.hold,
            "call.resume": self.resume,
            "call.refer": self.refer,
            "call.dtmf": self.dtmf,
            "stats": self.stats,
        }

    def install(self, cbs: int) -> None:
        """Hook into the core's callbacks."""
        api = self._driver.api
        api.callback("linphone_core_cbs_set_call_state_changed", cbs, self._on_state)
        api.callback("linphone_core_cbs_set_call_encryption_changed", cbs, self._on_encryption)
        api.callback("linphone_core_cbs_set_dtmf_received", cbs, self._on_dtmf)
        api.callback("linphone_core_cbs_set_transfer_state_changed", cbs, self._on_transfer)
        api.callback("linphone_core_cbs_set_refer_received", cbs, self._on_refer)

    @property
    def live(self) -> bool:
        """True while a call has not ended."""
        return any(not call.ended for call in self._calls.values())

    def _get(self, params: dict[str, Any], *states: CallState) -> Call:
        call = self._calls.get(params["call"])
        if call is None or call.ended:
            raise UnknownCall(f"no call {params['call']}")
        if states and call.state not in states:
            raise BadState(f"{call.id} is {CallState(call.state).name.lower()}")
        return call

    def invite(self, params: dict[str, Any]) -> dict[str, Any]:
        """INVITE through the account; `offer: delayed` leaves the SDP out (RFC 3264 §5)."""
        driver, api = self._driver, self._driver.api
        account = driver.accounts.get(params["account"])
        api.core_set_default_account(driver.core, account.pointer)
        api.core_enable_sdp_200_ack(driver.core, int(params["offer"] == "delayed"))
        target = driver.address(params["target"])
        call_params = self._params(None, account)
        self._inviting = account
        try:
            pointer = api.core_invite_address_with_params(driver.core, target, call_params)
        finally:
            self._inviting = None
            api.call_params_unref(call_params)
            api.address_unref(target)
        if not pointer:
            raise RequestError(f"linphone cannot call {params['target']}")
        return {"call": self._pointers[pointer].id}

    def _params(self, call: Call | None, account: Account | None) -> int:
        """The core insists on its media encryption, also on "none", so that it refuses what an account did not ask for; but then
        it would drop outgoing clear packets, so the insisting ends where a plain call begins."""
        api = self._driver.api
        call_params = api.core_create_call_params(self._driver.core, call.pointer if call else None)
        if account and call is None:
            api.call_params_set_account(call_params, account.pointer)
            api.call_params_set_media_encryption(call_params, ENCRYPTION[account.media])
        if account:
            api.call_params_enable_mandatory_media_encryption(call_params, int(account.media != "rtp"))
        return int(call_params)

    def ring(self, params: dict[str, Any]) -> dict[str, Any]:
        """180: liblinphone is told not to ring by itself, so that the lab decides."""
        call = self._get(params, *_PENDING)
        self._driver.api.call_notify_ringing(call.pointer)
        if not call.rung:
            call.rung = True
            self._driver.event("call.state", call=call.id, state="ringing", code=180)
        return {}

    def answer(self, params: dict[str, Any]) -> dict[str, Any]:
        """200."""
        call = self._get(params, *_PENDING)
        call_params = self._params(call, call.account)
        try:
            self._check(self._driver.api.call_accept_with_params(call.pointer, call_params), "answer")
        finally:
            self._driver.api.call_params_unref(call_params)
        return {}

    def reject(self, params: dict[str, Any]) -> dict[str, Any]:
        """A final answer of any code; the reason phrase on the wire is liblinphone's own for that code."""
        call = self._get(params, *_PENDING)
        api = self._driver.api
        info = api.factory_create_error_info(self._driver.factory)
        try:
            api.error_info_set(info, "SIP", 22, params["code"], params.get("reason"), None)
            self._check(api.call_decline_with_error_info(call.pointer, info), "reject")
        finally:
            api.error_info_unref(info)
        return {}

    def redirect(self, params: dict[str, Any]) -> dict[str, Any]:
        """302."""
        call = self._get(params, *_PENDING)
        contact = self._driver.address(params["contact"])
        try:
            self._check(self._driver.api.call_redirect_to(call.pointer, contact), "redirect")
        finally:
            self._driver.api.address_unref(contact)
        return {}

    def cancel(self, params: dict[str, Any]) -> dict[str, Any]:
        """CANCEL an INVITE of ours that has no final answer."""
        call = self._get(params)
        if call.incoming or call.established:
            raise BadState(f"{call.id} is not a pending outgoing call")
        call.cancelled = True
        self._check(self._driver.api.call_terminate(call.pointer), "cancel")
        return {}

    def bye(self, params: dict[str, Any]) -> dict[str, Any]:
        """BYE."""
        call = self._get(params)
        if not call.established:
            raise BadState(f"{call.id} is not established")
        self._check(self._driver.api.call_terminate(call.pointer), "bye")
        return {}

    def hold(self, params: dict[str, Any]) -> dict[str, Any]:
        """re-INVITE with `sendonly` (or `inactive` where the other side holds too)."""
        self._check(self._driver.api.call_pause(self._get(params, CallState.RUNNING, CallState.PAUSED_BY_REMOTE).pointer), "hold")
        return {}

    def resume(self, params: dict[str, Any]) -> dict[str, Any]:
        """re-INVITE with `sendrecv`."""
        self._check(self._driver.api.call_resume(self._get(params, CallState.PAUSED).pointer), "resume")
        return {}

    def refer(self, params: dict[str, Any]) -> dict[str, Any]:
        """REFER; with `replaces` the other call's dialog goes into the Refer-To, whose URI is then that call's peer."""
        call = self._get(params, *_STREAMING)
        api = self._driver.api
        if params["replaces"]:
            other = self._get({"call": params["replaces"]}, *_STREAMING)
            self._check(api.call_transfer_to_another(call.pointer, other.pointer), "refer")
            return {}
        target = self._driver.address(params["target"])
        try:
            self._check(api.call_transfer_to(call.pointer, target), "refer")
        finally:
            api.address_unref(target)
        return {}

    def dtmf(self, params: dict[str, Any]) -> dict[str, Any]:
        """Digits as RTP events or SIP INFO, after those that are still being sent."""
        call = self._get(params, CallState.RUNNING)
        self._check(self._digits.send(call, params["digits"], params["via"] == "info"), "dtmf")
        return {}

    def stats(self, params: dict[str, Any]) -> dict[str, Any]:
        """Ids of the live calls and, for one call, RTP packets as oRTP counts them."""
        result: dict[str, Any] = {"calls": [call.id for call in self._calls.values() if not call.ended]}
        if params["call"]:
            result.update(self._packets(self._get(params)))
        return result

    def _packets(self, call: Call) -> dict[str, int]:
        api = self._driver.api
        stats = api.call_get_audio_stats(call.pointer)
        if not stats:
            return {}
        try:
            counters = api.call_stats_get_rtp_stats(stats)
            rtp = RtpStats.from_address(counters) if counters else None
            return {"rx_packets": rtp.packet_recv, "tx_packets": rtp.packet_sent} if rtp else {}
        finally:
            api.call_stats_unref(stats)

    @staticmethod
    def _check(status: int, what: str) -> None:
        if status:
            raise RequestError(f"linphone refused to {what} (status {status})")

    def _on_state(self, _core: int, pointer: int, state: int, message: bytes) -> None:
        call = self._pointers.get(pointer) or self._new(pointer, state)
        call.state = state
        if state in (CallState.OUTGOING_RINGING, CallState.OUTGOING_EARLY_MEDIA):
            self._ringing(call)
        elif state in _STREAMING:
            self._streaming(call)
        elif state == CallState.REFERRED:
            self._referred(call)
        elif state in (CallState.END, CallState.ERROR):
            self._await_release(call, time.monotonic() + _RELEASED_WITHIN_S if call.cancelled else 0.0)
        elif state == CallState.RELEASED:
            self._ended(call)
            del self._pointers[pointer]
            del self._calls[call.id]
            self._driver.later(lambda: self._driver.api.call_unref(pointer))

    def _new(self, pointer: int, state: int) -> Call:
        driver, api = self._driver, self._driver.api
        api.call_ref(pointer)
        incoming = state in (CallState.INCOMING, CallState.PUSH_INCOMING)
        account = self._inviting or driver.accounts.by_pointer(api.call_params_get_account(api.call_get_params(pointer)))
        call = Call(driver.new_id("c"), pointer, account, incoming)
        self._pointers[pointer] = self._calls[call.id] = call
        if not incoming and self._inviting is None:  # the library follows a REFER by itself
            driver.event(
                "call.outgoing", call=call.id, account=account.id if account else None, to=api.uri(api.call_get_remote_address(pointer))
            )
        if incoming:
            caller = api.uri(api.call_get_remote_address(pointer))
            called = api.uri(api.call_get_to_address(pointer))
            driver.event("call.incoming", call=call.id, account=account.id if account else None, to=called, **{"from": caller})
        return call

    def _tell(self, call: Call, state: str, code: int | None = None, reason: str | None = None) -> None:
        self._driver.event("call.state", call=call.id, state=state, code=code, reason=reason)

    def _ringing(self, call: Call) -> None:
        if not call.rung:
            call.rung = True
            self._tell(call, "ringing")

    def _streaming(self, call: Call) -> None:
        if not call.established:
            call.established = True
            self._tell(call, "established", 200)
        held = call.state != CallState.RUNNING
        if held != call.held:
            call.held = held
            self._tell(call, "held" if held else "resumed")
        self._tell_media(call)

    def _tell_media(self, call: Call) -> None:
        api = self._driver.api
        current = api.call_get_current_params(call.pointer)
        payload = api.call_params_get_used_audio_payload_type(current)
        codec = f"{api.payload_type_get_mime_type(payload)}/{api.payload_type_get_clock_rate(payload)}" if payload else None
        encryption = ENCRYPTION_NAMES.get(api.call_params_get_media_encryption(current))
        if encryption == "none" and call.account and call.account.media == "dtls":
            encryption = None  # not known before the handshake ended: _on_encryption comes then
        media = (DIRECTION_NAMES.get(api.call_params_get_audio_direction(current)), encryption, codec)
        if media != call.media:
            call.media = media
            self._driver.event("call.media", call=call.id, direction=media[0], encryption=media[1], codec=media[2])

    def _await_release(self, call: Call, due: float) -> None:
        """liblinphone says END when it sends CANCEL, and RELEASED when the INVITE is answered; not where 487 came before 200 to CANCEL."""
        if time.monotonic() >= due:
            self._ended(call)
        elif not call.ended:
            self._driver.later(lambda: self._await_release(call, due))

    def _ended(self, call: Call) -> None:
        if call.ended:
            return
        call.ended = True
        code, reason = outcome(self._driver.api, self._driver.api.call_get_error_info(call.pointer))
        if call.established and call.state == CallState.END and (code is None or code < 200):
            code = 200
        self._tell(call, "terminated", code, reason)

    def _on_encryption(self, _core: int, pointer: int, _enabled: int, _token: bytes) -> None:
        call = self._pointers.get(pointer)
        if call and call.established and not call.ended:
            self._tell_media(call)

    def _on_dtmf(self, _core: int, pointer: int, digit: int) -> None:
        call = self._pointers.get(pointer)
        if call:
            self._driver.event("call.dtmf", call=call.id, digit=chr(digit))

    def _on_refer(self, _core: int, refer_to: bytes) -> None:
        self._refer_to = refer_to.decode("utf-8", "replace")

    def _referred(self, call: Call) -> None:
        target, self._refer_to = self._refer_to, None
        self._driver.event("transfer", call=call.id, state="requested", target=target)

    def _on_transfer(self, _core: int, pointer: int, state: int) -> None:
        call = self._pointers.get(pointer)
        told = {
            CallState.OUTGOING_INIT: "accepted",
            CallState.OUTGOING_PROGRESS: "accepted",
            CallState.CONNECTED: "done",
            CallState.ERROR: "failed",
        }.get(CallState(state))
        if call and told:
            self._driver.event("transfer", call=call.id, state=told)
