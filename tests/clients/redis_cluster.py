"""Starts Valkey or Redis servers for a test, on free loopback ports and in a temporary folder: a cluster, or a primary
with replicas. Valkey's programs where they are, else Redis's. They are stopped by pid, and die with the thread of the
test that started them.

    with RedisCluster() as cluster:                         # 3 primaries, a replica each
        Nuthatch("cache", "--tier", cluster.url)
        node = cluster.owner("key")
        node.call("SET", "key", "value")
        cluster.begin_migration(slot_of("key"), other)      # GET of a missing key is answered by ASK now
        cluster.move_keys(slot_of("key"))
        cluster.finish_migration(slot_of("key"))
        cluster.kill(node); cluster.wait_until_ok()         # forced failover
        node.proxy.hold(); node.proxy.cut()                 # with proxied=True; see tcp_proxy.py
        cluster.isolate(node); cluster.rejoin(node)         # cut off from the others, not from clients
    with RedisServers(replica_count=1) as servers:          # no cluster

A failover takes about two seconds: the cluster's node timeout is 1.5 s."""
import binascii
import functools
import os
import random
import shutil
import signal
import socket
import tempfile
import time

from certificates import Certificates
from harness import PATIENCE_S, Process
from resp_client import Connection, ReplyError
from tcp_proxy import Proxy

SLOT_COUNT = 16384
NODE_TIMEOUT_MS = 1500
ADMIN, ADMIN_PASSWORD = "test-admin", "of the tests"


def program(name):
    return shutil.which(f"valkey-{name}") or shutil.which(f"redis-{name}") or f"/usr/bin/redis-{name}"


def slot_of(key):
    key = key if isinstance(key, bytes) else key.encode()
    begin = key.find(b"{")
    if begin >= 0:
        end = key.find(b"}", begin + 1)
        if end > begin + 1:
            key = key[begin + 1:end]
    return binascii.crc_hqx(key, 0) % SLOT_COUNT


@functools.cache
def key_of(slot, number=0):
    """A key that lies in `slot`, another for each number."""
    found = -1
    for i in range(100 * SLOT_COUNT):
        if slot_of(f"key:{i}") == slot:
            found += 1
            if found == number:
                return f"key:{i}"
    raise AssertionError(f"no key of slot {slot}")


