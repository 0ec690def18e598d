#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Peers that do with a bridge what well-behaved programs don't, on Python's ssl over buffers of their own.

    tls_rough.py sink PORT [--late N]          server, plaintext: reads a PROXY v2 header, where there is one, and all up
                                               to the end; answers one line, "proxy=ID source=IP n=BYTES sha256=…", and
                                               closes. --late: it reads nothing for N seconds
    tls_rough.py mute PORT CREDENTIAL CA       server, mutual TLS: never reads what comes after the handshake
    tls_rough.py send N    TO…                 sends N bytes, close_notify, and prints what comes then
    tls_rough.py hellos N SECONDS TO…          N ClientHellos at once; waits; prints how many were answered and closed
    tls_rough.py idle N    TO…                 N sessions, held until a line comes on standard input; prints "idle K",
                                               and at the end how many were still open
    tls_rough.py deaf N MB TO…                 N clients that ask for MB megabytes and read nothing; held like idle
    tls_rough.py slow MB RATE TO…              one that reads RATE bytes a second at most for 5 s, then all; its SHA-256
    tls_rough.py flood N   TO…                 sends to a server that doesn't read, until nothing goes; prints how many
                                               bytes went; held like idle
    tls_rough.py cut WHERE TO…                 ends TCP without close_notify: in "hello", "record" (half a record of
                                               data is sent), "data" (between records); prints what came, and how it ended
    tls_rough.py alert WHERE TO…               a fatal alert in place of "hello", "finish" (our last flight), or "data"
    tls_rough.py resume    TO…                 two connections, a line on standard input between; prints of each whether
                                               the session was resumed, or why it failed
    tls_rough.py watch     TO…                 one session that stays; prints "up", and at its end when that was, in ms since
                                               1970, and how
    tls_rough.py long N    TO…                 shows N certificates: the chain, its last one over and over

