"""The servers of every part but the mock's: a function for each that starts it with `stage`, called `name`, or raises
Absent."""

import json
import os
import resource
import shutil
import subprocess

from stage import LOAD_CPU, ROOT, Absent, free_port

CACHE_MIB = 2048  # of every HTTP cache: 10,000 answers of 100 KiB and what is kept beside them
SLOW_MS = 1_000  # how long the slow origin takes


def needed(program):
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        raise Absent("not on PATH")
    return path


def first_of(*programs):
    for program in programs:
        try:
            return needed(program)
        except Absent:
            pass
    raise Absent(f"{' or '.join(programs)}: not on PATH")


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
