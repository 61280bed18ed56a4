#!/usr/bin/python3
"""What HTTP asks of a cache, rule by rule: plays the rows of rows/ against nuthatch, or against another proxy.

    run.py [--loop uring|epoll] [--pieces SEED] [--only PATTERN] [--json FILE] [--verbose]
                                                                                against $NUTHATCH
    run.py --base-url http://127.0.0.1:8080 --origin-port 9000 [...]            against what listens there and
                                                                                forwards to 127.0.0.1:9000

Ends with 0 if every row passes, but for those of expected_failures.txt, and these do fail.
"""
import argparse
import asyncio
import collections
import importlib
import json
import pathlib
import random
import re
import resource
import sys
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "clients")]

from harness import Nuthatch  # noqa: E402
from origin import Origin  # noqa: E402
from play import play_all  # noqa: E402

GATEWAY = ("--memory", "128M", "--threads", "2", "--first-byte-timeout", "5s",
           # Rows fail side by side, on purpose.
           "--breaker-failures", "0", "--rate-learn", "no")


def all_rows():
    """Every row, with its subject: the first line of its file."""
    rows = []
    for path in sorted((HERE / "rows").glob("*.py")):
        module = importlib.import_module(f"rows.{path.stem}")
        for row in module.ROWS:
            rows.append(row.__class__(row.kind, row.name, row.steps, row.options, path.stem))
    repeated = [name for name, count in collections.Counter(row.name for row in rows).items() if count > 1]
    if repeated:
        sys.exit(f"run.py: rows of the same name: {repeated}")
    return rows


def expected_failures(rows):
    """The names of those that are known to fail, with the reason: the comment above them."""
    failures, reason, names = {}, "", {row.name for row in rows}
    for line in (HERE / "expected_failures.txt").read_text().splitlines():
        if line.startswith("#"):
            reason = line[1:].strip()
        elif line.strip():
            if line not in names:
                sys.exit(f"run.py: expected_failures.txt: there is no row {line!r}")
            failures[line] = reason
    return failures


async def play_against_nuthatch(rows, loop, random):
    """One gateway for each set of options that rows ask for."""
    origin = Origin()
    await origin.start()
    servers = {}
    try:
        for options in {row.options for row in rows}:
            servers[options] = Nuthatch("gateway", f"http://127.0.0.1:{origin.port}", *GATEWAY, "--loop", loop, *options)
        return await play_all(origin, rows, lambda row: ("127.0.0.1", servers[row.options].port), True, random)
    finally:
        await origin.stop()
        statuses = [server.stop() for server in servers.values()]
        if any(statuses):
            sys.exit(f"run.py: a gateway ended with {statuses}:\n" + "".join(server.log for server in servers.values()))


async def play_against(rows, base_url, origin_port):
    """Of the rows, those that another proxy can be asked for."""
    target = urllib.parse.urlsplit(base_url)
    rows = [row for row in rows if row.kind != "ours" and not row.options]
    origin = Origin()
    await origin.start(origin_port)
    try:
        return await play_all(origin, rows, lambda row: (target.hostname, target.port or 80), False)
    finally:
        await origin.stop()


def play(rows, arguments):
    """The plays of `rows`, each run to its end."""
    if not arguments.base_url:
        return asyncio.run(play_against_nuthatch(rows, arguments.loop, arguments.pieces))
    return asyncio.run(play_against(rows, arguments.base_url, arguments.origin_port))


def show(plays, failures, verbose):
    """Prints the rows that are not as expected, and a table. Returns how many are not."""
    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    surprises = 0
    for one in plays:
        row, is_known = one.row, one.row.name in failures
        if bool(one.problems) == is_known and not (verbose and one.problems):
            continue
        surprises += bool(one.problems) != is_known
        what = "FAILED" if one.problems and not is_known else "known" if one.problems else "PASSED, though known to fail"
        print(f"{bold}{what}: {row.name}{plain} ({row.kind}, rows/{row.subject}.py)")
        for problem in one.problems:
            print(f"  {problem}")
        if one.problems:
            print("\n".join("  " + line[:600] for line in one.transcript) + "\n")
    print(f"{'':24}{'required':>12}{'optional':>12}{'ours':>12}")
    for subject in sorted({one.row.subject for one in plays}):
        print(f"{subject:24}" + "".join(f"{tally(plays, kind, subject):>12}" for kind in ("required", "optional", "ours")))
    print(f"{bold}{'all':24}" + "".join(f"{tally(plays, kind):>12}" for kind in ("required", "optional", "ours")) + plain)
    return surprises


def tally(plays, kind, subject=None):
    """ "passed/all" of a kind."""
    chosen = [one for one in plays if one.row.kind == kind and subject in (None, one.row.subject)]
    return f"{sum(1 for one in chosen if not one.problems)}/{len(chosen)}" if chosen else "-"


def raise_file_limit():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loop", default="auto", choices=("auto", "uring", "epoll"))
    parser.add_argument("--base-url", help="of another proxy; rows of the kind `ours` are left out")
    parser.add_argument("--origin-port", type=int, help="where that proxy looks for its origin")
    parser.add_argument("--only", default="", help="rows whose subject or name match this regular expression")
    parser.add_argument("--pieces", type=random.Random, metavar="SEED", help="both ends cut their messages into pieces")
    parser.add_argument("--json", help="write each row's outcome here")
    parser.add_argument("--verbose", action="store_true", help="show what is known to fail as well")
    arguments = parser.parse_args()
    if bool(arguments.base_url) != bool(arguments.origin_port):
        parser.error("--base-url and --origin-port go together")
    every = all_rows()
    rows = [row for row in every if re.search(arguments.only, f"{row.subject} {row.name}")]
    if not rows:
        parser.error(f"no row matches {arguments.only}")
    failures = {} if arguments.base_url else expected_failures(every)
    raise_file_limit()
    began = time.monotonic()
    plays = play(rows, arguments)
    surprises = show(plays, failures, arguments.verbose)
    known = sum(1 for one in plays if one.problems and one.row.name in failures)
    print(f"{len(plays)} rows in {time.monotonic() - began:.1f} s: "
          f"{sum(1 for one in plays if not one.problems)} passed, {known} known to fail"
          + (f", {surprises} not as expected" if surprises else ""))
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(
            [{"name": one.row.name, "kind": one.row.kind, "subject": one.row.subject, "problems": one.problems}
             for one in plays], indent=1, ensure_ascii=False))
    return 1 if surprises else 0


if __name__ == "__main__":
    sys.exit(main())
