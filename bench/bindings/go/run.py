#!/usr/bin/python3
"""Measures the library from Go beside what a Go program would take instead, all from Debian's packages, and prints tables:
`run.py --help`. Each figure is a process of its own; times are of the processor, medians of the rounds, so that a busy machine
matters less. Wants build/release/libnuthatch.so, and golang-go with the packages that PEERS names."""
import argparse
import array
import bisect
import itertools
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
BUILD = ROOT / "build" / "bench" / "bindings" / "go"
LIBRARY = ROOT / "build" / "release"
DEBIAN_GO = pathlib.Path("/usr/share/gocode")
PEERS = {"groupcache": "golang-github-golang-groupcache-dev", "hashicorp-lru": "golang-github-hashicorp-golang-lru-dev",
         "sync.Map": "golang-go", "go-cache": "golang-github-patrickmn-go-cache-dev",
         "bigcache": "golang-github-allegro-bigcache-dev", "ristretto": "golang-github-dgraph-io-ristretto-dev"}
SUBJECTS = ["nuthatch", "nuthatch-batch", *PEERS]
MEMORY_FOR_AN_ITEM = 64  # beside key and value


def environment():
    return {**os.environ, "GO111MODULE": "off", "GOPATH": f"{BUILD}/path:{DEBIAN_GO}", "GOCACHE": str(BUILD / "cache"),
            "PKG_CONFIG_PATH": str(BUILD), "LD_LIBRARY_PATH": str(LIBRARY)}


def built():
    """The program. Debian's packages are found by the way of Go without modules, and the binding beside them."""
    source = BUILD / "path" / "src"
    source.mkdir(parents=True, exist_ok=True)
    for name, folder in (("nuthatch", ROOT / "bindings" / "go"), ("bench", HERE)):
        link = source / name
        link.unlink(missing_ok=True)
        link.symlink_to(folder)
    (BUILD / "nuthatch.pc").write_text(f"Name: nuthatch\nDescription: the build tree's\nVersion: 0\n"
                                       f"Cflags: -I{ROOT}/include\nLibs: -L{LIBRARY} -lnuthatch\n")
    program = BUILD / "bench"
    if subprocess.run(["/usr/bin/go", "build", "-o", program, "bench"], env=environment(), check=False).returncode:
        sys.exit(f"it could not be built; it wants the packages {' '.join(sorted(set(PEERS.values())))}")
    return program


def zipf_ids(items):
    """A file of item numbers, Zipf 0.99."""
    path = BUILD / f"ids-{items}"
    if not path.exists():
        numbers = random.Random(1)
        sums = list(itertools.accumulate(1 / (rank + 1) ** 0.99 for rank in range(items)))
        order = list(range(items))
        numbers.shuffle(order)
        drawn = (order[min(bisect.bisect(sums, numbers.random() * sums[-1]), items - 1)] for _ in range(1_000_000))
        path.write_bytes(array.array("I", drawn).tobytes())
    return path


def figures(program, *words):
    done = subprocess.run([program, *map(str, words)], env=environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, words))}: {done.stderr}")
    return json.loads(done.stdout)


def median(rounds):
    return {name: statistics.median(row[name] for row in rounds) for name in rounds[0]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SUBJECTS, default=SUBJECTS)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--gc-items", type=int, default=5_000_000, help="0: no collections")
    parser.add_argument("--value-bytes", type=int, default=100)
    parser.add_argument("--operations", type=int, default=3_000_000, help="of each thread")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    program, ids = built(), zipf_ids(options.items)
    memory = options.items * (16 + options.value_bytes + MEMORY_FOR_AN_ITEM)
    for threads in options.threads:
        print(f"\n{threads} thread(s), {options.items:,} items, 90 % reads by Zipf 0.99 (a batch: reads alone)\n\n"
              f"{'':16}{'CPU ns/op':>12}{'bytes/item':>12}{'% missing':>12}")
        for subject in options.only:
            row = median([figures(program, subject, ids, options.items, options.value_bytes, memory, threads, options.operations)
                          for _ in range(options.rounds)])
            print(f"{subject:16}{row['cpu_ns']:12.0f}{row['bytes_per_item']:12.0f}{100 - 100 * row['hit_ratio']:12.2f}", flush=True)
    if options.gc_items == 0:
        return
    print(f"\na garbage collection, {options.gc_items:,} items\n\n{'':16}{'ms':>12}{'CPU ms':>12}{'longest stop µs':>17}")
    for subject in options.only:
        if subject != "nuthatch-batch":
            row = figures(program, subject, "gc", options.gc_items, options.value_bytes)
            print(f"{subject:16}{row['gc_ms']:12.1f}{row['gc_cpu_ms']:12.1f}{row['gc_pause_us']:17.0f}", flush=True)


if __name__ == "__main__":
    main()
