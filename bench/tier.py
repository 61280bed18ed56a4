"""The shared tier: what is near beside what is local, what is not near beside the tier itself, how many writes carry it
there, and a fleet that asks for one thing."""

import concurrent.futures
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request

from report import speed_section, table
from servers import SLOW_MS, start_nuthatch_cache, start_slow_origin
from stage import Absent
from tier_servers import PRIMARIES, TIER_CPU, Cluster
from turns import Turns
from workloads import CROWD, Workload, fill

LOOPS = {"uring": "io_uring", "epoll": "epoll"}
KEYS = 100_000
DEPTHS = (1, 16)
CLIENTS = (1, 50, 500)  # that wait for what is not near
FLEET = 2
PREFIX = "{t}:"  # of keys that one primary has
# Read in turn, a key comes again after a second or more: it is near no longer then.
NEVER_NEAR = ("--near-ttl", "100ms")
NEAR_AT_MOST, MISS_AT_MOST = 1.15, 1.3
GET = {"protocol": "resp", "keys": KEYS}
MISS = {**GET, "prefix": PREFIX, "in_turn": 1}


class Goals:
    def __init__(self):
        self.rows = []

    def add(self, what, loop, found, limit, unit=""):
        self.rows.append([what, LOOPS[loop], f"{found:.2f}{unit}" if isinstance(found, float) else f"{found:,}{unit}",
                          f"≤ {limit:,}{unit}", "yes" if found <= limit else "**no**"])

    def section(self):
        where = "the servers' CPU" if TIER_CPU == 0 else "one of its own"
        return (f"## The shared tier\n\nA cluster of {PRIMARIES} primaries without replicas on CPU {TIER_CPU}, {where}; "
                f"nuthatch with one thread.\n\n{table(['what', 'loop', 'found', 'goal', 'held'], self.rows, (0, 1, 4))}\n")


def in_rounds(bench, running, what, measure):
    """What `measure` finds of each server, round by round, and why there is nothing of some."""
    rows, failed = {name: [] for name in running}, {}
    for number in range(bench.rounds):
        for name, server in running.items():
            bench.progress.step(f"{what}: {name}, round {number + 1}")
            if name in failed:
                continue
            try:
                rows[name].append(measure(server))
            except (Absent, OSError, RuntimeError, subprocess.SubprocessError) as why:
                failed[name] = str(why) or type(why).__name__
                bench.absent[f"{what}: {name}"] = failed[name].splitlines()[0]
    return {name: results for name, results in rows.items() if name not in failed}, failed


def say(bench, text):
    bench.sections.append(text)
    bench.progress.say(text)


def stop_all(servers):
    for server in servers:
        server.stop()


def ratio(rows, ours, theirs, key):
    """Of each round; None if either was not measured."""
    if not rows.get(ours) or not rows.get(theirs):
        return None
    return float(statistics.median(a[key] / b[key] for a, b in zip(rows[ours], rows[theirs])))


# ---- what is near --------------------------------------------------------------------------------------


def local_name(loop):
    return f"purely local ({LOOPS[loop]})"


def near_name(loop):
    return f"near ({LOOPS[loop]})"


def have_all_near(stage, server, cluster):
    for _ in range(20):
        before = cluster.gets()
        done = stage.load("load_kv", port=server.port, connections=1, depth=100, in_turn=1, ms=1500, warm_up_ms=0, **GET)
        if done["requests"] >= KEYS and cluster.gets() - before < KEYS // 100:
            return
    raise Absent("what was read did not become near")


def run_near(bench, cluster, goals):
    servers, are_near = {}, set(map(near_name, LOOPS))
    for loop in LOOPS:
        servers |= {local_name(loop): start_nuthatch_cache(loop), near_name(loop): cluster.starter("cache", loop)}

    def prepare(stage, server):
        if server.name in are_near:
            have_all_near(stage, server, cluster)
        else:
            fill("resp")(stage, server)

    running = bench.start_all("near", servers, prepare, len(DEPTHS) * bench.rounds)
    for depth in DEPTHS:
        workload = Workload(f"RESP GET of what is near, 50 connections, depth {depth}", list(map(local_name, LOOPS)), "load_kv",
                            connections=50, depth=depth, **GET)

        def measure(server, workload=workload):
            before = cluster.gets()
            result = bench.measure(workload, server)
            if server.name in are_near and cluster.gets() - before > result["requests"] // 100:
                raise RuntimeError("the tier was asked: not all was near")
            return result

        rows, failed = in_rounds(bench, running, workload.name, measure)
        say(bench, speed_section(workload, rows, failed))
        for loop in LOOPS:
            found = ratio(rows, near_name(loop), local_name(loop), "cpu_us")
            if found is not None:
                goals.add(f"near ÷ purely local GET, server CPU, depth {depth}", loop, found, NEAR_AT_MOST)
    stop_all(running.values())


