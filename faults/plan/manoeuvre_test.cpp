#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "faults/plan/conductor.h"
#include "faults/plan/draw.h"
#include "faults/plan/targets.h"

namespace ordeal::plan {
namespace {

constexpr std::string_view kPlan = R"yaml(
random:
  start: 1s
  every: 5s
  hold: 500ms
  choose:
    - name: zombie
      weight: 3
      steps:
        - {id: deaf, do: net.partition, on: {from: leader, to: follower}, params: {shape: link}, hold: {uniform: [3s, 9s]}}
        - {id: out, when: {after: deaf, phase: begin, delay: {uniform: [100ms, 2s]}}, do: proc.kill, on: from(deaf)}
        - {id: next, when: {event: partition.leader, since: out, delay: 50ms}, do: proc.pause, on: "all - same(deaf)",
                           until : {event : partition.isr, timeout : 4s}
}
        - {id: back, when: {after: out}, do: partition.elect, hold: 0s}
)yaml";

Plan plan_of(std::string_view text) {
  auto plan = parse_plan(text, "p.yaml");
  REQUIRE_MESSAGE(plan.has_value(), plan.error().text);
  return *plan;
}

std::string error_of(const std::string& steps) {
  const auto plan = parse_plan("random:\n  choose:\n    - name: m\n      steps:\n" + steps, "p.yaml");
  REQUIRE_FALSE(plan.has_value());
  return plan.error().text;
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

const Step& step_of(const Plan& plan, std::string_view id) {
  const auto found = std::ranges::find(plan.steps, id, &Step::id);
  REQUIRE(found != plan.steps.end());
  return *found;
}

TEST_CASE("a manoeuvre survives print and parse, as a choice and drawn") {
  const Plan plan = plan_of(kPlan);
  const auto again = plan_of(to_json(plan).dump());
  CHECK(to_json(again) == to_json(plan));
  CHECK(to_json(draw(again, 4, 60s)) == to_json(draw(plan, 4, 60s)));
  const Plan drawn = draw(plan, 4, 60s);
  CHECK(to_json(plan_of(to_json(drawn).dump())) == to_json(drawn));
  const std::vector<Verb> verbs = verbs_of(plan);
  CHECK(verbs == verbs_of(drawn));
  CHECK(std::ranges::find(verbs, Verb::partition_elect) != verbs.end());
  CHECK_FALSE(check_verbs(plan, {Verb::net_partition, Verb::proc_kill, Verb::proc_pause}, "here").has_value());
}

TEST_CASE(
    "drawing names a manoeuvre's steps after its place, rewrites what they name, and keeps the next one "
    "apart") {
  std::set<Duration> delays;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Plan drawn = draw(plan_of(kPlan), seed, 60s);
    REQUIRE(drawn.steps.size() >= 8);
    CHECK(drawn.steps.size() % 4 == 0);
    const Step& deaf = step_of(drawn, "r1.deaf");
    const Step& out = step_of(drawn, "r1.out");
    CHECK(deaf.when.time == Duration(1s));
    CHECK(deaf.of == "zombie");
    CHECK(*deaf.hold >= 3s);
    CHECK(*deaf.hold <= 9s);
    CHECK(out.when.step == "r1.deaf");
    CHECK(out.when.delay >= 100ms);
    CHECK(out.when.delay <= 2s);
    CHECK(out.on.nodes == "from(r1.deaf)");
    CHECK(*out.hold == Duration(500ms));
    CHECK(step_of(drawn, "r1.next").when.since == "r1.out");
    CHECK(step_of(drawn, "r1.next").on.nodes == "all - same(r1.deaf)");
    CHECK_FALSE(step_of(drawn, "r1.next").hold.has_value());
    CHECK(out.seed != deaf.seed);
    CHECK(step_of(drawn, "r2.deaf").when.time > deaf.when.time + *deaf.hold);
    delays.insert(out.when.delay);
  }
  CHECK(delays.size() > 10);
}

TEST_CASE("the same place draws the same manoeuvre, whatever another choice beside it is") {
  std::string other(kPlan);
  other.replace(other.find("proc.pause"), 10, "proc.kill ");
  const Plan one = draw(plan_of(kPlan), 7, 60s);
  const Plan two = draw(plan_of(other), 7, 60s);
  CHECK(to_json(step_of(one, "r2.out")) == to_json(step_of(two, "r2.out")));
}

TEST_CASE("a manoeuvre that names what is not above it is refused with its place") {
  const std::string first = "        - {id: a, do: proc.kill, on: one}\n";
  const std::string unknown = error_of(first + "        - {id: b, when: {after: aa}, do: proc.kill, on: one}\n");
  CHECK_MESSAGE(has(unknown, "p.yaml:6:11: random.choose[0].steps[1]"), unknown);
  CHECK_MESSAGE(has(unknown, "there is no step 'aa' above it (did you mean a?)"), unknown);
  CHECK(has(error_of(first + "        - {id: b, when: {after: a}, do: proc.kill, on: same(c)}\n"),
            "no step 'c' above it"));
  const std::string itself = error_of(first + "        - {id: b, when: {after: b}, do: proc.kill, on: one}\n");
  CHECK_MESSAGE(has(itself, "waits for itself"), itself);
  CHECK(has(error_of("        - {id: a, when: {after: b}, do: proc.kill, on: one}\n" + first), "no when"));
  CHECK(has(error_of(first + first), "'a' is used twice"));
  CHECK(has(error_of(first + "        - {id: b, do: proc.kill, on: one}\n"), "which step above it"));
  CHECK(has(error_of(first + "        - {id: b, when: 3s, do: proc.kill, on: one}\n"), "waits for another"));
  CHECK(has(error_of("        - {do: proc.kill, on: one}\n"), "needs an id"));
  CHECK(has(error_of("        []\n"), "a list of at most"));
}

TEST_CASE("a plan's own step may name another by its hosts, and not one that is not there") {
  CHECK(parse_plan("steps: [{id: a, do: proc.kill, on: one}, {when: {after: a}, do: proc.pause, on: same(a)}]", "p")
            .has_value());
  const auto wrong = parse_plan("steps: [{id: lone, do: proc.kill, on: one}, {do: proc.pause, on: to(lon)}]", "p");
  REQUIRE_FALSE(wrong.has_value());
  CHECK_MESSAGE(has(wrong.error().text, "steps[1].on: there is no step 'lon' (did you mean lone?)"),
                wrong.error().text);
  CHECK_FALSE(parse_plan("steps: [{do: proc.kill, on: same()}]", "p").has_value());
  CHECK_FALSE(parse_plan("steps: [{do: proc.kill, on: same}]", "p").has_value());
}

WorldView five_nodes() {
  WorldView view;
  for (int i = 1; i <= 5; ++i) view.nodes.push_back(node_name(i));
  view.clients = {"c1"};
  for (const PartitionId partition : {0, 1}) {
    PartitionRole& role = view.partitions[{"t", partition}];
    role.leader = partition == 0 ? "n2" : "n3";
    role.isr = role.replicas =
        partition == 0 ? std::set<std::string>{"n1", "n2", "n4"} : std::set<std::string>{"n3", "n5"};
  }
  view.controller = "n1";
  view.voters = {"n1", "n2", "n3"};
  return view;
}

TEST_CASE("what a step meant is what later ones name, with its ends and its partition") {
  const WorldView view = five_nodes();
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    Plan plan = draw(plan_of(kPlan), seed, 60s);
    std::vector<Step>& steps = plan.steps;
    CHECK_FALSE(resolve(steps[1], view, steps).has_value());  // the first has not acted
    auto first = resolve(steps[0], view, steps);
    REQUIRE(first.has_value());
    steps[0].resolved = *first;
    const TopicPartition at = *first->partition;
    CHECK(first->from == std::vector<std::string>{view.partitions.at(at).leader});
    REQUIRE(first->to.size() == 1);
    const auto out = resolve(steps[1], view, steps);
    REQUIRE(out.has_value());
    CHECK(out->targets == first->from);
    steps[1].resolved = *out;
    CHECK(*out->partition == at);
    Step bare;
    bare.when = steps[1].when;
    bare.seed = seed;
    bare.on.nodes = "leader | followers";
    const auto whole = resolve(bare, view, steps);
    REQUIRE(whole.has_value());
    CHECK(std::set<std::string>(whole->targets.begin(), whole->targets.end()) == view.partitions.at(at).replicas);
    const auto rest = resolve(steps[2], view, steps);
    REQUIRE(rest.has_value());
    CHECK(rest->targets.size() == 3);
    const auto elect = resolve(steps[3], view, steps);
    REQUIRE(elect.has_value());
    CHECK(*elect->partition == at);
    CHECK(to_json(plan_of(to_json(plan).dump())) == to_json(plan));  // with resolutions
  }
}

