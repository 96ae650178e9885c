// Fetch, of consumers and followers. Sessions (KIP-227) are declined: every answer carries session id 0, which tells
// the client to name all its partitions each time.
#include <fmt/format.h>

#include "broker/server/handlers/handlers.h"

namespace ordeal::server {

using wire::ErrorCode;
using PartitionAnswer = wire::FetchResponse::PartitionData;

namespace {

replica::FetchParams to_params(const Services& services, const wire::FetchRequest& request) {
  replica::FetchParams params;
  const wire::FetchRequest::ReplicaState replica = request.replica();
  params.replica_id = replica.replica_id;
  params.replica_epoch = replica.replica_epoch;
  params.max_wait = std::chrono::milliseconds(std::max(request.max_wait_ms, 0));
  params.min_bytes = request.min_bytes;
  params.max_bytes = std::min(request.max_bytes, services.config.fetch_max_bytes);
  params.isolation =
      request.isolation_level == 1 ? replica::Isolation::read_committed : replica::Isolation::read_uncommitted;
  for (const auto& topic : request.topics) {
    for (const auto& partition : topic.partitions) {
      replica::FetchPartition wanted;
      wanted.at = {topic.topic, topic.topic_id, partition.partition};
      wanted.current_leader_epoch = partition.current_leader_epoch;
      wanted.fetch_offset = partition.fetch_offset;
      wanted.last_fetched_epoch = partition.last_fetched_epoch;
      wanted.log_start_offset = partition.log_start_offset;
      wanted.max_bytes = partition.partition_max_bytes;
      params.partitions.push_back(std::move(wanted));
    }
  }
  return params;
}

PartitionAnswer to_answer(std::int32_t index, replica::FetchResult result, std::set<NodeId>& leaders) {
  PartitionAnswer answer;
  answer.partition_index = index;
  answer.error_code = result.error;
  answer.high_watermark = result.high_watermark;
  answer.last_stable_offset = result.last_stable_offset;
  answer.log_start_offset = result.log_start_offset;
  if (result.diverging) answer.diverging_epoch = {result.diverging->epoch, result.diverging->end_offset};
  if (result.current_leader.epoch != kNoEpoch) {
    answer.current_leader = {result.current_leader.leader, result.current_leader.epoch};
    leaders.insert(result.current_leader.leader);
  }
  if (result.aborted) {
    answer.aborted_transactions.emplace();
    for (const replica::AbortedTransaction& aborted : *result.aborted) {
      answer.aborted_transactions->push_back({aborted.producer_id, aborted.first_offset});
    }
  }
  answer.records = std::move(result.records);  // empty rather than null, as clients of every age expect
  return answer;
}

// What is wrong with the request as a whole.
ErrorCode check(const Call& call, const wire::FetchRequest& request) {
  // Only brokers may claim to be a replica: what a replica reports moves the high watermark.
  if (request.replica().replica_id >= 0 && !call.from_broker()) return ErrorCode::cluster_authorization_failed;
  if (request.session_id != 0) return ErrorCode::fetch_session_id_not_found;
  return ErrorCode::none;
}

}  // namespace

env::Task<wire::FetchResponse> fetch(Services& services, Call call, wire::FetchRequest request) {
  wire::FetchResponse response;
  replica::FetchParams params = to_params(services, request);
  const std::size_t count = params.partitions.size();
  const ErrorCode refused = check(call, request);
  std::vector<replica::FetchResult> results;
  if (refused == ErrorCode::none) {
    results = co_await services.partitions.fetch(std::move(params));
    ORDEAL_CHECK(results.size() == count, "{} answers to {} fetches", results.size(), count);
  } else {
    response.error_code = refused;
    if (call.version >= 7) co_return response;
    // Before version 7 there is no error for the whole: each partition carries it.
    replica::FetchResult each;
    each.error = refused;
    results.assign(count, each);
  }
  std::set<NodeId> leaders;
  std::size_t at = 0;
  for (const auto& topic : request.topics) {
    wire::FetchResponse::FetchableTopicResponse out;
    out.topic = topic.topic;
    out.topic_id = topic.topic_id;
    for (const auto& partition : topic.partitions) {
      out.partitions.push_back(to_answer(partition.partition, std::move(results[at++]), leaders));
    }
    response.responses.push_back(std::move(out));
  }
  response.node_endpoints = endpoints_of(services, call.listener, leaders);
  co_return response;
}

}  // namespace ordeal::server
