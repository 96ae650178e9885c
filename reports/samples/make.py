"""Writes a made-up but plausible run folder: `python -m reports.samples.make pass|fail|unknown DIR`.

The shapes are those of docs/formats; the numbers come from a fixed seed, so a picture of the page can be compared
from one change to the next.
"""

import json
import random
import sys
from pathlib import Path

SECOND = 1_000_000_000
T0 = 5_000 * SECOND
LENGTH = 66 * SECOND
BUCKET = SECOND // 4
PARTITIONS = 12

# id, kind, what the plan said, targets it resolved to, begin, heal, converged (seconds), evidence
FAULTS = [
    ("f1", "proc.kill", "leader of t/0", ["n1"], 6.2, 8.2, 9.0, "reaped by pidfd in 0.4 ms, exit signal 9"),
    ("f2", "net.isolate", "random broker", ["n3"], 13.0, 19.0, 20.4, "8 of 8 probes lost, others passed"),
    ("f3", "net.link", "controller from one broker", ["n2", "n1"], 22.9, 30.9, 31.6, "2 of 2 probes lost, others passed"),
    ("f4", "proc.kill", "leader of t/3", ["n2"], 23.502, 27.6, 29.3, "reaped by pidfd in 0.3 ms, exit signal 9"),
    ("f5", "proc.pause", "follower in the ISR of t/5", ["n3"], 36.0, 41.0, 41.8, "9 of 9 threads stopped"),
    ("f6", "net.simplex", "leader of t/1 to its clients", ["n1", "c1"], 45.0, 50.0, 50.3, "1 of 1 probe lost one way"),
    ("f7", "proc.restart", "random broker", ["n2"], 53.0, 55.1, 56.0, "exit code 0 after 0.8 s, ready after 0.3 s"),
]


def at(seconds: float) -> int:
    return T0 + int(seconds * SECOND)


def disturbed(seconds: float) -> float:
    """0 (calm) to 1: how much the cluster suffers at that moment."""
    worst = 0.0
    for _, kind, _, _, begin, _, converged, _ in FAULTS:
        if begin <= seconds <= converged:
            depth = {"proc.kill": 0.85, "net.isolate": 0.7, "proc.pause": 0.5}.get(kind, 0.3)
            worst = max(worst, depth if seconds < begin + 1.2 else depth * 0.35)
    return worst


