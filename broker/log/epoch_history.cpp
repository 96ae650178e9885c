// Rules of the leader epoch history; epoch_history.h has the contract.
#include "broker/log/epoch_history.h"

#include <algorithm>

#include "broker/log/checkpoint_file.h"

namespace ordeal::log {

bool EpochHistory::assign(LeaderEpoch epoch, Offset start) {
  if (epoch < 0 || start < 0 || epoch <= latest()) return false;
  // An epoch that began here or later wrote nothing that is still in the log.
  while (!entries_.empty() && entries_.back().start >= start) entries_.pop_back();
  entries_.push_back({epoch, start});
  return true;
}

EpochEnd EpochHistory::end_offset_for(LeaderEpoch asked, Offset log_end) const {
  if (asked < 0 || entries_.empty() || asked > latest()) return {};
  if (asked == latest()) return {asked, log_end};
  const auto next = std::upper_bound(entries_.begin(), entries_.end(), asked,
                                     [](LeaderEpoch wanted, const EpochEntry& entry) { return wanted < entry.epoch; });
  const LeaderEpoch found = next == entries_.begin() ? asked : std::prev(next)->epoch;
  return {found, next->start};
}

bool EpochHistory::truncate_from_end(Offset end) {
  const std::size_t before = entries_.size();
  while (!entries_.empty() && entries_.back().start >= end) entries_.pop_back();
  return entries_.size() != before;
}

bool EpochHistory::truncate_from_start(Offset start) {
  const auto keep = std::upper_bound(entries_.begin(), entries_.end(), start,
                                     [](Offset wanted, const EpochEntry& entry) { return wanted < entry.start; });
  if (keep == entries_.begin()) return false;
  const auto across = std::prev(keep);
  if (across == entries_.begin() && across->start == start) return false;
  across->start = start;
  entries_.erase(entries_.begin(), across);
  return true;
}

LeaderEpoch EpochHistory::epoch_of(Offset offset) const {
  const auto next = std::upper_bound(entries_.begin(), entries_.end(), offset,
                                     [](Offset wanted, const EpochEntry& entry) { return wanted < entry.start; });
  return next == entries_.begin() ? kNoEpoch : std::prev(next)->epoch;
}

Bytes EpochHistory::encode() const {
  std::vector<std::vector<std::string>> lines;
  lines.reserve(entries_.size());
  for (const EpochEntry& entry : entries_) lines.push_back({std::to_string(entry.epoch), std::to_string(entry.start)});
  return encode_checkpoint(lines);
}

Result<EpochHistory> EpochHistory::decode(ByteView text) {
  const auto lines = decode_checkpoint(text, 2);
  if (!lines) return fail(lines.error());
  EpochHistory history;
  for (const auto& line : *lines) {
    const auto epoch = parse_number(line[0]);
    const auto start = parse_number(line[1]);
    if (!epoch || !start || *epoch < 0 || *epoch > INT32_MAX || *start < 0) {
      return fail(Errc::corrupt, "epoch line \"" + line[0] + " " + line[1] + "\"");
    }
    const EpochEntry entry{static_cast<LeaderEpoch>(*epoch), *start};
    const bool rises =
        history.empty() || (entry.epoch > history.entries_.back().epoch && entry.start > history.entries_.back().start);
    if (!rises) return fail(Errc::corrupt, "epoch " + line[0] + " does not rise");
    history.entries_.push_back(entry);
  }
  return history;
}

}  // namespace ordeal::log
