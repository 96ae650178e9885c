"""A short comparison with a real Apache Kafka: every row measured on both sides, every acknowledged record found again.

Says nothing about how the two compare: one turn of a second each on a machine that runs tests. Java and Kafka as in the trials beside it.
"""

import json
import os

import pytest
from harness import ordeal, told

from ordeal.bench.versus import NOTHING
from ordeal.errors import OrdealError
from ordeal.targets import kafka_files
from ordeal.terminal import Terminal


@pytest.fixture(scope="module", autouse=True)
def kafka():
    try:
        kafka_files.find_java()
        kafka_files.from_maven(kafka_files.DEFAULT_VERSION, Terminal())
    except OrdealError as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{error.message}; {error.hint}")


def test_both_brokers_are_measured_and_nothing_acknowledged_is_missing(tmp_path):
    done = ordeal(tmp_path, "bench", "versus", "--target", "kafka", "--quick", "--preset", "dev", "--json")
    assert done.returncode == 0, told(done)
    figures = json.loads(done.stdout.strip().splitlines()[-1])["figures"]
    for row in figures["rows"]:
        if row["kind"] in ("p50", "p99", "p999") and any(NOTHING in text for text in row["remarks"]):
            continue  # a second of a busy machine may pass without a word; then no figure is made up
        assert row["ours"]["median"] > 0 and row["theirs"]["median"] > 0 and row["times"] > 0, row
        assert not any("not in the log" in text or "writes failed" in text for text in row["remarks"]), row
    assert {row["kind"] for row in figures["rows"]} >= {"start", "memory", "produce", "fetch", "cpu", "p99", "failover", "catchup"}
    page = next(tmp_path.glob("bench-*/report.html")).read_text()
    assert page.count("<rect ") == sum(1 for row in figures["rows"] if row["times"])
