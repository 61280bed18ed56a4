"""Passwords, users and CONFIG: with client libraries, against a real Redis, and across workers."""
import os, random, shutil, socket, subprocess, tempfile, threading, time, unittest

import pymemcache
import redis

from harness import BINARY, Nuthatch, Process, free_port, raw

PASSWORD = "wren house"


class RealRedis(Process):
    def __init__(self):
        self.port = free_port()
        super().__init__(["redis-server", "--port", str(self.port), "--save", "", "--appendonly", "no"])
        self.wait_for("Ready to accept connections")


def client(port, **options):
    return redis.Redis(port=port, decode_responses=True, **options)


def refused(call, *arguments, **options):
    """The error's text."""
    try:
        answer = call(*arguments, **options)
    except redis.RedisError as error:
        return str(error)
    raise AssertionError(f"answered {answer!r}")


def is_closed(connection):
    """Whether a redis-py client's only connection is closed by the server, without asking for anything."""
    sock = connection._sock
    sock.settimeout(10)
    return sock.recv(1) == b""


class Passwords(unittest.TestCase):
    def setUp(self):
        self.server = Nuthatch("cache", "--memory", "64M", "--threads", "2",
                               environment={"NUTHATCH_REQUIREPASS": PASSWORD})

    def tearDown(self):
        self.assertEqual(self.server.stop(), 0)

    def test_redis_py_comes_in_with_the_password_only(self):
        port = self.server.port
        self.assertIn("Authentication required", refused(client(port).get, "a"))
        self.assertIn("invalid username-password", refused(client(port, password="wrong").get, "a"))
        with client(port, password=PASSWORD) as c:
            self.assertTrue(c.set("a", "1"))
            self.assertEqual(c.acl_whoami(), "default")
        with client(port, username="default", password=PASSWORD) as c:
            self.assertEqual(c.get("a"), "1")

    def test_pymemcache_comes_in_by_setting_user_and_password(self):
        stranger = pymemcache.Client(("127.0.0.1", self.server.port))
        with self.assertRaises(pymemcache.exceptions.MemcacheClientError):
            stranger.get("a")
        stranger.close()
        c = pymemcache.Client(("127.0.0.1", self.server.port), default_noreply=False)
        self.assertTrue(c.set("any", f"default {PASSWORD}"))
        self.assertTrue(c.set("a", "1"))
        self.assertEqual(c.get("a"), b"1")
        self.assertIsNone(c.get("any"))
        c.close()

    def test_a_password_set_while_running_is_for_those_who_come_afterwards(self):
        port = self.server.port
        with client(port, password=PASSWORD, single_connection_client=True) as admin:
            admin.config_set("requirepass", "another")
            self.assertTrue(admin.ping())
            self.assertIn("invalid username-password", refused(client(port, password=PASSWORD).ping))
            self.assertTrue(client(port, password="another").ping())
            admin.config_set("requirepass", "")
            self.assertTrue(client(port).ping())

    def test_a_stranger_cannot_make_the_server_hold_much(self):
        """Answers that a stranger does not read, and commands that are large, cut the connection."""
        received = raw(self.server.port, b"GET a\r\n" * 20000)
        self.assertLess(len(received), 64 * 1024)
        before = self.server.resident_kib()
        strangers = []
        for _ in range(50):
            s = socket.create_connection(("127.0.0.1", self.server.port))
            s.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$100000000\r\n")
            strangers.append(s)
        for s in strangers:
            s.settimeout(10)
            self.assertIn(b"unauthenticated bulk length", s.recv(1000))
            s.close()
        self.assertLess(self.server.resident_kib() - before, 20000)


