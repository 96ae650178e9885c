#include "faults/sim/sim_messages.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "broker/meta/control_codec.h"
#include "faults/sim/sim_framer.h"
#include "faults/sim/sim_world.h"

namespace ordeal::sim {
namespace {

using Action = MessageFault::Action;
using StreamPtr = std::unique_ptr<env::Stream>;
constexpr const char* kServer = "10.77.0.11";
constexpr const char* kClient = "10.77.0.101";
constexpr std::int16_t kProduce = 0;
constexpr std::int16_t kFetch = 1;
constexpr std::int16_t kMetadata = 3;

Bytes framed(Bytes content) {
  Bytes out(4);
  store_be(out.data(), static_cast<std::int32_t>(content.size()));
  out.insert(out.end(), content.begin(), content.end());
  return out;
}

Bytes request(std::int16_t key, std::int32_t correlation, std::size_t body = 0) {
  Bytes content(8 + body, 0x5a);
  store_be<std::int16_t>(content.data(), key);
  store_be<std::int16_t>(content.data() + 2, 0);
  store_be<std::int32_t>(content.data() + 4, correlation);
  return framed(std::move(content));
}

Bytes reply(std::int32_t correlation, std::size_t body = 0) {
  Bytes content(4 + body, 0x77);
  store_be<std::int32_t>(content.data(), correlation);
  return framed(std::move(content));
}

// The correlation ids of the whole frames in a stream; each with the time at which it was complete.
struct Arrivals {
  Bytes bytes;
  std::vector<std::int32_t> correlations;
  std::vector<Instant> times;
  std::size_t at_offset = 8;  // 8 in requests, 4 in replies
  std::optional<Error> error;

  void add(ByteView more, Instant now) {
    bytes.insert(bytes.end(), more.begin(), more.end());
    while (bytes.size() >= 4) {
      const auto size = 4 + static_cast<std::size_t>(load_be<std::int32_t>(bytes.data()));
      if (bytes.size() < size) return;
      correlations.push_back(load_be<std::int32_t>(bytes.data() + at_offset));
      times.push_back(now);
      bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    }
  }
};

env::Task<> collect(env::Env env, env::Stream* stream, Arrivals* into) {
  while (true) {
    Bytes buffer(1000);
    Result<std::size_t> got = co_await stream->read_some(buffer);
    if (!got) {
      into->error = got.error();
      co_return;
    }
    into->add(ByteView(buffer).first(*got), env.scheduler.now());
  }
}

env::Task<> accept_one(env::Env env, env::Listener* listener, StreamPtr* out, Arrivals* into) {
  Result<StreamPtr> stream = co_await listener->accept();
  if (!stream) co_return;
  *out = std::move(*stream);
  co_await collect(env, out->get(), into);
}

env::Task<> dial(env::Env env, Endpoint to, StreamPtr* out, Arrivals* into) {
  Result<StreamPtr> stream = co_await env.network.connect(to, env.scheduler.now() + 1s);
  if (!stream) co_return;
  *out = std::move(*stream);
  co_await collect(env, out->get(), into);
}

env::Task<> write(env::Stream* stream, Bytes bytes) {
  const Status sent = co_await stream->write_all(bytes);
  CHECK(sent.has_value());
}

// One connection from the client to port 9092 of node 1, both ends at hand.
struct Fixture {
  explicit Fixture(std::uint64_t seed = 1, NetworkProfile profile = {})
      : world(WorldOptions{.seed = seed, .network = profile}) {
    world.add_node(1, kServer, [](NodeContext&) { return std::make_shared<int>(0); });
    world.start(1);
    client_env = &world.add_client(kClient);
    replies.at_offset = 4;
    world.run_for(1ms);
    auto bound = world.env(1).network.listen({kServer, 9092});
    REQUIRE(bound.has_value());
    listener = std::move(*bound);
    world.spawn(world.env(1), accept_one(world.env(1), listener.get(), &server, &requests), "accept");
    world.spawn(*client_env, dial(*client_env, {kServer, 9092}, &client, &replies), "dial");
    world.run_for(100ms);
    REQUIRE(client != nullptr);
    REQUIRE(server != nullptr);
  }
  ~Fixture() { world.drop_clients(); }
  void ask(std::int16_t key, std::int32_t correlation, std::size_t body = 0) {
    world.spawn(*client_env, write(client.get(), request(key, correlation, body)), "ask");
    world.run_for(1ms);
  }
  void answer(std::int32_t correlation, std::size_t body = 0) {
    world.spawn(world.env(1), write(server.get(), reply(correlation, body)), "answer");
    world.run_for(1ms);
  }
  SimNetwork& network() { return world.network(); }

