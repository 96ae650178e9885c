// Taking away: truncation of a diverging tail, retention at the head, and the producer state that must follow.
//
// Everything here is durable when it returns. From the tail, segments go newest first and each removal is synced before
// the next, so that whatever a crash leaves is a prefix; from the head oldest first, for the same reason.
#include <fmt/format.h>

#include <algorithm>

#include "broker/base/check.h"
#include "broker/base/mark.h"
#include "broker/log/log_files.h"
#include "broker/log/partition_log.h"
#include "broker/log/segment.h"

namespace ordeal::log {
namespace {

// How far before a snapshot batches are read again to refill the duplicate windows.
constexpr std::uint64_t kBackfillBytes = 4 << 20;

}  // namespace

Status PartitionLog::remove_segment(Offset base) {
  for (const char* suffix : {".index", ".timeindex", ".txnindex", ".snapshot", ".log"}) {
    ORDEAL_TRY(remove_if_there(disk_, path_of(base, suffix)));
  }
  ORDEAL_TRY(disk_.sync_directory(dir_));
  snapshots_.erase(base);
  pending_snapshots_.erase(base);
  segments_.erase(base);
  return {};
}

Status PartitionLog::remove_snapshots_above(Offset offset) {
  pending_snapshots_.erase(pending_snapshots_.upper_bound(offset), pending_snapshots_.end());
  while (!snapshots_.empty() && *snapshots_.rbegin() > offset) {
    ORDEAL_MARK("log.snapshot_above_end_removed");
    ORDEAL_TRY(remove_if_there(disk_, path_of(*snapshots_.rbegin(), ".snapshot")));
    snapshots_.erase(std::prev(snapshots_.end()));
  }
  return {};
}

Status PartitionLog::truncate_to(Offset offset, WallMs now) {
  ORDEAL_TRY(check_usable());
  ORDEAL_CHECK(!flush_outstanding_, "{}: truncated while a flush is on its way", partition_.to_string());
  if (offset < log_start_) {
    return fail(Errc::out_of_range,
                fmt::format("{}: truncation to {} below the log start {}", partition_.to_string(), offset, log_start_));
  }
  const Offset old_end = log_end_;
  if (offset < log_end_) {
    ORDEAL_MARK("log.truncated");
    ++generation_;
    const auto work = [&]() -> Status {
      while (segments_.size() > 1 && segments_.rbegin()->first > offset) {
        ORDEAL_MARK("log.truncation_removed_segment");
        ORDEAL_TRY(remove_segment(segments_.rbegin()->first));
      }
      const auto from = start_in(active(), offset);
      if (!from) return fail(from.error());
      ORDEAL_TRY(active().truncate_to(offset, *from, config_.index_interval_bytes, switches_));
      for (const char* suffix : {".index", ".timeindex"}) {
        ORDEAL_TRY(remove_if_there(disk_, path_of(active().base(), suffix)));
      }
      log_end_ = active().next_offset();
      ORDEAL_TRY(remove_snapshots_above(log_end_));
      return disk_.sync_directory(dir_);
    };
    if (auto done = work(); !done) return fail_log(done.error());
    flushed_end_ = std::min(flushed_end_, log_end_);
    // The batch that the log start lies in went: the next offset must not fall below the start, and a gap after the
    // batches before it would look like damage. All of them are dead anyway.
    if (log_end_ < log_start_) {
      ORDEAL_MARK("log.truncated_below_start");
      return truncate_fully_and_start_at(log_start_, now);
    }
  }
  // Also without bytes to cut: an epoch that wrote nothing may still stand at the end and would mislead the next
  // lookup.
  if (epochs_.truncate_from_end(log_end_)) {
    if (auto written = write_epoch_file(); !written) return fail_log(written.error());
    epochs_dirty_ = false;
  }
  if (log_end_ == old_end) return {};
  // Producers that do not fit the log would let a retried batch in twice: without them it takes no more.
  if (auto rebuilt = rebuild_producers(now); !rebuilt) return fail_log(rebuilt.error());
  return {};
}

Status PartitionLog::write_epoch_file() {
  ORDEAL_TRY(place_epoch_file(disk_, dir_, epochs_.encode(), switches_));
  return disk_.sync_directory(dir_);
}

Status PartitionLog::truncate_fully_and_start_at(Offset offset, WallMs now) {
  ORDEAL_TRY(check_usable());
  ORDEAL_CHECK(!flush_outstanding_, "{}: truncated while a flush is on its way", partition_.to_string());
  ORDEAL_CHECK(offset >= 0, "offset {}", offset);
  ORDEAL_MARK("log.started_over");
  ++generation_;
  const auto work = [&]() -> Status {
    while (!segments_.empty()) ORDEAL_TRY(remove_segment(segments_.rbegin()->first));
    ORDEAL_TRY(remove_snapshots_above(-1));
    epochs_.clear();
    ORDEAL_TRY(write_epoch_file());
    auto created = Segment::create(disk_, dir_, offset, now, config_.preallocate ? config_.segment_bytes : 0);
    if (!created) return fail(created.error());
    ORDEAL_TRY((*created)->file()->sync());
    (*created)->created_unflushed = false;
    segments_.emplace(offset, std::move(*created));
    return disk_.sync_directory(dir_);
  };
  if (auto done = work(); !done) return fail_log(done.error());
  producers_.clear();
  log_start_ = log_end_ = offset;
  set_flushed_end(offset);
  epochs_dirty_ = directory_dirty_ = false;
  return {};
}

Status PartitionLog::delete_segments_below(Offset offset) {
  if (segments_.size() == 1 || std::next(segments_.begin())->first > offset) return {};
  // The names of what stays come first: a crash must not find the old head gone and the next segment not yet there.
  if (directory_dirty_ || flush_outstanding_) {
    if (auto synced = disk_.sync_directory(dir_); !synced) return fail_log(synced.error());
  }
  while (segments_.size() > 1 && std::next(segments_.begin())->first <= offset) {
    ORDEAL_MARK("log.segment_deleted");
    if (auto removed = remove_segment(segments_.begin()->first); !removed) return fail_log(removed.error());
  }
  return {};
}

Status PartitionLog::move_log_start(Offset to, Offset high_watermark) {
  if (to <= log_start_) return {};
  trace_.debug("log.retention", {{"topic", partition_.topic},
                                 {"partition", partition_.partition},
                                 {"from", log_start_},
                                 {"to", to},
                                 {"hw", high_watermark}});
  log_start_ = to;
  if (epochs_.truncate_from_start(log_start_)) epochs_dirty_ = true;
  return delete_segments_below(log_start_);
}

Status PartitionLog::advance_log_start(Offset offset, Offset high_watermark) {
  ORDEAL_TRY(check_usable());
  return move_log_start(std::min({offset, high_watermark, log_end_}), high_watermark);
}

Result<int> PartitionLog::enforce_retention(WallMs now, Offset high_watermark) {
  ORDEAL_TRY(check_usable());
  if (!config_.delete_old) return 0;
  std::int64_t surplus = config_.retention_bytes < 0 ? -1 : size_bytes() - config_.retention_bytes;
  Offset start = log_start_;
  int deletable = 0;
  bool all = true;
  for (auto it = segments_.begin(); it != segments_.end(); ++it) {
    const Segment& segment = *it->second;
    const bool last = std::next(it) == segments_.end();
    const Offset end = last ? log_end_ : std::next(it)->first;
    const auto size = static_cast<std::int64_t>(segment.size());
    const bool old = config_.retention_ms >= 0 && segment.max_timestamp() >= 0 &&
                     now - segment.max_timestamp() > config_.retention_ms;
    const bool too_much = !last && surplus >= size && size > 0;
    const bool due = !segment.empty() && (old || too_much);
    // What is not known to be committed may still be cut, and nobody can read it yet: it is not ours to delete (E9a).
    if (!due || (end > high_watermark && !switches_.active(mutation::Bug::disk_delete_past_hw))) {
      all = false;
      break;
    }
    surplus -= size;
    start = end;
    ++deletable;
  }
  if (deletable == 0) return 0;
  if (all) {
    ORDEAL_MARK("log.all_segments_deleted");
    // There is always an active segment, and it begins where the log ends: an offset is given once, also when nothing
    // is left of what had it (E9b).
    if (!flush_outstanding_ && switches_.active(mutation::Bug::disk_reuse_offset_after_prefix_truncate)) {
      ORDEAL_TRY(truncate_fully_and_start_at(active().base(), now));
      return deletable;
    }
    ORDEAL_TRY(roll(log_end_, now));
  }
  ORDEAL_TRY(move_log_start(start, high_watermark));
  return deletable;
}

// --- Producer state ---

Status PartitionLog::replay(Offset from, const Replay& visit) const {
  for (auto it = segment_of(from); it != segments_.end(); ++it) {
    const Segment& segment = *it->second;
    const auto begin = start_in(segment, std::max(from, segment.base()));
    if (!begin) return fail(begin.error());
    const auto end = segment.scan(*begin, segment.size(),
                                  [&](const wire::BatchView& batch, std::uint64_t) -> std::optional<std::string> {
                                    if (batch.last_offset() >= from) visit(batch);
                                    return std::nullopt;
                                  });
    if (!end) return fail(end.error());
    if (!end->bad.empty()) {
      return fail(Errc::corrupt, fmt::format("{} at byte {}: {}", segment.name(), end->position, end->bad));
    }
  }
  return {};
}

// Loads the newest snapshot that is whole and not past the end; returns what it covers up to (the first segment's base
// if there is none).
Result<Offset> PartitionLog::load_snapshot() {
  const Offset first = segments_.begin()->first;
  producers_.clear();
  std::set<Offset> candidates = snapshots_;
  for (const auto& [offset, content] : pending_snapshots_) candidates.insert(offset);
  for (auto it = candidates.rbegin(); it != candidates.rend(); ++it) {
    if (*it > log_end_ || *it < first) continue;
    const auto pending = pending_snapshots_.find(*it);
    auto content = pending != pending_snapshots_.end() ? Result<Bytes>(pending->second)
                                                       : disk_.read_file(path_of(*it, ".snapshot"));
    if (!content) return fail(content.error());
    auto state = ProducerState::decode_snapshot(*content);
    if (state) {
      producers_ = std::move(*state);
      return *it;
    }
    ORDEAL_MARK("log.snapshot_bad");
    // An older one and the batches after it say the same, only slower. A lost snapshot never means no producers (E5).
    if (switches_.is_on(mutation::Bug::disk_producer_snapshot_unsynced)) return *it;
    trace_.warn("log.snapshot_bad", {{"topic", partition_.topic},
                                     {"partition", partition_.partition},
                                     {"offset", *it},
                                     {"error", std::string_view(state.error().text)}});
    ORDEAL_TRY(remove_if_there(disk_, path_of(*it, ".snapshot")));
    snapshots_.erase(*it);
  }
  return first;
}

Status PartitionLog::backfill_producers(Offset snapshot) {
  if (producers_.entries().empty() || snapshot == segments_.begin()->first) return {};
  auto it = segment_of(snapshot - 1);
  const auto end = start_in(*it->second, snapshot);
  if (!end) return fail(end.error());
  std::uint64_t bytes = *end;
  while (it != segments_.begin() && bytes < kBackfillBytes) bytes += (--it)->second->size();
  std::uint64_t skip = bytes > kBackfillBytes ? bytes - kBackfillBytes : 0;
  for (; it != segments_.end() && it->first < snapshot; ++it) {
    const Segment& segment = *it->second;
    std::uint64_t begin = 0;
    for (const OffsetIndex::Entry& entry : segment.offsets().entries()) {
      if (static_cast<std::uint64_t>(entry.position) > skip) break;
      begin = static_cast<std::uint64_t>(entry.position);
    }
    skip = 0;
    const auto scanned = segment.scan(begin, segment.size(),
                                      [&](const wire::BatchView& batch, std::uint64_t) -> std::optional<std::string> {
                                        if (batch.base_offset() >= snapshot) return std::string("enough");
                                        producers_.backfill(batch);
                                        return std::nullopt;
                                      });
    if (!scanned) return fail(scanned.error());
  }
  return {};
}

Status PartitionLog::rebuild_producers(WallMs now) {
  const auto covered = load_snapshot();
  if (!covered) return fail(covered.error());
  ORDEAL_TRY(backfill_producers(*covered));
  return replay(*covered, [&](const wire::BatchView& batch) { producers_.update(batch, batch.base_offset(), now); });
}

}  // namespace ordeal::log
