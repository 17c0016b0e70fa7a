"""Speaks SIP text and sends media over real sockets; runs inside a container.

talk.py serve|dial|media TRANSPORT ADDRESS PORT JSON-OPTIONS; dial and media read a JSON list from stdin.
"""

import json
import socket
import ssl
import sys

mode, transport, address, port, options = *sys.argv[1:4], int(sys.argv[4]), json.loads(sys.argv[5])
FAMILY = socket.AF_INET6 if ":" in address else socket.AF_INET
KEPT = ("Via", "From", "To", "Call-ID", "CSeq", "Record-Route")


def context() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if mode == "serve" else ssl.PROTOCOL_TLS_CLIENT)
    if options.get("tls12"):
        made.maximum_version = ssl.TLSVersion.TLSv1_2
    if options.get("keylog"):
        made.keylog_filename = options["keylog"]
    if mode == "serve":
        made.load_cert_chain("/s.pem")
    elif not options.get("verify"):
        made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made


def reply(request: bytes) -> bytes:
    lines = [line for line in request.decode().split("\r\n") if line.split(":")[0] in KEPT]
    return ("SIP/2.0 200 OK\r\n" + "\r\n".join(lines) + "\r\nContent-Length: 0\r\n\r\n").encode()


def serve() -> None:
    if transport == "udp":
        server = socket.socket(FAMILY, socket.SOCK_DGRAM)
        server.bind((address, port))
        print("ready", flush=True)
        while True:
            data, peer = server.recvfrom(65535)
            server.sendto(reply(data), peer)
    listener = socket.create_server((address, port))
    print("ready", flush=True)
    tls = context() if transport == "tls" else None
    while True:
        connection = listener.accept()[0]
        try:
            connection = tls.wrap_socket(connection, server_side=True) if tls else connection
            while data := connection.recv(65535):
                connection.sendall(reply(data))
        except OSError as error:
            print(error, file=sys.stderr, flush=True)


def dial() -> None:
    if transport == "udp":
        client = socket.socket(FAMILY, socket.SOCK_DGRAM)
        client.bind(("", 5060))
        client.connect((address, port))
    else:
        client = socket.create_connection((address, port), 3)
    if transport == "tls":
        client = context().wrap_socket(client, server_hostname="pa.atlanta.example")
    client.settimeout(3)
    for message in json.load(sys.stdin):
        client.send(message.encode())
        client.recv(65535)


def media() -> None:
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.bind(("0.0.0.0", options["from"]))
    for packet in json.load(sys.stdin):
        client.sendto(bytes.fromhex(packet), (address, port))


{"serve": serve, "dial": dial, "media": media}[mode]()
