"""Two gateways that share a cluster, clients that read and purge, with faults by chance and without, for a short while;
`./dev chaos gateways` does the same for as long as one likes. tests/chaos/gateways.py has what happens and is judged."""
import os
import random
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "chaos"))

from gateways import Run


class Chaos(unittest.TestCase):
    def run_for_a_while(self, seconds, calm):
        seed = random.randrange(1 << 31)
        said = [f"again: tests/chaos/gateways.py {seconds} {seed}{' --calm' if calm else ''}"]
        try:
            run = Run(seconds, seed, calm, say=said.append).run()
        except AssertionError as error:
            self.fail("\n".join([*said, str(error)]))
        self.assertTrue(run.is_good, "\n".join([*said, *run.problems]))
        # Some purges, and reads from both sides of them, were judged.
        self.assertGreater(sum(write.sure for write in run.history.writes), 10, "\n".join(said))
        self.assertGreater(run.verdict.read_count - run.verdict.excused_count, 100, "\n".join(said))

    def test_without_faults(self):
        self.run_for_a_while(3, calm=True)

    def test_with_faults(self):
        self.run_for_a_while(5, calm=False)


if __name__ == "__main__":
    unittest.main()
