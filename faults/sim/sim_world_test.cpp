#include "faults/sim/sim_world.h"

#include <doctest/doctest.h>

#include <set>

#include "broker/env/sync.h"
#include "broker/kv/rocks_store.h"

namespace ordeal::sim {
namespace {

using StreamPtr = std::unique_ptr<env::Stream>;
constexpr std::uint16_t kPort = 9092;
std::string host_of(NodeId id) { return fmt::format("10.77.0.{}", 10 + id); }

// A small server that stands in for a broker: it keeps the numbers clients send in RocksDB, acknowledges each after a
// synced write, and pings its peers all the while.
class Keeper {
 public:
  explicit Keeper(NodeContext& context) : context_(context), env_(context.env), gate_(env_.scheduler) {
    env_.trace.info("broker.start", {{"incarnation", static_cast<std::int64_t>(context.incarnation)}});
    env_.scheduler.spawn(run(this), "keeper");
  }
  ~Keeper() { env_.trace.info("keeper.destroyed", {}); }

  static env::Task<> stop(Keeper* self) {
    if (self->listener_) self->listener_->close();
    co_await self->gate_.close();
    self->store_.reset();
    self->context_.exit();
  }

 private:
  static env::Task<> run(Keeper* self) {
    auto open = [self] { return kv::pinned_rocks_factory(self->env_.disk, self->context_.fatal)("/data/metadata"); };
    auto opened = co_await env::blocking(self->env_.scheduler, open);
    if (!opened) {
      self->context_.fatal(opened.error().to_string());
      co_return;
    }
    self->store_ = std::move(*opened);
    auto listening = self->env_.network.listen({"", kPort});
    REQUIRE(listening.has_value());
    self->listener_ = std::move(*listening);
    for (NodeId peer = 1; peer <= 3; ++peer)
      if (peer != self->context_.node) self->gate_.spawn(ping(self, peer), "ping");
    self->env_.trace.info("broker.ready", {});
    while (true) {
      Result<StreamPtr> stream = co_await self->listener_->accept();
      if (!stream) co_return;
      self->gate_.spawn(serve(self, std::move(*stream)), "serve");
    }
  }

  static env::Task<> serve(Keeper* self, StreamPtr stream) {
    while (!self->gate_.closing()) {
      Bytes request(8);
      Status read = co_await stream->read_exact(request);
      if (!read) co_return;
      const auto number = load_be<std::uint64_t>(request.data());
      if (number != 0) {
        auto keep = [self, number] {
          kv::WriteBatch batch;
          batch.put(fmt::format("{:08}", number), "kept");
          return self->store_->write(batch, kv::Sync::yes);
        };
        Status kept = co_await env::blocking(self->env_.scheduler, keep);
        if (!kept) {
          self->context_.fatal(kept.error().to_string());
          co_return;
        }
      }
      Status replied = co_await stream->write_all(request);
      if (!replied) co_return;
    }
  }

  static env::Task<> ping(Keeper* self, NodeId peer) {
    StreamPtr stream;
    while (true) {
      bool go_on = co_await self->gate_.sleep_for(Duration(self->env_.random.between(5'000'000, 15'000'000)));
      if (!go_on) co_return;
      if (!stream) {
        Result<StreamPtr> made =
            co_await self->env_.network.connect({host_of(peer), kPort}, self->env_.scheduler.now() + 50ms);
        if (!made) continue;
        stream = std::move(*made);
      }
      Bytes hello(8);
      Status sent = co_await stream->write_all(hello);
      Status heard = sent;
      if (sent) heard = co_await stream->read_exact(hello);
      if (!heard) {
        stream.reset();
        self->env_.trace.info("ping.failed", {{"peer", peer}});
      }
    }
  }

