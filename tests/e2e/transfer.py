#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Linux's TCP at both ends of a connection through the gateway, with what an application can ask of it.

    transfer.py [OPTION…] serve PORT
    transfer.py [OPTION…] ask --sni NAME ADDRESS PORT VERB [NUMBER…]

A connection begins with a ClientHello, for the gateway to see where it leads, and a line with the verb; no TLS follows.
ask prints one line: "intact" and what TCP says of both ends, or how it ended. "client ts+sack+ws" are the options in force
there, "scale A,B" the shifts of the windows that it hears and announces, "mss N" the largest segment that it sends.

Verbs:
    both N          N bytes each way at once
    slow-down N S   the client closes its side first, then the server sends N bytes in S seconds
    slow-up N S     the same the other way round
    stall-down N S  N bytes come down, and the client reads nothing for S seconds
    stall-up N S    the same the other way round
    idle N S        nothing for S seconds, then both N
    urgent N        N bytes up, one of them urgent, and N more
    first WHO       client, server, reset: who closes first; gone: the client forgets all, as in a crash. Then the same
                    source port is used again at once
    many N          N connections that the server closes first

Options:
    --receive BYTES     SO_RCVBUF, before the handshake
    --keepalive S       a keep-alive probe after each S seconds of silence
    --fastopen          the first bytes go with the SYN, if the kernel lets them
    --mptcp             a Multipath TCP socket
"""
import argparse
import hashlib
import random
import socket
import struct
import threading
import time

import hello

TIMEOUT = 90  # for every single call
CHUNK = 65536
IPPROTO_MPTCP = 262
MSG_FASTOPEN = 0x20000000
TCP_REPAIR = 19
NOTES = {}  # of the server, by the client's word: digests of what came up with nobody left to be told
NOTED = threading.Condition()


def noise(count, seed):
    return random.Random(seed).randbytes(count)


def digest(data):
    return hashlib.sha256(data).hexdigest()


def receive(sock, count):
    """Exactly count bytes."""
    data = bytearray()
    while len(data) < count:
        more = sock.recv(min(CHUNK, count - len(data)))
        if not more:
            raise EOFError
        data += more
    return bytes(data)


def receive_all(sock):
    data = bytearray()
    while more := sock.recv(CHUNK):
        data += more
    return bytes(data)


def receive_line(sock):
    line = b""
    while not line.endswith(b"\n"):
        line += receive(sock, 1)
    return line.decode().rstrip("\n")


def send_slowly(sock, data, seconds):
    pieces = 50
    step = (len(data) + pieces - 1) // pieces
    for at in range(0, len(data), step):
        sock.sendall(data[at:at + step])
        time.sleep(seconds / pieces)


def options_in_force(sock, who):
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    bits, scales = info[5], info[6]
    names = [name for bit, name in ((1, "ts"), (2, "sack"), (4, "ws"), (8, "ecn")) if bits & bit]
    return (f"{who} {'+'.join(names) or 'none'} scale {scales & 15},{scales >> 4} "
            f"mss {struct.unpack_from('=I', info, 16)[0]}")


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


# --- the server -------------------------------------------------------------------------------------------------------


def send_all(sock, data):
    try:
        sock.sendall(data)
    except OSError:
        pass  # whoever receives finds out as well


def exchange(sock, outgoing, count):
    """Sends all of outgoing while count bytes come in; returns those."""
    sender = threading.Thread(target=send_all, args=(sock, outgoing), daemon=True)
    sender.start()
    incoming = receive(sock, count)
    sender.join()
    return incoming


def note(word, data):
    with NOTED:
        NOTES[word] = digest(data)
        NOTED.notify_all()


def answer(sock):
    header = receive(sock, 5)
    receive(sock, struct.unpack("!H", header[3:])[0])
    verb, *arguments = receive_line(sock).split()
    if verb == "note":
        with NOTED:
            NOTED.wait_for(lambda: arguments[0] in NOTES, TIMEOUT)
            sock.sendall((NOTES.pop(arguments[0], "none") + "\n").encode())
        return
    count = int(arguments[0])
    if verb in ("both", "idle", "stall-down", "stall-up"):
        if verb == "stall-up":
            time.sleep(float(arguments[1]))
        seen = exchange(sock, noise(count, 1), count)
        sock.sendall(f"{digest(seen)} {options_in_force(sock, 'endpoint')}\n".encode())
        sock.recv(1)
    elif verb == "slow-down":
        seen = receive_all(sock)
        send_slowly(sock, noise(count, 1), float(arguments[1]))
        sock.sendall(f"{digest(seen)} {options_in_force(sock, 'endpoint')}\n".encode())
    elif verb == "slow-up":
        sock.sendall(f"{options_in_force(sock, 'endpoint')}\n".encode())
        sock.shutdown(socket.SHUT_WR)
        note(arguments[2], receive_all(sock))
    elif verb == "urgent":
        seen = receive(sock, 2 * count)
        sock.sendall(f"{digest(seen)} {options_in_force(sock, 'endpoint')}\n".encode())
        sock.recv(1)
    elif verb == "bye":
        sock.sendall(b"bye\n")
        if not count:
            sock.recv(1)


def serve_one(sock):
    sock.settimeout(TIMEOUT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    with sock:
        try:
            answer(sock)
        except (OSError, EOFError):
            pass  # the client is told by what it doesn't get


def serve(options):
    listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM, IPPROTO_MPTCP if options.mptcp else 0)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if options.receive:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options.receive)
    if options.fastopen:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
    listener.bind(("::", options.port))
    listener.listen(1024)
    while True:
        threading.Thread(target=serve_one, args=(listener.accept()[0],), daemon=True).start()


# --- the client -------------------------------------------------------------------------------------------------------


def connect(options, line, source_port=0):
    """A connection on which the hello and a line have been said."""
    v6 = ":" in options.address
    sock = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_STREAM,
                         IPPROTO_MPTCP if options.mptcp else 0)
    sock.settimeout(TIMEOUT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if options.receive:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options.receive)
    if options.keepalive:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, options.keepalive)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, options.keepalive)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2)
    if source_port:
        sock.bind(("::" if v6 else "0.0.0.0", source_port))
    first = hello.records(hello.handshake(options.sni)) + line.encode() + b"\n"
    if options.fastopen:
        sock.settimeout(None)  # or it would return before it is connected
        sent = sock.sendto(first, MSG_FASTOPEN, (options.address, options.port))
        sock.settimeout(TIMEOUT)
        sock.sendall(first[sent:])
    else:
        sock.connect((options.address, options.port))
        sock.sendall(first)
    return sock


def verdict(sock, ok, theirs):
    ours = options_in_force(sock, "client")
    return f"{'intact' if ok else 'damaged'}: {ours}, {theirs}"


def ended(line, sent):
    """Splits the server's last line: whether it got what was sent, and what its TCP says."""
    seen, _, theirs = line.partition(" ")
    return seen == digest(sent), theirs


