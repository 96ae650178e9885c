// ListOffsets and OffsetForLeaderEpoch.
#include <map>

#include "broker/server/handlers/handlers.h"

namespace ordeal::server {

using wire::ErrorCode;

namespace {

// The places below zero came one by one.
ErrorCode check_timestamp(std::int64_t timestamp, std::int16_t version) {
  std::int16_t needed = 1;
  if (timestamp == wire::kMaxTimestamp) needed = 7;
  if (timestamp == wire::kEarliestLocalTimestamp) needed = 8;
  if (timestamp == wire::kLatestTieredTimestamp) needed = 9;
  if (timestamp == wire::kEarliestPendingUploadTimestamp) needed = 11;
  const bool known = timestamp >= wire::kEarliestPendingUploadTimestamp;
  return known && version >= needed ? ErrorCode::none : ErrorCode::unsupported_version;
}

}  // namespace

env::Task<wire::ListOffsetsResponse> list_offsets(Services& services, Call call, wire::ListOffsetsRequest request) {
  std::map<std::pair<std::string, PartitionId>, int> times;
  for (const auto& topic : request.topics) {
    for (const auto& partition : topic.partitions) ++times[{topic.name, partition.partition_index}];
  }
  const NodeId replica = call.from_broker() ? request.replica_id : std::min(request.replica_id, kNoNode);
  std::vector<replica::ListOffsetsQuery> queries;
  wire::ListOffsetsResponse response;
  for (const auto& topic : request.topics) {
    wire::ListOffsetsResponse::ListOffsetsTopicResponse out;
    out.name = topic.name;
    for (const auto& partition : topic.partitions) {
      wire::ListOffsetsResponse::ListOffsetsPartitionResponse answer;
      answer.partition_index = partition.partition_index;
      answer.error_code = check_timestamp(partition.timestamp, call.version);
      if (times[{topic.name, partition.partition_index}] > 1) answer.error_code = ErrorCode::invalid_request;
      if (answer.error_code == ErrorCode::none) {
        replica::ListOffsetsQuery query;
        query.at = {topic.name, {}, partition.partition_index};
        query.current_leader_epoch = partition.current_leader_epoch;
        query.timestamp = partition.timestamp;
        query.isolation =
            request.isolation_level == 1 ? replica::Isolation::read_committed : replica::Isolation::read_uncommitted;
        query.replica_id = replica;
        queries.push_back(std::move(query));
      }
      out.partitions.push_back(answer);
    }
    response.topics.push_back(std::move(out));
  }
  const std::size_t count = queries.size();
  const std::vector<replica::ListOffsetsResult> results = co_await services.partitions.list_offsets(std::move(queries));
  ORDEAL_CHECK(results.size() == count, "{} answers to {} queries", results.size(), count);
  std::size_t at = 0;
  for (auto& topic : response.topics) {
    for (auto& partition : topic.partitions) {
      if (partition.error_code != ErrorCode::none) continue;  // was not asked
      const replica::ListOffsetsResult& result = results[at++];
      partition.error_code = result.error;
      // Clients before version 5 do not know the error that a new leader does not know its end yet (KIP-207).
      if (result.error == ErrorCode::offset_not_available && call.version < 5) {
        partition.error_code = ErrorCode::leader_not_available;
      }
      partition.timestamp = result.timestamp;
      partition.offset = result.offset;
      partition.leader_epoch = result.leader_epoch;
    }
  }
  co_return response;
}

env::Task<wire::OffsetForLeaderEpochResponse> offset_for_leader_epoch(Services& services,
                                                                      wire::OffsetForLeaderEpochRequest request) {
  std::vector<replica::EpochQuery> queries;
  for (const auto& topic : request.topics) {
    for (const auto& partition : topic.partitions) {
      queries.push_back(
          {{topic.topic, {}, partition.partition}, partition.current_leader_epoch, partition.leader_epoch});
    }
  }
  const std::size_t count = queries.size();
  const std::vector<replica::EpochAnswer> answers =
      co_await services.partitions.offset_for_leader_epoch(std::move(queries));
  ORDEAL_CHECK(answers.size() == count, "{} answers to {} queries", answers.size(), count);
  wire::OffsetForLeaderEpochResponse response;
  std::size_t at = 0;
  for (const auto& topic : request.topics) {
    wire::OffsetForLeaderEpochResponse::OffsetForLeaderTopicResult out;
    out.topic = topic.topic;
    for (const auto& partition : topic.partitions) {
      const replica::EpochAnswer& answer = answers[at++];
      out.partitions.push_back({answer.error, partition.partition, answer.leader_epoch, answer.end_offset});
    }
    response.topics.push_back(std::move(out));
  }
  co_return response;
}

}  // namespace ordeal::server
