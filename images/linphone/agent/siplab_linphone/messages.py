"""Page-mode messages (RFC 3428) and subscriptions (RFC 6665)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from siplab_agent.faults import RequestError

from .api import SUBSCRIPTION_NAMES, MessageState

if TYPE_CHECKING:
    from .driver import Driver


class Messages:
    """message.send, subscribe and their events."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._messages: dict[int, str] = {}
        self._events: dict[int, str] = {}
        self._states: dict[str, str] = {}
        self._cbs = 0
        self.methods = {"message.send": self.send, "subscribe": self.subscribe}

    def install(self, cbs: int) -> None:
        """Hook into the core's callbacks."""
        driver, api = self._driver, self._driver.api
        api.callback("linphone_core_cbs_set_message_received", cbs, self._on_message)
        api.callback("linphone_core_cbs_set_notify_received", cbs, self._on_notify)
        api.callback("linphone_core_cbs_set_subscription_state_changed", cbs, self._on_subscription)
        self._cbs = api.factory_create_chat_message_cbs(driver.factory)
        api.callback("linphone_chat_message_cbs_set_msg_state_changed", self._cbs, self._on_message_state)
        api.im_notif_policy_clear(api.core_get_im_notif_policy(driver.core))

    def send(self, params: dict[str, Any]) -> dict[str, Any]:
        """MESSAGE from the account, outside any dialog."""
        driver, api = self._driver, self._driver.api
        account = driver.accounts.get(params["account"])
        api.core_set_default_account(driver.core, account.pointer)
        target = driver.address(params["target"])
        room = api.core_get_chat_room(driver.core, target)
        api.address_unref(target)
        if not room:
            raise RequestError(f"linphone has no chat room for {params['target']}")
        message = api.chat_room_create_message_from_utf8(room, params["body"])
        if params["content_type"] != "text/plain":
            api.chat_message_set_content_type(message, params["content_type"])
        self._messages[message] = params["message"]
        api.chat_message_add_callbacks(message, self._cbs)
        api.chat_message_send(message)
        return {}

    def subscribe(self, params: dict[str, Any]) -> dict[str, Any]:
        """SUBSCRIBE, refreshed by liblinphone until it is told otherwise; `expires` 0 fetches once."""
        driver, api = self._driver, self._driver.api
        account = driver.accounts.get(params["account"])
        api.core_set_default_account(driver.core, account.pointer)
        target = driver.address(params["target"])
        event = api.core_create_subscribe(driver.core, target, params["package"], params["expires"])
        api.address_unref(target)
        if not event:
            raise RequestError(f"linphone cannot subscribe to {params['target']}")
        api.event_ref(event)
        self._events[event] = params["subscription"]
        if api.event_send_subscribe(event, None):
            raise RequestError(f"linphone cannot subscribe to {params['target']}")
        return {}

    def _on_message_state(self, message: int, state: int) -> None:
        """No code: liblinphone's error info of a message is empty, whatever the answer was."""
        name = self._messages.get(message)
        if name is None or state not in (MessageState.DELIVERED, MessageState.NOT_DELIVERED):
            return
        del self._messages[message]
        self._driver.event("message.status", message=name, ok=state == MessageState.DELIVERED)

    def _on_message(self, _core: int, _room: int, message: int) -> None:
        api = self._driver.api
        self._driver.event(
            "message.received",
            body=api.chat_message_get_utf8_text(message) or "",
            content_type=api.chat_message_get_content_type(message),
            **{"from": api.uri(api.chat_message_get_from_address(message))},
        )

    def _on_notify(self, _core: int, event: int, _package: bytes, content: int | None) -> None:
        name = self._events.get(event)
        if name is None:
            return
        api = self._driver.api
        kind = body = None
        if content:
            kind = f"{api.content_get_type(content)}/{api.content_get_subtype(content)}"
            body = api.content_get_utf8_text(content)
        state = SUBSCRIPTION_NAMES.get(api.event_get_subscription_state(event), "active")
        self._driver.event("notify", subscription=name, state=state, content_type=kind, body=body)

    def _on_subscription(self, _core: int, event: int, state: int) -> None:
        name = self._events.get(event)
        if name is None:
            return
        told = SUBSCRIPTION_NAMES.get(state)
        if told == "terminated":
            self._driver.event("notify", subscription=name, state=told)
            del self._events[event]
