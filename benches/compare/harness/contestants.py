"""Contestants: a folder of `peers/` each, with a peer.toml, and configuration in which @NAMES@ are filled in."""

import http.client
import re
import shutil
import socket
import tomllib

from .processes import Process, run_text, wait_until
from .tools import Missing

PEERS = ("bare", "nearside", "nearside-log", "nginx", "haproxy", "envoy", "traefik", "caddy")
YARDSTICK = "bare"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Contestant:
    """One that is measured, or the reason why it is not."""

    def __init__(self, name, bench):
        self.name = name
        self.bench = bench  # where, with what, against which origin
        self.folder = bench.here / "peers" / name
        with open(self.folder / "peer.toml", "rb") as file:
            self.peer = tomllib.load(file)
        self.title = self.peer["title"]
        self.reason = None
        self.version = "-"
        self.instance = None
        try:
            self.binary, self.environment = bench.tools.find(**self.peer["binary"])
        except Missing as missing:
            self.reason = missing
            return
        command = [self._fill(part, {"BINARY": str(self.binary)}) for part in self.peer["version"]]
        code, text = run_text(command, environment=self.environment, seconds=20)
        if code:
            self.reason = Missing(f"does not run here: {text.strip().splitlines()[-1] if text.strip() else code}")
        else:
            self.version = _version(text)

    def start(self, suffix=""):
        """Starts one instance that answers. Raises Missing."""
        run = self.bench.work / f"{self.name}{suffix}"
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir(parents=True)
        run.chmod(0o755)
        ports = {name: str(free_port()) for name in ("PLAIN", "TLS", "SPARE_1", "SPARE_2")}
        values = {**self.bench.values, **ports, "BINARY": str(self.binary), "RUN": str(run)}
        for file in self.peer.get("files", []):
            source = self.folder / file
            (run / source.name).write_text(self._fill(source.read_text(), values))
        environment = {key: self._fill(value, values) for key, value in self.peer.get("environment", {}).items()}
        process = Process(
            [self._fill(part, values) for part in self.peer["command"]],
            self.bench.proxy_core,
            nice=self.bench.nice,
            environment={**self.environment, **environment},
            folder=run,
            output=run / "output.txt",
        )
        instance = Instance(process, int(ports["PLAIN"]), int(ports["TLS"]))
        wait_until(lambda: not process.is_running() or instance.is_ready(), 20)
        if not process.is_running() or not instance.is_ready():
            process.stop()
            text = (run / "output.txt").read_text().strip().splitlines()
            raise Missing(f"did not start: {text[-1] if text else instance.last}")
        return instance

    def check(self, instance):
        """Every kind of answer, byte by byte, before anything is measured. Raises Missing."""
        command = [self.bench.native, "load", "check", "--certificate", self.bench.values["CERTIFICATE"]]
        command += ["--plain", instance.address(tls=False), "--tls", instance.address(tls=True)]
        code, told = run_text(command, self.bench.load_core)
        if code or told.strip() != "well":
            raise Missing(f"did not answer rightly: {told.strip()}")

    @staticmethod
    def _fill(text, values):
        return re.sub(r"@([A-Z_0-9]+)@", lambda found: values.get(found[1], found[0]), text)


class Instance:
    def __init__(self, process, plain, tls):
        self.process = process
        self.plain = plain
        self.tls = tls
        self.last = "no word"

    def is_ready(self):
        """Whether it forwards: some listen before they know where to."""
        client = http.client.HTTPConnection("127.0.0.1", self.plain, timeout=2)
        try:
            client.request("GET", "/small", headers={"Host": "localhost"})
            status = client.getresponse().status
            self.last = f"status {status}"
            with socket.create_connection(("127.0.0.1", self.tls), timeout=2):
                return status == 200
        except (OSError, http.client.HTTPException) as error:
            self.last = str(error)
            return False
        finally:
            client.close()

    def address(self, tls):
        return f"127.0.0.1:{self.tls if tls else self.plain}"


def _version(text):
    for line in text.splitlines():
        # The first line that has a version in it; warnings about the environment have none.
        if found := re.search(r"\bv?\d+\.\d+(\.\d+)?[\w.~+-]*", line):
            return found[0].strip()
    return "-"
