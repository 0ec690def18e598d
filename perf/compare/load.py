# SPDX-License-Identifier: Apache-2.0
"""One run of the load generator against a subject, and what the subject spent meanwhile."""

import json
import os
import subprocess
import threading
import time

from . import subjects as s
from . import world as w

SERVICES = 64  # that the generator asks for; two servers each
CLIENTS = "172.16.1.0"
WIRES = {
    "memif": "memory shared with the generator, no kernel between",
    "veth": "a veth pair; subjects on DPDK use AF_PACKET",
    "xdp": "the same veth pair; subjects on DPDK use AF_XDP",
    "cpu": "no wire: single operations of OpenSSL on the subject's core",
}


class LoadError(RuntimeError):
    pass


def memif(subject, role):
    """The two devices of a subject that shares memory with the generator."""
    socket = os.path.join(subject.dir, "memif.sock")
    return [f"role={role},id={i},socket={socket},socket-abstract=no,rsize=12" for i in range(2)]


def start(subject, wire, **values):
    """Starts it behind one of WIRES."""
    if wire == "memif":
        values["wan"], values["lan"] = memif(subject, "server")
    values["driver"] = {"memif": "memif", "veth": "af_packet", "xdp": "af_xdp"}.get(wire)
    subject.wire, subject.values = wire, values
    subject.start([s.service(i) for i in range(SERVICES)], **values)


def devices(subject):
    """The generator's ends, the same for all subjects on a link."""
    if subject.wire == "memif":
        return [f"net_memif{i},{arguments}" for i, arguments in enumerate(memif(subject, "client"))]
    # Its own ring of 512 frames is soon full.
    return [f"net_af_packet{i},iface={link},framecnt=4096,blocksz=65536" for i, link in enumerate(("wan", "lan"))]


def read_clocks(subject):
    """(now, the subject's CPU time, that of its handshake threads, its work)."""
    return time.monotonic(), w.subject_seconds(subject.cpu_seconds()), subject.handshake_seconds(), subject.work()


def spent(begin, end, report):
    """What a subject spent between two readings: the share of its core, its part of the kernel's work included; and, for one
    that polls, the share in which it had packets in hand or shook hands."""
    seconds = end[0] - begin[0]
    handshakes = (end[2] - begin[2]) / seconds
    found = {"core_share": max(0, end[1] - begin[1]) / seconds, "handshake_share": handshakes, "work_share": None}
    if end[3] is not None:
        found["work_share"] = (end[3] - begin[3]) / report["generator"]["tsc_hz"] / seconds + handshakes
    return found


def forwarded(report):
    """Frames that the subject passed on, a second."""
    return (report["clients"]["frames_in"] + report["servers"]["frames_in"]) / report["seconds"]


def note(report):
    """The doubts about a run: the generator's own, and what went wrong with the clients."""
    said = []
    if report["generator"]["saturated"]:
        said.append("the generator: " + report["generator"]["why"])
    failures = {kind: n for kind, n in report["clients"]["ends"].items() if n and kind not in ("finished", "aborted")}
    if failures:
        said.append(", ".join(f"{n} {kind}" for kind, n in failures.items()))
    return "; ".join(said)


def costs(prefix, suffix, report, rate, scale):
    """CPU and work for each of what came at a rate, in seconds times scale."""
    spent, said = report["subject"], note(report)
    if rate == 0:
        return
    yield f"{prefix}_cpu_{suffix}", spent["core_share"] * scale / rate, said
    if spent["work_share"] is not None:
        yield f"{prefix}_work_{suffix}", spent["work_share"] * scale / rate, said


def memory(subject):
    """What it has resident, and the kernel's slab, in kilobytes."""
    return subject.resident_kilobytes(), w.slab_kilobytes()


def grown(prefix, before, report, said):
    """What memory has grown by since before for each connection that was opened and is held."""
    kept, opened = report["during"], report["opened"]
    yield f"{prefix}_bytes", (kept[0] - before[0]) * 1024 / opened, said
    yield f"{prefix}_slab", max(0, kept[1] - before[1]) * 1024 / opened, said


class Load:
    """Runs the generator, and writes down the commands."""

    def __init__(self, world, log, verify):
        self.world, self.log, self.verify = world, log, verify
        self.commands = []  # since somebody emptied it

    def command(self, subject, mode, arguments):
        wan, lan = devices(subject)
        command = [os.path.join(os.environ.get("BUILD", "build"), "loadgen"), mode, "--wan", wan, "--lan", lan,
                   "--core", w.LOAD_CORE, "--target", subject.target(), "--clients", CLIENTS,
                   "--servers", f"{s.SERVERS_FIRST}+{2 * SERVICES}", "--sni", "s%u.bench.example", "--sni-count", SERVICES,
                   "--json", "-", *arguments, *(["--verify"] if self.verify else [])]
        return ["ip", "netns", "exec", self.world.gen, *map(str, command)]

    def run(self, subject, mode, *arguments, seconds=2, warmup=0.3, **options):
        """The report of build/loadgen in that mode; see play. With "packet_ns" of what the subject spent: its work for a frame
        that it passed on."""
        report = self.play(subject, self.command(subject, mode, [*arguments, "--seconds", seconds, "--warmup", warmup]), **options)
        self.check(report, mode)
        work = report["subject"]["work_share"]
        report["subject"]["packet_ns"] = work * 1e9 / forwarded(report) if work is not None and forwarded(report) > 0 else None
        return report

    def play(self, subject, command, timeout=60, during=None):
        """The report of a generator, with "subject" added, which is spent() while it measured. during: called when that
        begins; "during" is what it returns."""
        if not subject.runs():  # some don't outlive a generator that goes
            subject.stop()
            start(subject, subject.wire, **subject.values)
        self.commands.append(" ".join(command))
        self.log.write(self.commands[-1] + "\n")
        process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   preexec_fn=lambda: w.favour(0))
        killer = threading.Timer(timeout, process.kill)
        killer.start()
        report, said, readings = {}, [], {}
        for line in process.stderr:
            said.append(line)
            phase = line.partition(": ")[2].strip()
            if phase in ("measuring", "ending"):
                readings[phase] = read_clocks(subject)
            if phase == "measuring" and during is not None:
                report["during"] = during()
        out = process.stdout.read()
        process.wait()
        killer.cancel()
        self.log.write("".join(said))
        self.log.flush()
        if process.returncode != 0:
            raise LoadError(f"the generator ended with {process.returncode}: {''.join(said).strip()[-500:]}")
        report.update(json.loads(out))
        report["subject"] = spent(readings["measuring"], readings["ending"], report)
        return report

    def check(self, report, mode):
        """Raises LoadError when what came through isn't what was sent; with verify, also when anything failed."""
        for side in "clients", "servers":
            wrong = report[side]["ends_of_whole_run"]["wrong_bytes"] + report[side]["damaged"]
            if wrong:
                raise LoadError(f"the {side} received wrong bytes or damaged frames, {wrong} times")
        failed = {kind: n for kind, n in report["clients"]["ends_of_whole_run"].items()
                  if n and kind not in ("finished", "aborted")}
        received = report["clients"]["payload_in"] + report["servers"]["payload_in"]
        if self.verify and (failed or received == 0):
            raise LoadError(f"{mode}: {failed or 'nothing was received'}")
