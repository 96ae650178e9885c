// What the checks hand on: occurrences, not yet prose. A finding is small; operations are looked up afterwards and
// only for the few that are spelled out, so a thoroughly broken run costs no more than a clean one.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "checker/promises.h"

namespace ordeal::checker {

// In the order of promises.json (a test compares them).
enum class Prop : std::uint8_t {
  lost_write,
  unseen,
  vanished_read,
  inconsistent_offsets,
  duplicate,
  aborted_read,
  phantom_value,
  wrong_partition,
  corrupt_value,
  read_before_write,
  nonmonotonic_send,
  int_nonmonotonic_send,
  real_time_order,
  end_offset_regression,
  poll_skip,
  int_poll_skip,
  nonmonotonic_poll,
  int_nonmonotonic_poll,
  log_epoch_order,
  broken_sequence,
  count_
};
inline constexpr std::size_t kProps = static_cast<std::size_t>(Prop::count_);
inline const std::string& prop_name(Prop prop) {
  return Promises::standard().properties()[static_cast<std::size_t>(prop)].name;
}

// One record of the history, so that a witness can show it.
struct RecordRef {
  std::uint32_t file = 0xFFFFFFFF;
  std::uint32_t block = 0;
  std::uint32_t index = 0;
  bool valid() const { return file != 0xFFFFFFFF; }
  auto operator<=>(const RecordRef&) const = default;
};

// What the check itself knows beyond the promise matrix.
enum class Because : std::uint8_t {
  matrix,             // the matrix decides
  client_epoch,       // copies carry different producer ids or epochs: the client sent it again
  client_sequence,    // copies carry different sequences of one epoch: the client numbered it again
  no_batch_evidence,  // the auditor saw no batch for a copy, so nobody can be charged: unknown
  refused_held,       // the broker refused as out of order a batch that the log holds: the broker's doing
  stale_refusal,      // the same, but a deposed leader may have said so: legal
  stale_answer,       // an end offset from an older or unknown leader epoch: legal
  not_drained,        // the drain did not come this far: unknown
  crc,                // the auditor found a batch whose checksum is wrong
};

struct Finding {
  Prop prop = Prop::lost_write;
  Because because = Because::matrix;
  std::uint16_t object = 0;
  std::int64_t offset = -1;
  std::int64_t other_offset = -1;
  std::uint64_t value = history::kNoValue;
  std::uint64_t other_value = history::kNoValue;
  std::array<RecordRef, 3> refs{};  // set where the check met the records anyway
  std::uint64_t from_ns = 0;        // when it can have gone wrong, if the check knows
  std::uint64_t to_ns = 0;
};

// Counts everything and keeps the first few of each kind. One instance a thread; merge() joins them.
class Findings {
 public:
  // promise[prop][object]: decided before the checks run.
  using PromiseTable = std::array<std::vector<Promise>, kProps>;
  Findings(const PromiseTable& promises, std::size_t keep) : promises_(&promises), keep_(keep) {}

  struct Tally {
    std::uint64_t violated = 0, allowed = 0, unknown = 0;
    std::uint64_t client = 0, stale = 0;  // parts of `allowed`
    std::vector<Finding> kept_violated, kept_allowed;
    std::uint64_t total() const { return violated + allowed + unknown; }
  };

  void add(const Finding& finding);
  void merge(Findings&& other);
  const Tally& of(Prop prop) const { return tallies_[static_cast<std::size_t>(prop)]; }
  Tally& of(Prop prop) { return tallies_[static_cast<std::size_t>(prop)]; }
  Standing status_of(const Finding& finding) const;
  Promise promise_of(Prop prop, std::uint16_t object) const {
    return (*promises_)[static_cast<std::size_t>(prop)][object];
  }

 private:
  const PromiseTable* promises_;
  std::size_t keep_;
  std::array<Tally, kProps> tallies_;
};

}  // namespace ordeal::checker
