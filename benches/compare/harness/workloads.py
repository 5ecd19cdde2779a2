"""Workloads: who asks what, how, and for how long. Each slice tells what the contestant's processor time bought."""

import json
import re
import subprocess
import time
from dataclasses import dataclass, field

from .processes import Bounded, Process
from .tools import Missing

H2LOAD = {"name": "h2load", "debian": "nghttp2-client"}


@dataclass(frozen=True)
class Workload:
    key: str
    title: str
    about: str
    kind: str  # what is counted: requests, memory or latency
    tool: str  # h2load, or the way of our own generator
    goal: float  # at most this many times the yardstick, or KiB for memory
    tls: bool = False
    arguments: tuple = ()
    most_rounds: int = 1000


KEEP_ALIVE, ELSEWHERE = 1.35, 1.2

WORKLOADS = (
    Workload("h1", "HTTP/1.1, kept connections", "32 connections, answers of 128 bytes", "requests", "h2load",
             KEEP_ALIVE, arguments=("--h1", "-c32", "/small")),
    Workload("h1-new", "HTTP/1.1, a connection for each request", "32 clients", "requests", "connect", ELSEWHERE,
             arguments=("--clients", "32")),
    Workload("tls", "TLS 1.3, kept connections", "HTTP/1.1, 32 connections, answers of 128 bytes", "requests",
             "h2load", KEEP_ALIVE, tls=True, arguments=("--h1", "-c32", "/small")),
    Workload("tls-new", "TLS 1.3, a full handshake for each request",
             "16 clients, ECDSA P-256, X25519, no resumption", "requests", "connect", ELSEWHERE, tls=True,
             arguments=("--clients", "16")),
    Workload("h2", "HTTP/2", "TLS, 32 connections with 16 streams each, answers of 128 bytes", "requests", "h2load",
             KEEP_ALIVE, tls=True, arguments=("-c32", "-m16", "/small")),
    Workload("down", "1 MiB down", "HTTP/1.1, 8 connections", "requests", "h2load", ELSEWHERE,
             arguments=("--h1", "-c8", "/large")),
    Workload("down-tls", "1 MiB down over TLS", "HTTP/1.1, 8 connections", "requests", "h2load", ELSEWHERE, tls=True,
             arguments=("--h1", "-c8", "/large")),
    Workload("up", "1 MiB up", "HTTP/1.1, 8 connections", "requests", "upload", ELSEWHERE,
             arguments=("--clients", "8")),
    Workload("users", "Users who think for a second", "A kept HTTP/1.1 connection each; answers of 128 bytes",
             "requests", "users", ELSEWHERE, most_rounds=3),
    Workload("latency", "Latency at a fixed rate",
             "32 kept HTTP/1.1 connections, answers of 128 bytes; each latency from the time intended to send",
             "latency", "latency", ELSEWHERE),
    Workload("idle", "Memory of an idle connection", "HTTP/1.1, after one request; in a fresh process", "memory",
             "idle", 26.0, most_rounds=3),
    Workload("idle-tls", "Memory of an idle TLS connection", "HTTP/1.1, after one request; in a fresh process",
             "memory", "idle", 40.0, tls=True, most_rounds=3),
)


@dataclass
class Slice:
    """What one contestant did in one slice."""

    seconds: float = 0.0
    requests: int = 0
    failed: int = 0
    cost_us: float = 0.0  # processor time per request
    busy: float = 0.0  # of one processor
    waited: float = 0.0  # of the time, ready to run while something else ran
    kib: float = 0.0  # memory per connection
    latency_ms: dict = field(default_factory=dict)


def measure(bench, workload, contestant):
    """One slice. Raises Missing if it could not be made."""
    if workload.kind == "memory":
        return _memory(bench, workload, contestant)
    instance = contestant.instance
    if not instance.process.is_running():
        raise Missing("it died")
    if workload.tool == "h2load":
        return _h2load(bench, workload, instance)
    return ask(bench, workload, instance.address(workload.tls), instance.process)


