// The controller's rules for topics, producer ids and leader balance; where replicas go.
#include <doctest/doctest.h>

#include "broker/meta/controller_fixture.h"
#include "broker/meta/topic_config.h"

namespace ordeal::meta {
namespace {

// ---- topics ----

TEST_CASE("a topic is created with a fresh id, the leader first in the ISR, epochs at zero") {
  Fixture fixture;
  fixture.add_brokers(3);
  const auto created = fixture.create("t", 2, 3, {{"min.insync.replicas", "2"}});
  CHECK(created.error_code() == 0);
  CHECK(created.num_partitions() == 2);
  CHECK(created.replication_factor() == 3);
  const TopicPtr topic = fixture.image().topic("t");
  REQUIRE(topic);
  CHECK(uuid_to_bytes(topic->id) == created.topic_id());
  CHECK(*topic->config("min.insync.replicas") == "2");
  CHECK(fixture.part("t").leader == fixture.part("t").replicas.front());
  CHECK(fixture.part("t").isr == fixture.part("t").replicas);
  CHECK(fixture.part("t").leader_epoch == 0);
  REQUIRE(fixture.create("u", -1, -1).error_code() == 0);  // the cluster's defaults
  CHECK(fixture.image().topic("u")->partitions.size() == 1);
  CHECK(fixture.image().topic("u")->id != topic->id);
}

TEST_CASE("topic creation is validated as Kafka does") {
  Fixture fixture;
  CHECK(fixture.create("t", 1, 1).error_code() == error_code::kInvalidReplicationFactor);  // no brokers
  fixture.add_brokers(3);
  REQUIRE(fixture.create("a.b", 1, 1).error_code() == 0);
  const std::string too_long(250, 'x');
  struct Row {
    std::string name;
    int partitions;
    int factor;
    std::int32_t error;
  };
  for (const Row& row :
       {Row{"", 1, 1, error_code::kInvalidTopic}, Row{".", 1, 1, error_code::kInvalidTopic},
        Row{"..", 1, 1, error_code::kInvalidTopic}, Row{"a b", 1, 1, error_code::kInvalidTopic},
        Row{"\xc3\xa4", 1, 1, error_code::kInvalidTopic}, Row{too_long, 1, 1, error_code::kInvalidTopic},
        Row{"a_b", 1, 1, error_code::kInvalidTopic}, Row{"a.b", 1, 1, error_code::kTopicAlreadyExists},
        Row{"n", 0, 1, error_code::kInvalidPartitions}, Row{"n", -2, 1, error_code::kInvalidPartitions},
        Row{"n", 1'000'000, 1, error_code::kInvalidPartitions}, Row{"n", 1, 0, error_code::kInvalidReplicationFactor},
        Row{"n", 1, 4, error_code::kInvalidReplicationFactor}}) {
    CAPTURE(row.name);
    const auto created = fixture.create(row.name, row.partitions, row.factor);
    CHECK(created.error_code() == row.error);
    CHECK_FALSE(created.error_message().empty());
    CHECK(fixture.last.records().empty());
  }
  CHECK(fixture.create("n", 1, 1, {{"no.such.config", "1"}}).error_code() == error_code::kInvalidConfig);
  CHECK(fixture.create("n", 1, 1, {{"retention.ms", "soon"}}).error_code() == error_code::kInvalidConfig);
  CHECK(fixture.create_on("n", {{1, 1}}).error_code() == error_code::kInvalidReplicaAssignment);
  CHECK(fixture.create_on("n", {{1, 9}}).error_code() == error_code::kInvalidReplicaAssignment);
  CHECK(fixture.create_on("n", {{1}, {1, 2}}).error_code() == error_code::kInvalidReplicaAssignment);
  CHECK(fixture.create_on("n", {{1}, {}}).error_code() == error_code::kInvalidReplicaAssignment);
}

TEST_CASE("a request that names a topic twice creates neither; validate_only creates nothing") {
  Fixture fixture;
  fixture.add_brokers(1);
  ControllerRequest request;
  for (const std::string name : {"twice", "once", "twice"}) {
    auto* topic = request.mutable_create_topics()->add_topics();
    topic->set_name(name);
    topic->set_num_partitions(1);
    topic->set_replication_factor(1);
  }
  request.mutable_create_topics()->set_validate_only(true);
  CHECK(fixture.call(request).create_topics().topics(1).error_code() == 0);
  CHECK(fixture.last.records().empty());
  request.mutable_create_topics()->set_validate_only(false);
  const auto response = fixture.call(request).create_topics();
  CHECK(response.topics(0).error_code() == error_code::kInvalidRequest);
  CHECK(response.topics(1).error_code() == 0);
  CHECK(response.topics(2).error_code() == error_code::kInvalidRequest);
  CHECK(fixture.image().topics().size() == 1);
}

TEST_CASE("fenced brokers hold replicas only when the active ones do not suffice, and never start in the ISR") {
  Fixture fixture;
  fixture.add_brokers(3);
  fixture.pass(3s, {1, 2});
  REQUIRE(fixture.create("two", 4, 2).error_code() == 0);
  for (const PartitionImage& partition : fixture.image().topic("two")->partitions)
    CHECK_FALSE(partition.has_replica(3));
  REQUIRE(fixture.create("three", 4, 3).error_code() == 0);
  for (const PartitionImage& partition : fixture.image().topic("three")->partitions) {
    CHECK(partition.has_replica(3));
    CHECK_FALSE(partition.in_isr(3));
    CHECK(partition.leader != 3);
  }
  fixture.pass(3s, {});
  CHECK(fixture.create("none", 1, 1).error_code() == error_code::kInvalidReplicationFactor);
}

TEST_CASE("a deleted topic is gone by name and by id, and its name gets a new id") {
  Fixture fixture;
  fixture.add_brokers(1);
  const std::string id = fixture.create("t", 1, 1).topic_id();
  ControllerRequest request;
  request.mutable_delete_topics()->add_topics()->set_name("t");
  request.mutable_delete_topics()->add_topics()->set_topic_id(id);
  request.mutable_delete_topics()->add_topics()->set_name("other");
  const auto response = fixture.call(request).delete_topics();
  CHECK(response.topics(0).error_code() == 0);
  CHECK(response.topics(0).topic_id() == id);
  CHECK(response.topics(1).error_code() == error_code::kUnknownTopicId);
  CHECK(response.topics(2).error_code() == error_code::kUnknownTopicOrPartition);
  CHECK(fixture.image().topic("t") == nullptr);
  CHECK(fixture.create("t", 1, 1).topic_id() != id);
}

TEST_CASE("producer ids come in blocks of 1000 that never overlap") {
  Fixture fixture;
  fixture.add_brokers(2);
  ControllerRequest request;
  request.mutable_allocate_producer_ids()->set_broker_id(2);
  request.mutable_allocate_producer_ids()->set_broker_epoch(fixture.epoch(2));
  for (ProducerId first : {0, 1000, 2000}) {
    const auto block = fixture.call(request).allocate_producer_ids();
    CHECK(block.error_code() == 0);
    CHECK(block.first_producer_id() == first);
    CHECK(block.count() == 1000);
  }
  request.mutable_allocate_producer_ids()->set_broker_epoch(1234);
  CHECK(fixture.call(request).allocate_producer_ids().error_code() == error_code::kStaleBrokerEpoch);
}

TEST_CASE("leaderships go back to preferred replicas, on request and after the interval") {
  Fixture fixture;
  fixture.add_brokers(2);
  REQUIRE(fixture.create_on("t", {{1, 2}}).error_code() == 0);
  fixture.pass(2s, {2});
  REQUIRE(fixture.part("t").leader == 2);
  ControllerRequest request;
  auto* wanted = request.mutable_elect_leaders()->add_partitions();
  wanted->set_topic("t");
  CHECK(fixture.call(request).elect_leaders().partitions(0).error_code() == error_code::kPreferredLeaderNotAvailable);
  (void)fixture.heartbeat(1);
  REQUIRE(fixture.alter_error("t", {2, {{1, kNow}, {2, kNow}}}) == 0);
  CHECK(fixture.part("t").leader == 2);
  SUBCASE("on request") {
    CHECK(fixture.call(request).elect_leaders().partitions(0).error_code() == 0);
    CHECK(fixture.call(request).elect_leaders().partitions(0).error_code() == error_code::kElectionNotNeeded);
  }
  SUBCASE("by itself") { fixture.pass(301s, {1, 2}); }
  CHECK(fixture.part("t").leader == 1);
  CHECK(fixture.part("t").isr == Nodes{1, 2});
}

TEST_CASE("a fresh cluster begins with its feature level, once") {
  Fixture fixture;
  fixture.commit(fixture.controller.bootstrap());
  CHECK(fixture.image().features().at("metadata.version") == 1);
  CHECK(fixture.controller.bootstrap().records().empty());
}

TEST_CASE("a request without a body is refused") {
  Fixture fixture;
  CHECK(fixture.call(ControllerRequest{}).error_code() == error_code::kInvalidRequest);
}

// ---- settings ----

TEST_CASE("a topic's settings change one by one, all of a request or none") {
  Fixture fixture;
  fixture.add_brokers(1);
  REQUIRE(fixture.create("t", 1, 1, {{"retention.ms", "1000"}}).error_code() == 0);
  const auto config = [&](const std::string& key) {
    const std::string* value = fixture.image().topic("t")->config(key);
    return value == nullptr ? std::string("-") : *value;
  };
  CHECK(fixture.alter_config("t", "segment.bytes", "2000").error_code() == 0);
  CHECK(config("segment.bytes") == "2000");
  CHECK(config("retention.ms") == "1000");
  CHECK(fixture.alter_config("t", "retention.ms", std::nullopt).error_code() == 0);
  CHECK(config("retention.ms") == "-");
  CHECK(fixture.alter_config("t", "no.such.thing", "1").error_code() == error_code::kInvalidConfig);
  CHECK(fixture.alter_config("t", "no.such.thing", std::nullopt).error_code() == error_code::kInvalidConfig);
  CHECK(fixture.alter_config("t", "segment.bytes", "-5").error_code() == error_code::kInvalidConfig);
  CHECK(fixture.alter_config("u", "segment.bytes", "2000").error_code() == error_code::kUnknownTopicOrPartition);

  ControllerRequest request;
  auto* wanted = request.mutable_alter_topic_configs()->add_topics();
  wanted->set_name("t");
  for (const auto& [key, value] :
       std::vector<std::pair<std::string, std::string>>{{"segment.bytes", "3000"}, {"retention.ms", "x"}}) {
    auto* entry = wanted->add_configs();
    entry->set_name(key);
    entry->set_value(value);
  }
  CHECK(fixture.call(request).alter_topic_configs().topics(0).error_code() == error_code::kInvalidConfig);
  CHECK(config("segment.bytes") == "2000");
  wanted->mutable_configs(1)->set_value("5");
  request.mutable_alter_topic_configs()->set_validate_only(true);
  CHECK(fixture.call(request).alter_topic_configs().topics(0).error_code() == 0);
  CHECK(config("segment.bytes") == "2000");
}

TEST_CASE("a setting that is a list grows and shrinks by elements, from what is in force elsewhere") {
  Fixture fixture;
  fixture.add_brokers(1);
  REQUIRE(fixture.create("t", 1, 1).error_code() == 0);
  const auto change = [&](const std::string& key, const std::string& value, bool remove) {
    ControllerRequest request;
    auto* wanted = request.mutable_alter_topic_configs()->add_topics();
    wanted->set_name("t");
    auto* list = wanted->add_list_changes();
    list->set_name(key);
    list->set_value(value);
    list->set_remove(remove);
    list->set_otherwise("delete");
    return fixture.call(request).alter_topic_configs().topics(0).error_code();
  };
  const auto policy = [&] { return *fixture.image().topic("t")->config("cleanup.policy"); };
  CHECK(change("cleanup.policy", "compact", false) == 0);
  CHECK(policy() == "delete,compact");
  CHECK(change("cleanup.policy", "compact", false) == 0);
  CHECK(policy() == "delete,compact");
  CHECK(change("cleanup.policy", "delete", true) == 0);
  CHECK(policy() == "compact");
  CHECK(change("cleanup.policy", "compact", true) == error_code::kInvalidConfig);  // nothing would be left
  CHECK(change("cleanup.policy", "shred", false) == error_code::kInvalidConfig);
  CHECK(change("retention.ms", "5", false) == error_code::kInvalidConfig);
  CHECK(change("no.such.thing", "5", false) == error_code::kInvalidConfig);
  CHECK(policy() == "compact");
}

// ---- placement and names ----

TEST_CASE("replicas are on distinct racks where possible, and spread evenly over brokers and leaders") {
  struct Row {
    Nodes racks;  // of broker 1, 2, ...
    int factor;
    int distinct;  // racks a partition must touch
  };
  for (const Row& row : {Row{{1, 1, 2, 2, 3, 3}, 3, 3}, Row{{1, 1, 2, 2}, 3, 2}, Row{{1, 1, 1}, 3, 1},
                         Row{{1, 2, 3}, 2, 2}, Row{{1, 1, 1, 2, 2, 2}, 2, 2}}) {
    Fixture fixture;
    for (std::size_t i = 0; i < row.racks.size(); ++i) {
      const auto id = static_cast<NodeId>(i + 1);
      REQUIRE(fixture.register_broker(id, id, std::to_string(row.racks[i])).error_code() == 0);
      (void)fixture.heartbeat(id);
    }
    const int partitions = 12 * static_cast<int>(row.racks.size());
    REQUIRE(fixture.create("t", partitions, row.factor).error_code() == 0);
    std::map<NodeId, int> leaders, replicas;
    for (const PartitionImage& partition : fixture.image().topic("t")->partitions) {
      std::set<NodeId> racks;
      for (const NodeId replica : partition.replicas) {
        racks.insert(row.racks[static_cast<std::size_t>(replica - 1)]);
        ++replicas[replica];
      }
      CHECK(static_cast<int>(racks.size()) == row.distinct);
      ++leaders[partition.leader];
    }
    for (std::size_t i = 0; i < row.racks.size(); ++i) {
      const auto id = static_cast<NodeId>(i + 1);
      CHECK(leaders[id] == 12);
      CHECK(std::abs(replicas[id] - 12 * row.factor) <= 2);
    }
  }
}

TEST_CASE("topic configs take Kafka's names and ranges") {
  CHECK_FALSE(check_topic_config("retention.ms", "-1"));
  CHECK_FALSE(check_topic_config("cleanup.policy", "compact,delete"));
  CHECK_FALSE(check_topic_config("compression.type", "zstd"));
  CHECK_FALSE(check_topic_config("min.cleanable.dirty.ratio", "0.5"));
  for (const auto& [name, value] : std::map<std::string, std::string>{{"retention.ms", "-2"},
                                                                      {"min.insync.replicas", "0"},
                                                                      {"cleanup.policy", ""},
                                                                      {"cleanup.policy ", "delete"},
                                                                      {"compression.type", "rar"},
                                                                      {"min.cleanable.dirty.ratio", "1.5"},
                                                                      {"preallocate", "yes"},
                                                                      {"segment.bytes", "99999999999"},
                                                                      {"segment.ms", "1x"}})
    CHECK_MESSAGE(check_topic_config(name, value).has_value(), name, " = ", value);
}

}  // namespace
}  // namespace ordeal::meta
