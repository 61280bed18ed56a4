"""The cache in front of a cluster: what it passes on is answered as by a Redis that has all keys, in both versions of the
protocol; what is near is answered from there, and not for longer than the bound.

    test_tier_kv.py [--seed N]
"""
import argparse
import random
import socket
import sys
import threading
import time

from harness import Nuthatch
from redis_cluster import RedisCluster, RedisServers, until
from resp_client import Connection, ReplyError

COMMANDS = 400  # of each version
BOUND_S = 1.0
parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
seed = parser.parse_args().seed


def check(holds, what=""):
    if not holds:
        raise AssertionError(f"{what} (seed {seed})")


# ---- random commands ------------------------------------------------------------------------------------------------

TYPED = {"s": ["s1", "s2", "s3"], "h": ["h1", "h2"], "l": ["l1", "l2"], "z": ["z1", "z2"], "S": ["S1", "S2"], "x": ["x1"]}


def one_of(r, kind):
    """A key that mostly has that type; of several slots if `kind` is s, else all of one, so that two may meet."""
    if r.random() < 0.03:
        kind = r.choice(list(TYPED))
    key = r.choice(TYPED[kind])
    return key if kind == "s" else "{t}" + key


def word(r):
    return r.choice(["", "a", "hello", "b", "c", "x" * 40, "1", "-7", "3.5", "\0\r\n"])


def number(r):
    return r.choice([0, 1, -1, 5, 100, r.randint(-9, 9)])


