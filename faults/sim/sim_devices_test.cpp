// Devices inside a whole world: disks that make their nodes wait, rare behaviour on request, connections that fail.
#include <doctest/doctest.h>

#include <set>

#include "broker/env/sync.h"
#include "faults/sim/sim_world.h"

namespace ordeal::sim {
namespace {

constexpr const char* kHost = "10.77.0.11";
constexpr const char* kClient = "10.77.0.101";
using StreamPtr = std::unique_ptr<env::Stream>;

// Writes and syncs a file once, off the run queue; ticks on the queue all the while.
struct Writer {
  explicit Writer(NodeContext& context) : env(context.env) {
    env.scheduler.spawn(tick(this), "tick");
    env.scheduler.spawn(write(this), "write");
  }
  static env::Task<> tick(Writer* self) {
    while (true) {
      co_await self->env.scheduler.sleep_for(10ms);
      ++self->ticks;
    }
  }
  static env::Task<> write(Writer* self) {
    co_await self->env.scheduler.sleep_for(50ms);
    auto work = [self] { return self->save(); };
    self->saved = co_await env::blocking(self->env.scheduler, work);
    self->done = true;
  }
  Status save() {
    auto file = env.disk.open("/f", env::OpenMode::create);
    if (!file) return fail(file.error());
    ORDEAL_TRY((*file)->write_at(0, as_bytes("AAAA")));
    ORDEAL_TRY(env.disk.sync_directory("/"));
    return (*file)->sync();
  }
  env::Env env;
  int ticks = 0;
  bool done = false;
  Status saved;
};

struct Fixture {
  explicit Fixture(WorldOptions options = {}) : world(options) {
    world.add_node(1, kHost, [](NodeContext& context) { return std::make_shared<Writer>(context); });
    world.start(1);
  }
  Writer& writer() { return world.process<Writer>(1); }
  World world;
};

env::Task<> dial(env::Env env, Endpoint to, Result<StreamPtr>* out) {
  Result<StreamPtr> stream = co_await env.network.connect(to, env.scheduler.now() + 1s);
  *out = std::move(stream);
}

env::Task<> read_to_end(env::Stream* stream, std::optional<Error>* error) {
  while (true) {
    Bytes buffer(100);
    Result<std::size_t> got = co_await stream->read_some(buffer);
    if (!got) {
      *error = got.error();
      co_return;
    }
  }
}

env::Task<> write_some(env::Stream* stream, int times) {
  for (int i = 0; i < times; ++i) {
    const Status sent = co_await stream->write_all(as_bytes("hello"));
    if (!sent) co_return;
  }
}

env::Task<> accept_all(env::Listener* listener, std::vector<StreamPtr>* out) {
  while (true) {
    Result<StreamPtr> stream = co_await listener->accept();
    if (!stream) co_return;
    out->push_back(std::move(*stream));
  }
}

// A connection from a client to a listener of the node.
struct Linked : Fixture {
  explicit Linked(WorldOptions options = {}) : Fixture(options) {
    client = &world.add_client(kClient);
    world.run_for(1ms);
    auto bound = world.env(1).network.listen({kHost, 9092});
    REQUIRE(bound.has_value());
    listener = std::move(*bound);
    world.spawn(world.env(1), accept_all(listener.get(), &accepted), "accept");
    REQUIRE(connect());
  }
  ~Linked() { world.drop_clients(); }
  bool connect() {
    dialled = fail(Errc::internal, "not yet");
    world.spawn(*client, dial(*client, {kHost, 9092}, &dialled), "dial");
    world.run_for(1100ms);
    return dialled.has_value();
  }
  env::Env* client = nullptr;
  std::unique_ptr<env::Listener> listener;
  std::vector<StreamPtr> accepted;
  Result<StreamPtr> dialled = fail(Errc::internal, "not yet");
};

}  // namespace

TEST_CASE("a stalled sync returns when it is healed; its bytes are not durable before, and the node lives on") {
  for (const bool cut : {false, true}) {
    Fixture test;
    test.world.disk(1).inject({.op = FileOp::sync, .kind = DiskFault::Kind::stall, .name = "s"});
    test.world.run_for(3s);
    CHECK_FALSE(test.writer().done);
    CHECK(test.world.disk(1).stalls());
    CHECK(test.writer().ticks > 100);
    CHECK(test.world.disk(1).durable("/f")->empty());
    if (cut) {
      test.world.power_cut(1);
      test.world.disk(1).heal("s");
      test.world.run_for(1s);
      continue;
    }
    test.world.disk(1).heal("s");
    test.world.run_for(100ms);
    CHECK(test.writer().done);
    CHECK_FALSE(test.world.disk(1).stalls());
    CHECK(test.writer().saved.has_value());
    CHECK(test.world.disk(1).durable("/f")->size() == 4);
  }
}

TEST_CASE("a call that stalls straight from the run queue stops its whole node until it is healed") {
  Fixture test;
  test.world.run_for(1s);
  test.world.disk(1).inject({.op = FileOp::list, .kind = DiskFault::Kind::stall, .name = "s"});
  env::Env env = test.world.env(1);
  auto look = [](env::Env where) -> env::Task<> {
    CHECK(where.disk.list("/").has_value());
    co_return;
  };
  test.world.spawn(env, look(env), "look");
  test.world.run_for(1s);
  CHECK(test.world.state(1) == NodeState::paused);
  const int ticks = test.writer().ticks;
  test.world.run_for(1s);
  CHECK(test.writer().ticks == ticks);
  test.world.disk(1).heal("s");
  test.world.run_for(1s);
  CHECK(test.world.state(1) == NodeState::running);
  CHECK(test.writer().ticks > ticks);
}

TEST_CASE("a slow sync takes its time") {
  Fixture test;
  test.world.disk(1).inject(
      {.op = FileOp::sync, .count = kUntilHealed, .kind = DiskFault::Kind::slow, .by = 2s, .name = "s"});
  test.world.run_for(2s);
  CHECK_FALSE(test.writer().done);
  test.world.run_for(1s);
  CHECK(test.writer().done);
  CHECK(test.world.disk(1).durable("/f")->size() == 4);
}

TEST_CASE("a call that stalls before the last one is a durable step already made") {
  Fixture test;
  test.world.disk(1).inject({.op = FileOp::write, .kind = DiskFault::Kind::stall, .name = "s"});
  test.world.run_for(3s);
  CHECK_FALSE(test.writer().done);
  CHECK(test.world.disk(1).cached("/f")->size() == 4);
  test.world.disk(1).clear_faults();
  test.world.run_for(100ms);
  CHECK(test.writer().done);
}

TEST_CASE("buggify sites are on in some worlds and fire now and then, only where it is asked for") {
  int on = 0;
  std::uint64_t fired = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Fixture test(WorldOptions{.seed = seed, .buggify = true});
    test.world.run_for(1ms);
    env::Env& env = test.world.env(1);
    REQUIRE(env.buggify != nullptr);
    for (int i = 0; i < 1000; ++i) fired += env::buggify(env, "test.site") ? 1 : 0;
    const BuggifySites::Site& site = test.world.buggified().all().at("test.site");
    CHECK(site.asked == 1000);
    CHECK((site.fired > 0) == site.on);
    on += site.on ? 1 : 0;
  }
  CHECK(on > 3);
  CHECK(on < 20);
  CHECK(fired > static_cast<std::uint64_t>(on) * 30);
  CHECK(fired < static_cast<std::uint64_t>(on) * 80);
  Fixture plain;
  plain.world.run_for(1ms);
  CHECK(plain.world.env(1).buggify == nullptr);
}

