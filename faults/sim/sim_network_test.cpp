#include "faults/sim/sim_network.h"

#include <doctest/doctest.h>

#include "faults/sim/sim_world.h"

namespace ordeal::sim {
namespace {

using StreamPtr = std::unique_ptr<env::Stream>;
constexpr const char* kServer = "10.77.0.11";
constexpr const char* kClient = "10.77.0.101";
constexpr std::uint16_t kPort = 9092;

// What the coroutines below report.
struct Seen {
  std::string received;
  std::optional<Error> read_error;
  std::optional<Error> write_error;
  std::optional<Error> connect_error;
  std::size_t sent = 0;
  Instant connected{};
};

env::Task<> collect(StreamPtr stream, Seen* seen) {
  while (true) {
    Bytes buffer(1000);
    Result<std::size_t> got = co_await stream->read_some(buffer);
    if (!got) {
      seen->read_error = got.error();
      co_return;
    }
    seen->received += as_text(ByteView(buffer).first(*got));
  }
}

// Serves one connection after another: collects what they send; `greet` is sent first when not empty.
struct Server {
  Server(NodeContext& context, std::uint16_t port, std::string greeting, Seen* report)
      : env(context.env), greet(std::move(greeting)), seen(report) {
    auto bound = env.network.listen({context.host, port});
    REQUIRE(bound.has_value());
    listener = std::move(*bound);
    env.scheduler.spawn(serve(this), "serve");
  }
  static env::Task<> serve(Server* self) {
    while (true) {
      Result<StreamPtr> stream = co_await self->listener->accept();
      if (!stream) co_return;
      if (!self->greet.empty()) {
        Status sent = co_await (*stream)->write_all(as_bytes(self->greet));
        CHECK(sent.has_value());
      }
      self->env.scheduler.spawn(collect(std::move(*stream), self->seen), "collect");
    }
  }
  env::Env env;
  std::string greet;
  Seen* seen;
  std::unique_ptr<env::Listener> listener;
};

struct Fixture {
  explicit Fixture(std::uint64_t seed = 1, std::string greet = {}) : world(WorldOptions{.seed = seed}) {
    world.add_node(1, kServer, [this, greet](NodeContext& context) {
      return std::make_shared<Server>(context, kPort, greet, &server);
    });
    world.start(1);
    env = &world.add_client(kClient);
    world.run_for(1ms);
  }
  void spawn(env::Task<> task) { world.spawn(*env, std::move(task), "test"); }

  Seen server;
  Seen client;
  World world;  // after what its tasks report to
  env::Env* env = nullptr;
};

env::Task<> connect(env::Env* env, Endpoint to, Duration patience, Seen* seen, StreamPtr* out) {
  Result<StreamPtr> stream = co_await env->network.connect(to, env->scheduler.now() + patience);
  seen->connected = env->scheduler.now();
  if (!stream) {
    seen->connect_error = stream.error();
    co_return;
  }
  *out = std::move(*stream);
}

env::Task<> send(env::Stream* stream, std::string text, Seen* seen) {
  Status sent = co_await stream->write_all(as_bytes(text));
  if (sent)
    seen->sent += text.size();
  else
    seen->write_error = sent.error();
}

env::Task<> collect_from(env::Stream* stream, Seen* seen) {
  while (true) {
    Bytes buffer(1000);
    Result<std::size_t> got = co_await stream->read_some(buffer);
    if (!got) {
      seen->read_error = got.error();
      co_return;
    }
    seen->received += as_text(ByteView(buffer).first(*got));
  }
}

StreamPtr connected(Fixture& test) {
  StreamPtr stream;
  test.spawn(connect(test.env, {kServer, kPort}, 1s, &test.client, &stream));
  test.world.run_for(100ms);
  REQUIRE(stream != nullptr);
  return stream;
}

std::string pattern(std::size_t size) {
  std::string text(size, ' ');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i * 7 % 26);
  return text;
}

}  // namespace

