// Opening a log: what a clean stop, a kill or a power cut left is turned into a log again.
//
// Below the recovery point bytes were synced and are trusted; a segment there is only rebuilt when its indexes do not
// fit, and damage is an error, never a cut. From the segment that holds the recovery point on, every batch is verified;
// at the first that is not whole, sound and next in line the log ends, and all later segments go. So the result is
// always a prefix of what was written and holds everything that was flushed.
//
// Bytes that can be read are not bytes that are stored: after a failed sync the cache of the kernel may keep, and call
// clean, what the disk never took. So what a walk accepts above the recovery point is written again before it is
// synced and counts as flushed.
#include <fmt/format.h>

#include <algorithm>

#include "broker/base/mark.h"
#include "broker/log/log_files.h"
#include "broker/log/partition_log.h"
#include "broker/log/segment.h"

namespace ordeal::log {
namespace {

constexpr std::uint64_t kRewriteChunk = 1 << 20;

}  // namespace

class PartitionLog::Recovery {
 public:
  Recovery(PartitionLog& log, OpenHints hints, WallMs now) : log_(log), hints_(hints), now_(now) {}
  Status run();

 private:
  Status list_files();
  Status sort_out(const env::DirectoryEntry& entry);
  Status remove_orphan_indexes();
  Status load_epochs();
  Status open_segments();
  Status load_trusted(Segment& segment);
  Status check_epochs(const Segment& segment);
  Status walk(Segment& segment, Offset expected);
  std::optional<std::string> why_not_next(const wire::BatchView& batch, const Segment& segment, Offset expected) const;
  Status write_again(const Segment& segment);
  bool epochs_doubted() const;
  Status count_tail(const Segment& segment, std::uint64_t file_size);
  Status drop_from(Offset base, const std::string& reason);
  Status start_afresh(Offset offset);
  Status complete_epochs();
  Status settle();