def _h2load(bench, workload, instance):
    binary, environment = bench.tools.find(**H2LOAD)
    *options, path = workload.arguments
    scheme = "https" if workload.tls else "http"
    address = instance.address(workload.tls)
    command = [binary, "-t1", f"-D{bench.slice_ms}ms", f"--warm-up-time={bench.warm_up_ms}ms", *options]
    # The name is what contestants route by, the address spares a look-up.
    command += [f"--connect-to={address}", "-H", "x-forwarded-for: 81.2.69.142"]
    command += [f"{scheme}://localhost:{address.rpartition(':')[2]}{path}"]
    process = Process(command, bench.load_core, nice=bench.nice, environment=environment)
    account, text = Account(instance.process), []
    with Bounded(process, bench.slice_ms / 1000 * 4 + 20) as lines:
        for line in lines:
            text.append(line)
            if line.startswith("Main benchmark duration is started"):
                account.begin()
            elif line.startswith("Main benchmark duration is over"):
                account.end()
    whole = "\n".join(text)
    counts = re.search(r"^requests: (\d+) total.* (\d+) failed, (\d+) errored, (\d+) timeout", whole, re.MULTILINE)
    codes = re.search(r"^status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", whole, re.MULTILINE)
    if not counts or not codes or lines.is_late:
        raise Missing("h2load did not finish: " + (text[-1] if text else "no word"))
    right, *others = (int(number) for number in codes.groups())
    # What h2load calls failed includes answers with a wrong status.
    failed = max(int(counts[2]), sum(others)) + int(counts[4])
    return account.slice(bench.slice_ms / 1000, right, failed)


def ask(bench, workload, address, watched):
    """One slice with our own generator."""
    process = Process(_command(bench, workload, address), bench.load_core, nice=bench.nice)
    account, told = Account(watched), None
    with Bounded(process, bench.slice_ms / 1000 * 4 + 60) as lines:
        for line in lines:
            if line == "begin":
                account.begin()
            elif line.startswith("{"):
                account.end()
                told = json.loads(line)
            else:
                raise Missing(line)
    if told is None:
        raise Missing("the load generator did not finish")
    done = account.slice(told["seconds"], told["requests"], told["failed"])
    done.latency_ms = {key: told[key] for key in ("p50_ms", "p99_ms", "p999_ms") if key in told}
    return done


def _command(bench, workload, address):
    seconds, warm_up = bench.slice_ms / 1000, bench.warm_up_ms / 1000
    extra = list(workload.arguments)
    if workload.tool == "users":
        # Whole seconds of thinking on both sides of the line, so that each user counts as often.
        seconds, warm_up = max(seconds, 2.0), 1.0
        extra += ["--users", bench.users]
    elif workload.tool == "latency":
        # One in a thousand has to be more than one.
        seconds = max(seconds, 2.5)
        extra += ["--rate", bench.rate]
    command = [bench.native, "load", workload.tool, "--address", address, *extra]
    command += ["--warm-up", warm_up, "--seconds", seconds]
    return command + (["--certificate", bench.values["CERTIFICATE"]] if workload.tls else [])


def _memory(bench, workload, contestant):
    """Growth of a fresh process: one that was busy before has freed memory to give."""
    instance = contestant.start("-idle")
    try:
        with _idle(bench, workload, instance, 64):
            pass
        time.sleep(0.3)
        before = instance.process.memory_kib()
        with _idle(bench, workload, instance, bench.idle) as held:
            time.sleep(bench.settle)
            after = instance.process.memory_kib()
        done = Slice(requests=held.told["connections"], failed=held.told["failed"])
        if done.requests:
            done.kib = (after - before) / done.requests
        return done
    finally:
        instance.process.stop()


class _idle:
    """Connections held open inside a `with`."""

    def __init__(self, bench, workload, instance, connections):
        command = [bench.native, "load", "idle", "--address", instance.address(workload.tls)]
        command += ["--connections", connections, "--seconds", 60]
        command += ["--certificate", bench.values["CERTIFICATE"]] if workload.tls else []
        self.process = Process(command, bench.load_core, nice=bench.nice, stdin=subprocess.PIPE)
        self.bounded = Bounded(self.process, 120)
        self.told = {"connections": 0, "failed": connections}

    def __enter__(self):
        self.lines = iter(self.bounded.__enter__())
        first = next(self.lines, "no word")
        if first != "begin":
            self.bounded.__exit__()
            raise Missing(f"the idle connections could not be opened: {first}")
        return self

    def __exit__(self, *_):
        self.process.child.stdin.close()
        for line in self.lines:
            if line.startswith("{"):
                self.told = json.loads(line)
        self.bounded.__exit__()


class Account:
    """Processor time of a process between two moments."""

    def __init__(self, process):
        self.process = process
        self.seconds = None

    def begin(self):
        self.began, self.before = time.monotonic(), self.process.account_ns()

    def end(self):
        spent = [after - before for before, after in zip(self.before, self.process.account_ns())]
        self.seconds = time.monotonic() - self.began
        self.busy, self.waited = (ns / 1e9 / self.seconds for ns in spent)

    def slice(self, seconds, requests, failed):
        if not self.seconds:
            raise Missing("the load ended before it was measured")
        # Both are rates of their own spans: a line that is read a little late then does not count as work.
        cost = self.busy * seconds / requests * 1e6 if requests else 0.0
        return Slice(seconds, requests, failed, cost_us=cost, busy=self.busy, waited=self.waited)
