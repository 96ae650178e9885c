#include "broker/replica/replica_cluster_test.h"

namespace ordeal::replica::testing {

// ---- Node

TestNode::TestNode(Cluster& cluster, sim::NodeContext& context)
    : cluster_(cluster), context_(context), env_(context.env), gate_(env_.scheduler) {
  Options options;
  options.node_id = context.node;
  options.cluster_id = "test";
  options.log_dir = kDataDir;
  options.fsync = cluster.options.fsync;
  options.min_insync_replicas = cluster.options.min_isr;
  options.replica_lag_time_max = cluster.options.lag;
  options.hw_trace_interval = 0ns;
  options.high_watermark_checkpoint_interval = 500ms;
  options.flush_checkpoint_interval = 2s;
  options.fatal = [this](const Error& error) { context_.fatal(error.to_string()); };
  ControllerLink link;
  link.broker_epoch = [this] { return epoch_; };
  link.call = [this](meta::ControllerRequest request, Instant) -> env::Task<Result<meta::ControllerResponse>> {
    return [](TestNode* self, meta::ControllerRequest sent) -> env::Task<Result<meta::ControllerResponse>> {
      co_await self->env_.scheduler.sleep_for(2ms);
      if (self->cluster_.deaf_.contains(self->context_.node)) co_return fail(Errc::timed_out, "no controller");
      meta::ControllerResponse response = self->cluster_.controller.handle(sent, self->env_.scheduler.now());
      co_await self->env_.scheduler.sleep_for(2ms);
      co_return response;
    }(this, std::move(request));
  };
  manager_ = std::make_unique<ReplicaManager>(env_, cluster.switches, std::move(link), std::move(options));
  env_.scheduler.spawn(run(this), "node");
}

env::Task<> TestNode::run(TestNode* self) {
  Status opened = co_await self->manager_->open();
  if (!opened) {
    self->context_.fatal(opened.error().to_string());
    co_return;
  }
  TestController& controller = self->cluster_.controller;
  controller.fence(self->context_.node, self->env_.scheduler.now());
  self->epoch_ =
      controller.register_broker(self->context_.node, self->context_.incarnation, self->env_.scheduler.now());
  co_await self->manager_->start(controller.image());
  auto listening = self->env_.network.listen({"", kReplicationPort});
  REQUIRE(listening.has_value());
  self->listener_ = std::move(*listening);
  controller.heartbeat(self->context_.node, self->epoch_, false, self->env_.scheduler.now());
  self->gate_.spawn(watch(self), "watch");
  self->ready_ = true;
  while (true) {
    Result<std::unique_ptr<env::Stream>> stream = co_await self->listener_->accept();
    if (!stream) co_return;
    self->gate_.spawn(serve(self, std::move(*stream)), "serve");
  }
}

env::Task<> TestNode::watch(TestNode* self) {
  while (true) {
    const bool go_on = co_await self->gate_.sleep_for(3ms);
    if (!go_on) co_return;
    if (!self->cluster_.deaf_.contains(self->context_.node)) {
      co_await self->manager_->on_image(self->cluster_.controller.image());
    }
  }
}

env::Task<> TestNode::serve(TestNode* self, std::unique_ptr<env::Stream> stream) {
  wire::FrameReader frames(16 << 20);
  while (!self->gate_.closing()) {
    Result<std::optional<Slice>> frame = frames.next();
    if (!frame) co_return;
    if (*frame) {
      Bytes reply = co_await self->answer(std::move(**frame));
      Status sent = co_await stream->write_all(reply);
      if (!sent) co_return;
      continue;
    }
    Result<std::size_t> got = co_await stream->read_some(frames.space());
    if (!got) co_return;
    frames.commit(*got);
  }
}

env::Task<Bytes> TestNode::answer(Slice frame) {
  Result<wire::DecodedHeader> header = wire::decode_request_header(frame);
  REQUIRE(header.has_value());
  REQUIRE(header->supported);
  const std::int16_t version = header->header.api_version;
  const std::int32_t id = header->header.correlation_id;
  if (header->api->key == wire::ApiKey::offset_for_leader_epoch) {
    auto request = wire::decode<wire::OffsetForLeaderEpochRequest>(header->body, version);
    REQUIRE(request.has_value());
    wire::OffsetForLeaderEpochResponse response;
    for (const auto& topic : request->topics) {
      for (const auto& part : topic.partitions) {
        std::vector<EpochQuery> queries{
            {{topic.topic, {}, part.partition}, part.current_leader_epoch, part.leader_epoch}};
        std::vector<EpochAnswer> answers = co_await manager_->offset_for_leader_epoch(std::move(queries));
        response.topics.push_back(
            {topic.topic, {{answers[0].error, part.partition, answers[0].leader_epoch, answers[0].end_offset}}});
      }
    }
    co_return wire::encode_response(id, version, response);
  }
  auto request = wire::decode<wire::FetchRequest>(header->body, version);
  REQUIRE(request.has_value());
  FetchParams params;
  params.replica_id = request->replica().replica_id;
  params.replica_epoch = request->replica().replica_epoch;
  params.max_wait = std::chrono::milliseconds(request->max_wait_ms);
  params.min_bytes = request->min_bytes;
  params.max_bytes = request->max_bytes;
  for (const auto& topic : request->topics) {
    for (const auto& part : topic.partitions) {
      params.partitions.push_back({{topic.topic, topic.topic_id, part.partition},
                                   part.current_leader_epoch,
                                   part.fetch_offset,
                                   part.last_fetched_epoch,
                                   part.log_start_offset,
                                   part.partition_max_bytes});
    }
  }
  std::vector<FetchResult> results = co_await manager_->fetch(params);
  wire::FetchResponse response;
  for (std::size_t i = 0; i < results.size(); ++i) {
    wire::FetchResponse::PartitionData data;
    data.partition_index = params.partitions[i].at.partition;
    data.error_code = results[i].error;
    data.high_watermark = results[i].high_watermark;
    data.last_stable_offset = results[i].last_stable_offset;
    data.log_start_offset = results[i].log_start_offset;
    if (results[i].diverging) data.diverging_epoch = {results[i].diverging->epoch, results[i].diverging->end_offset};
    data.current_leader = {results[i].current_leader.leader, results[i].current_leader.epoch};
    data.records = results[i].records;
    response.responses.push_back({params.partitions[i].at.topic, params.partitions[i].at.topic_id, {}});
    response.responses.back().partitions.push_back(std::move(data));
  }
  co_return wire::encode_response(id, version, response);
}

env::Task<> TestNode::stop(TestNode* self) {
  self->ready_ = false;
  self->controller_goodbye();
  co_await self->manager_->stop();
  self->listener_->close();
  self->gate_.begin_close();
  self->context_.exit();
}

void TestNode::controller_goodbye() { cluster_.controller.fence(context_.node, env_.scheduler.now()); }

// ---- Cluster

Cluster::Cluster(ClusterOptions given)
    : world(sim::WorldOptions{.seed = given.seed}), controller(world.now()), options(std::move(given)) {
  for (const mutation::Bug bug : options.bugs) switches.turn_on(bug);
  for (NodeId id = 1; id <= options.nodes; ++id) {
    world.add_node(id, host_of(id), [this](sim::NodeContext& context) -> std::shared_ptr<void> {
      auto process = std::make_shared<TestNode>(*this, context);
      processes_[context.node] = process;
      return process;
    });
  }
}

void Cluster::start_all() {
  for (const NodeId id : world.nodes()) start(id);
  REQUIRE(run_until([this] {
    for (const NodeId id : world.nodes()) {
      if (!ready(id)) return false;
    }
    return true;
  }));
}

void Cluster::kill(NodeId id, bool fence) {
  world.kill(id);
  if (fence) controller.fence(id, world.now());
}

void Cluster::power_cut(NodeId id, bool fence) {
  world.power_cut(id);
  if (fence) controller.fence(id, world.now());
}

void Cluster::stop(NodeId id) {
  world.spawn(world.env(id), TestNode::stop(&node(id)), "stop");
  REQUIRE(run_until([&] { return !up(id); }));
}

void Cluster::create_topic(const std::string& name, std::vector<NodeId> replicas, int partitions) {
  controller.create_topic(name, replicas, partitions, world.now());
  REQUIRE(run_until([&] {
    for (int partition = 0; partition < partitions; ++partition) {
      if (!settled({name, partition})) return false;
    }
    return true;
  }));
}

Cluster::Pending Cluster::begin_produce(NodeId id, const std::string& value, std::int16_t acks, Duration timeout,
                                        TopicPartition at) {
  auto out = std::make_shared<std::optional<AppendResult>>();
  env::Env& env = world.env(id);
  AppendParams params;
  params.acks = acks;
  params.deadline = env.scheduler.now() + timeout;
  params.requests.push_back({{at.topic, {}, at.partition}, Slice::own(one_batch(value, env.scheduler.wall_ms()))});
  auto task = [](ReplicaManager& manager, AppendParams sent, Pending into) -> env::Task<> {
    std::vector<AppendResult> results = co_await manager.append(std::move(sent));
    *into = results[0];
  };
  world.spawn(env, task(node(id).manager(), std::move(params), out), "produce");
  return out;
}

AppendResult Cluster::produce(NodeId id, const std::string& value, std::int16_t acks, Duration timeout,
                              TopicPartition at) {
  const Pending result = begin_produce(id, value, acks, timeout, std::move(at));
  REQUIRE(run_until([&] { return result->has_value(); }));
  return **result;
}

std::shared_ptr<std::optional<FetchResult>> Cluster::begin_fetch(NodeId id, Offset from, Duration wait,
                                                                 TopicPartition at, std::int32_t min_bytes) {
  auto out = std::make_shared<std::optional<FetchResult>>();
  FetchParams params;
  params.max_wait = wait;
  params.min_bytes = min_bytes;
  params.partitions.push_back({.at = {at.topic, {}, at.partition}, .fetch_offset = from});
  auto task = [](ReplicaManager& manager, FetchParams sent,
                 std::shared_ptr<std::optional<FetchResult>> into) -> env::Task<> {
    std::vector<FetchResult> results = co_await manager.fetch(std::move(sent));
    *into = results[0];
  };
  world.spawn(world.env(id), task(node(id).manager(), std::move(params), out), "fetch");
  return out;
}

FetchResult Cluster::fetch(NodeId id, Offset from, Duration wait, TopicPartition at) {
  const auto result = begin_fetch(id, from, wait, std::move(at));
  REQUIRE(run_until([&] { return result->has_value(); }));
  return **result;
}

ListOffsetsResult Cluster::list_offset(NodeId id, std::int64_t timestamp, TopicPartition at) {
  auto out = std::make_shared<std::optional<ListOffsetsResult>>();
  std::vector<ListOffsetsQuery> queries{{.at = {at.topic, {}, at.partition}, .timestamp = timestamp}};
  auto task = [](ReplicaManager& manager, std::vector<ListOffsetsQuery> sent,
                 std::shared_ptr<std::optional<ListOffsetsResult>> into) -> env::Task<> {
    std::vector<ListOffsetsResult> results = co_await manager.list_offsets(std::move(sent));
    *into = results[0];
  };
  world.spawn(world.env(id), task(node(id).manager(), std::move(queries), out), "list_offsets");
  REQUIRE(run_until([&] { return out->has_value(); }));
  return **out;
}

NodeId Cluster::leader(TopicPartition at) const {
  const auto* partition = controller.image()->partition(at.topic, at.partition);
  return partition == nullptr ? kNoNode : partition->leader;
}

std::vector<NodeId> Cluster::isr(TopicPartition at) const {
  const auto* partition = controller.image()->partition(at.topic, at.partition);
  return partition == nullptr ? std::vector<NodeId>{} : partition->isr;
}

PartitionStatus Cluster::status(NodeId id, TopicPartition at) {
  if (!ready(id)) return {};
  const auto status = node(id).manager().status(at);
  return status ? *status : PartitionStatus{};
}

bool Cluster::settled(TopicPartition at) {
  const auto* partition = controller.image()->partition(at.topic, at.partition);
  if (partition == nullptr || partition->leader == kNoNode || partition->isr.size() != partition->replicas.size()) {
    return false;
  }
  if (!ready(partition->leader)) return false;
  const PartitionStatus lead = status(partition->leader, at);
  if (!lead.leading || lead.leader_epoch != partition->leader_epoch || lead.high_watermark != lead.log_end)
    return false;
  for (const NodeId id : partition->replicas) {
    if (!ready(id)) return false;
    const PartitionStatus each = status(id, at);
    if (each.leader_epoch != lead.leader_epoch || each.log_end != lead.log_end) return false;
    if (each.high_watermark != lead.high_watermark) return false;
  }
  return true;
}

Bytes Cluster::log_bytes(NodeId id, TopicPartition at) {
  Bytes all;
  for (const std::string& path : world.disk(id).files()) {
    const bool mine = path.starts_with(kDataDir + "/" + at.to_string() + "/") && path.ends_with(".log");
    if (!mine) continue;
    const auto bytes = world.disk(id).cached(path);
    all.insert(all.end(), bytes->begin(), bytes->end());
  }
  return all;
}

std::vector<std::string> Cluster::values(NodeId id, TopicPartition at) { return values_of(log_bytes(id, at)); }

Bytes one_batch(const std::string& value, WallMs now) {
  wire::BatchBuilder builder;
  builder.append(now, std::nullopt, as_bytes(value));
  return builder.build();
}

std::vector<std::string> values_of(ByteView batches) {
  std::vector<std::string> all;
  wire::BatchIterator walk(batches);
  while (auto batch = walk.next()) {
    auto reader = wire::RecordReader::open(*batch);
    REQUIRE(reader.has_value());
    wire::Record record;
    while (true) {
      const auto more = reader->next(record);
      REQUIRE(more.has_value());
      if (!*more) break;
      all.emplace_back(as_text(*record.value));
    }
  }
  return all;
}

}  // namespace ordeal::replica::testing