def series(rng: random.Random) -> dict:
    rows = {"send_ok": [], "send_fail": [], "send_info": [], "read": []}
    latency = {"p50": [], "p99": [], "p999": [], "max": []}
    for i in range(LENGTH // BUCKET):
        second = i * BUCKET / SECOND
        driving = 0.5 < second < 60
        pain = disturbed(second)
        ok = int(4600 * (1 - pain) * rng.uniform(0.94, 1.06)) if driving else 0
        rows["send_ok"].append(ok)
        rows["send_fail"].append(int(pain > 0.6 and rng.random() < 0.3) * rng.randint(1, 4) if driving else 0)
        rows["send_info"].append(rng.randint(4, 30) if driving and pain > 0.6 else 0)
        rows["read"].append(int(ok * 1.98) if driving else (52_000 if 61 < second < 63 else 0))
        base = rng.uniform(2.0, 2.6) * (1 + 4 * pain)
        values = [base, base * rng.uniform(4, 6), base * rng.uniform(9, 14) * (1 + 20 * pain)]
        values.append(values[2] * rng.uniform(1.2, 2.2))
        for key, value in zip(latency, values):
            latency[key].append(round(value, 3) if ok else None)
    return {"series": rows, "latency_ms": latency}


def broker_lane(node: int) -> dict:
    spans, name = [], f"n{node}"
    cuts = sorted({0.0, LENGTH / SECOND, 6.2, 23.502} | {t for f in FAULTS if name in f[3] for t in (f[4], f[5])})
    for begin, end in zip(cuts, cuts[1:]):
        middle = (begin + end) / 2
        state = "up"
        for _, kind, _, targets, since, until, _, _ in FAULTS:
            if name in targets and since <= middle < until:
                state = {"proc.kill": "down", "proc.restart": "down", "proc.pause": "paused"}.get(kind, "cut")
                if state == "down":
                    break
        controller = (1 if middle < 6.2 else 2 if middle < 23.502 else 3) == node and state != "down"
        spans.append({"from_ns": at(begin), "to_ns": at(end), "state": state, "controller": controller})
    return {"node": node, "spans": spans}


# t/0 is the partition of the failing story, so its lane agrees with it: (until, leader, epoch, in sync)
SCRIPTED = [(6.8, 1, 1, [1, 2, 3]), (9.0, 2, 2, [2, 3]), (13.6, 2, 2, [1, 2, 3]), (20.3, 2, 3, [1, 2]),
            (23.0, 2, 4, [1, 2, 3]), (24.18, 2, 4, [2, 3]), (29.2, 3, 5, [3]), (30.9, 3, 5, [2, 3]), (36.5, 1, 6, [1, 2, 3]),
            (41.7, 1, 6, [1, 2]), (53.4, 1, 6, [1, 2, 3]), (55.9, 1, 6, [1, 3]), (66.0, 1, 6, [1, 2, 3])]


def scripted_lane(rng: random.Random) -> dict:
    since, spans = 0.3, []
    for until, leader, epoch, isr in SCRIPTED:
        spans.append({"from_ns": at(since), "to_ns": at(until), "leader": leader, "leader_epoch": epoch, "isr": isr})
        since = until
    return {"topic": "t", "partition": 0, "spans": spans, "hw": high_watermarks(rng)}


def partition_lane(index: int, rng: random.Random) -> dict:
    if index == 0:
        return scripted_lane(rng)
    leader, epoch, isr = index % 3 + 1, 1, [1, 2, 3]
    spans, since = [], 0.3
    changes = []
    for fault, kind, _, targets, begin, heal, converged, _ in FAULTS:
        if kind in ("proc.kill", "proc.restart", "net.isolate", "proc.pause"):
            changes.append((begin + rng.uniform(0.4, 0.9), "out", int(targets[0][1:])))
            changes.append((converged - rng.uniform(0, 0.4), "in", int(targets[0][1:])))
    for moment, what, node in sorted(changes):
        spans.append({"from_ns": at(since), "to_ns": at(moment), "leader": leader, "leader_epoch": epoch, "isr": list(isr)})
        since = moment
        if what == "out":
            isr = [n for n in isr if n != node] or isr
            if leader == node:
                leader, epoch = isr[index % len(isr)], epoch + 1
        else:
            isr = sorted(set(isr) | {node})
            if index % 3 + 1 == node and leader != node:
                leader, epoch = node, epoch + 1
    spans.append({"from_ns": at(since), "to_ns": T0 + LENGTH, "leader": leader, "leader_epoch": epoch, "isr": list(isr)})
    return {"topic": "t", "partition": index, "spans": spans, "hw": high_watermarks(rng)}


def high_watermarks(rng: random.Random) -> list:
    mark, marks = 0, []
    for half in range(1, 130):
        mark += int(760 * (1 - disturbed(half / 2)) * rng.uniform(0.9, 1.1)) if half < 120 else 0
        marks.append([at(half / 2), mark])
    return marks


def fault_rows(missed: bool) -> list[dict]:
    rows = []
    for number, (fault, kind, planned, targets, begin, heal, converged, evidence) in enumerate(FAULTS):
        row = {"id": fault, "kind": kind, "planned": planned, "targets": targets, "resolved": " and ".join(targets),
               "begin_ns": at(begin), "heal_ns": at(heal), "converged_ns": at(converged), "verified": True,
               "evidence": evidence, "status": "acted"}
        if missed and number == 1:
            row |= {"verified": False, "status": "failed", "converged_ns": None,
                    "evidence": "3 of 8 probes still passed after 2 s: the cut did not take hold"}
        rows.append(row)
    return rows


PROPERTIES = [
    ("lost-write", "No acknowledged write is lost"),
    ("duplicate", "No write appears twice"),
    ("inconsistent-offsets", "One value for one offset, for ever"),
    ("phantom-value", "No value that nobody sent"),
    ("nonmonotonic-send", "One producer's order is kept"),
    ("realtime-order", "Acknowledged earlier means lower offset"),
    ("nonmonotonic-poll", "A reader never goes back"),
    ("poll-skip", "A reader never skips a committed record"),
    ("unseen", "Everything acknowledged is delivered"),
    ("end-offset-regression", "The end of a partition never moves back"),
]


def lost_write() -> dict:
    op = {"topic": "t", "partition": 0, "error": None}
    return {
        "property": "lost-write", "status": "violated",
        "title": "3 acknowledged records of t/0 are gone",
        "story": [
            "Client c1 sent value 88,213 to t/0 at 00:23.409. n2, leader in epoch 4, acknowledged it at offset 4,117 nine "
            "milliseconds later, with acks=all and both n2 and n3 in sync.",
            "At 00:23.502 n2 was killed. n3 was elected leader of t/0 in epoch 5 at 00:24.180.",
            "n3 had cut its log back to its own high watermark, 4,117, when it became a follower, and so no longer held "
            "offsets 4,117 to 4,119 when it was elected.",
            "Every read of offset 4,117 since 00:31 returns value 88,240, written in epoch 6. The final drain read t/0 to "
            "its proven end and found none of the three values.",
        ],
        "operations": [
            op | {"process": "c1/p3", "function": "send", "type": "invoke", "time_ns": at(23.409), "offset": None,
                  "value": 88213, "leader_epoch": None},
            op | {"process": "c1/p3", "function": "send", "type": "ok", "time_ns": at(23.418), "offset": 4117,
                  "value": 88213, "leader_epoch": 4},
            op | {"process": "c2/p1", "function": "send", "type": "invoke", "time_ns": at(30.951), "offset": None,
                  "value": 88240, "leader_epoch": None},
            op | {"process": "c2/p1", "function": "send", "type": "ok", "time_ns": at(30.962), "offset": 4117,
                  "value": 88240, "leader_epoch": 6},
            op | {"process": "auditor", "function": "audit", "type": "ok", "time_ns": at(62.118), "offset": 4117,
                  "value": 88240, "leader_epoch": 6},
        ],
        "records": [
            {"offset": 4116, "value": 88209, "leader_epoch": 4, "where": "n1, n2, n3"},
            {"offset": 4117, "value": 88213, "leader_epoch": 4, "where": "acknowledged by n2"},
            {"offset": 4117, "value": 88240, "leader_epoch": 6, "where": "n1, n2, n3 after the drain"},
            {"offset": 4118, "value": 88244, "leader_epoch": 6, "where": "n1, n2, n3 after the drain"},
        ],
        "faults": ["f3", "f4"],
        "trace": [
            {"t": at(23.120), "n": 3, "s": "info", "k": "partition.follower", "topic": "t", "partition": 0,
             "leader_epoch": 4, "leader": 2},
            {"t": at(23.131), "n": 3, "s": "info", "k": "partition.truncate", "topic": "t", "partition": 0,
             "leader_epoch": 4, "from": 4120, "to": 4117},
            {"t": at(24.180), "n": 3, "s": "info", "k": "partition.leader", "topic": "t", "partition": 0,
             "leader_epoch": 5, "partition_epoch": 9, "isr": "3", "start_offset": 4117},
            {"t": at(30.902), "n": 1, "s": "info", "k": "partition.leader", "topic": "t", "partition": 0,
             "leader_epoch": 6, "partition_epoch": 12, "isr": "1,3", "start_offset": 4117},
        ],
        "from_ns": at(22.5), "to_ns": at(32.0),
    }


def duplicates() -> dict:
    op = {"topic": "t", "partition": 5, "error": None, "process": "c2/p2", "value": 120411}
    return {
        "property": "duplicate", "status": "violated", "title": "1 record of t/5 appears twice",
        "story": ["Client c2 sent value 120,411 to t/5 once. The drain found it at offsets 5,872 and 5,890, both in epoch 3, "
                  "from one producer session (epoch 0, sequence 5,214).",
                  "n3 was paused from 00:36.0 to 00:41.0; the client's request timed out and was retried at 00:38.2."],
        "operations": [op | {"function": "send", "type": "invoke", "time_ns": at(36.1), "offset": None, "leader_epoch": None},
                       op | {"function": "send", "type": "ok", "time_ns": at(38.29), "offset": 5890, "leader_epoch": 3},
                       op | {"function": "audit", "type": "ok", "time_ns": at(62.4), "offset": 5872, "leader_epoch": 3,
                             "process": "auditor"},
                       op | {"function": "audit", "type": "ok", "time_ns": at(62.41), "offset": 5890, "leader_epoch": 3,
                             "process": "auditor"}],
        "records": [{"offset": 5872, "value": 120411, "leader_epoch": 3, "where": "every replica"},
                    {"offset": 5890, "value": 120411, "leader_epoch": 3, "where": "every replica"}],
        "faults": ["f5"], "trace": [], "from_ns": at(35.5), "to_ns": at(42),
    }


def verdict(kind: str) -> dict:
    rows = []
    for name, title in PROPERTIES:
        rows.append({"name": name, "title": title, "promised": "promised", "status": "held", "count": 0,
                     "why": "acks=all, min ISR 2, clean elections only", "first_violation": None})
    rows[-1] |= {"promised": "allowed", "status": "allowed", "count": 2,
                 "why": "a deposed leader answered from the past, with a lower epoch: a stale read, not a loss"}
    out = {"schema": 1, "run_id": "log-7", "verdict": kind, "promise_set": "durable", "reasons": [], "properties": rows,
           "violations": [],
           "counts": {"operations": 1_091_340, "sends_ok": 745_112, "sends_fail": 12, "sends_info": 318,
                      "info_landed": 201, "info_absent": 117, "reads": 1_480_213, "polls": 31_022, "audited": 745_313,
                      "partitions_drained": 12, "partitions": 12},
           "checker": {"load_s": 0.21, "check_s": 0.19, "ops_per_s": 5_743_894, "bytes_per_op": 41.2,
                       "peak_rss": 71_303_168}}
    out["sentence"] = "acknowledged writes survived 7 faults (2 kills, 3 partitions, 1 pause, 1 restart)"
    if kind == "fail":
        out["sentence"] = "lost-write: 3 acknowledged records of t/0 are gone (promised: acks=all, min ISR 2)"
        out["violations"] = [lost_write(), duplicates()]
        for index, (name, many) in enumerate((("lost-write", 3), ("duplicate", 1))):
            row = next(r for r in rows if r["name"] == name)
            row |= {"status": "violated", "count": many, "first_violation": index}
    if kind == "unknown":
        out["sentence"] = "nothing was found broken, but a required fault did not take hold and t/4 was not read to its end"
        out["reasons"] = ["fault f2 (net.isolate n3) is marked required and did not take hold: 3 of 8 probes still passed",
                          "t/4 was drained to 5,120 of 5,377: no leader answered within 30 s"]
        out["counts"]["partitions_drained"] = 11
        for row in rows:
            if row["name"] in ("lost-write", "unseen"):
                row |= {"status": "unknown", "why": "t/4 was not read to its proven end"}
    return out


def trial(kind: str) -> dict:
    mutations = ["repl.truncate_to_hw"] if kind == "fail" else []
    return {"schema": 1, "run_id": "log-7", "name": "log-7", "seed": 7, "time_s": 60, "target": "ordeal",
            "nodes": [{"id": n, "address": f"10.77.0.{10 + n}"} for n in (1, 2, 3)],
            "started": "2026-03-02T09:14:07Z", "command": "./ordeal run --seed 7" + "".join(f" --mutate {m}" for m in mutations),
            "plan": "mixed", "durability": "fsync", "promise": "durable", "mutations": mutations,
            "workload": {"name": "log", "client": "librdkafka", "producers": 6, "consumers": 4, "acks": "all",
                         "idempotence": True, "rate": 20000, "value_size": 100, "compression": "lz4",
                         "topics": [{"name": "t", "partitions": PARTITIONS, "replication": 3}]},
            "config": {"min.insync.replicas": "2", "broker.session.timeout.ms": "3000", "replica.lag.time.max.ms": "2000"},
            "machine": {"kernel": "6.1.0-28-amd64", "cpus": 2, "memory_gib": 23, "filesystem": "ext4",
                        "system": "Debian GNU/Linux 12 (bookworm)"},
            "versions": {"ordeal": "0.1.0", "commit": "4f2c91d", "librdkafka": "2.0.2", "python": "3.11.7"},
            "not_covered": ["power loss (only process crashes were injected)", "transactions and consumer groups"]}


def write(kind: str, folder: Path) -> Path:
    rng = random.Random(7)
    folder.mkdir(parents=True, exist_ok=True)
    faults = fault_rows(missed=kind == "unknown")
    aggregates = {"schema": 1, "t0_ns": T0, "t1_ns": T0 + LENGTH, "bucket_ns": BUCKET, **series(rng),
                  "lanes": {"brokers": [broker_lane(n) for n in (1, 2, 3)],
                            "partitions": [partition_lane(p, rng) for p in range(PARTITIONS)]},
                  "faults": faults}
    for name, value in (("verdict", verdict(kind)), ("aggregates", aggregates), ("trial", trial(kind))):
        (folder / f"{name}.json").write_text(json.dumps(value))
    events = []
    for row in faults:
        events.append({"t": row["begin_ns"], "event": "fault.begin" if row["verified"] else "fault.failed", "id": row["id"],
                       "kind": row["kind"], "targets": row["targets"], "verified": row["verified"],
                       "evidence": row["evidence"]})
        events.append({"t": row["heal_ns"], "event": "fault.heal", "id": row["id"], "kind": row["kind"],
                       "targets": row["targets"], "verified": True})
    (folder / "faults.jsonl").write_text("".join(json.dumps(e) + "\n" for e in sorted(events, key=lambda e: e["t"])))
    return folder


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("pass", "fail", "unknown"):
        sys.exit("usage: python -m reports.samples.make pass|fail|unknown DIR")
    write(sys.argv[1], Path(sys.argv[2]))
