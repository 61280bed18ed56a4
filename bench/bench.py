#!/usr/bin/python3
"""Runs nuthatch and its peers on the same work and writes a table: `bench.py --help`.

Servers are pinned to CPU 0 and the load to CPU 1. Rounds are interleaved (every server once, then every
server again), so that a noisy minute hurts all alike; the figures are medians of the rounds and the ratios
medians of each round's ratio. CPU µs per request is the server's own time, user and system, divided by the
requests it answered meanwhile: the figure that says what a core can carry.
"""

import argparse
import concurrent.futures
import ctypes
import datetime
import json
import os
import pathlib
import platform
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
SERVER_CPU, LOAD_CPU = 0, 1
IDLE_CONNECTIONS = 10_000
READY_SECONDS = 180  # HAProxy writes all over its memory first
CACHE_MIB = 2048  # of every HTTP cache: 10,000 answers of 100 KiB and what is kept beside them
CROWD, SLOW_MS = 1_000, 1_000  # clients at once; how long the origin takes
SOAK_CONNECTIONS, SOAK_LIFE = 5_000, 200  # batches of a connection before it makes way for a new one, about


class Absent(Exception):
    """A server that cannot take part, and why."""


# ---- progress ---------------------------------------------------------------------------------------


class Progress:
    """A bar on a terminal; in a pipe one line for every step."""

    def __init__(self):
        self.on_terminal = sys.stdout.isatty()
        self.done, self.total, self.begun = 0, 1, time.monotonic()

    def plan(self, total):
        self.total = max(total, 1)

    def step(self, text):
        self.done += 1
        seconds = time.monotonic() - self.begun
        if self.on_terminal:
            width = 24
            filled = width * self.done // self.total
            left = seconds / self.done * (self.total - self.done)
            room = shutil.get_terminal_size().columns - width - 16
            print(f"\r\x1b[K\x1b[32m{'█' * filled}\x1b[90m{'░' * (width - filled)}\x1b[0m "
                  f"{int(left) // 60}:{int(left) % 60:02} left  {text[:max(room, 10)]}", end="", flush=True)
        else:
            print(f"[{self.done}/{self.total}] {text}", flush=True)

    def show(self, text):
        """What is going on within a step; only where it can be overwritten."""
        if self.on_terminal:
            print(f"\r\x1b[K{text}", end="", flush=True)

    def say(self, text):
        print(("\r\x1b[K" if self.on_terminal else "") + text, flush=True)


# ---- processes --------------------------------------------------------------------------------------


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def pinned(cpu):
    """For preexec_fn: on one CPU, any if it is None, and ended with us even if we are killed."""
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def prepare():
        if cpu in os.sched_getaffinity(0):
            os.sched_setaffinity(0, {cpu})
        libc.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)

    return prepare


class Server:
    """One running server: its process, its children, its port."""

    def __init__(self, name, command, port, folder, cpu=SERVER_CPU):
        self.name, self.port = name, port
        self.log_path = folder / f"{port}.log"
        with open(self.log_path, "wb") as log:
            # A session of its own: Ctrl-C on the terminal comes to us, and we stop it in order.
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True, preexec_fn=pinned(cpu), cwd=folder)

    def wait_until_ready(self):
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Absent(f"ended at once: {self.last_words()}")
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise Absent(f"did not listen within {READY_SECONDS} seconds")

    def last_words(self):
        lines = self.log_path.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit status {self.process.returncode}"

    def pids(self):
        """Ours and all below it, the main one first."""
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop(0)
            found.append(pid)
            try:
                for task in os.listdir(f"/proc/{pid}/task"):
                    todo += map(int, pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split())
            except FileNotFoundError:
                pass
        return found

    def cpu_seconds(self):
        ticks = 0
        for pid in self.pids():
            try:
                fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
            except FileNotFoundError:
                pass
        return ticks / os.sysconf("SC_CLK_TCK")

    def rss_bytes(self):
        total = 0
        for pid in self.pids():
            try:
                for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
                    if line.startswith("VmRSS:"):
                        total += int(line.split()[1]) * 1024
            except FileNotFoundError:
                pass
        return total

    def ask_to_stop(self):
        if self.process.poll() is None:
            self.process.terminate()

    def stop(self):
        self.ask_to_stop()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            for pid in self.pids():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.process.wait()


