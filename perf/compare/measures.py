# SPDX-License-Identifier: Apache-2.0
"""
What is measured. Each measure is a function (load, subject, settings) that yields (figure, value, what the run says against
it); the figures are listed in FIGURES.

Three costs are told apart. The *rate* of a closed loop may be the generator's limit as well as the subject's, and then says
so. *CPU* is what the subject took of its core, the kernel's part included. One that polls takes it whether there is something
to do or not, so its *work* is given too: the time from a look at its ports that found packets until they were dealt with,
by its own count.
"""
import collections
import time

from . import bridge as b
from . import scale as many
from . import subjects as s
from . import world as w
from .load import costs, forwarded, grown, memory, note

# name: (text, unit, whether more is better)
FIGURES = {
    "connect_rate": ("new connections", "/s", True),
    "connect_most_cpu_us": ("CPU for a connection, at that rate", "us", False),
    "connect_most_work_us": ("work for a connection, at that rate", "us", False),
    "connect_cpu_us": ("CPU for a connection, at the common rate", "us", False),
    "connect_work_us": ("work for a connection, at the common rate", "us", False),
    "frames_64": ("frames, 64 bytes of payload", "/s", True),
    "frames_64_gbit": ("… payload", "Gbit/s", True),
    "frames_64_ns": ("… work for a frame", "ns", False),
    "frames_512": ("frames, 512 bytes", "/s", True),
    "frames_512_gbit": ("… payload", "Gbit/s", True),
    "frames_512_ns": ("… work for a frame", "ns", False),
    "frames_1460": ("frames, 1,460 bytes", "/s", True),
    "frames_1460_gbit": ("… payload", "Gbit/s", True),
    "frames_1460_ns": ("… work for a frame", "ns", False),
    "latency_rate": ("exchanges of 64 bytes, most", "/s", True),
    "latency_p50_10": ("latency at 10 % of that, p50", "us", False),
    "latency_p90_10": ("… p90", "us", False),
    "latency_p99_10": ("… p99", "us", False),
    "latency_p50_50": ("latency at 50 %, p50", "us", False),
    "latency_p90_50": ("… p90", "us", False),
    "latency_p99_50": ("… p99", "us", False),
    "latency_p50_80": ("latency at 80 %, p50", "us", False),
    "latency_p90_80": ("… p90", "us", False),
    "latency_p99_80": ("… p99", "us", False),
    "bulk_down": ("bulk, server to client", "Gbit/s", True),
    "bulk_up": ("bulk, client to server", "Gbit/s", True),
    "bulk_both": ("bulk, both at once, in sum", "Gbit/s", True),
    "bulk_most_cpu_s": ("CPU for a gigabyte, server to client, at that rate", "s", False),
    "gigabyte_cpu_s": ("CPU for a gigabyte, at the common rate", "s", False),
    "gigabyte_work_s": ("work for a gigabyte, at the common rate", "s", False),
    "idle_share": ("idle: share of the core", "%", False),
    "idle_mb": ("idle: resident, 64 services", "MB", False),
    "resident_1": ("resident, 1 service", "MB", False),
    "resident_1000": ("resident, 1,000 services", "MB", False),
    "resident_100000": ("resident, 100,000 services", "MB", False),
    "apply_100000": ("a change among 100,000 services in force after", "s", False),
    "held": ("connections held", "", True),
    "held_mb": ("… resident with all of them", "MB", False),
    "held_bytes": ("… memory for each, of the process", "bytes", False),
    "held_slab": ("… memory for each, of the kernel (slab)", "bytes", False),
    "bridge_cpu_ms": ("bridged connection: CPU", "ms", False),
    "bridge_work_ms": ("… work, handshake threads and worker", "ms", False),
    "bridge_handshake_ms": ("… of it in handshake threads", "ms", False),
    "bridge_p50_ms": ("… SYN to reply, p50", "ms", False),
    "bridge_p99_ms": ("… p99", "ms", False),
    "bridge_bulk": ("bridged bulk, server to client", "Gbit/s", True),
    "bridge_gigabyte_most_cpu_s": ("CPU for a gigabyte bridged, at that rate", "s", False),
    "bridge_gigabyte_most_work_s": ("work for a gigabyte bridged, at that rate", "s", False),
    "bridge_gigabyte_cpu_s": ("CPU for a gigabyte bridged, at the common rate", "s", False),
    "bridge_gigabyte_work_s": ("work for a gigabyte bridged, at the common rate", "s", False),
    "bridge_held_bytes": ("bridged and idle: memory for each, of the process", "bytes", False),
    "bridge_held_slab": ("… of the kernel (slab)", "bytes", False),
    "passed_p99_us": ("exchange passed through, p99, nothing else", "us", False),
    "passed_p99_aside_us": ("… handshakes elsewhere, same generator", "us", False),
    "passed_p99_beside_us": ("… handshakes bridged beside it", "us", False),
    "passed_beside_rate": ("… so many of these", "/s", True),
    "flows_1000": ("frames, 64 bytes, 1,000 flows", "/s", True),
    "flows_1000_ns": ("… work for a frame", "ns", False),
    "flows_10000": ("frames, 64 bytes, 10,000 flows", "/s", True),
    "flows_10000_ns": ("… work for a frame", "ns", False),
    "flows_100000": ("frames, 64 bytes, 100,000 flows", "/s", True),
    "flows_100000_ns": ("… work for a frame", "ns", False),
    "flows_1000000": ("frames, 64 bytes, 1,000,000 flows", "/s", True),
    "flows_1000000_ns": ("… work for a frame", "ns", False),
    "flows_2000000": ("frames, 64 bytes, 2,000,000 flows", "/s", True),
    "flows_2000000_ns": ("… work for a frame", "ns", False),
}

