"""Commands on strings and keys as several clients, on several threads of the server, see them at once; and on values that
lie in pieces."""
import random, socket, threading, unittest
import redis
from harness import Nuthatch

CLIENTS = 4
ROUNDS = 300


class Strings(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Nuthatch("cache", "--threads", "4", "--memory", "256M")

    @classmethod
    def tearDownClass(cls):
        assert cls.server.stop() == 0, cls.server.log

    def setUp(self):
        self.client = self.connect()
        self.client.flushall()

    def tearDown(self):
        self.client.close()

    def connect(self, **options):
        return redis.Redis(port=self.server.port, **options)

    def at_once(self, work):
        """Runs work(client, number) on some clients at once and returns what each returned."""
        results, failures = [None] * CLIENTS, []
        barrier = threading.Barrier(CLIENTS)

        def run(number):
            client = self.connect()
            try:
                client.ping()
                barrier.wait()
                results[number] = work(client, number)
            except Exception as failure:
                failures.append(failure)
            finally:
                client.close()

        threads = [threading.Thread(target=run, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        return results

    def pipelined(self, client, command, rounds=ROUNDS):
        pipeline = client.pipeline(transaction=False)
        for n in range(rounds):
            command(pipeline, n)
        return pipeline.execute()

    # ---- one key, many clients ----

    def test_each_append_is_told_a_length_of_its_own(self):
        lengths = self.at_once(lambda client, _: self.pipelined(client, lambda pipeline, n: pipeline.append("k", "x")))
        self.assertEqual(sorted(sum(lengths, [])), list(range(1, CLIENTS * ROUNDS + 1)))

    def test_no_bit_that_was_set_is_lost(self):
        def work(client, number):
            return self.pipelined(client, lambda pipeline, n: pipeline.setbit("k", n * CLIENTS + number, 1))
        self.assertEqual(set(sum(self.at_once(work), [])), {0})
        self.assertEqual(self.client.bitcount("k"), CLIENTS * ROUNDS)
        self.assertEqual(self.client.strlen("k"), CLIENTS * ROUNDS // 8)

    def test_no_part_that_was_written_is_lost(self):
        self.at_once(lambda client, number: self.pipelined(
            client, lambda pipeline, n: pipeline.setrange("k", n * CLIENTS + number, "%d" % number)))
        self.assertEqual(self.client.get("k"), b"0123" * ROUNDS)

    def test_no_fraction_that_was_added_is_lost(self):
        sums = self.at_once(lambda client, _: self.pipelined(client, lambda pipeline, n: pipeline.incrbyfloat("k", 0.5)))
        self.assertEqual(len(set(map(float, sum(sums, [])))), CLIENTS * ROUNDS)
        self.assertEqual(float(self.client.get("k")), CLIENTS * ROUNDS / 2)

    def test_of_many_only_one_gets_what_there_is_once(self):
        for key in range(ROUNDS):
            self.client.set(f"k{key}", "v")
        for command in (lambda pipeline, n: pipeline.execute_command("EXPIRE", f"k{n}", 100, "NX"),
                        lambda pipeline, n: pipeline.persist(f"k{n}"),
                        lambda pipeline, n: pipeline.getdel(f"k{n}"),
                        lambda pipeline, n: pipeline.setnx(f"k{n}", "v"),
                        lambda pipeline, n: pipeline.execute_command("SET", f"n{n}", "v", "NX"),
                        lambda pipeline, n: pipeline.msetnx({f"k{n}x": "v", f"k{n}y": "v"})):
            winners = self.at_once(lambda client, _: self.pipelined(client, command))
            for answers in zip(*winners):
                self.assertEqual(sum(bool(answer) for answer in answers), 1)

    # ---- several keys, many clients ----

    def hammered(self, writing, reading, answer_bytes):
        """Has two clients say each of `writing` in turn and two say `reading`, as fast as the server takes them, and returns
        the answers to the reading, which are of one length."""
        def work(client, number):
            commands = [reading] if number % 2 else writing
            if number == 0:
                commands = commands[::-1]
            words = b"".join(b"*%d\r\n" % len(command) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in command)
                             for command in (text.encode().split() for text in commands))
            with socket.create_connection(("127.0.0.1", self.server.port), 30) as connection:
                sender = threading.Thread(target=connection.sendall, args=(words * (20000 // len(commands)) + b"ECHO end\r\n",))
                sender.start()
                received = bytearray()
                while not received.endswith(b"$3\r\nend\r\n"):
                    received += connection.recv(1 << 20)
                sender.join()
            return bytes(received[:-9])
        answers = self.at_once(work)[1::2]
        self.assertEqual(len(answers[0]), 20000 * answer_bytes)
        return [answer[at:at + answer_bytes] for answer in answers for at in range(0, len(answer), answer_bytes)]

    def test_nobody_sees_half_of_an_mset(self):
        self.client.mset(dict.fromkeys("abcdefgh", "0"))
        seen = self.hammered(["MSET a 1 b 1 c 1 d 1 e 1 f 1 g 1 h 1", "MSET a 2 b 2 c 2 d 2 e 2 f 2 g 2 h 2"],
                             "MGET a b c d e f g h", 4 + 8 * 7)
        self.assertLessEqual(set(seen), {b"*8\r\n" + b"$1\r\n%d\r\n" % n * 8 for n in range(3)})

    def test_nobody_sees_half_of_an_msetnx(self):
        seen = self.hammered(["MSETNX a 1 b 1 c 1 d 1", "FLUSHDB"], "EXISTS a b c d", 4)
        self.assertLessEqual(set(seen), {b":0\r\n", b":4\r\n"})

    def test_a_renamed_value_is_always_at_one_of_its_names(self):
        self.client.set("a", "v")
        seen = self.hammered(["RENAME a b", "RENAME b a"], "EXISTS a b", 4)
        self.assertEqual(set(seen), {b":1\r\n"})

    def test_a_moved_value_is_always_in_one_database(self):
        self.client.set("a", "v")
        self.hammered(["RENAMENX a b", "MOVE b 1", "SWAPDB 0 1"], "STRLEN a", 4)
        self.assertEqual(self.client.dbsize() + redis.Redis(port=self.server.port, db=1).dbsize(), 1)

    def test_a_scan_tells_every_key_that_stays_while_others_come_and_go(self):
        staying = {b"stay%d" % n for n in range(3000)}
        self.client.mset(dict.fromkeys(staying, "v"))

        def work(client, number):
            if number < 2:
                for _ in range(20):
                    self.pipelined(client, lambda pipeline, n: pipeline.set(f"come{number} {random.random()}", "v"))
                    self.pipelined(client, lambda pipeline, n: pipeline.delete(f"come{number} {n}"))
                return []
            return [set(client.scan_iter(match="stay*", count=count)) for count in (10, 100, 1000)]
        for seen in sum(self.at_once(work), []):
            self.assertEqual(seen, staying)

    def test_a_scan_of_a_few_keys_beside_many_of_another_database_ends(self):
        other = self.connect(db=1)
        other.mset({f"k{n}": "v" for n in range(20000)})
        other.close()
        self.client.mset({"a": 1, "b": 2})
        self.assertEqual(sorted(self.client.scan_iter()), [b"a", b"b"])
        self.assertEqual(sorted(self.client.keys()), [b"a", b"b"])
        self.assertEqual({self.client.randomkey() for _ in range(200)}, {b"a", b"b"})

    # ---- values that lie in pieces ----

    def test_a_large_value_is_read_and_changed_like_a_small_one(self):
        value = bytearray(random.Random(1).randbytes(5 << 20))
        self.client.set("k", bytes(value), ex=1000)
        self.assertEqual(self.client.strlen("k"), len(value))
        for first, last in ((0, 10), (1 << 20, (1 << 20) + 70000), (3 << 20, -1), (len(value) - 1, len(value))):
            self.assertEqual(self.client.getrange("k", first, last), bytes(value[first:] if last == -1 else value[first:last + 1]))
        self.client.setrange("k", 2000000, "middle")
        value[2000000:2000006] = b"middle"
        self.assertEqual(self.client.append("k", "end"), len(value) + 3)
        value += b"end"
        self.client.setbit("k", 8 * 4000000, 1)
        value[4000000] |= 0x80
        self.assertEqual(self.client.getbit("k", 8 * 4000000), 1)
        self.assertEqual(self.client.bitcount("k"), int.from_bytes(value, "big").bit_count())
        self.assertEqual(self.client.bitcount("k", 1000001, 2000001), int.from_bytes(value[1000001:2000002], "big").bit_count())
        self.client.set("other", b"\x5a" * 3000000)
        self.assertEqual(self.client.bitop("xor", "mixed", "other", "k"), len(value))
        self.assertEqual(self.client.get("mixed"), bytes(a ^ 0x5a for a in value[:3000000]) + bytes(value[3000000:]))
        self.assertEqual(self.client.bitop("and", "mixed", "k", "other"), len(value))
        self.assertEqual(self.client.get("mixed"), bytes(a & 0x5a for a in value[:3000000]) + bytes(len(value) - 3000000))
        self.assertEqual(self.client.bitop("not", "mixed", "k"), len(value))
        self.assertEqual(self.client.get("mixed"), bytes(a ^ 0xff for a in value))
        self.client.copy("k", "l")
        self.client.rename("l", "m")
        self.assertEqual(self.client.get("m"), bytes(value))
        self.assertGreater(self.client.ttl("m"), 900)
        self.assertEqual(self.client.getset("k", ""), bytes(value))
        self.client.setrange("zeros", (1 << 21) - 1, "\1")
        self.assertEqual(self.client.bitpos("zeros", 1), 8 * (1 << 21) - 1)
        self.assertEqual(self.client.bitpos("zeros", 1, 1000001), 8 * (1 << 21) - 1)

    def test_a_value_beyond_the_limit_is_refused_and_the_old_one_stays(self):
        self.client.set("k", "v")
        for command in (("SETRANGE", "k", 100 << 20, "x"), ("SETBIT", "k", 8 * (100 << 20), 1), ("SETRANGE", "k", 512 << 20, "x")):
            with self.assertRaisesRegex(redis.ResponseError, "exceeds"):
                self.client.execute_command(*command)
        self.assertEqual(self.client.get("k"), b"v")


if __name__ == "__main__":
    unittest.main()
