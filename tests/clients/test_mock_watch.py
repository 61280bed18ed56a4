"""With --watch a mock reads its rules and its OpenAPI document again, with the files that these name; what is wrong in
them is said, and what was there stays."""
import http.client, json, os, pathlib, shutil, tempfile, unittest
from harness import Nuthatch
from test_mock_files import ask
from test_mock_keep import until

API = """openapi: 3.1.0
info: {title: pets, version: "1"}
paths:
  /pets:
    get:
      responses:
        "200":
          description: all
          content: {application/json: {schema: {type: array, items: {$ref: "pet.yaml"}}, example: [{id: 1, name: NAME}]}}
    post: {responses: {"201": {description: made}}}
  /pets/{petId}:
    parameters: [{name: petId, in: path, required: true, schema: {type: integer}}]
    get: {responses: {"200": {description: one, content: {application/json: {schema: {$ref: "pet.yaml"}}}}}}
    delete: {responses: {"204": {description: gone}}}
"""
PET = """type: object
required: [id, name]
properties: {id: {type: integer, const: 7}, name: {type: string, const: NAME}}
"""


class Watch(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def write(self, name, text):
        path = self.folder / name
        beside = self.folder / (name + ".beside")
        beside.write_text(text)
        os.replace(beside, path)  # as editors do
        return str(path)

    def mock(self, *arguments):
        return Nuthatch("mock", *arguments, "--watch", "--threads", "2", listen="http://127.0.0.1:0")

    def get(self, server, path):
        return ask(server, path)[2].decode().strip()

    def test_rules_are_read_again_and_wrong_ones_leave_the_last_good_ones(self):
        rules = self.write("rules.yaml", "rules: [{match: {path: /a}, answer: {text: one}}]")
        with self.mock("--rules", rules) as server:
            self.assertEqual(self.get(server, "/a"), "one")
            self.write("rules.yaml", "rules: [{match: {path: /a}, answer: {text: two}}]")
            until(lambda: self.get(server, "/a") == "two", "the new answer")
            self.assertIn("rules.yaml has changed and was read again", server.log)
            self.write("rules.yaml", "rules:\n  - match: {path: /a}\n    answer: {text: three, colour: red}\n")
            server.wait_for(r"rules.yaml has changed, but what was there stays: \S*rules.yaml:3:\d+: an answer has no colour")
            self.assertEqual(self.get(server, "/a"), "two")
            self.write("rules.yaml", "rules: [{match: {path: /a}, answer: {text: four}}]")
            until(lambda: self.get(server, "/a") == "four", "the answer that is right again")

    def test_files_that_rules_name_are_looked_at_too(self):
        self.write("body.txt", "one")
        rules = self.write("rules.yaml", "rules: [{match: {path: /a}, answer: {file: body.txt}}]")
        with self.mock("--rules", rules) as server:
            self.assertEqual(self.get(server, "/a"), "one")
            self.write("body.txt", "two")
            until(lambda: self.get(server, "/a") == "two", "the new body")
            (self.folder / "body.txt").unlink()
            server.wait_for("cannot read .*body.txt")
            self.assertEqual(self.get(server, "/a"), "two")
            self.write("body.txt", "three")
            until(lambda: self.get(server, "/a") == "three", "the body that is there again")

    def test_what_rules_remember_begins_anew_but_for_the_journal(self):
        text = """rules:
  - match: {path: /turn}
    answer: [{text: first}, {text: second}]
  - {match: {path: /count}, answer: {text: "{{counter}}"}}
  - {match: {path: /in}, scenario: {name: s, next: in}, answer: {text: in}}
"""
        rules = self.write("rules.yaml", text)
        with self.mock("--rules", rules) as server:
            for path in ("/turn", "/count", "/in"):
                ask(server, path)
            self.assertEqual((self.get(server, "/turn"), self.get(server, "/count")), ("second", "2"))
            self.write("rules.yaml", text + "  - {match: {path: /new}, answer: {text: new}}\n")
            until(lambda: self.get(server, "/new") == "new", "the new rule")
            self.assertEqual((self.get(server, "/turn"), self.get(server, "/count")), ("first", "1"))
            self.assertEqual(json.loads(self.get(server, "/__admin/scenarios"))["scenarios"][0]["state"], "Started")
            self.assertEqual(json.loads(self.get(server, "/__admin/requests"))["requests"][0]["path"], "/turn")
            self.assertEqual(json.loads(self.get(server, "/__admin/requests"))["requests"][0]["rule"], "rules.yaml:2")

    def test_a_stream_goes_on_with_the_rules_that_it_began_with(self):
        rules = self.write("rules.yaml", "rules: [{match: {path: /ticks}, then: cycle, events: [{after: 20ms, data: old}]}]")
        with self.mock("--rules", rules) as server:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
            connection.request("GET", "/ticks")
            stream = connection.getresponse()
            self.assertEqual(stream.readline(), b"data: old\n")
            self.write("rules.yaml", "rules: [{match: {path: /a}, answer: {text: new}}]")
            until(lambda: self.get(server, "/a") == "new", "the new rules")
            for _ in range(6):
                self.assertIn(stream.readline(), (b"data: old\n", b"\n"))
            connection.close()

    def test_an_openapi_document_is_read_again_with_its_files(self):
        self.write("pet.yaml", PET)
        document = self.write("api.yaml", API)
        with self.mock(document) as server:
            def name(path="/pets"):
                pets = json.loads(self.get(server, path))
                return (pets[0] if isinstance(pets, list) else pets)["name"]

            self.assertEqual((name(), name("/pets/7")), ("NAME", "NAME"))
            self.write("api.yaml", API.replace("NAME", "Rex"))
            until(lambda: name() == "Rex", "the new example")
            self.write("pet.yaml", PET.replace("NAME", "Tom"))
            until(lambda: name("/pets/7") == "Tom", "the new schema")
            self.write("pet.yaml", "{type: [")
            server.wait_for("api.yaml has changed, but what was there stays: .*pet.yaml")
            self.assertEqual(name("/pets/7"), "Tom")
            self.write("pet.yaml", PET.replace("NAME", "Mia"))
            until(lambda: name("/pets/7") == "Mia", "the schema that is right again")
            self.write("api.yaml", '{"pets": []}')
            server.wait_for("no OpenAPI document any more")
            self.assertEqual(name("/pets/7"), "Mia")

    def test_collections_of_a_new_document_begin_anew(self):
        self.write("pet.yaml", PET.replace(", const: 7", "").replace(", const: NAME", ""))
        document = self.write("api.yaml", API)
        with self.mock(document, "--stateful") as server:
            self.assertEqual(ask(server, "/pets/1", "DELETE")[0], 204)
            self.assertEqual(json.loads(self.get(server, "/pets")), [])
            self.write("api.yaml", API.replace("NAME", "Rex"))
            until(lambda: json.loads(self.get(server, "/pets")) == [{"id": 1, "name": "Rex"}], "the new collection")
            self.assertEqual(ask(server, "/pets/1", "DELETE")[0], 204)
            self.assertEqual(ask(server, "/__admin/reset", "POST")[0], 200)
            self.assertEqual(json.loads(self.get(server, "/pets")), [{"id": 1, "name": "Rex"}])

    def test_a_recording_that_is_edited_is_read_again(self):
        out = self.folder / "out"
        out.mkdir()
        text = "# nuthatch recording of nothing\nrules:\n  - name: a\n    match: {path: /a}\n    answer: {text: one}\n"
        (out / "rules.yaml").write_text(text)
        with self.mock(str(out)) as server:
            self.assertEqual(self.get(server, "/a"), "one")
            (out / "rules.yaml").write_text(text.replace("one", "two"))
            until(lambda: self.get(server, "/a") == "two", "the new answer")


if __name__ == "__main__":
    unittest.main()
