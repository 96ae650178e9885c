"""Apache Kafka's jars: copied from Maven by coordinates into a cache, once a version, or taken from an unpacked distribution.

What is in the cache is complete: a folder is filled beside its place and its marker is written last, under a lock, so that
an interrupted or a second run never meets half of it. With the marker there, neither Maven nor the network is needed.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from ordeal import paths
from ordeal.errors import HARNESS, USAGE, OrdealError, usage
from ordeal.terminal import Terminal, seconds

DEFAULT_VERSION = "4.3.1"  # the newest whose artifacts can all be resolved; scripts/kafka/pom.xml names it too
FILES = paths.ROOT / "scripts" / "kafka"
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
JAVA_AT_LEAST = 17
DOWNLOAD_S = 1800
ARCHIVE_S = 120  # for one node to serve and stop, when the class archive is made

_DOWNLOADED = re.compile(r"Downloaded from \S+: \S+?([^/\s]+) \(([\d.]+) ([kM]?B)")
_NAME = re.compile(r'id="brokerconfigs_([a-z0-9.]+)"')


@dataclass
class Kafka:
    version: str
    jars: list[Path]
    cache: Path  # what is derived from the jars stands here
    java: str = "java"

    @property
    def classpath(self) -> str:
        return ":".join(str(j) for j in self.jars)

    @property
    def archive(self) -> Path:
        return self.cache / "classes.jsa"

    def names(self) -> set[str]:
        """Every broker setting that this version documents, by its own word."""
        listed = self.cache / "settings.txt"
        if not listed.is_file():
            done = subprocess.run([self.java, "-cp", self.classpath, "kafka.server.KafkaConfig"], capture_output=True, text=True, timeout=ARCHIVE_S)
            found = sorted(set(_NAME.findall(done.stdout)))
            if done.returncode != 0 or len(found) < 100:
                raise OrdealError(f"Kafka {self.version} does not list its settings", detail=done.stderr[-2000:])
            listed.write_text("\n".join(found) + "\n")
        return set(listed.read_text().split())


def cache_root() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("ORDEAL_CACHE") or Path(base) / "ordeal") / "kafka"


def find_java() -> tuple[str, str]:
    """(program, version) of a Java that Kafka 4 runs on."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if not java or not Path(java).is_file():
        raise OrdealError("Apache Kafka needs Java, and there is none here", "apt-get install -y openjdk-17-jre-headless")
    done = subprocess.run([java, "-version"], capture_output=True, text=True)
    found = re.search(r'version "(\d+)([^"]*)"', done.stderr + done.stdout)
    if not found or int(found[1]) < JAVA_AT_LEAST:
        raise OrdealError(f"Apache Kafka 4 needs Java {JAVA_AT_LEAST} or later, {java} is {found[0] if found else 'of an unknown version'}",
                          "apt-get install -y openjdk-17-jre-headless, and see that JAVA_HOME does not name an older one")
    return java, found[1] + found[2]


def from_home(folder: str) -> Kafka:
    home = Path(folder).resolve()
    jars = sorted((home / "libs").glob("*.jar"))
    core = next((found for jar in jars if (found := re.fullmatch(r"kafka_2\.\d+-(\d[\w.]*)\.jar", jar.name))), None)
    if not core:
        raise usage(f"--kafka-home {folder}: there is no libs/kafka_2.13-*.jar", "name the folder of an unpacked Kafka distribution")
    key = hashlib.sha256("\n".join(f"{j} {j.stat().st_mtime_ns}" for j in jars).encode()).hexdigest()[:12]
    cache = cache_root() / f"home-{core[1]}-{key}"
    cache.mkdir(parents=True, exist_ok=True)
    return Kafka(core[1], jars, cache)


def from_maven(version: str, terminal: Terminal) -> Kafka:
    cache = cache_root() / version
    with locked(cache):
        if not (cache / "complete").is_file():
            _download(version, cache, terminal)
    return Kafka(version, sorted((cache / "libs").glob("*.jar")), cache)


@contextlib.contextmanager
def locked(cache: Path):
    """Two runs at once: the second waits, then finds the work done."""
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _download(version: str, cache: Path, terminal: Terminal) -> None:
    if not shutil.which("mvn"):
        raise OrdealError(f"Apache Kafka {version} is fetched by Maven, and mvn is not here",
                          "apt-get install -y maven, or give an unpacked distribution with --kafka-home")
    terminal.line(f"  kafka     Apache Kafka {version} is not in {paths.shown(cache)}: fetching about 45 MB by Maven, once (seconds to minutes)")
    fresh, began = cache / "libs.new", time.monotonic()
    shutil.rmtree(fresh, ignore_errors=True)
    command = ["mvn", "-B", "-f", str(FILES / "pom.xml"), f"{PLUGIN}:copy-dependencies", f"-Dkafka.version={version}",
               f"-DoutputDirectory={fresh}", "-DincludeScope=runtime"]
    said = _followed(command, terminal)
    jars = list(fresh.glob("*.jar"))
    if not any(jar.name == f"kafka_2.13-{version}.jar" for jar in jars):
        raise OrdealError(f"Maven could not fetch Apache Kafka {version}", "check --kafka-version and the network; --kafka-home DIR needs neither",
                          HARNESS, _told_by_maven(said))
    shutil.rmtree(cache / "libs", ignore_errors=True)
    fresh.rename(cache / "libs")
    size = sum(jar.stat().st_size for jar in (cache / "libs").glob("*.jar"))
    (cache / "complete").write_text(version + "\n")
    terminal.line(f"  kafka     {len(jars)} jars, {size / 1e6:.0f} MB in {seconds(time.monotonic() - began)}")


