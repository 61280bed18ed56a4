#!/usr/bin/python3
"""test_mock_json_server.py — the mock answers what json-server 0.17 and 1 answer, row by row.

json_server_rows.json holds requests with what both generations answered. A row with "here" is one where we differ on
purpose, and "why" says why: then it is "here" that must hold. Ids that a server chose are not compared."""
import http.client
import json
import os
import pathlib
import re
import tempfile
import unittest

from harness import Nuthatch

ROWS = json.loads((pathlib.Path(__file__).parent / "json_server_rows.json").read_text())


def ask(port, row):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    method, target = row["ask"].split(" ", 1)
    fields = dict(row.get("fields", {}))
    body = row.get("body")
    if body is not None:
        fields.setdefault("Content-Type", "application/json")
    connection.request(method, target, body, fields)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response, content


def pages(link):
    return {name: int(page) for page, name in re.findall(r'[?&]_page=(-?\d+)[^>]*>; rel="(\w+)"', link or "")}


def without_id(value):
    return {name: member for name, member in value.items() if name != "id"} if isinstance(value, dict) else value


def differences(wanted, response, content):
    """What of the answer is not as wanted."""
    try:
        value = json.loads(content)
    except ValueError:
        value = None
    found = {"status": response.status, "body": value, "pages": pages(response.getheader("Link"))}
    found["ids"] = [item.get("id") for item in value if isinstance(item, dict)] if isinstance(value, list) else None
    found["total"] = int(response.getheader("X-Total-Count") or -1)
    found["body_but_id"] = without_id(value)
    return [f"{name}: {found[name]!r}, wanted {wanted[name]!r}" for name in wanted if found[name] != wanted[name]]


def fresh_starts():
    """The scenarios, each a list of rows, by the start of a server that they need: those that change nothing share one."""
    reading, starts = [], []
    for rows in ROWS["scenarios"].values():
        if all(row["ask"].split(" ")[0] in ("GET", "HEAD", "OPTIONS", "TRACE", "LOCK") for row in rows):
            reading += rows
        else:
            starts.append(rows)
    return [reading] + starts


class JsonServer(unittest.TestCase):
    def play(self, compat):
        wrong = []
        for rows in fresh_starts():
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "db.json")
                pathlib.Path(path).write_text(json.dumps(ROWS["data"]))
                with Nuthatch("mock", path, "--compat", compat, "--threads", "1") as server:
                    for row in rows:
                        wanted = row.get("here", {}).get(compat) or row.get(compat)
                        if wanted is None:
                            continue
                        wrong += [f"{row['ask']} {row.get('body', '')}: {what}"
                                  for what in differences(wanted, *ask(server.port, row))]
        self.assertEqual(wrong, [])

    def test_0_17_is_answered_row_by_row(self):
        self.play("0.17")

    def test_1_is_answered_row_by_row(self):
        self.play("1")

    def test_every_row_that_differs_says_why(self):
        for rows in ROWS["scenarios"].values():
            for row in rows:
                for compat in row.get("here", {}):
                    self.assertTrue(ROWS["reasons"][row["why"][compat]], row["ask"])


if __name__ == "__main__":
    unittest.main()
