// What readers and the auditor found in one partition.
//
// duplicate: one value at two offsets. Who is to blame follows from the raw batches: a copy under another producer id,
// epoch or sequence was sent again by the client, unless the client did so because the broker had refused as out of
// order a batch that the log holds (ProducerReset names that batch), which a correct broker never does to a batch it
// has. vanished-read: an offset that a consumer was served (so it was below the high watermark) is not in the audited
// log.
#include <algorithm>

#include "checker/checks.h"

namespace ordeal::checker {
namespace {

constexpr std::int32_t kOutOfOrderSequence = 45;
constexpr std::int32_t kUnknownProducerId = 59;

const history::AuditBatch* batch_of(const Partition& partition, std::int64_t offset) {
  const auto after = std::ranges::upper_bound(partition.batches, offset, {}, &history::AuditBatch::base_offset);
  if (after == partition.batches.begin()) return nullptr;
  const history::AuditBatch& batch = *std::prev(after);
  return offset <= batch.last_offset ? &batch : nullptr;
}

// Whether the broker that refused was one that must have had `held`. A deposed leader lacks what its successors
// appended and may say out of order in good faith, so: either nobody had succeeded anybody yet, or the one who refused
// first led in the batch's epoch or a later one.
bool must_have_it(const Partition& partition, const history::ProducerReset& reset, const history::AuditBatch& held) {
  if (reset.time_ns < partition.leader_moved_ns) return true;
  const auto led = partition.first_led.find(reset.cause_node);
  return led != partition.first_led.end() && held.leader_epoch >= 0 && led->second >= held.leader_epoch;
}

// The broker told the client that `held`'s sequence was out of order although it stands in the log.
bool refused_although_held(const Index& index, std::uint16_t object, const history::AuditBatch& held) {
  return std::ranges::any_of(index.resets, [&](const history::ProducerReset& reset) {
    return reset.cause_object == object &&
           (reset.cause_code == kOutOfOrderSequence || reset.cause_code == kUnknownProducerId) &&
           reset.old_producer_id == held.producer_id && reset.old_producer_epoch == held.producer_epoch &&
           reset.cause_sequence == held.base_sequence && reset.cause_sequence >= 0 &&
           must_have_it(index.partitions[object], reset, held);
  });
}

Because who_copied(const Index& index, std::uint16_t object, std::int64_t first, std::int64_t second) {
  const Partition& partition = index.partitions[object];
  if (partition.batches.empty()) return Because::matrix;  // no raw batches at all: nothing can excuse it
  const history::AuditBatch* a = batch_of(partition, first);
  const history::AuditBatch* b = batch_of(partition, second);
  if (a == nullptr || b == nullptr) return Because::no_batch_evidence;
  if (a->producer_id < 0 && b->producer_id < 0) return Because::matrix;
  if (a->producer_id != b->producer_id || a->producer_epoch != b->producer_epoch)
    return refused_although_held(index, object, *a) ? Because::refused_held : Because::client_epoch;
  const std::int64_t first_sequence = a->base_sequence + (first - a->base_offset);
  const std::int64_t second_sequence = b->base_sequence + (second - b->base_offset);
  return first_sequence == second_sequence ? Because::matrix : Because::client_sequence;
}

}  // namespace

void check_log(Index& index, std::uint16_t object, Findings& findings) {
  Partition& partition = index.partitions[object];
  std::map<std::uint64_t, std::int64_t> first_copy;  // only of values met twice
  std::vector<std::pair<std::uint64_t, std::int64_t>> again;
  for (std::size_t at = 0; at < partition.slot.size(); ++at) {
    if (at + kPrefetch < partition.slot.size()) index.prefetch_send(partition.slot[at + kPrefetch] & history::kNoValue);
    const std::uint64_t packed = partition.slot[at];
    if (packed == kEmptySlot) continue;
    const std::int64_t offset = partition.map.offset_at(at);
    const std::uint64_t value = packed & history::kNoValue;
    const std::uint8_t seen = partition.seen[at];
    if ((seen & (kSlotAudited | kSlotConflict)) == 0 && partition.decides(offset)) {
      Finding finding{Prop::vanished_read, Because::matrix, object, offset, -1, value, history::kNoValue};
      findings.add(finding);
    }
    if (value >= index.sends.size()) continue;
    Send& send = index.sends[value];
    if (send.object != object || send.state == Sent::never) continue;
    if ((send.flags & kPlaced) != 0) again.emplace_back(value, offset);
    send.flags |= kPlaced;
  }
  if (again.empty()) return;
  for (const auto& [value, offset] : again) first_copy.emplace(value, -1);
  for (std::size_t at = 0; at < partition.slot.size(); ++at) {
    if (partition.slot[at] == kEmptySlot) continue;
    const auto copy = first_copy.find(partition.slot[at] & history::kNoValue);
    if (copy != first_copy.end() && copy->second < 0) copy->second = partition.map.offset_at(at);
  }
  for (const auto& [value, offset] : again) {
    const std::int64_t first = first_copy.at(value);
    Finding finding{Prop::duplicate, who_copied(index, object, first, offset), object, first, offset, value, value};
    findings.add(finding);
  }
}

}  // namespace ordeal::checker
