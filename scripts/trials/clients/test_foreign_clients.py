"""Clients that were not written for this broker, each with its own dialect: librdkafka (kcat, confluent-kafka), the pure
Python kafka-python, Java's kafka-clients with the newest flexible versions. Each writes, reads back and asks around."""

import json
import random
import socket
import subprocess
from pathlib import Path

import pytest
from harness import until

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
JAVA = Path(__file__).resolve().parent / "java"


def kcat(cluster, *words: str, text: str | None = None) -> str:
    done = subprocess.run(["kcat", "-b", cluster.bootstrap, *words], input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("codec", CODECS)
def test_kcat_writes_and_reads_every_codec(cluster, codec):
    topic = f"kcat-{codec}"
    lines = [f"{codec}-{i}" for i in range(500)]
    kcat(cluster, "-P", "-t", topic, "-z", codec, "-X", "acks=all", "-X", "enable.idempotence=true", text="\n".join(lines) + "\n")
    assert sorted(kcat(cluster, "-C", "-t", topic, "-o", "beginning", "-e", "-q").split()) == sorted(lines)


def test_kcat_sees_the_cluster_and_its_racks(cluster):
    listed = json.loads(kcat(cluster, "-L", "-J"))
    assert [b["id"] for b in sorted(listed["brokers"], key=lambda b: b["id"])] == [1, 2, 3]
    assert listed["controllerid"] in (1, 2, 3)


def test_kcat_finds_offsets_by_time(cluster):
    kcat(cluster, "-P", "-t", "times", "-p", "0", text="a\nb\nc\n")
    assert kcat(cluster, "-Q", "-t", "times:0:0").strip().endswith("offset 0")
    assert kcat(cluster, "-Q", "-t", "times:0:-1").strip().endswith("offset 3")


def test_confluent_client_gets_reports_keys_and_headers(cluster):
    from confluent_kafka import Consumer, Producer, TopicPartition

    reports = []
    producer = Producer({"bootstrap.servers": cluster.bootstrap, "acks": "all", "enable.idempotence": True, "linger.ms": 5})
    for i in range(1000):
        producer.produce("confluent", f"v{i}".encode(), key=f"k{i}".encode(), partition=i % 3, headers=[("n", str(i).encode())],
                         on_delivery=lambda error, message: reports.append((error, message.partition(), message.offset())))
    assert producer.flush(30) == 0
    assert len(reports) == 1000 and not [e for e, _, _ in reports if e]
    assert sorted((p, o) for _, p, o in reports) == sorted((i % 3, i // 3) for i in range(1000))
    consumer = Consumer({"bootstrap.servers": cluster.bootstrap, "group.id": "unused", "enable.auto.commit": False})
    consumer.assign([TopicPartition("confluent", p, 0) for p in range(3)])
    seen = {}
    until(lambda: _collect(consumer, seen) and len(seen) == 1000, 30, "every record read")
    assert seen[b"k7"] == (b"v7", [("n", b"7")])
    assert [consumer.get_watermark_offsets(TopicPartition("confluent", p)) for p in range(3)] == [(0, 334), (0, 333), (0, 333)]
    consumer.close()


def _collect(consumer, seen: dict) -> bool:
    for message in consumer.consume(500, 0.5):
        assert not message.error(), message.error()
        seen[message.key()] = (message.value(), message.headers())
    return True


def test_confluent_admin_creates_describes_and_deletes(cluster):
    from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    admin.create_topics([NewTopic("made", 4, 3, config={"retention.ms": "3600000"})])["made"].result(20)
    until(lambda: "made" in (topics := admin.list_topics(timeout=10).topics) and len(topics["made"].partitions) == 4, 20, "topic in metadata")
    partitions = admin.list_topics("made", timeout=10).topics["made"].partitions
    assert all(sorted(p.replicas) == [1, 2, 3] for p in partitions.values())
    assert {p.leader for p in partitions.values()} == {1, 2, 3}, "leaders are spread"
    resource = ConfigResource(ResourceType.TOPIC, "made")
    config = admin.describe_configs([resource])[resource].result(20)
    assert config["retention.ms"].value == "3600000"
    with pytest.raises(Exception, match="TOPIC_ALREADY_EXISTS"):
        admin.create_topics([NewTopic("made", 1, 1)])["made"].result(20)
    admin.delete_topics(["made"])["made"].result(20)
    until(lambda: "made" not in admin.list_topics(timeout=10).topics, 20, "topic gone")


def test_kafka_python_writes_and_reads(cluster):
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition

    producer = KafkaProducer(bootstrap_servers=cluster.bootstrap.split(","), acks="all")
    futures = [producer.send("pure-python", f"p{i}".encode(), partition=0) for i in range(300)]
    producer.flush(30)
    assert [f.get(10).offset for f in futures] == list(range(300))
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=cluster.bootstrap.split(","), consumer_timeout_ms=10000, enable_auto_commit=False)
    partition = TopicPartition("pure-python", 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    assert [next(consumer).value for _ in range(300)] == [f"p{i}".encode() for i in range(300)]
    assert consumer.end_offsets([partition]) == {partition: 300}
    consumer.close()


@pytest.fixture(scope="session")
def java_class_path(tmp_path_factory):
    """Compiles the Java client test with Maven; dependencies come from its repository the first time."""
    listing = tmp_path_factory.mktemp("java") / "classpath"
    build = subprocess.run(["mvn", "-q", "-B", "-f", str(JAVA / "pom.xml"), f"-DbuildDirectory={listing.parent}", "compile",
                            "dependency:build-classpath", f"-Dmdep.outputFile={listing}"], capture_output=True, text=True, timeout=300)
    assert build.returncode == 0, build.stdout[-3000:] + build.stderr[-3000:]
    return f"{listing.parent}/classes:{listing.read_text()}"


@pytest.mark.parametrize("codec", CODECS)
def test_java_writes_and_reads_with_the_newest_versions(cluster, java_class_path, codec):
    done = subprocess.run(["java", "-cp", java_class_path, "ordeal.ClientTest", cluster.bootstrap, f"java-{codec}", codec],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1000 written, 1000 read in order" in done.stdout


def test_random_bytes_on_the_ports_hurt_nobody(cluster):
    rng = random.Random(4)
    ports = [int(line.rsplit(":", 1)[1].split(",")[0]) for line in _listener_lines(cluster)]
    for port in cluster.client_ports + ports:
        for length in (1, 4, 40, 4000, 200000):
            with socket.create_connection(("127.0.0.1", port), 5) as connection:
                try:
                    connection.sendall(rng.randbytes(length))
                except OSError:
                    pass  # it hung up on us, as it should
    assert all(cluster.alive(n) for n in (1, 2, 3))
    assert kcat(cluster, "-L")


def _listener_lines(cluster) -> list[str]:
    """Each of the other listeners, one a line."""
    found = []
    for n in (1, 2, 3):
        text = (cluster.folder / f"n{n}.properties").read_text()
        line = next(row for row in text.splitlines() if row.startswith("listeners="))
        found += [part for part in line.removeprefix("listeners=").split(",") if not part.startswith("CLIENT")]
    return found


def test_sigterm_moves_leaders_away_and_the_broker_comes_back(cluster):
    kcat(cluster, "-P", "-t", "moving", "-X", "acks=all", text="\n".join(map(str, range(100))) + "\n")
    assert cluster.stop_node(1) == 0
    listed = json.loads(kcat(cluster, "-L", "-J", "-t", "moving"))
    leaders = {p["leader"] for t in listed["topics"] if t["topic"] == "moving" for p in t["partitions"]}
    assert leaders and 1 not in leaders
    cluster.start_node(1)
    assert len(kcat(cluster, "-C", "-t", "moving", "-o", "beginning", "-e", "-q").split()) == 100
    until(lambda: len(json.loads(kcat(cluster, "-L", "-J"))["brokers"]) == 3, 30, "three brokers again")
