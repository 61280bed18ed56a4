"""The administrator's API: metrics, reload, and who gets in."""
import json, tempfile, unittest

from harness import Nuthatch, Origin, WithAdministrator, fetch


class Administering(WithAdministrator):
    def test_paths_and_methods(self):
        for method, path, status, allow in (
                ("GET", "/health", 200, None), ("HEAD", "/health", 200, None), ("GET", "/reload", 405, "POST"),
                ("POST", "/metrics", 405, "GET, HEAD"), ("GET", "/nothing", 404, None), ("POST", "/reload", 200, None)):
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

    def test_metrics_are_prometheus_text(self):
        def read():
            answer = fetch(self.admin, "/metrics")
            self.assertEqual(answer["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
            lines = answer.body.decode().splitlines()
            return {line.split()[0]: int(line.split()[1]) for line in lines if not line.startswith("#")}, lines
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
