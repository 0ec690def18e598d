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


class LoadError(RuntimeError):
    pass


def memif(subject, role):
    """The two devices of a subject that shares memory with the generator."""
    socket = os.path.join(subject.dir, "memif.sock")
    return [f"role={role},id={i},socket={socket},socket-abstract=no,rsize=12" for i in range(2)]


def start(subject, wire, driver, **values):
    """Starts it behind a wire."""
    if wire == "memif":
        values["driver"] = "memif"
        values["wan"], values["lan"] = memif(subject, "server")
    else:
        values["driver"] = driver
    subject.wire, subject.load_driver = wire, driver
    for left in "log", "memif.sock":  # by the last one, which may have been killed
        path = os.path.join(subject.dir, left)
        if os.path.exists(path):
            os.unlink(path)
    subject.start([s.service(i) for i in range(SERVICES)], **values)


def devices(subject):
    """The generator's ends."""
    if subject.wire == "memif":
        return [f"net_memif{i},{arguments}" for i, arguments in enumerate(memif(subject, "client"))]
    # af_packet's own ring of 512 frames is soon full; af_xdp's busy polling is a system call for each empty look.
    more = {"af_packet": "framecnt=4096,blocksz=65536", "af_xdp": "busy_budget=0"}[subject.load_driver]
    return [f"net_{subject.load_driver}{i},iface={link},{more}" for i, link in enumerate(("wan", "lan"))]


class Load:
    """Runs the generator, and writes down the commands."""

    def __init__(self, world, log, verify):
        self.world, self.log, self.verify = world, log, verify

    def command(self, subject, mode, arguments):
        wan, lan = devices(subject)
        command = [os.path.join(os.environ.get("BUILD", "build"), "loadgen"), mode, "--wan", wan, "--lan", lan,
                   "--core", w.LOAD_CORE, "--target", subject.target(), "--clients", CLIENTS,
                   "--servers", f"{s.SERVERS_FIRST}+{2 * SERVICES}", "--sni", "s%u.bench.example", "--sni-count", SERVICES,
                   "--json", "-", *arguments, *(["--verify"] if self.verify else [])]
        return ["ip", "netns", "exec", self.world.gen, *map(str, command)]

    def run(self, subject, mode, *arguments, seconds=3, warmup=0.5, timeout=180, during=None):
        """The generator's report, with "subject" added: the share of a core that the subject cost, its part of the kernel included,
        while the generator measured. during: called a second into that; "during" is what it returns."""
        command = self.command(subject, mode, [*arguments, "--seconds", seconds, "--warmup", warmup])
        self.log.write(" ".join(command) + "\n")
        process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   preexec_fn=lambda: w.favour(0))
        killer = threading.Timer(timeout, process.kill)
        killer.start()
        report, said, readings = {}, [], {}
        for line in process.stderr:
            said.append(line)
            phase = line.partition("loadgen: ")[2].strip()
            if phase in ("measuring", "ending"):
                readings[phase] = (time.monotonic(), w.subject_seconds(subject.cpu_seconds()))
            if phase == "measuring" and during is not None:
                time.sleep(1)
                report["during"] = during()
        out = process.stdout.read()
        process.wait()
        killer.cancel()
        self.log.write("".join(said))
        self.log.flush()
        if process.returncode != 0:
            raise LoadError(f"loadgen ended with {process.returncode}: {''.join(said).strip()[-500:]}")
        report.update(json.loads(out))
        for side in "clients", "servers":
            wrong = report[side]["ends_of_whole_run"]["wrong_bytes"] + report[side]["damaged"]
            if wrong:
                raise LoadError(f"the {side} received wrong bytes or damaged frames, {wrong} times")
        failed = {kind: n for kind, n in report["clients"]["ends_of_whole_run"].items()
                  if n and kind not in ("finished", "aborted")}
        received = report["clients"]["payload_in"] + report["servers"]["payload_in"]
        if self.verify and (failed or received == 0):
            raise LoadError(f"{mode}: {failed or 'nothing was received'}")
        begin, end = readings["measuring"], readings["ending"]
        report["subject"] = {"core_share": max(0, end[1] - begin[1]) / (end[0] - begin[0])}
        return report
