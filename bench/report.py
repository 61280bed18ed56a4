"""The tables that are kept in bench/results."""

import datetime
import os
import pathlib
import platform
import statistics

import mock_servers
from servers import SLOW_MS, needed, version_of
from stage import LOAD_CPU, ROOT, SERVER_CPU, Absent
from workloads import CROWD, IDLE_CONNECTIONS, SOAK_CONNECTIONS


def table(head, rows, words=(0,)):
    """Columns `words` hold words and are aligned to the left; the others hold numbers."""
    lines = [head, ["---" if i in words else "--:" for i in range(len(head))]] + rows
    widths = [max(len(str(line[i])) for line in lines) for i in range(len(head))]
    def cell(text, i):
        return str(text).ljust(widths[i]) if i in words else str(text).rjust(widths[i])
    return "\n".join("| " + " | ".join(cell(text, i) for i, text in enumerate(line)) + " |" for line in lines)


def median(rows, key):
    return statistics.median(row[key] for row in rows)


def median_ratio(results, reference):
    """Round by round, so that a noisy round spoils both sides; a dash if the reference was not measured."""
    ratios = [a["cpu_us"] / b["cpu_us"] for a, b in zip(results, reference)]
    return f"{statistics.median(ratios):.2f}" if ratios else "–"


def speed_section(workload, rows, failed):
    head = ["server", "requests/s", "p50 µs", "p99 µs", "p99.9 µs", "CPU µs/request", "user", "system", "RSS MiB",
            *(f"CPU ÷ {reference}" for reference in workload.references)]
    lines = []
    for name, results in rows.items():
        if name in failed or not results:
            continue
        ratios = [median_ratio(results, rows.get(reference, [])) for reference in workload.references]
        lines.append([name, f"{median(results, 'per_second'):,.0f}", f"{median(results, 'p50_us'):.0f}",
                      f"{median(results, 'p99_us'):.0f}", f"{median(results, 'p999_us'):.0f}",
                      f"{median(results, 'cpu_us'):.2f}", f"{median(results, 'user_us'):.2f}",
                      f"{median(results, 'system_us'):.2f}", f"{median(results, 'rss_bytes') / 2**20:.1f}", *ratios])
    text = f"## {workload.name}\n\n{table(head, lines)}\n"
    for name, why in failed.items():
        text += f"\n{name} failed: {why}\n"
    return text


def matrix_section(name, lines):
    servers = [server for server in lines[0][1] if any(rows[server] for _, rows in lines)]
    ours = [server for server in servers if server.startswith("nuthatch")]
    peers = [server for server in servers if server not in ours]

    def columns(key, digits):
        head = [*(title.replace("_", " ") for title in lines[0][0]), *(f"{server}, µs" for server in servers),
                *(f"{server} ÷ best peer" for server in ours)]
        cells = []
        for setting, rows in lines:
            each = {server: median(rows[server], key) for server in servers if rows[server]}
            best = min((each[server] for server in peers if server in each), default=None)
            cells.append([*(f"{number:,}" for number in setting.values()),
                          *(f"{each[server]:.{digits}f}" if server in each else "–" for server in servers),
                          *(f"{each[server] / best:.2f}" if server in each and best else "–" for server in ours)])
        return table(head, cells, words=())
    return (f"## {name}: server CPU µs per request\n\n{columns('cpu_us', 2)}\n\n"
            f"## {name}: p99 µs\n\n{columns('p99_us', 0)}\n")


