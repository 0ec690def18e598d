# SPDX-License-Identifier: Apache-2.0
"""
How many services cost what: resident memory with 1, 1,000 and 100,000 of them, two endpoints each, and the time to put a
change of one among them in force, by the subject's own way to do that. No load.

  python3 -m perf.compare.scale [SUBJECT…] [--services 1,1000,100000]
"""

import argparse
import json
import sys
import time

from . import subjects as s
from . import world as w


def measure(subject, count):
    services = [s.service(i) for i in range(count)]
    begin = time.monotonic()
    subject.start(services)
    figures = {"services": count, "start_s": round(time.monotonic() - begin, 3)}
    time.sleep(1)
    figures["resident_kb"] = subject.resident_kilobytes()
    services[-1] = dict(services[-1], endpoint_a="172.17.255.1")
    try:
        took = subject.apply(services)
        figures["apply_s"] = None if took is None else round(took, 3)
    except RuntimeError as error:
        figures["apply_s"], figures["apply_error"] = None, str(error)
    time.sleep(1)
    figures["resident_after_apply_kb"] = subject.resident_kilobytes()
    subject.stop()
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n")[0])
    parser.add_argument("subject", nargs="*", help="postern, haproxy, nginx, envoy; default: all")
    parser.add_argument("--services", default="1,1000,100000")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = {}
    with w.World() as world:
        for kind in s.every():
            if options.subject and kind.name not in options.subject:
                continue
            subject = kind(world)
            missing = subject.available()
            if missing:
                print(f"{kind.name}: skipped: {missing}", file=sys.stderr)
                continue
            results[kind.name] = []
            for count in map(int, options.services.split(",")):
                figures = measure(subject, count)
                results[kind.name].append(figures)
                if not options.json:
                    apply = "-" if figures["apply_s"] is None else f"{figures['apply_s']:.2f} s"
                    print(f"{kind.name:<10} {count:>7} services  start {figures['start_s']:>7.2f} s  resident "
                          f"{figures['resident_kb'] / 1000:>8.1f} MB  apply one change {apply:>8}", flush=True)
    if options.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
