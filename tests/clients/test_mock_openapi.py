"""A mock of an OpenAPI document, over HTTP: routes, answers, preferences, negotiation, and what is refused."""
import http.client
import json
import os
import shutil
import tempfile
import unittest

from harness import Nuthatch

FOLDER = os.path.join(os.path.dirname(__file__), "..", "openapi")
PETS = os.path.join(FOLDER, "pets", "openapi.yaml")
MUSEUM = os.path.join(FOLDER, "museum.json")
KEY = {"X-Api-Key": "k"}


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()
        self.type = response.getheader("Content-Type")

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def details(self):
        return {(error["in"], error["pointer"]): error["detail"] for error in self.json["errors"]}


class Mock(Nuthatch):
    def __init__(self, document, *arguments):
        super().__init__("mock", document, *arguments, listen="http://127.0.0.1:0")

    def ask(self, target, method="GET", body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, target, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = Answer(connection.getresponse())
        connection.close()
        return answer

    def send(self, target, value, method="POST", **headers):
        return self.ask(target, method, json.dumps(value), **{"Content_Type": "application/json", **headers})


class Shared(unittest.TestCase):
    document, arguments = PETS, ()

    @classmethod
    def setUpClass(cls):
        cls.mock = Mock(cls.document, *cls.arguments)
        cls.ask, cls.send = cls.mock.ask, cls.mock.send

    @classmethod
    def tearDownClass(cls):
        assert cls.mock.stop() == 0, cls.mock.log


class Pets(Shared):
    def test_the_first_example_answers_with_header_fields(self):
        answer = self.ask("/pets")
        self.assertEqual((answer.status, answer.type), (200, "application/json"))
        self.assertEqual([pet["name"] for pet in answer.json], ["Rex", "Tom"])
        self.assertEqual(answer.headers["X-Next"], "https://eu.example.com/v1/pets?page=2")
        self.assertEqual(answer.headers["Access-Control-Allow-Origin"], "*")

    def test_the_base_of_a_server_may_be_there_or_not(self):
        self.assertEqual(self.ask("/v1/pets").body, self.ask("/pets").body)
        self.assertEqual(self.ask("/v2/pets").status, 404)

    def test_what_is_written_out_goes_before_what_is_in_braces(self):
        self.assertEqual(self.ask("/pets/mine", **KEY).json, [{"id": 9, "name": "Mine"}])
        self.assertEqual(self.ask("/pets/x", **KEY).status, 422)
        self.assertEqual(self.ask("/pets/7/photo.png").type, "image/png")
        self.assertEqual(self.ask("/pets/7/photo.gif").status, 422)
        self.assertEqual(self.ask("/pets/7/photo").status, 404)

    def test_what_is_made_is_the_same_each_time_and_as_the_schema_says(self):
        pet = self.ask("/pets/1", **KEY)
        self.assertEqual(pet.body, self.ask("/pets/1", **KEY).body)
        self.assertGreaterEqual(pet.json["id"], 1)
        self.assertIn("name", pet.json)

    def test_an_entity_tag_saves_a_body(self):
        first = self.ask("/pets/1", **KEY)
        again = self.ask("/pets/1", If_None_Match=first.headers["ETag"], **KEY)
        self.assertEqual((again.status, again.body), (304, b""))

    def test_preferences_choose_status_example_and_made_up_values(self):
        answer = self.ask("/pets/1", Prefer="code=404", **KEY)
        self.assertEqual((answer.status, answer.type), (404, "application/problem+json"))
        self.assertEqual(answer.json["title"], "Not Found")
        self.assertIn("code=404", answer.headers["Preference-Applied"])
        self.assertEqual(self.ask("/pets", Prefer='respond-async, example="none"; x=y').json, [])
        self.assertEqual(self.ask("/pets?__example=none").json, [])
        self.assertEqual(self.ask("/pets/1?__code=404", **KEY).status, 404)
        self.assertEqual(self.ask("/pets", Prefer="code=503").status, 503)  # by default
        made = [self.ask(f"/pets/{i}?__dynamic=true", **KEY).body for i in (1, 2, 1)]
        self.assertEqual(made[0], made[2])
        self.assertNotEqual(made[0], made[1])
        seeded = [self.ask("/pets/1", Prefer=f"dynamic=true, seed={seed}", **KEY).body for seed in (1, 2, 1)]
        self.assertEqual(seeded[0], seeded[2])
        self.assertNotEqual(seeded[0], seeded[1])

    def test_preferences_that_cannot_be_are_refused(self):
        self.assertEqual(self.ask("/pets", Prefer="code=9").status, 400)
        self.assertEqual(self.ask("/pets", Prefer="dynamic=perhaps").status, 400)
        self.assertEqual(self.ask("/pets", Prefer="example=nosuch").status, 404)
        self.assertEqual(self.ask("/pets/1", Prefer="code=418", **KEY).status, 404)

    def test_accept_chooses_the_media_type(self):
        self.assertEqual(self.ask("/pets", Accept="text/csv").body, b"id,name\n1,Rex\n")
        self.assertEqual(self.ask("/pets", Accept="application/json;q=0.5, text/*").type, "text/csv")
        self.assertEqual(self.ask("/pets", Accept="text/csv;q=0.1, */*;q=0.2").type, "application/json")
        answer = self.ask("/pets", Accept="image/png")
        self.assertEqual(answer.status, 406)
        self.assertIn("text/csv", answer.json["detail"])

    def test_methods(self):
        answer = self.ask("/pets", "PATCH")
        self.assertEqual((answer.status, answer.headers["Allow"]), (405, "GET, POST, HEAD, OPTIONS"))
        head = self.ask("/pets", "HEAD")
        self.assertEqual((head.status, head.body), (200, b""))
        options = self.ask("/pets", "OPTIONS", Access_Control_Request_Headers="x-a")
        self.assertEqual((options.status, options.headers["Access-Control-Allow-Headers"]), (204, "x-a"))
        self.assertEqual(self.ask("/pets/1", "DELETE").status, 204)
        self.assertEqual(self.ask("/nosuch").status, 404)

    def test_parameters_are_checked(self):
        for target, pointer in [("/pets?limit=0", "/limit"), ("/pets?limit=x", "/limit"), ("/pets?limit=1.5", "/limit"),
                                ("/pets?tags=a&tags=waytoolongatag", "/tags/1"), ("/pets?ids=1,x", "/ids/1"),
                                ("/pets?piped=1%7Cx", "/piped/1"), ("/pets?filter%5Bage%5D=old", "/filter/age"),
                                ("/pets?filter%5Bsize%5D=1", "/filter/size"), ("/pets?tags=a&tags=b&tags=c&tags=d", "/tags")]:
            answer = self.ask(target)
            self.assertEqual((target, answer.status), (target, 422))
            self.assertEqual(answer.type, "application/problem+json")
            self.assertEqual(list(answer.details), [("query", pointer)])
        self.assertEqual(list(self.ask("/pets", X_Trace="no").details), [("header", "/X-Trace")])
        self.assertEqual(list(self.ask("/pets", Cookie="a=b; session=x").details), [("cookie", "/session")])
        for target in ["/pets?limit=5&tags=a&tags=b&ids=1,2&piped=1%7C2&filter%5Bage%5D=3&filter%5Bname%5D=x&unknown=1"]:
            self.assertEqual(self.ask(target, Cookie="session=5").status, 200)

    def test_bodies_are_checked(self):
        answer = self.send("/pets", {"name": "", "kind": "fish", "born": "yesterday",
                                     "owner": {"email": "x", "phone": "1"}}, **KEY)
        self.assertEqual(answer.status, 400)  # which the document has, and 422 not
        self.assertEqual(set(pointer for _, pointer in answer.details),
                         {"/name", "/kind", "/born", "/owner/email", "/owner/phone"})
        answer = self.ask("/pets", "POST", '{"name": }', Content_Type="application/json", **KEY)
        self.assertEqual(answer.status, 400)
        self.assertIn("line 1, column 10", answer.json["detail"])
        self.assertEqual(self.ask("/pets", "POST", "x", Content_Type="text/plain", **KEY).status, 415)
        self.assertEqual(self.ask("/pets", "POST", **KEY).details, {("body", ""): "is required"})
        self.assertEqual(self.send("/pets", {"name": "Rex", "nick": None}, **KEY).status, 201)
        self.assertEqual(self.ask("/pets", "POST", "name=Rex&tags=a&tags=b", **KEY,
                                  Content_Type="application/x-www-form-urlencoded").status, 201)
        self.assertEqual(self.ask("/pets", "POST", "name=&kind=fish", **KEY,
                                  Content_Type="application/x-www-form-urlencoded").status, 400)

    def test_credentials_are_asked_for(self):
        answer = self.ask("/pets/1")
        self.assertEqual(answer.status, 401)
        self.assertEqual(answer.headers.get_all("WWW-Authenticate"),
                         ['ApiKey realm="api", in="header", name="X-Api-Key"', 'Basic realm="api", charset="UTF-8"',
                          'Bearer realm="api"'])
        for headers in (KEY, {"Authorization": "Bearer x"}, {"Authorization": "basic eDp5"}):
            self.assertEqual(self.ask("/pets/1", **headers).status, 200)
        self.assertEqual(self.ask("/pets/1", Authorization="Digest x").status, 401)
        self.assertEqual(self.ask("/pets", "POST").status, 401)

    def test_what_cannot_be_made_is_said(self):
        answer = self.ask("/impossible")
        self.assertEqual(answer.status, 500)
        self.assertIn("example", answer.json["detail"])


class Museum(Shared):
    document = MUSEUM

    def test_keywords_of_2020_12_are_checked(self):
        good = {"kind": "day", "date": "2026-11-29", "count": 2, "event": None, "position": [1, 2.5]}
        self.assertEqual(self.send("/tickets", good).status, 201)
        for change, pointer in [({"count": 0}, "/count"), ({"kind": "event", "event": "no"}, "/event"), ({"position": [1, 2, 3]}, "/position/2"),
                                ({"extra": 1}, "/extra"), ({"date": "2026-02-30"}, "/date")]:
            answer = self.send("/tickets", {**good, **change})
            self.assertEqual((change, answer.status), (change, 422))
            self.assertEqual([found for _, found in answer.details], [pointer])
        del good["event"]
        self.assertEqual(self.send("/tickets", {**good, "kind": "event"}).details, {("body", ""): 'must have "event"'})

    def test_a_discriminator_is_kept_to(self):
        work = "/works/2eb8aa08-aa98-41ea-b4aa-73b441d16380"
        self.assertEqual(self.ask(work).json["title"], "Water Lilies")
        kinds = {self.ask(work, Prefer=f"dynamic=true, seed={seed}").json["type"] for seed in range(20)}
        self.assertEqual(kinds, {"painting", "sculpture"})
        self.assertEqual(self.ask("/works/1").status, 422)


class Reported(Shared):
    arguments = ("--validate", "report", "--dynamic", "yes", "--seed", "7")

    def test_what_is_wrong_is_told_in_a_field(self):
        answer = self.ask("/pets?limit=0")
        self.assertEqual(answer.status, 200)
        self.assertEqual(json.loads(answer.headers["Nuthatch-Violations"])[0]["pointer"], "/limit")
        self.assertNotIn("Nuthatch-Violations", self.ask("/pets").headers)
        self.assertEqual(self.ask("/pets/1").status, 200)

    def test_every_answer_is_made(self):
        self.assertNotEqual(self.ask("/pets?limit=1").body, self.ask("/pets?limit=2").body)


class Off(Shared):
    arguments = ("--validate", "off")

    def test_nothing_is_looked_at(self):
        self.assertEqual(self.ask("/pets?limit=0").status, 200)
        self.assertEqual(self.ask("/pets", "POST", "x").status, 201)


class Stateful(Shared):
    arguments = ("--stateful", "yes")

    def test_a_collection_keeps_what_is_put_into_it(self):
        self.assertEqual([pet["id"] for pet in self.ask("/pets").json], [1, 2])
        made = self.send("/v1/pets", {"name": "Rex", "kind": "dog"}, **KEY)
        self.assertEqual((made.status, made.json["id"]), (201, 3))
        self.assertEqual(made.headers["Location"], "/v1/pets/3")
        self.assertEqual(self.ask("/pets/3", **KEY).json, {"id": 3, "name": "Rex", "kind": "dog"})
        self.assertEqual(len(self.ask("/pets").json), 3)
        self.assertEqual(self.ask("/pets/3", "DELETE").status, 204)
        gone = self.ask("/pets/3", **KEY)
        self.assertEqual((gone.status, gone.type), (404, "application/problem+json"))
        self.assertEqual(self.ask("/pets/99", "DELETE").status, 404)
        form = self.ask("/pets", "POST", "name=Tom&tags=a&tags=b", **KEY, Content_Type="application/x-www-form-urlencoded")
        self.assertEqual((form.status, form.json["tags"]), (201, ["a", "b"]))

    def test_requests_are_checked_as_before(self):
        self.assertEqual(self.ask("/pets?limit=0").status, 422)
        self.assertEqual(self.send("/pets", {"name": ""}, **KEY).status, 400)
        self.assertEqual(self.send("/pets", {"name": "Rex"}).status, 401)

    def test_preferences_and_other_paths_are_answered_as_before(self):
        self.assertEqual(self.ask("/pets/1", Prefer="code=404", **KEY).status, 404)
        self.assertEqual(self.ask("/pets", Prefer="example=none").json, [])
        self.assertEqual(self.ask("/pets/mine", **KEY).json, [{"id": 9, "name": "Mine"}])
        self.assertEqual(self.ask("/pets", Accept="text/csv").type, "application/json")


class Untouched(unittest.TestCase):
    def test_what_is_kept_is_never_written_over_the_document(self):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(os.path.dirname(PETS), folder, dirs_exist_ok=True)
            before = {name: open(os.path.join(folder, name), "rb").read() for name in ["openapi.yaml"]}
            listed = sorted(os.listdir(folder))
            with Mock(os.path.join(folder, "openapi.yaml"), "--stateful", "yes") as mock:
                self.assertEqual(mock.send("/pets", {"name": "Rex"}, **KEY).status, 201)
            self.assertEqual(sorted(os.listdir(folder)), listed)
            for name, contents in before.items():
                with open(os.path.join(folder, name), "rb") as file:
                    self.assertEqual(file.read(), contents)


class Wrong(unittest.TestCase):
    def test_a_document_that_is_wrong_stops_the_start_with_every_place(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "openapi.yaml")
            with open(path, "w") as file:
                file.write("openapi: 3.0.0\npaths:\n  /a/{id:\n    get:\n      responses: {200: {description: x}}\n"
                           "  /b:\n    get:\n      responses:\n        200:\n          content:\n"
                           "            application/json:\n              schema: {$ref: '#/components/schemas/None'}\n")
            with self.assertRaises(AssertionError) as caught:
                Mock(path)
            said = str(caught.exception)
            self.assertRegex(said, r"line 3, column \d, at /paths/~1a~1\{id: a '\{' needs a name and a '\}'")
            self.assertIn("line 12", said)
            self.assertIn("\"components\" is not there", said)
            with open(path, "w") as file:
                file.write('{"openapi": "2.0"}')
            with self.assertRaises(AssertionError) as caught:
                Mock(path)
            self.assertIn("openapi must be a version such as", str(caught.exception))
        with self.assertRaises(AssertionError) as caught:
            Mock(MUSEUM, "--stateful", "yes")
        self.assertIn("nothing in it is a collection", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