class Stage:
    """Starts servers, runs load, and stops whatever it has started."""

    def __init__(self, tools, nuthatch):
        self.tools, self.nuthatch = tools, nuthatch
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nuthatch-bench-"))
        self.servers, self.loads, self.origin, self.origins = [], [], None, {}

    def start(self, name, command, port, cpu=SERVER_CPU):
        server = Server(name, [str(part) for part in command], port, self.folder, cpu)
        self.servers.append(server)
        try:
            server.wait_until_ready()
        except Absent:
            server.stop()  # it may yet begin, beside those that are measured
            raise
        return server

    def load(self, tool, **options):
        """Runs a load generator to its end and returns what it found."""
        command = [str(self.tools / tool)]
        for name, value in options.items():
            command += ["--" + name.replace("_", "-"), str(value)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, start_new_session=True, preexec_fn=pinned(LOAD_CPU))
        self.loads.append(process)
        try:
            out, err = process.communicate(timeout=900)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            self.loads.remove(process)
        if process.returncode != 0:
            raise RuntimeError(err.strip() or f"{tool} ended with status {process.returncode}")
        return json.loads(out) if out.strip() else {}

    def close(self):
        for process in self.loads:
            process.kill()
        for server in self.servers:  # all at once, then wait for each
            server.ask_to_stop()
        for server in self.servers:
            server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


# ---- the servers ------------------------------------------------------------------------------------


def needed(program):
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        raise Absent("not on PATH")
    return path