def ask_both(options, verb, count, seconds=0):
    sock = connect(options, f"{verb} {count} {seconds}")
    if verb in ("idle", "stall-down"):
        time.sleep(float(seconds))
    up = noise(count, 2)
    down = exchange(sock, up, count)
    ok, theirs = ended(receive_line(sock), up)
    return verdict(sock, ok and down == noise(count, 1), theirs)


def ask_slow_down(options, verb, count, seconds):
    sock = connect(options, f"{verb} {count} {seconds}")
    sock.sendall(up := noise(1000, 2))
    sock.shutdown(socket.SHUT_WR)
    down = receive(sock, count)
    ok, theirs = ended(receive_line(sock), up)
    said = verdict(sock, ok and down == noise(count, 1), theirs)
    return said if sock.recv(1) == b"" else "no end"


def ask_slow_up(options, verb, count, seconds):
    word = f"{random.SystemRandom().getrandbits(64):x}"
    sock = connect(options, f"{verb} {count} {seconds} {word}")
    theirs = receive_line(sock)
    if sock.recv(1) != b"":
        return "no end"
    up = noise(count, 2)
    send_slowly(sock, up, float(seconds))
    said = verdict(sock, True, theirs)
    sock.close()
    return said if receive_line(connect(options, f"note {word}")) == digest(up) else "damaged"


def ask_urgent(options, verb, count):
    sock = connect(options, f"{verb} {count}")
    up = noise(2 * count, 2)
    sock.sendall(up[:count - 1])
    sock.send(up[count - 1:count], socket.MSG_OOB)
    sock.sendall(up[count:])
    ok, theirs = ended(receive_line(sock), up)
    return verdict(sock, ok, theirs)


def ask_first(options, _, who):
    """Says how a second connection from the same port goes, and how long it took to be let in."""
    sock = connect(options, "bye 1" if who == "server" else "bye 0")
    port = sock.getsockname()[1]
    if receive_line(sock) != "bye":
        return "damaged"
    if who == "server":
        sock.recv(1)
        sock.close()
    elif who == "reset":
        reset(sock)
    elif who == "gone":
        sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)  # closed in this state, a socket says nothing
        sock.close()
    else:
        sock.close()
    time.sleep(0.1)  # for the last FIN to be acknowledged
    started = time.monotonic()
    sock = connect(options, "both 100000", port)
    up = noise(100000, 2)
    down = exchange(sock, up, 100000)
    ok, theirs = ended(receive_line(sock), up)
    took = time.monotonic() - started
    return f"{verdict(sock, ok and down == noise(100000, 1), theirs)}{'' if took < 0.9 else f', after {took:.1f} s'}"


def ask_many(options, _, count):
    slowest = 0
    for _ in range(int(count)):
        started = time.monotonic()
        sock = connect(options, "bye 1")
        if receive_line(sock) != "bye" or sock.recv(1) != b"":
            return "damaged"
        sock.close()
        slowest = max(slowest, time.monotonic() - started)
    return "intact" if slowest < 0.9 else f"intact, the slowest after {slowest:.1f} s"


VERBS = {"both": ask_both, "idle": ask_both, "stall-down": ask_both, "stall-up": ask_both, "slow-down": ask_slow_down,
         "slow-up": ask_slow_up, "urgent": ask_urgent, "first": ask_first, "many": ask_many}


def ask(options):
    numbers = [int(word) if word.isdigit() else word for word in options.arguments]
    try:
        print(VERBS[options.verb](options, options.verb, *numbers))
    except ConnectionResetError:
        print("reset")
    except ConnectionRefusedError:
        print("refused")
    except socket.timeout:
        print("timeout")
    except EOFError:
        print("eof")
    except OSError as error:
        print(error.strerror)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--receive", type=int, default=0)
    parser.add_argument("--fastopen", action="store_true")
    parser.add_argument("--mptcp", action="store_true")
    parser.add_argument("--keepalive", type=int, default=0)
    roles = parser.add_subparsers(required=True)
    server = roles.add_parser("serve")
    server.add_argument("port", type=int)
    server.set_defaults(run=serve)
    client = roles.add_parser("ask")
    client.add_argument("--sni", required=True)
    client.add_argument("address")
    client.add_argument("port", type=int)
    client.add_argument("verb", choices=VERBS)
    client.add_argument("arguments", nargs="*")
    client.set_defaults(run=ask)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
