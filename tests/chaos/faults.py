"""What goes wrong in a run, chosen by a seed. Each fault happens and is healed before the next one; the history is told
which writes may vanish by it, and which reads a deposed primary may have answered."""
import random
import time

from history import NEVER, MISSING, Write
from redis_cluster import slot_of
from resp_client import ReplyError
from tcp_proxy import TO_CLIENT, TO_SERVER
from workload import KEYS, LEASES, TAG_COUNT

REPLICATION_LAG_S = 1.0  # what a primary acknowledged for so long before its end may be lost with it
SETTLING_S = 0.5
TRACKING_KEYS_DEFAULT, TRACKING_KEYS_FEW = 1000000, 4


class Faults:
    """`nodes`: the nuthatch processes. `say` is told each step."""

    def __init__(self, cluster, nodes, history, seed, say):
        self.cluster, self.nodes, self.history, self.say = cluster, nodes, history, say
        self.random = random.Random(f"{seed} faults")
        self.left = []

    KINDS = ("migrate_a_slot", "fail_over_by_hand", "fail_over_by_force", "kill_a_primary", "freeze_a_primary_shortly",
             "freeze_a_primary", "isolate_a_primary", "cut_connections", "cut_receivers", "cut_at_the_proxy",
             "hold_a_link", "hold_one_way", "delay_a_link", "refuse_connections", "flush", "overflow_tracking",
             "freeze_a_node", "kill_a_replica")

    def next(self):
        """Does one; each kind comes before any comes again."""
        if not self.left:
            self.left = [kind for kind in self.KINDS if self.nodes or kind != "freeze_a_node"]
            self.random.shuffle(self.left)
        kind = self.left.pop()
        began = time.monotonic()
        getattr(self, kind)()
        self.cluster.wait_until_ok()
        self.say(f"{kind.replace('_', ' ')}: {time.monotonic() - began:.1f} s")

    def pause(self, low_s, high_s):
        time.sleep(self.random.uniform(low_s, high_s))

    def primary(self):
        return self.random.choice(self.cluster.primaries())

    def keys_of(self, node):
        keys = {key for key in KEYS + LEASES if self.cluster.owner(key) is node}
        return keys, keys.__contains__

    # ---- slots and roles ----

    def migrate_a_slot(self):
        slot = slot_of(self.random.choice([f"{{tag{n}}}" for n in range(TAG_COUNT)] + KEYS))
        target = self.cluster.another_primary(self.cluster.owner(slot))
        self.cluster.begin_migration(slot, target)
        self.pause(0.05, 0.4)
        self.cluster.move_keys(slot, 2)
        self.pause(0.05, 0.4)
        self.cluster.move_keys(slot)
        self.pause(0, 0.2)
        self.cluster.finish_migration(slot)

    def fail_over_by_hand(self):
        """The old primary stops writing until the new one has all: nothing is lost."""
        self.cluster.failover(self.primary())

    def fail_over_by_force(self):
        node = self.primary()
        _, concerned = self.keys_of(node)
        began = time.monotonic()
        self.cluster.failover(node, self.random.choice(("FORCE", "TAKEOVER")))
        self.cluster.wait_until_ok()
        self.deposed(concerned, began, began)

    def deposed(self, concerned, began, awake_since):
        """Until now a primary that began to fail at `began` was replaced; it may have answered since `awake_since`."""
        end = time.monotonic() + SETTLING_S
        self.history.doubt_writes(concerned, began - REPLICATION_LAG_S, end)
        self.history.excuse_reads(concerned, awake_since, end)

    def kill_a_primary(self):
        node = self.primary()
        _, concerned = self.keys_of(node)
        began = time.monotonic()
        self.cluster.kill(node)
        self.cluster.wait_for_failover(node)
        self.history.doubt_writes(concerned, began - REPLICATION_LAG_S, time.monotonic() + SETTLING_S)
        self.pause(0, 1)
        node.restart()

    def kill_a_replica(self):
        node = self.random.choice(self.cluster.replicas())
        node.kill()
        self.pause(0.1, 0.5)
        node.restart()

    def freeze_a_primary_shortly(self):
        self.freeze(self.primary(), lambda: self.pause(0.2, 0.8))

    def freeze_a_primary(self):
        node = self.primary()
        self.freeze(node, lambda: (self.cluster.wait_for_failover(node), self.pause(0, 1)))

    def freeze(self, node, wait):
        keys, concerned = self.keys_of(node)
        began = time.monotonic()
        node.freeze()
        wait()
        awake = time.monotonic()
        node.thaw()
        self.cluster.wait_until_ok()
        if keys and not node.is_primary:
            self.deposed(concerned, began, awake)

    def isolate_a_primary(self):
        node = self.primary()
        _, concerned = self.keys_of(node)
        began = time.monotonic()
        self.cluster.isolate(node)
        self.cluster.wait_for_failover(node)
        self.pause(0, 1)
        rejoined = time.monotonic()
        self.cluster.rejoin(node)
        self.cluster.wait_until_ok()
        self.deposed(concerned, began, rejoined)

    # ---- connections ----

    def cut_connections(self):
        self.primary().cut_clients("normal")

    def cut_receivers(self):
        self.primary().cut_clients("pubsub")

    def cut_at_the_proxy(self):
        for _ in range(self.random.randrange(1, 5)):
            self.primary().proxy.cut()
            self.pause(0, 0.1)

    def hold_a_link(self):
        node = self.primary()
        node.proxy.hold()
        self.pause(0.3, 2)
        node.proxy.let_go()

    def hold_one_way(self):
        node, way = self.primary(), self.random.choice((TO_CLIENT, TO_SERVER))
        node.proxy.hold(way)
        self.pause(0.3, 2)
        node.proxy.let_go(way)

    def delay_a_link(self):
        node = self.primary()
        node.proxy.delay(self.random.uniform(0.01, 0.3))
        self.pause(0.5, 1.5)
        node.proxy.delay(0)

    def refuse_connections(self):
        node = self.primary()
        node.proxy.refuse()
        node.proxy.cut()
        self.pause(0.2, 1.5)
        node.proxy.accept()

    # ---- what servers do to trackers ----

    def flush(self):
        """FLUSHALL and FLUSHDB: all keys of one server are gone."""
        for name in ("FLUSHALL", "FLUSHDB", "FLUSHALL"):
            node = self.primary()
            keys, _ = self.keys_of(node)
            invoked, acknowledged = time.monotonic(), NEVER
            if not isinstance(node.ask(name, self.random.choice(("SYNC", "ASYNC"))), ReplyError):
                acknowledged = time.monotonic()
            self.history.writes += [Write(key, MISSING, invoked, acknowledged) for key in keys]
            self.history.doubt_writes(LEASES.__contains__, invoked, time.monotonic())  # their holders do not hear of it
            self.pause(0, 0.2)

    def overflow_tracking(self):
        for node in self.cluster.running:
            node.call("CONFIG", "SET", "tracking-table-max-keys", TRACKING_KEYS_FEW)
        self.pause(0.5, 1.5)
        for node in self.cluster.running:
            node.call("CONFIG", "SET", "tracking-table-max-keys", TRACKING_KEYS_DEFAULT)

    def freeze_a_node(self):
        """A nuthatch sleeps, and wakes up with what it had near."""
        node = self.random.choice(self.nodes)
        node.freeze()
        self.pause(0.3, 2)
        node.thaw()
