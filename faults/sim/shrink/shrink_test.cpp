#include "faults/sim/shrink/shrink.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "faults/plan/draw.h"
#include "faults/sim/cluster/sim_setup.h"
#include "faults/sim/shrink/ddmin.h"

namespace ordeal::sim {
namespace {

constexpr std::string_view kHarsh = R"(
name: harsh
steps:
  - {id: p1, when: 1s, do: net.partition, on: follower(t/0), hold: 1s}
  - {id: k1, when: 3s, do: proc.kill, on: leader(t/0), hold: 500ms}
  - {id: k2, when: 6s, do: proc.kill, on: leader(t/0), hold: 500ms}
  - {id: w1, when: 8s, do: node.power_cut, on: follower(t/0), hold: 1s}
  - {id: k3, when: 10s, do: proc.kill, on: leader(t/0), hold: 500ms}
  - {id: p2, when: 12s, do: net.partition, on: leader(t/0), hold: 1s}
)";

scenario::Scenario harsh_world() {
  auto parsed = plan::parse_plan(kHarsh, "harsh");
  REQUIRE_MESSAGE(parsed.has_value(), parsed.error().text);
  scenario::Scenario world;
  world.name = "harsh";
  world.seed = 3;
  world.bug = "repl.truncate_to_hw";
  world.time = 14s;
  world.cluster.set = {{"log.segment.bytes", "8192"}, {"replica.lag.time.max.ms", "4000"}};
  world.workload = {{"producers", 2}, {"consumers", 1}};
  world.plan = plan::draw(*parsed, world.seed, world.time);
  return world;
}

TrialResult run_world(const scenario::Scenario& world) {
  auto options = trial_options(world, true);
  REQUIRE_MESSAGE(options.has_value(), options.error().text);
  options->keep_evidence = true;
  return Trial::run(std::move(*options), *world.plan, world.time);
}

bool broken(const TrialResult& result) { return result.outcome() == checker::Outcome::fail; }

TEST_CASE("delta debugging finds the few that matter, and asks nothing once it is stopped") {
  const std::vector<int> all{1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  int asked = 0;
  const std::function<bool(const std::vector<int>&)> needs_3_and_8 = [&](const std::vector<int>& some) {
    ++asked;
    return std::ranges::count(some, 3) == 1 && std::ranges::count(some, 8) == 1;
  };
  CHECK(ddmin<int>(all, needs_3_and_8, [] { return false; }) == std::vector<int>{3, 8});
  CHECK(asked < 60);
  CHECK(ddmin<int>(all, [](const auto&) { return true; }, [] { return false; }).empty());
  asked = 0;
  CHECK(ddmin<int>(all, needs_3_and_8, [] { return true; }) == all);
  CHECK(asked == 0);
}

TEST_CASE("a failing world becomes a smaller one that fails as well, on the nodes that were meant") {
  scenario::Scenario world = harsh_world();
  const TrialResult first = run_world(world);
  REQUIRE_MESSAGE(broken(first), first.sentence());
  REQUIRE(first.evidence != nullptr);
  REQUIRE(first.evidence->plan.has_value());
  world.plan = freeze(*first.evidence->plan);
  for (const plan::Step& step : world.plan->steps) CHECK(step.resolved.has_value());
  REQUIRE(broken(run_world(world)));

  int tries = 0;
  ShrinkOptions options;
  options.fails = [](const scenario::Scenario& candidate) { return broken(run_world(candidate)); };
  options.out_of_time = [&tries] { return ++tries > 120; };
  const Shrunk shrunk = shrink(world, options);
  const Sizes before = sizes_of(world);
  const Sizes after = sizes_of(shrunk.scenario);
  MESSAGE("from ", to_json(before).dump(), " to ", to_json(after).dump(), " in ", shrunk.tries, " tries");
  CHECK(after.faults < before.faults);
  CHECK(after.faults >= 1);
  CHECK(after.time_s <= before.time_s);
  CHECK(after.clients < before.clients);
  CHECK(after.settings <= before.settings);
  CHECK(broken(run_world(shrunk.scenario)));
}

TEST_CASE("without time to try anything the world stays as it is") {
  const scenario::Scenario world = harsh_world();
  ShrinkOptions options;
  options.fails = [](const scenario::Scenario&) { return true; };
  options.out_of_time = [] { return true; };
  const Shrunk shrunk = shrink(world, options);
  CHECK(shrunk.tries == 0);
  CHECK(plan::to_json(*shrunk.scenario.plan) == plan::to_json(*world.plan));
}

}  // namespace
}  // namespace ordeal::sim
