# SPDX-License-Identifier: Apache-2.0
"""
Bridging: a client's mTLS ends at the subject, which begins another with the server (perf/peers/bridge). TLS 1.3, P-256,
AES-128-GCM, X25519, no resumption; both ends are perf/tls_load's, on the load core and the kernel's sockets. That core does the
cryptography of two sides, as the subject does, and more; so no subject's limit is seen, but what a connection, or a gigabyte,
takes of its CPU at a rate that all of them carry.
"""
import json
import os
import subprocess

from . import world as w
from .load import costs, grown, memory, note

SERVER_PORT, PASSED_PORT = 8443, 8444  # of the server: what is bridged; what Postern passes through, on its own port 8443
SNI = "web.bench.example"


def command(subject, mode, *arguments, target=None, port=SERVER_PORT, priority=()):
    """That of one tls_load."""
    program = os.path.join(os.environ.get("BUILD", "build"), "tls_load")
    credentials = ["--client", f"{subject.world.pki}/billing", "--server", f"{subject.world.pki}/server"]
    return ["ip", "netns", "exec", subject.world.gen, "taskset", "-c", str(w.LOAD_CORE), *priority, program, mode,
            "--target", target or subject.target(), "--listen", f"{w.SERVER}:{port}", "--sni", SNI, *credentials, *map(str, arguments)]


def run(load, subject, mode, *arguments, seconds, warmup=0.5, during=None):
    report = load.play(subject, command(subject, mode, *arguments, "--seconds", seconds, "--warmup", warmup), during=during)
    failed = {kind: n for kind, n in report["clients"]["ends_of_whole_run"].items() if n and kind != "finished"}
    if failed.get("wrong_bytes") or (load.verify and failed):
        raise RuntimeError(f"{mode}: {failed}")
    return report


def raw(subject):
    """The operations alone: for a connection two signatures, two checks of one, and an X25519 key and its use on either leg; for a
    gigabyte, one to be decrypted and one to be encrypted."""
    *_, sign, verify = subject.speed("F4", "ecdsap256")
    *_, x25519, _ = subject.speed("F5", "ecdhx25519")
    *_, gcm = subject.speed("F", "-bytes", "16384", "-evp", "aes-128-gcm")
    yield "bridge_cpu_ms", 1e3 * (2 / float(sign) + 2 / float(verify) + 4 / float(x25519)), ""
    yield "bridge_gigabyte_most_cpu_s", 2e9 / float(gcm), ""


def connections(load, subject, settings):
    # The first ARP request may be lost on a link that has just come up, and Linux repeats it a second later.
    report = run(load, subject, "connect", "--rate", settings.bridged, seconds=2 * settings.seconds, warmup=1.5)
    spent, rate, said = report["subject"], report["per_second"], note(report)
    yield from costs("bridge", "ms", report, rate, 1e3)
    if spent["work_share"] is not None:
        yield "bridge_handshake_ms", spent["handshake_share"] * 1e3 / rate, said
    yield "bridge_p50_ms", report["latency_ns"]["p50"] / 1e6, said
    yield "bridge_p99_ms", report["latency_ns"]["p99"] / 1e6, said


def bytes_through(load, subject, settings, response):
    report = run(load, subject, "bulk", "--connections", 4, seconds=settings.seconds)
    rate = report["payload_down_bit_per_second"]
    yield "bridge_bulk", rate / 1e9, note(report)
    yield from costs("bridge_gigabyte_most", "s", report, rate, 8e9)
    report = run(load, subject, "exchange", "--connections", 8, "--rate", settings.common_bits / 8 / response,
                 "--response", response, seconds=settings.seconds)
    yield from costs("bridge_gigabyte", "s", report, report["payload_down_bit_per_second"], 8e9)


def held(load, subject, settings):
    before = memory(subject)
    report = run(load, subject, "hold", "--connections", settings.bridged_held, "--at-a-time", 32, seconds=1,
                 during=lambda: memory(subject))
    opened = report["opened"]
    said = note(report) or ("" if report["still_there"] == opened else f"{opened - report['still_there']} were gone")
    yield from grown("bridge_held", before, report, said)


def beside(load, subject, settings):
    """Latency of connections that are passed through: alone; while bridged connections are made beside them; and while the
    generator makes the same connections to its own server, which is what its own work does to the figure. It measures latency
    at a real-time priority, so that it doesn't wait for its other half."""
    handshakes = ("--at-a-time", settings.bridged_beside)

    def exchange():
        return load.play(subject, command(subject, "exchange", "--connections", 200, "--rate", settings.passed,
                                          "--seconds", 2 * settings.seconds, "--warmup", 0.5, target=f"{w.BOX_WAN}:8443",
                                          port=PASSED_PORT, priority=("chrt", "-f", "50")))

    def at_once(target):
        seconds = 2 * settings.seconds + 3  # it begins before the other, and ends behind it
        other = subprocess.Popen(command(subject, "connect", *handshakes, "--seconds", seconds, "--warmup", 0, target=target),
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, preexec_fn=lambda: w.favour(0))
        try:
            report = exchange()
            return report, json.loads(other.communicate(timeout=60)[0])
        finally:
            other.kill()

    report = exchange()
    yield "passed_p99_us", report["latency_ns"]["p99"] / 1e3, note(report)
    report, other = at_once(f"{w.SERVER}:{SERVER_PORT}")
    yield "passed_p99_aside_us", report["latency_ns"]["p99"] / 1e3, note(report) or note(other)
    report, other = at_once(None)
    yield "passed_p99_beside_us", report["latency_ns"]["p99"] / 1e3, note(report) or note(other)
    yield "passed_beside_rate", other["per_second"], note(other)
