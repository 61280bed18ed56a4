"""What one session of a cache with a tier does at once, in a row and alone: the order of its commands, those that block,
transactions, WAIT, what its user may do, and what is counted of it.

    test_tier_sessions.py
"""
import sys
import time

from harness import Nuthatch
from redis_cluster import RedisCluster, slot_of, until
from resp_client import Connection, ReplyError

SOON_S = 1.5  # less than a blocked connection would hold others up


def check(holds, what=""):
    if not holds:
        raise AssertionError(what)


def info(connection, section, name):
    for line in connection.call("INFO", section).decode().splitlines():
        if line.startswith(name + ":"):
            return line[len(name) + 1:]
    return None


# ---- before it is known what commands the tier has ---------------------------------------------------------------------


def first_command_blocks(cluster):
    """The very first command may block; it must not do so on the connection of all."""
    with Nuthatch("cache", "--tier", cluster.url, "--threads", "1") as node:
        with Connection(node.port) as c, Connection(node.port) as other:
            c.send("BLPOP", "{q}queue", 5)
            begin = time.monotonic()
            for n in range(20):
                check(other.call("SET", "{q}other", n) == "OK")
                time.sleep(0.02)
            check(time.monotonic() - begin < SOON_S, "who blocks holds up nobody else")
            other.call("RPUSH", "{q}queue", "v")
            check(c.receive() == [b"{q}queue", b"v"])


def first_commands_keep_their_order(cluster):
    with Nuthatch("cache", "--tier", cluster.url, "--threads", "1") as node, Connection(node.port) as c:
        replies = c.pipeline([["DEL", "{o}k"], ["EVAL", "return redis.call('append', KEYS[1], 'a')", 1, "{o}k"], ["MULTI"],
                              ["APPEND", "{o}k", "b"], ["EXEC"], ["GET", "{o}k"]])
        check(replies[-1] == b"ab", replies)


# ---- order -------------------------------------------------------------------------------------------------------------


def many_slots(port):
    """A command that goes to more slots than are asked at a time, and what comes behind it."""
    keys = sorted((f"many{n}" for n in range(1500)), key=slot_of)
    with Connection(port) as c:
        for n in range(4):
            replies = c.pipeline([["MSET", *[word for key in keys for word in (key, n)]], ["GET", keys[-1]], ["MGET", *keys[-3:]],
                                  ["DEL", *keys], ["SET", keys[-1], "kept"], ["GET", keys[-1]]])
            check(replies[0] == "OK", f"MSET: {replies[0]}")
            check(replies[1] == b"%d" % n and replies[2] == [b"%d" % n] * 3, f"read behind MSET: {replies[1:3]}")
            check(replies[3] == len(keys) and replies[5] == b"kept", f"written behind DEL: {replies[3:]}")


def small_buffers(cluster):
    """Commands that are under way are no answers: many small ones do not make a connection too large."""
    with Nuthatch("cache", "--tier", cluster.url, "--value-max", "1k") as node, Connection(node.port) as c:
        for n in range(5):
            check(c.pipeline([["SET", f"small{m}", n] for m in range(2000)]) == ["OK"] * 2000)


def pushed(port, cluster):
    """What is pushed to a client of RESP2 comes behind the answers that it waits for."""
    with Connection(port) as watcher, Connection(port) as other:
        other.call("RPUSH", "{p}pushes", "first")
        watcher.call("LLEN", "{p}none")  # now it is known what that is
        owner = cluster.owner("{p}none")
        owner.freeze()
        try:
            watcher.send_all([["LLEN", "{p}none"], ["MONITOR"]])
            time.sleep(0.1)
            for n in range(5):
                check(other.call("PING", "x") == b"x")
        finally:
            owner.thaw()
        check(watcher.receive() == 0 and watcher.receive() == "OK", "the answers come first")
        check('"PING"' in watcher.receive())


# ---- transactions ------------------------------------------------------------------------------------------------------


def settle(cluster, slot):
    """Until all servers say that the same one has the slot."""
    def owners():
        return {owner for node in cluster.running for first, last, owner in cluster.map_of(node) if first <= slot <= last}
    until(lambda: len(owners()) == 1, "servers that agree")


def run(c, commands):
    """A transaction, tried again while servers do not agree on who has the slot."""
    for _ in range(100):
        c.pipeline([["MULTI"]] + commands)
        reply = c.ask("EXEC")
        if not isinstance(reply, ReplyError) or reply.code != "CLUSTERDOWN":
            break
        time.sleep(0.05)
    return reply


