#include "faults/sim/sim_executor.h"

#include <doctest/doctest.h>

#include <set>

#include "broker/env/sync.h"

namespace ordeal::sim {
namespace {

struct Fixture {
  explicit Fixture(std::uint64_t seed = 1) : random(seed), loop(LoopOptions{}, digest) {
    for (std::uint64_t id = 1; id <= 3; ++id)
      nodes.push_back(std::make_unique<SimScheduler>(loop, id, random.fork(std::to_string(id)), BlockingProfile{}));
  }
  Digest digest;
  Random random;
  SimLoop loop;
  std::vector<std::unique_ptr<SimScheduler>> nodes;
};

env::Task<> speak(env::Scheduler& scheduler, std::string name, std::string* said) {
  for (int i = 0; i < 5; ++i) {
    *said += name;
    co_await scheduler.sleep_for(1ms);
  }
}

std::string interleaving(std::uint64_t seed) {
  Fixture world(seed);
  std::string said;
  for (std::size_t i = 0; i < 3; ++i)
    world.nodes[i]->spawn(speak(*world.nodes[i], std::string(1, static_cast<char>('a' + i)), &said), "speak");
  world.loop.run_until(Instant(1s));
  return said + std::to_string(world.digest.value());
}

struct Alive {
  explicit Alive(int* counter) : count(counter) { ++*count; }
  ~Alive() { --*count; }
  Alive(const Alive&) = delete;
  Alive& operator=(const Alive&) = delete;
  int* count;
};

env::Task<> hold_for_ever(env::Scheduler& scheduler, env::Signal* signal, int* alive, bool* resumed) {
  Alive held(alive);
  bool notified = co_await signal->wait(scheduler.now() + 1h);
  *resumed = true;
  static_cast<void>(notified);
}

// Posts more work from its destructor, as the clean-up of suspended frames does.
struct Bomb {
  Bomb(SimScheduler* node, int left) : where(node), depth(left) {}
  Bomb(Bomb&& other) noexcept : where(std::exchange(other.where, nullptr)), depth(other.depth) {}
  ~Bomb() {
    if (where != nullptr && depth > 0) where->post([next = Bomb(where, depth - 1)] { static_cast<void>(next.depth); });
  }
  SimScheduler* where;
  int depth;
};

}  // namespace

TEST_CASE("one seed gives one interleaving, another seed another") {
  CHECK(interleaving(1) == interleaving(1));
  CHECK(interleaving(1) != interleaving(2));
  std::set<std::string> orders;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) orders.insert(interleaving(seed).substr(0, 3));
  CHECK(orders.size() == 6);  // every order of three nodes is met
}

TEST_CASE("timers fire in order of time, not before it, and time jumps when idle") {
  Fixture world;
  std::vector<std::pair<int, Instant>> fired;
  for (const int ms : {30, 10, 20})
    world.nodes[0]->call_at(Instant(std::chrono::milliseconds(ms)),
                            [&fired, &world, ms] { fired.emplace_back(ms, world.loop.now()); });
  world.loop.run_until(Instant(1s));
  REQUIRE(fired.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(fired[i].first == static_cast<int>(10 * (i + 1)));
    CHECK(fired[i].second >= Instant(std::chrono::milliseconds(fired[i].first)));
    CHECK(fired[i].second < Instant(std::chrono::milliseconds(fired[i].first) + 100us));
  }
  CHECK(world.loop.now() == Instant(1s));
}

TEST_CASE("a cancelled timer never runs, not even when it was due in the same instant") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Fixture world(seed);
    int ran = 0;
    env::TimerId ids[2] = {};
    for (int i = 0; i < 2; ++i) {
      ids[i] = world.nodes[0]->call_at(Instant(5ms), [&world, &ids, &ran, i] {
        ++ran;
        world.nodes[0]->cancel(ids[1 - i]);
      });
    }
    world.loop.run_until(Instant(10ms));
    CHECK(ran == 1);
    world.nodes[0]->cancel(ids[0]);
    CHECK(world.nodes[0]->empty());
  }
}

