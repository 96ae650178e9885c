// Which leader epoch wrote from which offset on: the history that truncation is decided by (KIP-101, KIP-279).
//
// Pure. Entries rise strictly in epoch and in start offset; an epoch that wrote nothing is replaced by the next one at
// the same start. Its file is Kafka's leader-epoch-checkpoint: "0\n<count>\n<epoch> <start>\n..." as text.
#pragma once

#include <string>
#include <vector>

#include "broker/base/bytes.h"
#include "broker/base/result.h"
#include "broker/base/types.h"

namespace ordeal::log {

struct EpochEntry {
  LeaderEpoch epoch = kNoEpoch;
  Offset start = kNoOffset;
  bool operator==(const EpochEntry&) const = default;
};

// The answer of OffsetsForLeaderEpoch: kNoEpoch, kNoOffset when it cannot be known.
struct EpochEnd {
  LeaderEpoch epoch = kNoEpoch;
  Offset end = kNoOffset;  // exclusive
  bool operator==(const EpochEnd&) const = default;
};

class EpochHistory {
 public:
  // Returns true if the history changed. An epoch not above the latest one changes nothing.
  bool assign(LeaderEpoch epoch, Offset start);

  // The largest epoch <= asked and its end: the start of the next epoch, or log_end for the latest. Asked above the
  // latest, or kNoEpoch, or an empty history: unknown. Asked below the oldest: (asked, start of the oldest), since
  // nothing of that epoch is left here.
  EpochEnd end_offset_for(LeaderEpoch asked, Offset log_end) const;

  bool truncate_from_end(Offset end);  // drops entries with start >= end; true if any went
  bool truncate_from_start(
      Offset start);  // forgets epochs that end at or below start; the one across it now begins there
  void clear() { entries_.clear(); }

  LeaderEpoch latest() const { return entries_.empty() ? kNoEpoch : entries_.back().epoch; }
  // The epoch that wrote `offset`; kNoEpoch if unknown.
  LeaderEpoch epoch_of(Offset offset) const;
  const std::vector<EpochEntry>& entries() const { return entries_; }
  bool empty() const { return entries_.empty(); }

  Bytes encode() const;
  static Result<EpochHistory> decode(ByteView text);  // Errc::corrupt on anything but what encode() writes

 private:
  std::vector<EpochEntry> entries_;
};

}  // namespace ordeal::log