def transactions(cluster, port):
    slot = slot_of("{tx}")
    with Connection(port) as c:
        for count in (2, 40):  # the way of all commands, and a connection of its own
            cluster.migrate(slot)
            settle(cluster, slot)
            reply = run(c, [["INCR", "{tx}n"]] * count)
            check(isinstance(reply, list) and len(reply) == count, f"a slot that has moved is followed: {reply}")
        for count in (2,):
            target = cluster.another_primary(cluster.owner(slot))
            c.call("SET", "{tx}n", 0)
            cluster.begin_migration(slot, target)
            cluster.move_keys(slot)
            check(run(c, [["INCR", "{tx}n"]] * count) == list(range(1, count + 1)), "a slot that is moving is followed")
            cluster.finish_migration(slot)
            settle(cluster, slot)
            check(c.call("GET", "{tx}n") == b"%d" % count)
        for count in (1, 40):
            c.pipeline([["MULTI"]] + [["SET", "{tx}n", 1]] * count + [["HSET", "{tx}h", "f"]])
            error = c.ask("EXEC")
            check(error.code == "EXECABORT" and "hset" in str(error), f"it is said what was wrong: {error}")
        c.call("WATCH", "{tx}n")
        cluster.migrate(slot)
        settle(cluster, slot)
        c.pipeline([["MULTI"], ["INCR", "{tx}n"]])
        check(c.ask("EXEC") is None, "what was watched is elsewhere now")
        c.pipeline([["WATCH", "{tx}n"], ["RESET"], ["SET", "{tx}n", 5], ["MULTI"], ["INCR", "{tx}n"]])
        check(c.call("EXEC") == [6], "RESET ends what was watched")


# ---- WAIT --------------------------------------------------------------------------------------------------------------


def wait(cluster, port):
    with Connection(port) as c:
        c.call("SET", "w1", 1)
        check(c.call("WAIT", 1, 5000) == 1, "one replica has it")
        begin = time.monotonic()
        check(c.call("WAIT", 3, 200) == 1 and time.monotonic() - begin > 0.15, "no more than that in the time")
        for n in range(30):
            c.call("SET", f"w{n}", n)
        check(c.pipeline([["SET", "w1", 2], ["WAIT", 1, 5000], ["GET", "w1"]]) == ["OK", 1, b"2"], "of several servers")
        check(isinstance(c.ask("WAIT", "x", 1), ReplyError) and isinstance(c.ask("WAIT", 1, -1), ReplyError))
        replica = cluster.replicas_of(cluster.owner("w1"))[0]
        replica.freeze()
        try:
            c.call("SET", "w1", 3)
            check(c.call("WAIT", 1, 200) == 0, "the replica has not told")
        finally:
            replica.thaw()
        check(c.call("WAIT", 1, 5000) == 1)
    with Connection(port) as c:
        check(c.call("WAIT", 1, 5000) == 1, "who has written nothing")


# ---- all servers -------------------------------------------------------------------------------------------------------


def scan(cluster, port):
    keys = [b"scanned%d" % n for n in range(600)]
    with Connection(port) as c:
        c.call("FLUSHALL")
        c.call("MSET", *[word for key in keys for word in (key, 1)])
        for change in (None, 2):  # after so many steps the server that is being scanned gives way to its replica
            cursor, found, steps, is_due = b"0", set(), 0, change is not None
            while steps == 0 or cursor != b"0":
                reply = c.ask("SCAN", cursor, "COUNT", 10)
                if isinstance(reply, ReplyError):  # nobody has some slots at the moment
                    time.sleep(0.05)
                    cursor, found, steps = b"0", set(), 0
                    continue
                cursor, some = reply
                found |= set(some)
                steps += 1
                check(steps < 2000, "it ends")
                if is_due and steps >= change and some and cursor != b"0":
                    is_due = False
                    cluster.failover(cluster.owner(slot_of(some[0].decode())))
            check(found == set(keys), f"{len(found)} of {len(keys)} found, changed after {change}")


# ---- permissions -------------------------------------------------------------------------------------------------------


def permissions(port):
    with Connection(port) as admin:
        admin.call("ACL", "SETUSER", "birds", "on", ">secret", "~bird:*", "+@all")
        admin.call("ACL", "SETUSER", "most", "on", ">secret", "~*", "&*", "+@all", "-@dangerous")
        admin.call("ACL", "SETUSER", "hashes", "on", ">secret", "~*", "+@hash", "+@connection")
        admin.call("MSET", "secret", "hidden", "bird:1", "wren")
        admin.call("HSET", "bird:h", "f", "v")
    script = "return redis.call('get', 'secret')"
    with Connection(port, user="birds", password="secret") as c:
        for command in (["EVAL", script, 0], ["EVAL_RO", script, 0], ["EVAL", script, 1, "bird:1"], ["EVALSHA", "f" * 40, 0],
                        ["FCALL", "f", 0], ["SCRIPT", "LOAD", script], ["FUNCTION", "LIST"]):
            check(c.ask(*command).code == "NOPERM", f"{command}: {c.ask(*command)}")
        check(c.call("GET", "bird:1") == b"wren" and c.call("HGETALL", "bird:h") == [b"f", b"v"])
    with Connection(port, user="most", password="secret") as c:
        check(c.call("HGET", "bird:h", "f") == b"v" and c.call("LLEN", "list") == 0, "a foreign command that is not dangerous")
        check(c.ask("EVAL", "return redis.call('flushall')", 0).code == "NOPERM", "a script could do what he may not")
        check(c.ask("KEYS", "*").code == "NOPERM")
    with Connection(port, user="hashes", password="secret") as c:
        check(c.call("HGET", "bird:h", "f") == b"v" and c.ask("LLEN", "list").code == "NOPERM", "by the tier's categories")


