"""Random commands, said to nuthatch and to a real Redis: every answer is the same to the byte.

    test_redis_differential.py [--seed N] [--sequences N] [--family NAME]

Each sequence begins with empty databases. What may differ is named in LIKE below: the order of keys, cursors, figures that
are a server's own, and times by as much as the clock has moved. To add commands, write a function that takes a Random and
returns a command as a list, and name it in FAMILIES.
"""
import argparse, random, shutil, socket, sys, tempfile, time
from harness import Nuthatch, Process, free_port

REDIS = shutil.which("redis-server") or "/usr/bin/redis-server"
BATCH = 40  # sequences that are sent at once
LENGTH = 14  # commands of a sequence
DIFFERENCES_MAX = 10  # then it is enough

# ---- arguments ----------------------------------------------------------------------------------

KEYS = [b"a", b"b", b"c", b"key", b"KEY", b"", b"\0k\r\n", b"h[a]llo*?"]
# No "1 ": a number that memcached has padded counts as one here.
TEXTS = [b"", b"a", b"hello", b"Hello World", b"\0\xff\r\n", b"x" * 44, b"y" * 45, b"z" * 300, b"nan", b"inf", b" 1", b"+1"]
INTEGERS = [b"0", b"1", b"-1", b"7", b"10", b"100", b"-100", b"9223372036854775807", b"-9223372036854775808",
            b"9223372036854775806", b"4611686018427387904", b"-4611686018427387905", b"2147483648"]
NO_INTEGERS = [b"", b"abc", b"1.5", b"+1", b"01", b" 1", b"1 ", b"-0", b"0x10", b"1e3", b"9223372036854775808",
               b"-9223372036854775809", b"99999999999999999999", b"\0", b"-", b"1\0"]
FLOATS = [b"0.1", b"0.2", b"-0.1", b"3.0", b"1e2", b"5.0e3", b"-1.5e-10", b"1e308", b"1e4000", b"123456789.123456789", b"0x1p3",
          b"3.00000000000000000001", b"-0.0", b".5", b"5."]
NO_FLOATS = [b"", b"abc", b" 1", b"1 ", b"1e5000", b"1e-5000", b"nan", b"inf", b"-inf", b"infinity", b"1,5", b"--1", b"1\0"]
WORDS = [b"ex", b"px", b"exat", b"pxat", b"nx", b"xx", b"gt", b"lt", b"get", b"keepttl", b"persist", b"replace", b"db", b"match",
         b"count", b"type", b"byte", b"bit", b"samples", b"sync", b"async", b"", b"what"]
DATABASES = [b"0", b"1", b"2", b"3"]
NO_DATABASES = [b"-1", b"16", b"abc", b"", b"2147483648", b"-2147483649", b"99999999999999999999", b"1.0"]
# No "**": in Redis 7.0 it does not fit the empty key, though "*" does.
PATTERNS = [b"*", b"?", b"a", b"[a-c]", b"[^a]", b"k*y", b"KEY", b"h\\[a\\]llo\\*\\?", b"", b"k**", b"[", b"\\", b"*\0*", b"[b-a]"]


def key(r):
    return r.choice(KEYS[:4] if r.random() < 0.8 else KEYS)


def text(r):
    return r.choice(TEXTS) if r.random() < 0.6 else r.choice(INTEGERS) if r.random() < 0.8 else r.choice(FLOATS)


def integer(r):
    roll = r.random()
    return b"%d" % r.randint(-12, 12) if roll < 0.5 else r.choice(INTEGERS) if roll < 0.8 else r.choice(NO_INTEGERS)


def floating(r):
    roll = r.random()
    return r.choice(FLOATS) if roll < 0.6 else r.choice(INTEGERS) if roll < 0.8 else r.choice(NO_FLOATS)


def database(r):
    return r.choice(DATABASES if r.random() < 0.9 else NO_DATABASES)