  NodeContext& context_;
  env::Env env_;
  env::Gate gate_;
  std::unique_ptr<kv::KvStore> store_;
  std::unique_ptr<env::Listener> listener_;
};

// Sends rising numbers to one node, reconnecting for ever, and remembers which were acknowledged.
env::Task<> produce(env::Env* env, Endpoint to, std::set<std::uint64_t>* acknowledged) {
  std::uint64_t number = 0;
  while (true) {
    Result<StreamPtr> stream = co_await env->network.connect(to, env->scheduler.now() + 100ms);
    if (!stream) {
      co_await env->scheduler.sleep_for(20ms);
      continue;
    }
    bool usable = true;
    while (usable) {
      Bytes request(8);
      store_be(request.data(), ++number);
      Status sent = co_await (*stream)->write_all(request);
      if (sent) sent = co_await (*stream)->read_exact(request);
      usable = sent.has_value();
      if (usable) acknowledged->insert(number);
      co_await env->scheduler.sleep_for(1ms);
    }
  }
}

struct Fixture {
  explicit Fixture(std::uint64_t seed) : world(WorldOptions{.seed = seed}) {
    for (NodeId id = 1; id <= 3; ++id) {
      world.add_node(id, host_of(id), [](NodeContext& context) { return std::make_shared<Keeper>(context); });
      world.start(id);
    }
    client = &world.add_client("10.77.0.101");
    for (NodeId id = 1; id <= 3; ++id)
      world.spawn(*client, produce(client, {host_of(id), kPort}, &acknowledged[id]), "produce");
  }

  std::set<std::uint64_t> kept(NodeId id) {
    std::set<std::uint64_t> numbers;
    DiskHandle handle(world.disk(id));
    auto store = kv::pinned_rocks_factory(handle)("/data/metadata");
    REQUIRE(store.has_value());
    REQUIRE((*store)
                ->scan({}, {},
                       [&](std::string_view key, std::string_view) {
                         return numbers.insert(std::stoull(std::string(key))).second;
                       })
                .has_value());
    return numbers;
  }

  void check_kept() {
    for (NodeId id = 1; id <= 3; ++id) {
      world.kill(id);
      const std::set<std::uint64_t> numbers = kept(id);
      CHECK(acknowledged[id].size() > 50);
      for (const std::uint64_t number : acknowledged[id]) CHECK(numbers.contains(number));
    }
  }

