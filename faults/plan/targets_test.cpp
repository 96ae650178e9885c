#include <doctest/doctest.h>

#include <set>

#include "faults/plan/targets.h"

namespace ordeal::plan {
namespace {

void observe(WorldView& view, std::string_view line) {
  const auto event = parse_trace_line(line);
  REQUIRE_MESSAGE(event.has_value(), event.error().text);
  RoleTracker::observe(*event, view);
}

WorldView three_nodes() {
  WorldView view;
  view.nodes = {"n1", "n2", "n3"};
  view.clients = {"c1", "c2"};
  observe(view, R"({"t":1,"n":3,"k":"controller.active","term":4})");
  observe(
      view,
      R"({"t":2,"n":2,"k":"partition.leader","topic":"t","partition":0,"leader_epoch":5,"partition_epoch":7,"isr":"1,2"})");
  observe(view, R"({"t":2,"n":3,"k":"partition.follower","topic":"t","partition":0,"leader_epoch":5,"leader":2})");
  return view;
}

WorldView many_nodes(int count) {
  WorldView view;
  for (int i = 1; i <= count; ++i) view.nodes.push_back(node_name(i));
  view.clients = {"c1"};
  return view;
}

std::vector<std::string> hosts(const std::string& expression, const WorldView& view, std::uint64_t seed = 1) {
  Step step;
  step.on.nodes = expression;
  step.seed = seed;
  const auto resolution = resolve(step, view);
  if (!resolution) return {resolution.error().to_string()};
  return resolution->targets;
}

Resolution partition(Shape shape, Targets on, const WorldView& view, Verb verb = Verb::net_partition) {
  Step step;
  step.verb = verb;
  step.params.shape = shape;
  step.on = std::move(on);
  step.seed = 1;
  auto resolution = resolve(step, view);
  REQUIRE_MESSAGE(resolution.has_value(), resolution.error().text);
  return *resolution;
}

using Names = std::vector<std::string>;

TEST_CASE("roles come from the traces") {
  const WorldView view = three_nodes();
  CHECK(hosts("controller", view) == Names{"n3"});
  CHECK(hosts("leader(t/0)", view) == Names{"n2"});
  CHECK(hosts("leader", view) == Names{"n2"});
  CHECK(hosts("follower(t/0)", view) == Names{"n1"});
  CHECK(hosts("followers(t/0)", view) == Names{"n1", "n3"});
  CHECK(hosts("isr(t/0)", view) == Names{"n1", "n2"});
  CHECK(hosts("outsiders(t/0)", view) == Names{"n3"});
}

TEST_CASE("sets combine, and & binds tighter") {
  const WorldView view = three_nodes();
  CHECK(hosts("all - controller", view) == Names{"n1", "n2"});
  CHECK(hosts("n1 | n2 & n3 | n2", view) == Names{"n1", "n2"});
  CHECK(hosts("(n1 | n2) & (n2|n3)", view) == Names{"n2"});
  CHECK(hosts("all-leader(t/0)-controller", view) == Names{"n1"});
  CHECK(hosts("clients", view) == Names{"c1", "c2"});
}

TEST_CASE("random sets have the right size, follow the seed, and reach everyone") {
  const WorldView view = many_nodes(5);
  CHECK(hosts("minority", view).size() == 2);
  CHECK(hosts("majority", view).size() == 3);
  CHECK(hosts("random(4)", view).size() == 4);
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    CHECK(hosts("one", view, seed) == hosts("one", view, seed));
    seen.insert(hosts("one", view, seed)[0]);
  }
  CHECK(seen.size() == 5);
}

TEST_CASE("what nobody holds is a miss, not a guess") {
  WorldView view = three_nodes();
  CHECK(hosts("leader(t/9)", view)[0].starts_with(errc_name(Errc::not_found)));
  CHECK(hosts("n7", view)[0].starts_with(errc_name(Errc::not_found)));
  CHECK(hosts("killed", view)[0].starts_with(errc_name(Errc::not_found)));
  view.controller.clear();
  CHECK(hosts("controller", view)[0].find("no controller is known") != std::string::npos);
}

TEST_CASE("process faults draw from the nodes that still run") {
  WorldView view = three_nodes();
  view.killed = {"n1"};
  view.paused = {"n3"};
  for (std::uint64_t seed = 0; seed < 20; ++seed) CHECK(hosts("random", view, seed) == Names{"n2"});
}

TEST_CASE("isolate cuts a node from nodes and clients, brokers-not-clients only from nodes") {
  const WorldView view = three_nodes();
  CHECK(partition(Shape::isolate, {"n2", "", ""}, view).cuts.size() == 8);
  const Resolution zombie = partition(Shape::brokers_not_clients, {"leader", "", ""}, view);
  CHECK(zombie.cuts == std::vector<Cut>{{"n1", "n2"}, {"n2", "n1"}, {"n2", "n3"}, {"n3", "n2"}});
  CHECK(zombie.role == "leader(t/0)");
  CHECK(zombie.epoch == 5);
  CHECK(zombie.holder == "n2");
}

TEST_CASE("links, simplex and client cuts name both ends") {
  const WorldView view = three_nodes();
  CHECK(partition(Shape::link, {"", "n1", "controller"}, view).cuts == std::vector<Cut>{{"n1", "n3"}, {"n3", "n1"}});
  CHECK(partition(Shape::isolate, {"", "n1", "n2"}, view, Verb::net_simplex).cuts == std::vector<Cut>{{"n1", "n2"}});
  CHECK(partition(Shape::isolate, {"n1", "", ""}, view, Verb::net_simplex).cuts ==
        std::vector<Cut>{{"n1", "c1"}, {"n1", "c2"}, {"n1", "n2"}, {"n1", "n3"}});
  CHECK(partition(Shape::client_broker, {"", "clients", "n2"}, view).cuts.size() == 4);
}

TEST_CASE("a bare leader and follower of one step speak of one partition") {
  WorldView view = three_nodes();
  observe(
      view,
      R"({"t":2,"n":1,"k":"partition.leader","topic":"u","partition":0,"leader_epoch":1,"partition_epoch":1,"isr":"1,3"})");
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Step step;
    step.verb = Verb::net_partition;
    step.params.shape = Shape::link;
    step.on = {"", "leader", "follower"};
    step.seed = seed;
    const auto resolution = resolve(step, view);
    REQUIRE(resolution.has_value());
    const bool t = resolution->targets == Names{"n1", "n2"} && resolution->role == "leader(t/0)";
    const bool u = resolution->targets == Names{"n1", "n3"} && resolution->role == "leader(u/0)";
    CHECK((t || u));
  }
}

