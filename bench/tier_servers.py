"""A cluster of three primaries of Valkey or Redis, and nuthatch in front of it."""

import os
import re
import subprocess
import time

from servers import CACHE_MIB, first_of, nuthatch_binary
from stage import SERVER_CPU, Absent, free_port

PRIMARIES = 3
SLOTS = 16384
AGREE_SECONDS = 20
# A CPU of its own where there is one. Where not, the servers': the load then crosses to another CPU once on its way
# to an answer, whether it asks a primary itself or nuthatch, which does so on the same one.
TIER_CPU = 2 if 2 in os.sched_getaffinity(0) else SERVER_CPU


class Cluster:
    """Starts its servers; they are stopped with the stage."""

    def __init__(self, stage):
        self.stage, self.cli = stage, first_of("valkey-cli", "redis-cli")
        self.program = first_of("valkey-server", "redis-server")
        # The bus's port is 10,000 higher unless told otherwise, which may be none.
        self.bus_ports = [free_port() for _ in range(PRIMARIES)]
        self.nodes = [self.start_node(number) for number in range(PRIMARIES)]
        self.url = "valkey://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        for number, node in enumerate(self.nodes):
            self.ask(node, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            self.ask(node, "CLUSTER", "ADDSLOTSRANGE", SLOTS * number // PRIMARIES, SLOTS * (number + 1) // PRIMARIES - 1)
            for other, bus_port in zip(self.nodes[:number], self.bus_ports):
                self.ask(node, "CLUSTER", "MEET", "127.0.0.1", other.port, bus_port)
        deadline = time.monotonic() + AGREE_SECONDS
        while not all(self.is_agreed(node) for node in self.nodes):
            if time.monotonic() > deadline:
                raise Absent(f"the servers did not become a cluster within {AGREE_SECONDS} seconds")
            time.sleep(0.05)

    def start_node(self, number):
        folder = self.stage.folder / f"primary-{number}"
        folder.mkdir()
        port = free_port()
        return self.stage.start(f"primary {number}", [
            self.program, "--bind", "127.0.0.1", "--port", port, "--cluster-enabled", "yes",
            "--cluster-port", self.bus_ports[number], "--save", "", "--appendonly", "no", "--dir", folder], port, TIER_CPU)

    def ask(self, node, *words):
        done = subprocess.run([self.cli, "-e", "-p", str(node.port), *map(str, words)], capture_output=True, text=True,
                              timeout=10)
        if done.returncode != 0:
            raise Absent(f"{' '.join(map(str, words))}: {(done.stderr + done.stdout).strip()}")
        return done.stdout.strip()

    def is_agreed(self, node):
        info = self.ask(node, "CLUSTER", "INFO")
        return (f"cluster_known_nodes:{PRIMARIES}" in info and f"cluster_slots_ok:{SLOTS}" in info
                and "cluster_state:ok" in info)

    def owner(self, key):
        return self.nodes[int(self.ask(self.nodes[0], "CLUSTER", "KEYSLOT", key)) * PRIMARIES // SLOTS]

    def gets(self):
        """How many GETs all of them have answered so far."""
        found = [re.search(r"^cmdstat_get:calls=(\d+)", self.ask(node, "INFO", "commandstats"), re.MULTILINE)
                 for node in self.nodes]
        return sum(int(match[1]) for match in found if match)

    def writes_of(self, server):
        """How many pieces of data `server` has handed to its connections here so far: segments of TCP, as each write
        becomes one at once (TCP_NODELAY), or two if it is larger than a segment's 32 KiB. The kernel counts them,
        whatever the loop, and nothing is slowed down by it."""
        ports = " or ".join(f"dport = :{node.port}" for node in self.nodes).split()
        listed = subprocess.run([first_of("ss"), "-tinpHO", "state", "established", "(", *ports, ")"], capture_output=True,
                                text=True, check=True, timeout=10).stdout
        ours = [line for line in listed.splitlines() if any(f"pid={pid}," in line for pid in server.pids())]
        if not ours:
            raise RuntimeError("no connection to the cluster is seen by ss")
        return sum(int(count) for line in ours for count in re.findall(r"\bdata_segs_out:(\d+)", line))

    def starter(self, verb, loop, *options):
        """A function that starts nuthatch with this cluster as its tier, as those of servers.py do."""
        def start(stage, name):
            path, port = nuthatch_binary(stage), free_port()
            command = {"cache": ["cache", "--listen", f"tcp://127.0.0.1:{port}", "--memory", "512M"],
                       "gateway": ["gateway", f"http://127.0.0.1:{stage.origin.port}" if stage.origin else "", "--listen",
                                   f"http://127.0.0.1:{port}", "--memory", f"{CACHE_MIB}M"]}[verb]
            return stage.start(name, [path, *command, "--tier", self.url, "--threads", 1, "--loop", loop, *options], port)
        return start
