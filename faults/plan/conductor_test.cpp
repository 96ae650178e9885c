#include <doctest/doctest.h>

#include "faults/plan/conductor.h"
#include "faults/plan/draw.h"

namespace ordeal::plan {
namespace {

Conductor conduct(std::string_view text) {
  const auto plan = parse_plan(text, "test");
  REQUIRE_MESSAGE(plan.has_value(), plan.error().text);
  return Conductor(draw(*plan, 1, 60s));
}

// "+0 -1": begin of step 0, heal of step 1.
std::string show(const std::vector<Action>& actions) {
  std::string text;
  for (const Action& action : actions) {
    if (!text.empty()) text += ' ';
    text += (action.kind == Action::Kind::begin ? '+' : '-') + std::to_string(action.step);
  }
  return text;
}

TraceEvent isr(const std::string& members) {
  TraceEvent event;
  event.kind = "partition.isr";
  event.fields = {{"topic", "t"}, {"partition", "0"}, {"isr", members}};
  return event;
}

TEST_CASE("a timed step begins at its time and heals after its hold, counted from the verified begin") {
  Conductor conductor = conduct("steps: [{do: proc.kill, on: n1, when: 5s, hold: 2s}]");
  CHECK(show(conductor.advance(4999ms)).empty());
  CHECK(conductor.next_deadline() == Duration(5s));
  CHECK(show(conductor.advance(5s)) == "+0");
  CHECK(show(conductor.advance(6s)).empty());
  CHECK(show(conductor.began(6s, 0)).empty());
  CHECK(show(conductor.advance(7999ms)).empty());
  CHECK(show(conductor.advance(8s)) == "-0");
  CHECK_FALSE(conductor.done());
  conductor.healed(8s, 0);
  CHECK(conductor.done());
}

TEST_CASE("event triggers count matches and then wait their delay; until heals on its event or its timeout") {
  Conductor conductor = conduct(R"(
steps:
  - {do: proc.kill, on: n1, when: {event: partition.isr, where: {isr_size: "<=2"}, nth: 2, delay: 1s}, hold: 1s}
  - {do: proc.pause, on: n1, when: 0s, until: {event: partition.isr, where: {isr_size: 1}, timeout: 30s}})");
  CHECK(show(conductor.advance(0s)) == "+1");
  conductor.began(0s, 1);
  CHECK(show(conductor.observe(1s, isr("1,2,3"))).empty());
  CHECK(show(conductor.observe(2s, isr("1,2"))).empty());
  CHECK(show(conductor.observe(3s, isr("1"))) == "-1");
  CHECK(show(conductor.advance(4s)) == "+0");

  Conductor late = conduct("steps: [{do: proc.pause, on: n1, when: 0s, until: {event: never, timeout: 3s}}]");
  late.advance(0s);
  late.began(1s, 0);
  CHECK(show(late.advance(4s)) == "-0");
}

TEST_CASE("steps follow another step's begin or heal, and a missed one still lets its heal's followers go on") {
  Conductor conductor = conduct(R"(
steps:
  - {id: a, do: proc.kill, on: n1, when: 1s, hold: 1s}
  - {id: b, do: proc.kill, on: n2, when: {after: a, phase: begin}, hold: 1s}
  - {id: c, do: proc.kill, on: n3, when: {after: a, delay: 2s}, hold: 1s}
  - {id: d, do: proc.kill, on: n3, when: {after: b, phase: begin}, hold: 1s})");
  CHECK(show(conductor.advance(1s)) == "+0");
  CHECK(show(conductor.gave_up(1s, 0)).empty());
  CHECK(show(conductor.advance(3s)) == "+2");
  conductor.began(3s, 2);
  conductor.advance(4s);
  conductor.healed(4s, 2);
  CHECK(conductor.done());

  Conductor other = conduct(
      "steps: [{id: a, do: proc.kill, on: n1, when: 1s, hold: 9s}, {do: proc.kill, on: n2, when: {after: a, phase: "
      "begin}}]");
  other.advance(1s);
  CHECK(show(other.began(1s, 0)) == "+1");
}

TEST_CASE("operation counts trigger once") {
  Conductor conductor = conduct("steps: [{do: proc.kill, on: n1, when: {operations: 100}, hold: 1s}]");
  CHECK(show(conductor.operations(1s, 99)).empty());
  CHECK(show(conductor.operations(2s, 150)) == "+0");
  CHECK(show(conductor.operations(3s, 200)).empty());
}

TEST_CASE("finishing heals what is held, also what is still beginning, and begins nothing more") {
  Conductor conductor = conduct(R"(
steps: [{do: proc.kill, on: n1, when: 1s}, {do: proc.pause, on: n2, when: 1s}, {do: proc.kill, on: n3, when: 9s}])");
  CHECK(show(conductor.advance(1s)) == "+0 +1");
  conductor.began(1s, 0);
  CHECK(show(conductor.finish()) == "-0 -1");
  CHECK(show(conductor.began(2s, 1)).empty());
  conductor.healed(3s, 0);
  conductor.healed(3s, 1);
  CHECK(show(conductor.advance(10s)).empty());
  CHECK(conductor.done());
}

}  // namespace
}  // namespace ordeal::plan
