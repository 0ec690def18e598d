# SPDX-License-Identifier: Apache-2.0
"""Figures of several rounds: medians with their spread, as a table, as JSON, as plots."""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import time

from . import world as w
from .measures import FIGURES


class Results:
    def __init__(self, machine):
        self.machine = machine
        self.values = {}  # (figure, wire, subject): [value of each round]
        self.notes = {}   # the same: what the runs said against themselves
        self.failed = []

    def add(self, figure, wire, subject, value, said):
        self.values.setdefault((figure, wire, subject), []).append(value)
        if said:
            self.notes.setdefault((figure, wire, subject), set()).add(said)

    def rows(self):
        """(figure, wire, {subject: (median, least, most)}) in the order of FIGURES."""
        for figure in FIGURES:
            for wire in ("memif", "veth"):
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

    def save(self, folder):
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / time.strftime("%Y%m%d-%H%M%S.json")
        figures = [{"figure": figure, "wire": wire, "text": FIGURES[figure][0], "unit": FIGURES[figure][1],
                    "subjects": {subject: {"median": cell[0], "least": cell[1], "most": cell[2],
                                           "rounds": self.values[figure, wire, subject],
                                           "notes": sorted(self.notes.get((figure, wire, subject), ()))}
                                 for subject, cell in cells.items()}}
                   for figure, wire, cells in self.rows()]
        path.write_text(json.dumps({"machine": self.machine, "failed": self.failed, "figures": figures}, indent=1),
                        encoding="utf-8")
        if shutil.which("gnuplot"):
            for figure, wire, cells in self.rows():
                plot(path.with_suffix(""), figure, wire, cells)
        return path


def number(value):
    """Three figures that count, thousands apart."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def plot(folder, figure, wire, cells):
    """One SVG of bars, with the least and the most of the rounds as whiskers."""
    folder.mkdir(exist_ok=True)
    text, unit, more = FIGURES[figure]
    data = "".join(f'"{subject}" {median} {least} {most}\n' for subject, (median, least, most) in cells.items())
    script = f"""set terminal svg size 640,360 font "sans,12" background "#ffffff"
set output "{folder / (figure + '-' + wire + '.svg')}"
set title "{text} ({wire}; {'more' if more else 'less'} is better)"
set ylabel "{unit}"
set yrange [0:*]
set boxwidth 0.6
set style fill solid 0.7
set grid ytics
unset key
$data << EOD
{data}EOD
plot $data using 0:2:xtic(1) with boxes linecolor rgb "#35618f", \\
     $data using 0:2:3:4 with yerrorbars linecolor rgb "#222222" pointtype 0
"""
    subprocess.run(["gnuplot"], input=script, text=True, check=True, capture_output=True)


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
