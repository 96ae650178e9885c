"""Apache Kafka's command line tools, each in a Java process of its own, as its scripts start them.

Their jar stands in the cache beside the server's, which has all that they need, and is fetched like it: once a version.
"""

import shutil
import subprocess
from pathlib import Path

from ordeal.errors import HARNESS, OrdealError
from ordeal.targets import kafka_files
from ordeal.terminal import Terminal

FETCH_S = 900
RUN_S = 300  # a busy machine takes its time over a Java process
TOOL = "org.apache.kafka.tools."


class Tools:
    def __init__(self, terminal: Terminal):
        self.java, self.java_version = kafka_files.find_java()
        self.kafka = kafka_files.from_maven(kafka_files.DEFAULT_VERSION, terminal)
        own = _fetched(self.kafka)
        # Made when the target runs the first time; the tools share most of its classes, and start faster with it.
        archive = [f"-XX:SharedArchiveFile={self.kafka.archive}"] if self.kafka.archive.is_file() else []
        self._start = [self.java, *archive, "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true",
                       f"-Dlog4j2.configurationFile={Path(__file__).parent / 'log4j2.properties'}", "-cp", f"{self.kafka.classpath}:{own}"]

    def run(self, name: str, *words: object, text: str | None = None) -> subprocess.CompletedProcess:
        """`name` without a package is one of Kafka's tools."""
        command = [*self._start, name if name.startswith("kafka.") else TOOL + name, *map(str, words)]
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=RUN_S)

    def says(self, name: str, *words: object, text: str | None = None) -> str:
        """What the tool prints; that it succeeds is asserted."""
        done = self.run(name, *words, text=text)
        assert done.returncode == 0, f"{name} {words}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def refuses(self, name: str, *words: object) -> str:
        """What the tool prints, both ways; that it ends with an error is asserted."""
        done = self.run(name, *words)
        assert done.returncode != 0, f"{name} {words} succeeded:\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr


def _fetched(kafka: kafka_files.Kafka) -> Path:
    jar = kafka.cache / "tools" / f"kafka-tools-{kafka.version}.jar"
    with kafka_files.locked(kafka.cache):
        if jar.is_file():
            return jar
        if not shutil.which("mvn"):
            raise OrdealError(f"Apache Kafka's tools {kafka.version} are fetched by Maven, and mvn is not here", "apt-get install -y maven")
        fresh = kafka.cache / "tools.new"
        shutil.rmtree(fresh, ignore_errors=True)
        done = subprocess.run(["mvn", "-B", "-f", str(kafka_files.FILES / "pom.xml"), "-Ptools", f"{kafka_files.PLUGIN}:copy-dependencies",
                               f"-Dkafka.version={kafka.version}", f"-DoutputDirectory={fresh}", "-DincludeArtifactIds=kafka-tools"],
                              capture_output=True, text=True, timeout=FETCH_S)
        if not (fresh / jar.name).is_file():
            raise OrdealError(f"Maven could not fetch Apache Kafka's tools {kafka.version}", "check the network", HARNESS, done.stdout[-2000:])
        shutil.rmtree(kafka.cache / "tools", ignore_errors=True)
        fresh.rename(kafka.cache / "tools")
    return jar
