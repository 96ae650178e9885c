"""The settings a trial is judged by."""

from types import SimpleNamespace

from ordeal.effective import settings
from ordeal.options import PAGE_CACHE

SPEC = SimpleNamespace(acks=-1, idempotence=True, rf=3, min_isr=2, durability="fsync", settings={}, topic="t")
TOPIC = {"flush.messages": "1", "min.insync.replicas": "2", "unclean.leader.election.enable": "false"}


def answers(**changes) -> dict:
    broker = {"log.flush.interval.messages": "1"}
    return {"brokers": {"1": broker, "2": dict(broker)}, "topics": {"t": dict(TOPIC)}, "replication": {"t": 3}} | changes


def test_before_the_cluster_was_asked_the_intention_stands():
    assert settings(SPEC, None)["min.insync.replicas"] == 2 and settings(SPEC, None)["acks"] == "all"


def test_what_the_cluster_answers_overrules_the_intention():
    found = settings(SPEC, answers(topics={"t": TOPIC | {"min.insync.replicas": "1"}}, replication={"t": 2}))
    assert found["min.insync.replicas"] == "1" and found["replication.factor"] == 2


def test_one_weak_broker_makes_the_cluster_weak():
    back = answers()
    back["brokers"]["2"]["log.flush.interval.messages"] = PAGE_CACHE
    assert settings(SPEC, back)["log.flush.interval.messages"] == PAGE_CACHE