RESPONSE = 58400  # bytes of each exchange at the common rate of bytes: 40 segments


class Settings:
    """How long and how much; quick ones only show that it works. The common rates are what every subject carries."""

    def __init__(self, quick):
        self.seconds = 1 if quick else 2
        self.common_connections = 200 if quick else 2500  # a second
        self.common_bits = 2e7 if quick else 2.5e8        # a second
        self.held = 1000 if quick else 100000             # memif: ten times that
        self.flows = (1000, 10000) if quick else (1000, 10000, 100000, 1000000, 2000000)
        self.services = (1, 1000) if quick else (1, 1000, 100000)
        self.patience = 100  # seconds for a start or a reload, however many services: nginx takes longer with 100,000
        self.at_a_time = 256
        self.bridged = 50 if quick else 373          # connections a second, of all
        self.bridged_held = 200 if quick else 2000
        self.passed = 500 if quick else 2000         # exchanges a second, beside
        self.bridged_beside = 16                     # at a time: as many as the load core can play


def connect(load, subject, settings):
    report = load.run(subject, "connect", "--at-a-time", settings.at_a_time, seconds=settings.seconds)
    yield "connect_rate", report["per_second"], note(report)
    yield from costs("connect_most", "us", report, report["per_second"], 1e6)
    report = load.run(subject, "connect", "--rate", settings.common_connections, seconds=settings.seconds)
    yield from costs("connect", "us", report, report["per_second"], 1e6)


def exchange(load, subject, settings, payload, connections, **options):
    return load.run(subject, "exchange", "--no-timestamps", "--connections", connections, "--at-a-time", settings.at_a_time,
                    "--request", payload, "--response", payload, seconds=settings.seconds, **options)


def frames(load, subject, settings):
    for payload in (64, 512, 1460):
        report = exchange(load, subject, settings, payload, 1000)
        received = report["clients"]["payload_in"] + report["servers"]["payload_in"]
        yield f"frames_{payload}", forwarded(report), note(report)
        yield f"frames_{payload}_gbit", received * 8e-9 / report["seconds"], note(report)
        if report["subject"]["packet_ns"]:
            yield f"frames_{payload}_ns", report["subject"]["packet_ns"], ""


def flows(load, subject, settings):
    for n in settings.flows:
        # posternd has its tables put on huge pages once a second.
        report = exchange(load, subject, settings, 64, n, timeout=120, warmup=2)
        yield f"flows_{n}", forwarded(report), note(report)
        if report["subject"]["packet_ns"]:
            yield f"flows_{n}_ns", report["subject"]["packet_ns"], ""