TEST_CASE("blocking work takes time, and nothing resumes before it is done") {
  Fixture world;
  Instant ended{};
  int value = 0;
  auto work = [](SimScheduler* node, int* out, Instant* at) -> env::Task<> {
    auto compute = [] { return 42; };
    *out = co_await env::blocking(*node, compute);
    *at = node->now();
  };
  world.nodes[0]->spawn(work(world.nodes[0].get(), &value, &ended), "work");
  world.loop.run_until(Instant(1s));
  CHECK(value == 42);
  CHECK(ended >= Instant(BlockingProfile{}.min));
}

TEST_CASE("a paused node runs nothing until it is resumed") {
  Fixture world;
  std::string said;
  world.nodes[0]->spawn(speak(*world.nodes[0], "x", &said), "speak");
  world.loop.run_until(Instant(2500us));
  CHECK(said == "xxx");
  world.nodes[0]->pause();
  world.loop.run_until(Instant(1s));
  CHECK(said == "xxx");
  world.nodes[0]->resume();
  world.loop.run_until(Instant(2s));
  CHECK(said == "xxxxx");
}

TEST_CASE("dropping a node destroys its frames without resuming them") {
  Fixture world;
  int alive = 0;
  bool resumed = false;
  env::Signal signal(*world.nodes[0]);
  for (int i = 0; i < 10; ++i) world.nodes[0]->spawn(hold_for_ever(*world.nodes[0], &signal, &alive, &resumed), "hold");
  world.loop.run_until(Instant(1ms));
  CHECK(alive == 10);
  signal.notify_all();  // some are on their way already when the node dies
  world.nodes[0]->drop_all();
  CHECK(alive == 0);
  CHECK_FALSE(resumed);
  CHECK(world.nodes[0]->empty());
  world.nodes[0]->spawn(hold_for_ever(*world.nodes[0], &signal, &alive, &resumed), "late");
  world.loop.run_until(Instant(10s));
  CHECK(alive == 0);
}

TEST_CASE("dropping goes on until clean-up posts nothing more") {
  Fixture world;
  world.nodes[1]->post([bomb = Bomb(world.nodes[1].get(), 5)] { static_cast<void>(bomb.depth); });
  world.nodes[1]->drop_all();
  CHECK(world.nodes[1]->empty());
}

TEST_CASE("a gate's sleepers and a oneshot's waiter work on the simulated queue") {
  Fixture world;
  env::Gate gate(*world.nodes[0]);
  env::OneShot<int> reply(*world.nodes[0]);
  int got = 0;
  int rounds = 0;
  auto ticker = [](env::Gate* held, int* count) -> env::Task<> {
    while (true) {
      bool go_on = co_await held->sleep_for(10ms);
      if (!go_on) co_return;
      ++*count;
    }
  };
  auto waiter = [](env::OneShot<int>* promise, int* out) -> env::Task<> {
    std::optional<int> value = co_await promise->wait();
    *out = value.value_or(-1);
  };
  gate.spawn(ticker(&gate, &rounds), "ticker");
  gate.spawn(waiter(&reply, &got), "waiter");
  world.loop.run_until(Instant(105ms));
  CHECK(rounds >= 9);
  reply.set(7);
  gate.begin_close();
  world.loop.run_until(Instant(200ms));
  CHECK(got == 7);
  CHECK(gate.tasks() == 0);
}