TEST_CASE("a half-open connection is known to be dead on one side only, until the other speaks") {
  Linked test;
  std::optional<Error> here;
  std::optional<Error> there;
  test.world.spawn(*test.client, read_to_end(test.dialled->get(), &here), "read");
  REQUIRE(test.accepted.size() == 1);
  test.world.spawn(test.world.env(1), read_to_end(test.accepted[0].get(), &there), "read");
  test.world.run_for(100ms);
  CHECK(test.world.network().half_open(kHost, kClient, 9093) == 0);
  CHECK(test.world.network().half_open(kHost, kClient, 9092) == 1);
  test.world.run_for(30s);
  CHECK(there.has_value());
  CHECK_FALSE(here.has_value());
  test.world.spawn(*test.client, write_some(test.dialled->get(), 1), "write");
  test.world.run_for(1s);
  REQUIRE(here.has_value());
  CHECK(here->code == Errc::unreachable);
}

TEST_CASE("refused connections are refused until accepted again") {
  Linked test;
  test.world.network().refuse(kHost, 9092);
  CHECK_FALSE(test.connect());
  CHECK(test.dialled.error().code == Errc::refused);
  test.world.network().accept_again(kHost, 9092);
  CHECK(test.connect());
}

TEST_CASE("a losing link resets connections by draw, and only while it does") {
  std::set<bool> outcomes;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    Linked test(WorldOptions{.seed = seed});
    std::optional<Error> error;
    test.world.spawn(*test.client, read_to_end(test.dialled->get(), &error), "read");
    test.world.network().lose(kClient, kHost, 20);
    test.world.spawn(*test.client, write_some(test.dialled->get(), 10), "write");
    test.world.run_for(1s);
    outcomes.insert(error.has_value());
    test.world.network().lose(kClient, kHost, 0);
    if (error) continue;
    test.world.spawn(*test.client, write_some(test.dialled->get(), 500), "write");
    test.world.run_for(1s);
    CHECK_FALSE(error.has_value());
  }
  CHECK(outcomes.size() == 2);
}

