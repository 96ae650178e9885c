// The controller's rules, one by one: requests in, records and answers out.
#include "broker/meta/controller.h"

#include <doctest/doctest.h>

#include "broker/meta/error_code.h"
#include "broker/meta/placement.h"
#include "broker/meta/topic_config.h"

namespace ordeal::meta {
namespace {

constexpr Instant kStart{10s};

Uuid incarnation(int number) {
  Uuid id;
  id.bytes[0] = 1;
  id.bytes[15] = static_cast<std::uint8_t>(number);
  return id;
}

// A controller whose records commit at once.
struct Fixture {
  ControllerConfig config;
  Controller controller;
  Instant now = kStart;
  MetadataBatch last;  // the records of the last call

  static ControllerConfig defaults() {
    ControllerConfig config;
    config.self = 1;
    config.self_incarnation = incarnation(1);
    config.cluster_id = "c";
    return config;
  }
  explicit Fixture(ControllerConfig with = defaults())
      : config(with), controller(config, ClusterImage{}, Random(1), kStart) {}

  void commit(const MetadataBatch& records) {
    last = records;
    if (!records.records().empty()) controller.replay(records, controller.next_index());
  }
  ControllerResponse call(const ControllerRequest& request) {
    Decision decision = controller.handle(request, now);
    commit(decision.records);
    return decision.response;
  }
  // Lets time pass in steps that are no stall; the brokers in `alive` heartbeat.
  void pass(Duration duration, const std::vector<NodeId>& alive) {
    const Instant end = now + duration;
    while (now < end) {
      now = std::min(end, now + 100ms);
      for (const NodeId id : alive) (void)heartbeat(id);
      while (true) {
        const MetadataBatch records = controller.tick(now);
        if (records.records().empty()) break;
        commit(records);
      }
    }
  }

  BrokerRegistrationResponse register_broker(NodeId id, int incarnation_number, const std::string& rack = "",
                                             const std::string& cluster = "c") {
    ControllerRequest request;
    BrokerRegistrationRequest* body = request.mutable_broker_registration();
    body->set_broker_id(id);
    body->set_cluster_id(cluster);
    body->set_incarnation_id(uuid_to_bytes(incarnation(incarnation_number)));
    body->set_rack(rack);
    to_record({"CLIENT", {"10.0.0.1", 9092}}, body->add_listeners());
    return call(request).broker_registration();
  }
  BrokerHeartbeatResponse heartbeat(NodeId id, bool want_fence = false, bool want_shutdown = false,
                                    Offset offset = -1) {
    ControllerRequest request;
    BrokerHeartbeatRequest* body = request.mutable_broker_heartbeat();
    body->set_broker_id(id);
    body->set_broker_epoch(epoch(id));
    body->set_want_fence(want_fence);
    body->set_want_shutdown(want_shutdown);
    body->set_current_metadata_offset(offset == -1 ? image().offset() : offset);
    return call(request).broker_heartbeat();
  }
  // Registered and unfenced, each on a rack of its own.
  void add_brokers(int count) {
    for (NodeId id = 1; id <= count; ++id) {
      REQUIRE(register_broker(id, id, "r" + std::to_string(id)).error_code() == 0);
      REQUIRE_FALSE(heartbeat(id).is_fenced());
    }
  }
  CreateTopicsResponse::Topic create(const std::string& name, int partitions, int factor,
                                     std::map<std::string, std::string> configs = {}) {
    ControllerRequest request;
    auto* topic = request.mutable_create_topics()->add_topics();
    topic->set_name(name);
    topic->set_num_partitions(partitions);
    topic->set_replication_factor(factor);
    for (const auto& [key, value] : configs) {
      auto* config_entry = topic->add_configs();
      config_entry->set_name(key);
      config_entry->set_value(value);
    }
    return call(request).create_topics().topics(0);
  }
  // With the replicas given, the first leading.
  CreateTopicsResponse::Topic create_on(const std::string& name, std::vector<std::vector<NodeId>> layout) {
    ControllerRequest request;
    auto* topic = request.mutable_create_topics()->add_topics();
    topic->set_name(name);
    topic->set_num_partitions(-1);
    topic->set_replication_factor(-1);
    for (std::size_t i = 0; i < layout.size(); ++i) {
      auto* assignment = topic->add_assignments();
      assignment->set_partition(static_cast<std::int32_t>(i));
      assignment->mutable_replicas()->Assign(layout[i].begin(), layout[i].end());
    }
    return call(request).create_topics().topics(0);
  }
  struct Proposal {
    NodeId from;
    std::vector<std::pair<NodeId, BrokerEpoch>> isr;
    std::optional<LeaderEpoch> leader_epoch = std::nullopt;
    std::optional<PartitionEpoch> partition_epoch = std::nullopt;
    std::optional<BrokerEpoch> broker_epoch = std::nullopt;
  };
  ControllerRequest alter_request(const std::string& topic, const Proposal& proposal) {
    ControllerRequest request;
    AlterPartitionRequest* body = request.mutable_alter_partition();
    body->set_broker_id(proposal.from);
    body->set_broker_epoch(proposal.broker_epoch.value_or(epoch(proposal.from)));
    auto* partition = body->add_partitions();
    partition->set_topic_id(uuid_to_bytes(image().topic(topic)->id));
    partition->set_leader_epoch(proposal.leader_epoch.value_or(part(topic).leader_epoch));
    partition->set_partition_epoch(proposal.partition_epoch.value_or(part(topic).partition_epoch));
    for (const auto& [id, member_epoch] : proposal.isr) {
      auto* member = partition->add_new_isr();
      member->set_broker_id(id);
      member->set_broker_epoch(member_epoch);
    }
    return request;
  }
  AlterPartitionResponse alter(const std::string& topic, const Proposal& proposal) {
    return call(alter_request(topic, proposal)).alter_partition();
  }
  std::int32_t alter_error(const std::string& topic, const Proposal& proposal) {
    const AlterPartitionResponse response = alter(topic, proposal);
    return response.error_code() != 0 ? response.error_code() : response.partitions(0).error_code();
  }

