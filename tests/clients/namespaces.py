"""Network namespaces for tests: machines of their own on one machine, and cables between them. Where none can be made
(it takes root, or user namespaces) a test is skipped and says so.

    def test_something(self):
        if namespaces.run_again_in_one(self, trial=namespaces.MACHINES_CAN_BE_MADE):
            return                                 # this test has run, in another process, in a namespace of its own
        with Machine("10.99.0.2") as machine:      # another namespace; ours is 10.99.0.1 to it
            RedisCluster(elsewhere={"primary0": machine})
            machine.pull_cable(); machine.plug_cable()
            machine.blackhole(); machine.route()"""
import itertools
import os
import shutil
import subprocess
import sys

from harness import Process

OURS = "10.99.0.1"
MARK = "NUTHATCH_TESTS_IN_NAMESPACE"
NEW_NAMESPACE = (["unshare", "-n"], ["unshare", "-r", "-n"])


MACHINES_CAN_BE_MADE = "unshare -n true && ip link add trial type veth peer name trial-far && ip link del trial"


def run_again_in_one(test, setup="true", trial="true", patience_s=200):
    """Returns False in the namespace, where the test may go on, after `setup`; True outside, once it has run and passed
    there. It is skipped where `trial`, of the shell too, cannot be done."""
    if os.environ.get(MARK):
        return False
    for unshare in NEW_NAMESPACE:
        command = [*unshare, "sh", "-c", f"ip link set lo up && {setup} && exec \"$@\"", "sh"]
        if shutil.which("unshare") and shutil.which("ip") and \
                subprocess.run([*command, "sh", "-c", trial], capture_output=True).returncode == 0:
            break
    else:
        test.skipTest("no network namespaces can be made here (it takes root, unshare and ip)")
    file, name = sys.modules[type(test).__module__].__file__, f"{type(test).__name__}.{test._testMethodName}"
    run = subprocess.run([*command, sys.executable, os.path.abspath(file), name], env={**os.environ, MARK: "1"},
                         capture_output=True, text=True, timeout=patience_s)
    test.assertEqual(run.returncode, 0, run.stderr)
    return True


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Machine:
    """A namespace with `address`, by a cable from ours. What runs in it has `prefix` before its command."""
    numbers = itertools.count()

    def __init__(self, address):
        self.address, self.cable = address, f"cable{next(self.numbers)}"
        self.far_end = f"{self.cable}-far"
        # Whoever lives in it keeps it.
        self.keeper = Process(["setpriv", "--pdeathsig", "KILL", "unshare", "-n", "sh", "-c",
                               "ip link set lo up && echo here && exec sleep 1000"])
        self.keeper.wait_for("here")
        self.prefix = ["nsenter", f"--net=/proc/{self.keeper.pid}/ns/net"]
        ip("link", "add", self.cable, "type", "veth", "peer", "name", self.far_end, "netns", str(self.keeper.pid))
        ip("addr", "add", OURS, "peer", address, "dev", self.cable)
        ip("link", "set", self.cable, "up")
        self.inside("ip", "addr", "add", address, "peer", OURS, "dev", self.far_end)
        self.plug_cable()

    def inside(self, *command):
        subprocess.run([*self.prefix, *command], check=True, capture_output=True)

    def pull_cable(self):
        """Whatever is sent is lost, and nobody is told."""
        self.inside("ip", "link", "set", self.far_end, "down")

    def plug_cable(self):
        self.inside("ip", "link", "set", self.far_end, "up")
        self.inside("ip", "route", "replace", OURS, "dev", self.far_end)

    def blackhole(self):
        """Neither side knows a way to the other: what is connected is silent, and who connects is refused by the
        system."""
        ip("route", "add", "blackhole", self.address, "table", "local")
        self.inside("ip", "route", "add", "blackhole", OURS, "table", "local")

    def route(self):
        ip("route", "del", "blackhole", self.address, "table", "local")
        self.inside("ip", "route", "del", "blackhole", OURS, "table", "local")

    def stop(self):
        self.keeper.stop(9)
        subprocess.run(["ip", "link", "del", self.cable], capture_output=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
