"""A client of examples/event_loop.c."""
import contextlib, os, socket, subprocess, time

PATIENCE_S = 120


@contextlib.contextmanager
def server(path, library_folder):
    """A connection to an example that serves, as lines in and out; it is ended, and must end well."""
    process = subprocess.Popen([str(path)], env={**os.environ, "LD_LIBRARY_PATH": str(library_folder)},
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        port = int(process.stdout.readline().split()[1])
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
            yield connection.makefile("rw", newline="\n")
        process.terminate()
        if process.wait(PATIENCE_S) != 0:
            raise AssertionError(f"{path}: ended with {process.returncode}")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def check_event_loop(test, path, library_folder):
    """Talks to examples/event_loop.c, whose program `path` is."""
    def ask(*lines):
        stream.write("".join(line + "\n" for line in lines))
        stream.flush()

    def answers(count):
        return [stream.readline().rstrip("\n") for _ in range(count)]

    with server(path, library_folder) as stream:
        ask("put bird 60000 nuthatch", "get bird", "get bee", "count", "what?", "put bird", "put brief 1 v")
        test.assertEqual(answers(8), ["ok", "value 8", "nuthatch", "missing", "1", "put, get or count",
                                      "put KEY TTL_MS VALUE", "ok"])
        large = "x" * 60_000  # more than a socket takes at once, 100 times, asked for before any is read
        ask("put large 60000 " + large, *["get large"] * 100)
        test.assertEqual(answers(201), ["ok"] + ["value 60000", large] * 100)
        for _ in range(PATIENCE_S * 100):  # what has expired goes without being asked for
            ask("count")
            if answers(1) == ["2"]:
                break
            time.sleep(0.01)
        else:
            test.fail("what has expired was not swept")
