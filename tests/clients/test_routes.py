"""A gateway with several upstreams and routes, from a file: who gets which request, as what, and what changes when the
file does."""
import http.client, os, re, shutil, signal, socket, subprocess, tempfile, threading, time, unittest

from harness import BINARY, Nuthatch, Origin, fetch

SECRET = "ghp_0123456789-do-not-show"


def echo(name, control="max-age=60", **more):
    """An origin that says what it was asked."""
    def answer(request):
        seen = [f"{name} {request.command} {request.path}"]
        seen += sorted(f"{field}: {value}" for field, value in request.headers.items())
        request.reply(200, "".join(f"{line}\n" for line in seen).encode(), Cache_Control=control, Server="secret-server", **more)
    return Origin(answer)


class Routes(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="nuthatch-routes-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.file = f"{self.folder}/gateway.yaml"
        self.servers = []

    def origin(self, *arguments, **options):
        origin = echo(*arguments, **options)
        self.addCleanup(origin.stop)
        return origin

    def write(self, text):
        with open(self.file + ".new", "w") as file:
            file.write(text)
        os.rename(self.file + ".new", self.file)

    def serve(self, text, **environment):
        self.write("threads: 2\nmemory: 64M\ngateway:\n  listen: http://127.0.0.1:0\n" + text)
        server = Nuthatch("serve", self.file, listen=(), environment=environment)
        server.port = int(server.wait_for(r"ready on http://127.0.0.1:(\d+)")[0])
        self.addCleanup(lambda: self.assertEqual(server.stop(), 0))
        return server

    def rewrite(self, server, text, says):
        """Has the server read its file again, with `text` for what the gateway is told, until the log says so."""
        count = len(server.wait_for(says, 0))
        self.write("threads: 2\nmemory: 64M\ngateway:\n  listen: http://127.0.0.1:0\n" + text)
        os.kill(server.pid, signal.SIGHUP)
        return server.wait_for(says, count + 1)

    # ---- what the pages say ----

    def test_the_examples_are_fine(self):
        with open("docs/gateway.md") as page:
            examples = re.findall(r"```yaml\n(.*?)```", page.read(), re.DOTALL)
        with open("README.md") as page:
            tour = re.findall(r"```yaml\n(.*?)```", page.read(), re.DOTALL)
        for name in ("examples/gateway.yaml", "examples/live.yaml", "examples/nuthatch.yaml"):
            with open(name) as file:
                examples.append(file.read())
        self.assertEqual(tour, examples[-2:])
        self.assertGreater(len(examples), 2)
        for example in examples:
            self.write(example)
            run = subprocess.run([BINARY, "check", self.file], capture_output=True, text=True, timeout=30)
            self.assertEqual(run.returncode, 0, run.stderr + example)

    # ---- who gets it ----

    def test_each_request_goes_where_its_route_leads(self):
        one, two = self.origin("one"), self.origin("two")
        server = self.serve(f"""
  upstreams:
    one: {{origin: "{one.url}"}}
    two: {{origin: "{two.url}/base"}}
  routes:
    - match: {{host: one.example}}
      upstream: one
    - match: {{path: /two/**, method: [GET, HEAD]}}
      upstream: two
    - match: {{path: "/users/{{id}}/posts", header: {{X-Kind: "a*"}}}}
      upstream: two
      rewrite: {{path: "/posts/by/{{id}}"}}
    - match: {{path: /one/**}}
      upstream: one
      rewrite: {{strip-prefix: /one, prefix: /v1}}
""")
        for path, method, headers, reached in (
                ("/x?y=1", "GET", {"Host": "one.example"}, "one GET /x?y=1"),
                ("/x", "POST", {"Host": "ONE.example:80"}, "one POST /x"),
                ("/two/a", "GET", {}, "two GET /base/two/a"),
                ("/two", "GET", {}, "two GET /base/two"),
                ("/users/7/posts?q", "GET", {"X_Kind": "abc"}, "two GET /base/posts/by/7?q"),
                ("/one/%61?a=/one", "GET", {}, "one GET /v1/%61?a=/one"),
                ("/one", "DELETE", {}, "one DELETE /v1")):
            answer = fetch(server.port, path, method, **headers)
            self.assertEqual((answer.status, answer.body.split(b"\n")[0].decode()), (200, reached))
        for path, method in (("/two/a", "POST"), ("/users/7/posts", "GET"), ("/", "GET"), ("/onety", "GET")):
            answer = fetch(server.port, path, method)
            self.assertEqual((answer.status, answer["Content-Type"]), (404, "application/problem+json"))
            self.assertIn("no-route", answer["Cache-Status"])

    def test_the_key_is_what_the_upstream_is_asked(self):
        one = self.origin("one")
        server = self.serve(f"""
  upstreams:
    one: {{origin: "{one.url}"}}
  routes:
    - {{match: {{path: /a/**}}, upstream: one, rewrite: {{strip-prefix: /a}}}}
    - {{match: {{path: /b/**}}, upstream: one, rewrite: {{strip-prefix: /b}}}}
    - {{match: {{path: /c/**}}, upstream: one, rewrite: {{strip-prefix: /c}}, request-headers: {{set: {{X-Api: "2"}}}}}}
    - {{match: {{path: /d/**}}, upstream: one, rewrite: {{strip-prefix: /d}}, host-header: pass}}
""")
        def hit(path, **headers):
            return "; hit" in fetch(server.port, path, **headers)["Cache-Status"]
        self.assertEqual([hit("/a/x"), hit("/b/x"), hit("/c/x"), hit("/c/x")], [False, True, False, True])
        self.assertEqual([hit("/d/x", Host="p"), hit("/d/x", Host="q"), hit("/d/x", Host="P")], [False, False, True])
        self.assertIn(b"\nHost: q\n", fetch(server.port, "/d/x", Host="q").body)
        self.assertEqual([hit("/a/x", Host="p"), hit("/a/x", Host="q")], [True, True])
        # What is written by one way is forgotten for all of them.
        fetch(server.port, "/b/x", "DELETE")
        self.assertFalse(hit("/a/x"))

    def test_a_route_s_rule_for_keys_is_its_own(self):
        one = self.origin("one")
        server = self.serve(f"""
  upstreams:
    one: {{origin: "{one.url}"}}
  routes:
    - {{match: {{path: /a/**}}, upstream: one, rewrite: {{strip-prefix: /a}}, key-query-ignore: ["utm_*"]}}
    - {{match: {{path: /b/**}}, upstream: one, rewrite: {{strip-prefix: /b}}}}
    - {{match: {{path: /c/**}}, upstream: one, rewrite: {{strip-prefix: /c}}, key-query-allow: [id], key-headers: [X-Tenant]}}
""")
        def hit(path, **headers):
            return "; hit" in fetch(server.port, path, **headers)["Cache-Status"]
        # Who tells URLs apart is not given what was fetched for one of several.
        self.assertEqual([hit("/a/x?id=1&utm_a=1"), hit("/a/x?id=1"), hit("/b/x?id=1")], [False, True, False])
        for tenant in "pq":
            self.assertEqual([hit("/c/x?id=1&x", X_Tenant=tenant), hit("/c/x?id=1", X_Tenant=tenant)], [False, True])
        fetch(server.port, "/b/x?id=1&utm_b=2", "DELETE")
        self.assertEqual([hit("/a/x?id=1"), hit("/b/x?id=1")], [False, True])
        self.assertEqual([hit("/c/x?id=1", X_Tenant=tenant) for tenant in "pq"], [False, False])

    def test_a_preflight_is_answered_by_the_route_of_what_it_asks_for(self):
        one = self.origin("one")
        server = self.serve(f"""
  upstreams:
    one: {{origin: "{one.url}"}}
  cors-methods: [GET, PUT]
  routes:
    - {{match: {{method: PUT}}, upstream: one, cors-origins: [https://a.example], request-id: yes}}
    - {{match: {{method: GET}}, upstream: one, cors-origins: "*"}}
    - {{match: {{path: /x/**}}, upstream: one}}
""")
        def ask(method, path="/x/1"):
            answer = fetch(server.port, path, "OPTIONS", Origin="https://a.example", Access_Control_Request_Method=method)
            return answer.status, answer["Access-Control-Allow-Origin"], answer["X-Request-Id"] is not None
        self.assertEqual(ask("PUT"), (204, "https://a.example", True))
        self.assertEqual(ask("GET"), (204, "*", False))
        self.assertEqual(ask("DELETE"), (200, None, False))  # the origin's
        self.assertEqual(ask("DELETE", "/y"), (404, None, False))
        answer = fetch(server.port, "/x/1", "PUT", Origin="https://a.example")
        self.assertEqual((answer["Access-Control-Allow-Origin"], answer["Vary"]), ("https://a.example", "Origin"))
        # A gateway that cannot change to another protocol tells the page, too.
        one.stop()
        answer = fetch(server.port, "/x/1", Origin="https://a.example", Connection="Upgrade", Upgrade="websocket")
        self.assertEqual((answer.status, answer["Access-Control-Allow-Origin"]), (502, "*"))

    def test_a_write_by_one_route_is_known_to_all_that_lead_there(self):
        one, two = self.origin("one"), self.origin("two")
        server = self.serve(f"""
  upstreams:
    one: {{origin: "{one.url}"}}
    two: {{origin: "{two.url}"}}
  routes:
    - {{match: {{path: /x/**, method: GET, header: {{X-Kind: a}}}}, upstream: one, request-headers: {{set: {{X-Api: "1"}}}}}}
    - {{match: {{path: /x/**, method: GET, header: {{X-Kind: b}}}}, upstream: one, host-header: pass}}
    - {{match: {{path: /x/**, method: GET, header: {{X-Kind: c}}}}, upstream: one, credentials: {{header: X-Key, value-env: TOKEN}}}}
    - {{match: {{path: /x/**, method: GET, header: {{X-Kind: d}}}}, upstream: two}}
    - {{upstream: one, match: {{path: /write/**}}, rewrite: {{strip-prefix: /write, prefix: /x}}}}
""", TOKEN=SECRET)
        def hits():
            return ["; hit" in fetch(server.port, "/x/1?q", X_Kind=kind)["Cache-Status"] for kind in "abcd"]
        hits()
        self.assertEqual(hits(), [True] * 4)
        fetch(server.port, "/write/2", "DELETE")
        self.assertEqual(hits(), [True] * 4)
        fetch(server.port, "/write/1?q", "DELETE")
        self.assertEqual(hits(), [False, False, False, True])

    def test_a_route_has_options_of_its_own(self):
        one = self.origin("one")
        server = self.serve(f"""
  upstreams:
    one: {{origin: "{one.url}"}}
  routes:
    - {{match: {{path: /kept}}, upstream: one}}
    - {{match: {{path: /dropped}}, upstream: one, object-max: 1}}
""")
        self.assertIn("; stored", fetch(server.port, "/kept")["Cache-Status"])
        self.assertNotIn("; stored", fetch(server.port, "/dropped")["Cache-Status"])

    # ---- as what ----

    def test_headers_are_set_and_removed_both_ways(self):
        one = self.origin("one", Vary="X-Api, Accept-Language", Set_Cookie="a=b")
        server = self.serve(f"""
  upstreams:
    one: {{origin: "{one.url}"}}
  routes:
    - upstream: one
      request-headers: {{set: {{X-Api: "1", X-Other: "a b"}}, remove: [Cookie, Accept-Language]}}
      response-headers: {{set: {{X-Frame-Options: DENY}}, remove: [Server, Set-Cookie]}}
""")
        for x_api in ("mine", "yours"):
            answer = fetch(server.port, "/x", Cookie="c=d", X_Api=x_api, Accept_Language=x_api, Connection="X-Other")
            self.assertIn(b"X-Api: 1\nX-Other: a b", answer.body)
            for word in (b"c=d", b"mine", b"yours"):
                self.assertNotIn(word, answer.body)
            self.assertEqual((answer["X-Frame-Options"], answer["Server"], answer["Set-Cookie"]), ("DENY", None, None))

    def test_an_answer_from_the_store_is_edited_too(self):
        one = self.origin("one", ETag='"1"', Content_Type="text/x-echo")
        server = self.serve(f"""
  upstreams:
    one: {{origin: "{one.url}"}}
  routes:
    - {{upstream: one, response-headers: {{set: {{X-Frame-Options: DENY}}, remove: [Server]}}}}
""")
        for _ in range(2):
            answer = fetch(server.port, "/x")
            self.assertEqual((answer["X-Frame-Options"], answer["Server"], answer["ETag"]), ("DENY", None, '"1"'))
        answer = fetch(server.port, "/x", If_None_Match='"1"')
        self.assertEqual((answer.status, answer["Server"], answer["ETag"], one.count()), (304, None, '"1"', 1))
        for ranges in ("bytes=0-2", "bytes=0-2,5-7"):
            answer = fetch(server.port, "/x", Range=ranges)
            self.assertEqual((answer.status, answer["X-Frame-Options"], answer["Server"]), (206, "DENY", None))
        self.assertIn(b"Content-Type: text/x-echo\r\n", answer.body)

    # ---- credentials ----

    def credentials(self, control="max-age=60"):
        one = self.origin("one", control=control)
        with open(f"{self.folder}/key", "w") as file:
            file.write(SECRET + "-in-a-file\n")
        return one, f"""
  upstreams:
    one: {{origin: "{one.url}"}}
  routes:
    - match: {{path: /env/**}}
      upstream: one
      credentials: {{header: Authorization, value-env: TOKEN, prefix: "Bearer "}}
    - match: {{path: /file/**}}
      upstream: one
      credentials: {{header: X-Key, value-file: key}}
"""

    def test_credentials_are_added_and_the_answer_is_everybody_s(self):
        one, text = self.credentials()
        server = self.serve(text, TOKEN=SECRET)
        first = fetch(server.port, "/env/x")
        self.assertIn(f"Authorization: Bearer {SECRET}".encode(), first.body)
        self.assertIn("; hit", fetch(server.port, "/env/x")["Cache-Status"])
        # A client's own is replaced, not added to, and changes nothing.
        self.assertIn("; hit", fetch(server.port, "/env/x", Authorization="Bearer mine")["Cache-Status"])
        answer = fetch(server.port, "/env/y", Authorization="Bearer mine")
        self.assertEqual(answer.body.count(b"Authorization"), 1)
        self.assertNotIn(b"mine", answer.body)
        self.assertIn("; hit", fetch(server.port, "/env/y")["Cache-Status"])
        # Nor can a client have it taken out.
        self.assertIn(SECRET.encode(), fetch(server.port, "/file/z", Connection="X-Key").body)
        self.assertIn(f"X-Key: {SECRET}-in-a-file\n".encode(), fetch(server.port, "/file/x", X_Key="mine").body)
        self.assertNotIn(SECRET, server.log)

    def test_a_private_answer_stays_private(self):
        one, text = self.credentials(control="private, max-age=60")
        server = self.serve(text, TOKEN=SECRET)
        for _ in range(2):
            self.assertNotIn("; hit", fetch(server.port, "/env/x")["Cache-Status"])

    def test_what_varies_by_the_credential_does_not_keep_it(self):
        one = self.origin("one", Vary="Authorization")
        server = self.serve(f"""
  origin: "{one.url}"
  routes:
    - {{credentials: {{header: Authorization, value-env: TOKEN}}}}
""", TOKEN=SECRET)
        fetch(server.port, "/x")
        self.assertIn("; hit", fetch(server.port, "/x", Authorization="mine")["Cache-Status"])

    def test_a_saved_store_has_the_answers_and_not_the_credentials(self):
        one = Origin(lambda request: request.reply(200, b"an answer", Cache_Control="max-age=60", Vary="Authorization, X-Key"))
        self.addCleanup(one.stop)
        text = f"""
  upstreams:
    one: {{origin: "{one.url}"}}
  routes:
    - {{upstream: one, credentials: {{header: Authorization, value-env: TOKEN}}}}
persist: {self.folder}/image
"""
        server = self.serve(text, TOKEN=SECRET)
        fetch(server.port, "/x")
        self.assertEqual(server.stop(), 0)
        with open(f"{self.folder}/image", "rb") as file:
            image = file.read()
        self.assertIn(b"an answer", image)
        self.assertNotIn(SECRET.encode(), image)
        server = self.serve(text, TOKEN=SECRET)
        self.assertIn("; hit", fetch(server.port, "/x")["Cache-Status"])

    def test_credentials_that_cannot_be_had_are_told_without_a_word_of_them(self):
        one, text = self.credentials()
        whole = "gateway:\n  listen: http://127.0.0.1:0\n" + text
        for change, environment, said in (
                ("", {}, "the environment's TOKEN is not set"),
                ("", {"TOKEN": ""}, "the environment's TOKEN is empty"),
                ("", {"TOKEN": SECRET + "\nX-Evil: 1"}, "the environment's TOKEN has a byte that no field has"),
                ("", {"TOKEN": SECRET + " "}, "the environment's TOKEN has a blank at an end"),
                ("nokey", {"TOKEN": SECRET}, f"the file {self.folder}/nokey not found")):
            self.write(whole.replace("value-file: key", "value-file: nokey") if change else whole)
            environment = {**{k: v for k, v in os.environ.items() if k != "TOKEN"}, **environment}
            run = subprocess.run([BINARY, "serve", self.file], env=environment, capture_output=True, text=True, timeout=30)
            self.assertEqual(run.returncode, 1, run)
            self.assertIn(said, run.stderr)
            self.assertRegex(run.stderr, r"gateway.yaml:\d+:\d+: credentials: ")
            self.assertNotIn(SECRET, run.stderr + run.stdout)
        self.assertEqual(subprocess.run([BINARY, "check", self.file], timeout=30, capture_output=True).returncode, 0)

    # ---- reloading ----

    def test_routes_change_and_what_is_stored_stays(self):
        one, two = self.origin("one"), self.origin("two")
        upstreams = f"""
  upstreams:
    one: {{origin: "{one.url}"}}
    two: {{origin: "{two.url}"}}
  routes:
"""
        server = self.serve(upstreams + "    - {match: {path: /a/**}, upstream: one}\n")
        self.assertTrue(fetch(server.port, "/a/x").body.startswith(b"one"))
        self.assertEqual(fetch(server.port, "/b/x").status, 404)
        self.rewrite(server, upstreams + "    - {match: {path: /b/**}, upstream: two}\n"
                                         "    - {match: {path: /a/**}, upstream: one}\n", "2 upstreams and 2 routes")
        end = time.time() + 10
        while fetch(server.port, "/b/x").status == 404 and time.time() < end:
            time.sleep(0.01)  # each worker takes it up between two turns
        self.assertTrue(fetch(server.port, "/b/x").body.startswith(b"two"))
        self.assertIn("; hit", fetch(server.port, "/a/x")["Cache-Status"])
        self.assertEqual(one.count(), 1)

    def test_a_credential_is_read_again(self):
        one, text = self.credentials()
        server = self.serve(text, TOKEN=SECRET)
        fetch(server.port, "/file/x")
        with open(f"{self.folder}/key", "w") as file:
            file.write("another")
        self.rewrite(server, text, "1 upstream and 2 routes")
        end = time.time() + 10
        for i in range(1000):
            if b"X-Key: another\n" in fetch(server.port, f"/file/{i}").body:
                break
            self.assertLess(time.time(), end)
        self.assertIn("; hit", fetch(server.port, "/file/x")["Cache-Status"])

    def test_an_invalid_file_changes_nothing_and_says_why(self):
        one, text = self.credentials()
        server = self.serve(text, TOKEN=SECRET)
        for broken, why in (
                (text + "    - {upstream: oen}\n", r"reload: \S+gateway.yaml:\d+:18: there is no upstream oen; did you mean one\?"),
                (text + "  routes: [", r"reload: \S+gateway.yaml:\d+:\d+: not YAML"),
                (text.replace("TOKEN", "NO_SUCH_TOKEN"), r"credentials: the environment's NO_SUCH_TOKEN is not set"),
                (text.replace("value-file: key", "value-file: nowhere"), r"nowhere not found")):
            self.rewrite(server, broken, why)
            server.wait_for("reload: nothing changes")
            self.assertEqual(fetch(server.port, "/env/x").status, 200)
            self.assertEqual(fetch(server.port, "/other").status, 404)
        os.rename(self.file, self.file + ".gone")
        os.kill(server.pid, signal.SIGHUP)
        server.wait_for("gateway.yaml: not found")
        os.rename(self.file + ".gone", self.file)
        self.assertNotIn(SECRET, server.log)

    def test_what_needs_a_restart_is_said(self):
        one, text = self.credentials()
        server = self.serve(text, TOKEN=SECRET)
        self.write("threads: 3\nmemory: 65M\ngateway:\n  listen: http://127.0.0.1:1\n" + text + "cache:\n")
        os.kill(server.pid, signal.SIGHUP)
        for what in ("yaml:1:10: threads", "yaml:2:9: memory", "yaml:4:3: listen"):
            server.wait_for(what + " is another than runs: that needs a restart")
        server.wait_for("there are more roles in the file than run")
        self.assertEqual(fetch(server.port, "/env/x").status, 200)

    def test_connections_to_an_upstream_that_is_gone_are_closed_once_the_last_answer_has_come(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        listener.settimeout(30)
        two = self.origin("two")

        def text(url):
            return f"""
  upstreams:
    one: {{origin: "{url}"}}
  routes: [{{upstream: one}}]
"""
        server = self.serve(text(f"http://127.0.0.1:{listener.getsockname()[1]}"))
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        client.request("GET", "/x")
        kept = listener.accept()[0]
        kept.settimeout(30)
        self.addCleanup(kept.close)
        kept.recv(4096)
        kept.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        self.rewrite(server, text(two.url), "1 upstream and 1 route")
        end = time.time() + 30
        while not fetch(server.port, "/y").body.startswith(b"two"):
            self.assertLess(time.time(), end)
        kept.sendall(b"world")  # what had begun goes on to its end
        self.assertEqual(client.getresponse().read(), b"helloworld")
        self.assertEqual(kept.recv(100), b"")
        client.close()

    def test_nobody_notices_a_reload_under_load(self):
        slow, fast = self.origin("slow", control="no-store"), self.origin("fast")
        def text(i):
            return f"""
  connect-timeout: {1000 + i}ms
  upstreams:
    slow: {{origin: "{slow.url}"}}
    fast: {{origin: "{fast.url}"}}
  routes:
    - {{match: {{path: /slow/**}}, upstream: slow}}
    - {{match: {{path: /fast/**}}, upstream: fast, rewrite: {{strip-prefix: /fast, prefix: /v{i % 2}}}}}
"""
        server = self.serve(text(0))
        stop, lost, done = threading.Event(), [], []

        def ask(number):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
            count = 0
            try:
                while not stop.is_set():
                    for path, body in ((f"/slow/{number}-{count}", b"slow"), (f"/fast/{count % 7}", b"fast")):
                        answer = fetch(server.port, path, connection=connection)
                        if answer.status != 200 or not answer.body.startswith(body):
                            lost.append((path, answer.status, answer.body[:100]))
                    count += 1
            except (OSError, http.client.HTTPException) as problem:
                lost.append(repr(problem))
            connection.close()
            done.append(count)
        threads = [threading.Thread(target=ask, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for i in range(1, 16):
            self.rewrite(server, text(i), "2 upstreams and 2 routes")
            time.sleep(0.05)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(lost, [])
        self.assertGreater(min(done), 0)


if __name__ == "__main__":
    unittest.main()
