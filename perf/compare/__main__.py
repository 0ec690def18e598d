# SPDX-License-Identifier: Apache-2.0
"""
Postern beside other gateways, behind the same load, in one run.

  python3 -m perf.compare [--quick] [--rounds N] [--subjects a,b] [--measures connect,bulk] [--wires memif,veth]

Needs root (network namespaces), `make all loadgen`, and two cores with nothing else to do: the subject has one, the load
the other. Prints a table; writes it with machine, versions and all values to perf/results, and plots beside it.
"""

import argparse
import os
import sys
import time

from . import scale
from . import subjects as s
from . import world as w
from .load import Load, LoadError, start
from .measures import PLAN, Settings
from .results import Results, describe_machine

RESULTS = os.path.join(s.PERF, "results")


def arguments():
    parser = argparse.ArgumentParser(prog="perf.compare", description=__doc__.strip().splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short runs, small numbers, every byte compared: shows that it works")
    parser.add_argument("--rounds", type=int, help="of each measure (default 3; quick: 1)")
    parser.add_argument("--subjects", help="default: all")
    parser.add_argument("--measures", help="connect, frames, latency, bulk, idle, held, flows, scale; default: all")
    parser.add_argument("--wires", default="memif,veth", help="default: %(default)s")
    parser.add_argument("--driver", default="af_packet", choices=("af_packet", "af_xdp"),
                        help="of DPDK on veth (default: %(default)s)")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    return options


def wanted_subjects(world, options):
    wanted = []
    for kind in s.every() + s.limits():
        if options.subjects and kind.name not in options.subjects.split(","):
            continue
        subject = kind(world)
        missing = subject.available()
        if missing:
            print(f"{kind.name} is left out: {missing}", file=sys.stderr)
        else:
            wanted.append(subject)
    return wanted


def plan(subjects, options):
    """(measure, wire, subject, values for its start), the rounds of a measure after one another, each with all subjects."""
    steps = []
    for measure, wires, names, values in PLAN:
        if options.measures and measure.__name__ not in options.measures.split(","):
            continue
        for _ in range(options.rounds):
            steps += [(measure, wire, subject, values) for wire in wires for subject in subjects
                      if wire in options.wires.split(",") and wire in subject.wires and
                      (names is None or subject.name in names)]
    return steps


def measure_scale(subjects, results, quick):
    for count in (1, 1000) if quick else (1, 1000, 100000):
        for subject in subjects:
            if subject.name not in [kind.name for kind in s.every()]:
                continue
            figures = scale.measure(subject, count)
            results.add(f"resident_{count}", "veth", subject.name, figures["resident_kb"] / 1000, "")
            if count == 100000 and figures["apply_s"] is not None:
                results.add("apply_100000", "veth", subject.name, figures["apply_s"], "")


def main():
    options = arguments()
    if os.geteuid() != 0:
        sys.exit("perf.compare: network namespaces need root")
    os.makedirs(RESULTS, exist_ok=True)
    began = time.monotonic()
    with w.World() as world, open(os.path.join(RESULTS, "commands.log"), "w", encoding="utf-8") as log:
        subjects = wanted_subjects(world, options)
        results = Results(describe_machine(subjects))
        load, settings = Load(world, log, options.quick), Settings(options.quick)
        steps = plan(subjects, options)
        for i, (measure, wire, subject, values) in enumerate(steps, 1):
            print(f"[{i}/{len(steps)}, {time.monotonic() - began:.0f} s] {measure.__name__} {wire} {subject.name}",
                  file=sys.stderr, flush=True)
            try:
                start(subject, wire, options.driver, **values)
                for figure, value, said in measure(load, subject, settings):
                    results.add(figure, wire, subject.name, value, said)
            except (LoadError, RuntimeError) as error:
                results.failed.append(f"{measure.__name__} {wire} {subject.name}: {error}")
                print(f"  failed: {str(error)[:300]}", file=sys.stderr, flush=True)
            finally:
                subject.stop()
        if not options.measures or "scale" in options.measures.split(","):
            measure_scale(subjects, results, options.quick)
    print(results.table())
    print("saved as", results.save(RESULTS))
    return 1 if results.failed else 0


sys.exit(main())
