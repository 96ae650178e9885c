// What sweeps have found wrong in this broker stays fixed: each such bug left a scenario in faults/scenario/found.
//
// A scenario names the situation in `wait` and `expect`, so one that no longer comes about fails here instead of
// passing for nothing. All of them are small: they are to be run with every change.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>

#include "faults/sim/driver/load.h"
#include "faults/sim/driver/play.h"

namespace ordeal::sim {
namespace {

// Processor time of one world. Instrumented builds are several times slower.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
constexpr std::int64_t kFastMs = 15'000;
#else
constexpr std::int64_t kFastMs = 1'000;
#endif
#else
constexpr std::int64_t kFastMs = 1'000;
#endif

std::vector<std::string> found_names() {
  std::vector<std::string> names = scenario::corpus_names();
  std::erase_if(names, [](const std::string& name) { return !name.starts_with("found."); });
  return names;
}

bool states_a_situation(const scenario::Script& script) {
  return std::ranges::any_of(script, [](const scenario::Step& step) {
    return step.verb == "wait" || step.verb == "expect" || states_a_situation(step.steps) ||
           states_a_situation(step.otherwise);
  });
}

TEST_CASE("every bug that was found has its scenario, which comes about, passes, and is quick") {
  const std::vector<std::string> names = found_names();
  REQUIRE(!names.empty());
  for (const std::string& name : names) {
    CAPTURE(name);
    const auto read = load_scenario(name);
    REQUIRE_MESSAGE(read.has_value(), read.error().text);
    CHECK_MESSAGE(read->bug.empty(), "a bug with a switch belongs into faults/scenario/corpus");
    CHECK_MESSAGE(states_a_situation(read->script), "nothing in it says that the schedule came about");
    const auto played = play(*read, {});
    REQUIRE_MESSAGE(played.has_value(), played.error().text);
    CHECK_MESSAGE(
        played->trial.outcome() == checker::Outcome::pass,
        fmt::format("reported: {}; {}", fmt::join(broken_names(played->trial), ", "), played->trial.sentence()));
    CHECK(played->cpu_ms < kFastMs);
  }
}

}  // namespace
}  // namespace ordeal::sim
