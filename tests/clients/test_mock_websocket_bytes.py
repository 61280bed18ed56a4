"""WebSockets of the mock as bytes on a socket: however they are split, who does not read, who is idle, who leaves."""
import contextlib, json, os, signal, socket, struct, subprocess, tempfile, threading, time, unittest

from harness import FREED_IS_GONE, Nuthatch, PATIENCE_S, fetch
from test_tunnels import ACCEPT, Peer, handshake

RULES = r"""
rules:
  - match: {path: /echo}
    websocket: {replies: [{send: {echo: true}}]}
  - match: {path: /large}
    websocket: {replies: [{send: {text: LONG}}]}
  - match: {path: /flood}
    then: cycle
    websocket: {messages: [{text: LONG}, {after: 10ms, text: LONG}]}
  - match: {path: /later}
    websocket: {replies: [{send: {after: 1h, echo: true}}]}
  - {match: {path: /writes}, websocket: {changes: notes, ping: 0s}}
  - {match: {path: /gone}, websocket: {ping: 20ms, changes: notes}}
""".replace("LONG", "a" * 10000)
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(payload=b"", opcode=TEXT):
    size = len(payload)
    length = (bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack("!H", size) if size < 65536
              else b"\xff" + struct.pack("!Q", size))
    return bytes([0x80 | opcode]) + length + b"\0\0\0\0" + payload  # a mask that changes nothing


def take(peer):
    """The next frame: its opcode and its payload."""
    first, size = peer.take(2)
    if size == 126:
        size, = struct.unpack("!H", peer.take(2))
    elif size == 127:
        size, = struct.unpack("!Q", peer.take(8))
    return first & 0x7f, peer.take(size)


@contextlib.contextmanager
def mock(*arguments, **options):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("rules.yaml", RULES), ("db.json", '{"notes": []}')):
            with open(os.path.join(folder, name), "w") as file:
                file.write(text)
        with Nuthatch("mock", os.path.join(folder, "db.json"), "--rules", os.path.join(folder, "rules.yaml"), "--threads", "1",
                      *arguments, listen="http://127.0.0.1:0", **options) as server:
            yield server


def connect(server, path, small_window=False):
    connection = socket.socket()
    if small_window:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
    connection.connect(("127.0.0.1", server.port))
    peer = Peer(connection)
    peer.send(handshake(path))
    head = peer.head()
    assert head.startswith("HTTP/1.1 101 ") and f"Sec-WebSocket-Accept: {ACCEPT}\r\n" in head, head
    return peer


def descriptors(server):
    return len(os.listdir(f"/proc/{server.pid}/fd"))


