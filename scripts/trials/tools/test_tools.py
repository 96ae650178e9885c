"""Apache Kafka's own command line tools against this broker: what they print when all is well, and which of Kafka's errors they print
when it is not. A tool whose API the broker does not name yet is skipped, with the API's name, and runs as soon as it is there.
"""

import json
import re

import pytest
from harness import until


@pytest.fixture(scope="module")
def at(cluster):
    return ("--bootstrap-server", cluster.bootstrap)


@pytest.fixture(scope="module")
def versions(tools, at):
    return tools.says("BrokerApiVersionsCommand", *at)


@pytest.fixture
def needs(versions):
    def check(*apis: str) -> None:
        for api in apis:
            if re.search(rf"{api}\(\d+\): UNSUPPORTED", versions):
                pytest.skip(f"the broker has no {api} yet")

    return check


def create(at, topic: str, partitions: int = 1) -> None:
    """For tests of something else than creation: a Java process less."""
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": at[1]})  # named: the answer ends with it
    admin.create_topics([NewTopic(topic, partitions, 3)])[topic].result(60)


def layout(tools, at, *words: object) -> list[dict]:
    """The partitions that a description shows, each as the tool's words."""
    said = tools.says("TopicCommand", *at, "--describe", *words)
    rows = [dict(re.findall(r"(\w+): (\S*)", line.replace("\t", " "))) for line in said.splitlines() if "\tPartition: " in line]
    return [{**row, "head": said.splitlines()[0]} for row in rows]


# ---- the cluster

def test_every_broker_says_which_versions_it_speaks(versions):
    assert len(re.findall(r"^127\.0\.0\.1:\d+ \(id: [1234] rack: r[1234] ", versions, re.MULTILINE)) == 4, versions
    for api in ("Produce(0): 0 to 13 [usable: 13]", "Fetch(1): 4 to 18 [usable: 18]", "ListOffsets(2): 1 to 11 [usable: 11]",
                "ElectLeaders(43): 0 to 2 [usable: 2]", "IncrementalAlterConfigs(44): 0 to 1 [usable: 1]", "DescribeQuorum(55): 0 to 2 [usable: 2]",
                "DescribeLogDirs(35): 1 to 5 [usable: 5]"):
        assert versions.count(api) == 4, f"{api}\n{versions}"


def test_the_cluster_has_its_id(tools, at):
    assert "Cluster ID: clients-test" in tools.says("ClusterTool", "cluster-id", *at)


def test_the_quorum_is_described(tools, cluster, at):
    said = dict(line.split(":", 1) for line in tools.says("MetadataQuorumCommand", *at, "describe", "--status").splitlines() if ":" in line)
    said = {key: value.strip() for key, value in said.items()}
    assert said["ClusterId"] == "clients-test" and said["LeaderId"] in ("1", "2", "3") and int(said["LeaderEpoch"]) >= 1
    assert int(said["HighWatermark"]) > 1 and 0 <= int(said["MaxFollowerLag"]) < 100 and int(said["MaxFollowerLagTimeMs"]) >= 0
    voters = json.loads(said["CurrentVoters"])
    assert sorted(v["id"] for v in voters) == [1, 2, 3] and [o["id"] for o in json.loads(said["CurrentObservers"])] == [4]
    assert all(v["endpoints"][0].startswith("CONTROLLER://127.0.0.1:") for v in voters)
    rows = [line.split() for line in tools.says("MetadataQuorumCommand", *at, "describe", "--replication").splitlines()]
    assert rows[0][:4] == ["NodeId", "DirectoryId", "LogEndOffset", "Lag"]
    assert sorted(row[0] for row in rows[1:]) == ["1", "2", "3", "4"]
    assert sorted(row[-1] for row in rows[1:]) == ["Follower", "Follower", "Leader", "Observer"]
    assert next(row for row in rows[1:] if row[-1] == "Leader")[0] == said["LeaderId"]


# ---- topics

def test_a_topic_from_its_creation_to_its_end(tools, at):
    assert "Created topic life." in tools.says("TopicCommand", *at, "--create", "--topic", "life", "--partitions", 4, "--replication-factor", 3,
                                               "--config", "retention.ms=3600000")
    assert "life" in tools.says("TopicCommand", *at, "--list").split()
    rows = layout(tools, at, "--topic", "life")
    assert [row["Partition"] for row in rows] == ["0", "1", "2", "3"]
    assert all(len(set(row["Replicas"].split(","))) == 3 and row["Leader"] == row["Replicas"].split(",")[0] for row in rows)
    assert re.search(r"TopicId: \S{22}\s+PartitionCount: 4\s+ReplicationFactor: 3\s+Configs: .*retention\.ms=3600000", rows[0]["head"])
    assert "Topic 'life' already exists." in tools.refuses("TopicCommand", *at, "--create", "--topic", "life")
    assert "Created" not in tools.says("TopicCommand", *at, "--create", "--if-not-exists", "--topic", "life", "--partitions", 9)
    tools.says("TopicCommand", *at, "--delete", "--topic", "life")
    assert "life" not in tools.says("TopicCommand", *at, "--list").split()
    assert "does not exist as expected" in tools.refuses("TopicCommand", *at, "--describe", "--topic", "life")