  Arrivals requests;
  Arrivals replies;
  World world;
  env::Env* client_env = nullptr;
  std::unique_ptr<env::Listener> listener;
  StreamPtr server;
  StreamPtr client;
};

using Ids = std::vector<std::int32_t>;

// What a framer says, as one line.
struct Spoken final : Framer::Sink {
  std::string text;
  std::size_t passed = 0;
  void begin(const MessageId& message, ByteView already) override {
    text += message.api + (message.reply ? "<" : ">") + std::to_string(message.correlation) + "@" +
            std::to_string(already.size()) + " ";
  }
  void bytes(ByteView view) override { passed += view.size(); }
  void end() override { text += "| "; }
};

Bytes join(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

}  // namespace

TEST_CASE("a framer finds the same messages however the stream is cut") {
  const Bytes stream = join({request(kFetch, 7, 30), request(kProduce, 8), request(99, 9, 1)});
  for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
    PendingRequests pending;
    Framer framer;
    framer.start(Protocol::kafka, true, &pending);
    Spoken spoken;
    for (std::size_t at = 0; at < stream.size(); at += piece)
      framer.feed(ByteView(stream).subspan(at, std::min(piece, stream.size() - at)), Framer::Mode::exact, spoken);
    CHECK(spoken.text == "Fetch>7@0 | Produce>8@0 | api 99>9@0 | ");
    CHECK(spoken.passed == stream.size());
    CHECK(pending.size() == 3);
  }
}

TEST_CASE("a framer told late finds the next message, and names replies by their requests") {
  PendingRequests pending;
  Framer requests;
  requests.start(Protocol::kafka, true, &pending);
  Spoken quiet;
  requests.feed(join({request(kFetch, 1), request(kProduce, 2, 5)}), Framer::Mode::lengths, quiet);
  const Bytes third = request(kMetadata, 3, 100);
  requests.feed(ByteView(third).first(40), Framer::Mode::lengths, quiet);
  CHECK(quiet.text.empty());
  Spoken spoken;
  requests.feed(ByteView(third).subspan(40), Framer::Mode::exact, spoken);
  CHECK(spoken.text.empty());  // it began before anyone asked
  requests.feed(request(kFetch, 4), Framer::Mode::exact, spoken);
  CHECK(spoken.text == "Fetch>4@0 | ");

  Framer replies;
  replies.start(Protocol::kafka, false, &pending);
  Spoken heard;
  replies.feed(join({reply(1, 3), reply(3), reply(4), reply(77)}), Framer::Mode::names, heard);
  CHECK(heard.text == "Fetch<1@8 | Metadata<3@8 | Fetch<4@8 | <77@8 | ");
  CHECK(pending.empty());
}

TEST_CASE("control envelopes say their api, and which of them answer") {
  meta::Envelope vote;
  vote.set_from(1);
  vote.set_to(2);
  vote.set_cluster_id("abcdefghijklmnopqrstuv");
  meta::raft::Message message;
  message.from = 1;
  message.to = 2;
  message.body = meta::raft::AppendResponse{};
  meta::encode_raft(message, vote);
  meta::Envelope ask;
  ask.set_api("alter_partition");
  ask.set_correlation(300);
  ask.set_cluster_id("abcdefghijklmnopqrstuv");
  ask.mutable_request()->mutable_alter_partition()->set_broker_id(2);
  meta::Envelope answer = ask;
  answer.mutable_response()->mutable_alter_partition()->set_error_code(0);
  std::string stream = meta::encode_frame(vote) + meta::encode_frame(ask) + meta::encode_frame(answer);
  Framer framer;
  framer.start(Protocol::control, true, nullptr);
  Spoken spoken;
  framer.feed(as_bytes(stream), Framer::Mode::exact, spoken);
  CHECK(spoken.text == "raft_append<0@0 | alter_partition>300@0 | alter_partition<300@0 | ");
  CHECK(spoken.passed == stream.size());
}

TEST_CASE("what forms no frames passes untouched") {
  for (const Framer::Mode mode : {Framer::Mode::lengths, Framer::Mode::exact}) {
    PendingRequests pending;
    Framer framer;
    framer.start(Protocol::kafka, true, &pending);
    Spoken spoken;
    framer.feed(as_bytes("hel"), mode, spoken);
    framer.feed(as_bytes("lo world"), mode, spoken);
    CHECK(spoken.passed == 11);
    CHECK(spoken.text.empty());
    framer.feed(as_bytes("hi"), mode, spoken);
    CHECK(spoken.passed == 13);
  }
}

TEST_CASE("a drop removes one message of the api and the connection lives on") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    Fixture test(seed);
    test.network().add_message_fault({.api = "Fetch", .to = kServer, .action = Action::drop, .skip = 1, .name = "d"});
    test.ask(kFetch, 1);
    test.ask(kProduce, 2, 2000);
    test.ask(kFetch, 3, 500);
    test.ask(kFetch, 4);
    test.world.run_for(1s);
    CHECK(test.requests.correlations == Ids{1, 2, 4});
    CHECK(test.network().message_hits("d") == 1);
    CHECK_FALSE(test.network().has_message_fault("d"));
    test.answer(1);
    test.world.run_for(1s);
    CHECK(test.replies.correlations == Ids{1});
  }
}

