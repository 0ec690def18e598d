# SPDX-License-Identifier: Apache-2.0
"""One run of the load generator against a subject, and what the subject spent meanwhile."""
import json
import pathlib
import subprocess
import threading
import time

from subjects import BUILD, TICK
from world import LAN, N_SERVERS, SERVERS, WAN_STATION


class LoadError(RuntimeError):
    pass


def core_busy(core):
    """Seconds that a core has worked, whatever for: processes, system calls, softirqs."""
    for line in pathlib.Path("/proc/stat").read_text(encoding="ascii").splitlines():
        fields = line.split()
        if fields[0] == f"cpu{core}":
            values = [int(value) for value in fields[1:9]]
            return (sum(values) - values[3] - values[4]) / TICK
    raise LoadError(f"no core {core}")


def kernel_kb():
    """Memory that the kernel has taken for objects of its own: sockets, their buffers, page tables."""
    values = {}
    for line in pathlib.Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        key, value = line.split(":")
        values[key] = int(value.split()[0])
    return values["Slab"]


class Load:
    """The generator on its core. Every run keeps the command that made it."""

    def __init__(self, core, log):
        self.core, self.log = core, log

    def command(self, subject, mode, arguments):
        wan, lan = subject.devices()
        command = [str(BUILD / "loadgen"), mode, "--wan", wan, "--lan", lan, "--core", str(self.core),
                   "--target", subject.target(), "--wan-station", WAN_STATION,
                   "--servers", f"{SERVERS[0]}+{N_SERVERS}", "--json", "-"]
        if subject.target().startswith("192."):
            command += ["--lan-subject", LAN]
        return ["ip", "netns", "exec", subject.generator_namespace(), *command, *map(str, arguments)]

    def run(self, subject, mode, *arguments, seconds=5, warmup=1, timeout=180, during=None):
        """Runs the generator; returns its report, with "subject" added: the shares of its core that the core and the
        subject's processes were busy while the generator measured. during: called then, a second after the beginning;
        what it returns is report["during"]."""
        command = self.command(subject, mode, [*arguments, "--seconds", seconds, "--warmup", warmup])
        self.log.write(" ".join(command) + "\n")
        process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        killer = threading.Timer(timeout, process.kill)
        killer.start()
        report, said, readings = {}, [], {}
        for line in process.stderr:
            said.append(line)
            phase = line.partition("loadgen: ")[2].strip()
            if phase in ("measuring", "ending"):
                readings[phase] = (time.monotonic(), core_busy(subject.core), subject.cpu_seconds())
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
        report["command"] = " ".join(command)
        begin, end = readings["measuring"], readings["ending"]
        report["subject"] = {"core_share": (end[1] - begin[1]) / (end[0] - begin[0]),
                             "process_share": (end[2] - begin[2]) / (end[0] - begin[0])}
        return report
