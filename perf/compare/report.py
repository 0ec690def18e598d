# SPDX-License-Identifier: Apache-2.0
"""
Puts the tables and plots of a run into docs/performance.md, so that no figure there is copied by hand.

  python3 -m perf.compare.report [RESULTS.json]      (default: perf/results/latest.json; "make bench-table")

What stands between the lines "<!-- bench NAME -->" and "<!-- end -->" is replaced; NAME is machine, goals, plots or figures. Plots
are docs/performance/*.svg.
"""
import json
import pathlib
import re
import shutil
import subprocess
import sys

from . import goals
from .load import WIRES
from .measures import FIGURES
from .results import number

ROOT = pathlib.Path(__file__).resolve().parents[2]
LATEST, PAGE, PLOTS = ROOT / "perf/results/latest.json", ROOT / "docs/performance.md", ROOT / "docs/performance"

# file: (title, axis, whether it is logarithmic, [(label, figure)]); a bar for each subject and wire, at each label.
BARS = {
    "connect": ("New connections, one core (more is better)", "a second", True, [("closed loop", "connect_rate")]),
    "connect-cpu": ("CPU of the core for a connection (less is better)", "us", True,
                    [("at the most", "connect_most_cpu_us"), ("at the common rate", "connect_cpu_us"),
                     ("common rate, work", "connect_work_us")]),
    "frames": ("Frames forwarded, one core (more is better)", "a second", True,
               [("64 bytes", "frames_64"), ("512", "frames_512"), ("1,460", "frames_1460")]),
    "latency-p50": ("Exchange of 64 bytes, p50 (less is better)", "us", True,
                    [(f"{n} % of its most", f"latency_p50_{n}") for n in (10, 50, 80)]),
    "latency-p99": ("Exchange of 64 bytes, p99 (less is better)", "us", True,
                    [(f"{n} % of its most", f"latency_p99_{n}") for n in (10, 50, 80)]),
    "bulk": ("Bulk, 1,460-byte segments (more is better)", "Gbit/s of payload", True,
             [("down", "bulk_down"), ("up", "bulk_up"), ("both", "bulk_both")]),
    "gigabyte-cpu": ("CPU of the core for a gigabyte (less is better)", "s", True,
                     [("at the most", "bulk_most_cpu_s"), ("at the common rate", "gigabyte_cpu_s"),
                      ("common rate, work", "gigabyte_work_s")]),
    "bridge": ("CPU for a bridged connection (less is better)", "ms", False,
               [("in all", "bridge_cpu_ms"), ("in handshake threads", "bridge_handshake_ms")]),
    "bridge-gigabyte": ("CPU of the core for a gigabyte bridged (less is better)", "s", False,
                        [("at the most", "bridge_gigabyte_most_cpu_s"), ("common rate", "bridge_gigabyte_cpu_s"),
                         ("common rate, work", "bridge_gigabyte_work_s")]),
    "bridge-held": ("Memory of an idle bridged connection (less is better)", "bytes", False,
                    [("process", "bridge_held_bytes"), ("kernel", "bridge_held_slab")]),
    "held": ("Memory of a held connection (less is better)", "bytes", True,
             [("process", "held_bytes"), ("kernel", "held_slab")]),
    "flows": ("Frames forwarded as flows grow, memif (more is better)", "a second", False,
              [(f"{n:,}", f"flows_{n}") for n in (1000, 10000, 100000, 1000000, 2000000)]),
    "flows-work": ("Work of the core for a frame as flows grow, memif (less is better)", "ns", False,
                   [(f"{n:,}", f"flows_{n}_ns") for n in (1000, 10000, 100000, 1000000, 2000000)]),
    "resident": ("Resident memory as services grow (less is better)", "MB", True,
                 [(f"{n:,}", f"resident_{n}") for n in (1, 1000, 100000)]),
}


def read(path):
    return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))


def cells(run):
    """{(figure, wire, subject): {"median", "least", "most", "notes", …}}"""
    return {(row["figure"], row["wire"], subject): cell for row in run["figures"] for subject, cell in row["subjects"].items()}