def version_of(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
        lines = (done.stdout + done.stderr).strip().splitlines()
        return lines[0].strip() if lines else "?"
    except (OSError, subprocess.TimeoutExpired):
        return "?"


def start_redis_like(program):
    def start(stage, name):
        path, port = needed(program), free_port()
        return stage.start(name, [path, "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no",
                                  "--maxmemory", "512mb", "--maxmemory-policy", "allkeys-lru", "--dir", stage.folder],
                           port)
    return start


def start_memcached(stage, name):
    path, port = needed("memcached"), free_port()
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    return stage.start(name, [path, "-l", "127.0.0.1", "-p", port, "-U", 0, "-c", 4096, "-t", 1, "-m", 512, *user],
                       port)


def start_pogocache(stage, name):
    path, port = needed("pogocache"), free_port()
    return stage.start(name, [path, "-p", port, "--threads", 1, "--maxmemory", "512mb"], port)


def nuthatch_binary(stage):
    if not stage.nuthatch.exists():
        raise Absent(f"not built: {stage.nuthatch} (--nuthatch PATH)")
    return stage.nuthatch


def start_nuthatch_cache(loop):
    def start(stage, name):
        path, port = nuthatch_binary(stage), free_port()
        return stage.start(name, [path, "cache", "--listen", f"tcp://127.0.0.1:{port}", "--threads", 1,
                                  "--memory", "512M", "--loop", loop], port)
    return start


NGINX = """
{user}
worker_processes 1;
worker_rlimit_nofile {files};
daemon off;
pid {folder}/nginx-{port}.pid;
error_log {folder}/nginx-{port}-error.log crit;
events {{ worker_connections {files}; }}
http {{
    access_log off;
    tcp_nodelay on;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    default_type application/json;
    client_body_temp_path {folder}/nginx-{port}-body;
    proxy_temp_path {folder}/nginx-{port}-proxy;
    fastcgi_temp_path {folder}/nginx-{port}-fastcgi;
    uwsgi_temp_path {folder}/nginx-{port}-uwsgi;
    scgi_temp_path {folder}/nginx-{port}-scgi;
{http}
    server {{
        listen 127.0.0.1:{port};
{server}
    }}
}}
"""


def json_of(size):
    text = json.dumps({"id": "1", "name": "Eurasian nuthatch", "note": ""}, separators=(",", ":"))
    return text[:-2] + "x" * (size - len(text)) + text[-2:]


def start_nginx(stage, name, http, server):
    path, port = needed("nginx"), free_port()
    config = stage.folder / f"nginx-{port}.conf"
    files = min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    user = "user root;" if os.geteuid() == 0 else ""  # the worker must reach our folder
    config.write_text(NGINX.format(user=user, port=port, folder=stage.folder, files=files, http=http, server=server))
    # nginx opens its default error log before it reads the configuration.
    return stage.start(name, [path, "-p", stage.folder, "-c", config, "-e", stage.folder / "nginx-error.log"], port)


def start_nginx_return(body, max_age):
    def start(stage, name):
        text = body.replace("\\", "\\\\").replace("'", "\\'").replace("$", "${dollar}")
        text = text.replace("x" * 1024, "${kib}")  # a word of the configuration has 4 KiB at most
        http = f"    geo $dollar {{ default '$'; }}\n    geo $kib {{ default '{'x' * 1024}'; }}\n"
        header = f"            add_header Cache-Control max-age={max_age};\n" if max_age else ""
        return start_nginx(stage, name, http, f"        location / {{\n{header}            return 200 '{text}';\n        }}")
    return start


def start_nginx_cache(stage, name):
    http = (f"    proxy_cache_path {stage.folder}/nginx-cache levels=1:2 keys_zone=one:64m max_size={CACHE_MIB}m inactive=1h "
            "use_temp_path=off;\n"
            f"    upstream origin {{ server 127.0.0.1:{stage.origin.port}; keepalive 16; }}")
    server = ("        location / {\n            proxy_pass http://origin;\n            proxy_http_version 1.1;\n"
              "            proxy_set_header Connection \"\";\n            proxy_cache one;\n"
              "            proxy_cache_lock on;\n        }")
    return start_nginx(stage, name, http, server)


def start_nginx_lock(stage, name):
    """nginx with what its documentation has against a crowd."""
    http = (f"    proxy_cache_path {stage.folder}/nginx-lock levels=1:2 keys_zone=two:64m max_size=256m inactive=1h "
            "use_temp_path=off;\n"
            f"    upstream slow {{ server 127.0.0.1:{stage.origin.port}; keepalive 1024; }}")
    server = ("        location / {\n            proxy_pass http://slow;\n            proxy_http_version 1.1;\n"
              "            proxy_set_header Connection \"\";\n            proxy_cache two;\n"
              "            proxy_cache_lock on;\n            proxy_cache_background_update on;\n"
              "            proxy_cache_use_stale updating;\n        }")
    return start_nginx(stage, name, http, server)


def start_slow_origin(stage):
    port = free_port()
    return stage.start("slow origin", [stage.tools / "slow_origin", "--port", port, "--delay-ms", SLOW_MS], port, LOAD_CPU)


def start_varnish(stage, name):
    path, port = needed("varnishd"), free_port()
    return stage.start(name, [path, "-F", "-j", "none", "-n", stage.folder / f"varnish-{port}", "-a", f"127.0.0.1:{port}",
                              "-b", f"127.0.0.1:{stage.origin.port}", "-s", f"malloc,{CACHE_MIB}m", "-T", "none"], port)


HAPROXY = """
global
    nbthread 1
    maxconn 4096
defaults
    mode http
    timeout connect 5s
    timeout client 600s
    timeout server 30s
    timeout http-keep-alive 600s
cache one
    total-max-size {mib}
    max-object-size 1000000
    max-age 3600
frontend front
    bind 127.0.0.1:{port}
    http-request cache-use one
    http-response cache-store one
    default_backend back
backend back
    server origin 127.0.0.1:{origin}
"""


def start_haproxy(stage, name):
    path, port = needed("haproxy"), free_port()
    config = stage.folder / f"haproxy-{port}.conf"
    config.write_text(HAPROXY.format(port=port, origin=stage.origin.port, mib=CACHE_MIB))
    return stage.start(name, [path, "-f", config], port)


def start_nuthatch_gateway(loop):
    def start(stage, name):
        path, port = nuthatch_binary(stage), free_port()
        return stage.start(name, [path, "gateway", f"http://127.0.0.1:{stage.origin.port}", "--listen",
                                  f"http://127.0.0.1:{port}", "--threads", 1, "--memory", f"{CACHE_MIB}M", "--loop", loop],
                           port)
    return start


def start_nuthatch_mock(loop):
    def start(stage, name):
        path, port = nuthatch_binary(stage), free_port()
        return stage.start(name, [path, "mock", ROOT / "examples/db.json", "--ephemeral", "--listen", f"http://127.0.0.1:{port}",
                                  "--threads", 1, "--loop", loop], port)
    return start


def start_json_server(stage, name):
    path, port = needed("json-server"), free_port()
    shutil.copy(ROOT / "examples/db.json", stage.folder / "db.json")
    return stage.start(name, [path, "--host", "127.0.0.1", "--port", port, stage.folder / "db.json"], port)


def mock_item():
    item = json.loads((ROOT / "examples/db.json").read_text(encoding="utf-8"))["birds"][0]
    return json.dumps(item, ensure_ascii=False, separators=(",", ":"))


# ---- the work ---------------------------------------------------------------------------------------


class Workload:
    """One table. `references`: whose CPU time per request the others' is divided by."""

    def __init__(self, name, references, tool, **options):
        self.name, self.references, self.tool, self.options = name, references, tool, options
        self.matrix = self.setting = None

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
                with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{target}", timeout=10) as answer:
                    answer.read()
        except OSError as why:
            raise Absent(f"does not answer: {why}") from why
    return ask


CACHED_SERVERS = {
    "nginx proxy_cache": start_nginx_cache,
    "Varnish": start_varnish,
    "HAProxy": start_haproxy,
    "nuthatch (io_uring)": start_nuthatch_gateway("uring"),
    "nuthatch (epoll)": start_nuthatch_gateway("epoll"),
    "nginx return 200": start_nginx_return(json_of(1024), 3600),
}


COALESCE_SERVERS = {
    "nginx proxy_cache_lock": start_nginx_lock,
    "Varnish": start_varnish,
    "nuthatch (io_uring)": start_nuthatch_gateway("uring"),
    "nuthatch (epoll)": start_nuthatch_gateway("epoll"),
}


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


# ---- running ----------------------------------------------------------------------------------------


class Bench:
    def __init__(self, stage, progress, rounds, seconds):
        self.stage, self.progress, self.rounds, self.seconds = stage, progress, rounds, seconds
        self.sections, self.absent, self.matrices = [], {}, {}

    def start_all(self, group, servers, prepare, steps_each):
        """Those that can take part, ready for the load."""
        running = {}
        for name, start in servers.items():
            server = None
            try:
                server = start(self.stage, name)
                prepare(self.stage, server)
                running[name] = server
            except (Absent, RuntimeError) as why:
                if server:  # nothing else is to run beside those that are measured
                    server.stop()
                self.absent[f"{group}: {name}"] = str(why).splitlines()[0]
                self.progress.total -= steps_each
        return running

    def run_group(self, group, servers, prepare, workloads):
        running = self.start_all(group, servers, prepare, len(workloads) * self.rounds)
        for workload in workloads:
            rows, failed = {name: [] for name in running}, {}
            for number in range(self.rounds):
                for name, server in running.items():
                    self.progress.step(f"{workload.name}: {name}, round {number + 1}")
                    if name in failed:
                        continue
                    try:
                        rows[name].append(self.measure(workload, server))
                    except RuntimeError as why:
                        failed[name] = str(why)
            if workload.matrix:
                self.matrices.setdefault(workload.matrix, []).append((workload.setting, rows))
                self.absent.update({f"{workload.name}: {name}": why for name, why in failed.items()})
                continue
            self.sections.append(speed_section(workload, rows, failed))
            self.progress.say(self.sections[-1])
        for server in running.values():
            server.ask_to_stop()
        for server in running.values():
            server.stop()

    def measure(self, workload, server):
        origin = self.stage.origin
        before = origin.cpu_seconds() if origin else 0
        result = self.stage.load(workload.tool, port=server.port, ms=int(self.seconds * 1000),
                                 pids=",".join(map(str, server.pids())), **workload.options)
        if origin and origin.cpu_seconds() - before > 0.05 * self.seconds:
            raise RuntimeError("the origin was busy: not all was answered from the cache")
        result["cpu_us"] = result["user_us"] + result["system_us"]
        result["rss_bytes"] = server.rss_bytes()
        return result

    def add_matrices(self):
        for name, lines in self.matrices.items():
            self.sections.append(matrix_section(name, lines))
            self.progress.say(self.sections[-1])

    def run_soak(self, seconds):
        """Both protocols at once, connections that come and go; resident memory is looked at all the while."""
        server = start_nuthatch_cache("auto")(self.stage, "nuthatch")
        for protocol in ("resp", "memcached"):
            fill(protocol)(self.stage, server)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            loads = {protocol: pool.submit(self.stage.load, "load_kv", port=server.port, protocol=protocol,
                                           connections=SOAK_CONNECTIONS // 2, life=SOAK_LIFE, set_percent=10, depth=4,
                                           ms=int(seconds * 1000), warm_up_ms=2000)
                     for protocol in ("resp", "memcached")}
            resident = []
            begun = time.monotonic()
            while not all(load.done() for load in loads.values()):
                time.sleep(1)
                resident.append((time.monotonic() - begun, server.rss_bytes()))
                self.progress.show(f"soak: {resident[-1][0]:.0f} s, {resident[-1][1] / 2**20:.1f} MiB")
        self.progress.step("soak")
        self.sections.append(soak_section(seconds, {name: load.result() for name, load in loads.items()}, resident))
        self.progress.say(self.sections[-1])
        server.stop()

    def run_coalesce(self, servers):
        """A crowd that asks for one thing: which is cacheable, which is not, known not to be, and just stale."""
        running = self.start_all("coalesce", servers, lambda stage, server: None, self.rounds)
        rows = {name: [] for name in running}
        for number in range(self.rounds):
            for name, server in running.items():
                self.progress.step(f"{CROWD:,} clients at once: {name}, round {number + 1}")
                stale = f"/max-age=1,_stale-while-revalidate=60/{number}"
                result = {"cold": self.crowd(server, f"/max-age=60/{number}"),
                          "uncacheable": self.crowd(server, f"/no-store/{number}"),
                          "known": self.crowd(server, f"/no-store/{number}")}
                self.stage.load("crowd_http", port=server.port, target=stale, clients=1)
                time.sleep(2)
                result["stale"] = self.crowd(server, stale)
                rows[name].append(result)
        self.sections.append(coalesce_section(rows))
        self.progress.say(self.sections[-1])
        for server in running.values():
            server.stop()

    def crowd(self, server, target):
        """What a crowd saw, and how many requests reached the origin for it."""
        self.origin_count()
        result = self.stage.load("crowd_http", port=server.port, target=target, clients=CROWD)
        result["requests"] = self.origin_count()
        return result

    def origin_count(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.stage.origin.port}/count", timeout=10) as answer:
            return int(answer.read())

    def run_idle(self):
        running = self.start_all("idle", CACHED_SERVERS, ask_once("/bird"), 1)
        rows = []
        for name, server in running.items():
            self.progress.step(f"{IDLE_CONNECTIONS:,} idle connections: {name}")
            try:
                rows.append((name, *self.hold_idle(server)))
            except RuntimeError as why:
                rows.append((name, None, str(why)))
        self.sections.append(idle_section(rows))
        self.progress.say(self.sections[-1])
        for server in running.values():
            server.stop()

    def hold_idle(self, server):
        """RSS before, with all idle, and how many the server had kept by then."""
        before = server.rss_bytes()
        process = subprocess.Popen([str(self.stage.tools / "idle_http"), "--port", str(server.port), "--target",
                                    "/bird", "--connections", str(IDLE_CONNECTIONS)], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   start_new_session=True, preexec_fn=pinned(LOAD_CPU))
        self.stage.loads.append(process)
        try:
            if not process.stdout.readline():
                raise RuntimeError(process.stderr.read().strip() or "the load generator ended")
            time.sleep(0.5)
            idle = server.rss_bytes()
            out, _ = process.communicate(timeout=60)
            kept = json.loads(out)["open"]
            if kept != IDLE_CONNECTIONS:
                raise RuntimeError(f"the server kept only {kept} connections")
            return before, idle
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            self.stage.loads.remove(process)


def count_steps(groups, rounds):
    return sum(len(servers) * len(workloads) * rounds for _, servers, _, workloads in groups)


# ---- tables -----------------------------------------------------------------------------------------


def table(head, rows, words=(0,)):
    """Columns `words` hold words and are aligned to the left; the others hold numbers."""
    lines = [head, ["---" if i in words else "--:" for i in range(len(head))]] + rows
    widths = [max(len(str(line[i])) for line in lines) for i in range(len(head))]
    def cell(text, i):
        return str(text).ljust(widths[i]) if i in words else str(text).rjust(widths[i])
    return "\n".join("| " + " | ".join(cell(text, i) for i, text in enumerate(line)) + " |" for line in lines)


def median(rows, key):
    return statistics.median(row[key] for row in rows)


def median_ratio(results, reference):
    """Round by round, so that a noisy round spoils both sides; a dash if the reference was not measured."""
    ratios = [a["cpu_us"] / b["cpu_us"] for a, b in zip(results, reference)]
    return f"{statistics.median(ratios):.2f}" if ratios else "–"


def speed_section(workload, rows, failed):
    head = ["server", "requests/s", "p50 µs", "p99 µs", "p99.9 µs", "CPU µs/request", "user", "system", "RSS MiB",
            *(f"CPU ÷ {reference}" for reference in workload.references)]
    lines = []
    for name, results in rows.items():
        if name in failed or not results:
            continue
        ratios = [median_ratio(results, rows.get(reference, [])) for reference in workload.references]
        lines.append([name, f"{median(results, 'per_second'):,.0f}", f"{median(results, 'p50_us'):.0f}",
                      f"{median(results, 'p99_us'):.0f}", f"{median(results, 'p999_us'):.0f}",
                      f"{median(results, 'cpu_us'):.2f}", f"{median(results, 'user_us'):.2f}",
                      f"{median(results, 'system_us'):.2f}", f"{median(results, 'rss_bytes') / 2**20:.1f}", *ratios])
    text = f"## {workload.name}\n\n{table(head, lines)}\n"
    for name, why in failed.items():
        text += f"\n{name} failed: {why}\n"
    return text


def matrix_section(name, lines):
    servers = [server for server in lines[0][1] if any(rows[server] for _, rows in lines)]
    ours = [server for server in servers if server.startswith("nuthatch")]
    peers = [server for server in servers if server not in ours]

    def columns(key, digits):
        head = [*(title.replace("_", " ") for title in lines[0][0]), *(f"{server}, µs" for server in servers),
                *(f"{server} ÷ best peer" for server in ours)]
        cells = []
        for setting, rows in lines:
            each = {server: median(rows[server], key) for server in servers if rows[server]}
            best = min((each[server] for server in peers if server in each), default=None)
            cells.append([*(f"{number:,}" for number in setting.values()),
                          *(f"{each[server]:.{digits}f}" if server in each else "–" for server in servers),
                          *(f"{each[server] / best:.2f}" if server in each and best else "–" for server in ours)])
        return table(head, cells, words=())
    return (f"## {name}: server CPU µs per request\n\n{columns('cpu_us', 2)}\n\n"
            f"## {name}: p99 µs\n\n{columns('p99_us', 0)}\n")


def soak_section(seconds, loads, resident):
    tenth = max(len(resident) // 10, 1)
    marks = [("after a tenth", resident[tenth - 1]), ("at half", resident[len(resident) // 2]),
             ("at the end", resident[-2] if len(resident) > 1 else resident[-1]),
             ("at most", max(resident, key=lambda mark: mark[1]))]
    rows = [[name, f"{load['requests']:,}", f"{load['p50_us'] / 1000:.1f}", f"{load['p99_us'] / 1000:.1f}",
             f"{load['p999_us'] / 1000:.1f}"] for name, load in loads.items()]
    return (f"## Soak: {SOAK_CONNECTIONS:,} connections that come and go, {seconds:g} s, 10 % SET\n\n"
            + table(["protocol", "requests", "p50 ms", "p99 ms", "p99.9 ms"], rows) + "\n\n"
            + table(["resident", "at s", "MiB"], [[name, f"{at:.0f}", f"{size / 2**20:.1f}"]
                                                  for name, (at, size) in marks]) + "\n")


def coalesce_section(rows):
    parts = ("cold", "uncacheable", "known", "stale")
    head = ["server", "cacheable: requests", "last s", "uncacheable: requests", "median s", "last s",
            "once that is known: last s", "just stale: requests", "last s"]
    lines = []
    for name, results in rows.items():
        if not results:
            continue
        cold, uncacheable, known, stale = ([result[part] for result in results] for part in parts)
        def seconds(row, key):
            return f"{median(row, key) / 1000:.3f}"
        lines.append([name, f"{median(cold, 'requests'):.0f}", seconds(cold, "last_ms"),
                      f"{median(uncacheable, 'requests'):.0f}", seconds(uncacheable, "median_ms"),
                      seconds(uncacheable, "last_ms"), seconds(known, "last_ms"),
                      f"{median(stale, 'requests'):.0f}", seconds(stale, "last_ms")])
    return (f"## {CROWD:,} clients at once, one URL, an origin that takes {SLOW_MS / 1000:g} s\n\n"
            f"{table(head, lines)}\n")


def idle_section(rows):
    head = ["server", "RSS MiB before", "RSS MiB with all idle", "bytes per connection"]
    lines, failures = [], ""
    for name, before, after in rows:
        if before is None:
            failures += f"\n{name} failed: {after}\n"
        else:
            lines.append([name, f"{before / 2**20:.1f}", f"{after / 2**20:.1f}",
                          f"{(after - before) / IDLE_CONNECTIONS:,.0f}"])
    return f"## {IDLE_CONNECTIONS:,} idle keep-alive connections\n\n{table(head, lines)}\n{failures}"


def versions(nuthatch):
    found = []
    for program, argument in (("redis-server", "--version"), ("valkey-server", "--version"), ("memcached", "--version"),
                              ("pogocache", "--version"), ("nginx", "-v"), ("varnishd", "-V"), ("haproxy", "-v"),
                              ("json-server", "--version")):
        try:
            found.append(f"- {program}: {version_of([needed(program), argument])}")
        except Absent:
            found.append(f"- {program}: absent")
    if nuthatch.exists():
        found.append(f"- nuthatch: {version_of([str(nuthatch), '--version'])}")
    return "\n".join(found)


def cpu_model():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def report(bench, arguments):
    now = datetime.datetime.now(datetime.timezone.utc)
    text = [f"# Bench of {now:%Y-%m-%d %H:%M} UTC\n",
            f"{cpu_model()}, {os.cpu_count()} CPUs, Linux {platform.release()}. Server on CPU {SERVER_CPU}, load on CPU "
            f"{LOAD_CPU}; medians of {bench.rounds} interleaved rounds of {bench.seconds:g} s. Keys and values of the "
            "cache workloads: 100,000 keys of 11 bytes, values of 100 bytes.\n",
            versions(arguments.nuthatch) + "\n"]
    if bench.absent:
        text.append("Not measured:\n\n" + "\n".join(f"- {name}: {why}" for name, why in bench.absent.items()) + "\n")
    folder = ROOT / "bench/results"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{now:%Y-%m-%d-%H%M%S}.md"
    path.write_text("\n".join(text + bench.sections), encoding="utf-8")
    return path


def build_tools(folder):
    """The load generators, built where nothing else is."""
    for command in (["cmake", "-S", ROOT / "bench", "-B", folder, "-G", "Ninja"], ["cmake", "--build", folder]):
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"cannot build the load generators:\n{done.stdout}{done.stderr}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two rounds of 0.8 s: under two minutes, rough")
    parser.add_argument("--only", choices=("kv", "http", "idle", "coalesce", "matrix", "http-matrix", "soak"),
                        help="one part instead of the first three; coalesce: a thousand clients that want the same thing "
                             "at once, a minute a round; matrix: every operation, size, depth and number of connections of "
                             "the cache, an hour and a half; http-matrix: every size, spread and number of connections of "
                             "the gateway, 20 minutes; soak: 5,000 connections that come and go, five minutes")
    parser.add_argument("--value-bytes", type=int, nargs="+", choices=MATRIX_VALUES, default=list(MATRIX_VALUES),
                        help="the sizes of values of the matrix (all three)")
    parser.add_argument("--rounds", type=int, help="how many (5)")
    parser.add_argument("--seconds", type=float, help="of each measurement (3)")
    parser.add_argument("--nuthatch", type=pathlib.Path, default=ROOT / "build/release/nuthatch", help="the binary")
    parser.add_argument("--tools", type=pathlib.Path,
                        help="a folder with load_kv, load_http and the others; without it they are built in build/bench")
    arguments = parser.parse_args()
    arguments.nuthatch = arguments.nuthatch.resolve()
    rounds = arguments.rounds or (2 if arguments.quick else 5)
    seconds = arguments.seconds or (0.8 if arguments.quick else 3)
    if rounds < 1 or seconds < 0.1:
        parser.error("need at least one round of 0.1 seconds")

    tools = arguments.tools
    if tools is None:
        tools = ROOT / "build/bench"
        build_tools(tools)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    parts = [arguments.only] if arguments.only else ["kv", "http", "idle"]

    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell had them ignored
        signal.signal(number, signal.default_int_handler)
    stage, progress = Stage(tools.resolve(), arguments.nuthatch), Progress()
    bench = Bench(stage, progress, rounds, seconds)
    try:
        makers = {"kv": kv_groups, "http": http_groups, "matrix": lambda: matrix_groups(arguments.value_bytes),
                  "http-matrix": http_matrix_groups}
        groups = [group for part, make in makers.items() if part in parts for group in make()]
        progress.plan(count_steps(groups, rounds) + (len(CACHED_SERVERS) if "idle" in parts else 0) + ("soak" in parts) +
                      (len(COALESCE_SERVERS) * rounds if "coalesce" in parts else 0))
        if "http" in parts or "idle" in parts:
            stage.origin = start_nginx_return(json_of(1024), 3600)(stage, "origin")
        for group in groups:
            bench.run_group(*group)
        bench.add_matrices()
        if "idle" in parts:
            bench.run_idle()
        if "coalesce" in parts:
            stage.origin = start_slow_origin(stage)
            bench.run_coalesce(COALESCE_SERVERS)
        if "soak" in parts:
            bench.run_soak(arguments.seconds or (20 if arguments.quick else 300))
        progress.say(f"Saved as {report(bench, arguments).relative_to(ROOT)}")
        for name, why in bench.absent.items():
            print(f"not measured: {name}: {why}")
    except Absent as why:
        sys.exit(f"the origin server (nginx): {why}")
    except KeyboardInterrupt:
        progress.say("Stopped.")
        sys.exit(130)
    finally:
        # A second Ctrl-C must not leave anything running.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        stage.close()


if __name__ == "__main__":
    main()
