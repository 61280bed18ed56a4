"""`nuthatch demo --cluster`: every step of the tour holds, and nothing is left of it."""
import glob, os, shutil, subprocess, tempfile, unittest

from harness import BINARY


class DemoCluster(unittest.TestCase):
    def test_the_tour_holds_and_leaves_nothing_behind(self):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([BINARY, "demo", "--cluster", "--once"], capture_output=True, text=True, timeout=150,
                                  env={**os.environ, "TMPDIR": folder})
            left = os.listdir(folder)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(done.stdout.count("✓"), 6, done.stdout)
        self.assertNotIn("\033", done.stdout)
        self.assertEqual(left, [])
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            try:
                with open(path, "rb") as file:
                    self.assertNotIn(folder.encode(), file.read())
            except OSError:  # it has ended meanwhile
                pass

    def test_valkey_is_preferred_and_a_server_that_ends_at_once_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("valkey-server", "redis-server"):
                with open(f"{folder}/{name}", "w") as file:
                    file.write("#!/bin/sh\nexit 1\n")
                os.chmod(f"{folder}/{name}", 0o755)
            done = subprocess.run([BINARY, "demo", "--cluster", "--once"], capture_output=True, text=True, timeout=60,
                                  env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "TMPDIR": folder})
            self.assertEqual(sorted(os.listdir(folder)), ["redis-server", "valkey-server"])
        self.assertEqual(done.returncode, 1)
        self.assertIn("valkey-server ends as soon as it is started", done.stderr)

    def test_a_valkey_server_is_enough(self):
        """Whichever server is here, by that name and no other."""
        with tempfile.TemporaryDirectory() as folder:
            os.symlink(shutil.which("valkey-server") or shutil.which("redis-server"), f"{folder}/valkey-server")
            done = subprocess.run([BINARY, "demo", "--cluster", "--once"], capture_output=True, text=True, timeout=150,
                                  env={**os.environ, "PATH": folder})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_without_a_server_to_start_it_is_said_what_to_install(self):
        with tempfile.TemporaryDirectory() as empty:
            done = subprocess.run([BINARY, "demo", "--cluster", "--once"], capture_output=True, text=True, timeout=60,
                                  env={**os.environ, "PATH": empty})
        self.assertEqual(done.returncode, 1)
        self.assertIn("redis-server", done.stderr)


if __name__ == "__main__":
    unittest.main()
