"""Which client drives a trial: what is said when its tools are missing, and what reaches the client hosts and the facts."""

import json
import re
import sys

import pytest

from ordeal import clients, paths
from ordeal.errors import USAGE, OrdealError
from ordeal.terminal import Terminal


@pytest.fixture
def nothing_installed(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(paths, "BUILD", tmp_path / "build")
    return tmp_path


def program(folder, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_without_java_the_message_names_debians_packages(nothing_installed):
    with pytest.raises(OrdealError) as found:
        clients.make_ready("java", "", Terminal())
    assert "needs Java" in found.value.message and "openjdk-17-jdk-headless maven" in found.value.hint


def test_without_maven_too(nothing_installed):
    program(nothing_installed, "java", "exit 0")
    with pytest.raises(OrdealError) as found:
        clients.make_ready("java", "", Terminal())
    assert "needs Maven" in found.value.message and "maven" in found.value.hint


def test_what_maven_says_is_shown_and_nothing_counts_as_built(nothing_installed):
    program(nothing_installed, "java", "exit 0")
    program(nothing_installed, "mvn", "echo 'no such release: 9.9.9'; exit 1")
    for _ in range(2):
        with pytest.raises(OrdealError) as found:
            clients.make_ready("java", "9.9.9", Terminal())
        assert "9.9.9" in found.value.message and "no such release" in found.value.detail


def test_a_build_is_made_once_and_again_for_another_version(nothing_installed):
    program(nothing_installed, "java", "exit 0")
    program(nothing_installed, "mvn", f"echo run >> {nothing_installed}/ran\nfor w in \"$@\"; do case $w in -DbuildDirectory=*) "
                                      "PATH=/usr/bin:/bin mkdir -p \"${w#*=}/lib\" \"${w#*=}/classes\";; esac; done")
    for version in ("", "", "3.9.1", "3.9.1"):
        clients.make_ready("java", version, Terminal())
    assert (nothing_installed / "ran").read_text().split() == ["run", "run"]
    assert "java-3.9.1/adapter.jar" in " ".join(clients.workload("java", "3.9.1")["adapter_argv"])


def test_only_a_client_behind_an_adapter_gets_one(monkeypatch):
    assert clients.workload("librdkafka", "") == {"client": "librdkafka"}
    argv = clients.workload("python", "")["adapter_argv"]
    assert argv[0] == sys.executable and argv[-1].endswith("adapters/python/adapter.py")
    with pytest.raises(OrdealError) as found:
        clients.make_ready("librdkafka", "2.0", Terminal())
    assert found.value.code == USAGE


def test_the_pinned_versions_are_versions_and_agree_with_the_tests():
    assert re.fullmatch(r"\d+\.\d+\.\d+", clients.ADAPTERS["java"].default_version())
    pinned = next(line for line in (clients.SOURCES / "python" / "requirements.txt").read_text().splitlines() if line.startswith("confluent-kafka"))
    assert pinned in (paths.ROOT / "scripts" / "ordeal" / "requirements-test.txt").read_text().splitlines()


def test_the_facts_say_what_every_host_drove_with(tmp_path):
    logs = []
    for host, version in (("c1", "4.4.0"), ("c2", "4.4.0"), ("c3", "3.9.1")):
        logs.append(tmp_path / host)
        row = {"event": "client", "kind": "java", "version": version, "facts": {"client.library": "kafka-clients", "client.runtime": "a JVM"}}
        logs[-1].write_text('{"event": "status"}\n' + json.dumps(row) + "\n")
    assert clients.versions([*logs, tmp_path / "missing"]) == {"client java": "kafka-clients 3.9.1 on a JVM, kafka-clients 4.4.0 on a JVM"}
