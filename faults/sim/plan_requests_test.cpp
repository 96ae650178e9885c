#include <doctest/doctest.h>

#include "broker/meta/control.pb.h"
#include "faults/plan/draw.h"
#include "faults/sim/plan_runner.h"

namespace ordeal::sim {
namespace {

// Nodes that say who leads t/0, and hands that write down what they are asked for.
struct Speaker {
  explicit Speaker(NodeContext& context) {
    if (context.node != 2) return;
    context.env.trace.info("partition.leader", {{"topic", "t"},
                                                {"partition", 0},
                                                {"leader_epoch", 5},
                                                {"partition_epoch", 7},
                                                {"isr", "1,2,3"},
                                                {"start_offset", 0}});
  }
};

struct Fixture {
  explicit Fixture(std::string_view text, bool with_hands = true) : world(WorldOptions{.seed = 1}) {
    for (NodeId id = 1; id <= 5; ++id) {
      world.add_node(id, fmt::format("10.77.0.{}", 10 + id),
                     [](NodeContext& context) { return std::make_shared<Speaker>(context); });
      world.start(id);
    }
    world.run_for(100ms);
    PlanHands hands;
    if (with_hands) {
      hands.ask = [this](const meta::ControllerRequest& request, NodeId via) -> Status {
        asked.push_back(request);
        asker.push_back(via);
        return {};
      };
      hands.pause_clients = [this](bool off) { pauses += off ? "off " : "on "; };
      hands.voters = [this] { return voters; };
      hands.topic_settings = [](const std::string&) {
        return std::map<std::string, std::string>{{"retention.ms", "7"}};
      };
    }
    auto plan = plan::parse_plan(text, "test");
    REQUIRE_MESSAGE(plan.has_value(), plan.error().text);
    runner = std::make_unique<PlanRunner>(
        world, plan::draw(*plan, 1, 30s), std::vector<std::string>{}, [](NodeId) {}, std::move(hands));
    runner->start();
    world.run_for(20s);
  }
  World world;
  std::unique_ptr<PlanRunner> runner;
  std::vector<NodeId> voters{1, 2, 3};
  std::vector<meta::ControllerRequest> asked;
  std::vector<NodeId> asker;
  std::string pauses;
};

TEST_CASE("an election is asked for by the partition that roles speak of") {
  Fixture test("steps: [{when: 1s, do: partition.elect, on: {from: n3}, params: {unclean: true}, hold: 0s}]");
  REQUIRE(test.asked.size() == 1);
  CHECK(test.asked[0].elect_leaders().unclean());
  REQUIRE(test.asked[0].elect_leaders().partitions().size() == 1);
  CHECK(test.asked[0].elect_leaders().partitions()[0].topic() == "t");
  CHECK(test.asker[0] == 3);
  CHECK(test.runner->verified_faults() == 1);
}

TEST_CASE("voters are added who do not vote, and never removed below three") {
  Fixture test(
      "steps: [{when: 1s, do: quorum.voters, on: n2 | n4, hold: 0s}, {when: 2s, do: quorum.voters, on: n1, hold: 0s, "
      "params: {change: remove}}]");
  REQUIRE(test.asked.size() == 1);
  CHECK(test.asked[0].alter_voters().node_id() == 4);
  CHECK(!test.asked[0].alter_voters().remove());
  CHECK(test.asked[0].alter_voters().host() == "10.77.0.14");
  CHECK(test.asked[0].alter_voters().port() == 9094);
  CHECK(test.runner->verified_faults() == 1);
  CHECK(test.runner->events().back().event == "fault.missed");
}

TEST_CASE("producers rest as long as any step wants it") {
  Fixture test(
      "steps: [{when: 1s, do: clients.pause, hold: 4s}, {when: 2s, do: clients.pause, hold: 1s}, {when: 8s, do: "
      "clients.pause, hold: 1s}]");
  CHECK(test.pauses == "off on off on ");
}

TEST_CASE("topic settings are as before at the heal, or the default again") {
  Fixture test("steps: [{when: 1s, do: topic.set, params: {set: {retention.ms: 800, segment.bytes: 2000}}, hold: 2s}]");
  REQUIRE(test.asked.size() == 2);
  const auto& set = test.asked[0].alter_topic_configs().topics()[0];
  CHECK(set.name() == "t");
  REQUIRE(set.configs().size() == 2);
  CHECK(set.configs()[0].value() == "800");
  const auto& restored = test.asked[1].alter_topic_configs().topics()[0].configs();
  REQUIRE(restored.size() == 2);
  CHECK(restored[0].value() == "7");
  CHECK(!restored[1].has_value());
}

TEST_CASE("a world that nobody can be asked in lets these steps miss") {
  Fixture test("steps: [{when: 1s, do: clients.pause, hold: 1s}, {when: 2s, do: partition.elect, hold: 0s}]", false);
  CHECK(test.runner->verified_faults() == 0);
  CHECK(test.runner->done());
}

}  // namespace
}  // namespace ordeal::sim