  PartitionLog& log_;
  const OpenHints hints_;
  const WallMs now_;
  RecoveryReport report_;
  std::set<Offset> bases_;
  std::set<Offset> indexes_;  // bases of .index and .timeindex files
  Offset floor_ = 0;          // segments from this base on are walked
};

Result<std::unique_ptr<PartitionLog>> PartitionLog::open(env::Disk& disk, std::string dir, TopicPartition partition,
                                                         LogConfig config, OpenHints hints,
                                                         const mutation::Switches& switches, TraceSink& trace,
                                                         WallMs now, env::Buggify* buggify) {
  std::unique_ptr<PartitionLog> log(
      new PartitionLog(disk, std::move(dir), std::move(partition), std::move(config), switches, trace, buggify));
  Recovery recovery(*log, hints, now);
  if (auto done = recovery.run(); !done) return fail(done.error().at(log->partition_.to_string()));
  return log;
}

Status PartitionLog::Recovery::run() {
  // A name that was removed before a kill could still come back with a power cut, beside what is created from here on.
  if (!hints_.clean_shutdown) ORDEAL_TRY(log_.disk_.sync_directory(log_.dir_));
  ORDEAL_TRY(list_files());
  ORDEAL_TRY(load_epochs());
  ORDEAL_TRY(open_segments());
  log_.log_end_ = log_.active().next_offset();
  log_.log_start_ = std::max(hints_.log_start, log_.segments_.begin()->first);
  if (log_.log_end_ < log_.log_start_) {
    ORDEAL_MARK("log.recovered_below_start");
    ORDEAL_TRY(start_afresh(log_.log_start_));
  }
  return settle();
}

Status PartitionLog::Recovery::list_files() {
  const auto entries = log_.disk_.list(log_.dir_);
  if (!entries) return fail(entries.error());
  for (const env::DirectoryEntry& entry : *entries) ORDEAL_TRY(sort_out(entry));
  return remove_orphan_indexes();
}

Status PartitionLog::Recovery::sort_out(const env::DirectoryEntry& entry) {
  const std::string& name = entry.name;
  if (entry.is_directory) return {};
  if (name.ends_with(".swap")) {
    return fail(Errc::unsupported, name + ": a compaction by another broker was interrupted; let that one finish it");
  }
  if (name.ends_with(".tmp") || name.ends_with(".deleted") || name.ends_with(".cleaned")) {
    ORDEAL_MARK("log.unfinished_file_removed");
    return log_.disk_.remove(log_.dir_ + "/" + name);
  }
  if (const auto base = parse_segment_name(name, ".log")) bases_.insert(*base);
  if (const auto base = parse_segment_name(name, ".snapshot")) log_.snapshots_.insert(*base);
  for (const char* suffix : {".index", ".timeindex"}) {
    if (const auto base = parse_segment_name(name, suffix)) indexes_.insert(*base);
  }
  return {};
}

Status PartitionLog::Recovery::remove_orphan_indexes() {
  for (const Offset base : indexes_) {
    if (bases_.contains(base)) continue;
    for (const char* suffix : {".index", ".timeindex"}) {
      ORDEAL_TRY(remove_if_there(log_.disk_, log_.path_of(base, suffix)));
    }
  }
  return {};
}

// Without a readable checkpoint the epochs are taken from the batches (check_epochs, walk).
Status PartitionLog::Recovery::load_epochs() {
  const std::string path = log_.dir_ + "/" + kEpochFile;
  const auto text = read_if_there(log_.disk_, path);
  if (!text) return fail(text.error().at(path));
  if (!*text) return {};
  auto history = EpochHistory::decode(**text);
  if (history) {
    log_.epochs_ = std::move(*history);
    return {};
  }
  ORDEAL_MARK("log.epochs_bad");
  log_.trace_.warn("log.epochs_bad", {{"topic", log_.partition_.topic},
                                      {"partition", log_.partition_.partition},
                                      {"error", std::string_view(history.error().text)}});
  return {};
}

Status PartitionLog::Recovery::open_segments() {
  report_.walked = !hints_.clean_shutdown;
  if (bases_.empty()) return start_afresh(std::max<Offset>(hints_.log_start, 0));
  const auto above = bases_.upper_bound(hints_.recovery_point);
  floor_ = above == bases_.begin() ? *above : *std::prev(above);
  if (report_.walked) ORDEAL_MARK("log.unclean_start");
  if (report_.walked && log_.epochs_.truncate_from_end(floor_)) log_.epochs_dirty_ = true;
  Offset expected = *bases_.begin();
  for (const Offset base : bases_) {
    auto opened = Segment::open(log_.disk_, log_.dir_, base, now_);
    if (!opened) return fail(opened.error());
    Segment& segment = *log_.segments_.emplace(base, std::move(*opened)).first->second;
    const bool trusted = hints_.clean_shutdown || base < floor_;
    if (trusted && base < expected) {
      return fail(Errc::corrupt, fmt::format("{}: the segment before it reaches {}", segment.name(), expected));
    }
    if (trusted) {
      ORDEAL_TRY(load_trusted(segment));
    } else {
      const bool in_line = base == expected || (log_.config_.compacted && base > expected);
      if (!in_line) return drop_from(base, fmt::format("segment {} came where {} was expected", base, expected));
      ORDEAL_TRY(walk(segment, base));
    }
    expected = segment.next_offset();
    if (!report_.reason.empty()) {
      const auto next = bases_.upper_bound(base);
      return next == bases_.end() ? Status{} : drop_from(*next, report_.reason);
    }
  }
  return {};
}

// A segment whose every byte was flushed: its indexes are read, or rebuilt when they do not fit.
Status PartitionLog::Recovery::load_trusted(Segment& segment) {
  const bool last = segment.base() == *bases_.rbegin();
  const Status loaded = segment.load_indexes(log_.disk_, log_.config_.index_interval_bytes);
  if (!loaded) {
    const Errc code = loaded.error().code;
    if (code != Errc::corrupt && code != Errc::not_found) return loaded;
    ORDEAL_MARK("log.index_rebuilt");
    ORDEAL_TRY(walk(segment, segment.base()));
    if (!report_.reason.empty() && !last) {
      return fail(Errc::corrupt, fmt::format("{}: {} in a segment that was flushed", segment.name(), report_.reason));
    }
    ++report_.indexes_rebuilt;
  }
  ORDEAL_TRY(check_epochs(segment));
  segment.flushed_size = segment.size();
  if (last) return {};
  segment.seal();
  if (!loaded) {
    ORDEAL_TRY(
        write_index_files(log_.disk_, log_.dir_, segment.base(), segment.offsets().encode(), segment.times().encode()));
    log_.directory_dirty_ = true;
  }
  segment.indexes_unflushed = false;
  return {};
}

// Whether the batches are asked when the checkpoint may say too little. The bug that writes it unsynced believes it
// too.
bool PartitionLog::Recovery::epochs_doubted() const {
  return !log_.switches_.is_on(mutation::Bug::disk_epoch_ckpt_unsynced);
}

// The checkpoint may be older than the segment (after a truncation a recovery point can cover what no flush did), and
// what it lacks are its newest entries: then the last batch's epoch is not the one it names.
Status PartitionLog::Recovery::check_epochs(const Segment& segment) {
  if (segment.empty() || log_.epochs_.epoch_of(segment.next_offset() - 1) == segment.last_epoch()) return {};
  if (!epochs_doubted()) return {};
  ORDEAL_MARK("log.epochs_rebuilt");
  log_.epochs_.truncate_from_end(segment.base());
  log_.epochs_dirty_ = true;
  const auto end =
      segment.scan(0, segment.size(), [&](const wire::BatchView& batch, std::uint64_t) -> std::optional<std::string> {
        note_rebuilt_epoch(log_.epochs_, batch, batch.base_offset(), log_.switches_);
        return std::nullopt;
      });
  if (!end) return fail(end.error());
  return {};
}

std::optional<std::string> PartitionLog::Recovery::why_not_next(const wire::BatchView& batch, const Segment& segment,
                                                                Offset expected) const {
  const bool gap_legal = log_.config_.compacted && batch.base_offset() > expected;
  if (batch.base_offset() != expected && !gap_legal) {
    return fmt::format("offset {} where {} was expected", batch.base_offset(), expected);
  }
  if (!segment.fits({batch.base_offset(), batch.last_offset(), 0, 0}, INT64_MAX, INT32_MAX)) {
    return fmt::format("offset {} is too far from the segment's base", batch.last_offset());
  }
  if (!checksum_good(batch, log_.switches_)) return fmt::format("offset {}: bad checksum", batch.base_offset());
  return std::nullopt;
}

// Verifies a segment from its start and rebuilds its indexes; cuts it at the first bad batch.
Status PartitionLog::Recovery::walk(Segment& segment, Offset expected) {
  const auto file_size = segment.file_size();
  if (!file_size) return fail(file_size.error());
  segment.forget();
  const auto end =
      segment.scan(0, *file_size, [&](const wire::BatchView& batch, std::uint64_t) -> std::optional<std::string> {
        if (auto refused = why_not_next(batch, segment, expected)) return refused;
        segment.note(facts_of(batch), log_.config_.index_interval_bytes);
        expected = batch.next_offset();
        ++report_.batches_walked;
        if (note_rebuilt_epoch(log_.epochs_, batch, batch.base_offset(), log_.switches_)) log_.epochs_dirty_ = true;
        return std::nullopt;
      });
  if (!end) return fail(end.error());
  if (!end->bad.empty()) {
    report_.reason = fmt::format("{} at byte {}: {}", segment.name(), end->position, end->bad);
    const bool cut_allowed = segment.base() >= floor_ || segment.base() == *bases_.rbegin();
    if (!cut_allowed) return {};  // load_trusted() refuses to open
    ORDEAL_MARK("log.torn_tail_cut");
    ORDEAL_TRY(count_tail(segment, *file_size));
    ORDEAL_TRY(segment.cut_tail());
  }
  // What a kill left may sit in the page cache only: settle() flushes it.
  if (segment.base() >= floor_ && report_.walked) {
    ORDEAL_TRY(write_again(segment));
    segment.flushed_size = 0;
    segment.created_unflushed = true;
    if (segment.base() != *bases_.rbegin()) segment.seal();
    // Stale index files of a segment that is walked must not outlive the rebuild.
    for (const char* suffix : {".index", ".timeindex"}) {
      ORDEAL_TRY(remove_if_there(log_.disk_, log_.path_of(segment.base(), suffix)));
    }
  }
  return {};
}

// The same bytes in the same place, so a crash in the middle changes nothing; but now the next sync has to store them.
Status PartitionLog::Recovery::write_again(const Segment& segment) {
  if (segment.next_offset() <= hints_.recovery_point) return {};
  std::uint64_t at = segment.position_before(std::max(hints_.recovery_point, segment.base()));
  Bytes buffer;
  while (at < segment.size()) {
    buffer.resize(std::min<std::uint64_t>(kRewriteChunk, segment.size() - at));
    const auto got = segment.file()->read_at(at, buffer);
    if (!got) return fail(got.error().at(segment.name()));
    if (*got != buffer.size()) return fail(Errc::io, fmt::format("{}: short read at byte {}", segment.name(), at));
    ORDEAL_TRY(segment.file()->write_at(at, buffer));
    at += buffer.size();
  }
  return {};
}

Status PartitionLog::Recovery::count_tail(const Segment& segment, std::uint64_t file_size) {
  report_.truncated_bytes += static_cast<std::int64_t>(file_size - segment.size());
  Bytes buffer;
  bool zero = true;
  for (std::uint64_t at = segment.size(); zero && at < file_size;) {
    buffer.resize(std::min<std::uint64_t>(1 << 20, file_size - at));
    const auto got = segment.file()->read_at(at, buffer);
    if (!got) return fail(got.error());
    if (*got == 0) break;
    zero = std::all_of(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(*got),
                       [](std::uint8_t byte) { return byte == 0; });
    at += *got;
  }
  if (zero) report_.zero_bytes += static_cast<std::int64_t>(file_size - segment.size());
  return {};
}

// Removes every segment from `base` on, the newest first.
Status PartitionLog::Recovery::drop_from(Offset base, const std::string& reason) {
  ORDEAL_MARK("log.recovery_dropped_segments");
  report_.reason = reason;
  const std::set<Offset> all = bases_;
  for (auto it = all.rbegin(); it != all.rend() && *it >= base; ++it) {
    auto opened = Segment::open(log_.disk_, log_.dir_, *it, now_);
    if (!opened) return fail(opened.error());
    const auto size = (*opened)->file_size();
    if (!size) return fail(size.error());
    report_.truncated_bytes += static_cast<std::int64_t>(*size);
    ++report_.segments_deleted;
    ORDEAL_TRY(log_.remove_segment(*it));
    bases_.erase(*it);
  }
  if (log_.segments_.empty()) return start_afresh(base);
  Segment& last = log_.active();
  last.sealed = last.indexes_unflushed = false;
  return {};
}

// No usable segment: an empty log at `offset`.
Status PartitionLog::Recovery::start_afresh(Offset offset) {
  while (!log_.segments_.empty()) {
    report_.truncated_bytes += static_cast<std::int64_t>(log_.segments_.rbegin()->second->size());
    ORDEAL_TRY(log_.remove_segment(log_.segments_.rbegin()->first));
  }
  auto created =
      Segment::create(log_.disk_, log_.dir_, offset, now_, log_.config_.preallocate ? log_.config_.segment_bytes : 0);
  if (!created) return fail(created.error());
  log_.segments_.emplace(offset, std::move(*created));
  log_.log_start_ = log_.log_end_ = offset;
  log_.directory_dirty_ = true;
  return {};
}

// The log start on disk may be older than the one the epochs were trimmed to: the batches that are back name theirs.
Status PartitionLog::Recovery::complete_epochs() {
  const auto& entries = log_.epochs_.entries();
  if (log_.log_start_ == log_.log_end_) return {};
  if (!entries.empty() && entries.front().start <= log_.log_start_) return {};
  if (!epochs_doubted()) return {};
  ORDEAL_MARK("log.epochs_completed");
  EpochHistory whole;
  ORDEAL_TRY(log_.replay(log_.log_start_, [&](const wire::BatchView& batch) {
    note_rebuilt_epoch(whole, batch, std::max(batch.base_offset(), log_.log_start_), log_.switches_);
  }));
  for (const EpochEntry& entry : entries) whole.assign(entry.epoch, entry.start);
  log_.epochs_ = std::move(whole);
  log_.epochs_dirty_ = true;
  return {};
}

// Segments stand: epochs and producers are made to fit them, and an unclean start is made durable.
Status PartitionLog::Recovery::settle() {
  if (log_.epochs_.truncate_from_end(log_.log_end_)) log_.epochs_dirty_ = true;
  if (log_.epochs_.truncate_from_start(log_.log_start_)) log_.epochs_dirty_ = true;
  ORDEAL_TRY(complete_epochs());
  ORDEAL_TRY(log_.remove_snapshots_above(log_.log_end_));
  ORDEAL_TRY(log_.rebuild_producers(now_));
  log_.recovery_point_max_ = std::max(hints_.recovery_point, Offset{0});
  report_.log_end = log_.log_end_;
  log_.recovery_ = report_;
  if (!report_.walked) {
    log_.set_flushed_end(log_.log_end_);
    return {};
  }
  log_.directory_dirty_ = true;
  ORDEAL_TRY(log_.flush());
  log_.trace_.info("log.recovered", {{"topic", log_.partition_.topic},
                                     {"partition", log_.partition_.partition},
                                     {"start", log_.log_start_},
                                     {"end", log_.log_end_},
                                     {"flushed", hints_.recovery_point},
                                     {"truncated_bytes", report_.truncated_bytes},
                                     {"reason", std::string_view(report_.reason)}});
  return {};
}

}  // namespace ordeal::log
