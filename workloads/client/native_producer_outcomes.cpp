// What becomes of a batch: results, retries, expiry, and the epoch bumps of an idempotent producer.
#include <fmt/format.h>

#include "broker/wire/error_codes.h"
#include "broker/wire/messages/producer_id.h"
#include "workloads/client/native_producer.h"
#include "workloads/client/native_producer_state.h"

namespace ordeal::client {

using env::Task;
using wire::ErrorCode;

void NativeProducer::finish(Partition& partition, const BatchPtr& batch, const std::string& error,
                            const std::string& text, Offset base, LeaderEpoch epoch) {
  partition.leave_flight(batch);
  Delivery delivery;
  delivery.error = error;
  delivery.error_text = text;
  delivery.persistence = error.empty()            ? Persistence::persisted
                         : batch->maybe_persisted ? Persistence::possibly_persisted
                                                  : Persistence::not_persisted;
  if (options_.acks == 0 && error.empty()) delivery.persistence = Persistence::possibly_persisted;
  delivery.leader_epoch = epoch;
  for (std::size_t i = 0; i < batch->tags.size(); ++i) {
    delivery.tag = batch->tags[i];
    delivery.offset = base >= 0 ? base + static_cast<Offset>(i) : kNoOffset;
    on_delivery_(delivery);
  }
  queued_ -= batch->tags.size();
  if (queued_ == 0) drained_.notify_all();
}

void NativeProducer::retry(Partition& partition, const BatchPtr& batch, LeaderInfo used) {
  partition.leave_flight(batch);
  cluster_.mark_stale(partition.tp, used.node);
  partition.put_back(batch);
  partition.retry_at = now() + options_.retry_backoff;
}

void NativeProducer::on_lost_reply(Partition& partition, const BatchPtr& batch, const Error& error, LeaderInfo leader) {
  const bool still_ours =
      std::ranges::find(partition.in_flight, batch) != partition.in_flight.end() || options_.acks == 0;
  if (!still_ours) return;  // reported by close() meanwhile
  batch->maybe_persisted = true;
  const bool out_of_tries = options_.retries >= 0 && batch->attempts > options_.retries;
  if (!out_of_tries && !gate_.closing()) return retry(partition, batch, leader);
  finish(partition, batch, "_TRANSPORT", error.text, kNoOffset, kNoEpoch);
  if (options_.idempotence) request_bump(0, partition.tp);
}

void NativeProducer::on_result(Partition& partition, const BatchPtr& batch, ErrorCode error, const std::string& text,
                               Offset base, LeaderInfo leader) {
  if (std::ranges::find(partition.in_flight, batch) == partition.in_flight.end()) return;  // reported by close()
  if (error == ErrorCode::none || error == ErrorCode::duplicate_sequence_number) {
    return finish(partition, batch, "", "", error == ErrorCode::none ? base : kNoOffset, leader.epoch);
  }
  const std::string name(wire::error_name(error));
  const bool sequence_error = error == ErrorCode::out_of_order_sequence_number ||
                              error == ErrorCode::unknown_producer_id || error == ErrorCode::invalid_producer_epoch;
  if (options_.idempotence && sequence_error) {
    // Behind an older open batch this only says "not yet"; for the oldest it says "I do not have what you think".
    if (partition.is_oldest(batch)) {
      batch->vouched_absent = true;
      request_bump(std::to_underlying(error), partition.tp, leader.node, batch->sequence);
    }
    return retry(partition, batch, leader);
  }
  // These come after the append, or from a broker that cannot tell.
  if (error == ErrorCode::not_enough_replicas_after_append || error == ErrorCode::request_timed_out ||
      error == ErrorCode::unknown_server_error || error == ErrorCode::kafka_storage_error ||
      error == ErrorCode::not_leader_or_follower) {
    batch->maybe_persisted = true;
  }
  const bool out_of_tries = options_.retries >= 0 && batch->attempts > options_.retries;
  if (wire::is_retriable(error) && !out_of_tries) return retry(partition, batch, leader);
  finish(partition, batch, name, text, kNoOffset, leader.epoch);
  // A refused batch leaves a hole in the sequence that only a new epoch closes.
  if (options_.idempotence) request_bump(std::to_underlying(error), partition.tp);
}

void NativeProducer::expire(Partition& partition) {
  while (!partition.ready.empty() && now() >= partition.ready.front()->created + options_.delivery_timeout) {
    const BatchPtr batch = partition.ready.front();
    partition.ready.pop_front();
    const bool had_sequence = batch->sequence != wire::kNoSequence;
    const bool never_sent = batch->attempts == 0;
    finish(partition, batch, never_sent ? "_NEVER_SENT" : "_MSG_TIMED_OUT", "delivery timeout", kNoOffset, kNoEpoch);
    if (had_sequence) request_bump(0, partition.tp);
  }
}

void NativeProducer::request_bump(std::int32_t cause, const TopicPartition& at, NodeId by, std::int32_t sequence) {
  if (bump_wanted_) return;
  bump_wanted_ = true;
  bump_cause_ = cause;
  bump_at_ = at;
  bump_node_ = by;
  bump_sequence_ = sequence;
  settled_.notify_all();
}

Task<> NativeProducer::run_bumps() {
  while (!gate_.closing()) {
    if (!bump_wanted_ || in_flight() > 0) {
      co_await settled_.wait();
      continue;
    }
    const EpochChange before{producer_id_, producer_epoch_, kNoProducerId, -1,
                             bump_cause_,  bump_at_,        bump_node_,    bump_sequence_};
    bool done = co_await init_producer_id(now() + cluster_.options().request_timeout);
    if (!done) {
      co_await gate_.sleep_for(options_.retry_backoff);
      continue;
    }
    if (before.old_id != kNoProducerId && on_epoch_change_) {
      EpochChange change = before;
      change.new_id = producer_id_;
      change.new_epoch = producer_epoch_;
      on_epoch_change_(change);
    }
    restart_sequences();
    bump_wanted_ = false;
    for (auto& [tp, partition] : partitions_) partition->changed.notify_all();
  }
}

// KIP-360: asking with the current id and epoch yields the next epoch, or a new id when epochs ran out.
Task<bool> NativeProducer::init_producer_id(Instant deadline) {
  std::vector<NodeId> nodes = cluster_.nodes();
  if (nodes.empty()) {
    Status refreshed = co_await cluster_.refresh(deadline);
    if (!refreshed) co_return false;
    nodes = cluster_.nodes();
    if (nodes.empty()) co_return false;
  }
  const NodeId node = nodes[cluster_.env().random.below(nodes.size())];
  wire::InitProducerIdRequest request;
  request.transaction_timeout_ms = 60000;
  request.producer_id = producer_id_;
  request.producer_epoch = producer_epoch_;
  auto reply = co_await cluster_.call(node, std::move(request), deadline, 4);
  if (!reply) co_return false;
  if (reply->error_code != ErrorCode::none) {
    // An id the cluster no longer knows: start over with a fresh one.
    if (!wire::is_retriable(reply->error_code)) {
      producer_id_ = kNoProducerId;
      producer_epoch_ = -1;
    }
    co_return false;
  }
  producer_id_ = reply->producer_id;
  producer_epoch_ = reply->producer_epoch;
  co_return true;
}

// Under a new identity every partition begins at 0 again. Batches that may already be in a log are not sent again.
void NativeProducer::restart_sequences() {
  for (auto& [tp, partition] : partitions_) {
    partition->next_sequence = 0;
    std::deque<BatchPtr> kept;
    std::deque<BatchPtr> open;
    open.swap(partition->ready);
    for (const BatchPtr& batch : open) {
      if (batch->maybe_persisted && !batch->vouched_absent) {
        finish(*partition, batch, "_FATAL", "outcome unknown when the producer's epoch changed", kNoOffset, kNoEpoch);
        continue;
      }
      batch->sequence = wire::kNoSequence;
      batch->vouched_absent = false;
      kept.push_back(batch);
    }
    // finish() calls out: a send() from there lands behind what is kept.
    partition->ready.insert(partition->ready.begin(), kept.begin(), kept.end());
  }
}

}  // namespace ordeal::client
