"""What is around a mock's collections: its data from JSON, YAML and folders, static files, routes, the home page."""
import gzip, http.client, json, os, pathlib, pty, re, shutil, subprocess, tempfile, time, unittest
from harness import BINARY, Nuthatch, free_port

DATA = {"posts": [{"id": "1", "title": "jay"}], "profile": {"name": "tit"}}
OLD = 1_600_000_000  # a time of change long past: an entity tag of such a file is a strong one


def ask(server, target, method="GET", body=None, **headers):
    """Status, headers and body; `headers` with '_' for '-'."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request(method, target, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    answer = response.status, response.headers, response.read()
    connection.close()
    return answer


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        os.utime(path, (OLD, OLD))
        return str(path)

    def mock(self, *arguments):
        return Nuthatch("mock", *arguments, "--threads", "1", listen="http://127.0.0.1:0")

    def refusal(self, *arguments, status=1):
        run = subprocess.run([BINARY, "mock", "--listen", "http://127.0.0.1:0", *arguments], capture_output=True, text=True, timeout=60)
        self.assertEqual(run.returncode, status)
        return run.stderr


class Progress(Folder):
    def said(self, text, status=0):
        """What a terminal shows while `text` is read."""
        path = self.write("birds.json", text)
        ours, theirs = pty.openpty()
        server = subprocess.Popen([BINARY, "mock", path, "--ephemeral", "--port", str(free_port())], stderr=theirs)
        os.close(theirs)
        shown, is_told = b"", False
        try:
            while piece := os.read(ours, 65536):
                shown += piece
                if b"ready" in shown and not is_told:
                    server.terminate()
                    is_told = True
        except OSError:
            pass  # the end of a terminal
        os.close(ours)
        self.assertEqual(server.wait(30), status)
        return shown.decode()

    def birds(self, count):
        return json.dumps({"birds": [{"id": str(i), "song": "x" * 1000} for i in range(count)]})

    def test_a_terminal_shows_how_far_a_large_file_is_read(self):
        shown = self.said(self.birds(20_000))
        percents = [int(percent) for percent in re.findall(r"\] (\d+) %", shown)]
        self.assertGreater(len(percents), 5)
        self.assertEqual(percents, sorted(percents))
        self.assertLess(percents[-1], 100)
        self.assertIn("birds.json [#", shown)
        self.assertIn("\r\033[K", shown)

    def test_the_bar_is_gone_before_a_mistake_is_told(self):
        shown = self.said(self.birds(20_000)[:-2] + "oops", status=1)
        self.assertIn("\r\033[K", shown)
        self.assertNotIn("[#", shown[shown.index("\r\033[K"):])
        self.assertIn("birds.json: line 1", shown)

    def test_it_shows_nothing_of_a_small_one(self):
        self.assertNotIn("reading", self.said(self.birds(100)))


class Data(Folder):
    def test_a_yaml_file_is_data(self):
        path = self.write("db.yaml", "posts:\n  - id: 1\n    title: jay\nprofile: {name: tit}\n")
        with self.mock(path) as server:
            self.assertEqual(json.loads(ask(server, "/posts/1")[2])["title"], "jay")
            self.assertEqual(json.loads(ask(server, "/profile")[2]), {"name": "tit"})

    def test_a_folder_is_data_with_a_resource_in_each_file(self):
        self.write("data/posts.json", '[{"id": "1", "title": "jay"}]')
        self.write("data/profile.yml", "name: tit\n")
        self.write("data/notes.txt", "no data")
        self.write("data/.hidden.json", "no data")
        with self.mock(str(self.folder / "data")) as server:
            self.assertEqual(json.loads(ask(server, "/")[2]), {"resources": ["posts", "profile"]})
            self.assertEqual(json.loads(ask(server, "/posts/1")[2])["title"], "jay")

    def test_what_is_wrong_is_shown_where_it_is(self):
        path = self.write("db.json", '{\n  "posts": [\n    {"id": 1,}\n  ]\n}\n')
        said = self.refusal(path)
        self.assertRegex(said, r"db\.json: line 3, column \d+: ")
        self.assertRegex(said, r'\n        \{"id": 1,\}\n +\^\n')
        path = self.write("db.yaml", "posts:\n  - id: 1\n   title: x\n")
        said = self.refusal(path)
        self.assertRegex(said, r"db\.yaml: line 3, column 4: not YAML: ")
        self.assertRegex(said, r"\n       title: x\n       \^\n")
        self.write("data/good.json", "[]")
        self.write("data/wrong.json", "[1,\n 2")
        self.assertRegex(self.refusal(str(self.folder / "data")), r"wrong\.json: line 2, column \d+: ")
        self.assertRegex(self.refusal(str(self.folder)), r"needs 1 to 1000|db\.json")
        self.assertRegex(self.refusal(str(self.folder / "absent.json")), r"cannot read .*absent\.json: not found")


class Around(Folder):
    def setUp(self):
        super().setUp()
        self.data = self.write("db.json", json.dumps(DATA))

    def test_static_files_have_types_tags_and_dates(self):
        self.write("public/app.js", "let a;")
        self.write("public/a b.css", "b {}")
        self.write("public/unknown.thing", b"\0\1")
        with self.mock(self.data, "--static", str(self.folder / "public")) as server:
            status, headers, body = ask(server, "/app.js?v=1")
            self.assertEqual((status, body), (200, b"let a;"))
            self.assertEqual(headers["Content-Type"], "text/javascript; charset=utf-8")
            self.assertEqual(headers["Last-Modified"], "Sun, 13 Sep 2020 12:26:40 GMT")
            self.assertRegex(headers["ETag"], r'^"[^"]+"$')
            self.assertEqual(ask(server, "/a%20b.css")[2], b"b {}")
            self.assertEqual(ask(server, "/unknown.thing")[1]["Content-Type"], "application/octet-stream")
            status, headers, body = ask(server, "/app.js", "HEAD")
            self.assertEqual((status, headers["Content-Length"], body), (200, "6", b""))
            self.assertEqual(ask(server, "/app.js", "POST", "{}")[0], 404)
            self.assertEqual(json.loads(ask(server, "/posts")[2]), DATA["posts"])

    def test_public_beside_the_data_is_served_unasked(self):
        self.write("public/hello.txt", "hello")
        self.write("public/index.html", "<!doctype html><p>mine")
        self.write("data/birds.json", '[{"id": "1"}]')
        self.write("data/public/inner.txt", "inner")
        with self.mock(self.data) as server:
            self.assertEqual(ask(server, "/hello.txt")[2], b"hello")
            self.assertEqual(ask(server, "/", Accept="text/html")[2], b"<!doctype html><p>mine")
            self.assertEqual(ask(server, "/posts")[0], 200)
            self.assertIn("public are served, too", server.log)
        with self.mock(str(self.folder / "data")) as server:
            self.assertEqual(ask(server, "/inner.txt")[2], b"inner")
        with self.mock(self.data, "--static", str(self.folder / "data/public")) as server:
            self.assertEqual(ask(server, "/hello.txt")[0], 404)
        with self.mock(self.write("api.yaml", "openapi: 3.0.3\ninfo: {title: a, version: '1'}\npaths: {}\n")) as server:
            self.assertEqual(ask(server, "/hello.txt")[0], 404)

    def test_static_files_are_conditional(self):
        path = self.write("public/a.txt", "text")
        with self.mock(self.data, "--static", str(self.folder / "public")) as server:
            etag, date = (ask(server, "/a.txt")[1][name] for name in ("ETag", "Last-Modified"))
            for fields, status in (({"If_None_Match": etag}, 304), ({"If_None_Match": '"x", W/' + etag}, 304),
                                   ({"If_None_Match": '"x"'}, 200), ({"If_Modified_Since": date}, 304),
                                   ({"If_None_Match": '"x"', "If_Modified_Since": date}, 200),
                                   ({"If_Modified_Since": "Sun, 13 Sep 2020 12:26:39 GMT"}, 200),
                                   ({"If_Match": etag}, 200), ({"If_Match": '"x"'}, 412), ({"If_Match": "*"}, 200),
                                   ({"If_Unmodified_Since": "Sun, 13 Sep 2020 12:26:39 GMT"}, 412)):
                self.assertEqual(ask(server, "/a.txt", **fields)[0], status, fields)
            os.utime(path)  # it has changed this moment, and may again within the tick of a clock
            self.assertRegex(ask(server, "/a.txt")[1]["ETag"], r'^W/"')

    def test_static_files_have_ranges(self):
        self.write("public/a.txt", "0123456789")
        with self.mock(self.data, "--static", str(self.folder / "public")) as server:
            etag = ask(server, "/a.txt")[1]["ETag"]
            status, headers, body = ask(server, "/a.txt", Range="bytes=2-4")
            self.assertEqual((status, headers["Content-Range"], body), (206, "bytes 2-4/10", b"234"))
            self.assertEqual(ask(server, "/a.txt", Range="bytes=-3")[2], b"789")
            self.assertEqual(ask(server, "/a.txt", Range="bytes=2-4", If_Range=etag)[0], 206)
            self.assertEqual(ask(server, "/a.txt", Range="bytes=2-4", If_Range='"x"')[0], 200)
            self.assertEqual(ask(server, "/a.txt", Range="lines=1")[0], 200)
            status, headers, body = ask(server, "/a.txt", Range="bytes=10-")
            self.assertEqual((status, headers["Content-Range"]), (416, "bytes */10"))
            status, headers, body = ask(server, "/a.txt", Range="bytes=0-1,5-6,9-")
            boundary = re.fullmatch(r"multipart/byteranges; boundary=(\S+)", headers["Content-Type"]).group(1)
            self.assertEqual((status, len(body)), (206, int(headers["Content-Length"])))
            parts = body.decode().split("--" + boundary)
            self.assertEqual((parts[0], parts[-1]), ("", "--\r\n"))
            self.assertEqual([part.split("\r\n\r\n")[1] for part in parts[1:-1]], ["01\r\n", "56\r\n", "9\r\n"])
            self.assertIn("Content-Range: bytes 5-6/10\r\n", parts[2])
            self.assertEqual(ask(server, "/a.txt", Range="bytes=" + ",".join(f"{i}-{i}" for i in range(0, 99, 2)))[0],
                             206)  # ten bytes have five such places
            self.assertEqual(ask(server, "/a.txt", "HEAD", Range="bytes=2-4")[0], 200)

    def test_nothing_outside_of_the_folder_is_shown(self):
        self.write("secret.txt", "secret")
        self.write("public/.env", "secret")
        self.write("public/sub/a.txt", "a")
        os.symlink("../secret.txt", self.folder / "public/escape.txt")
        os.symlink("..", self.folder / "public/up")
        os.symlink("sub/a.txt", self.folder / "public/inside.txt")
        os.mkfifo(self.folder / "public/pipe")
        with self.mock(self.data, "--static", str(self.folder / "public")) as server:
            for path in ("/../secret.txt", "/%2e%2e/secret.txt", "/sub/../../secret.txt", "/sub%2f..%2f..%2fsecret.txt",
                         "/escape.txt", "/up/secret.txt", "/.env", "/%2eenv", "/sub//a.txt", "/sub/a.txt/", "/pipe",
                         "/sub", "/a.txt%00", "/%00", "/" + "x" * 5000):
                status, _, body = ask(server, path)
                self.assertIn(status, (400, 404), path)
                self.assertNotIn(b"secret", body)
            self.assertEqual(ask(server, "/sub/a.txt")[2], b"a")
            self.assertEqual(ask(server, "/inside.txt")[2], b"a")

    def test_a_folder_shows_its_index(self):
        self.write("public/index.html", "<p>own")
        self.write("public/docs/index.html", "<p>docs")
        with self.mock(self.data, "--static", str(self.folder / "public")) as server:
            self.assertEqual(ask(server, "/", Accept="text/html,*/*")[2], b"<p>own")
            self.assertIn(b"resources", ask(server, "/", Accept="application/json")[2])
            self.assertEqual(ask(server, "/docs/")[2], b"<p>docs")
            status, headers, _ = ask(server, "/docs?a=1")
            self.assertEqual((status, headers["Location"]), (301, "/docs/?a=1"))

    def test_a_large_file_arrives_whole(self):
        text = os.urandom(1 << 20) * 24
        self.write("public/large.bin", text)
        with self.mock(self.data, "--static", str(self.folder / "public")) as server:
            self.assertEqual(ask(server, "/large.bin")[2], text)
            self.assertEqual(ask(server, "/large.bin", Range="bytes=1000000-20000000")[2], text[1000000:20000001])

    def test_routes_lead_elsewhere(self):
        routes = self.write("routes.json", '{"/api/*": "/$1", "/me": "/profile"}')
        with self.mock(self.data, "--routes", routes) as server:
            self.assertEqual(json.loads(ask(server, "/api/posts/1")[2]), DATA["posts"][0])
            self.assertEqual(json.loads(ask(server, "/me")[2]), DATA["profile"])
            status, headers, body = ask(server, "/api/posts", "POST", '{"title": "new"}')
            self.assertEqual(status, 201)
            self.assertEqual(ask(server, "/api" + headers["Location"])[2], body)
        routes = self.write("routes.json", '{"api": "/$1"}')
        self.assertIn('routes.json: rule "api" must begin with /', self.refusal(self.data, "--routes", routes))
        self.assertIn("static: /nowhere is no folder to serve: not found",
                      self.refusal(self.data, "--static", "/nowhere"))

    def test_a_read_only_mock_takes_no_writes(self):
        with self.mock(self.data, "--read-only") as server:
            for method in ("POST", "PUT", "PATCH", "DELETE"):
                self.assertEqual(ask(server, "/posts/1", method, "{}")[0], 403, method)
            self.assertEqual(ask(server, "/posts/1")[0], 200)
            self.assertEqual(ask(server, "/posts/1", "OPTIONS")[0], 204)

    def test_other_origins_are_let_in_unless_told_otherwise(self):
        with self.mock(self.data) as server:
            self.assertEqual(ask(server, "/posts")[1]["Access-Control-Allow-Origin"], "*")
            self.assertEqual(ask(server, "/nosuch")[1]["Access-Control-Allow-Origin"], "*")
        with self.mock(self.data, "--no-cors") as server:
            self.assertNotIn("Access-Control-Allow-Origin", ask(server, "/posts")[1])
            self.assertNotIn("Access-Control-Allow-Origin", ask(server, "/nosuch")[1])

    def test_without_cors_the_pages_of_others_neither_write_nor_come_by_a_name_of_theirs(self):
        for arguments, refused in (("--no-cors",), 403), ((), 201):
            with self.mock(self.data, "--ephemeral", *arguments) as server:
                here, body = f"127.0.0.1:{server.port}", '{"title": "x"}'
                for headers, status in (
                        ({"Origin": "https://evil.test"}, refused),
                        ({"Origin": "null"}, refused),
                        ({"Origin": "http://127.0.0.1:1"}, refused),
                        ({"Sec_Fetch_Site": "cross-site"}, refused),
                        ({"Host": f"evil.test:{server.port}"}, refused),
                        ({"Host": f"evil.test:{server.port}", "Origin": f"http://evil.test:{server.port}"}, refused),
                        ({"Origin": f"http://{here}", "Sec_Fetch_Site": "same-origin"}, 201),
                        ({"Host": f"localhost:{server.port}"}, 201),
                        ({"Host": "192.0.2.1"}, 201),
                        ({"Host": "[2001:db8::1]:80"}, 201),
                        ({}, 201)):
                    with self.subTest(arguments=arguments, headers=headers):
                        answer = ask(server, "/posts", "POST", body, **headers)
                        self.assertEqual(answer[0], status)
                        if status == 403:
                            self.assertEqual(answer[1]["Content-Type"], "application/problem+json")
                self.assertEqual(ask(server, "/posts", Origin="https://evil.test")[0], 200)
                self.assertEqual(ask(server, "/posts", Origin="https://evil.test", Connection="Upgrade",
                                     Upgrade="websocket")[0], 403 if arguments else 200)  # a page could read it
                self.assertEqual(ask(server, "/posts", Host="evil.test")[0], 403 if arguments else 200)

    def test_answers_are_in_gzip_for_who_takes_it(self):
        item = {"id": "1", "text": "food " * 1000}
        path = self.write("large.json", json.dumps({"notes": [item], "small": [{"id": "1"}]}))
        with self.mock(path) as server:
            for _ in range(2):  # the second comes from what was kept
                _, headers, body = ask(server, "/notes/1", Accept_Encoding="gzip, br")
                self.assertEqual((headers["Content-Encoding"], headers["Vary"]), ("gzip", "Accept-Encoding"))
                self.assertEqual(json.loads(gzip.decompress(body)), item)
                self.assertEqual(int(headers["Content-Length"]), len(body))
            etag = headers["ETag"]
            status, fields, _ = ask(server, "/notes/1", Accept_Encoding="gzip", If_None_Match=etag)
            self.assertEqual((status, fields["ETag"]), (304, etag))
            _, headers, body = ask(server, "/notes/1")
            self.assertNotIn("Content-Encoding", headers)
            self.assertEqual(json.loads(body), item)
            self.assertNotEqual(headers["ETag"], etag)  # other bytes
            for fields in ({"Accept_Encoding": "gzip;q=0"}, {"Accept_Encoding": "br"},
                           {"Accept_Encoding": "gzip;q=0.5, identity"}):
                self.assertNotIn("Content-Encoding", ask(server, "/notes/1", **fields)[1])
            self.assertNotIn("Content-Encoding", ask(server, "/small", Accept_Encoding="gzip")[1])
            self.assertEqual(ask(server, "/notes/1", "PATCH", "{}", If_Match=etag)[0], 200)
            self.assertEqual(ask(server, "/notes/1", "PATCH", "{}", If_Match='"other-gzip"')[0], 412)
        with self.mock(path, "--no-gzip") as server:
            self.assertNotIn("Content-Encoding", ask(server, "/notes/1", Accept_Encoding="gzip")[1])

    def test_browsers_get_a_page_and_others_json(self):
        with self.mock(self.data) as server:
            status, headers, body = ask(server, "/", Accept="text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
            self.assertEqual((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"))
            self.assertTrue(body.startswith(b"<!doctype html>") and body.endswith(b"</html>\n"))
            self.assertNotRegex(body.decode(), r"(src|href)='(?!data:)")  # nothing is loaded from elsewhere
            self.assertEqual(ask(server, "/", "HEAD", Accept="text/html")[1]["Content-Length"], str(len(body)))
            for accept in ("*/*", "application/json"):
                self.assertEqual(json.loads(ask(server, "/", Accept=accept)[2]), {"resources": ["posts", "profile"]})

    def test_host_and_port_say_where(self):
        port = free_port()
        with Nuthatch("mock", self.data, "--host", "localhost", "--port", str(port), listen=()) as server:
            self.assertEqual(server.port, port)
            self.assertEqual(ask(server, "/posts")[0], 200)
        self.assertIn("leave out the one or the other",
                      self.refusal(self.data, "--port", "1", "--listen", "http://127.0.0.1:0", status=2))

    def test_a_delay_is_json_servers_word_for_latency(self):
        with self.mock(self.data, "--delay", "80") as server:
            began = time.monotonic()
            ask(server, "/posts")
            self.assertGreaterEqual(time.monotonic() - began, 0.08)


if __name__ == "__main__":
    unittest.main()
