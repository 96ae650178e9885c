"""The simulator's invariants in words, and what a broken one needs to be a story: the brokers' events before it, the faults active then.

The simulator asserts them after every event, so a violation comes with its moment but, unlike the checker's, with no operation.
"""

import json

GENERIC = "invariant of the simulated cluster"
TITLES = {
    "StrongIsr": "what is committed stands on every replica of the controller's ISR", "WeakIsr": "what is committed stands on every replica of the leader's ISR",
    "LeaderInIsr": "a leader is a member of its ISR", "NoFencedInIsr": "no fenced broker is in an ISR", "IsrElrDisjoint": "nobody is in the ISR and the ELR at once",
    "ValidHighWatermark": "a high watermark counts every member of the controller's ISR", "HighWatermarkNeedsMinIsr": "a high watermark stands still below the minimum ISR",
    "LeaderCandidateCompleteness": "whoever may be elected holds all that is committed", "LeaderCompleteness": "a leader holds all that is committed",
    "LogMatching": "two replicas are equal up to the lower high watermark", "CommittedStays": "nobody cuts below a high watermark it has announced",
    "CommittedIsSynced": "what is committed is on the disks of the ISR", "UncleanExclusion": "a replica that stopped uncleanly neither leads nor is in the ISR before it caught up",
    "MonotonicHighWatermark": "a high watermark never goes back", "MonotonicEpoch": "an epoch never goes back", "EpochsRise": "committed epochs of a partition rise",
    "SingleLeader": "one leader an epoch", "OneIsrPerEpoch": "one ISR a partition epoch", "OnePartitionState": "one state a partition epoch",
    "OneActiveController": "one active controller", "MetadataLogMatching": "every broker applies a prefix of one metadata log",
    "CommittedMetadataStays": "committed metadata stays", "MetadataDurable": "committed metadata is on the disks of a majority",
    "AppliesOnlyCommitted": "only committed metadata is applied", "ElectionSafety": "one Raft leader a term, one vote a term",
    "RaftHighWatermarkMonotonic": "Raft's high watermark never goes back", "OneVoterChangeAtATime": "one change of the Raft voters at a time",
    "SnapshotAtLogStart": "the metadata log begins where its snapshot ends", "LeaderLoadsNoSnapshot": "a Raft leader never loads a snapshot",
    "CrashPrefix": "a recovered log is a prefix of what was written and has all that was synced", "OffsetsOrdered": "log start ≤ high watermark ≤ log end",
    "IndexWithinTarget": "an index lookup never passes its target", "Fatal": "no broker ends itself", "NotWhole": "after the heal every ISR becomes full",
    "NoLeader": "after the heal every partition has a leader", "NoController": "after the heal there is a controller", "NoProgress": "after the heal writes are answered",
    "NotServing": "after the heal every broker serves", "AlterPartitionStuck": "a proposed ISR is answered", "ClientsStuck": "clients learn the fate of what they sent",
    "AuditStuck": "the audit comes to its end",
}
EVENTS = 24  # of the brokers, before the moment
WINDOW_NS = 3_000_000_000


def explain(folder, verdict: dict, aggregates: dict) -> None:
    """Fills in titles, and events and faults of violations that have only a moment."""
    for row in verdict.get("properties", []):
        if row.get("title") == GENERIC and row.get("name") in TITLES:
            row["title"] = TITLES[row["name"]]
    bare = [v for v in verdict.get("violations", []) if v.get("property") in TITLES and not v.get("trace") and v.get("from_ns")]
    events = _events(folder) if bare else []
    for violation in bare:
        moment = violation["from_ns"]
        violation["trace"] = [e for e in events if moment - WINDOW_NS <= e["t"] <= moment][-EVENTS:]
        violation["story"] = [f"The invariant: {TITLES[violation['property']]}.", *violation.get("story", [])]
        violation["faults"] = violation.get("faults") or [
            f["id"] for f in aggregates.get("faults", []) if f.get("verified") and 0 < (f.get("begin_ns") or 0) <= moment
            and (not f.get("heal_ns") or f["heal_ns"] >= moment - WINDOW_NS)]


def _events(folder) -> list[dict]:
    rows = []
    for path in folder.glob("nodes/*/trace.jsonl"):
        for line in path.read_text().splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                break  # a torn tail
            if event.get("s") != "debug" and event.get("k") != "partition.hw" and isinstance(event.get("t"), int):
                rows.append(event)
    return sorted(rows, key=lambda e: e["t"])
