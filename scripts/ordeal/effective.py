"""What the trial is really run with: the options, corrected by what brokers and topics answered when asked.

Promises are judged by these (trial.json, `effective`), so where the answers differ from the intention the answers count,
and of several brokers the weakest.
"""

from ordeal.options import PAGE_CACHE, Spec

_OF_TOPIC = ("min.insync.replicas", "unclean.leader.election.enable", "cleanup.policy", "retention.ms", "retention.bytes")


def settings(spec: Spec, read_back: dict | None) -> dict:
    """`read_back` is the `settings` line of ordeal-workload; None before the cluster could be asked."""
    intended = {"acks": "all" if spec.acks == -1 else str(spec.acks), "enable.idempotence": spec.idempotence,
                "replication.factor": spec.rf, "min.insync.replicas": spec.min_isr, "consumer.mode": "assign",
                "log.flush.interval.messages": "1" if spec.durability == "fsync" else PAGE_CACHE, **spec.settings}
    if read_back is None:
        return intended
    topic = read_back["topics"][spec.topic]
    flushes = [broker["log.flush.interval.messages"] for broker in read_back["brokers"].values()] + [topic["flush.messages"]]
    return intended | {key: topic[key] for key in _OF_TOPIC if key in topic} | {
        "replication.factor": read_back["replication"][spec.topic], "log.flush.interval.messages": max(flushes, key=int)}
