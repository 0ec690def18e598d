# SPDX-License-Identifier: Apache-2.0
"""Two network namespaces, joined by two veth pairs: the subject in one, the load generator in the other.

    gen: clients ── wan ──▶ box: the subject ── lan ──▶ gen: servers

Offloads are off on all four ends, so that everybody sees the frames that a wire would carry. Receive packet steering
gives what the kernel does for the subject's ends to the subject's core: left to itself it would run on the generator's.
"""
import os
import subprocess

WAN, LAN = "192.0.2.1", "198.51.100.1"
WAN_STATION = "192.0.2.10"
N_SERVERS = 64
SERVERS = [f"198.51.100.{11 + i}" for i in range(N_SERVERS)]
CLIENTS = "10.0.0.0/8"

SYSCTLS = {
    "net.ipv4.ip_local_port_range": "1024 65535",
    "net.ipv4.tcp_tw_reuse": "1",
    "net.core.somaxconn": "65535",
    "net.ipv4.tcp_max_syn_backlog": "65535",
}


def run(*command, **options):
    return subprocess.run(command, check=True, text=True, capture_output=True, **options).stdout


class World:
    """With-statement: the namespaces exist inside it and are gone after it."""

    def __init__(self, subject_core):
        self.box, self.gen = (f"bench{os.getpid()}-{name}" for name in ("box", "gen"))
        self.core = subject_core

    def __enter__(self):
        try:
            self.build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def build(self):
        for name in (self.box, self.gen):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
            self.inside(name, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
        for link in ("wan", "lan"):
            run("ip", "-n", self.box, "link", "add", link, "numtxqueues", "1", "numrxqueues", "1", "type", "veth",
                "peer", "name", link, "numtxqueues", "1", "numrxqueues", "1", "netns", self.gen)
            for name in (self.box, self.gen):
                self.inside(name, "ethtool", "-K", link, "rx", "off", "tx", "off", "sg", "off", "tso", "off", "gso",
                            "off", "gro", "off")
                run("ip", "-n", name, "link", "set", link, "up")
            self.inside(self.box, "sh", "-c",
                        f"echo {1 << self.core:x} > /sys/class/net/{link}/queues/rx-0/rps_cpus")
        for key, value in SYSCTLS.items():
            self.inside(self.box, "sysctl", "-qw", f"{key}={value}")

    def kernel_addresses(self, on):
        """The box's addresses: the kernel's for subjects that use its sockets, nobody's for those that don't."""
        for link, address in (("wan", WAN), ("lan", LAN)):
            run("ip", "-n", self.box, "addr", "flush", "dev", link)
            if on:
                run("ip", "-n", self.box, "addr", "add", f"{address}/24", "dev", link)
        if on:
            run("ip", "-n", self.box, "route", "replace", CLIENTS, "via", WAN_STATION)

    @staticmethod
    def inside(name, *command, **options):
        return run("ip", "netns", "exec", name, *command, **options)

    def __exit__(self, *_):
        for name in (self.box, self.gen):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
