// Scenario files: read, printed and read again; refused with the place of what is wrong.
#include <doctest/doctest.h>

#include "broker/base/random.h"
#include "faults/scenario/scenario.h"

namespace ordeal::scenario {
namespace {

constexpr std::string_view kEverything = R"yaml(
name: everything
title: "a step of each sort: nothing is meant"
bug: A1
property: lost-write
seed: 18446744073709551615
cluster:
  nodes: 5
  set: {replica.lag.time.max.ms: 30000, "unclean.leader.election.enable": true}
  network: {latency: [1ms, 2ms], slow_in: 0, slow_max: 40ms, window: 4096, split_in: 2}
  shuffle: false
  buggify: true
workload: {rate: 50, client: native, topics: [{name: t, partitions: 1, replication: 3, configs: {retention.ms: "100"}}]}
script:
  - run: 1500ms
  - let: {old: "leader(t/0)", others: "followers(t/0)"}
  - {wait: "all(x in others: hw(x, t/0) < hw(old, t/0))", within: 10s, say: "they lag, all of them", every: step}
  - {expect: leader(t/0) == old, say: 'it is: so'}
  - kill: "{n1, n2}"
  - {crash: n1, call: 3, kind: power, path: .log}
  - cut: {from: n1, to: others, listener: replication, one_way: true}
  - heal: {from: n1, to: clients}
  - isolate: {node: n1, listener: control, clients: true}
  - heal_all: true
  - hold: {as: late, api: Fetch, reply: true, from: n1, to: n2, skip: 0, count: 1}
  - {wait: held(late) == 1}
  - release: late
  - disk: {node: n1, fault: slow, op: sync, path: ".log", by: 200ms}
  - clock: {node: n1, offset: -60s, drift_ppm: 500}
  - clients: off
  - send: {topic: t, partition: 0, count: 5, within: 10s, wait: false}
  - {voters: {add: n4}, wait: false}
  - repeat:
      times: 3
      do:
        - each: {in: "isr(t/0)", as: x, do: [{kill: x}, {start: x}]}
  - if: leader(t/0) == 0
    then: [{run: 1s}]
    else:
      - if: "true"
        then: [{heal_all: true}]
  - alter: {topic: t, set: {retention.bytes: 1}}
  - elect: {partition: t/0, unclean: true}
)yaml";

TEST_CASE("a scenario is read, printed and read again without a change") {
  const auto first = parse_scenario(kEverything, "all.yaml");
  REQUIRE_MESSAGE(first.has_value(), first.error().text);
  CHECK(first->seed == UINT64_MAX);
  CHECK(first->cluster.nodes == 5);
  CHECK(first->cluster.set.at("replica.lag.time.max.ms") == "30000");
  CHECK(first->cluster.network.latency_max == 2ms);
  REQUIRE(first->script.size() == 22);
  CHECK(first->script[0].verb == "run");
  CHECK(first->script[0].where == "all.yaml:15:5");
  CHECK(first->script[17].arguments["wait"] == false);
  CHECK(first->script[18].steps.at(0).steps.at(1).verb == "start");
  CHECK(first->script[19].otherwise.at(0).verb == "if");

  const std::string yaml = to_yaml(*first);
  const auto again = parse_scenario(yaml, "again");
  REQUIRE_MESSAGE(again.has_value(), again.error().text << "\n" << yaml);
  CHECK(to_json(*again) == to_json(*first));
  CHECK(to_yaml(*again) == yaml);
  const auto from_json = parse_scenario(to_json(*first).dump(), "json");
  REQUIRE_MESSAGE(from_json.has_value(), from_json.error().text);
  CHECK(to_json(*from_json) == to_json(*first));
}

TEST_CASE("a scenario may hold a plan and a time instead of a script") {
  const auto read = parse_scenario(R"(
name: drawn
seed: 7
plan:
  min_faults: 1
  steps: [{id: f1, when: 5s, do: proc.kill, on: leader(t/0), hold: 3s, seed: 99}]
time: 20s
)",
                                   "p.yaml");
  REQUIRE_MESSAGE(read.has_value(), read.error().text);
  REQUIRE(read->plan.has_value());
  CHECK(read->plan->steps.at(0).seed == 99);
  CHECK(read->time == 20s);
  const auto again = parse_scenario(to_yaml(*read), "again");
  REQUIRE_MESSAGE(again.has_value(), again.error().text << to_yaml(*read));
  CHECK(to_json(*again) == to_json(*read));
}