def test_what_cannot_be_created_is_refused_with_kafkas_error(tools, at):
    assert "InvalidReplicationFactorException" in tools.refuses("TopicCommand", *at, "--create", "--topic", "wide", "--replication-factor", 5)
    assert "InvalidPartitionsException" in tools.refuses("TopicCommand", *at, "--create", "--topic", "many", "--partitions", 1_000_000)
    create(at, "a.b")
    assert "InvalidTopicException: topic 'a_b' collides with 'a.b'" in tools.refuses("TopicCommand", *at, "--create", "--topic", "a_b")
    assert "does not exist as expected" in tools.refuses("TopicCommand", *at, "--delete", "--topic", "never")


def test_a_topic_grows(tools, at, needs):
    needs("CreatePartitions")
    create(at, "grow")
    tools.says("TopicCommand", *at, "--alter", "--topic", "grow", "--partitions", 3)
    assert [row["Partition"] for row in layout(tools, at, "--topic", "grow")] == ["0", "1", "2"]
    assert "InvalidPartitionsException" in tools.refuses("TopicCommand", *at, "--alter", "--topic", "grow", "--partitions", 2)


# ---- settings

def configs(tools, at, *words: object) -> str:
    return tools.says("kafka.admin.ConfigCommand", *at, "--describe", *words)


def test_settings_of_a_topic_are_altered_and_described(tools, at):
    create(at, "set")
    topic = ("--entity-type", "topics", "--entity-name", "set")

    def alter(*words: object) -> tuple:
        return ("kafka.admin.ConfigCommand", *at, "--alter", *topic, *words)

    assert "Completed updating config for topic set." in tools.says(*alter("--add-config", "retention.ms=7200000,cleanup.policy=[delete,compact]"))
    said = until(lambda: "retention.ms=7200000" in (text := configs(tools, at, *topic)) and text, 120, "the change seen by every broker")
    assert "cleanup.policy=delete,compact" in said and "DYNAMIC_TOPIC_CONFIG:retention.ms=7200000" in said
    assert "DEFAULT_CONFIG:log.retention.ms" in said or "DEFAULT_CONFIG:log.retention.hours" in said
    tools.says(*alter("--delete-config", "retention.ms"))
    until(lambda: "retention.ms=" not in configs(tools, at, *topic), 120, "the setting back at its default")
    assert "segment.bytes=1073741824" in configs(tools, at, *topic, "--all")
    refused = tools.refuses(*alter("--add-config", "no.such.setting=1"))
    assert "InvalidConfigurationException" in refused and "Unknown topic config name: no.such.setting" in refused
    refused = tools.refuses(*alter("--add-config", "retention.ms=soon"))
    assert "InvalidConfigurationException" in refused and "Invalid value soon for configuration retention.ms" in refused
    assert "not exist" in tools.run("kafka.admin.ConfigCommand", *at, "--alter", "--entity-type", "topics", "--entity-name", "never", "--add-config",
                                    "retention.ms=1").stderr


def test_settings_of_a_broker_are_described_and_stay_as_its_file_says(tools, at):
    broker = ("--entity-type", "brokers", "--entity-name", 1)
    said = configs(tools, at, *broker, "--all")
    assert re.search(r"node\.id=1 sensitive=false synonyms=\{STATIC_BROKER_CONFIG:node\.id=1", said), said
    assert re.search(r"min\.insync\.replicas=2 sensitive=false synonyms=\{STATIC_BROKER_CONFIG:min\.insync\.replicas=2, DEFAULT_CONFIG:", said), said
    refused = tools.refuses("kafka.admin.ConfigCommand", *at, "--alter", *broker, "--add-config", "log.dirs=/elsewhere")
    assert "InvalidRequestException" in refused and "Cannot update these configs dynamically" in refused


# ---- records

