// One whole broker on a simulated node: start, serve, stop, crash, start again.
#include "broker/server/broker.h"

#include "broker/server/server_test.h"
#include "broker/wire/record_batch.h"

using namespace ordeal;
using namespace ordeal::server;
using namespace ordeal::server::testing;
using wire::ErrorCode;

namespace {

// A node whose program is a Broker with its own store on the simulated disk.
class BrokerWorld {
 public:
  explicit BrokerWorld(ConfigMap extra = {}) : world(sim::WorldOptions{.seed = 3}) {
    ConfigMap given = test_config();
    for (const auto& [key, value] : extra) given[key] = value;
    config = *make_broker_config(given);
    world.add_node(1, "10.77.0.11", [this](sim::NodeContext& context) -> std::shared_ptr<void> {
      const auto fatal = [&context](const Error& error) { context.fatal(error.to_string()); };
      auto made = std::make_shared<Broker>(
          context.env, config, switches, fatal,
          kv::pinned_rocks_factory(context.env.disk, [&context](const std::string& what) { context.fatal(what); }));
      broker = made.get();
      context.env.scheduler.spawn(start(this, made.get()), "broker");
      return made;
    });
    client = &world.add_client("10.77.0.101");
  }
  bool start_and_serve() {
    started.reset();
    world.start(1);
    return world.run_until([this] { return started.has_value(); }, 30s) && started->has_value();
  }
  bool stop() {
    bool done = false;
    auto stopping = [](Broker* it, bool* out) -> env::Task<> {
      co_await it->stop();
      *out = true;
    };
    world.spawn(world.env(1), stopping(broker, &done), "stop");
    return world.run_until([&done] { return done; }, 60s);
  }
  void run(env::Task<> task) {
    bool done = false;
    auto watch = [](env::Task<> inner, bool* out) -> env::Task<> {
      co_await std::move(inner);
      *out = true;
    };
    world.spawn(*client, watch(std::move(task), &done), "client");
    REQUIRE(world.run_until([&done] { return done; }, 60s));
  }
  static env::Task<> start(BrokerWorld* self, Broker* it) {
    Status status = co_await it->start();
    self->started = std::move(status);
  }

  sim::World world;
  mutation::Switches switches;
  BrokerConfig config;
  Broker* broker = nullptr;
  std::optional<Status> started;
  env::Env* client = nullptr;
};

Bytes batch_of(const std::string& value) {
  wire::BatchBuilder builder;
  builder.append(1000, std::nullopt, as_bytes(value));
  return builder.build();
}

env::Task<> produce_one(BrokerWorld* world, std::string value, Offset expected) {
  auto wire = co_await Wire::open(world->client);
  wire::MetadataRequest about;
  about.topics.emplace().push_back({{}, "t"});
  const auto metadata = co_await wire->call(9, about);
  REQUIRE(metadata.topics.at(0).error_code == ErrorCode::none);
  CHECK(metadata.brokers.at(0).host == "10.77.0.11");
  wire::ProduceRequest request;
  request.acks = -1;
  request.timeout_ms = 5000;
  request.topic_data.resize(1);
  request.topic_data[0].name = "t";
  request.topic_data[0].partition_data.resize(1);
  request.topic_data[0].partition_data[0].records = Slice::own(batch_of(value));
  const auto response = co_await wire->call(9, request);
  const auto& answer = response.responses.at(0).partition_responses.at(0);
  CHECK(answer.error_code == ErrorCode::none);
  CHECK(answer.base_offset == expected);
  wire->close();
}

env::Task<> fetch_all(BrokerWorld* world, std::vector<std::string>* values) {
  auto wire = co_await Wire::open(world->client);
  wire::FetchRequest request;
  request.max_wait_ms = 500;
  request.min_bytes = 1;
  request.topics.resize(1);
  request.topics[0].topic = "t";
  request.topics[0].partitions.resize(1);
  request.topics[0].partitions[0].partition_max_bytes = 1 << 20;
  const auto response = co_await wire->call(12, request);
  const auto& data = response.responses.at(0).partitions.at(0);
  CHECK(data.error_code == ErrorCode::none);
  wire::BatchIterator it(data.records->view);
  while (const auto batch = it.next()) {
    CHECK(batch->crc_ok());
    auto reader = wire::RecordReader::open(*batch);
    wire::Record record;
    REQUIRE(reader->next(record) == true);
    values->emplace_back(as_text(*record.value));
  }
  wire->close();
}

env::Task<> new_producer_id(BrokerWorld* world, std::int64_t* id) {
  auto wire = co_await Wire::open(world->client);
  const auto response = co_await wire->call(4, wire::InitProducerIdRequest{});
  CHECK(response.error_code == ErrorCode::none);
  *id = response.producer_id;
  wire->close();
}

int count_events(const sim::World& world, std::string_view kind) {
  int count = 0;
  for (const auto& event : const_cast<sim::World&>(world).trace().events()) count += event.kind == kind ? 1 : 0;
  return count;
}

}  // namespace

