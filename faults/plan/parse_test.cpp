#include <doctest/doctest.h>

#include "broker/base/random.h"
#include "faults/plan/draw.h"
#include "faults/plan/plan.h"

namespace ordeal::plan {
namespace {

std::string error_of(std::string_view text) {
  const auto plan = parse_plan(text, "p.yaml");
  REQUIRE_FALSE(plan.has_value());
  CHECK(plan.error().code == Errc::invalid_argument);
  return plan.error().text;
}

TEST_CASE("a full plan is read field by field") {
  const auto plan = parse_plan(R"(
name: chain
seed: 18446744073709551615
time: 1m30s
promises: durable
workload: {acks: 1, keys: [a, "1"], idempotence: false}
min_faults: 2
steps:
  - id: lonely
    when: {event: partition.isr, where: {topic: t, partition: 0, isr_size: ">=3"}, nth: 2, delay: 250ms}
    do: net.partition
    on: {from: leader(t/0), to: followers(t/0)}
    params: {shape: link, listeners: [replication]}
    until: {event: partition.isr, where: {isr_size: 1}, timeout: 12s}
    required: true
  - when: {after: lonely, phase: begin}
    do: proc.kill
    on: leader(my-topic.x/12)
    params: {restart_after: 5s}
  - {when: {operations: 5000}, do: proc.restart, on: n2}
final: {quiesce: 3s}
)",
                               "p.yaml");
  REQUIRE_MESSAGE(plan.has_value(), plan.error().text);
  CHECK(plan->seed == 18446744073709551615ULL);
  CHECK(plan->time == 90s);
  CHECK(plan->workload == nlohmann::json({{"acks", 1}, {"keys", {"a", "1"}}, {"idempotence", false}}));
  const Step& lonely = plan->steps[0];
  CHECK(lonely.when.kind == Trigger::Kind::event);
  CHECK(lonely.when.delay == 250ms);
  CHECK(lonely.when.event.nth == 2);
  CHECK(lonely.until->timeout == 12s);
  CHECK(lonely.params.listeners == std::vector{ListenerClass::replication});
  CHECK(lonely.required);
  CHECK(plan->steps[1].id == "s2");
  CHECK(plan->steps[1].hold == 5s);
  CHECK(plan->steps[2].hold == 0s);
  CHECK(plan->final.quiesce == 3s);
}

TEST_CASE("errors name file, line, column and field, and suggest the nearest name") {
  CHECK(error_of("steps:\n  - {do: proc.kil, on: n1}\n") ==
        "p.yaml:2:10: steps[0].do: 'proc.kil' is unknown (did you mean proc.kill?)");
  CHECK(error_of("step: []\n") == "p.yaml:1:1: unknown key 'step' (did you mean steps?)");
  CHECK(error_of("steps: [{do: proc.kill, on: n1, hold: 10}]")
            .starts_with("p.yaml:1:39: steps[0].hold: '10' is no duration: a unit"));
  CHECK(error_of("steps: [{do: proc.kill, on: leadr}]").find("did you mean leader?") != std::string::npos);
  CHECK(error_of("steps: [{do: proc.kill, on: leader(t)}]").find("topic/partition") != std::string::npos);
  CHECK(error_of("steps: [{do: proc.kill}]").find("needs targets") != std::string::npos);
  CHECK(error_of("steps: [{do: proc.kill, on: n1, params: {shape: ring}}]").find("unknown key 'shape'") !=
        std::string::npos);
  CHECK(error_of("steps: [{do: net.partition, on: n1, params: {shape: link}}]").find("from:") != std::string::npos);
  CHECK(error_of("steps: [{do: proc.kill, on: n1, when: {time: 1s, operations: 3}}]").find("exactly one") !=
        std::string::npos);
  CHECK(error_of("name: a\nname: b\n").find("given twice") != std::string::npos);
  CHECK(error_of("seed: -1").find("64 bits") != std::string::npos);
  CHECK(error_of("- a list").find("a plan is a mapping") != std::string::npos);
  CHECK(error_of("steps: [").starts_with("p.yaml:1:"));
  CHECK(error_of("random: {choose: []}").find("choose") != std::string::npos);
}

TEST_CASE("steps that wait for nobody or for themselves are refused") {
  CHECK(error_of("steps: [{id: alpha, do: proc.kill, on: n1, when: {after: alpah}}]").find("did you mean alpha?") !=
        std::string::npos);
  CHECK(
      error_of(
          "steps: [{id: a, do: proc.kill, on: n1, when: {after: b}}, {id: b, do: proc.kill, on: n1, when: {after: a}}]")
          .find("waits for itself") != std::string::npos);
  CHECK(error_of("steps: [{id: a, do: proc.kill, on: n1}, {id: a, do: proc.kill, on: n1}]").find("used twice") !=
        std::string::npos);
}

TEST_CASE("every built-in plan parses, draws, and survives print and parse") {
  REQUIRE(builtin_plan_names().size() >= 8);
  for (const std::string& name : builtin_plan_names()) {
    CAPTURE(name);
    const auto plan = parse_plan(*builtin_plan_text(name), name);
    REQUIRE_MESSAGE(plan.has_value(), plan.error().text);
    CHECK(plan->name == name);
    const auto printed = parse_plan(to_json(*plan).dump(), name);
    REQUIRE_MESSAGE(printed.has_value(), printed.error().text);
    CHECK(to_json(*printed) == to_json(*plan));
    const Plan drawn = draw(*plan, 7, 60s);
    const auto again = parse_plan(to_json(drawn).dump(), name);
    REQUIRE_MESSAGE(again.has_value(), again.error().text);
    CHECK(to_json(*again) == to_json(drawn));
  }
}

TEST_CASE("fractions in what is passed on stay numbers, and survive print and parse") {
  const auto plan = parse_plan("workload: {a: 60.0, b: 0.0000001, c: 1e9, d: 10.77.0.11, e: \"1.5\"}", "fractions");
  REQUIRE(plan.has_value());
  CHECK(plan->workload == nlohmann::json({{"a", 60.0}, {"b", 1e-7}, {"c", "1e9"}, {"d", "10.77.0.11"}, {"e", "1.5"}}));
  const auto again = parse_plan(to_json(*plan).dump(), "printed");
  REQUIRE(again.has_value());
  CHECK(again->workload == plan->workload);
}

TEST_CASE("a plan that needs more than a world can do is refused by name") {
  const auto plan = parse_plan("name: p\nsteps: [{do: node.power_cut, on: n1}, {do: proc.kill, on: n1}]", "p");
  REQUIRE(plan.has_value());
  CHECK(check_verbs(*plan, all_verbs(), "sim").has_value());
  const Status refused = check_verbs(*plan, {Verb::proc_kill}, "the real world");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == Errc::unsupported);
  CHECK(refused.error().text.find("node.power_cut, which the real world cannot do") != std::string::npos);
}

