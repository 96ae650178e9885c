#include "workloads/watch/roles.h"

#include <doctest/doctest.h>

#include "workloads/watch/watch.h"

using namespace ordeal;
using namespace ordeal::watch;

namespace {

Instant at(int ms) { return Instant(std::chrono::milliseconds(ms)); }

ClusterSeen seen(NodeId from, int asked_ms, NodeId leader, LeaderEpoch epoch, std::vector<NodeId> isr) {
  ClusterSeen answer;
  answer.from = from;
  answer.asked = at(asked_ms);
  answer.partitions.push_back({{"t", 0}, leader, epoch, {1, 2, 3}, std::move(isr)});
  return answer;
}

std::int64_t number(const RoleEvent& event, const std::string& key) {
  for (const auto& [name, value] : event.numbers) {
    if (name == key) return value;
  }
  return -99;
}

std::string text(const RoleEvent& event, const std::string& key) {
  for (const auto& [name, value] : event.texts) {
    if (name == key) return value;
  }
  return "none";
}

using Kinds = std::vector<std::string>;
Kinds kinds(const std::vector<RoleEvent>& events) {
  Kinds all;
  for (const RoleEvent& event : events) all.push_back(event.kind);
  return all;
}

}  // namespace

TEST_CASE("the first answer tells the leader and its followers, the same answer again tells nothing") {
  Roles roles;
  auto events = roles.observe(seen(1, 0, 2, 4, {1, 2, 3}), at(1));
  REQUIRE(events.size() == 4);
  CHECK(events[0].kind == "broker.answers");
  events.erase(events.begin());
  CHECK(events[0].kind == "partition.leader");
  CHECK(events[0].node == 2);
  CHECK(number(events[0], "leader_epoch") == 4);
  CHECK(number(events[0], "partition") == 0);
  CHECK(text(events[0], "topic") == "t");
  CHECK(text(events[0], "isr") == "1,2,3");
  CHECK(events[1].kind == "partition.follower");
  CHECK(events[1].node == 1);
  CHECK(number(events[1], "leader") == 2);
  CHECK(events[2].node == 3);
  CHECK(kinds(roles.observe(seen(3, 2, 2, 4, {1, 2, 3}), at(3))) == Kinds{"broker.answers"});
}

TEST_CASE("a node that is behind does not bring an old leader back") {
  Roles roles;
  (void)roles.observe(seen(1, 0, 2, 4, {1, 2, 3}), at(1));
  CHECK(roles.observe(seen(1, 10, 3, 5, {1, 3}), at(11)).at(0).node == 3);
  CHECK(kinds(roles.observe(seen(2, 12, 2, 4, {1, 2, 3}), at(13))) == Kinds{"broker.answers"});
}

TEST_CASE("a new leader cannot have led before it was last asked and knew nothing of it") {
  Roles roles;
  (void)roles.observe(seen(1, 0, 2, 4, {1, 2, 3}), at(1));
  (void)roles.observe(seen(3, 100, 2, 4, {1, 2, 3}), at(101));
  (void)roles.observe(seen(1, 200, 2, 4, {1, 2, 3}), at(201));
  const auto events = roles.observe(seen(1, 300, 3, 5, {1, 3}), at(301));
  REQUIRE_FALSE(events.empty());
  CHECK(number(events[0], "not_before") == at(100).time_since_epoch().count());
}

TEST_CASE("epochs that passed between two looks are counted") {
  Roles roles;
  (void)roles.observe(seen(1, 0, 2, 4, {1, 2, 3}), at(1));
  const auto events = roles.observe(seen(1, 100, 2, 7, {1, 2, 3}), at(101));
  REQUIRE(events.size() == 4);
  CHECK(events[0].kind == "trace.dropped");
  CHECK(number(events[0], "count") == 2);
  CHECK(events[1].kind == "partition.leader");
}

TEST_CASE("without a leader the replicas follow nobody, and a leader named late is told") {
  Roles roles;
  auto none = roles.observe(seen(1, 0, kNoNode, 4, {2}), at(1));
  REQUIRE(none.size() == 4);
  none.erase(none.begin());
  for (const RoleEvent& event : none) {
    CHECK(event.kind == "partition.follower");
    CHECK(number(event, "leader") == kNoNode);
  }
  const auto late = roles.observe(seen(3, 5, 2, 4, {2}), at(6));
  REQUIRE(late.size() == 4);
  CHECK(late[1].kind == "partition.leader");
  CHECK(roles.observe(seen(1, 7, kNoNode, 4, {2}), at(8)).empty());
}

