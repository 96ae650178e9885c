// The checks themselves, each over one index. The header of each .cpp says what it claims and why that is sound.
#pragma once

#include "checker/index.h"

namespace ordeal::checker {

// Fills Partition::ack from the acknowledged sends; under acks=all two of them for one offset are inconsistent-offsets.
void place_acks(Index& index, Acks acks, Findings& findings);

// Of one partition; different partitions may run on different threads.
void check_log(Index& index, std::uint16_t object, Findings& findings);                    // duplicate, vanished-read
void check_real_time(const Index& index, std::uint16_t object, Findings& findings);        // real-time-order
void check_ends(const Index& index, std::uint16_t object, Acks acks, Findings& findings);  // end-offset-regression
void check_batches(const Index& index, std::uint16_t object, Findings& findings);  // log-epoch-order, broken-sequence

void check_sends(Index& index, Acks acks, Findings& findings);  // lost-write, unseen, inconsistent-offsets, duplicate
void check_send_order(const Index& index, Findings& findings);  // nonmonotonic-send, int-nonmonotonic-send
void check_polls(const Index& index, Findings& findings);       // poll-skip, int-poll-skip

// An acknowledged send whose record stands where the acknowledgement says: in the audited log, or, where the audit does
// not decide, as far as anybody looked. The order checks use only these; a record that readers saw and that is gone is
// lost-write's and vanished-read's business.
inline bool stands(const Partition& partition, std::uint64_t value, const Send& send) {
  if (send.state != Sent::ok || send.offset < 0) return false;
  const std::size_t at = partition.map.find(send.offset);
  const std::uint64_t there = at == partition.map.size() ? kEmptySlot : partition.slot[at];
  const bool is_it = there != kEmptySlot && (there & history::kNoValue) == value;
  if (partition.removed(send.offset)) return is_it;  // it may have been lost, and the offset used again, before that
  if (partition.decides(send.offset) || (partition.drained && send.offset >= partition.position))
    return is_it && (partition.seen[at] & kSlotAudited) != 0;
  return is_it || there == kEmptySlot;
}

}  // namespace ordeal::checker
