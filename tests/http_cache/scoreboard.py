#!/usr/bin/python3
"""How many of the rows hold in nuthatch, nginx and Varnish: plays those that are not `ours` against each in turn.

    scoreboard.py [--markdown] [--only SERVER...]     --markdown: writes bench/results/DATE-http-cache-scoreboard.md too

nginx and Varnish are Debian's (`./dev bench` installs them); one that is not there is left out. Their settings are below:
those closest to HTTP that are a line each, as neither goes by HTTP alone out of the box.
"""
import argparse
import asyncio
import datetime
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "clients")]

from harness import BINARY, Nuthatch, Process, free_port  # noqa: E402
from run import all_rows, play_against, raise_file_limit, tally  # noqa: E402

NGINX = """
    daemon off; pid {folder}/pid; error_log stderr crit; worker_processes 2; user root;
    events {{ worker_connections 4096; }}
    http {{
        access_log off;
        client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
        uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
        proxy_cache_path {folder}/cache keys_zone=rows:16m max_size=256m;
        server {{
            listen 127.0.0.1:{port};
            client_max_body_size 0;
            location / {{
                proxy_pass http://127.0.0.1:{origin_port};
                proxy_http_version 1.1;
                proxy_set_header Host $http_host;
                proxy_set_header Connection "";
                proxy_pass_header Date;
                proxy_pass_header Server;
                proxy_cache rows;
                proxy_cache_revalidate on;
                proxy_cache_lock on;
                proxy_cache_background_update on;
                proxy_cache_use_stale error timeout invalid_header;
            }}
        }}
    }}
"""
VARNISH = 'vcl 4.1; backend default {{ .host = "127.0.0.1"; .port = "{origin_port}"; }}\n'
# Nothing is fresh that does not say so, nor stale for longer than it says; what is stale is kept to be validated.
VARNISH_PARAMETERS = ("default_ttl=0", "default_grace=0", "default_keep=600")


class InFolder(Process):
    """A server with a folder of its own, and the port it listens at."""

    def __init__(self, folder, port, command):
        super().__init__(command)
        self.folder, self.port = folder, port
        end = time.time() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.time() > end:
                    sys.exit(f"scoreboard.py: {command[0]} did not start:\n{self.log}")
                time.sleep(0.05)

    def stop(self, *arguments):
        try:
            return super().stop(*arguments)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


def nginx(origin_port):
    folder, port = tempfile.mkdtemp(prefix="nuthatch-scoreboard-"), free_port()
    pathlib.Path(folder, "nginx.conf").write_text(NGINX.format(folder=folder, port=port, origin_port=origin_port))
    return InFolder(folder, port, [found("nginx"), "-c", f"{folder}/nginx.conf", "-p", folder])


def varnish(origin_port):
    folder, port = tempfile.mkdtemp(prefix="nuthatch-scoreboard-"), free_port()
    pathlib.Path(folder, "rows.vcl").write_text(VARNISH.format(origin_port=origin_port))
    command = [found("varnishd"), "-F", "-j", "none", "-n", f"{folder}/work", "-a", f"127.0.0.1:{port}", "-f", f"{folder}/rows.vcl",
               "-s", "malloc,128m"]
    for parameter in VARNISH_PARAMETERS:
        command += ["-p", parameter]
    return InFolder(folder, port, command)


def nuthatch(origin_port):
    return Nuthatch("gateway", f"http://127.0.0.1:{origin_port}", "--memory", "128M", "--threads", "2")


def found(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


SERVERS = {  # how it is started, and what says its version
    "nuthatch": (nuthatch, [BINARY, "--version"]),
    "nginx": (nginx, ["nginx", "-v"]),
    "Varnish": (varnish, ["varnishd", "-V"]),
}


def version(command):
    path = found(command[0]) or (command[0] if os.path.exists(command[0]) else None)
    if path is None:
        return None
    run = subprocess.run([path, *command[1:]], capture_output=True, text=True, check=False)
    return (run.stdout + run.stderr).strip().splitlines()[0]


def played(name, rows):
    """The plays of the rows against this server."""
    origin_port = free_port()
    server = SERVERS[name][0](origin_port)
    try:
        return asyncio.run(play_against(rows, f"http://127.0.0.1:{server.port}", origin_port))
    finally:
        server.stop()


def table(outcomes):
    """Lines of Markdown: required and optional of each subject and server."""
    names = list(outcomes)
    lines = ["| | " + " | ".join(f"{name}: required | optional" for name in names) + " |", "|---" * (1 + 2 * len(names)) + "|"]
    subjects = sorted({play.row.subject for plays in outcomes.values() for play in plays})
    for subject in [*subjects, None]:
        cells = [tally(plays, kind, subject) for plays in outcomes.values() for kind in ("required", "optional")]
        lines.append(f"| {subject or 'all'} | " + " | ".join(cells) + " |")
    return lines


def failed(plays, kind):
    return [play.row.name for play in plays if play.problems and play.row.kind == kind]


def report(outcomes, versions, when):
    lines = [f"# Rules of HTTP caching, {when:%Y-%m-%d}", "",
             "Rows of `tests/http_cache` that hold, of those that can be asked of any shared cache: what RFC 9110, 9111 and 9112",
             "require, and reuse or extensions that are a cache's choice. `tests/http_cache/scoreboard.py` says with which settings.",
             "The rows are ours, so they ask for what we thought of; each is a page in `tests/http_cache/rows` to disagree with.", ""]
    lines += [f"- {name}: {versions[name]}" for name in outcomes]
    lines += ["", *table(outcomes), ""]
    for name, plays in outcomes.items():
        lines += [f"## What is required and does not hold in {name}", ""]
        lines += [f"- {row}" for row in failed(plays, "required")] or ["Nothing."]
        lines.append("")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--markdown", action="store_true", help="write the result into bench/results as well")
    parser.add_argument("--only", nargs="+", choices=list(SERVERS), default=list(SERVERS), help="these servers")
    arguments = parser.parse_args()
    raise_file_limit()
    rows = all_rows()
    versions = {name: version(SERVERS[name][1]) for name in arguments.only}
    for name in [name for name in arguments.only if versions[name] is None]:
        print(f"{name} is not installed, and left out")
    outcomes = {name: played(name, rows) for name in arguments.only if versions[name] is not None}
    when = datetime.datetime.now(datetime.timezone.utc)
    text = report(outcomes, versions, when)
    print(text)
    if arguments.markdown:
        path = HERE.parent.parent / "bench" / "results" / f"{when:%Y-%m-%d}-http-cache-scoreboard.md"
        path.write_text(text)
        print(f"written to {path}")


if __name__ == "__main__":
    main()
