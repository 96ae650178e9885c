// What surrounds the history: trial, faults and traces as files, evidence, lanes, and what is written out.
#include "checker/run_folder.h"

#include <doctest/doctest.h>

#include "checker/evidence.h"
#include "checker/lanes.h"
#include "checker/story.h"
#include "checker/test_history.h"

using namespace ordeal;
using namespace ordeal::checker;
using ordeal::checker::testing::fault;
using ordeal::checker::testing::leader;
using ordeal::checker::testing::Script;

namespace {

Facts facts_of(Context context, std::int32_t partition = 0, std::uint64_t t0 = 10) {
  return Evidence(context, t0).facts({"t", partition});
}

FaultEvent begin(std::uint64_t t, const std::string& id, const std::string& kind, std::vector<std::string> targets) {
  return fault(t, "fault.begin", id, {{"kind", kind}, {"targets", targets}, {"verified", true}});
}

}  // namespace

TEST_CASE("trial.json: flat and grouped settings, promises, requirements, nodes") {
  Context context;
  std::string world;
  REQUIRE(parse_trial(R"({"schema":1,"run_id":"r","world":"sim","promises":"durable","min_faults":3,
      "required_faults":["f1"],"nodes":[{"id":1,"address":"10.77.0.11"},2],
      "effective":{"acks":1,"client":{"enable.idempotence":false},"broker":{"log.flush.interval.messages":"1"}}})",
                      "trial.json", context, world));
  CHECK(world == "sim");
  CHECK(context.run_id == "r");
  CHECK(context.promise_set == "durable");
  CHECK(context.min_faults == 3);
  CHECK(context.required_faults == std::vector<std::string>{"f1"});
  CHECK(context.nodes == std::vector<std::int32_t>{1, 2});
  CHECK(context.settings.acks == Acks::leader);
  CHECK_FALSE(context.settings.idempotence);
  CHECK(context.settings.fsync);
}

TEST_CASE("trial.json: damage and newer schemas name the file") {
  Context context;
  std::string world;
  CHECK(parse_trial("{", "r/trial.json", context, world).error().text.starts_with("r/trial.json"));
  CHECK(parse_trial(R"({"schema":2})", "t", context, world).error().code == Errc::unsupported);
  CHECK(parse_trial(R"({})", "t", context, world).error().code == Errc::corrupt);
  CHECK(parse_trial(R"({"schema":1,"effective":{"acks":"x"}})", "t", context, world).error().code ==
        Errc::invalid_argument);
}

