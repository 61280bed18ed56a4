#!/usr/bin/python3
"""Measures the library through its bindings, beside what a program would take instead, and writes a table:
`bindings_bench.py --help`.

Every contestant is a program that does the same work (library.c says what its arguments mean): items of a fixed size
that all fit, nine reads of ten by Zipf 0.99, the tenth puts the item anew. A round is a process of each, one after the
other; figures are medians of the rounds, and ratios medians of each round's ratio. CPU time, so that a busy machine
matters less; where it is shared, the ratios are what to look at.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import shutil
import signal
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from progress import Progress  # noqa: E402 (what bench.py has as well)
from report import cpu_model, table  # noqa: E402
from stage import ROOT, Absent, build_tools, pinned  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
KEY_BYTES = 16
DEBIAN_CRATES = pathlib.Path("/usr/share/cargo/registry")
CARGO_CONFIG = f"""[source.crates-io]
replace-with = "debian"
[source.debian]
directory = "{DEBIAN_CRATES}"
"""


class Contestant:
    def __init__(self, language, name, command, reference=None):
        """`reference`: the name in C that its time is divided by."""
        self.language, self.name, self.command, self.reference = language, name, command, reference
        self.rounds = {}  # by threads: rows


def quietly(command, log, **options):
    with open(log, "wb") as file:
        if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=False, **options).returncode:
            raise Absent(f"could not be built: {log}")


def c_contestants(tools, _build):
    program = tools / "bindings_library"
    return [Contestant("C", subject, [program, subject]) for subject in ("peek", "borrow", "get")]


def rust_contestants(_tools, build):
    cargo = pathlib.Path("/usr/bin/cargo") # whose rustc is the one that Debian's crates are for
    if not cargo.exists() or not list(DEBIAN_CRATES.glob("lru-0.7*")):
        raise Absent("Debian's cargo and librust-lru-dev are not here")
    home, target = build / "cargo-home", build / "rust"
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.toml").write_text(CARGO_CONFIG)
    environment = {**os.environ, "PATH": "/usr/bin:/bin", "CARGO_HOME": str(home), "CARGO_TARGET_DIR": str(target),
                   "NUTHATCH_LIB_DIR": str(ROOT / "build/release"), "NUTHATCH_STATIC": "1"}
    # Cargo writes Cargo.lock beside Cargo.toml, and what Debian has decides what is in it: not in this tree.
    source = build / "rust-source"
    (source / "src").mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "rust/src/main.rs", source / "src")
    manifest = (HERE / "rust/Cargo.toml").read_text()
    (source / "Cargo.toml").write_text(manifest.replace("../../../bindings", str(ROOT / "bindings")))
    quietly([cargo, "build", "--release", "--offline"], build / "rust.log", cwd=source, env=environment)
    program = target / "release/bindings-rust"
    return [Contestant("Rust", subject, [program, subject], reference)
            for subject, reference in (("get-with", "peek"), ("get", "borrow"), ("get-into", "get"),
                                       ("rwlock-hashmap", None), ("lru", None))]


LANGUAGES = {"c": c_contestants, "rust": rust_contestants}


def measure(contestant, ids, options, threads):
    command = [*contestant.command, ids, options.items, options.value_bytes, options.memory_bytes, threads,
               options.operations // threads]
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          preexec_fn=pinned(None), check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{contestant.language} {contestant.name}: {done.stderr.strip()}")
    contestant.rounds.setdefault(threads, []).append(json.loads(done.stdout))


def rows_of(contestants, threads, options):
    in_c = {contestant.name: contestant for contestant in contestants if contestant.language == "C"}
    rows = []
    for contestant in contestants:
        found = contestant.rounds.get(threads, [])
        if not found:
            continue
        middle = {key: statistics.median(row[key] for row in found) for key in found[0]}
        ratio = ""
        if contestant.reference in in_c:
            ratios = [row["cpu_ns"] / reference["cpu_ns"]
                      for row, reference in zip(found, in_c[contestant.reference].rounds[threads])]
            ratio = f"{statistics.median(ratios):.2f} × {contestant.reference}"
        overhead = middle["bytes_per_item"] - KEY_BYTES - options.value_bytes
        rows.append([contestant.language, contestant.name, f"{middle['cpu_ns']:.0f}", f"{middle['ns']:.0f}", ratio,
                     f"{middle['bytes_per_item']:.0f}", f"{overhead:.0f}", f"{100 * (1 - middle['hit_ratio']):.2f}"])
    return rows


def report(contestants, options, absent):
    today = datetime.datetime.now()
    text = (f"# The library through its bindings\n\n{today:%Y-%m-%d %H:%M}, {cpu_model()}, {os.cpu_count()} processors, "
            f"Linux {platform.release()}. {options.items:,} items, keys of {KEY_BYTES} bytes, values of "
            f"{options.value_bytes}; {options.operations:,} operations a round, {options.rounds} rounds.\n")
    head = ["language", "who", "CPU ns/op", "ns/op", "÷ C", "bytes/item", "beyond key and value", "% missing"]
    for threads in options.threads:
        text += f"\n## {threads} thread{'s' if threads > 1 else ''}\n\n"
        text += table(head, rows_of(contestants, threads, options), words=(0, 1, 4)) + "\n"
    for language, why in absent.items():
        text += f"\n{language} is left out: {why}\n"
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=LANGUAGES, nargs="+", default=list(LANGUAGES), help="languages (all)")
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--value-bytes", type=int, default=100)
    parser.add_argument("--memory-bytes", type=int, default=512 << 20, help="of nuthatch; all items must fit")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--operations", type=int, default=6_000_000, help="in a round, of all threads")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=pathlib.Path, help="a file for the table; without it only shown")
    options = parser.parse_args()

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    progress, build, tools = Progress(), ROOT / "build/bench/bindings", ROOT / "build/bench"
    build.mkdir(parents=True, exist_ok=True)
    build_tools(tools)
    ids = build / "ids"
    subprocess.run([str(tools / "bindings_library"), "ids", str(ids), str(options.items), "4000000"], check=True)

    contestants, absent = [], {}
    for language in dict.fromkeys(["c", *options.only]):  # C first: what the others are compared with
        try:
            contestants += LANGUAGES[language](tools, build)
        except Absent as why:
            absent[language] = why
            progress.say(f"{language} is left out: {why}")
    progress.plan(options.rounds * len(options.threads) * len(contestants))
    for number in range(options.rounds):
        for threads in options.threads:
            for contestant in contestants:
                progress.step(f"round {number + 1}, {threads} thread(s), {contestant.language} {contestant.name}")
                measure(contestant, ids, options, threads)
    text = report(contestants, options, absent)
    progress.say(text)
    if options.output:
        options.output.write_text(text)


if __name__ == "__main__":
    main()