def test_console_tools_write_and_read(tools, at):
    create(at, "console", 2)
    tools.says("ConsoleProducer", *at, "--topic", "console", "--reader-property", "parse.key=true", "--reader-property", "key.separator=:",
               text="".join(f"k:{i}\n" for i in range(100)))
    offsets = dict(re.findall(r"^console:(\d):(\d+)$", tools.says("GetOffsetShell", *at, "--topic", "console"), re.MULTILINE))
    assert sorted(map(int, offsets.values())) == [0, 100], "one key, one partition"
    partition = next(p for p, end in offsets.items() if end == "100")
    read = tools.says("consumer.ConsoleConsumer", *at, "--topic", "console", "--partition", partition, "--offset", 40, "--max-messages", 60,
                      "--timeout-ms", 60000, *(f"--formatter-property=print.{what}=true" for what in ("key", "offset", "partition")))
    assert read.splitlines() == [f"Partition:{partition}\tOffset:{i}\tk\t{i}" for i in range(40, 100)]


def test_offsets_are_found_by_place_and_by_time(tools, at):
    create(at, "times")
    from confluent_kafka import Producer  # the tools' producers stamp with the time of sending

    producer = Producer({"bootstrap.servers": at[1]})
    now = 1_600_000_000_000
    for offset, stamp in enumerate((now, now + 5000, now + 2000)):
        producer.produce("times", str(offset), partition=0, timestamp=stamp)
        assert producer.flush(60) == 0
    for time, offset in (("earliest", 0), ("latest", 3), ("max-timestamp", 1), (now + 1, 1)):
        assert tools.says("GetOffsetShell", *at, "--topic", "times", "--time", time).strip() == f"times:0:{offset}", time
    assert tools.says("GetOffsetShell", *at, "--topic-partitions", "times:0", "--time", now + 5001).strip() in ("times:0:", "times:0:-1", "")
    assert "Could not match any topic-partitions" in tools.refuses("GetOffsetShell", *at, "--topic", "never")


def test_the_verifiable_producer_has_every_record_acknowledged(tools, at):
    create(at, "verifiable", 3)
    rows = [json.loads(line) for line in tools.says("VerifiableProducer", *at, "--topic", "verifiable", "--max-messages", 500, "--acks", -1).splitlines()]
    assert [row["name"] for row in rows].count("producer_send_success") == 500
    end = next(row for row in rows if row["name"] == "tool_data")
    assert end["sent"] == end["acked"] == 500


@pytest.mark.parametrize("codec", ("none", "lz4"))
def test_the_performance_tool_writes(tools, at, codec):
    create(at, f"perf-{codec}", 3)
    said = tools.says("ProducerPerformance", "--topic", f"perf-{codec}", "--num-records", 20000, "--record-size", 500, "--throughput", -1,
                      "--bootstrap-server", at[1], "--command-property", "acks=all", f"compression.type={codec}")
    assert re.search(r"^20000 records sent, ", said, re.MULTILINE), said
    offsets = re.findall(r":\d:(\d+)$", tools.says("GetOffsetShell", *at, "--topic", f"perf-{codec}"), re.MULTILINE)
    assert sum(map(int, offsets)) == 20000


def test_records_are_deleted(tools, at, needs, tmp_path):
    needs("DeleteRecords")
    create(at, "shorter")
    tools.says("ConsoleProducer", *at, "--topic", "shorter", "--command-property", "acks=all", text="a\nb\nc\n")
    offsets = tmp_path / "offsets.json"
    offsets.write_text(json.dumps({"version": 1, "partitions": [{"topic": "shorter", "partition": 0, "offset": 2}]}))
    assert "low_watermark: 2" in tools.says("DeleteRecordsCommand", *at, "--offset-json-file", offsets)
    assert tools.says("GetOffsetShell", *at, "--topic", "shorter", "--time", "earliest").strip() == "shorter:0:2"


GROUPS = ("OffsetCommit", "OffsetFetch", "JoinGroup", "SyncGroup", "Heartbeat", "LeaveGroup")


def test_a_group_of_one_reads_a_topic(tools, at, needs):
    needs(*GROUPS)
    create(at, "grouped", 3)
    tools.says("ConsoleProducer", *at, "--topic", "grouped", text="".join(f"{i}\n" for i in range(300)))
    words = ("--topic", "grouped", "--from-beginning", "--max-messages", 300, "--timeout-ms", 60000, "--group", "g")
    assert sorted(map(int, tools.says("consumer.ConsoleConsumer", *at, *words).split())) == list(range(300))
    said = tools.says("consumer.group.ConsumerGroupCommand", *at, "--describe", "--group", "g")
    assert said.count("grouped") == 3


def test_the_performance_tool_reads(tools, at, needs):
    needs(*GROUPS)
    create(at, "perf-read", 3)
    tools.says("ProducerPerformance", "--topic", "perf-read", "--num-records", 20000, "--record-size", 500, "--throughput", -1, *at)
    said = tools.says("ConsumerPerformance", *at, "--topic", "perf-read", "--num-records", 20000, "--timeout", 60000)
    assert int(float(said.splitlines()[1].split(",")[4])) == 20000, said


# ---- replicas

