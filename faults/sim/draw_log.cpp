#include "faults/sim/draw_log.h"

#include <fmt/format.h>

#include <algorithm>

namespace ordeal::sim {

void DrawLog::note(std::uint64_t step, std::string_view who, std::uint64_t value) {
  if (entries_.size() >= kEntriesMax) {
    ++beyond_;
    return;
  }
  auto found = ids_.find(who);
  if (found == ids_.end()) {
    found = ids_.emplace(std::string(who), static_cast<std::uint32_t>(names_.size())).first;
    names_.emplace_back(who);
  }
  entries_.push_back({step, value, found->second});
}

std::string DrawLog::describe(std::size_t index) const {
  if (index >= entries_.size()) return "nothing more";
  const Entry& entry = entries_[index];
  return fmt::format("{} {:x} in step {}", names_[entry.who], entry.value, entry.step);
}

std::string DrawLog::first_difference(const DrawLog& a, const DrawLog& b) {
  const std::size_t most = std::max(a.entries_.size(), b.entries_.size());
  for (std::size_t i = 0; i < most; ++i) {
    const bool both = i < a.entries_.size() && i < b.entries_.size();
    const bool same = both && a.entries_[i].value == b.entries_[i].value &&
                      a.names_[a.entries_[i].who] == b.names_[b.entries_[i].who];
    if (!same) return fmt::format("draw {}: {}, then {}", i + 1, a.describe(i), b.describe(i));
  }
  return a.beyond_ == b.beyond_ ? "" : fmt::format("after draw {}, where the log ends", most);
}

}  // namespace ordeal::sim