TEST_CASE("what is wrong is said with file, line, column and the path of the key") {
  const std::pair<const char*, const char*> kTable[] = {
      {"- a", "x: a scenario is a mapping"},
      {"name: a\ntitel: b", "x:2:1: unknown key 'titel' (did you mean title?)"},
      {"seed: one", "x:1:7: seed: a whole number"},
      {"bug: no.such", "x:1:6: bug: no known bug is 'no.such'"},
      {"cluster: {nodes: 0}", "x:1:18: cluster.nodes: a whole number from 1"},
      {"cluster: {nodes: 3, set: {min.insync.replica: 2}}",
       "x:1:26: cluster.set: no broker has a setting min.insync.replica; did you mean min.insync.replicas?"},
      {"cluster:\n  network: {latency: [2ms, 1ms]}", "x:2:22: cluster.network.latency: the first is to be the smaller"},
      {"script: {run: 1s}", "x:1:9: script: a list of steps is expected"},
      {"script:\n  - run: 5", "x:2:10: script[0].run: '5' is no duration"},
      {"script:\n  - kil: n1", "x:2:5: script[0]: no verb is 'kil' (did you mean kill?)"},
      {"script:\n  - {kill: n1, start: n2}", "x:2:5: script[0]: kill and start are two steps"},
      {"script:\n  - kill: n4", "x:2:11: script[0].kill: at character 1: there is no n4: the cluster has 3 nodes"},
      {"script:\n  - kill: {n1, n2}", "x:2:11: script[0].kill: an expression is expected"},
      {"script:\n  - {wait: old == 1}", "x:2:12: script[0].wait: at character 1: nothing is named old here"},
      {"script:\n  - {wait: whole(), withn: 1s}", "x:2:21: script[0]: unknown key 'withn' (did you mean within?)"},
      {"script:\n  - let: {leader: n1}", "x:2:11: script[0].let: 'leader' has a meaning already"},
      {"script:\n  - cut: {from: n1}", "x:2:5: script[0]: cut needs to"},
      {"script:\n  - disk: {node: n1, fault: fire}", "x:2:29: script[0].disk.fault: 'fire' is none of: eio"},
      {"script:\n  - release: late", "x:2:14: script[0].release: no earlier step holds messages as late"},
      {"script:\n  - repeat: {times: 2, do: [{run: x}]}", "x:2:35: script[0].repeat.do[0].run: 'x' is no duration"},
      {"plan: {steps: [{when: 1s, do: proc.kil, on: n1}]}", "x:1:"},
      {"plan: {steps: []}\nscript: [{run: 1s}]", "x:2:9: script: there is a plan already"},
      {"name: [", "x:"},
  };
  for (const auto& [text, expected] : kTable) {
    CAPTURE(text);
    const auto read = parse_scenario(text, "x");
    REQUIRE(!read.has_value());
    CHECK_MESSAGE(read.error().text.starts_with(expected), read.error().text);
  }
  std::string deep = "{run: 1s}";
  for (int i = 0; i < 30; ++i) deep = "{repeat: {times: 1, do: [" + deep + "]}}";
  CHECK(!parse_scenario("script: [" + deep + "]", "x").has_value());
  CHECK(!parse_scenario(std::string(3'000'000, ' '), "x").has_value());
}

TEST_CASE("damaged text is refused or read, never worse, and what is read prints to what is read again") {
  Random random(1);
  int accepted = 0;
  for (int round = 0; round < 1500; ++round) {
    std::string text(kEverything);
    for (std::uint64_t edits = 1 + random.below(3); edits > 0; --edits) {
      const std::size_t at = random.below(text.size());
      if (random.below(3) == 0)
        text.erase(at, 1 + random.below(8));
      else
        text[at] = static_cast<char>(random.below(96) + 32);
    }
    const auto read = parse_scenario(text, "damaged");
    if (!read) continue;
    ++accepted;
    const auto again = parse_scenario(to_yaml(*read), "again");
    REQUIRE_MESSAGE(again.has_value(), again.error().text << "\n" << to_yaml(*read));
    REQUIRE(to_json(*again) == to_json(*read));
  }
  CHECK(accepted > 50);
}

TEST_CASE("every file of the corpus parses, is named after its file, and prints to what it says") {
  for (const std::string& name : corpus_names()) {
    CAPTURE(name);
    const auto text = corpus_text(name);
    REQUIRE(text.has_value());
    const auto read = parse_scenario(*text, name + ".yaml");
    REQUIRE_MESSAGE(read.has_value(), read.error().text);
    CHECK(read->name == name);
    CHECK(!read->title.empty());
    const auto again = parse_scenario(to_yaml(*read), name);
    REQUIRE_MESSAGE(again.has_value(), again.error().text);
    CHECK(to_json(*again) == to_json(*read));
  }
  CHECK(!corpus_text("no.such").has_value());
}

}  // namespace
}  // namespace ordeal::scenario
