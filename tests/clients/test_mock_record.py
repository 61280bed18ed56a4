"""A mock that passes everything on and records it, and one that answers from what was recorded, the API gone."""
import gzip, http.client, json, os, pathlib, re, shutil, signal, socket, ssl, subprocess, tempfile, time, unittest
from certificates import Certificates
from harness import BINARY, Nuthatch, Origin
from test_mock_files import ask
from test_mock_keep import until

SECRETS = ["s3cret-bearer-token", "c00kie-value-1", "set-c00kie-2", "k3y-in-the-query", "my-own-s3cret", "dXNlcjpwYXNz"]
OF_THE_MOMENT = {"date", "age", "connection", "content-length", "transfer-encoding", "access-control-allow-origin"}
BINARY_BODY = bytes(range(256)) * 40


class Api:
    """What is recorded: some of it depends on what was asked before."""

    def __init__(self):
        self.birds = [{"id": 1, "name": "jay"}]

    def __call__(self, r):
        path, _, query = r.path.partition("?")
        if path == "/birds" and r.command == "POST":
            self.birds.append({"id": len(self.birds) + 1, **json.loads(r.body)})
            r.reply(201, json.dumps(self.birds[-1]).encode(), Content_Type="application/json",
                    Location=f"/birds/{len(self.birds)}")
        elif path == "/birds":
            r.reply(200, json.dumps(self.birds).encode(), Content_Type="application/json", ETag='"1"',
                    X_Query=query.replace("k3y-in-the-query", "-"))
        elif path == "/page":
            r.reply(200, f"page {query}".encode(), Content_Type="text/plain; charset=utf-8")
        elif path == "/login":
            r.send_response(200)
            r.send_header("Content-Type", "application/json")
            r.send_header("Set-Cookie", "sid=set-c00kie-2; Path=/; HttpOnly")
            r.send_header("Set-Cookie", "theme=set-c00kie-2")
            r.send_header("X-Auth-Token", "s3cret-bearer-token")
            r.send_header("Link", "</next?page=2&api_key=k3y-in-the-query>; rel=next")
            body = json.dumps({"echo": r.headers["Authorization"], "next": "/x?api_key=k3y-in-the-query"}).encode()
            r.send_header("Content-Length", str(len(body)))
            r.end_headers()
            r.wfile.write(body)
        elif path == "/binary":
            r.reply(200, BINARY_BODY, Content_Type="image/png")
        elif path == "/template":
            r.reply(200, b"{{counter}} {{nothing}}", Content_Type="text/plain", X_Template="{{now}}")
        elif path == "/gone":
            r.reply(204)
        elif path == "/chunked":
            r.send_response(200)
            r.send_header("Transfer-Encoding", "chunked")
            r.send_header("Content-Type", "text/plain")
            r.end_headers()
            r.wfile.write(b"5\r\nhello\r\n6\r\n there\r\n0\r\n\r\n")
        elif path == "/large":
            r.reply(200, b"x" * (17 << 20))
        elif path == "/events":
            r.send_response(200)
            r.send_header("Content-Type", "text/event-stream")
            r.send_header("Connection", "close")
            r.end_headers()
            r.wfile.write(b"data: 1\n\n")
            r.close_connection = True
        elif path == "/cut":
            r.send_response(200)
            r.send_header("Content-Length", "100")
            r.end_headers()
            r.wfile.write(b"short")
            r.close_connection = True
        elif path == "/slash":
            r.reply(301, b"moved", Location=f"/slash/?{query}", Content_Type="text/plain")
        elif path == "/absolute":
            r.reply(301, b"moved", Location=f"http://{r.headers['Host']}/absolute/", Content_Type="text/plain")
        elif path in ("/slash/", "/absolute/"):
            r.reply(200, b"here", Content_Type="text/plain")
        elif path == "/untyped":
            r.send_response(200)
            r.send_header("Content-Length", "5")
            r.end_headers()
            r.wfile.write(b"bytes")
        elif path == "/coded":
            r.reply(200, gzip.compress(b"k3y-in-the-query"), Content_Encoding="gzip", Content_Type="text/plain")
        elif path == "/leads":
            r.reply(302, b"", Location="https://ann:pa,ss@h.example/cb?a=1#access_token=fr4gment&x=1",
                    X_Info='key="a b"; realm=x, sig=s1; pwd', X_Named="file: bodies/0001.txt")
        elif path == "/swollen":
            r.reply(200, b"shorty-8" + b"x" * ((16 << 20) - 8), Content_Type="text/plain")
        elif path == "/number":
            self.number = getattr(self, "number", 0) + 1
            r.reply(200, str(self.number).encode(), Content_Type="text/plain")
        else:
            r.reply(404, b'{"error": "nothing"}', Content_Type="application/problem+json")


