"""Writes trial.json: what the trial was, for the checker and the last section of the report (docs/formats/trial.md)."""

import dataclasses
import json

from ordeal import clients, facts, layout
from ordeal.effective import settings


def write(trial) -> None:
    """Before the first client starts, and again when what was read back and the phases are known."""
    s = trial.spec
    effective = settings(s, trial.read_back)
    load = {"name": "log", **layout.workload(s, trial.run_id, 1, trial.target.bootstrap()), "producers": s.producers, "consumers": s.consumers,
            "rate": s.rate, "acks": effective["acks"], "client_hosts": s.clients}
    document = {
        "schema": 1, "run_id": trial.run_id, "name": s.name, "command": s.command, "world": "real", "promises": s.promises,
        "min_faults": s.min_faults, "required_faults": s.required, "effective": effective, "read_back": trial.read_back, "phases": trial.phases,
        "nodes": [{"id": n, "address": trial.target.address(n)} for n in trial.target.nodes()], "seed": s.seed,
        "time_s": s.time_s, "target": s.target, "broker": trial.target.title, "plan": s.plan_name, "durability": s.durability, "mutations": s.mutations,
        "config": trial.target.settings() | {"log.flush.interval.messages": effective["log.flush.interval.messages"]},
        "started": trial.started, "workload": load, "machine": facts.machine(trial.folder), "versions": facts.versions() | trial.target.versions() | clients.versions([trial.folder / "clients" / host / "out.log" for host in trial.hosts]),
        "crashes": trial.crashes, "not_covered": _not_covered(trial), "spec": dataclasses.asdict(s) | {"plan_text": "see plan.yaml"},
    }
    (trial.folder / "trial.json").write_text(json.dumps(document, indent=2) + "\n")


def _not_covered(trial) -> list[str]:
    missing = [*trial.target.not_covered(), "transactions and consumer groups: the log workload writes and reads assigned partitions"]
    if trial.spec.nodes < 3:
        missing.append("failover: fewer than three brokers")
    return missing
