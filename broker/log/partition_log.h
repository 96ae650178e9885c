// The log of one partition: Kafka's segmented, indexed, crash-safe append-only file, byte for byte as Kafka keeps it.
//
// Invariants
//   - log_start <= log_end and flushed_end <= log_end. Offsets rise by one from batch to batch (gaps only if
//   compacted);
//     the leader epoch of batches never falls.
//   - Everything below flushed_end survives a power cut; what a crash leaves of the rest is a prefix (CrashPrefix).
//   - Producer state and the epoch history describe exactly the batches in the log: they change after the bytes are
//     written, never before, and are rebuilt after a truncation.
//   - After a failed write or sync the log is failed(): every later call that changes or reads it returns Errc::io.
//
// Threads. The object belongs to one run queue. Two things may run elsewhere: FlushTicket::run and ReadPlan::run. All
// calls marked [slow] sync files or walk segments; they may be run off the queue too, provided that nothing else calls
// into this log meanwhile. Only one FlushTicket is outstanding at a time, and none while the log is truncated or
// closed: a flush that is on its way must not bring back files of what is cut.
//
// Durability modes are the caller's: fsync mode acknowledges by flushed_end(), page-cache mode by log_end().
#pragma once

#include <algorithm>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "broker/base/bytes.h"
#include "broker/base/result.h"
#include "broker/base/trace.h"
#include "broker/base/types.h"
#include "broker/env/buggify.h"
#include "broker/env/disk.h"
#include "broker/log/epoch_history.h"
#include "broker/log/log_config.h"
#include "broker/log/producer_state.h"
#include "broker/mutation/mutation.h"
#include "broker/wire/error_codes.h"
#include "broker/wire/record_batch.h"

namespace ordeal::log {

class Segment;
struct BatchFacts;

// What the log directory knows about a partition before its files are opened.
struct OpenHints {
  bool clean_shutdown = false;  // .kafka_cleanshutdown stood there: no recovery walk
  Offset recovery_point = 0;    // everything below was flushed (recovery-point-offset-checkpoint); 0 if unknown
  Offset log_start = 0;         // log-start-offset-checkpoint; 0 if unknown
};

struct RecoveryReport {
  bool walked = false;  // an unclean start: segments from the recovery point on were verified
  std::int64_t batches_walked = 0;
  std::int64_t truncated_bytes = 0;  // bytes cut after the last good batch, deleted later segments included
  std::int64_t zero_bytes = 0;       // of those, the zero tail that preallocation leaves
  int segments_deleted = 0;
  int indexes_rebuilt = 0;
  Offset log_end = 0;
  std::string reason;  // why the cut was made; empty if none was
};

enum class AppendOrigin : std::uint8_t {
  client,       // Produce: exactly one batch, no control batches, all client rules
  coordinator,  // group and transaction coordinators, markers: several batches and control batches are fine
};

struct AppendInfo {
  Offset base_offset = kNoOffset;
  Offset last_offset = kNoOffset;
  WallMs log_append_time = kNoTimestamp;  // kNoTimestamp under CreateTime, as the Produce response wants it
  Offset log_start = 0;
  bool duplicate = false;  // not appended: the offsets are those of the first time
};

// Maps 1:1 to what the Produce response carries.
struct AppendError {
  wire::ErrorCode code{};
  std::string text;
  std::vector<std::pair<std::int32_t, std::string>> records;  // Produce v8+: (index in batch, message)
};

// A read worked out on the run queue and carried out anywhere: one pread, then trimming to whole batches.
// The bytes may be stale if the log was truncated in between: check PartitionLog::still_valid(plan) before use.
class ReadPlan {
 public:
  Result<Slice> run();
  bool empty() const { return file_ == nullptr; }
  // Set by run() if the index had led past the wanted offset, to this one (kNoOffset: to no batch at all).
  std::optional<Offset> past_target() const { return past_target_; }

