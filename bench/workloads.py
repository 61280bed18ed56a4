"""What is measured: groups of workloads, each on a set of servers that are prepared in the same way."""

import urllib.request

from mock_data import POSTED
from mock_servers import FILTER, MOCK_SERVERS
from servers import (CACHED_SERVERS, json_of, mock_item, start_json_server, start_memcached, start_nginx_return,
                     start_nuthatch_cache, start_nuthatch_mock, start_pogocache, start_redis_like)
from stage import Absent

IDLE_CONNECTIONS = 10_000
CROWD = 1_000  # clients at once
SOAK_CONNECTIONS, SOAK_LIFE = 5_000, 200  # batches of a connection before it makes way for a new one, about


class Workload:
    """One table. `references`: whose CPU time per request the others' is divided by."""

    def __init__(self, name, references, tool, **options):
        self.name, self.references, self.tool, self.options = name, references, tool, options
        self.matrix = self.setting = None
        self.is_fresh, self.left_out = False, ()

    def on_fresh_servers(self):
        """For what leaves its mark: every measurement has a server of its own."""
        self.is_fresh = True
        return self

    def without(self, *servers):
        """For servers that cannot do this."""
        self.left_out = servers
        return self

    def in_matrix(self, matrix, **setting):
        """One row of a table that has a column for each server."""
        self.matrix, self.setting = matrix, setting
        return self


def fill(protocol, value_bytes=100, keys=100_000):
    return lambda stage, server: stage.load("load_kv", port=server.port, protocol=protocol, fill=1,
                                            value_bytes=value_bytes, keys=keys)


def fill_and_warm(protocol, value_bytes, keys):
    """Also touches the memory that values will be written over into, which a machine may be slow to give."""
    def prepare(stage, server):
        fill(protocol, value_bytes, keys)(stage, server)
        stage.load("load_kv", port=server.port, protocol=protocol, value_bytes=value_bytes, keys=keys, set_percent=100,
                   depth=4, ms=4000)
    return prepare


def cache_servers():
    resp = {
        "Redis": start_redis_like("redis-server"),
        "Valkey": start_redis_like("valkey-server"),
        "pogocache": start_pogocache,
        "nuthatch (io_uring)": start_nuthatch_cache("uring"),
        "nuthatch (epoll)": start_nuthatch_cache("epoll"),
    }
    memcached = {
        "memcached": start_memcached,
        "nuthatch (io_uring)": start_nuthatch_cache("uring"),
        "nuthatch (epoll)": start_nuthatch_cache("epoll"),
    }
    return {"resp": resp, "memcached": memcached}


def kv_groups():
    resp, memcached = cache_servers().values()
    kv = {"tool": "load_kv", "connections": 50}
    yield "RESP", resp, fill("resp"), [
        Workload("RESP GET, 50 connections, depth 1", ["Redis"], protocol="resp", depth=1, **kv),
        Workload("RESP GET, 50 connections, depth 16", ["Redis"], protocol="resp", depth=16, **kv),
        Workload("RESP SET, 50 connections, depth 16", ["Redis"], protocol="resp", depth=16, set_percent=100, **kv),
        Workload("RESP 90 % GET 10 % SET, 50 connections, depth 16", ["Redis"], protocol="resp", depth=16,
                 set_percent=10, **kv),
    ]
    yield "memcached", memcached, fill("memcached"), [
        Workload("memcached get, 50 connections, depth 1", ["memcached"], protocol="memcached", depth=1, **kv),
    ]


# Size of the values: how many there are, so that all of them fit in any server.
MATRIX_VALUES = {100: 100_000, 1024: 100_000, 16384: 16_000}


