"""Random conversations have the same answers here as with a real memcached, byte for byte, but for what cannot be the
same: values of versions, seconds that tick between the two, the debug line's sizes.

    MEMCACHED_SEED=7 MEMCACHED_SEQUENCES=100 python3 tests/clients/test_memcached_differential.py

Left out, as nuthatch differs on purpose: control bytes in keys, which are refused; opaques of 32 bytes and more, which
memcached bounds in mg alone; ma with T, which memcached forgets where the number becomes longer; flags beyond 32 bits and times
beyond 2038, which memcached cuts down; and after a storage command that is refused, its data is dropped, where memcached
runs it as commands (what follows such a command here is no command, so memcached adds one ERROR)."""
import base64, os, pwd, random, re, shutil, socket, time, unittest

from harness import Nuthatch, Process, free_port

SEED = int(os.environ.get("MEMCACHED_SEED") or 20261125) or random.SystemRandom().randrange(1 << 32)
SEQUENCES = int(os.environ.get("MEMCACHED_SEQUENCES") or 3000)
COMMANDS = 14
SECONDS_MAX = 55


class Memcached(Process):
    def __init__(self):
        self.port = free_port()
        program = shutil.which("memcached") or "/usr/bin/memcached"
        user = ["-u", pwd.getpwuid(os.getuid()).pw_name]
        super().__init__([program, *user, "-l", "127.0.0.1", "-p", str(self.port), "-U", "0", "-m", "64", "-t", "1",
                          "-o", "no_lru_crawler,no_lru_maintainer,no_slab_reassign"])
        end = time.time() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if time.time() > end:
                    raise
                time.sleep(0.02)