 private:
  friend class PartitionLog;
  std::shared_ptr<env::File> file_;
  std::string name_;
  Offset from_ = 0;
  Offset limit_ = 0;  // exclusive
  std::uint64_t position_ = 0;
  std::uint64_t end_position_ = 0;
  std::size_t bytes_max_ = 0;
  std::size_t slack_ = 0;  // what the index may be off by
  bool at_least_one_ = false;
  std::uint64_t generation_ = 0;
  std::optional<Offset> past_target_;
};

// Everything one flush must make durable, captured at prepare_flush(). run() may execute on any thread, while the run
// queue goes on appending. Order: the names of new segments, segment files oldest first (log, then the indexes of a
// sealed one), producer snapshots, epoch checkpoint, their names. Only after all of it may the end offset count.
class FlushTicket {
 public:
  Status run();
  Offset end() const { return end_; }
  bool empty() const { return parts_.empty() && snapshots_.empty() && !epochs_ && !sync_directory_; }

 private:
  friend class PartitionLog;
  env::Disk* disk_ = nullptr;
  const mutation::Switches* switches_ = nullptr;
  std::string dir_;
  struct Part {
    std::string name;  // of the .log file, for errors
    Offset base = 0;
    std::uint64_t size = 0;
    std::shared_ptr<env::File> file;
    bool sealed = false;
    Bytes index, time_index;  // of a sealed segment: written and synced with it
  };
  std::vector<Part> parts_;
  std::vector<std::pair<Offset, Bytes>> snapshots_;  // covers up to, content
  std::optional<Bytes> epochs_;
  bool sync_directory_ = false;
  Offset end_ = 0;
  bool ran_ = false;
  std::optional<Error> failure_;
};

struct TimestampOffset {
  Offset offset = kNoOffset;
  WallMs timestamp = kNoTimestamp;
  LeaderEpoch leader_epoch = kNoEpoch;
};

class PartitionLog {
 public:
  using AppendResult = std::expected<AppendInfo, AppendError>;

  // [slow] Opens `dir` (it must exist; an empty one becomes a log at hints.log_start), recovers it if the shutdown was
  // not clean, and rebuilds epochs and producer state. Emits log.recovered after an unclean start. `disk`, `switches`
  // and `trace` outlive the log. Errors: Errc::io, Errc::corrupt when the files are none of ours.
  static Result<std::unique_ptr<PartitionLog>> open(env::Disk& disk, std::string dir, TopicPartition partition,
                                                    LogConfig config, OpenHints hints,
                                                    const mutation::Switches& switches, TraceSink& trace, WallMs now,
                                                    env::Buggify* buggify = nullptr);
  ~PartitionLog();  // closes nothing cleanly: as a crash would leave it, minus what the kernel still writes

  // --- Append -------------------------------------------------------------------------------------------------------
  // Leader: checks (PROTOCOL section 2), assigns offsets, stamps `epoch`, writes, then publishes producer state.
  // Nothing is appended on error. `wall` is LogAppendTime and the base of the timestamp checks.
  AppendResult append_as_leader(ByteView batches, LeaderEpoch epoch, WallMs wall, AppendOrigin origin);

  struct FollowerAppend {
    Offset base_offset = kNoOffset;  // kNoOffset if there was no whole batch
    Offset log_end = 0;
    std::size_t bytes = 0;  // consumed; a partial batch at the end is left out
  };
  // Follower: offsets and epochs stay. A batch that fails its checksum (Errc::corrupt) or does not continue the log
  // (Errc::out_of_range) ends the call with that error; what came before it is appended and visible in log_end().
  Result<FollowerAppend> append_as_follower(ByteView batches, WallMs wall);

