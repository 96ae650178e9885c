// What administrators ask for besides topics: elections, the metadata quorum, and what lies in the log directory.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "broker/meta/control.pb.h"
#include "broker/server/handlers/handlers.h"

namespace ordeal::server {

using wire::ErrorCode;

namespace {

constexpr Duration kQuorumPatience = 5s;

wire::ElectLeadersResponse refuse_elections(const wire::ElectLeadersRequest& request, ErrorCode code,
                                            const std::string& why) {
  wire::ElectLeadersResponse response;
  response.error_code = code;
  if (!request.topic_partitions) return response;
  for (const auto& asked : *request.topic_partitions) {
    wire::ElectLeadersResponse::ReplicaElectionResult& topic = response.replica_election_results.emplace_back();
    topic.topic = asked.topic;
    for (const PartitionId number : asked.partitions) topic.partition_result.push_back({number, code, why});
  }
  return response;
}

std::string election_words(ErrorCode code, const std::string& topic, PartitionId partition) {
  switch (code) {
    case ErrorCode::unknown_topic_or_partition:
      return fmt::format("there is no partition {}-{}", topic, partition);
    case ErrorCode::election_not_needed:
      return "the partition has the leader that was asked for";
    case ErrorCode::preferred_leader_not_available:
      return "the preferred leader is not in sync or does not serve";
    case ErrorCode::eligible_leaders_not_available:
      return "no replica serves";
    default:
      return std::string(wire::error_name(code));
  }
}

wire::DescribeQuorumResponse::PartitionData quorum_data(const meta::DescribeQuorumResponse& quorum) {
  wire::DescribeQuorumResponse::PartitionData data;
  data.leader_id = quorum.leader();
  data.leader_epoch = static_cast<std::int32_t>(quorum.term());
  data.high_watermark = quorum.commit() + 1;  // Kafka counts ends, Raft counts entries from one
  for (const auto& replica : quorum.replicas()) {
    wire::DescribeQuorumResponse::ReplicaState state;
    state.replica_id = replica.node_id();
    state.log_end_offset = replica.last_index() + 1;
    state.last_fetch_timestamp = replica.heard_ms();
    state.last_caught_up_timestamp = replica.caught_up_ms();
    (replica.voter() ? data.current_voters : data.observers).push_back(state);
  }
  return data;
}

bool wanted(const wire::DescribeLogDirsRequest& request, const TopicPartition& at) {
  if (!request.topics) return true;
  return std::any_of(request.topics->begin(), request.topics->end(), [&](const auto& topic) {
    return topic.topic == at.topic &&
           std::find(topic.partitions.begin(), topic.partitions.end(), at.partition) != topic.partitions.end();
  });
}

}  // namespace

env::Task<wire::ElectLeadersResponse> elect_leaders(Services& services, wire::ElectLeadersRequest request) {
  if (request.election_type != static_cast<std::int8_t>(wire::ElectionType::preferred) &&
      request.election_type != static_cast<std::int8_t>(wire::ElectionType::unclean)) {
    co_return refuse_elections(request, ErrorCode::invalid_request,
                               fmt::format("election type {}", int{request.election_type}));
  }
  meta::ControllerRequest forward;
  meta::ElectLeadersRequest& elect = *forward.mutable_elect_leaders();
  elect.set_unclean(request.election_type == static_cast<std::int8_t>(wire::ElectionType::unclean));
  if (request.topic_partitions) {
    for (const auto& topic : *request.topic_partitions) {
      for (const PartitionId number : topic.partitions) {
        meta::ElectLeadersRequest::Partition& partition = *elect.add_partitions();
        partition.set_topic(topic.topic);
        partition.set_partition(number);
      }
    }
    // To the controller none means all.
    if (elect.partitions().empty()) co_return wire::ElectLeadersResponse{};
  }
  const Instant deadline = services.in_ms(request.timeout_ms);
  Result<meta::ControllerResponse> answer = co_await services.metadata.call_controller(std::move(forward), deadline);
  if (const std::optional<ControllerFailure> failure = failure_of(answer))
    co_return refuse_elections(request, failure->code, failure->text);
  wire::ElectLeadersResponse response;
  std::map<std::string, wire::ElectLeadersResponse::ReplicaElectionResult> by_topic;
  for (const auto& partition : answer->elect_leaders().partitions()) {
    auto& topic = by_topic[partition.topic()];
    topic.topic = partition.topic();
    const auto code = static_cast<ErrorCode>(partition.error_code());
    wire::ElectLeadersResponse::PartitionResult result;
    result.partition_id = partition.partition();
    result.error_code = code;
    if (code != ErrorCode::none) result.error_message = election_words(code, topic.topic, result.partition_id);
    topic.partition_result.push_back(std::move(result));
  }
  for (auto& [name, topic] : by_topic) response.replica_election_results.push_back(std::move(topic));
  co_return response;
}

env::Task<wire::DescribeQuorumResponse> describe_quorum(Services& services, wire::DescribeQuorumRequest request) {
  wire::DescribeQuorumResponse response;
  meta::ControllerRequest forward;
  forward.mutable_describe_quorum();
  const Instant deadline = services.in(kQuorumPatience);
  Result<meta::ControllerResponse> answer = co_await services.metadata.call_controller(std::move(forward), deadline);
  if (const std::optional<ControllerFailure> failure = failure_of(answer)) {
    response.error_code = failure->code;
    response.error_message = failure->text;
    co_return response;
  }
  const meta::DescribeQuorumResponse& quorum = answer->describe_quorum();
  for (const auto& asked : request.topics) {
    auto& topic = response.topics.emplace_back();
    topic.topic_name = asked.topic_name;
    for (const auto& partition : asked.partitions) {
      const bool known = asked.topic_name == wire::kMetadataTopic && partition.partition_index == 0;
      auto& data = topic.partitions.emplace_back();
      if (known) data = quorum_data(quorum);
      if (!known) data.error_code = ErrorCode::unknown_topic_or_partition;
      data.partition_index = partition.partition_index;
    }
  }
  for (const auto& replica : quorum.replicas()) {
    if (!replica.voter()) continue;
    wire::DescribeQuorumResponse::Node node;
    node.node_id = replica.node_id();
    node.listeners.push_back(
        {std::string(meta::kControllerListener), replica.host(), static_cast<std::uint16_t>(replica.port())});
    response.nodes.push_back(std::move(node));
  }
  co_return response;
}

wire::DescribeLogDirsResponse describe_log_dirs(const Services& services, const wire::DescribeLogDirsRequest& request) {
  wire::DescribeLogDirsResponse response;
  wire::DescribeLogDirsResponse::DescribeLogDirsResult& directory = response.results.emplace_back();
  directory.log_dir = services.config.log_dir;
  for (const replica::PartitionStatus& status : services.partitions.status()) {
    if (!wanted(request, status.at)) continue;
    if (directory.topics.empty() || directory.topics.back().name != status.at.topic)
      directory.topics.push_back({status.at.topic, {}});
    const Offset lag = std::max<Offset>(status.high_watermark - status.log_end, 0);
    directory.topics.back().partitions.push_back({status.at.partition, status.log_bytes, lag, false});
  }
  return response;
}

}  // namespace ordeal::server