TO is ADDRESS PORT SERVER-NAME CA CREDENTIAL, with CREDENTIAL "-" for none; --tls 1.2 or 1.3, --alpn P,P before the verb.
"""
import argparse
import hashlib
import selectors
import socket
import ssl
import struct
import sys
import tempfile
import threading
import time

RECORD = 16384


class Rough:
    """A TLS client over buffers, with its socket in plain sight."""

    def __init__(self, options, context, session=None, timeout=20):
        self.plain = socket.create_connection((options.address, options.port), timeout=timeout)
        self.plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=options.name or None, session=session)

    def hello(self):
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return self.outgoing.read()

    def flush(self):
        self.plain.sendall(self.outgoing.read())

    def fill(self):
        got = self.plain.recv(65536)
        if got:
            self.incoming.write(got)
        else:
            self.incoming.write_eof()
        return got

    def handshake(self, flush_last=True):
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.flush()
                self.fill()
        if flush_last:
            self.flush()
        return self

    def write(self, data):
        for at in range(0, len(data), RECORD):
            self.tls.write(data[at:at + RECORD])
            self.flush()

    def read(self):
        while True:
            try:
                return self.tls.read(65536)
            except ssl.SSLWantReadError:
                self.fill()

    def read_all(self):
        """All up to the end, and how that was: closed, cut, reset, or an alert."""
        got = []
        while True:
            try:
                some = self.read()
                if not some:
                    return b"".join(got), "closed"
                got.append(some)
            except ssl.SSLZeroReturnError:
                return b"".join(got), "closed"
            except ssl.SSLEOFError:
                return b"".join(got), "cut"
            except ssl.SSLError as error:
                return b"".join(got), str(error.reason).lower()
            except ConnectionResetError:
                return b"".join(got), "reset"
            except TimeoutError:
                return b"".join(got), "silence"

    def close_notify(self):
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self.flush()


def make_context(options, credential=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(options.ca)
    if options.credential != "-":
        folder = credential or options.credential
        context.load_cert_chain(f"{folder}/tls.crt", f"{options.credential}/tls.key")
    if options.tls:
        context.minimum_version = context.maximum_version = {
            "1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[options.tls]
    if options.alpn:
        context.set_alpn_protocols(options.alpn.split(","))
    return context


def noise(n):
    block = bytes(i * 13 & 255 for i in range(256)) * 256
    return (block * (n // len(block) + 1))[:n]


# --- servers ---------------------------------------------------------------------------------------------------------

def proxy_header(connection):
    """The identity and the source that a PROXY v2 header tells, and what came behind it."""
    got = b""
    while len(got) < 16:
        some = connection.recv(65536)
        if not some:
            return "none", "none", got
        got += some
    if got[:12] != b"\r\n\r\n\0\r\nQUIT\n":
        return "none", "none", got
    length = struct.unpack("!H", got[14:16])[0]
    while len(got) < 16 + length:
        got += connection.recv(65536)
    header, rest = got[16:16 + length], got[16 + length:]
    family, at = (socket.AF_INET, 12) if got[13] == 0x11 else (socket.AF_INET6, 36)
    source = socket.inet_ntop(family, header[:4 if at == 12 else 16])
    identity = "none"
    while at + 3 <= len(header):
        kind, size = struct.unpack("!BH", header[at:at + 3])
        if kind == 0xD0:
            identity = header[at + 3:at + 3 + size].decode()
        at += 3 + size
    return identity, source, rest


def sink_one(connection, late):
    time.sleep(late)
    with connection:
        identity, source, rest = proxy_header(connection)
        digest, n = hashlib.sha256(rest), len(rest)
        while some := connection.recv(65536):
            digest.update(some)
            n += len(some)
        connection.sendall(f"proxy={identity} source={source} n={n} sha256={digest.hexdigest()}\n".encode())


def listen(port):
    server = socket.socket(socket.AF_INET6)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("::", port))
    server.listen(4096)
    return server


def sink(options):
    server = listen(options.port)
    while True:
        threading.Thread(target=sink_one, args=(server.accept()[0], options.late), daemon=True).start()


def mute(options):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=options.ca)
    context.load_cert_chain(f"{options.credential}/tls.crt", f"{options.credential}/tls.key")
    context.verify_mode = ssl.CERT_REQUIRED
    server, held = listen(options.port), []
    while True:
        try:
            held.append(context.wrap_socket(server.accept()[0], server_side=True))
        except OSError:
            pass  # its client went away


# --- clients ---------------------------------------------------------------------------------------------------------

def send(options):
    peer = Rough(options, make_context(options)).handshake()
    peer.write(noise(options.n))
    peer.close_notify()
    got, end = peer.read_all()
    sys.stdout.write(got.decode())
    print(end)


def hellos(options):
    hello = Rough(options, make_context(options)).hello()
    selector, started = selectors.DefaultSelector(), time.monotonic()
    open_now, said, answered, closed, failed = set(), set(), set(), 0, 0
    for _ in range(options.n):
        peer = socket.socket(socket.AF_INET6 if ":" in options.address else socket.AF_INET)
        peer.setblocking(False)
        peer.connect_ex((options.address, options.port))
        selector.register(peer, selectors.EVENT_WRITE)
        open_now.add(peer)
    while open_now and time.monotonic() - started < options.seconds:
        for key, _ in selector.select(0.5):
            peer = key.fileobj
            try:
                if peer not in said:
                    peer.send(hello)
                    said.add(peer)
                    selector.modify(peer, selectors.EVENT_READ)
                    continue
                some = peer.recv(65536)
                if some and some[0] == 22:
                    answered.add(peer)
            except BlockingIOError:
                continue
            except OSError:
                some, failed = b"", failed + 1
            if not some:
                closed += 1
                selector.unregister(peer)
                open_now.discard(peer)
                peer.close()
    print(f"said={len(said)} answered={len(answered)} closed={closed} errors={failed}")


def hold(peers):
    print(f"idle {len(peers)}", flush=True)
    sys.stdin.readline()
    still = 0
    for peer in peers:
        peer.plain.setblocking(False)
        try:
            still += 1 if peer.plain.recv(1, socket.MSG_PEEK) else 0
        except BlockingIOError:
            still += 1
        except OSError:
            pass
    print(f"open {still}", flush=True)


def many(options, n, then):
    """n sessions, by a few threads; those that failed are told of."""
    peers, errors, lock, turns = [], {}, threading.Lock(), iter(range(n))
    context = make_context(options)

    def work():
        while True:
            with lock:
                if next(turns, None) is None:
                    return
            try:
                peer = Rough(options, context, timeout=30).handshake()
                then(peer)
                with lock:
                    peers.append(peer)
            except OSError as error:
                with lock:
                    errors[str(error)] = errors.get(str(error), 0) + 1

    threads = [threading.Thread(target=work) for _ in range(min(n, 16))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for text, count in errors.items():
        print(f"failed {count}: {text}", flush=True)
    return peers


def drain_ticket(peer):
    """What a server sends right behind its handshake is read, so that an idle session is idle on both sides."""
    peer.plain.settimeout(0.05)
    try:
        peer.tls.read(1)
    except ssl.SSLWantReadError:
        try:
            peer.fill()
            peer.tls.read(1)
        except (ssl.SSLWantReadError, TimeoutError):
            pass


def idle(options):
    hold(many(options, options.n, drain_ticket))


def deaf(options):
    ask = f"GET /noise/{options.mb * 1000000} HTTP/1.1\r\nHost: {options.name}\r\nConnection: close\r\n\r\n".encode()
    hold(many(options, options.n, lambda peer: peer.write(ask)))


def slow(options):
    ask = f"GET /noise/{options.mb * 1000000} HTTP/1.0\r\nHost: {options.name}\r\n\r\n".encode()
    peer = Rough(options, make_context(options))
    peer.plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.handshake().write(ask)
    until, got = time.monotonic() + 5, b""
    while time.monotonic() < until:
        try:
            got += peer.tls.read(65536)
        except ssl.SSLWantReadError:
            peer.incoming.write(peer.plain.recv(max(options.rate // 10, 1)))
            time.sleep(0.1)
    rest, end = peer.read_all()
    got += rest
    body = got.split(b"\r\n\r\n", 1)[1]
    print(f"n={len(body)} sha256={hashlib.sha256(body).hexdigest()} {end}")


def flood(options):
    data, sent = noise(RECORD), []

    def pour(peer):
        n = 0
        peer.plain.settimeout(3)
        try:
            while True:
                peer.write(data)
                n += len(data)
        except TimeoutError:
            pass
        sent.append(n)

    peers = many(options, options.n, pour)
    print(f"sent least={min(sent, default=0)} most={max(sent, default=0)}", flush=True)
    hold(peers)


def cut(options):
    peer = Rough(options, make_context(options))
    if options.where == "hello":
        hello = peer.hello()
        peer.plain.sendall(hello[:len(hello) // 2])
    else:
        peer.handshake().write(b"GET /whoami HTTP/1.1\r\nHost: x\r\n\r\n")
        if options.where == "record":
            peer.tls.write(noise(1000))
            peer.plain.sendall(peer.outgoing.read()[:500])
    peer.plain.shutdown(socket.SHUT_WR)
    try:
        _, end = peer.read_all()
    except OSError as error:
        end = type(error).__name__
    print(end)


def alert(options):
    peer = Rough(options, make_context(options))
    fatal = bytes([21, 3, 3, 0, 2, 2, 80])
    if options.where == "hello":
        peer.plain.sendall(fatal)
    elif options.where == "finish":
        peer.handshake(flush_last=False)
        peer.plain.sendall(fatal)
    elif options.where == "server":
        peer.plain.sendall(peer.hello())
        peer.plain.recv(65536)
        peer.plain.sendall(fatal)
    else:
        peer.handshake()
        peer.plain.sendall(fatal)
    peer.plain.settimeout(5)
    try:
        while peer.plain.recv(65536):
            pass
        print("closed")
    except ConnectionResetError:
        print("closed")
    except TimeoutError:
        print("silence")


def resume_once(options, context, session):
    """The session for the next one, or None; and what happened."""
    try:
        peer = Rough(options, context, session).handshake()
        peer.write(b"GET /whoami HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        got, end = peer.read_all()
    except OSError as error:
        return None, f"failed {getattr(error, 'reason', None) or error}"
    if not got:
        return None, f"failed {end}"
    return peer.tls.session, "resumed" if peer.tls.session_reused else "full"


def resume(options):
    context = make_context(options)
    session, how = resume_once(options, context, None)
    print(how, flush=True)
    sys.stdin.readline()
    print(resume_once(options, context, session)[1], flush=True)


def watch(options):
    peer = Rough(options, make_context(options), timeout=100).handshake()
    peer.write(b"GET /whoami HTTP/1.1\r\nHost: x\r\n\r\n")
    seen = peer.read()
    print("up" if seen else "closed", flush=True)
    _, end = peer.read_all()
    print(int(time.time() * 1000), end, flush=True)


def long(options):
    with open(f"{options.credential}/tls.crt", encoding="ascii") as file:
        chain = file.read()
    last = "-----BEGIN" + chain.rsplit("-----BEGIN", 1)[1]
    with open(options.ca, encoding="ascii") as file:
        last = file.read() if chain.count("BEGIN") == 1 else last
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/tls.crt", "w", encoding="ascii") as file:
            file.write(chain + last * options.n)
        context = make_context(options, folder)
    try:
        peer = Rough(options, context).handshake()
        peer.write(b"GET /whoami HTTP/1.0\r\n\r\n")
        got, end = peer.read_all()
        print("answered" if got else end)
    except OSError as error:
        print(str(getattr(error, "reason", None) or error).lower())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tls", choices=("1.2", "1.3"))
    parser.add_argument("--alpn")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name, more in (("sink", "port"), ("mute", "port credential ca"), ("send", "n TO"), ("hellos", "n seconds TO"),
                       ("idle", "n TO"), ("deaf", "n mb TO"), ("slow", "mb rate TO"), ("flood", "n TO"),
                       ("cut", "where TO"), ("alert", "where TO"), ("resume", "TO"), ("watch", "TO"), ("long", "n TO")):
        verb = verbs.add_parser(name)
        for argument in more.replace("TO", "address port name ca credential").split():
            verb.add_argument(argument, type=int if argument in ("n", "port", "seconds", "mb", "rate") else str)
        if name == "sink":
            verb.add_argument("--late", type=float, default=0)
    options = parser.parse_args()
    {"sink": sink, "mute": mute, "send": send, "hellos": hellos, "idle": idle, "deaf": deaf, "slow": slow,
     "flood": flood, "cut": cut, "alert": alert, "resume": resume, "watch": watch, "long": long}[options.verb](options)


if __name__ == "__main__":
    main()
