# SPDX-License-Identifier: Apache-2.0
"""Postern beside other gateways, behind the same load, in one run.

    python3 perf/compare [--quick] [--rounds N] [--subjects a,b] [--measures connect,bulk] [--wires memif,veth]

Needs root (network namespaces), `make all loadgen`, and two cores with nothing else to do: the subject has one, the load
the other. Prints a table; writes it with machine, versions and all values to perf/results, and plots beside it.
"""
import argparse
import os
import sys
import time

from load import Load, LoadError
from measures import PLAN, Settings
from results import Results, describe_machine
from subjects import BUILD, ROOT, SUBJECTS
from world import World


def arguments():
    parser = argparse.ArgumentParser(prog="perf/compare", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short runs, small numbers: shows that it works")
    parser.add_argument("--rounds", type=int, default=None, help="of each measure (default 3; quick: 1)")
    parser.add_argument("--subjects", default=",".join(SUBJECTS), help="default: %(default)s")
    parser.add_argument("--measures", default=None, help="default: all")
    parser.add_argument("--wires", default="memif,veth", help="default: %(default)s")
    parser.add_argument("--driver", default="af_packet", choices=("af_packet", "af_xdp"),
                        help="of DPDK on veth (default: %(default)s)")
    parser.add_argument("--cores", default="0,1", help="of the generator, of the subject (default: %(default)s)")
    parser.add_argument("--results", default=str(ROOT / "perf" / "results"))
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.cores = [int(core) for core in options.cores.split(",")]
    return options


def steps(options, subjects):
    """(measure, wire, subject's class, its options), rounds outermost."""
    wanted = options.measures and options.measures.split(",")
    for step in [step for step in PLAN if not wanted or step[0].__name__ in wanted]:
        measure, wires, named, more = step
        for _ in range(options.rounds):
            for wire in wires:
                for name, cls in subjects.items():
                    if wire in options.wires.split(",") and wire in cls.wires and (not named or name in named):
                        yield measure, wire, cls, more


def main():
    options = arguments()
    if os.geteuid() != 0:
        sys.exit("perf/compare: network namespaces need root")
    if not (BUILD / "loadgen").exists():
        sys.exit("perf/compare: make loadgen first")
    subjects = {}
    for name in options.subjects.split(","):
        missing = SUBJECTS[name].missing()
        if missing:
            print(f"{name} is left out: {missing}", file=sys.stderr)
        else:
            subjects[name] = SUBJECTS[name]

    results = Results(describe_machine(subjects, options.cores))
    plan = list(steps(options, subjects))
    settings = Settings(options.quick)
    began = time.monotonic()
    os.makedirs(options.results, exist_ok=True)
    with open(os.path.join(options.results, "commands.log"), "w", encoding="utf-8") as log, \
            World(options.cores[1]) as world:
        load = Load(options.cores[0], log)
        for i, (measure, wire, cls, more) in enumerate(plan, 1):
            print(f"[{i}/{len(plan)}, {time.monotonic() - began:.0f} s] {measure.__name__} {wire} {cls.name}",
                  file=sys.stderr, flush=True)
            try:
                with cls(world, wire, options.cores[1], driver=options.driver, **more) as subject:
                    for figure, value, said in measure(load, subject, settings):
                        results.add(figure, wire, cls.name, value, said)
            except (LoadError, RuntimeError) as error:
                results.failed.append(f"{measure.__name__} {wire} {cls.name}: {error}")
                print(f"  failed: {error}", file=sys.stderr, flush=True)
    print(results.table())
    print("saved as", results.save(options.results))
    return 1 if results.failed else 0


sys.exit(main())
