// One segment: a .log file of whole batches and what is known of it in memory (indexes, timestamps, end).
//
// Invariants: size() bytes are exactly the batches noted so far; bytes past it belong to a write that failed.
// The file handle is shared with ReadPlans and FlushTickets, which may outlive the segment.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "broker/base/result.h"
#include "broker/base/types.h"
#include "broker/env/disk.h"
#include "broker/log/log_index.h"
#include "broker/mutation/mutation.h"
#include "broker/wire/record_batch.h"

namespace ordeal::log {

// "00000000000000000042.log"
std::string segment_file_name(Offset base, std::string_view suffix);
// The base offset of such a name; nullopt for other names or another suffix.
std::optional<Offset> parse_segment_name(std::string_view name, std::string_view suffix);

// Where a batch in a segment lies and what the indexes need of it.
struct BatchFacts {
  Offset base = 0;
  Offset last = 0;
  std::uint32_t size = 0;
  WallMs max_timestamp = kNoTimestamp;
  LeaderEpoch epoch = kNoEpoch;
};
BatchFacts facts_of(const wire::BatchView& batch);

class Segment {
 public:
  static Result<std::unique_ptr<Segment>> create(env::Disk& disk, const std::string& dir, Offset base, WallMs now,
                                                 std::int64_t preallocate);
  // Opens an existing .log; indexes stay empty until load_indexes() or note().
  static Result<std::unique_ptr<Segment>> open(env::Disk& disk, const std::string& dir, Offset base, WallMs now);

  Offset base() const { return base_; }
  Offset next_offset() const { return next_offset_; }
  std::uint64_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const std::string& name() const { return name_; }  // path of the .log
  const std::shared_ptr<env::File>& file() const { return file_; }
  LeaderEpoch last_epoch() const { return last_epoch_; }  // of the last batch; kNoEpoch when empty
  WallMs max_timestamp() const { return max_timestamp_; }
  Offset max_timestamp_offset() const { return max_timestamp_offset_; }  // last offset of the batch that holds it
  const OffsetIndex& offsets() const { return offsets_; }
  const TimeIndex& times() const { return times_; }

  // Writes at the end. Nothing counts until note() tells of each batch in it.
  Status write(std::span<const ByteView> parts) { return file_->write_at(size_, parts); }
  void note(const BatchFacts& batch, std::int32_t index_interval);
  bool fits(const BatchFacts& batch, std::int64_t segment_bytes, std::int32_t index_bytes) const;
  // How long the segment has been filling, by record time as Kafka counts it (by `now` for records without time).
  std::int64_t age_ms(WallMs record_timestamp, WallMs now) const;
  // Adds the closing entry of the time index. Indexes are to be written out after this.
  void seal();

  // Where to start reading for `offset`.
  std::uint64_t position_before(Offset offset) const { return offsets_.lookup(offset - base_); }

  // First offset of the batch that begins at `position`; kNoOffset if none of ours begins there.
  Result<Offset> base_at(std::uint64_t position) const;

  struct ScanEnd {
    std::uint64_t position = 0;  // after the last batch that the visitor took
    std::string bad;             // why the scan ended before the end of the file; empty if it did not
  };
  // Calls `visit` for each whole batch from `from` on; it says why a batch is to be refused, or returns nothing.
  using Visitor = std::function<std::optional<std::string>(const wire::BatchView&, std::uint64_t position)>;
  Result<ScanEnd> scan(std::uint64_t from, std::uint64_t end, const Visitor& visit) const;

  // Reads .index and .timeindex and notes the batches after the last entry. Errc::corrupt if they do not fit the log:
  // the caller then rebuilds by scanning.
  Status load_indexes(env::Disk& disk, std::int32_t index_interval);
  void forget();  // as before any note(): a rebuild begins
  Result<std::uint64_t> file_size() const { return file_->size(); }
  // Cuts the file after the batches that end at or before `offset` and syncs it; `from` is where a batch at or before
  // `offset` begins.
  Status truncate_to(Offset offset, std::uint64_t from, std::int32_t index_interval,
                     const mutation::Switches& switches);
  // Cuts the file to size(): after a scan that ended early.
  Status cut_tail();

  // Flush bookkeeping of PartitionLog: how much of size() a completed sync covers, and whether the indexes on disk are
  // those of the sealed segment.
  std::uint64_t flushed_size = 0;
  bool created_unflushed = false;
  bool sealed = false;
  bool indexes_unflushed = false;
  bool dirty() const { return flushed_size != size_ || created_unflushed || indexes_unflushed; }

 private:
  Segment(std::string dir, Offset base, std::shared_ptr<env::File> file, WallMs now);

  const std::string dir_;
  const Offset base_;
  const std::string name_;
  std::shared_ptr<env::File> file_;
  const WallMs opened_at_;
  std::uint64_t size_ = 0;
  Offset next_offset_;
  OffsetIndex offsets_;
  TimeIndex times_;
  std::uint64_t bytes_since_entry_ = 0;
  WallMs first_timestamp_ = kNoTimestamp;
  WallMs max_timestamp_ = kNoTimestamp;
  Offset max_timestamp_offset_ = kNoOffset;
  LeaderEpoch last_epoch_ = kNoEpoch;
};

}  // namespace ordeal::log