  const ClusterImage& image() const { return controller.image(); }
  BrokerEpoch epoch(NodeId id) const { return image().broker(id) == nullptr ? -1 : image().broker(id)->epoch; }
  const PartitionImage& part(const std::string& topic, PartitionId number = 0) const {
    return *image().partition(topic, number);
  }
};

using Nodes = std::vector<NodeId>;

// ---- brokers ----

TEST_CASE("a broker registers fenced, with the index of its record as epoch, and is unfenced once caught up") {
  Fixture fixture;
  const Offset index = fixture.controller.next_index();
  const auto response = fixture.register_broker(1, 1);
  CHECK(response.error_code() == 0);
  CHECK(response.broker_epoch() == index);
  CHECK(fixture.image().broker(1)->fenced);
  CHECK(fixture.heartbeat(1, false, false, index - 1).is_fenced());  // metadata not there yet
  CHECK(fixture.heartbeat(1, true).is_fenced());                     // does not want to
  CHECK_FALSE(fixture.heartbeat(1).is_fenced());
  CHECK(fixture.image().broker(1)->active());
}

TEST_CASE("registration is refused to strangers and to a second living incarnation, and repeats itself to the first") {
  Fixture fixture;
  CHECK(fixture.register_broker(1, 1, "", "other").error_code() == error_code::kInconsistentClusterId);
  const BrokerEpoch first = fixture.register_broker(1, 1).broker_epoch();
  CHECK(fixture.register_broker(1, 1).broker_epoch() == first);
  CHECK(fixture.last.records().empty());
  REQUIRE_FALSE(fixture.heartbeat(1).is_fenced());
  CHECK(fixture.register_broker(1, 2).error_code() == error_code::kDuplicateBrokerRegistration);
  CHECK(fixture.epoch(1) == first);
}

TEST_CASE("an attempt by another incarnation shortens the old one's session, but a heartbeat restores it") {
  Fixture fixture;
  fixture.add_brokers(2);
  CHECK(fixture.register_broker(2, 9).error_code() == error_code::kDuplicateBrokerRegistration);
  fixture.pass(200ms, {1});
  CHECK(fixture.image().broker(2)->active());
  CHECK_FALSE(fixture.heartbeat(2).is_fenced());
  fixture.pass(1s, {1});
  CHECK(fixture.image().broker(2)->active());
  (void)fixture.register_broker(2, 9);
  fixture.pass(400ms, {1});
  CHECK(fixture.image().broker(2)->fenced);
  CHECK(fixture.register_broker(2, 9).error_code() == 0);
}

TEST_CASE("a new incarnation ends the old one's leaderships even if that was not fenced yet") {
  Fixture fixture;
  fixture.add_brokers(2);
  REQUIRE(fixture.create_on("t", {{2, 1}}).error_code() == 0);
  REQUIRE(fixture.create_on("alone", {{2}}).error_code() == 0);
  fixture.now += fixture.config.session_timeout;  // expired, but no tick came yet
  CHECK(fixture.register_broker(2, 9).error_code() == 0);
  CHECK(fixture.part("t").leader == 1);
  CHECK(fixture.part("t").isr == Nodes{1});
  CHECK(fixture.part("alone").leader == kNoNode);
  CHECK(fixture.part("alone").isr == Nodes{2});
  CHECK(fixture.part("alone").leader_epoch == 1);
  CHECK_FALSE(fixture.heartbeat(2).is_fenced());
  CHECK(fixture.part("alone").leader == 2);
  CHECK(fixture.part("alone").leader_epoch == 2);
}

TEST_CASE("heartbeats with a wrong epoch or of unknown brokers are refused") {
  Fixture fixture;
  ControllerRequest request;
  request.mutable_broker_heartbeat()->set_broker_id(7);
  CHECK(fixture.call(request).broker_heartbeat().error_code() == error_code::kBrokerIdNotRegistered);
  REQUIRE(fixture.register_broker(7, 7).error_code() == 0);
  request.mutable_broker_heartbeat()->set_broker_epoch(fixture.epoch(7) + 1);
  CHECK(fixture.call(request).broker_heartbeat().error_code() == error_code::kStaleBrokerEpoch);
}

TEST_CASE("a silent broker is fenced after the session timeout, and its partitions move") {
  Fixture fixture;
  fixture.add_brokers(3);
  REQUIRE(fixture.create_on("t", {{1, 2, 3}}).error_code() == 0);
  fixture.pass(fixture.config.session_timeout - 100ms, {2, 3});
  CHECK(fixture.part("t").leader == 1);
  fixture.pass(200ms, {2, 3});
  CHECK(fixture.image().broker(1)->fenced);
  CHECK(fixture.part("t").leader == 2);
  CHECK(fixture.part("t").leader_epoch == 1);
  CHECK(fixture.part("t").partition_epoch == 1);
  CHECK(fixture.part("t").isr == Nodes{2, 3});
  CHECK_FALSE(fixture.heartbeat(1).is_fenced());  // it was only slow: back it is, but out of the ISR
  CHECK(fixture.part("t").leader == 2);
  CHECK(fixture.part("t").isr == Nodes{2, 3});
}

TEST_CASE("the ISR never becomes empty: the last member stays, without a leader, and leads when it returns") {
  Fixture fixture;
  fixture.add_brokers(3);
  REQUIRE(fixture.create_on("t", {{2, 3}}).error_code() == 0);
  fixture.pass(3s, {1});
  const PartitionImage& dark = fixture.part("t");
  CHECK(dark.leader == kNoNode);
  REQUIRE(dark.isr.size() == 1);
  const NodeId last = dark.isr.front();
  const NodeId other = last == 2 ? 3 : 2;
  const LeaderEpoch leader_epoch = dark.leader_epoch;
  CHECK_FALSE(fixture.heartbeat(other).is_fenced());
  CHECK(fixture.part("t").leader == kNoNode);  // it may lack what the last member had
  CHECK_FALSE(fixture.heartbeat(last).is_fenced());
  CHECK(fixture.part("t").leader == last);
  CHECK(fixture.part("t").leader_epoch == leader_epoch + 1);
}

TEST_CASE("unclean election happens only where it is configured") {
  Fixture fixture;
  fixture.add_brokers(3);
  REQUIRE(fixture.create("clean", 1, 3).error_code() == 0);
  REQUIRE(fixture.create("unclean", 1, 3, {{"unclean.leader.election.enable", "true"}}).error_code() == 0);
  for (const std::string topic : {"clean", "unclean"}) {
    const NodeId leader = fixture.part(topic).leader;
    REQUIRE(fixture.alter_error(topic, {leader, {{leader, -1}}}) == 0);
  }
  const NodeId clean = fixture.part("clean").leader, unclean = fixture.part("unclean").leader;
  Nodes alive;
  for (const NodeId id : {1, 2, 3})
    if (id != clean && id != unclean) alive.push_back(id);
  fixture.pass(3s, alive);
  CHECK(fixture.part("clean").leader == kNoNode);
  CHECK(fixture.part("clean").isr == Nodes{clean});
  CHECK(fixture.part("unclean").leader == alive.front());
  CHECK(fixture.part("unclean").isr == Nodes{alive.front()});
}

TEST_CASE("a lost connection shortens the session to the grace, a heartbeat makes it whole again") {
  Fixture fixture;
  fixture.add_brokers(3);
  fixture.controller.connection_lost(2, fixture.now);
  fixture.controller.connection_lost(3, fixture.now);
  fixture.pass(100ms, {1, 3});
  fixture.pass(300ms, {1});
  CHECK(fixture.image().broker(2)->fenced);
  CHECK(fixture.image().broker(3)->active());
}

TEST_CASE("a controller that stood still does not blame the brokers") {
  Fixture fixture;
  fixture.add_brokers(3);
  fixture.now += 20s;
  CHECK(fixture.controller.tick(fixture.now).records().empty());
  fixture.pass(3s, {1, 2});
  CHECK(fixture.image().broker(3)->fenced);
  CHECK(fixture.image().broker(1)->active());
}

TEST_CASE("a new controller starts all sessions anew, but for its own node's earlier incarnation") {
  Fixture old;
  old.add_brokers(3);
  old.now += 1400ms;
  Controller fresh(old.config, old.image(), Random(2), old.now);
  CHECK(fresh.tick(old.now + 300ms).records().empty());
  ControllerConfig config = old.config;
  config.self_incarnation = incarnation(99);
  Controller restarted(config, old.image(), Random(2), old.now);
  const MetadataBatch records = restarted.tick(old.now);
  REQUIRE(records.records_size() == 1);
  CHECK(records.records(0).fence_broker().broker_id() == 1);
}

TEST_CASE("controlled shutdown: leaders move at once, the broker may go once the others know") {
  Fixture fixture;
  fixture.add_brokers(3);
  REQUIRE(fixture.create_on("t", {{1, 2, 3}}).error_code() == 0);
  REQUIRE(fixture.create_on("alone", {{1}}).error_code() == 0);
  CHECK_FALSE(fixture.heartbeat(1, false, true).should_shutdown());
  CHECK(fixture.image().broker(1)->shutting_down);
  CHECK(fixture.part("t").leader == 2);
  CHECK(fixture.part("t").isr == Nodes{2, 3});
  CHECK(fixture.part("alone").leader == kNoNode);
  CHECK(fixture.part("alone").isr == Nodes{1});
  CHECK(fixture.alter_error("t", {2, {{1, -1}, {2, -1}, {3, -1}}}) == error_code::kIneligibleReplica);
  CHECK_FALSE(fixture.heartbeat(1, false, true).should_shutdown());  // 2 and 3 have not reported yet
  (void)fixture.heartbeat(2);
  CHECK_FALSE(fixture.heartbeat(1, false, true).should_shutdown());
  (void)fixture.heartbeat(3);
  CHECK(fixture.heartbeat(1, false, true).should_shutdown());
  CHECK(fixture.image().broker(1)->fenced);
  CHECK(fixture.heartbeat(1, false, true).should_shutdown());
  CHECK(fixture.register_broker(1, 50).error_code() == 0);  // at once: the old one left in order
}

// ---- AlterPartition ----

TEST_CASE("AlterPartition shrinks and expands the ISR under both epochs") {
  Fixture fixture;
  fixture.add_brokers(3);
  REQUIRE(fixture.create_on("t", {{1, 2, 3}}).error_code() == 0);
  const auto shrunk = fixture.alter("t", {1, {{1, -1}, {3, -1}}}).partitions(0);
  CHECK(shrunk.error_code() == 0);
  CHECK(shrunk.partition_epoch() == 1);
  CHECK(Nodes(shrunk.isr().begin(), shrunk.isr().end()) == Nodes{1, 3});
  CHECK(fixture.part("t").isr == Nodes{1, 3});
  CHECK(fixture.part("t").leader_epoch == 0);
  // The same proposal again comes from an old state; what it wants is already so, but it must learn the new epoch.
  CHECK(fixture.alter_error("t", {1, {{1, -1}, {3, -1}}, 0, 0}) == error_code::kInvalidUpdateVersion);
  CHECK(fixture.alter_error("t", {1, {{3, -1}, {2, -1}, {1, -1}}}) == 0);
  CHECK(fixture.part("t").isr == Nodes{1, 2, 3});
  CHECK(fixture.part("t").partition_epoch == 2);
}

TEST_CASE("AlterPartition refuses what is stale, foreign or ineligible, and changes nothing then") {
  Fixture fixture;
  fixture.add_brokers(4);
  REQUIRE(fixture.create_on("t", {{1, 2, 3}}).error_code() == 0);
  fixture.pass(3s, {1, 3, 4});  // 2 is fenced and out of the ISR
  REQUIRE(fixture.part("t").isr == Nodes{1, 3});
  REQUIRE(fixture.alter_error("t", {1, {{1, -1}}}) == 0);
  const PartitionImage before = fixture.part("t");
  const BrokerEpoch three = fixture.epoch(3);

  CHECK(fixture.alter_error("t", {1, {{1, -1}, {3, -1}}, 0, 9}) == error_code::kNotController);
  CHECK(fixture.alter_error("t", {1, {{1, -1}, {3, -1}}, 5}) == error_code::kNotController);
  CHECK(fixture.alter_error("t", {1, {{1, -1}, {3, -1}}, -1}) == error_code::kFencedLeaderEpoch);
  CHECK(fixture.alter_error("t", {1, {{1, -1}, {3, -1}}, 0, 0}) == error_code::kInvalidUpdateVersion);
  CHECK(fixture.alter_error("t", {3, {{1, -1}, {3, -1}}}) == error_code::kInvalidRequest);  // not the leader
  CHECK(fixture.alter_error("t", {1, {{3, -1}}}) == error_code::kInvalidRequest);           // without the leader
  CHECK(fixture.alter_error("t", {1, {}}) == error_code::kInvalidRequest);
  CHECK(fixture.alter_error("t", {1, {{1, -1}, {4, -1}}}) == error_code::kInvalidRequest);  // no replica
  CHECK(fixture.alter_error("t", {1, {{1, -1}, {3, -1}, {3, -1}}}) == error_code::kInvalidRequest);
  CHECK(fixture.alter_error("t", {1, {{1, -1}, {2, -1}}}) == error_code::kIneligibleReplica);  // fenced
  CHECK(fixture.alter_error("t", {1, {{1, -1}, {3, three - 1}}}) == error_code::kIneligibleReplica);
  CHECK(fixture.alter_error("t", {1, {{1, -1}, {3, three}}, {}, {}, 77}) == error_code::kStaleBrokerEpoch);
  CHECK(fixture.part("t") == before);
  CHECK(fixture.alter_error("t", {1, {{1, -1}, {3, three}}}) == 0);
}

TEST_CASE("of two proposals from the same state only the first wins, although neither is committed yet") {
  Fixture fixture;
  fixture.add_brokers(3);
  REQUIRE(fixture.create_on("t", {{1, 2, 3}}).error_code() == 0);
  const ControllerRequest one = fixture.alter_request("t", {1, {{1, -1}, {2, -1}}});
  const ControllerRequest two = fixture.alter_request("t", {1, {{1, -1}, {3, -1}}});
  CHECK(fixture.call(one).alter_partition().partitions(0).error_code() == 0);
  CHECK(fixture.call(two).alter_partition().partitions(0).error_code() == error_code::kInvalidUpdateVersion);
  CHECK(fixture.part("t").isr == Nodes{1, 2});
}

TEST_CASE("AlterPartition of topics that are gone") {
  Fixture fixture;
  fixture.add_brokers(1);
  REQUIRE(fixture.create("t", 1, 1).error_code() == 0);
  ControllerRequest request = fixture.alter_request("t", {1, {{1, -1}}});
  request.mutable_alter_partition()->mutable_partitions(0)->set_partition(5);
  CHECK(fixture.call(request).alter_partition().partitions(0).error_code() == error_code::kUnknownTopicOrPartition);
  request.mutable_alter_partition()->mutable_partitions(0)->set_topic_id(uuid_to_bytes(incarnation(3)));
  CHECK(fixture.call(request).alter_partition().partitions(0).error_code() == error_code::kUnknownTopicId);
}

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
  REQUIRE(fixture.alter_error("t", {2, {{1, -1}, {2, -1}}}) == 0);
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
