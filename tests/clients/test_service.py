"""What a service manager is told, by sd_notify's protocol: ready, reloading, stopping."""
import os, re, shutil, signal, socket, tempfile, unittest

from harness import PATIENCE_S, Nuthatch


class ServiceManager(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="nuthatch-service-")
        self.addCleanup(shutil.rmtree, self.folder)

    def listener(self, address):
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(listener.close)
        listener.settimeout(PATIENCE_S)
        listener.bind(address.replace("@", "\0", 1))
        return listener

    def test_it_is_told_of_a_start_a_reload_and_a_stop(self):
        for address in (f"{self.folder}/notify", f"@nuthatch-test-{os.getpid()}"):
            with self.subTest(address):
                listener = self.listener(address)
                with Nuthatch("cache", environment={"NOTIFY_SOCKET": address}) as cache:
                    self.assertEqual(listener.recv(1000), b"READY=1")
                    socket.create_connection(("127.0.0.1", cache.port), PATIENCE_S).close()
                    os.kill(cache.pid, signal.SIGHUP)
                    self.assertRegex(listener.recv(1000), rb"^RELOADING=1\nMONOTONIC_USEC=\d+$")
                    self.assertEqual(listener.recv(1000), b"READY=1")
                self.assertEqual(listener.recv(1000), b"STOPPING=1")

    def test_one_that_does_not_listen_is_no_reason_not_to_start(self):
        for address in (f"{self.folder}/nobody", "tcp:1234", "/" + "x" * 200):
            with Nuthatch("cache", environment={"NOTIFY_SOCKET": address}) as cache:
                cache.wait_for("NOTIFY_SOCKET cannot be told: \\S")
        with Nuthatch("cache", environment={"NOTIFY_SOCKET": ""}) as cache:
            pass
        self.assertFalse(re.search("NOTIFY_SOCKET", cache.log))


if __name__ == "__main__":
    unittest.main()
