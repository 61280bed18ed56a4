"""The data of a mock as they once were: kept by name through /__admin/, and saved by who types s at the terminal."""
import fcntl, http.client, json, os, pathlib, pty, re, select, shutil, signal, socket, stat, subprocess, tempfile, termios, time, unittest
import harness
from harness import Nuthatch
from test_mock_files import ask
from test_mock_keep import until

DATA = {"posts": [{"id": "1", "title": "jay"}, {"id": "2", "title": "tit"}], "profile": {"name": "oak"}}
PETS = """openapi: 3.1.0
info: {title: pets, version: "1"}
paths:
  /pets:
    get:
      responses: {"200": {description: all, content: {application/json: {
        schema: {type: array, items: {$ref: "#/components/schemas/Pet"}},
        example: [{id: 1, name: Rex}]}}}}
    post: {responses: {"201": {description: made}}}
  /pets/{petId}:
    parameters: [{name: petId, in: path, required: true, schema: {type: integer}}]
    get: {responses: {"200": {description: one, content: {application/json: {schema: {$ref: "#/components/schemas/Pet"}}}}}}
    delete: {responses: {"204": {description: gone}}}
components: {schemas: {Pet: {type: object, properties: {id: {type: integer}, name: {type: string}}}}}
"""


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = self.folder / "db.json"
        self.path.write_text(json.dumps(DATA))

    def mock(self, *arguments, path=None):
        return Nuthatch("mock", str(path or self.path), "--threads", "2", *arguments, listen="http://127.0.0.1:0")