// One step of every verb that only simulated devices can do, with every parameter it takes.
constexpr std::string_view kDevices = R"(
name: devices
loss: minority
steps:
  - {when: 1s, do: net.delay, on: {from: n1, to: leader}, params: {by: 20ms, jitter: 5ms}, hold: 1s}
  - {when: 1s, do: net.clog, on: n1, hold: 1s}
  - {when: 1s, do: net.reset, on: {from: clients, to: all}, params: {one_in: 50, listeners: [client]}, hold: 1s}
  - {when: 1s, do: net.half_open, on: {from: n1, to: n2}, params: {listeners: [replication]}}
  - {when: 1s, do: net.refuse, on: leader, params: {listeners: [client, control]}, hold: 1s}
  - {when: 1s, do: net.message, on: {from: n1}, params: {api: Fetch, reply: true, action: hold, skip: 2, count: 3}, hold: 9s}
  - {when: 1s, do: net.message, params: {api: alter_partition, action: delay, by: 2s}, hold: 1s}
  - {when: 1s, do: disk.eio, on: n1, params: {op: rename, path: .log, skip: 1, count: 2, error: no_space, restart: false}}
  - {when: 1s, do: disk.short_write, on: n1, params: {path: .log, error: no_space, timeout: 5s}}
  - {when: 1s, do: disk.full, on: n1, params: {room: 4096}, hold: 1s}
  - {when: 1s, do: disk.slow, on: n1, params: {by: 200ms, op: any}, hold: 1s}
  - {when: 1s, do: disk.stall, on: n1, params: {count: 1}, hold: 1s}
  - {when: 1s, do: disk.fsync_lie, on: n1, params: {path: t-0}, hold: 1s}
  - {when: 1s, do: disk.bitflip, on: n1, params: {transient: true, count: 4}, hold: 1s}
  - {when: 1s, do: node.amnesia, on: n1, hold: 1s}
  - {when: 1s, do: clock.jump, on: n1, params: {offset: -90s}, hold: 1s}
  - {when: 1s, do: clock.drift, on: random, params: {ppm: -200000, timers: true}, hold: 1s}
)";