TEST_CASE("a bridge leaves one node that sees both halves; it and the ring need four nodes") {
  const Resolution bridge = partition(Shape::bridge, {"n3", "", ""}, many_nodes(5));
  CHECK(bridge.cuts.size() == 8);
  for (const Cut& cut : bridge.cuts) CHECK((cut.from != "n3" && cut.to != "n3"));
  CHECK(partition(Shape::ring, {"all", "", ""}, many_nodes(5)).cuts.size() == 10);
  Step step;
  step.verb = Verb::net_partition;
  step.params.shape = Shape::bridge;
  step.on.nodes = "n1";
  const auto refused = resolve(step, many_nodes(3));
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == Errc::invalid_argument);
}

TEST_CASE("a replay uses what was resolved before") {
  Step step;
  step.on.nodes = "leader";
  step.resolved = Resolution{{"n3"}, {}, "leader(t/0)", 5, "n3", {}, {}, {}};
  CHECK(resolve(step, three_nodes())->targets == Names{"n3"});
}

TEST_CASE("the higher epoch wins, whatever arrives later") {
  WorldView view = three_nodes();
  observe(
      view,
      R"({"t":9,"n":1,"k":"partition.leader","topic":"t","partition":0,"leader_epoch":4,"partition_epoch":9,"isr":"1"})");
  CHECK(view.partitions.at({"t", 0}).leader == "n2");
  observe(
      view,
      R"({"t":9,"n":2,"k":"partition.isr","topic":"t","partition":0,"leader_epoch":5,"partition_epoch":6,"isr":"2"})");
  CHECK(view.partitions.at({"t", 0}).isr.size() == 2);
  observe(view, R"({"t":9,"n":1,"k":"controller.active","term":3})");
  CHECK(view.controller == "n3");
  observe(view, R"({"t":9,"n":3,"k":"controller.resigned","term":4})");
  CHECK(view.controller.empty());
}

TEST_CASE("a role that moved to another node is told, one that stayed is not") {
  WorldView view = three_nodes();
  Step step;
  step.on.nodes = "leader(t/0)";
  const Resolution before = *resolve(step, view);
  CHECK(why_moved(before, view).empty());
  observe(
      view,
      R"({"t":9,"n":1,"k":"partition.leader","topic":"t","partition":0,"leader_epoch":6,"partition_epoch":8,"isr":"1"})");
  CHECK(why_moved(before, view) == "leader(t/0) moved from n2 to n1 in epoch 6");
}

TEST_CASE("converged means a controller, leaders and full ISRs") {
  WorldView view = three_nodes();
  CHECK(why_not_converged(view) == "t/0: the ISR has 2 of 3 replicas");
  observe(
      view,
      R"({"t":9,"n":2,"k":"partition.isr","topic":"t","partition":0,"leader_epoch":5,"partition_epoch":8,"isr":"2,1,3"})");
  CHECK(why_not_converged(view).empty());
  view.killed = {"n2"};
  CHECK(why_not_converged(view) == "t/0: its leader n2 is down");
  CHECK(why_not_converged(WorldView{}) == "no controller is known");
}

TEST_CASE("damaged trace lines are refused") {
  for (const char* line : {"", "x", "[]", "{}", R"({"k":3})", R"({"k":"a")"})
    CHECK_FALSE(parse_trace_line(line).has_value());
}

TEST_CASE("a fault on links goes one way between two sets, and both ways around one") {
  const WorldView view = three_nodes();
  CHECK(partition(Shape::isolate, {{}, "n1", "n2 | n3"}, view, Verb::net_delay).cuts ==
        std::vector<Cut>{{"n1", "n2"}, {"n1", "n3"}});
  const Resolution around = partition(Shape::isolate, {"n1", {}, {}}, view, Verb::net_clog);
  CHECK(around.targets == Names{"n1"});
  CHECK(around.cuts.size() == 8);  // two nodes and two clients, both ways
  CHECK(partition(Shape::isolate, {{}, {}, {}}, view, Verb::net_message).cuts == std::vector<Cut>{{"*", "*"}});
  const Resolution to_leader = partition(Shape::isolate, {{}, {}, "leader(t/0)"}, view, Verb::net_message);
  CHECK(to_leader.cuts == std::vector<Cut>{{"*", "n2"}});
  CHECK(to_leader.role == "leader(t/0)");
}

}  // namespace
}  // namespace ordeal::plan