def _told_by_maven(said: list[str]) -> str:
    """The errors proper, without the advice on how to run Maven that follows each."""
    errors = [line for line in said if line.startswith("[ERROR]") and "[Help" not in line.split("->")[0] and len(line) > len("[ERROR] ")]
    advice = ("re-run Maven", "Re-run Maven", "For more information", "cwiki")
    return "\n".join(line.split(" -> [Help")[0] for line in errors if not any(words in line for words in advice)) or "\n".join(said[-5:])


def _followed(command: list[str], terminal: Terminal) -> list[str]:
    """Runs Maven, showing what it downloads; its lines, without paint. What came of it is the caller's to look at."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    lines, count, size, until = [], 0, 0.0, time.monotonic() + DOWNLOAD_S
    try:
        for line in child.stdout:
            lines.append(re.sub(r"\x1b\[[\d;]*m", "", line.rstrip("\n")))
            if found := _DOWNLOADED.search(line):
                count, size = count + 1, size + float(found[2]) * {"B": 1e-6, "kB": 1e-3, "MB": 1}[found[3]]
                terminal.live("kafka", f"{count} files, {size:.0f} MB · {found[1]}")
            if time.monotonic() > until:
                raise OrdealError(f"Maven was not done after {DOWNLOAD_S / 60:.0f} minutes", "check the network", HARNESS, "\n".join(lines[-15:]))
        child.wait()
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
    return [line for line in lines if "Download" not in line]


# ---- class archive: what the JVM has parsed and verified once, so that each of three nodes need not ----

def ensure_archive(kafka: Kafka, terminal: Terminal) -> bool:
    """Makes the archive from one node's start and stop. Without one Kafka runs as well, and starts slower."""
    with locked(kafka.cache):
        if kafka.archive.is_file():
            return True
        if (kafka.cache / "no-archive").is_file():
            return False
        terminal.live("kafka", "making a class archive, so that nodes start faster (once)")
        scratch = kafka.cache / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        try:
            _record_classes(kafka, scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        if not kafka.archive.is_file():
            (kafka.cache / "no-archive").write_text("this Java made none; delete this file to try again\n")
            terminal.line("  kafka     this Java makes no class archive: nodes will start slower")
        return kafka.archive.is_file()


def _record_classes(kafka: Kafka, scratch: Path) -> None:
    ports = _free_ports(2)
    properties = scratch / "server.properties"
    properties.write_text("\n".join([
        "node.id=1", "process.roles=broker,controller", f"listeners=PLAINTEXT://127.0.0.1:{ports[0]},CONTROLLER://127.0.0.1:{ports[1]}",
        "controller.listener.names=CONTROLLER", f"controller.quorum.voters=1@127.0.0.1:{ports[1]}", f"log.dirs={scratch / 'data'}",
        "offsets.topic.replication.factor=1", ""]))
    if storage_format(kafka, properties, "AAAAAAAAAAAAAAAAAAAAAQ").returncode != 0:
        return
    fresh = kafka.archive.with_suffix(".new")
    with open(scratch / "log", "wb") as log:
        child = subprocess.Popen([kafka.java, "-Xmx384m", f"-XX:ArchiveClassesAtExit={fresh}", logging(), "-cp", kafka.classpath, "kafka.Kafka",
                                  str(properties)], stdout=log, stderr=log)
    until = time.monotonic() + ARCHIVE_S
    try:
        while child.poll() is None and time.monotonic() < until and b"Kafka Server started" not in (scratch / "log").read_bytes():
            time.sleep(0.1)
        child.terminate()
        child.wait(ARCHIVE_S)
    except subprocess.TimeoutExpired:
        return
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
    if fresh.is_file():
        fresh.replace(kafka.archive)


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def logging() -> str:
    return f"-Dlog4j2.configurationFile={FILES / 'log4j2.properties'}"


def storage_format(kafka: Kafka, properties: Path, cluster: str) -> subprocess.CompletedProcess:
    """Kafka's own storage tool. It reads the settings as a node would, so it is also what refuses their values."""
    archive = [f"-XX:SharedArchiveFile={kafka.archive}"] if kafka.archive.is_file() else []
    command = [kafka.java, "-Xmx128m", "-XX:TieredStopAtLevel=1", *archive, "-cp", kafka.classpath, "kafka.tools.StorageTool", "format",
               "--cluster-id", cluster, "--config", str(properties)]
    return subprocess.run(command, capture_output=True, text=True, timeout=ARCHIVE_S)


def format_all(kafka: Kafka, files: list[Path], cluster: str) -> None:
    """All nodes at once: most of the time is the JVM's start."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max(1, len(files))) as pool:
        outcomes = list(pool.map(lambda path: storage_format(kafka, path, cluster), files))
    for done in outcomes:
        if done.returncode != 0:
            raise OrdealError(f"Kafka {kafka.version} refused its settings", "mend them as said above", USAGE, _complaint(done.stdout + done.stderr))


def _complaint(said: str) -> str:
    """What Kafka says is wrong, without the way it took to find out."""
    lines = [line for line in said.splitlines() if line.strip() and not line.lstrip().startswith(("at ", "SLF4J", "..."))]
    return "\n".join(line for line in lines if "Exception" in line or "Error" in line or "rror:" in line) or "\n".join(lines[-5:])
