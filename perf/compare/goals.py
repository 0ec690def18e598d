# SPDX-License-Identifier: Apache-2.0
"""What Postern must show beside the others (issues 5 and 6), held against the figures of one run."""

from .results import number

# (what, (figure, wire) of Postern, the figure's unit, bound: a number, or (factor, (figure, wire, subject)), more is better). Of several
# subjects it is the best one's.
OTHERS = ("haproxy", "nginx", "envoy")
GOALS = [
    ("new connections a second, memif: 10 × HAProxy", ("connect_rate", "memif"), "/s", (10, ("connect_rate", "veth", "haproxy")), True),
    ("new connections a second, memif", ("connect_rate", "memif"), "/s", 150000, True),
    ("CPU for a connection at the most that each makes, memif: a tenth of HAProxy's", ("connect_most_cpu_us", "memif"), "us",
     (0.1, ("connect_most_cpu_us", "veth", "haproxy")), False),
    ("… on HAProxy's veth, AF_XDP", ("connect_most_cpu_us", "xdp"), "us", (0.1, ("connect_most_cpu_us", "veth", "haproxy")), False),
    ("… on HAProxy's veth, AF_PACKET", ("connect_most_cpu_us", "veth"), "us", (0.1, ("connect_most_cpu_us", "veth", "haproxy")), False),
    ("CPU for a connection at the common rate, memif: a tenth of HAProxy's", ("connect_cpu_us", "memif"), "us",
     (0.1, ("connect_cpu_us", "veth", "haproxy")), False),
    ("… without polling (work)", ("connect_work_us", "memif"), "us", (0.1, ("connect_cpu_us", "veth", "haproxy")), False),
    ("frames a second, 100,000 flows, memif: 70 % of testpmd", ("flows_100000", "memif"), "/s",
     (0.7, ("flows_100000", "memif", "testpmd")), True),
    ("… work for a frame: testpmd's / 0.7", ("flows_100000_ns", "memif"), "ns",
     (1 / 0.7, ("flows_100000_ns", "memif", "testpmd")), False),
    ("connections held, memif", ("held", "memif"), "", 1000000, True),
    ("resident with them, memif", ("held_mb", "memif"), "MB", 300, False),
    ("frames a second with 1,000,000 flows: 80 % of those with 10,000", ("flows_1000000", "memif"), "/s",
     (0.8, ("flows_10000", "memif", "postern")), True),
    ("… work for a frame: that with 10,000 / 0.8", ("flows_1000000_ns", "memif"), "ns",
     (1 / 0.8, ("flows_10000_ns", "memif", "postern")), False),
    ("p99 at half load, veth: a third of HAProxy's", ("latency_p99_50", "veth"), "us",
     (1 / 3, ("latency_p99_50", "veth", "haproxy")), False),
    ("… AF_XDP", ("latency_p99_50", "xdp"), "us", (1 / 3, ("latency_p99_50", "veth", "haproxy")), False),
    ("CPU for a gigabyte at the common rate, AF_XDP on the same veth: half of HAProxy's", ("gigabyte_cpu_s", "xdp"), "s",
     (0.5, ("gigabyte_cpu_s", "veth", "haproxy")), False),
    ("… AF_PACKET", ("gigabyte_cpu_s", "veth"), "s", (0.5, ("gigabyte_cpu_s", "veth", "haproxy")), False),
    ("CPU for a gigabyte at the most that each carries, AF_XDP", ("bulk_most_cpu_s", "xdp"), "s",
     (0.5, ("bulk_most_cpu_s", "veth", "haproxy")), False),
    ("… AF_PACKET", ("bulk_most_cpu_s", "veth"), "s", (0.5, ("bulk_most_cpu_s", "veth", "haproxy")), False),
    ("idle: share of the core", ("idle_share", "veth"), "%", 1, False),
    ("idle: resident beside packet memory", ("idle_mb", "veth"), "MB", 16, False),
    ("CPU for a bridged connection, AF_PACKET: the others' best / 1.5", ("bridge_cpu_ms", "veth"), "ms",
     (1 / 1.5, ("bridge_cpu_ms", "veth", OTHERS)), False),
    ("… AF_XDP", ("bridge_cpu_ms", "xdp"), "ms", (1 / 1.5, ("bridge_cpu_ms", "veth", OTHERS)), False),
    ("… in handshake threads: the raw operations / 0.6", ("bridge_handshake_ms", "veth"), "ms",
     (1 / 0.6, ("bridge_cpu_ms", "cpu", "openssl")), False),
    ("CPU for a gigabyte bridged, at the most, AF_PACKET: HAProxy's / 1.3", ("bridge_gigabyte_most_cpu_s", "veth"), "s",
     (1 / 1.3, ("bridge_gigabyte_most_cpu_s", "veth", "haproxy")), False),
    ("… AF_XDP", ("bridge_gigabyte_most_cpu_s", "xdp"), "s", (1 / 1.3, ("bridge_gigabyte_most_cpu_s", "veth", "haproxy")), False),
    ("… work, AF_XDP: one decryption and one encryption / 0.7", ("bridge_gigabyte_most_work_s", "xdp"), "s",
     (1 / 0.7, ("bridge_gigabyte_most_cpu_s", "cpu", "openssl")), False),
    ("memory of a bridged connection, idle", ("bridge_held_bytes", "veth"), "bytes", 45000, False),
    ("p99 of what passes through, beside bridged handshakes, AF_PACKET: alone + 20 %", ("passed_p99_beside_us", "veth"), "us",
     (1.2, ("passed_p99_us", "veth", "postern")), False),
    ("… AF_XDP", ("passed_p99_beside_us", "xdp"), "us", (1.2, ("passed_p99_us", "xdp", "postern")), False),
    ("bridged handshakes a second meanwhile", ("passed_beside_rate", "veth"), "/s", 1000, True),
]


def verdict(value, bound, more):
    factor = value / bound if more else bound / value if value else float("inf")
    if factor >= 1:
        return "met" if factor < 1.05 else f"met, {number(factor)} × better"
    return f"missed by {100 * (1 - factor):.0f} %" if factor > 0.5 else f"missed, by a factor of {number(1 / factor)}"


def rows(medians):
    """(what, measured, bound, verdict) of each goal as text. medians: {(figure, wire, subject): median}."""
    for what, (figure, wire), unit, bound, more in GOALS:
        value = medians.get((figure, wire, "postern"))
        limit = bound
        if isinstance(bound, tuple):
            factor, (others, there, subjects) = bound
            known = [medians[others, there, subject] for subject in ([subjects] if isinstance(subjects, str) else subjects)
                     if (others, there, subject) in medians]
            limit = factor * (max if more else min)(known) if known else None
        if value is None or limit is None:
            yield what, "not measured", "", ""
            continue
        unit = f" {unit}" if unit and unit != "/s" else unit
        yield what, number(value) + unit, ("≥ " if more else "≤ ") + number(limit) + unit, verdict(value, limit, more)