class WhereThePasswordStands(unittest.TestCase):
    def test_in_a_file_and_not_on_the_command_line(self):
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/password"
            with open(path, "w") as file:
                file.write(PASSWORD + "\n")
            with Nuthatch("cache", "--requirepass-file", path) as server:
                with open(f"/proc/{server.pid}/cmdline") as line:
                    self.assertNotIn(PASSWORD, line.read())
                self.assertTrue(client(server.port, password=PASSWORD).ping())
                self.assertIn("Authentication required", refused(client(server.port).ping))

    def test_in_the_yaml_file(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(f"{folder}/nuthatch.yaml", "w") as file:
                file.write(f"requirepass: {PASSWORD}\ncache:\n  listen: tcp://127.0.0.1:0\n")
            with Nuthatch("serve", f"{folder}/nuthatch.yaml", listen=()) as server:
                self.assertTrue(client(server.port, password=PASSWORD).ping())
                self.assertIn("Authentication required", refused(client(server.port).ping))

    def test_beside_a_file_of_users_that_does_not_name_the_default(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("user reader on >see ~* +@read +acl|load\n")
            file.flush()
            with Nuthatch("cache", "--aclfile", file.name, environment={"NUTHATCH_REQUIREPASS": PASSWORD}) as server:
                with client(server.port, username="reader", password="see") as c:
                    for _ in range(2):
                        self.assertIn("Authentication required", refused(client(server.port).ping))
                        self.assertTrue(client(server.port, password=PASSWORD).ping())
                        self.assertTrue(c.acl_load())

    def start(self, *arguments, **environment):
        return subprocess.run([BINARY, *arguments], env={**os.environ, **environment}, capture_output=True, text=True,
                              timeout=30)

    def test_two_places_or_an_empty_file_are_refused(self):
        with tempfile.NamedTemporaryFile("w") as file:
            ended = self.start("cache", "--requirepass-file", file.name, "--listen", "tcp://127.0.0.1:0")
            self.assertNotEqual(ended.returncode, 0)
            self.assertIn("is empty", ended.stderr)
            ended = self.start("cache", "--requirepass-file", file.name, "--requirepass", "x")
            self.assertNotEqual(ended.returncode, 0)
            self.assertIn("keep one", ended.stderr)

    def test_without_one_only_loopback_is_listened_at(self):
        for address in "tcp://0.0.0.0:0", "tcp://[::]:0", "memcached://0.0.0.0:0":
            ended = self.start("cache", "--listen", address)
            self.assertNotEqual(ended.returncode, 0)
            self.assertIn("NUTHATCH_REQUIREPASS", ended.stderr)
            self.assertIn("--protected-mode no", ended.stderr)
        for arguments, environment in (("--protected-mode", "no"), {}), ((), {"NUTHATCH_REQUIREPASS": "x"}):
            with Nuthatch("cache", *arguments, listen="tcp://0.0.0.0:0", environment=environment):
                pass
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:  # it is about the cache alone
            file.write("{}")
            file.flush()
            with Nuthatch("mock", file.name, listen="http://0.0.0.0:0"):
                pass


class Users(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="nuthatch-acl-")
        cls.path = f"{cls.folder}/users.acl"
        with open(cls.path, "w") as file:
            file.write("# who may come\nuser default on nopass ~* &* +@all\n\nuser reader on >see ~* +@read +@connection\n"
                       "user sparrow on >seed ~* resetchannels -@all +@list +lpush -xgroup|create +get\n")
        cls.server = Nuthatch("cache", "--memory", "64M", "--threads", "2", "--aclfile", cls.path)
        cls.admin = client(cls.server.port)

    @classmethod
    def tearDownClass(cls):
        cls.admin.close()
        assert cls.server.stop() == 0
        shutil.rmtree(cls.folder)

    def sessions(self, count, **options):
        """Connections enough that each worker has some."""
        return [redis.Connection(port=self.server.port, **options) for _ in range(count)]

    def test_the_users_of_the_file(self):
        self.assertIn("reader", self.admin.acl_users())
        with client(self.server.port, username="reader", password="see") as c:
            self.assertIsNone(c.get("a"))
            self.assertEqual(refused(c.set, "a", "1"), "this user has no permissions to run the 'set' command")

    def test_a_file_may_name_what_a_redis_has_and_we_have_not(self):
        with client(self.server.port, username="sparrow", password="seed") as c:
            self.assertIsNone(c.get("a"))
            self.assertIn("lists are not supported", refused(c.lpush, "a", "1"))
        self.admin.acl_save()
        with open(self.path) as file:
            self.assertIn(" -@all +@list +lpush -xgroup|create +get\n", file.read())

    def test_all_connections_of_a_user_are_killed(self):
        self.admin.acl_setuser("wagtail", enabled=True, nopass=True, keys=["*"], commands=["+@all"])
        sessions = self.sessions(8, username="wagtail", password="x")
        for c in sessions:
            c.connect()
        self.assertEqual(self.admin.client_kill_filter(user="wagtail"), 8)
        for c in sessions:
            with self.assertRaises((redis.ConnectionError, OSError)):
                c.send_command("PING")
                c.read_response()
        self.assertEqual(self.admin.client_kill_filter(user="wagtail"), 0)
        self.admin.acl_deluser("wagtail")
        self.assertIn("No such user 'wagtail'", refused(self.admin.client_kill_filter, user="wagtail"))

    def test_saved_and_loaded(self):
        self.admin.acl_setuser("kept", enabled=True, passwords=["+pw"], keys=["k:*"], commands=["+get"])
        self.admin.acl_save()
        self.admin.acl_deluser("kept")
        self.assertIsNone(self.admin.acl_getuser("kept"))
        self.admin.acl_load()
        self.assertEqual(self.admin.acl_getuser("kept")["commands"], ["+get"])
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o600)
        self.admin.acl_deluser("kept")
        self.admin.acl_save()
        with open(self.path) as file:
            text = file.read()
        self.assertNotIn("kept", text)
        self.assertNotIn("see", text.replace("user reader", ""))
        with open(self.path, "a") as file:
            file.write("user broken +nope\n")
        self.assertIn("Unknown command", refused(self.admin.acl_load))
        self.assertIn("reader", self.admin.acl_users())
        with open(self.path, "w") as file:
            file.write(text)

    def test_a_change_counts_from_the_next_command_of_every_session(self):
        self.admin.acl_setuser("wren", enabled=True, nopass=True, keys=["*"], commands=["+@all"])
        sessions = self.sessions(8, username="wren", password="x")
        for c in sessions:
            c.connect()
        for commands, may in (["-get"], False), (["+get"], True), (["-@string"], False), (["+@all"], True):
            self.admin.acl_setuser("wren", enabled=True, keys=["*"], commands=commands)
            for c in sessions:
                c.send_command("GET", "a")
                if may:
                    self.assertIsNone(c.read_response())
                else:
                    self.assertIn("'get' command", refused(c.read_response))
        for c in sessions:
            c.disconnect()
        self.admin.acl_deluser("wren")

    def test_sessions_of_a_deleted_user_are_closed_by_themselves(self):
        self.admin.acl_setuser("gone", enabled=True, nopass=True, keys=["*"], commands=["+@all"])
        sessions = self.sessions(8, username="gone", password="x")
        for c in sessions:
            c.connect()
        self.assertEqual(self.admin.acl_deluser("gone"), 1)
        for c in sessions:
            self.assertTrue(is_closed(c))
        self.assertTrue(self.admin.ping())

    def test_users_change_while_others_come_in_and_run(self):
        """Whatever the order, every answer is one of those that some order gives, and nothing is left over."""
        until, wrong = time.time() + 2, []

        def change():
            with client(self.server.port) as c:
                while time.time() < until:
                    c.acl_setuser("busy", enabled=True, nopass=True, keys=["*"], commands=["+@all"])
                    c.acl_setuser("busy", enabled=True, commands=["-get"])
                    c.acl_list()
                    c.acl_deluser("busy")

        def run():
            while time.time() < until:
                c = redis.Connection(port=self.server.port)
                try:
                    c.connect()
                    c.send_command("AUTH", "busy", "x")
                    c.read_response()
                    for _ in range(20):
                        c.send_command("GET", "absent")
                        c.read_response()
                except redis.ConnectionError:
                    pass  # deleted
                except redis.ResponseError as error:
                    if not any(text in str(error) for text in ("invalid username-password", "'get' command")):
                        wrong.append(str(error))
                finally:
                    c.disconnect()

        threads = [threading.Thread(target=target) for target in (change, change, run, run, run)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        self.assertNotIn("busy", self.admin.acl_users())

    def test_the_log_of_refusals(self):
        self.admin.acl_log_reset()
        with client(self.server.port, username="reader", password="see") as c:
            for _ in range(3):
                refused(c.set, "a", "1")
        refused(client(self.server.port, username="reader", password="wrong").ping)
        log = self.admin.acl_log()
        self.assertEqual([(e["reason"], e["object"], e["username"], e["count"]) for e in log],
                         [("auth", "AUTH", "reader", "1"), ("command", "set", "reader", "3")]
                         if isinstance(log[0]["count"], str) else
                         [("auth", "AUTH", "reader", 1), ("command", "set", "reader", 3)])
        self.assertEqual(log[1]["client-info"]["user"], "reader")
        self.admin.config_set("acllog-max-len", 1)
        self.assertEqual(len(self.admin.acl_log()), 1)
        self.admin.config_set("acllog-max-len", 128)
        self.admin.acl_log_reset()
        self.assertEqual(self.admin.acl_log(), [])

    def test_made_up_passwords(self):
        self.assertEqual(len(self.admin.acl_genpass()), 64)
        self.assertEqual(len(self.admin.execute_command("ACL", "GENPASS", 5)), 2)
        self.assertNotEqual(self.admin.acl_genpass(), self.admin.acl_genpass())

    def test_statistics_begin_again(self):
        for _ in range(10):
            self.admin.get("nothing")
        self.assertGreaterEqual(self.admin.info("stats")["keyspace_misses"], 10)
        self.admin.config_resetstat()
        self.assertLess(self.admin.info("stats")["keyspace_misses"], 10)

    def test_more_clients_than_maxclients_are_refused(self):
        before = self.admin.config_get("maxclients")["maxclients"]
        self.admin.config_set("maxclients", 1)
        try:
            self.assertEqual(raw(self.server.port, b""), b"-ERR max number of clients reached\r\n")
        finally:
            self.admin.config_set("maxclients", before)
        self.assertTrue(client(self.server.port).ping())

    def test_any_rules_are_taken_or_refused(self):
        """Random bytes and pieces of rules; the server answers each and lives."""
        seed = random.randrange(1 << 32)
        rng = random.Random(seed)
        pieces = [b"+", b"-", b"@", b"~", b"%R~", b"&", b"get", b"|", b"client|id", b"all", b"read", b"*", b"[", b"\\",
                  b">x", b"<x", b"#", b"!", b"(", b")", b"on", b"reset", b"nopass", b"\x00", b" ", b"\xff", b"a" * 300]
        with redis.Redis(port=self.server.port) as c:
            for _ in range(2000):
                rules = [b"".join(rng.choice(pieces) for _ in range(rng.randrange(5))) for _ in range(rng.randrange(6))]
                try:
                    c.execute_command("ACL", "SETUSER", b"fuzzed" + rng.choice(pieces), *rules)
                    c.execute_command("ACL", "DRYRUN", "fuzzed", rng.choice([b"get", b"client", b"mset"]), *rules)
                except redis.ResponseError:
                    pass
            self.assertTrue(c.ping(), seed)
            c.execute_command("ACL", "LIST")
            for user in c.execute_command("ACL", "USERS"):
                if user.startswith(b"fuzzed"):
                    c.execute_command("ACL", "DELUSER", user)


# Rules, and what the two say of the user; DRYRUN is asked for each command with each key.
RULES = [
    "", "on", "on nopass", "on >a >b", "on >a >b <a nopass", "off >a resetpass", "reset", "sanitize-payload",
    "skip-sanitize-payload", "~a* %R~r* %W~w*", "%RW~a", "%R~a %W~a", "~* resetkeys ~b", "allkeys", "&a* &b", "allchannels",
    "&* resetchannels &c", "+get +set", "+@all", "+@all -@dangerous", "+@read", "+@read -get", "+@write +get",
    "+@all -@write", "+@all -flushall -flushdb", "+client|id", "+client -client|kill", "+@connection -client|id",
    "+config|get +acl|whoami", "+select|0 +get", "+@all -@admin ~a*", "allcommands nocommands +get", "+@fast ~a*",
    "+@string ~a* %R~r*", "+@keyspace %W~w*", "+@all %R~r*", "+@all %W~w*", "+@pubsub &a*",
    "+lpush +XGROUP|Create", "+@all -@list +lpush -eval",
]
WRONG = ["nope", "+nope", "+@nope", "+client|nope", "-client|nope", "-get|a", "+client|", "#abc", "!abc", "<nope", "%X~a",
         "%~a", "%RR~a", "~a b", "+", "-", "+@", "|", "+|a", "+config|get|x", "on ", "", ">"]
COMMANDS = ["get {}", "set {} 1", "set {} 1 get", "mget a {}", "mset a 1 {} 2", "del {}", "exists {}", "ttl {}", "type {}",
            "incr {}", "expire {} 1", "flushall", "dbsize", "ping", "client id", "client getname", "config get x",
            "acl whoami", "select 0", "select 1", "info", "auth x", "hello", "command count", "get", "get {} x", "nope {}"]


class AsRedis(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ours, cls.theirs = Nuthatch("cache", "--memory", "64M"), RealRedis()
        cls.clients = [redis.Redis(port=server.port, decode_responses=True) for server in (cls.ours, cls.theirs)]

    @classmethod
    def tearDownClass(cls):
        for c in cls.clients:
            c.close()
        assert cls.ours.stop() == 0
        cls.theirs.stop()

    def both(self, *command):
        """What ours and Redis say, errors as text."""
        answers = []
        for c in self.clients:
            connection = c.connection_pool.get_connection("ACL")
            try:
                connection.send_command(*command)
                answers.append(connection.read_response())
            except redis.ResponseError as error:
                answers.append(f"{type(error).__name__} {error}")
            finally:
                c.connection_pool.release(connection)
        return answers

    def test_users_look_the_same(self):
        def unordered(user):
            """Redis tells single commands in the order of its table."""
            user = dict(zip(user[::2], user[1::2]))
            user["commands"] = sorted(user["commands"].split())
            return user

        for rules in RULES:
            self.assertEqual(*self.both("ACL", "SETUSER", "u", *rules.split()))
            ours, theirs = self.both("ACL", "GETUSER", "u")
            self.assertEqual(unordered(ours), unordered(theirs), rules)
            ours, theirs = self.both("ACL", "LIST")
            self.assertEqual([sorted(line.split()) for line in ours], [sorted(line.split()) for line in theirs], rules)
            for command in COMMANDS:
                for key in "a1", "r1", "w1", "other":
                    words = command.format(key).split()
                    ours, theirs = self.both("ACL", "DRYRUN", "u", *words)
                    self.assertEqual(ours, theirs, (rules, words))
            self.assertEqual(*self.both("ACL", "DELUSER", "u"))

    def test_wrong_rules_are_refused_alike(self):
        for rule in WRONG:
            ours, theirs = self.both("ACL", "SETUSER", "w", rule)
            self.assertEqual(ours, theirs, rule)
        self.assertEqual(*self.both("ACL", "DELUSER", "w"))

    def test_categories_hold_the_same(self):
        categories, theirs = self.both("ACL", "CAT")
        self.assertEqual(categories, theirs)
        lists = {category: [set(answer) for answer in self.both("ACL", "CAT", category)] for category in categories}
        both_know = [set().union(*(pair[i] for pair in lists.values())) for i in range(2)]
        known = both_know[0] & both_know[1]
        for category, (ours, theirs) in lists.items():
            self.assertEqual(ours & known, theirs & known, category)

    def test_the_rest_says_the_same(self):
        for command in (["ACL", "WHOAMI"], ["ACL", "USERS"], ["ACL", "CAT", "nope"], ["ACL", "CAT", "a", "b"],
                        ["ACL", "GENPASS", "0"], ["ACL", "GENPASS", "x"], ["ACL", "GENPASS", "1", "1"], ["ACL", "SAVE"],
                        ["ACL", "LOAD"], ["ACL", "LOG"], ["ACL", "LOG", "x"], ["ACL", "LOG", "-1"], ["ACL", "LOG", "a", "b"],
                        ["ACL", "HELP"], ["ACL"], ["ACL", "NOPE"], ["ACL", "SETUSER"], ["ACL", "GETUSER", "nobody"],
                        ["ACL", "DELUSER", "nobody", "nobody"], ["ACL", "DELUSER", "default"],
                        ["ACL", "SETUSER", "a b"], ["ACL", "DRYRUN", "nobody", "get", "a"], ["AUTH", "x"],
                        ["AUTH", "nobody", "x"], ["AUTH", "a", "b", "c"], ["AUTH"], ["CONFIG", "HELP"], ["CONFIG", "GET"],
                        ["CONFIG", "GET", "requirepass"], ["CONFIG", "GET", "DATAbases"], ["CONFIG", "GET", "save"], ["CONFIG", "NOPE"],
                        ["CONFIG", "SET", "timeout"], ["CONFIG", "SET", "timeout", "x"], ["CONFIG", "SET", "timeout", "-1"],
                        ["CONFIG", "SET", "databases", "1"], ["CONFIG", "SET", "nope", "1"],
                        ["CONFIG", "SET", "timeout", "1", "timeout", "2"], ["CONFIG", "SET", "timeout", "0", "port"],
                        ["CONFIG", "RESETSTAT"], ["CONFIG", "REWRITE"], ["HELLO", "3", "AUTH", "a", "b"]):
            ours, theirs = self.both(*command)
            self.assertEqual(ours, theirs, command)


if __name__ == "__main__":
    unittest.main()
