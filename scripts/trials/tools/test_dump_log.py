"""Kafka's dump-log tool on the files that a broker of ours left: after an orderly stop, and after a kill with the recovery that
followed it. Small segments, so that there are many; every codec; idempotent producers, so that snapshots have content."""

import random
import re
import shutil
import struct
from pathlib import Path

import pytest
from cluster import Cluster
from harness import until

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
SETTINGS = {"log.segment.bytes": 16384, "log.index.interval.bytes": 512, "num.partitions": 1}


def write(cluster, topic: str, codec: str, count: int, start: int) -> None:
    from confluent_kafka import Producer

    rng, failed = random.Random(start), []
    producer = Producer({"bootstrap.servers": cluster.bootstrap, "compression.codec": codec, "enable.idempotence": True, "linger.ms": 2,
                         "batch.num.messages": 7})
    for i in range(start, start + count):
        producer.produce(topic, f"{i}:".encode() + rng.randbytes(40).hex().encode(), key=f"k{i}".encode(), partition=0,
                         headers=[("n", str(i).encode())], on_delivery=lambda error, _: failed.append(error) if error else None)
    assert producer.flush(120) == 0 and not failed, failed[:3]


@pytest.fixture(scope="module")
def left(tools, tmp_path_factory):
    """The folder of a cluster that has stopped; node 1 was killed in between."""
    cluster = Cluster(tmp_path_factory.mktemp("dumped"), settings=SETTINGS).start()
    try:
        for codec in CODECS:
            write(cluster, f"dump-{codec}", codec, 900, 0)
        cluster.kill_node(1)
        for codec in CODECS:
            write(cluster, f"dump-{codec}", codec, 300, 900)
        cluster.start_node(1)
        until(lambda: all(_end(cluster, 1, codec) == _end(cluster, 2, codec) == _end(cluster, 3, codec) for codec in CODECS), 90, "node 1 as far as the others")
    finally:
        cluster.stop()
    return cluster.folder


def _end(cluster, node: int, codec: str) -> tuple:
    files = logs(cluster.folder, node, codec)
    return (files[-1].name, files[-1].stat().st_size) if files else ()


def logs(folder, node: int, codec: str) -> list:
    return sorted((folder / f"n{node}" / f"dump-{codec}-0").glob("*.log"))


def batches(path) -> list[dict]:
    """What a segment holds, read without either broker's code."""
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        base, length, epoch, magic = struct.unpack_from(">qiib", data, at)
        attributes, last = struct.unpack_from(">hi", data, at + 21)
        producer, _, sequence, count = struct.unpack_from(">qhii", data, at + 43)
        assert magic == 2 and count == last + 1
        found.append({"position": at, "base": base, "last": base + last, "count": count, "size": length + 12, "producer": producer,
                      "sequence": sequence, "codec": CODECS[attributes & 7], "epoch": epoch})
        at += length + 12
    assert at == len(data)
    return found


def dump(tools, files, *words: str) -> str:
    done = tools.run("DumpLogSegments", *words, "--files", ",".join(map(str, files)))
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout + done.stderr
    assert not re.search(r"Found .*(mismatch|timestamp|non-consecutive)|Exception|corrupt|isvalid: false", said, re.IGNORECASE), said[-5000:]
    return done.stdout


@pytest.mark.parametrize("node", (1, 2))
def test_every_batch_and_record_is_read_as_we_wrote_it(tools, left, node):
    for_codec = {codec: logs(left, node, codec) for codec in CODECS}
    assert all(len(files) >= 3 for files in for_codec.values()), for_codec
    files = [path for each in for_codec.values() for path in each]
    said = dump(tools, files, "--deep-iteration", "--print-data-log")
    parts = re.split(r"^Dumping (.+)$", said, flags=re.MULTILINE)[1:]
    assert parts[::2] == [str(path) for path in files]
    for path, text in zip(files, parts[1::2], strict=True):
        assert f"Log starting offset: {int(path.stem)}" in text
        wanted = batches(path)
        found = [dict(re.findall(r"(\w+): (\S+)", line)) for line in text.splitlines() if line.startswith("baseOffset:")]
        assert [(int(b["baseOffset"]), int(b["lastOffset"]), int(b["count"]), int(b["position"]), int(b["size"]), int(b["producerId"]),
                 int(b["baseSequence"]), b["compresscodec"], int(b["partitionLeaderEpoch"])) for b in found] == [
                (b["base"], b["last"], b["count"], b["position"], b["size"], b["producer"], b["sequence"], b["codec"], b["epoch"]) for b in wanted]
        assert all(b["isvalid"] == "true" and b["magic"] == "2" for b in found)
        assert any(b["producer"] >= 0 for b in wanted)
        records = re.findall(r"^\| offset: (\d+) .*headerKeys: \[n\] key: k(\d+) payload: (\d+):", text, re.MULTILINE)
        assert [int(offset) for offset, _, _ in records] == list(range(wanted[0]["base"], wanted[-1]["last"] + 1))
        assert all(offset == key == value for offset, key, value in records)


