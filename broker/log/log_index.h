// The two sparse indexes of a segment as values: offset -> file position, timestamp -> offset.
//
// Pure. Both live in memory and reach their files only when a segment is sealed, trimmed to size: an index that a crash
// left behind is rebuilt from its segment anyway. File formats are Kafka's: 8-byte (i32 last offset of the batch -
// base, i32 position of that batch) and 12-byte (i64 timestamp, i32 last offset - base) entries, big-endian, rising.
#pragma once

#include <cstdint>
#include <vector>

#include "broker/base/bytes.h"
#include "broker/base/result.h"
#include "broker/base/types.h"

namespace ordeal::log {

inline constexpr std::size_t kOffsetEntrySize = 8;
inline constexpr std::size_t kTimeEntrySize = 12;

class OffsetIndex {
 public:
  struct Entry {
    std::int32_t last = 0;      // last offset of the batch, relative to the segment's base
    std::int32_t position = 0;  // where that batch begins
    std::int32_t first = 0;     // its base offset; not in the file, so `last` (later, hence safe) after a load
  };

  // Entries rise; one that does not is left out (it only comes after a truncation that kept what it should not have).
  void append(std::int32_t first, std::int32_t last, std::int32_t position) {
    if (entries_.empty() || last > entries_.back().last) entries_.push_back({last, position, first});
  }
  // Where to start looking for `relative`: at or before the batch that holds it.
  std::uint32_t lookup(std::int64_t relative) const;
  void truncate(std::uint64_t position);  // drops entries of batches at or past `position`
  bool reaches(std::uint64_t position) const {
    return !entries_.empty() && static_cast<std::uint64_t>(entries_.back().position) >= position;
  }
  void clear() { entries_.clear(); }
  const std::vector<Entry>& entries() const { return entries_; }

  Bytes encode() const;
  // Tolerates the zero tail that preallocation leaves. Errc::corrupt if entries do not rise or point past `log_size`.
  static Result<OffsetIndex> decode(ByteView file, std::uint64_t log_size);

 private:
  std::vector<Entry> entries_;
};

class TimeIndex {
 public:
  struct Entry {
    WallMs timestamp = kNoTimestamp;
    std::int32_t last = 0;
  };

  // Adds the entry only if it says something new: a larger timestamp than the last entry's.
  void maybe_append(WallMs timestamp, std::int32_t last);
  // The last entry with a timestamp <= `timestamp`, else {kNoTimestamp, 0}: batches at or before it are all older.
  Entry lookup(WallMs timestamp) const;
  void truncate(std::int64_t relative);  // drops entries at or past this relative offset
  void clear() { entries_.clear(); }
  const std::vector<Entry>& entries() const { return entries_; }

  Bytes encode() const;
  static Result<TimeIndex> decode(ByteView file);  // as OffsetIndex::decode

 private:
  std::vector<Entry> entries_;
};

}  // namespace ordeal::log