def case(r, word):
    return r.choice([word, word.upper(), bytes(r.choice([c, c ^ 0x20]) if chr(c).isalpha() else c for c in word)])


def some(r, make, low, high):
    return [make(r) for _ in range(r.randint(low, high))]


def lifetime(r, unit):
    """A time for EX, PX, EXAT or PXAT: far ahead, and no two within seconds of each other, so that it does not matter when
    a server looked at its clock. Or no time at all."""
    roll = r.random()
    if roll < 0.15:
        return r.choice(NO_INTEGERS + [b"0", b"-1", b"-100", b"9223372036854775807", b"-9223372036854775808",
                                       b"9223372036854775"])
    if roll < 0.2:
        return b"9223370000000000"
    seconds = 1000 + 10 * r.randint(1, 1000000) + (int(time.time()) if unit.endswith(b"at") else 0)
    return b"%d" % (seconds * (1000 if unit.startswith(b"p") else 1))


def lifetime_options(r):
    unit = r.choice([b"ex", b"px", b"exat", b"pxat"])
    return [case(r, unit), lifetime(r, unit)]


# ---- commands -----------------------------------------------------------------------------------


def set_(r):
    command = [b"set", key(r), text(r)]
    for _ in range(r.choice([0, 0, 0, 1, 1, 2, 3])):
        roll = r.random()
        if roll < 0.4:
            command += lifetime_options(r)
        else:
            command.append(case(r, r.choice([b"nx", b"xx", b"get", b"keepttl"] if roll < 0.95 else WORDS)))
    return command


def getex(r):
    command = [b"getex", key(r)]
    for _ in range(r.choice([0, 1, 1, 1, 2])):
        roll = r.random()
        if roll < 0.6:
            command += lifetime_options(r)
        elif roll < 0.7:
            command += [b"exat", b"1000"]  # long past
        else:
            command.append(case(r, b"persist" if roll < 0.9 else r.choice(WORDS)))
    return command


def expire(name, unit):
    def make(r):
        command = [name, key(r), lifetime(r, unit)]
        if r.random() < 0.1:
            command[2] = r.choice([b"-1", b"-1000", b"0"] + ([b"1000"] if unit.endswith(b"at") else []))
        for _ in range(r.choice([0, 0, 1, 1, 2, 3])):
            command.append(case(r, r.choice([b"nx", b"xx", b"gt", b"lt"] if r.random() < 0.93 else WORDS)))
        return command
    return make


def pairs(name):
    def make(r):
        command = [name]
        for _ in range(r.randint(1, 3)):
            command += [key(r), text(r)]
        return command
    return make


def of_key(name, *more):
    return lambda r: [name, key(r)] + [argument(r) for argument in more]


def of_keys(name):
    return lambda r: [name] + some(r, key, 1, 4)


def offset(r):
    """A small one, or more than Redis allows of bytes and of bits: what lies between is a matter of --value-max."""
    return b"%d" % r.randint(0, 40) if r.random() < 0.8 else r.choice(
        [b"-1", b"4294967296", b"9223372036854775807", b"-9223372036854775808"] + NO_INTEGERS)


def bit(r):
    return r.choice([b"0", b"1"]) if r.random() < 0.85 else r.choice([b"2", b"-1", b"", b"abc", b"+1", b"99999999999999999999"])


def bit_offset(r):
    return b"%d" % r.randint(0, 400) if r.random() < 0.8 else offset(r)


def unit_of_bits(r):
    return case(r, r.choice([b"bit", b"byte"] if r.random() < 0.9 else WORDS))


def bitcount(r):
    return ([b"bitcount", key(r)] + [integer(r), integer(r), unit_of_bits(r), b"x"])[:r.choice([2, 3, 4, 4, 5, 5, 5, 6])]


def bitpos(r):
    return ([b"bitpos", key(r), bit(r)] + [integer(r), integer(r), unit_of_bits(r), b"x"])[:r.choice([3, 4, 5, 6, 6, 6, 7])]


