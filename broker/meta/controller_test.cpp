// The controller's rules for brokers and in-sync replicas, one by one: requests in, records and answers out.
#include <doctest/doctest.h>

#include "broker/meta/controller_fixture.h"

namespace ordeal::meta {
namespace {

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
  CHECK(fixture.part("alone").elr == Nodes{2});
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

TEST_CASE("the last member leaves the ISR empty, stays eligible, and leads when it returns") {
  Fixture fixture;
  fixture.add_brokers(3);
  REQUIRE(fixture.create_on("t", {{2, 3}}).error_code() == 0);
  fixture.pass(3s, {1});
  const PartitionImage& dark = fixture.part("t");
  CHECK(dark.leader == kNoNode);
  CHECK(dark.isr.empty());
  REQUIRE(dark.elr.size() == 1);
  const NodeId last = dark.elr.front();
  CHECK(dark.last_known_elr == Nodes{last});
  const NodeId other = last == 2 ? 3 : 2;
  const LeaderEpoch leader_epoch = dark.leader_epoch;
  CHECK_FALSE(fixture.heartbeat(other).is_fenced());
  CHECK(fixture.part("t").leader == kNoNode);  // it may lack what the last member had
  CHECK_FALSE(fixture.heartbeat(last).is_fenced());
  CHECK(fixture.part("t").leader == last);
  CHECK(fixture.part("t").leader_epoch == leader_epoch + 1);
  CHECK(fixture.part("t").isr == Nodes{last});
  CHECK(fixture.part("t").elr.empty());
  CHECK(fixture.part("t").last_known_elr.empty());
}

TEST_CASE("unclean election happens only where it is configured") {
  Fixture fixture;
  fixture.add_brokers(3);
  REQUIRE(fixture.create("clean", 1, 3).error_code() == 0);
  REQUIRE(fixture.create("unclean", 1, 3, {{"unclean.leader.election.enable", "true"}}).error_code() == 0);
  for (const std::string topic : {"clean", "unclean"}) {
    const NodeId leader = fixture.part(topic).leader;
    REQUIRE(fixture.alter_error(topic, {leader, {{leader, kNow}}}) == 0);
  }
  const NodeId clean = fixture.part("clean").leader, unclean = fixture.part("unclean").leader;
  Nodes alive;
  for (const NodeId id : {1, 2, 3})
    if (id != clean && id != unclean) alive.push_back(id);
  fixture.pass(3s, alive);
  CHECK(fixture.part("clean").leader == kNoNode);
  CHECK(fixture.part("clean").isr.empty());
  CHECK(fixture.part("clean").elr == Nodes{clean});
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
  CHECK(fixture.part("alone").elr == Nodes{1});
  CHECK(fixture.alter_error("t", {2, {{1, kNow}, {2, kNow}, {3, kNow}}}) == error_code::kIneligibleReplica);
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
  const auto shrunk = fixture.alter("t", {1, {{1, kNow}, {3, kNow}}}).partitions(0);
  CHECK(shrunk.error_code() == 0);
  CHECK(shrunk.partition_epoch() == 1);
  CHECK(Nodes(shrunk.isr().begin(), shrunk.isr().end()) == Nodes{1, 3});
  CHECK(fixture.part("t").isr == Nodes{1, 3});
  CHECK(fixture.part("t").leader_epoch == 0);
  // The same proposal again comes from an old state; what it wants is already so, but it must learn the new epoch.
  CHECK(fixture.alter_error("t", {1, {{1, kNow}, {3, kNow}}, 0, 0}) == error_code::kInvalidUpdateVersion);
  CHECK(fixture.alter_error("t", {1, {{3, kNow}, {2, kNow}, {1, kNow}}}) == 0);
  CHECK(fixture.part("t").isr == Nodes{1, 2, 3});
  CHECK(fixture.part("t").partition_epoch == 2);
}

TEST_CASE("AlterPartition refuses what is stale, foreign or ineligible, and changes nothing then") {
  Fixture fixture;
  fixture.add_brokers(4);
  REQUIRE(fixture.create_on("t", {{1, 2, 3}}).error_code() == 0);
  fixture.pass(3s, {1, 3, 4});  // 2 is fenced and out of the ISR
  REQUIRE(fixture.part("t").isr == Nodes{1, 3});
  REQUIRE(fixture.alter_error("t", {1, {{1, kNow}}}) == 0);
  const PartitionImage before = fixture.part("t");
  const BrokerEpoch three = fixture.epoch(3);

  CHECK(fixture.alter_error("t", {1, {{1, kNow}, {3, kNow}}, 0, 9}) == error_code::kNotController);
  CHECK(fixture.alter_error("t", {1, {{1, kNow}, {3, kNow}}, 5}) == error_code::kNotController);
  CHECK(fixture.alter_error("t", {1, {{1, kNow}, {3, kNow}}, -1}) == error_code::kFencedLeaderEpoch);
  CHECK(fixture.alter_error("t", {1, {{1, kNow}, {3, kNow}}, 0, 0}) == error_code::kInvalidUpdateVersion);
  CHECK(fixture.alter_error("t", {3, {{1, kNow}, {3, kNow}}}) == error_code::kInvalidRequest);  // not the leader
  CHECK(fixture.alter_error("t", {1, {{3, kNow}}}) == error_code::kInvalidRequest);             // without the leader
  CHECK(fixture.alter_error("t", {1, {}}) == error_code::kInvalidRequest);
  CHECK(fixture.alter_error("t", {1, {{1, kNow}, {4, kNow}}}) == error_code::kInvalidRequest);  // no replica
  CHECK(fixture.alter_error("t", {1, {{1, kNow}, {3, kNow}, {3, kNow}}}) == error_code::kInvalidRequest);
  CHECK(fixture.alter_error("t", {1, {{1, kNow}, {2, kNow}}}) == error_code::kIneligibleReplica);  // fenced
  CHECK(fixture.alter_error("t", {1, {{1, kNow}, {3, three - 1}}}) == error_code::kIneligibleReplica);
  CHECK(fixture.alter_error("t", {1, {{1, kNow}, {3, three}}, {}, {}, 77}) == error_code::kStaleBrokerEpoch);
  CHECK(fixture.part("t") == before);
  CHECK(fixture.alter_error("t", {1, {{1, kNow}, {3, three}}}) == 0);
}

TEST_CASE("of two proposals from the same state only the first wins, although neither is committed yet") {
  Fixture fixture;
  fixture.add_brokers(3);
  REQUIRE(fixture.create_on("t", {{1, 2, 3}}).error_code() == 0);
  const ControllerRequest one = fixture.alter_request("t", {1, {{1, kNow}, {2, kNow}}});
  const ControllerRequest two = fixture.alter_request("t", {1, {{1, kNow}, {3, kNow}}});
  CHECK(fixture.call(one).alter_partition().partitions(0).error_code() == 0);
  CHECK(fixture.call(two).alter_partition().partitions(0).error_code() == error_code::kInvalidUpdateVersion);
  CHECK(fixture.part("t").isr == Nodes{1, 2});
}

TEST_CASE("AlterPartition of topics that are gone") {
  Fixture fixture;
  fixture.add_brokers(1);
  REQUIRE(fixture.create("t", 1, 1).error_code() == 0);
  ControllerRequest request = fixture.alter_request("t", {1, {{1, kNow}}});
  request.mutable_alter_partition()->mutable_partitions(0)->set_partition(5);
  CHECK(fixture.call(request).alter_partition().partitions(0).error_code() == error_code::kUnknownTopicOrPartition);
  request.mutable_alter_partition()->mutable_partitions(0)->set_topic_id(uuid_to_bytes(incarnation(3)));
  CHECK(fixture.call(request).alter_partition().partitions(0).error_code() == error_code::kUnknownTopicId);
}

}  // namespace
}  // namespace ordeal::meta
