"""linphonerc: everything that has to be said before the core starts. What differs per account is set through the API."""

from __future__ import annotations

import uuid

from siplab_agent.config import Config

RTP_IO_IN = 17076
"""liblinphone's "microphone": it takes PCMU RTP on this local port (its default)."""
RTP_IO_OUT = 17078
"""liblinphone's "loudspeaker": it sends PCMU RTP to this local port (its default)."""
CODECS = (("PCMU", 8000), ("PCMA", 8000), ("telephone-event", 8000))


def linphonerc(config: Config, certificates: str) -> str:
    """The configuration file. Nothing in it names a host outside the lab, and nothing is left to a default that would.

    `hold_music` must name a file that does not exist: without it a hold looks for Linphone's own music and crashes the library.
    The instance id is a function of the element's name: a restarted software replaces its binding instead of adding another.
    """
    low, high = config.rtp_ports
    instance = uuid.uuid5(uuid.NAMESPACE_DNS, f"{config.element}.linphone.siplab")
    client = f"client_cert_chain={config.certificate}\nclient_cert_key={config.key}\n" if config.certificate and config.key else ""
    codecs = "".join(f"[audio_codec_{n}]\nmime={mime}\nrate={rate}\nchannels=1\nenabled=1\n" for n, (mime, rate) in enumerate(CODECS))
    return (
        f"[sip]\nsip_port=0\nsip_tcp_port=0\nsip_tls_port=0\nverify_server_certs=1\nverify_server_cn=1\n"
        f"{'root_ca=' + config.ca if config.ca else ''}\n{client}"
        "use_ipv6=0\nregister_only_when_network_is_up=0\nauto_net_state_mon=0\nregister_only_when_upnp_is_ok=0\n"
        "auto_send_ringing=0\ninc_timeout=180\nin_call_timeout=0\ndelayed_timeout=4\nguess_hostname=1\ntransport_timeout=5000\ndefault_proxy=-1\n"
        "keepalive_period=0\nuse_rfc2833=1\nuse_info=0\npush_notification_allowed=0\nsession_expires_enabled=0\n"
        "chat_messages_aggregation=0\nim_notif_policy=none\npublish_presence=0\n"
        f"[misc]\nuuid={instance}\nhistory_max_size=0\nstore_friends=0\nadd_missing_audio_codecs=0\nadd_missing_video_codecs=0\n"
        "log_collection_upload_server_url=\nversion_check_url_root=\nfile_transfer_server_url=\nmax_calls=10\n"
        f"user_certificates_path={certificates}\n"
        "[app]\nauto_download_incoming_files_max_size=-1\n"
        f"[rtp]\naudio_rtp_port={low}-{high}\naudio_jitt_comp=60\nsymmetric=1\naccept_any_encryption=0\nstun_keepalives=0\n"
        "[sound]\nrtp_io=1\nrtp_map=pcmu/8000/1\nhold_music=/nonexistent.wav\nremote_ring=\nlocal_ring=\ndisable_ringing=1\n"
        f"rtp_local_addr=127.0.0.1\nrtp_local_port={RTP_IO_IN}\nrtp_remote_addr=127.0.0.1\nrtp_remote_port={RTP_IO_OUT}\n"
        "echocancellation=0\nagc=0\n"
        "[video]\nenabled=0\ncapture=0\ndisplay=0\nshow_local=0\n"
        "[net]\nmtu=1300\nfirewall_policy=0\ndns_srv_enabled=1\ndns_search_enabled=0\nprefer_ipv6=0\ndownload_bw=0\nupload_bw=0\n"
        "[lime]\nenabled=0\n"
        "[storage]\nuri=:memory:\ncall_logs_db_uri=null\nzrtp_secrets_db_uri=null\n"
        f"[tls]\n[certificates]\n{codecs}"
    )
