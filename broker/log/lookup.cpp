// Offsets by timestamp (ListOffsets): segment by largest timestamp, time index, then the records themselves.
#include <algorithm>

#include "broker/log/partition_log.h"
#include "broker/log/segment.h"

namespace ordeal::log {
namespace {

// The first record of `batch` with timestamp >= wanted and offset >= from.
Result<std::optional<TimestampOffset>> find_record(const wire::BatchView& batch, WallMs wanted, Offset from) {
  auto reader = wire::RecordReader::open(batch);
  if (!reader) return fail(reader.error());
  wire::Record record;
  while (true) {
    const auto more = reader->next(record);
    if (!more) return fail(more.error());
    if (!*more) return std::nullopt;
    if (record.timestamp >= wanted && record.offset >= from) {
      return TimestampOffset{record.offset, record.timestamp, batch.partition_leader_epoch()};
    }
  }
}

}  // namespace

Result<std::optional<TimestampOffset>> PartitionLog::offset_for_timestamp(WallMs timestamp, Offset limit) const {
  ORDEAL_TRY(check_usable());
  for (const auto& [base, segment] : segments_) {
    if (segment->max_timestamp() < timestamp || segment->empty()) continue;
    const TimeIndex::Entry before = segment->times().lookup(timestamp - 1);
    const auto begin = start_in(*segment, before.timestamp < 0 ? base : base + before.last);
    if (!begin) return fail(begin.error());
    std::optional<TimestampOffset> found;
    Status bad;
    const auto end = segment->scan(*begin, segment->size(),
                                   [&](const wire::BatchView& batch, std::uint64_t) -> std::optional<std::string> {
                                     if (batch.base_offset() >= limit) return std::string("limit");
                                     if (batch.max_timestamp() < timestamp) return std::nullopt;
                                     if (batch.last_offset() < log_start_ || batch.is_control()) return std::nullopt;
                                     auto record = find_record(batch, timestamp, log_start_);
                                     if (!record) {
                                       bad = fail(record.error().at(segment->name()));
                                       return record.error().text;
                                     }
                                     if (!*record) return std::nullopt;
                                     found = **record;
                                     return std::string("found");
                                   });
    if (!end) return fail(end.error());
    if (!bad) return fail(bad.error());
    if (found) return found->offset < limit ? found : std::nullopt;
  }
  return std::nullopt;
}

Result<std::optional<TimestampOffset>> PartitionLog::max_timestamp(Offset limit) const {
  ORDEAL_TRY(check_usable());
  WallMs best = kNoTimestamp;
  for (const auto& [base, segment] : segments_) {
    if (base >= limit) break;
    if (segment->next_offset() <= limit && log_start_ <= base) {
      best = std::max(best, segment->max_timestamp());
      continue;
    }
    // The log start or the limit cuts through: only the batches between them count.
    const auto end = segment->scan(0, segment->size(),
                                   [&](const wire::BatchView& batch, std::uint64_t) -> std::optional<std::string> {
                                     if (batch.base_offset() >= limit) return std::string("limit");
                                     if (batch.base_offset() >= log_start_)
                                       best = std::max(best, batch.max_timestamp());
                                     return std::nullopt;
                                   });
    if (!end) return fail(end.error());
  }
  if (best < 0) return std::nullopt;
  return offset_for_timestamp(best, limit);
}

}  // namespace ordeal::log
