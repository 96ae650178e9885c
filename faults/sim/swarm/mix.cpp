// The mix of faults of a drawn world: classes, whole ones switched off by draw, then weights, rates and lengths.
#include <fmt/format.h>

#include <algorithm>

#include "broker/base/check.h"
#include "faults/sim/swarm/settings.h"

namespace ordeal::sim {
namespace {

// The plan language's own choices, grouped so that a world without, say, any power loss is a common world.
struct FaultClass {
  std::string_view name;
  std::string_view choices;  // a YAML list
};

constexpr FaultClass kClasses[] = {
    {"kills", R"(
    - {do: proc.kill, on: leader, weight: 3}
    - {do: proc.kill, on: controller, weight: 1}
    - {do: proc.kill, on: follower, weight: 1}
    - {do: proc.kill, on: random, weight: 1}
)"},
    {"power", R"(
    - {do: node.power_cut, on: leader, weight: 3}
    - {do: node.power_cut, on: random, weight: 2}
    - {do: node.power_cut, on: controller, weight: 1}
)"},
    {"blackout", R"(
    - {do: node.power_cut, on: all, weight: 1, hold: {uniform: [0s, 2s]}}
)"},
    {"crash", R"(
    - {do: node.crash, on: leader, weight: 2}
    - {do: node.crash, on: random, weight: 2}
)"},
    {"pause", R"(
    - {do: proc.pause, on: leader, weight: 2}
    - {do: proc.pause, on: controller, weight: 1}
    - {do: proc.pause, on: random, weight: 1}
)"},
    {"restart", R"(
    - {do: proc.restart, on: leader, weight: 1, hold: {uniform: [0s, 2s]}}
    - {do: proc.restart, on: random, weight: 1, hold: {uniform: [0s, 2s]}}
)"},
    {"partition", R"(
    - {do: net.partition, on: one, weight: 2}
    - {do: net.partition, on: leader, weight: 1}
    - {do: net.partition, on: minority, weight: 1, params: {shape: halves}}
    - {do: net.partition, on: leader, weight: 3, params: {shape: brokers-not-clients}}
)"},
    {"links", R"(
    - {do: net.partition, on: {from: leader, to: follower}, weight: 2, params: {shape: link}}
    - {do: net.partition, on: {from: leader, to: follower}, weight: 2, params: {shape: link, listeners: [replication]}}
    - {do: net.partition, on: {from: controller, to: one(all - controller)}, weight: 2, params: {shape: link, listeners: [control]}}
    - {do: net.partition, on: leader, weight: 2, params: {shape: isolate, listeners: [control]}}
    - {do: net.partition, on: leader, weight: 1, params: {shape: isolate, listeners: [replication]}}
)"},
    {"one way", R"(
    - {do: net.simplex, on: {from: one(all), to: controller}, weight: 1}
    - {do: net.simplex, on: {from: leader, to: follower}, weight: 2}
    - {do: net.simplex, on: {from: follower, to: leader}, weight: 2}
)"},
};

constexpr std::string_view kWide = R"(
    - {do: net.partition, on: one, weight: 1, params: {shape: bridge}}
    - {do: net.partition, on: all, weight: 1, params: {shape: ring}}
)";

std::string duration_ms(std::int64_t ms) { return fmt::format("{}ms", ms); }

}  // namespace

plan::Plan draw_faults(Random random, int nodes, bool small) {
  std::string choices;
  std::string names;
  Random classes = random.fork("classes");
  const std::size_t at_least = classes.below(std::size(kClasses));
  for (std::size_t i = 0; i < std::size(kClasses); ++i) {
    Random own = random.fork(kClasses[i].name);
    if (i != at_least && !own.chance(2, 5)) continue;
    choices += kClasses[i].choices;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", kClasses[i].name);
    if (kClasses[i].name == "partition" && nodes >= 4) choices += kWide;
  }
  Random rates = random.fork("rates");
  const std::int64_t every = small ? rates.between(700, 3'000) : rates.between(1'000, 8'000);
  const std::int64_t hold_min = rates.between(0, 1'000);
  const std::int64_t hold_max = hold_min + rates.between(200, small ? 4'000 : 9'000);
  const std::string text = fmt::format(
      "name: drawn\ndescription: {}\nrandom:\n  start: {}\n  every: {{exp: {}}}\n  hold: {{uniform: [{}, {}]}}\n"
      "  overlap: {}\n  choose:{}",
      names, duration_ms(rates.between(200, 3'000)), duration_ms(every), duration_ms(hold_min), duration_ms(hold_max),
      rates.between(1, 3), choices);
  Result<plan::Plan> parsed = plan::parse_plan(text, "the drawn mix of faults");
  ORDEAL_CHECK(parsed.has_value(), "{}", parsed.error().to_string());
  return std::move(*parsed);
}

}  // namespace ordeal::sim
