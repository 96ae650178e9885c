// The server in a simulated world, over pretended metadata and logs that a test scripts.
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "broker/env/sync.h"
#include "broker/meta/control.pb.h"
#include "broker/meta/image_builder.h"
#include "broker/server/producer_ids.h"
#include "broker/server/server.h"
#include "broker/wire/api.h"
#include "broker/wire/frame.h"
#include "broker/wire/messages/all.h"
#include "faults/sim/sim_world.h"

namespace ordeal::server::testing {

inline ConfigMap test_config() {
  return {{"node.id", "1"},
          {"cluster.id", "test"},
          {"listeners", "CLIENT://10.77.0.11:9092,REPLICATION://10.77.0.11:9093,CONTROLLER://10.77.0.11:9094"},
          {"controller.quorum.voters", "1@10.77.0.11:9094"},
          {"log.dirs", "/data/logs"}};
}

// Answers at once from a scripted image; every call to the controller goes to `on_call`.
class FakeMetadata final : public Metadata {
 public:
  explicit FakeMetadata(env::Scheduler& scheduler) : changed_(scheduler) {
    for (const NodeId id : {1, 2, 3}) register_broker(id, id != 3);
  }

  // Broker 3 stays fenced.
  void register_broker(NodeId id, bool unfence) {
    const Offset epoch = builder_.view().offset() + 1;
    meta::MetadataBatch batch;
    auto* broker = batch.add_records()->mutable_register_broker();
    broker->set_broker_id(id);
    broker->set_broker_epoch(epoch);
    broker->set_incarnation_id(std::string(16, static_cast<char>(id)));
    broker->set_rack(fmt::format("r{}", id));
    for (const auto& [name, port] : {std::pair{"CLIENT", 9092}, std::pair{"REPLICATION", 9093}}) {
      auto* listener = broker->add_listeners();
      listener->set_name(name);
      listener->set_host(fmt::format("10.77.0.{}", 10 + id));
      listener->set_port(static_cast<std::uint32_t>(port));
    }
    replay(batch);
    if (!unfence) return;
    meta::MetadataBatch second;
    second.add_records()->mutable_unfence_broker()->set_broker_id(id);
    second.mutable_records(0)->mutable_unfence_broker()->set_broker_epoch(epoch);
    replay(second);
  }
  void replay(const meta::MetadataBatch& batch) {
    const Status replayed = builder_.replay(batch, builder_.view().offset() + 1);
    REQUIRE_MESSAGE(replayed.has_value(), (replayed ? std::string() : replayed.error().text));
    image_ = builder_.build();
    changed_.notify_all();
  }
  void add_topic(const std::string& name, int partitions, const ConfigMap& configs = {}) {
    meta::MetadataBatch batch;
    const std::string id(16, static_cast<char>(++topics_));
    auto* topic = batch.add_records()->mutable_topic();
    topic->set_name(name);
    topic->set_topic_id(id);
    for (const auto& [key, value] : configs) {
      auto* config = batch.add_records()->mutable_topic_config();
      config->set_topic_id(id);
      config->set_name(key);
      config->set_value(value);
    }
    for (int i = 0; i < partitions; ++i) {
      auto* partition = batch.add_records()->mutable_partition();
      partition->set_topic_id(id);
      partition->set_partition(i);
      partition->add_replicas(1);
      partition->add_replicas(2);
      partition->add_replicas(3);
      partition->add_isr(1);
      partition->set_leader(1);
    }
    replay(batch);
  }
  static Uuid topic_id(int number) {
    Uuid id;
    id.bytes.fill(static_cast<std::uint8_t>(number));
    return id;
  }

  meta::ImagePtr image() const override { return image_; }
  env::Signal& image_changed() override { return changed_; }
  NodeId controller_id() const override { return 2; }
  BrokerEpoch broker_epoch() const override { return 1; }
  env::Task<Result<meta::ControllerResponse>> call_controller(meta::ControllerRequest request, Instant) override {
    ++calls;
    if (!on_call) co_return fail(Errc::timed_out, "no active controller answered");
    co_return on_call(request);
  }

  std::function<Result<meta::ControllerResponse>(const meta::ControllerRequest&)> on_call;
  int calls = 0;

 private:
  meta::ImageBuilder builder_{meta::ClusterImage{}};
  meta::ImagePtr image_;
  env::Signal changed_;
  int topics_ = 0;
};

// Appends are noted in the order they arrive; each waits until the test lets it go.
class FakePartitions final : public Partitions {
 public:
  explicit FakePartitions(env::Scheduler& scheduler) : released(scheduler) {}
  env::Task<std::vector<replica::AppendResult>> append(replica::AppendParams params) override {
    appended.push_back(params.requests.empty() ? -1 : params.requests[0].at.partition);
    last_append = params;
    while (hold_appends) {
      const bool woken = co_await released.wait();
      (void)woken;
    }
    std::vector<replica::AppendResult> results(params.requests.size(), append_result);
    co_return results;
  }
  env::Task<std::vector<replica::FetchResult>> fetch(replica::FetchParams params) override {
    last_fetch = params;
    while (hold_fetches) {
      const bool woken = co_await released.wait();
      (void)woken;
    }
    std::vector<replica::FetchResult> results(params.partitions.size(), fetch_result);
    co_return results;
  }
  env::Task<std::vector<replica::ListOffsetsResult>> list_offsets(
      std::vector<replica::ListOffsetsQuery> queries) override {
    last_queries = queries;
    std::vector<replica::ListOffsetsResult> results(queries.size(), list_result);
    co_return results;
  }
  env::Task<std::vector<replica::EpochAnswer>> offset_for_leader_epoch(
      std::vector<replica::EpochQuery> queries) override {
    std::vector<replica::EpochAnswer> results(queries.size(), epoch_answer);
    co_return results;
  }
  std::vector<replica::PartitionStatus> status() const override { return statuses; }

