"""A made-up simulated world that failed: the failing sample, with the messages and traces around its violation.

`python -m reports.samples.world DIR`
"""

import json
import random
import sys
from pathlib import Path

from reports.samples import make
from reports.samples.make import SECOND, at

BEGIN, END = 22.6, 25.2
MS = SECOND // 1000


def messages(rng: random.Random) -> list[dict]:
    out = []

    def talk(t: int, a: str, b: str, api: str, think: int, say: str = "", parts: tuple = (), lost: str = "", answer: str = "", each: tuple = ()) -> None:
        delay = rng.randint(60_000, 600_000)
        row = {"t": t, "a": None if lost else t + delay, "from": a, "to": b, "api": api, "reply": False, "id": len(out)}
        row |= ({"p": list(parts)} if parts else {}) | ({"say": say} if say else {}) | ({"lost": lost} if lost else {})
        out.append(row | ({"each": list(each)} if each else {}))
        if not lost:
            back = t + delay + think
            out.append({**row, "t": back, "a": back + rng.randint(60_000, 600_000), "from": b, "to": a, "reply": True} | ({"say": answer} if answer else {}))

    t, offset = at(BEGIN), 4000
    while t < at(END):
        down = t > at(23.502)
        for follower in ("n1", "n3"):
            cut = follower == "n1" and t > at(22.9)
            talk(t + rng.randint(0, MS), follower, "n3" if down and follower == "n1" else "n2", "Fetch", rng.randint(MS, 4 * MS), "fetch",
                 ("t/0", "t/3"), "held back by a cut" if cut else "the receiver was down: no power" if down else "", "fetched",
                 (f"from {offset} in epoch 4", f"from {offset // 3} in epoch 2"))
        talk(t + rng.randint(0, MS), "c1", "n3" if t > at(24.2) else "n2", "Produce", 3 * MS, f"produce t/0 1 record seq {offset - 4000} of producer 1000", ("t/0",),
             "the receiver was down: no power" if down and t < at(24.2) else "", f"appended t/0 at {offset}")
        talk(t + rng.randint(0, MS), "c2", "n1", "Fetch", 2 * MS, f"fetch t/5 from {offset}", ("t/5",), "", f"fetched t/5 {offset} of epoch 1, hw {offset + 1}")
        if rng.random() < 0.3:
            for node in ("n1", "n2", "n3"):
                talk(t + rng.randint(0, MS), node, "n3", "BrokerHeartbeat", MS // 2)
        offset += 1
        t += rng.randint(3 * MS, 6 * MS)
    return sorted(out, key=lambda m: m["t"])


def traces() -> list[dict]:
    rows = [e for e in make.lost_write()["trace"]]
    rows += [{"t": at(23.2 + i * 0.02), "n": 2, "s": "debug", "k": "partition.hw", "topic": "t", "partition": 0, "hw": 4100 + i} for i in range(15)]
    rows += [{"t": at(23.9), "n": 3, "s": "info", "k": "raft.role", "role": "candidate", "term": 7, "leader": -1},
             {"t": at(23.95), "n": 3, "s": "info", "k": "raft.role", "role": "leader", "term": 7, "leader": 3},
             {"t": at(23.96), "n": 3, "s": "info", "k": "controller.active", "term": 7},
             {"t": at(24.3), "n": 3, "s": "info", "k": "partition.isr", "topic": "t", "partition": 0, "leader_epoch": 5, "isr": "3"}]
    return sorted(rows, key=lambda e: e["t"])


def write(folder: Path) -> Path:
    make.write("fail", folder)
    (folder / "messages.jsonl").write_text("".join(json.dumps(m) + "\n" for m in messages(random.Random(7))))
    for node in (1, 2, 3):
        path = folder / "nodes" / str(node)
        path.mkdir(parents=True, exist_ok=True)
        (path / "trace.jsonl").write_text("".join(json.dumps(e) + "\n" for e in traces() if e["n"] == node))
    verdict = json.loads((folder / "verdict.json").read_text())
    verdict["violations"][0] |= {"from_ns": at(23.4), "to_ns": at(24.19)}
    (folder / "verdict.json").write_text(json.dumps(verdict))
    trial = json.loads((folder / "trial.json").read_text())
    trial |= {"world": "sim", "digest": "4f2c91d0a17b3e58"}
    (folder / "trial.json").write_text(json.dumps(trial))
    return folder


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m reports.samples.world DIR")
    write(Path(sys.argv[1]))
