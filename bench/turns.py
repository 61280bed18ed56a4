"""Counts the turns of a server's event loop, by what strace sees of its waiting."""

import pathlib
import re
import subprocess
import time

from servers import first_of
from stage import LOAD_CPU, Absent, pinned

ATTACH_SECONDS = 10


class Turns:
    """Within `with`: `count` afterwards is how often one of the server's loops had something to do. It slows the server
    down: for what is counted, not for what is timed."""

    def __init__(self, stage, server):
        self.server, self.path, self.count = server, stage.folder / "strace", 0
        self.command = [first_of("strace"), "-f", "-qq", "-e", "trace=epoll_wait,epoll_pwait,io_uring_enter", "-e", "signal=none",
                        "-o", str(self.path), "-p", str(server.process.pid)]

    def is_attached(self):
        return all(re.search(r"^TracerPid:\t[1-9]", path.read_text(encoding="utf-8"), re.MULTILINE)
                   for path in pathlib.Path(f"/proc/{self.server.process.pid}/task").glob("*/status"))

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=pinned(LOAD_CPU))
        deadline = time.monotonic() + ATTACH_SECONDS
        while not self.is_attached():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.end()
                raise Absent(f"strace cannot look on: {self.process.stderr.read().strip()}")
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        self.end()
        # epoll_wait returns how many events there are; io_uring_enter how many requests were handed over, perhaps none,
        # or an error when its time is up.
        for name, result in re.findall(r"(epoll_p?wait|io_uring_enter).*\) += (-?\d+)", self.path.read_text(errors="replace")):
            self.count += int(result) > (-1 if name == "io_uring_enter" else 0)

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()  # it lets go of the server
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
