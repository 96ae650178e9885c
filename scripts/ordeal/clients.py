"""The Kafka clients that can drive a trial: two in ordeal-workload itself, the others behind an adapter (docs/formats/adapter.md).

An adapter is made ready when it is first asked for: Maven builds the Java one, pip installs what the Python one needs. Another
client in another language is one more row of ADAPTERS: what makes it ready, and the command that starts it.
"""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

from ordeal import paths
from ordeal.errors import OrdealError, usage
from ordeal.tail import Tail
from ordeal.terminal import Terminal, seconds

BUILT_IN = ("librdkafka", "native")
SOURCES = paths.ROOT / "adapters"
JAVA_PACKAGES = "apt-get install -y openjdk-17-jdk-headless maven"
BUILD_S = 1200  # the first time Maven downloads its plugins too
ARCHIVE, ARCHIVE_S = "classes.jsa", 20
# Makes every class be loaded that a client needs to begin; nobody listens there.
SESSION = "".join(json.dumps(command) + "\n" for command in (
    {"cmd": "hello", "protocol": 1}, {"cmd": "producer", "id": 1, "config": {"bootstrap.servers": "127.0.0.1:9", "max.block.ms": "100"}},
    {"cmd": "consumer", "id": 2, "config": {"bootstrap.servers": "127.0.0.1:9", "auto.offset.reset": "none"}},
    {"cmd": "send", "id": 1, "records": [{"tag": 1, "topic": "t", "partition": 0, "key": None, "value": ""}]},
    {"cmd": "assign", "id": 2, "positions": [{"topic": "t", "partition": 0, "offset": 0}]}, {"cmd": "poll", "id": 2, "timeout_ms": 500, "max": 1}))
ADAPTER_START_S = 60
# One JVM hosts all clients of a host: small, and quick to start rather than quick in the end.
JVM = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true",
       "-Xlog:disable", "-Xlog:all=error:stderr", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-Dorg.slf4j.simpleLogger.showDateTime=true")


