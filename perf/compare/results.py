# SPDX-License-Identifier: Apache-2.0
"""Figures of several rounds: medians with their spread, as a table on a terminal and as JSON."""
import json
import os
import statistics
import time

from . import world as w
from .load import WIRES
from .measures import FIGURES


class Results:
    def __init__(self, machine, asked):
        self.machine, self.asked = machine, asked
        self.values = {}  # (figure, wire, subject): [value of each round]
        self.notes = {}   # the same: what the runs said against themselves
        self.commands = {}  # "measure wire": the generator's, of the first subject; another's differ in their target only
        self.failed = []

    def add(self, figure, wire, subject, value, said):
        self.values.setdefault((figure, wire, subject), []).append(value)
        if said:
            self.notes.setdefault((figure, wire, subject), set()).add(said)

    def rows(self):
        """(figure, wire, {subject: (median, least, most)}) in the order of FIGURES."""
        for figure in FIGURES:
            for wire in WIRES:
                cells = {subject: (statistics.median(values), min(values), max(values))
                         for (f, w, subject), values in self.values.items() if (f, w) == (figure, wire)}
                if cells:
                    yield figure, wire, cells

    def table(self):
        subjects = sorted({key[2] for key in self.values}, key=list(self.machine["versions"]).index)
        lines = [f"{'':54}" + "".join(f"{subject:>20}" for subject in subjects)]
        for figure, wire, cells in self.rows():
            text, unit, _ = FIGURES[figure]
            line = f"{wire:6}{text + (', ' + unit if unit else ''):.47}".ljust(54)
            for subject in subjects:
                if subject not in cells:
                    line += f"{'':>20}"
                    continue
                median, least, most = cells[subject]
                spread = 50 * (most - least) / median if median else 0
                doubt = "*" if (figure, wire, subject) in self.notes else " "
                line += f"{number(median) + f' ±{spread:.0f}%':>19}" + doubt
            lines.append(line)
        if self.notes:
            lines.append("* a run had doubts about itself:")
            for (figure, wire, subject), said in self.notes.items():
                lines += [f"    {figure} {wire} {subject}: {text}" for text in sorted(said)]
        lines += [f"! {text[:200]}" for text in self.failed]
        return "\n".join(lines)

    def save(self, path):
        figures = [{"figure": figure, "wire": wire, "text": FIGURES[figure][0], "unit": FIGURES[figure][1],
                    "subjects": {subject: {"median": cell[0], "least": cell[1], "most": cell[2],
                                           "rounds": self.values[figure, wire, subject],
                                           "notes": sorted(self.notes.get((figure, wire, subject), ()))}
                                 for subject, cell in cells.items()}}
                   for figure, wire, cells in self.rows()]
        path.write_text(json.dumps({"machine": self.machine, "options": self.asked, "failed": self.failed,
                                    "commands": self.commands, "figures": figures}, indent=1) + "\n", encoding="utf-8")


def number(value):
    """Three figures that count, thousands apart."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def describe_machine(subjects):
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        cpu = next((line.split(":", 1)[1].strip() for line in cpuinfo if line.startswith("model name")), "?")
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "cpu": cpu,
        "cores": os.cpu_count(),
        "generator_core": w.LOAD_CORE,
        "subject_core": w.SUBJECT_CORE,
        "kernel": os.uname().release,
        "load_before": os.getloadavg()[0],
        "versions": {subject.name: subject.version() for subject in subjects},
    }
