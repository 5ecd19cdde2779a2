"""One session: build, start everybody, measure in rounds, stop everybody, write it down."""

import argparse
import os
import resource
import shlex
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

from . import machine
from .contestants import PEERS, YARDSTICK, Contestant, free_port
from .processes import Process, run_text, wait_until
from .results import Results, record
from .tools import Absent, Missing, Tools
from .workloads import H2LOAD, WORKLOADS, ask, measure

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent
DIRECT = "direct"


class Bench:
    """What all measurements share."""

    def __init__(self, options):
        self.here = HERE
        self.target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
        self.work = self.target / "compare"
        self.work.mkdir(parents=True, exist_ok=True)
        self.nice = options.nice
        self.proxy_core, self.load_core = options.proxy_core, options.load_core
        built = self.target / ("release" if options.profile == "release" else "debug")
        self.native = built / "nearside-compare"
        nearside = Path(options.nearside).resolve() if options.nearside else built / "nearside"
        self.tools = Tools(
            self.work / "tools", {"nearside": nearside, "nearside-compare": self.native}, options.fetch
        )
        self.slice_ms, self.warm_up_ms = round(options.slice * 1000), round(options.warm_up * 1000)
        self.users, self.idle, self.rate = options.users, options.idle, options.rate
        self.settle = min(options.slice, 1.0)
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self.origin_port = free_port()
        self.values = {
            "ORIGIN": str(self.origin_port),
            "CERTIFICATE": str(self.work / "edge.pem"),
            "KEY": str(self.work / "edge.key"),
            "BOTH": str(self.work / "edge-both.pem"),
            "FILES": str(files),
            # A proxied connection may take two files; some are needed besides.
            "CONNECTIONS": str(min((files - 500) // 2, 20_000)),
        }

    def start_origin(self):
        listen = [f"--listen=127.0.0.{number}:{self.origin_port}" for number in (1, 2, 3)]
        origin = Process(
            [self.native, "origin", *listen], self.load_core, nice=self.nice, output=self.work / "origin.txt"
        )
        check = [self.native, "load", "check", "--certificate", self.values["CERTIFICATE"]]
        check += ["--plain", f"127.0.0.1:{self.origin_port}"]
        if not wait_until(lambda: run_text(check, self.load_core)[1].strip() == "well", 10):
            origin.stop()
            raise SystemExit(f"the origin does not answer; see {self.work / 'origin.txt'}")
        return origin


def main():
    options = _options()
    if options.list:
        for workload in WORKLOADS:
            print(f"{workload.key:10} {workload.title}: {workload.about}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # Every user is a file for the generator and for the proxy; HAProxy counts two for each.
    options.users = min(options.users, (hard - 1000) // 2)
    options.idle = min(options.idle, (hard - 1000) // 2)
    if options.build:
        _build(options)
    bench = Bench(options)
    _certificate(bench)
    return _run(options, bench)


def _run(options, bench):
    began = time.monotonic()
    os.sched_setaffinity(0, {bench.load_core})  # this script must not disturb the contestants either
    say(f"proxies on processor {bench.proxy_core}, origin and load on {bench.load_core}")
    contestants = [Contestant(name, bench) for name in options.peers]
    results = Results(
        _facts(options, bench, contestants), {DIRECT: "no proxy", **{one.name: one.title for one in contestants}}
    )
    stem = bench.work / f"results-{time.strftime('%Y%m%d-%H%M%S')}"
    origin = bench.start_origin()
    try:
        for one in contestants:
            _start(one)
        for workload in options.only:
            for number in range(1, min(options.rounds, workload.most_rounds) + 1):
                _round(bench, workload, number, contestants, origin, results)
            results.facts["Load average"] = f"{options.load_before:.1f} before, {machine.load():.1f} after"
            results.facts["Duration"] = f"{(time.monotonic() - began) / 60:.0f} minutes"
            # After every workload, so that what is interrupted is not lost.
            stem.with_suffix(".md").write_text(results.markdown())
            stem.with_suffix(".json").write_text(results.json())
    finally:
        for one in contestants:
            if one.instance:
                one.instance.process.stop()
        origin.stop()
    if options.record:
        record(ROOT / "benches" / "RESULTS.md", results.markdown())
    print(results.markdown())
    say(f"written to {stem.with_suffix('.md')} and .json")
    return _verdict(results)


def _start(one):
    if one.reason is None:
        try:
            one.instance = one.start()
            one.check(one.instance)
            say(f"{one.title} {one.version}: answers rightly")
        except Missing as missing:
            one.reason = missing
            if one.instance:
                one.instance.process.stop()
                one.instance = None
    if one.reason is not None:
        say(f"{one.title}: {one.reason}")


def _round(bench, workload, number, contestants, origin, results):
    """Everybody in turn, so that what else the machine does meets all alike."""
    if workload.kind == "latency":
        try:
            done = ask(bench, workload, f"127.0.0.1:{bench.origin_port}", origin)
        except Missing as missing:
            done = missing
        results.add(workload, DIRECT, number, done)
    # Another one begins in every round: nobody always follows the same neighbour.
    turn = (number - 1) % len(contestants)
    for one in contestants[turn:] + contestants[:turn]:
        try:
            done = one.reason if one.reason is not None else measure(bench, workload, one)
        except Missing as missing:
            done = missing
        results.add(workload, one.name, number, done)
        say(f"{workload.key} {number} {one.title}: {_brief(workload, done)}")


def _brief(workload, done):
    if isinstance(done, Missing):
        return str(done)
    told = {
        "requests": f"{done.cost_us:.1f} us, {done.requests} requests",
        "memory": f"{done.kib:.1f} KiB, {done.requests} connections",
        "latency": ", ".join(f"{key} {value:.3f}" for key, value in done.latency_ms.items()),
    }[workload.kind]
    return f"{told}, {done.failed} failed"


def _verdict(results):
    """1 if nearside or the yardstick could not be measured or failed a request; others only speak for themselves."""
    bad = []
    for key, contestants in results.taken.items():
        for name in {YARDSTICK, "nearside"} & contestants.keys():
            slices = results.slices(key, name).values()
            # A tool that is not here is no fault of theirs; the table says so.
            wrong = [why for why in results.reasons(key, name) if not isinstance(why, Absent)]
            if wrong:
                bad.append(f"{key}: {name} was not measured: {wrong[0]}")
            if failed := sum(done.failed for done in slices):
                bad.append(f"{key}: {failed} requests to {name} failed")
    for line in bad:
        say(f"BAD {line}")
    return 1 if bad else 0


def _build(options):
    """Each on its own: built together, one's features would be in the other's crates."""
    wanted = [("nearside-benches", "nearside-compare")]
    if not options.nearside:
        wanted.append(("nearside", "nearside"))
    profile = ["--release"] if options.profile == "release" else []
    for package, binary in wanted:
        say(f"building {binary}; minutes the first time")
        command = ["cargo", "build", "--locked", *profile, "--package", package, "--bin", binary]
        if subprocess.run(command, cwd=ROOT).returncode:
            raise SystemExit("the build failed")


def _certificate(bench):
    code, text = run_text([bench.native, "certificate", "--folder", bench.work], bench.load_core)
    if code:
        raise SystemExit(f"no certificate: {text}")


def _facts(options, bench, contestants):
    versions = [f"{one.title} {one.version}" for one in contestants if one.reason is None]
    try:
        binary, environment = bench.tools.find(**H2LOAD)
        versions.append(run_text([binary, "--version"], environment=environment)[1].strip().splitlines()[-1])
    except Missing as missing:
        versions.append(f"h2load: {missing}")
    command = shlex.join(["benches/compare/run", *sys.argv[1:]])
    return {
        "Command": f"`{command}`",
        "Date": date.today().isoformat(),
        **machine.describe(ROOT),
        "Versions": ", ".join(versions),
        "Rounds": f"{options.rounds}, slices of {options.slice:g} s"
        + (" (at most 3 rounds for users and memory)" if options.rounds > 3 else ""),
        "Processors": f"contestant {bench.proxy_core}, origin and load {bench.load_core}"
        + (f", niceness {bench.nice}" if bench.nice else ""),
        "Load": f"{bench.users} users, {bench.idle} idle connections, {bench.rate:g} requests/s for latency",
    }


def _options():
    cores = sorted(os.sched_getaffinity(0))
    keys = [workload.key for workload in WORKLOADS]
    parser = argparse.ArgumentParser(
        prog="benches/compare/run",
        description="Measures what nearside costs beside its peers and a bare forwarder of the same crates.",
    )
    add = parser.add_argument
    add("--rounds", type=int, default=None, help="rounds over all contestants (7)")
    add("--quick", action="store_true", help="one short round with what is installed: does the harness work?")
    add("--only", default=",".join(keys), help=f"workloads, with commas: {','.join(keys)}")
    add("--peers", default=",".join(PEERS), help=f"contestants, with commas: {','.join(PEERS)}")
    add("--nearside", help="measure this binary instead of building one")
    add("--profile", choices=["release", "dev"], default="release", help="dev compiles fast and measures nothing real")
    add("--no-build", dest="build", action="store_false", help="use what was built before")
    add("--no-fetch", dest="fetch", action="store_false", help="do not fetch contestants that are not in PATH")
    add("--slice", type=float, default=None, help="seconds that count per contestant and round (1.5)")
    add("--users", type=int, default=None, help="users who think, if open files allow (8000)")
    add("--idle", type=int, default=None, help="idle connections for memory (4000)")
    add("--rate", type=float, default=None, help="requests per second for latency (2000)")
    add("--proxy-core", type=int, default=cores[0], help="processor of the contestants")
    add("--load-core", type=int, default=cores[-1], help="processor of origin and load")
    add("--nice", type=int, default=0, help="niceness of all that is measured; below 0 needs root")
    add("--record", action="store_true", help="put the tables into benches/RESULTS.md")
    add("--list", action="store_true", help="name the workloads")
    options = parser.parse_args()
    quick = options.quick
    defaults = {"rounds": (7, 1), "slice": (1.5, 0.5), "users": (8000, 500), "idle": (4000, 500), "rate": (2000, 500)}
    for name, (usual, short) in defaults.items():
        if getattr(options, name) is None:
            setattr(options, name, short if quick else usual)
        if getattr(options, name) <= 0:
            parser.error(f"--{name} must be more than 0, for example {usual}")
    options.warm_up = 0.2 if quick else 0.3
    options.fetch = options.fetch and not quick
    options.load_before = machine.load()
    options.only = _chosen(parser, "--only", options.only, {one.key: one for one in WORKLOADS})
    options.peers = _chosen(parser, "--peers", options.peers, {name: name for name in PEERS})
    if options.slice < 0.2 or options.slice > 60:
        parser.error("--slice is from 0.2 to 60 seconds, for example 1.5")
    for name in ("proxy_core", "load_core"):
        if getattr(options, name) not in cores:
            parser.error(f"--{name.replace('_', '-')}: there is no such processor; there are {cores}")
    if options.proxy_core == options.load_core:
        say("WARNING: only one processor: contestants share it with the load, and latencies mean little")
    if options.nice < 0 and os.geteuid() != 0:
        parser.error("--nice below 0 needs root; leave it out")
    return options


def _chosen(parser, flag, text, known):
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in known:
            parser.error(f"{flag}: there is no {name!r}; there are {', '.join(known)}")
    if not names:
        parser.error(f"{flag} names nothing, for example {next(iter(known))}")
    return [known[name] for name in dict.fromkeys(names)]


def say(line):
    print(line, file=sys.stderr, flush=True)