def bitop(r):
    operation = case(r, r.choice([b"and", b"or", b"xor", b"not"] if r.random() < 0.95 else WORDS))
    return [b"bitop", operation, key(r)] + some(r, key, 1, 1 if operation.lower() == b"not" and r.random() < 0.8 else 4)


def lcs(r):
    command = [b"lcs", key(r), key(r)]
    for _ in range(r.choice([0, 0, 1, 1, 2, 3])):
        word = r.choice([b"len", b"idx", b"idx", b"withmatchlen", b"minmatchlen"] if r.random() < 0.95 else WORDS)
        command += [case(r, word)] + ([integer(r)] if word == b"minmatchlen" and r.random() < 0.95 else [])
    return command


def copy(r):
    command = [b"copy", key(r), key(r)]
    for _ in range(r.choice([0, 0, 1, 1, 2])):
        roll = r.random()
        command += [case(r, b"replace")] if roll < 0.4 else [case(r, b"db"), database(r)] if roll < 0.9 else [r.choice(WORDS)]
    return command


def scan(r):
    command = [b"scan", b"0" if r.random() < 0.95 else r.choice([b"", b"abc", b"-1", b"1 ", b"+0", b"99999999999999999999"])]
    for _ in range(r.randint(0, 3)):
        roll = r.random()
        if roll < 0.3:
            command += [case(r, b"match"), r.choice(PATTERNS)]
        elif roll < 0.7:
            command += [case(r, b"count"), b"1000000" if r.random() < 0.8 else r.choice([b"0", b"-1", b"1"] + NO_INTEGERS)]
        elif roll < 0.9:
            command += [case(r, b"type"), r.choice([b"string", b"STRING", b"list", b"hash", b"what"])]
        else:
            command.append(r.choice(WORDS))
    return command


def object_(r):
    return [b"object", case(r, r.choice([b"encoding", b"refcount", b"freq", b"idletime", b"what"])), key(r)]


def memory(r):
    command = [b"memory", case(r, b"usage"), key(r)]
    for _ in range(r.choice([0, 0, 1, 2])):
        command += [case(r, b"samples"), integer(r)] if r.random() < 0.8 else [r.choice(WORDS)]
    return command


def flush(name):
    return lambda r: [name] + ([case(r, r.choice([b"sync", b"async", b"what"]))] if r.random() < 0.5 else [])


def wait(r):
    return [b"wait", r.choice([b"0", b"-1"] + NO_INTEGERS), r.choice([b"0", b"10", b"-1"] + NO_INTEGERS)]


def unknown(r):
    return [r.choice([b"foo", b"", b"get2", b"\xff\xfe", b"s" * 200, b"set "])] + some(r, text, 0, 5)


