"""Clients that write and read through nuthatch's nodes, and beside them at the cluster itself, each in a thread of its
own, and write down what they did (history.py)."""
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))

from history import History, Hold, MISSING, NEVER, Read, Write
from redis_cluster import slot_of
from resp_client import Closed, Connection, ReplyError

# How long a client waits for a reply before it gives up; longer than nuthatch waits for the cluster.
CLIENT_TIMEOUT_S = 4
WRITERS_SLOWER = 5  # than readers, or nothing would be near for long
TAG_COUNT, KEYS_OF_TAG, LONE_KEYS = 4, 4, 24
KEYS = [f"{{tag{tag}}}{n}" for tag in range(TAG_COUNT) for n in range(KEYS_OF_TAG)] + \
       [f"key{n}" for n in range(LONE_KEYS)]
LEASES = ["lease0", "lease1"]
GIVE_BACK = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class Failed(Exception):
    """No reply, or an error: of a write, nobody knows what came of it."""


class NodeClient:
    """Asks one nuthatch node; comes back after a connection is lost."""

    def __init__(self, port, resp=2):
        self.port, self.resp, self.connection = port, resp, None

    def do(self, *command):
        try:
            if self.connection is None:
                self.connection = Connection(self.port, self.resp, timeout=CLIENT_TIMEOUT_S)
            reply = self.connection.ask(*command)
        except OSError as error:
            self.close()
            raise Failed(f"{type(error).__name__} {error}") from None
        if isinstance(reply, ReplyError):
            raise Failed(str(reply))
        return reply

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None


class ClusterClient:
    """Asks the cluster itself, past nuthatch and past proxies: a client in another language, on another machine."""

    def __init__(self, cluster):
        self.cluster, self.connections, self.owners = cluster, {}, {}

    def node_at(self, port):
        return next(node for node in self.cluster.nodes if port in (node.public_port, node.port))

    def do(self, *command):
        """Of commands whose keys are all of one slot, the first argument being a key."""
        key = command[3] if command[0] == "EVAL" else command[1]
        slot, end, asking = slot_of(key), time.monotonic() + CLIENT_TIMEOUT_S, False
        node = self.owners.get(slot) or random.choice(self.cluster.nodes)
        while time.monotonic() < end:
            try:
                connection = self.connections.get(node) or node.connect(timeout=CLIENT_TIMEOUT_S)
            except OSError:  # nothing was sent
                self.owners.pop(slot, None)
                node, asking = random.choice(self.cluster.nodes), False
                time.sleep(0.02)
                continue
            self.connections[node] = connection
            try:
                replies = connection.pipeline([("ASKING",), command] if asking else [command])
            except OSError as error:
                connection.close()
                del self.connections[node]
                self.owners.pop(slot, None)
                raise Failed(f"{type(error).__name__} {error}") from None
            reply, asking = replies[-1], False
            if not isinstance(reply, ReplyError):
                return reply
            if reply.code in ("MOVED", "ASK"):
                node, asking = self.node_at(int(str(reply).rsplit(":", 1)[1])), reply.code == "ASK"
                if not asking:
                    self.owners[slot] = node
            elif reply.code in ("TRYAGAIN", "CLUSTERDOWN", "LOADING"):
                time.sleep(0.02)
            else:
                raise Failed(str(reply))
        raise Failed("no answer in time")

    def close(self):
        for connection in self.connections.values():
            connection.close()


class Worker(threading.Thread):
    """One client. `history` is its own until it has ended."""

    def __init__(self, name, client, seed, stopping, pause_s):
        super().__init__(name=name, daemon=True)
        self.client, self.stopping, self.pause_s = client, stopping, pause_s
        self.random = random.Random(f"{seed} {name}")
        self.history = History()
        self.count = self.failed_count = 0
        self.failures = {}  # what was said, how often
        self.broken = None  # an exception of ours

    def run(self):
        try:
            while not self.stopping.is_set():
                self.count += 1
                try:
                    self.step()
                except Failed as failure:
                    self.failed_count += 1
                    self.failures[str(failure)] = self.failures.get(str(failure), 0) + 1
                    time.sleep(0.01)
                time.sleep(self.pause_s * self.random.random() * 2)
        except Exception as error:
            self.broken = error
        finally:
            self.client.close()

    def key(self):
        """Few of them often."""
        return KEYS[int(len(KEYS) * self.random.random() ** 2)]


class Reader(Worker):
    def step(self):
        dice = self.random.random()
        if dice < 0.2:
            self.read([self.key()], "NH.GET", fenced=True)
        elif dice < 0.35:
            self.read(sorted({self.key() for _ in range(3)}), "MGET")
        else:
            self.read([self.key()], "GET")

    def read(self, keys, name, fenced=False):
        invoked = time.monotonic()
        reply = self.client.do(name, *keys, *(["FENCED"] if name == "NH.GET" else []))
        returned = time.monotonic()
        if name == "NH.GET":  # a map
            reply = None if reply is None else (reply if isinstance(reply, dict) else members(reply))[b"value"]
        for key, value in zip(keys, reply if name == "MGET" else [reply]):
            if isinstance(value, ReplyError):
                raise Failed(str(value))
            value = MISSING if value is None else value.decode()
            self.history.reads.append(Read(key, value, invoked, returned, self.name, fenced))


