// Each known bug: its schedule passes with the bug off; with it on, the branch ran and the checker names the property.
#include <doctest/doctest.h>

#include "faults/sim/scenarios/scenarios.h"

namespace ordeal::sim {
namespace {

TEST_CASE("every registered bug has its scenario") {
  for (const mutation::BugInfo& info : mutation::all_bugs()) {
    const Scenario* scenario = find_scenario(std::string(info.id));
    REQUIRE_MESSAGE(scenario != nullptr, info.id);
    CHECK(scenario->bug == info.bug);
  }
}

TEST_CASE("the schedules of known bugs pass without the bug") {
  for (const Scenario& scenario : all_scenarios()) {
    CAPTURE(scenario.id);
    const ScenarioResult result = run_scenario(scenario, false, scenario.seed);
    CHECK_MESSAGE(result.trial.outcome() == checker::Outcome::pass, result.said);
  }
}

TEST_CASE("the checker catches every known bug in its schedule") {
  for (const Scenario& scenario : all_scenarios()) {
    CAPTURE(scenario.id);
    const ScenarioResult result = run_scenario(scenario, true, scenario.seed);
    CHECK(result.ran > 0);
    CHECK_MESSAGE(result.caught, result.said);
    CHECK(result.trial.outcome() == checker::Outcome::fail);
  }
}

}  // namespace
}  // namespace ordeal::sim
