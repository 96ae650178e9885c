#include "workloads/watch/watch.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "broker/wire/error_codes.h"
#include "broker/wire/messages/api_versions.h"
#include "broker/wire/messages/metadata.h"
#include "broker/wire/messages/quorum.h"

namespace ordeal::watch {

using env::Task;

namespace {

// A node that is paused answers nothing; asking it once a second is enough to see it return.
constexpr Duration kPatience = 1s;

ClusterSeen seen_of(const wire::MetadataResponse& reply, NodeId from, Instant asked) {
  ClusterSeen seen;
  seen.from = from;
  seen.asked = asked;
  for (const auto& broker : reply.brokers) seen.brokers.insert(broker.node_id);
  for (const auto& topic : reply.topics) {
    if (!topic.name || topic.error_code != wire::ErrorCode::none) continue;
    for (const auto& partition : topic.partitions) {
      seen.partitions.push_back({{*topic.name, partition.partition_index},
                                 partition.leader_id,
                                 partition.leader_epoch,
                                 partition.replica_nodes,
                                 partition.isr_nodes});
    }
  }
  return seen;
}

// Only the leader of the quorum describes it; every other member refuses, which says that it does not lead.
QuorumSeen seen_of(const wire::DescribeQuorumResponse& reply, NodeId from) {
  QuorumSeen seen;
  seen.from = from;
  if (reply.error_code != wire::ErrorCode::none || reply.topics.empty() || reply.topics[0].partitions.empty()) {
    return seen;
  }
  const auto& partition = reply.topics[0].partitions[0];
  seen.leads = partition.error_code == wire::ErrorCode::none && partition.leader_id == from;
  seen.term = partition.leader_epoch;
  return seen;
}

}  // namespace

std::string trace_line(const RoleEvent& event, Instant at, WallMs wall) {
  nlohmann::ordered_json line = {
      {"t", at.time_since_epoch().count()}, {"w", wall}, {"n", event.node}, {"s", "info"}, {"k", event.kind}};
  for (const auto& [key, text] : event.texts) line[key] = text;
  for (const auto& [key, number] : event.numbers) line[key] = number;
  return line.dump() + "\n";
}

Watch::Watch(env::Env& env, WatchConfig config, Write write)
    : env_(env),
      config_(std::move(config)),
      write_(std::move(write)),
      gate_(std::make_unique<env::Gate>(env.scheduler)) {}

void Watch::start() {
  for (const WatchedNode& node : config_.nodes) {
    gate_->spawn(watch_cluster(&node), "watch-cluster");
    if (node.control) gate_->spawn(watch_quorum(&node), "watch-quorum");
  }
}

Task<> Watch::stop() { co_await gate_->close(); }

void Watch::tell(const std::vector<RoleEvent>& events) {
  const Instant now = env_.scheduler.now();
  for (const RoleEvent& event : events) write_(trace_line(event, now, env_.scheduler.wall_ms()));
}

Task<Status> Watch::ready(Line* line, Instant deadline) {
  if (line->channel && !line->channel->broken()) co_return Status{};
  line->channel.reset();
  channel::ChannelOptions options;
  options.client_id = "ordeal-watch";
  Endpoint to = line->to;
  auto opened = co_await channel::KafkaChannel::open(env_, std::move(to), std::move(options), deadline);
  if (!opened) co_return fail(opened.error());
  line->channel = std::move(*opened);
  wire::ApiVersionsRequest request;
  request.client_software_name = "ordeal-watch";
  request.client_software_version = ORDEAL_VERSION;
  auto reply = co_await line->channel->call(std::move(request), 3, deadline);
  if (!reply) co_return fail(reply.error());
  for (const auto& api : reply->api_keys) line->highest[api.api_key] = api.max_version;
  co_return Status{};
}

template <class Request>
Task<Result<typename Request::Response>> Watch::ask(Line* line, Request request, Instant deadline) {
  Status open = co_await ready(line, deadline);
  if (!open) co_return fail(open.error());
  const wire::ApiVersionRange& ours = wire::api_of(Request::kKey);
  const auto theirs = line->highest.find(std::to_underlying(Request::kKey));
  if (theirs == line->highest.end()) co_return fail(Errc::unsupported, std::string(ours.name) + ": the node has none");
  const std::int16_t version = std::min(ours.supported.to, theirs->second);
  auto reply = co_await line->channel->call(std::move(request), version, deadline);
  co_return reply;
}

Task<> Watch::watch_cluster(const WatchedNode* node) {
  Line line;
  line.to = node->client;
  while (true) {
    const Instant asked = env_.scheduler.now();
    wire::MetadataRequest request;
    request.allow_auto_topic_creation = false;
    if (!config_.topics.empty()) request.topics.emplace();
    for (const std::string& topic : config_.topics) request.topics->emplace_back().name = topic;
    auto reply = co_await ask(&line, std::move(request), asked + kPatience);
    const Instant now = env_.scheduler.now();
    tell(reply ? roles_.observe(seen_of(*reply, node->id, asked), now) : roles_.unanswered(node->id, now));
    const Duration left = asked + config_.interval - env_.scheduler.now();
    const Duration pause = std::max(left, Duration(1ms));
    bool go_on = co_await gate_->sleep_for(pause);
    if (!go_on) co_return;
  }
}

Task<> Watch::watch_quorum(const WatchedNode* node) {
  Line line;
  line.to = *node->control;
  while (true) {
    const Instant asked = env_.scheduler.now();
    wire::DescribeQuorumRequest request;
    auto& topic = request.topics.emplace_back();
    topic.topic_name = wire::kMetadataTopic;
    topic.partitions.emplace_back();
    auto reply = co_await ask(&line, std::move(request), asked + kPatience);
    if (reply) tell(roles_.observe(seen_of(*reply, node->id)));
    const Duration left = asked + config_.interval - env_.scheduler.now();
    const Duration pause = std::max(left, Duration(1ms));
    bool go_on = co_await gate_->sleep_for(pause);
    if (!go_on) co_return;
  }
}

}  // namespace ordeal::watch
