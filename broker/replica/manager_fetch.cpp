// Fetch, for consumers and followers, with its purgatory: a request that finds too little parks until one of its
// partitions moves (the log end for followers, the high watermark for consumers, a role for both) or its wait is over.
//
// A follower's positions are taken once, when the request arrives. When it is looked at again after a wait only
// leadership and epochs are checked: time spent parked must not make a follower look more caught up than it was.
#include <algorithm>
#include <utility>

#include "broker/replica/manager_impl.h"

namespace ordeal::replica {
namespace {

struct Slot {
  ReplicaPtr replica;  // null: refused for good
  FetchResult result;
  bool settled = false;  // error or divergence: nothing will be read
};

bool is_follower(const FetchParams& params) { return params.replica_id >= 0; }

void refuse(Slot& slot, ErrorCode error, const CurrentLeader& leader) {
  slot.settled = true;
  slot.result.error = error;
  slot.result.records = {};
  if (error == ErrorCode::not_leader_or_follower || error == ErrorCode::fenced_leader_epoch) {
    slot.result.current_leader = leader;
  }
}

void out_of_range(Slot& slot) {
  slot.settled = true;
  slot.result.error = ErrorCode::offset_out_of_range;
  slot.result.records = {};
  slot.result.log_start_offset = slot.replica->ends().start;
  slot.result.high_watermark = slot.replica->partition().high_watermark();
}

void describe(Slot& slot, const FetchParams& params) {
  Replica& replica = *slot.replica;
  slot.result.high_watermark = replica.partition().high_watermark();
  slot.result.last_stable_offset = replica.last_stable();
  slot.result.log_start_offset = replica.ends().start;
  if (!is_follower(params) && params.isolation == Isolation::read_committed) slot.result.aborted.emplace();
}

// First look at a follower's partition: counts its position.
void admit_follower(Slot& slot, const FetchPartition& asked, const FetchParams& params, bool may_join,
                    const CurrentLeader& leader) {
  FollowerFetch fetch;
  fetch.replica = params.replica_id;
  fetch.fetch_offset = asked.fetch_offset;
  fetch.current_leader_epoch = asked.current_leader_epoch;
  fetch.last_fetched_epoch = asked.last_fetched_epoch;
  fetch.broker_epoch = params.replica_epoch;
  fetch.in_session = params.in_session;
  fetch.may_join = may_join && slot.replica->may_propose_now();
  const FetchVerdict verdict = slot.replica->on_follower_fetch(fetch);
  if (verdict.error == ErrorCode::offset_out_of_range) return out_of_range(slot);
  if (verdict.error != ErrorCode::none) return refuse(slot, verdict.error, leader);
  describe(slot, params);
  if (verdict.diverging) {
    slot.settled = true;
    slot.result.diverging = DivergingEpoch{verdict.diverging->epoch, verdict.diverging->end};
  }
}

void admit_consumer(Slot& slot, const FetchPartition& asked, const FetchParams& params, const CurrentLeader& leader) {
  Replica& replica = *slot.replica;
  const ErrorCode error = replica.partition().check_leader(asked.current_leader_epoch, params.in_session);
  if (error != ErrorCode::none) return refuse(slot, error, leader);
  if (asked.last_fetched_epoch != kNoEpoch) {
    const log::EpochEnd end = replica.log().end_offset_for_epoch(asked.last_fetched_epoch);
    if (end.epoch == kNoEpoch) return out_of_range(slot);
    if (end.epoch < asked.last_fetched_epoch || end.end < asked.fetch_offset) {
      describe(slot, params);
      slot.settled = true;
      slot.result.diverging = DivergingEpoch{end.epoch, end.end};
      return;
    }
  }
  if (asked.fetch_offset < replica.ends().start || asked.fetch_offset > replica.ends().end) return out_of_range(slot);
  describe(slot, params);
}

Offset visible_end(const Slot& slot, const FetchParams& params) {
  if (is_follower(params)) return slot.replica->ends().end;
  return params.isolation == Isolation::read_committed ? slot.result.last_stable_offset : slot.result.high_watermark;
}

// Reads what there is. `left` is what the response may still take; the very first batch may exceed it. The error is the
// device's: what it refuses to read is as lost as what it refuses to write, and the log directory has failed (KIP-112).
// Bytes that do not make sense are the partition's trouble only.
Status read(Slot& slot, const FetchPartition& asked, const FetchParams& params, std::int64_t& left, bool first) {
  slot.result.records = {};
  const Offset limit = visible_end(slot, params);
  if (asked.fetch_offset >= limit || (left <= 0 && !first)) return {};
  const auto size_max =
      static_cast<std::size_t>(std::max<std::int64_t>(0, std::min<std::int64_t>(asked.max_bytes, left)));
  Result<Slice> records = slot.replica->log().read(asked.fetch_offset, size_max, limit, first);
  if (!records) {
    if (records.error().code == Errc::out_of_range) {
      out_of_range(slot);
      return {};
    }
    refuse(slot, ErrorCode::kafka_storage_error, {});
    return records.error().code == Errc::io ? fail(records.error().at(slot.replica->at().to_string())) : Status{};
  }
  left -= static_cast<std::int64_t>(records->size());
  slot.result.records = std::move(*records);
  return {};
}

}  // namespace

env::Task<std::vector<FetchResult>> ReplicaManager::fetch(FetchParams params) {
  Impl& impl = *impl_;
  const Instant deadline = impl.env.scheduler.now() + params.max_wait;
  bool may_join = false;
  if (is_follower(params)) {
    const meta::BrokerImage* broker = impl.image->broker(params.replica_id);
    may_join =
        broker != nullptr && broker->active() && (params.replica_epoch == -1 || params.replica_epoch == broker->epoch);
  }
  std::vector<Slot> slots(params.partitions.size());
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const FetchPartition& asked = params.partitions[i];
    Resolved found = impl.resolve(asked.at);
    if (found.error == ErrorCode::none && found.replica->busy()) found.error = ErrorCode::not_leader_or_follower;
    if (found.error != ErrorCode::none) {
      refuse(slots[i], found.error, found.leader);
      continue;
    }
    slots[i].replica = std::move(found.replica);
    if (is_follower(params)) {
      admit_follower(slots[i], asked, params, may_join, found.leader);
    } else {
      admit_consumer(slots[i], asked, params, found.leader);
    }
  }