TEST_CASE("voters and observers are those of the quorum, once a node has told them") {
  WorldView view = five_nodes();
  Step step;
  step.verb = Verb::quorum_voters;
  step.on = {"observers", "controller", ""};
  const auto found = resolve(step, view);
  REQUIRE(found.has_value());
  CHECK(found->targets == std::vector<std::string>{"n4", "n5"});
  CHECK(found->from == std::vector<std::string>{"n1"});
  TraceEvent event;
  event.kind = "raft.voters";
  event.fields = {{"index", "9"}, {"voters", "1,2,3,5"}};
  RoleTracker::observe(event, view);
  event.fields = {{"index", "3"}, {"voters", "1"}};
  RoleTracker::observe(event, view);
  CHECK(resolve(step, view)->targets == std::vector<std::string>{"n4"});
  view.voters.clear();
  CHECK_FALSE(resolve(step, view).has_value());
}

TEST_CASE("after a step of a manoeuvre has missed, the rest of it misses; another's steps go on") {
  Conductor conductor(draw(plan_of(kPlan), 3, 60s));
  std::vector<std::size_t> begun;
  for (const Action& action : conductor.advance(1s)) begun.push_back(action.step);
  CHECK(begun == std::vector<std::size_t>{0});
  CHECK(conductor.gave_up(1s, 0).empty());
  TraceEvent event;
  event.kind = "partition.leader";
  CHECK(conductor.observe(2s, event).empty());
  const Duration second = step_of(conductor.plan(), "r2.deaf").when.time;
  CHECK(conductor.next_deadline() == second);
  const auto next = conductor.advance(second);
  REQUIRE(next.size() == 1);
  CHECK(next[0].step == 4);
}

TEST_CASE("events from before the step that a trigger names do not count") {
  Conductor conductor(draw(plan_of(kPlan), 3, 60s));
  TraceEvent event;
  event.kind = "partition.leader";
  CHECK(conductor.advance(1s).size() == 1);
  CHECK(conductor.began(1s, 0).empty());
  CHECK(conductor.observe(1050ms, event).empty());
  const Duration out = *conductor.next_deadline();
  CHECK(conductor.advance(out).size() == 1);
  CHECK(conductor.began(out, 1).empty());
  CHECK(conductor.observe(out + 10ms, event).empty());
  const auto next = conductor.advance(out + 60ms);
  REQUIRE(next.size() == 1);
  CHECK(next[0].step == 2);
}

}  // namespace
}  // namespace ordeal::plan
