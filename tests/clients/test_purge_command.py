"""`nuthatch purge`: what it takes out, what it says, and its exit status."""
import json, os, socket, subprocess, tempfile, threading, unittest

from certificates import Certificates
from harness import BINARY, Nuthatch, Origin, PATIENCE_S, fetch, free_port


def purge(*arguments, admin=None, **environment):
    """Returns its exit status, what it says, and what it complains of."""
    where = ["--admin", admin] if admin else []
    variables = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = subprocess.run([BINARY, "purge", *where, *arguments], capture_output=True, text=True, timeout=PATIENCE_S,
                          env={**variables, **environment})
    return done.returncode, done.stdout, done.stderr


class PurgeCommand(unittest.TestCase):
    def serve(self, *arguments, admin="http://127.0.0.1:0", **options):
        counts = {}

        def answer(request):
            counts[request.path] = counts.get(request.path, 0) + 1
            request.reply(200, str(counts[request.path]).encode(), Cache_Control="max-age=3600",
                          Surrogate_Key=f"all {request.path[1:2]}")
        origin = Origin(answer)
        self.addCleanup(origin.stop)
        server = Nuthatch("gateway", origin.url, "--memory", "64M", "--admin", admin, *arguments,
                          listen="http://127.0.0.1:0", **options)
        self.addCleanup(lambda: self.assertEqual(server.stop(), 0))
        server.admin = server.wait_for(r"admin ready on (\S+)\n")[0]
        self.origin = origin
        return server

    def fetched(self, server, *paths):
        """Those of `paths` that are not stored any more."""
        before = self.origin.count()
        said = []
        for path in paths:
            fetch(server.port, path)
            if self.origin.count() > before:
                said.append(path)
                before = self.origin.count()
        return said

    def test_each_kind_takes_out_what_it_names_and_nothing_else(self):
        server = self.serve()
        paths = ("/a/1", "/a/2", "/b/1", "/c/1?x=1")
        for arguments, says, gone in (
                (("/a/1",), "purged: 1\n", ["/a/1"]),
                (("/a/1", "/c/1?x=1"), "purged: 2\n", ["/a/1", "/c/1?x=1"]),
                (("--prefix", "/a/"), "purged: 1\n", ["/a/1", "/a/2"]),
                (("--tag=b", "--tag", "c"), "purged: 2\n", ["/b/1", "/c/1?x=1"]),
                (("/b/1", "--prefix", "/c", "--tag", "none"), "purged: 3\n", ["/b/1", "/c/1?x=1"]),
                (("--all",), "purged: 1\n", list(paths)),
                (("/b/1", "--soft"), "made stale: 1\n", ["/b/1"])):
            self.fetched(server, *paths)
            self.assertEqual(purge(*arguments, admin=server.admin), (0, says, ""), arguments)
            self.assertEqual(self.fetched(server, *paths), gone, arguments)

    def test_urls_as_browsers_send_them(self):
        server = self.serve()
        paths = ("/a/1?filter[name]={x|y}^`", "/b/[1]|2")
        self.fetched(server, *paths)
        for arguments in ((paths[0],), ("--prefix", "/a/1?filter[")):
            self.assertEqual(purge(*arguments, admin=server.admin), (0, "purged: 1\n", ""))
            self.assertEqual(self.fetched(server, *paths), [paths[0]])
        self.assertEqual(purge(paths[1], admin=server.admin), (0, "purged: 1\n", ""))
        self.assertEqual(self.fetched(server, *paths), [paths[1]])

    def test_more_than_one_request_may_name(self):
        server = self.serve()
        self.fetched(server, "/a/1", "/b/1")
        self.assertEqual(purge(*(f"/x/{n}" for n in range(600)), "/b/1", admin=server.admin + "/"),
                         (0, "purged: 601\n", ""))
        self.assertEqual(self.fetched(server, "/a/1", "/b/1"), ["/b/1"])

    def test_long_lists_of_long_texts(self):
        server = self.serve()
        self.fetched(server, "/a/1", "/b/1")
        urls = [f"/{n}".ljust(300, "x") for n in range(400)]
        self.assertEqual(purge(*urls, "/b/1", admin=server.admin), (0, "purged: 401\n", ""))
        self.assertEqual(self.fetched(server, "/a/1", "/b/1"), ["/b/1"])
        quoted = [f"--prefix=/{n}" + '\\"' * 5000 for n in range(9)]  # of which JSON makes twice as much
        self.assertEqual(purge(*quoted, admin=server.admin), (0, "purged: 9\n", ""))
        prefixes = [f"--prefix=/none/{n}" for n in range(150)]
        self.assertEqual(purge(*prefixes, "--prefix=/a/", admin=server.admin), (0, "purged: 151\n", ""))
        self.assertEqual(self.fetched(server, "/a/1", "/b/1"), ["/a/1"])

    def test_a_busy_gateway_is_asked_again_for_what_is_not_done(self):
        asked = []

        def answer(request):
            prefixes = json.loads(request.body)["prefix"]
            asked.append([len(prefixes), prefixes[0]])
            if len(asked) in busy:
                request.reply(503, json.dumps({"detail": "busy here", "done": busy[len(asked)]}).encode())
            else:
                request.reply(200, json.dumps({"purged": len(prefixes), "soft": False}).encode())
        prefixes = [f"--prefix=/{n}" for n in range(70)]
        with Origin(answer) as gateway:
            busy = {1: 60, 2: 0}
            self.assertEqual(purge(*prefixes, admin=gateway.url), (0, "purged: 70\n", ""))
            self.assertEqual(asked, [[64, "/0"], [10, "/60"], [10, "/60"]])
            asked.clear()
            busy = dict.fromkeys(range(100), 0) | {1: 3}
            self.assertEqual(purge(*prefixes, "--timeout", "1s", admin=gateway.url),
                             (1, "purged: 3\n", "nuthatch: busy here\n"))
            self.assertGreater(len(asked), 2)

    def test_the_token_comes_from_the_environment_or_a_file_and_never_from_the_command_line(self):
        server = self.serve("--admin-token", "sesame")
        with tempfile.TemporaryDirectory() as folder:
            def file(text):
                path = tempfile.mktemp(dir=folder)
                with open(path, "wb") as out:
                    out.write(text)
                return ("--all", "--token-file", path)
            self.assertEqual(purge("--all", admin=server.admin, NUTHATCH_ADMIN_TOKEN="sesame")[:2], (0, "purged: 1\n"))
            self.assertEqual(purge(*file(b"sesame\r\nmore"), admin=server.admin, NUTHATCH_ADMIN_TOKEN="x")[0], 0)
            for status, complaint, arguments, variables in (
                    (1, "wants its admin-token", ("--all",), {}),
                    (1, "not the admin-token of what runs there", ("--all",), {"NUTHATCH_ADMIN_TOKEN": "sesamo"}),
                    (1, "not the admin-token of what runs there", file(b"open\n"), {"NUTHATCH_ADMIN_TOKEN": "sesame"}),
                    (2, "nothing in its first line", file(b"\nsesame"), {}),
                    (2, "no token has", file(b"ses\x01ame"), {}),
                    (2, "no token has", ("--all",), {"NUTHATCH_ADMIN_TOKEN": "a\nHost: b"}),
                    (2, "not found", ("--all", "--token-file", f"{folder}/none"), {}),
                    (2, "no option of purge", ("--all", "--admin-token", "sesame"), {})):
                got, said, complained = purge(*arguments, admin=server.admin, **variables)
                self.assertEqual((arguments, got, said), (arguments, status, ""))
                self.assertIn(complaint, complained)
                self.assertNotIn("sesam", complained)

    def test_what_is_wrong_is_said_with_what_to_do(self):
        server = self.serve()
        for status, complaint, arguments in (
                (2, "purge what?", ()), (2, "purge what?", ("--soft",)), (2, "leave out", ("--all", "/a")),
                (2, "is no URL", ("a/b",)), (2, "no spaces", ("--tag", "a b")),
                (2, "out of range", ("--all", "--timeout", "0s")),
                (1, '"a" is no prefix; write one that begins with /', ("--prefix", "a"))):
            got, said, complained = purge(*arguments, admin=server.admin)
            self.assertEqual((arguments, got, said), (arguments, status, ""))
            self.assertIn(complaint, complained)
        # What was done before it went wrong is said, too.
        self.assertEqual(purge("/a", "--prefix", "a", admin=server.admin)[:2], (1, "purged: 1\n"))

    def test_a_gateway_that_is_not_there(self):
        for admin in (f"http://127.0.0.1:{free_port()}", "http+unix:///nowhere/admin.sock", "http://nowhere.invalid:1"):
            status, said, complained = purge("--all", admin=admin)
            self.assertEqual((status, said), (3, ""))
            self.assertIn(f"no administrator's API answers at {admin}", complained)
            self.assertIn("--admin", complained)
        with Origin(lambda r: r.reply(200, b"hello")) as other:  # somebody else is
            status, _, complained = purge("--all", admin=other.url)
            self.assertEqual(status, 1)
            self.assertIn("no administrator's API", complained)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            status, _, complained = purge("--all", "--timeout", "300ms", admin=f"http://127.0.0.1:{silent.getsockname()[1]}")
            self.assertEqual(status, 3)
            self.assertIn("does not answer", complained)
        with socket.create_server(("127.0.0.1", 0)) as endless:
            def serve():
                client, _ = endless.accept()
                with client:
                    client.recv(65536)
                    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
                    try:
                        for _ in range(100):
                            client.sendall(bytes(1000000))
                    except OSError:
                        pass
            thread = threading.Thread(target=serve)
            thread.start()
            self.assertEqual(purge("--all", admin=f"http://127.0.0.1:{endless.getsockname()[1]}")[0], 3)
            thread.join()

    def test_by_a_unix_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            server = self.serve(admin=f"http+unix://{folder}/admin.sock")
            self.fetched(server, "/a")
            self.assertEqual(purge("/a", admin=f"http+unix://{folder}/admin.sock")[0], 0)
            self.assertEqual(self.fetched(server, "/a"), ["/a"])

    def test_by_tls_to_whom_the_authorities_say(self):
        with tempfile.TemporaryDirectory() as folder:
            made = Certificates(folder)
            made.make_authority("other")
            server = self.serve(*made.options(), admin="https://127.0.0.1:0")
            self.assertEqual(purge("--all", "--tls-ca", made.cert("ca"), admin=server.admin)[0], 0)
            for arguments in ((), ("--tls-ca", made.cert("other"))):
                status, _, complained = purge("--all", *arguments, admin=server.admin)
                self.assertEqual(status, 3)
                self.assertIn("not to be trusted", complained)

    def test_no_proxy_of_the_environment_is_told_a_token(self):
        server = self.serve()
        proxy = f"http://127.0.0.1:{free_port()}"
        self.assertEqual(purge("--all", admin=server.admin, http_proxy=proxy, ALL_PROXY=proxy)[0], 0)


if __name__ == "__main__":
    unittest.main()
