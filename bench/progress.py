"""What is going on, for people."""

import shutil
import sys
import time


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