TEST_CASE("bytes arrive whole and in order, then the end of the stream") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    Fixture test(seed);
    StreamPtr stream = connected(test);
    const std::string text = pattern(300'000);
    test.spawn(send(stream.get(), text, &test.client));
    test.world.run_for(1s);
    CHECK(test.server.received == text);
    CHECK_FALSE(test.server.read_error.has_value());
    stream.reset();
    test.world.run_for(1s);
    REQUIRE(test.server.read_error.has_value());
    CHECK(test.server.read_error->code == Errc::closed);
    CHECK(test.world.network().open_connections() == 0);
  }
}

TEST_CASE("a writer waits when the reader does not read") {
  Fixture test;
  test.world.pause(1);
  StreamPtr stream = connected(test);  // the kernel of a paused process accepts
  const std::string text = pattern(3 << 20);
  test.spawn(send(stream.get(), text, &test.client));
  test.world.run_for(5s);
  CHECK(test.client.sent == 0);
  test.world.resume(1);
  test.world.run_for(10s);
  CHECK(test.client.sent == text.size());
  CHECK(test.server.received == text);
}

TEST_CASE("connecting is refused without a listener, and times out towards a dead or unreachable host") {
  Fixture test;
  StreamPtr stream;
  test.spawn(connect(test.env, {kServer, 1}, 1s, &test.client, &stream));
  test.world.run_for(2s);
  CHECK(test.client.connect_error->code == Errc::refused);
  test.world.cut(kClient, kServer);
  const Instant before = test.world.now();
  test.spawn(connect(test.env, {kServer, kPort}, 1s, &test.client, &stream));
  test.world.run_for(2s);
  CHECK(test.client.connect_error->code == Errc::timed_out);
  CHECK(test.client.connected >= before + 1s);
  test.world.heal_all();
  test.world.power_cut(1);
  test.spawn(connect(test.env, {kServer, kPort}, 1s, &test.client, &stream));
  test.world.run_for(2s);
  CHECK(test.client.connect_error->code == Errc::timed_out);
  test.spawn(connect(test.env, {"10.99.0.1", kPort}, 1s, &test.client, &stream));
  test.world.run_for(2s);
  CHECK(test.client.connect_error->code == Errc::unreachable);
  CHECK(stream == nullptr);
}

TEST_CASE("a cut is silence, and what was sent arrives after the heal") {
  Fixture test;
  StreamPtr stream = connected(test);
  test.world.cut(kClient, kServer);
  test.spawn(send(stream.get(), "held", &test.client));
  test.world.run_for(20s);
  CHECK(test.client.sent == 4);
  CHECK(test.server.received.empty());
  CHECK_FALSE(test.server.read_error.has_value());
  test.spawn(send(stream.get(), " back", &test.client));
  test.world.heal(kClient, kServer);
  test.world.run_for(1s);
  CHECK(test.server.received == "held back");
}

TEST_CASE("a one-way cut lets the other direction through until its window is full") {
  Fixture test(1, pattern(4 << 20));
  StreamPtr stream;
  test.world.cut_one_way(kClient, kServer);
  test.spawn(connect(test.env, {kServer, kPort}, 1s, &test.client, &stream));
  test.world.run_for(2s);
  CHECK(stream == nullptr);  // the attempt never got there
  test.world.heal_all();
  stream = connected(test);
  test.world.cut_one_way(kClient, kServer);
  test.spawn(collect_from(stream.get(), &test.client));
  test.world.run_for(20s);
  const std::size_t window = NetworkProfile{}.window;
  CHECK(test.client.received.size() >= window);
  CHECK(test.client.received.size() < (4 << 20));
  test.world.heal_one_way(kClient, kServer);
  test.world.run_for(5s);
  CHECK(test.client.received.size() == (4 << 20));
}

TEST_CASE("a cut by port spares the other ports") {
  Fixture test;
  Seen other_server;
  test.world.add_node(2, "10.77.0.12", [&other_server](NodeContext& context) {
    return std::make_shared<Server>(context, kPort, "", &other_server);
  });
  StreamPtr stream = connected(test);
  test.world.cut(kClient, kServer, 9094);
  test.spawn(send(stream.get(), "through", &test.client));
  test.world.run_for(1s);
  CHECK(test.server.received == "through");
  test.world.cut(kClient, kServer, kPort);
  test.spawn(send(stream.get(), "not", &test.client));
  test.world.run_for(1s);
  CHECK(test.server.received == "through");
}

