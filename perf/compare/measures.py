# SPDX-License-Identifier: Apache-2.0
"""What is measured. Each measure is a function (load, subject, settings) that yields (name, value) pairs; names are listed
with their units in FIGURES. A round takes each subject once; the rounds are interleaved, so that a slow hour of the
machine meets all of them."""
import time

from . import subjects as s
from . import world as w

# name: (text, unit, whether more is better)
FIGURES = {
    "connect_rate": ("new connections", "/s", True),
    "connect_cpu_us": ("CPU of the core for a connection", "us", False),
    "frames_64": ("frames forwarded, 64 bytes of payload", "/s", True),
    "frames_512": ("frames forwarded, 512 bytes", "/s", True),
    "frames_1460": ("frames forwarded, 1460 bytes", "/s", True),
    "latency_p50_10": ("exchange at 10 % of the maximum, p50", "us", False),
    "latency_p99_10": ("… p99", "us", False),
    "latency_p50_50": ("exchange at 50 %, p50", "us", False),
    "latency_p99_50": ("… p99", "us", False),
    "latency_p50_80": ("exchange at 80 %, p50", "us", False),
    "latency_p99_80": ("… p99", "us", False),
    "bulk_down": ("bulk, server to client", "Gbit/s", True),
    "bulk_up": ("bulk, client to server", "Gbit/s", True),
    "bulk_cpu_s": ("CPU of the core for a gigabyte", "s", False),
    "idle_share": ("idle: share of the core", "%", False),
    "resident_1": ("resident, 1 service", "MB", False),
    "resident_1000": ("resident, 1,000 services", "MB", False),
    "resident_100000": ("resident, 100,000 services", "MB", False),
    "apply_100000": ("a change among 100,000 services in force after", "s", False),
    "held": ("connections held", "", True),
    "held_bytes": ("memory of a held connection, process and kernel", "bytes", False),
    "flows_1000": ("frames forwarded, 64 bytes, 1,000 flows", "/s", True),
    "flows_10000": ("frames forwarded, 64 bytes, 10,000 flows", "/s", True),
    "flows_100000": ("frames forwarded, 64 bytes, 100,000 flows", "/s", True),
    "flows_1000000": ("frames forwarded, 64 bytes, 1,000,000 flows", "/s", True),
    "flows_2000000": ("frames forwarded, 64 bytes, 2,000,000 flows", "/s", True),
}


class Settings:
    """How long and how much; quick ones only show that it works."""

    def __init__(self, quick):
        self.seconds = 1 if quick else 3
        self.common_rate = 200 if quick else 2000  # connections a second that every subject carries
        self.held = 1000 if quick else 100000      # memif: ten times that
        self.flows = (1000, 10000) if quick else (1000, 10000, 100000, 1000000, 2000000)
        self.at_a_time = 256


def failures(report):
    """What went wrong with the clients of a run, for notes."""
    return {kind: n for kind, n in report["clients"]["ends"].items() if n and kind not in ("finished", "aborted")}


def note(report):
    """The generator's own doubts about a run."""
    said = []
    if report["generator"]["saturated"]:
        said.append("the generator: " + report["generator"]["why"])
    if failures(report):
        said.append(", ".join(f"{n} {kind}" for kind, n in failures(report).items()))
    return "; ".join(said)


def forwarded(report):
    """Frames that the subject passed on, a second."""
    return (report["clients"]["frames_in"] + report["servers"]["frames_in"]) / report["seconds"]


def connect(load, subject, settings):
    report = load.run(subject, "connect", "--at-a-time", settings.at_a_time, seconds=settings.seconds)
    yield "connect_rate", report["per_second"], note(report)
    report = load.run(subject, "connect", "--rate", settings.common_rate, seconds=settings.seconds)
    if report["done"] != 0:
        yield "connect_cpu_us", report["subject"]["core_share"] * 1e6 / report["per_second"], note(report)


def frames(load, subject, settings):
    for payload in (64, 512, 1460):
        report = load.run(subject, "exchange", "--no-timestamps", "--connections", 1000, "--at-a-time",
                          settings.at_a_time, "--request", payload, "--response", payload, seconds=settings.seconds)
        yield f"frames_{payload}", forwarded(report), note(report)


def latency(load, subject, settings):
    most = load.run(subject, "exchange", "--connections", 1000, "--at-a-time", settings.at_a_time,
                    seconds=settings.seconds)["per_second"]
    for percent in (10, 50, 80):
        report = load.run(subject, "exchange", "--connections", 1000, "--rate", max(1, most * percent // 100),
                          seconds=settings.seconds)
        yield f"latency_p50_{percent}", report["latency_ns"]["p50"] / 1e3, note(report)
        yield f"latency_p99_{percent}", report["latency_ns"]["p99"] / 1e3, note(report)


def bulk(load, subject, settings):
    for direction in ("down", "up"):
        report = load.run(subject, "bulk", "--no-timestamps", "--connections", 8, "--direction", direction,
                          seconds=settings.seconds)
        rate = report[f"payload_{direction}_bit_per_second"]
        yield f"bulk_{direction}", rate / 1e9, note(report)
        if direction == "down" and rate > 0:
            yield "bulk_cpu_s", report["subject"]["core_share"] * 8e9 / rate, note(report)


def idle(load, subject, settings):
    time.sleep(1)
    before = subject.cpu_seconds()
    time.sleep(settings.seconds)
    yield "idle_share", 100 * (subject.cpu_seconds() - before) / settings.seconds, ""


def held(load, subject, settings):
    wanted = settings.held * (10 if subject.wire == "memif" else 1)
    if subject.kernel:
        wanted = min(wanted, int(0.95 * (s.DESCRIPTORS - 300) / subject.descriptors_each))
    before = subject.resident_kilobytes() + w.slab_kilobytes()
    report = load.run(subject, "hold", "--connections", wanted, "--at-a-time", settings.at_a_time, seconds=3, timeout=400,
                      during=lambda: subject.resident_kilobytes() + w.slab_kilobytes())
    yield "held", report["still_there"], note(report)
    if report["opened"]:
        yield "held_bytes", (report["during"] - before) * 1024 / report["opened"], ""


def flows(load, subject, settings):
    for n in settings.flows:
        report = load.run(subject, "exchange", "--no-timestamps", "--connections", n, "--at-a-time", settings.at_a_time,
                          seconds=settings.seconds, timeout=400)
        yield f"flows_{n}", forwarded(report), note(report)


# What is asked of whom: (function, wires, names or None: all that can stand behind that wire, values for its start)
PLAN = [
    (connect, ("memif", "veth"), None, {}),
    (frames, ("memif", "veth"), None, {}),
    (latency, ("veth",), None, {}),
    (bulk, ("memif", "veth"), None, {}),
    (idle, ("veth",), ("postern", "haproxy", "nginx", "envoy"), {}),
    (held, ("memif", "veth"), ("postern", "haproxy", "nginx", "envoy"), {"flows": 1200000}),
    (flows, ("memif",), ("postern", "testpmd"), {"flows": 2200000}),
]
