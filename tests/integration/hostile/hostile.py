"""An agent that is polite until it is told to register, and then does its worst. $MODE says in which way."""

import json
import os
import signal
import socket
import sys
import time

MODE = os.environ["MODE"]
ESCAPES = "\x1b[31m\x1b]0;owned\x07<script>alert(1)</script>&\u202e\x00]]>"
OUT = sys.stdout.buffer


def say(**message):
    """One line of protocol."""
    OUT.write(json.dumps(message).encode() + b"\n")
    OUT.flush()


def event(name, **members):
    """One event."""
    say(event=name, t=time.time(), source="native", **members)


def sleep():
    """Answer nothing ever after."""
    while True:
        signal.pause()


def crash():
    """Die by a signal."""
    os.kill(os.getpid(), signal.SIGSEGV)
    os._exit(139)  # the kernel spares PID 1 its own signals: the exit code that a shell would give


def leave():
    """End with an exit code of its own choice."""
    os._exit(3)


def events():
    """Valid events, hundreds of megabytes of them."""
    line = json.dumps({"event": "call.dtmf", "t": 0.0, "source": "native", "call": "c1", "digit": "1", "padding": "x" * 900}).encode()
    block = (line + b"\n") * 64
    for _ in range(5000):
        OUT.write(block)
    sleep()


def line():
    """One line that never ends."""
    while True:
        OUT.write(b'{"event":"' + b"x" * 65536)


def stderr():
    """A log that never ends."""
    while True:
        os.write(2, (ESCAPES + "x" * 1000 + "\n").encode() * 60)


def rubbish():
    """What no protocol is: half a character, a deep line, then binary."""
    event("registration", account="a1", reason="\ud800")
    OUT.write(b'{"event":"a","x":' + b"[" * 30000 + b"]" * 30000 + b"}\n")
    OUT.write(bytes(range(256)) + ESCAPES.encode() + b'\n{"id":1,"resu')
    OUT.flush()
    sleep()


def lies():
    """Protocol by its form, with members that are none."""
    event("registration", account=["a1"], state={"x": 1}, code="4", reason=ESCAPES)
    event("call.incoming", call=None, **{"from": {}})
    event("registration", account="a1", state="failed", code=10**300, reason=ESCAPES + "y" * 5000)


def leak():
    """Take memory until somebody says no."""
    hoard = []
    while True:
        hoard.append(os.urandom(1 << 20))


def forks():
    """As many processes as there may be, all busy."""
    for _ in range(10000):
        try:
            if os.fork() == 0:
                while True:
                    pass
        except OSError:
            break
    while True:
        pass


def datagrams(payload, count):
    """SIP over UDP to the proxy of its account."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for _ in range(count):
        try:
            sock.sendto(payload, proxy)
        except OSError:
            continue


def garbage():
    """What looks like SIP and is none."""
    start = (
        b"REGISTER sip:atlanta.example SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=" + ESCAPES.encode() + b"\r\nFrom: <<<>>>\r\nTo: \xff\xfe\r\n"
    )
    for tail in (b"", b"Content-Length: -1\r\n\r\n", b"CSeq: 99999999999 \x00\r\n\r\n", b"X: " + b"y" * 60000 + b"\r\n\r\n"):
        datagrams(start + tail, 5)


def wire():
    """SIP as fast as it goes."""
    message = (
        b"OPTIONS sip:atlanta.example SIP/2.0\r\nVia: SIP/2.0/UDP 198.18.0.1;branch=z9hG4bKx\r\nMax-Forwards: 70\r\n"
        b"From: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\nCall-ID: flood\r\nCSeq: 1 OPTIONS\r\nSubject: "
        + b"z" * 900
        + b"\r\nContent-Length: 0\r\n\r\n"
    )
    while True:
        datagrams(message, 100000)


WORST = {"exit": leave, **{f.__name__: f for f in (crash, events, line, stderr, rubbish, lies, leak, forks, garbage, wire)}}
RESULTS = {
    "hello": {
        "contract": 1,
        "vendor": "hostile " + ESCAPES,
        "version": MODE,
        "capabilities": ["udp", "digest-md5", "invite", "cancel", "busy"],
    },
    "account.add": {"account": "a1"},
    "call.invite": {"call": "c1"},
}

for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
if MODE == "mute":
    sleep()
proxy = ("", 0)
for asked in sys.stdin.buffer:
    request = json.loads(asked)
    if MODE == "hang" and request["method"] != "hello":
        sleep()
    if request["method"] == "account.add":
        host, port = request["params"]["proxy"].removeprefix("sip:").partition(";")[0].split(":")
        proxy = (socket.gethostbyname(host), int(port))
    say(id=request["id"], result=RESULTS.get(request["method"], {}))
    if request["method"] == "register":
        WORST[MODE]()
sleep()