  FetchWaitPtr wait;
  const std::uint64_t id = impl.next_fetch_id++;
  while (true) {
    std::int64_t left = params.max_bytes;
    std::int64_t bytes = 0;
    bool settled = slots.empty();
    for (std::size_t i = 0; i < slots.size(); ++i) {
      if (!slots[i].settled) {
        const Status done = read(slots[i], params.partitions[i], params, left, bytes == 0);
        if (!done) impl.fatal(done.error());
      }
      bytes += static_cast<std::int64_t>(slots[i].result.records.size());
      settled = settled || slots[i].settled;
    }
    const bool late = impl.env.scheduler.now() >= deadline;
    if (settled || bytes >= params.min_bytes || late || impl.context.stopping) break;
    if (!wait) {
      wait = std::make_shared<FetchWait>(impl.env.scheduler);
      for (const Slot& slot : slots) slot.replica->add_fetch_wait(id, wait, is_follower(params));
    }
    const bool moved = co_await wait->woken.wait(deadline);
    (void)moved;
    for (std::size_t i = 0; i < slots.size(); ++i) {
      Slot& slot = slots[i];
      const FetchPartition& asked = params.partitions[i];
      const ErrorCode error =
          slot.replica->retired() || slot.replica->busy()
              ? ErrorCode::not_leader_or_follower
              : slot.replica->partition().check_leader(asked.current_leader_epoch, params.in_session);
      if (error != ErrorCode::none) {
        refuse(slot, error, impl.current_leader(asked.at));
      } else {
        describe(slot, params);
      }
    }
  }
  if (wait) {
    for (const Slot& slot : slots) {
      if (slot.replica) slot.replica->remove_fetch_wait(id);
    }
  }
  std::vector<FetchResult> results;
  results.reserve(slots.size());
  for (Slot& slot : slots) results.push_back(std::move(slot.result));
  co_return results;
}

}  // namespace ordeal::replica