TEST_CASE("the death of a process ends its connections, with FIN or RST") {
  std::set<Errc> codes;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Fixture test(seed);
    StreamPtr stream = connected(test);
    test.spawn(collect_from(stream.get(), &test.client));
    test.world.kill(1);
    test.world.run_for(1s);
    REQUIRE(test.client.read_error.has_value());
    codes.insert(test.client.read_error->code);
    StreamPtr again;
    test.spawn(connect(test.env, {kServer, kPort}, 1s, &test.client, &again));
    test.world.run_for(1s);
    CHECK(test.client.connect_error->code == Errc::refused);
  }
  CHECK(codes == std::set<Errc>{Errc::closed, Errc::unreachable});
}

TEST_CASE("a process that dies behind a cut leaves its peer in silence until the heal") {
  Fixture test;
  StreamPtr stream = connected(test);
  test.spawn(collect_from(stream.get(), &test.client));
  test.world.isolate(kServer);
  test.world.kill(1);
  test.world.run_for(30s);
  CHECK_FALSE(test.client.read_error.has_value());
  test.world.heal_all();
  test.world.run_for(1s);
  CHECK(test.client.read_error.has_value());
}

TEST_CASE("a host without power is silent, and once back it resets what is left") {
  Fixture test;
  StreamPtr stream = connected(test);
  test.spawn(collect_from(stream.get(), &test.client));
  test.world.power_cut(1);
  test.world.run_for(5s);
  CHECK_FALSE(test.client.read_error.has_value());
  test.spawn(send(stream.get(), "anyone?", &test.client));
  test.world.run_for(5s);
  CHECK_FALSE(test.client.read_error.has_value());
  test.world.start(1);
  test.world.run_for(1s);
  REQUIRE(test.client.read_error.has_value());
  CHECK(test.client.read_error->code == Errc::unreachable);
  CHECK(test.server.received.empty());
  StreamPtr again;
  test.spawn(connect(test.env, {kServer, kPort}, 1s, &test.client, &again));
  test.world.run_for(1s);
  CHECK(again != nullptr);
}

TEST_CASE("closing wakes a pending read and a pending accept") {
  Fixture test;
  StreamPtr stream = connected(test);
  test.spawn(collect_from(stream.get(), &test.client));
  test.world.run_for(1ms);
  stream->close();
  test.world.run_for(1ms);
  CHECK(test.client.read_error->code == Errc::closed);

  auto listener = test.env->network.listen({kClient, 0});
  REQUIRE(listener.has_value());
  CHECK((*listener)->local().port != 0);
  std::optional<Errc> code;
  auto accept = [](env::Listener* from, std::optional<Errc>* out) -> env::Task<> {
    Result<StreamPtr> got = co_await from->accept();
    if (!got) *out = got.error().code;
  };
  test.spawn(accept(listener->get(), &code));
  test.world.run_for(1ms);
  (*listener)->close();
  test.world.run_for(1ms);
  CHECK(code == Errc::closed);
}

TEST_CASE("a clogged link delivers nothing before its time, and two listeners cannot share an address") {
  Fixture test;
  StreamPtr stream = connected(test);
  const Instant until = test.world.now() + 3s;
  test.world.network().clog(kClient, kServer, until);
  test.spawn(send(stream.get(), "late", &test.client));
  test.world.run_until(until - 1ms);
  CHECK(test.server.received.empty());
  test.world.run_for(1s);
  CHECK(test.server.received == "late");

  auto first = test.env->network.listen({kClient, 9000});
  auto second = test.env->network.listen({kClient, 9000});
  REQUIRE(first.has_value());
  CHECK(second.error().code == Errc::already_exists);
  CHECK(test.env->network.listen({kServer, 9000}).error().code == Errc::invalid_argument);
}

}  // namespace ordeal::sim