TEST_CASE("a duplicate arrives right behind its first copy, whole") {
  Fixture test;
  test.network().add_message_fault({.api = "Produce", .action = Action::duplicate});
  test.ask(kProduce, 1, 200'000);
  test.ask(kFetch, 2);
  test.world.run_for(1s);
  CHECK(test.requests.correlations == Ids{1, 1, 2});
  CHECK(test.requests.bytes.empty());
}

TEST_CASE("a delayed message comes late and keeps what follows behind it") {
  Fixture test;
  test.network().add_message_fault({.api = "Produce", .from = kClient, .action = Action::delay, .by = 2s});
  test.ask(kFetch, 1);
  const Instant sent = test.world.now();
  test.ask(kProduce, 2, 100'000);
  test.ask(kFetch, 3);
  test.world.run_for(1s);
  CHECK(test.requests.correlations == Ids{1});
  test.answer(1);
  test.world.run_for(100ms);
  CHECK(test.replies.correlations == Ids{1});  // the other direction is free
  test.world.run_for(2s);
  CHECK(test.requests.correlations == Ids{1, 2, 3});
  CHECK(test.requests.times[1] >= sent + 2s);
}

TEST_CASE("a held reply waits for its release, even when its server is killed meanwhile") {
  Fixture test;
  test.network().add_message_fault({.api = "ListOffsets", .reply = true, .action = Action::hold, .name = "never"});
  test.network().add_message_fault(
      {.api = "Fetch", .reply = true, .from = kServer, .action = Action::hold, .count = 2, .name = "late"});
  test.ask(kProduce, 1);
  test.ask(kFetch, 2);
  test.ask(kFetch, 3);
  test.ask(kMetadata, 4);
  for (const std::int32_t id : {1, 2, 3, 4}) test.answer(id, 50'000);
  test.world.run_for(1s);
  CHECK(test.replies.correlations == Ids{1});
  CHECK(test.network().held("late") == 2);
  CHECK(test.network().held("never") == 0);
  test.world.kill(1);
  test.server.release();  // went with the node's frames
  test.listener.release();
  test.world.run_for(1s);
  CHECK(test.replies.correlations == Ids{1});
  CHECK_FALSE(test.replies.error.has_value());
  test.network().release("late");
  CHECK(test.network().held("late") == 0);
  test.world.run_for(1s);
  CHECK(test.replies.correlations == Ids{1, 2, 3, 4});
  CHECK(test.replies.error.has_value());
}

TEST_CASE("two holds on one direction are released one by one, and heal_all() ends all of them") {
  Fixture test;
  for (const auto& [api, name] : {std::pair{"Fetch", "a"}, std::pair{"Produce", "b"}})
    test.network().add_message_fault({.api = api, .action = Action::hold, .name = name});
  test.ask(kFetch, 1);
  test.ask(kMetadata, 2);
  test.ask(kProduce, 3);
  test.ask(kMetadata, 4);
  test.network().release("b");
  test.world.run_for(1s);
  CHECK(test.requests.correlations.empty());
  test.network().add_message_fault({.api = "Fetch", .action = Action::drop, .count = kUntilHealed});
  test.network().heal_all();
  test.ask(kFetch, 5);
  test.world.run_for(1s);
  CHECK(test.requests.correlations == Ids{1, 2, 3, 4, 5});
}

TEST_CASE("a window smaller than a message does not stop a fault on it") {
  NetworkProfile profile;
  profile.window = 300;
  profile.split_in = 2;
  Fixture test(3, profile);
  test.network().add_message_fault({.api = "Produce", .action = Action::duplicate});
  test.network().add_message_fault({.api = "Fetch", .action = Action::drop});
  test.ask(kProduce, 1, 5000);
  test.world.run_for(1s);
  test.ask(kFetch, 2, 5000);
  test.world.run_for(1s);
  test.ask(kMetadata, 3, 5000);
  test.world.run_for(1s);
  CHECK(test.requests.correlations == Ids{1, 1, 3});
}

TEST_CASE("the message log tells who said what, when it came, and what was lost; it changes nothing") {
  std::vector<MessageSeen> seen;
  std::vector<std::uint64_t> digests;
  for (const bool log : {false, true}) {
    Fixture test(9);
    if (log) test.network().on_message([&](const MessageSeen& message) { seen.push_back(message); });
    for (std::int32_t id = 1; id <= 20; ++id) {
      test.ask(id % 2 == 0 ? kFetch : kProduce, id, 300);
      test.answer(id);
    }
    test.world.run_for(1s);
    digests.push_back(test.world.digest());
    if (!log) continue;
    test.network().add_message_fault({.api = "Produce", .action = Action::drop});
    test.ask(kProduce, 21);
    test.world.run_for(1s);
  }
  CHECK(digests[0] == digests[1]);
  REQUIRE(seen.size() == 41);
  const MessageSeen& first = seen.front();
  CHECK(first.api == "Produce");
  CHECK(first.from == kClient);
  CHECK(first.to == kServer);
  CHECK(first.correlation == 1);
  CHECK(first.bytes == 312);
  REQUIRE(first.arrived_at.has_value());
  CHECK(*first.arrived_at > first.sent_at);
  CHECK(std::count_if(seen.begin(), seen.end(), [](const MessageSeen& m) { return m.reply && m.api == "Fetch"; }) ==
        10);
  CHECK_FALSE(seen.back().arrived_at.has_value());
}

// What the log says became of a Produce request that the client sends once `before` has happened; `after` follows its
// sending, and a second later the world ends.
std::string fate(const std::function<void(Fixture&)>& before, const std::function<void(Fixture&)>& after = {},
                 std::uint64_t seed = 1) {
  std::vector<MessageSeen> seen;
  Fixture test(seed);
  test.network().on_message([&](const MessageSeen& message) { seen.push_back(message); });
  before(test);
  test.world.spawn(*test.client_env, write(test.client.get(), request(kProduce, 5, 300)), "ask");
  test.world.run_for(1us);
  if (after) after(test);
  test.world.run_for(1s);
  test.network().on_message({});
  const auto found = std::ranges::find(seen, 5, &MessageSeen::correlation);
  REQUIRE(found != seen.end());
  CHECK(found->arrived_at.has_value() == found->lost.empty());
  return found->lost + (found->note.empty() ? "" : "note: " + found->note);
}

void dies(Fixture& test, bool power) {
  if (power)
    test.world.power_cut(1);
  else
    test.world.kill(1);
  test.server.release();  // went with the node's frames
  test.listener.release();
}

TEST_CASE("a message that never arrived says why") {
  const auto nothing = [](Fixture&) {};
  const auto fault = [](Action action, std::string name) {
    return [=](Fixture& test) {
      test.network().add_message_fault({.api = "Produce", .action = action, .by = 100ms, .name = name});
    };
  };
  CHECK(fate(nothing).empty());
  CHECK(fate(fault(Action::drop, "d")) == "dropped by fault d");
  CHECK(fate(fault(Action::drop, "")) == "dropped by a fault");
  CHECK(fate(fault(Action::hold, "h")) == "held by fault h");
  CHECK(fate(fault(Action::delay, "s")) == "note: delayed by fault s");
  CHECK(fate(fault(Action::hold, "h"), [](Fixture& test) { test.network().release("h"); }) == "note: held by fault h");
  CHECK(fate([](Fixture& test) {
          test.network().add_message_fault({.api = "Fetch", .action = Action::hold, .name = "h"});
          test.ask(kFetch, 4);
        }) == "behind a message that a fault holds");
  const auto cut = [](Fixture& test) { test.world.cut_one_way(kClient, kServer); };
  CHECK(fate(cut) == "held back by a cut");
  CHECK(fate(cut, [](Fixture& test) {
          test.world.run_for(10ms);
          test.world.heal_one_way(kClient, kServer);
        }) == "note: held back by a cut");
  CHECK(fate([](Fixture& test) { test.network().clog(kClient, kServer, test.world.now() + 1h); }) ==
        "held back by a clogged link");
  CHECK(fate(nothing, [](Fixture& test) { dies(test, false); }) == "the receiver's process was dead");
  CHECK(fate(nothing, [](Fixture& test) { dies(test, true); }) == "the receiver was down: no power");
  CHECK(fate(nothing, [](Fixture& test) { test.server->close(); }) == "the receiver had closed the connection");
  CHECK(fate(nothing, [](Fixture& test) { test.network().half_open(kServer, kClient); }) ==
        "the receiver had forgotten the connection");
  CHECK(fate(nothing, [](Fixture& test) { test.network().reset_connections(kClient, kServer); }) ==
        "connection reset by a fault");
  CHECK(fate([](Fixture& test) { test.network().lose(kClient, kServer, 1); }) ==
        "connection reset: a lossy link lost data");
  const std::string both = fate(cut, [](Fixture& test) {
    test.world.run_for(10ms);
    test.server->close();
    test.world.heal_one_way(kClient, kServer);
  });
  CHECK(both.starts_with("held back by a cut until 0."));
  CHECK(both.ends_with(" s, then: the receiver had closed the connection"));
}

TEST_CASE("what is still on its way, or was never sent whole, is lost when the log ends") {
  std::vector<MessageSeen> seen;
  Fixture test;
  test.network().on_message([&](const MessageSeen& message) { seen.push_back(message); });
  const Bytes whole = request(kProduce, 1, 3000);
  test.world.spawn(*test.client_env, write(test.client.get(), Bytes(whole.begin(), whole.begin() + 100)), "half");
  test.world.run_for(100ms);
  test.client->close();
  test.world.spawn(test.world.env(1), write(test.server.get(), reply(77)), "answer");
  test.world.run_for(1us);
  test.network().on_message({});
  REQUIRE(seen.size() == 2);
  CHECK(seen[0].lost == "the sender ended the connection before all of it was sent");
  CHECK(seen[1].lost == "still on its way at the end");
}

}  // namespace ordeal::sim