  std::map<NodeId, std::set<std::uint64_t>> acknowledged;
  World world;
  env::Env* client = nullptr;
};

// Ten seconds of every fault this world knows, drawn from the seed.
void torment(World& world) {
  Random draw = world.random().fork("torment");
  for (int round = 0; round < 40; ++round) {
    world.run_for(Duration(draw.between(50'000'000, 400'000'000)));
    const auto id = static_cast<NodeId>(draw.between(1, 3));
    const auto other = static_cast<NodeId>(id % 3 + 1);
    switch (draw.below(8)) {
      case 0:
        world.kill(id);
        break;
      case 1:
        world.power_cut(id);
        break;
      case 2:
        world.pause(id);
        break;
      case 3:
        world.isolate(host_of(id));
        break;
      case 4:
        world.cut_one_way(host_of(id), host_of(other));
        break;
      case 5:
        world.disk(id).crash_in_call(1 + draw.below(30), draw.chance(1, 2) ? CrashKind::power : CrashKind::process);
        break;
      case 6:
        world.network().clog(host_of(id), host_of(other), world.now() + 200ms);
        break;
      default:
        world.heal_all();
        break;
    }
    for (const NodeId node : world.nodes()) {
      if (world.state(node) == NodeState::down && draw.chance(1, 2)) world.start(node);
      if (world.state(node) == NodeState::paused && draw.chance(1, 2)) world.resume(node);
    }
  }
}

struct Outcome {
  std::uint64_t digest;
  std::uint64_t last_draw;
  std::size_t acknowledged;
  std::vector<std::string> trace;
  bool operator==(const Outcome&) const = default;
};

Outcome tormented(std::uint64_t seed) {
  Fixture test(seed);
  torment(test.world);
  Outcome outcome{test.world.digest(), test.world.last_draw(), test.acknowledged[1].size(), {}};
  for (const TraceEvent& event : test.world.trace().events()) outcome.trace.push_back(event.to_json());
  test.world.heal_all();
  for (const NodeId node : test.world.nodes()) {
    test.world.resume(node);
    if (test.world.state(node) == NodeState::down) test.world.start(node);
  }
  test.world.run_for(1s);
  test.check_kept();
  return outcome;
}

}  // namespace

TEST_CASE("one seed gives one world, faults, RocksDB and all; another seed gives another") {
  const Outcome first = tormented(1);
  const Outcome second = tormented(1);
  const Outcome other = tormented(2);
  CHECK(first.trace.size() > 30);
  CHECK(first == second);
  CHECK(first.digest != other.digest);
  CHECK(first.last_draw != other.last_draw);
}

TEST_CASE("what was acknowledged survives every fault, over many seeds") {
  for (std::uint64_t seed = 10; seed < 13; ++seed) tormented(seed);
}

TEST_CASE("a killed node says nothing more, and its process object is destroyed") {
  Fixture test(3);
  test.world.run_for(100ms);
  CHECK(test.world.state(1) == NodeState::running);
  test.world.kill(1);
  CHECK(test.world.state(1) == NodeState::down);
  for (const TraceEvent& event : test.world.trace().events()) CHECK(event.kind != "keeper.destroyed");
  test.world.kill(1);  // a no-op
  test.world.start(1);
  test.world.run_for(100ms);
  CHECK(test.world.incarnation(1) == 2);
  int starts = 0;
  for (const TraceEvent& event : test.world.trace().events())
    if (event.node == 1 && event.kind == "broker.start") CHECK(event.number("incarnation") == ++starts);
  CHECK(starts == 2);
}

TEST_CASE("a node may end itself, in order or by a fatal error, from inside its own step") {
  Fixture test(4);
  test.world.run_for(200ms);
  // In order: on the node's own queue, as its signal handler would.
  Keeper* keeper = &test.world.process<Keeper>(1);
  test.world.spawn(test.world.env(1), Keeper::stop(keeper), "stop");
  CHECK(test.world.run_until([&] { return test.world.state(1) == NodeState::down; }, 1s));
  CHECK_FALSE(test.world.last_fatal(1).has_value());
  test.world.disk(2).inject({.op = FileOp::sync, .path_part = ".log"});
  CHECK(test.world.run_until([&] { return test.world.state(2) == NodeState::down; }, 1s));
  CHECK(test.world.last_fatal(2)->find("injected fault") != std::string::npos);
  CHECK(test.world.state(3) == NodeState::running);
}

TEST_CASE("a crash drawn inside a file call kills the node there and then") {
  Fixture test(5);
  test.world.run_for(200ms);
  test.world.disk(3).crash_in_call(10, CrashKind::power);
  CHECK(test.world.run_until([&] { return test.world.state(3) == NodeState::down; }, 1s));
  const std::uint64_t operations = test.world.disk(3).operations();
  test.world.run_for(1s);
  CHECK(test.world.disk(3).operations() == operations);
  test.world.start(3);
  test.world.run_for(500ms);
  test.check_kept();
}

TEST_CASE("observers see each event as it happens, and world events run at their time") {
  Fixture test(6);
  int ready = 0;
  test.world.trace().observe([&ready](const TraceEvent& event) { ready += event.kind == "broker.ready" ? 1 : 0; });
  Instant ran{};
  test.world.at(Instant(50ms), [&] {
    ran = test.world.now();
    test.world.kill(1);
    test.world.start(1);
  });
  test.world.run_for(1s);
  CHECK(ready == 4);
  CHECK(ran >= Instant(50ms));
  CHECK(ran < Instant(51ms));
}

}  // namespace ordeal::sim
