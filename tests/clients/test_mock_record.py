"""A mock that passes everything on and records it, and one that answers from what was recorded, the API gone."""
import http.client, json, os, pathlib, re, shutil, signal, ssl, subprocess, tempfile, time, unittest
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
        run = subprocess.run([BINARY, "mock", *arguments], capture_output=True, text=True, timeout=60)
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
