// Segment files: writing, walking, index upkeep. The rules of recovery are in recovery.cpp.
#include "broker/log/segment.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "broker/log/checkpoint_file.h"

namespace ordeal::log {
namespace {

constexpr std::size_t kNameDigits = 20;
constexpr std::size_t kScanChunk = 1 << 20;

}  // namespace

std::string segment_file_name(Offset base, std::string_view suffix) { return fmt::format("{:020}{}", base, suffix); }

std::optional<Offset> parse_segment_name(std::string_view name, std::string_view suffix) {
  if (name.size() != kNameDigits + suffix.size() || !name.ends_with(suffix)) return std::nullopt;
  const std::string_view digits = name.substr(0, kNameDigits);
  if (!std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; })) return std::nullopt;
  return parse_number(digits);
}

BatchFacts facts_of(const wire::BatchView& batch) {
  return {batch.base_offset(), batch.last_offset(), static_cast<std::uint32_t>(batch.size()), batch.max_timestamp(),
          batch.partition_leader_epoch()};
}

Segment::Segment(std::string dir, Offset base, std::shared_ptr<env::File> file, WallMs now)
    : dir_(std::move(dir)),
      base_(base),
      name_(dir_ + "/" + segment_file_name(base, ".log")),
      file_(std::move(file)),
      opened_at_(now),
      next_offset_(base) {}

Result<std::unique_ptr<Segment>> Segment::create(env::Disk& disk, const std::string& dir, Offset base, WallMs now,
                                                 std::int64_t preallocate) {
  auto file = disk.open(dir + "/" + segment_file_name(base, ".log"), env::OpenMode::create_new);
  if (!file) return fail(file.error());
  if (preallocate > 0) ORDEAL_TRY((*file)->preallocate(static_cast<std::uint64_t>(preallocate)));
  std::unique_ptr<Segment> segment(new Segment(dir, base, std::move(*file), now));
  segment->created_unflushed = true;
  return segment;
}

Result<std::unique_ptr<Segment>> Segment::open(env::Disk& disk, const std::string& dir, Offset base, WallMs now) {
  auto file = disk.open(dir + "/" + segment_file_name(base, ".log"), env::OpenMode::read_write);
  if (!file) return fail(file.error());
  return std::unique_ptr<Segment>(new Segment(dir, base, std::move(*file), now));
}

void Segment::note(const BatchFacts& batch, std::int32_t index_interval) {
  if (empty()) first_timestamp_ = batch.max_timestamp;
  if (batch.max_timestamp > max_timestamp_) {
    max_timestamp_ = batch.max_timestamp;
    max_timestamp_offset_ = batch.last;
  }
  if (bytes_since_entry_ > static_cast<std::uint64_t>(index_interval)) {
    offsets_.append(static_cast<std::int32_t>(batch.base - base_), static_cast<std::int32_t>(batch.last - base_),
                    static_cast<std::int32_t>(size_));
    if (max_timestamp_ >= 0) {
      times_.maybe_append(max_timestamp_, static_cast<std::int32_t>(max_timestamp_offset_ - base_));
    }
    bytes_since_entry_ = 0;
  }
  bytes_since_entry_ += batch.size;
  size_ += batch.size;
  next_offset_ = batch.last + 1;
  last_epoch_ = batch.epoch;
}

bool Segment::fits(const BatchFacts& batch, std::int64_t segment_bytes, std::int32_t index_bytes) const {
  constexpr std::int64_t kMax = std::numeric_limits<std::int32_t>::max();
  if (batch.last - base_ > kMax) return false;  // index entries hold relative offsets and positions in 31 bits
  if (empty()) return true;
  if (static_cast<std::int64_t>(size_) + batch.size > std::min(segment_bytes, kMax)) return false;
  const auto entries_max = static_cast<std::size_t>(index_bytes);
  return (offsets_.entries().size() + 1) * kOffsetEntrySize <= entries_max &&
         (times_.entries().size() + 2) * kTimeEntrySize <= entries_max;
}

