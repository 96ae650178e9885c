#include "faults/sim/plan_runner.h"

#include <doctest/doctest.h>

#include "broker/env/sync.h"
#include "faults/plan/draw.h"

namespace ordeal::sim {
namespace {

// Three nodes that only speak: enough roles for a plan to aim at. Node 2 leads t/0, node 1 is the controller.
struct Speaker {
  explicit Speaker(NodeContext& context) {
    env::Env& env = context.env;
    env.trace.info("broker.start", {{"incarnation", static_cast<std::int64_t>(context.incarnation)}});
    if (context.node == 1) env.trace.info("controller.active", {{"term", 1}});
    if (context.node == 2) {
      env.trace.info("partition.leader", {{"topic", "t"},
                                          {"partition", 0},
                                          {"leader_epoch", 5},
                                          {"partition_epoch", 7},
                                          {"isr", "1,2,3"},
                                          {"start_offset", 0}});
    }
    env.scheduler.spawn(be_ready(&context), "ready");
  }
  static env::Task<> be_ready(NodeContext* context) {
    co_await context->env.scheduler.sleep_for(200ms);
    context->env.trace.info("broker.ready", {});
  }
};

plan::Plan parsed(std::string_view text) {
  auto plan = plan::parse_plan(text, "test");
  REQUIRE_MESSAGE(plan.has_value(), (plan ? std::string() : plan.error().text));
  return *plan;
}

struct Fixture {
  explicit Fixture(std::string_view text, std::uint64_t seed = 1) : world(WorldOptions{.seed = seed}) {
    for (NodeId id = 1; id <= 3; ++id) {
      world.add_node(id, fmt::format("10.77.0.{}", 10 + id),
                     [](NodeContext& context) { return std::make_shared<Speaker>(context); });
    }
    world.add_client("10.77.0.101");
    runner = std::make_unique<PlanRunner>(world, plan::draw(parsed(text), seed, 30s),
                                          std::vector<std::string>{"10.77.0.101"}, [this](NodeId id) {
                                            ++stops;
                                            if (stoppable) world.kill(id);
                                          });
    for (NodeId id = 1; id <= 3; ++id) world.start(id);
    world.run_for(1s);
    runner->start();
  }
  std::string story() const {
    std::string text;
    for (const FaultEvent& event : runner->events()) {
      text += event.event.substr(6) + "(" + event.step;
      for (const std::string& target : event.targets) text += " " + target;
      text += event.verified ? ") " : " unverified) ";
    }
    return text;
  }
  World world;
  std::unique_ptr<PlanRunner> runner;
  int stops = 0;
  bool stoppable = true;
};

}  // namespace

TEST_CASE("a kill aims at the leader, and its heal is the node saying that it is ready again") {
  Fixture test("name: k\nsteps: [{id: a, when: 1s, do: proc.kill, on: leader(t/0), hold: 2s}]");
  test.world.run_for(1500ms);
  CHECK(test.world.state(2) == NodeState::down);
  CHECK(test.runner->view().killed == std::set<std::string>{"n2"});
  test.world.run_for(1600ms);
  CHECK(test.world.state(2) == NodeState::running);
  CHECK(test.story() == "resolve(a n2) begin(a n2) ");
  test.world.run_for(1s);
  CHECK(test.story() == "resolve(a n2) begin(a n2) heal(a n2) ");
  CHECK(test.runner->done());
  CHECK(test.runner->verified_faults() == 1);
}

TEST_CASE("a link cut by listener stands until its time is over") {
  Fixture test(
      "name: l\nsteps: [{id: a, when: 1s, do: net.partition, on: {from: n1, to: n2}, hold: 1s, "
      "params: {shape: link, listeners: [replication]}}]");
  test.world.run_for(1500ms);
  CHECK(test.world.network().is_cut("10.77.0.11", "10.77.0.12", 9093));
  CHECK(test.world.network().is_cut("10.77.0.12", "10.77.0.11", 9093));
  CHECK_FALSE(test.world.network().is_cut("10.77.0.11", "10.77.0.12", 9094));
  test.world.run_for(1s);
  CHECK_FALSE(test.world.network().is_cut("10.77.0.11", "10.77.0.12", 9093));
}

TEST_CASE("pause, clean restart, power cut and crash each take hold and end") {
  Fixture test(
      "name: p\nsteps: [{id: a, when: 1s, do: proc.pause, on: n1, hold: 1s},"
      "{id: b, when: {after: a}, do: proc.restart, on: n2}, {id: c, when: {after: b}, do: node.power_cut, on: n3, "
      "hold: "
      "1s}, {id: d, when: {after: c}, do: node.crash, on: n3, hold: 1s}]");
  test.world.run_for(1500ms);
  CHECK(test.world.state(1) == NodeState::paused);
  test.world.run_for(20s);
  CHECK(
      test.story() ==
      "resolve(a n1) begin(a n1) heal(a n1) resolve(b n2) begin(b n2) heal(b n2) resolve(c n3) begin(c n3) heal(c n3) "
      "resolve(d n3) begin(d n3) heal(d n3) ");
  CHECK(test.stops == 1);
  CHECK(test.world.incarnation(3) == 3);
}

TEST_CASE("a node that does not stop in time is ended by force") {
  Fixture test("name: f\nsteps: [{id: a, when: 1s, do: proc.restart, on: n1, params: {timeout: 3s}}]");
  test.stoppable = false;
  test.world.run_for(2s);
  CHECK(test.runner->events().size() == 1);
  test.world.run_for(5s);
  REQUIRE(test.runner->events().size() == 3);
  CHECK(test.runner->events()[1].evidence.find("force") != std::string::npos);
}

TEST_CASE("a role nobody holds is a miss, operations trigger, and finish heals what is held") {
  Fixture test(
      "name: m\nsteps: [{id: a, when: 1s, do: proc.kill, on: leader(x/0), hold: 1s},"
      "{id: b, when: {operations: 3}, do: net.partition, on: controller}]");
  test.world.run_for(2s);
  CHECK(test.story() == "missed(a unverified) ");
  for (int i = 0; i < 3; ++i) test.runner->operation_completed();
  test.world.run_for(1ms);
  CHECK(test.world.network().is_cut("10.77.0.11", "10.77.0.13", 0));
  CHECK(test.world.network().is_cut("10.77.0.101", "10.77.0.11", 0));
  test.runner->finish();
  test.world.run_for(1ms);
  CHECK_FALSE(test.world.network().is_cut("10.77.0.11", "10.77.0.13", 0));
  CHECK(test.runner->done());
}

TEST_CASE("a built-in plan runs, the same way for the same seed") {
  std::string stories[2];
  std::uint64_t digests[2];
  for (int i = 0; i < 2; ++i) {
    Fixture test(*plan::builtin_plan_text("mixed"), 7);
    test.world.run_for(30s);
    test.runner->finish();
    test.runner->revive();
    test.world.run_for(2s);
    stories[i] = test.story();
    digests[i] = test.world.digest();
    CHECK(test.runner->verified_faults() > 1);
    CHECK(test.runner->view().killed.empty());
  }
  CHECK(stories[0] == stories[1]);
  CHECK(digests[0] == digests[1]);
}

TEST_CASE("faults on links and messages stand while they hold, and end with their step") {
  Fixture test(
      "name: l\nsteps: [{when: 1s, id: a, do: net.delay, on: {from: n1, to: n2}, params: {by: 20ms}, hold: 2s},"
      "{when: 1s, id: b, do: net.clog, on: n3, hold: 2s},"
      "{when: 1s, id: c, do: net.message, on: {to: leader(t/0)}, params: {api: Fetch, action: drop}, hold: 2s},"
      "{when: 1s, id: d, do: net.refuse, on: n1, params: {listeners: [client]}, hold: 2s},"
      "{when: 1s, id: e, do: net.reset, on: n1, params: {one_in: 9}, hold: 2s},"
      "{when: 1s, id: f, do: net.half_open, on: {from: n1, to: n2}}]");
  SimNetwork& network = test.world.network();
  const auto standing = [&] {
    return std::vector<bool>{network.is_slow("10.77.0.11", "10.77.0.12"),
                             network.is_clogged("10.77.0.13", "10.77.0.12"),
                             network.is_clogged("10.77.0.101", "10.77.0.13"),
                             network.has_message_fault("c"),
                             network.refuses("10.77.0.11", 9092),
                             network.is_losing("10.77.0.11", "10.77.0.101")};
  };
  test.world.run_for(1500ms);
  CHECK(standing() == std::vector<bool>(6, true));
  CHECK_FALSE(network.is_slow("10.77.0.12", "10.77.0.11"));
  CHECK_FALSE(network.refuses("10.77.0.11", 9093));
  test.world.run_for(3s);
  CHECK(standing() == std::vector<bool>(6, false));
  CHECK(test.runner->verified_faults() == 5);
  CHECK(test.story().find("missed(f n1 n2 unverified)") != std::string::npos);  // there was no connection to forget
}

TEST_CASE("faults on disks and clocks stand while they hold, and a node that ended over its disk is started again") {
  Fixture test(
      "name: d\nsteps: [{when: 1s, id: a, do: disk.eio, on: n1, params: {op: any, count: 5}, hold: 2s},"
      "{when: 1s, id: b, do: disk.full, on: n2, hold: 2s},"
      "{when: 1s, id: c, do: clock.jump, on: n3, params: {offset: -5s}, hold: 2s},"
      "{when: 1s, id: d, do: clock.drift, on: n3, params: {ppm: 1000, timers: true}, hold: 2s}]");
  test.world.run_for(1500ms);
  CHECK(test.world.disk(1).faulty("a"));
  CHECK(test.world.wall_offset(3) == -5s);
  CHECK(test.world.clock_drift(3) == 1000);
  test.world.kill(1);
  DiskHandle probe(test.world.disk(2));
  const auto file = probe.open("/f", env::OpenMode::create);
  REQUIRE(file.has_value());
  CHECK((*file)->write_at(0, as_bytes("x")).error().code == Errc::no_space);
  test.world.run_for(2s);
  CHECK((*file)->write_at(0, as_bytes("x")).has_value());
  CHECK_FALSE(test.world.disk(1).faulty("a"));
  CHECK(test.world.state(1) == NodeState::running);
  CHECK(test.world.incarnation(1) == 2);
  CHECK(test.world.wall_offset(3) == 0s);
  CHECK(test.world.clock_drift(3) == 0);
  CHECK(test.runner->verified_faults() == 4);
  CHECK(test.runner->done());
}

TEST_CASE("damage stays within what the plan declares") {
  for (const bool any : {false, true}) {
    Fixture test(
        fmt::format("name: w\nloss: {}\nsteps: [{{when: 1s, id: a, do: node.amnesia, on: n2, hold: 1s}},"
                    "{{when: 5s, id: b, do: disk.fsync_lie, on: n2, hold: 1s}},"
                    "{{when: 7s, id: c, do: node.amnesia, on: n3, hold: 1s}}]",
                    any ? "any" : "minority"));
    DiskHandle writer(test.world.disk(2));
    REQUIRE(writer.open("/kept", env::OpenMode::create).has_value());
    REQUIRE(writer.sync_directory("/").has_value());
    test.world.run_for(1500ms);
    CHECK(test.world.state(2) == NodeState::down);
    CHECK(test.world.disk(2).files().empty());
    test.world.run_for(20s);
    CHECK(test.world.state(2) == NodeState::running);
    CHECK(test.story() == fmt::format("resolve(a n2) begin(a n2) heal(a n2) resolve(b n2) begin(b n2) heal(b n2) "
                                      "resolve(c n3) {}",
                                      any ? "begin(c n3) heal(c n3) " : "missed(c n3 unverified) "));
  }
}

}  // namespace ordeal::sim