class Watcher(Reader):
    """Reads one key all the time: who reads many soon waits for one that is not near, and sees nothing meanwhile."""

    def step(self):
        if self.count == 1 or self.random.random() < 0.002:
            self.watched = self.key()
        self.read([self.watched], "GET")


def members(flat):
    """A map as RESP2 says it."""
    return dict(zip(flat[::2], flat[1::2]))


class Writer(Worker):
    """Writes, and sometimes reads what it wrote."""

    def step(self):
        key, dice = self.key(), self.random.random()
        value = f"{self.name}:{self.count}"
        if dice < 0.15:
            self.write([key], MISSING, ("DEL", key))
        elif dice < 0.25:
            lives_ms = self.random.choice((5, 50, 500))
            self.write([key], value, ("SET", key, value, "PX", lives_ms), lives_ms / 1000)
        elif dice < 0.35:
            tag = self.random.randrange(TAG_COUNT)
            keys = [f"{{tag{tag}}}{n}" for n in range(2)]
            self.write(keys, value, ("MSET", keys[0], value, keys[1], value))
        else:
            self.write([key], value, ("SET", key, value))
        if self.random.random() < 0.3:
            invoked = time.monotonic()
            reply = self.client.do("GET", key)
            self.history.reads.append(Read(key, MISSING if reply is None else reply.decode(), invoked, time.monotonic(),
                                           self.name, isinstance(self.client, ClusterClient)))

    def write(self, keys, value, command, lives_s=NEVER):
        invoked, acknowledged = time.monotonic(), NEVER
        try:
            self.client.do(*command)
            acknowledged = time.monotonic()
        finally:
            for key in keys:
                self.history.writes.append(Write(key, value, invoked, acknowledged, lives_s=lives_s, who=self.name))


class Contender(Worker):
    """Takes leases, holds them for a while, gives them back or lets them run out."""

    def step(self):
        lease, token, lives_s = self.random.choice(LEASES), f"{self.name}:{self.count}", 0.3
        invoked = time.monotonic()
        if self.client.do("SET", lease, token, "NX", "PX", int(lives_s * 1000)) is None:
            return
        hold = Hold(lease, token, invoked, time.monotonic(), lives_s)
        self.history.holds.append(hold)
        time.sleep(self.random.random() * 0.2)
        if self.random.random() < 0.8:
            hold.released = time.monotonic()
            self.client.do("EVAL", GIVE_BACK, 1, lease, token)


class Load:
    """All clients together. `nodes`: (name, port) of each nuthatch; none: the cluster's own answers are judged."""

    def __init__(self, cluster, nodes, seed, pause_s=0.004):
        self.stopping = threading.Event()
        self.workers = []
        for number in range(2):
            self.add(Writer, f"direct writer {number}", ClusterClient(cluster), seed, pause_s * WRITERS_SLOWER)
        if not nodes:
            for number in range(3):
                self.add(DirectReader, f"direct reader {number}", ClusterClient(cluster), seed, pause_s)
            self.add(Contender, "direct contender", ClusterClient(cluster), seed, pause_s)
        for name, port in nodes:
            for resp in (2, 3):
                self.add(Reader, f"{name} reader {resp}", NodeClient(port, resp), seed, pause_s)
            for number in range(4):
                self.add(Watcher, f"{name} watcher {number}", NodeClient(port), seed, pause_s)
            self.add(Writer, f"{name} writer", NodeClient(port), seed, pause_s * WRITERS_SLOWER)
            self.add(Contender, f"{name} contender", NodeClient(port), seed, pause_s * 4)

    def add(self, kind, name, client, seed, pause_s):
        self.workers.append(kind(name, client, seed, self.stopping, pause_s))

    def start(self):
        for worker in self.workers:
            worker.start()

    def stop(self):
        """Returns what they did, as one history."""
        self.stopping.set()
        history = History()
        for worker in self.workers:
            worker.join(3 * CLIENT_TIMEOUT_S)
            if worker.is_alive():
                raise AssertionError(f"{worker.name} hangs")
            if worker.broken:
                raise worker.broken
            history.extend(worker.history)
        return history

    @property
    def counts(self):
        return sum(worker.count for worker in self.workers), sum(worker.failed_count for worker in self.workers)

    @property
    def failures(self):
        """What clients were told, the most frequent first."""
        told = {}
        for worker in self.workers:
            for text, count in worker.failures.items():
                told[text] = told.get(text, 0) + count
        return sorted(told.items(), key=lambda item: -item[1])


class DirectReader(Reader):
    """The cluster's primaries know no fence and need none: each read is one."""

    def step(self):
        self.read([self.key()], "GET", fenced=True)
