#!/usr/bin/python3
"""Runs nuthatch and its peers on the same work and writes a table: `bench.py --help`.

Servers are pinned to CPU 0 and the load to CPU 1. Rounds are interleaved (every server once, then every
server again), so that a noisy minute hurts all alike; the figures are medians of the rounds and the ratios
medians of each round's ratio. CPU µs per request is the server's own time, user and system, divided by the
requests it answered meanwhile: the figure that says what a core can carry.
"""

import argparse
import pathlib
import resource
import signal
import sys

from live import count_live_steps, run_live
from measuring import Bench
from mock_large import SERVERS as LARGE_MOCKS, run_mock_large
from progress import Progress
from report import report
from servers import CACHED_SERVERS, COALESCE_SERVERS, json_of, start_nginx_return, start_slow_origin
from stage import ROOT, Absent, Stage, build_tools
from tier import count_tier_steps, run_tier
from workloads import MATRIX_VALUES, count_steps, http_groups, http_matrix_groups, kv_groups, matrix_groups, mock_groups


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two rounds of 0.8 s: under two minutes, rough")
    parser.add_argument("--only", choices=("kv", "http", "idle", "mock", "mock-large", "coalesce", "matrix", "http-matrix",
                                           "tier", "soak", "live"),
                        help="one part instead of the first three; mock: JSON servers on the same data, eleven minutes; mock-large: a million records, two minutes; coalesce: a thousand clients that want the same thing "
                             "at once, a minute a round; matrix: every operation, size, depth and number of connections of "
                             "the cache, an hour and a half; http-matrix: every size, spread and number of connections of "
                             "the gateway, 20 minutes; tier: nuthatch in front of a cluster, five minutes; soak: "
                             "5,000 connections that come and go, five minutes; live: 10,000 who watch one resource, seven "
                             "minutes a round")
    parser.add_argument("--value-bytes", type=int, nargs="+", choices=MATRIX_VALUES, default=list(MATRIX_VALUES),
                        help="the sizes of values of the matrix (all three)")
    parser.add_argument("--rounds", type=int, help="how many (5; of live 1)")
    parser.add_argument("--seconds", type=float, help="of each measurement (3; of the mock's 2, of live 60)")
    parser.add_argument("--nuthatch", type=pathlib.Path, default=ROOT / "build/release/nuthatch", help="the binary")
    parser.add_argument("--tools", type=pathlib.Path,
                        help="a folder with load_kv, load_http and the others; without it they are built in build/bench")
    arguments = parser.parse_args()
    arguments.nuthatch = arguments.nuthatch.resolve()
    rounds = arguments.rounds or (1 if arguments.only == "live" else 2 if arguments.quick else 5)
    usual_seconds = (10, 60) if arguments.only == "live" else (0.8, 2 if arguments.only == "mock" else 3)
    seconds = arguments.seconds or usual_seconds[not arguments.quick]
    if rounds < 1 or seconds < 0.1:
        parser.error("need at least one round of 0.1 seconds")

    tools = arguments.tools
    if tools is None:
        tools = ROOT / "build/bench"
        build_tools(tools)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    parts = [arguments.only] if arguments.only else ["kv", "http", "idle"]

    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell had them ignored
        signal.signal(number, signal.default_int_handler)
    stage, progress = Stage(tools.resolve(), arguments.nuthatch), Progress()
    bench = Bench(stage, progress, rounds, seconds)
    try:
        makers = {"kv": kv_groups, "http": http_groups, "mock": mock_groups, "matrix": lambda: matrix_groups(arguments.value_bytes),
                  "http-matrix": http_matrix_groups}
        groups = [group for part, make in makers.items() if part in parts for group in make()]
        steps = {"idle": len(CACHED_SERVERS), "mock-large": len(LARGE_MOCKS), "soak": 1, "tier": count_tier_steps(rounds),
                 "live": count_live_steps(rounds), "coalesce": len(COALESCE_SERVERS) * rounds}
        progress.plan(count_steps(groups, rounds) + sum(steps.get(part, 0) for part in parts))
        if "http" in parts or "idle" in parts:
            stage.origin = start_nginx_return(json_of(1024), 3600)(stage, "origin")
        for group in groups:
            bench.run_group(*group)
        bench.add_matrices()
        if "idle" in parts:
            bench.run_idle()
        if "coalesce" in parts:
            stage.origin = start_slow_origin(stage)
            bench.run_coalesce(COALESCE_SERVERS)
        if "mock-large" in parts:
            run_mock_large(bench)
        if "tier" in parts:
            run_tier(bench)
        if "soak" in parts:
            bench.run_soak(arguments.seconds or (20 if arguments.quick else 300))
        if "live" in parts:
            run_live(bench)
        progress.say(f"Saved as {report(bench, arguments).relative_to(ROOT)}")
        for name, why in bench.absent.items():
            print(f"not measured: {name}: {why}")
    except Absent as why:
        sys.exit(f"the origin server (nginx): {why}")
    except KeyboardInterrupt:
        progress.say("Stopped.")
        sys.exit(130)
    finally:
        # A second Ctrl-C must not leave anything running.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        stage.close()


if __name__ == "__main__":
    main()
