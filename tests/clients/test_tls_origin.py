"""Origins behind TLS: requests and tunnels reach those whose certificate is good, and no others."""
import json, os, ssl, subprocess, tempfile, threading, unittest

from certificates import Certificates
from harness import BINARY, Nuthatch, Origin, fetch, free_port
from test_tunnels import ACCEPT, RawOrigin, connect, echo, handshake


class TlsTunnelOrigin(RawOrigin):
    def __init__(self, serve, context):
        self.context = context
        super().__init__(serve)
        self.url = self.url.replace("http:", "https:")

    def talk(self, peer):
        try:
            peer.socket = self.context.wrap_socket(peer.socket, server_side=True)
        except OSError:
            peer.close()  # the gateway wants no such certificate
        else:
            super().talk(peer)


class TlsOrigins(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.made = Certificates(cls.folder.name)
        cls.made.make_authority("other")
        cls.made.make("elsewhere", names=("DNS:elsewhere.test",))
        cls.made.make("stranger", "other")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def context(self, name="server"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.made.cert(name), self.made.key(name))
        return context

    def origin(self, name="server"):
        origin = Origin(lambda r: r.reply(200, r.body or b"hello", Cache_Control="max-age=60"))
        self.addCleanup(origin.stop)
        origin.server.socket = self.context(name).wrap_socket(origin.server.socket, server_side=True,
                                                              do_handshake_on_connect=False)
        origin.url = origin.url.replace("http:", "https:")
        return origin

    def gateway(self, url, *arguments):
        server = Nuthatch("gateway", url, "--memory", "64M", "--threads", "1", *arguments)
        self.addCleanup(lambda: self.assertEqual(server.stop(), 0))
        return server

    def test_a_good_certificate_lets_requests_through(self):
        origin = self.origin()
        server = self.gateway(origin.url, "--origin-ca", self.made.cert("ca"))
        self.assertEqual(fetch(server.port, "/a").body, b"hello")
        self.assertIn("; hit", fetch(server.port, "/a")["Cache-Status"])
        body = os.urandom(300000)
        self.assertEqual(fetch(server.port, "/b", "POST", body).body, body)

    def expect_refusal(self, answer):
        self.assertEqual((answer.status, answer["Content-Type"]), (502, "application/problem+json"))
        problem = json.loads(answer.body)
        self.assertEqual(problem["status"], 502)
        self.assertIn("origin", problem["detail"])
        self.assertNotIn(self.folder.name, answer.body.decode())

    def test_a_certificate_that_is_not_good_is_a_502(self):
        for name, arguments in (("server", ()), ("server", ("--origin-ca", self.made.cert("other"))),
                                ("stranger", ("--origin-ca", self.made.cert("ca"))),
                                ("elsewhere", ("--origin-ca", self.made.cert("ca")))):
            origin = self.origin(name)
            server = self.gateway(origin.url, *arguments)
            for path in ("/a", "/a", "/b"):
                self.expect_refusal(fetch(server.port, path))
            self.assertEqual(origin.count(), 0)  # it heard of no request

    def test_a_tunnel_goes_through_tls(self):
        for loop in ("epoll", "uring"):
            with TlsTunnelOrigin(echo, self.context()) as origin:
                server = self.gateway(origin.url, "--origin-ca", self.made.cert("ca"), "--loop", loop)
                client = connect(server, handshake("/chat") + b"early")
                head = client.head()
                self.assertTrue(head.startswith("HTTP/1.1 101 "), head)
                self.assertIn(f"\r\nSec-WebSocket-Accept: {ACCEPT}\r\n", head)
                self.assertEqual(client.take(5), b"early")
                data = os.urandom(2 << 20)
                sender = threading.Thread(target=client.send, args=(data,))
                sender.start()
                self.assertTrue(client.take(len(data)) == data)
                sender.join()
                client.close()

    def test_a_tunnel_to_who_cannot_be_trusted_is_a_502(self):
        for name in ("stranger", "elsewhere"):
            with TlsTunnelOrigin(echo, self.context(name)) as origin:
                server = self.gateway(origin.url, "--origin-ca", self.made.cert("ca"))
                client = connect(server)
                self.assertTrue(client.head().startswith("HTTP/1.1 502 "))
                self.assertIn(b'"status":502', client.until(b"}"))
                self.assertEqual(origin.heads, [])
                client.close()

    def test_an_origin_that_speaks_no_tls_is_a_502(self):
        with Origin(lambda r: r.reply(200, b"plain")) as origin:
            server = self.gateway(origin.url.replace("http:", "https:"), "--origin-ca", self.made.cert("ca"))
            client = connect(server)
            self.assertTrue(client.head().startswith("HTTP/1.1 502 "))
            client.close()
            self.expect_refusal(fetch(server.port, "/a"))

    def test_a_file_without_authorities_is_told_at_the_start(self):
        empty = self.made.path("empty.pem")
        open(empty, "w").close()
        config = self.made.path("nuthatch.yaml")
        with open(config, "w") as file:
            file.write("gateway:\n  listen: http://127.0.0.1:0\n  upstreams:\n    a: {origin: https://a.test, origin-ca: empty.pem}\n"
                       "  routes: [{upstream: a}]\n")
        for arguments, complaint in ((("gateway", "https://a.test", "--origin-ca", "/nowhere"), "origin-ca: /nowhere: "),
                                     (("gateway", "https://a.test", "--origin-ca", empty), "no certificate in PEM form"),
                                     (("serve", config), "nuthatch.yaml:4:")):
            command = [BINARY, *arguments, *(("--listen", f"http://127.0.0.1:{free_port()}") if arguments[0] == "gateway" else ())]
            done = subprocess.run(command, capture_output=True, text=True, timeout=30)
            self.assertEqual(done.returncode, 1)
            self.assertIn(complaint, done.stderr)


if __name__ == "__main__":
    unittest.main()
