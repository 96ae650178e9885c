#include "workloads/log/settings.h"

#include <fmt/format.h>

#include "broker/wire/error_codes.h"
#include "broker/wire/messages/configs.h"
#include "broker/wire/messages/metadata.h"
#include "workloads/log/env_clients.h"

namespace ordeal::workload {

using env::Task;

namespace {

const std::vector<std::string> kBrokerKeys{"log.flush.interval.messages", "min.insync.replicas",
                                           "unclean.leader.election.enable", "default.replication.factor"};
const std::vector<std::string> kTopicKeys{"flush.messages", "min.insync.replicas", "unclean.leader.election.enable",
                                          "cleanup.policy", "retention.ms",        "retention.bytes"};

wire::DescribeConfigsRequest::DescribeConfigsResource resource(wire::ConfigResourceType type, const std::string& name,
                                                               const std::vector<std::string>& keys) {
  wire::DescribeConfigsRequest::DescribeConfigsResource asked;
  asked.resource_type = static_cast<std::int8_t>(type);
  asked.resource_name = name;
  asked.configuration_keys = keys;
  return asked;
}

Task<Result<wire::DescribeConfigsResponse>> describe(client::NativeCluster* cluster, NodeId node,
                                                     wire::DescribeConfigsRequest request, Instant deadline) {
  auto reply = co_await cluster->call(node, std::move(request), deadline);
  if (!reply) co_return fail(reply.error());
  for (const auto& result : reply->results) {
    if (result.error_code == wire::ErrorCode::none) continue;
    co_return fail(Errc::internal, fmt::format("DescribeConfigs of {}: {} {}", result.resource_name,
                                               wire::error_name(result.error_code), result.error_message.value_or("")));
  }
  co_return reply;
}

EffectiveSettings::Values values_of(const wire::DescribeConfigsResponse::DescribeConfigsResult& result) {
  EffectiveSettings::Values values;
  for (const auto& config : result.configs) {
    if (config.value) values[config.name] = *config.value;
  }
  return values;
}

}  // namespace

Task<Result<EffectiveSettings>> read_settings(env::Env& env, const LogConfig& config, Instant deadline) {
  auto cluster = std::make_unique<client::NativeCluster>(env, native_cluster_options(config, "settings"));
  for (const TopicSpec& topic : config.topics) cluster->want_topic(topic.name);
  Status refreshed = co_await cluster->refresh(deadline);
  if (!refreshed) co_return fail(refreshed.error());
  EffectiveSettings settings;
  for (const NodeId node : cluster->nodes()) {
    wire::DescribeConfigsRequest request;
    request.resources.push_back(resource(wire::ConfigResourceType::broker, std::to_string(node), kBrokerKeys));
    auto reply = co_await describe(cluster.get(), node, std::move(request), deadline);
    if (!reply) co_return fail(reply.error());
    for (const auto& result : reply->results) settings.brokers[node] = values_of(result);
  }
  const NodeId any = cluster->nodes().front();
  wire::DescribeConfigsRequest request;
  wire::MetadataRequest layout;
  layout.allow_auto_topic_creation = false;
  layout.topics.emplace();
  for (const TopicSpec& topic : config.topics) {
    request.resources.push_back(resource(wire::ConfigResourceType::topic, topic.name, kTopicKeys));
    layout.topics->emplace_back().name = topic.name;
  }
  auto reply = co_await describe(cluster.get(), any, std::move(request), deadline);
  if (!reply) co_return fail(reply.error());
  for (const auto& result : reply->results) settings.topics[result.resource_name] = values_of(result);
  auto metadata = co_await cluster->call(any, std::move(layout), deadline);
  if (!metadata) co_return fail(metadata.error());
  for (const auto& topic : metadata->topics) {
    if (!topic.name || topic.partitions.empty()) continue;
    std::size_t fewest = topic.partitions.front().replica_nodes.size();
    for (const auto& partition : topic.partitions) fewest = std::min(fewest, partition.replica_nodes.size());
    settings.replication[*topic.name] = static_cast<std::int32_t>(fewest);
  }
  cluster->close();
  co_return settings;
}

}  // namespace ordeal::workload