std::int64_t Segment::age_ms(WallMs record_timestamp, WallMs now) const {
  if (first_timestamp_ >= 0 && record_timestamp >= 0) return record_timestamp - first_timestamp_;
  return now - opened_at_;
}

void Segment::seal() {
  if (max_timestamp_ >= 0) {
    times_.maybe_append(max_timestamp_, static_cast<std::int32_t>(max_timestamp_offset_ - base_));
  }
  sealed = true;
  indexes_unflushed = true;
}

Result<Offset> Segment::base_at(std::uint64_t position) const {
  std::array<std::uint8_t, wire::kBatchHeaderSize> header{};
  if (position + header.size() > size_) return kNoOffset;
  const auto got = file_->read_at(position, header);
  if (!got) return fail(got.error().at(name_));
  const Offset base = load_be<std::int64_t>(header.data());
  const bool batch = *got == header.size() && static_cast<std::int8_t>(header[16]) == wire::kBatchMagic &&
                     base >= base_ && base < next_offset_;
  return batch ? base : kNoOffset;
}

Result<Segment::ScanEnd> Segment::scan(std::uint64_t from, std::uint64_t end, const Visitor& visit) const {
  ScanEnd result{from, {}};
  Bytes buffer;
  std::size_t want = kScanChunk;
  while (result.position < end) {
    buffer.resize(std::min<std::uint64_t>(want, end - result.position));
    const auto got = file_->read_at(result.position, buffer);
    if (!got) return fail(got.error().at(name_));
    wire::BatchIterator batches(ByteView(buffer).first(*got));
    std::size_t before = 0;
    while (const auto batch = batches.next()) {
      if (auto refused = visit(*batch, result.position + before)) {
        result.position += before;
        result.bad = std::move(*refused);
        return result;
      }
      before = batches.position();
    }
    if (batches.error()) {
      result.position += before;
      result.bad = batches.error()->text;
      return result;
    }
    if (before == 0) {
      // Not one whole batch: either the file ends inside it, or the buffer does and has to grow to the batch's size.
      const std::uint64_t size =
          *got < wire::kBatchHeaderSize
              ? std::numeric_limits<std::uint64_t>::max()
              : wire::kBatchLengthOverhead + static_cast<std::uint64_t>(load_be<std::int32_t>(buffer.data() + 8));
      if (*got < buffer.size() || size > end - result.position) {
        result.bad = fmt::format("{} bytes of an unfinished batch", end - result.position);
        return result;
      }
      want = size;
      continue;
    }
    want = kScanChunk;
    result.position += before;
  }
  return result;
}

void Segment::forget() {
  size_ = 0;
  next_offset_ = base_;
  offsets_.clear();
  times_.clear();
  bytes_since_entry_ = 0;
  first_timestamp_ = max_timestamp_ = kNoTimestamp;
  max_timestamp_offset_ = kNoOffset;
  last_epoch_ = kNoEpoch;
  sealed = false;
  indexes_unflushed = false;
}