TEST_CASE("a broker serves, stops in order, and serves again what it was given") {
  BrokerWorld world;
  REQUIRE(world.start_and_serve());
  CHECK(world.broker->serving());
  world.run(produce_one(&world, "first", 0));
  world.run(produce_one(&world, "second", 1));
  REQUIRE(world.stop());
  CHECK_FALSE(world.broker->serving());
  world.world.kill(1);
  REQUIRE(world.start_and_serve());
  std::vector<std::string> values;
  world.run(fetch_all(&world, &values));
  CHECK(values == std::vector<std::string>{"first", "second"});
  world.run(produce_one(&world, "third", 2));
  CHECK(count_events(world.world, "broker.start") == 2);
  CHECK(count_events(world.world, "broker.ready") == 2);
  CHECK(count_events(world.world, "broker.stopped") == 1);
  CHECK(count_events(world.world, "log.recovered") == 0);
}

TEST_CASE("acknowledged records survive a power cut, and producer ids are never given twice") {
  BrokerWorld world;
  REQUIRE(world.start_and_serve());
  std::set<std::int64_t> ids;
  std::vector<std::string> expected;
  for (int round = 0; round < 4; ++round) {
    const std::string value = fmt::format("value-{}", round);
    world.run(produce_one(&world, value, round));
    expected.push_back(value);
    std::int64_t id = -1;
    world.run(new_producer_id(&world, &id));
    CHECK(ids.insert(id).second);
    if (round % 2 == 0) {
      world.world.power_cut(1);
    } else {
      world.world.kill(1);
    }
    REQUIRE(world.start_and_serve());
    std::vector<std::string> values;
    world.run(fetch_all(&world, &values));
    CHECK(values == expected);
  }
  CHECK_FALSE(world.world.last_fatal(1).has_value());
}

TEST_CASE("stop() while the quorum is missing ends start() with an error, promptly") {
  BrokerWorld world({{"controller.quorum.voters", "1@10.77.0.11:9094,2@10.77.0.12:9094,3@10.77.0.13:9094"}});
  world.world.start(1);
  world.world.run_for(5s);
  CHECK_FALSE(world.started.has_value());
  const Instant before = world.world.now();
  REQUIRE(world.stop());
  CHECK(world.world.now() - before < 3s);
  REQUIRE(world.world.run_until([&] { return world.started.has_value(); }, 5s));
  CHECK_FALSE(world.started->has_value());
}

TEST_CASE("a directory of another cluster is refused, and what was begun is stopped") {
  BrokerWorld world;
  REQUIRE(world.start_and_serve());
  REQUIRE(world.stop());
  world.world.kill(1);
  ConfigMap given = test_config();
  given["cluster.id"] = "other";
  given["metadata.log.dir"] = "/data/other-metadata";
  world.config = *make_broker_config(given);
  CHECK_FALSE(world.start_and_serve());
  REQUIRE(world.started.has_value());
  CHECK(world.started->error().text.find("belongs to node 1 of cluster test") != std::string::npos);
}

TEST_CASE("a stopped broker says which mutations ran") {
  BrokerWorld world;
  world.switches.turn_on(mutation::Bug::repl_truncate_to_hw);
  REQUIRE(world.start_and_serve());
  REQUIRE(world.stop());
  CHECK(count_events(world.world, "mutation.ran") == (ORDEAL_MUTATIONS ? 1 : 0));
}
