#include <doctest/doctest.h>

#include <algorithm>

#include "faults/plan/draw.h"

namespace ordeal::plan {
namespace {

Plan plan_of(std::string_view text) {
  auto plan = parse_plan(text, "test");
  REQUIRE_MESSAGE(plan.has_value(), plan.error().text);
  return *plan;
}

TEST_CASE("the same seed draws the same list, another seed another") {
  const Plan mixed = plan_of(*builtin_plan_text("mixed"));
  CHECK(to_json(draw(mixed, 7, 60s)) == to_json(draw(mixed, 7, 60s)));
  CHECK(to_json(draw(mixed, 7, 60s)) != to_json(draw(mixed, 8, 60s)));
}

TEST_CASE("a drawn plan has no random section and drawing it again changes nothing") {
  const Plan drawn = draw(plan_of(*builtin_plan_text("mixed")), 7, 60s);
  CHECK_FALSE(drawn.random.has_value());
  CHECK(drawn.steps.size() >= 5);
  CHECK(to_json(draw(drawn, 7, 60s)) == to_json(drawn));
}

TEST_CASE("drawn faults keep start, stop, hold and overlap") {
  const Plan plan = plan_of(R"(
random: {start: 5s, stop: 40s, every: {exp: 1s}, hold: {uniform: [2s, 6s]}, overlap: 2,
         choose: [{do: proc.kill, on: one}, {do: proc.pause, on: one, weight: 3}]})");
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    const Plan drawn = draw(plan, seed, 60s);
    for (std::size_t i = 0; i < drawn.steps.size(); ++i) {
      const Step& step = drawn.steps[i];
      CHECK(step.when.time >= 5s);
      CHECK(step.when.time < 40s);
      CHECK(*step.hold >= 2s);
      CHECK(*step.hold <= 6s);
      CHECK(step.seed.has_value());
      const auto active = std::count_if(drawn.steps.begin(), drawn.steps.end(), [&](const Step& other) {
        return other.when.time <= step.when.time && step.when.time < other.when.time + *other.hold;
      });
      CHECK(active <= 2);
    }
  }
}

TEST_CASE("exponential gaps have the mean that was asked for") {
  const Plan plan =
      plan_of("random: {start: 0s, every: {exp: 100ms}, hold: 0s, overlap: 50, choose: [{do: proc.kill, on: one}]}");
  const Plan drawn = draw(plan, 3, 1000s);
  CHECK(drawn.steps.size() > 9'000);  // 10,000 expected; rounding down to milliseconds adds about half a percent
  CHECK(drawn.steps.size() < 11'000);
}

TEST_CASE("weights steer the choice") {
  const Plan plan = plan_of(R"(
random: {start: 0s, every: 100ms, hold: 0s, choose: [{do: proc.kill, on: one}, {do: proc.pause, on: one, weight: 9}]})");
  const Plan drawn = draw(plan, 3, 100s);
  const auto pauses = std::count_if(drawn.steps.begin(), drawn.steps.end(),
                                    [](const Step& step) { return step.verb == Verb::proc_pause; });
  CHECK(pauses > 850);
  CHECK(pauses < 950);
}

TEST_CASE("swarm switches whole choices off, never all of them") {
  const Plan plan = plan_of(R"(
random: {start: 0s, every: 1s, hold: 0s, swarm: true, choose: [{do: proc.kill, on: one}, {do: proc.pause, on: one}]})");
  int only_one = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const Plan drawn = draw(plan, seed, 60s);
    REQUIRE_FALSE(drawn.steps.empty());
    only_one += verbs_of(drawn).size() == 1 ? 1 : 0;
  }
  CHECK(only_one > 15);
  CHECK(only_one < 40);
}

}  // namespace
}  // namespace ordeal::plan
