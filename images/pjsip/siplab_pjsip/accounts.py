"""Accounts: an address of record with its proxy, transport and media policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pjsua2 as pj

from .calls import Call, guarded
from .translate import bare_uri, header, loose_route, outcome, registrar_uri, registration

if TYPE_CHECKING:
    from .engine import Engine

SUITES = ("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32", "AES_256_CM_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_32")
"""All that libsrtp has here; first the one that RFC 4568 §6.2.1 makes mandatory, so that everybody meets there."""

KEEP_ALIVE_S = 25
"""Over UDP a flow is kept alive every 24 to 29 s (RFC 5626 §4.4.2)."""
TURN_TRANSPORTS = {"udp": pj.PJ_TURN_TP_UDP, "tcp": pj.PJ_TURN_TP_TCP, "tls": pj.PJ_TURN_TP_TLS}


def account_config(params: dict[str, Any], engine: Engine) -> pj.AccountConfig:
    """What PJSIP needs to know about an `account.add`."""
    config = pj.AccountConfig()
    config.idUri = f"<{params['aor']}>"
    _registration(config, params)
    config.sipConfig.proxies.append(f"<{loose_route(params['proxy'])}>")
    config.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", params["username"], 0, params["password"]))
    config.sipConfig.ipv6Use = config.mediaConfig.ipv6Use = pj.PJSUA_IPV6_DISABLED  # the wheel has no IPv6 and asserts
    _media(config.mediaConfig, params, engine)
    _nat(config.natConfig, params)
    return config


def _nat(nat: pj.AccountNatConfig, params: dict[str, Any]) -> None:
    """PJSIP knows a relay only as an ICE candidate (RFC 8445 §5.1.1.2), so `turn` brings ICE with it.

    Its default is aggressive nomination, which RFC 8445 has no more: the pair whose answer is first wins, were it the relay's.
    """
    nat.iceEnabled, nat.contactRewriteUse, nat.viaRewriteUse, nat.sdpNatRewriteUse = bool(params["ice"] or params["turn"]), 0, 0, 0
    nat.iceAggressiveNomination = False
    nat.sipOutboundUse = int(params["outbound"])
    nat.sipOutboundRegId = str(params["flow"] or "")
    nat.udpKaIntervalSec = KEEP_ALIVE_S if params["outbound"] else 0
    nat.sipStunUse = pj.PJSUA_STUN_USE_DISABLED
    nat.mediaStunUse = pj.PJSUA_STUN_RETRY_ON_FAILURE if params["stun"] else pj.PJSUA_STUN_USE_DISABLED
    if params["turn"]:
        server, _, kind = params["turn"].removeprefix("turn:").partition(";transport=")
        nat.turnEnabled, nat.turnServer, nat.turnConnType = True, server, TURN_TRANSPORTS[kind]
        nat.turnUserName, nat.turnPasswordType, nat.turnPassword = params["turn_username"] or "", 0, params["turn_password"] or ""


def _registration(config: pj.AccountConfig, params: dict[str, Any]) -> None:
    registration_config = config.regConfig
    registration_config.registrarUri = registrar_uri(params["aor"])
    registration_config.registerOnAdd = False
    registration_config.contactParams = "" if params["q"] is None else f";q={params['q']:.3g}"
    registration_config.timeoutSec = params["expires"]
    registration_config.retryIntervalSec = registration_config.firstRetryIntervalSec = 0
    registration_config.disableRegOnModify = True


def _media(media: pj.AccountMediaConfig, params: dict[str, Any], engine: Engine) -> None:
    low, high = engine.config.rtp_ports
    media.transportConfig.port = low
    media.transportConfig.portRange = high - low
    media.transportConfig.boundAddress = engine.config.ipv4
    media.lockCodecEnabled = False
    media.rtcpMuxEnabled = False
    media.srtpSecureSignaling = 0
    media.srtpUse = pj.PJMEDIA_SRTP_MANDATORY if params["media"] == "sdes" else pj.PJMEDIA_SRTP_DISABLED
    media.srtpOpt.keyings.append(pj.PJMEDIA_SRTP_KEYING_SDES)
    for name in SUITES:
        suite = pj.SrtpCrypto()
        suite.name = name
        media.srtpOpt.cryptos.append(suite)


class Account(pj.Account):  # type: ignore[misc]
    """One account of this element, or one of its flows: PJSIP has one registration per account. `name` is the contract's id, `key` the
    engine's."""

    def __init__(self, engine: Engine, name: str, params: dict[str, Any], key: str = "") -> None:
        super().__init__()
        self.engine = engine
        self.name, self.key = name, key or name
        self.params = params
        self.wanted = False
        self.subscription = ""
        self.create(account_config(params, engine))

    def register(self, expires: int | None) -> None:
        """Send REGISTER; the outcome is an event."""
        if expires and expires != self.params["expires"]:
            self.params["expires"] = expires
            self.modify(account_config(self.params, self.engine))
        self.wanted = True
        self.setRegistration(True)

    def unregister(self) -> None:
        """Send REGISTER with Expires 0."""
        self.wanted = False
        self.setRegistration(False)

    @guarded
    def onRegState(self, prm: Any) -> None:
        """A REGISTER transaction ended."""
        state = registration(prm.code, prm.expiration, self.wanted)
        self.engine.reported(self.key, state)
        members = outcome(prm.code, prm.reason, bool(prm.rdata.wholeMsg))
        if prm.status:
            members["reason"] = f"{prm.reason} ({self.engine.endpoint.utilStrError(prm.status)})"
        if state == "registered":
            members["expires"] = prm.expiration
        flow = {"flow": self.params["flow"]} if self.params["flow"] else {}
        self.engine.event("registration", account=self.name, state=state, **flow, **members)

    @guarded
    def onIncomingCall(self, prm: Any) -> None:
        """An INVITE outside a dialog."""
        call = Call(self.engine, self, call_id=prm.callId)
        info = call.getInfo()
        self.engine.event(
            "call.incoming", call=call.name, account=self.name, **{"from": bare_uri(info.remoteUri)}, to=bare_uri(info.localUri)
        )

    @guarded
    def onInstantMessage(self, prm: Any) -> None:
        """A MESSAGE outside a dialog; PJSIP answers 200 itself."""
        self.engine.message(prm)

    @guarded
    def onInstantMessageStatus(self, prm: Any) -> None:
        """A MESSAGE of ours was answered or timed out."""
        self.engine.message_status(prm)

    @guarded
    def onMwiInfo(self, prm: Any) -> None:
        """A NOTIFY of the message-summary subscription (RFC 3842)."""
        if self.subscription:
            head, _, body = prm.rdata.wholeMsg.partition("\r\n\r\n")
            state = header(head, "Subscription-State").split(";")[0] or "active"
            members = {"content_type": header(head, "Content-Type"), "body": body} if body else {}
            self.engine.event("notify", subscription=self.subscription, state=state, **members)

    def subscribe(self, name: str, expires: int) -> None:
        """SUBSCRIBE to our own message-summary; 0 ends the subscription."""
        self.subscription = name
        config = account_config(self.params, self.engine)
        config.mwiConfig.enabled, config.mwiConfig.expirationSec = expires > 0, expires
        self.modify(config)
