"""The proxy that other tests cut cables with does to connections what it says."""
import socketserver
import threading
import time
import unittest

from resp_client import Connection
from tcp_proxy import Proxy, TO_CLIENT, TO_SERVER


class Echo(socketserver.ThreadingTCPServer):
    """Answers +OK to each line."""
    daemon_threads = allow_reuse_address = True

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            for line in self.rfile:
                self.server.heard.append(line)
                self.wfile.write(b"+OK\r\n")

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.heard = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def handle_error(self, request, client_address):
        pass


class Proxies(unittest.TestCase):
    def setUp(self):
        self.echo = Echo()
        self.addCleanup(self.echo.server_close)
        self.addCleanup(self.echo.shutdown)
        self.proxy = Proxy(self.echo.server_address[1], name_of=lambda first: first.split()[0])
        self.addCleanup(self.proxy.stop)

    def open(self, name):
        connection = Connection(self.proxy.port, timeout=5)
        self.addCleanup(connection.close)
        self.assertEqual(self.say(connection, name), "OK")
        return connection

    @staticmethod
    def say(connection, line, timeout=5):
        connection.socket.sendall(line.encode() + b"\n")
        return connection.receive(timeout)

    def test_what_is_held_arrives_later_and_in_order(self):
        a = self.open("a")
        self.proxy.hold()
        with self.assertRaises(TimeoutError):
            self.say(a, "1", 0.1)
        self.assertEqual(self.echo.heard, [b"a\n"])
        self.assertEqual(self.proxy.connection_count, 1)
        self.proxy.let_go()
        self.assertEqual(a.receive(), "OK")
        self.assertEqual(self.echo.heard, [b"a\n", b"1\n"])

    def test_one_direction_is_held(self):
        a = self.open("a")
        self.proxy.hold(TO_CLIENT)
        with self.assertRaises(TimeoutError):
            self.say(a, "1", 0.1)
        self.assertEqual(self.echo.heard, [b"a\n", b"1\n"])
        self.proxy.let_go()
        self.assertEqual(a.receive(), "OK")
        self.proxy.hold(TO_SERVER)
        with self.assertRaises(TimeoutError):
            self.say(a, "2", 0.1)
        self.assertEqual(self.echo.heard, [b"a\n", b"1\n"])

    def test_one_name_is_held_and_cut(self):
        a, b = self.open("a"), self.open("b")
        self.proxy.hold(name=b"a")
        self.assertEqual(self.say(b, "1"), "OK")
        with self.assertRaises(TimeoutError):
            self.say(a, "1", 0.1)
        self.proxy.cut(name=b"a")
        with self.assertRaises(ConnectionError):
            a.receive()
        self.assertEqual(self.say(b, "2"), "OK")
        self.assertEqual(self.proxy.connection_count, 1)

    def test_each_piece_is_late(self):
        a = self.open("a")
        self.proxy.delay(0.1)
        before = time.monotonic()
        self.assertEqual(self.say(a, "1"), "OK")
        self.assertGreaterEqual(time.monotonic() - before, 0.2)  # there and back

    def test_nobody_listens_for_a_while(self):
        a = self.open("a")
        self.proxy.refuse()
        with self.assertRaises(ConnectionRefusedError):
            Connection(self.proxy.port)
        self.assertEqual(self.say(a, "1"), "OK")
        self.proxy.accept()
        self.open("b")
        self.assertEqual(len(self.proxy.accepted), 2)


if __name__ == "__main__":
    unittest.main()
