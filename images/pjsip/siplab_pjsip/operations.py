"""What the agent can ask of the engine. Parameters were validated and states checked by the agent."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pjsua2 as pj
from siplab_agent.faults import BadState, Refused, UnknownCall, Unsupported

from .accounts import Account
from .calls import Call, operation
from .media import Recording
from .translate import bare_uri

if TYPE_CHECKING:
    from .engine import Engine

MAX_ACCOUNTS = 8
"""PJSUA_MAX_ACC of this build: one more aborts the process."""


def account_add(engine: Engine, account: str, **params: Any) -> None:
    """Create an account and the transport it needs; of one with several proxies, one for each flow."""
    hops = params.pop("proxies") or [params["proxy"]]
    if len(engine.accounts) + len(hops) > MAX_ACCOUNTS:
        raise Refused(f"PJSIP holds at most {MAX_ACCOUNTS} accounts")
    engine.transport(params["transport"])
    if params["stun"]:
        servers = pj.StringVector()
        servers.append(params["stun"].removeprefix("stun:"))
        engine.endpoint.natUpdateStunServers(servers, False)  # a server that is silent is no reason to be so
    for flow, hop in enumerate(hops, 1):
        key = account if flow == 1 else f"{account}/{flow}"
        own = {**params, "proxy": hop, "flow": flow if len(hops) > 1 else None}
        engine.accounts[key] = Account(engine, account, own, key)


def _flows(engine: Engine, account: str) -> list[Account]:
    """The accounts that PJSIP has for one of ours."""
    return [native for native in engine.accounts.values() if native.name == account]


def account_remove(engine: Engine, account: str) -> None:
    """Delete an account; PJSIP unregisters it by itself."""
    for native in _flows(engine, account):
        del engine.accounts[native.key]
        engine.reported(native.key, "removed")
        native.shutdown()


def register(engine: Engine, account: str, expires: int | None) -> None:
    """Send REGISTER."""
    for native in _flows(engine, account):
        native.register(expires)


def unregister(engine: Engine, account: str) -> None:
    """Send REGISTER with Expires 0."""
    for native in _flows(engine, account):
        native.unregister()


def invite(engine: Engine, call: str, account: str, target: str, delayed: bool) -> None:
    """Send INVITE, with or without an offer."""
    native = Call(engine, engine.accounts[account], name=call)
    prm = operation()
    if delayed:
        prm.opt.flag |= pj.PJSUA_CALL_NO_SDP_OFFER
    try:
        native.makeCall(target, prm)
    except pj.Error:
        engine.calls.pop(call, None)
        engine.grave.append(native)
        raise


def _call(engine: Engine, call: str) -> Call:
    native = engine.calls.get(call)
    if native is None:
        raise UnknownCall(f"{call} has just ended")
    return native


def respond(engine: Engine, call: str, code: int, reason: str = "", contact: str = "") -> None:
    """Answer an INVITE: provisional, final or a redirection to `contact`."""
    prm = operation(code, reason)
    if contact:
        header = pj.SipHeader()
        header.hName, header.hValue = "Contact", f"<{contact}>"
        prm.txOption.headers.append(header)
    _call(engine, call).answer(prm)


def hangup(engine: Engine, call: str) -> None:
    """BYE or CANCEL, as the state asks for."""
    _call(engine, call).hangup(operation())


def hold(engine: Engine, call: str) -> None:
    """re-INVITE with sendonly."""
    _call(engine, call).setHold(operation())


def resume(engine: Engine, call: str) -> None:
    """re-INVITE with sendrecv."""
    prm = operation()
    prm.opt.flag |= pj.PJSUA_CALL_UNHOLD
    _call(engine, call).reinvite(prm)


def refer(engine: Engine, call: str, target: str, replaces: str | None) -> None:
    """Transfer; with `replaces` PJSIP takes the Refer-To from that call and `target` is not used."""
    if replaces:
        _call(engine, call).xferReplaces(_call(engine, replaces), operation())
    else:
        _call(engine, call).xfer(f"<{target}>", operation())


def dtmf(engine: Engine, call: str, digits: str, via: str) -> None:
    """Send digits, 160 ms each in INFO."""
    prm = pj.CallSendDtmfParam()
    prm.digits, prm.duration = digits, 160
    prm.method = pj.PJSUA_DTMF_METHOD_SIP_INFO if via == "info" else pj.PJSUA_DTMF_METHOD_RFC2833
    _call(engine, call).sendDtmf(prm)


def message(engine: Engine, message: str, account: str, target: str, body: str, content_type: str) -> None:
    """Send MESSAGE. PJSIP wants a buddy for it; which message a status belongs to is told by target and body."""
    buddy = pj.Buddy()
    config = pj.BuddyConfig()
    config.uri, config.subscribe = target, False
    buddy.create(engine.accounts[account], config)
    prm = pj.SendInstantMessageParam()
    prm.content, prm.contentType = body, content_type
    buddy.sendInstantMessage(prm)
    engine.sent.append((message, bare_uri(target), body, buddy))


def play(engine: Engine, call: str, hz: int) -> None:
    """Change the tone."""
    _call(engine, call).play(hz)


def record(engine: Engine, call: str, recording: str, path: str, seconds: float) -> None:
    """Record what is received from now on."""

    def done(file: str, length: float) -> None:
        engine.event("media.recorded", call=call, recording=recording, file=file, seconds=length, source="polled")

    _call(engine, call).record(Recording(recording, path, seconds, done))


def statistics(engine: Engine, call: str) -> dict[str, int]:
    """RTP packets of the first stream; nothing where there is none."""
    try:
        statistic = _call(engine, call).getStreamStat(0)  # kept while its members are read: SWIG
    except pj.Error:
        return {}
    return {"rx_packets": statistic.rtcp.rxStat.pkt, "tx_packets": statistic.rtcp.txStat.pkt}


def subscribe(engine: Engine, subscription: str, account: str, target: str, package: str, expires: int) -> None:
    """message-summary of the account itself (RFC 3842): the one package whose NOTIFY bodies PJSUA2 hands on."""
    native = engine.accounts[account]
    if package != "message-summary" or target != native.params["aor"]:
        raise Unsupported(f"subscribe: PJSIP can only do message-summary of {native.params['aor']}, not {package} of {target}")
    if account not in engine.registered:
        raise BadState(f"subscribe: PJSIP asks for message-summary only while registered, and {account} is not")
    native.subscribe(subscription, expires)


HANDLERS: dict[str, Callable[..., dict[str, Any] | None]] = {
    function.__name__: function
    for function in (
        account_add,
        account_remove,
        register,
        unregister,
        invite,
        respond,
        hangup,
        hold,
        resume,
        refer,
        dtmf,
        message,
        play,
        record,
        statistics,
        subscribe,
    )
}
