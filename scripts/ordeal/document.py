"""Writes trial.json: what the trial was, for the checker and the last section of the report (docs/formats/trial.md)."""

import dataclasses
import json

from ordeal import facts, layout
from ordeal.effective import settings
from ordeal.options import Spec


def write(trial) -> None:
    """Before the first client starts, and again when what was read back and the phases are known."""
    s = trial.spec
    effective = settings(s, trial.read_back)
    load = {"name": "log", **layout.workload(s, trial.run_id, 1), "producers": s.producers, "consumers": s.consumers,
            "rate": s.rate, "acks": effective["acks"], "client_hosts": s.clients}
    document = {
        "schema": 1, "run_id": trial.run_id, "name": s.name, "command": s.command, "world": "real", "promises": s.promises,
        "min_faults": s.min_faults, "required_faults": s.required, "effective": effective, "read_back": trial.read_back, "phases": trial.phases,
        "nodes": [{"id": n, "address": layout.node_address(n)} for n in range(1, s.nodes + 1)], "seed": s.seed,
        "time_s": s.time_s, "target": "ordeal", "plan": s.plan_name, "durability": s.durability, "mutations": s.mutations,
        "config": {"min.insync.replicas": str(s.min_isr), "log.flush.interval.messages": effective["log.flush.interval.messages"],
                   **s.settings},
        "started": trial.started, "workload": load, "machine": facts.machine(trial.folder), "versions": facts.versions(),
        "crashes": trial.crashes, "not_covered": _not_covered(s), "spec": dataclasses.asdict(s) | {"plan_text": "see plan.yaml"},
    }
    (trial.folder / "trial.json").write_text(json.dumps(document, indent=2) + "\n")


def _not_covered(spec: Spec) -> list[str]:
    missing = ["power loss and other disk faults: on real processes only crashes of processes were injected",
               "transactions and consumer groups: the log workload writes and reads assigned partitions"]
    if spec.nodes < 3:
        missing.append("failover: fewer than three brokers")
    return missing
