#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plants one fault of tests/sim/faults: plant_fault.py LINE OUTPUT writes the changed file, and prints what the fault is.

A line is "FILE | OLD | NEW | WHAT"; a bar in OLD or NEW is written "\\|". OLD must be in FILE exactly once; FILE is one of dataplane/ where
it names no folder.
"""
import re
import sys


def main():
    line, output = sys.argv[1:]
    name, old, new, what = (part.strip().replace("\\|", "|") for part in re.split(r" \| ", line))
    with open(name if "/" in name else "dataplane/" + name) as file:
        text = file.read()
    if text.count(old) != 1:
        print(f"{text.count(old)} places have it")
        return 1
    with open(output, "w") as file:
        file.write(text.replace(old, new))
    print(f"{name}: {what}")
    return 0


sys.exit(main())