class Snapshots(Folder):
    def get(self, server, path):
        status, _, body = ask(server, path)
        self.assertEqual(status, 200, body)
        return json.loads(body)

    def admin(self, server, path, method="POST", body=None, **headers):
        status, fields, answer = ask(server, "/__admin/" + path, method, body, **headers)
        return status, json.loads(answer)

    def names(self, server):
        return [one["name"] for one in self.get(server, "/__admin/snapshots")["snapshots"]]

    def test_data_are_put_back_as_they_were(self):
        with self.mock("--ephemeral") as server:
            self.assertEqual(self.admin(server, "snapshots", body='{"name": "before"}'), (201, {"name": "before"}))
            self.assertEqual(ask(server, "/posts/1", "DELETE")[0], 200)
            self.assertEqual(self.get(server, "/posts?title=jay"), [])
            self.assertEqual(self.admin(server, "snapshots", body='{"name": "after"}')[0], 201)
            self.assertEqual(self.admin(server, "snapshots/before/restore")[0], 200)
            self.assertEqual(self.get(server, "/db"), DATA)
            self.assertEqual(self.get(server, "/posts?title=jay"), DATA["posts"][:1])
            self.assertEqual(self.admin(server, "snapshots/after/restore")[0], 200)
            self.assertEqual(self.get(server, "/posts"), DATA["posts"][1:])
            self.assertEqual(self.names(server), ["start", "before", "after"])
            self.assertEqual(self.admin(server, "snapshots/before", "DELETE")[0], 200)
            self.assertEqual(self.names(server), ["start", "after"])
        self.assertEqual(json.loads(self.path.read_text()), DATA)

    def test_what_is_put_back_goes_to_the_file_too(self):
        with self.mock() as server:
            self.assertEqual(ask(server, "/posts/1", "DELETE")[0], 200)
            until(lambda: len(json.loads(self.path.read_text())["posts"]) == 1, "the removal in the file")
            self.assertEqual(self.admin(server, "reset"), (200, {}))
            until(lambda: json.loads(self.path.read_text()) == DATA, "the data of the start in the file")

    def test_a_name_is_made_where_none_is_said(self):
        with self.mock("--ephemeral") as server:
            status, made = self.admin(server, "snapshots")
            self.assertEqual(status, 201)
            self.assertRegex(made["name"], r"^\d{8}T\d{6}\.\d{3}Z$")
            self.assertEqual(self.names(server), ["start", made["name"]])

    def test_a_name_used_again_is_of_the_newer_data(self):
        with self.mock("--ephemeral") as server:
            self.admin(server, "snapshots", body='{"name": "a"}')
            ask(server, "/posts/1", "DELETE")
            self.assertEqual(self.admin(server, "snapshots", body='{"name": "a"}')[0], 200)
            ask(server, "/posts/2", "DELETE")
            self.admin(server, "snapshots/a/restore")
            self.assertEqual(self.get(server, "/posts"), DATA["posts"][1:])

    def test_what_cannot_be_is_refused_with_a_reason(self):
        with self.mock("--ephemeral") as server:
            for body in ('{"name": "start"}', '{"name": "../x"}', '{"name": ""}', '{"name": 1}', "[]", "{",
                         '{"nane": "x"}', json.dumps({"name": "x" * 65}), '{"name": ".x"}'):
                self.assertEqual(self.admin(server, "snapshots", body=body)[0], 400, body)
            self.assertEqual(self.admin(server, "snapshots", body="x" * 5000)[0], 413)
            self.assertEqual(self.admin(server, "snapshots/none/restore")[0], 404)
            self.assertEqual(self.admin(server, "snapshots/none", "DELETE")[0], 404)
            self.assertEqual(self.admin(server, "snapshots/start", "DELETE")[0], 404)
            self.assertEqual(self.admin(server, "snapshots", "PUT")[0], 405)
            self.assertEqual(self.admin(server, "reset", "GET")[0], 405)
            self.assertEqual(self.admin(server, "reset?what=all")[0], 400)
            self.assertEqual(self.get(server, "/db"), DATA)
            self.assertEqual(self.names(server), ["start"])

    def test_there_are_only_so_many(self):
        with self.mock("--ephemeral") as server:
            for i in range(99):
                self.assertEqual(self.admin(server, "snapshots", body=json.dumps({"name": f"s{i}"}))[0], 201)
            status, answer = self.admin(server, "snapshots", body='{"name": "more"}')
            self.assertEqual(status, 507)
            self.assertIn("at most 100", answer["detail"])
            self.assertEqual(self.admin(server, "snapshots", body='{"name": "s1"}')[0], 200)

    def test_one_call_resets_all_and_may_be_about_a_part(self):
        rules = self.folder / "rules.yaml"
        rules.write_text("rules: [{match: {path: /count}, answer: {json: {n: '{{counter}}'}}}]")
        with self.mock("--ephemeral", "--rules", str(rules)) as server:
            def count():
                return self.get(server, "/count")["n"]

            ask(server, "/posts/1", "DELETE")
            self.assertEqual([count(), count()], [1, 2])
            self.assertEqual(self.admin(server, "reset?what=rules"), (200, {}))
            self.assertEqual(count(), 1)
            self.assertEqual(len(self.get(server, "/posts")), 1)
            self.assertEqual(self.admin(server, "reset?what=data"), (200, {}))
            self.assertEqual(len(self.get(server, "/posts")), 2)
            self.assertEqual(count(), 2)
            ask(server, "/posts/1", "DELETE")
            self.assertEqual(self.admin(server, "reset"), (200, {}))
            self.assertEqual(count(), 1)
            self.assertEqual(len(self.get(server, "/posts")), 2)

    def test_the_file_read_anew_is_what_a_reset_goes_back_to(self):
        newer = {**DATA, "posts": [{"id": "9", "title": "wren"}]}
        with self.mock("--watch") as server:
            self.path.write_text(json.dumps(newer))
            until(lambda: self.get(server, "/db") == newer, "the newer data")
            ask(server, "/posts/9", "DELETE")
            until(lambda: self.admin(server, "reset") == (200, {}) and self.get(server, "/db") == newer, "the reset")

    def test_listeners_hear_that_all_is_different(self):
        rules = self.folder / "rules.yaml"
        rules.write_text("rules: [{match: {path: /feed}, changes: '*'}]")
        with self.mock("--ephemeral", "--rules", str(rules)) as server:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
            connection.request("GET", "/feed")
            answer = connection.getresponse()
            self.admin(server, "reset")
            line = answer.readline()
            while not line.startswith(b"event:"):
                line = answer.readline()
            self.assertEqual(line.strip(), b"event: reload")
            connection.close()

    def test_collections_of_an_openapi_document_are_data_too(self):
        document = self.folder / "openapi.yaml"
        document.write_text(PETS)
        with self.mock("--stateful", path=document) as server:
            self.assertEqual(self.admin(server, "snapshots", body='{"name": "one"}')[0], 201)
            self.assertEqual(ask(server, "/pets/1", "DELETE")[0], 204)
            self.assertEqual(self.get(server, "/pets"), [])
            self.assertEqual(self.admin(server, "snapshots/one/restore")[0], 200)
            self.assertEqual(self.get(server, "/pets"), [{"id": 1, "name": "Rex"}])
        with self.mock(path=document) as server:
            status, answer = self.admin(server, "snapshots", body='{"name": "one"}')
            self.assertEqual(status, 404)
            self.assertIn("--stateful", answer["detail"])
            self.assertEqual(self.admin(server, "reset"), (200, {}))

    def test_pages_and_strangers_may_not_ask(self):
        with self.mock("--ephemeral") as server:
            self.assertEqual(self.admin(server, "reset", Origin="http://evil.example")[0], 403)
            self.assertEqual(self.admin(server, "snapshots", "GET", Host="evil.example")[0], 403)
        with self.mock("--ephemeral", "--admin-token", "pst") as server:
            self.assertEqual(self.admin(server, "snapshots")[0], 401)
            self.assertEqual(self.admin(server, "snapshots", Authorization="Bearer pst")[0], 201)