Status Segment::load_indexes(env::Disk& disk, std::int32_t index_interval) {
  const auto log_size = file_->size();
  if (!log_size) return fail(log_size.error());
  forget();
  if (*log_size == 0) return {};
  const auto index_file = disk.read_file(dir_ + "/" + segment_file_name(base_, ".index"));
  if (!index_file) return fail(index_file.error());
  const auto time_file = disk.read_file(dir_ + "/" + segment_file_name(base_, ".timeindex"));
  if (!time_file) return fail(time_file.error());
  auto offsets = OffsetIndex::decode(*index_file, *log_size);
  if (!offsets) return fail(offsets.error().at(name_));
  auto times = TimeIndex::decode(*time_file);
  if (!times) return fail(times.error().at(name_));
  offsets_ = std::move(*offsets);
  times_ = std::move(*times);

  const bool indexed = !offsets_.entries().empty();
  const OffsetIndex::Entry last = indexed ? offsets_.entries().back() : OffsetIndex::Entry{};
  // The closing time entry may lie past the last offset entry; it comes back when its batch is noted.
  times_.truncate(indexed ? std::int64_t{last.last} + 1 : 0);
  if (!times_.entries().empty()) {
    max_timestamp_ = times_.entries().back().timestamp;
    max_timestamp_offset_ = base_ + times_.entries().back().last;
  }
  size_ = static_cast<std::uint64_t>(last.position);
  bool first = indexed;
  const auto end =
      scan(size_, *log_size, [&](const wire::BatchView& batch, std::uint64_t) -> std::optional<std::string> {
        if (batch.base_offset() < next_offset_) return fmt::format("offset {} goes back", batch.base_offset());
        if (first && batch.last_offset() != base_ + last.last) return std::string("index points at another batch");
        const bool was_first = std::exchange(first, false);
        note(facts_of(batch), index_interval);
        if (was_first) bytes_since_entry_ = batch.size();
        return std::nullopt;
      });
  if (!end) return fail(end.error());
  if (!end->bad.empty()) return fail(Errc::corrupt, fmt::format("{} at byte {}: {}", name_, end->position, end->bad));
  if (indexed) {
    // note() was entered at a non-zero size: the segment's first timestamp is still to be read.
    const auto head =
        scan(0, *log_size, [&](const wire::BatchView& batch, std::uint64_t) -> std::optional<std::string> {
          first_timestamp_ = batch.max_timestamp();
          return std::string("one is enough");
        });
    if (!head) return fail(head.error());
  }
  return {};
}

Status Segment::truncate_to(Offset offset, std::uint64_t from, std::int32_t index_interval,
                            const mutation::Switches& switches) {
  const std::uint64_t old_size = size_;
  std::uint64_t cut = old_size;
  Offset end = base_;
  const auto found =
      scan(from, old_size, [&](const wire::BatchView& batch, std::uint64_t position) -> std::optional<std::string> {
        if (batch.last_offset() < offset) return std::nullopt;
        cut = position;
        return std::string("found");
      });
  if (!found) return fail(found.error());
  if (cut == old_size && !found->bad.empty()) {
    return fail(Errc::corrupt, fmt::format("{} at byte {}: {}", name_, found->position, found->bad));
  }
  ORDEAL_TRY(file_->truncate(cut));
  ORDEAL_TRY(file_->sync());

  // Indexes keep their entries below the cut; what lies between the last of them and the cut is noted afresh.
  const WallMs first_timestamp = first_timestamp_;
  OffsetIndex offsets = std::move(offsets_);
  TimeIndex times = std::move(times_);
  forget();
  // Entries past the cut name places where other batches will stand (E10).
  const bool stale_stay = offsets.reaches(cut) && switches.active(mutation::Bug::disk_stale_index_after_truncate);
  const OffsetIndex all = stale_stay ? offsets : OffsetIndex{};
  offsets.truncate(cut);
  std::uint64_t restart = 0;
  std::int64_t keep_times = 0;
  if (!offsets.entries().empty()) {
    restart = static_cast<std::uint64_t>(offsets.entries().back().position);
    keep_times = std::int64_t{offsets.entries().back().last} + 1;
    first_timestamp_ = first_timestamp;
  }
  times.truncate(keep_times);
  offsets_ = std::move(offsets);
  times_ = std::move(times);
  if (!times_.entries().empty()) {
    max_timestamp_ = times_.entries().back().timestamp;
    max_timestamp_offset_ = base_ + times_.entries().back().last;
  }
  size_ = restart;
  const auto tail = scan(restart, cut, [&](const wire::BatchView& batch, std::uint64_t) -> std::optional<std::string> {
    const bool at_entry = size_ == restart && restart != 0;
    note(facts_of(batch), index_interval);
    if (at_entry) bytes_since_entry_ = batch.size();
    end = batch.next_offset();
    return std::nullopt;
  });
  if (!tail) return fail(tail.error());
  if (!tail->bad.empty()) return fail(Errc::corrupt, fmt::format("{}: {}", name_, tail->bad));
  next_offset_ = end;
  flushed_size = size_;
  if (stale_stay) offsets_ = all;
  return {};
}

Status Segment::cut_tail() {
  ORDEAL_TRY(file_->truncate(size_));
  return file_->sync();
}

}  // namespace ordeal::log
