"""Unix sockets: every role listens on them, all workers share the clients, and their files come and go."""
import os, signal, socket, stat, subprocess, tempfile, unittest

import redis
from pymemcache.client.base import Client as Memcache

from harness import BINARY, Nuthatch, wait_until_still

LOOPS = ("uring", "epoll")


def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    s.connect(path)
    return s


def refuses(path):
    try:
        connect(path).close()
    except ConnectionRefusedError:
        return True
    return False


def times_run(path):
    with open(path) as schedstat:
        return int(schedstat.read().split()[2])


class UnixSockets(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "cache.sock")

    def tearDown(self):
        self.folder.cleanup()

    def test_redis_and_memcached_clients_share_one_that_detects(self):
        for loop in LOOPS:
            with Nuthatch("cache", "--loop", loop, listen=f"unix://{self.path}?mode=0600"):
                self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)
                r = redis.Redis(unix_socket_path=self.path)
                self.assertTrue(r.set("k", "v"))
                m = Memcache(self.path)
                self.assertEqual(m.get("k"), b"v")
                m.close()
                info = r.execute_command("CLIENT", "INFO").decode()
                self.assertIn(f" addr={self.path}:0 laddr={self.path}:0 ", info)
                r.close()
            self.assertFalse(os.path.exists(self.path))

    def test_http_is_served_on_one(self):
        with Nuthatch("mock", "examples/db.json", listen=f"http+unix://{self.path}"):
            answer = subprocess.run(["curl", "-sS", "--unix-socket", self.path, "http://mock/"],
                                    capture_output=True, check=True)
            self.assertTrue(answer.stdout.startswith(b"{"), answer.stdout)

    def test_each_worker_gets_its_turn_and_large_values_pass(self):
        for loop in LOOPS:
            with Nuthatch("cache", "--threads", "3", "--loop", loop, listen=f"resp+unix://{self.path}") as server:
                clients = [connect(self.path) for _ in range(30)]
                value = os.urandom(3 << 20)
                r = redis.Redis(unix_socket_path=self.path)
                r.set("k", value)
                self.assertEqual(r.get("k"), value)
                r.close()
                threads = f"/proc/{server.pid}/task"
                busy = lambda: {t: times_run(f"{threads}/{t}/schedstat") for t in os.listdir(threads)}
                before = busy()
                for _ in range(50):
                    for s in clients:
                        s.sendall(b"PING\r\n")
                        self.assertEqual(s.recv(100), b"+PONG\r\n")
                after = busy()
                # Each of the three ran again and again; the main thread slept.
                self.assertGreaterEqual(sum(after[t] - before.get(t, 0) > 20 for t in after), 3)
                for s in clients:
                    s.close()

    def test_over_the_cap_a_client_is_told(self):
        with Nuthatch("cache", "--max-connections", "4", "--threads", "2", listen=f"unix://{self.path}"):
            held = [connect(self.path) for _ in range(4)]
            for s in held:
                s.sendall(b"PING\r\n")
                self.assertEqual(s.recv(100), b"+PONG\r\n")
            late = connect(self.path)
            self.assertEqual(late.recv(100), b"-ERR max number of clients reached\r\n")
            for s in [*held, late]:
                s.close()

    def test_a_file_left_by_a_crash_is_replaced_and_a_listener_is_not(self):
        crashed = Nuthatch("cache", listen=f"unix://{self.path}")
        second = subprocess.run([BINARY, "cache", "--listen", f"unix://{self.path}"], capture_output=True, timeout=30)
        self.assertEqual(second.returncode, 1)
        self.assertIn(b"already in use", second.stderr)
        connect(self.path).close()  # the first is still there
        crashed.stop(signal.SIGKILL)
        self.assertTrue(os.path.exists(self.path))
        wait_until_still(lambda: refuses(self.path))  # the kernel ends a killed process's io_uring in its own time
        with Nuthatch("cache", listen=f"unix://{self.path}"):
            connect(self.path).close()

    def test_a_file_that_is_no_socket_stays(self):
        with open(self.path, "w") as file:
            file.write("mine")
        start = subprocess.run([BINARY, "cache", "--listen", f"unix://{self.path}"], capture_output=True, timeout=30)
        self.assertEqual(start.returncode, 1)
        self.assertIn(b"it is no socket", start.stderr)
        with open(self.path) as file:
            self.assertEqual(file.read(), "mine")

    def test_a_successor_may_have_the_path_while_the_first_still_stops(self):
        first = Nuthatch("cache", listen=f"unix://{self.path}")
        busy = connect(self.path)
        busy.sendall(b"PING\r\n*2\r\n$3\r\nGET\r\n$1\r\n")  # in the midst of a command: it is waited for
        self.assertEqual(busy.recv(100), b"+PONG\r\n")
        first.wait_for("ready")
        os.kill(first.pid, signal.SIGTERM)
        first.wait_for("stopping")
        while os.path.exists(self.path):
            pass
        with Nuthatch("cache", listen=f"unix://{self.path}"):
            busy.sendall(b"k\r\n")
            self.assertEqual(busy.recv(100), b"$-1\r\n")
            busy.close()
            self.assertEqual(first.wait(), 0)
            connect(self.path).close()  # the first has not taken the second's file away


if __name__ == "__main__":
    unittest.main()
