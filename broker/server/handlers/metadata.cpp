// Metadata: brokers, topics, leaders, as the local image has them; creates topics on the way when a client asks for one
// that is not there (auto.create.topics.enable), as Kafka does.
#include <algorithm>

#include "broker/meta/control.pb.h"
#include "broker/server/handlers/handlers.h"

namespace ordeal::server {

using wire::ErrorCode;
using Topic = wire::MetadataResponse::MetadataResponseTopic;
using Partition = wire::MetadataResponse::MetadataResponsePartition;

namespace {

// How long a Metadata request waits for a topic it just had created: most clients need no second round then.
constexpr Duration kAutoCreateWait = 1s;

constexpr std::int32_t kTopicOperations = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11;
constexpr std::int32_t kClusterOperations = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12;

struct View {
  const meta::ClusterImage& image;
  const Call& call;
  bool operations;
};

bool alive(const meta::ClusterImage& image, NodeId node) {
  const meta::BrokerImage* broker = image.broker(node);
  return broker != nullptr && !broker->fenced;
}

Partition describe(const View& view, const meta::PartitionImage& partition, PartitionId index) {
  Partition out;
  out.partition_index = index;
  out.leader_id = partition.leader;
  out.leader_epoch = partition.leader_epoch;
  out.replica_nodes = partition.replicas;
  out.isr_nodes = partition.isr;
  for (const NodeId replica : partition.replicas) {
    if (!alive(view.image, replica)) out.offline_replicas.push_back(replica);
  }
  const meta::BrokerImage* leader = view.image.broker(partition.leader);
  if (leader == nullptr) {
    out.error_code = ErrorCode::leader_not_available;
  } else if (leader->endpoint(view.call.listener) == nullptr) {
    out.error_code = view.call.version >= 6 ? ErrorCode::listener_not_found : ErrorCode::leader_not_available;
  }
  return out;
}

Topic describe(const View& view, const meta::TopicImage& topic) {
  Topic out;
  out.name = topic.name;
  out.topic_id = topic.id;
  for (std::size_t i = 0; i < topic.partitions.size(); ++i) {
    out.partitions.push_back(describe(view, topic.partitions[i], static_cast<PartitionId>(i)));
  }
  if (view.operations) out.topic_authorized_operations = kTopicOperations;
  return out;
}

Topic missing(std::optional<std::string> name, Uuid id, ErrorCode error) {
  Topic out;
  out.error_code = error;
  out.name = std::move(name);
  out.topic_id = id;
  return out;
}

std::vector<std::string> to_create(const Services& services, const wire::MetadataRequest& request) {
  std::vector<std::string> names;
  if (!services.config.auto_create_topics || !request.allow_auto_topic_creation || !request.topics) return names;
  const meta::ImagePtr image = services.metadata.image();
  for (const auto& topic : *request.topics) {
    if (!topic.name || !topic.topic_id.is_zero() || !valid_topic_name(*topic.name) || image->topic(*topic.name)) {
      continue;
    }
    if (std::find(names.begin(), names.end(), *topic.name) == names.end()) names.push_back(*topic.name);
  }
  return names;
}

// Per name the error to report; a topic that exists by now (whoever created it) has none.
env::Task<std::map<std::string, ErrorCode>> auto_create(Services& services, std::vector<std::string> names) {
  std::map<std::string, ErrorCode> errors;
  if (names.empty()) co_return errors;
  const Instant deadline = services.in(kAutoCreateWait);
  meta::ControllerRequest request;
  for (const std::string& name : names) {
    meta::CreateTopicsRequest::Topic* topic = request.mutable_create_topics()->add_topics();
    topic->set_name(name);
    topic->set_num_partitions(services.config.num_partitions);
    topic->set_replication_factor(services.config.default_replication_factor);
  }
  Result<meta::ControllerResponse> response = co_await services.metadata.call_controller(std::move(request), deadline);
  for (const std::string& name : names) errors[name] = ErrorCode::leader_not_available;
  if (!response || response->error_code() != 0) co_return errors;
  for (const auto& topic : response->create_topics().topics()) {
    const auto error = static_cast<ErrorCode>(topic.error_code());
    if (error != ErrorCode::none && error != ErrorCode::topic_already_exists) {
      errors[topic.name()] = error;
      continue;
    }
    const bool arrived = co_await wait_for_topic(services, topic.name(), true, deadline);
    if (arrived) errors.erase(topic.name());
  }
  co_return errors;
}

Topic look_up(const View& view, const wire::MetadataRequest::MetadataRequestTopic& wanted,
              const std::map<std::string, ErrorCode>& creation_errors) {
  if (!wanted.topic_id.is_zero()) {
    const meta::TopicPtr topic = view.image.topic(wanted.topic_id);
    if (topic) return describe(view, *topic);
    return missing(std::nullopt, wanted.topic_id, ErrorCode::unknown_topic_id);
  }
  if (!wanted.name || !valid_topic_name(*wanted.name)) {
    return missing(wanted.name, {}, ErrorCode::invalid_topic_exception);
  }
  const meta::TopicPtr topic = view.image.topic(*wanted.name);
  if (topic) return describe(view, *topic);
  const auto error = creation_errors.find(*wanted.name);
  return missing(wanted.name, {},
                 error == creation_errors.end() ? ErrorCode::unknown_topic_or_partition : error->second);
}

}  // namespace

env::Task<wire::MetadataResponse> metadata(Services& services, Call call, wire::MetadataRequest request) {
  std::vector<std::string> names = to_create(services, request);
  const std::map<std::string, ErrorCode> creation_errors = co_await auto_create(services, std::move(names));

  const meta::ImagePtr image = services.metadata.image();
  const View view{*image, call, request.include_topic_authorized_operations};
  wire::MetadataResponse response;
  response.cluster_id = services.config.cluster_id;
  for (const auto& [id, broker] : image->brokers()) {
    const Endpoint* endpoint = broker.endpoint(call.listener);
    if (broker.fenced || endpoint == nullptr) continue;
    wire::MetadataResponse::MetadataResponseBroker entry{id, endpoint->host, endpoint->port, {}};
    if (!broker.rack.empty()) entry.rack = broker.rack;
    response.brokers.push_back(std::move(entry));
  }
  const NodeId controller = services.metadata.controller_id();
  response.controller_id = alive(*image, controller) ? controller : kNoNode;
  if (request.include_cluster_authorized_operations) response.cluster_authorized_operations = kClusterOperations;

  const bool all = !request.topics || (call.version == 0 && request.topics->empty());
  if (all) {
    for (const auto& [name, topic] : image->topics()) response.topics.push_back(describe(view, *topic));
  } else {
    for (const auto& wanted : *request.topics) response.topics.push_back(look_up(view, wanted, creation_errors));
  }
  co_return response;
}

}  // namespace ordeal::server
