#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sends one ClientHello, well or badly, over the kernel's TCP, and says in one word how it ended.

    hello.py [--sni NAME] [--shape SHAPE] [--timeout SECONDS] ADDRESS PORT

Shapes:
    one             in one segment (as far as the kernel goes along)
    bytes           a byte at a time, each its own segment
    records         cut into TLS records of 50 bytes (RFC 8446 section 5.1 allows it)
    key-share       with a hybrid post-quantum key share of 1216 bytes, 1.8 kB in all
    extensions=N    with N bytes of extensions beyond the usual ones
    not-tls         an HTTP request instead
    malformed       a handshake record whose lengths disagree
    silent          nothing at all
    close           half a hello, then FIN
    reset           half a hello, then RST

Words: server-hello, alert-NAME, reset, eof, timeout, refused, unreachable, other. With --timeout, timeout means that the
connection was still open then.
"""
import argparse
import socket
import struct
import time

ALERTS = {10: "unexpected_message", 40: "handshake_failure", 47: "illegal_parameter", 50: "decode_error",
          70: "protocol_version", 80: "internal_error", 112: "unrecognized_name"}
X25519, X25519_MLKEM768 = 0x001D, 0x11EC
GREASE = 0x0A0A


def vector(width, data):
    """A TLS vector: its length in width bytes, and the data."""
    return len(data).to_bytes(width, "big") + data


def extension(kind, data):
    return struct.pack("!H", kind) + vector(2, data)


def handshake(sni, hybrid_share=False, extra=0):
    """The bytes of a ClientHello handshake message (RFC 8446 section 4.1.2) that OpenSSL and others answer."""
    groups = [GREASE, X25519, 0x0017] + ([X25519_MLKEM768] if hybrid_share else [])
    shares = b""
    if hybrid_share:
        shares += struct.pack("!H", X25519_MLKEM768) + vector(2, bytes(range(256)) * 4 + bytes(192))
    shares += struct.pack("!H", X25519) + vector(2, bytes([9]) + bytes(31))
    extensions = extension(GREASE, b"")
    if sni is not None:
        extensions += extension(0, vector(2, b"\0" + vector(2, sni.encode())))
    extensions += extension(10, vector(2, b"".join(struct.pack("!H", group) for group in groups)))
    extensions += extension(13, vector(2, struct.pack("!4H", 0x0403, 0x0804, 0x0401, 0x0503)))
    extensions += extension(16, vector(2, vector(1, b"h2") + vector(1, b"http/1.1")))
    extensions += extension(43, vector(1, struct.pack("!2H", 0x0304, 0x0303)))
    extensions += extension(45, vector(1, b"\x01"))
    extensions += extension(51, vector(2, shares))
    if extra:
        extensions += extension(0x1A1A, bytes(extra - 4))
    body = struct.pack("!H", 0x0303) + bytes(range(32)) + vector(1, bytes(32))
    body += vector(2, struct.pack("!4H", 0x1301, 0x1303, 0xC02B, 0xC02F)) + vector(1, b"\0") + vector(2, extensions)
    return b"\x01" + vector(3, body)


def records(message, size=16384):
    """The message in TLS records of at most size bytes."""
    return b"".join(b"\x16\x03\x01" + vector(2, message[at:at + size]) for at in range(0, len(message), size))


def shaped(shape, sni):
    """The bytes to send for a shape."""
    name, _, number = shape.partition("=")
    if name == "not-tls":
        return b"GET / HTTP/1.1\r\nHost: " + (sni or "x").encode() + b"\r\n\r\n"
    if name == "malformed":
        # The session id is said to be longer than it may be.
        message = bytearray(handshake(sni))
        message[38] = 200
        return records(bytes(message))
    if name == "records":
        return records(handshake(sni), 50)
    if name == "key-share":
        bare = len(records(handshake(sni, hybrid_share=True)))
        return records(handshake(sni, hybrid_share=True, extra=1800 - bare))
    if name == "extensions":
        return records(handshake(sni, extra=int(number)))
    return records(handshake(sni))


def verdict(data):
    """What the first bytes of an answer are."""
    if data[:1] == b"\x16" and data[5:6] == b"\x02":
        return "server-hello"
    if data[:1] == b"\x15":
        return "alert-" + ALERTS.get(data[6], str(data[6]))
    return "eof" if not data else "other"


def send(sock, shape, data):
    if shape == "silent":
        return
    if shape in ("close", "reset"):
        sock.sendall(data[:len(data) // 2])
        time.sleep(0.1)
        if shape == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        else:
            sock.shutdown(socket.SHUT_WR)
        return
    if shape != "bytes":
        sock.sendall(data)
        return
    for at in range(len(data)):
        sock.sendall(data[at:at + 1])
        time.sleep(0.002)


def converse(options):
    family = socket.AF_INET6 if ":" in options.address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.settimeout(options.timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        sock.connect((options.address, options.port))
    except socket.timeout:
        return "timeout"
    except ConnectionRefusedError:
        return "refused"
    except OSError:
        return "unreachable"
    try:
        send(sock, options.shape, shaped(options.shape, options.sni))
        if options.shape == "reset":
            return "reset"
        data = b""
        while len(data) < 7:
            more = sock.recv(4096)
            if not more:
                break
            data += more
        return verdict(data)
    except socket.timeout:
        return "timeout"
    except (ConnectionResetError, BrokenPipeError):
        return "reset"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sni")
    parser.add_argument("--shape", default="one")
    parser.add_argument("--timeout", type=float, default=5)
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    print(converse(parser.parse_args()))


if __name__ == "__main__":
    main()
