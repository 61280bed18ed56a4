"""The bench itself: interleaved rounds of every workload, and the parts that are no closed loop of requests."""

import concurrent.futures
import json
import subprocess
import time
import urllib.request

from report import coalesce_section, idle_section, matrix_section, soak_section, speed_section
from servers import CACHED_SERVERS, start_nuthatch_cache
from stage import LOAD_CPU, Absent, pinned
from workloads import CROWD, IDLE_CONNECTIONS, SOAK_CONNECTIONS, SOAK_LIFE, ask_once, fill


class Bench:
    def __init__(self, stage, progress, rounds, seconds):
        self.stage, self.progress, self.rounds, self.seconds = stage, progress, rounds, seconds
        self.sections, self.absent, self.matrices = [], {}, {}

    def start_all(self, group, servers, prepare, steps_each):
        """Those that can take part, ready for the load."""
        running = {}
        for name, start in servers.items():
            server = None
            try:
                server = start(self.stage, name)
                prepare(self.stage, server)
                running[name] = server
            except (Absent, RuntimeError) as why:
                if server:  # nothing else is to run beside those that are measured
                    server.stop()
                self.absent[f"{group}: {name}"] = str(why).splitlines()[0]
                self.progress.total -= steps_each
        return running

    def run_group(self, group, servers, prepare, workloads):
        running = self.start_all(group, servers, prepare, len(workloads) * self.rounds)
        for workload in workloads:
            rows, failed = {name: [] for name in running}, {}
            for number in range(self.rounds):
                for name, server in running.items():
                    if name in workload.left_out:
                        continue
                    self.progress.step(f"{workload.name}: {name}, round {number + 1}")
                    if name in failed:
                        continue
                    try:
                        if workload.is_fresh:
                            rows[name].append(self.measure_fresh(workload, servers[name], name, prepare))
                        else:
                            rows[name].append(self.measure(workload, server))
                    except (Absent, RuntimeError) as why:
                        failed[name] = str(why)
            if workload.matrix:
                self.matrices.setdefault(workload.matrix, []).append((workload.setting, rows))
                self.absent.update({f"{workload.name}: {name}": why for name, why in failed.items()})
                continue
            self.sections.append(speed_section(workload, rows, failed))
            self.progress.say(self.sections[-1])
        for server in running.values():
            server.ask_to_stop()
        for server in running.values():
            server.stop()

    def measure(self, workload, server):
        origin = self.stage.origin
        before = origin.cpu_seconds() if origin else 0
        options = dict(workload.options)
        if "target" in options:
            options["target"] = server.target(options["target"])
        result = self.stage.load(workload.tool, port=server.port, ms=int(self.seconds * 1000),
                                 pids=",".join(map(str, server.pids())), **options)
        if origin and origin.cpu_seconds() - before > 0.05 * self.seconds:
            raise RuntimeError("the origin was busy: not all was answered from the cache")
        result["cpu_us"] = result["user_us"] + result["system_us"]
        result["rss_bytes"] = server.rss_bytes()
        return result

    def measure_fresh(self, workload, start, name, prepare):
        server = start(self.stage, name)
        try:
            prepare(self.stage, server)
            return self.measure(workload, server)
        finally:
            server.stop()
            self.stage.servers.remove(server)

    def add_matrices(self):
        for name, lines in self.matrices.items():
            self.sections.append(matrix_section(name, lines))
            self.progress.say(self.sections[-1])

    def run_soak(self, seconds):
        """Both protocols at once, connections that come and go; resident memory is looked at all the while."""
        server = start_nuthatch_cache("auto")(self.stage, "nuthatch")
        for protocol in ("resp", "memcached"):
            fill(protocol)(self.stage, server)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            loads = {protocol: pool.submit(self.stage.load, "load_kv", port=server.port, protocol=protocol,
                                           connections=SOAK_CONNECTIONS // 2, life=SOAK_LIFE, set_percent=10, depth=4,
                                           ms=int(seconds * 1000), warm_up_ms=2000)
                     for protocol in ("resp", "memcached")}
            resident = []
            begun = time.monotonic()
            while not all(load.done() for load in loads.values()):
                time.sleep(1)
                resident.append((time.monotonic() - begun, server.rss_bytes()))
                self.progress.show(f"soak: {resident[-1][0]:.0f} s, {resident[-1][1] / 2**20:.1f} MiB")
        self.progress.step("soak")
        self.sections.append(soak_section(seconds, {name: load.result() for name, load in loads.items()}, resident))
        self.progress.say(self.sections[-1])
        server.stop()

    def run_coalesce(self, servers):
        """A crowd that asks for one thing: which is cacheable, which is not, known not to be, and just stale."""
        running = self.start_all("coalesce", servers, lambda stage, server: None, self.rounds)
        rows = {name: [] for name in running}
        for number in range(self.rounds):
            for name, server in running.items():
                self.progress.step(f"{CROWD:,} clients at once: {name}, round {number + 1}")
                stale = f"/max-age=1,_stale-while-revalidate=60/{number}"
                result = {"cold": self.crowd(server, f"/max-age=60/{number}"),
                          "uncacheable": self.crowd(server, f"/no-store/{number}"),
                          "known": self.crowd(server, f"/no-store/{number}")}
                self.stage.load("crowd_http", port=server.port, target=stale, clients=1)
                time.sleep(2)
                result["stale"] = self.crowd(server, stale)
                rows[name].append(result)
        self.sections.append(coalesce_section(rows))
        self.progress.say(self.sections[-1])
        for server in running.values():
            server.stop()

    def crowd(self, server, target):
        """What a crowd saw, and how many requests reached the origin for it."""
        self.origin_count()
        result = self.stage.load("crowd_http", port=server.port, target=target, clients=CROWD)
        result["requests"] = self.origin_count()
        return result

    def origin_count(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.stage.origin.port}/count", timeout=10) as answer:
            return int(answer.read())

    def run_idle(self):
        running = self.start_all("idle", CACHED_SERVERS, ask_once("/bird"), 1)
        rows = []
        for name, server in running.items():
            self.progress.step(f"{IDLE_CONNECTIONS:,} idle connections: {name}")
            try:
                rows.append((name, *self.hold_idle(server)))
            except RuntimeError as why:
                rows.append((name, None, str(why)))
        self.sections.append(idle_section(rows))
        self.progress.say(self.sections[-1])
        for server in running.values():
            server.stop()

    def hold_idle(self, server):
        """RSS before, with all idle, and how many the server had kept by then."""
        before = server.rss_bytes()
        process = subprocess.Popen([str(self.stage.tools / "idle_http"), "--port", str(server.port), "--target",
                                    "/bird", "--connections", str(IDLE_CONNECTIONS)], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   start_new_session=True, preexec_fn=pinned(LOAD_CPU))
        self.stage.loads.append(process)
        try:
            if not process.stdout.readline():
                raise RuntimeError(process.stderr.read().strip() or "the load generator ended")
            time.sleep(0.5)
            idle = server.rss_bytes()
            out, _ = process.communicate(timeout=60)
            kept = json.loads(out)["open"]
            if kept != IDLE_CONNECTIONS:
                raise RuntimeError(f"the server kept only {kept} connections")
            return before, idle
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            self.stage.loads.remove(process)
