"""The brokers a trial can be held with: the registry, Kafka's files and refusals, and whole trials against pretended programs."""

import json
import os
import re
import stat
import subprocess
import sys
from types import SimpleNamespace

import pytest
from tree import ROOT

from ordeal import targets
from ordeal.errors import UNKNOWN, OrdealError
from ordeal.options import PAGE_CACHE
from ordeal.targets import kafka, kafka_files
from ordeal.targets.base import Target
from ordeal.terminal import Terminal

FAKES = ROOT / "scripts" / "tests" / "fakes"


def spec(**changes):
    known = {"nodes": 3, "rf": 3, "min_isr": 2, "partitions": 6, "durability": "page-cache", "settings": {}, "mutations": [], "target_options": {}}
    return SimpleNamespace(**(known | changes))


@pytest.fixture
def java(tmp_path, monkeypatch):
    """A pretended Java that knows three settings and refuses a negative number of partitions; and a cache with one version in it."""
    cache = tmp_path / "cache" / "kafka" / kafka_files.DEFAULT_VERSION
    (cache / "libs").mkdir(parents=True)
    (cache / "libs" / f"kafka_2.13-{kafka_files.DEFAULT_VERSION}.jar").write_text("jar")
    for name, text in (("complete", "yes"), ("settings.txt", "min.insync.replicas\nnum.partitions\nlog.segment.bytes\n"), ("no-archive", "")):
        (cache / name).write_text(text)
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    program.write_text("""#!/bin/sh
case "$*" in
  *-version*) echo 'openjdk version "17.0.9" 2023-10-17' >&2 ;;
  *StorageTool*) for last; do :; done
    if grep -q num.partitions=-1 "$last"; then
      echo 'Exception in thread "main" ConfigException: Invalid value -1 for configuration num.partitions' >&2
      echo '	at org.apache.kafka.Whatever(Whatever.java:1)' >&2
      exit 1
    fi ;;
esac
""")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    for name, value in (("ORDEAL_CACHE", str(tmp_path / "cache")), ("PATH", f"{program.parent}:{os.environ['PATH']}"), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return program


def ordeal(runs, *words: str, **environment: str) -> subprocess.CompletedProcess:
    env = {**os.environ, "PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT}", "ORDEAL_BIN": str(FAKES), "ORDEAL_RUNS": str(runs), **environment}
    return subprocess.run([sys.executable, "-m", "ordeal", *words], capture_output=True, text=True, env=env, timeout=120)


# ---- registry ----

def test_every_target_is_found_by_its_name_and_its_options_are_its_own():
    known = targets.all_targets()
    assert known["ordeal"].traces and not known["kafka"].traces
    assert all(issubclass(t, Target) and t.name == name for name, t in known.items())
    options = [o for t in known.values() for o in t.OPTIONS]
    assert len(options) == len(set(options))


@pytest.mark.parametrize("words, said", [
    (["--target", "kafak"], "did you mean kafka?"),
    (["--kafka-version", "4.2.0"], "--kafka-version needs --target kafka"),
    (["--target", "kafka", "--mutate", "hw-early"], "Apache Kafka has no bugs that can be switched on"),
    (["--target", "kafka", "--kafka-home", "no-such-folder"], "there is no libs/kafka_2.13-*.jar"),
    (["--target", "kafka", "--kafka-home", "x", "--kafka-version", "4.2.0"], "--kafka-home has its version already"),
    (["--target", "kafka", "--set", "log.segment.byte=1"], "has no such one; did you mean log.segment.bytes?"),
    (["--target", "kafka", "--set", "num.partitions=-1"], "Invalid value -1 for configuration num.partitions"),
])
def test_bad_usage_is_refused_by_name(words, said, java, tmp_path):
    done = ordeal(tmp_path / "runs", "run", "--time", "1s", *words)
    assert done.returncode == 64, done.stderr
    assert said in done.stderr and "Traceback" not in done.stderr and "at org.apache" not in done.stderr


# ---- files ----

def test_a_kafka_node_has_the_ports_that_listener_faults_act_on(tmp_path):
    found = kafka.properties(spec(), 2, tmp_path)
    assert found["listeners"] == "CLIENT://10.77.0.12:9092,REPLICATION://10.77.0.12:9093,CONTROLLER://10.77.0.12:9094"
    assert found["controller.quorum.voters"] == "1@10.77.0.11:9094,2@10.77.0.12:9094,3@10.77.0.13:9094"
    assert found["process.roles"] == "broker,controller" and found["broker.rack"] == "r2" and found["log.dirs"] == str(tmp_path / "data")


def test_settings_go_to_kafka_unchanged_and_win(tmp_path):
    found = kafka.properties(spec(settings={"replica.lag.time.max.ms": "2000", "group.initial.rebalance.delay.ms": "7"}), 1, tmp_path)
    assert found["replica.lag.time.max.ms"] == "2000" and found["group.initial.rebalance.delay.ms"] == "7"
    assert found["min.insync.replicas"] == "2" and found["log.flush.interval.messages"] == PAGE_CACHE
    assert kafka.properties(spec(durability="fsync"), 1, tmp_path)["log.flush.interval.messages"] == "1"


def test_one_node_needs_no_other_for_its_internal_topics(tmp_path):
    found = kafka.properties(spec(nodes=1, rf=1, min_isr=1), 1, tmp_path)
    assert {found[k] for k in ("offsets.topic.replication.factor", "transaction.state.log.replication.factor", "transaction.state.log.min.isr")} == {"1"}


def test_a_sixth_node_is_no_voter(tmp_path):
    found = kafka.properties(spec(nodes=7), 6, tmp_path)
    assert found["process.roles"] == "broker" and "CONTROLLER://" not in found["listeners"] and "6@" not in found["controller.quorum.voters"]


def test_a_cluster_id_is_kafkas_alphabet_and_no_option():
    ids = {kafka.cluster_id(f"run-{i}") for i in range(200)}
    assert len(ids) == 200 and all(re.fullmatch(r"o[\w-]{21}", i) for i in ids)


def test_the_default_version_is_the_poms():
    text = (ROOT / "scripts" / "kafka" / "pom.xml").read_text()
    assert f"<kafka.version>{kafka_files.DEFAULT_VERSION}</kafka.version>" in text
    assert f"<version>{kafka_files.PLUGIN.split(':')[-1]}</version>" in text


# ---- what must be there ----

def test_without_java_the_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(OrdealError) as caught:
        kafka_files.find_java()
    assert "openjdk-17-jre-headless" in caught.value.hint


def test_an_old_java_is_refused(tmp_path, monkeypatch):
    program = tmp_path / "java"
    program.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(OrdealError, match="needs Java 17 or later"):
        kafka_files.find_java()


def test_what_is_in_the_cache_needs_no_maven_and_what_is_not_names_its_package(java, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(java.parent))
    assert kafka_files.from_maven(kafka_files.DEFAULT_VERSION, Terminal()).classpath.endswith(f"kafka_2.13-{kafka_files.DEFAULT_VERSION}.jar")
    with pytest.raises(OrdealError) as caught:
        kafka_files.from_maven("4.0.0", Terminal())
    assert "maven" in caught.value.hint and "--kafka-home" in caught.value.hint


def test_a_download_that_was_cut_short_is_no_cache(java, tmp_path, monkeypatch):
    (tmp_path / "cache" / "kafka" / kafka_files.DEFAULT_VERSION / "complete").unlink()
    monkeypatch.setenv("PATH", str(java.parent))
    with pytest.raises(OrdealError, match="mvn is not here"):
        kafka_files.from_maven(kafka_files.DEFAULT_VERSION, Terminal())


def test_a_version_that_maven_does_not_know_is_said_with_its_words(java, tmp_path):
    maven = java.parent / "mvn"
    maven.write_text("#!/bin/sh\necho '[ERROR] Could not find artifact kafka_2.13:jar:4.99.0'\nexit 1\n")
    maven.chmod(0o755)
    with pytest.raises(OrdealError, match="could not fetch Apache Kafka 4.99.0") as caught:
        kafka_files.from_maven("4.99.0", Terminal())
    assert "Could not find artifact" in caught.value.detail
    assert not (tmp_path / "cache" / "kafka" / "4.99.0" / "complete").exists()


# ---- a whole trial, pretended ----

def test_a_trial_of_kafka_names_it_and_its_versions_and_what_is_not_covered(java, tmp_path):
    done = ordeal(tmp_path / "runs", "run", "--target", "kafka", "--seed", "7", "--time", "1s")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Apache Kafka {kafka_files.DEFAULT_VERSION} · 3 brokers (page-cache)" in done.stdout
    run = (tmp_path / "runs" / "latest").resolve()
    trial = json.loads((run / "trial.json").read_text())
    assert trial["target"] == "kafka" and trial["broker"] == f"Apache Kafka {kafka_files.DEFAULT_VERSION}"
    assert trial["versions"]["kafka"] == kafka_files.DEFAULT_VERSION and trial["versions"]["java"] == "17.0.9"
    assert any("high watermarks" in line for line in trial["not_covered"])
    watch = json.loads((run / "nodes" / "watch" / "watch.json").read_text())
    assert [n["control"] for n in watch["nodes"]] == ["10.77.0.11:9094", "10.77.0.12:9094", "10.77.0.13:9094"]
    assert "Kafka" in (run / "report.html").read_text()


def pretended(tmp_path, monkeypatch, wrong: str):
    """A trial of Kafka in this process, so that its patience can be cut short."""
    from ordeal import build, options
    from ordeal.cli import Parser
    from ordeal.trial import Trial

    for name, value in (("ORDEAL_BIN", str(FAKES)), ("ORDEAL_RUNS", str(tmp_path / "runs")), ("ORDEAL_FAKE", wrong)):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(kafka.KafkaBroker, "start_s", 1)
    monkeypatch.setattr(kafka.KafkaBroker, "converge_s", 1)
    parser = Parser("run", "", "")
    options.add_trial_options(parser)
    given = options.resolve(parser.parse_args(["--target", "kafka", "--seed", "7", "--time", "1s"]))
    build.ensure(Terminal())
    return Trial(given, Terminal())


def test_a_broker_that_is_never_registered_is_a_harness_failure(java, tmp_path, monkeypatch):
    with pytest.raises(OrdealError, match="broker n3 was not registered within 1 s"):
        pretended(tmp_path, monkeypatch, "watch-sees-two").run()


def test_a_broker_that_does_not_answer_after_the_heal_is_no_pass(java, tmp_path, monkeypatch, capsys):
    assert pretended(tmp_path, monkeypatch, "broker-falls-silent").run() == UNKNOWN
    assert "no answer of n2" in capsys.readouterr().out
