# SPDX-License-Identifier: Apache-2.0
"""
The world that a subject is measured in.

      gen                               box
   ┌────────────────┐             ┌───────────────┐
   │ wan  clients ──┼── veth ─────┼── wan         │   172.16.0.0/16; the box is 172.16.0.1
   │ lan  servers ──┼── veth ─────┼── lan         │   172.17.0.0/16; the box is 172.17.0.1
   └────────────────┘             └───────────────┘
        core LOAD_CORE               core SUBJECT_CORE

Behind subjects that bridge, the generator's kernel has an address on each side as well (.0.2), for perf/tls_load.

Each side pays for its own: processes are pinned, and so is, by receive packet steering, what the kernel does with packets
that arrive for them. What the subject costs is the time of its processes, of its core's ksoftirqd, and of interrupts that
found its core idle (subject_seconds).

Both run at a higher priority than whatever else the machine has to do, and so does ksoftirqd, or they would take its turn
as well. Priorities hold between processes of different sessions only while Linux doesn't group them by session, which is
switched off meanwhile.
"""

import ctypes
import functools
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import time

LOAD_CORE, SUBJECT_CORE = 0, 1
BOX_WAN, BOX_LAN = "172.16.0.1", "172.17.0.1"
CLIENT, SERVER = "172.16.0.2", "172.17.0.2"  # of the generator's kernel
TICKS = os.sysconf("SC_CLK_TCK")
NICE, SLICE_NS = -20, 100000
SCHED_SETATTR = 314  # of x86-64
AUTOGROUP = "/proc/sys/kernel/sched_autogroup_enabled"
RUN_TIMES = "/sys/fs/cgroup/cpuacct/cpuacct.usage_percpu"  # ns of all tasks, by core


def run(*command, **options):
    return subprocess.run(command, check=True, text=True, capture_output=True, **options).stdout


def exchange(path, text):
    """Writes a setting of the kernel's. Returns what it was."""
    with open(path, "r+", encoding="ascii") as setting:
        before = setting.read()
        setting.seek(0)
        setting.write(text)
    return before