TEST_CASE("each node has its own wall clock") {
  Fixture world;
  world.nodes[0]->clocks().wall_offset = 90s;
  CHECK(world.nodes[0]->wall_ms() - world.nodes[1]->wall_ms() == 90'000);
}

TEST_CASE("a drifting clock never jumps, and its timers are due by what it shows") {
  for (const std::int64_t ppm : {-200'000, -50, 50, 1000, 300'000}) {
    DriftingClock clock;
    clock.set_rate(Instant(10s), ppm);
    CHECK(clock.read(Instant(10s)) == Instant(10s));
    const Instant shown = clock.read(Instant(20s));
    CHECK(shown == Instant(20s) + Duration(10'000 * ppm));
    for (const Duration ahead : {Duration(1), Duration(999'999), Duration(7s)}) {
      const Instant due = clock.when(shown + ahead);
      CHECK(clock.read(due) >= shown + ahead);
      CHECK(clock.read(due - Duration(1)) < shown + ahead);
    }
    clock.set_rate(Instant(20s), 0);
    CHECK(clock.read(Instant(20s)) == shown);
    CHECK(clock.read(Instant(21s)) == shown + 1s);
    CHECK(clock.when(shown + 1s) == Instant(21s));
  }
}

TEST_CASE("timers under way follow a change of their node's rate") {
  Fixture world;
  Instant fired{};
  Instant shown{};
  world.nodes[0]->call_at(Instant(10s), [&] {
    fired = world.loop.now();
    shown = world.nodes[0]->now();
  });
  world.loop.run_until(Instant(5s));
  world.nodes[0]->clocks().timers.set_rate(world.loop.now(), 250'000);
  world.nodes[0]->timers_changed();
  world.loop.run_until(Instant(20s));
  CHECK(fired >= Instant(9s));
  CHECK(fired < Instant(9s) + 1ms);
  CHECK(shown >= Instant(10s));
}

TEST_CASE("without shuffling a node's tasks run in the order in which they became ready") {
  Digest digest;
  SimLoop loop(LoopOptions{.shuffle = false}, digest);
  SimScheduler node(loop, 1, Random(3), BlockingProfile{});
  std::vector<int> order;
  for (int i = 0; i < 50; ++i) node.post([&order, i] { order.push_back(i); });
  loop.run_until(Instant(1ms));
  REQUIRE(order.size() == 50);
  CHECK(std::is_sorted(order.begin(), order.end()));
}

TEST_CASE("a slow call makes blocking work late, and straight from the queue it stops the node") {
  Fixture world;
  SimScheduler& node = *world.nodes[0];
  Instant ended{};
  auto work = [](SimScheduler* on, Instant* at) -> env::Task<> {
    auto call = [on] { on->slow_call(1s); };
    co_await env::blocking(*on, call);
    *at = on->now();
  };
  node.spawn(work(&node, &ended), "work");
  world.loop.run_until(Instant(5s));
  CHECK(ended >= Instant(1s));
  CHECK(ended < Instant(1s) + 30ms);
  node.post([&node] { node.slow_call(2s); });
  world.loop.run_until(Instant(5s) + 1ms);
  Instant ran{};
  node.post([&] { ran = world.loop.now(); });
  world.loop.run_until(Instant(10s));
  CHECK(ran >= Instant(7s));
  CHECK(ran < Instant(7s) + 1ms);
}

TEST_CASE("the log of draws names the first that differs") {
  const auto run = [](std::uint64_t seed, DrawLog* log) {
    Fixture world(seed);
    world.digest.keep_log(log);
    for (std::size_t i = 0; i < 3; ++i) {
      auto count = [](SimScheduler* node) -> env::Task<> { co_await node->sleep_for(1ms); };
      world.nodes[i]->spawn(count(world.nodes[i].get()), "count");
    }
    world.loop.run_until(Instant(1s));
  };
  DrawLog logs[3];
  run(1, &logs[0]);
  run(1, &logs[1]);
  run(2, &logs[2]);
  CHECK(logs[0].size() > 10);
  CHECK(DrawLog::first_difference(logs[0], logs[1]).empty());
  const std::string named = DrawLog::first_difference(logs[0], logs[2]);
  CHECK(named.starts_with("draw 1: order of 1 "));
  CHECK(named.find("in step 0, then order of 1 ") != std::string::npos);
}

}  // namespace ordeal::sim