TEST_CASE("the in-sync set is the controller's while it answers, else the leader's") {
  Roles roles;
  CHECK(roles.observe(QuorumSeen{1, true, 3}).at(0).kind == "controller.active");
  (void)roles.observe(seen(1, 0, 2, 4, {1, 2, 3}), at(1));
  CHECK(kinds(roles.observe(seen(2, 10, 2, 4, {2, 3}), at(11))) == Kinds{"broker.answers"});
  const auto told = roles.observe(seen(1, 20, 2, 4, {2, 3}), at(21));
  REQUIRE(told.size() == 1);
  CHECK(told[0].kind == "partition.isr");
  CHECK(told[0].node == 2);
  CHECK(text(told[0], "isr") == "2,3");
  CHECK(kinds(roles.observe(seen(3, 30, 2, 4, {1, 2, 3}), at(31))) == Kinds{"broker.answers"});
  (void)roles.observe(seen(2, 1500, 2, 4, {2, 3}), at(1501));
  CHECK(roles.observe(seen(3, 1600, 2, 4, {3}), at(1601)).empty());
  CHECK(roles.observe(seen(2, 1700, 2, 4, {2}), at(1701)).at(0).kind == "partition.isr");
}

TEST_CASE("the controller with the higher term counts, and resigns by its own word only") {
  Roles roles;
  CHECK(roles.observe(QuorumSeen{2, false, -1}).empty());
  CHECK(roles.observe(QuorumSeen{1, true, 3}).at(0).node == 1);
  CHECK(roles.observe(QuorumSeen{1, true, 3}).empty());
  const auto moved = roles.observe(QuorumSeen{3, true, 4});
  REQUIRE(moved.size() == 1);
  CHECK(moved[0].node == 3);
  CHECK(number(moved[0], "term") == 4);
  CHECK(roles.observe(QuorumSeen{1, true, 3}).empty());
  CHECK(roles.observe(QuorumSeen{2, false, -1}).empty());
  CHECK(roles.observe(QuorumSeen{3, false, -1}).at(0).kind == "controller.resigned");
  CHECK(roles.observe(QuorumSeen{3, true, 4}).at(0).kind == "controller.active");
}

TEST_CASE("a broker is ready when it is first seen") {
  Roles roles;
  ClusterSeen answer;
  answer.from = 1;
  answer.brokers = {1, 3};
  const auto first = roles.observe(answer, at(1));
  CHECK(kinds(first) == Kinds{"broker.answers", "broker.ready", "broker.ready"});
  CHECK(first[2].node == 3);
  CHECK(roles.observe(answer, at(2)).empty());
}

TEST_CASE("a node falls silent a second after its last answer, and is told when it answers again") {
  Roles roles;
  CHECK(roles.unanswered(1, at(0)).empty());
  (void)roles.observe(seen(1, 0, 2, 4, {2}), at(10));
  CHECK(roles.unanswered(1, at(900)).empty());
  CHECK(kinds(roles.unanswered(1, at(1010))) == Kinds{"broker.silent"});
  CHECK(roles.unanswered(1, at(2000)).empty());
  CHECK(kinds(roles.observe(seen(1, 2900, 2, 4, {2}), at(3000))) == Kinds{"broker.answers"});
}

TEST_CASE("a line has the form of a broker's trace") {
  const RoleEvent event{"controller.active", 2, {{"term", 5}}, {}};
  CHECK(trace_line(event, Instant(Duration(77)), 99) ==
        "{\"t\":77,\"w\":99,\"n\":2,\"s\":\"info\",\"k\":\"controller.active\",\"term\":5}\n");
}

TEST_CASE("a watcher's file is refused by the field that is wrong") {
  const auto good = parse_watch_config(
      R"({"nodes":[{"id":1,"client":"10.77.0.11:9092","control":"10.77.0.11:9094"}],"topics":["t"],"interval_ms":50})",
      "w");
  REQUIRE(good.has_value());
  CHECK(good->nodes[0].client == Endpoint{"10.77.0.11", 9092});
  CHECK(good->interval == 50ms);
  CHECK(parse_watch_config(R"({"nodes":[]})", "w").error().text == "w: nodes is missing");
  CHECK(parse_watch_config(R"({"nods":[]})", "w").error().text == "w: unknown field 'nods'");
  CHECK_FALSE(parse_watch_config(R"({"nodes":[{"id":1,"client":"x"}]})", "w").has_value());
  CHECK_FALSE(parse_watch_config(R"({"nodes":[{"id":1,"client":"x:1"}],"interval_ms":1})", "w").has_value());
  CHECK_FALSE(parse_watch_config("[", "w").has_value());
}