class Bytes(unittest.TestCase):
    def test_bytes_that_come_one_by_one_are_the_same_as_together(self):
        conversation = frame(b"one") + frame(b"p", PING) + b"\x02\x81\0\0\0\0a\x80\x81\0\0\0\0b" + frame(b"\x03\xe8", CLOSE)
        wanted = [(TEXT, b"one"), (PONG, b"p"), (BINARY, b"ab"), (CLOSE, b"\x03\xe8")]
        for loop in ("epoll", "uring"):
            with mock("--loop", loop) as server:
                for one_by_one in (False, True):
                    connection = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S)
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    peer = Peer(connection)
                    data = handshake("/echo") + conversation  # frames may come right behind the head
                    for piece in [data[i:i + 1] for i in range(len(data))] if one_by_one else [data]:
                        peer.send(piece)
                    self.assertIn("101", peer.head())
                    self.assertEqual([take(peer) for _ in wanted], wanted)
                    self.assertEqual(peer.all(), b"")

    def test_a_frame_that_may_not_be_is_answered_with_its_code_before_the_end(self):
        with mock() as server:
            for data, code in ((b"\x81\x01a", 1002), (b"\x83\x81\0\0\0\0a", 1002), (frame(b"\xff"), 1007),
                               (b"\x82\xff\0\0\0\0\0\x10\0\x01\0\0\0\0" + b"a" * 100000, 1009)):
                peer = connect(server, "/echo")
                peer.send(data)
                opcode, payload = take(peer)
                self.assertEqual((opcode, struct.unpack("!H", payload[:2])[0]), (CLOSE, code))
                self.assertEqual(peer.all(), b"")

    def test_a_client_that_will_say_no_more_still_hears_what_is_said_to_it(self):
        with mock() as server:
            peer = connect(server, "/echo")
            peer.send(frame(b"a") + frame(b"b"))
            peer.socket.shutdown(socket.SHUT_WR)
            self.assertEqual([take(peer), take(peer)], [(TEXT, b"a"), (TEXT, b"b")])
            self.assertEqual(peer.all(), b"")

    def test_who_says_much_before_reading_is_made_to_wait_and_loses_nothing(self):
        with mock(environment=FREED_IS_GONE) as server:
            peer = connect(server, "/echo", small_window=True)
            count, size = 300, 60000
            before = server.resident_kib()
            sender = threading.Thread(target=lambda: [peer.send(frame(b"%08d" % i + b"a" * size)) for i in range(count)])
            sender.start()
            sender.join(1)
            self.assertTrue(sender.is_alive())  # 18 MB do not fit anywhere
            self.assertLess(server.resident_kib() - before, 12 << 10)
            for i in range(count):
                opcode, payload = take(peer)
                self.assertEqual((opcode, payload[:8], len(payload)), (TEXT, b"%08d" % i, size + 8))
            sender.join()
            peer.close()
            peer = connect(server, "/large")  # small messages, all at once, with large replies
            peer.send(frame(b"a") * 500)
            for _ in range(500):
                self.assertEqual(take(peer)[0], TEXT)
            peer.close()

    def test_who_never_reads_is_left_in_the_end_and_takes_bounded_memory(self):
        with mock("--write-timeout", "1s", environment=FREED_IS_GONE) as server:
            before = server.resident_kib()
            stuck, reader = connect(server, "/flood", small_window=True), connect(server, "/flood")
            for _ in range(40):
                self.assertEqual(take(reader)[0], TEXT)  # others notice nothing
            reader.close()
            server.wait_for("does not read its answers")
            self.assertLess(server.resident_kib() - before, 16 << 10)
            stuck.close()

    def test_a_listener_that_does_not_read_is_closed_and_others_hear_all(self):
        with mock() as server:
            slow, other = connect(server, "/writes", small_window=True), connect(server, "/writes")
            writes, text = 30, "a" * 200000
            for i in range(writes):
                self.assertEqual(fetch(server.port, "/notes", "POST", json.dumps({"n": i, "text": text})).status, 201)
                self.assertEqual(json.loads(take(other)[1])["item"]["n"], i)
            opcode, heard = TEXT, 0
            while opcode == TEXT:
                opcode, payload = take(slow)
                heard += 1
            self.assertEqual((opcode, payload[:2]), (CLOSE, struct.pack("!H", 1008)))
            self.assertLess(heard, writes)

    def test_clients_that_vanish_are_noticed(self):
        with mock() as server:
            peers = [connect(server, "/gone") for _ in range(20)]
            for peer in peers:
                take(peer)  # a ping
                peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                peer.close()
            self.assertEqual(fetch(server.port, "/notes", "POST", "{}").status, 201)

    def test_many_that_are_idle_take_little(self):
        with mock("--journal", "0", environment=FREED_IS_GONE) as server:
            def talk(peer):
                peer.send(frame(b"a" * 100000))
                self.assertEqual(len(take(peer)[1]), 100000)
                return peer
            peers = [talk(connect(server, "/echo")) for _ in range(40)]
            before = server.resident_kib()
            peers += [talk(connect(server, "/echo")) for _ in range(100)]
            self.assertLess((server.resident_kib() - before) / 100, 48)  # what they said alone is 100

    def test_replies_whose_time_has_not_come_are_bounded(self):
        with mock() as server:
            for count, payload in ((1001, b"a"), (20, b"a" * 60000)):
                peer = connect(server, "/later")
                peer.send(frame(payload) * (count - 1))
                peer.send(frame(b"p", PING))
                if len(payload) == 1:
                    self.assertEqual(take(peer), (PONG, b"p"))  # so many may wait
                peer.send(frame(payload))
                opcode, said = take(peer)
                self.assertEqual((opcode, said), (CLOSE, struct.pack("!H", 1008) + b"too many replies wait for their time"))
                peer.send(frame(said[:2], CLOSE))
                self.assertEqual(peer.all(), b"")

    def test_who_leaves_while_many_replies_wait_for_their_time_is_let_go(self):
        with mock() as server:
            before = descriptors(server)
            for payload, count in ((b"a", 1000), (b"a" * (1 << 20), 1), (b"a", 1050)):
                for must_reset in (False, True):
                    peer = connect(server, "/later")
                    peer.send(frame(payload) * count + frame(b"p", PING))
                    take(peer)  # all of it has come
                    if must_reset:
                        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    peer.close()
            end = time.time() + PATIENCE_S
            while descriptors(server) > before and time.time() < end:
                time.sleep(0.02)
            self.assertLessEqual(descriptors(server), before)

    def test_a_stop_waits_a_moment_for_who_does_not_answer_a_close_and_no_longer(self):
        with mock("--drain-timeout", "1m") as server:
            silent = connect(server, "/echo")
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(take(silent), (CLOSE, struct.pack("!H", 1001) + b"the server is stopping"))
            with self.assertRaises(ConnectionResetError):  # an end in order would linger
                silent.all()
            self.assertEqual(server.wait(), 0)

    def test_in_http_2_there_is_none(self):
        with mock() as server:
            run = subprocess.run(["curl", "-sS", "-i", "--max-time", "20", "--http2-prior-knowledge",
                                  f"http://127.0.0.1:{server.port}/echo"], capture_output=True, text=True, check=True)
            self.assertIn("HTTP/2 426", run.stdout)
            self.assertNotIn("upgrade:", run.stdout.lower().split("\n\n")[0])


if __name__ == "__main__":
    unittest.main()
