"""liblinphone's C API by ctypes: only the functions that the driver uses, declared from its public headers (5.1 and 5.3).

Why the library and not `linphone-daemon`: the daemon is a thin wrapper that hides result codes, media encryption and registration
results, can reject with 603 only and crashes in `call-stats`. The SIP stack under test is the same `liblinphone.so`.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from enum import IntEnum
from typing import Any

_TYPES: dict[str, Any] = {
    "v": None,
    "p": ctypes.c_void_p,
    "s": ctypes.c_char_p,
    "i": ctypes.c_int,
    "b": ctypes.c_ubyte,
    "u": ctypes.c_uint,
    "c": ctypes.c_char,
}

_PROTOTYPES = """
linphone_factory_get p
linphone_factory_create_config p ps
linphone_factory_create_core_with_config_3 p ppp
linphone_factory_create_core_cbs p p
linphone_factory_create_address p ps
linphone_factory_create_auth_info p pssssss
linphone_factory_create_error_info p p
linphone_factory_create_transports p p
linphone_factory_create_chat_message_cbs p p
linphone_factory_set_data_dir v ps
linphone_factory_set_config_dir v ps
linphone_logging_service_get p
linphone_logging_service_set_log_level v pi
linphone_core_get_version s
linphone_core_add_callbacks v pp
linphone_core_start i p
linphone_core_stop v p
linphone_core_iterate v p
linphone_core_set_user_agent v pss
linphone_core_get_calls_nb i p
linphone_core_create_account_params p p
linphone_core_create_account p pp
linphone_core_add_account i pp
linphone_core_remove_account v pp
linphone_core_set_default_account v pp
linphone_core_add_auth_info v pp
linphone_core_remove_auth_info v pp
linphone_core_clear_all_auth_info v p
linphone_core_create_call_params p pp
linphone_core_invite_address_with_params p ppp
linphone_core_terminate_all_calls i p
linphone_core_set_media_encryption i pi
linphone_core_set_media_encryption_mandatory v pb
linphone_core_set_transports i pp
linphone_core_enable_ipv6 v pb
linphone_core_create_nat_policy p p
linphone_core_set_nat_policy v pp
linphone_nat_policy_unref v p
linphone_nat_policy_enable_ice v pb
linphone_core_enable_sdp_200_ack v pb
linphone_core_set_use_info_for_dtmf v pb
linphone_core_set_use_rfc2833_for_dtmf v pb
linphone_core_set_srtp_crypto_suites v ps
linphone_core_get_im_notif_policy p p
linphone_core_search_chat_room p ppppp
linphone_core_get_chat_room p pp
linphone_core_create_subscribe p ppsi
linphone_im_notif_policy_clear v p
linphone_auth_info_get_realm s p
linphone_auth_info_get_username s p
linphone_account_params_set_identity_address i pp
linphone_account_params_set_server_address i pp
linphone_account_params_set_routes_addresses i pp
linphone_account_params_enable_register v pb
linphone_account_params_set_contact_parameters v ps
linphone_account_params_set_expires v pi
linphone_account_params_clone p p
linphone_account_params_unref v p
linphone_account_get_params p p
linphone_account_set_params i pp
linphone_account_get_state i p
linphone_account_get_error_info p p
linphone_account_refresh_register v p
linphone_call_params_set_account v pp
linphone_call_params_set_media_encryption v pi
linphone_call_params_get_media_encryption i p
linphone_call_params_get_audio_direction i p
linphone_call_params_get_used_audio_payload_type p p
linphone_call_params_get_account p p
linphone_call_params_unref v p
linphone_call_params_enable_mandatory_media_encryption v pb
linphone_payload_type_get_mime_type s p
linphone_payload_type_get_clock_rate i p
linphone_call_ref p p
linphone_call_unref v p
linphone_call_get_state i p
linphone_call_get_params p p
linphone_call_get_current_params p p
linphone_call_get_remote_params p p
linphone_call_get_remote_address p p
linphone_call_get_to_address p p
linphone_call_get_error_info p p
linphone_call_get_transferer_call p p
linphone_call_accept_with_params i pp
linphone_call_decline_with_error_info i pp
linphone_call_redirect_to i pp
linphone_call_notify_ringing v p
linphone_call_terminate i p
linphone_call_pause i p
linphone_call_resume i p
linphone_call_send_dtmf i pc
linphone_call_transfer_to i pp
linphone_call_transfer_to_another i pp
linphone_call_get_audio_stats p p
linphone_call_stats_get_rtp_stats p p
linphone_call_stats_unref v p
linphone_chat_room_create_message_from_utf8 p ps
linphone_chat_message_add_callbacks v pp
linphone_chat_message_ref p p
linphone_chat_message_unref v p
linphone_chat_message_send v p
linphone_chat_message_set_content_type v ps
linphone_chat_message_get_content_type s p
linphone_chat_message_get_utf8_text s p
linphone_chat_message_get_from_address p p
linphone_chat_message_get_error_info p p
linphone_content_get_type s p
linphone_content_get_subtype s p
linphone_content_get_utf8_text s p
linphone_event_ref p p
linphone_event_unref v p
linphone_event_send_subscribe i pp
linphone_event_terminate v p
linphone_event_get_subscription_state i p
linphone_error_info_set v psiiss
linphone_error_info_get_reason i p
linphone_error_info_get_protocol_code i p
linphone_error_info_get_phrase s p
linphone_error_info_unref v p
linphone_address_as_string_uri_only p p
linphone_address_get_username s p
linphone_address_unref v p
linphone_auth_info_unref v p
linphone_transports_set_udp_port v pi
linphone_transports_set_tcp_port v pi
linphone_transports_set_tls_port v pi
linphone_transports_set_dtls_port v pi
linphone_transports_unref v p
"""

_SINCE_5_3 = frozenset({"linphone_call_params_get_account", "linphone_call_params_set_account"})
"""5.1 has a call's account nowhere in its API: it takes the core's default account, which is set before every call."""

CALLBACKS = {
    "linphone_core_cbs_set_account_registration_state_changed": "v ppis",
    "linphone_core_cbs_set_authentication_requested": "v ppi",
    "linphone_core_cbs_set_call_state_changed": "v ppis",
    "linphone_core_cbs_set_call_encryption_changed": "v ppbs",
    "linphone_core_cbs_set_dtmf_received": "v ppi",
    "linphone_core_cbs_set_message_received": "v ppp",
    "linphone_core_cbs_set_transfer_state_changed": "v ppi",
    "linphone_core_cbs_set_refer_received": "v ps",
    "linphone_core_cbs_set_notify_received": "v ppsp",
    "linphone_core_cbs_set_subscription_state_changed": "v ppi",
    "linphone_chat_message_cbs_set_msg_state_changed": "v pi",
}


class CallState(IntEnum):
    """LinphoneCallState."""

    IDLE = 0
    INCOMING = 1
    PUSH_INCOMING = 2
    OUTGOING_INIT = 3
    OUTGOING_PROGRESS = 4
    OUTGOING_RINGING = 5
    OUTGOING_EARLY_MEDIA = 6
    CONNECTED = 7
    RUNNING = 8
    PAUSING = 9
    PAUSED = 10
    RESUMING = 11
    REFERRED = 12
    ERROR = 13
    END = 14
    PAUSED_BY_REMOTE = 15
    UPDATED_BY_REMOTE = 16
    INCOMING_EARLY_MEDIA = 17
    UPDATING = 18
    RELEASED = 19
    EARLY_UPDATED_BY_REMOTE = 20
    EARLY_UPDATING = 21


class RegistrationState(IntEnum):
    """LinphoneRegistrationState."""

    NONE = 0
    PROGRESS = 1
    OK = 2
    CLEARED = 3
    FAILED = 4
    REFRESHING = 5


class Reason(IntEnum):
    """The part of LinphoneReason that matters here."""

    NONE = 0
    NO_RESPONSE = 1
    IO_ERROR = 9
    UNKNOWN = 22


class MessageState(IntEnum):
    """LinphoneChatMessageState as far as sending text goes."""

    DELIVERED = 2
    NOT_DELIVERED = 3


ENCRYPTION = {"rtp": 0, "sdes": 1, "zrtp": 2, "dtls": 3}
ENCRYPTION_NAMES = {0: "none", 1: "sdes", 2: "zrtp", 3: "dtls"}
DIRECTION_NAMES = {0: "inactive", 1: "sendonly", 2: "recvonly", 3: "sendrecv"}
SUBSCRIPTION_NAMES = {1: "pending", 3: "pending", 4: "active", 5: "terminated", 6: "terminated"}
LOG_LEVELS = {"debug": 1, "info": 4, "warning": 8, "error": 16}
"""LinphoneLogLevel: debug 1, trace 2, message 4, warning 8, error 16."""


class BctbxList(ctypes.Structure):
    """bctbx_list_t: the one structure of the API that has to be built by hand."""

    _fields_ = [("next", ctypes.c_void_p), ("prev", ctypes.c_void_p), ("data", ctypes.c_void_p)]


class RtpStats(ctypes.Structure):
    """The beginning of oRTP's rtp_stats_t."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("packet_sent", "packet_dup_sent", "sent", "packet_recv", "packet_dup_recv", "recv")]


