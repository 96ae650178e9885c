// What a cluster makes of one broker whose disk refuses reads, does not return from a write, or is full when the broker
// starts: the others go on without it, no acknowledgement is wrong, and it comes back when the disk is well.
//
// Also branches that drawn worlds hardly ever meet, each brought about on purpose and shown by its mark.
#include <doctest/doctest.h>

#include <algorithm>

#include "broker/base/mark.h"
#include "faults/sim/driver/play.h"

namespace ordeal::sim {
namespace {

constexpr std::string_view kHead = R"yaml(
cluster: {nodes: 3, set: {log.segment.bytes: 2048, log.retention.check.interval.ms: 300}}
workload: {rate: 50, linger_ms: 0, value_size: 200, topics: [{name: t, partitions: 1, replication: 3}]}
script:
  - run: 500ms
)yaml";

void passes(const std::string& steps) {
  const auto read = scenario::parse_scenario(std::string(kHead) + steps, "test");
  REQUIRE_MESSAGE(read.has_value(), read.error().text);
  const auto played = play(*read, {});
  REQUIRE_MESSAGE(played.has_value(), played.error().text);
  const TrialResult& trial = played->trial;
  CHECK_MESSAGE(trial.trouble.empty(), trial.trouble);
  CHECK_MESSAGE(trial.outcome() == checker::Outcome::pass, trial.sentence());
}

// The steps pass and come through the branch.
void reaches(const std::string& mark, const std::string& steps) {
  REQUIRE(mark_counts().contains(mark));
  const std::uint64_t before = mark_counts()[mark];
  passes(steps);
  CHECK_MESSAGE(mark_counts()[mark] > before, mark);
}

TEST_CASE("a leader whose log cannot be read ends itself, and another leads") {
  passes(R"yaml(
  - let: {old: leader(t/0)}
  - disk: {node: old, fault: eio, op: read, path: .log}
  - {wait: down(old), within: 5s}
  - {wait: "leader(t/0) != old and leader(t/0) != 0", within: 15s}
  - send: {topic: t, partition: 0, count: 5}
  - disk_heal: old
  - start: old
  - {wait: whole(), within: 30s}
)yaml");
}

TEST_CASE("a broker that is stuck in a write looks dead: another leads, and nothing acknowledged is lost") {
  passes(R"yaml(
  - let: {old: leader(t/0)}
  - disk: {node: old, fault: stall, op: write, path: t-0}
  - {wait: fenced(old), within: 20s}
  - {wait: "leader(t/0) != old and leader(t/0) != 0", within: 15s}
  - send: {topic: t, partition: 0, count: 5}
  - {expect: "not down(old) and not old in isr(t/0)"}
  - disk_heal: old
  - {wait: whole(), within: 30s}
)yaml");
}

TEST_CASE("a follower that is stuck in a write holds up acknowledgements until it is out of the ISR, no longer") {
  passes(R"yaml(
  - let: {a: "followers(t/0)[0]", lead: leader(t/0)}
  - disk: {node: a, fault: stall, op: write, path: t-0}
  - {wait: "not a in isr(t/0)", within: 20s}
  - send: {topic: t, partition: 0, count: 5}
  - {expect: "leader(t/0) == lead"}
  - power_cut: a
  - disk_heal: a
  - start: a
  - {wait: whole(), within: 30s}
)yaml");
}

TEST_CASE("a broker that starts on a full disk ends itself, and has everything when there is room") {
  passes(R"yaml(
  - let: {a: "followers(t/0)[0]"}
  - kill: a
  - disk: {node: a, fault: full}
  - start: a
  - {wait: down(a), within: 10s}
  - disk_heal: a
  - start: a
  - {wait: whole(), within: 30s}
)yaml");
}

TEST_CASE("an ISR proposal that no controller answers is made again") {
  reaches("replica.isr_proposal_unanswered", R"yaml(
  - {if: "leader(t/0) == controller()", then: [{make_leader: {node: "followers(t/0)[0]", partition: t/0}}]}
  - let: {lead: leader(t/0), a: "followers(t/0)[0]"}
  - drop: {api: alter_partition, from: lead, to: nodes(), count: 40}
  - cut: {from: a, to: lead, listener: replication}
  - run: 10s
  - heal_all: true
  - {wait: whole(), within: 30s}
)yaml");
}

TEST_CASE("retention may take every record of a log, and the offsets go on") {
  reaches("log.all_segments_deleted", R"yaml(
  - clients: off
  - {wait: unacked() == 0}
  - {wait: "hw(leader(t/0), t/0) == end(leader(t/0), t/0)"}
  - let: {last: "end(leader(t/0), t/0)"}
  - alter: {topic: t, set: {retention.ms: 1}}
  - {wait: "log_start(leader(t/0), t/0) == last", within: 20s}
  - alter: {topic: t, set: {retention.ms: -1}}
  - clients: on
  - {wait: "end(leader(t/0), t/0) > last", within: 20s}
)yaml");
}

}  // namespace
}  // namespace ordeal::sim