class Talker:
    """One connection; every question ends with mn, whose answer ends each answer."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, question):
        self.socket.sendall(question + b"mn\r\n")
        answer = b""
        while not answer.endswith(b"MN\r\n"):
            piece = self.socket.recv(65536)
            if not piece:
                raise AssertionError(f"closed after {question!r}: {answer!r}")
            answer += piece
        return answer[:-4]


NUMBERS = [b"0", b"1", b"2", b"5", b"9", b"10", b"99", b"100", b"007", b"+3", b"18446744073709551615"]
BAD_NUMBERS = [b"x", b"-", b"1x", b"", b"0x1", b"1.5", b"18446744073709551616", b"--1", b"+"]
TIMES = [b"0", b"0", b"30", b"60", b"100", b"-1", b"+60", b"2592000"]
VALUES = [b"", b"a", b"10", b"0", b"99", b"007", b"5 ", b" 5", b"18446744073709551615", b"x" * 40, b"\r\n0", b"-1",
          b"mg k v", b"9" * 30]
FLAGS = [b"0", b"1", b"77", b"4294967295", b"+5"]
BAD_FLAGS = [b"x", b"-1", b"1x"]
LETTERS = b"bcfhklqstuvILP"


class Talk:
    """The questions of one sequence, some of which hold a version that a server has told."""

    def __init__(self, chance, number):
        self.chance = chance
        self.keys = [b"%s%d" % (name, number) for name in (b"a", b"bee", b"k")]

    def pick(self, good, bad, odds=0.05):
        return self.chance.choice(bad if self.chance.random() < odds else good)

    def key(self):
        roll = self.chance.random()
        if roll < 0.01:
            return b"L" * self.chance.choice([249, 250, 251, 300])
        return self.chance.choice(self.keys)

    def noreply(self):
        return self.chance.choice([b""] * 12 + [b" noreply", b" extra"])

    def data(self, value):
        """A data block and how long it is said to be."""
        roll = self.chance.random()
        if roll < 0.02:
            return b"%d" % (len(value) + 1), value + b"\r\n\r\n"
        if roll < 0.04 and value:
            return b"%d" % (len(value) - 1), value + b"\r\n"
        if roll < 0.05:
            return self.chance.choice([b"x", b"-1", b"2147483647", b"4294967295"]), b"zz\r\n"
        return b"%d" % len(value), value + b"\r\n"

    def storage(self):
        name = self.chance.choice([b"set"] * 4 + [b"add", b"replace", b"append", b"prepend", b"cas"])
        key = self.key()
        size, data = self.data(self.chance.choice(VALUES))
        flags, exptime = self.pick(FLAGS, BAD_FLAGS, 0.03), self.pick(TIMES, [b"x", b"1x"], 0.03)
        version = b" " + self.version(key) if name == b"cas" else b""
        if len(key) > 250 or flags in BAD_FLAGS or exptime in (b"x", b"1x") or version[1:] in (b"x", b"-1"):
            size, data = b"2", b"zz\r\n"
        return name + b" %s %s %s %s" % (key, flags, exptime, size) + version + self.noreply() + b"\r\n" + data

    def version(self, key):
        """{key} is put in place by who asks, each server's own."""
        return self.pick([b"{%s}" % key] * 3 + [b"1", b"9223372036854775807"], [b"x", b"-1"], 0.04)

    def meta_key(self, flags):
        key = self.key()
        if b"b" in [flag[:1] for flag in flags] and self.chance.random() < 0.95:
            key = base64.b64encode(key[:180])
        return key

    def meta_flags(self, specific, key_of_version):
        flags = []
        for _ in range(self.chance.choice([0, 1, 1, 2, 2, 3, 4, 5, 8])):
            letter = self.chance.choice(LETTERS + specific * 2 + b"O")
            flag = bytes([letter])
            if flag in b"TN":
                flag += self.pick(TIMES, [b"", b"x"], 0.04)
            elif flag == b"R":
                flag += self.pick([b"10", b"45", b"80", b"200", b"-1"], [b"", b"x"], 0.04)
            elif flag == b"C":
                flag += self.version(key_of_version)
            elif flag in b"DJ":
                flag += self.pick(NUMBERS, BAD_NUMBERS, 0.05)
            elif flag == b"F":
                flag += self.pick(FLAGS, BAD_FLAGS, 0.05)
            elif flag == b"O":
                flag += self.chance.choice([b"", b"1", b"opaque", b"o" * 30, b"o" * 31])
            elif flag in b"LP":
                flag += self.chance.choice([b"", b"/path"])
            elif flag == b"M":
                flag += self.pick([b"S", b"E", b"A", b"P", b"R"] if specific[-1:] == b"M" else
                                  [b"I", b"D", b"+", b"-"], [b"", b"x", b"SS"], 0.05)
            if flag[:1] not in [other[:1] for other in flags] or self.chance.random() < 0.03:
                flags.append(flag)
        if self.chance.random() < 0.01:
            flags += [b"%c" % letter for letter in LETTERS[:self.chance.choice([3, 14])]]
        if self.chance.random() < 0.01:
            flags.append(self.chance.choice([b"z", b"Z", b"W", b"1", b"-", b"\xff"]))
        return flags

    def meta(self):
        name = self.chance.choice([b"mg"] * 4 + [b"ms"] * 3 + [b"md"] * 2 + [b"ma"] * 2 + [b"me"])
        key = self.chance.choice(self.keys)
        flags = self.meta_flags({b"mg": b"NRT", b"ms": b"CFTM", b"md": b"CTI", b"ma": b"CDJN", b"me": b""}[name], key)
        if name == b"ma" and self.chance.random() < 0.4:
            flags = [flag for flag in flags if flag[:1] != b"M"]
            flags.append(b"M" + self.pick([b"I", b"D", b"+", b"-"], [b"", b"x", b"incr"], 0.05))
        if name == b"me":
            flags = [b"b"] if self.chance.random() < 0.2 else []
        if any(flag[:1] == b"C" for flag in flags):
            flags = [flag for flag in flags if flag[:1] != b"b"]
            asked = key
        else:
            asked = self.meta_key(flags)
        line = name + b" " + asked
        if name != b"ms":
            return line + b"".join(b" " + flag for flag in flags) + b"\r\n"
        value = self.chance.choice(VALUES)
        size, data = self.data(value)
        if size != b"%d" % len(value):  # of two faults memcached may tell the other
            flags = []
        if len(asked) > 250 or len(flags) > 16:
            size, data = b"2", b"zz\r\n"
        return line + b" " + size + b"".join(b" " + flag for flag in flags) + b"\r\n" + data

    def other(self):
        key, c = self.key(), self.chance
        return c.choice([
            b"get " + b" ".join(c.choice(self.keys) for _ in range(c.choice([1, 1, 2, 5, 30]))) + b"\r\n",
            b"gets " + b" ".join(c.choice(self.keys) for _ in range(c.choice([1, 1, 3]))) + b"\r\n",
            b"%s %s\r\n" % (c.choice([b"get", b"gets"]), key),
            b"gat %s " % self.pick(TIMES, [b"x", b"1x"]) + b" ".join(c.choice(self.keys) for _ in range(c.choice([1, 2]))) + b"\r\n",
            b"gats %s %s\r\n" % (self.pick(TIMES, [b"x"]), c.choice(self.keys)),
            b"incr %s %s%s\r\n" % (key, self.pick(NUMBERS, BAD_NUMBERS[:3]), self.noreply()),
            b"decr %s %s%s\r\n" % (key, self.pick(NUMBERS, BAD_NUMBERS[:3]), self.noreply()),
            b"delete %s%s\r\n" % (c.choice(self.keys), c.choice([b"", b"", b" 0", b" noreply", b" 0 noreply", b" 1", b" x"])),
            b"touch %s %s%s\r\n" % (key, self.pick(TIMES, [b"x"]), self.noreply()),
            c.choice([b"get\r\n", b"gets\r\n", b"gat\r\n", b"gat 10\r\n", b"touch k\r\n", b"incr k\r\n", b"set k 0 0\r\n",
                      b"mg\r\n", b"ms\r\n", b"ms k\r\n", b"md\r\n", b"ma\r\n", b"me\r\n", b"me a b c\r\n",
                      b"\r\n", b"  \r\n", b"nonsense\r\n", b"GET k\r\n", b"verbosity\r\n", b"verbosity 1\r\n",
                      b"verbosity x\r\n", b"verbosity 1 noreply\r\n", b"verbosity noreply\r\n", b"verbosity 1 2\r\n",
                      b"shutdown\r\n", b"shutdown now\r\n", b"stats nonsense\r\n", b"stats sizes\r\n", b"stats reset\r\n",
                      b"flush_all\r\n", b"flush_all 0\r\n", b"flush_all x\r\n", b"flush_all noreply\r\n",
                      b"flush_all 0 0 0\r\n", b" get k\r\n", b"get  k  \r\n"]),
        ])

    def question(self):
        roll = self.chance.random()
        return self.storage() if roll < 0.3 else self.meta() if roll < 0.75 else self.other()