  // --- Read ---------------------------------------------------------------------------------------------------------
  // Whole batches from the one that holds `from`, up to max_bytes, none reaching to or past `limit`. With
  // `at_least_one` the first batch comes even if it is larger than max_bytes. Empty at `from` >= min(limit, log_end).
  // Errc::out_of_range unless log_start <= from <= log_end. Never crosses a segment: callers just ask again.
  Result<Slice> read(Offset from, std::size_t max_bytes, Offset limit, bool at_least_one = true) const;
  Result<ReadPlan> plan_read(Offset from, std::size_t max_bytes, Offset limit, bool at_least_one = true) const;
  bool still_valid(const ReadPlan& plan) const { return plan.generation_ == generation_; }

  Offset log_start() const { return log_start_; }
  Offset log_end() const { return log_end_; }          // the next offset to be written
  Offset flushed_end() const { return flushed_end_; }  // also the recovery point to checkpoint
  std::int64_t size_bytes() const;
  std::size_t segment_count() const { return segments_.size(); }
  bool failed() const { return failure_.has_value(); }
  const RecoveryReport& recovery() const { return recovery_; }
  const TopicPartition& partition() const { return partition_; }
  const std::string& directory() const { return dir_; }
  const LogConfig& config() const { return config_; }
  void set_config(LogConfig config) { config_ = std::move(config); }  // takes effect at the next append

  // --- Flush --------------------------------------------------------------------------------------------------------
  // prepare (run queue) -> run (anywhere, once) -> complete (run queue, always). complete advances flushed_end or, if
  // run failed, fails the log and returns the error.
  bool needs_flush() const;
  bool flush_outstanding() const { return flush_outstanding_; }
  FlushTicket prepare_flush();
  Status complete_flush(const FlushTicket& ticket);
  Status flush();  // [slow] all three

  // --- Truncation ---------------------------------------------------------------------------------------------------
  // [slow] Cuts every batch that reaches `offset` or beyond, with its epochs and producer state, durably (so that
  // nothing cut can come back under later appends). The new end may be below `offset` if that fell inside a batch.
  // With offset >= log_end only an epoch that wrote nothing goes. Errc::out_of_range below log_start: the caller then
  // starts over with truncate_fully_and_start_at.
  Status truncate_to(Offset offset, WallMs now);
  // [slow] Drops everything; the log is empty at `offset`.
  Status truncate_fully_and_start_at(Offset offset, WallMs now);
  // [slow] Moves log_start up to min(offset, high_watermark) and deletes segments wholly below it. Never moves down.
  Status advance_log_start(Offset offset, Offset high_watermark);
  // [slow] Deletes old segments by retention.ms and retention.bytes, never past `high_watermark`. Returns how many.
  Result<int> enforce_retention(WallMs now, Offset high_watermark);

  // --- Leader epochs (KIP-101, KIP-279) -----------------------------------------------------------------------------
  // On becoming leader, at once: (epoch, log_end) enters the history even if nothing is ever written in it. It reaches
  // the disk with the next flush.
  void assign_epoch(LeaderEpoch epoch);
  LeaderEpoch latest_epoch() const { return epochs_.latest(); }
  // The largest epoch <= asked and where it ends here; see EpochHistory::end_offset_for.
  EpochEnd end_offset_for_epoch(LeaderEpoch asked) const { return epochs_.end_offset_for(asked, log_end_); }
  const EpochHistory& epochs() const { return epochs_; }

  // --- Lookups ------------------------------------------------------------------------------------------------------
  // First record with timestamp >= `timestamp` and offset < limit; nullopt if there is none.
  Result<std::optional<TimestampOffset>> offset_for_timestamp(WallMs timestamp, Offset limit) const;
  // The record with the largest timestamp (ListOffsets -3), the first of them; nullopt on an empty log.
  Result<std::optional<TimestampOffset>> max_timestamp(Offset limit) const;
  const ProducerState& producers() const { return producers_; }
  void expire_producers(WallMs now) { producers_.expire(now, config_.producer_id_expiration_ms); }

