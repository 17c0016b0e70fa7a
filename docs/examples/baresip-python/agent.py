"""Drives baresip-python, an asyncio library around baresip and libre."""

from functools import partial

import baresip
from baresip.errors import split_status
from siplab_agent import PcmAgent

MEDIA = {"rtp": "", "sdes": "mediaenc=srtp-mand", "dtls": "mediaenc=dtls_srtp"}


class BaresipPython(PcmAgent):
    """Each call's own events become ours. A `reset` starts the library anew, as it has no way to remove an account."""

    vendor = "baresip-python"
    capabilities = frozenset({
        "udp", "tcp", "tls", "tls-server-name", "digest-md5", "digest-sha-256", "srv", "naptr",
        "invite", "cancel", "busy", "delayed-offer-uas", "srtp-sdes", "srtp-dtls",
    })  # fmt: skip

    async def start(self):
        self.runtime = baresip.Runtime()
        await self.runtime.start(baresip.Config(net_interface=self.config.ipv4, extra_config_text=f"sip_cafile {self.config.ca}"))

    def version(self):
        return baresip.__version__

    async def stop(self):
        await self.runtime.close()

    async def account_add(self, account):
        line = f'<{account.aor}>;auth_user={account.username};auth_pass="{account.password}";outbound="{account.proxy}"'
        line += f";regint={account.expires};audio_codecs=pcmu;answermode=manual;{MEDIA[account.media]}"
        account.native = await baresip.UserAgent.create(self.runtime, line)
        account.native.on_incoming(partial(self.came, account))

    def account_remove(self, account):
        self.launch(account.native.unregister())

    def register(self, account, expires):
        self.launch(self.bind(account, account.native.register, "registered"))

    def unregister(self, account):
        self.launch(self.bind(account, account.native.unregister, "unregistered"))

    async def bind(self, account, request, state):
        try:
            await request()
            self.registration(account, state)
        except baresip.RegistrationError as error:
            self.registration(account, "failed", code=error.status, reason=error.reason)

    def came(self, account, native):
        call = self.incoming(account, native.peer, native=native)
        self.call_state(call, "ringing", 180)  # the library has sent that already
        native.on(partial(self.told, call))

    async def call_invite(self, call, target, offer):
        call.native = await call.account.native.dial(target)
        call.native.on(partial(self.told, call))

    def told(self, call, event):
        if event.event in (baresip.Event.CALL_RINGING, baresip.Event.CALL_PROGRESS):
            self.call_state(call, "ringing")
        elif event.event is baresip.Event.CALL_ESTABLISHED:
            self.talk(call, call.native.audio.read, call.native.audio.write, baresip.BaresipError)
            self.call_state(call, "established", 200)
        elif event.event is baresip.Event.CALL_CLOSED:
            self.call_state(call, "terminated", *split_status(event.text or ""))

    def call_ring(self, call):
        pass

    async def call_answer(self, call):
        await call.native.answer()

    async def call_reject(self, call, code, reason):
        await call.native.reject()

    async def call_cancel(self, call):
        await call.native.hangup()

    call_bye = call_cancel


if __name__ == "__main__":
    BaresipPython.main()
