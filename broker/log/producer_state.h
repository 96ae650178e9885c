// What a partition remembers of its idempotent producers: enough to append each batch exactly once (KIP-98, KIP-360).
//
// Pure: no clock, no files. check() decides, update() records; callers check, append, then update, so that a failed
// append leaves no trace. Snapshots are Kafka's .snapshot bytes, which keep one batch per producer: backfill() restores
// the window of five from the batches before the snapshot.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "broker/base/bytes.h"
#include "broker/base/result.h"
#include "broker/base/types.h"
#include "broker/mutation/mutation.h"
#include "broker/wire/record_batch.h"

namespace ordeal::log {

inline constexpr std::size_t kBatchesRemembered = 5;

// One appended batch of one producer.
struct ProducerBatch {
  std::int32_t first_sequence = wire::kNoSequence;
  std::int32_t last_sequence = wire::kNoSequence;
  Offset last_offset = kNoOffset;
  std::int32_t offset_delta = 0;  // last_offset - base offset
  WallMs timestamp = kNoTimestamp;
  Offset base_offset() const { return last_offset - offset_delta; }
  bool operator==(const ProducerBatch&) const = default;
};

struct ProducerEntry {
  ProducerEpoch epoch = wire::kNoProducerEpoch;
  std::deque<ProducerBatch> batches;  // the last five at most, oldest first
  WallMs last_timestamp = kNoTimestamp;
  std::int32_t coordinator_epoch = -1;
  Offset txn_first_offset = kNoOffset;  // of the open transaction; kNoOffset if none

  std::int32_t last_sequence() const { return batches.empty() ? wire::kNoSequence : batches.back().last_sequence; }
  bool operator==(const ProducerEntry&) const = default;
};

enum class ProducerVerdict : std::uint8_t {
  append,        // new and in order
  duplicate,     // already there: answer `original`
  stale_epoch,   // INVALID_PRODUCER_EPOCH
  out_of_order,  // OUT_OF_ORDER_SEQUENCE_NUMBER
  invalid_txn,   // INVALID_TXN_STATE: a plain batch inside the producer's open transaction
};

struct ProducerDecision {
  ProducerVerdict verdict = ProducerVerdict::append;
  ProducerBatch original{};  // of a duplicate
  std::string text;          // of a refusal: what was expected and what came
};

class ProducerState {
 public:
  // Decides about a client batch that carries a producer id. PROTOCOL section 2, in its order.
  // `whole_log`: the log begins at offset 0, so that a producer without state has written nothing here.
  ProducerDecision check(const wire::BatchView& batch, const mutation::Switches& switches, bool whole_log) const;

  // Records a batch that is in the log at `base` (batch.base_offset() may still be the client's). Control batches end
  // the producer's transaction and adopt the marker's epoch. `seen` is when the broker appended or loaded it: expiry
  // goes by that, not by what a client wrote into its records.
  void update(const wire::BatchView& batch, Offset base, WallMs seen);
  // Puts a batch from before the snapshot back into its producer's window. Call in offset order, before any update().
  void backfill(const wire::BatchView& batch);

  // Forgets producers that were silent for longer than `idle_ms`; never one with an open transaction.
  void expire(WallMs now, std::int64_t idle_ms);
  void clear() { entries_.clear(); }

  const ProducerEntry* find(ProducerId id) const;
  const std::map<ProducerId, ProducerEntry>& entries() const { return entries_; }
  // First offset of the earliest open transaction; nullopt if none is open.
  std::optional<Offset> first_open_txn() const;

  Bytes encode_snapshot() const;
  static Result<ProducerState> decode_snapshot(ByteView bytes);  // Errc::corrupt: version, crc, sizes

  bool operator==(const ProducerState&) const = default;

 private:
  std::map<ProducerId, ProducerEntry> entries_;
  bool forgot_ = false;  // producers expired since this object was made: one without state may have been known
};

}  // namespace ordeal::log
