#include "faults/sim/swarm/aftermath.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "faults/sim/cluster/sim_setup.h"
#include "faults/sim/swarm/swarm.h"

namespace ordeal::sim {
namespace {

constexpr auto kBug = mutation::Bug::repl_truncate_to_hw;

std::vector<BranchRun> two_runs() { return {{kBug, 3, 2, Instant(6s)}, {kBug, 7, 1, Instant(9s)}}; }

bool added(const plan::Step& step) { return step.id.starts_with("v"); }

scenario::Scenario small_world(std::uint64_t seed, Duration time = 12s) {
  Overrides given;
  given.small = true;
  given.time = time;
  given.bug = std::string(mutation::info_of(kBug).name);
  return draw_world(seed, given);
}

TrialResult play(const scenario::Scenario& world, bool with_bug) {
  auto options = trial_options(world, with_bug);
  REQUIRE_MESSAGE(options.has_value(), options.error().to_string());
  options->keep_evidence = true;
  return Trial::run(std::move(*options), *world.plan, world.time);
}

TEST_CASE("a variant number gives the same steps again, and another number others") {
  const scenario::Scenario world = small_world(3);
  const auto plan_of = [&](std::uint64_t variant) {
    return plan::to_json(*aftermath(world, two_runs(), variant).plan)["steps"];
  };
  CHECK(plan_of(1) == plan_of(1));
  std::set<std::string> plans;
  for (std::uint64_t variant = 1; variant <= 100; ++variant) plans.insert(plan_of(variant).dump());
  CHECK(plans.size() == 100);
}

TEST_CASE(
    "every variant is a legal world: it can be written and read back, damages nothing, and has time for its steps") {
  const scenario::Scenario world = small_world(3);
  std::set<plan::Verb> verbs;
  for (std::uint64_t variant = 1; variant <= 400; ++variant) {
    const scenario::Scenario varied = aftermath(world, two_runs(), variant);
    const auto read = scenario::parse_scenario(scenario::to_yaml(varied), "variant");
    REQUIRE_MESSAGE(read.has_value(), "variant ", variant, ": ", read.error().to_string());
    CHECK(plan::to_json(*read->plan) == plan::to_json(*varied.plan));
    CHECK(varied.cluster.set == world.cluster.set);
    CHECK(varied.workload == world.workload);
    CHECK(varied.time > 6s);
    CHECK(std::ranges::any_of(varied.plan->steps, added));
    for (const plan::Step& step : varied.plan->steps) {
      if (!added(step)) continue;
      verbs.insert(step.verb);
      CHECK(!plan::is_damage(step.verb));
      CHECK(step.seed.has_value());
      CHECK(step.hold.has_value());
    }
  }
  CHECK(verbs.size() >= 6);
}

TEST_CASE("up to the run of the branch a variant is the same world; without the bug nothing of it happens") {
  const auto same = [](const TraceEvent& a, const TraceEvent& b) { return a.to_json() == b.to_json(); };
  std::uint64_t seed = 0;
  TrialResult base;
  do {
    REQUIRE(++seed < 30);
    base = play(small_world(seed), true);
  } while (base.branch_runs.empty());
  const scenario::Scenario varied = aftermath(small_world(seed), base.branch_runs, 1);
  const TrialResult other = play(varied, true);
  const auto ran = [](const TrialResult& trial) {
    return std::ranges::find(trial.evidence->traces, "mutation.ran", &TraceEvent::kind) -
           trial.evidence->traces.begin();
  };
  const bool prepared = std::ranges::any_of(varied.plan->steps, [](const plan::Step& step) {
    return added(step) && step.when.kind == plan::Trigger::Kind::time;
  });
  REQUIRE(!prepared);  // variant 1 of that seed acts on the branch alone
  const auto& traces = base.evidence->traces;
  CHECK(std::ranges::equal(traces.begin(), traces.begin() + ran(base) + 1, other.evidence->traces.begin(),
                           other.evidence->traces.begin() + ran(other) + 1, same));
  const auto struck = [](const TrialResult& trial) {
    return std::ranges::any_of(trial.events, [](const FaultEvent& event) { return event.step.starts_with("v"); });
  };
  CHECK(struck(other));
  const TrialResult without = play(varied, false);
  CHECK(!struck(without));
  CHECK(without.outcome() == checker::Outcome::pass);
}

TEST_CASE("what happened in a variant can be done to a world without the bug") {
  const scenario::Scenario varied = aftermath(small_world(3), two_runs(), 1);
  std::vector<std::string> ids;
  for (const plan::Step& step : varied.plan->steps)
    if (added(step)) ids.push_back(step.id);
  const std::vector<FaultEvent> events{{Instant(7s), "fault.resolve", ids.front(), {}, {}, true, {}}};
  const scenario::Scenario fixed = untriggered(varied, events, Instant(1s));
  const auto left = std::ranges::count_if(fixed.plan->steps, added);
  REQUIRE(left == 1);
  const auto step = std::ranges::find_if(fixed.plan->steps, added);
  CHECK(step->when.kind == plan::Trigger::Kind::time);
  CHECK(step->when.time == Duration(6s));
  CHECK(scenario::parse_scenario(scenario::to_yaml(fixed), "fixed").has_value());
}

}  // namespace
}  // namespace ordeal::sim