STRINGS = [
    lambda r: ["SET", one_of(r, "s"), word(r)], lambda r: ["GET", one_of(r, "s")], lambda r: ["GET", one_of(r, "s")],
    lambda r: ["GET", one_of(r, "s")], lambda r: ["APPEND", one_of(r, "s"), word(r)], lambda r: ["STRLEN", one_of(r, "s")],
    lambda r: ["GETRANGE", one_of(r, "s"), number(r), number(r)], lambda r: ["SETRANGE", one_of(r, "s"), 2, word(r)],
    lambda r: ["INCR", one_of(r, "s")], lambda r: ["INCRBYFLOAT", one_of(r, "s"), "1.5"], lambda r: ["GETDEL", one_of(r, "s")],
    lambda r: ["GETEX", one_of(r, "s"), "PERSIST"], lambda r: ["SET", one_of(r, "s"), word(r), "NX", "GET"],
    lambda r: ["MGET", *TYPED["s"]], lambda r: ["MGET", "s1", "absent", "s2", "{t}h1"],
    lambda r: ["MSET", "s1", word(r), "s2", word(r), "s3", word(r)], lambda r: ["EXISTS", "s1", "s2", "s3", "s1"],
    lambda r: ["DEL", "s1", "s3"], lambda r: ["UNLINK", "s2"], lambda r: ["TOUCH", "s1", "s2"], lambda r: ["TYPE", one_of(r, "s")],
    lambda r: ["TTL", one_of(r, "s")], lambda r: ["EXPIRE", one_of(r, "s"), 1000], lambda r: ["PERSIST", one_of(r, "s")],
    lambda r: ["SETBIT", one_of(r, "s"), 7, 1], lambda r: ["BITCOUNT", one_of(r, "s")], lambda r: ["OBJECT", "ENCODING", "{t}h1"],
    lambda r: ["DBSIZE"], lambda r: ["KEYS", "s*"], lambda r: ["GET"], lambda r: ["NOSUCH", "a"], lambda r: ["PING", "x"],
]
OTHERS = [
    lambda r: ["HSET", one_of(r, "h"), word(r), word(r)], lambda r: ["HGETALL", one_of(r, "h")], lambda r: ["HGET", one_of(r, "h"), word(r)],
    lambda r: ["HMGET", one_of(r, "h"), "a", "b"], lambda r: ["HINCRBYFLOAT", one_of(r, "h"), "n", "0.5"], lambda r: ["HKEYS", one_of(r, "h")],
    lambda r: ["HRANDFIELD", "{t}h1", 0, "WITHVALUES"],
    lambda r: ["RPUSH", one_of(r, "l"), word(r), word(r)], lambda r: ["LRANGE", one_of(r, "l"), 0, -1], lambda r: ["LPOP", one_of(r, "l")],
    lambda r: ["LPOP", one_of(r, "l"), 2], lambda r: ["LMOVE", "{t}l1", "{t}l2", "LEFT", "RIGHT"], lambda r: ["LPOS", one_of(r, "l"), "a"],
    lambda r: ["LMPOP", 2, "{t}l1", "{t}l2", "LEFT"], lambda r: ["BLPOP", "{t}l1", "{t}l2", "0.01"],
    lambda r: ["ZADD", one_of(r, "z"), number(r), word(r)], lambda r: ["ZRANGE", one_of(r, "z"), 0, -1, "WITHSCORES"],
    lambda r: ["ZSCORE", one_of(r, "z"), "a"], lambda r: ["ZPOPMIN", one_of(r, "z")], lambda r: ["ZPOPMAX", one_of(r, "z"), 2],
    lambda r: ["ZUNION", 2, "{t}z1", "{t}z2", "WITHSCORES"], lambda r: ["ZINCRBY", one_of(r, "z"), "1.25", "a"],
    lambda r: ["ZRANGEBYSCORE", one_of(r, "z"), "-inf", "+inf", "WITHSCORES"], lambda r: ["ZMPOP", 1, one_of(r, "z"), "MIN"],
    lambda r: ["ZMSCORE", one_of(r, "z"), "a", "b"], lambda r: ["ZRANGESTORE", "{t}z2", "{t}z1", 0, -1],
    lambda r: ["SADD", one_of(r, "S"), word(r), word(r)], lambda r: ["SMEMBERS", one_of(r, "S")], lambda r: ["SINTER", "{t}S1", "{t}S2"],
    lambda r: ["SISMEMBER", one_of(r, "S"), "a"], lambda r: ["SINTERCARD", 2, "{t}S1", "{t}S2"], lambda r: ["SMISMEMBER", one_of(r, "S"), "a", "b"],
    lambda r: ["XADD", "{t}x1", "NOMKSTREAM", "5-*", "f", "v"], lambda r: ["XADD", "{t}x1", "%d-*" % r.randint(1, 9), "f", word(r)],
    lambda r: ["XRANGE", "{t}x1", "-", "+"], lambda r: ["XREAD", "COUNT", 2, "STREAMS", "{t}x1", "0"], lambda r: ["XLEN", "{t}x1"],
    lambda r: ["EVAL", "return redis.call('get', KEYS[1])", 1, "s1"], lambda r: ["EVAL", "return {1, 'a', {redis.status_reply('x')}}", 0],
    lambda r: ["EVAL", "redis.call('set', KEYS[1], ARGV[1]); return redis.call('get', KEYS[1])", 1, "s2", word(r)],
    lambda r: ["EVAL", "redis.setresp(3); return redis.call('hgetall', KEYS[1])", 1, "{t}h1"],
    lambda r: ["SORT", "{t}l1", "ALPHA"], lambda r: ["PFADD", "{t}p", word(r)], lambda r: ["PFCOUNT", "{t}p"],
    lambda r: ["GEOADD", "{t}g", "13.4", "52.5", "berlin"], lambda r: ["GEOPOS", "{t}g", "berlin", "nowhere"],
    lambda r: ["SCRIPT", "EXISTS", "ffffffffffffffffffffffffffffffffffffffff"], lambda r: ["MULTI"], lambda r: ["EXEC"], lambda r: ["DISCARD"],
]
IN_ANY_ORDER = {"KEYS", "SMEMBERS", "SINTER", "HKEYS"}


def plain(command, reply):
    if command[0] in IN_ANY_ORDER and isinstance(reply, list):
        return sorted(reply)
    if command[0] == "EXEC" and isinstance(reply, list):  # sets among them
        return [sorted(member, key=repr) if isinstance(member, list) else member for member in reply]
    if isinstance(reply, ReplyError) and reply.code == "EXECABORT":
        return "EXECABORT"
    return reply


