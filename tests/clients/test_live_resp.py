"""Resources that a gateway watches, as channels of the cache in the same process."""
import json, os, tempfile, time, unittest

import redis

from harness import Nuthatch, Origin
from test_live import PATIENCE_S, Changing

CONFIG = """memory: 64M
threads: 2
cache:
  listen: tcp://127.0.0.1:0
gateway:
  listen: http://127.0.0.1:0
  origin: ORIGIN
  live: yes
  live-interval: 100ms
  compose:
  - path: /composed/{name}
    parts:
      state: {target: "/state", select: {count: /count}}
      other: "/other/{name}"
"""


class Channels(unittest.TestCase):
    def setUp(self):
        self.changing = Changing()
        self.origin = Origin(self.changing)
        self.addCleanup(self.origin.stop)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = os.path.join(folder.name, "nuthatch.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(CONFIG.replace("ORIGIN", self.origin.url))
        self.server = Nuthatch("serve", path, listen=())
        self.addCleanup(lambda: self.assertEqual(self.server.stop(), 0))
        self.ports = dict(self.server.wait_for(r"ready on (\w+)://127\.0\.0\.1:(\d+)\n", 2))

    def subscribe(self, *channels):
        client = redis.Redis(port=int(self.ports["tcp"]))
        self.addCleanup(client.close)
        listener = client.pubsub()
        self.addCleanup(listener.close)
        listener.subscribe(*channels)
        for _ in channels:  # the server has them
            self.assertEqual(listener.get_message(timeout=PATIENCE_S)["type"], "subscribe")
        return listener

    def next_of(self, listener):
        end = time.time() + PATIENCE_S
        while time.time() < end:
            message = listener.get_message(timeout=0.1)
            if message and message["type"] == "message":
                return message["channel"].decode(), json.loads(message["data"])
        raise AssertionError("nothing was told")

    def wait_until_asked(self, times):
        end = time.time() + PATIENCE_S
        while self.origin.count("/state") < times:
            self.assertLess(time.time(), end)
            time.sleep(0.02)

    def test_who_subscribes_is_told_of_each_change(self):
        listeners = [self.subscribe("nuthatch:live:/state") for _ in range(10)]
        self.wait_until_asked(3)  # so the state is known
        for count in (1, 2, 3):
            self.changing.change(count=count)
            for listener in listeners:
                channel, message = self.next_of(listener)
                self.assertEqual((channel, message["path"], message["event"], message["data"]["count"]),
                                 ("nuthatch:live:/state", "/state", "message", count))

    def test_nobody_subscribing_the_origin_is_left_alone(self):
        listener = self.subscribe("nuthatch:live:/state")
        self.wait_until_asked(3)
        listener.unsubscribe()
        time.sleep(0.3)
        asked = self.origin.count("/state")
        time.sleep(0.5)
        self.assertEqual(self.origin.count("/state"), asked)

    def test_what_is_not_there_is_said_to_have_ended(self):
        listener = self.subscribe("nuthatch:live:/nothing")
        _, message = self.next_of(listener)
        self.assertEqual((message["event"], message["data"]["status"]), ("end", 404))

    def test_a_composed_resource_is_one_whose_parts_change_fail_and_come_back(self):
        self.changing.others = {"/other/7": b"[1.50]"}
        listener = self.subscribe("nuthatch:live:/composed/7")
        self.wait_until_asked(3)
        self.changing.change(count=1)
        channel, message = self.next_of(listener)
        self.assertEqual((channel, message["path"], message["event"], message["data"]),
                         ("nuthatch:live:/composed/7", "/composed/7", "message", {"state": {"count": 1}, "other": [1.5]}))
        self.changing.others["/other/7"] = 503
        _, failing = self.next_of(listener)
        self.assertEqual(failing["data"], {"state": {"count": 1}, "other": None,
                                           "errors": [{"part": "other", "status": 503, "title": "Service Unavailable"}]})
        self.changing.others["/other/7"] = b"[2]"
        _, back = self.next_of(listener)
        self.assertEqual(back["data"], {"state": {"count": 1}, "other": [2]})
        self.assertEqual(len({message["id"], failing["id"], back["id"]}), 3)

    def test_what_cannot_be_composed_is_said_to_have_ended(self):
        self.changing.change(count=1)
        listener = self.subscribe("nuthatch:live:/composed/../state", "nuthatch:live:/composed/7/8")
        ends = {message["path"]: message["data"]["status"] for _, message in (self.next_of(listener), self.next_of(listener))}
        self.assertEqual(ends, {"/composed/../state": 400, "/composed/7/8": 404})

    def test_other_channels_are_as_ever(self):
        listener = self.subscribe("nuthatch:live", "nuthatch:liver", "nuthatch:live:")
        client = redis.Redis(port=int(self.ports["tcp"]))
        self.addCleanup(client.close)
        self.assertEqual(client.publish("nuthatch:live:", "1"), 1)
        self.assertEqual(self.next_of(listener), ("nuthatch:live:", 1))


if __name__ == "__main__":
    unittest.main()
