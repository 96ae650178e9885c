// Lookup and file form of the sparse indexes; see log_index.h for the formats.
#include "broker/log/log_index.h"

#include <fmt/format.h>

#include <algorithm>

namespace ordeal::log {

std::uint32_t OffsetIndex::lookup(std::int64_t relative) const {
  const auto after = std::upper_bound(entries_.begin(), entries_.end(), relative,
                                      [](std::int64_t wanted, const Entry& entry) { return wanted < entry.first; });
  return after == entries_.begin() ? 0 : static_cast<std::uint32_t>(std::prev(after)->position);
}

void OffsetIndex::truncate(std::uint64_t position) {
  while (!entries_.empty() && static_cast<std::uint64_t>(entries_.back().position) >= position) entries_.pop_back();
}

Bytes OffsetIndex::encode() const {
  Bytes file(entries_.size() * kOffsetEntrySize);
  std::uint8_t* at = file.data();
  for (const Entry& entry : entries_) {
    store_be<std::int32_t>(at, entry.last);
    store_be<std::int32_t>(at + 4, entry.position);
    at += kOffsetEntrySize;
  }
  return file;
}

Result<OffsetIndex> OffsetIndex::decode(ByteView file, std::uint64_t log_size) {
  if (file.size() % kOffsetEntrySize != 0) {
    return fail(Errc::corrupt, fmt::format("offset index of {} bytes is no multiple of 8", file.size()));
  }
  OffsetIndex index;
  index.entries_.reserve(file.size() / kOffsetEntrySize);
  for (std::size_t at = 0; at < file.size(); at += kOffsetEntrySize) {
    const auto last = load_be<std::int32_t>(file.data() + at);
    const auto position = load_be<std::int32_t>(file.data() + at + 4);
    // No entry has position 0 (an entry comes only after index.interval.bytes of batches), so this is the zero tail.
    if (last == 0 && position == 0) break;
    const bool rises =
        index.entries_.empty() || (last > index.entries_.back().last && position > index.entries_.back().position);
    if (last < 0 || position < 0 || !rises || static_cast<std::uint64_t>(position) >= log_size) {
      return fail(Errc::corrupt, fmt::format("offset index entry at byte {}: {} -> {}", at, last, position));
    }
    index.append(last, last, position);
  }
  return index;
}

void TimeIndex::maybe_append(WallMs timestamp, std::int32_t last) {
  if (timestamp < 0) return;
  if (!entries_.empty() && (timestamp <= entries_.back().timestamp || last < entries_.back().last)) return;
  entries_.push_back({timestamp, last});
}

TimeIndex::Entry TimeIndex::lookup(WallMs timestamp) const {
  const auto after = std::upper_bound(entries_.begin(), entries_.end(), timestamp,
                                      [](WallMs wanted, const Entry& entry) { return wanted < entry.timestamp; });
  return after == entries_.begin() ? Entry{} : *std::prev(after);
}

void TimeIndex::truncate(std::int64_t relative) {
  while (!entries_.empty() && entries_.back().last >= relative) entries_.pop_back();
}

Bytes TimeIndex::encode() const {
  Bytes file(entries_.size() * kTimeEntrySize);
  std::uint8_t* at = file.data();
  for (const Entry& entry : entries_) {
    store_be<std::int64_t>(at, entry.timestamp);
    store_be<std::int32_t>(at + 8, entry.last);
    at += kTimeEntrySize;
  }
  return file;
}

Result<TimeIndex> TimeIndex::decode(ByteView file) {
  if (file.size() % kTimeEntrySize != 0) {
    return fail(Errc::corrupt, fmt::format("time index of {} bytes is no multiple of 12", file.size()));
  }
  TimeIndex index;
  index.entries_.reserve(file.size() / kTimeEntrySize);
  for (std::size_t at = 0; at < file.size(); at += kTimeEntrySize) {
    const auto timestamp = load_be<std::int64_t>(file.data() + at);
    const auto last = load_be<std::int32_t>(file.data() + at + 8);
    if (timestamp == 0 && last == 0 && at > 0) break;  // the zero tail
    const bool rises =
        index.entries_.empty() || (timestamp > index.entries_.back().timestamp && last >= index.entries_.back().last);
    if (timestamp < 0 || last < 0 || !rises) {
      return fail(Errc::corrupt, fmt::format("time index entry at byte {}: {} -> {}", at, timestamp, last));
    }
    index.entries_.push_back({timestamp, last});
  }
  return index;
}

}  // namespace ordeal::log
