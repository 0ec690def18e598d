#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A TCP client of a few lines over raw frames, for what no kernel sends: segments in an order and of a size of our choice.

    raw_hello.py --interface eth0 --source 192.0.2.77 --sni NAME [--shape SHAPE] [--order ORDER] ADDRESS PORT

Orders:
    whole           one segment
    swapped         two segments, the second first
    bytes           one-byte segments, all at once, no ACK awaited
    backwards       segments of 100 bytes, the last first
    twice           two segments, each sent two times, the copies overlapping by half
    silent-end      the first half of the hello alone; a RST in answer is what we hope for

Shapes are hello.py's. The source address must be nobody's: the kernel would answer with RSTs otherwise. We answer ARP for it.
Words are hello.py's.
"""
import argparse
import socket
import struct
import sys
import time

import hello

ARP, IPV4 = 0x0806, 0x0800
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Raw:
    """One connection. Frames in and out through a packet socket; sequence numbers by hand."""

    def __init__(self, options):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.bind((options.interface, 0))
        self.mac = self.socket.getsockname()[4]
        self.source = socket.inet_aton(options.source)
        self.target = socket.inet_aton(options.address)
        self.port = options.port
        self.source_port = 20000 + int(time.time() * 1000) % 40000
        self.target_mac = None
        self.seq = int(time.time() * 250000) & 0xFFFFFFFF
        self.ack = 0

    def arp(self, operation, mac, address):
        to = mac if operation == 2 else b"\xff" * 6
        body = struct.pack("!HHBBH", 1, IPV4, 6, 4, operation) + self.mac + self.source + mac + address
        self.socket.send(to + self.mac + struct.pack("!H", ARP) + body.ljust(46, b"\0"))

    def segment(self, flags, payload=b"", seq=None, options=b""):
        seq = self.seq if seq is None else seq
        header = struct.pack("!HHIIBBHHH", self.source_port, self.port, seq & 0xFFFFFFFF, self.ack,
                             (20 + len(options)) << 2, flags, 65535, 0, 0) + options
        pseudo = self.source + self.target + struct.pack("!BBH", 0, 6, len(header) + len(payload))
        total = checksum(pseudo + header + payload)
        header = header[:16] + struct.pack("!H", total) + header[18:]
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(header) + len(payload), 0, 0x4000, 64, 6, 0)
        ip += self.source + self.target
        ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
        frame = self.target_mac + self.mac + struct.pack("!H", IPV4) + ip + header + payload
        self.socket.send(frame.ljust(60, b"\0"))

    def receive(self, deadline):
        """The next segment of the connection as (seq, ack, flags, payload); None at the deadline. Answers ARP on the way."""
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self.socket.settimeout(left)
            try:
                frame = self.socket.recv(65535)
            except socket.timeout:
                return None
            kind, = struct.unpack("!H", frame[12:14])
            if kind == ARP and frame[38:42] == self.source:
                if frame[20:22] == b"\0\1":
                    self.arp(2, frame[22:28], frame[28:32])
                elif frame[28:32] == self.target:
                    self.target_mac = frame[22:28]
                    return "arp"
            elif kind == IPV4 and frame[23] == 6 and frame[26:30] == self.target and frame[30:34] == self.source:
                length, = struct.unpack("!H", frame[16:18])
                tcp = frame[34:14 + length]
                source, to, seq, ack, offset, flags = struct.unpack("!HHIIBB", tcp[:14])
                if (source, to) == (self.port, self.source_port):
                    return seq, ack, flags, tcp[(offset >> 4) * 4:]

    def connect(self, deadline):
        while self.target_mac is None:
            if time.monotonic() > deadline:
                return "unreachable"
            self.arp(1, b"\0" * 6, self.target)
            self.receive(time.monotonic() + 0.5)
        while time.monotonic() < deadline:
            self.segment(SYN, options=b"\x02\x04\x05\xb4\x04\x02\x01\x01")
            answer = self.receive(time.monotonic() + 1)
            if answer is None or answer == "arp":
                continue
            seq, _, flags, _ = answer
            if flags & RST:
                return "refused"
            self.seq = (self.seq + 1) & 0xFFFFFFFF
            self.ack = (seq + 1) & 0xFFFFFFFF
            self.segment(ACK)
            return None
        return "timeout"

    def send(self, order, data):
        """Sends data, cut and ordered as the order says."""
        half = len(data) // 2
        if order == "swapped":
            pieces = [(half, data[half:]), (0, data[:half])]
        elif order == "bytes":
            pieces = [(at, data[at:at + 1]) for at in range(len(data))]
        elif order == "backwards":
            pieces = [(at, data[at:at + 100]) for at in range(0, len(data), 100)][::-1]
        elif order == "twice":
            pieces = [(0, data[:half]), (half // 2, data[half // 2:half + half // 2]), (0, data[:half]),
                      (half, data[half:]), (half, data[half:])]
        elif order == "silent-end":
            pieces = [(0, data[:half])]
        else:
            pieces = [(0, data)]
        for at, piece in pieces:
            self.segment(ACK | PSH, piece, self.seq + at)

    def converse(self, options):
        deadline = time.monotonic() + options.timeout
        failed = self.connect(deadline)
        if failed:
            return failed
        data = hello.shaped(options.shape, options.sni)
        received = b""
        sent_at = 0.0
        while time.monotonic() < deadline:
            # The held segments are ours to send again until they are acknowledged.
            if time.monotonic() - sent_at > 1:
                self.send(options.order, data)
                sent_at = time.monotonic()
            answer = self.receive(min(deadline, sent_at + 1.01))
            if answer is None or answer == "arp":
                continue
            seq, _, flags, payload = answer
            if flags & RST:
                return "reset"
            if seq == self.ack and payload:
                received += payload
                self.ack = (self.ack + len(payload)) & 0xFFFFFFFF
            if len(received) >= 7 or flags & FIN:
                self.segment(RST | ACK, seq=self.seq + len(data))
                return hello.verdict(received)
        return "timeout"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--interface", default="eth0")
    parser.add_argument("--source", required=True)
    parser.add_argument("--sni")
    parser.add_argument("--shape", default="one")
    parser.add_argument("--order", default="whole")
    parser.add_argument("--timeout", type=float, default=8)
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    print(Raw(parser.parse_args()).converse(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