def plots(run, folder):
    """Bars with the least and the most of the rounds as whiskers, one file for each of BARS that has figures."""
    if not shutil.which("gnuplot"):
        print("no plots: gnuplot is not installed", file=sys.stderr)
        return
    folder.mkdir(parents=True, exist_ok=True)
    known = cells(run)
    for name, (title, axis, logarithmic, labels) in BARS.items():
        series = [(wire, subject) for wire in WIRES for subject in run["machine"]["versions"]
                  if any((figure, wire, subject) in known for _, figure in labels)]
        if not series:
            continue
        data = []
        for label, figure in labels:
            row = [f'"{label}"']
            for wire, subject in series:
                cell = known.get((figure, wire, subject))
                good = cell is not None and cell["median"] > 0
                row += [str(cell[key]) for key in ("median", "least", "most")] if good else ["NaN"] * 3
            data.append(" ".join(row))
        bars = ", ".join(f'$data using {3 * i + 2}:{3 * i + 3}:{3 * i + 4}:xtic(1) title "{subject} ({wire})"'
                         for i, (wire, subject) in enumerate(series))
        script = "\n".join([
            'set terminal svg size 800,400 font "sans,12" background "#ffffff"', f'set output "{folder / name}.svg"',
            f'set title "{title}"', f'set ylabel "{axis}"', "set logscale y" if logarithmic else "set yrange [0:*]",
            "set style data histograms", "set style histogram errorbars gap 1.5 linewidth 1", "set style fill solid 0.8",
            "set boxwidth 0.9", "set grid ytics", "set key outside right top", 'set format y "%.0s%c"', "$data << EOD", *data, "EOD",
            f"plot {bars}"])
        subprocess.run(["gnuplot"], input=script + "\n", text=True, check=True, capture_output=True)


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def machine_text(run):
    machine, taken = run["machine"], [len(cell["rounds"]) for cell in cells(run).values()]
    versions = [f"{name}: {version}" for name, version in machine["versions"].items()]
    text = [f"{machine['time']}, {machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}; load average before it "
            f"{machine['load_before']:.1f}; {min(taken)} to {max(taken)} rounds. " + "; ".join(versions) + "."]
    text += [f"- failed: {failure}" for failure in run["failed"]]
    return "\n".join(text)


def goals_text(run):
    medians = {key: cell["median"] for key, cell in cells(run).items()}
    return table(("goal", "measured", "bound", ""), goals.rows(medians))


def cell_text(cell):
    if cell is None:
        return ""
    spread = 50 * (cell["most"] - cell["least"]) / cell["median"] if cell["median"] else 0
    return number(cell["median"]) + (f" ±{spread:.0f} %" if len(cell["rounds"]) > 1 else "") + ("\\*" if cell["notes"] else "")


def figures_text(run):
    """A table for each wire, and what the marks mean."""
    known, parts = cells(run), []
    for wire, what in WIRES.items():
        subjects = [name for name in run["machine"]["versions"] if any(key[1:] == (wire, name) for key in known)]
        rows = [[text + (f", {unit}" if unit else "")] + [cell_text(known.get((figure, wire, name))) for name in subjects]
                for figure, (text, unit, _) in FIGURES.items() if any((figure, wire, name) in known for name in subjects)]
        if rows:
            parts += [f"**{wire}**: {what}", table(["", *subjects], rows)]
    doubts = {}
    for (_, wire, subject), cell in known.items():
        for said in cell["notes"]:
            said = re.sub(r"\d+", "N", said)
            doubts.setdefault(said, set()).add(f"{subject} ({wire})")
    parts.append("\\* a run had doubts about itself:")
    parts.append("\n".join(f"- {said}: {', '.join(sorted(who))}" for said, who in sorted(doubts.items())))
    return "\n\n".join(parts)


def plots_text(_run):
    return "\n".join(f"![{BARS[path.stem][0]}]({path.relative_to(PAGE.parent)})" for path in sorted(PLOTS.glob("*.svg")))


def write(path):
    """Tables into the page, plots beside it."""
    run, page = read(path), PAGE.read_text(encoding="utf-8")
    shutil.rmtree(PLOTS, ignore_errors=True)  # a plot of figures that this run hasn't
    plots(run, PLOTS)
    for name, make in ("machine", machine_text), ("goals", goals_text), ("plots", plots_text), ("figures", figures_text):
        found = re.compile(rf"(<!-- bench {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not found.search(page):
            raise RuntimeError(f"{PAGE} has no place for {name}")
        text = make(run)
        page = found.sub(lambda match, text=text: f"{match[1]}{text}\n{match[2]}", page)
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    write(sys.argv[1] if len(sys.argv) > 1 else LATEST)
