"""The user agent on sipua's layers: what goes to the proxy, registration, messages, and calls that come in."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
from typing import Protocol

import sipua
from siplab_agent import log
from sipmessage import URI, Address, CSeq, MediaType, Request, Response
from sipua.dialog import replace_tag
from sipua.transport import set_transport_source
from sipua.utils import create_contact, create_via, random_string

from .leg import Leg
from .policy import Refused, demand
from .subscriber import CHALLENGES, Subscriber

SIP_PORT = 5060


class Listener(Protocol):
    """Who hears of what comes in."""

    def invited(self, leg: Leg, sender: str, to: str) -> None:
        """An INVITE that may be answered."""

    def message(self, sender: str, body: str, content_type: str | None) -> None:
        """A MESSAGE."""


class ProxiedTransport(sipua.TransportLayer):
    """sipua's transport, but a request without a Route goes to its sender's proxy.

    sipua finds a next hop by an IP address or by host and port only, and its ACK of a refusal leaves out a Route that its INVITE had: with
    the proxy in a Route no challenge would ever be acknowledged (RFC 3261 §17.1.1.3).
    """

    def __init__(self, subscribers: list[Subscriber]) -> None:
        super().__init__()
        self._subscribers = subscribers

    async def send_message(self, message: Request | Response) -> bool:
        """Send, and say whether the transport is reliable."""
        sender = find(self._subscribers, message.from_address.uri) if isinstance(message, Request) and not message.route else None
        if sender is None:
            return await super().send_message(message)
        message.content_length = len(message.body)
        next_hop = sipua.TransportAddress(sender.transport, *await sender.next_hop())
        channel = await self._acquire_channel(next_hop)
        set_transport_source(message, channel)
        await channel.send_message(message, next_hop)
        return channel.is_reliable


class Phone:
    """sipua's layers with their sockets. One life: after `close` it cannot be used any more."""

    def __init__(self, address: str, listener: Listener, tone_hz: int) -> None:
        self.subscribers: list[Subscriber] = []
        self.legs: list[Leg] = []
        self._address = address
        self._listener = listener
        self._tone_hz = tone_hz
        self._transport = ProxiedTransport(self.subscribers)
        self._transactions = sipua.TransactionLayer(self._transport)
        self._dialogs = sipua.DialogLayer(self._transactions)
        self._dialogs.request_handler = self._handle_request
        self._deliver = self._transport.response_handler
        self._transport.response_handler = self._handle_response

    async def open(self) -> None:
        """Listen on UDP and TCP."""
        for protocol in ("udp", "tcp"):
            await self._transport.listen(sipua.TransportAddress(protocol, self._address, SIP_PORT))

    async def close(self) -> None:
        """No more traffic of ours: sockets first, so that ending calls is not heard by anybody."""
        await self._transport.close()
        for leg in self.legs:
            leg.tell = lambda *_: None
            await leg._media_close()
        await asyncio.sleep(0)  # asyncio closes a datagram socket in the loop's next turn

    # -- out -------------------------------------------------------------------------------------------------------------------

    async def request(self, subscriber: Subscriber, request: Request) -> Response:
        """Send `request`, once more with credentials where it is challenged."""
        response = await self._transactions.send_request(request)
        if response.code not in CHALLENGES:
            return response
        again = copy.deepcopy(request)
        again.via = [create_via()]
        again.cseq = CSeq(sequence=request.cseq.sequence + 1, method=request.method)
        if problem := subscriber.authorise(again, response):
            log(problem)
            return response
        return await self._transactions.send_request(again)

    async def register(self, subscriber: Subscriber, expires: int) -> Response:
        """REGISTER (RFC 3261 §10.2). `expires` in seconds, 0 takes the binding back."""
        request = self._out_of_dialog("REGISTER", subscriber, URI(scheme="sip", host=subscriber.aor.host), subscriber.aor)
        subscriber.registrations += 2
        request.call_id = subscriber.call_id
        request.cseq = CSeq(sequence=subscriber.registrations, method="REGISTER")
        request.expires = expires
        contact = create_contact()
        request.contact = [dataclasses.replace(contact, uri=dataclasses.replace(contact.uri, user=subscriber.aor.user))]
        response = await self.request(subscriber, request)
        subscriber.registered = response.code == 200 and expires > 0
        return response

    async def message(self, subscriber: Subscriber, target: URI, body: str, content_type: str) -> Response:
        """MESSAGE (RFC 3428)."""
        request = self._out_of_dialog("MESSAGE", subscriber, target, target)
        request.content_type = MediaType.parse(content_type)
        request.body = body.encode()
        return await self.request(subscriber, request)

    def _out_of_dialog(self, method: str, subscriber: Subscriber, uri: URI, to: URI) -> Request:
        request = Request(method, uri)
        request.via = [create_via()]
        request.max_forwards = 70
        request.from_address = replace_tag(Address(uri=subscriber.aor), random_string(10))
        request.to_address = Address(uri=to)
        request.call_id = random_string(22)
        request.cseq = CSeq(sequence=1, method=method)
        return request

    def call(self, subscriber: Subscriber, target: URI) -> Leg:
        """A call that has still to be placed."""
        leg = Leg.create_uac(
            dialog_layer=self._dialogs,
            local_address=Address(uri=subscriber.aor),
            remote_address=Address(uri=target),
            subscriber=subscriber,
            tone_hz=self._tone_hz,
        )
        self.legs.append(leg)
        return leg

    # -- in --------------------------------------------------------------------------------------------------------------------

    async def _handle_response(self, response: Response) -> None:
        if response.cseq.method == "INVITE" and response.code < 200:
            for leg in self.legs:
                if leg.call_id == response.call_id:
                    leg.provisional(response)
        await self._deliver(response)

    async def _handle_request(self, request: Request) -> None:
        handlers = {"INVITE": self._invite, "CANCEL": self._cancel, "MESSAGE": self._message}
        if request.to_address.parameters.get("tag"):
            await self._respond(request, 481)
        elif handler := handlers.get(request.method):
            await handler(request)
        else:
            await self._respond(request, 501)

    async def _respond(self, request: Request, code: int) -> None:
        await self._transactions.send_response(sipua.create_response(request=request, code=code))

    async def _invite(self, request: Request) -> None:
        subscriber = find(self.subscribers, request.to_address.uri)
        if subscriber is None:
            await self._respond(request, 404)
            return
        try:
            demand(subscriber.media, request.body.decode())
        except (Refused, UnicodeDecodeError) as error:
            log(f"INVITE refused: {error}")
            await self._respond(request, 488)
            return
        options = {"subscriber": subscriber, "tone_hz": self._tone_hz, "invitation": request}
        leg = Leg.create_uas(dialog_layer=self._dialogs, request=request, **options)
        self.legs.append(leg)
        self._listener.invited(leg, str(request.from_address.uri), str(request.to_address.uri))

    async def _cancel(self, request: Request) -> None:
        branch = request.via[0].parameters.get("branch")
        for leg in self.legs:
            if leg.invitation and leg.invitation.via[0].parameters.get("branch") == branch:
                await self._respond(request, 200)
                await leg.refuse(487)
                return
        await self._respond(request, 481)

    async def _message(self, request: Request) -> None:
        await self._respond(request, 200)
        kind = str(request.content_type) if request.content_type else None
        self._listener.message(str(request.from_address.uri), request.body.decode(errors="replace"), kind)


def find(subscribers: list[Subscriber], uri: URI) -> Subscriber | None:
    """The subscriber whose address of record that is."""
    return next((known for known in subscribers if (known.aor.user, known.aor.host) == (uri.user, uri.host)), None)
