#include "broker/mutation/mutation.h"

#include <algorithm>

namespace ordeal::mutation {

const BugInfo& info_of(Bug bug) { return *std::ranges::find(all_bugs(), bug, &BugInfo::bug); }

std::optional<Bug> find_bug(std::string_view name_or_id) {
  const auto bugs = all_bugs();
  const auto found =
      std::ranges::find_if(bugs, [&](const BugInfo& info) { return info.name == name_or_id || info.id == name_or_id; });
  if (found == bugs.end()) return std::nullopt;
  return found->bug;
}

const Switches& no_switches() {
  static const Switches none;
  return none;
}

}  // namespace ordeal::mutation
