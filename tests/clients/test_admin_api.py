"""The administrator's API: metrics, reload, and who gets in."""
import json, os, subprocess, tempfile, unittest

from harness import BINARY, Nuthatch, Origin, WithAdministrator, fetch


class Administering(WithAdministrator):
    def test_paths_and_methods(self):
        for method, path, status, allow in (
                ("GET", "/health", 200, None), ("HEAD", "/health", 200, None), ("GET", "/reload", 405, "POST"),
                ("POST", "/metrics", 405, "GET, HEAD"), ("POST", "/config", 405, "GET, HEAD"), ("GET", "/nothing", 404, None), ("POST", "/reload", 200, None)):
            answer = fetch(self.admin, path, method)
            self.assertEqual((path, answer.status, answer["Allow"]), (path, status, allow))
            self.assertEqual(answer["Cache-Control"], "no-store")
        self.assertEqual(fetch(self.server.port, "/a").status, 200)  # there is no file to read again

    def test_a_reload_says_what_came_of_it(self):
        with tempfile.TemporaryDirectory() as folder:
            def write(origin):
                with open(f"{folder}/nuthatch.yaml", "w") as file:
                    file.write(f"admin: http://127.0.0.1:0\ngateway:\n  listen: http://127.0.0.1:0\n  origin: {origin}\n")
            write("http://127.0.0.1:1")
            with Nuthatch("serve", f"{folder}/nuthatch.yaml", listen=[]) as server:
                admin = int(server.wait_for(r"admin ready on http://127.0.0.1:(\d+)\n")[0])
                self.assertEqual(fetch(server.port, "/a").status, 502)
                write(self.origin.url)
                answer = fetch(admin, "/reload", "POST")
                self.assertEqual(answer.status, 200)
                self.assertIn("1 upstream", json.loads(answer.body)["report"])
                self.assertEqual(fetch(server.port, "/b").status, 200)
                write("nowhere")
                answer = fetch(admin, "/reload", "POST")
                self.assertEqual((answer.status, answer["Content-Type"]), (422, "application/problem+json"))
                self.assertIn("nuthatch.yaml:4:11: ", json.loads(answer.body)["detail"])
                self.assertEqual(fetch(server.port, "/c").status, 200)

    CONFIG = """
memory: 64M
admin: http://127.0.0.1:0
admin-token: sesame
access-log: log.txt
cache:
  - listen: [kv+http://127.0.0.1:0, "unix:///tmp/%(name)s.sock?mode=0660"]
    http-token: open
gateway:
  listen: http://127.0.0.1:0
  stale-if-error: 90s
  upstreams:
    birds: {origin: [http://127.0.0.1:1, http://127.0.0.1:2/base weight=3], retries: 2}
  routes:
    - match: {host: "*.example.com", path: "/a/{name}/**", method: [GET, HEAD], header: {X-Session: hidden, accept-language: "nl*"}}
      upstream: birds
      rewrite: {path: "/b/{name}/**"}
      request-headers: {set: {X-Signature: hidden, User-Agent: shown}, remove: [X-Old]}
      response-headers: {remove: Server}
      credentials: {header: Authorization, value-file: %(secret)s, prefix: "Bearer "}
      object-max: 1k
    - upstream: birds
      response-headers: {set: {X-Frame-Options: DENY, X-Plain: hidden}}
      credentials: {header: Authorization, value-file: %(secret)s, prefix: "Bearer hidden"}
    - upstream: birds
      credentials: {header: X-Api-Key, value-file: %(secret)s, prefix: hidden}
mock:
  data: %(data)s
"""

    def test_the_configuration_in_force_is_shown_without_its_secrets(self):
        with tempfile.TemporaryDirectory() as folder:
            def write(name, text):
                with open(f"{folder}/{name}", "w") as file:
                    file.write(text)
                return f"{folder}/{name}"
            values = {"secret": write("secret", "hidden"), "data": write("db.json", '{"a": []}'),
                      "name": os.path.basename(folder)}
            path = write("nuthatch.yaml", self.CONFIG % values)
            with Nuthatch("serve", path, "--threads", "2", listen=[]) as server:
                admin = int(server.wait_for(r"admin ready on http://127.0.0.1:(\d+)\n")[0])

                def read():
                    answer = fetch(admin, "/config", Authorization="Bearer sesame")
                    self.assertEqual((answer.status, answer["Content-Type"]), (200, "application/json"))
                    for secret in (b"sesame", b"hidden", b"open\""):
                        self.assertNotIn(secret, answer.body)
                    # What is shown is a file that says the same, but for the secrets.
                    self.assertIn("fine", subprocess.run([BINARY, "check", write("shown.yaml", answer.body.decode())],
                                                         capture_output=True, text=True, check=True).stdout)
                    return json.loads(answer.body)
                self.assertEqual(fetch(admin, "/config").status, 401)
                config = read()
                self.assertEqual((config["memory"], config["threads"], config["idle-timeout"], config["admin-token"]),
                                 ("64M", 2, "1m", "***"))
                self.assertEqual(config["access-log"], f"{folder}/log.txt")
                self.assertEqual(config["cache"], [{"listen": ["kv+http://127.0.0.1:0",
                                                    f"unix:///tmp/{values['name']}.sock?mode=0660"], "http-token": "***"}])
                gateway, = config["gateway"]
                self.assertEqual((gateway["stale-if-error"], gateway["object-max"]), ("90s", "16M"))
                self.assertEqual(gateway["upstreams"]["birds"]["origin"],
                                 ["http://127.0.0.1:1", "http://127.0.0.1:2/base weight=3"])
                self.assertEqual(gateway["upstreams"]["birds"]["retries"], 2)
                first, second, third = gateway["routes"]
                self.assertEqual(first["match"], {"host": "*.example.com", "path": "/a/{name}/**", "method": ["GET", "HEAD"],
                                                  "header": {"X-Session": "***", "accept-language": "nl*"}})
                self.assertEqual(first["request-headers"], {"set": {"X-Signature": "***", "User-Agent": "shown"},
                                                            "remove": ["X-Old"]})
                self.assertEqual(first["credentials"], {"header": "Authorization", "prefix": "Bearer ",
                                                        "value-file": values["secret"]})
                self.assertEqual(second["response-headers"], {"set": {"X-Frame-Options": "DENY", "X-Plain": "***"}})
                self.assertEqual([route["credentials"]["prefix"] for route in (second, third)], ["Bearer ***", "***"])
                self.assertEqual((first["object-max"], second["object-max"], second["stale-if-error"]), ("1k", "16M", "90s"))
                self.assertEqual(config["mock"][0]["data"], values["data"])

                write("nuthatch.yaml", (self.CONFIG % values).replace("retries: 2", "retries: 5")
                      .replace("memory: 64M", "memory: 128M"))
                self.assertEqual(fetch(admin, "/reload", "POST", Authorization="Bearer sesame").status, 200)
                config = read()
                self.assertEqual(config["gateway"][0]["upstreams"]["birds"]["retries"], 5)
                self.assertEqual(config["memory"], "64M")  # which needs a restart
                write("nuthatch.yaml", "gateway: {origin: nowhere}")
                self.assertEqual(fetch(admin, "/reload", "POST", Authorization="Bearer sesame").status, 422)
                self.assertEqual(read(), config)

    def test_metrics_are_prometheus_text(self):
        def read():
            answer = fetch(self.admin, "/metrics")
            self.assertEqual(answer["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
            lines = answer.body.decode().splitlines()
            return {line.split()[0]: int(line.split()[1]) for line in lines if not line.startswith("#") and "{" not in line}, lines
        before, lines = read()
        fetch(self.server.port, "/m")
        fetch(self.server.port, "/m")
        after, _ = read()
        grown = {name: after[name] - before[name] for name in after}
        self.assertEqual((grown["nuthatch_gateway_hits_total"], grown["nuthatch_gateway_fetches_total"]), (1, 1))
        self.assertGreater(after["nuthatch_store_items"], 0)
        for name in after:
            self.assertEqual(sum(line.startswith(f"# TYPE {name} ") for line in lines), 1)
            self.assertEqual(sum(line.startswith(f"# HELP {name} ") for line in lines), 1)

    def test_metrics_tell_of_each_upstream_and_route(self):
        def read():
            lines = fetch(self.admin, "/metrics").body.decode().splitlines()
            return dict(line.rsplit(" ", 1) for line in lines if "{" in line)
        upstream = '{upstream="%s"}' % self.origin.url.removeprefix("http://")
        route = '{route="1",host="",path="",upstream=""}'
        stands = read()
        for name in ("under_way", "waiting", "limited_seconds", "breaker_open", "breaker_half_open"):
            self.assertEqual(float(stands[f"nuthatch_upstream_{name}{upstream}"]), 0, name)
        for name in ("tokens", "said_left", "said_reset_seconds", "concurrency_limit"):  # nothing limits it
            self.assertNotIn(f"nuthatch_upstream_{name}{upstream}", stands)
        for name in ("revalidations", "not_modified"):
            self.assertEqual(stands[f"nuthatch_route_{name}_total{route}"], "0")

    def test_no_page_of_a_browser_gets_in(self):
        for headers in ({"Origin": "http://evil.test"}, {"Host": "evil.test"}, {"Sec_Fetch_Site": "cross-site"}):
            answer = fetch(self.admin, "/metrics", **headers)
            self.assertEqual((headers, answer.status), (headers, 403))

    def test_a_token_lets_in(self):
        with Nuthatch("gateway", self.origin.url, "--memory", "64M", "--admin", "http://127.0.0.1:0", "--admin-token",
                      "sesame", listen="http://127.0.0.1:0") as server:
            admin = int(server.wait_for(r"admin ready on http://127.0.0.1:(\d+)\n")[0])
            for headers, status in (({}, 401), ({"Authorization": "Bearer sesamo"}, 401),
                                    ({"Authorization": "Bearer sesame"}, 200)):
                answer = fetch(admin, "/health", **headers)
                self.assertEqual((headers, answer.status), (headers, status))
            self.assertEqual(fetch(admin, "/metrics")["WWW-Authenticate"], 'Bearer realm="nuthatch"')
            with open(f"/proc/{server.pid}/cmdline") as line:
                self.assertNotIn("sesame", line.read())

    def test_beyond_loopback_there_must_be_a_token(self):
        with self.assertRaises(AssertionError) as raised:
            Nuthatch("gateway", self.origin.url, "--admin", "http://0.0.0.0:0", listen="http://127.0.0.1:0")
        self.assertIn("set admin-token, or listen at 127.0.0.1", str(raised.exception))


if __name__ == "__main__":
    unittest.main()