def test_log_directories_are_described(tools, cluster, at):
    create(at, "dirs")
    tools.says("ConsoleProducer", *at, "--topic", "dirs", "--command-property", "acks=all", text="a\nb\n")
    replicas = [int(n) for n in layout(tools, at, "--topic", "dirs")[0]["Replicas"].split(",")]
    files = [cluster.folder / f"n{n}" / "dirs-0" / f"{0:020}.log" for n in replicas]
    until(lambda: len({path.stat().st_size for path in files}) == 1, 120, "the same on every replica")
    said = tools.says("LogDirsCommand", *at, "--describe", "--topic-list", "dirs")
    rows = json.loads(next(line for line in said.splitlines() if line.startswith("{")))["brokers"]
    assert sorted(row["broker"] for row in rows) == [1, 2, 3, 4]
    for row in rows:
        folder = cluster.folder / f"n{row['broker']}"
        (directory,) = row["logDirs"]
        assert directory["error"] is None and directory["logDir"] == str(folder)
        if row["broker"] not in replicas:
            assert directory["partitions"] == []
            continue
        (partition,) = directory["partitions"]
        size = sum(path.stat().st_size for path in (folder / "dirs-0").glob("*.log"))
        assert partition == {"partition": "dirs-0", "size": size, "offsetLag": 0, "isFuture": False} and size > 61


def test_elections_move_leaders_back_and_say_when_there_is_nothing_to_do(tools, cluster, at):
    assert "Created topic elect." in tools.says("TopicCommand", *at, "--create", "--topic", "elect", "--replica-assignment", "1:2:3")
    words = ("--topic", "elect", "--partition", 0)
    assert "Valid replica already elected for partitions elect-0" in tools.says("LeaderElectionCommand", *at, "--election-type", "preferred", *words)
    assert "Valid replica already elected for partitions elect-0" in tools.says("LeaderElectionCommand", *at, "--election-type", "unclean", *words)
    assert "UnknownTopicOrPartitionException" in tools.refuses("LeaderElectionCommand", *at, "--election-type", "preferred", "--topic", "elect",
                                                               "--partition", 7)
    assert cluster.stop_node(1) == 0
    assert layout(tools, at, "--topic", "elect")[0]["Leader"] == "2"
    (under,) = [row for row in layout(tools, at, "--under-replicated-partitions") if row["Topic"] == "elect"]
    assert under["Isr"] == "2,3" or under["Isr"] == "3,2"
    assert "PreferredLeaderNotAvailableException" in tools.refuses("LeaderElectionCommand", *at, "--election-type", "preferred", *words)
    cluster.start_node(1)
    until(lambda: not layout(tools, at, "--under-replicated-partitions"), 240, "all replicas in sync again")
    said = tools.says("LeaderElectionCommand", *at, "--election-type", "preferred", *words)
    assert "Successfully completed leader election (PREFERRED) for partitions elect-0" in said
    until(lambda: layout(tools, at, "--topic", "elect")[0]["Leader"] == "1", 120, "the preferred leader seen by every broker")


def test_an_unclean_election_takes_who_serves(tools, cluster, at):
    tools.says("TopicCommand", *at, "--create", "--topic", "unclean", "--replica-assignment", "3:4", "--config", "min.insync.replicas=1")
    words = ("--topic", "unclean", "--partition", 0)

    def leads(node: str):
        return lambda: layout(tools, at, "--topic", "unclean")[0]["Leader"] == node

    tools.says("ConsoleProducer", *at, "--topic", "unclean", "--command-property", "acks=all", text="a\n")
    cluster.kill_node(4)
    until(lambda: layout(tools, at, "--topic", "unclean")[0]["Isr"] == "3", 240, "broker 4 out of the ISR")
    tools.says("ConsoleProducer", *at, "--topic", "unclean", "--command-property", "acks=all", text="b\n")
    cluster.kill_node(3)
    until(leads("none"), 240, "nobody leads")
    assert "unclean" in {row["Topic"] for row in layout(tools, at, "--unavailable-partitions")}
    cluster.start_node(4)
    until(lambda: "(id: 4 " in tools.says("BrokerApiVersionsCommand", *at), 240, "broker 4 back")
    assert leads("none")(), "what broker 4 has is not enough"
    said = tools.says("LeaderElectionCommand", *at, "--election-type", "unclean", *words)
    assert "Successfully completed leader election (UNCLEAN) for partitions unclean-0" in said
    until(leads("4"), 120, "broker 4 leads")
    assert tools.says("GetOffsetShell", *at, "--topic", "unclean").strip() == "unclean:0:1", "what only broker 3 had is gone, as was asked for"
    cluster.start_node(3)
    until(lambda: not layout(tools, at, "--under-replicated-partitions"), 240, "all replicas in sync again")