class Same:
    """Says each command to both. In a transaction what cannot be there with a tier is left out."""

    def __init__(self, r, nuthatch, redis):
        self.r, self.nuthatch, self.redis, self.in_multi = r, nuthatch, redis, False

    def command(self):
        while True:
            command = self.r.choice(self.r.choice([STRINGS, OTHERS]))(self.r)
            if not self.in_multi or command[0] not in ("KEYS", "DBSIZE", "SCRIPT", "NOSUCH", "GET", "MGET", "MSET", "DEL", "EXISTS",
                                                       "TOUCH", "MULTI", "ZMPOP") and len(command) > 1 and str(command[1])[:3] == "{t}" \
                    or command[0] in ("EXEC", "DISCARD"):
                return command

    def step(self):
        command = self.command()
        ours, theirs = plain(command, self.nuthatch.ask(*command)), plain(command, self.redis.ask(*command))
        self.in_multi = theirs == "OK" if command[0] == "MULTI" else self.in_multi and command[0] not in ("EXEC", "DISCARD")
        check(ours == theirs, f"seed {seed}: {command}\n  with a tier {ours!r}\n  Redis       {theirs!r}")


def compare(port, redis, resp):
    with Connection(port, resp=resp) as ours, Connection(redis.port, resp=resp) as theirs:
        ours.call("FLUSHALL"), theirs.call("FLUSHALL")
        same = Same(random.Random(f"{seed} {resp}"), ours, theirs)
        for _ in range(COMMANDS):
            same.step()


# ---- what is near ------------------------------------------------------------------------------------------------------


def metric(connection, name):
    text = connection.call("INFO", "nuthatch").decode()
    return int(next(line.split(":")[1] for line in text.splitlines() if line.startswith(name + ":")))


def until_read(connection, key, value, since):
    while (found := connection.call("GET", key)) != value:
        check(time.monotonic() - since < BOUND_S + 1.0, f"{key} is {found!r} after {time.monotonic() - since:.2f} s")
        time.sleep(0.002)


def near_values(first, second, cluster):
    with Connection(first.port) as one, Connection(second.port) as two:
        one.call("SET", "near", "1")
        check(one.call("GET", "near") == b"1" and two.call("GET", "near") == b"1")
        before = metric(one, "tier_near_hits")
        for _ in range(50):
            check(one.call("GET", "near") == b"1")
        check(metric(one, "tier_near_hits") >= before + 49, "a value that was just read is near")
        check(one.call("GET", "absent") is None and one.call("GET", "absent") is None)
        check(one.call("STRLEN", "near") == 1 and one.call("GETRANGE", "near", 0, -1) == b"1" and one.call("EXISTS", "near", "absent") == 1)
        for number in range(20):  # written through one node, read through the other
            two.call("SET", "near", number)
            check(two.call("GET", "near") == b"%d" % number, "who has written reads it")
            check(one.ask("NH.GET", "near", "FENCED")[3] == b"%d" % number, "a fenced read sees what was acknowledged")
            until_read(one, "near", b"%d" % number, time.monotonic())
        cluster.owner("near").call("SET", "near", "from elsewhere")
        until_read(one, "near", b"from elsewhere", time.monotonic())
        two.call("HSET", "was-absent", "f", "v")
        check(isinstance(two.ask("GET", "was-absent"), ReplyError))