def shape(answer):
    status, fields, body = answer
    return status, sorted((name.lower(), value) for name, value in fields.items()
                          if name.lower() not in OF_THE_MOMENT), body


class Record(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.out = self.folder / "out"
        self.origin = Origin(Api())
        self.addCleanup(self.origin.stop)

    def record(self, *arguments, url=None):
        return Nuthatch("mock", "--record", url or self.origin.url, str(self.out), "--threads", "2", *arguments,
                        listen="http://127.0.0.1:0")

    def replay(self, *arguments):
        return Nuthatch("mock", str(self.out), "--threads", "2", *arguments, listen="http://127.0.0.1:0")

    def rules(self):
        return (self.out / "rules.yaml").read_text()

    def refusal(self, *arguments):
        run = subprocess.run([BINARY, "mock", "--listen", "http://127.0.0.1:0", *arguments], capture_output=True, text=True, timeout=60)
        self.assertNotEqual(run.returncode, 0)
        return run.stderr

    def test_what_was_recorded_is_answered_when_the_api_is_gone(self):
        asked = [("/birds",), ("/birds?page=2&sort=name",), ("/birds?tag=a&tag=b",), ("/page?q=%C3%A9+x",), ("/page?",),
                 ("/binary",), ("/gone", "DELETE"), ("/none",), ("/chunked",), ("/template",), ("/a%20b/%C3%A4",),
                 ("/birds", "POST", '{"name": "tit"}'), ("/birds", "POST", '{"name": "wren"}')]
        with self.record() as server:
            recorded = [shape(ask(server, *one)) for one in asked]
        self.assertEqual([one[0] for one in recorded], [200] * 6 + [204, 404, 200, 200, 404, 201, 201])
        self.origin.stop()
        with self.replay() as server:
            for _ in range(2):
                for one, answer in zip(asked, recorded):
                    self.assertEqual(shape(ask(server, *one)), answer, one)
            for other in (("/birds?page=3",), ("/birds?page=2&sort=name&x=1",), ("/birds?tag=a",), ("/gone",),
                          ("/birds", "POST", '{"name": "owl"}'), ("/other",)):
                self.assertEqual(ask(server, *other)[0], 404, other)

    def test_answers_that_differ_come_in_turn_and_the_same_again_is_one(self):
        with self.record() as server:
            before = ask(server, "/birds")[2]
            self.assertEqual(ask(server, "/birds")[2], before)
            ask(server, "/birds", "POST", '{"name": "tit"}')
            after = ask(server, "/birds")[2]
        self.assertEqual(self.rules().count("status: 200"), 2)
        with self.replay() as server:
            self.assertEqual([ask(server, "/birds")[2] for _ in range(3)], [before, after, after])

    def test_a_later_run_adds_and_replaces_and_keeps_what_was_edited(self):
        with self.record() as server:
            self.assertEqual(ask(server, "/number")[2], b"1")
            ask(server, "/page?a=1")
        edited = self.rules().replace("status: 200", "status: 202", 2).replace("rules:\n", "latency: 1ms\nrules:\n")
        (self.out / "rules.yaml").write_text(edited)
        with self.record() as server:
            self.assertEqual(ask(server, "/number")[2], b"2")
            ask(server, "/page?b=1")
        self.assertIn("latency: 1ms", self.rules())
        self.assertEqual(len(list((self.out / "bodies").iterdir())), 3)
        with self.replay() as server:
            self.assertEqual(shape(ask(server, "/number"))[::2], (200, b"2"))
            self.assertEqual(shape(ask(server, "/page?a=1"))[::2], (202, b"page a=1"))
            self.assertEqual(shape(ask(server, "/page?b=1"))[::2], (200, b"page b=1"))

    def test_secrets_are_nowhere_in_the_folder(self):
        with self.record("--record-secret", "X-Mine", "--record-secret", "mine") as server:
            headers = {"Authorization": "Bearer s3cret-bearer-token", "Cookie": "sid=c00kie-value-1; a=b",
                       "X-Mine": "my-own-s3cret", "Proxy-Authorization": "Basic dXNlcjpwYXNz"}
            path = "/login?api_key=k3y-in-the-query&page=1&mine=my-own-s3cret"
            status, fields, body = ask(server, path, **headers)
            self.assertIn(b"s3cret-bearer-token", body)
            self.assertIn("sid=set-c00kie-2; Path=/; HttpOnly", fields.get_all("Set-Cookie"))
            self.assertEqual(self.origin.requests[-1][2]["Authorization"], headers["Authorization"])
        everything = b"".join(path.read_bytes() for path in self.out.rglob("*") if path.is_file())
        names = "".join(str(path) for path in self.out.rglob("*"))
        for secret in SECRETS:
            self.assertNotIn(secret.encode(), everything, secret)
            self.assertNotIn(secret, names)
        with self.replay() as server:
            status, fields, body = ask(server, "/login?api_key=another&page=1&mine=whatever")
            self.assertEqual(status, 200)
            self.assertEqual(fields.get_all("Set-Cookie"), ["sid=[redacted]; Path=/; HttpOnly", "theme=[redacted]"])
            self.assertEqual(fields["X-Auth-Token"], "[redacted]")
            self.assertEqual(fields["Link"], "</next?page=2&api_key=[redacted]>; rel=next")
            self.assertEqual(json.loads(body), {"echo": "Bearer [redacted]", "next": "/x?api_key=[redacted]"})
            self.assertEqual(ask(server, "/login?api_key=another&page=2&mine=x")[0], 404)
            self.assertEqual(ask(server, "/login?page=1&mine=x")[0], 404)

    def test_the_api_is_asked_for_all_of_an_answer_as_it_is(self):
        with self.record() as server:
            headers = {"Accept-Encoding": "gzip, br", "If-None-Match": '"1"', "Range": "bytes=0-1", "Accept": "text/x",
                       "Connection": "x-hop", "X-Hop": "1", "X-Kept": "2"}
            self.assertEqual(ask(server, "/birds", **headers)[0], 200)
            seen = self.origin.requests[-1][2]
            self.assertEqual(seen["Accept-Encoding"], "identity")
            self.assertEqual(seen["Host"], self.origin.url[len("http://"):])
            self.assertEqual((seen["Accept"], seen["X-Kept"]), ("text/x", "2"))
            for name in ("If-None-Match", "Range", "X-Hop"):
                self.assertIsNone(seen[name], name)

    def test_what_cannot_be_recorded_is_passed_on_and_said(self):
        with self.record() as server:
            self.assertEqual(len(ask(server, "/large")[2]), 17 << 20)
            server.wait_for("/large is not recorded: its answer has more than 16 MiB")
            time.sleep(1.1)  # such lines come once a second
            self.assertEqual(ask(server, "/events")[2], b"data: 1\n\n")
            server.wait_for("/events is not recorded: it is an event stream")
            time.sleep(1.1)
            body = b"y" * (2 << 20)
            self.assertEqual(ask(server, "/birdhouse", "POST", body)[0], 404)
            self.assertEqual(self.origin.requests[-1][3], body)
            server.wait_for("/birdhouse is not recorded: its body has more than 1 MiB")
            self.assertEqual(ask(server, "/birds", "HEAD")[0], 200)
            with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
                ask(server, "/cut")
            self.assertEqual(ask(server, "/number")[0], 200)
        self.assertEqual(re.findall(r"- name: (.*)", self.rules()), ['"GET /number"'])

    def test_a_request_that_yaml_cannot_say_spoils_nothing(self):
        with self.record() as server:
            for path in ("/page?" + "n" * 1100 + "=1", "/page?d=%00", "/page?%00=d", "/page?" + "%01" * 200 + "=1"):
                self.assertEqual(ask(server, path)[0], 200)
            server.wait_for("/page is not recorded: its query has too many parameters, a very long name, or is no text")
            time.sleep(1.1)  # such lines come once a second
            self.assertEqual(ask(server, "/swollen", Authorization="Bearer shorty-8")[0], 200)
            server.wait_for("/swollen is not recorded: its answer has more than 16 MiB")
            self.assertEqual(ask(server, "/page?" + "n" * 990 + "=" + "v" * 2000)[0], 200)
        with self.replay() as server:
            self.assertEqual(ask(server, "/page?" + "n" * 990 + "=" + "v" * 2000)[0], 200)
        self.assertEqual(self.rules().count("- name:"), 1)

    def test_an_answer_that_was_given_before_the_request_was_there_is_not_recorded(self):
        with socket.create_server(("127.0.0.1", 0)) as early:
            with self.record(url=f"http://127.0.0.1:{early.getsockname()[1]}") as server, \
                    socket.create_connection(("127.0.0.1", server.port)) as client:
                client.sendall(b"POST /up HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\nabc")
                connection = early.accept()[0]
                while b"abc" not in connection.recv(65536):
                    pass
                connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
                self.assertIn(b" 413 ", client.recv(65536))
                server.wait_for("POST /up is not recorded: it was answered before its body was there")
                connection.close()
        self.assertFalse((self.out / "rules.yaml").exists())

    def test_a_request_without_a_body_is_not_one_with_a_body(self):
        with self.record() as server:
            self.assertEqual(ask(server, "/page", "POST")[0], 200)
            self.assertEqual(ask(server, "/page", "POST", "x")[0], 200)
        with self.replay() as server:
            self.assertEqual([ask(server, "/page", "POST", *body)[0] for body in ((), ("x",), ("y",))], [200, 200, 404])

    def test_the_same_parameters_in_another_order_are_the_same_request(self):
        with self.record() as server:
            for path in ("/page?a=1&b=2", "/page?b=2&a=1", "/page?b=%32&&a=1&b=2"):
                self.assertEqual(ask(server, path)[0], 200)
            self.assertEqual(ask(server, "/page?a=1%26b=2")[0], 200)
        self.assertEqual(re.findall(r"- name: (.*)", self.rules()), ['"GET /page?a=1&b=2"', '"GET /page?a=1%26b=2"'])

    def test_a_redirect_to_a_slash_at_the_end_is_no_turn(self):
        for url in (self.origin.url, self.origin.url + "/"):
            with self.record(url=url) as server:
                for path in ("/slash", "/absolute"):
                    self.assertEqual(ask(server, path)[0], 301)
                    self.assertEqual(ask(server, path + "/")[0], 200)
                server.wait_for("/slash is not recorded: it redirects to itself but for the slash at the end")
        with self.replay() as server:
            self.assertEqual([ask(server, path)[::2] for path in ("/slash/", "/slash", "/absolute")], [(200, b"here")] * 3)

    def test_bodies_are_kept_as_long_as_a_rule_names_them(self):
        with self.record() as server:
            ask(server, "/number")
            ask(server, "/leads")
        self.assertEqual(os.stat(self.out / "rules.yaml").st_mode & 0o777, 0o600)
        [name] = [path.name for path in (self.out / "bodies").iterdir()]
        self.assertEqual(os.stat(self.out / "bodies" / name).st_mode & 0o777, 0o600)
        with (self.out / "rules.yaml").open("a") as rules:
            rules.write(f"  - name: mine\n    match: {{path: /mine}}\n    answer:\n      - file: bodies/{name}\n")
        with self.record() as server:
            ask(server, "/number")  # whose file another rule has too
            ask(server, "/leads")   # which names a file in a header field
        with self.replay() as server:
            self.assertEqual(ask(server, "/mine")[2], b"1")
            self.assertEqual(ask(server, "/number")[2], b"2")

    def test_secrets_of_urls_are_taken_out_and_what_is_coded_is_not_written(self):
        with self.record() as server:
            self.assertEqual(ask(server, "/leads?key=k1&sig=s1&pwd=p1&auth=a1")[0], 302)
            self.assertEqual(ask(server, "/coded?key=k3y-in-the-query")[0], 200)
            server.wait_for("/coded is not recorded: its answer is compressed, and secrets could be in it")
            time.sleep(1.1)  # such lines come once a second
            self.assertEqual(ask(server, "/coded")[0], 200)
            self.assertEqual(ask(server, "/untyped")[0], 200)
        with self.replay() as server:
            status, fields, _ = ask(server, "/leads?key=&sig=&pwd=&auth=")
            self.assertEqual(fields["Location"], "https://[redacted]@h.example/cb?a=1#access_token=[redacted]&x=1")
            self.assertEqual(fields["X-Info"], "key=[redacted]; realm=x, sig=[redacted]; pwd")
            self.assertEqual(gzip.decompress(ask(server, "/coded")[2]), b"k3y-in-the-query")
            status, fields, body = ask(server, "/untyped")
            self.assertEqual((status, fields["Content-Type"], body), (200, None, b"bytes"))

    def test_what_is_the_mocks_own_and_what_was_cut_off_is_said_and_not_recorded(self):
        with self.record() as server:
            self.assertEqual(ask(server, "/__admin/requests")[0], 404)
            server.wait_for("/__admin/requests is not recorded: a mock answers below /__admin itself")
            time.sleep(1.1)  # such lines come once a second
            with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
                ask(server, "/cut")
            server.wait_for("GET /cut is not recorded: its answer was cut off")
        self.assertFalse((self.out / "rules.yaml").exists())

    def test_pages_of_other_origins_and_dot_segments_do_not_get_through(self):
        with self.record(url=self.origin.url + "/base") as server:
            before = len(self.origin.requests)
            for path in ("/../x", "/a/%2e%2E/x", "/..%2fx"):
                self.assertEqual(ask(server, path)[0], 400, path)
            self.assertEqual(ask(server, "/x", "POST", "{}", Origin="https://evil.example")[0], 403)
            self.assertEqual(ask(server, "/x", Host="evil.example")[0], 403)
            self.assertEqual(len(self.origin.requests), before)
            self.assertEqual(ask(server, "/x", "POST", "{}", Origin=f"http://127.0.0.1:{server.port}",
                                 Host=f"127.0.0.1:{server.port}")[0], 404)

    def test_another_api_is_not_recorded_into_the_same_folder(self):
        with self.record(url=self.origin.url + "/") as server:
            ask(server, "/number")
        self.assertIn("is of another API", self.refusal("--record", "http://127.0.0.1:1", str(self.out)))
        with self.record() as server:
            self.assertEqual(ask(server, "/number")[0], 200)

    def test_without_the_api_there_is_a_502(self):
        self.origin.stop()
        with self.record() as server:
            status, fields, body = ask(server, "/birds")
            self.assertEqual(status, 502)
            self.assertEqual(fields["Content-Type"], "application/problem+json")
            self.assertIn("cannot be reached", json.loads(body)["detail"])
        self.assertEqual(list(self.out.iterdir()), [])

    def test_a_kill_leaves_a_whole_recording(self):
        server = self.record()
        for i in range(50):
            self.assertEqual(ask(server, f"/page?i={i}")[0], 200)
        until(lambda: (self.out / "rules.yaml").exists(), "the file")
        server.stop(signal.SIGKILL)
        with self.replay() as server:
            self.assertEqual(ask(server, "/page?i=0")[::2], (200, b"page i=0"))

    def test_folders_of_other_things_are_left_alone(self):
        self.out.mkdir()
        (self.out / "rules.yaml").write_text("rules: []\n")
        self.assertIn("no recording", self.refusal("--record", self.origin.url, str(self.out)))
        self.assertEqual(self.rules(), "rules: []\n")
        (self.out / "rules.yaml").unlink()
        self.assertIn("No such file", self.refusal("--record", self.origin.url, str(self.folder / "a" / "b")))
        with self.record():
            self.assertIn("somebody else", self.refusal("--record", self.origin.url, str(self.out)))

    def test_a_file_that_more_cannot_be_added_to_is_refused(self):
        with self.record() as server:
            ask(server, "/number")
        (self.out / "rules.yaml").write_text(self.rules().replace("\n  - name", "\n- name"))
        self.assertIn("laid out", self.refusal("--record", self.origin.url, str(self.out)))

    def test_options_that_would_do_nothing_are_refused(self):
        self.assertIn("latency", self.refusal("--record", self.origin.url, str(self.out), "--latency", "1s"))
        for one in ("--gzip", "--no-gzip", "--cors", "--compat=1", "--no-watch"):
            self.assertIn("leave it out", self.refusal("--record", self.origin.url, str(self.out), one))
        self.assertIn("is no API", self.refusal("--record", "ftp://x", str(self.out)))
        self.assertIn("go with record", self.refusal(str(self.folder), "--record-secret", "X"))
        self.assertFalse(self.out.exists())

    def test_an_https_api_with_an_authority_of_its_own(self):
        certificates = self.folder / "certificates"
        certificates.mkdir()
        made = Certificates(str(certificates))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made.cert("server"), made.key("server"))
        self.origin.server.socket = context.wrap_socket(self.origin.server.socket, server_side=True,
                                                        do_handshake_on_connect=False)
        url = self.origin.url.replace("http:", "https:")
        with self.record("--record-ca", made.cert("ca"), url=url) as server:
            self.assertEqual(ask(server, "/number")[2], b"1")
        with self.record(url=url) as server:
            self.assertEqual(ask(server, "/number")[0], 502)
        with self.replay() as server:
            self.assertEqual(ask(server, "/number")[2], b"1")


if __name__ == "__main__":
    unittest.main()