# ---- what is not ---------------------------------------------------------------------------------------


def through_name(loop):
    return f"through nuthatch ({LOOPS[loop]})"


def run_miss(bench, cluster, goals):
    direct = "its primary, asked directly"
    running = bench.start_all("miss", {through_name(loop): cluster.starter("cache", loop, *NEVER_NEAR) for loop in LOOPS},
                              lambda stage, server: None, bench.rounds)
    workload = Workload("RESP GET of what is not near, 1 connection, depth 1", [], "load_kv", connections=1, depth=1, **MISS)

    def measure(server):
        before = cluster.gets()
        result = bench.measure(workload, server)
        if cluster.gets() - before < result["requests"]:
            raise RuntimeError("the tier was not asked each time")
        return result

    rows, failed = in_rounds(bench, {direct: cluster.owner(PREFIX), **running}, workload.name, measure)
    head = ["who answers", "requests/s", "p50 µs", "p99 µs", "p50 ÷ direct", "p99 ÷ direct"]
    lines = []
    for name, results in rows.items():
        ratios = [ratio(rows, name, direct, key) for key in ("p50_us", "p99_us")]
        medians = [f"{statistics.median(row[key] for row in results):,.0f}" for key in ("per_second", "p50_us", "p99_us")]
        lines.append([name, *medians,
                      *("–" if each is None else f"{each:.2f}" for each in ratios)])
    text = f"## {workload.name}\n\n{table(head, lines)}\n"
    say(bench, text + "".join(f"\n{name} failed: {why}\n" for name, why in failed.items()))
    for loop in LOOPS:
        for percentile in ("p50", "p99"):
            found = ratio(rows, through_name(loop), direct, f"{percentile}_us")
            if found is not None:
                goals.add(f"through nuthatch ÷ its primary, depth 1, {percentile}", loop, found, MISS_AT_MOST)
    stop_all(running.values())


# ---- writes ----------------------------------------------------------------------------------------------


class Held:
    """Clients whose requests wait while the server stands still, so that it finds all of them when it goes on."""

    def __init__(self, server, count):
        self.server, self.number = server, 0
        self.sockets = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(count)]
        self.ask()
        self.take()  # all are accepted

    def ask(self):
        for each in self.sockets:
            key = f"{PREFIX}{self.number % KEYS:07}".encode()
            each.sendall(b"*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n" % (len(key), key))
            self.number += 1

    def is_held(self):
        """Whether each of its threads stands still."""
        states = [path.read_text(encoding="utf-8").rpartition(")")[2].split()[0]
                  for path in pathlib.Path(f"/proc/{self.server.process.pid}/task").glob("*/stat")]
        return all(state in "Tt" for state in states)

    def take(self):
        answer = b"$100\r\n" + b"v" * 100 + b"\r\n"
        for each in self.sockets:
            got = b""
            while len(got) < len(answer) and (piece := each.recv(4096)):
                got += piece
            if got != answer:
                raise RuntimeError(f"a client that was held was answered {got[:60]!r}")

    def writes(self, cluster):
        """How many it took to ask for all at once, and how many turns of the loop."""
        pid = self.server.process.pid
        time.sleep(0.15)  # nothing of what was asked before is near any more
        gets, before = cluster.gets(), cluster.writes_of(self.server)
        with Turns(cluster.stage, self.server) as turns:
            os.kill(pid, signal.SIGSTOP)
            try:
                deadline = time.monotonic() + 10
                while not self.is_held():
                    if time.monotonic() > deadline:
                        raise RuntimeError("it does not stand still")
                    time.sleep(0.001)
                self.ask()
            finally:
                os.kill(pid, signal.SIGCONT)
            self.take()
        written = cluster.writes_of(self.server) - before
        if cluster.gets() - gets < len(self.sockets):
            raise RuntimeError("the tier was not asked for each")
        return written, turns.count

    def close(self):
        for each in self.sockets:
            each.close()


