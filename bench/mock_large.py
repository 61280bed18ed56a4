"""A mock of a million records: how long until it answers, what it takes, how fast it is then, and whether it says how
far it is meanwhile."""

import http.client
import os
import re
import statistics
import threading
import time

from mock_data import USER_POSTS, write_large
from mock_servers import node_program
from report import table
from servers import nuthatch_binary
from stage import READY_SECONDS, Absent, free_port

RECORDS = 1_000_000
ASKED, ASKED_SECONDS = 500, 10  # requests of each kind, one after the other, and how long at most


class Terminal:
    """One that a server writes to; what it wrote is read all the while, so that it never waits."""

    def __init__(self):
        self.ours, self.theirs = os.openpty()
        self.text = b""
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        try:
            while piece := os.read(self.ours, 65536):
                self.text += piece
        except OSError:  # the other end is closed
            pass

    def steps(self):
        """How many percentages the bar has shown."""
        os.close(self.theirs)
        self.reader.join(1)
        return len(set(re.findall(rb"(\d+) %", self.text)))


def start_nuthatch(stage, name, path):
    program, port, terminal = nuthatch_binary(stage), free_port(), Terminal()
    server = stage.start(name, [program, "mock", path, "--ephemeral", "--listen", f"http://127.0.0.1:{port}"], port,
                         log=terminal.theirs)
    return server, terminal


def start_json_server(package, script):
    def start(stage, name, path):
        port = free_port()
        return stage.start(name, [*node_program(package, script), "--host", "127.0.0.1", "--port", port, path], port), None
    return start


SERVERS = {
    "nuthatch": start_nuthatch,
    "json-server 1": start_json_server("json-server", "lib/bin.js"),
    "json-server 0.17": start_json_server("json-server-0.17", "lib/cli/bin.js"),
}


def milliseconds(connection, target):
    begun = time.monotonic()
    connection.request("GET", target)
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise Absent(f"answers {answer.status} to {target}")
    return (time.monotonic() - begun) * 1000


def ask_many(connection, target_of):
    """The median and the 99th percentile, in ms."""
    begun, taken = time.monotonic(), []
    for number in range(ASKED):
        taken.append(milliseconds(connection, target_of(number)))
        if time.monotonic() - begun > ASKED_SECONDS:
            break
    return statistics.median(taken), sorted(taken)[(len(taken) * 99 - 1) // 100]


def measure(stage, name, start, path):
    begun = time.monotonic()
    server, terminal = start(stage, name, path)
    try:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=READY_SECONDS)
        milliseconds(connection, "/posts/1")  # some listen before they have read what they are to answer
        seconds, cpu_seconds, started_bytes = time.monotonic() - begun, server.cpu_seconds(), server.rss_bytes()
        users = RECORDS // USER_POSTS
        first_ms = milliseconds(connection, "/posts?userId=3")
        item = ask_many(connection, lambda number: f"/posts/{number * 7919 % RECORDS + 1}")
        filtered = ask_many(connection, lambda number: f"/posts?userId={number * 7919 % users + 1}")
        return [name, f"{seconds:.1f}", f"{cpu_seconds:.1f}", f"{started_bytes / 2**20:,.0f}", f"{server.rss_bytes() / 2**20:,.0f}",
                *(f"{ms:.2f}" for ms in (*item, first_ms, *filtered)), "–" if terminal is None else str(terminal.steps())]
    finally:
        server.stop()
        stage.servers.remove(server)


def run_mock_large(bench):
    stage, rows = bench.stage, []
    path = stage.folder / "large" / "db.json"
    path.parent.mkdir()
    bench.progress.show(f"writing {RECORDS:,} records")
    write_large(path, RECORDS)
    size = path.stat().st_size
    for name, start in SERVERS.items():
        bench.progress.step(f"{RECORDS:,} records: {name}")
        try:
            rows.append(measure(stage, name, start, path))
        except (Absent, OSError, http.client.HTTPException) as why:
            bench.absent[f"{RECORDS:,} records: {name}"] = str(why)
    head = ["server", "s until it answers", "CPU s", "RSS MiB then", "at the end", "item ms", "p99", "first filter ms", "filter ms",
            "p99", "percentages of the bar"]
    bench.sections.append(f"## Mock API, {RECORDS:,} records, {size / 2**20:,.0f} MiB\n\n{table(head, rows)}\n")
    bench.progress.say(bench.sections[-1])
