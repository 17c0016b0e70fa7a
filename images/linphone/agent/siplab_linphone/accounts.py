"""Accounts and registration."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from siplab_agent.faults import BadParams, RequestError, UnknownAccount

from .api import ENCRYPTION, BctbxList, Reason, RegistrationState

if TYPE_CHECKING:
    from .driver import Driver

LISTEN = 5060
ANY_PORT = -1


@dataclass
class Account:
    """A LinphoneAccount and what the lab asked of it."""

    id: str
    pointer: int
    auth: int
    aor: str
    transport: str
    media: str
    family: int
    expires: int
    username: str
    password: str
    realms: set[str]
    """Realms for which its credentials were given: that of its own domain from the start."""
    wanted: bool = False
    state: int = RegistrationState.NONE


class Accounts:
    """account.add/remove, register, unregister and their events."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._accounts: dict[str, Account] = {}
        self.methods = {
            "account.add": self.add,
            "account.remove": self.remove,
            "register": self.register,
            "unregister": self.unregister,
        }

    def install(self, cbs: int) -> None:
        """Hook into the core's callbacks."""
        self._driver.api.callback("linphone_core_cbs_set_account_registration_state_changed", cbs, self._on_state)
        self._driver.api.callback("linphone_core_cbs_set_authentication_requested", cbs, self._on_challenge)

    def get(self, name: str) -> Account:
        """The account of this id; UnknownAccount."""
        try:
            return self._accounts[name]
        except KeyError:
            raise UnknownAccount(f"no account {name}") from None

    def by_pointer(self, pointer: int | None) -> Account | None:
        """The account that liblinphone means; where it cannot tell (a call from nowhere) the only one there is."""
        found = [account for account in self._accounts.values() if account.pointer == pointer]
        everything = list(self._accounts.values())
        return found[0] if found else everything[0] if everything else None

    @property
    def leaving(self) -> bool:
        """True while a binding that was asked to go has not gone."""
        return any(
            account.state in (RegistrationState.OK, RegistrationState.PROGRESS, RegistrationState.REFRESHING)
            for account in self._accounts.values()
        )

    def add(self, params: dict[str, Any]) -> dict[str, Any]:
        """An account that does not register by itself. Media keying and family are settings of the whole core."""
        family = params["family"]
        for other in self._accounts.values():
            if (other.media, other.family) != (params["media"], family):
                raise BadParams(f"media, family: linphone has one for all its accounts, and {other.id} has {other.media}, {other.family}")
        self._set_core(params["media"], family, {params["transport"], *(other.transport for other in self._accounts.values())})
        self._set_ice(bool(params["ice"]))
        auth = self._add_auth(params)
        pointer = self._create(params)
        account = Account(
            self._driver.new_id("a"), pointer, auth, params["aor"], params["transport"], params["media"], family, params["expires"],
            params["username"], params["password"], {params["aor"].rpartition("@")[2]},
        )  # fmt: skip
        self._accounts[account.id] = account
        return {"account": account.id}

    def _set_core(self, media: str, family: int, transports: set[str]) -> None:
        api, core = self._driver.api, self._driver.core
        api.core_enable_ipv6(core, int(family == 6))
        api.core_set_media_encryption(core, ENCRYPTION[media])
        api.core_set_media_encryption_mandatory(core, 1)
        ports = api.factory_create_transports(self._driver.factory)
        api.transports_set_udp_port(ports, LISTEN if "udp" in transports else 0)
        api.transports_set_tcp_port(ports, LISTEN if "tcp" in transports else 0)
        api.transports_set_tls_port(ports, ANY_PORT if "tls" in transports else 0)
        api.transports_set_dtls_port(ports, 0)
        api.core_set_transports(core, ports)
        api.transports_unref(ports)

    def _set_ice(self, wanted: bool) -> None:
        """Candidates or none: a policy of the whole core."""
        api, core = self._driver.api, self._driver.core
        policy = api.core_create_nat_policy(core)
        api.nat_policy_enable_ice(policy, int(wanted))
        api.core_set_nat_policy(core, policy)
        api.nat_policy_unref(policy)

    def _add_auth(self, params: dict[str, Any]) -> int:
        """Credentials without realm and algorithm: they answer every challenge, MD5 or SHA-256."""
        api = self._driver.api
        auth = api.factory_create_auth_info(self._driver.factory, params["username"], None, params["password"], None, None, None)
        api.core_add_auth_info(self._driver.core, auth)
        return int(auth)

    def _create(self, params: dict[str, Any]) -> int:
        """The proxy is the "server" too: liblinphone takes a REGISTER's next hop from its Request-URI only, never from the route, and
        sends everything of the account over that connection ever after."""
        driver, api = self._driver, self._driver.api
        identity = driver.address(params["aor"])
        server = driver.address(params["proxy"])
        proxy = params["proxy"] if ";lr" in params["proxy"] else params["proxy"] + ";lr"
        route = driver.address(proxy)
        routes = BctbxList(None, None, route)
        account_params = api.core_create_account_params(driver.core)
        try:
            api.account_params_set_identity_address(account_params, identity)
            if api.account_params_set_server_address(account_params, server):
                raise RequestError(f"linphone refuses the registrar of {params['aor']}")
            api.account_params_set_routes_addresses(account_params, ctypes.addressof(routes))
            api.account_params_enable_register(account_params, 0)
            api.account_params_set_expires(account_params, params["expires"])
            if params["q"] is not None:
                api.account_params_set_contact_parameters(account_params, f"q={params['q']:.3g}")
            account = api.core_create_account(driver.core, account_params)
        finally:
            api.account_params_unref(account_params)
            for address in (identity, server, route):
                api.address_unref(address)
        if api.core_add_account(driver.core, account):
            raise RequestError(f"linphone refuses the account {params['aor']}")
        api.core_set_default_account(driver.core, account)
        return int(account)

    def remove(self, params: dict[str, Any]) -> dict[str, Any]:
        """Remove it; a binding it has is unregistered by liblinphone in the background."""
        account = self.get(params["account"])
        del self._accounts[account.id]
        self._driver.api.core_remove_account(self._driver.core, account.pointer)
        self._driver.api.core_remove_auth_info(self._driver.core, account.auth)
        return {}

    def register(self, params: dict[str, Any]) -> dict[str, Any]:
        """REGISTER now, also where a binding exists."""
        account = self.get(params["account"])
        account.wanted = True
        if account.state == RegistrationState.OK:
            self._driver.api.account_refresh_register(account.pointer)
        else:
            self._change(account, True, params.get("expires") or account.expires)
        return {}

    def unregister(self, params: dict[str, Any]) -> dict[str, Any]:
        """Remove the binding; without one the answer is immediate."""
        account = self.get(params["account"])
        account.wanted = False
        if account.state == RegistrationState.OK:
            self._change(account, False, account.expires)
        else:
            self._driver.event("registration", account=account.id, state="unregistered")
        return {}

    def unregister_all(self) -> None:
        """Before leaving."""
        for account in self._accounts.values():
            account.wanted = False
            self._change(account, False, account.expires)

    def _change(self, account: Account, register: bool, expires: int) -> None:
        api = self._driver.api
        changed = api.account_params_clone(api.account_get_params(account.pointer))
        api.account_params_enable_register(changed, int(register))
        api.account_params_set_expires(changed, expires)
        api.account_set_params(account.pointer, changed)
        api.account_params_unref(changed)

    def _on_state(self, _core: int, pointer: int, state: int, message: bytes) -> None:
        account = next((item for item in self._accounts.values() if item.pointer == pointer), None)
        if account is None:
            return
        before, account.state = account.state, state
        if state == RegistrationState.OK:
            self._driver.event("registration", account=account.id, state="registered", code=200)
        elif state == RegistrationState.CLEARED and not account.wanted and before != RegistrationState.FAILED:
            self._driver.event("registration", account=account.id, state="unregistered", code=200)
        elif state == RegistrationState.FAILED:
            self._failed(account)

    def _on_challenge(self, _core: int, asked: int, _method: int) -> None:
        """liblinphone keeps credentials for the realm that it used them for first and asks the user for those of another one: the same."""
        api = self._driver.api
        realm, name = api.auth_info_get_realm(asked), api.auth_info_get_username(asked)
        for account in self._accounts.values():
            if account.username == name and realm and realm not in account.realms:
                account.realms.add(realm)
                self._driver.later(lambda account=account: self._answer(account, realm))  # type: ignore[misc]

    def _answer(self, account: Account, realm: str) -> None:
        api = self._driver.api
        info = api.factory_create_auth_info(self._driver.factory, account.username, None, account.password, None, realm, None)
        api.core_add_auth_info(self._driver.core, info)

    def _failed(self, account: Account) -> None:
        """Tell once, and stop liblinphone from trying again on its own: its retries would appear in the next scenario."""
        if not account.wanted:
            return
        account.wanted = False
        api = self._driver.api
        info = api.account_get_error_info(account.pointer)
        code, phrase = outcome(api, info)
        self._driver.event("registration", account=account.id, state="failed", code=code, reason=phrase)
        self._driver.later(lambda: self._change(account, False, account.expires))


def outcome(api: Any, info: int | None) -> tuple[int | None, str | None]:
    """(code, reason) of a LinphoneErrorInfo; no code where liblinphone made it up because no answer came."""
    if not info:
        return None, None
    code, reason = api.error_info_get_protocol_code(info), api.error_info_get_reason(info)
    phrase = api.error_info_get_phrase(info) or None
    if reason == Reason.NO_RESPONSE or (reason == Reason.IO_ERROR and (phrase or "").lower() == "io error"):
        return None, phrase
    return code or None, phrase