def stable_port():
    """Free now, and below those that the system gives to outgoing connections: it stays free while a server that
    is to come back is down."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        low = int(file.read().split()[0])
    for _ in range(1000):
        port = random.SystemRandom().randrange(10000, max(low, 20000))
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
    raise AssertionError("no free port")


def until(question, what, patience_s=PATIENCE_S):
    """Returns the first answer of `question` that is true."""
    end = time.monotonic() + patience_s
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience_s} s for: {what}")
        time.sleep(0.02)


class Node:
    """One server, through its lives: `kill` and `restart` leave the object and its port."""

    def __init__(self, servers, name):
        self.servers = servers
        self.name = name
        self.folder = os.path.join(servers.folder, name)
        self.process = self.connection = self.id = None
        self.proxy = self.bus_proxy = None
        self.is_frozen = False
        machine = servers.elsewhere.get(name)
        self.host, self.prefix = (machine.address, machine.prefix) if machine else (servers.host, [])
        os.mkdir(self.folder)
        for _ in range(10):
            self.port, self.bus_port = stable_port(), stable_port()
            self.public_port, self.public_bus_port = self.port, self.bus_port
            try:
                if servers.is_proxied:
                    self.proxy = Proxy(self.port, stable_port())
                    self.bus_proxy = Proxy(self.bus_port, stable_port(), name_of=sender_on_bus)
                    self.public_port, self.public_bus_port = self.proxy.port, self.bus_proxy.port
                return self.start()
            except AssertionError as error:  # somebody else was faster
                if "ddress already in use" not in str(error) and "bind" not in str(error):
                    raise
                self.end()
        raise AssertionError("no port that stays free")

    def start(self, **changed):
        settings = {**self.servers.settings, "bind": self.host, "dir": self.folder, **changed}
        tls = self.servers.certificates
        settings["tls-port" if tls else "port"] = self.port
        if self.servers.is_cluster:
            settings |= {"cluster-port": self.bus_port, "cluster-config-file": "nodes.conf"}
            if self.proxy:
                settings |= {f"cluster-announce-{'tls-' if tls else ''}port": self.public_port,
                             "cluster-announce-bus-port": self.public_bus_port}
        with open(f"{self.folder}/conf", "w") as conf:
            for name, value in settings.items():
                conf.write(f"{name} {value}\n")
            for line in self.servers.users:
                conf.write(line + "\n")
        self.process = Process([*self.prefix, "setpriv", "--pdeathsig", "KILL", program("server"), f"{self.folder}/conf"])
        self.process.wait_for(r"Ready to accept connections")

    @property
    def pid(self):
        return self.process.pid

    @property
    def is_running(self):
        return self.process is not None and self.process.process.poll() is None

    @property
    def address(self):
        """Where clients connect to."""
        return f"{self.host}:{self.public_port}"

    def connect(self, resp=2, timeout=PATIENCE_S, user=None, password=None):
        """A connection of the caller's own; as the tests' administrator if no user is named."""
        if user is None and self.servers.users:
            user, password = ADMIN, ADMIN_PASSWORD
        return Connection(self.port, resp, user, password, self.servers.tls_ca, self.host,
                          timeout)

    def ask(self, *arguments):
        """One command on a connection that is kept; asked anew if that was cut before."""
        for is_last in (False, True):
            try:
                if self.connection is None:
                    self.connection = self.connect()
                return self.connection.ask(*arguments)
            except OSError:
                if self.connection:
                    self.connection.close()
                self.connection = None
                if is_last:
                    raise

    def call(self, *arguments):
        reply = self.ask(*arguments)
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    def info(self, section):
        return dict(line.split(":", 1) for line in self.call("INFO", section).decode().split("\r\n") if ":" in line)

    def cluster_info(self):
        return dict(line.split(":", 1) for line in self.call("CLUSTER", "INFO").decode().split("\r\n") if ":" in line)

    @property
    def is_primary(self):
        return self.call("ROLE")[0] == b"master"

    def clients(self, kind=None):
        """What CLIENT LIST says, a dictionary for each."""
        lines = self.call("CLIENT", "LIST", *(["TYPE", kind] if kind else [])).decode().splitlines()
        return [dict(word.split("=", 1) for word in line.split(" ")) for line in lines]

    def cut_clients(self, kind="normal", name=None):
        """Closes all connections of that kind but ours: "normal" (those of data), "pubsub" (receivers of RESP2),
        "replica"; with `name` only those whose name holds it. Returns how many."""
        if name is None:
            return self.call("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        return sum(self.ask("CLIENT", "KILL", "ID", client["id"]) for client in self.clients(kind)
                   if name in client["name"])

    def freeze(self):
        """Nothing is answered, connections stay: as if cut off."""
        os.kill(self.pid, signal.SIGSTOP)
        self.is_frozen = True

    def thaw(self):
        os.kill(self.pid, signal.SIGCONT)
        self.is_frozen = False

    def kill(self):
        """At once, as by a power cut; what it knew is lost but for the cluster's own file."""
        self.process.stop(signal.SIGKILL)
        self.is_frozen = False
        self.forget_connection()

    def restart(self):
        """Comes back empty, on its port."""
        if self.is_running:
            self.kill()
        self.start()

    def forget_connection(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def end(self):
        self.forget_connection()
        if self.is_running:
            self.process.stop(signal.SIGKILL)
        for proxy in (self.proxy, self.bus_proxy):
            if proxy:
                proxy.stop()


def sender_on_bus(first):
    """A message of the cluster's bus names the node that it is from."""
    return first[40:80].rstrip(b"\0").decode("latin-1")


class RedisServers:
    """A primary and `replica_count` replicas of it; `settings` are lines of the configuration, with _ for -.

    `user`: (name, password, rights) of the one user that clients have; nobody else gets in but the tests. `tls`: with
    certificates of `certificates`, and no plain port. `proxied`: clients reach each node through its `proxy`.
    `elsewhere`: a namespaces.Machine for each node, by name, that runs there; the others are at `host`, which that
    must reach."""
    is_cluster = False
    nodes_named = ("primary", "replica")

    def __init__(self, replica_count=1, user=None, tls=False, proxied=False, host="127.0.0.1", elsewhere=None,
                 **settings):
        self.is_proxied, self.host, self.elsewhere = proxied, host, elsewhere or {}
        self.nodes = []
        self.folder = tempfile.mkdtemp(prefix="nuthatch-redis-")
        self.certificates = self.tls_ca = None
        self.users = []
        self.user = user
        self.settings = {
            "protected-mode": "no", "port": 0, "save": '""', "appendonly": "no", "daemonize": "no",
            "enable-debug-command": "yes", "repl-diskless-sync": "yes", "repl-diskless-sync-delay": 0,
            "repl-ping-replica-period": 1, "maxmemory": "64mb", "loglevel": "notice", "io-threads": 1,
            **{name.replace("_", "-"): value for name, value in settings.items()}}
        try:
            if tls:
                self.certificates = Certificates(self.folder)
                self.tls_ca = self.certificates.cert("ca")
                self.settings |= {
                    "tls-cert-file": self.certificates.cert("server"), "tls-key-file": self.certificates.key("server"),
                    "tls-ca-cert-file": self.tls_ca, "tls-auth-clients": "no", "tls-replication": "yes"}
            if user:
                name, password, rights = user
                self.users = [f'user {ADMIN} on ">{ADMIN_PASSWORD}" ~* &* +@all', "user default off",
                              f"user {name} on >{password} {rights}"]
                self.settings |= {"masteruser": ADMIN, "masterauth": f'"{ADMIN_PASSWORD}"'}
            self.begin(replica_count)
        except BaseException:
            self.stop()
            raise

    def begin(self, replica_count):
        primary = self.add("primary")
        for number in range(replica_count):
            replica = self.add(f"replica{number}")
            replica.call("REPLICAOF", primary.host, primary.port)
        self.wait_until_ok()

    def add(self, name):
        node = Node(self, name)
        self.nodes.append(node)
        return node

    @property
    def url(self):
        """For --tier; without the user."""
        return f"valkey{'s' if self.certificates else ''}://" + ",".join(node.address for node in self.nodes)

    @property
    def running(self):
        return [node for node in self.nodes if node.is_running and not node.is_frozen]

    def primaries(self):
        return [node for node in self.running if node.is_primary]

    def replicas(self):
        return [node for node in self.running if not node.is_primary]

    def wait_until_ok(self):
        until(self.is_ok, "replicas that follow their primary")

    def is_ok(self):
        return all(self.link_is_up(node) for node in self.running)

    @staticmethod
    def link_is_up(node):
        info = node.info("replication")
        return info["role"] == "master" or info["master_link_status"] == "up"

    def promote(self, replica):
        """Without a cluster: the replica becomes the primary, the others follow it."""
        replica.call("REPLICAOF", "NO", "ONE")
        for node in self.running:
            if node is not replica:
                node.call("REPLICAOF", replica.host, replica.port)
        self.wait_until_ok()

    @staticmethod
    def resync(replica):
        """Has the replica load everything anew, which tells those that track there that all is flushed."""
        port = int(replica.info("replication")["master_port"])
        primary = next(node for node in replica.servers.nodes if port in (node.port, node.public_port))
        count = int(primary.info("stats")["sync_full"])
        primary.call("DEBUG", "CHANGE-REPL-ID")
        primary.cut_clients("replica")
        until(lambda: int(primary.info("stats")["sync_full"]) > count and RedisServers.link_is_up(replica),
              "a full resync")

    def log(self):
        """All that they said, for who has to find out what went on."""
        return "\n".join(f"---- {node.name} {node.address}\n{node.process.log}" for node in self.nodes if node.process)

    def stop(self):
        for node in self.nodes:
            node.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class RedisCluster(RedisServers):
    """`primary_count` primaries that have an equal part of the slots each, with `replica_count` replicas each. The
    nodes are in `nodes`: primaries first, then their replicas in the same order."""
    is_cluster = True

    def __init__(self, primary_count=3, replica_count=1, node_timeout_ms=NODE_TIMEOUT_MS, tls=False, **options):
        self.primary_count = primary_count
        self.migrations = {}  # slot: (source, target)
        super().__init__(replica_count, tls=tls, **{
            "cluster-enabled": "yes", "cluster-node-timeout": node_timeout_ms, "cluster-replica-validity-factor": 0,
            **({"tls-cluster": "yes"} if tls else {}), **options})

    def begin(self, replica_count):
        primaries = [self.add(f"primary{number}") for number in range(self.primary_count)]
        pairs = [(self.add(f"replica{number}.{n}"), primaries[number])
                 for n in range(replica_count) for number in range(self.primary_count)]
        for number, node in enumerate(self.nodes):
            node.id = node.call("CLUSTER", "MYID").decode()
            node.call("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for number, node in enumerate(primaries):
            first, end = (SLOT_COUNT * n // self.primary_count for n in (number, number + 1))
            node.call("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        for number, node in enumerate(self.nodes):
            for other in self.nodes[:number]:
                node.call("CLUSTER", "MEET", other.host, other.public_port, other.public_bus_port)
        until(lambda: all(self.knows_all(node) for node in self.nodes), "nodes that know each other")
        for replica, primary in pairs:
            until(lambda r=replica, p=primary: r.ask("CLUSTER", "REPLICATE", p.id) == "OK", "a replica")
        self.wait_until_ok()

    def knows_all(self, node):
        lines = node.call("CLUSTER", "NODES").decode().splitlines()
        return len(lines) == len(self.nodes) and not any("handshake" in line or "noaddr" in line for line in lines)

    # ---- who has what ----

    def node_of(self, id_or_port):
        return next(node for node in self.nodes if id_or_port in (node.id, node.port))

    def map_of(self, node):
        """What `node` thinks: a list of (first slot, last slot, node that has them)."""
        return sorted((first, last, self.node_of(primary[2].decode()))
                      for first, last, primary, *_ in node.call("CLUSTER", "SLOTS"))

    def owner(self, key_or_slot):
        """The primary that has a slot, or that of a key, as those that are there agree."""
        slot = key_or_slot if isinstance(key_or_slot, int) else slot_of(key_or_slot)
        for node in self.running:
            for first, last, primary in self.map_of(node):
                if first <= slot <= last and primary.is_running and not primary.is_frozen:
                    return primary
        raise AssertionError(f"nobody has slot {slot}")

    def replicas_of(self, primary):
        return [node for node in self.running if node is not primary and not node.is_primary and
                int(node.info("replication")["master_port"]) == primary.public_port]

    def another_primary(self, node):
        return next(other for other in self.primaries() if other is not node)

    def is_ok(self):
        """All that run agree about who has each slot, and replicas follow."""
        try:
            maps = []
            for node in self.running:
                info = node.cluster_info()
                if info["cluster_state"] != "ok" or info["cluster_slots_ok"] != str(SLOT_COUNT):
                    return False
                if not self.link_is_up(node):
                    return False
                maps.append(self.map_of(node))
            return bool(maps) and all(one == maps[0] for one in maps) and all(
                primary.is_running and not primary.is_frozen for _, _, primary in maps[0])
        except (OSError, StopIteration, ReplyError):
            return False

    def wait_until_ok(self):
        until(self.is_ok, "a cluster that is well")

    # ---- slots on their way ----

    def begin_migration(self, slot, target):
        """From now on keys that are not there any more, or not yet, are answered by ASK."""
        source = self.owner(slot)
        assert source is not target
        target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        self.migrations[slot] = source, target

    def move_keys(self, slot, count=None):
        """Moves `count` of its keys, or all. Returns how many were moved."""
        source, target = self.migrations[slot]
        moved = 0
        while count is None or moved < count:
            keys = source.call("CLUSTER", "GETKEYSINSLOT", slot, 100 if count is None else min(100, count - moved))
            if not keys:
                break
            login = ["AUTH2", ADMIN, ADMIN_PASSWORD] if self.users else []
            source.call("MIGRATE", target.host, target.port, "", 0, 5000, "REPLACE", *login, "KEYS", *keys)
            moved += len(keys)
        return moved

    def finish_migration(self, slot):
        """The slot is the target's; the target is told first, so that it has it whoever fails then."""
        source, target = self.migrations.pop(slot)
        for node in [target, source, *(node for node in self.primaries() if node not in (source, target))]:
            node.call("CLUSTER", "SETSLOT", slot, "NODE", target.id)

    def give_up_migration(self, slot):
        source, target = self.migrations.pop(slot)
        for node in (source, target):
            node.call("CLUSTER", "SETSLOT", slot, "STABLE")

    def migrate(self, slot, target=None):
        """All of it. Returns who has it now."""
        target = target or self.another_primary(self.owner(slot))
        self.begin_migration(slot, target)
        self.move_keys(slot)
        self.finish_migration(slot)
        return target

    # ---- failing over ----

    def failover(self, primary, how=()):
        """By hand: a replica of it takes over; `how` may be "FORCE" or "TAKEOVER". Returns the new primary."""
        replica = self.replicas_of(primary)[0]
        how = [how] if isinstance(how, str) else how

        def ask():
            replica.ask("CLUSTER", "FAILOVER", *how)  # it may have to be asked again: votes are lost under load
            return until_or_not(lambda: replica.is_primary, 5)
        until(ask, "a replica that takes over")
        return replica

    def kill(self, primary):
        """Kills it; the cluster notices by itself (wait_until_ok, or wait_for_failover)."""
        primary.kill()

    def wait_for_failover(self, primary):
        """Until a replica has taken the slots of a primary that is dead or frozen."""
        others = [node for node in self.running if node is not primary]
        until(lambda: all(owner is not primary for node in others for _, _, owner in self.map_of(node)),
              "a replica that takes over")

    # ---- with proxies ----

    def isolate(self, node):
        """The other nodes and it hear nothing of each other any more, while clients go on reaching it."""
        node.bus_proxy.hold()
        for other in self.nodes:
            other.bus_proxy.hold(name=node.id)

    def rejoin(self, node):
        for other in self.nodes:
            other.bus_proxy.let_go(name=node.id)
        node.bus_proxy.let_go()


def until_or_not(question, patience_s):
    try:
        return until(question, "", patience_s)
    except AssertionError:
        return False