def soak_section(seconds, loads, resident):
    tenth = max(len(resident) // 10, 1)
    marks = [("after a tenth", resident[tenth - 1]), ("at half", resident[len(resident) // 2]),
             ("at the end", resident[-2] if len(resident) > 1 else resident[-1]),
             ("at most", max(resident, key=lambda mark: mark[1]))]
    rows = [[name, f"{load['requests']:,}", f"{load['p50_us'] / 1000:.1f}", f"{load['p99_us'] / 1000:.1f}",
             f"{load['p999_us'] / 1000:.1f}"] for name, load in loads.items()]
    return (f"## Soak: {SOAK_CONNECTIONS:,} connections that come and go, {seconds:g} s, 10 % SET\n\n"
            + table(["protocol", "requests", "p50 ms", "p99 ms", "p99.9 ms"], rows) + "\n\n"
            + table(["resident", "at s", "MiB"], [[name, f"{at:.0f}", f"{size / 2**20:.1f}"]
                                                  for name, (at, size) in marks]) + "\n")


def coalesce_section(rows):
    parts = ("cold", "uncacheable", "known", "stale")
    head = ["server", "cacheable: requests", "last s", "uncacheable: requests", "median s", "last s",
            "once that is known: last s", "just stale: requests", "last s"]
    lines = []
    for name, results in rows.items():
        if not results:
            continue
        cold, uncacheable, known, stale = ([result[part] for result in results] for part in parts)
        def seconds(row, key):
            return f"{median(row, key) / 1000:.3f}"
        lines.append([name, f"{median(cold, 'requests'):.0f}", seconds(cold, "last_ms"),
                      f"{median(uncacheable, 'requests'):.0f}", seconds(uncacheable, "median_ms"),
                      seconds(uncacheable, "last_ms"), seconds(known, "last_ms"),
                      f"{median(stale, 'requests'):.0f}", seconds(stale, "last_ms")])
    return (f"## {CROWD:,} clients at once, one URL, an origin that takes {SLOW_MS / 1000:g} s\n\n"
            f"{table(head, lines)}\n")


def idle_section(rows):
    head = ["server", "RSS MiB before", "RSS MiB with all idle", "bytes per connection"]
    lines, failures = [], ""
    for name, before, after in rows:
        if before is None:
            failures += f"\n{name} failed: {after}\n"
        else:
            lines.append([name, f"{before / 2**20:.1f}", f"{after / 2**20:.1f}",
                          f"{(after - before) / IDLE_CONNECTIONS:,.0f}"])
    return f"## {IDLE_CONNECTIONS:,} idle keep-alive connections\n\n{table(head, lines)}\n{failures}"


PROGRAMS = {"redis-server": "--version", "valkey-server": "--version", "memcached": "--version", "pogocache": "--version",
            "nginx": "-v", "varnishd": "-V", "haproxy": "-v", "json-server": "--version"}


def versions(nuthatch, part):
    found, of_mocks = [], part in ("mock", "mock-large")
    of_parts = {"mock": ["nginx"], "mock-large": ["nginx"], "tier": ["redis-server", "valkey-server"], "live": []}
    for program in of_parts.get(part, PROGRAMS):
        try:
            found.append(f"- {program}: {version_of([needed(program), PROGRAMS[program]])}")
        except Absent:
            found.append(f"- {program}: absent")
    if of_mocks:
        found += [f"- {line}" for line in mock_servers.versions()]
    if nuthatch.exists():
        found.append(f"- nuthatch: {version_of([str(nuthatch), '--version'])}")
    return "\n".join(found)


def cpu_model():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def report(bench, arguments):
    now = datetime.datetime.now(datetime.timezone.utc)
    text = [f"# Bench of {now:%Y-%m-%d %H:%M} UTC\n",
            f"{cpu_model()}, {os.cpu_count()} CPUs, Linux {platform.release()}. Server on CPU {SERVER_CPU}, load on CPU "
            f"{LOAD_CPU}; medians of {bench.rounds} interleaved rounds of {bench.seconds:g} s. Keys and values of the "
            "cache workloads: 100,000 keys of 11 bytes, values of 100 bytes.\n",
            versions(arguments.nuthatch, arguments.only) + "\n"]
    if bench.absent:
        text.append("Not measured:\n\n" + "\n".join(f"- {name}: {why}" for name, why in bench.absent.items()) + "\n")
    folder = ROOT / "bench/results"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{now:%Y-%m-%d-%H%M%S}.md"
    path.write_text("\n".join(text + bench.sections), encoding="utf-8")
    return path