TEST_CASE("faults.jsonl: a line cut by its writer's death is a gap, a wrong line before it is damage") {
  const std::string good =
      R"({"t":1,"event":"fault.begin","id":"f1","kind":"proc.kill","targets":["n1"],"verified":true})"
      "\n";
  const std::string stop = R"({"t":9,"event":"nemesis.stop"})"
                           "\n";
  std::vector<std::string> gaps;
  CHECK(parse_faults(good + stop, "faults.jsonl", gaps)->size() == 2);
  CHECK(gaps.empty());
  CHECK(parse_faults(good + R"({"t":2,"eve)", "faults.jsonl", gaps)->size() == 1);
  CHECK(gaps.size() == 1);
  const auto damaged = parse_faults(good + "{oops\n" + stop, "faults.jsonl", gaps);
  REQUIRE_FALSE(damaged);
  CHECK(damaged.error().text.find("faults.jsonl line 2") != std::string::npos);
}

TEST_CASE("trace.jsonl: a torn line of a killed broker does not hide the next life") {
  const auto events = parse_trace(
      "{\"t\":1,\"n\":1,\"k\":\"broker.start\"}\n{\"t\":2,\"n\":1,\"k\":\"broker.re{\"t\":3,\"n\":1,\"k\":\"broker."
      "start\"}\n"
      "garbage\n{\"t\":4,\"n\":1,\"k\":\"broker.ready\"}\n{\"t\":5,");
  REQUIRE(events.size() == 3);
  CHECK(events[1].t_ns == 3);
  CHECK(events[2].kind == "broker.ready");
}

TEST_CASE("fault spans: acted only when begun and verified") {
  const auto spans =
      fault_spans({fault(5, "fault.plan", "f2", {{"kind", "proc.kill"}}), begin(10, "f1", "proc.kill", {"n2"}),
                   fault(20, "fault.heal", "f1"), fault(25, "fault.converged", "f1"), fault(30, "fault.missed", "f2"),
                   fault(40, "fault.begin", "f3", {{"kind", "proc.pause"}, {"verified", false}})});
  REQUIRE(spans.size() == 3);
  CHECK(spans[0].id == "f1");
  CHECK(spans[0].acted());
  CHECK(spans[0].nodes == std::set<std::int32_t>{2});
  CHECK(spans[0].heal_ns == 20);
  CHECK(spans[0].converged_ns == 25);
  CHECK(spans[1].status == "failed");
  CHECK(spans[2].status == "missed");
  CHECK(spans[0].overlaps(15, 16));
  CHECK_FALSE(spans[0].overlaps(21, 22));
  CHECK(faults_in_words(spans) == "1 fault (1 kill)");
}

TEST_CASE("fault spans: what missed its target or could not be healed acted, and counts for nothing") {
  const auto spans =
      fault_spans({begin(10, "f1", "proc.kill", {"n2"}), fault(11, "fault.missed", "f1", {{"acted", true}}),
                   begin(20, "f2", "net.partition", {"n1"}), fault(30, "fault.failed", "f2", {{"phase", "heal"}}),
                   fault(40, "fault.missed", "f3", {{"kind", "proc.kill"}, {"acted", false}})});
  REQUIRE(spans.size() == 3);
  CHECK(spans[0].acted());
  CHECK_FALSE(spans[0].counts());
  CHECK(spans[1].acted());
  CHECK_FALSE(spans[1].counts());
  CHECK_FALSE(spans[2].acted());
}

TEST_CASE("node names") {
  CHECK(node_named("n2") == 2);
  CHECK(node_named("3") == 3);
  CHECK(node_named("node-4") == 4);
  CHECK(node_named("10.77.0.12") == 2);
  CHECK(node_named("10.77.0.101") == -1);  // a client's
  CHECK(node_named("leader") == -1);
  CHECK(parse_nodes("1,2, 3") == std::set<std::int32_t>{1, 2, 3});
  CHECK(parse_nodes("") == std::set<std::int32_t>{});
}

TEST_CASE("evidence: leaders that moved before the workload did not move") {
  Context context;
  context.faults = {begin(20, "f1", "proc.kill", {"n1"})};
  context.traces = {leader(1, 1, 0), leader(5, 2, 1)};
  CHECK(facts_of(context)["leader_moved"] == "no");
  CHECK(facts_of(context, 1)["leader_moved"] == "yes");  // no trace of it: doubt goes to the accused
  context.traces.push_back(leader(30, 2, 2));
  CHECK(facts_of(context)["leader_moved"] == "yes");
  CHECK(facts_of(context)["leader_changed"] == "no");
  context.traces.push_back(leader(40, 3, 3));
  CHECK(facts_of(context)["leader_changed"] == "yes");
  context.faults.clear();
  CHECK(facts_of(context, 1)["leader_moved"] == "no");
}

TEST_CASE("evidence: unclean elections count only where they are permitted") {
  Context context;
  context.traces = {leader(11, 1, 1, "1"), leader(30, 2, 2, "2")};
  CHECK(facts_of(context)["unclean_election"] == "no");
  context.settings.unclean = true;
  CHECK(facts_of(context)["unclean_election"] == "yes");
  context.traces = {leader(11, 1, 1, "1,2"), leader(30, 2, 2, "2")};
  CHECK(facts_of(context)["unclean_election"] == "no");
}

TEST_CASE("evidence: power and disks of the whole in-sync set") {
  Context context;
  context.traces = {leader(11, 1, 1, "1,2")};
  context.faults = {begin(20, "f1", "node.power_cut", {"n1"})};
  CHECK(facts_of(context)["power_cut"] == "yes");
  CHECK(facts_of(context)["safe_set_lost_power"] == "no");
  context.faults.push_back(begin(21, "f2", "node.power_cut", {"n2", "n3"}));
  CHECK(facts_of(context)["safe_set_lost_power"] == "yes");
  CHECK(facts_of(context)["storage_damaged"] == "no");
  context.faults = {begin(20, "f1", "disk.wipe", {"n1"})};
  CHECK(facts_of(context)["storage_damaged"] == "yes");
  CHECK(facts_of(context)["safe_set_damaged"] == "no");
}

TEST_CASE("broker lanes: down, paused, cut, controller") {
  Context context;
  context.nodes = {1, 2};
  context.faults = {fault(20, "node.exit", "", {{"node", 1}}), fault(30, "node.start", "", {{"node", 1}}),
                    begin(40, "f1", "proc.pause", {"n1"}),     fault(50, "fault.heal", "f1"),
                    begin(60, "f2", "net.partition", {"n2"}),  fault(70, "fault.heal", "f2")};
  context.traces = {{25, 2, "controller.active", {{"term", 3}}}, {26, 1, "controller.active", {{"term", 2}}}};
  const auto lanes = broker_lanes(context, fault_spans(context.faults), 10, 100);
  REQUIRE(lanes.size() == 2);
  std::vector<std::string> states;
  for (const auto& span : lanes[0]["spans"]) states.push_back(span["state"]);
  CHECK(states == std::vector<std::string>{"up", "down", "up", "paused", "up"});
  const auto& second = lanes[1]["spans"];
  CHECK(second[0]["controller"] == false);
  CHECK(second[1]["controller"] == true);
  CHECK(second[1]["from_ns"] == 25);
  CHECK(second[2]["state"] == "cut");
  CHECK(second.back()["to_ns"] == 100);
}

TEST_CASE("partition lanes: the higher epoch wins where two claim a partition") {
  Context context;
  context.traces = {
      leader(10, 1, 1),
      leader(30, 2, 2, "2,3"),
      leader(35, 1, 1),
      {40, 1, "partition.hw", {{"topic", "t"}, {"partition", 0}, {"leader_epoch", 1}, {"hw", 5}}},
      {41, 2, "partition.hw", {{"topic", "t"}, {"partition", 0}, {"leader_epoch", 2}, {"hw", 7}}},
      {50, 2, "partition.isr", {{"topic", "t"}, {"partition", 0}, {"leader_epoch", 2}, {"isr", "1,2,3"}}}};
  const auto lanes = partition_lanes(context, 0, 100);
  REQUIRE(lanes.size() == 1);
  const auto& spans = lanes[0]["spans"];
  REQUIRE(spans.size() == 3);
  CHECK(spans[0]["leader"] == 1);
  CHECK(spans[1]["leader"] == 2);
  CHECK(spans[1]["isr"] == nlohmann::json({2, 3}));
  CHECK(spans[2]["isr"] == nlohmann::json({1, 2, 3}));
  CHECK(spans[2]["to_ns"] == 100);
  CHECK(lanes[0]["hw"] == nlohmann::json::parse("[[41,7]]"));
}

TEST_CASE("aggregates add up and lie on one axis") {
  Script s;
  for (std::uint64_t v = 0; v < 100; ++v) s.send(v, static_cast<Offset>(v));
  s.invoke(100).info(100).invoke(101).failed(101).poll({{0, 0}, {1, 1}});
  const auto history = s.history();
  const auto out = aggregates(history, Context{}, 10);
  const std::size_t buckets = out["series"]["send_ok"].size();
  CHECK(buckets <= 11);
  for (const char* name : {"send_fail", "send_info", "read"}) CHECK(out["series"][name].size() == buckets);
  for (const char* name : {"p50", "p99", "p999", "max"}) CHECK(out["latency_ms"][name].size() == buckets);
  std::uint64_t ok = 0, read = 0;
  for (const auto& n : out["series"]["send_ok"]) ok += n.get<std::uint64_t>();
  for (const auto& n : out["series"]["read"]) read += n.get<std::uint64_t>();
  CHECK(ok == 100);
  CHECK(read == 2);
  CHECK(out["latency_ms"]["p50"][0] == 1.0);
  CHECK(out["t1_ns"].get<std::uint64_t>() <=
        out["t0_ns"].get<std::uint64_t>() + buckets * out["bucket_ns"].get<std::uint64_t>());
}

TEST_CASE("verdict.json has every field, and the terminal block begins with the word") {
  Context context;
  context.faults = {begin(1'000'000, "f1", "proc.kill", {"n2"}), fault(9'000'000, "fault.heal", "f1")};
  context.traces = {leader(1'500'000, 3, 4)};
  const Verdict verdict = Script().send(0, 0).send(1, 1).audit({{0, 0}}, 2).judge(context);
  const auto json = to_json(verdict);
  for (const char* key :
       {"schema", "run_id", "verdict", "sentence", "reasons", "promise_set", "properties", "violations", "counts"})
    CHECK(json.contains(key));
  CHECK(json["verdict"] == "fail");
  CHECK(json["run_id"] == "test");
  const auto& lost = json["properties"][0];
  CHECK(lost["name"] == "lost-write");
  CHECK(lost["status"] == "violated");
  const auto& violation = json["violations"][lost["first_violation"].get<std::size_t>()];
  CHECK(violation["faults"] == nlohmann::json({"f1"}));
  CHECK(violation["operations"][0]["function"] == "send");
  CHECK(violation["trace"].size() == 1);
  CHECK(violation["from_ns"].get<std::uint64_t>() <= violation["to_ns"].get<std::uint64_t>());
  const std::string text = summary(verdict);
  CHECK(text.starts_with("FAIL  lost-write"));
  CHECK(text.find("n2 killed") != std::string::npos);
  CHECK(text.find("lost 1") != std::string::npos);
  CHECK(summary(Script().send(0, 0).audit({{0, 0}}, 1).judge()).starts_with("PASS"));
  CHECK(summary(Script().judge()).starts_with("UNKNOWN"));
}

TEST_CASE("words") {
  CHECK(grouped(0) == "0");
  CHECK(grouped(1234567) == "1,234,567");
  CHECK(clock_text(83'418'000'000, 60'000'000'000) == "00:23.418");
}