FAMILIES = {
    "strings": [set_, set_, set_, getex, getex, of_key(b"get"), of_key(b"setnx", text), of_key(b"getset", text), of_key(b"getdel"),
                of_key(b"setex", lambda r: lifetime(r, b"ex"), text), of_key(b"psetex", lambda r: lifetime(r, b"px"), text),
                of_keys(b"mget"), pairs(b"mset"), pairs(b"msetnx"), of_key(b"append", text), of_key(b"strlen"),
                of_key(b"getrange", integer, integer), of_key(b"substr", integer, integer), of_key(b"setrange", offset, text), lcs, lcs],
    "numbers": [of_key(b"incr"), of_key(b"decr"), of_key(b"incrby", integer), of_key(b"decrby", integer),
                of_key(b"incrbyfloat", floating), of_key(b"incrbyfloat", floating), of_key(b"set", text)],
    "bits": [of_key(b"getbit", bit_offset), of_key(b"setbit", bit_offset, bit), of_key(b"setbit", bit_offset, bit), bitcount, bitpos,
             bitpos, bitop, bitop, bitop, of_key(b"set", text)],
    "expiry": [expire(b"expire", b"ex"), expire(b"pexpire", b"px"), expire(b"expireat", b"exat"), expire(b"pexpireat", b"pxat"),
               of_key(b"ttl"), of_key(b"pttl"), of_key(b"expiretime"), of_key(b"pexpiretime"), of_key(b"persist"), set_],
    "keyspace": [of_keys(b"del"), of_keys(b"unlink"), of_keys(b"exists"), of_keys(b"touch"), of_key(b"type"),
                 of_key(b"rename", key), of_key(b"renamenx", key), copy, copy, of_key(b"move", database),
                 lambda r: [b"select", database(r)], lambda r: [b"swapdb", database(r), database(r)],
                 lambda r: [b"keys", r.choice(PATTERNS)], scan, scan, lambda r: [b"randomkey"], flush(b"flushdb"), flush(b"flushall"),
                 object_, memory, set_, set_],
    "others": [wait, unknown, lambda r: [b"time"], lambda r: [b"ping"] + some(r, text, 0, 2), lambda r: [b"echo", text(r)]],
}
WEIGHTS = {"strings": 5, "numbers": 3, "bits": 3, "expiry": 4, "keyspace": 5, "others": 1}


def sequence(r, families):
    commands = []
    for _ in range(LENGTH):
        family = r.choices(families, [WEIGHTS.get(name, 3) for name in families])[0]
        command = r.choice(FAMILIES[family])(r)
        command[0] = case(r, command[0])
        if r.random() < 0.03:  # too few, too many
            command = command[:r.randint(1, len(command))] + some(r, text, 0, 2)
        if command[0].lower() == b"wait" and len(command) > 1 and command[1][:1].isdigit() and command[1] != b"0":
            continue  # would wait for a replica
        if command[0].lower() == b"scan" and len(command) > 1 and b"\0" in command[1]:
            continue  # Redis reads a cursor up to a zero byte
        commands.append(command)
    return commands


# What was left behind is looked at after each sequence.
LOOK = [command for number in DATABASES for command in ([b"select", number], [b"mget", *KEYS], [b"dbsize"])]
BEGIN = [[b"flushall"], [b"select", b"0"]]

# ---- answers ------------------------------------------------------------------------------------


class Connection:
    """Says commands to a server and reads its answers, each as its bytes and what they mean."""

    def __init__(self, port, version):
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.received, self.at = b"", 0
        self.ask([[b"hello", b"%d" % version]])

    def ask(self, commands):
        self.socket.sendall(b"".join(b"*%d\r\n" % len(command) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in command)
                                     for command in commands))
        answers = []
        for _ in commands:
            begin = self.at
            value = self.read()
            answers.append((self.received[begin:self.at], value))
        self.received, self.at = self.received[self.at:], 0
        return answers

    def more(self):
        piece = self.socket.recv(1 << 20)
        if not piece:
            raise AssertionError("the server has closed the connection")
        self.received += piece

    def read(self):
        while (end := self.received.find(b"\r\n", self.at)) < 0:
            self.more()
        kind, line = self.received[self.at:self.at + 1], self.received[self.at + 1:end]
        self.at = end + 2
        if kind in b"$=":
            size = int(line)
            if size < 0:
                return None
            while len(self.received) < self.at + size + 2:
                self.more()
            value = self.received[self.at:self.at + size]
            self.at += size + 2
            return value
        if kind in b"*~>":
            return [self.read() for _ in range(int(line))] if int(line) >= 0 else None
        if kind == b"%":
            return [self.read() for _ in range(2 * int(line))]
        if kind == b":":
            return int(line)
        if kind == b"_":
            return None
        if kind == b"-":
            return Exception(line)
        return line


def within(slack):
    return lambda command, ours, theirs: isinstance(ours, int) and isinstance(theirs, int) and (ours < 0) == (theirs < 0) and \
        abs(ours - theirs) <= slack


