"""Upgrades through the gateway: WebSocket's handshake, then any bytes both ways, on both loops."""
import base64, hashlib, os, socket, struct, tempfile, threading, time, unittest

from harness import FREED_IS_GONE, Nuthatch, PATIENCE_S

KEY = base64.b64encode(b"0123456789abcdef").decode()
ACCEPT = base64.b64encode(hashlib.sha1((KEY + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
SWITCHED = (f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n").encode()


def handshake(path="/", upgrade="websocket", connection="keep-alive, Upgrade", **more):
    lines = [f"GET {path} HTTP/1.1", "Host: a", f"Connection: {connection}", f"Upgrade: {upgrade}",
             f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in more.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


class Peer:
    """A socket that is read to a mark or to its end."""

    def __init__(self, connection):
        self.socket = connection
        self.socket.settimeout(PATIENCE_S)
        self.rest = b""

    def until(self, mark):
        while mark not in self.rest:
            more = self.socket.recv(65536)
            if not more:
                raise AssertionError(f"ended without {mark!r}: {self.rest!r}")
            self.rest += more
        at = self.rest.index(mark) + len(mark)
        taken, self.rest = self.rest[:at], self.rest[at:]
        return taken

    def head(self):
        return self.until(b"\r\n\r\n").decode()

    def take(self, count):
        while len(self.rest) < count:
            more = self.socket.recv(65536)
            if not more:
                raise AssertionError(f"ended after {len(self.rest)} of {count} bytes")
            self.rest += more
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken

    def all(self):
        while more := self.socket.recv(65536):
            self.rest += more
        return self.rest

    def send(self, data):
        self.socket.sendall(data)

    def close(self):
        self.socket.close()

    __del__ = close


class RawOrigin:
    """Each connection is a thread that runs `serve(peer, head)` once a request's head is there."""

    def __init__(self, serve):
        self.serve, self.heads = serve, []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(Peer(connection),), daemon=True).start()

    def talk(self, peer):
        try:
            head = peer.head()
            self.heads.append(head)
            self.serve(peer, head)
        except (OSError, AssertionError):
            pass
        finally:
            peer.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)  # else the accept that waits would keep it open
        self.listener.close()


def connect(server, request=handshake()):
    peer = Peer(socket.create_connection(("127.0.0.1", server.port)))
    peer.send(request)
    return peer


def echo(peer, _):
    peer.send(SWITCHED)
    while data := (peer.rest or peer.socket.recv(65536)):
        peer.rest = b""
        peer.send(data)


class Tunnels(unittest.TestCase):
    loop = "epoll"

    def gateway(self, origin, *arguments, **options):
        return Nuthatch("gateway", origin.url, "--memory", "64M", "--loop", self.loop, "--threads", "1", *arguments,
                        **options)

    def test_a_handshake_and_the_bytes_behind_it(self):
        with RawOrigin(echo) as origin, self.gateway(origin) as server:
            client = connect(server, handshake("/chat?room=1", Origin="http://b", Sec_WebSocket_Protocol="x"))
            head = client.head()
            self.assertTrue(head.startswith("HTTP/1.1 101 "), head)
            self.assertIn("\r\nConnection: Upgrade\r\n", head)
            self.assertIn("\r\nUpgrade: websocket\r\n", head)
            self.assertIn(f"\r\nSec-WebSocket-Accept: {ACCEPT}\r\n", head)
            self.assertNotIn("Content-Length", head)
            self.assertNotIn("Transfer-Encoding", head)
            for message in (b"\x81\x85abcd", b"\x00", b"GET / HTTP/1.1\r\n\r\n"):
                client.send(message)
                self.assertEqual(client.take(len(message)), message)
            client.close()
            sent = origin.heads[0]
            self.assertTrue(sent.startswith("GET /chat?room=1 HTTP/1.1\r\n"), sent)
            for line in ("Connection: Upgrade", "Upgrade: websocket", f"Sec-WebSocket-Key: {KEY}", "Origin: http://b",
                         "Sec-WebSocket-Protocol: x", f"Host: {origin.url[7:]}"):
                self.assertEqual(sent.count(f"\r\n{line}\r\n"), 1, (line, sent))

    def test_bytes_sent_before_the_answer_are_not_lost(self):
        with RawOrigin(echo) as origin, self.gateway(origin) as server:
            client = connect(server, handshake() + b"early")
            client.head()
            self.assertEqual(client.take(5), b"early")
            client.close()

    def test_much_both_ways_at_once(self):
        data = os.urandom(4 << 20)
        with RawOrigin(echo) as origin, self.gateway(origin) as server:
            client = connect(server)
            client.head()
            sender = threading.Thread(target=client.send, args=(data,))
            sender.start()
            self.assertEqual(client.take(len(data)) == data, True)
            sender.join()
            client.close()

    def test_a_client_that_has_said_all_still_hears_the_rest(self):
        def serve(peer, _):
            peer.send(SWITCHED)
            said = peer.all()
            time.sleep(0.1)
            peer.send(b"heard " + said)
        with RawOrigin(serve) as origin, self.gateway(origin) as server:
            client = connect(server)
            client.head()
            client.send(b"last word")
            client.socket.shutdown(socket.SHUT_WR)
            self.assertEqual(client.all(), b"heard last word")

    def test_the_origin_s_end_is_the_client_s(self):
        def serve(peer, _):
            peer.send(SWITCHED + b"bye")
        with RawOrigin(serve) as origin, self.gateway(origin) as server:
            client = connect(server)
            client.head()
            self.assertEqual(client.all(), b"bye")
            client.close()  # else the server would wait for it, as it should

    def test_a_reset_is_passed_on(self):
        def serve(peer, _):
            peer.send(SWITCHED + b"cut")
            time.sleep(0.1)
            peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with RawOrigin(serve) as origin, self.gateway(origin) as server:
            client = connect(server)
            client.head()
            with self.assertRaises(ConnectionResetError):
                client.all()

    def test_the_client_s_leaving_is_the_origin_s_end(self):
        ended = threading.Event()

        def serve(peer, _):
            peer.send(SWITCHED)
            peer.all()
            ended.set()
        with RawOrigin(serve) as origin, self.gateway(origin) as server:
            client = connect(server)
            client.head()
            client.close()
            self.assertTrue(ended.wait(PATIENCE_S))

    def test_refusals_are_answers_like_others(self):
        answers = {"/length": (b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 3\r\nX-A: b\r\n\r\nno!", 426, b"no!"),
                   "/chunked": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
                                200, b"abcde"),
                   "/end": (b"HTTP/1.1 400 Bad Request\r\n\r\nuntil the end", 400, b"until the end"),
                   "/none": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"")}

        def serve(peer, head):
            peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
            for byte in answers[head.split()[1]][0]:
                peer.send(bytes([byte]))
        with RawOrigin(serve) as origin, self.gateway(origin) as server:
            client = Peer(socket.create_connection(("127.0.0.1", server.port)))
            for path, (_, status, body) in answers.items():
                client.send(handshake(path))
                self.assertTrue(client.head().startswith("HTTP/1.1 103 "))
                head = client.head()
                self.assertTrue(head.startswith(f"HTTP/1.1 {status} "), head)
                self.assertIn("Cache-Status: nuthatch; fwd=bypass", head)
                if "chunked" in head:
                    got = b""
                    while size := int(client.until(b"\r\n"), 16):
                        got += client.take(size)
                        client.until(b"\r\n")
                    client.until(b"\r\n")
                else:
                    got = client.take(len(body))
                self.assertEqual(got, body, path)
            client.close()

    def test_what_is_no_answer_is_a_502(self):
        answers = {"/garbage": b"hello\r\n\r\n", "/nothing": b"", "/half": b"HTTP/1.1 101 Switch",
                   "/nameless": b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n",
                   "/large": b"HTTP/1.1 101 Switching Protocols\r\nX: " + b"a" * 70000}

        def serve(peer, head):
            peer.send(answers[head.split()[1]])
        with RawOrigin(serve) as origin, self.gateway(origin) as server:
            for path in answers:
                client = connect(server, handshake(path))
                self.assertTrue(client.head().startswith("HTTP/1.1 502 "), path)
                client.close()

    def test_an_origin_that_cannot_be_reached_is_a_502(self):
        with RawOrigin(echo) as origin:
            pass
        with self.gateway(origin) as server:
            self.assertTrue(connect(server).head().startswith("HTTP/1.1 502 "))

    def test_an_origin_that_says_nothing_is_a_504(self):
        with RawOrigin(lambda peer, _: peer.all()) as origin, \
                self.gateway(origin, "--first-byte-timeout", "200ms") as server:
            self.assertTrue(connect(server).head().startswith("HTTP/1.1 504 "))

    def test_silence_ends_a_tunnel_when_it_has_lasted(self):
        with RawOrigin(echo) as origin, self.gateway(origin, "--tunnel-idle-timeout", "500ms") as server:
            client = connect(server)
            client.head()
            for _ in range(4):
                time.sleep(0.2)
                client.send(b"a")
                client.take(1)
            begun = time.time()
            self.assertEqual(client.all(), b"")
            self.assertGreater(time.time() - begun, 0.4)
            client.close()

    def test_what_is_not_forwarded_is_an_ordinary_request(self):
        def serve(peer, _):
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        with RawOrigin(serve) as origin, self.gateway(origin) as server:
            for request in (handshake(upgrade="h2c", connection="Upgrade, HTTP2-Settings", HTTP2_Settings="x"),
                            handshake(upgrade="websocket, HTTP/2.0"), handshake(upgrade="TLS/1.2"),
                            handshake(connection="keep-alive"),
                            handshake().replace(b"Host: a", b"Host: a\r\nUpgrade: h2c")):
                client = connect(server, request)
                self.assertTrue(client.head().startswith("HTTP/1.1 200 "), request)
                client.close()
            for head in origin.heads:
                self.assertNotIn("pgrade", head)
        with RawOrigin(serve) as origin, self.gateway(origin, "--upgrade", "no") as server:
            self.assertTrue(connect(server).head().startswith("HTTP/1.1 200 "))
            self.assertNotIn("pgrade", origin.heads[0])

    def test_a_route_edits_them_as_any_request(self):
        with RawOrigin(echo) as origin, tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "gateway.yaml")
            with open(path, "w") as file:
                file.write(f"threads: 1\nmemory: 64M\nloop: {self.loop}\ngateway:\n  listen: http://127.0.0.1:0\n"
                           f"  origin: {origin.url}\n  routes:\n    - match: {{path: /ws/**}}\n"
                           "      rewrite: {strip-prefix: /ws, prefix: /v2}\n"
                           "      request-headers: {set: {X-A: b}, remove: [Origin]}\n"
                           "      response-headers: {set: {X-C: d}}\n"
                           "      credentials: {header: Authorization, value-env: TUNNEL_TOKEN}\n")
            with Nuthatch("serve", path, listen=(), environment={"TUNNEL_TOKEN": "secret"}) as server:
                server.port = int(server.wait_for(r"ready on http://127.0.0.1:(\d+)")[0])
                client = connect(server, handshake("/ws/a?b", Origin="http://c"))
                self.assertIn("\r\nX-C: d\r\n", client.head())
                client.send(b"hi")
                self.assertEqual(client.take(2), b"hi")
                client.close()
            sent = origin.heads[0]
            self.assertTrue(sent.startswith("GET /v2/a?b HTTP/1.1\r\n"), sent)
            for line in ("X-A: b", "Authorization: secret", "Connection: Upgrade", "Upgrade: websocket"):
                self.assertEqual(sent.count(f"\r\n{line}\r\n"), 1, (line, sent))
            self.assertNotIn("Origin", sent)

    def test_there_are_no_more_than_may_be(self):
        with RawOrigin(echo) as origin, self.gateway(origin, "--tunnels-max", "2") as server:
            two = [connect(server) for _ in range(2)]
            for client in two:
                client.head()
            self.assertTrue(connect(server).head().startswith("HTTP/1.1 503 "))
            two[0].socket.shutdown(socket.SHUT_WR)
            self.assertEqual(two[0].all(), b"")
            again = connect(server)
            self.assertTrue(again.head().startswith("HTTP/1.1 101 "))
            again.close()
            two[1].close()

    def test_who_does_not_read_is_not_read_for(self):
        def serve(peer, _):
            peer.send(SWITCHED)
            peer.socket.settimeout(0.5)
            try:
                while True:
                    peer.send(bytes(65536))
                    sent.append(65536)
            except TimeoutError:
                full.set()
                peer.all()
        sent, full = [], threading.Event()
        with RawOrigin(serve) as origin, self.gateway(origin, environment=FREED_IS_GONE) as server:
            before = server.resident_kib()
            client = connect(server)
            client.head()
            self.assertTrue(full.wait(PATIENCE_S))
            self.assertLess(server.resident_kib() - before, 8192)
            self.assertLess(sum(sent), 64 << 20)
            client.close()

    def test_a_server_that_stops_ends_them_at_its_deadline(self):
        with RawOrigin(echo) as origin:
            server = self.gateway(origin, "--drain-timeout", "500ms")
            client = connect(server)
            client.head()
            server.process.terminate()
            client.send(b"still")
            self.assertEqual(client.take(5), b"still")
            self.assertEqual(server.wait(), 0)


class TunnelsOverUring(Tunnels):
    loop = "uring"


if __name__ == "__main__":
    unittest.main()
