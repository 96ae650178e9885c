// Produce: hands every partition's batch to the replica manager at once, answers when all of them are settled.
//
// Nothing suspends before append() is called: requests of one connection must reach the logs in their order, or an
// idempotent producer with several requests in flight would see gaps in its sequence numbers.
#include <fmt/format.h>

#include "broker/server/handlers/handlers.h"

namespace ordeal::server {

using wire::ErrorCode;
using PartitionAnswer = wire::ProduceResponse::PartitionProduceResponse;

namespace {

replica::AppendParams to_params(const Services& services, const Call& call, const wire::ProduceRequest& request) {
  replica::AppendParams params;
  params.acks = request.acks;
  params.deadline = services.in_ms(request.timeout_ms);
  params.api_version = call.version;
  for (const auto& topic : request.topic_data) {
    for (const auto& partition : topic.partition_data) {
      replica::AppendRequest append;
      append.at = {topic.name, topic.topic_id, partition.index};
      if (partition.records) append.records = *partition.records;
      params.requests.push_back(std::move(append));
    }
  }
  return params;
}

PartitionAnswer to_answer(std::int32_t index, replica::AppendResult result, std::set<NodeId>& leaders) {
  PartitionAnswer answer;
  answer.index = index;
  answer.error_code = result.error;
  answer.base_offset = result.base_offset;
  answer.log_append_time_ms = result.log_append_time;
  answer.log_start_offset = result.log_start_offset;
  for (replica::RecordError& error : result.record_errors) {
    answer.record_errors.push_back({error.batch_index, std::move(error.message)});
  }
  if (!result.error_message.empty()) answer.error_message = std::move(result.error_message);
  if (result.current_leader.epoch != kNoEpoch) {
    answer.current_leader = {result.current_leader.leader, result.current_leader.epoch};
    leaders.insert(result.current_leader.leader);
  }
  return answer;
}

// Every partition gets `error`, nothing is appended.
std::vector<replica::AppendResult> refuse_all(std::size_t count, ErrorCode error, const std::string& why) {
  replica::AppendResult result;
  result.error = error;
  result.error_message = why;
  return std::vector<replica::AppendResult>(count, result);
}

}  // namespace

env::Task<Result<std::optional<wire::ProduceResponse>>> produce(Services& services, Call call,
                                                                wire::ProduceRequest request) {
  replica::AppendParams params = to_params(services, call, request);
  const std::size_t count = params.requests.size();
  std::vector<replica::AppendResult> results;
  if (request.acks < -1 || request.acks > 1) {
    results = refuse_all(count, ErrorCode::invalid_required_acks, fmt::format("acks={}", request.acks));
  } else if (request.transactional_id) {
    // No coordinator has this partition in an ongoing transaction of that id.
    results = refuse_all(count, ErrorCode::invalid_txn_state, "no such transaction is ongoing");
  } else {
    results = co_await services.partitions.append(std::move(params));
  }
  ORDEAL_CHECK(results.size() == count, "{} answers to {} appends", results.size(), count);

  wire::ProduceResponse response;
  std::set<NodeId> leaders;
  std::size_t at = 0;
  for (const auto& topic : request.topic_data) {
    wire::ProduceResponse::TopicProduceResponse out;
    out.name = topic.name;
    out.topic_id = topic.topic_id;
    for (const auto& partition : topic.partition_data) {
      const ErrorCode error = results[at].error;
      if (request.acks == 0 && error != ErrorCode::none) {
        // The client asked for no answer: a closed connection is the only way to tell it.
        co_return fail(Errc::closed, fmt::format("acks=0 append to {}-{} failed with {}", topic.name, partition.index,
                                                 wire::error_name(error)));
      }
      out.partition_responses.push_back(to_answer(partition.index, std::move(results[at++]), leaders));
    }
    response.responses.push_back(std::move(out));
  }
  if (request.acks == 0) co_return std::nullopt;
  response.node_endpoints = endpoints_of(services, call.listener, leaders);
  co_return response;
}

}  // namespace ordeal::server
