#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Python peer of the end-to-end tests: mutual TLS by the standard library, as server and as client.

    peer.py serve --credential DIR --ca FILE [--port N] [--tls 1.2|1.3]
    peer.py get --credential DIR --ca FILE [--sni NAME] [--expect ID] [--tls 1.2|1.3] ADDRESS PORT PATH

DIR has tls.crt and tls.key. The server wants a client certificate that leads to FILE, and answers GET /whoami with
"saw=IDENTITY version=… alpn=… sni=…", GET /noise/N with N bytes, and PUT with the SHA-256 of what came. The client
prints the body, and such a line about the server ("server=…") on standard error. It checks the server's host name, or, with
--expect, that its only URI is that SPIFFE ID.
"""
import argparse
import hashlib
import http.client
import http.server
import socket
import ssl
import sys


def identity(certificate):
    """The URI of a certificate as getpeercert gives it, or its first DNS name."""
    if not certificate:
        return "none"
    names = certificate.get("subjectAltName", ())
    for kind, prefix in (("URI", ""), ("DNS", "DNS:")):
        for name in names:
            if name[0] == kind:
                return prefix + name[1]
    return "nameless"


def report(connection, sni):
    return (f"{identity(connection.getpeercert())} version={connection.version()} "
            f"alpn={connection.selected_alpn_protocol()} sni={sni}")


def context(arguments, purpose):
    made = ssl.create_default_context(purpose, cafile=arguments.ca)
    made.load_cert_chain(f"{arguments.credential}/tls.crt", f"{arguments.credential}/tls.key")
    made.verify_mode = ssl.CERT_REQUIRED
    if arguments.tls:
        made.minimum_version = made.maximum_version = {
            "1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[arguments.tls]
    return made


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        self.request.settimeout(60)
        self.request.do_handshake()
        super().setup()

    def reply(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path.startswith("/noise/"):
            self.reply(bytes(i * 7 & 255 for i in range(256)) * (int(self.path[7:]) // 256 + 1))
        else:
            self.reply(f"saw={report(self.request, self.server.names.get(self.request))}\n".encode())

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.reply((hashlib.sha256(body).hexdigest() + "\n").encode())

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6

    def __init__(self, port, made):
        self.tls, self.names = made, {}
        made.sni_callback = lambda connection, name, _: self.names.__setitem__(connection, name)
        super().__init__(("::", port), Handler)

    def get_request(self):
        plain, address = self.socket.accept()
        return self.tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False), address

    def shutdown_request(self, request):
        self.names.pop(request, None)
        try:
            request.settimeout(5)
            request.unwrap()  # close_notify, both ways
        except OSError:
            pass  # it had closed, or broke off
        super().shutdown_request(request)

    def handle_error(self, request, client_address):
        print(f"{client_address}: {sys.exc_info()[1]}", file=sys.stderr, flush=True)


def get(arguments):
    made = context(arguments, ssl.Purpose.SERVER_AUTH)
    made.check_hostname = arguments.expect is None
    with socket.create_connection((arguments.address, arguments.port), timeout=60) as plain:
        with made.wrap_socket(plain, server_hostname=arguments.sni) as connection:
            uris = [value for kind, value in connection.getpeercert().get("subjectAltName", ()) if kind == "URI"]
            if arguments.expect is not None and uris != [arguments.expect]:
                raise ssl.SSLError(f"the server is {uris}")
            print(f"server={report(connection, arguments.sni)}", file=sys.stderr)
            request = http.client.HTTPConnection(arguments.sni or "peer")
            request.sock = connection
            request.request("GET", arguments.path, headers={"Connection": "close"})
            sys.stdout.buffer.write(request.getresponse().read())


def main():
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name in ("serve", "get"):
        verb = verbs.add_parser(name)
        verb.add_argument("--credential", required=True)
        verb.add_argument("--ca", required=True)
        verb.add_argument("--tls", choices=("1.2", "1.3"))
        if name == "serve":
            verb.add_argument("--port", type=int, default=8443)
            continue
        verb.add_argument("--sni")
        verb.add_argument("--expect")
        verb.add_argument("address")
        verb.add_argument("port", type=int)
        verb.add_argument("path")
    arguments = parser.parse_args()
    if arguments.verb == "serve":
        Server(arguments.port, context(arguments, ssl.Purpose.CLIENT_AUTH)).serve_forever()
        return 0
    try:
        get(arguments)
    except (OSError, http.client.HTTPException) as error:
        print(f"peer.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
