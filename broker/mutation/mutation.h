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

enum class Bug : std::uint8_t {
  repl_truncate_to_hw,             // A1  KIP-101 scenario 1
  repl_ignore_fetch_leader_epoch,  // A5  KAFKA-6880, KIP-320
  isr_expand_at_hw_only,           // A8  KAFKA-7128
  repl_list_offsets_before_leso,   // A16 KIP-207
  idem_dup_is_out_of_order,        // B1  KAFKA-5494
  disk_skip_crc,                   // E11 KAFKA-4384
  count_
};

struct BugInfo {
  Bug bug;
  std::string_view id;        // "A1"
  std::string_view name;      // "repl.truncate_to_hw", as --mutate takes it
  std::string_view source;    // "KIP-101 scenario 1, KAFKA-1211"
  std::string_view summary;   // what the mutated rule does, one line
  std::string_view property;  // the checker property that must name it: "lost-write"
};

std::span<const BugInfo> all_bugs();
std::optional<Bug> find_bug(std::string_view name_or_id);

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

}  // namespace ordeal::mutation
