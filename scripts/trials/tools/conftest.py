"""Needs Java, and the network once (Maven fetches Kafka). Where they cannot be had the tests are skipped, which the summary shows;
in CI they fail instead."""

import os

import pytest
from cluster import Cluster
from kafka_tools import Tools

from ordeal.errors import OrdealError
from ordeal.terminal import Terminal


@pytest.fixture(scope="session")
def tools():
    try:
        return Tools(Terminal())
    except OrdealError as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{error.message}; {error.hint}")


@pytest.fixture(scope="session")
def cluster(tools, tmp_path_factory):
    """Four brokers, of which three vote: two can be down and the fourth still be told to lead. Leaders stay where they are put."""
    cluster = Cluster(tmp_path_factory.mktemp("tools"), 4, {"auto.leader.rebalance.enable": "false"}, voters=3).start()
    yield cluster
    cluster.stop()
