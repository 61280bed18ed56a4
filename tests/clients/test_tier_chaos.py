"""Nodes in front of a cluster with faults by chance, for a short while; `./dev chaos` does the same for as long as one
likes. tests/chaos has what happens and what is judged."""
import os
import random
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "chaos"))

from chaos import Run

SECONDS = 12


class Chaos(unittest.TestCase):
    def run_for_a_while(self, resp):
        seed = random.randrange(1 << 31)
        said = [f"RESP{resp}, again: tests/chaos/chaos.py {SECONDS} {seed} --resp {resp}"]
        run = Run(SECONDS, seed, resp, say=said.append)
        try:
            run.run()
        except AssertionError as error:
            self.fail("\n".join([*said, str(error)]))
        self.assertTrue(run.is_good, "\n".join([*said, *run.problems]))
        # It was the near cache that was judged, and clients were served.
        self.assertGreater(run.near_share, 0.2, "\n".join(said))
        self.assertLess(run.failed_share, 0.5, "\n".join(said))

    def test_in_resp3(self):
        self.run_for_a_while(3)

    def test_in_resp2(self):
        self.run_for_a_while(2)


if __name__ == "__main__":
    unittest.main()
