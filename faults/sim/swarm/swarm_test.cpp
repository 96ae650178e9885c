#include "faults/sim/swarm/swarm.h"

#include <doctest/doctest.h>

#include <set>

#include "faults/sim/cluster/sim_setup.h"

namespace ordeal::sim {
namespace {

TEST_CASE("a seed draws the same world again, and another seed another") {
  const scenario::Scenario first = draw_world(5, {});
  const scenario::Scenario again = draw_world(5, {});
  CHECK(first.cluster.set == again.cluster.set);
  CHECK(first.workload == again.workload);
  CHECK(plan::to_json(*first.plan) == plan::to_json(*again.plan));
  CHECK(draw_world(6, {}).workload != first.workload);
}

TEST_CASE("every drawn world is one that a trial accepts, and the worlds differ in kind") {
  std::set<int> nodes;
  std::set<std::string> acks, durability, unclean;
  std::set<std::string> mixes;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    const scenario::Scenario world = draw_world(seed, {});
    const auto options = trial_options(world, false);
    REQUIRE_MESSAGE(options.has_value(), "seed ", seed, ": ", options.error().to_string());
    const auto effective = effective_settings(*options);
    nodes.insert(world.cluster.nodes);
    acks.insert(effective.at("acks"));
    durability.insert(effective.at("log.flush.interval.messages"));
    unclean.insert(effective.at("unclean.leader.election.enable"));
    mixes.insert(world.plan->description);
    CHECK(!world.plan->random.has_value());
  }
  CHECK(nodes == std::set<int>{3, 4, 5, 6, 7});
  CHECK(acks == std::set<std::string>{"all", "1", "0"});
  CHECK(durability.size() == 2);
  CHECK(unclean.size() == 2);
  CHECK(mixes.size() > 50);
}

TEST_CASE("what is given wins over what is drawn, and leaves the rest alone") {
  Overrides given;
  given.nodes = 3;
  given.time = 10s;
  given.set["min.insync.replicas"] = "2";
  given.workload["rate"] = 7;
  given.buggify = false;
  const scenario::Scenario drawn = draw_world(11, {});
  const scenario::Scenario world = draw_world(11, given);
  CHECK(world.cluster.nodes == 3);
  CHECK(world.time == Duration(10s));
  CHECK(world.workload.at("rate") == 7);
  CHECK(!world.cluster.buggify);
  CHECK(world.cluster.network == drawn.cluster.network);
  CHECK(world.workload.at("linger_ms") == drawn.workload.at("linger_ms"));
  const auto options = trial_options(world, false);
  REQUIRE(options.has_value());
  CHECK(effective_settings(*options).at("min.insync.replicas") == "2");
}

TEST_CASE("a world that cannot be is refused by name") {
  Overrides given;
  given.workload["topics"] = {{{"name", "t"}, {"partitions", 1}, {"replication", 5}}};
  given.nodes = 3;
  const auto options = trial_options(draw_world(1, given), false);
  REQUIRE(!options.has_value());
  CHECK(options.error().text.find("5 replicas on 3 nodes") != std::string::npos);
}

}  // namespace
}  // namespace ordeal::sim