class Api:
    """The library's functions as attributes without the `linphone_` prefix. Text is given and returned as str."""

    def __init__(self, library: str = "") -> None:
        self._library = ctypes.CDLL(library or os.environ["SIPLAB_LINPHONE"])
        self._libc = ctypes.CDLL(None)
        self._libc.free.argtypes = [ctypes.c_void_p]
        self._kept: list[Any] = []
        for row in _PROTOTYPES.split("\n"):
            if row:
                self._declare(*row.split())

    def _declare(self, name: str, result: str, arguments: str = "") -> None:
        if name in _SINCE_5_3 and not hasattr(self._library, name):
            setattr(self, name.removeprefix("linphone_"), lambda *_: None)
            return
        function = getattr(self._library, name)
        function.restype = _TYPES[result]
        function.argtypes = [_TYPES[letter] for letter in arguments]
        setattr(self, name.removeprefix("linphone_"), _with_text(function, result, arguments))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"linphone_{name} is not declared in api.py")

    def callback(self, setter: str, cbs: int, handler: Callable[..., None]) -> None:
        """Install `handler`; the thunk is kept alive for the life of the process."""
        letters = CALLBACKS[setter].removeprefix("v ")
        thunk = ctypes.CFUNCTYPE(None, *[_TYPES[letter] for letter in letters])(handler)
        self._kept.append(thunk)
        function = getattr(self._library, setter)
        function.restype, function.argtypes = None, [ctypes.c_void_p, ctypes.c_void_p]
        function(cbs, ctypes.cast(thunk, ctypes.c_void_p))

    def make_certificate(self, folder: str, name: str) -> None:
        """A self-signed certificate with its key in `folder`, as liblinphone itself makes one for DTLS when it finds none of this name."""
        function = self._library.belle_sip_generate_self_signed_certificate
        function.restype, function.argtypes = ctypes.c_int, [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p]
        certificate, key = ctypes.c_void_p(), ctypes.c_void_p()
        if function(folder.encode(), name.encode(), ctypes.byref(certificate), ctypes.byref(key)):
            raise RuntimeError(f"liblinphone cannot make a certificate in {folder}: see the log above")

    def uri(self, address: int | None) -> str:
        """`sip:user@host…` of a LinphoneAddress without display name."""
        if not address:
            return ""
        pointer = self.address_as_string_uri_only(address)
        try:
            return ctypes.string_at(pointer).decode("utf-8", "replace")
        finally:
            self._libc.free(pointer)


def _with_text(function: Any, result: str, arguments: str) -> Callable[..., Any]:
    positions = [index for index, letter in enumerate(arguments) if letter in "sc"]
    if not positions and result != "s":
        return function  # type: ignore[no-any-return]

    def call(*values: Any) -> Any:
        given = list(values)
        for index in positions:
            if isinstance(given[index], str):
                given[index] = given[index].encode()
        answer = function(*given)
        return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer

    return call
