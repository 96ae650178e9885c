#include "broker/mutation/mutation.h"

#include <algorithm>

namespace ordeal::mutation {
namespace {

constexpr std::array kBugs{
    BugInfo{Bug::repl_truncate_to_hw, "A1", "repl.truncate_to_hw", "KIP-101 scenario 1, KAFKA-1211",
            "a new follower cuts its log to its own high watermark instead of asking the leader where its epoch ends",
            "lost-write"},
    BugInfo{Bug::repl_ignore_fetch_leader_epoch, "A5", "repl.ignore_fetch_leader_epoch", "KAFKA-6880, KIP-320",
            "the leader serves fetches and lookups that carry an older or newer leader epoch", "inconsistent-offsets"},
    BugInfo{Bug::isr_expand_at_hw_only, "A8", "isr.expand_at_hw_only", "KAFKA-7128",
            "a follower is admitted to the ISR at the leader's high watermark although that is below the epoch's start",
            "lost-write"},
    BugInfo{Bug::repl_list_offsets_before_leso, "A16", "repl.list_offsets_before_leso", "KIP-207",
            "a new leader answers the latest offset before its high watermark reached its epoch's start",
            "end-offset-regression"},
    BugInfo{Bug::idem_dup_is_out_of_order, "B1", "idem.dup_is_out_of_order", "KAFKA-5494",
            "a retried batch that was already appended is refused as out of order instead of answered as a duplicate",
            "duplicate"},
    BugInfo{Bug::disk_skip_crc, "E11", "disk.skip_crc", "KAFKA-4384, KAFKA-14104",
            "batch checksums are not verified at append, replication and recovery", "corrupt-value"},
};
static_assert(kBugs.size() == static_cast<std::size_t>(Bug::count_));

}  // namespace

std::span<const BugInfo> all_bugs() { return kBugs; }

std::optional<Bug> find_bug(std::string_view name_or_id) {
  const auto* found = std::ranges::find_if(
      kBugs, [&](const BugInfo& info) { return info.name == name_or_id || info.id == name_or_id; });
  if (found == kBugs.end()) return std::nullopt;
  return found->bug;
}

}  // namespace ordeal::mutation
