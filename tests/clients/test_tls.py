"""TLS on every kind of port: real clients, both loops, client certificates, reloading, and what is refused."""
import os, shutil, signal, socket, ssl, subprocess, tempfile, time, unittest, warnings

import redis
from pymemcache.client.base import Client as Memcache

from certificates import Certificates, openssl
from harness import BINARY, FREED_IS_GONE, Nuthatch, wait_until_still

LOOPS = ("uring", "epoll")


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.made = Certificates(cls.folder.name)
        cls.made.make("client")
        cls.made.make_authority("other-ca")
        cls.made.make("stranger", "other-ca")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def context(self, client=None, version=None, alpn=None):
        context = ssl.create_default_context(cafile=self.made.cert("ca"))
        if client:
            context.load_cert_chain(self.made.cert(client), self.made.key(client))
        if version:
            context.minimum_version = context.maximum_version = version
        if alpn:
            context.set_alpn_protocols(alpn)
        return context

    def connect(self, port, **options):
        session = options.pop("session", None)
        context = options.pop("context", None) or self.context(**options)
        s = socket.create_connection(("127.0.0.1", port), 30)
        try:
            return context.wrap_socket(s, server_hostname="localhost", session=session)
        except Exception:
            s.close()
            raise

    def server(self, *arguments, listen="tls://127.0.0.1:0", **options):
        role = arguments[:2] if arguments[:1] == ("mock",) else arguments[:1] or ("cache",)
        return Nuthatch(*role, *self.made.options(), *arguments[len(role):], listen=listen, **options)

    def redis(self, port, **options):
        return redis.Redis(port=port, ssl=True, ssl_ca_certs=self.made.cert("ca"), ssl_check_hostname=True,
                           host="localhost", socket_timeout=30, **options)

    # ---- clients ----

    def test_redis_and_memcached_clients_share_values_of_every_size(self):
        for loop in LOOPS:
            with self.server("cache", "--loop", loop, "--threads", "2", "--max-item", "8M") as server:
                r = self.redis(server.port)
                m = Memcache(("localhost", server.port), tls_context=self.context(), timeout=30)
                for size in (0, 1, 100, 16383, 16384, 16385, 300_000, 5 << 20):
                    value = os.urandom(size)
                    r.set("k", value)
                    self.assertEqual(r.get("k"), value)
                    self.assertEqual(m.get("k"), value)
                    m.set("k2", value, noreply=False)
                    self.assertEqual(r.get("k2"), value)
                with r.pipeline(transaction=False) as pipeline:
                    for i in range(2000):
                        pipeline.set(f"p{i}", i).get(f"p{i}")
                    self.assertEqual(pipeline.execute()[1::2], [str(i).encode() for i in range(2000)])
                m.close()
                r.close()

    def test_redis_cli_and_s_client_talk_to_a_rediss_port(self):
        with self.server(listen="rediss://127.0.0.1:0") as server:
            said = subprocess.run(["redis-cli", "-h", "127.0.0.1", "-p", str(server.port), "--tls", "--cacert",
                                   self.made.cert("ca"), "PING"], capture_output=True, timeout=30)
            self.assertEqual(said.stdout, b"PONG\n", said.stderr)
            said = subprocess.run(["openssl", "s_client", "-quiet", "-CAfile", self.made.cert("ca"),
                                   "-verify_return_error", "-connect", f"127.0.0.1:{server.port}"],
                                  input=b"PING\r\nQUIT\r\n", capture_output=True, timeout=30)
            self.assertEqual(said.stdout, b"+PONG\r\n+OK\r\n", said.stderr)

    def test_curl_speaks_http(self):
        for loop in LOOPS:
            with self.server("mock", "examples/db.json", "--loop", loop, listen="https://127.0.0.1:0") as server:
                said = subprocess.run(["curl", "-sS", "-v", "--cacert", self.made.cert("ca"),
                                       f"https://localhost:{server.port}/"], capture_output=True, timeout=30)
                self.assertTrue(said.stdout.startswith(b"{"), said.stderr)
                self.assertIn(b"server accepted h2", said.stderr)

    def test_bytes_that_come_one_by_one_and_records_in_one_piece(self):
        for loop in LOOPS:
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                with self.server("cache", "--loop", loop) as server:
                    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
                    tls = self.context(version=version).wrap_bio(incoming, outgoing, server_hostname="localhost")
                    with socket.create_connection(("127.0.0.1", server.port), 30) as s:
                        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        one_by_one(s, tls, incoming, outgoing, tls.do_handshake)
                        tls.write(b"SET k v\r\n")
                        tls.write(b"GET k\r\n")
                        said = b""
                        while len(said) < len(b"+OK\r\n$1\r\nv\r\n"):
                            said += one_by_one(s, tls, incoming, outgoing, lambda: tls.read(100))
                        self.assertEqual(said, b"+OK\r\n$1\r\nv\r\n")
                        s.settimeout(30)
                        try:
                            tls.unwrap()
                        except ssl.SSLWantReadError:
                            pass
                        s.sendall(outgoing.read())  # our close_notify is answered by one, and an end
                        rest = b""
                        while piece := s.recv(1000):
                            rest += piece
                        incoming.write(rest)
                        tls.unwrap()

    # ---- rules ----

    def test_old_versions_are_refused_and_tickets_resume(self):
        with self.server() as server:
            old = self.context()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                old.minimum_version = ssl.TLSVersion.TLSv1
                old.maximum_version = ssl.TLSVersion.TLSv1_1
            old.set_ciphers("ALL:@SECLEVEL=0")
            with self.assertRaises((ssl.SSLError, ConnectionResetError)):
                self.connect(server.port, context=old)
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                context = self.context(version=version)
                with self.connect(server.port, context=context) as s:
                    s.sendall(b"PING\r\n")
                    self.assertEqual(s.recv(100), b"+PONG\r\n")
                    session = s.session
                    self.assertFalse(s.session_reused)
                with self.connect(server.port, context=context, session=session) as s:
                    self.assertTrue(s.session_reused)

    # ---- several certificates ----

    def chosen(self, port, name, version=None):
        """The subject of the certificate that a client who asks for `name` gets."""
        context = self.context(version=version)
        context.check_hostname = False
        with socket.create_connection(("127.0.0.1", port), 30) as s, context.wrap_socket(s, server_hostname=name) as tls:
            tls.sendall(b"PING\r\n")
            self.assertEqual(tls.recv(100), b"+PONG\r\n")
            return dict(pair[0] for pair in tls.getpeercert()["subject"])["commonName"]

    def test_the_name_that_a_client_asks_for_chooses_the_certificate(self):
        names = {"first": ("DNS:first.example", "DNS:localhost"), "wild": ("DNS:*.example.org", "DNS:example.net"),
                 "exact": ("DNS:api.example.org",), "partial": ("DNS:w*.example.com",)}
        for name, alternatives in names.items():
            self.made.make(name, names=alternatives)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with Nuthatch("cache", *self.made.options(*names), listen="tls://127.0.0.1:0") as server:
                for asked, given in (("first.example", "first"), ("localhost", "first"), ("www.example.org", "wild"),
                                     ("WWW.Example.ORG", "wild"), ("example.net", "wild"), ("api.example.org", "exact"),
                                     ("example.org", "first"), ("a.b.example.org", "first"), ("www.example.com", "first"),
                                     ("wild", "first"), ("nowhere.example", "first"), (None, "first")):
                    self.assertEqual(self.chosen(server.port, asked, version), given, asked)

    def test_openssl_gets_the_certificate_it_names_and_resumes_with_it(self):
        for name, alternatives in (("one", ("DNS:one.example",)), ("two", ("DNS:two.example",))):
            self.made.make(name, names=alternatives)
        session = self.made.path("session")
        with Nuthatch("cache", *self.made.options("one", "two"), listen="tls://127.0.0.1:0") as server:
            for more, word in (("-sess_out", b"New, TLS"), ("-sess_in", b"Reused, TLS")):
                for name in ("two.example",):
                    said = subprocess.run(["openssl", "s_client", "-CAfile", self.made.cert("ca"), "-verify_return_error",
                                           "-verify_hostname", name, "-servername", name, "-tls1_2", more, session,
                                           "-connect", f"127.0.0.1:{server.port}"],
                                          input=b"QUIT\r\n", capture_output=True, timeout=30)
                    self.assertIn(word, said.stdout, said.stderr)
                    self.assertIn(b"CN = two", said.stdout + said.stderr)

    def test_all_certificates_are_read_again_or_none(self):
        made = Certificates(tempfile.mkdtemp(dir=self.folder.name))
        shutil.copy(self.made.cert("ca"), made.cert("ca"))
        shutil.copy(self.made.key("ca"), made.key("ca"))
        for name in ("one", "two"):
            made.make(name, names=(f"DNS:{name}.example",))
        config = made.path("nuthatch.yaml")
        with open(config, "w") as file:
            file.write("tls-cert: [one.pem, two.pem]\ntls-key:\n  - one.key\n  - two.key\n"
                       "cache:\n  listen: tls://127.0.0.1:0\n")
        with Nuthatch("serve", config, listen=()) as server:
            def serials():
                found = []
                for name in ("one.example", "two.example"):
                    with socket.create_connection(("127.0.0.1", server.port), 30) as s, \
                            self.context().wrap_socket(s, server_hostname=name) as tls:
                        found.append(tls.getpeercert()["serialNumber"])
                return found
            first = serials()
            made.make("one", names=("DNS:one.example",))
            os.rename(made.key("two"), made.path("away"))
            os.kill(server.pid, signal.SIGHUP)
            server.wait_for("TLS: nothing changes")
            self.assertEqual(serials(), first)
            os.rename(made.path("away"), made.key("two"))
            os.kill(server.pid, signal.SIGHUP)
            server.wait_for("two.pem is in use for new connections")
            second = serials()
            self.assertNotEqual(second[0], first[0])
            self.assertEqual(second[1], first[1])

    def test_client_certificates(self):
        wanted = {  # by the mode and whose certificate: may it speak?
            "none": {None: True, "client": True, "stranger": True},
            "optional": {None: True, "client": True, "stranger": False},
            "required": {None: False, "client": True, "stranger": False}}
        for mode, cases in wanted.items():
            with self.server("cache", "--tls-ca", self.made.cert("ca"), "--tls-client-auth", mode) as server:
                for client, may_speak in cases.items():
                    try:
                        with self.connect(server.port, client=client) as s:
                            s.sendall(b"PING\r\n")
                            said = s.recv(100)  # with TLS 1.3 the refusal comes here
                    except (ssl.SSLError, ConnectionError):
                        said = b""
                    self.assertEqual(said, b"+PONG\r\n" if may_speak else b"", (mode, client))

    def test_a_wrong_start_says_why(self):
        bad = self.made.path("bad.pem")
        with open(bad, "w") as file:
            file.write("no certificate\n")
        encrypted = self.made.path("encrypted.key")
        openssl("pkey", "-in", self.made.key("server"), "-aes128", "-passout", "pass:secret", "-out", encrypted)
        cert, key = self.made.cert("server"), self.made.key("server")
        for arguments, why in (
                ([], b"a TLS listener needs tls-cert and tls-key"),
                (["--tls-cert", cert], b"a TLS listener needs tls-cert and tls-key"),
                (["--tls-cert", cert, "--tls-key", "/nowhere"], b"the key /nowhere: No such file"),
                (["--tls-cert", cert, "--tls-key", key, "--tls-cert", cert],
                 b"there are 2 tls-cert and 1 tls-key; each certificate needs its key"),
                (["--tls-cert", cert, "--tls-key", key, "--tls-cert", bad, "--tls-key", key], b"the certificate " + bad.encode()),
                (["--tls-cert", bad, "--tls-key", key], b"the certificate " + bad.encode()),
                (["--tls-cert", cert, "--tls-key", self.made.key("client")], b"key values mismatch"),
                (["--tls-cert", cert, "--tls-key", encrypted], b"the key " + encrypted.encode()),
                (["--tls-cert", cert, "--tls-key", key, "--tls-client-auth", "required"], b"needs tls-ca"),
                (["--tls-cert", cert, "--tls-key", key, "--tls-ca", bad, "--tls-client-auth", "required"],
                 b"the authorities of " + bad.encode())):
            start = subprocess.run([BINARY, "cache", "--listen", "tls://127.0.0.1:0", *arguments], stdin=subprocess.PIPE,
                                   capture_output=True, timeout=30)
            self.assertNotEqual(start.returncode, 0)
            self.assertIn(why, start.stderr)

    # ---- what goes wrong ----

    def test_plain_text_on_a_tls_port_is_closed_with_one_line(self):
        for loop in LOOPS:
            with self.server("cache", "--loop", loop) as server:
                for said in (b"PING\r\n" + b" " * 100, b"*1\r\n$4\r\nPING\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"):
                    with socket.create_connection(("127.0.0.1", server.port), 30) as s:
                        s.sendall(said)
                        try:
                            self.assertEqual(s.recv(100), b"")
                        except ConnectionResetError:
                            pass
                    server.wait_for("plain text on a TLS port")
                self.assertLessEqual(server.log.count("plain text"), 3)
                with self.connect(server.port) as s:
                    s.sendall(b"PING\r\n")
                    self.assertEqual(s.recv(100), b"+PONG\r\n")

    def test_a_handshake_that_does_not_end_is_cut(self):
        for loop in LOOPS:
            with self.server("cache", "--loop", loop, "--header-timeout", "300ms") as server:
                silent = socket.create_connection(("127.0.0.1", server.port), 30)
                begun = socket.create_connection(("127.0.0.1", server.port), 30)
                begun.sendall(b"\x16\x03\x01\x02\x00\x01")
                since = time.time()
                self.assertEqual(silent.recv(100), b"")
                self.assertEqual(begun.recv(100), b"")
                self.assertLess(time.time() - since, 10)
                server.wait_for("its TLS handshake does not end")
                silent.close()
                begun.close()

    def test_a_flipped_bit_ends_the_connection(self):
        for loop in LOOPS:
            with self.server("cache", "--loop", loop) as server:
                incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
                tls = self.context().wrap_bio(incoming, outgoing, server_hostname="localhost")
                with socket.create_connection(("127.0.0.1", server.port), 30) as s:
                    one_by_one(s, tls, incoming, outgoing, tls.do_handshake)
                    tls.write(b"FLUSHALL\r\n")
                    record = bytearray(outgoing.read())
                    record[-3] ^= 1
                    s.sendall(record)
                    while s.recv(1000):  # an alert, then the end
                        pass
                server.wait_for("refused input from")

    def test_a_client_that_does_not_read_holds_little_and_gets_all_in_the_end(self):
        for loop in LOOPS:
            with self.server("cache", "--loop", loop, "--threads", "1", environment=FREED_IS_GONE) as server:
                r = self.redis(server.port)
                value = os.urandom(1 << 20)
                r.set("k", value)
                r.close()
                before = server.allocated_kib()
                with self.connect(server.port) as s:
                    for _ in range(100):
                        s.sendall(b"GET k\r\n")
                    wait_until_still(server.cpu_seconds)
                    self.assertLess(server.allocated_kib() - before, 90 << 10)  # all answers are 100 MiB
                    wanted = (b"$1048576\r\n" + value + b"\r\n") * 100
                    got = bytearray()
                    while len(got) < len(wanted):
                        got += s.recv(1 << 20)
                    self.assertTrue(got == wanted)

    def test_idle_connections_hold_little(self):
        with self.server("cache", "--threads", "1", environment=FREED_IS_GONE) as server:
            context = self.context()

            def held(count):
                sockets = []
                for _ in range(count):
                    s = self.connect(server.port, context=context)
                    s.sendall(b"PING\r\n")
                    self.assertEqual(s.recv(100), b"+PONG\r\n")
                    sockets.append(s)
                return sockets
            first = held(50)
            before = server.allocated_kib()
            more = held(300)
            each = (server.allocated_kib() - before) / 300
            self.assertLess(each, 30)  # Seen: 15 KiB, and 48 if OpenSSL kept its buffers.
            for s in first + more:
                s.close()

    # ---- reloading ----

    def serial(self, port):
        with self.connect(port) as s:
            return s.getpeercert()["serialNumber"]

    def test_a_new_certificate_is_taken_without_dropping_anybody_and_a_broken_one_is_not(self):
        for loop in LOOPS:
            made = Certificates(tempfile.mkdtemp(dir=self.folder.name))
            shutil.copy(self.made.cert("ca"), made.cert("ca"))
            shutil.copy(self.made.key("ca"), made.key("ca"))
            made.make("server")
            with Nuthatch("cache", "--loop", loop, *made.options(), listen="tls://127.0.0.1:0") as server:
                held = self.connect(server.port)
                first = self.serial(server.port)
                made.make("server")
                os.kill(server.pid, signal.SIGHUP)
                server.wait_for("in use for new connections")
                second = self.serial(server.port)
                self.assertNotEqual(first, second)
                for name, text in (("server.pem", "broken"), ("server.key", None)):
                    path = made.path(name)
                    os.rename(path, path + ".good")
                    if text:
                        with open(path, "w") as file:
                            file.write(text)
                    count = server.log.count("TLS: nothing changes")
                    os.kill(server.pid, signal.SIGHUP)
                    server.wait_for("TLS: nothing changes", count + 1)
                    self.assertEqual(self.serial(server.port), second)
                    os.rename(path + ".good", path)
                held.sendall(b"PING\r\n")
                self.assertEqual(held.recv(100), b"+PONG\r\n")
                held.close()

    def test_sighup_without_tls_changes_nothing(self):
        with Nuthatch("cache") as server:
            os.kill(server.pid, signal.SIGHUP)
            server.wait_for("nothing to reload")
            with socket.create_connection(("127.0.0.1", server.port), 30) as s:
                s.sendall(b"PING\r\n")
                self.assertEqual(s.recv(100), b"+PONG\r\n")

    def test_stopping_says_goodbye(self):
        for loop in LOOPS:
            with self.server("cache", "--loop", loop) as server:
                s = self.connect(server.port)
                s.sendall(b"PING\r\n")
                self.assertEqual(s.recv(100), b"+PONG\r\n")
                os.kill(server.pid, signal.SIGTERM)
                self.assertEqual(s.recv(100), b"")  # a close_notify; else it would be an error of TLS
                s.close()
                server.wait()


def one_by_one(s, tls, incoming, outgoing, step):
    """Runs `step` until it needs nothing more; each byte goes to the server in a piece of its own."""
    while True:
        try:
            result, is_done = step(), True
        except ssl.SSLWantReadError:
            is_done = False
        for byte in outgoing.read():
            s.sendall(bytes([byte]))
        if is_done:
            return result
        incoming.write(s.recv(1 << 16))


if __name__ == "__main__":
    unittest.main()
