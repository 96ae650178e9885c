"""Kafka's metadata log, read after a trial: partitions and their changes become the rows that our brokers' traces have."""

import json
import struct

import pytest

from ordeal.targets import kafka_metadata as metadata

TOPIC = bytes(range(16))


def uvarint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def varint(value: int) -> bytes:
    return uvarint((value << 1) ^ (value >> 63))


def ints(*values: int) -> bytes:
    return uvarint(len(values) + 1) + struct.pack(f">{len(values)}i", *values)


def tags(**fields: bytes) -> bytes:
    """_1=b"..." is tag 1."""
    return uvarint(len(fields)) + b"".join(uvarint(int(name[1:])) + uvarint(len(body)) + body for name, body in fields.items())


def batch(offset: int, wall_ms: int, *values: bytes, attributes: int = 0) -> bytes:
    records = b""
    for i, value in enumerate(values):
        one = b"\0" + varint(0) + varint(i) + varint(-1) + varint(len(value)) + value + varint(0)
        records += varint(len(one)) + one
    head = struct.pack(">iBIHIqqqHII", 3, 2, 0, attributes, len(values) - 1, wall_ms, wall_ms, 2**64 - 1 >> 1, 0, 0, len(values))
    return struct.pack(">qi", offset, len(head) + len(records)) + head + records


def frame(key: int, body: bytes, version: int = 0) -> bytes:
    return uvarint(1) + uvarint(key) + uvarint(version) + body


def topic(name: bytes = b"t") -> bytes:
    return frame(metadata.TOPIC, uvarint(len(name) + 1) + name + TOPIC + tags())


def partition(leader: int, isr=(1, 2, 3)) -> bytes:
    body = struct.pack(">i", 0) + TOPIC + ints(1, 2, 3) + ints(*isr) + ints() + ints() + struct.pack(">ibii", leader, 0, 0, 0)
    return frame(metadata.PARTITION, body + uvarint(1) + tags(), 2)


def change(**fields: bytes) -> bytes:
    return frame(metadata.PARTITION_CHANGE, struct.pack(">i", 0) + TOPIC + tags(**fields), 2)


def told(rows: list[dict], *kinds: str) -> list[tuple]:
    return [(r["k"].split(".")[1], r["n"], r["leader_epoch"], r.get("isr")) for r in rows if not kinds or r["k"] in kinds]


def test_a_new_partition_tells_its_leader_and_its_followers():
    rows = metadata.rows_of(batch(0, 1000, topic(), partition(2)))
    assert told(rows) == [("leader", 2, 0, "1,2,3"), ("follower", 1, 0, None), ("follower", 3, 0, None)]
    assert rows[0]["topic"] == "t" and rows[0]["w"] == 1000 and rows[0]["partition_epoch"] == 0


def test_each_change_has_its_epochs_and_only_a_leader_raises_the_leaders():
    log = batch(0, 1000, topic(), partition(2)) + batch(2, 2000, change(_0=ints(1, 3), _1=struct.pack(">i", 3)), change(_0=ints(3), _6=ints(1)))
    log += batch(4, 3000, change(_0=ints(), _1=struct.pack(">i", -1)), change(_0=ints(1), _1=struct.pack(">i", 1)))
    rows = metadata.rows_of(log)
    assert told(rows, "partition.leader", "partition.isr") == [("leader", 2, 0, "1,2,3"), ("leader", 3, 1, "1,3"), ("isr", 3, 1, "3"), ("leader", 1, 3, "1")]
    assert [r["partition_epoch"] for r in rows if r["k"] != "partition.follower"] == [0, 1, 2, 4]
    assert next(r for r in rows if r["k"] == "partition.isr")["elr"] == "1"
    assert all(r["leader"] == -1 for r in rows if r["k"] == "partition.follower" and r["leader_epoch"] == 2)


def test_records_of_other_kinds_and_control_batches_are_passed_over_and_a_torn_end_is_left_out():
    log = batch(0, 1, b"\0\0\0\0", attributes=metadata.CONTROL) + batch(1, 2, frame(17, b"whatever"), topic(), partition(1))
    assert len(metadata.rows_of(log + batch(4, 3, change(_1=struct.pack(">i", 2)))[:-3])) == 3


@pytest.mark.parametrize("log", [b"\1" * 100, batch(0, 1, topic(), partition(1), attributes=1), batch(0, 1, change(_0=ints(1))), batch(0, 1, b"\2\0\0")],
                         ids=["no batches", "compressed", "a change without its partition", "another frame"])
def test_what_cannot_be_read_is_an_error(log):
    with pytest.raises(metadata.Unreadable):
        metadata.rows_of(log)


def test_a_trace_is_completed_by_the_longest_log_and_what_was_seen_is_kept(tmp_path):
    trace, folders = tmp_path / "trace.jsonl", [tmp_path / str(n) for n in (1, 2)]
    for folder, log in zip(folders, (batch(0, 5000, topic(), partition(1)), batch(0, 5000, topic(), partition(1)) + batch(2, 5100, change(_1=struct.pack(">i", 2))))):
        (folder / metadata.FOLDER).mkdir(parents=True)
        (folder / metadata.FOLDER / "00000000000000000000.log").write_bytes(log)
    seen = [{"t": 4_000_000_700, "w": 5000, "n": 1, "k": "controller.active", "term": 1},
            {"t": 4_200_000_900, "w": 5200, "n": 2, "k": "partition.leader", "topic": "t", "partition": 0, "leader_epoch": 1, "isr": "1,2,3"},
            {"t": 4_200_000_900, "w": 5200, "n": -1, "k": "trace.dropped", "count": 2}]
    trace.write_text("".join(json.dumps(row) + "\n" for row in seen))
    metadata.complete(trace, folders)
    rows = [json.loads(line) for line in trace.read_text().splitlines()]
    assert [(r["k"], r["t"]) for r in rows if "follower" not in r["k"]] == [
        ("partition.leader", 3_999_000_700), ("controller.active", 4_000_000_700), ("partition.leader", 4_099_000_700)]
    assert len((tmp_path / "seen.jsonl").read_text().splitlines()) == 3


def test_a_log_that_begins_after_a_snapshot_is_not_the_whole_story(tmp_path):
    (tmp_path / metadata.FOLDER).mkdir()
    (tmp_path / metadata.FOLDER / "00000000000000000500.log").write_bytes(batch(500, 1, topic()))
    with pytest.raises(metadata.Unreadable, match="from the beginning"):
        metadata.whole_log([tmp_path])