  // [slow] Flush, write the producer snapshot at log_end, trim and write the indexes. The log takes no more calls.
  Status close_clean();

 private:
  struct Accepted;  // a batch that a leader may append (append.cpp)
  class Recovery;   // the work of open() (recovery.cpp)
  using Replay = std::function<void(const wire::BatchView&)>;

  PartitionLog(env::Disk& disk, std::string dir, TopicPartition partition, LogConfig config,
               const mutation::Switches& switches, TraceSink& trace, env::Buggify* buggify);

  // append.cpp
  std::expected<std::vector<Accepted>, AppendError> accept(ByteView batches, WallMs wall, AppendOrigin origin) const;
  std::optional<AppendError> accept_batch(Accepted& accepted, WallMs wall, AppendOrigin origin) const;
  std::optional<AppendError> check_records(const wire::BatchView& batch, WallMs wall, AppendOrigin origin,
                                           WallMs& max_timestamp) const;
  std::expected<AppendInfo, AppendError> write_accepted(std::vector<Accepted>& batches, LeaderEpoch epoch, WallMs wall);
  Status check_continues(const wire::BatchView& batch, Offset expected, LeaderEpoch latest) const;
  Status write_run(ByteView bytes, const std::vector<wire::BatchView>& batches, WallMs wall);

  // partition_log.cpp
  void trace_past_target(const Segment& segment, Offset target, Offset found) const;
  // Where in the segment to start scanning for `offset`. Never past it: an index that leads there is not believed.
  Result<std::uint64_t> start_in(const Segment& segment, Offset offset) const;
  bool rare(std::string_view site) const { return buggify_ != nullptr && buggify_->fires(site); }
  bool must_roll(const BatchFacts& next, WallMs now) const;
  Status roll(Offset base, WallMs now);
  void set_flushed_end(Offset offset) {
    flushed_end_ = offset;
    recovery_point_max_ = std::max(recovery_point_max_, offset);
  }
  Status check_usable() const;
  Status fail_log(const Error& error);
  // The segment that `offset` belongs to: the last one that begins at or below it.
  std::map<Offset, std::unique_ptr<Segment>>::const_iterator segment_of(Offset offset) const;
  Segment& active() { return *segments_.rbegin()->second; }
  std::string path_of(Offset base, std::string_view suffix) const;

  // truncate.cpp
  Status remove_segment(Offset base);
  Status write_epoch_file();
  Status move_log_start(Offset to, Offset high_watermark);
  Status remove_snapshots_above(Offset offset);
  Status delete_segments_below(Offset offset);
  Status rebuild_producers(WallMs now);
  Result<Offset> load_snapshot();
  Status backfill_producers(Offset snapshot);
  Status replay(Offset from, const Replay& visit) const;

  env::Disk& disk_;
  const std::string dir_;
  const TopicPartition partition_;
  LogConfig config_;
  const mutation::Switches& switches_;
  TraceSink& trace_;
  env::Buggify* const buggify_;  // null: nothing rare is asked for

  std::map<Offset, std::unique_ptr<Segment>> segments_;  // by base offset; never empty once open
  EpochHistory epochs_;
  ProducerState producers_;
  std::map<Offset, Bytes> pending_snapshots_;  // taken at a roll, written by the next flush
  std::set<Offset> snapshots_;                 // on disk

  Offset log_start_ = 0;
  Offset log_end_ = 0;
  Offset flushed_end_ = 0;
  Offset recovery_point_max_ = 0;  // the highest flushed_end a checkpoint on disk may name: see roll()
  bool epochs_dirty_ = false;
  bool directory_dirty_ = false;
  bool flush_outstanding_ = false;
  Offset flush_cap_ = 0;          // lowest truncation since the outstanding ticket was prepared
  std::uint64_t generation_ = 0;  // rises with every truncation
  std::optional<Error> failure_;
  RecoveryReport recovery_;
};

}  // namespace ordeal::log