# ---- what is counted and shown -----------------------------------------------------------------------------------------


def counted(port):
    with Connection(port) as c, Connection(port, resp=3) as watcher:
        c.call("CONFIG", "RESETSTAT")
        watcher.call("MONITOR")
        c.pipeline([["SET", "text", "x"], ["KEYS", "text"], ["SET", "text", "y"], ["MULTI"], ["GET", "text"], ["EXEC"], ["WATCH", "text"],
                    ["UNWATCH"]])
        check(isinstance(c.ask("INCR", "text"), ReplyError))
        c.call("PING", "last")
        seen = []
        while not seen or '"last"' not in seen[-1]:
            seen.append(str(watcher.receive_any()))
        for word, times in (("keys", 1), ("set", 2), ("incr", 1), ("exec", 1), ("watch", 1), ("get", 1)):
            lines = [line for line in seen if f'"{word}"' in line.lower().split("] ")[1].split(" ")[0]]
            check(len(lines) == times, f"{word} was shown {len(lines)} times: {seen}")
            stats = info(c, "commandstats", f"cmdstat_{word}")
            check(stats is not None and stats.startswith(f"calls={times},"), f"{word}: {stats}")
        check("failed_calls=1" in info(c, "commandstats", "cmdstat_incr"), "a late error is one of its command")
        check("failed_calls=0" in info(c, "commandstats", "cmdstat_set"))


# ---- shapes ------------------------------------------------------------------------------------------------------------


def shapes(cluster):
    """A tier that is spoken to in RESP2, and clients of RESP3."""
    with Nuthatch("cache", "--tier", cluster.url, "--tier-resp", "2") as node, Connection(node.port, resp=3) as c, \
            cluster.owner("{s}").connect(resp=3) as theirs:
        for command in (["DEL", "{s}h", "{s}S", "{s}z"], ["HSET", "{s}h", "f", "v", "g", "w"], ["SADD", "{s}S", "one"], ["ZADD", "{s}z", "1.5", "a"],
                        ["HGETALL", "{s}h"], ["SMEMBERS", "{s}S"], ["SINTER", "{s}S", "{s}S"], ["ZSCORE", "{s}z", "a"], ["ZSCORE", "{s}z", "no"],
                        ["ZMSCORE", "{s}z", "a", "no"], ["ZINCRBY", "{s}z", "1", "a"], ["HGET", "{s}h", "no"], ["XADD", "{s}x", "1-1", "f", "v"],
                        ["XREAD", "STREAMS", "{s}x", "0"], ["GET", "{s}no"], ["LPOP", "{s}no", "2"], ["HGETALL", "{s}no"], ["SPOP", "{s}S"],
                        ["DEL", "{s}x"]):
            ours, right = c.ask(*command), theirs.ask(*command) if command[0] not in WRITES else None
            check(command[0] in WRITES or (ours == right and type(ours) is type(right)), f"{command}: {ours!r}, not {right!r}")


WRITES = {"DEL", "HSET", "SADD", "ZADD", "ZINCRBY", "XADD", "SPOP"}


def stops(cluster):
    """A node that stops while sessions watch and block answers them, or not, and leaves nothing behind."""
    with Nuthatch("cache", "--tier", cluster.url) as node, Connection(node.port) as c, Connection(node.port) as blocked:
        c.call("GET", "k"), c.call("WATCH", "k")
        blocked.send("BLPOP", "empty", 0)
        time.sleep(0.1)
        begin = time.monotonic()
        node.stop()
        check(time.monotonic() - begin < 6, "who blocks is not waited for")


def main():
    with RedisCluster() as cluster:
        first_command_blocks(cluster)
        first_commands_keep_their_order(cluster)
        with Nuthatch("cache", "--tier", cluster.url) as node:
            many_slots(node.port)
            pushed(node.port, cluster)
            transactions(cluster, node.port)
            wait(cluster, node.port)
            permissions(node.port)
            counted(node.port)
        small_buffers(cluster)
        shapes(cluster)
        stops(cluster)
        with Nuthatch("cache", "--tier", cluster.url) as node:
            scan(cluster, node.port)  # last: a server that gives way to its replica by hand may hold writes up for 10 s
    print("ok")


if __name__ == "__main__":
    sys.exit(main())