TEST_CASE("latencies follow their distribution") {
  const auto slowest = [](Latency kind) {
    NetworkProfile profile{.latency_min = 1ms, .latency_max = 9ms, .slow_in = 0, .split_in = 0, .latency = kind};
    Linked test(WorldOptions{.network = profile});
    Duration most{};
    int under_three = 0;
    for (std::int32_t i = 0; i < 200; ++i) {
      Instant arrived{};
      test.world.network().on_message([&](const MessageSeen& seen) { arrived = *seen.arrived_at; });
      const Instant sent = test.world.now();
      const Bytes frame{0, 0, 0, 8, 0, 1, 0, 0, 0, 0, 0, 1};
      auto send = [](env::Stream* stream, Bytes bytes) -> env::Task<> {
        const Status ok = co_await stream->write_all(bytes);
        CHECK(ok.has_value());
      };
      test.world.spawn(*test.client, send(test.dialled->get(), frame), "send");
      test.world.run_for(20ms);
      CHECK(arrived - sent >= 1ms);
      most = std::max(most, arrived - sent);
      under_three += arrived - sent < 3ms ? 1 : 0;
    }
    CHECK(most <= 9ms + 100us);
    return std::pair(most, under_three);
  };
  CHECK(slowest(Latency::fixed).first < 1100us);
  CHECK(slowest(Latency::uniform).second < 80);
  const auto exponential = slowest(Latency::exponential);
  CHECK(exponential.first > 5ms);
  CHECK(exponential.second > 100);
}

TEST_CASE("one client more leaves the latencies of the others as they are") {
  const auto latencies = [](bool crowded) {
    std::vector<Duration> seen;
    Linked test;
    Result<StreamPtr> other = fail(Errc::internal, "none");
    if (crowded) {
      env::Env& second = test.world.add_client("10.77.0.102");
      test.world.spawn(second, dial(second, {kHost, 9092}, &other), "dial");
    }
    test.world.run_for(100ms);
    CHECK(other.has_value() == crowded);
    test.world.network().on_message([&](const MessageSeen& message) {
      if (message.from == kClient) seen.push_back(*message.arrived_at - message.sent_at);
    });
    const Bytes frame{0, 0, 0, 8, 0, 1, 0, 0, 0, 0, 0, 1};
    auto send = [](env::Stream* stream, Bytes bytes) -> env::Task<> {
      const Status ok = co_await stream->write_all(bytes);
      CHECK(ok.has_value());
    };
    for (int i = 0; i < 50; ++i) {
      test.world.spawn(*test.client, send(test.dialled->get(), frame), "send");
      if (crowded) test.world.spawn(*test.client, send(other->get(), frame), "send");
      test.world.run_for(100ms);
    }
    return seen;
  };
  const std::vector<Duration> alone = latencies(false);
  CHECK(alone.size() == 50);
  CHECK(alone == latencies(true));
}

}  // namespace ordeal::sim
