#!/usr/bin/python3
"""Measures the store as a library, beside a map with mutexes and simulated policies, and writes a table:
`store_bench.py --help`.

Each part is a C program of this folder, linked with the archive that an embedding program would link. What can be
compared is measured in alternating rounds of one process; figures are medians of the rounds. A busy machine spoils
the speed, not the instructions, the memory or the miss ratios.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import signal
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from progress import Progress  # noqa: E402 (what bench.py has as well)
from report import cpu_model, table  # noqa: E402
from stage import ROOT, build_tools, pinned  # noqa: E402

MIB, GIB = 2**20, 2**30
PARTS = ("speed", "insight", "instructions", "threads", "memory", "hits", "pitfalls")
# Work: what it is called, and the functions whose instructions are counted.
INSTRUCTIONS = {
    "get": ("GET", ["nh_get"]),
    "get-insight": ("GET with insight", ["nh_get"]),
    "get-many": ("GET, 8 at once", ["nh_get_many"]),
    "peek": ("peek and release", ["nh_peek", "nh_release"]),
    "borrow": ("borrow and release", ["nh_borrow", "nh_release"]),
    "put": ("PUT over what is there", ["nh_put"]),
    "map-get": ("GET of mutex + LRU list", ["lru_map_get"]),
}
PITFALLS = ("classes", "lifetimes", "overwriting", "all-hot", "sizes", "borrowers", "growth", "clear", "sweep")
VALUE_SIZES = {20: 28, 100: 28, 1000: 40}  # bytes: goal in bytes per item
POLICIES = ("nuthatch", "S3-FIFO", "S3-FIFO, two hits", "SIEVE", "LRU", "most popular for ever")


class Goal:
    """One line of the last table."""

    def __init__(self, what, wanted, found, met):
        self.what, self.wanted, self.found, self.met = what, wanted, found, met

    @classmethod
    def at_most(cls, what, found, limit, form):
        return cls(what, "≤ " + form.format(limit), form.format(found), found <= limit)

    @classmethod
    def at_least(cls, what, found, limit, form):
        return cls(what, "≥ " + form.format(limit), form.format(found), found >= limit)


class StoreBench:
    def __init__(self, tools, progress, quick):
        self.tools, self.progress, self.quick = tools, progress, quick
        self.processes, self.sections, self.goals = [], [], []

    # ---- programs ------------------------------------------------------------------------------------

    def lines_of(self, command, steps, label):
        """Runs a program to its end: what it found, and what it said on stderr. It announces its steps itself,
        `steps` of them; one that has no steps counts as one."""
        if steps == 0:
            self.progress.step(label)
        process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, start_new_session=True,
                                   preexec_fn=pinned(None))
        self.processes.append(process)
        found = []
        try:
            for line in process.stdout:
                row = json.loads(line)
                if "step" not in row:
                    found.append(row)
                elif steps > 0:
                    self.progress.step(f"{label}: {row['step']}")
            said = process.stderr.read()
            if process.wait() != 0:
                raise RuntimeError(said.strip() or f"{command[0]} ended with status {process.returncode}")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            self.processes.remove(process)
        return found, said

    def run(self, program, label, steps=0, **options):
        command = [self.tools / program]
        for name, value in options.items():
            command += ["--" + name.replace("_", "-"), value]
        return self.lines_of(command, steps, label)[0]

    def close(self):
        for process in self.processes:
            process.kill()

    def add(self, title, explanation, head, rows, words=(0,)):
        self.sections.append(f"## {title}\n\n{explanation}\n\n{table(head, rows, words)}\n")
        self.progress.say(self.sections[-1])

    # ---- the parts -----------------------------------------------------------------------------------

    def speed_options(self):
        return ({"keys": 1_000_000, "rounds": 3, "memory_bytes": GIB // 2} if self.quick
                else {"keys": 10_000_000, "memory_bytes": 3 * GIB})

    def speed(self):
        options = self.speed_options()
        if self.quick:
            options["round_ops"] = 320_000
        rows = self.run("store_speed", "speed", 9, **options)
        rows += self.run("store_speed", "speed, huge pages", 8, huge_pages=1, with_map=0, **options)
        by_work = {}
        for row in rows:
            by_work.setdefault(row["work"], {})[row["subject"]] = row
        lines = [[work, subject, f"{row['median_ns']:.0f}", *((f"{row['p99_ns']:.0f}", f"{100 * row['missing']:.2f}")
                                                               if "p99_ns" in row else ("", ""))]
                 for work, subjects in by_work.items() for subject, row in subjects.items()]
        self.add(f"Speed: ns per operation, one thread, {options['keys']:,} items that all fit, Zipf 0.99",
                 "Keys of 32 bytes, values of 100; timed in groups of 16 operations. A GET waits for two loads from memory, "
                 "one after the other (the bucket, and the record that it points at) unless they are cached.",
                 ["operation", "who", "median ns", "p99 ns", "% missing"], lines, words=(0, 1))
        self.goals += [
            Goal.at_most("GET, one at a time", by_work["GET"]["nuthatch"]["median_ns"], 350, "{:.0f} ns"),
            Goal.at_most("GET, 8 at once", by_work["GET, 8 at once"]["nuthatch"]["median_ns"], 150, "{:.0f} ns"),
        ]

    def insight(self):
        """The mean and not the median: few reads are noted, and those cost more."""
        options = ({"keys": 1_000_000, "memory_bytes": GIB // 2, "rounds": 21} if self.quick
                   else {"keys": 3_000_000, "memory_bytes": 1_200_000_000, "rounds": 81})
        found = self.run("store_speed", "insight", 4, huge_pages=1, with_map=0, with_insight=1, only="GET",
                         round_ops=300_000, **options)
        rows = [row for row in found if row["work"] == "GET"]
        without, with_insight = (row["mean_ns"] for row in rows)
        more_percent = 100 * (with_insight / without - 1)
        self.add(f"What insight costs: mean ns of a GET, {options['keys']:,} items",
                 f"A miss-ratio curve and hot keys, from sampled reads; {options['rounds']} rounds of each, in turns.",
                 ["who", "mean ns", "p99 ns"],
                 [[row["subject"], f"{row['mean_ns']:.1f}", f"{row['p99_ns']:.0f}"] for row in rows])
        self.goals.append(Goal.at_most("insight, more time for a GET", more_percent, 2, "{:.1f} %"))

    def instructions(self):
        valgrind = shutil.which("valgrind")
        if valgrind is None:
            self.sections.append("## Instructions\n\nNot counted: valgrind is not on PATH.\n")
            return
        ops = 32_000 if self.quick else 96_000
        each = {}
        for work, (text, functions) in INSTRUCTIONS.items():
            _, said = self.lines_of([valgrind, "--tool=callgrind", "--collect-atstart=no",
                                     *(f"--toggle-collect={function}" for function in functions),
                                     "--callgrind-out-file=/dev/null", self.tools / "store_instructions", "--work",
                                     work, "--ops", ops], 0, f"instructions: {text}")
            each[text] = next(int(line.split()[-1]) for line in said.splitlines() if "Collected :" in line) / ops
        self.add("Instructions per operation, 100,000 items, Zipf 0.99",
                 "Counted by callgrind, from a call's first instruction to its last; keys of 32 bytes, values of 100.",
                 ["operation", "instructions"], [[text, f"{count:.0f}"] for text, count in each.items()])
        self.goals.append(Goal.at_most("GET, instructions", each["GET"], 350, "{:.0f}"))

    def threads(self):
        options = self.speed_options()
        if self.quick:
            options["ms"] = 200
        rows = self.run("store_threads", "threads", 6, **options)
        self.add(f"Two threads on one store, {options['keys']:,} items, Zipf 0.99",
                 "One thread on a processor of its own, and two; the ratio is the median of each round's.",
                 ["operations", "who", "million/s, one thread", "million/s, two", "two ÷ one"],
                 [[row["work"], row["subject"], f"{row['one'] / 1e6:.2f}", f"{row['two'] / 1e6:.2f}",
                   f"{row['ratio']:.2f}"] for row in rows], words=(0, 1))
        ratios = {row["work"]: row["ratio"] for row in rows if row["subject"] == "nuthatch"}
        self.goals += [
            Goal.at_least("two threads ÷ one, GET", ratios["GET"], 1.8, "{:.2f}"),
            Goal.at_least("two threads ÷ one, 90 % GET", ratios["90 % GET, 10 % PUT"], 1.6, "{:.2f}"),
        ]

    def memory(self):
        lines = []
        for value_bytes, goal in VALUE_SIZES.items():
            items = (1_000_000 if value_bytes == 1000 else 5_000_000) // (10 if self.quick else 1)
            row, = self.run("store_memory", f"memory: values of {value_bytes} bytes", value_bytes=value_bytes,
                            items=items, memory_bytes=(GIB if self.quick else 12 * GIB))
            lines.append([f"{value_bytes:,}", f"{items:,}", f"{row['rss_bytes'] / MIB:,.0f}",
                          f"{row['per_item']:.1f}", f"{row['index_per_item']:.1f}"])
            self.goals.append(Goal.at_most(f"bytes per item beside key and value, values of {value_bytes:,} bytes",
                                           row["per_item"], goal, "{:.1f}"))
        self.add("Memory per item", "Resident memory beside the 32 bytes of the key and the value; with a lifetime.",
                 ["bytes of the value", "items", "resident MiB", "bytes per item beside them", "of that, index"], lines)

        lines = []
        for limit in (64 * MIB,) if self.quick else (64 * MIB, 256 * MIB, GIB):
            row, = self.run("store_memory", f"memory: a full store of {limit // MIB} MiB", full=1, memory_bytes=limit)
            lines.append([f"{limit // MIB:,} MiB", f"{row['most_rss_bytes'] / MIB:,.1f}",
                          f"{100 * row['of_limit']:.1f} %", f"{row['told_bytes'] / MIB:,.1f}", f"{row['items']:,}"])
        self.goals.append(Goal.at_most("resident memory of a full store", 100 * row["of_limit"], 102,
                                       "{:.1f} % of the limit"))
        self.add("A full store against its limit", "Three times what fits was put; values of 100 to 400 bytes.",
                 ["limit", "resident MiB at most", "of the limit", "in use, as told, MiB", "items"], lines)

    def hits(self):
        scale = 8 if self.quick else 1
        small = {"keys": 1_000_000 // scale, "requests": 8_000_000 // scale, "memory_bytes": 32 * MIB // scale}
        replay = {"keys": 5_000_000 // scale, "requests": 20_000_000 // scale, "memory_bytes": 256 * MIB // scale}
        traces = {
            "Zipf 0.8": {**small, "exponent_percent": 80},
            "Zipf 0.99": small,
            "Zipf 1.2": {**small, "exponent_percent": 120},
            "Zipf 0.99, 20 % scans": {**small, "scan_percent": 20, "scan_run": 40_000 // scale},
            "Zipf 0.99, shifting": {**small, "shift_every": 250_000 // scale, "shift_keys": 2000 // scale},
            "replay": replay,
        }
        lines = []
        for name, options in traces.items():
            rows = {row["policy"]: row for row in self.run("store_hits", f"hits, {name}", 6, **options)}
            lines.append([name] + [f"{100 * rows[policy]['miss']:.2f}" if policy in rows else "–"
                                   for policy in POLICIES] + [f"{rows[who]['items']:,}" for who in POLICIES[:2]])
            miss, s3_fifo, lru = (100 * rows[policy]["miss"] for policy in ("nuthatch", "S3-FIFO", "LRU"))
            self.goals.append(Goal(f"missed, {name}", f"≤ S3-FIFO {s3_fifo:.2f} %, < LRU {lru:.2f} %", f"{miss:.2f} %",
                                   miss < s3_fifo + 0.05 and miss < lru))
        self.goals.append(Goal.at_most("missed, replay", miss, 15.0, "{:.2f} %"))
        self.add("Missed, in percent: get, or else put",
                 f"At equal memory: the store has {small['memory_bytes'] // MIB} MiB for {small['keys']:,} keys, the "
                 f"replay {replay['memory_bytes'] // MIB} MiB for {replay['keys']:,} by Zipf 0.99; to the simulated "
                 "policies, which are exact, an object costs its key, its value and 28 bytes. Keys of 32 bytes, values "
                 f"of 100 to 400. The first half of a trace warms up. Scans are runs of {40_000 // scale:,} keys that never "
                 f"come again, and do not count; shifting: each {250_000 // scale:,} requests the {2000 // scale:,} most "
                 "popular become the least.",
                 ["trace", *POLICIES, "items, nuthatch", "items, S3-FIFO"], lines)

    def pitfalls(self):
        rows = []
        for case in PITFALLS:
            rows += self.run("store_pitfalls", "pitfalls", 1, case=case, percent=10 if self.quick else 100)
        self.add("Pitfalls of a log of segments",
                 "One call at a time, so that the worst is seen; on a busy machine it is another program's turn."
                 + (" A tenth of the numbers named." if self.quick else ""),
                 ["what was timed", "calls", "median ns", "p99.9 ns", "worst µs", "what came of it"],
                 [[row["what"], f"{row['calls']:,}", f"{row['median_ns']:,.0f}", f"{row['p999_ns']:,.0f}",
                   f"{row['worst_ns'] / 1000:,.0f}", row["outcome"]] for row in rows], words=(0, 5))

    # ---- what it comes to ----------------------------------------------------------------------------

    def summary(self):
        rows = [[goal.what, goal.wanted, goal.found, "yes" if goal.met else "NO"] for goal in self.goals]
        note = ("Of a quick run, with fewer items: rough, and not what the goals were set for." if self.quick
                else f"{sum(goal.met for goal in self.goals)} of {len(self.goals)} reached.")
        text = f"## Goals\n\n{note}\n\n{table(['goal', 'wanted', 'found', 'reached'], rows, words=(0, 1, 2, 3))}\n"
        self.sections.insert(0, text)
        if self.progress.on_terminal:
            text = text.replace(" yes |", " \x1b[32myes\x1b[0m |").replace(" NO |", " \x1b[31mNO\x1b[0m |")
        self.progress.say(text)

    def report(self):
        now = datetime.datetime.now(datetime.timezone.utc)
        head = [f"# Bench of the store, {now:%Y-%m-%d %H:%M} UTC\n",
                f"{cpu_model()}, {os.cpu_count()} CPUs, Linux {platform.release()}"
                f"{'; a quick run' if self.quick else ''}.\n"]
        folder = ROOT / "bench/results"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{now:%Y-%m-%d-%H%M%S}-store.md"
        path.write_text("\n".join(head + self.sections), encoding="utf-8")
        return path


def steps_of(part, quick):
    """What the bar counts: the steps that the programs announce, or one for each run."""
    return {"speed": 17, "insight": 4, "instructions": len(INSTRUCTIONS), "threads": 6, "memory": 4 if quick else 6, "hits": 36,
            "pitfalls": len(PITFALLS)}[part]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer items and rounds: about a minute and a half, rough")
    parser.add_argument("--only", action="append", choices=PARTS, help="one part instead of all; may come again")
    parser.add_argument("--tools", type=pathlib.Path,
                        help="a folder with the programs; without it they are built in build/bench")
    arguments = parser.parse_args()

    tools = arguments.tools
    if tools is None:
        tools = ROOT / "build/bench"
        build_tools(tools)
    if not (tools / "store_speed").exists():
        sys.exit("the programs were not built: there is no build/release/libnuthatch.a (./dev build)")

    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell had them ignored
        signal.signal(number, signal.default_int_handler)
    parts = arguments.only or PARTS
    progress = Progress()
    progress.plan(sum(steps_of(part, arguments.quick) for part in parts))
    store_bench = StoreBench(tools.resolve(), progress, arguments.quick)
    try:
        for part in PARTS:
            if part in parts:
                getattr(store_bench, part)()
        store_bench.summary()
        progress.say(f"Saved as {store_bench.report().relative_to(ROOT)}")
    except RuntimeError as why:
        progress.say(f"Stopped: {why}")
        sys.exit(1)
    except KeyboardInterrupt:
        progress.say("Stopped.")
        sys.exit(130)
    finally:
        store_bench.close()


if __name__ == "__main__":
    main()