class Java:
    """adapters/java over Apache Kafka's client, built into build/adapters/java-VERSION."""

    def make_ready(self, version: str, terminal: Terminal) -> None:
        _find_java()
        version = version or self.default_version()
        folder = self.folder(version)
        folder.mkdir(parents=True, exist_ok=True)
        stamp, wanted = folder / "complete", _digest(SOURCES / "java")
        with open(folder / ".lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if stamp.is_file() and stamp.read_text() == wanted and (folder / "adapter.jar").is_file():
                return
            stamp.unlink(missing_ok=True)
            self._build(version, folder, terminal)
            stamp.write_text(wanted)

    def _build(self, version: str, folder: Path, terminal: Terminal) -> None:
        maven = shutil.which("mvn")
        if not maven:
            raise OrdealError("the Java client needs Maven to be built, and there is none here", JAVA_PACKAGES)
        began = time.monotonic()
        terminal.live("build", f"the Java client {version}: Maven (the first time it downloads the libraries)")
        for part in ("classes", "lib"):
            shutil.rmtree(folder / part, ignore_errors=True)
        command = [maven, "-q", "-B", "-f", str(SOURCES / "java" / "pom.xml"), f"-DbuildDirectory={folder}", f"-Dkafka.version={version}", "process-classes"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_S)
        except subprocess.TimeoutExpired as error:
            raise OrdealError(f"Maven did not build the Java client within {BUILD_S} s", "is the network there?") from error
        if done.returncode != 0 or not (folder / "lib").is_dir():
            raise OrdealError(f"Maven could not build the Java client {version}", "mend what Maven says above; a download needs the network",
                              detail=(done.stdout + done.stderr)[-4000:])
        _pack(folder / "classes", folder / "adapter.jar")
        self._archive(folder)
        terminal.phase("build", f"the Java client {version} in {seconds(time.monotonic() - began)}")

    def _archive(self, folder: Path) -> None:
        """The classes that a session needs, ready to be mapped: less than half the processor time at every start. Only a saving: a JVM
        that cannot make it, or does not take it, loads them one by one."""
        archive = folder / ARCHIVE
        archive.unlink(missing_ok=True)
        child = subprocess.Popen(self._command(folder, f"-XX:ArchiveClassesAtExit={archive}"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL, text=True)
        watchdog = threading.Timer(ARCHIVE_S, child.kill)
        watchdog.start()
        with contextlib.suppress(OSError):  # it may have ended at once
            child.stdin.write(SESSION)
            child.stdin.flush()
            next((line for line in child.stdout if '"polled"' in line), None)
        with contextlib.suppress(OSError):
            child.stdin.close()
        child.wait()
        child.stdout.close()
        watchdog.cancel()

    def _command(self, folder: Path, *flags: str) -> list[str]:
        classpath = [folder / "adapter.jar", *sorted((folder / "lib").glob("*.jar"))]
        return [_find_java(), *JVM, *flags, "-cp", ":".join(str(jar) for jar in classpath), "ordeal.adapter.Main"]

    def argv(self, version: str) -> list[str]:
        folder = self.folder(version or self.default_version())
        archive = folder / ARCHIVE
        return self._command(folder, *([f"-XX:SharedArchiveFile={archive}", "-Xshare:auto"] if archive.is_file() else []))

    def folder(self, version: str) -> Path:
        return paths.BUILD / "adapters" / f"java-{version}"

    def default_version(self) -> str:
        return re.search(r"<kafka\.version>([^<]+)<", (SOURCES / "java" / "pom.xml").read_text())[1]


class Python:
    """adapters/python over confluent-kafka, in the environment this runs in."""

    def make_ready(self, version: str, terminal: Terminal) -> None:
        if version:
            raise usage("--client-version is for --client java", "the Python client's version stands in adapters/python/requirements.txt")
        listed = SOURCES / "python" / "requirements.txt"
        name, pinned = re.search(r"^([\w-]+)==(\S+)$", listed.read_text(), re.MULTILINE).groups()
        try:
            if importlib.metadata.version(name) == pinned:
                return
        except importlib.metadata.PackageNotFoundError:
            pass
        if sys.prefix == sys.base_prefix:  # never into the system's own Python
            raise OrdealError(f"{name} {pinned} is not installed, and this is not the project's Python environment", "start it as ./ordeal, which makes one")
        terminal.live("build", f"pip install {name}=={pinned}")
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-input", "--disable-pip-version-check", "-r", str(listed)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise OrdealError(f"pip could not install {name} {pinned}", "is the network there?", detail=(done.stdout + done.stderr)[-4000:])

    def argv(self, version: str) -> list[str]:
        return [sys.executable, "-u", str(SOURCES / "python" / "adapter.py")]


ADAPTERS = {"java": Java(), "python": Python()}
CHOICES = (*BUILT_IN, *ADAPTERS)


def make_ready(client: str, version: str, terminal: Terminal) -> None:
    if client in ADAPTERS:
        ADAPTERS[client].make_ready(version, terminal)
    elif version:
        raise usage("--client-version is for --client java", "librdkafka is the one of this machine's packages")


def start_s(client: str) -> int:
    """What may pass until a client begins to connect: a JVM starts in two seconds, or in thirty where nothing is idle."""
    return ADAPTER_START_S if client in ADAPTERS else 0


def workload(client: str, version: str) -> dict:
    """What a workload.json says of its client."""
    return {"client": client} | ({"adapter_argv": ADAPTERS[client].argv(version)} if client in ADAPTERS else {})


def versions(logs: list[Path]) -> dict:
    """What the client hosts said of the clients they drive with (their status lines): a row of the report's facts each."""
    found: dict[str, set] = {}
    for log in logs:
        for row in Tail(log).read() if log.is_file() else []:
            if row.get("event") == "client":
                facts = row.get("facts") or {}
                words = [facts.get("client.library"), row.get("version"), f"on {runtime}" if (runtime := facts.get("client.runtime")) else None]
                found.setdefault(f"client {row.get('kind')}", set()).add(" ".join(w for w in words if w))
    return {name: ", ".join(sorted(values)) for name, values in found.items()}


def _find_java() -> str:
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if not java or not Path(java).is_file():
        raise OrdealError("the Java client needs Java, and there is none here", JAVA_PACKAGES)
    return java


def _pack(classes: Path, jar: Path) -> None:
    """A jar, because a JVM shares no classes of a folder."""
    with zipfile.ZipFile(jar, "w") as archive:
        for path in sorted(p for p in classes.rglob("*") if p.is_file()):
            archive.write(path, path.relative_to(classes))


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and "target" not in p.parts):
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
