// Each known bug: its scenario passes with the bug off; with it on, the branch ran and what is expected is named.
//
// A test case a group of the corpus and side, so that ctest runs them side by side; the last one says what is missing.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>

#include "faults/sim/driver/load.h"
#include "faults/sim/driver/play.h"

namespace ordeal::sim {
namespace {

// The scenarios of the bugs whose ids begin with `letter`; of those without a bug with 0.
std::vector<scenario::Scenario> scenarios_of(char letter) {
  std::vector<scenario::Scenario> out;
  for (const std::string& name : scenario::corpus_names()) {
    if (name.starts_with("found.")) continue;  // found_test.cpp
    auto read = load_scenario(name);
    REQUIRE_MESSAGE(read.has_value(), read.error().text);
    const auto bug = mutation::find_bug(read->bug);
    if ((bug ? mutation::info_of(*bug).id[0] : '\0') == letter) out.push_back(std::move(*read));
  }
  return out;
}

void pass_without(char letter) {
  for (const scenario::Scenario& scenario : scenarios_of(letter)) {
    CAPTURE(scenario.name);
    const auto played = play(scenario, {});
    REQUIRE_MESSAGE(played.has_value(), played.error().text);
    CHECK_MESSAGE(played->trial.outcome() == checker::Outcome::pass, played->trial.sentence());
  }
}

void caught_with(char letter) {
  for (const scenario::Scenario& scenario : scenarios_of(letter)) {
    CAPTURE(scenario.name);
    PlayOptions options;
    options.with_bug = true;
    const auto played = play(scenario, options);
    REQUIRE_MESSAGE(played.has_value(), played.error().text);
    for (const auto& [name, ran] : played->trial.mutations_ran)
      CHECK_MESSAGE(ran > 0, name << " never decided anything");
    CHECK_MESSAGE(played->caught, fmt::format("reported: {}; {}", fmt::join(broken_names(played->trial), ", "),
                                              played->trial.sentence()));
  }
}

TEST_CASE("A off: the schedules of replication bugs pass without the bug") { pass_without('A'); }
TEST_CASE("A on: replication bugs are caught") { caught_with('A'); }
TEST_CASE("B off: the schedules of producer bugs pass without the bug") { pass_without('B'); }
TEST_CASE("B on: producer bugs are caught") { caught_with('B'); }
TEST_CASE("E off: the schedules of storage bugs pass without the bug") { pass_without('E'); }
TEST_CASE("E on: storage bugs are caught") { caught_with('E'); }
TEST_CASE("F off: the schedules of metadata bugs pass without the bug") { pass_without('F'); }
TEST_CASE("F on: metadata bugs are caught") { caught_with('F'); }
TEST_CASE("other: scenarios of no switch pass") { pass_without('\0'); }

TEST_CASE("complete: every registered bug has a scenario of its name") {
  const std::vector<std::string> names = scenario::corpus_names();
  for (const mutation::BugInfo& info : mutation::all_bugs()) {
    const bool has = std::ranges::find(names, info.name) != names.end();
    CHECK_MESSAGE(has, info.id << " " << info.name << " has no file in faults/scenario/corpus");
    if (!has) continue;
    const auto read = load_scenario(std::string(info.name));
    REQUIRE(read.has_value());
    CHECK(mutation::find_bug(read->bug) == info.bug);
  }
}

}  // namespace
}  // namespace ordeal::sim