def run_writes(bench, cluster, goals):
    # A canary, which is a write as well, goes out every quarter of it.
    options = (*NEVER_NEAR, "--max-staleness", "60s")
    names = {f"nuthatch ({title})": loop for loop, title in LOOPS.items()}
    running = bench.start_all("writes", {name: cluster.starter("cache", loop, *options) for name, loop in names.items()},
                              lambda stage, server: None, len(CLIENTS) * bench.rounds)
    lines, failures = [], ""
    for clients in CLIENTS:
        def measure(server, clients=clients):
            held = Held(server, clients)
            try:
                written, turns = held.writes(cluster)
            finally:
                held.close()
            gets, before = cluster.gets(), cluster.writes_of(server)
            bench.stage.load("load_kv", port=server.port, connections=clients, depth=1, ms=int(bench.seconds * 1000), **MISS)
            return {"written": written, "turns": turns, "ratio": written / turns,
                    "each": (cluster.gets() - gets) / (cluster.writes_of(server) - before)}

        rows, failed = in_rounds(bench, running, f"writes to the tier, clients: {clients}", measure)
        failures += "".join(f"\n{name} failed with {clients}: {why}\n" for name, why in failed.items())
        for name, results in rows.items():
            lines.append([name, clients, *(f"{statistics.median(row[key] for row in results):.{digits}f}" for key, digits in
                                           (("written", 0), ("turns", 0), ("each", 1)))])
            goals.add(f"writes per turn of the loop, clients: {clients}", names[name], max(row["ratio"] for row in results), 1)
    head = ["server", "clients", "writes for all at once", "turns of the loop", "GETs per write in a closed loop"]
    say(bench, f"## Writes to a primary for clients that wait for what is not near\n\n{table(head, lines)}\n{failures}\n"
        "All at once: the server stands still (SIGSTOP) until each has asked. Turns are all those that something came in, the "
        "answers, too; epoll hands over 256 events in one, io_uring as many as the kernel likes. Writes are counted as TCP "
        "segments, by the kernel.\n")
    stop_all(running.values())


# ---- a fleet ---------------------------------------------------------------------------------------------


def are_a_fleet(first, other, target):
    """Whether the one has by way of the tier what the other fetched."""
    for server in (first, other):
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{target}", timeout=10) as answer:
            answer.read()
    return "detail=tier" in (answer.headers["Cache-Status"] or "")


def start_fleet(bench, cluster, loop):
    servers = [cluster.starter("gateway", loop)(bench.stage, f"node {number} ({LOOPS[loop]})") for number in range(FLEET)]
    # Before its connections stand a node goes on alone.
    for attempt in range(5):
        if all(are_a_fleet(servers[0], other, f"/max-age=60/{loop}-first-{attempt}-{other.port}") for other in servers[1:]):
            return servers
    raise Absent("a node did not have by way of the tier what another fetched")


def run_fleet(bench, cluster, goals):
    bench.stage.origin = start_slow_origin(bench.stage)
    fleets = {}
    for loop in LOOPS:
        try:
            fleets[f"nuthatch ({LOOPS[loop]})"] = start_fleet(bench, cluster, loop)
        except (Absent, OSError) as why:
            bench.absent[f"fleet: {LOOPS[loop]}"] = str(why)
            bench.progress.total -= bench.rounds
    targets = iter(range(1_000_000))

    def measure(servers):
        target = f"/max-age=60/crowd-{next(targets)}"
        bench.origin_count()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            loads = [pool.submit(bench.stage.load, "crowd_http", port=server.port, target=target, clients=CROWD)
                     for server in servers]
            last_ms = max(load.result()["last_ms"] for load in loads)
        return {"requests": bench.origin_count(), "last_ms": last_ms}

    rows, _ = in_rounds(bench, fleets, f"{FLEET} nodes × {CROWD:,} clients", measure)
    lines = []
    for loop, title in LOOPS.items():
        results = rows.get(f"nuthatch ({title})")
        if not results:
            continue
        most = max(row["requests"] for row in results)
        lines.append([f"nuthatch ({title})", f"{statistics.median(row['requests'] for row in results):.0f}", f"{most:,}",
                      f"{statistics.median(row['last_ms'] for row in results) / 1000:.3f}"])
        goals.add(f"requests to the origin for {FLEET} nodes × {CROWD:,} clients, at most in a round", loop, most, 1)
    say(bench, f"## {FLEET} nodes, {CROWD:,} clients each at once, one URL that nobody has, an origin that takes "
        f"{SLOW_MS / 1000:g} s\n\n"
        f"{table(['servers', 'requests', 'at most', 'last s'], lines)}\n")
    for servers in fleets.values():
        stop_all(servers)


# ---- all of it ---------------------------------------------------------------------------------------------


def count_tier_steps(rounds):
    return rounds * (2 * len(LOOPS) * len(DEPTHS) + len(LOOPS) + 1 + len(LOOPS) * len(CLIENTS) + len(LOOPS))


def run_tier(bench):
    bench.progress.show("starting the cluster")
    try:
        cluster = Cluster(bench.stage)
    except Absent as why:
        sys.exit(f"the cluster: {why}")
    goals, first = Goals(), len(bench.sections)
    filler = cluster.starter("cache", "auto")(bench.stage, "who fills the cluster")
    for prefix in ("key:", PREFIX):
        bench.stage.load("load_kv", port=filler.port, fill=1, prefix=prefix, **GET)
    filler.stop()
    for part in (run_near, run_miss, run_writes, run_fleet):
        part(bench, cluster, goals)
    bench.sections.insert(first, goals.section())
    bench.progress.say(bench.sections[first])
