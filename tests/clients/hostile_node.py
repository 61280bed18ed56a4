"""A scripted Redis: a cluster of one server (or a server without cluster) that answers truthfully what a client of the
shared tier asks at first, and then lies as it is told to.

    with HostileNode() as node:
        node.values[b"k"] = b"v"
        node.lies["GET"] = b"*4294967295\\r\\n"                 # sent instead of each reply to GET
        node.lies["CLUSTER SHARDS"] = lambda node, wire, words: b"..."
        node.push_all(push(b"invalidate", [b"k"]))            # to all that have turned tracking on
        node.heard, node.accepted                             # what was asked; when who came

A lie may raise Hangup: what it has sent itself (wire.sendall) was all."""
import socket
import threading
import time

from redis_cluster import SLOT_COUNT
from resp_client import More, parse

VERSION = "7.0.15"


class Hangup(Exception):
    pass


def bulk(word):
    return b"$-1\r\n" if word is None else b"$%d\r\n%s\r\n" % (len(word), word)


def say(value, kind=b"*"):
    """Rendered: text is a simple string, bytes a bulk string, None a RESP2 null; lists, dictionaries what they are."""
    if isinstance(value, str):
        return b"+" + value.encode() + b"\r\n"
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, dict):
        return b"%%%d\r\n" % len(value) + b"".join(say(part) for pair in value.items() for part in pair)
    if isinstance(value, (list, tuple)):
        return kind + b"%d\r\n" % len(value) + b"".join(say(part) for part in value)
    return bulk(value)


def push(*members):
    return say(list(members), b">")


def flat(pairs):
    """A map as RESP2 says it."""
    return [part for pair in pairs.items() for part in pair]


# name: (arity, flags, first key, last key, step); what a test asks of the tier.
COMMANDS = {
    b"get": (2, ["readonly", "fast"], 1, 1, 1), b"set": (-3, ["write", "denyoom"], 1, 1, 1),
    b"del": (-2, ["write"], 1, -1, 1), b"mget": (-2, ["readonly", "fast"], 1, -1, 1),
    b"pttl": (2, ["readonly", "fast"], 1, 1, 1), b"incr": (2, ["write", "denyoom", "fast"], 1, 1, 1),
    b"exists": (-2, ["readonly", "fast"], 1, -1, 1), b"hget": (3, ["readonly", "fast"], 1, 1, 1),
    b"ping": (-1, ["fast"], 0, 0, 0),
}