def pipelines(port):
    with Connection(port) as c:
        replies = c.pipeline([command for n in range(1500) for command in (["SET", f"p{n % 100}", n], ["GET", f"p{n % 100}"])])
        for n in range(1500):
            check(replies[2 * n] == "OK" and replies[2 * n + 1] == b"%d" % n, f"pipelined {n}: {replies[2 * n:2 * n + 2]}")
        c.send_all([["GET", "p1"], ["HSET", "ph", "f", "v"], ["HELLO", 3], ["HGETALL", "ph"], ["HELLO", 2], ["HGETALL", "ph"], ["PING"]])
        check(c.receive() == b"1401" and c.receive() == 1 and isinstance(c.receive(), dict), "HELLO in between")
        check(c.receive() == {b"f": b"v"}, "in the version that held when it was asked")
        c.receive()
        check(c.receive() == [b"f", b"v"] and c.receive() == "PONG")
        c.send_all([["CLIENT", "REPLY", "SKIP"], ["SET", "quiet", 1], ["GET", "quiet"], ["CLIENT", "REPLY", "OFF"], ["INCR", "quiet"],
                    ["CLIENT", "REPLY", "ON"], ["GET", "quiet"]])
        check(c.receive() == b"1" and c.receive() == "OK" and c.receive() == b"2", "silence is of answers that come late, too")
    with socket.create_connection(("127.0.0.1", port)) as s:  # it says all it has and no more; the answers come all the same
        s.sendall(b"SET half 1\r\nGET half\r\nHSET half2 a b\r\nQUIT\r\n")
        s.shutdown(socket.SHUT_WR)
        text = b""
        while piece := s.recv(4096):
            text += piece
        check(text == b"+OK\r\n$1\r\n1\r\n:1\r\n+OK\r\n", text)


# ---- connections of a session's own ------------------------------------------------------------------------------------


def transactions(port):
    with Connection(port) as c, Connection(port) as other:
        c.pipeline([["MULTI"], ["SET", "{m}a", 1], ["INCR", "{m}a"], ["HSET", "{m}h", "f", "v"]])
        check(c.call("EXEC") == ["OK", 2, 1] and c.call("GET", "{m}a") == b"2")
        c.pipeline([["MULTI"]] + [["RPUSH", "{m}l", n] for n in range(50)])
        check(c.call("EXEC") == list(range(1, 51)), "a long one")
        c.pipeline([["MULTI"], ["SET", "a", 1], ["SET", "b", 1]])
        check(c.ask("EXEC").code == "CROSSSLOT")
        c.call("MULTI")
        check(isinstance(c.ask("FLUSHALL"), ReplyError) and c.ask("EXEC").code == "EXECABORT")
        check(c.call("WATCH", "{m}a") == "OK" and c.call("GET", "{m}a") == b"2")
        c.pipeline([["MULTI"], ["SET", "{m}a", "mine"]])
        check(c.call("EXEC") == ["OK"])
        c.call("WATCH", "{m}a")
        other.call("SET", "{m}a", "theirs")
        c.pipeline([["MULTI"], ["SET", "{m}a", "mine"]])
        check(c.ask("EXEC") is None and c.call("GET", "{m}a") == b"theirs", "what is watched has changed")
        c.call("WATCH", "{m}a"), c.call("UNWATCH"), other.call("SET", "{m}a", 3)
        c.pipeline([["MULTI"], ["SET", "{m}a", 4]])
        check(c.call("EXEC") == ["OK"])
        check(c.pipeline([["WATCH", "{m}a"], ["GET", "{m}a"], ["MULTI"], ["INCR", "{m}a"], ["EXEC"], ["GET", "{m}a"]])
              == ["OK", b"4", "OK", "QUEUED", [5], b"5"], "pipelined")


def blocking(port, owner):
    with Connection(port) as c, Connection(port) as other:
        c.send_all([["BLPOP", "queue", 10], ["GET", "behind"]])
        time.sleep(0.2)
        other.call("SET", "behind", "it"), other.call("RPUSH", "queue", "v")
        check(c.receive() == [b"queue", b"v"] and c.receive() == b"it", "what is behind waits")
        begin = time.monotonic()
        check(c.ask("BLPOP", "queue", "0.2") is None and time.monotonic() - begin > 0.15)
        check(c.ask("BLPOP", "queue", "else", 1).code == "CROSSSLOT")
        threading.Timer(0.2, lambda: other.call("XADD", "stream", "1-1", "f", "v")).start()
        check(c.call("XREAD", "BLOCK", 5000, "STREAMS", "stream", "$") == [[b"stream", [[b"1-1", [b"f", b"v"]]]]])
        gone = Connection(port)
        gone.send("BLPOP", "left", 0)
        time.sleep(0.2)
        gone.close()
        until(lambda: "blocked_clients:0" in owner.call("INFO", "clients").decode(), "nobody that blocks")
        other.call("RPUSH", "left", "kept")
        time.sleep(0.1)
        check(other.call("LLEN", "left") == 1, "who has gone takes nothing")


