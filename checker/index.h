// The history as arrays: sends by dense value id, partitions by offset. Everything the checks ask is one array access;
// the records themselves are read twice (sends first, because a read may be recorded in an earlier file than its send).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "broker/base/result.h"
#include "checker/findings.h"
#include "workloads/history/history.h"

namespace ordeal::checker {

enum class Sent : std::uint8_t { never, open, ok, fail };  // open: invoked, and no certain end (info)

inline constexpr std::uint8_t kRead = 1;         // a consumer delivered it from its own partition
inline constexpr std::uint8_t kAudited = 2;      // the auditor found it there
inline constexpr std::uint8_t kPlaced = 4;       // the sweep met it once already
inline constexpr std::uint8_t kTold = 8;         // a per-value finding was made (aborted read)
inline constexpr std::uint8_t kEarly = 16;       // read before write was found
inline constexpr std::uint8_t kOutOfOrder = 32;  // the broker's last word was OUT_OF_ORDER_SEQUENCE (45)
inline constexpr std::uint8_t kOtherBatch = 64;  // ... said of another batch than the one that the log holds

struct Send {
  std::uint64_t invoke_ns = 0;
  std::uint64_t end_ns = 0;  // 0: no end recorded
  std::int64_t offset = -1;  // where the acknowledgement says it is
  std::uint32_t process = 0;
  std::uint16_t object = 0;
  Sent state = Sent::never;
  std::uint8_t flags = 0;
};
static_assert(sizeof(Send) == 32);

inline constexpr std::size_t kPrefetch = 24;  // records ahead
inline constexpr std::uint64_t kEmptySlot = ~std::uint64_t{0};
inline constexpr std::uint8_t kSlotRead = 1;
inline constexpr std::uint8_t kSlotAudited = 2;
inline constexpr std::uint8_t kSlotConflict = 4;

// Offsets of one partition to positions in its arrays: base + index, or a sorted list where offsets are too far apart.
class OffsetMap {
 public:
  void dense(std::int64_t base, std::size_t size) { base_ = base, size_ = size; }
  void sparse(std::vector<std::int64_t> sorted) { sorted_ = std::move(sorted), size_ = sorted_.size(); }
  std::size_t size() const { return size_; }
  // size() if the offset has no place.
  std::size_t find(std::int64_t offset) const {
    if (sorted_.empty()) {
      const auto at = static_cast<std::uint64_t>(offset - base_);
      return at < size_ ? at : size_;
    }
    return find_sparse(offset);
  }
  std::size_t lower_bound(std::int64_t offset) const;
  std::int64_t offset_at(std::size_t index) const {
    return sorted_.empty() ? base_ + static_cast<std::int64_t>(index) : sorted_[index];
  }

 private:
  std::size_t find_sparse(std::int64_t offset) const;
  std::int64_t base_ = 0;
  std::size_t size_ = 0;
  std::vector<std::int64_t> sorted_;
};

struct EndAnswer {  // one completed ListOffsets(latest)
  std::uint64_t invoke_ns = 0;
  std::uint64_t end_ns = 0;
  std::int64_t end = 0;
  LeaderEpoch epoch = kNoEpoch;
  RecordRef invoke, ok;
};

struct Partition {
  TopicPartition name;
  OffsetMap map;
  std::vector<std::uint64_t> slot;  // first value seen there by a reader, packed as in Record
  std::vector<std::uint8_t> seen;   // kSlot* bits
  std::vector<std::uint64_t> ack;   // value acknowledged there; kEmptySlot for none
  std::int64_t log_start = -1;      // from the audit; -1: not audited
  std::int64_t position = -1;       // the auditor read everything in [log_start, position)
  bool drained = false;             // and that is the proven end
  std::uint64_t audit_began_ns = 0;
  std::uint64_t leader_moved_ns = UINT64_MAX;  // from here on a deposed leader may answer clients; UINT64_MAX: never
  std::map<NodeId, LeaderEpoch> first_led;     // by node: the first epoch it led in; empty if that is not known
  std::vector<EndAnswer> ends;
  std::vector<history::AuditBatch> batches;  // by base offset
  RecordRef audit_end;

  // Whether the audit decides about this offset: present there, or not in the log.
  bool decides(std::int64_t offset) const { return log_start >= 0 && offset >= log_start && offset < position; }
  bool removed(std::int64_t offset) const { return log_start > 0 && offset >= 0 && offset < log_start; }
  std::uint64_t value_at(std::int64_t offset) const {  // kEmptySlot if nobody saw anything there
    const std::size_t at = map.find(offset);
    return at == map.size() ? kEmptySlot : slot[at];
  }
};

// A consumer went from one offset to a later one; whether it skipped something is asked once all slots are filled.
struct Jump {
  std::uint16_t object = 0;
  bool same_poll = false;
  std::int64_t from = 0;
  std::int64_t to = 0;
  RecordRef before, after;
  std::uint64_t time_ns = 0;
};

struct Index {
  const history::History* history = nullptr;
  std::vector<std::vector<std::uint16_t>> object_map;  // per file: its object -> ours
  std::vector<Partition> partitions;
  std::vector<Send> sends;                     // by value id
  std::vector<std::uint32_t> first_process;    // per file: its process p is first_process + p
  std::vector<history::ProducerReset> resets;  // cause_object is ours; process too, as far as 16 bits go
  std::vector<Jump> jumps;
  Counts counts;
  std::uint64_t t0_ns = 0, t1_ns = 0;
  bool sends_in_value_order = true;           // per process, value ids rise in the order of invocation
  std::vector<std::vector<bool>> only_sends;  // per file, per block: the second pass has nothing to do there
  std::uint64_t unrecorded = 0;               // values whose writer's file is unfinished

  const history::Record& record(const RecordRef& ref) const {
    return history->files[ref.file].blocks[ref.block][ref.index];
  }
  // Reads meet values in no order that the processor could guess; asking early hides most of the cache misses.
  void prefetch_send(std::uint64_t value) const {
    if (value < sends.size()) __builtin_prefetch(&sends[value], 1);
  }
  // True if a value that nobody invoked may belong to a writer whose file lost its tail.
  bool may_be_unrecorded(std::uint64_t value) const;
};

// Errors (corrupt): value ids that are not dense, a value sent twice, an end without a beginning.
Result<Index> build_index(const history::History& history);

// Fills slots, audit facts, jumps and answers, and makes the findings that need the order of the records.
void scan_reads(Index& index, Findings& findings);

}  // namespace ordeal::checker
