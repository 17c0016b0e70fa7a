"""Asterisk's configuration: files for what an element is, objects in memory for each account."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from siplab_agent import Account, Config

FIXED = Path("/usr/lib/siplab/user-agent")
FOLDER = Path("/etc/asterisk")

ENCRYPTION: dict[str, dict[str, str]] = {
    "rtp": {"media_encryption": "no"},
    "sdes": {"media_encryption": "sdes"},
    "dtls": {
        "media_encryption": "dtls",
        "dtls_auto_generate_cert": "yes",
        "dtls_verify": "fingerprint",
        "dtls_setup": "actpass",
        "rtcp_mux": "yes",
    },
}


def write_files(config: Config, folder: Path = FOLDER, fixed: Path = FIXED) -> None:
    """Everything in /etc/asterisk, before Asterisk starts."""
    shutil.copytree(fixed, folder, dirs_exist_ok=True)
    (folder / "pjsip.conf").write_text(pjsip_conf(config))
    low, high = config.rtp_ports
    (folder / "rtp.conf").write_text(f"[general]\nrtpstart = {low}\nrtpend = {high}\nstrictrtp = no\n")


def pjsip_conf(config: Config) -> str:
    """A transport for each protocol and address family: an account names the one that it uses."""
    lines = ["[global]", "type = global", "endpoint_identifier_order = username", "max_forwards = 70"]
    for family, address in ((4, config.ipv4), (6, config.ipv6)):
        for protocol in ("udp", "tcp", "tls") if address else ():
            host = f"[{address}]" if family == 6 else address
            lines += ["", f"[{protocol}{family}]", "type = transport", f"protocol = {protocol}"]
            lines += [f"bind = {host}:{5061 if protocol == 'tls' else 5060}"]
            lines += _tls(config) if protocol == "tls" else []
    return "\n".join(lines) + "\n"


def _tls(config: Config) -> list[str]:
    """TLS 1.2 or newer; whom it calls must be whom it dialled (RFC 5922 §7)."""
    lines = ["method = sslv23", "verify_server = yes", "verify_client = no"]
    for option, value in (("ca_list_file", config.ca), ("cert_file", config.certificate), ("priv_key_file", config.key)):
        lines += [f"{option} = {value}"] if value else []
    return lines


def route(account: Account) -> str:
    """The account's proxy as a loose route (RFC 3261 §16.12.1.1)."""
    return account.proxy if ";lr" in account.proxy else f"{account.proxy};lr"


def transport(account: Account) -> dict[str, str]:
    """The transport object that the proxy's URI names; none where it leaves the choice to the domain's zone (RFC 3263 §4.1)."""
    named = re.search(r";transport=(\w+)", account.proxy)
    return {"transport": f"{named[1]}{account.family}"} if named else {}


def endpoint(account: Account) -> dict[str, str]:
    """The endpoint object: how calls and messages of this account are made and taken."""
    return {
        **transport(account),
        "context": "incoming",
        "message_context": "no-dialplan",
        "disallow": "all",
        "allow": "ulaw,alaw",
        "from_user": account.user,
        "from_domain": account.domain,
        "outbound_proxy": route(account),
        "outbound_auth": account.id,
        "dtmf_mode": "rfc4733",
        "direct_media": "no",
        "rtp_ipv6": "yes" if account.family == 6 else "no",
        "rtp_symmetric": "no",
        "force_rport": "yes",
        "rewrite_contact": "no",
        "ice_support": "yes" if account.ice else "no",
        "moh_passthrough": "yes",
        "send_connected_line": "no",
        "refer_blind_progress": "yes",
        **ENCRYPTION[account.media],
    }


def auth(account: Account) -> dict[str, str]:
    """The credentials: for whatever realm asks, by the algorithm that it prefers (RFC 8760; Asterisk's own default is MD5 alone)."""
    algorithms = {"supported_algorithms_uac": "MD5,SHA-256,SHA-512-256"}
    return {"auth_type": "digest", "username": account.username, "password": account.password, **algorithms}


def registration(account: Account, expires: int) -> dict[str, str]:
    """The registration object, which registers as soon as it exists. `line` marks the Contact, so that calls find their account."""
    return {
        **transport(account),
        "outbound_auth": account.id,
        "outbound_proxy": route(account),
        "server_uri": f"{account.aor.partition(':')[0]}:{account.domain}",
        "client_uri": account.aor,
        "contact_user": account.user,
        "expiration": str(expires),
        "line": "yes",
        "endpoint": account.id,
        "max_random_initial_delay": "0",
        "retry_interval": "60",
        "auth_rejection_permanent": "yes",
    }
