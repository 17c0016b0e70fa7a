"""What baresip reads: its configuration folder and the line that makes an account."""

from __future__ import annotations

import os
import re
from pathlib import Path

from siplab_agent import Account, BadParams, Config

FOLDER = "/run/baresip"
CONTROL_PORT = 4444
RACE_SHIM = "/usr/lib/siplab/aufile-race.so"
MAX_FLOWS = 2
"""`outbound1` and `outbound2` of an account."""
MEDIA = {"rtp": "", "sdes": ";mediaenc=srtp-mand", "dtls": ";mediaenc=dtls_srtp"}

_NETWORK = """\
sip_listen {listen}
{tls}
{dns}
rtp_ports {low}-{high}
rtcp_mux no
audio_telev_pt 101
"""

_CONFIG = """\
poll_method epoll
call_local_timeout 180
call_max_calls 8
call_hold_other_calls no
audio_path {folder}/silent
audio_source ausine,{tone}
audio_level no
ausrc_srate 48000
auplay_srate 8000
auplay_channels 1
ausrc_format s16
auplay_format s16
auenc_format s16
audec_format s16
audio_buffer 20-160
jitter_buffer_type fixed
jitter_buffer_delay 1-10
rtp_stats yes
module_path /usr/lib/baresip/modules
module g711.so
module ausine.so
{lines}module uuid.so
module srtp.so
module ice.so
module stun.so
module turn.so
module_tmp account.so
module_app debug_cmd.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{port}
redial_attempts 0
menu_message_tone no
statmode_default off
ringback_disabled yes
"""


def write_folder(config: Config, family: int, lines: str) -> None:
    """Write the configuration for one address family: baresip takes one listening address."""
    folder = Path(FOLDER)
    (folder / "silent").mkdir(parents=True, exist_ok=True)
    text = _CONFIG.format(folder=FOLDER, tone=config.tone_hz, lines=lines, port=CONTROL_PORT)
    (folder / "config").write_text(network(config, family) + text)
    (folder / "accounts").write_text("# accounts are made by the agent\n")
    write_contact("sip:nobody@invalid.example")


def network(config: Config, family: int) -> str:
    """The lines that say where baresip listens, whom it asks and whom it trusts: the same in every flavour."""
    low, high = config.rtp_ports
    Path(FOLDER).mkdir(parents=True, exist_ok=True)
    return _NETWORK.format(
        listen=_host_port(address(config, family), 5060),
        tls=_tls(config),
        dns="\n".join(f"dns_server {_host_port(server, 53)}" for server in config.dns),
        low=low,
        high=high + 1,
    )


def address(config: Config, family: int) -> str:
    """The element's address of that family; BadParams where it has none."""
    found = config.ipv6 if family == 6 else config.ipv4
    if not found:
        raise BadParams(f"family: this element has no IPv{family} address")
    return found


def write_contact(uri: str) -> None:
    """The one contact, and so the current one: `message` knows no other way to name its target."""
    Path(FOLDER, "contacts").write_text(f'"x" <{uri}>\n')
    Path(FOLDER, "current_contact").unlink(missing_ok=True)


def account_line(account: Account, regint: int) -> str:
    """The address line of a user agent; `regint` 0 makes one that does not register."""
    if len(account.hops) > MAX_FLOWS:
        raise BadParams(f"proxies: baresip registers through {MAX_FLOWS} at most")
    for name in ("username", "password", "turn_username", "turn_password"):
        if re.search(r'[;"<>\s]', getattr(account, name) or ""):
            raise BadParams(f'{name}: baresip cannot take any of ; " < > or a blank in it')
    hops = "".join(f';outbound{number}="{hop}"' for number, hop in enumerate(account.hops, 1))
    return (
        f"<{account.aor}>;auth_user={account.username};auth_pass={account.password}"
        f"{hops};regint={regint};mwi=no;answermode=manual"
        f";audio_codecs=PCMU/8000/1,PCMA/8000/1{MEDIA[account.media]}{_nat(account)}"
        f"{'' if account.q is None else f';regq={account.q:.3g}'}"
    )


def _nat(account: Account) -> str:
    """How media and SIP get through: baresip knows one media NAT traversal per account and one server for it."""
    kind = "ice" if account.ice else "turn" if account.turn else "stun" if account.stun else ""
    server = (account.turn or account.stun or "").replace(";", "?")
    media = f";medianat={kind}" if kind else ""
    where = f';stunserver="{server}"' if server else ""
    who = f";stunuser={account.turn_username};stunpass={account.turn_password}" if account.turn and account.turn_username else ""
    return f"{media}{where}{who}{';sipnat=outbound' if account.outbound else ''}"


def environment() -> dict[str, str]:
    """The fix of baresip's file player (aufile-race.c), besides what is preloaded anyway."""
    return {"LD_PRELOAD": ":".join(filter(None, (RACE_SHIM, os.environ.get("LD_PRELOAD"))))}


def _tls(config: Config) -> str:
    lines = [f"sip_cafile {config.ca}", "sip_verify_server yes"] if config.ca else []
    if config.certificate and config.key:
        pair = Path(FOLDER, "identity.pem")
        pair.write_text(Path(config.certificate).read_text() + Path(config.key).read_text())
        lines.append(f"sip_certificate {pair}")
    return "\n".join(lines)


def _host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
