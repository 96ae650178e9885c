// The idempotence rules and the snapshot codec; producer_state.h has the contract.
#include "broker/log/producer_state.h"
#include "broker/base/mark.h"

#include <fmt/format.h>

#include <algorithm>

namespace ordeal::log {
namespace {

constexpr std::int16_t kSnapshotVersion = 1;
constexpr std::size_t kSnapshotHeader = 10;  // version, crc, count
constexpr std::size_t kSnapshotEntry = 46;
constexpr std::size_t kCrcFrom = 6;

// The inverse of wire::add_sequence: where a batch began, from where it ended.
std::int32_t subtract_sequence(std::int32_t sequence, std::int32_t by) {
  if (sequence >= by) return sequence - by;
  return static_cast<std::int32_t>(std::int64_t{sequence} - by + (std::int64_t{1} << 31));
}

}  // namespace

ProducerDecision ProducerState::check(const wire::BatchView& batch, const mutation::Switches& switches,
                                      bool whole_log) const {
  ProducerDecision decision;
  const auto refuse = [&decision](ProducerVerdict verdict, std::string text) {
    decision.verdict = verdict;
    decision.text = std::move(text);
    return decision;
  };
  const auto found = entries_.find(batch.producer_id());
  if (found == entries_.end()) {
    // Where nothing can have been forgotten, a later batch than the first means that the first is still on its way: it
    // was refused for a passing reason. Let in now, this one would stand before it (KAFKA-14359).
    const bool complete = whole_log && !forgot_;
    if (!complete || batch.base_sequence() <= 0) return decision;
    ORDEAL_MARK("producer.first_batch_missing");
    return refuse(ProducerVerdict::out_of_order, fmt::format("producer {} begins with sequence {} in a log without any "
                                                             "of its batches",
                                                             batch.producer_id(), batch.base_sequence()));
  }
  const ProducerEntry& entry = found->second;
  const ProducerEpoch epoch = batch.producer_epoch();
  const std::int32_t first = batch.base_sequence();
  const std::int32_t last = batch.last_sequence();
  if (epoch == entry.epoch && first >= 0) {
    const auto same = std::ranges::find_if(entry.batches, [&](const ProducerBatch& old) {
      return old.first_sequence == first && old.last_sequence == last;
    });
    if (same != entry.batches.end() && !switches.active(mutation::Bug::idem_dup_is_out_of_order)) {
      decision.verdict = ProducerVerdict::duplicate;
      decision.original = *same;
      return decision;
    }
  }
  if (epoch < entry.epoch) {
    return refuse(ProducerVerdict::stale_epoch,
                  fmt::format("producer {} epoch {} is older than {}", batch.producer_id(), epoch, entry.epoch));
  }
  if (first >= 0) {
    // A new epoch starts at 0. An entry without an epoch or without batches of this epoch says nothing of the next
    // sequence but this: after a marker the same epoch goes on from nothing.
    const bool new_epoch = epoch != entry.epoch;
    const bool unknown = entry.epoch == wire::kNoProducerEpoch;
    const std::int32_t expected = new_epoch || entry.batches.empty() ? 0 : wire::next_sequence(entry.last_sequence());
    if (!unknown && first != expected) {
      return refuse(ProducerVerdict::out_of_order,
                    fmt::format("producer {} epoch {}: sequence {} came, {} was expected", batch.producer_id(), epoch,
                                first, expected));
    }
  }
  if (entry.txn_first_offset != kNoOffset && epoch == entry.epoch && !batch.is_transactional()) {
    return refuse(ProducerVerdict::invalid_txn,
                  fmt::format("producer {} has an open transaction and sent a plain batch", batch.producer_id()));
  }
  return decision;
}

void ProducerState::update(const wire::BatchView& batch, Offset base, WallMs seen) {
  if (!batch.has_producer_id()) return;
  ProducerEntry& entry = entries_[batch.producer_id()];
  if (batch.producer_epoch() != entry.epoch) {
    entry.epoch = batch.producer_epoch();
    entry.batches.clear();
  }
  entry.last_timestamp = std::max({entry.last_timestamp, batch.max_timestamp(), seen});
  if (batch.is_control()) {
    wire::Record record;
    auto reader = wire::RecordReader::open(batch);
    const auto more = reader ? reader->next(record) : Result<bool>(false);
    if (more && *more) {
      if (const auto marker = wire::parse_control_record(record)) entry.coordinator_epoch = marker->coordinator_epoch;
    }
    entry.txn_first_offset = kNoOffset;
    return;
  }
  if (batch.is_transactional() && entry.txn_first_offset == kNoOffset) entry.txn_first_offset = base;
  if (batch.base_sequence() < 0) return;  // a coordinator's own batch: it has no sequence
  entry.batches.push_back({batch.base_sequence(), batch.last_sequence(), base + batch.last_offset_delta(),
                           batch.last_offset_delta(), batch.max_timestamp()});
  if (entry.batches.size() > kBatchesRemembered) entry.batches.pop_front();
}

void ProducerState::backfill(const wire::BatchView& batch) {
  if (!batch.has_producer_id() || batch.is_control() || batch.base_sequence() < 0) return;
  const auto found = entries_.find(batch.producer_id());
  if (found == entries_.end()) return;
  ProducerEntry& entry = found->second;
  // Only what came before the batch that the snapshot kept, in the same epoch.
  if (entry.epoch != batch.producer_epoch() || entry.batches.empty()) return;
  const ProducerBatch newest = entry.batches.back();
  if (batch.last_offset() >= newest.last_offset) return;
  entry.batches.back() = {batch.base_sequence(), batch.last_sequence(), batch.last_offset(), batch.last_offset_delta(),
                          batch.max_timestamp()};
  entry.batches.push_back(newest);
  if (entry.batches.size() > kBatchesRemembered) entry.batches.pop_front();
}

void ProducerState::expire(WallMs now, std::int64_t idle_ms) {
  const std::size_t gone = std::erase_if(entries_, [&](const auto& item) {
    return item.second.txn_first_offset == kNoOffset && now - item.second.last_timestamp >= idle_ms;
  });
  forgot_ = forgot_ || gone > 0;
}

const ProducerEntry* ProducerState::find(ProducerId id) const {
  const auto found = entries_.find(id);
  return found == entries_.end() ? nullptr : &found->second;
}

std::optional<Offset> ProducerState::first_open_txn() const {
  std::optional<Offset> first;
  for (const auto& [id, entry] : entries_) {
    if (entry.txn_first_offset == kNoOffset) continue;
    if (!first || entry.txn_first_offset < *first) first = entry.txn_first_offset;
  }
  return first;
}

Bytes ProducerState::encode_snapshot() const {
  Bytes file(kSnapshotHeader + entries_.size() * kSnapshotEntry);
  store_be<std::int16_t>(file.data(), kSnapshotVersion);
  store_be<std::int32_t>(file.data() + 6, static_cast<std::int32_t>(entries_.size()));
  std::uint8_t* at = file.data() + kSnapshotHeader;
  for (const auto& [id, entry] : entries_) {
    const ProducerBatch last = entry.batches.empty() ? ProducerBatch{} : entry.batches.back();
    store_be<std::int64_t>(at, id);
    store_be<std::int16_t>(at + 8, entry.epoch);
    store_be<std::int32_t>(at + 10, last.last_sequence);
    store_be<std::int64_t>(at + 14, last.last_offset);
    store_be<std::int32_t>(at + 22, last.offset_delta);
    store_be<std::int64_t>(at + 26, entry.last_timestamp);
    store_be<std::int32_t>(at + 34, entry.coordinator_epoch);
    store_be<std::int64_t>(at + 38, entry.txn_first_offset);
    at += kSnapshotEntry;
  }
  store_be<std::uint32_t>(file.data() + 2, crc32c(ByteView(file).subspan(kCrcFrom)));
  return file;
}

Result<ProducerState> ProducerState::decode_snapshot(ByteView bytes) {
  if (bytes.size() < kSnapshotHeader) return fail(Errc::corrupt, "producer snapshot is cut short");
  const auto version = load_be<std::int16_t>(bytes.data());
  if (version != kSnapshotVersion) return fail(Errc::corrupt, fmt::format("producer snapshot version {}", version));
  const auto count = load_be<std::int32_t>(bytes.data() + 6);
  if (count < 0 || bytes.size() != kSnapshotHeader + static_cast<std::size_t>(count) * kSnapshotEntry) {
    return fail(Errc::corrupt, fmt::format("producer snapshot of {} bytes claims {} entries", bytes.size(), count));
  }
  if (load_be<std::uint32_t>(bytes.data() + 2) != crc32c(bytes.subspan(kCrcFrom))) {
    return fail(Errc::corrupt, "producer snapshot fails its checksum");
  }
  ProducerState state;
  for (std::int32_t i = 0; i < count; ++i) {
    const std::uint8_t* at = bytes.data() + kSnapshotHeader + static_cast<std::size_t>(i) * kSnapshotEntry;
    ProducerEntry entry;
    entry.epoch = load_be<std::int16_t>(at + 8);
    const auto last_sequence = load_be<std::int32_t>(at + 10);
    const auto last_offset = load_be<std::int64_t>(at + 14);
    const auto delta = load_be<std::int32_t>(at + 22);
    entry.last_timestamp = load_be<std::int64_t>(at + 26);
    entry.coordinator_epoch = load_be<std::int32_t>(at + 34);
    entry.txn_first_offset = load_be<std::int64_t>(at + 38);
    if (last_offset >= 0 && last_sequence >= 0 && delta >= 0) {
      entry.batches.push_back(
          {subtract_sequence(last_sequence, delta), last_sequence, last_offset, delta, entry.last_timestamp});
    }
    state.entries_.emplace(load_be<std::int64_t>(at), std::move(entry));
  }
  return state;
}

}  // namespace ordeal::log
