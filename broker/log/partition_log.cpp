// Segments as one log: rolling, flushing, reading. Appending, truncation, recovery and timestamp lookups have files of
// their own.
#include "broker/log/partition_log.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/base/check.h"
#include "broker/base/mark.h"
#include "broker/log/log_files.h"
#include "broker/log/segment.h"

namespace ordeal::log {

PartitionLog::PartitionLog(env::Disk& disk, std::string dir, TopicPartition partition, LogConfig config,
                           const mutation::Switches& switches, TraceSink& trace, env::Buggify* buggify)
    : disk_(disk),
      dir_(std::move(dir)),
      partition_(std::move(partition)),
      config_(std::move(config)),
      switches_(switches),
      trace_(trace),
      buggify_(buggify) {}

PartitionLog::~PartitionLog() = default;

std::string PartitionLog::path_of(Offset base, std::string_view suffix) const {
  return dir_ + "/" + segment_file_name(base, suffix);
}

Status PartitionLog::check_usable() const {
  if (failure_) return fail(failure_->code, failure_->text);
  return {};
}

Status PartitionLog::fail_log(const Error& error) {
  if (!failure_) {
    failure_ = error.at(partition_.to_string());
    ORDEAL_MARK("log.failed");
    trace_.error("log.failed", {{"topic", partition_.topic},
                                {"partition", partition_.partition},
                                {"path", std::string_view(dir_)},
                                {"error", std::string_view(failure_->text)}});
  }
  return fail(*failure_);
}

std::map<Offset, std::unique_ptr<Segment>>::const_iterator PartitionLog::segment_of(Offset offset) const {
  const auto after = segments_.upper_bound(offset);
  return after == segments_.begin() ? after : std::prev(after);
}

std::int64_t PartitionLog::size_bytes() const {
  std::int64_t total = 0;
  for (const auto& [base, segment] : segments_) total += static_cast<std::int64_t>(segment->size());
  return total;
}

bool PartitionLog::must_roll(const BatchFacts& next, WallMs now) const {
  const Segment& last = *segments_.rbegin()->second;
  if (!last.fits(next, config_.segment_bytes, config_.segment_index_bytes)) return true;
  if (last.empty()) return false;
  return last.age_ms(next.max_timestamp, now) > config_.segment_ms || rare("log.roll_early");
}

Status PartitionLog::roll(Offset base, WallMs now) {
  Segment& old = active();
  if (old.base() == base) {
    // Empty, and its base is too far from the offsets to come (only a follower of a compacted log gets here).
    return fail(Errc::internal, fmt::format("{}: nothing to roll at offset {}", old.name(), base));
  }
  old.seal();
  // A recovery point on disk may lie above this segment although its bytes are not synced: a truncation lowered
  // flushed_end after the checkpoint was written. Recovery would then not walk it, so it has to be safe at once, name
  // and bytes.
  if (base <= recovery_point_max_ && (old.flushed_size != old.size() || old.created_unflushed)) {
    ORDEAL_MARK("log.roll_below_recovery_point");
    if (auto synced = disk_.sync_directory(dir_); !synced) return fail_log(synced.error());
    if (auto synced = old.file()->sync(); !synced) return fail_log(synced.error());
    old.flushed_size = old.size();
    old.created_unflushed = false;
  }
  auto created = Segment::create(disk_, dir_, base, now, config_.preallocate ? config_.segment_bytes : 0);
  if (!created) return fail_log(created.error());
  segments_.emplace(base, std::move(*created));
  directory_dirty_ = true;
  pending_snapshots_[base] = producers_.encode_snapshot();
  return {};
}

// --- Flush ---

Status FlushTicket::run() {
  ORDEAL_CHECK(!ran_, "a flush ticket runs once");
  ran_ = true;
  // A synced file without its name is lost all the same (E1). New segments get theirs first, so that from the moment
  // that bytes are safe they can also be found.
  const auto sync_names = [this]() -> Status {
    if (switches_->active(mutation::Bug::disk_no_dir_fsync)) return {};
    return disk_->sync_directory(dir_);
  };
  const auto work = [&]() -> Status {
    if (failure_) return fail(*failure_);
    if (sync_directory_) ORDEAL_TRY(sync_names());
    bool more_names = false;
    for (const Part& part : parts_) {
      if (auto synced = part.file->sync(); !synced) return fail(synced.error().at(part.name));
      if (!part.sealed) continue;
      ORDEAL_TRY(write_index_files(*disk_, dir_, part.base, part.index, part.time_index));
      more_names = true;
    }
    for (const auto& [offset, content] : snapshots_) {
      ORDEAL_TRY(place_snapshot(*disk_, dir_ + "/" + segment_file_name(offset, ".snapshot"), content, *switches_));
      more_names = true;
    }
    if (epochs_) ORDEAL_TRY(place_epoch_file(*disk_, dir_, *epochs_, *switches_));
    return more_names || epochs_ ? sync_names() : Status{};
  };
  Status done = work();
  if (!done) failure_ = done.error();
  return done;
}

bool PartitionLog::needs_flush() const {
  return flushed_end_ < log_end_ || epochs_dirty_ || directory_dirty_ || !pending_snapshots_.empty() ||
         segments_.rbegin()->second->dirty();
}

FlushTicket PartitionLog::prepare_flush() {
  ORDEAL_CHECK(!flush_outstanding_, "{}: a flush is on its way", partition_.to_string());
  FlushTicket ticket;
  ticket.disk_ = &disk_;
  ticket.switches_ = &switches_;
  ticket.dir_ = dir_;
  ticket.end_ = log_end_;
  flush_outstanding_ = true;
  if (failure_) {
    ticket.failure_ = failure_;
    return ticket;
  }
  // What is not flushed is always a suffix of the segments.
  for (auto it = segments_.rbegin(); it != segments_.rend() && it->second->dirty(); ++it) {
    const Segment& segment = *it->second;
    FlushTicket::Part part{
        segment.name(), segment.base(), segment.size(), segment.file(), segment.indexes_unflushed, {}, {}};
    if (part.sealed) {
      part.index = segment.offsets().encode();
      part.time_index = segment.times().encode();
    }
    ticket.parts_.push_back(std::move(part));
  }
  std::ranges::reverse(ticket.parts_);
  ticket.snapshots_.assign(pending_snapshots_.begin(), pending_snapshots_.end());
  if (epochs_dirty_) ticket.epochs_ = epochs_.encode();
  ticket.sync_directory_ = directory_dirty_;
  epochs_dirty_ = false;
  directory_dirty_ = false;
  return ticket;
}

Status PartitionLog::complete_flush(const FlushTicket& ticket) {
  ORDEAL_CHECK(flush_outstanding_ && ticket.ran_, "{}: complete without a run", partition_.to_string());
  flush_outstanding_ = false;
  if (ticket.failure_) return fail_log(*ticket.failure_);
  ORDEAL_TRY(check_usable());
  for (const FlushTicket::Part& part : ticket.parts_) {
    const auto found = segments_.find(part.base);
    if (found == segments_.end()) {  // deleted by retention meanwhile
      ORDEAL_MARK("log.flushed_segment_gone");
      continue;
    }
    Segment& segment = *found->second;
    segment.flushed_size = part.size;
    segment.created_unflushed = false;
    if (part.sealed) segment.indexes_unflushed = false;
  }
  for (const auto& [offset, content] : ticket.snapshots_) {
    pending_snapshots_.erase(offset);
    snapshots_.insert(offset);
  }
  set_flushed_end(std::max(flushed_end_, ticket.end_));
  return {};
}

Status PartitionLog::flush() {
  FlushTicket ticket = prepare_flush();
  const Status ran = ticket.run();
  ORDEAL_TRY(complete_flush(ticket));
  return ran;
}

void PartitionLog::assign_epoch(LeaderEpoch epoch) {
  if (epochs_.assign(epoch, log_end_)) epochs_dirty_ = true;
}

Status PartitionLog::close_clean() {
  ORDEAL_CHECK(!flush_outstanding_, "{}: closed while a flush is on its way", partition_.to_string());
  ORDEAL_TRY(check_usable());
  active().seal();
  pending_snapshots_[log_end_] = producers_.encode_snapshot();
  ORDEAL_TRY(flush());
  // Snapshots stay where a segment begins, as fallbacks, and at the end.
  const auto sweep = [this]() -> Status {
    const std::set<Offset> known = snapshots_;
    for (const Offset offset : known) {
      if (offset == log_end_ || segments_.contains(offset)) continue;
      ORDEAL_TRY(remove_if_there(disk_, path_of(offset, ".snapshot")));
      snapshots_.erase(offset);
    }
    return disk_.sync_directory(dir_);
  };
  if (auto swept = sweep(); !swept) return fail_log(swept.error());
  failure_ = Error{Errc::closed, partition_.to_string() + ": the log is closed"};
  return {};
}

// --- Read ---

Result<ReadPlan> PartitionLog::plan_read(Offset from, std::size_t max_bytes, Offset limit, bool at_least_one) const {
  ORDEAL_TRY(check_usable());
  if (from < log_start_ || from > log_end_) {
    return fail(Errc::out_of_range,
                fmt::format("{}: offset {} is outside [{}, {}]", partition_.to_string(), from, log_start_, log_end_));
  }
  ReadPlan plan;
  plan.generation_ = generation_;
  plan.limit_ = std::min(limit, log_end_);
  plan.from_ = from;
  if (from >= plan.limit_) return plan;
  auto segment = segment_of(from);
  // Compaction may leave nothing between the last batch of a segment and the next one's base.
  while (segment != segments_.end() && segment->second->next_offset() <= from) ++segment;
  if (segment == segments_.end()) return plan;
  plan.file_ = segment->second->file();
  plan.name_ = segment->second->name();
  plan.position_ = segment->second->position_before(from);
  plan.end_position_ = segment->second->size();
  plan.bytes_max_ = at_least_one && rare("log.read_one_batch") ? 1 : max_bytes;
  plan.slack_ = static_cast<std::size_t>(config_.index_interval_bytes) * 2;
  plan.at_least_one_ = at_least_one;
  return plan;
}

Result<Slice> PartitionLog::read(Offset from, std::size_t max_bytes, Offset limit, bool at_least_one) const {
  auto plan = plan_read(from, max_bytes, limit, at_least_one);
  if (!plan) return fail(plan.error());
  auto records = plan->run();
  if (const auto found = plan->past_target()) trace_past_target(*segment_of(from)->second, from, *found);
  if (!records) {
    ORDEAL_MARK("log.read_failed");
    trace_.warn("log.read_failed", {{"topic", partition_.topic},
                                    {"partition", partition_.partition},
                                    {"offset", from},
                                    {"error", std::string_view(records.error().text)}});
  }
  return records;
}

// Lookups never pass the target. The index is a hint that decides how far there is to scan, so one that does costs time
// and an event, never a record.
void PartitionLog::trace_past_target(const Segment& segment, Offset target, Offset found) const {
  ORDEAL_MARK("log.index_past_target");
  trace_.warn("log.index_past_target", {{"topic", partition_.topic},
                                        {"partition", partition_.partition},
                                        {"path", std::string_view(segment.name())},
                                        {"target", target},
                                        {"found", found}});
}

Result<std::uint64_t> PartitionLog::start_in(const Segment& segment, Offset offset) const {
  const std::uint64_t position = segment.position_before(offset);
  if (position == 0) return position;
  const auto found = segment.base_at(position);
  if (!found) return fail(found.error());
  if (*found != kNoOffset && *found <= offset) return position;
  trace_past_target(segment, offset, *found);
  return std::uint64_t{0};
}

namespace {

bool begins_batch(ByteView bytes) {
  return bytes.size() >= wire::kBatchHeaderSize && static_cast<std::int8_t>(bytes[16]) == wire::kBatchMagic &&
         load_be<std::int32_t>(bytes.data() + 8) >=
             static_cast<std::int32_t>(wire::kBatchHeaderSize - wire::kBatchLengthOverhead);
}

struct Cut {
  std::size_t begin = 0;  // of the first batch that reaches `from`
  std::size_t end = 0;    // after the last batch that may be given
  bool found = false;     // a wanted batch begins in the range (it may not be whole)
};

// Headers only: the batch that the range ends in is looked at too, as far as it is there.
Cut cut_batches(ByteView range, Offset from, Offset limit, std::size_t bytes_max, bool at_least_one) {
  Cut cut;
  std::size_t at = 0;
  while (range.size() - at >= wire::kBatchHeaderSize) {
    if (!begins_batch(range.subspan(at))) break;
    const std::uint8_t* header = range.data() + at;
    const std::size_t size = wire::kBatchLengthOverhead + static_cast<std::size_t>(load_be<std::int32_t>(header + 8));
    const Offset last = load_be<std::int64_t>(header) + load_be<std::int32_t>(header + 23);
    if (last < from) {
      if (size > range.size() - at) break;
      at += size;
      continue;
    }
    if (!cut.found) {
      cut.found = true;
      cut.begin = cut.end = at;
    }
    const bool first = cut.end == cut.begin;
    const bool too_much = at + size - cut.begin > bytes_max && !(first && at_least_one);
    if (last >= limit || too_much || size > range.size() - at) break;
    at += size;
    cut.end = at;
  }
  if (!cut.found) cut.begin = cut.end = at;
  return cut;
}

}  // namespace

Result<Slice> ReadPlan::run() {
  if (!file_) return Slice{};
  std::uint64_t position = position_;
  std::uint64_t want = std::uint64_t{bytes_max_} + slack_;
  if (position >= end_position_) {
    past_target_ = kNoOffset;
    position = 0;
  }
  // Once as a rule; again if the index led to a big batch before the wanted one, or the wanted one is big itself.
  while (position < end_position_) {
    Bytes buffer(
        std::min<std::uint64_t>(std::max<std::uint64_t>(want, wire::kBatchHeaderSize), end_position_ - position));
    const auto got = file_->read_at(position, buffer);
    if (!got) return fail(got.error().at(name_));
    if (*got != buffer.size()) return fail(Errc::io, fmt::format("{}: short read at byte {}", name_, position));
    const bool batch = begins_batch(buffer);
    const Offset first = batch ? load_be<std::int64_t>(buffer.data()) : kNoOffset;
    if (position != 0 && position == position_ && !past_target_ && (!batch || first > from_)) {
      past_target_ = first;  // the index led astray: the segment's start never does
      position = 0;
      continue;
    }
    if (!batch) return fail(Errc::corrupt, fmt::format("{}: no batch at byte {}", name_, position));
    const Cut cut = cut_batches(buffer, from_, limit_, bytes_max_, at_least_one_);
    if (cut.end > cut.begin) return Slice::own(std::move(buffer)).sub(cut.begin, cut.end - cut.begin);
    const std::uint8_t* header = buffer.data() + cut.begin;
    if (!begins_batch(ByteView(buffer).subspan(cut.begin))) {
      position += cut.begin;  // the range ends inside a header, or there is damage, which the next round reports
      continue;
    }
    const std::uint64_t size =
        wire::kBatchLengthOverhead + static_cast<std::uint64_t>(load_be<std::int32_t>(header + 8));
    if (!cut.found) {
      position += cut.begin + size;  // a big batch that ends before the wanted one
      continue;
    }
    const Offset last = load_be<std::int64_t>(header) + load_be<std::int32_t>(header + 23);
    const bool wanted = last < limit_ && (at_least_one_ || size <= bytes_max_);
    if (!wanted || (size <= buffer.size() - cut.begin)) return Slice{};
    position += cut.begin;
    want = std::max<std::uint64_t>(size, bytes_max_);
  }
  return Slice{};
}

}  // namespace ordeal::log
