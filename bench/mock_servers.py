"""The servers of the mock's part: each starts with the data of mock_data.py in a file of its own.

What is no package of Debian is built, or installed, beside bench/peers; what is absent is left out."""

import json
import re
import shutil
import subprocess

from mock_data import answers, compact, document
from servers import needed, nuthatch_binary, start_nginx, version_of
from stage import ROOT, Absent, free_port

PEERS = ROOT / "bench/peers"
BUILT = ROOT / "build/peers"
FILTER = "/posts?userId=3"


def data_file(stage, port):
    """A db.json in a folder of this server's, for servers that write beside it."""
    folder = stage.folder / f"data-{port}"
    folder.mkdir()
    path = folder / "db.json"
    path.write_text(compact(document()), encoding="utf-8")
    return path


def built(path, command, **options):
    """The program at `path`, made by `command` if it is not newer than bench/peers."""
    newest = max(file.stat().st_mtime for file in PEERS.rglob("*") if "node_modules" not in file.parts)
    if not path.exists() or path.stat().st_mtime < newest:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
        if done.returncode != 0:
            lines = (done.stderr + done.stdout).strip().splitlines()
            raise Absent(f"does not build: {next((line for line in lines if 'error' in line), lines[0] if lines else '?')}")
        path.touch()
    return path


def node_program(package, script):
    path = PEERS / "node_modules" / package / script
    if not path.exists():
        raise Absent("not installed: npm ci --prefix bench/peers")
    return [needed("node"), path]


# ---- nuthatch, with its data file kept ---------------------------------------------------------------


def start_nuthatch_mock(loop):
    def start(stage, name):
        path, port = nuthatch_binary(stage), free_port()
        return stage.start(name, [path, "mock", data_file(stage, port), "--listen", f"http://127.0.0.1:{port}",
                                  "--threads", 1, "--loop", loop], port)
    return start


# ---- answers that are told ---------------------------------------------------------------------------


def nginx_text(name, text):
    """Words of the configuration, 4 KiB at most each, that are `text` together."""
    parts = [text[i:i + 2000] for i in range(0, len(text), 2000)]
    words = [part.replace("\\", "\\\\").replace("'", "\\'") for part in parts]
    return ("".join(f"    geo ${name}_{i} {{ default '{word}'; }}\n" for i, word in enumerate(words)),
            "".join(f"${{{name}_{i}}}" for i in range(len(words))))


def start_nginx_answers(stage, name):
    declared, used = "", {}
    for part, text in answers().items():
        words, used[part] = nginx_text(part, text)
        declared += words
    return start_nginx(stage, name, declared, f"""
        location /articles {{ return 200 '{used["item"]}'; }}
        location /birds {{ return 200 '{used["list"]}'; }}
        location /posts {{
            if ($request_method = POST) {{ return 201 '{used["posted"]}'; }}
            return 200 '{used["filtered"]}';
        }}""")


def start_nginx_files(stage, name):
    folder = stage.folder / f"files-{free_port()}"
    (folder / "articles").mkdir(parents=True)
    texts = answers()
    for path, part in (("articles/42", "item"), ("birds", "list"), ("posts", "filtered")):
        (folder / path).write_text(texts[part], encoding="utf-8")
    return start_nginx(stage, name, "    sendfile on;\n    open_file_cache max=100;\n", f"        root {folder};")


def start_prism(stage, name):
    command, port = node_program("@stoplight/prism-cli", "dist/index.js"), free_port()
    folder = stage.folder / f"prism-{port}"
    folder.mkdir()
    shutil.copy(PEERS / "openapi.yaml", folder)
    for part, text in answers().items():
        (folder / f"{part}.json").write_text(text, encoding="utf-8")
    return stage.start(name, [*command, "mock", "--host", "127.0.0.1", "--port", port, "--verboseLevel", "silent",
                              folder / "openapi.yaml"], port)


# ---- collections -------------------------------------------------------------------------------------


def start_mockoon(stage, name):
    command, port = node_program("@mockoon/cli", "bin/run.js"), free_port()
    environment = json.loads((PEERS / "mockoon.json").read_text(encoding="utf-8"))
    for bucket in environment["data"]:
        bucket["value"] = compact(document()[bucket["name"]])
    environment["port"] = port
    path = stage.folder / f"mockoon-{port}.json"
    path.write_text(compact(environment), encoding="utf-8")
    server = stage.start(name, [*command, "start", "--data", path, "--port", port, "--hostname", "127.0.0.1",
                                "--disable-log-to-file"], port)
    server.targets[FILTER] = "/posts?userId_eq=3"
    return server


def start_json_server(package, script):
    def start(stage, name):
        command, port = node_program(package, script), free_port()
        quiet = ["--quiet"] if package.endswith("0.17") else []
        return stage.start(name, [*command, "--host", "127.0.0.1", "--port", port, *quiet, data_file(stage, port)], port)
    return start


def start_fastify(stage, name):
    node_program("fastify", "fastify.js")
    port = free_port()
    return stage.start(name, [needed("node"), PEERS / "fastify.mjs", port, data_file(stage, port)], port)


def start_go(stage, name):
    port = free_port()
    BUILT.mkdir(parents=True, exist_ok=True)
    program = built(BUILT / "go-server", [needed("go"), "build", "-o", BUILT / "go-server", PEERS / "server.go"])
    return stage.start(name, [program, port, data_file(stage, port)], port)


CARGO_CONFIG = """[source.crates-io]
replace-with = "debian"
[source.debian]
directory = "/usr/share/cargo/registry"
"""


def start_hyper(stage, name):
    """Built from Debian's crates alone, outside the tree: the lock file says which versions they are."""
    cargo, folder, port = needed("cargo"), BUILT / "hyper", free_port()
    shutil.copytree(PEERS / "hyper", folder, dirs_exist_ok=True)
    (folder / ".cargo").mkdir(exist_ok=True)
    (folder / ".cargo/config.toml").write_text(CARGO_CONFIG)
    program = built(folder / "target/release/hyper-peer", [cargo, "build", "--release", "--offline"], cwd=folder)
    return stage.start(name, [program, port, data_file(stage, port)], port)


MOCK_SERVERS = {
    "nginx return 200": start_nginx_answers,
    "nuthatch (io_uring)": start_nuthatch_mock("uring"),
    "nuthatch (epoll)": start_nuthatch_mock("epoll"),
    "nginx static file": start_nginx_files,
    "hyper": start_hyper,
    "Go net/http": start_go,
    "fastify": start_fastify,
    "json-server 1": start_json_server("json-server", "lib/bin.js"),
    "json-server 0.17": start_json_server("json-server-0.17", "lib/cli/bin.js"),
    "Prism": start_prism,
    "Mockoon": start_mockoon,
}


def versions():
    """What takes part beside Debian's servers, one line each."""
    lines = []
    for package in ("fastify", "json-server", "json-server-0.17", "@stoplight/prism-cli", "@mockoon/cli"):
        path = PEERS / "node_modules" / package / "package.json"
        lines.append(f"{package}: " + (json.loads(path.read_text())["version"] if path.exists() else "absent"))
    for program, argument in (("node", "--version"), ("go", "version"), ("cargo", "--version")):
        try:
            lines.append(f"{program}: {version_of([needed(program), argument])}")
        except Absent:
            lines.append(f"{program}: absent")
    lock = BUILT / "hyper/Cargo.lock"
    found = re.search(r'name = "hyper"\nversion = "(.*)"', lock.read_text()) if lock.exists() else None
    return lines + [f"hyper: {found.group(1) if found else 'absent'}"]