def same_keys(command, ours, theirs):
    return isinstance(ours, list) and isinstance(theirs, list) and sorted(ours) == sorted(theirs)


def same_scan(command, ours, theirs):
    if not isinstance(ours, list) or not isinstance(theirs, list):
        return False
    # Cursors are a server's own, and what is found from one on; but from the beginning to the end it is the same.
    return command[1] != b"0" or ours[0] != theirs[0] or sorted(ours[1]) == sorted(theirs[1])


def both_some(command, ours, theirs):
    return ours is not None and theirs is not None and not isinstance(theirs, Exception)


def both_numbers(command, ours, theirs):
    return isinstance(ours, int) and isinstance(theirs, int)


# How answers to these may differ in their bytes and be as good: the two run a sequence some seconds apart where others keep
# the machine busy.
LIKE = {
    b"ttl": within(15), b"pttl": within(15000), b"expiretime": within(15), b"pexpiretime": within(15000),
    b"keys": same_keys, b"scan": same_scan, b"randomkey": both_some, b"object": both_some, b"memory": both_numbers,
    b"time": lambda command, ours, theirs: len(ours) == len(theirs) == 2 and abs(int(ours[0]) - int(theirs[0])) <= 15,
}


def is_like(command, ours, theirs):
    if ours[0] == theirs[0]:
        return True
    like = LIKE.get(command[0].lower())
    return like is not None and like(command, ours[1], theirs[1])


# ---- the comparison -----------------------------------------------------------------------------


def show(command):
    return " ".join(repr(word)[1:] for word in command)


def compare(seed, count, families):
    differences, commands_said = 0, 0
    folder = tempfile.mkdtemp(prefix="nuthatch-redis-")
    port = free_port()
    redis = Process([REDIS, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder])
    try:
        redis.wait_for("Ready to accept connections")
        with Nuthatch("cache", "--threads", "2") as server:
            pairs_of_connections = [(Connection(server.port, version), Connection(port, version)) for version in (2, 3)]
            for first in range(0, count, BATCH):
                ours, theirs = pairs_of_connections[first // BATCH % 2]
                said = []
                for number in range(first, min(first + BATCH, count)):
                    said += [(number, command) for command in
                             BEGIN + sequence(random.Random(f"{seed}/{number}"), families) + LOOK]
                commands = [command for _, command in said]
                commands_said += len(commands)
                answers = list(zip(said, ours.ask(commands), theirs.ask(commands)))
                for at, ((number, command), our, their) in enumerate(answers):
                    if is_like(command, our, their):
                        continue
                    differences += 1
                    print(f"\nsequence {number} of --seed {seed}, RESP{2 + first // BATCH % 2}:")
                    for (other, before), answer, _ in answers[:at]:
                        if other == number:
                            print(f"    {show(before)}   -> {answer[0][:60]!r}")
                    print(f"  > {show(command)}\n    nuthatch {our[0][:400]!r}\n    redis    {their[0][:400]!r}", flush=True)
                    if differences == DIFFERENCES_MAX:
                        return differences, commands_said
    finally:
        redis.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return differences, commands_said


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=20261125, help="0: by chance")
    parser.add_argument("--sequences", type=int, default=4000)
    parser.add_argument("--family", action="append", choices=sorted(FAMILIES), help="only this one; may be given again")
    arguments = parser.parse_args()
    arguments.seed = arguments.seed or random.SystemRandom().randrange(1 << 32)
    print(f"--seed {arguments.seed} --sequences {arguments.sequences}", flush=True)
    began = time.time()
    differences, commands = compare(arguments.seed, arguments.sequences, arguments.family or sorted(FAMILIES))
    print(f"{commands} commands in {time.time() - began:.0f} s, {differences} differences")
    sys.exit(1 if differences else 0)


if __name__ == "__main__":
    main()
