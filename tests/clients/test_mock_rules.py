"""Rules of the mock over real sockets: answers, delays, faults, limits, sequences and scenarios."""
import http.client, json, os, socket, subprocess, sys, tempfile, time, unittest

sys.path.insert(0, os.path.dirname(__file__))
import harness

RULES = r"""
rules:
  - name: user
    match: {method: GET, path: "/users/{id}"}
    answer:
      headers: {X-Id: "{{request.path.id}}"}
      json: {id: "{{request.path.id | number}}", q: "{{request.query.q}}", name: "{{random.name}}", n: "{{counter}}"}
  - match: {path: /file}
    answer: {file: answer.json, template: true}
  - match: {path: /turns}
    answer: [{text: one}, {text: two}, {status: 404}]
  - match: {path: /limited}
    limit: {requests: 2, window: 60s}
    answer: {text: ok}
  - match: {path: /limitless}
    answer: {text: ok}
  - match: {path: /slow}
    bandwidth: 20000
    answer: {text: "{{random.lorem 1000}}"}
  - match: {path: /late}
    latency: 150ms
    answer: {text: late}
  - match: {path: /cut}
    faults: {fault: truncate, after: 3}
    answer: {text: "0123456789"}
  - match: {path: /malformed}
    faults: {fault: malformed, after: 2}
    answer: {text: "0123456789"}
  - {match: {path: /reset}, faults: {fault: reset}}
  - {match: {path: /empty}, faults: {fault: empty}}
  - {match: {path: /hang}, faults: {fault: hang, for: 200ms}}
  - {match: {path: /refuse}, faults: {fault: status, status: 502}}
  - {match: {path: /birds, headers: {X-Cut: "1"}}, faults: {fault: truncate}}
  - {match: {path: /birds, headers: {X-Slow: "1"}}, latency: 100ms, bandwidth: 1M}
  - {match: {path: /sometimes}, faults: [{fault: status, probability: 0.5}], answer: {text: ok}}
  - match: {path: "/events/{name}"}
    events:
      - {event: hello, id: "{{counter}}", json: {name: "{{request.path.name}}"}}
      - {after: 50ms, data: "two\nlines"}
      - {after: 10ms, data: end}
  - {match: {path: /writes}, changes: notes}
  - match: {path: /ticks}
    then: cycle
    events: [{after: 20ms, data: "{{counter}}"}]
  - match: {method: POST, path: /login, body: {pointer: /password, equals: secret}}
    scenario: {name: session, next: in}
    answer: {status: 201, json: {user: "{{request.body /user}}"}}
  - match: {path: /me}
    scenario: {name: session, state: in}
    answer: {text: you}
"""


