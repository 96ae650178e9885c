// Each verb of a script against a real simulated cluster: what it does is seen through the script's own expressions.
#include <doctest/doctest.h>

#include <algorithm>

#include "faults/sim/driver/play.h"

namespace ordeal::sim {
namespace {

constexpr std::string_view kHead = R"yaml(
cluster: {nodes: 3}
workload: {rate: 50, linger_ms: 0, topics: [{name: t, partitions: 1, replication: 3}]}
script:
  - run: 500ms
)yaml";

TrialResult play_text(const std::string& steps, std::string_view head = kHead) {
  const auto read = scenario::parse_scenario(std::string(head) + steps, "test");
  REQUIRE_MESSAGE(read.has_value(), read.error().text);
  const auto played = play(*read, {});
  REQUIRE_MESSAGE(played.has_value(), played.error().text);
  return played->trial;
}

void passes(const std::string& steps, std::string_view head = kHead) {
  const TrialResult trial = play_text(steps, head);
  CHECK_MESSAGE(trial.trouble.empty(), trial.trouble);
  CHECK_MESSAGE(trial.outcome() == checker::Outcome::pass, trial.sentence());
}

TEST_CASE("nodes die, start, stop, pause and resume") {
  passes(R"yaml(
  - let: {a: "followers(t/0)[0]", old: leader(t/0)}
  - kill: a
  - {expect: "down(a) and not serving(a) and hw(a, t/0) == -1"}
  - kill: a
  - start: a
  - {wait: whole()}
  - stop: "{a}"
  - {wait: down(a), within: 15s}
  - {expect: "count(broker.stopped, n=a) == 1"}
  - start: a
  - {wait: whole()}
  - pause: old
  - {wait: "leader(t/0) != old and leader(t/0) != 0"}
  - resume: old
  - {wait: whole()}
  - power_cut: nodes()
  - {expect: "all(x in nodes(): down(x))"}
  - start: nodes()
  - {wait: whole()}
  - {crash: a, call: 2, kind: power, path: t-0}
  - {wait: down(a)}
  - start: a
  - {crash: a, kind: process}
  - {wait: down(a)}
  - start: a
)yaml");
}

TEST_CASE("links are cut and healed by listener, in one direction, around a node") {
  passes(R"yaml(
  - let: {old: leader(t/0), others: followers(t/0)}
  - isolate: {node: old, listener: control}
  - {wait: "leader(t/0) in others", say: the cut leader is replaced}
  - rejoin: {node: old, listener: control}
  - {wait: whole()}
  - let: {lead: leader(t/0), slow: "followers(t/0)[0]"}
  - cut: {from: lead, to: slow, listener: replication}
  - {wait: "not slow in isr(t/0)"}
  - heal: {from: lead, to: slow, listener: replication}
  - {wait: whole()}
  - cut: {from: lead, to: slow, listener: replication, one_way: true}
  - {wait: "not slow in isr(t/0)"}
  - heal: {from: lead, to: slow, listener: replication, one_way: true}
  - {wait: whole()}
  - isolate: {node: slow, clients: true}
  - {wait: fenced(slow)}
  - rejoin: {node: slow, clients: true}
  - {wait: not fenced(slow)}
  - reset: {from: lead, to: clients, listener: client}
  - cut: {from: nodes(), to: clients}
  - let: {before: acked()}
  - run: 200ms
  - {expect: acked() <= before + 2}
  - heal_all: true
  - {wait: acked() > before + 5}
)yaml");
}

TEST_CASE("single messages are held, delayed, dropped and repeated") {
  passes(R"yaml(
  - let: {lead: leader(t/0), a: "followers(t/0)[0]"}
  - hold: {as: late, api: Fetch, reply: true, from: lead, to: a}
  - {wait: held(late) == 1, within: 5s}
  - run: 300ms
  - {expect: "hw(a, t/0) < hw(lead, t/0)", say: the follower waits for its answer
}
  - release: late
  - {wait: held(late) == 0}
  - delay: {api: Fetch, from: a, to: lead, by: 100ms, count: 2}
  - drop: {api: raft_append, from: controller(), count: 3}
  - duplicate: {api: Produce, from: clients, count: 3}
  - run: 1s
  - {wait: whole()}
)yaml");
}

TEST_CASE("disks and clocks fail and heal") {
  passes(R"yaml(
  - let: {lead: leader(t/0), a: "followers(t/0)[0]"}
  - disk: {node: a, fault: stall, op: sync, path: .log}
  - {wait: "not a in isr(t/0)"}
  - disk_heal: a
  - {wait: whole()}
  - disk: {node: a, fault: slow, op: sync, by: 20ms}
  - run: 300ms
  - disk_heal: a
  - clock: {node: a, offset: -60s, drift_ppm: 500}
  - run: 1s
  - kill: a
  - disk: {node: a, fault: wipe}
  - start: a
  - {wait: whole(), within: 30s}
)yaml");
}

TEST_CASE("a broker whose disk fails ends itself and lives on after a restart") {
  passes("  - disk: {node: n1, fault: eio}\n  - {wait: down(n1), within: 5s}\n  - start: n1\n");
}

TEST_CASE("a disk that lies about its syncs is seen by the invariants, not excused") {
  const TrialResult trial = play_text("  - disk: {node: n1, fault: lie}\n  - run: 500ms\n");
  const bool seen =
      std::ranges::any_of(trial.violations, [](const Violation& one) { return one.invariant == "CommittedIsSynced"; });
  CHECK(seen);
}

TEST_CASE("clients stop and go on; a burst of records is awaited") {
  passes(R"yaml(
  - clients: off
  - {wait: unacked() == 0}
  - let: {before: sent()}
  - run: 500ms
  - {expect: sent() == before}
  - send: {topic: t, partition: 0, count: 5}
  - {expect: sent() == before + 5 and acked() == before + 5}
  - {expect: "all(x in nodes(): end(x, t/0) >= 5)"}
  - clients: on
  - {wait: acked() > before + 15}
  - send: {topic: t, acks: "1", count: 2, wait: false}
)yaml");
}

TEST_CASE("the controller elects, alters, creates and deletes when asked") {
  passes(R"yaml(
  - let: {first: "replicas(t/0)[0]", next: "replicas(t/0)[1]"}
  - make_leader: {node: next, partition: t/0}
  - {expect: "leader(t/0) == next and follows(first, t/0) == next and leads(next, t/0)"}
  - elect: {partition: t/0}
  - {wait: leader(t/0) == first}
  - alter: {topic: t, set: {min.insync.replicas: 1}}
  - create: {topic: u, partitions: 2, replication: 3}
  - {wait: whole() and size(replicas(u/1)) == 3}
  - delete: {topic: u}
  - {wait: size(replicas(u/1)) == 0}
)yaml");
}

TEST_CASE("voters leave and come back") {
  passes(R"yaml(
  - let: {a: "(nodes() - {controller()})[0]"}
  - {expect: voters() == nodes() and raft_leader(a) == controller() and raft_term(a) >= 1}
  - voters: {remove: a}
  - {wait: "voters() == nodes() - {a}"}
  - {voters: {add: a}, wait: false}
  - {wait: voters() == nodes()}
  - {wait: "raft_end(a) == raft_end(controller()) and raft_commit(a) > 0"}
)yaml");
}

TEST_CASE("loops and choices") {
  passes(R"yaml(
  - let: {n: sent()}
  - repeat: {times: 3, do: [{send: {topic: t}}]}
  - each: {in: followers(t/0), as: x, do: [{expect: x != leader(t/0)}, {if: x == x, then: [{send: {topic: t}}]}]}
  - {expect: sent() >= n + 5}
  - if: leader(t/0) == 0
    then: [{expect: false}]
    else: [{expect: true}]
)yaml");
}

TEST_CASE("a situation that does not come about makes the world unknown, with its place") {
  const TrialResult waited = play_text("  - {wait: down(n1), within: 1s, say: n1 dies}\n");
  CHECK(waited.outcome() == checker::Outcome::unknown);
  CHECK(waited.trouble == "test:6:5: wait: never came to pass: n1 dies");
  CHECK(exit_code(waited) == checker::exit_code(checker::Outcome::unknown));
  const TrialResult expected = play_text("  - if: \"true\"\n    then: [{expect: down(n1)}]\n");
  CHECK(expected.trouble == "test:7:12: expect: does not hold: down(n1)");
  const TrialResult wanting = play_text("  - {wait: \"elr(t/0)[0] == n1\", within: 1s}\n");
  CHECK(wanting.trouble.ends_with("(there is no [0] in {})"));
}

TEST_CASE("a step that makes no sense here is told from a situation that did not come about") {
  const std::pair<const char*, const char*> kTable[] = {
      {"  - kill: leader(t/9)\n", "test:6:5: kill: leader(t/9) is 0: no node"},
      {"  - {wait: leader(t/0)}\n", "test:6:5: wait: leader(t/0) is neither true nor false"},
      {"  - disk: {node: n1, fault: wipe}\n", "test:6:5: disk: node 1 runs: its disk cannot be wiped"},
      {"  - send: {topic: other}\n", "test:6:5: send: other-0 is no partition of the workload"},
      {"  - alter: {topic: t, set: {retention.bytes: lots}}\n", "test:6:5: alter: the controller refused"},
  };
  for (const auto& [steps, expected] : kTable) {
    CAPTURE(steps);
    const TrialResult trial = play_text(steps);
    CHECK_MESSAGE(trial.trouble.starts_with(expected), trial.trouble);
    CHECK(!trial.unmet);
  }
}

}  // namespace
}  // namespace ordeal::sim