  bool hold_appends = false;
  bool hold_fetches = false;
  env::Signal released;
  std::vector<PartitionId> appended;
  replica::AppendParams last_append;
  replica::FetchParams last_fetch;
  std::vector<replica::ListOffsetsQuery> last_queries;
  replica::AppendResult append_result;
  replica::FetchResult fetch_result;
  replica::ListOffsetsResult list_result;
  replica::EpochAnswer epoch_answer;
  std::vector<replica::PartitionStatus> statuses;
};

// Node 1 serves; tests run as a client on another host.
class ServerWorld {
 public:
  explicit ServerWorld(ConfigMap extra = {}, std::uint64_t seed = 1) : world(sim::WorldOptions{.seed = seed}) {
    ConfigMap given = test_config();
    for (const auto& [key, value] : extra) given[key] = value;
    Result<BrokerConfig> parsed = make_broker_config(given);
    REQUIRE_MESSAGE(parsed.has_value(), (parsed ? std::string() : parsed.error().text));
    config = *parsed;
    world.add_node(1, "10.77.0.11", [this](sim::NodeContext& context) -> std::shared_ptr<void> {
      metadata = std::make_unique<FakeMetadata>(context.env.scheduler);
      partitions = std::make_unique<FakePartitions>(context.env.scheduler);
      ids = std::make_unique<ProducerIds>(context.env.scheduler, *metadata, 1);
      services = std::make_unique<Services>(Services{context.env, config, *metadata, *partitions, *ids});
      server = std::make_shared<Server>(*services);
      const Status clients = server->listen("CLIENT", {"10.77.0.11", 9092});
      const Status followers = server->listen("REPLICATION", {"10.77.0.11", 9093});
      REQUIRE(clients.has_value());
      REQUIRE(followers.has_value());
      return server;
    });
    client = &world.add_client("10.77.0.101");
    world.start(1);
    world.run_for(1ms);
  }

  // Runs the task of a client to its end.
  void run(env::Task<> task) {
    bool done = false;
    world.spawn(*client, watch(std::move(task), &done), "client");
    REQUIRE(world.run_until([&done] { return done; }, 60s));
  }

  sim::World world;
  BrokerConfig config;
  std::unique_ptr<FakeMetadata> metadata;
  std::unique_ptr<FakePartitions> partitions;
  std::unique_ptr<ProducerIds> ids;
  std::unique_ptr<Services> services;
  std::shared_ptr<Server> server;
  env::Env* client = nullptr;

 private:
  static env::Task<> watch(env::Task<> task, bool* done) {
    co_await std::move(task);
    *done = true;
  }
};

// A client connection that sends frames and reads them, one by one and unordered checks left to the test.
class Wire {
 public:
  static env::Task<std::unique_ptr<Wire>> open(env::Env* env, std::uint16_t port = 9092) {
    Endpoint to{"10.77.0.11", port};
    Result<std::unique_ptr<env::Stream>> stream = co_await env->network.connect(to, env->scheduler.now() + 5s);
    REQUIRE(stream.has_value());
    co_return std::make_unique<Wire>(std::move(*stream));
  }
  explicit Wire(std::unique_ptr<env::Stream> stream) : stream_(std::move(stream)), frames_(64 << 20) {}

  template <class Message>
  static Bytes frame_of(std::int32_t correlation, std::int16_t version, const Message& message) {
    wire::RequestHeader header;
    header.api_version = version;
    header.correlation_id = correlation;
    header.client_id = "test";
    return wire::encode_request(header, message);
  }
  template <class Message>
  env::Task<> send(std::int32_t correlation, std::int16_t version, Message message) {
    Bytes frame = frame_of(correlation, version, message);
    co_await send_bytes(std::move(frame));
  }
  env::Task<> send_bytes(Bytes bytes) {
    const Status written = co_await stream_->write_all(bytes);
    (void)written;  // a server that has closed shows in the next read
  }
  // nullopt: the server closed the connection.
  env::Task<std::optional<Slice>> receive() {
    while (true) {
      Result<std::optional<Slice>> frame = frames_.next();
      REQUIRE(frame.has_value());
      if (*frame) co_return std::move(**frame);
      const MutableByteView space = frames_.space();
      const Result<std::size_t> count = co_await stream_->read_some(space);
      if (!count) co_return std::nullopt;
      frames_.commit(*count);
    }
  }
  template <class Message>
  env::Task<typename Message::Response> call(std::int16_t version, Message message) {
    const std::int32_t correlation = ++correlation_;
    co_await send(correlation, version, std::move(message));
    std::optional<Slice> frame = co_await receive();
    REQUIRE(frame.has_value());
    auto response = wire::decode_response<typename Message::Response>(*frame, version);
    REQUIRE_MESSAGE(response.has_value(), (response ? std::string() : response.error().text));
    CHECK(response->correlation_id == correlation);
    co_return std::move(response->body);
  }
  void close() { stream_->close(); }

 private:
  std::unique_ptr<env::Stream> stream_;
  wire::FrameReader frames_;
  std::int32_t correlation_ = 1000;
};

}  // namespace ordeal::server::testing