def matrix_groups(sizes):
    """Every operation at every depth, size of value and number of connections, over both protocols."""
    operations = {"GET": {}, "SET": {"set_percent": 100}, "90 % GET, 10 % SET": {"set_percent": 10},
                  "GET of 10 keys at once": {"get_keys": 10}}
    for protocol, servers in cache_servers().items():
        for value_bytes in sizes:
            keys = MATRIX_VALUES[value_bytes]
            yield f"{protocol}, {value_bytes} bytes", servers, fill_and_warm(protocol, value_bytes, keys), [
                Workload(f"{protocol} {operation}, {value_bytes} bytes, {connections} connections, depth {depth}", [],
                         "load_kv", protocol=protocol, value_bytes=value_bytes, keys=keys, connections=connections,
                         depth=depth, **options).in_matrix(f"{protocol}: {operation}", bytes_of_the_value=value_bytes,
                                                            connections=connections, depth=depth)
                for operation, options in operations.items() for connections in (50, 1000) for depth in (1, 16, 64)
                if value_bytes * depth * options.get("get_keys", 1) <= 1 << 20]


HTTP_TARGETS = 10_000


def http_matrix_groups():
    """Cached answers of every size: one that all ask for, and many; from few connections and from many."""
    for kib in (1, 10, 100):
        def fill_http(stage, server, kib=kib):
            stage.origin = stage.origins[kib]
            ask_once("/bird")(stage, server)
            stage.load("load_http", port=server.port, target="/bird", targets=HTTP_TARGETS, fill=1, connections=16, ms=120_000)

        def start_with(start, kib=kib):
            def start_it(stage, name):
                if kib not in stage.origins:
                    stage.origins[kib] = start_nginx_return(json_of(kib * 1024), 3600)(stage, "origin")
                stage.origin = stage.origins[kib]
                return start(stage, name)
            return start_it
        servers = {name: start_with(start) for name, start in CACHED_SERVERS.items()}
        servers["nginx return 200"] = start_nginx_return(json_of(kib * 1024), 3600)
        yield f"HTTP, {kib} KiB", servers, fill_http, [
            Workload(f"HTTP GET, {kib} KiB, {what}, {connections} connections", [], tool="load_http", target="/bird",
                     connections=connections, targets=targets)
            .in_matrix(f"HTTP GET of cached JSON, {what}", KiB=kib, connections=connections)
            for what, targets in (("one", 0), (f"{HTTP_TARGETS:,} at random", HTTP_TARGETS)) for connections in (64, 1000)]


def ask_once(target):
    """Has the answer stored. Some servers listen before they can answer: the first one is waited for."""
    def ask(stage, server):
        try:
            for _ in range(3):
                with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{server.target(target)}", timeout=10) as answer:
                    answer.read()
        except OSError as why:
            raise Absent(f"does not answer: {why}") from why
    return ask


def http_groups():
    mock = {
        "nginx return 200": start_nginx_return(mock_item(), 0),
        "json-server": start_json_server,
        "nuthatch (io_uring)": start_nuthatch_mock("uring"),
        "nuthatch (epoll)": start_nuthatch_mock("epoll"),
    }
    yield "HTTP", CACHED_SERVERS, ask_once("/bird"), [
        Workload("HTTP GET of 1 KiB of cached JSON, 64 connections", ["nginx proxy_cache", "nginx return 200"],
                 tool="load_http", connections=64, target="/bird"),
    ]
    yield "mock", mock, ask_once("/birds/1"), [
        Workload("Mock API, GET of an item, 64 connections", ["nginx return 200"], tool="load_http", connections=64,
                 target="/birds/1"),
    ]


def mock_groups():
    def prepare(stage, server):
        for target in ("/articles/42", "/birds", FILTER):
            ask_once(target)(stage, server)
    http = {"references": ["nginx return 200", "hyper"], "tool": "load_http", "connections": 64}
    yield "mock", MOCK_SERVERS, prepare, [
        Workload("Mock API, GET of an item of 1 KiB", target="/articles/42", **http),
        Workload("Mock API, GET of a list of 100, 33 KiB", target="/birds", **http),
        Workload("Mock API, GET of 10 of 10,000 records by ?userId=3", target=FILTER, **http),
        Workload("Mock API, POST of 250 bytes beside 10,000 records", target="/posts", post=POSTED, **http)
        .without("nginx static file").on_fresh_servers(),
    ]


def count_steps(groups, rounds):
    return sum(len([name for name in servers if name not in workload.left_out]) * rounds
               for _, servers, _, workloads in groups for workload in workloads)
