// Connections: order of replies and appends, bounds, and what ends one.
#include "broker/server/server_test.h"

using namespace ordeal;
using namespace ordeal::server;
using namespace ordeal::server::testing;
using wire::ErrorCode;

namespace {

wire::ProduceRequest produce_to(PartitionId partition, std::int16_t acks = -1) {
  wire::ProduceRequest request;
  request.acks = acks;
  request.timeout_ms = 1000;
  request.topic_data.resize(1);
  request.topic_data[0].name = "t";
  request.topic_data[0].partition_data.resize(1);
  request.topic_data[0].partition_data[0].index = partition;
  request.topic_data[0].partition_data[0].records = Slice::own({1, 2, 3});
  return request;
}

wire::FetchRequest fetch_one() {
  wire::FetchRequest request;
  request.topics.resize(1);
  request.topics[0].topic = "t";
  request.topics[0].partitions.resize(1);
  return request;
}

std::int32_t correlation_of(const std::optional<Slice>& frame) {
  REQUIRE(frame.has_value());
  return *wire::peek_correlation_id(frame->view);
}

// A scripted exchange; coroutines take what they use as parameters.
env::Task<> long_poll_then_metadata(ServerWorld* world) {
  auto wire = co_await Wire::open(world->client);
  world->partitions->hold_fetches = true;
  co_await wire->send(1, 12, fetch_one());
  co_await wire->send(2, 9, wire::MetadataRequest{});
  co_await wire->send(3, 3, wire::ApiVersionsRequest{});
  co_await world->client->scheduler.sleep_for(1s);
  CHECK(world->partitions->last_fetch.partitions.size() == 1);  // it runs, and the others are done behind it
  world->partitions->hold_fetches = false;
  world->partitions->released.notify_all();
  for (const std::int32_t expected : {1, 2, 3}) {
    const std::optional<Slice> frame = co_await wire->receive();
    CHECK(correlation_of(frame) == expected);
  }
}

env::Task<> many_produces(ServerWorld* world, int count) {
  auto wire = co_await Wire::open(world->client);
  world->partitions->hold_appends = true;
  Bytes stream;
  for (int i = 0; i < count; ++i) {
    const Bytes frame = Wire::frame_of(i, 7, produce_to(i));
    stream.insert(stream.end(), frame.begin(), frame.end());
  }
  co_await wire->send_bytes(std::move(stream));
  co_await world->client->scheduler.sleep_for(1s);
  world->partitions->hold_appends = false;
  world->partitions->released.notify_all();
  for (int i = 0; i < count; ++i) {
    const std::optional<Slice> frame = co_await wire->receive();
    CHECK(correlation_of(frame) == i);
  }
}

env::Task<> bounded(ServerWorld* world, std::size_t bound, int count) {
  auto wire = co_await Wire::open(world->client);
  world->partitions->hold_appends = true;
  for (int i = 0; i < count; ++i) co_await wire->send(i, 7, produce_to(i));
  co_await world->client->scheduler.sleep_for(1s);
  CHECK(world->partitions->appended.size() == bound);
  world->partitions->hold_appends = false;
  world->partitions->released.notify_all();
  for (int i = 0; i < count; ++i) {
    const std::optional<Slice> frame = co_await wire->receive();
    CHECK(correlation_of(frame) == i);
  }
  CHECK(world->partitions->appended.size() == static_cast<std::size_t>(count));
}

env::Task<> expect_closed_after(ServerWorld* world, Bytes bytes) {
  auto wire = co_await Wire::open(world->client);
  co_await wire->send_bytes(std::move(bytes));
  const std::optional<Slice> frame = co_await wire->receive();
  CHECK_FALSE(frame.has_value());
}

int refusals(ServerWorld& world) {
  int count = 0;
  for (const auto& event : world.world.trace().events()) count += event.kind == "connection.refused" ? 1 : 0;
  return count;
}

env::Task<> ask_version(ServerWorld* world, std::int16_t version) {
  auto wire = co_await Wire::open(world->client);
  Bytes frame = Wire::frame_of(5, 4, wire::ApiVersionsRequest{});
  store_be<std::int16_t>(frame.data() + 6, version);
  co_await wire->send_bytes(std::move(frame));
  const std::optional<Slice> reply = co_await wire->receive();
  REQUIRE(reply.has_value());
  const auto response = wire::decode_response<wire::ApiVersionsResponse>(*reply, 0);
  REQUIRE(response.has_value());
  CHECK(response->body.error_code == ErrorCode::unsupported_version);
  REQUIRE(response->body.api_keys.size() == 1);
  CHECK(response->body.api_keys[0].api_key == 18);
  CHECK(response->body.api_keys[0].max_version == 4);
  // The connection goes on: the client asks again at a version both know.
  const auto known = co_await wire->call(3, wire::ApiVersionsRequest{});
  CHECK(known.error_code == ErrorCode::none);
  CHECK(known.api_keys.size() == wire::all_apis().size());
  CHECK(known.api_keys[0].min_version == 0);  // Produce, for old librdkafka
  CHECK(known.finalized_features.empty());    // no transaction.version: clients keep to the first protocol
}

env::Task<> silent_produce(ServerWorld* world) {
  auto wire = co_await Wire::open(world->client);
  co_await wire->send(1, 7, produce_to(0, 0));
  co_await wire->send(2, 9, wire::MetadataRequest{});
  const std::optional<Slice> frame = co_await wire->receive();
  CHECK(correlation_of(frame) == 2);  // acks=0 is not answered
  world->partitions->append_result.error = ErrorCode::not_leader_or_follower;
  co_await wire->send(3, 7, produce_to(0, 0));
  const std::optional<Slice> end = co_await wire->receive();
  CHECK_FALSE(end.has_value());  // but its failure closes the connection
}

env::Task<> idle_connection(ServerWorld* world) {
  auto wire = co_await Wire::open(world->client);
  co_await wire->call(3, wire::ApiVersionsRequest{});
  const Instant before = world->client->scheduler.now();
  const std::optional<Slice> end = co_await wire->receive();
  CHECK_FALSE(end.has_value());
  CHECK(world->client->scheduler.now() - before >= 900ms);
  CHECK(world->client->scheduler.now() - before < 5s);
}

env::Task<> drain_with_one_running(ServerWorld* world, bool* closed) {
  auto wire = co_await Wire::open(world->client);
  world->partitions->hold_appends = true;
  co_await wire->send(1, 7, produce_to(0));
  co_await world->client->scheduler.sleep_for(100ms);
  world->server->drain();
  co_await wire->send(2, 7, produce_to(1));  // refused: the connection ends once the first is answered or given up
  world->partitions->hold_appends = false;
  world->partitions->released.notify_all();
  co_await world->server->close(world->client->scheduler.now() + 1s);
  CHECK(world->server->connections() == 0);
  CHECK(world->partitions->appended == std::vector<PartitionId>{0});
  *closed = true;
}

}  // namespace