class Rules(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        for name, text in (("rules.yaml", RULES), ("db.json", json.dumps({"birds": [{"id": "1", "name": "x" * 50}], "notes": []})),
                           ("answer.json", '{"path": "{{request.path}}", "n": {{counter}}}')):
            with open(os.path.join(cls.folder.name, name), "w") as file:
                file.write(text)
        cls.server = cls.start()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)
        cls.folder.cleanup()

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder.name, name)

    @classmethod
    def start(cls, *arguments):
        return harness.Nuthatch("mock", cls.path("db.json"), "--rules", cls.path("rules.yaml"), *arguments,
                                listen="http://127.0.0.1:0")

    def ask(self, path, method="GET", body=None, server=None, headers={}):
        connection = http.client.HTTPConnection("127.0.0.1", (server or self.server).port, timeout=20)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            response.text = response.read().decode()
            return response
        finally:
            connection.close()

    def raw(self, path):
        """All that comes, and whether the connection was reset behind it."""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=20) as client:
            client.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode())
            found = b""
            try:
                while piece := client.recv(65536):
                    found += piece
            except ConnectionResetError:
                return found, True
            return found, False

    def test_an_answer_is_made_of_the_request(self):
        answer = self.ask("/users/7?q=%22%0aa")
        self.assertEqual(answer.getheader("X-Id"), "7")
        self.assertEqual(answer.getheader("Content-Type"), "application/json")
        said = json.loads(answer.text)
        self.assertEqual((said["id"], said["q"]), (7, '"\na'))
        self.assertEqual(json.loads(self.ask("/users/8").text)["n"], said["n"] + 1)
        self.assertEqual(json.loads(self.ask("/file").text), {"path": "/file", "n": 1})
        self.assertEqual(self.ask("/users/8", "HEAD").text, "")

    def test_what_no_rule_is_about_is_answered_from_the_data(self):
        self.assertEqual(len(json.loads(self.ask("/birds").text)), 1)
        self.assertEqual(self.ask("/birds", "POST", '{"a": 1}').status, 201)
        self.assertEqual(len(json.loads(self.ask("/birds", headers={"X-Slow": "1"}).text)), 2)
        self.assertEqual(self.ask("/nowhere").status, 404)

    def test_the_same_seed_makes_the_same_answers(self):
        said = []
        for seed in ("5", "5", "6"):
            with self.start("--seed", seed) as server:
                said.append([json.loads(self.ask("/users/1", server=server).text)["name"] for _ in range(4)] +
                            [self.ask("/sometimes", server=server).status for _ in range(12)])
        self.assertEqual(said[0], said[1])
        self.assertNotEqual(said[0], said[2])
        self.assertTrue({200, 503} < set(said[0]))

    def test_answers_come_in_turn(self):
        self.assertEqual([self.ask("/turns").text for _ in range(2)], ["one", "two"])
        self.assertEqual([self.ask("/turns").status for _ in range(2)], [404, 404])

    def test_a_scenario_goes_from_state_to_state(self):
        self.assertEqual(self.ask("/me").status, 404)
        self.assertEqual(self.ask("/login", "POST", '{"user":"ann","password":"wrong"}').status, 404)
        answer = self.ask("/login", "POST", '{"user":"ann","password":"secret"}')
        self.assertEqual((answer.status, json.loads(answer.text)), (201, {"user": "ann"}))
        self.assertEqual(self.ask("/me").text, "you")

    def test_a_limit_is_said_and_kept(self):
        answers = [self.ask("/limited") for _ in range(3)]
        self.assertEqual([answer.status for answer in answers], [200, 200, 429])
        self.assertEqual(answers[0].getheader("RateLimit-Policy"), '"default";q=2;w=60')
        self.assertRegex(answers[0].getheader("RateLimit"), r'^"default";r=1;t=(60|59)$')
        self.assertIsNone(answers[1].getheader("Retry-After"))
        self.assertIn(answers[2].getheader("Retry-After"), ("60", "59"))
        self.assertEqual(answers[2].getheader("Content-Type"), "application/problem+json")

    def test_answers_are_late_and_slow(self):
        began = time.monotonic()
        self.assertEqual(self.ask("/late").text, "late")
        self.assertGreaterEqual(time.monotonic() - began, 0.15)
        began = time.monotonic()
        size = len(self.ask("/slow").text)
        self.assertGreater(size, 5000)
        self.assertGreaterEqual(time.monotonic() - began, size / 20000 - 0.05)

    def test_faults_are_those_of_real_servers(self):
        head, _, body = self.raw("/cut")[0].partition(b"\r\n\r\n")
        self.assertIn(b"Content-Length: 10", head)
        self.assertEqual(body, b"012")
        self.assertTrue(self.raw("/malformed")[0].partition(b"\r\n\r\n")[2].startswith(b"2\r\n01\r\n\x7f"))
        self.assertEqual(self.raw("/reset"), (b"", True))
        self.assertEqual(self.raw("/empty"), (b"", False))
        began = time.monotonic()
        self.assertEqual(self.raw("/hang"), (b"", False))
        self.assertGreaterEqual(time.monotonic() - began, 0.2)
        self.assertEqual(self.ask("/refuse").status, 502)
        with self.assertRaises(http.client.IncompleteRead):
            self.ask("/birds", headers={"X-Cut": "1"})

    def test_in_http_2_a_fault_is_of_its_stream_alone(self):
        url = f"http://127.0.0.1:{self.server.port}"
        for path, error in (("/reset", "INTERNAL_ERROR"), ("/empty", "CANCEL"), ("/cut", "CANCEL"),
                            ("/malformed", "PROTOCOL_ERROR")):
            run = subprocess.run(["curl", "-sS", "--max-time", "20", "--http2-prior-knowledge", url + path],
                                 capture_output=True, text=True, check=False)
            self.assertIn(error, run.stderr)

    def test_events_come_one_after_the_other(self):
        began = time.monotonic()
        answer = self.ask("/events/ann")
        self.assertGreaterEqual(time.monotonic() - began, 0.06)
        self.assertEqual(answer.getheader("Content-Type"), "text/event-stream")
        self.assertEqual(answer.text, 'event: hello\nid: 1\ndata: {"name":"ann"}\n\n'
                                      'data: two\ndata: lines\n\ndata: end\n\n')
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        connection.request("GET", "/ticks")
        response = connection.getresponse()
        self.assertEqual([response.readline() for _ in range(8)],
                         [line for n in range(1, 5) for line in (b"data: %d\n" % n, b"\n")])
        connection.close()

    def test_writes_are_told_to_all_who_listen(self):
        connections = [http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20) for _ in range(4)]
        streams = []
        for connection in connections:
            connection.request("GET", "/writes")
            streams.append(connection.getresponse())
            self.assertEqual([streams[-1].readline() for _ in range(2)], [b":\n", b"\n"])
        self.ask("/birds", "POST", '{"a": 1}')
        added = json.loads(self.ask("/notes", "POST", '{"a": 1}').text)
        self.ask(f"/notes/{added['id']}", "DELETE")
        for stream in streams:
            for kind in ("insert", "remove"):
                event, number, data, end = [stream.readline().decode().rstrip("\n") for _ in range(4)]
                self.assertEqual((event, end), (f"event: {kind}", ""))
                self.assertRegex(number, r"^id: \d+$")
                said = json.loads(data.removeprefix("data: "))
                self.assertEqual((said["name"], said["id"], said["item"]["a"]), ("notes", str(added["id"]), 1))
        for connection in connections:
            connection.close()

    def admin(self, path, method="GET", body=None, headers={}):
        answer = self.ask("/__admin" + path, method, body, headers=headers)
        return answer.status, json.loads(answer.text)

    def test_the_journal_says_which_requests_came(self):
        secret = {"Authorization": "Bearer abc", "X-Api-Key": "abc", "X-Kind": "journal"}
        self.ask("/users/77?token=abc&q=1", headers=secret)
        self.ask("/jour/nal", "POST", '{"amount": 3}', headers=secret)
        with self.assertRaises(http.client.RemoteDisconnected):
            self.ask("/empty", headers=secret)
        matcher = '{"headers": {"X-Kind": "journal"}}'
        status, found = self.admin("/requests/find", "POST", matcher)
        self.assertEqual((status, found["count"]), (200, 3))
        first, second, third = found["requests"]
        self.assertEqual((first["method"], first["path"], first["query"]), ("GET", "/users/77", "token=[redacted]&q=1"))
        self.assertEqual((first["rule"], first["status"]), ("user", 200))
        self.assertEqual({first["headers"][name] for name in ("Authorization", "X-Api-Key")}, {"[redacted]"})
        self.assertEqual((second["status"], json.loads(second["body"]), second["rule"]), (404, {"amount": 3}, None))
        self.assertEqual((third["path"], third["status"]), ("/empty", None))
        self.assertEqual(self.admin("/requests/count", "POST", '{"path": "/jour/{x}", "body": {"pointer": "/amount", '
                                    '"equals": 3}}'), (200, {"count": 1}))
        self.assertEqual(self.admin("/requests?path=/jour/nal&limit=1")[1]["count"], 1)
        status, problem = self.admin("/requests/count", "POST", '{"pth": "/"}')
        self.assertEqual(status, 400)
        self.assertIn("body:1:2: a matcher has no pth", problem["detail"])
        self.assertEqual(self.admin("/requests", "PUT")[0], 405)

    def test_all_begins_anew_and_scenarios_can_be_put_somewhere(self):
        with harness.Nuthatch("mock", "--rules", self.path("rules.yaml"), "--journal", "2", "--journal-secrets", "yes",
                              "--admin-token", "t0", listen="http://127.0.0.1:0") as server:
            def admin(path, method="GET", body=None, token="t0"):
                answer = self.ask("/__admin" + path, method, body, server, {"Authorization": "Bearer " + token})
                return answer.status, json.loads(answer.text)
            for _ in range(3):
                self.ask("/turns?token=abc", server=server)
            found = admin("/requests")[1]
            self.assertEqual((found["count"], found["requests"][0]["number"], found["requests"][0]["query"]),
                             (2, 2, "token=abc"))
            self.assertEqual(admin("/scenarios", "POST", '{"name": "session", "state": "in"}')[0], 200)
            self.assertEqual(admin("/scenarios")[1]["scenarios"],
                             [{"name": "session", "state": "in", "states": ["Started", "in"]}])
            self.assertEqual(self.ask("/me", server=server).text, "you")
            self.assertEqual(admin("/scenarios", "POST", '{"name": "session", "state": "no"}')[0], 404)
            self.assertEqual(admin("/reset", "POST", token="wrong")[0], 401)
            self.assertEqual(admin("/reset", "POST")[0], 200)
            self.assertEqual(admin("/requests")[1]["count"], 0)
            self.assertEqual(self.ask("/me", server=server).status, 404)
            self.assertEqual(self.ask("/turns", server=server).text, "one")
            self.assertEqual(admin("/requests", "DELETE")[0], 200)

    def test_pages_of_others_may_not_ask_for_the_journal(self):
        self.assertEqual(self.admin("/reset", "POST", headers={"Origin": "http://evil.example"})[0], 403)
        self.assertEqual(self.admin("/requests", headers={"Host": "evil.example"})[0], 403)

    def test_a_body_that_is_too_large_is_refused(self):
        self.assertEqual(self.ask("/limitless", "POST", "x" * (1 << 20)).status, 200)
        with self.assertRaises((ConnectionError, AssertionError)):
            self.assertNotEqual(self.ask("/limitless", "POST", "x" * ((1 << 20) + 1)).status, 413)

    def test_rules_do_without_data_and_mistakes_have_a_place(self):
        with harness.Nuthatch("mock", "--rules", self.path("rules.yaml"), listen="http://127.0.0.1:0") as server:
            self.assertEqual(self.ask("/turns", server=server).text, "one")
            self.assertEqual(self.ask("/birds", server=server).status, 404)
        with open(self.path("wrong.yaml"), "w") as file:
            file.write("rules:\n  - match: {path: users}\n")
        run = subprocess.run([harness.BINARY, "mock", "--rules", self.path("wrong.yaml")], capture_output=True,
                             text=True, check=False)
        self.assertEqual(run.returncode, 1)
        self.assertIn("wrong.yaml:2:19: path begins with a slash", run.stderr)


if __name__ == "__main__":
    unittest.main()
