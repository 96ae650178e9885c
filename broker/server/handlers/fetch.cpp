// Fetch, of consumers and followers. What a request leaves out because its session knows it, and what the answer may
// leave out, is decided in fetch_session.h.
#include "broker/env/buggify.h"
#include "broker/server/handlers/handlers.h"

namespace ordeal::server {

using wire::ErrorCode;
using PartitionAnswer = wire::FetchResponse::PartitionData;

namespace {

replica::FetchParams to_params(const Services& services, const wire::FetchRequest& request,
                               const FetchSessions::Plan& plan) {
  replica::FetchParams params;
  const wire::FetchRequest::ReplicaState replica = request.replica();
  params.replica_id = replica.replica_id;
  params.replica_epoch = replica.replica_epoch;
  params.max_wait = std::chrono::milliseconds(std::max(request.max_wait_ms, 0));
  params.min_bytes = request.min_bytes;
  params.max_bytes = std::min(request.max_bytes, services.config.fetch_max_bytes);
  params.isolation =
      request.isolation_level == 1 ? replica::Isolation::read_committed : replica::Isolation::read_uncommitted;
  params.in_session = plan.incremental;
  // One batch at a time is always legal: the first batch goes out whatever the limit.
  if (env::buggify(services.env, "fetch.short_reply")) params.max_bytes = std::min(params.max_bytes, 1);
  params.partitions.reserve(plan.partitions.size());
  for (const FetchSessions::Wanted& each : plan.partitions) {
    replica::FetchPartition wanted;
    wanted.at = {each.topic, each.topic_id, each.part.partition};
    wanted.current_leader_epoch = each.part.current_leader_epoch;
    wanted.fetch_offset = each.part.fetch_offset;
    wanted.last_fetched_epoch = each.part.last_fetched_epoch;
    wanted.log_start_offset = each.part.log_start_offset;
    wanted.max_bytes = each.part.partition_max_bytes;
    params.partitions.push_back(std::move(wanted));
  }
  return params;
}

PartitionAnswer to_answer(std::int32_t index, replica::FetchResult result) {
  PartitionAnswer answer;
  answer.partition_index = index;
  answer.error_code = result.error;
  answer.high_watermark = result.high_watermark;
  answer.last_stable_offset = result.last_stable_offset;
  answer.log_start_offset = result.log_start_offset;
  if (result.diverging) answer.diverging_epoch = {result.diverging->epoch, result.diverging->end_offset};
  if (result.current_leader.epoch != kNoEpoch) {
    answer.current_leader = {result.current_leader.leader, result.current_leader.epoch};
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
  return ErrorCode::none;
}

// Before version 7 there is no error for the whole: each partition carries it.
wire::FetchResponse refusal(const wire::FetchRequest& request, std::int16_t version, ErrorCode error) {
  wire::FetchResponse response;
  response.error_code = error;
  if (version >= 7) return response;
  for (const auto& topic : request.topics) {
    wire::FetchResponse::FetchableTopicResponse out;
    out.topic = topic.topic;
    for (const auto& partition : topic.partitions) {
      replica::FetchResult each;
      each.error = error;
      out.partitions.push_back(to_answer(partition.partition, std::move(each)));
    }
    response.responses.push_back(std::move(out));
  }
  return response;
}

std::set<NodeId> leaders_named(const wire::FetchResponse& response) {
  std::set<NodeId> leaders;
  for (const auto& topic : response.responses) {
    for (const auto& partition : topic.partitions) {
      if (partition.current_leader.leader_epoch != kNoEpoch) leaders.insert(partition.current_leader.leader_id);
    }
  }
  return leaders;
}

}  // namespace

env::Task<wire::FetchResponse> fetch(Services& services, Call call, wire::FetchRequest request) {
  const ErrorCode refused = check(call, request);
  if (refused != ErrorCode::none) co_return refusal(request, call.version, refused);
  // A broker may forget any session at any time.
  if (request.session_id != 0 && env::buggify(services.env, "fetch.session_lost")) {
    services.fetch_sessions.drop(request.session_id);
  }
  const FetchSessions::Plan plan =
      services.fetch_sessions.begin(request, call.version, call.from_broker(), services.env.scheduler.now());
  if (plan.error != ErrorCode::none) co_return refusal(request, call.version, plan.error);
  replica::FetchParams params = to_params(services, request, plan);
  std::vector<replica::FetchResult> results = co_await services.partitions.fetch(std::move(params));
  ORDEAL_CHECK(results.size() == plan.partitions.size(), "{} answers to {} fetches", results.size(),
               plan.partitions.size());
  std::vector<PartitionAnswer> answers;
  answers.reserve(results.size());
  for (std::size_t i = 0; i < results.size(); ++i) {
    answers.push_back(to_answer(plan.partitions[i].part.partition, std::move(results[i])));
  }
  const std::uint64_t drawn = plan.opens ? services.env.random.next() : 0;
  wire::FetchResponse response =
      services.fetch_sessions.finish(plan, std::move(answers), services.env.scheduler.now(), drawn);
  response.node_endpoints = endpoints_of(services, call.listener, leaders_named(response));
  co_return response;
}

}  // namespace ordeal::server
