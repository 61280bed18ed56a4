"""Thousands who watch one resource that the gateway asks for once a second: how soon after a change the last of them
has it, and what each costs."""

import json
import pathlib
import subprocess
import time

from report import median, table
from servers import nuthatch_binary
from stage import LOAD_CPU, Absent, free_port, pinned

LOOPS = {"uring": "io_uring", "epoll": "epoll"}
INTERVAL_SECONDS = 1
TARGET = "/max-age=0/state"
# How many watch, of them never read, bytes of an event about.
CROWDS = ((10_000, 0, 1024), (10_000, 100, 1024), (1_000, 10, 16 * 1024))
# Of the first, which is what was aimed at.
LAST_MS, RSS_KIB, CPU_US, REQUESTS = 150, 12, 6.0, 1.1


def count_live_steps(rounds):
    return len(LOOPS) * len(CROWDS) * rounds


def start_stamping_origin(stage, body_bytes):
    port = free_port()
    return stage.start("origin", [stage.tools / "slow_origin", "--port", port, "--delay-ms", 0, "--stamps", 1, "--body-bytes",
                                  body_bytes], port, LOAD_CPU)


def start_live_gateway(stage, loop, origin):
    path, port = nuthatch_binary(stage), free_port()
    return stage.start(f"nuthatch ({LOOPS[loop]})", [
        path, "gateway", f"http://127.0.0.1:{origin.port}", "--listen", f"http://127.0.0.1:{port}", "--threads", 1, "--loop", loop,
        "--memory", "64M", "--live", "yes", "--live-interval", f"{INTERVAL_SECONDS}s"], port)


def watch(stage, server, watchers, slow, seconds, origin_count):
    """What the watchers saw, and what each of them took: with its share of the ring of changes."""
    empty = server.rss_bytes()
    command = [stage.tools / "watch_http", "--port", server.port, "--target", TARGET, "--watchers", watchers, "--slow", slow,
               "--ms", int(seconds * 1000), "--pids", ",".join(map(str, server.pids()))]
    process = subprocess.Popen([str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=pinned(LOAD_CPU))
    stage.loads.append(process)
    try:
        if not process.stdout.readline():
            raise RuntimeError(process.stderr.read().strip() or "the load generator ended")
        origin_count()
        begun = time.monotonic()
        out, err = process.communicate(timeout=seconds + 60)  # its stdin is closed: it begins to measure
        requests, passed = origin_count(), time.monotonic() - begun
        if process.returncode != 0:
            raise RuntimeError(err.strip() or f"watch_http ended with status {process.returncode}")
        found = json.loads(out)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        stage.loads.remove(process)
    found["cpu_us"] = found["user_us"] + found["system_us"]
    found["per_interval"] = requests * INTERVAL_SECONDS / passed
    found["rss_bytes"] = (peak_bytes(server) - empty) / watchers
    return found


def peak_bytes(server):
    """The most that was resident at any time: after the run its connections are gone."""
    for line in pathlib.Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the kernel does not say how much was resident")


def measure(bench, loop, watchers, slow, body_bytes, seconds):
    """On a server of its own: what one crowd leaves behind is not the next one's."""
    bench.stage.origin = origin = start_stamping_origin(bench.stage, body_bytes)
    try:
        server = start_live_gateway(bench.stage, loop, origin)
        try:
            return watch(bench.stage, server, watchers, slow, seconds, bench.origin_count)
        finally:
            server.stop()
            bench.stage.servers.remove(server)
    finally:
        origin.stop()
        bench.stage.servers.remove(origin)


def line_of(name, crowd, rows):
    watchers, slow, body_bytes = crowd
    return [name, f"{watchers:,}", slow, f"{body_bytes:,}", f"{median(rows, 'versions'):.0f}", f"{median(rows, 'missed'):.0f}",
            f"{median(rows, 'first_ms'):.1f}", f"{median(rows, 'last_ms'):.1f}", f"{max(row['worst_ms'] for row in rows):.1f}",
            f"{median(rows, 'rss_bytes') / 1024:.1f}", f"{median(rows, 'cpu_us'):.2f}", f"{median(rows, 'per_interval'):.2f}"]


def goals_of(name, rows):
    goals = (("ms from a change to its last delivery, median", median(rows, "last_ms"), LAST_MS),
             ("KiB resident per watcher, at most at any time", median(rows, "rss_bytes") / 1024, RSS_KIB),
             ("server CPU µs per delivered event", median(rows, "cpu_us"), CPU_US),
             ("requests to the origin per interval", median(rows, "per_interval"), REQUESTS))
    return [[what, name, f"{found:.2f}", f"≤ {limit}", "yes" if found <= limit else "**no**"] for what, found, limit in goals]


def run_live(bench):
    seconds = bench.seconds
    lines, goals, failures = [], [], ""
    for crowd in CROWDS:
        rows = {loop: [] for loop in LOOPS}
        for number in range(bench.rounds):
            for loop in LOOPS:
                watchers, slow, body_bytes = crowd
                bench.progress.step(f"{watchers:,} watchers, {slow} slow, {body_bytes:,} bytes: {LOOPS[loop]}, round {number + 1}")
                try:
                    rows[loop].append(measure(bench, loop, *crowd, seconds))
                except (Absent, OSError, RuntimeError, subprocess.SubprocessError) as why:
                    failures += f"\nnuthatch ({LOOPS[loop]}) failed with {watchers:,} watchers, {slow} slow: {why}\n"
        for loop, results in rows.items():
            if results:
                lines.append(line_of(f"nuthatch ({LOOPS[loop]})", crowd, results))
            if results and crowd == CROWDS[0]:
                goals += goals_of(f"nuthatch ({LOOPS[loop]})", results)
    head = ["server", "watchers", "never read", "bytes", "changes", "missed", "first ms", "last ms", "worst ms", "KiB per watcher",
            "CPU µs/event", "requests/interval"]
    text = (f"## Live: a change every {INTERVAL_SECONDS} s for {seconds:g} s\n\n{table(head, lines)}\n{failures}\n"
            "Times are from when the origin first said so to the first and to the last watcher that reads, of each change; medians, "
            "and the worst of all. Missed: what a watcher got a newer version in place of.\n")
    if goals:
        text += f"\n{table(['what', 'server', 'found', 'goal', 'held'], goals, (0, 1, 4))}\n"
    bench.sections.append(text)
    bench.progress.say(text)
