// The whole cluster in one process: three real brokers (wire codec, Raft, RocksDB on simulated disks, segmented logs)
// and native clients that produce and fetch, for a simulated minute with crashes and a partition.
#include <doctest/doctest.h>

#include <chrono>

#include "faults/plan/draw.h"
#include "faults/sim/cluster/sim_trial.h"

namespace ordeal::sim {
namespace {

constexpr std::string_view kMinute = R"(
name: minute
min_faults: 5
steps:
  - {id: f1, when: 5s, do: proc.kill, on: leader(t/0), hold: 3s}
  - {id: f2, when: 13s, do: node.power_cut, on: leader(t/1), hold: 4s}
  - {id: f3, when: 22s, do: net.partition, on: leader(t/0), hold: 5s}
  - {id: f4, when: 32s, do: proc.pause, on: leader(t/1), hold: 3s}
  - {id: f5, when: 40s, do: proc.kill, on: controller, hold: 2s}
  - {id: f6, when: 48s, do: node.power_cut, on: all, hold: 1s}
)";

TrialResult run_minute(std::uint64_t seed) {
  auto parsed = plan::parse_plan(kMinute, "minute");
  REQUIRE_MESSAGE(parsed.has_value(), parsed.error().text);
  TrialOptions options;
  options.cluster.seed = seed;
  return Trial::run(std::move(options), plan::draw(*parsed, seed, 60s), 60s);
}

TEST_CASE("three whole brokers live through a simulated minute of crashes and a partition, again and the same") {
  const auto began = std::chrono::steady_clock::now();
  const TrialResult first = run_minute(7);
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
  MESSAGE("one minute took ", took.count(), " ms; ", first.sentence());
  REQUIRE_MESSAGE(first.trouble.empty(), first.trouble);
  for (const Violation& violation : first.violations) FAIL_CHECK(violation.invariant << ": " << violation.text);
  CHECK_MESSAGE(first.outcome() == checker::Outcome::pass, first.sentence());
  CHECK(first.faults >= 5);
  CHECK(first.verdict.counts.sends_ok > 1000);
  CHECK(first.verdict.counts.partitions_drained == 2);

  const TrialResult again = run_minute(7);
  CHECK(again.digest == first.digest);
  CHECK(again.last_draw == first.last_draw);

  const TrialResult other = run_minute(8);
  CHECK(other.digest != first.digest);
  CHECK(other.last_draw != first.last_draw);
  CHECK_MESSAGE(other.outcome() == checker::Outcome::pass, other.sentence());
}

}  // namespace
}  // namespace ordeal::sim
