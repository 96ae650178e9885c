// What happened to the cluster, told from fault events and broker traces: the facts the promise matrix asks for.
//
// Doubt goes to the accused: where the traces do not show that a leader stayed or a replica kept its power, the facts
// say it did not, so that a promise is only ever withheld, never invented.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "checker/promises.h"

namespace ordeal::checker {

struct FaultSpan {
  std::string id;
  std::string kind;
  std::vector<std::string> targets;
  std::set<std::int32_t> nodes;  // the targets that are brokers
  std::string planned, resolved, evidence;
  std::string status = "planned";  // planned, acted, missed, failed
  bool verified = false;           // its begin was proved
  bool took_hold = false;          // something happened to the cluster, even if not where the plan wanted it
  std::uint64_t begin_ns = 0;
  std::uint64_t heal_ns = 0;  // 0: never healed
  std::uint64_t converged_ns = 0;
  bool acted() const { return took_hold; }
  // Whether it counts for min_faults and required faults: on target, begin and heal proved.
  bool counts() const { return status == "acted"; }
  bool overlaps(std::uint64_t from, std::uint64_t to) const {
    return acted() && begin_ns <= to && (heal_ns == 0 || heal_ns >= from);
  }
};

// One span a fault id, in order of begin (planned ones last).
std::vector<FaultSpan> fault_spans(const std::vector<FaultEvent>& events);

struct Reign {  // one leader epoch of a partition
  LeaderEpoch epoch = kNoEpoch;
  std::int32_t leader = -1;
  std::uint64_t from_ns = 0;
  std::uint64_t not_before_ns = 0;  // earlier than from_ns where somebody else saw it and told it late
};

struct IsrState {
  std::uint64_t t_ns = 0;
  LeaderEpoch epoch = kNoEpoch;
  std::int64_t partition_epoch = -1;
  std::set<std::int32_t> isr;
};

struct PartitionStory {
  std::vector<Reign> reigns;  // by epoch; where two nodes claim one epoch the first claim stands
  std::vector<IsrState> isr;  // by (epoch, partition epoch)
};
std::map<TopicPartition, PartitionStory> partition_stories(const std::vector<TraceEvent>& traces);

std::set<std::int32_t> parse_nodes(const std::string& list);  // "1,2,3"
std::int32_t node_named(const std::string& target);           // "n2", "2", "node-2", "10.77.0.12" -> 2; -1 if none

class Evidence {
 public:
  // `t0_ns`: when the workload began; leaders before that do not count as changes.
  Evidence(const Context& context, std::uint64_t t0_ns);

  // Setting facts and what happened to this partition.
  Facts facts(const TopicPartition& partition) const;
  const std::vector<FaultSpan>& faults() const { return faults_; }
  std::uint64_t acted() const;    // faults that did something
  std::uint64_t counted() const;  // of these, the ones that count for min_faults
  // When a second node began to lead the partition: from then on a deposed leader may answer. 0: for all that is known
  // always; UINT64_MAX: never.
  std::uint64_t leader_moved_ns(const TopicPartition& partition) const;
  // By node: the first epoch in which it led. Empty where the traces are missing or have gaps.
  std::map<NodeId, LeaderEpoch> first_led(const TopicPartition& partition) const;
  const std::map<TopicPartition, PartitionStory>& stories() const { return stories_; }
  std::uint64_t dropped_trace_events() const { return dropped_; }

 private:
  bool whole_isr_within(const TopicPartition& partition, const std::set<std::int32_t>& nodes) const;
  bool unclean_election(const PartitionStory& story) const;

  Facts settings_;
  bool unclean_permitted_ = false;
  bool anything_possible_ = false;  // faults may have acted that nobody recorded or proved
  std::uint64_t t0_ns_ = 0;
  std::vector<FaultSpan> faults_;
  std::map<TopicPartition, PartitionStory> stories_;
  std::set<std::int32_t> lost_power_, damaged_;
  std::uint64_t dropped_ = 0;
};

}  // namespace ordeal::checker