class HostileNode:
    def __init__(self, host="127.0.0.1", is_cluster=True, port=0):
        self.is_cluster, self.host = is_cluster, host
        self.id = b"%040x" % 0xbad
        self.values, self.lies = {}, {}
        self.heard, self.accepted = [], []
        self.wires, self.trackers = set(), set()
        self.lock = threading.Lock()
        self.listener = socket.create_server((host, port), backlog=1024)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def url(self):
        return f"valkey://{self.host}:{self.port}"

    def accept(self):
        while True:
            try:
                wire, address = self.listener.accept()
            except OSError:
                return
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.accepted.append((time.monotonic(), address))
                self.wires.add(wire)
            threading.Thread(target=self.serve, args=(wire,), daemon=True).start()

    def serve(self, wire):
        data = b""
        try:
            while True:
                try:
                    words, at = parse(data)
                    data = data[at:]
                except More:
                    piece = wire.recv(1 << 16)
                    if not piece:
                        return
                    data += piece
                    continue
                wire.sendall(self.answer(wire, words))
        except (OSError, Hangup):
            pass
        finally:
            with self.lock:
                self.wires.discard(wire)
                self.trackers.discard(wire)
            wire.close()

    def answer(self, wire, words):
        name = words[0].decode().upper()
        both = f"{name} {words[1].decode(errors='replace').upper()}" if len(words) > 1 else name
        with self.lock:
            self.heard.append(words)
        for known in (both, name):
            if known in self.lies:
                lie = self.lies[known]
                return lie if isinstance(lie, bytes) else lie(self, wire, words)
        for known in (both, name):
            method = getattr(self, "on_" + known.replace(" ", "_").lower(), None)
            if method:
                return method(wire, words)
        return b"-ERR unknown command '%s'\r\n" % words[0]

    # ---- the truth ----

    def on_hello(self, _wire, words):
        facts = {b"server": b"redis", b"version": VERSION.encode(), b"proto": int(words[1]) if len(words) > 1 else 2,
                 b"id": 7, b"mode": b"cluster" if self.is_cluster else b"standalone", b"role": b"master",
                 b"modules": []}
        return say(facts if facts[b"proto"] == 3 else flat(facts))

    def on_ok(self, _wire, _words):
        return b"+OK\r\n"

    on_auth = on_select = on_readonly = on_asking = on_client_setname = on_client_caching = on_client_setinfo = on_ok

    def on_client_tracking(self, wire, words):
        if words[2].upper() == b"ON":
            self.trackers.add(wire)
        return b"+OK\r\n"

    def on_client_id(self, _wire, _words):
        return b":7\r\n"

    def on_ping(self, _wire, words):
        return bulk(words[1]) if len(words) > 1 else b"+PONG\r\n"

    def on_subscribe(self, _wire, words):
        return b"".join(say([b"subscribe", channel, n + 1]) for n, channel in enumerate(words[1:]))

    def on_role(self, _wire, _words):
        return say([b"master", 0, []])

    def on_info(self, _wire, _words):
        mode = "cluster" if self.is_cluster else "standalone"
        return bulk(f"# Server\r\nredis_version:{VERSION}\r\nredis_mode:{mode}\r\n# Replication\r\nrole:master\r\n"
                    f"connected_slaves:0\r\n# Cluster\r\ncluster_enabled:{int(self.is_cluster)}\r\n".encode())

    def on_command(self, _wire, _words):
        return say([[name, arity, flags, first, last, step, [], [], [], []]
                    for name, (arity, flags, first, last, step) in COMMANDS.items()])

    def on_cluster(self, _wire, _words):
        return b"-ERR This instance has cluster support disabled\r\n" if not self.is_cluster else b"-ERR unknown\r\n"

    def cluster_only(self, reply):
        return reply if self.is_cluster else self.on_cluster(None, None)

    def on_cluster_shards(self, _wire, _words):
        return self.cluster_only(shards((0, SLOT_COUNT - 1, self.id, self.host, self.port)))

    def on_cluster_slots(self, _wire, _words):
        return self.cluster_only(say([[0, SLOT_COUNT - 1, [self.host.encode(), self.port, self.id, []]]]))

    def on_cluster_myid(self, _wire, _words):
        return self.cluster_only(bulk(self.id))

    def on_cluster_info(self, _wire, _words):
        return self.cluster_only(bulk(b"cluster_state:ok\r\ncluster_slots_assigned:16384\r\n"))

    def on_cluster_nodes(self, _wire, _words):
        return self.cluster_only(bulk(b"%s %s:%d@%d myself,master - 0 0 1 connected 0-16383\n" %
                                      (self.id, self.host.encode(), self.port, self.port)))

    def on_get(self, _wire, words):
        return bulk(self.values.get(words[1]))

    def on_mget(self, _wire, words):
        return say([self.values.get(key) for key in words[1:]])

    def on_pttl(self, _wire, words):
        return b":-1\r\n" if words[1] in self.values else b":-2\r\n"

    def on_set(self, _wire, words):
        self.values[words[1]] = words[2]
        return b"+OK\r\n"

    def on_del(self, _wire, words):
        return say(sum(self.values.pop(key, None) is not None for key in words[1:]))

    def on_exists(self, _wire, words):
        return say(sum(key in self.values for key in words[1:]))

    # ---- for tests ----

    def count(self, name):
        with self.lock:
            return sum(1 for words in self.heard if words[0].decode().upper() == name)

    def push_all(self, data):
        with self.lock:
            trackers = list(self.trackers)
        for wire in trackers:
            try:
                wire.sendall(data)
            except OSError:
                pass
        return len(trackers)

    def cut_all(self):
        with self.lock:
            wires = list(self.wires)
        for wire in wires:
            try:
                wire.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def stop(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.cut_all()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def shards(*parts):
    """CLUSTER SHARDS of (first slot, last slot, id, host, port), one primary each."""
    return say([flat({b"slots": [first, last], b"nodes": [flat({
        b"id": id, b"port": port, b"ip": host.encode(), b"endpoint": host.encode(), b"role": b"master",
        b"replication-offset": 1, b"health": b"online"})]}) for first, last, id, host, port in parts])
