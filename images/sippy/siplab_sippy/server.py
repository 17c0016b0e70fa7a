"""The element: registrar and gatekeeper in front of sippy's B2BUA, on sippy's own SIP stack."""

from __future__ import annotations

from typing import Any

from sippy.CLIManager import CLIConnectionManager
from sippy.Core.EventDispatcher import ED2
from sippy.SipAddress import SipAddress
from sippy.SipConf import SipConf
from sippy.SipContact import SipContact
from sippy.SipExpires import SipExpires
from sippy.SipHeader import SipHeader
from sippy.SipLogger import SipLogger
from sippy.SipProxyAuthenticate import SipProxyAuthenticate
from sippy.SipTransactionManager import SipTransactionManager
from sippy.SipWWWAuthenticate import SipWWWAuthenticate
from sippy.StatefulProxy import StatefulProxy

from .bridge import Bridge
from .routing import SIP_PORT, Routing

DEFAULT_EXPIRES = 300
"""Seconds of a binding where the REGISTER names none."""

Answer = tuple[Any, Any, Any]
"""What sippy's transaction manager wants back: a response or None, and two callbacks or None."""


class Gatekeeper:
    """Every request out of a dialog. Those within one find their user agent by themselves."""

    def __init__(self, config: dict[str, Any], routing: Routing) -> None:
        self._config = config
        self._routing = routing

    def receive(self, request: Any, transaction: Any) -> Answer | None:
        """A request; the name and shape of the answer are sippy's."""
        method = request.getMethod()
        if request.getHFBody("to").getTag() is not None:
            return _refuse(request, 481, "Call Leg/Transaction Does Not Exist")
        if method == "REGISTER":
            return self._register(request)
        if method == "OPTIONS":
            return _refuse(request, 200, "OK")
        if method not in ("INVITE", "MESSAGE"):
            return _refuse(request, 501, "Not Implemented")
        refusal = self._authorise(request)
        if refusal:
            return refusal
        return self._forward(request, transaction)

    def _register(self, request: Any) -> Answer:
        to = request.getHFBody("to").getUrl()
        domain = str(to.host)
        if not self._routing.serves(domain):
            return _refuse(request, 403, "Not This Domain")
        user = self._authentic(request, "authorization", domain)
        if user is None:
            return _challenge(request, 401, "Unauthorized", SipWWWAuthenticate(realm=domain, algorithm="MD5"))
        if user != to.username:
            return _refuse(request, 403, "Not Your Address")
        aor = f"{to.username}@{domain}"
        response = request.genResponse(200, "OK")
        if request.countHFs("contact"):  # without one it asks only (RFC 3261 §10.2.3)
            wanted = request.getHFBody("contact")
            seconds = _expires(request, wanted)
            if wanted.asterisk and seconds:
                return _refuse(request, 400, "Wildcard Without Expires 0")
            seconds = self._routing.bind(aor, None if wanted.asterisk else wanted.getUrl(), seconds)
            response.appendHeader(SipHeader(name="expires", body=SipExpires(number=seconds)))
        contact = self._routing.contact(aor)
        if contact is not None:
            response.appendHeader(SipHeader(name="contact", body=SipContact(address=SipAddress(url=contact.getCopy()))))
        return (response, None, None)

    def _authorise(self, request: Any) -> Answer | None:
        """Own subscribers by Digest, other domains by their proxy's address. None where the request may pass."""
        domain = str(request.getHFBody("from").getUrl().host)
        if self._routing.serves(domain):
            if self._authentic(request, "proxy-authorization", domain) is not None:
                return None
            challenge = SipProxyAuthenticate(realm=domain, algorithm="MD5")
            return _challenge(request, 407, "Proxy Authentication Required", challenge)
        if self._routing.may_send(domain, request.getSource()[0]):
            return None
        return _refuse(request, 403, "Peer Not Known")

    def _authentic(self, request: Any, header: str, domain: str) -> str | None:
        """Who proves to be a subscriber of that domain."""
        for credentials in request.getHFBodys(header):
            credentials.parse()
            password = self._routing.password(credentials.username, domain)
            if credentials.realm == domain and password is not None and credentials.verify(password, request.getMethod()):
                return str(credentials.username)
        return None

    def _forward(self, request: Any, transaction: Any) -> Answer | None:
        target = request.getRURI()
        domain = str(target.host)
        if self._routing.serves(domain):
            target = self._routing.contact(f"{target.username}@{domain}")
            if target is None:
                return _refuse(request, 404, "Not Found")
            next_hop = (str(target.host), int(target.port or SIP_PORT))
        elif domain in self._routing.peers:
            next_hop = (self._routing.peers[domain], SIP_PORT)
        else:
            return _refuse(request, 404, "Not Found")
        if request.getMethod() == "INVITE":
            return Bridge(self._config, target.getCopy(), next_hop).caller.recvRequest(request, transaction)
        request.setRURI(target.getCopy())
        return StatefulProxy(self._config, next_hop).recvRequest(request)


def _expires(request: Any, contact: Any) -> int:
    """Seconds asked for: the contact's own come before those of all (RFC 3261 §10.3 step 7)."""
    own = None if contact.asterisk else contact.address.getParam("expires")
    if own is not None and own.isdecimal():
        return int(own)
    return int(request.getHFBody("expires").getNum()) if request.countHFs("expires") else DEFAULT_EXPIRES


def _refuse(request: Any, code: int, reason: str) -> Answer:
    return (request.genResponse(code, reason), None, None)


def _challenge(request: Any, code: int, reason: str, challenge: Any) -> Answer:
    response = request.genResponse(code, reason)
    response.appendHeader(SipHeader(body=challenge))
    return (response, None, None)


def main() -> None:
    """Serve until the process is ended."""
    routing = Routing.load("/etc/sippy/routes.json")
    SipConf.my_address, SipConf.my_port, SipConf.my_uaname = routing.address, SIP_PORT, "Sippy B2BUA"
    config: dict[str, Any] = {"_sip_address": routing.address, "_sip_port": SIP_PORT, "_sip_logger": SipLogger("b2bua")}
    config["_sip_tm"] = SipTransactionManager(config, Gatekeeper(config, routing).receive)
    CLIConnectionManager(lambda client, line: client.send(routing.command(line) + "\n"), "/run/sippy.sock")
    print("siplab: ready", flush=True)
    ED2.loop()
