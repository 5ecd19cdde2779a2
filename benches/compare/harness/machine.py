"""On what, with what, and from which state of the sources a result came."""

import os
import platform
import re
import subprocess
import tomllib
from pathlib import Path


def describe(root):
    """Lines about the machine and the sources."""
    return {
        "Machine": f"{_processor()}, {os.cpu_count()} processors, {_memory_gib()} GiB",
        "System": f"{_system()}, Linux {platform.release()}",
        "Commit": _commit(root),
        "Rust": f"{_output(['rustc', '--version'], root) or '-'}; {_crates(root)}",
    }


def load():
    return os.getloadavg()[0]


def _processor():
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _memory_gib():
    found = re.search(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return round(int(found[1]) / (1 << 20)) if found else "?"


def _system():
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"


def _commit(root):
    head = _output(["git", "log", "-1", "--format=%h \u201c%s\u201d"], root)
    changed = _output(["git", "status", "--porcelain", "--untracked-files=no"], root)
    return (head or "-") + (", with changes" if changed else "")


def _crates(root):
    """Of nearside and the yardstick alike."""
    with open(root / "Cargo.lock", "rb") as file:
        packages = tomllib.load(file)["package"]
    told = ("hyper", "h2", "tokio", "rustls", "aws-lc-rs", "mimalloc")
    return ", ".join(f"{one['name']} {one['version']}" for one in packages if one["name"] in told)


def _output(command, folder):
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