VERSION_OF = re.compile(rb"\{([^}]*)\}")


def with_versions(talker, question):
    """The question with each version that it asks for as this server tells it; 1 for a missing key."""
    def version(match):
        answer = talker.ask(b"gets %s\r\n" % match.group(1))
        found = re.match(rb"VALUE \S+ \d+ \d+ (\d+)\r\n", answer)
        return found.group(1) if found else b"1"
    return VERSION_OF.sub(version, question)


def comparable(answer):
    """The answer with versions and times as words."""
    answer = re.sub(rb"(VALUE \S+ \d+ \d+) \d+\r\n", rb"\1 #\r\n", answer)
    answer = re.sub(rb"(?m)^(HD|VA|EN|NF|NS|EX)([^\r]*)", lambda line: re.sub(rb" c[1-9]\d*\b", rb" c#", line.group(0)),
                    answer)
    return re.sub(rb"^(ME \S+) exp=-?(\d+) la=(\d+) cas=\d+ (fetch=\w+) .*\r\n", rb"\1 t\2 l\3 \4\r\n", answer)


def tells_the_same(ours, theirs):
    if ours == theirs:
        return True
    time = rb" ([tl])(\d+)\b"
    if re.sub(time, rb" \1#", ours) != re.sub(time, rb" \1#", theirs):
        return False
    pairs = zip(re.findall(time, ours), re.findall(time, theirs))
    # What expires at once memcached tells as a time that is about to be over, or was: a number cut to 32 bits.
    return all(abs(int(a) - int(b)) <= 2 or int(b) > 1 << 31 for (_, a), (_, b) in pairs)


REFUSED_LINE = (b"CLIENT_ERROR bad command line format\r\n", b"CLIENT_ERROR options flags too long\r\n", b"ERROR\r\n", b"")


def without_data_run(question, answer):
    """The answer without the ERROR for data of a refused command, which memcached ran; so does nuthatch, if it does not
    say how long it is."""
    if question.endswith(b"\r\nzz\r\n") and answer.endswith(b"ERROR\r\n") and answer[:-7] in REFUSED_LINE:
        return answer[:-7]
    return answer


def difference(theirs, ours, seed, number):
    """Plays one sequence to both; what was said, if it was not the same."""
    talk, said = Talk(random.Random(seed), number), []
    for _ in range(COMMANDS):
        question = talk.question()
        answers = [talker.ask(with_versions(talker, question)) for talker in (theirs, ours)]
        said.append(f"  {question!r}\n      {answers[1]!r}")
        wanted, got = (comparable(without_data_run(question, answer)) for answer in answers)
        if not tells_the_same(got, wanted):
            return "\n".join(said) + f"\nmemcached says {wanted!r}, nuthatch {got!r}"
    return None


class MemcachedDifferential(unittest.TestCase):
    def test_random_conversations_are_answered_as_memcached_answers_them(self):
        print(f"MEMCACHED_SEED={SEED}", flush=True)
        began, done = time.time(), 0
        with Memcached() as memcached, Nuthatch("cache", "--memory", "64M", "--threads", "2",
                                                listen="memcached://127.0.0.1:0") as nuthatch:
            theirs, ours = Talker(memcached.port), Talker(nuthatch.port)
            for number in range(SEQUENCES):
                seed = f"{SEED}/{number}"
                found = difference(theirs, ours, seed, number)
                # memcached's own threads may hold an item for a moment, and a sum is then not written in place: what
                # does not happen each time is that.
                if found and all(difference(theirs, ours, seed, SEQUENCES * again + number) for again in range(1, 6)):
                    self.fail(f"MEMCACHED_SEED={SEED}, sequence {number}:\n{found}")
                done += 1
                if time.time() - began > SECONDS_MAX:
                    break
            theirs.socket.close(), ours.socket.close()
        print(f"{done} sequences, {done * COMMANDS} commands, {time.time() - began:.1f} s", flush=True)
        self.assertGreater(done, min(SEQUENCES, 500) - 1)


if __name__ == "__main__":
    unittest.main()
