// The registry of named bug switches: every known Kafka-family bug the broker can be told to have.
//
// A switch stands at exactly one decision point, and with the switch off that point is the fixed rule. The branch
// counts how often it decided something differently: a mutation counts as caught only if it ran.
// With ORDEAL_MUTATIONS=OFF active() is a constant false and the branches vanish.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace ordeal::mutation {

// In the order of their ids; bugs.cpp says what each one does.
enum class Bug : std::uint8_t {
  // A: replication and leader epochs
  repl_truncate_to_hw,
  repl_fetch_without_epoch_lookup,
  repl_epoch_reply_offset_only,
  repl_epoch_start_on_first_append,
  repl_ignore_fetch_leader_epoch,
  repl_skip_truncate_if_same_leader,
  repl_session_skips_epoch_check,
  isr_expand_at_hw_only,
  repl_count_diverging_fetch,
  repl_hw_counts_old_epoch_fetch,
  repl_truncate_on_stale_reply,
  isr_hw_uses_committed_isr_only,
  isr_ignore_broker_epoch,
  isr_hw_below_min_isr,
  isr_keep_unclean_last,
  repl_list_offsets_before_leso,
  repl_oor_resets_to_start,
  repl_hw_over_empty_replica_map,
  // B: idempotent producer
  idem_dup_is_out_of_order,
  // E: storage and durability
  disk_no_dir_fsync,
  disk_keep_clean_marker,
  disk_epoch_ckpt_unsynced,
  disk_epoch0_skipped,
  disk_producer_snapshot_unsynced,
  disk_delete_past_hw,
  disk_reuse_offset_after_prefix_truncate,
  disk_stale_index_after_truncate,
  disk_skip_crc,
  // F: metadata, Raft, controller
  raft_no_fsync,
  raft_relead_same_epoch,
  raft_vote_not_persisted,
  raft_commit_old_term,
  raft_truncate_below_hw,
  raft_no_check_quorum,
  raft_overlapping_reconfig,
  raft_apply_uncommitted,
  raft_snapshot_off_by_one,
  ctl_isr_allows_fenced,
  ctl_accept_stale_epoch,
  count_
};

struct BugInfo {
  Bug bug;
  std::string_view id;        // "A1"; an entry with two switches has "A15a" and "A15b"
  std::string_view name;      // "repl.truncate_to_hw", as --mutate takes it
  std::string_view source;    // "KIP-101 scenario 1, KAFKA-1211"
  std::string_view summary;   // what the mutated rule does, one line
  std::string_view property;  // the property (of the checker) or invariant (of the simulator) that must name it
};

std::span<const BugInfo> all_bugs();
const BugInfo& info_of(Bug bug);
std::optional<Bug> find_bug(std::string_view name_or_id);

// Known bugs that this broker has no switch for, and why.
enum class Absence : std::uint8_t { needs_feature, not_applicable };
struct AbsentBug {
  std::string_view id;
  std::string_view name;
  std::string_view source;
  Absence absence;
  std::string_view why;
};
std::span<const AbsentBug> absent_bugs();

// The switches of one broker. Owned by its wiring; deciders hold a reference. Counters may be read from anywhere.
class Switches {
 public:
  void turn_on(Bug bug) { on_[index(bug)] = true; }
  bool is_on(Bug bug) const { return ORDEAL_MUTATIONS && on_[index(bug)]; }
  // True if the bug is switched on; counts the use. Call it only where the fixed rule would decide otherwise:
  //   if (offset < safe && !switches.active(Bug::x)) refuse();
  bool active(Bug bug) const {
    if (!is_on(bug)) return false;
    ran_[index(bug)].fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  std::uint64_t ran(Bug bug) const { return ran_[index(bug)].load(std::memory_order_relaxed); }

 private:
  static std::size_t index(Bug bug) { return static_cast<std::size_t>(bug); }
  std::array<bool, static_cast<std::size_t>(Bug::count_)> on_{};
  mutable std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(Bug::count_)> ran_{};
};

// For what is built without a broker around it: nothing is switched on.
const Switches& no_switches();

}  // namespace ordeal::mutation
