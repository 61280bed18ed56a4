#!/usr/bin/python3
"""Measures the library from Python beside what a Python program would take instead, and prints tables: `run.py --help`. Each
figure is a process of its own (work.py); times are of the processor, medians of the rounds, so that a busy machine matters
less. Wants build/release/libnuthatch.so, and Debian's python3-cachetools."""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(HERE.parents[1]))
from progress import Progress  # noqa: E402 (what bench.py has as well)

BUILD = ROOT / "build" / "bench" / "bindings" / "python"
SUBJECTS = ["loop", "nuthatch", "dict-lock", "lru_cache", "cachetools", "cachetools-ttl"]
KEY_BYTES = 16


def installed():
    """The folder to import the package from."""
    source, folder = BUILD / "source", BUILD / "site"
    for path in (source, folder):
        shutil.rmtree(path, ignore_errors=True)
    package = source / "bindings" / "python"  # where pip may write, and what it looks for in the tree beside it
    package.parent.mkdir(parents=True)
    for part in ("CMakeLists.txt", "include", "src"):
        (source / part).symlink_to(ROOT / part)
    shutil.copytree(ROOT / "bindings" / "python", package, ignore=shutil.ignore_patterns("__pycache__", "tests"))
    environment = {**os.environ, "NUTHATCH_LIB_DIR": str(ROOT / "build" / "release")}
    done = subprocess.run([sys.executable, "-m", "pip", "install", "--no-build-isolation", "--no-index", "--no-deps", "--quiet",
                           "--disable-pip-version-check", "--target", folder, package],
                          env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"pip could not install the binding:\n{done.stdout}{done.stderr}")
    return folder


def figures(folder, *words):
    done = subprocess.run([sys.executable, HERE / "work.py", *map(str, words)], env={**os.environ, "PYTHONPATH": str(folder)},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, words))}:\n{done.stderr}")
    return json.loads(done.stdout)


def cell(row, name):
    return f"{row[name]:12.0f}" if name in row else f"{'-':>12}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SUBJECTS, default=SUBJECTS)
    parser.add_argument("--items", type=int, default=300_000)
    parser.add_argument("--value-bytes", type=int, default=100)
    parser.add_argument("--operations", type=int, default=1_000_000, help="of each thread and kind")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    folder, progress = installed(), Progress()
    progress.plan(len(options.threads) * options.rounds * len(options.only))
    rounds = {}
    for number in range(options.rounds):
        for threads in options.threads:
            for subject in options.only:
                progress.step(f"round {number + 1}, {threads} thread(s), {subject}")
                rounds.setdefault((threads, subject), []).append(
                    figures(folder, subject, options.items, options.value_bytes, options.operations, threads))
    for threads in options.threads:
        print(f"\nPython {sys.version.split()[0]}, {threads} thread(s), {options.items:,} items of {KEY_BYTES} + "
              f"{options.value_bytes} bytes; ns of the processor without the loop's own\n\n"
              f"{'':16}{'get':>12}{'set':>12}{'get_many/key':>14}{'bytes/item':>12}{'beyond':>10}{'% missing':>12}")
        for subject in options.only:
            found = rounds[threads, subject]
            row = {name: statistics.median(one[name] for one in found) for name in found[0]}
            memory = row["bytes_per_item"] if subject != "loop" else None
            print(f"{subject:16}{cell(row, 'get_ns')}{cell(row, 'set_ns')}{cell(row, 'get_many_ns'):>14}" +
                  (f"{memory:12.0f}{memory - KEY_BYTES - options.value_bytes:10.0f}" if memory is not None else f"{'-':>12}{'-':>10}") +
                  f"{100 * (1 - row['found']):12.2f}")


if __name__ == "__main__":
    main()
