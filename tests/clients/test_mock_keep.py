"""A mock's changes go back to its data file, whatever ends it, and others' changes of the file come in."""
import json, os, pathlib, resource, shutil, signal, stat, tempfile, time, unittest
from harness import Nuthatch
from test_mock_files import ask

DATA = {"posts": [{"id": "1", "title": "jay"}, {"id": "2", "title": "tit"}], "profile": {"name": "oak"}}


def until(condition, what):
    end = time.monotonic() + 30
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not in time: {what}")
        time.sleep(0.005)


class Keep(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = self.folder / "db.json"
        self.path.write_text(json.dumps(DATA))

    def mock(self, *arguments, path=None):
        return Nuthatch("mock", str(path or self.path), "--threads", "2", *arguments, listen="http://127.0.0.1:0")

    def data(self):
        return json.loads(self.path.read_text())

    def files(self):
        return sorted(path.name for path in self.folder.iterdir())

    def post(self, server, title):
        status, _, body = ask(server, "/posts", "POST", json.dumps({"title": title}))
        self.assertEqual(status, 201)
        return json.loads(body)

    def killed_with_a_journal(self, *titles):
        """What was posted to a mock that was killed before it had written its file: at once, so that it has not."""
        for _ in range(20):
            self.path.write_text(json.dumps(DATA))
            server = self.mock()
            made = [self.post(server, title) for title in titles]
            time.sleep(0.1)
            server.stop(signal.SIGKILL)
            if "db.json.journal" in self.files():
                return made
        self.fail("the file was always written before the kill")

    def test_changes_are_in_the_file_once_it_is_quiet(self):
        self.path.chmod(0o640)
        with self.mock() as server:
            made = self.post(server, "wren")
            until(lambda: made in self.data()["posts"], "the new item in the file")
            self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o640)
            until(lambda: self.files() == ["db.json"], "no journal is left")
            self.assertEqual(ask(server, "/posts/1", "DELETE")[0], 200)
            self.assertEqual(ask(server, "/profile", "PATCH", '{"age": 3}')[0], 200)
        self.assertEqual(self.data(), {"posts": [DATA["posts"][1], made], "profile": {"name": "oak", "age": 3}})
        self.assertTrue(self.path.read_text().startswith('{\n  "posts": [\n    {\n      "id": '))
        self.assertEqual(self.files(), ["db.json"])

    def test_a_mock_that_is_only_read_writes_nothing(self):
        before = self.path.stat()
        with self.mock() as server:
            ask(server, "/posts")
        self.assertEqual((self.path.stat().st_mtime_ns, self.path.stat().st_ino), (before.st_mtime_ns, before.st_ino))

    def test_an_ephemeral_mock_never_writes(self):
        with self.mock("--ephemeral") as server:
            self.post(server, "wren")
            time.sleep(0.5)
            self.assertEqual(self.files(), ["db.json"])
        self.assertEqual(self.data(), DATA)

    def test_what_was_acknowledged_a_tenth_of_a_second_ago_survives_a_kill(self):
        for rounds in range(3):  # while changes come all the time, and in whatever state the file is
            server = self.mock()
            kept = json.loads(ask(server, "/posts")[2])
            end = time.monotonic() + 0.25 + 0.2 * rounds
            acknowledged = []
            while time.monotonic() < end:
                acknowledged.append(self.post(server, f"wren {rounds}"))
            ask(server, "/posts/" + acknowledged[0]["id"], "DELETE")
            ask(server, "/posts/" + acknowledged[1]["id"], "PATCH", '{"title": "changed"}')
            acknowledged[1]["title"] = "changed"
            time.sleep(0.1)
            server.stop(signal.SIGKILL)
            with self.mock() as server:
                self.assertEqual(json.loads(ask(server, "/posts")[2]), kept + acknowledged[1:])
            self.assertEqual(self.data()["posts"], kept + acknowledged[1:])
            self.assertEqual(self.files(), ["db.json"])

    def test_a_torn_journal_is_good_up_to_the_tear(self):
        made = self.killed_with_a_journal("one", "two")
        journal = self.folder / "db.json.journal"
        journal.write_bytes(journal.read_bytes()[:-5])
        with self.mock() as server:
            self.assertEqual(json.loads(ask(server, "/posts")[2]), DATA["posts"] + made[:1])
            self.assertIn("1 changes of a run that was cut short are made again; the last one was torn", server.log)

    def killed_again(self, *titles):
        """The same with a mock that goes on from a journal."""
        server = self.mock()
        made = [self.post(server, title) for title in titles]
        time.sleep(0.1)
        server.stop(signal.SIGKILL)
        return made

    def test_what_comes_after_a_torn_journal_survives_the_next_kill(self):
        journal = self.folder / "db.json.journal"
        for _ in range(20):
            first = self.killed_with_a_journal("one", "two")
            with journal.open("ab") as file:
                file.write(b'["put","posts","torn')
            second = self.killed_again("three", "four", "five", "six")
            if journal.exists():  # else it had already written its file
                break
        with self.mock() as server:
            self.assertEqual(json.loads(ask(server, "/posts")[2]), DATA["posts"] + first + second)
            self.assertIn("6 changes of a run that was cut short are made again\n", server.log)
        self.assertEqual(self.data()["posts"], DATA["posts"] + first + second)

    def test_what_comes_after_a_line_that_found_no_room_survives_a_kill(self):
        self.path.write_text(json.dumps({**DATA, "much": [{"id": "1", "text": "x" * 20000}]}))
        journal = self.folder / "db.json.journal"
        unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
        server = Nuthatch("mock", str(self.path), listen="http://127.0.0.1:0",
                          prefix=["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"])
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (4000, unlimited[1]))  # which the file has not either
        self.post(server, "no room " * 1000)
        server.wait_for("cannot write .*journal")
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (9000, unlimited[1]))
        made = self.post(server, "room")
        until(lambda: b'"room"' in journal.read_bytes(), "the change in the journal")
        time.sleep(0.1)
        server.stop(signal.SIGKILL)
        with self.mock() as server:
            self.assertIn(made, json.loads(ask(server, "/posts")[2]))

    def test_a_kill_after_a_reset_brings_back_what_was_after_it_or_before_but_no_mixture(self):
        """The data are so large that the file rests for a while when it has been written."""
        much = [{"id": str(number), "text": "x" * 100} for number in range(20000)]
        self.path.write_text(json.dumps({**DATA, "much": much}))
        journal = self.folder / "db.json.journal"

        def is_durable(item):
            return any(path.exists() and item["id"].encode() in path.read_bytes() for path in (self.path, journal))

        server = self.mock()
        first = self.post(server, "one")
        until(lambda: first in self.data()["posts"], "the first item in the file")
        second = self.post(server, "two")
        until(lambda: is_durable(second), "the second item on the disk")
        self.assertEqual(ask(server, "/__admin/reset", "POST")[0], 200)
        third = self.post(server, "three")
        until(lambda: is_durable(third), "the third item on the disk")
        server.stop(signal.SIGKILL)
        with self.mock() as server:
            self.assertEqual(json.loads(ask(server, "/posts")[2]), DATA["posts"] + [third])

    def test_changes_that_the_file_has_are_not_made_again(self):
        """The power fails when a file is in its place and the journal of the one before is still there."""
        self.killed_with_a_journal("one")
        self.path.write_text(json.dumps(DATA))
        file = self.path.stat()
        with (self.folder / "db.json.journal").open("a") as journal:
            journal.write(f'["base",{file.st_ino},{file.st_size},{file.st_mtime_ns}]\n')
        with self.mock() as server:
            self.assertEqual(json.loads(ask(server, "/posts")[2]), DATA["posts"])
        self.assertEqual(self.data(), DATA)
        self.assertEqual(self.files(), ["db.json"])

    def test_what_is_reset_after_somebody_else_changed_the_file_goes_beside_it_at_once(self):
        unsaved = self.folder / "db.json.unsaved"
        server = self.mock()
        self.post(server, "one")
        until(lambda: len(self.data()["posts"]) == 3, "the item in the file")
        self.path.write_text('{"posts": []}')
        self.post(server, "two")
        server.wait_for("is not overwritten")
        self.assertEqual(ask(server, "/__admin/reset", "POST")[0], 200)
        until(lambda: unsaved.exists() and unsaved.read_text().endswith("}\n"), "the file beside it")
        self.assertEqual(json.loads(unsaved.read_text()), DATA)
        server.stop(signal.SIGKILL)
        self.assertEqual(self.data(), {"posts": []})

    def test_a_journal_about_another_file_is_set_aside(self):
        self.killed_with_a_journal("one")
        other = {"posts": [{"id": "9", "title": "other"}]}
        self.path.write_text(json.dumps(other))
        with self.mock() as server:
            self.assertEqual(json.loads(ask(server, "/posts")[2]), other["posts"])
            self.assertIn("are not about this", server.log)
        self.assertEqual(self.files(), ["db.json", "db.json.journal.lost"])

    def test_a_file_that_somebody_else_has_changed_is_not_overwritten(self):
        with self.mock() as server:
            self.path.write_text('{"posts": []}')
            made = self.post(server, "wren")
            server.wait_for("changed by somebody else and is not overwritten")
            self.assertEqual(self.data(), {"posts": []})
        self.assertEqual(self.data(), {"posts": []})
        self.assertIn(made, json.loads((self.folder / "db.json.unsaved").read_text())["posts"])
        self.assertEqual(self.files(), ["db.json", "db.json.unsaved"])

    def test_what_somebody_else_changes_while_the_file_is_written_stays(self):
        much = [{"id": str(number), "text": "x" * 100} for number in range(20000)]
        self.path.write_text(json.dumps({**DATA, "much": much}))
        edited, new = self.folder / "edited", self.folder / "db.json.new"
        edited.write_text('{"posts": []}')
        with self.mock() as server:
            self.post(server, "wren")
            until(new.exists, "the new file")
            edited.replace(self.path)
            until(lambda: not new.exists(), "the end of the writing")
            self.assertEqual(self.data(), {"posts": []})
        self.assertEqual(self.data(), {"posts": []})

    def test_a_watched_file_is_read_again(self):
        with self.mock("--watch") as server:
            self.path.write_text('{"posts": [{"id": "7", "title": "new"}], "more": []}')
            until(lambda: ask(server, "/more")[0] == 200, "what the file says now")
            self.assertEqual([post["id"] for post in json.loads(ask(server, "/posts")[2])], ["7"])
            self.path.write_text('{"posts": [\n  {"id": 1,}\n]}')
            server.wait_for(r"db\.json has changed, but the last good data stay: .*line 2, column")
            self.assertEqual([post["id"] for post in json.loads(ask(server, "/posts")[2])], ["7"])
            self.path.write_text('{"posts": []}')
            until(lambda: ask(server, "/posts")[2] == b"[]", "what the file says now")
            made = self.post(server, "wren")
            until(lambda: self.data()["posts"] == [made], "the new item in the file")
        self.assertEqual(self.files(), ["db.json"])

    def test_a_watched_folder_is_read_again_and_not_written(self):
        folder = self.folder / "data"
        folder.mkdir()
        (folder / "posts.yaml").write_text("- id: a\n")
        with self.mock("--watch", path=folder) as server:
            self.post(server, "gone")
            (folder / "birds.json").write_text("[]")
            until(lambda: ask(server, "/birds")[0] == 200, "the new file")
            self.assertEqual([post["id"] for post in json.loads(ask(server, "/posts")[2])], ["a"])
        self.assertEqual((folder / "posts.yaml").read_text(), "- id: a\n")

    def test_a_link_stays_a_link(self):
        link = self.folder / "link.json"
        link.symlink_to("db.json")
        with self.mock(path=link) as server:
            made = self.post(server, "wren")
        self.assertTrue(link.is_symlink())
        self.assertIn(made, self.data()["posts"])


if __name__ == "__main__":
    unittest.main()
