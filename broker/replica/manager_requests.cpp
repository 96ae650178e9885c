// Produce, ListOffsets and OffsetForLeaderEpoch.
//
// Life of a produce: check leadership and min ISR, append every partition (one write each), start their flushes, wait
// until the last of them is acknowledged as `acks` asks or the deadline passes. What was appended stays appended.
#include <utility>

#include "broker/replica/manager_impl.h"
#include "broker/wire/messages/offsets.h"
#include "broker/wire/record_batch.h"

namespace ordeal::replica {
namespace {

constexpr std::int16_t kZstdSince = 7;  // Produce version

bool needs_newer_client(ByteView records, std::int16_t api_version) {
  if (api_version >= kZstdSince) return false;
  const auto batch = wire::BatchView::parse(records);
  return batch && batch->codec() == wire::Codec::zstd;
}

void refuse(AppendResult& result, const log::AppendError& error) {
  result.error = error.code;
  result.error_message = error.text;
  for (const auto& [index, text] : error.records) result.record_errors.push_back({index, text});
}

}  // namespace

env::Task<std::vector<AppendResult>> ReplicaManager::append(AppendParams params) {
  Impl& impl = *impl_;
  std::vector<AppendResult> results(params.requests.size());
  auto wait = std::make_shared<AckWait>(impl.env.scheduler);
  std::vector<ReplicaPtr> waited(params.requests.size());
  const bool legal_acks = params.acks >= -1 && params.acks <= 1;
  const bool waits = params.acks == -1 || (params.acks == 1 && impl.options.fsync);
  for (std::size_t i = 0; i < params.requests.size(); ++i) {
    const AppendRequest& request = params.requests[i];
    AppendResult& result = results[i];
    if (!legal_acks) {
      result.error = ErrorCode::invalid_required_acks;
      continue;
    }
    const Resolved found = impl.resolve(request.at);
    result.error = found.error;
    if (result.error == ErrorCode::none) {
      result.error = found.replica->busy() ? ErrorCode::not_leader_or_follower
                                           : found.replica->partition().check_append(params.acks);
    }
    if (result.error == ErrorCode::not_leader_or_follower) result.current_leader = found.leader;
    if (result.error == ErrorCode::none && needs_newer_client(request.records.view, params.api_version)) {
      result.error = ErrorCode::unsupported_compression_type;
    }
    if (result.error != ErrorCode::none) continue;

    Replica& replica = *found.replica;
    const auto appended = replica.append(request.records.view, params.origin);
    if (!appended) {
      refuse(result, appended.error());
      continue;
    }
    result.base_offset = appended->base_offset;
    result.log_append_time = appended->log_append_time;
    result.log_start_offset = appended->log_start;
    if (!waits) continue;
    waited[i] = found.replica;
    replica.wait_ack(wait, i, params.acks, replica.partition().leader_epoch(), appended->last_offset + 1);
  }

  while (wait->waiting > 0) {
    const bool in_time = co_await wait->settled.wait(params.deadline);
    if (!in_time) break;
  }
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (!waited[i]) continue;
    const auto answer = wait->errors.find(i);
    results[i].error = answer == wait->errors.end() ? ErrorCode::request_timed_out : answer->second;
    if (answer == wait->errors.end()) waited[i]->forget_ack(wait);
    if (results[i].error == ErrorCode::not_leader_or_follower) {
      results[i].current_leader = impl.current_leader(params.requests[i].at);
    }
    // An error after the append says nothing about the record: no offset goes with it.
    if (results[i].error != ErrorCode::none) results[i].base_offset = kNoOffset;
  }
  co_return results;
}

namespace {

ListOffsetsResult answer(const std::optional<log::TimestampOffset>& found) {
  ListOffsetsResult result;
  if (found) {
    result.timestamp = found->timestamp;
    result.offset = found->offset;
    result.leader_epoch = found->leader_epoch;
  }
  return result;
}

// `broken` is set when the device refused a read: then the log directory has failed, as in a fetch.
ListOffsetsResult list_one(Replica& replica, const ListOffsetsQuery& query, std::optional<Error>& broken) {
  ListOffsetsResult result;
  result.error = replica.partition().check_leader(query.current_leader_epoch);
  if (result.error != ErrorCode::none) return result;
  const LogEnds& ends = replica.ends();
  Offset visible = replica.partition().high_watermark();
  if (query.isolation == Isolation::read_committed) visible = replica.last_stable();
  if (query.replica_id >= 0) visible = ends.end;
  switch (query.timestamp) {
    case wire::kLatestTimestamp: {
      const LatestOffset latest = replica.partition().latest(visible);
      result.error = latest.error;
      result.offset = latest.offset;
      result.leader_epoch = replica.partition().leader_epoch();
      return result;
    }
    case wire::kEarliestTimestamp:
    case wire::kEarliestLocalTimestamp:
      result.offset = ends.start;
      result.leader_epoch = replica.log().epochs().epoch_of(ends.start);
      return result;
    case wire::kLatestTieredTimestamp:
    case wire::kEarliestPendingUploadTimestamp:
      return result;  // nothing is tiered: no offset
    default:
      break;
  }
  const auto found = query.timestamp == wire::kMaxTimestamp
                         ? replica.log().max_timestamp(visible)
                         : replica.log().offset_for_timestamp(query.timestamp, visible);
  if (found) return answer(*found);
  if (found.error().code == Errc::io) broken = found.error().at(replica.at().to_string());
  result.error = ErrorCode::kafka_storage_error;
  return result;
}

}  // namespace

env::Task<std::vector<ListOffsetsResult>> ReplicaManager::list_offsets(std::vector<ListOffsetsQuery> queries) {
  std::vector<ListOffsetsResult> results;
  for (const ListOffsetsQuery& query : queries) {
    const Resolved found = impl_->resolve(query.at);
    ListOffsetsResult result;
    result.error = found.error;
    if (found.replica && found.replica->busy()) result.error = ErrorCode::not_leader_or_follower;
    std::optional<Error> broken;
    if (result.error == ErrorCode::none) result = list_one(*found.replica, query, broken);
    if (broken) impl_->fatal(*broken);
    results.push_back(result);
  }
  co_return results;
}

env::Task<std::vector<EpochAnswer>> ReplicaManager::offset_for_leader_epoch(std::vector<EpochQuery> queries) {
  std::vector<EpochAnswer> results;
  for (const EpochQuery& query : queries) {
    const Resolved found = impl_->resolve(query.at);
    EpochAnswer result;
    result.error = found.error;
    if (found.replica && found.replica->busy()) result.error = ErrorCode::not_leader_or_follower;
    if (result.error == ErrorCode::none) {
      result.error = found.replica->partition().check_leader(query.current_leader_epoch);
    }
    if (result.error == ErrorCode::none) {
      const log::EpochEnd end = found.replica->log().end_offset_for_epoch(query.leader_epoch);
      result.leader_epoch = end.epoch;
      result.end_offset = end.end;
    }
    results.push_back(result);
  }
  co_return results;
}

}  // namespace ordeal::replica
