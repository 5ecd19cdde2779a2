"""Processes: pinned, accounted for by the scheduler, and stopped by their ids."""

import ctypes
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class Process:
    """A process of ours on one processor. It ends with us, whatever happens to us."""

    def __init__(self, command, core, *, nice=0, environment=None, folder=None, output=None, stdin=None):
        def prepare():
            os.sched_setaffinity(0, {core})
            if nice:
                os.nice(nice)
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

        out = subprocess.PIPE if output is None else open(output, "ab")
        self.child = subprocess.Popen(
            [str(part) for part in command],
            stdin=stdin or subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            text=True,
            bufsize=1,
            preexec_fn=prepare,
            start_new_session=True,
        )
        if output is not None:
            out.close()

    def ids(self):
        """This process and its descendants."""
        found, ahead = [], [self.child.pid]
        while ahead:
            pid = ahead.pop()
            found.append(pid)
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                try:
                    ahead += [int(word) for word in children.read_text().split()]
                except OSError:
                    pass
        return found

    def account_ns(self):
        """Time on the processor and time waiting for it, of all threads so far.

        From the scheduler's own account, which is exact; `utime` and `stime` are sampled by ticks.
        """
        ran = waited = 0
        for pid in self.ids():
            for account in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                try:
                    words = account.read_text().split()
                except OSError:
                    continue
                ran, waited = ran + int(words[0]), waited + int(words[1])
        return ran, waited

    def memory_kib(self):
        """Proportional set size: memory that is its own, and its share of what it shares."""
        total = 0
        for pid in self.ids():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        return total

    def is_running(self):
        return self.child.poll() is None

    def stop(self, patience=3.0):
        ids = self.ids() if self.is_running() else []
        if ids:
            self.child.terminate()
            try:
                self.child.wait(patience)
            except subprocess.TimeoutExpired:
                for pid in ids:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
        self.child.wait()
        if self.child.stdout:
            self.child.stdout.close()


class Bounded:
    """Lines of a process that is killed when its time is over."""

    def __init__(self, process, seconds):
        self.process = process
        self.is_late = False
        self.timer = threading.Timer(seconds, self._late)
        self.timer.daemon = True

    def _late(self):
        self.is_late = True
        self.process.child.kill()

    def __enter__(self):
        self.timer.start()
        return self

    def __iter__(self):
        return (line.rstrip("\n") for line in self.process.child.stdout)

    def __exit__(self, *_):
        self.timer.cancel()
        self.process.stop()


def run_text(command, core=None, seconds=60, **options):
    """Runs a command to its end; its exit code and what it wrote."""
    core = min(os.sched_getaffinity(0)) if core is None else core
    process = Process(command, core, **options)
    with Bounded(process, seconds) as lines:
        text = list(lines)
        process.child.wait()
    if lines.is_late:
        text.append(f"not done after {seconds} s")
    return process.child.returncode, "\n".join(text)


def wait_until(condition, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False