class World:
    """Namespaces and links; with World() as world: … leaves nothing behind."""

    def __init__(self):
        self.gen, self.box = f"pb{os.getpid()}-gen", f"pb{os.getpid()}-box"
        self.dir = tempfile.mkdtemp(prefix="postern-bench-", dir="/dev/shm")  # flow records belong on a tmpfs
        self.processes = []
        self.autogroup = None

    def __enter__(self):
        if os.path.exists(AUTOGROUP):
            self.autogroup = exchange(AUTOGROUP, "0")
        for name in self.gen, self.box:
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        for link in "wan", "lan":
            run("ip", "-n", self.box, "link", "add", link, "type", "veth", "peer", "name", link, "netns", self.gen)
            for name in self.gen, self.box:
                run("ip", "netns", "exec", name, "ethtool", "-K", link, "tx", "off", "rx", "off", "tso", "off", "gso", "off", "gro", "off")
                run("ip", "-n", name, "link", "set", link, "up")
            self.steer(self.gen, link, LOAD_CORE)
        favour(0)  # it reads the clocks when a run begins and ends, and sleeps otherwise
        for core in LOAD_CORE, SUBJECT_CORE:
            favour(ksoftirqd(core))
        for path in "/proc/sys/net/core/somaxconn", "/proc/sys/net/ipv4/tcp_max_syn_backlog":
            self.in_box("sh", "-c", f"echo 65535 >{path}")
        for name in self.gen, self.box:
            run("ip", "netns", "exec", name, "sh", "-c", "echo '1024 65535' >/proc/sys/net/ipv4/ip_local_port_range")
        run("ip", "netns", "exec", self.gen, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/tcp_tw_reuse")
        return self

    def __exit__(self, *_):
        for process in self.processes:
            stop(process)
        for core in LOAD_CORE, SUBJECT_CORE:
            favour(ksoftirqd(core), 0, 0)
        favour(0, 0, 0)
        if self.autogroup is not None:
            exchange(AUTOGROUP, self.autogroup)
        for name in self.gen, self.box:
            subprocess.run(["ip", "netns", "del", name], check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    def in_box(self, *command):
        return run("ip", "netns", "exec", self.box, *command)

    @functools.cached_property
    def pki(self):
        """A folder of certificates for those that bridge."""
        path = os.path.join(self.dir, "pki")
        run("bash", "-c", '. perf/peers/bridge/pki.sh && bridge_pki "$1"', "pki", path)
        return path

    def kernel_addresses(self, subject, generator):
        """Whether the kernel has the addresses: of the box, for subjects that are processes with sockets; and of the generator,
        for the load of those that bridge."""
        for name, present, wan, lan in (self.box, subject, BOX_WAN, BOX_LAN), (self.gen, generator, CLIENT, SERVER):
            for link, address in ("wan", wan), ("lan", lan):
                run("ip", "-n", name, "address", "flush", "dev", link)
                if present:
                    run("ip", "-n", name, "address", "add", f"{address}/16", "dev", link)
        for link in "wan", "lan":
            self.steer(self.box, link, SUBJECT_CORE)

    def steer(self, namespace, link, core):
        """Has a core handle what arrives at a link."""
        run("ip", "netns", "exec", namespace, "sh", "-c", f"echo {1 << core:x} >/sys/class/net/{link}/queues/rx-0/rps_cpus")

    def start(self, namespace, core, log, command, stdin=subprocess.DEVNULL):
        with open(log, "ab") as out:
            process = subprocess.Popen(["ip", "netns", "exec", namespace, "taskset", "-c", str(core), *command],
                                       preexec_fn=lambda: favour(0),
                                       stdin=stdin, stdout=out, stderr=out, start_new_session=True)
        self.processes.append(process)
        return process


def favour(pid, nice=NICE, slice_ns=SLICE_NS):
    """Sets a process's priority, and how long it runs at a time; 0: as the kernel likes. Of two that want a core, Linux lets
    the one with the shorter slice interrupt the other, whose turn it would else be for milliseconds yet."""
    attributes = struct.pack("=IIQiIQQQ", 48, 0, 0, nice, 0, slice_ns, 0, 0)  # struct sched_attr
    if ctypes.CDLL(None, use_errno=True).syscall(SCHED_SETATTR, pid, attributes, 0) != 0:
        raise OSError(ctypes.get_errno(), "sched_setattr")


def stop(process):
    """Ends a process and those that it started, by their group's id."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(seconds, condition):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def busy_seconds(core):
    """Seconds that a core has been at work, interrupts included, since some moment: those in which it wasn't idle. What it was
    busy with the kernel finds out at its ticks only, and load that comes at the same pace deceives it; idleness it measures."""
    with open("/proc/stat", encoding="ascii") as stat:
        for line in stat:
            fields = line.split()
            if fields[0] == f"cpu{core}":
                idle, iowait, _irq, _softirq, steal = map(int, fields[4:9])
                return time.monotonic() - (idle + iowait + steal) / TICKS
    raise RuntimeError(f"no core {core}")


@functools.cache
def ksoftirqd(core):
    return int(run("pgrep", "-x", f"ksoftirqd/{core}"))


def subject_seconds(own):
    """Seconds that a subject has cost, own being those of its processes. Where the kernel doesn't tell how long tasks ran
    on each core, its core's whole work is taken for its own."""
    busy = busy_seconds(SUBJECT_CORE)
    if not os.path.exists(RUN_TIMES):
        return busy
    with open(RUN_TIMES, encoding="ascii") as times, \
            open(f"/proc/{ksoftirqd(SUBJECT_CORE)}/schedstat", encoding="ascii") as softirqs:
        tasks, softirqd = int(times.read().split()[SUBJECT_CORE]) / 1e9, int(softirqs.read().split()[0]) / 1e9
    return own + softirqd + busy - tasks


def processes_of(leader):
    """A process and those of its session: a master and its workers. (By hand: a new process would wait for a core that is busy.)"""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.getsid(int(pid)) == leader:
                found.append(int(pid))
        except ProcessLookupError:
            pass
    return found


def resident_kilobytes(leader, packets_too=False):
    """Resident memory of a process and of those that it started, pages that they share counted once (PSS); without packet
    memory and rings shared with the kernel, for those that map such."""
    total = 0
    for pid in processes_of(leader):
        counted = True
        with open(f"/proc/{pid}/smaps", encoding="ascii", errors="replace") as smaps:
            for line in smaps:
                if "-" in line.split(" ", 1)[0]:
                    counted = packets_too or not any(mark in line for mark in ("memfd:", "hugepages", "anon_inode", "socket:"))
                elif line.startswith("Pss:") and counted:
                    total += int(line.split()[1])
    return total


def cpu_seconds(leader, threads=""):
    """CPU time that a process and those that it started have used, by those of their threads whose names begin so."""
    ns = 0
    for pid in processes_of(leader):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as stat, \
                    open(f"/proc/{pid}/task/{task}/comm", encoding="ascii") as name:
                ns += int(stat.read().split()[0]) if name.read().startswith(threads) else 0
    return ns / 1e9


def slab_kilobytes():
    with open("/proc/meminfo", encoding="ascii") as meminfo:
        return next(int(line.split()[1]) for line in meminfo if line.startswith("Slab:"))
