#!/usr/bin/python3
"""chaos — nuthatch nodes in front of a Redis cluster, clients, and faults for some time; then what clients saw is
judged (history.py).

    chaos.py [SECONDS] [SEED]       60 seconds, a seed of its own
    --nodes N                       nuthatch nodes, 2 if not said; 0: clients ask the cluster itself, to test the test
    --resp 2|3                      how they speak to the cluster; by turns if not said
    --max-staleness MS              400 if not said
    --only KIND                     this fault over and over (may be repeated)

Ends with 0 if nothing was seen that cannot have been, and all could be read and written in the end. The seed chooses
faults and what clients do; when what happens is the machines' affair."""
import argparse
import os
import random
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))

from faults import Faults
from harness import Nuthatch
from history import History, check
from redis_cluster import RedisCluster, until
from resp_client import Connection
from workload import CLIENT_TIMEOUT_S, KEYS, Failed, Load, NodeClient

# A server reads its clock once a turn of its loop, and a busy machine may let it wait in the middle of one.
SLACK_S = 0.15
TIER_TIMEOUT_S = 2
FAULTS_BEFORE_A_REST = 6


class Node(Nuthatch):
    def __init__(self, number, cluster, resp, max_staleness_ms):
        super().__init__("cache", "--tier", cluster.url, "--tier-resp", str(resp), "--max-staleness",
                         f"{max_staleness_ms}ms", "--tier-timeout", f"{TIER_TIMEOUT_S}s", "--threads", "2",
                         "--memory", "64M")
        self.name = f"node{number}"

    def freeze(self):
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self):
        os.kill(self.pid, signal.SIGCONT)


def is_well(node):
    """Whether each key can be written and read through it."""
    client = NodeClient(node.port)
    try:
        for key in KEYS:
            client.do("SET", f"{key}:healed", "1")
            if client.do("GET", f"{key}:healed") != b"1":
                return False
        return True
    except Failed:
        return False
    finally:
        client.close()


def near_reads(node):
    """How many reads it has answered from what is near."""
    with Connection(node.port) as client:
        lines = client.call("INFO", "nuthatch").decode().split("\r\n")
    told = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(told["tier_near_hits"]) + int(told["tier_near_nothing"])


class Run:
    """`verdict`, `near_share` (of reads, those that were answered from what is near), `failed_share` (of what clients
    tried) and `problems` once it has been run."""

    def __init__(self, seconds, seed, resp=3, node_count=2, max_staleness_ms=400, only=(), say=print):
        self.seconds, self.seed, self.resp, self.node_count = seconds, seed, resp, node_count
        self.max_staleness_ms, self.only, self.say = max_staleness_ms, only, say
        self.problems = []
        self.history = History()

    def run(self):
        with RedisCluster(proxied=True) as cluster:
            nodes = []
            try:
                for number in range(self.node_count):
                    nodes.append(Node(number, cluster, self.resp, self.max_staleness_ms))
                self.run_with(cluster, nodes)
            finally:
                for node in nodes:
                    node.thaw()
                    status = node.stop()
                    if status != 0:
                        self.problems.append(f"{node.name} ended with {status}:\n{node.log}")
        return self

    def run_with(self, cluster, nodes):
        for node in nodes:
            until(lambda node=node: is_well(node), f"{node.name} in front of the cluster")
        load = Load(cluster, [(node.name, node.port) for node in nodes], self.seed)
        faults = Faults(cluster, nodes, self.history, self.seed, self.tell)
        if self.only:
            faults.KINDS = self.only
        self.began = time.monotonic()
        load.start()
        try:
            self.do_faults(faults)
            for node in nodes:
                until(lambda node=node: is_well(node), f"{node.name} to heal")
                self.tell(f"{node.name} can read and write all")
        finally:
            self.history.extend(load.stop())
        count, failed_count = load.counts
        self.failed_share = failed_count / max(1, count)
        near_count = sum(near_reads(node) for node in nodes)
        self.near_share = near_count / max(1, len(self.history.reads))
        self.tell(f"{count} steps of clients, {failed_count} of them failed; {near_count} reads were answered near")
        for text, times in load.failures[:8]:
            self.say(f"          {times} × {text}")
        self.verdict = check(self.history, self.max_staleness_ms / 1000, SLACK_S)
        self.say(str(self.verdict))

    def do_faults(self, faults):
        end, done = self.began + self.seconds, 0
        time.sleep(0.5)
        while time.monotonic() < end:
            faults.next()
            done += 1
            faults.pause(0.1, 0.6)
            if done % FAULTS_BEFORE_A_REST == 0 and time.monotonic() < end - 10:
                began = time.monotonic()
                time.sleep(2)
                self.history.settle(time.monotonic(), began - CLIENT_TIMEOUT_S - TIER_TIMEOUT_S)

    def tell(self, text):
        self.say(f"{time.monotonic() - self.began:7.1f} s {text}")

    @property
    def is_good(self):
        return not self.problems and not self.verdict.violations


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seconds", nargs="?", type=float, default=60)
    parser.add_argument("seed", nargs="?", type=int, default=None)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--resp", type=int, choices=(2, 3))
    parser.add_argument("--max-staleness", type=int, default=400)
    parser.add_argument("--only", action="append", choices=Faults.KINDS, default=[])
    options = parser.parse_args()
    seed = random.randrange(1 << 31) if options.seed is None else options.seed
    resp = options.resp or (2, 3)[seed % 2]
    print(f"seed {seed}, RESP{resp}", flush=True)
    run = Run(options.seconds, seed, resp, options.nodes, options.max_staleness, options.only,
              lambda text: print(text, flush=True)).run()
    for problem in run.problems:
        print(problem)
    if not run.is_good:
        sys.exit(f"again: ./dev chaos {options.seconds:g} {seed}")


if __name__ == "__main__":
    main()
