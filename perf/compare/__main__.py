# SPDX-License-Identifier: Apache-2.0
"""
Postern beside other gateways, behind the same load, in one run.

Needs root (network namespaces), "make all loadgen", and two cores with nothing else to do: the subject has one, the load
the other. Prints a table; writes it with machine, versions, commands and all values to perf/results, after each step, and
plots beside it. With --record it is perf/results/latest.json, and docs/performance.md gets its tables and plots.

A subject that fails costs its step only, and is named at the end. Each round has every measure once, so a run that is
stopped, or out of its time, has fewer rounds, not fewer figures.
"""

import argparse
import os
import pathlib
import signal
import subprocess
import sys
import time

from . import load as l
from . import report
from . import subjects as s
from . import world as w
from .measures import PLAN, Settings
from .results import Results, describe_machine

RESULTS = pathlib.Path(s.PERF) / "results"


def arguments():
    parser = argparse.ArgumentParser(prog="perf.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short runs, small numbers, every byte compared: shows that it works")
    parser.add_argument("--record", action="store_true", help="this is the run that docs/performance.md shows")
    parser.add_argument("--rounds", type=int, help="default: 3; quick: 1")
    parser.add_argument("--minutes", type=float, default=25, help="after which no further step begins (default: %(default)s)")
    parser.add_argument("--subjects", help="default: " + ",".join(kind.name for kind in s.every() + s.limits()))
    parser.add_argument("--measures", help="default: " + ",".join(row.measure.__name__ for row in PLAN))
    parser.add_argument("--wires", help="default: all. " + "; ".join(f"{wire}: {text}" for wire, text in l.WIRES.items()))
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    return options


def chosen(name, option):
    """Whether it is one of the names of an option; "bridge" is also bridge_held and so on."""
    return option is None or any(name == one or name.startswith(f"{one}_") for one in option.split(","))


def wanted_subjects(world, options):
    wanted = []
    for kind in s.every() + s.limits():
        if not chosen(kind.name, options.subjects):
            continue
        subject = kind(world)
        missing = subject.available()
        if missing:
            print(f"{kind.name} is left out: {missing}", file=sys.stderr)
        else:
            wanted.append(subject)
    return wanted


def plan(subjects, options):
    """(round, row of PLAN, wire, subject): round after round, and all subjects one after another behind each measure."""
    return [(turn, row, wire, subject) for turn in range(options.rounds) for row in PLAN
            if turn < row.rounds and chosen(row.measure.__name__, options.measures)
            for wire in row.wires if chosen(wire, options.wires)
            for subject in subjects if wire in subject.wires and (row.subjects is None or subject.name in row.subjects)]


def take(load, settings, results, step):
    """One step of the plan. What went wrong is written down, and the next one goes on."""
    _, row, wire, subject = step
    load.commands = []
    try:
        if row.values is not None:
            l.start(subject, wire, **row.values)
        for figure, value, said in row.measure(load, subject, settings):
            results.add(figure, wire, subject.name, value, said)
    except (RuntimeError, OSError, KeyError, subprocess.SubprocessError) as error:
        results.failed.append(f"{row.measure.__name__} {wire} {subject.name}: {str(error)[-300:]}")
        print(f"  failed: {str(error)[-300:]}", file=sys.stderr, flush=True)
    finally:
        subject.stop()
    results.commands.setdefault(f"{row.measure.__name__} {wire}", load.commands)


def main():
    options = arguments()
    if os.geteuid() != 0:
        sys.exit("perf.compare: network namespaces need root")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("perf.compare: ended by SIGTERM"))  # or the world would stay
    name = "latest" if options.record else time.strftime("%Y%m%d-%H%M%S")
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    began = time.monotonic()
    with w.World() as world, open(RESULTS / f"{name}.log", "w", encoding="utf-8") as log:
        subjects = wanted_subjects(world, options)
        results = Results(describe_machine(subjects), " ".join(sys.argv[1:]))
        load, settings = l.Load(world, log, options.quick), Settings(options.quick)
        steps = plan(subjects, options)
        for i, step in enumerate(steps, 1):
            passed = time.monotonic() - began
            if passed > 60 * options.minutes:
                print(f"{options.minutes:g} minutes are over: {len(steps) - i + 1} steps are left out", file=sys.stderr)
                break
            turn, row, wire, subject = step
            print(f"[{passed / 60:4.1f} min, {i}/{len(steps)}] round {turn + 1}: {row.measure.__name__} {wire} {subject.name}",
                  file=sys.stderr, flush=True)
            take(load, settings, results, step)
            results.save(path)
    print(results.table())
    print("saved as", path)
    if options.record:
        report.write(path)
    else:
        report.plots(report.read(path), RESULTS / name)
    return 1 if results.failed else 0


sys.exit(main())