TEST_CASE("the verbs of simulated devices survive print and parse, and say what they do") {
  const auto plan = parse_plan(kDevices, "devices");
  REQUIRE_MESSAGE(plan.has_value(), plan.error().text);
  const auto again = parse_plan(to_json(*plan).dump(), "printed");
  REQUIRE_MESSAGE(again.has_value(), again.error().text);
  CHECK(to_json(*again) == to_json(*plan));
  CHECK(again->loss == Loss::minority);
  CHECK(again->steps[0].params.jitter == 5ms);
  CHECK(again->steps[2].params.one_in == 50);
  CHECK(again->steps[5].params.count == 3);
  CHECK(again->steps[5].params.action == MessageAction::hold);
  CHECK(again->steps[7].params.no_space);
  CHECK(again->steps[9].params.room == 4096);
  CHECK(again->steps[15].params.offset == -90s);
  CHECK(again->steps[16].params.ppm == -200000);
  CHECK(again->steps[16].params.timers);
  CHECK(describe(again->steps[5]) == "net.message hold Fetch reply, n1 -> anyone");
}

TEST_CASE("device verbs refuse what they cannot mean") {
  CHECK(error_of("steps: [{do: net.delay, on: n1}]").find("needs params: {by:") != std::string::npos);
  CHECK(error_of("steps: [{do: clock.drift, on: n1}]").find("needs params: {ppm:") != std::string::npos);
  CHECK(error_of("steps: [{do: net.clog}]").find("needs targets") != std::string::npos);
  CHECK(error_of("steps: [{do: net.message, on: n1, params: {action: drop}}]").find("from:") != std::string::npos);
  CHECK(error_of("steps: [{do: net.message, params: {action: loose}}]").find("'loose' is unknown") !=
        std::string::npos);
  CHECK(error_of("steps: [{do: disk.eio, on: n1, params: {by: 1s}}]").find("unknown key 'by'") != std::string::npos);
  CHECK(error_of("steps: [{do: disk.fsync_lie, on: n1}]").find("loss: disk.fsync_lie needs loss: minority") !=
        std::string::npos);
  CHECK(error_of("random: {choose: [{do: node.amnesia, on: one}]}").find("node.amnesia needs loss") !=
        std::string::npos);
}

TEST_CASE("durations are exact and always carry a unit") {
  CHECK(parse_duration("1m30s").value() == 90s);
  CHECK(parse_duration("1.5s").value() == 1500ms);
  CHECK(parse_duration("0.000000001s").value() == 1ns);
  CHECK(parse_duration("2h").value() == 2h);
  for (const char* bad : {"", "10", "s", "1.s", "-1s", "1s2", "99999999h", "1 s", "999999999999999999s"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_duration(bad).has_value());
  }
  for (const Duration duration : {Duration(0s), Duration(90s), Duration(1500ms), Duration(7us), Duration(1ns)}) {
    CHECK(parse_duration(format_duration(duration)).value() == duration);
  }
}

TEST_CASE("damaged plans are refused or read, never a crash") {
  Random random(11);
  const std::string_view base = *builtin_plan_text("mixed");
  int refused = 0;
  for (int round = 0; round < 600; ++round) {
    std::string text(base);
    for (std::uint64_t edits = random.below(6) + 1; edits > 0; --edits) {
      const std::size_t at = random.below(text.size());
      switch (random.below(4)) {
        case 0:
          text[at] = static_cast<char>(random.below(256));
          break;
        case 1:
          text.erase(at, random.below(20) + 1);
          break;
        case 2:
          text.insert(at, 1, "{}[]:,&*!|>'\"%@`-#\n\t "[random.below(22)]);
          break;
        default:
          text.insert(at, text.substr(random.below(text.size()), random.below(40)));
          break;
      }
      if (text.empty()) text = "x";
    }
    refused += parse_plan(text, "damaged").has_value() ? 0 : 1;
  }
  CHECK(refused > 300);
  CHECK_FALSE(parse_plan(std::string(100'000, '['), "deep").has_value());
  CHECK_FALSE(parse_plan("a: &a [*a, *a]\nworkload: {x: *a}", "loop").has_value());
  CHECK_FALSE(parse_plan("workload: &a {x: *a}", "loop").has_value());
}

}  // namespace
}  // namespace ordeal::plan
