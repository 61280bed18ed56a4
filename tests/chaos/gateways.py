#!/usr/bin/python3
"""gateways — two gateways that share a Redis cluster, an origin whose answers change, clients that read and purge, and
faults; then what clients saw and what the origin was asked is judged (history.py).

    gateways.py [SECONDS] [SEED]    60 seconds, a seed of its own
    --calm                          no faults
    --max-staleness MS              400 if not said

Each answer's body is its version. What changes one has it changed at the origin and then purges it, by URL, tag or
prefix, at one of the nodes: that is a write, acknowledged if the purge was answered 200. The origin is slow, and
answers with what was there when it was asked, so that purges overtake fetches. While the tier has a fault nodes may go
on with what they have: reads of then are not judged by age, and purges of then may come late. Of each version the
origin is asked once while there is no fault, by whatever node, once the bound has passed since its purge.

Ends with 0 if nothing was seen that cannot have been."""
import argparse
import os
import random
import sys
import threading
import time
from dataclasses import dataclass

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))

from harness import Nuthatch, Origin, fetch
from history import NEVER, History, Read, Write, check, touches
from redis_cluster import RedisCluster, until

TOKEN = "0123456789abcdef0123456789abcdef"
PATHS = [f"/plain{n}/" for n in range(4)] + [f"/vary{n}/" for n in range(2)]
LANGUAGES = ("de", "fr")
SLACK_S = 0.15  # see chaos.py
HEALING_S = 3.0  # after a fault nodes try the tier again, and hear of what they missed
PURGE_KINDS = ("url", "url", "url", "tag", "prefix")


@dataclass
class Fetch:
    resource: str
    version: int
    begin: float
    end: float = NEVER


class ChangingOrigin:
    def __init__(self, seed):
        self.random = random.Random(f"{seed} origin")
        self.lock = threading.Lock()
        self.versions = dict.fromkeys(PATHS, 0)
        self.fetches = []
        self.server = Origin(self.answer)

    def change(self, path):
        with self.lock:
            self.versions[path] += 1
            return self.versions[path]

    def answer(self, request):
        language = request.headers.get("Accept-Language", "") if request.path.startswith("/vary") else ""
        with self.lock:
            version, pause_s = self.versions[request.path], self.random.choice((0.002, 0.01, 0.05, 0.2))
            fetched = Fetch(f"{request.path} {language}", version, time.monotonic())
            self.fetches.append(fetched)
        time.sleep(pause_s)
        fetched.end = time.monotonic()
        more = {"Vary": "Accept-Language"} if language else {}
        request.reply(200, b"%d" % version, Cache_Control="max-age=600", Surrogate_Key=request.path.strip("/"), **more)


class Client(threading.Thread):
    def __init__(self, name, seed, step, stopping):
        super().__init__(daemon=True)
        self.client, self.random, self.do_step, self.stopping = name, random.Random(f"{seed} {name}"), step, stopping
        self.history, self.broken = History(), None

    def run(self):
        try:
            while not self.stopping.is_set():
                self.do_step(self)
        except Exception as error:  # told by who joins it
            self.broken = error