class Much(Folder):
    """Data that take a while to be put back."""

    def setUp(self):
        super().setUp()
        self.path.write_text(json.dumps({**DATA, "much": [{"id": str(i), "text": "x" * 100} for i in range(10000)]}))

    def mock(self):
        return Nuthatch("mock", str(self.path), "--ephemeral", "--threads", "1", listen="http://127.0.0.1:0")

    def begin_reset(self, server):
        """A connection on which a reset has been asked for."""
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        self.addCleanup(connection.close)
        connection.sendall(b"GET /profile HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while b"oak" not in answer:
            answer += connection.recv(65536)
        connection.sendall(b"POST /__admin/reset HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return connection

    def test_others_are_answered_while_data_are_put_back(self):
        with self.mock() as server:
            for _ in range(5):
                connection = self.begin_reset(server)
                self.assertEqual(ask(server, "/posts/1")[0], 200)
                is_first = not select.select([connection], [], [], 0)[0]
                self.assertTrue(connection.recv(65536).startswith(b"HTTP/1.1 200 "))
                if is_first:
                    return
            self.fail("everybody waited for the reset")

    def test_data_are_put_back_though_the_client_has_left(self):
        with self.mock() as server:
            self.assertEqual(ask(server, "/posts/1", "DELETE")[0], 200)
            self.begin_reset(server).close()
            until(lambda: ask(server, "/posts/1")[0] == 200, "the data of the start")

    def test_the_end_of_the_mock_does_not_wait_for_those_that_wait(self):
        with self.mock() as server:
            connections = [self.begin_reset(server) for _ in range(3)]
            for connection in connections[1:]:
                connection.close()
            self.assertEqual(server.stop(), 0)


class Terminal(Folder):
    def start(self, *arguments, path=None, cwd=None):
        """A mock with a terminal of its own as its standard input and output."""
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        process = subprocess.Popen([os.path.abspath(harness.BINARY), "mock", str(path or self.path), "--threads", "1",
                                    "--listen", "http://127.0.0.1:0", *arguments], stdin=theirs, stdout=theirs,
                                   stderr=theirs, cwd=cwd, start_new_session=True)
        os.close(theirs)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.shown = ""
        self.wait_for(ours, r"ready on \S+[\s\S]*s and Enter")
        return process, ours

    def wait_for(self, terminal, pattern):
        end = time.monotonic() + 30
        while not re.search(pattern, self.shown):
            self.assertLess(time.monotonic(), end, f"no /{pattern}/ in {self.shown!r}")
            if select.select([terminal], [], [], 0.1)[0]:
                self.shown += os.read(terminal, 65536).decode()

    def saved(self):
        return [path for path in self.folder.glob("**/db-*.json")]

    def test_s_and_enter_saves_the_data_and_says_where(self):
        process, terminal = self.start("--ephemeral")
        os.write(terminal, b"help\n\ns\n")
        self.wait_for(terminal, r"the data as they are now are in \S+")
        (path,) = self.saved()
        self.assertRegex(path.name, r"^db-\d{8}T\d{6}\.\d{3}Z\.json$")
        self.assertIn(str(path), self.shown)
        self.assertEqual(json.loads(path.read_text()), DATA)
        self.assertTrue(path.read_text().startswith("{\n  "))
        self.assertEqual(sorted(self.folder.iterdir()), sorted([self.path, path]))
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(30), 0)

    def test_they_go_to_the_folder_that_is_wanted(self):
        (self.folder / "kept").mkdir()
        process, terminal = self.start("--ephemeral", "--snapshots", str(self.folder / "kept"))
        os.write(terminal, b"s\n")
        self.wait_for(terminal, r"the data as they are now are in \S+")
        self.assertEqual(self.saved()[0].parent, self.folder / "kept")
        shutil.rmtree(self.folder / "kept")
        os.write(terminal, b"s\n")
        self.wait_for(terminal, r"cannot save the data in \S+: No such file or directory")

    def test_the_data_of_a_folder_go_beside_it_whatever_it_is_called(self):
        served = self.folder / "birds"
        (served / "within").mkdir(parents=True)
        (served / "posts.json").write_text("[]")
        for path, cwd in ((".", served), ("..", served / "within"), ("birds/.", self.folder), (served, None)):
            process, terminal = self.start(path=path, cwd=cwd)
            os.write(terminal, b"s\n")
            self.wait_for(terminal, r"the data as they are now are in \S+")
            (saved,) = self.folder.glob("birds-*.json")
            self.assertEqual(json.loads(saved.read_text()), {"posts": []})
            self.assertEqual(stat.S_IMODE(saved.stat().st_mode), 0o600)
            self.assertEqual(sorted(path.name for path in served.iterdir()), ["posts.json", "within"])
            saved.unlink()
            process.kill()

    def test_who_may_not_read_the_data_may_not_read_what_is_saved(self):
        for permissions in (0o600, 0o640):
            self.path.chmod(permissions)
            process, terminal = self.start("--ephemeral")
            os.write(terminal, b"s\n")
            self.wait_for(terminal, r"the data as they are now are in \S+")
            (saved,) = self.saved()
            self.assertEqual(stat.S_IMODE(saved.stat().st_mode), permissions)
            saved.unlink()
            process.kill()

    def test_the_end_of_the_input_is_not_the_end_of_the_mock(self):
        process, terminal = self.start("--ephemeral")
        os.write(terminal, b"\x04")
        time.sleep(0.3)
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(30), 0)

    def test_a_background_job_is_not_stopped_for_what_is_typed(self):
        """A shell with job control starts it with &, and what is typed then is the shell's."""
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        shell = subprocess.Popen(["bash", "--norc", "--noprofile", "-i"], stdin=theirs, stdout=theirs, stderr=theirs,
                                 preexec_fn=lambda: (os.setsid(), fcntl.ioctl(0, termios.TIOCSCTTY, 0)),
                                 env={**os.environ, "PS1": "", "HISTFILE": ""})
        os.close(theirs)
        self.addCleanup(shell.wait)
        self.addCleanup(shell.kill)
        self.shown = ""
        os.write(ours, f"{harness.BINARY} mock {self.path} --threads 1 --listen http://127.0.0.1:0 & pid=$!\n".encode())
        self.wait_for(ours, r"ready on \S+[\s\S]*s and Enter")
        os.write(ours, b"s\n")
        self.wait_for(ours, r"s: command not found")
        os.write(ours, b"sleep 0.3; echo state=$(cut -d' ' -f3 /proc/$pid/stat); kill $pid; wait $pid; echo status=$?\n")
        self.wait_for(ours, r"state=[A-Z][\s\S]*status=\d+")
        self.assertNotRegex(self.shown, r"state=T")
        self.assertRegex(self.shown, r"status=0")
        self.assertEqual(self.saved(), [])


if __name__ == "__main__":
    unittest.main()