TEST_CASE("replies leave in the order of the requests, also when a long poll is first") {
  ServerWorld world;
  world.run(long_poll_then_metadata(&world));
}

TEST_CASE("pipelined produces reach the log in order under any schedule") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    ServerWorld world({}, seed);
    world.run(many_produces(&world, 40));
    REQUIRE(world.partitions->appended.size() == 40);
    for (int i = 0; i < 40; ++i) CHECK(world.partitions->appended[static_cast<std::size_t>(i)] == i);
  }
}

TEST_CASE("reading pauses while too many requests are unanswered") {
  ServerWorld world({{"ordeal.max.in.flight.requests.per.connection", "5"}});
  world.run(bounded(&world, 5, 12));
}

TEST_CASE("what is no request closes the connection and leaves a line") {
  ServerWorld world;
  const std::string http = "GET / HTTP/1.0\r\n\r\n";
  world.run(expect_closed_after(&world, Bytes(http.begin(), http.end())));
  CHECK(refusals(world) == 1);
  Bytes unknown_api = {0, 0, 0, 10, 0x03, 0xe7, 0, 0, 0, 0, 0, 1, 0xff, 0xff};
  world.run(expect_closed_after(&world, unknown_api));
  CHECK(refusals(world) == 2);
  Bytes old_produce = {0, 0, 0, 10, 0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0xff};  // version 1: advertised, never spoken
  world.run(expect_closed_after(&world, old_produce));
  CHECK(refusals(world) == 3);
  Bytes cut = Wire::frame_of(1, 7, produce_to(0));
  cut.resize(cut.size() - 6);
  store_be<std::int32_t>(cut.data(), static_cast<std::int32_t>(cut.size() - 4));
  world.run(expect_closed_after(&world, cut));
  CHECK(refusals(world) == 4);
  const auto& last = world.world.trace().events().back();
  CHECK(last.text("error")->find("ProduceRequest.topic_data.partition_data.records") == 0);
  CHECK(world.server->connections() == 0);
}

