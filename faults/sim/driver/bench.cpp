// How fast worlds run: always the same shape, so that figures of two commits can be compared.
//
// Three brokers, 60 simulated seconds, two crashes and one partition, at least 3,000 acknowledged records; only the
// seed differs from world to world.
#include <fmt/format.h>

#include <algorithm>

#include "broker/base/check.h"
#include "faults/plan/draw.h"
#include "faults/sim/driver/modes.h"
#include "faults/sim/driver/play.h"

namespace ordeal::sim {
namespace {

constexpr std::uint64_t kWorlds = 10;
constexpr std::uint64_t kAcknowledged = 3'000;

constexpr std::string_view kPlan = R"(
name: bench
description: a kill, a power cut and a partition
min_faults: 3
steps:
  - {id: f1, when: 8s, do: proc.kill, on: leader(t/0), hold: 3s}
  - {id: f2, when: 24s, do: node.power_cut, on: leader(t/1), hold: 4s}
  - {id: f3, when: 40s, do: net.partition, on: leader(t/0), hold: 5s}
)";

scenario::Scenario bench_world(std::uint64_t seed) {
  auto plan = plan::parse_plan(kPlan, "the bench's plan");
  ORDEAL_CHECK(plan.has_value(), "{}", plan.error().to_string());
  Overrides shape;
  shape.time = 60s;
  shape.plan = std::move(*plan);
  shape.workload["rate"] = 80;
  return plain_world(seed, shape);
}

struct Totals {
  std::uint64_t worlds = 0;
  std::uint64_t passed = 0;
  std::uint64_t events = 0;
  std::uint64_t acknowledged_least = UINT64_MAX;
  double cpu_s = 0;
  double real_s = 0;
  double simulated_s = 0;
  double slowest_cpu_s = 0;
};

void add(Totals& totals, const Played& played) {
  const double cpu = static_cast<double>(played.cpu_ms) / 1000;
  ++totals.worlds;
  totals.passed += exit_code(played.trial) == 0 ? 1 : 0;
  totals.events += played.trial.steps;
  totals.acknowledged_least = std::min(totals.acknowledged_least, played.trial.verdict.counts.sends_ok);
  totals.cpu_s += cpu;
  totals.real_s += static_cast<double>(played.real_ms) / 1000;
  totals.simulated_s += static_cast<double>(played.trial.simulated / 1ms) / 1000;
  totals.slowest_cpu_s = std::max(totals.slowest_cpu_s, cpu);
}

nlohmann::ordered_json figures(const Totals& totals) {
  const double cpu = std::max(totals.cpu_s, 0.001);
  return {{"worlds", totals.worlds},
          {"passed", totals.passed},
          {"cpu_s_per_world", totals.cpu_s / static_cast<double>(totals.worlds)},
          {"slowest_cpu_s", totals.slowest_cpu_s},
          {"worlds_per_minute", 60 * static_cast<double>(totals.worlds) / cpu},
          {"simulated_to_real", totals.simulated_s / std::max(totals.real_s, 0.001)},
          {"events_per_s", static_cast<double>(totals.events) / cpu},
          {"acknowledged_least", totals.acknowledged_least},
          {"simulated_s", totals.simulated_s},
          {"real_s", totals.real_s},
          {"cpu_s", totals.cpu_s}};
}

}  // namespace

int run_bench(const Arguments& arguments) {
  const std::uint64_t worlds = arguments.count_given ? arguments.count : kWorlds;
  Totals totals;
  for (std::uint64_t seed = arguments.first; seed < arguments.first + worlds; ++seed) {
    const auto played = play(bench_world(seed), {});
    if (!played) {
      fmt::print(stderr, "ordeal-sim: {}\n", played.error().text);
      return kExitUsage;
    }
    add(totals, *played);
    if (exit_code(played->trial) != 0)
      fmt::print(stderr, "ordeal-sim: seed {} did not pass: {}\n", seed, played->trial.sentence());
  }
  const nlohmann::ordered_json told = figures(totals);
  if (arguments.json)
    fmt::print("{}\n", told.dump());
  else
    fmt::print(
        "{} worlds of 60 s, {} passed: {:.2f} s of CPU each (slowest {:.2f}), {:.0f} worlds a minute, {:.0f} times "
        "real time, {:.0f} events/s, at least {} records acknowledged\n",
        totals.worlds, totals.passed, told["cpu_s_per_world"].get<double>(), totals.slowest_cpu_s,
        told["worlds_per_minute"].get<double>(), told["simulated_to_real"].get<double>(),
        told["events_per_s"].get<double>(), totals.acknowledged_least);
  const bool good = totals.passed == totals.worlds && totals.acknowledged_least >= kAcknowledged;
  return good ? 0 : kExitHarness;
}

}  // namespace ordeal::sim