@pytest.mark.parametrize("node", (1, 2))
def test_the_indexes_agree_with_the_segments(tools, left, node):
    indexes, times = [], []
    for codec in CODECS:
        for path in logs(left, node, codec)[:-1]:
            assert path.with_suffix(".index").stat().st_size > 0 and path.with_suffix(".timeindex").stat().st_size > 0, path
        indexes += [path.with_suffix(".index") for path in logs(left, node, codec)]
        times += [path.with_suffix(".timeindex") for path in logs(left, node, codec)]
    said = dump(tools, indexes + times, "--verify-index-only")
    assert said.count("Dumping ") == len(indexes + times)
    said = dump(tools, indexes, "--index-sanity-check")
    assert said.count("passed sanity check.") == len(indexes)
    said = dump(tools, indexes + times)
    positions = re.split(r"^Dumping (.+)$", said, flags=re.MULTILINE)[1:]
    for path, text in zip(positions[::2], positions[1::2], strict=True):
        if not path.endswith(".index"):
            assert re.search(r"timestamp: \d{13} offset: \d+", text) or logs_are_short(path), path
            continue
        at = {b["position"]: b["last"] for b in batches(Path(path).with_suffix(".log"))}
        entries = re.findall(r"^offset: (\d+) position: (\d+)", text, re.MULTILINE)
        assert all(at[int(position)] == int(offset) for offset, position in entries), path


def logs_are_short(path: str) -> bool:
    return Path(path).with_suffix(".log").stat().st_size < 2 * SETTINGS["log.index.interval.bytes"]


def test_damage_does_not_pass_for_soundness(tools, left, tmp_path):
    """What the other tests rely on: the tool tells, and dump() hears it."""
    whole = logs(left, 2, "lz4")[0]
    for suffix, at in ((".log", whole.stat().st_size - 5), (".index", 7)):
        folder = tmp_path / suffix[1:]
        folder.mkdir()
        for each in (".log", ".index"):
            shutil.copy(whole.with_suffix(each), folder)
        damaged = bytearray((folder / whole.with_suffix(suffix).name).read_bytes())
        damaged[at] ^= 1
        (folder / whole.with_suffix(suffix).name).write_bytes(damaged)
    with pytest.raises(AssertionError):
        dump(tools, [tmp_path / "log" / whole.name])
    with pytest.raises(AssertionError):
        dump(tools, [tmp_path / "index" / whole.with_suffix(".index").name], "--verify-index-only")


def test_producer_snapshots_hold_the_producers_of_the_segments(tools, left):
    snapshots = sorted(path for codec in CODECS for path in (left / "n2" / f"dump-{codec}-0").glob("*.snapshot"))
    assert len(snapshots) >= len(CODECS)
    parts = re.split(r"^Dumping (.+)$", dump(tools, snapshots), flags=re.MULTILINE)[1:]
    assert parts[::2] == [str(path) for path in snapshots]
    for name, text in zip(parts[::2], parts[1::2], strict=True):
        path = Path(name)
        written = [b for log in sorted(path.parent.glob("*.log")) for b in batches(log) if b["last"] < int(path.stem)]
        last = {b["producer"]: b for b in written}
        rows = {int(producer): (int(epoch), int(sequence), int(offset)) for producer, epoch, sequence, offset in re.findall(
            r"producerId: (\d+) producerEpoch: (\d+) .*lastSequence: (\d+) lastOffset: (\d+)|$^", text, re.MULTILINE) if producer}
        assert rows.keys() == last.keys(), text
        for producer, (epoch, sequence, offset) in rows.items():
            batch = last[producer]
            assert (epoch, sequence, offset) == (0, batch["sequence"] + batch["count"] - 1, batch["last"]), (name, text)