class Run:
    def __init__(self, seconds, seed, calm=False, max_staleness_ms=400, say=print):
        self.seconds, self.seed, self.calm, self.say = seconds, seed, calm, say
        self.bound_s = max_staleness_ms / 1000
        self.random = random.Random(f"{seed} faults")
        self.history, self.problems = History(), []
        self.faulty = []  # as history.touches has it

    def read(self, client, node):
        path = client.random.choice(PATHS)
        fenced = client.random.random() < 0.3
        headers = {"Accept_Language": client.random.choice(LANGUAGES)}
        if fenced:
            headers["Nuthatch_Fenced"] = "1"
        invoked = time.monotonic()
        answer = fetch(node.port, path, **headers)
        if answer.status != 200:
            raise AssertionError(f"{path} was answered {answer.status}: {answer.body!r}")
        client.history.reads.append(Read(path, int(answer.body), invoked, time.monotonic(), client.client, fenced))
        time.sleep(client.random.uniform(0, 0.01))

    def write(self, client, node, paths):
        path, kind = client.random.choice(paths), client.random.choice(PURGE_KINDS)
        invoked = time.monotonic()
        write = Write(path, self.origin.change(path), invoked, who=client.client)
        client.history.writes.append(write)
        if kind == "url":
            answer = fetch(node.port, path, "PURGE", Authorization=f"Bearer {TOKEN}")
        else:
            order = '{"tag": "%s"}' % path.strip("/") if kind == "tag" else '{"prefix": "%s"}' % path
            answer = fetch(node.admin_port, "/purge", "POST", order, Authorization=f"Bearer {TOKEN}")
        if answer.status == 200:
            write.acknowledged, write.sure = time.monotonic(), True
        elif answer.status not in (202, 503):
            raise AssertionError(f"a purge was answered {answer.status}: {answer.body!r}")
        time.sleep(client.random.uniform(0.1, 0.5))

    def start_node(self, cluster):
        node = Nuthatch("gateway", self.origin.server.url, "--tier", cluster.url, "--threads", "2", "--memory", "64M",
                        "--max-staleness", f"{self.bound_s * 1000:.0f}ms", "--purge-method", "yes", "--admin-token", TOKEN,
                        "--admin", "http://127.0.0.1:0", listen="http://127.0.0.1:0")
        node.admin_port = int(node.wait_for(r"admin ready on http://127.0.0.1:(\d+)\n")[0])
        node.wait_for("tier: there is a server that can be used")
        return node

    def run(self):
        self.origin = ChangingOrigin(self.seed)
        nodes = []
        with RedisCluster(proxied=True) as cluster:
            try:
                for _ in range(2):
                    nodes.append(self.start_node(cluster))
                self.run_with(cluster, nodes)
            finally:
                for node in nodes:
                    status = node.stop()
                    if status != 0:
                        self.problems.append(f"a node ended with {status}:\n{node.log}")
                self.origin.server.stop()
        return self

    def run_with(self, cluster, nodes):
        self.began = time.monotonic()
        self.history.writes += [Write(path, 0, self.began - 1, self.began) for path in PATHS]
        stopping, clients = threading.Event(), []
        for i, node in enumerate(nodes):
            for n in range(3):
                clients.append(Client(f"reader {n} of {i}", self.seed, lambda c, node=node: self.read(c, node), stopping))
            clients.append(Client(f"writer of {i}", self.seed, lambda c, node=node, i=i: self.write(c, node, PATHS[i::2]),
                                  stopping))
        for client in clients:
            client.start()
        try:
            self.do_faults(cluster)
        finally:
            stopping.set()
            for client in clients:
                client.join(60)
                if client.is_alive() or client.broken:
                    self.problems.append(f"{client.client}: {client.broken or 'hangs'}")
                self.history.extend(client.history)
        for _, since, until_ in self.faulty:
            self.history.excuse_reads(lambda key: True, since, until_)
            self.history.doubt_writes(lambda key: True, since - 1, until_)
        self.verdict = check(self.history, self.bound_s, SLACK_S)
        self.say(str(self.verdict))
        self.judge_fetches()

    # ---- faults ----

    def do_faults(self, cluster):
        end = self.began + self.seconds
        while time.monotonic() < end:
            time.sleep(2)
            if self.calm or time.monotonic() > end - HEALING_S:
                continue
            fault = self.random.choice((self.kill_a_primary, self.freeze_a_primary, self.cut_links, self.flush))
            since = time.monotonic()
            fault(cluster)
            cluster.wait_until_ok()
            self.faulty.append((lambda key: True, since, time.monotonic() + HEALING_S))
            self.say(f"{since - self.began:7.1f} s {fault.__name__.replace('_', ' ')}")
            time.sleep(HEALING_S)

    def kill_a_primary(self, cluster):
        node = self.random.choice(cluster.primaries())
        cluster.kill(node)
        cluster.wait_for_failover(node)
        node.restart()

    def freeze_a_primary(self, cluster):
        node = self.random.choice(cluster.primaries())
        node.freeze()
        time.sleep(self.random.uniform(0.3, 1.5))
        node.thaw()

    def cut_links(self, cluster):
        for _ in range(5):
            self.random.choice(cluster.primaries()).proxy.cut()
            time.sleep(0.1)

    def flush(self, cluster):
        for node in cluster.primaries():
            node.ask("FLUSHALL")

    # ---- what the origin was asked ----

    def judge_fetches(self):
        """While there is no fault and no purge has happened lately, nobody asks twice for a version, or at once."""
        writes = {}
        for write in self.history.writes:
            writes.setdefault(write.key, []).append(write)
        calm = {}
        for fetched in self.origin.fetches:
            last = [write for write in writes[fetched.resource.split(" ")[0]] if write.value == fetched.version]
            settled = last and last[0].sure and fetched.begin > last[0].acknowledged + self.bound_s + SLACK_S
            if settled and not touches(self.faulty, "", fetched.begin, fetched.end):
                calm.setdefault((fetched.resource, fetched.version), []).append(fetched)
        for (resource, version), fetches in calm.items():
            if len(fetches) > 1 and not self.crosses_a_fault(fetches):
                times = ", ".join(f"{one.begin - self.began:.3f} to {one.end - self.began:.3f}" for one in fetches)
                self.problems.append(f"version {version} of {resource} was fetched {len(fetches)} times: {times}")
        self.say(f"{len(self.origin.fetches)} fetches, {len(calm)} of them long after their purge")

    def crosses_a_fault(self, fetches):
        return touches(self.faulty, "", fetches[0].begin, fetches[-1].end)

    @property
    def is_good(self):
        return not self.problems and not self.verdict.violations


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seconds", nargs="?", type=float, default=60)
    parser.add_argument("seed", nargs="?", type=int, default=None)
    parser.add_argument("--calm", action="store_true")
    parser.add_argument("--max-staleness", type=int, default=400)
    options = parser.parse_args()
    seed = random.randrange(1 << 31) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    run = Run(options.seconds, seed, options.calm, options.max_staleness, lambda text: print(text, flush=True)).run()
    for problem in run.problems:
        print(problem)
    if not run.is_good:
        sys.exit(f"again: tests/chaos/gateways.py {options.seconds:g} {seed}{' --calm' if options.calm else ''}")


if __name__ == "__main__":
    main()
