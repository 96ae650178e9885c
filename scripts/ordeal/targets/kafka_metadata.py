"""Who led what, exactly: read from Kafka's own metadata log when a trial is over.

The watcher serves while the trial runs, but it sees what it is told and when: with no broker answering, elections pass it by.
The controllers' log (__cluster_metadata-0) has every change of every partition in order, with the time at which the active
controller appended it, so the checker gets these instead. A new leader cannot have acted before its record was appended.

Only what is needed is decoded: topics, partitions and their changes (KRaft records TopicRecord, PartitionRecord and
PartitionChangeRecord). A record of another kind is skipped by its length; one that cannot be read is an error, and the watcher's
trace stays.
"""

import json
import struct
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = "__cluster_metadata-0"
HEADER = struct.Struct(">qiibIhiqqqhii")  # base offset .. record count
CONTROL, COMPRESSED = 0x20, 0x07
TOPIC, PARTITION, PARTITION_CHANGE, REMOVE_TOPIC = 2, 3, 5, 9
NO_LEADER, NO_LEADER_CHANGE = -1, -2
OF_PARTITIONS = ("partition.leader", "partition.follower", "partition.isr", "trace.dropped")


class Unreadable(Exception):
    """The log does not say what a log that we know would say."""


class Reader:
    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        if size < 0 or self.at + size > len(self.data):
            raise Unreadable(f"{size} bytes wanted at {self.at} of {len(self.data)}")
        self.at += size
        return self.data[self.at - size:self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big", signed=True)

    def uvarint(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise Unreadable("a number of more than 64 bits")

    def varint(self) -> int:
        value = self.uvarint()
        return (value >> 1) ^ -(value & 1)

    def text(self) -> str:
        return self.take(self.uvarint() - 1).decode()

    def numbers(self) -> list[int]:
        return [self.number(4) for _ in range(max(0, self.uvarint() - 1))]

    def tags(self) -> dict[int, "Reader"]:
        found = {}
        for _ in range(self.uvarint()):
            tag = self.uvarint()
            found[tag] = Reader(self.take(self.uvarint()))
        return found


@dataclass
class Partition:
    topic: bytes
    number: int
    replicas: list
    isr: list
    leader: int
    leader_epoch: int
    partition_epoch: int
    elr: list = field(default_factory=list)


@dataclass
class Image:
    """The metadata as the records before this one made it, and the trace rows that they amount to."""

    names: dict = field(default_factory=dict)
    partitions: dict = field(default_factory=dict)
    rows: list = field(default_factory=list)

    def apply(self, key: int, version: int, body: Reader, wall_ms: int) -> None:
        if key == TOPIC:
            name = body.text()
            self.names[body.take(16)] = name
        elif key == REMOVE_TOPIC:
            gone = body.take(16)
            self.partitions = {at: p for at, p in self.partitions.items() if at[0] != gone}
        elif key == PARTITION:
            self._partition(body, version, wall_ms)
        elif key == PARTITION_CHANGE:
            self._change(body, wall_ms)

    def _partition(self, body: Reader, version: int, wall_ms: int) -> None:
        number, topic = body.number(4), body.take(16)
        replicas, isr = body.numbers(), body.numbers()
        body.numbers(), body.numbers()  # being removed, being added
        leader = body.number(4)
        body.number(1)  # whether the leader recovers from an unclean election
        fresh = Partition(topic, number, replicas, isr, leader, body.number(4), body.number(4))
        self.partitions[topic, number] = fresh
        self._led(fresh, wall_ms)

    def _change(self, body: Reader, wall_ms: int) -> None:
        number, topic = body.number(4), body.take(16)
        known = self.partitions.get((topic, number))
        if known is None:
            raise Unreadable(f"a change of partition {number} of a topic that was never made")
        changed = body.tags()
        before = known.isr
        known.isr = changed[0].numbers() if 0 in changed else known.isr
        known.replicas = changed[2].numbers() if 2 in changed else known.replicas
        known.elr = changed[6].numbers() if 6 in changed else known.elr
        known.partition_epoch += 1
        leader = changed[1].number(4) if 1 in changed else NO_LEADER_CHANGE
        if leader != NO_LEADER_CHANGE:
            known.leader, known.leader_epoch = leader, known.leader_epoch + 1
            self._led(known, wall_ms)
        elif known.isr != before and known.leader != NO_LEADER:
            self._row(wall_ms, known.leader, "partition.isr", known, isr=_joined(known.isr))

    def _led(self, p: Partition, wall_ms: int) -> None:
        if p.leader != NO_LEADER:
            self._row(wall_ms, p.leader, "partition.leader", p, isr=_joined(p.isr))
        for replica in p.replicas:
            if replica != p.leader:
                self._row(wall_ms, replica, "partition.follower", p, leader=p.leader)

    def _row(self, wall_ms: int, node: int, kind: str, p: Partition, **more) -> None:
        self.rows.append({"w": wall_ms, "n": node, "s": "info", "k": kind, "topic": self.names.get(p.topic, "?"), "partition": p.number,
                          "leader_epoch": p.leader_epoch, "partition_epoch": p.partition_epoch, **more}
                         | ({"elr": _joined(p.elr)} if p.elr else {}))


def _joined(nodes: list) -> str:
    return ",".join(str(n) for n in sorted(nodes))


def records(log: bytes):
    """(offset, wall ms, value) of every record of a segment; a torn end is left out, as Kafka's own recovery would."""
    at = 0
    while at + HEADER.size <= len(log):
        base, length, _, magic, _, attributes, _, first_ms, _, _, _, _, count = HEADER.unpack_from(log, at)
        if magic != 2 or length <= 0:
            raise Unreadable(f"no record batch at byte {at}")
        if at + 12 + length > len(log):
            return
        if attributes & COMPRESSED:
            raise Unreadable(f"a compressed batch at byte {at}")
        body = Reader(log[at + HEADER.size:at + 12 + length])
        at += 12 + length
        for _ in range(count if not attributes & CONTROL else 0):
            one = Reader(body.take(body.varint()))
            one.take(1)
            wall_ms, offset = first_ms + one.varint(), base + one.varint()
            one.take(max(0, one.varint()))  # the key, which these records have none of
            yield offset, wall_ms, one.take(one.varint())


def rows_of(log: bytes) -> list[dict]:
    image = Image()
    for _, wall_ms, value in records(log):
        body = Reader(value)
        if body.uvarint() != 1:
            raise Unreadable("a frame of another version")
        key, version = body.uvarint(), body.uvarint()
        image.apply(key, version, body, wall_ms)
    return image.rows


def whole_log(data_folders: list[Path]) -> bytes:
    """The longest of the nodes' logs; all its segments, which must begin at the beginning."""
    found = []
    for folder in data_folders:
        segments = sorted((folder / FOLDER).glob("*.log"))
        if segments and int(segments[0].stem) == 0:
            found.append(b"".join(path.read_bytes() for path in segments))
    if not found:
        raise Unreadable("no node has its metadata log from the beginning on")
    return max(found, key=len)


def complete(trace: Path, data_folders: list[Path]) -> None:
    """Puts what the log says of partitions in the place of what the watcher saw; what it saw is kept beside it."""
    seen = [json.loads(line) for line in trace.read_text().splitlines() if line.endswith("}")]
    timed = [row["t"] - row["w"] * 1_000_000 for row in seen if "t" in row and "w" in row]
    if not timed:
        raise Unreadable("the watcher saw nothing, so the two clocks cannot be compared")
    # How far the monotonic clock is ahead. The wall clock's milliseconds are cut off, so the smallest is nearest; one less makes sure
    # that a leader never seems to come later than it did.
    ahead = min(timed) - 1_000_000
    until = max(row["t"] for row in seen)
    told = [{"t": row["w"] * 1_000_000 + ahead, **row} for row in rows_of(whole_log(data_folders))]
    wanted = {row.get("topic") for row in seen if row.get("topic")}
    told = [row for row in told if row["topic"] in wanted]
    rows = [row for row in seen if row.get("k") not in OF_PARTITIONS] + [row for row in told if row["t"] <= until]
    trace.rename(trace.with_name("seen.jsonl"))
    rows.sort(key=lambda row: row["t"])
    trace.write_text("".join(json.dumps(row) + "\n" for row in rows))
