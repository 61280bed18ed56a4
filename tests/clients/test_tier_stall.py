"""A node that stands still for longer than the tier may take, as on a machine that has too much to do: what the tier
has answered meanwhile is heard before anything is given up."""
import os
import signal
import sys
import time

from harness import Nuthatch, PATIENCE_S
from redis_cluster import RedisServers
from resp_client import Connection

TIER_TIMEOUT_S = 1
ROUNDS = 2


def wait_for(holds, what):
    end = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(what)
        time.sleep(0.001)


def is_stopped(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "T"


def a_write_is_answered(server, client, redis, number):
    """The tier stands still until the write is on its way to it, then the node until the answer lies there and is late."""
    os.kill(redis.pid, signal.SIGSTOP)
    try:
        client.send("SET", "k", number)
        time.sleep(0.1)
        os.kill(server.pid, signal.SIGSTOP)
        wait_for(lambda: is_stopped(server.pid), "it does not stand still")
    finally:
        os.kill(redis.pid, signal.SIGCONT)
    time.sleep(TIER_TIMEOUT_S * 1.3)
    os.kill(server.pid, signal.SIGCONT)
    answer = client.receive()
    if answer != "OK":
        raise AssertionError(f"round {number}: {answer}")


def main():
    for loop in ("epoll", "auto"):
        with RedisServers(replica_count=0) as redis, \
                Nuthatch("cache", "--tier", redis.url, "--tier-timeout", f"{TIER_TIMEOUT_S}s", "--loop", loop) as server:
            with Connection(server.port) as client:
                client.call("SET", "k", "before")
                for number in range(ROUNDS):
                    a_write_is_answered(server, client, redis.nodes[0], number)
                    if client.call("GET", "k") != str(number).encode():
                        raise AssertionError("the write is not read")
    print("ok")


if __name__ == "__main__":
    sys.exit(main())