TEST_CASE("random bytes never bring the server down") {
  ServerWorld world;
  Random random(9);
  for (int i = 0; i < 200; ++i) {
    Bytes noise(4 + random.below(300));
    for (auto& byte : noise) byte = static_cast<std::uint8_t>(random.next());
    // Half of them with a believable size, key and version, so that the decoders see them.
    if (i % 2 == 0) {
      store_be<std::int32_t>(noise.data(), static_cast<std::int32_t>(noise.size() - 4));
      noise.resize(std::max<std::size_t>(noise.size(), 16));
      store_be<std::int32_t>(noise.data(), static_cast<std::int32_t>(noise.size() - 4));
      store_be<std::int16_t>(noise.data() + 4, static_cast<std::int16_t>(random.below(25)));
      store_be<std::int16_t>(noise.data() + 6, static_cast<std::int16_t>(random.below(14)));
    }
    auto send_and_leave = [](ServerWorld* w, Bytes bytes) -> env::Task<> {
      auto wire = co_await Wire::open(w->client);
      co_await wire->send_bytes(std::move(bytes));
      co_await w->client->scheduler.sleep_for(20ms);
      wire->close();
    };
    world.run(send_and_leave(&world, std::move(noise)));
  }
  world.run(ask_version(&world, 99));  // still serving
}

TEST_CASE("an unknown ApiVersions version is answered at version 0 with the range to use") {
  ServerWorld world;
  for (const std::int16_t version : {std::int16_t{6}, std::int16_t{99}}) world.run(ask_version(&world, version));
}

TEST_CASE("acks=0 has no answer, and a failure closes the connection") {
  ServerWorld world;
  world.run(silent_produce(&world));
}

TEST_CASE("an idle connection is closed after connections.max.idle.ms") {
  ServerWorld world({{"connections.max.idle.ms", "1000"}});
  world.run(idle_connection(&world));
}

TEST_CASE("connections beyond max.connections are refused") {
  ServerWorld world({{"max.connections", "1"}});
  auto two = [](ServerWorld* w) -> env::Task<> {
    auto first = co_await Wire::open(w->client);
    co_await first->call(3, wire::ApiVersionsRequest{});
    auto second = co_await Wire::open(w->client);
    const std::optional<Slice> end = co_await second->receive();
    CHECK_FALSE(end.has_value());
    co_await first->call(3, wire::ApiVersionsRequest{});
  };
  world.run(two(&world));
}

TEST_CASE("draining lets running requests end and takes no more") {
  ServerWorld world;
  bool closed = false;
  world.run(drain_with_one_running(&world, &closed));
  CHECK(closed);
}
