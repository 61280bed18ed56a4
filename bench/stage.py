"""Processes: servers and the load on them, pinned and ended in order."""

import ctypes
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SERVER_CPU, LOAD_CPU = 0, 1
READY_SECONDS = 180  # HAProxy writes all over its memory first


class Absent(Exception):
    """A server that cannot take part, and why."""


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
    """One running server: its process, its children, its port. Its output goes to `log`, or to a file."""

    def __init__(self, name, command, port, folder, cpu=SERVER_CPU, log=None):
        self.name, self.port = name, port
        self.targets = {}  # what it calls otherwise: a target of ours, its own
        self.log_path = folder / f"{port}.log"
        with open(self.log_path, "wb") as file:
            log = file if log is None else log
            # A session of its own: Ctrl-C on the terminal comes to us, and we stop it in order.
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True, preexec_fn=pinned(cpu), cwd=folder)

    def target(self, target):
        return self.targets.get(target, target)

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

    def start(self, name, command, port, cpu=SERVER_CPU, log=None):
        server = Server(name, [str(part) for part in command], port, self.folder, cpu, log)
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


def build_tools(folder):
    """The load generators, built where nothing else is."""
    for command in (["cmake", "-S", ROOT / "bench", "-B", folder, "-G", "Ninja"], ["cmake", "--build", folder]):
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"cannot build the load generators:\n{done.stdout}{done.stderr}")