def whole_and_refused(port):
    with Connection(port) as c:
        c.call("FLUSHALL")
        c.call("MSET", *[word for n in range(300) for word in (f"k{n}", n)])
        cursor, found = b"0", set()
        while True:
            cursor, keys = c.call("SCAN", cursor, "COUNT", 50)
            found |= set(keys)
            if cursor == b"0":
                break
        check(found == {b"k%d" % n for n in range(300)} and c.call("DBSIZE") == 300 and len(c.call("KEYS", "*")) == 300)
        check(c.call("RANDOMKEY") in found)
        for command in (["SELECT", 1], ["SWAPDB", 0, 1], ["NH.RATE", "r", 1, 1, 1], ["CLIENT", "TRACKING", "ON"],
                        ["SCRIPT", "DEBUG", "YES"], ["DEBUG", "OBJECT", "k1"], ["BGSAVE"], ["SCAN", "1023"], ["SCAN", "x"]):
            check(isinstance(c.ask(*command), ReplyError), f"{command} is refused")
        check(c.call("PING") == "PONG")
        check(c.call("FLUSHALL") == "OK" and c.call("GET", "k1") is None and c.call("DBSIZE") == 0)


def other_protocols(port):
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(b"set mc 0 0 1\r\nv\r\nget mc\r\nversion\r\ndelete mc\r\nquit\r\n")
        text = b""
        while piece := s.recv(4096):
            text += piece
        lines = text.split(b"\r\n")
        check(lines[:4] == [b"STORED", b"VALUE mc 0 1", b"v", b"END"] and lines[4].startswith(b"VERSION") and lines[5:] == [b"DELETED", b""], text)


def permissions(port):
    with Connection(port) as admin:
        admin.call("ACL", "SETUSER", "reader", "on", ">secret", "~r:*", "+@read", "+auth")
        admin.call("ACL", "SETUSER", "most", "on", ">secret", "~*", "+@all", "-@hash")
        admin.call("HSET", "r:h", "f", "v"), admin.call("HSET", "other", "f", "v")
    with Connection(port, user="reader", password="secret") as c:
        check(c.call("HGETALL", "r:h") == [b"f", b"v"])
        for command in (["HGETALL", "other"], ["HSET", "r:h", "f", "x"], ["EVAL", "return 1", 0], ["SORT", "r:h", "BY", "*"], ["GET", "other"],
                        ["OBJECT", "ENCODING", "other"], ["ZUNION", 2, "r:z", "other"]):
            check(c.ask(*command).code == "NOPERM", f"{command} of a reader: {c.ask(*command)}")
    with Connection(port, user="most", password="secret") as c:
        check(c.ask("HGET", "other", "f").code == "NOPERM", "a category that it may be in is taken away")
        check(c.call("GET", "s") is None)


def main():
    print(f"seed {seed}")
    with RedisCluster() as cluster, RedisServers(replica_count=0) as redis:
        for resp in ("3", "2"):
            with Nuthatch("cache", "--tier", cluster.url, "--tier-resp", resp) as first, Nuthatch("cache", "--tier", cluster.url) as second:
                compare(first.port, redis.nodes[0], 2)
                if resp == "3":
                    compare(first.port, redis.nodes[0], 3)
                near_values(first, second, cluster)
                if resp == "2":
                    continue
                pipelines(first.port)
                transactions(first.port)
                blocking(first.port, cluster.owner("left"))
                whole_and_refused(first.port)
                other_protocols(first.port)
                permissions(first.port)
    print("ok")


if __name__ == "__main__":
    sys.exit(main())