def latency(load, subject, settings):
    report = load.run(subject, "exchange", "--connections", 1000, "--at-a-time", settings.at_a_time, seconds=settings.seconds)
    most = report["per_second"]
    yield "latency_rate", most, note(report)
    for percent in (10, 50, 80):
        report = load.run(subject, "exchange", "--connections", 1000, "--rate", max(1, most * percent // 100),
                          seconds=settings.seconds)
        for part in ("p50", "p90", "p99"):
            yield f"latency_{part}_{percent}", report["latency_ns"][part] / 1e3, note(report)


def bulk(load, subject, settings):
    for direction in ("down", "up", "both"):
        report = load.run(subject, "bulk", "--no-timestamps", "--connections", 8, "--direction", direction,
                          seconds=settings.seconds)
        rate = report["payload_down_bit_per_second"] + report["payload_up_bit_per_second"]
        yield f"bulk_{direction}", rate / 1e9, note(report)
        if direction == "down" and rate > 0:
            yield "bulk_most_cpu_s", report["subject"]["core_share"] * 8e9 / rate, note(report)
    report = load.run(subject, "exchange", "--no-timestamps", "--connections", 8, "--rate",
                      settings.common_bits / 8 / RESPONSE, "--response", RESPONSE, seconds=settings.seconds)
    yield from costs("gigabyte", "s", report, report["payload_down_bit_per_second"], 8e9)


def idle(load, subject, settings):
    del load
    time.sleep(1)
    before = subject.cpu_seconds()
    time.sleep(settings.seconds)
    yield "idle_share", 100 * (subject.cpu_seconds() - before) / settings.seconds, ""
    yield "idle_mb", subject.resident_kilobytes() * 1024 / 1e6, ""


def held(load, subject, settings):
    wanted = settings.held * (10 if subject.wire == "memif" else 1)
    if subject.kernel:
        wanted = min(wanted, int(0.95 * (s.DESCRIPTORS - 300) / subject.descriptors_each))
    before = memory(subject)
    report = load.run(subject, "hold", "--connections", wanted, "--at-a-time", settings.at_a_time, timeout=120,
                      during=lambda: memory(subject))
    yield "held", report["still_there"], note(report)
    yield "held_mb", report["during"][0] * 1024 / 1e6, ""
    if report["opened"]:
        yield from grown("held", before, report, "")


def bridge(load, subject, settings):
    if subject.wire == "cpu":
        yield from b.raw(subject)
    else:
        yield from b.connections(load, subject, settings)
        yield from b.bytes_through(load, subject, settings, RESPONSE)


def bridge_held(load, subject, settings):
    yield from b.held(load, subject, settings)


def bridge_beside(load, subject, settings):
    yield from b.beside(load, subject, settings)


def scale(load, subject, settings):
    del load
    subject.start_seconds = min(subject.start_seconds, settings.patience)
    failed = []
    for count in settings.services:
        figures = many.measure(subject, count)
        yield f"resident_{count}", figures["resident_kb"] * 1024 / 1e6, ""
        if count == 100000 and figures["apply_s"] is not None:
            yield "apply_100000", figures["apply_s"], ""
        if "apply_error" in figures:
            failed.append(f"a change among {count}: {figures['apply_error']}")
    if failed:
        raise RuntimeError("; ".join(failed))


# What is asked of whom: the measure, the wires, the subjects (None: all that can stand behind the wire), values for their
# start (None: the measure starts them itself), and how many of the rounds have it, for those that take long and differ little.
Row = collections.namedtuple("Row", "measure wires subjects values rounds", defaults=(99,))
PROXIES = ("postern", "haproxy", "nginx", "envoy")
BRIDGES = PROXIES + ("openssl",)
# All of a subject on its own core, handshake threads too; else those are where they should be with two cores, beside control.
ALONE = {"bridging": True, "main": w.SUBJECT_CORE}
PLAN = [
    Row(connect, ("memif", "veth", "xdp"), None, {}),
    Row(bridge, ("cpu", "veth", "xdp"), BRIDGES, ALONE),
    Row(bridge_held, ("veth", "xdp"), PROXIES, ALONE, 1),
    Row(bridge_beside, ("veth", "xdp"), ("postern",), {"bridging": True}),
    Row(flows, ("memif",), ("postern", "testpmd"), {"flows": 2200000}),
    Row(idle, ("veth",), PROXIES, {}),
    Row(held, ("memif", "veth"), PROXIES, {"flows": 1200000}, 2),
    Row(latency, ("veth", "xdp", "memif"), None, {}),
    Row(bulk, ("veth", "xdp", "memif"), None, {}),
    Row(frames, ("memif", "veth", "xdp"), None, {}),
    Row(scale, ("veth",), PROXIES, None, 1),
]
