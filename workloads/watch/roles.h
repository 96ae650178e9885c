// What a cluster looks like from outside, turned into the trace events that our own broker writes of itself.
//
// A decider: answers of many nodes go in, events come out. Answers differ, since each node tells what its own image of
// the metadata says, and a node that is cut off tells old news for as long as it is. So:
//   - a higher leader epoch is newer, whoever tells it; a lower one is dropped;
//   - of one epoch the in-sync replicas change without any number to compare, so one node at a time is believed: the
//     controller while it answers, else the partition's leader, else anybody;
//   - a controller is believed about itself only, and the higher term wins.
// Epochs that passed between two looks are counted, so that nobody takes the list of leaders for complete.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "broker/base/types.h"

namespace ordeal::watch {

struct PartitionSeen {
  TopicPartition name;
  NodeId leader = kNoNode;
  LeaderEpoch leader_epoch = kNoEpoch;
  std::vector<NodeId> replicas;
  std::vector<NodeId> isr;
};

struct ClusterSeen {  // one Metadata answer
  NodeId from = kNoNode;
  Instant asked{};  // when the question left
  std::set<NodeId> brokers;
  std::vector<PartitionSeen> partitions;
};

struct QuorumSeen {  // one DescribeQuorum answer of a node about itself
  NodeId from = kNoNode;
  bool leads = false;
  std::int64_t term = -1;
};

// One line of the trace, ready to be written: kind, the node it is about, and its fields (docs/formats/trial.md).
struct RoleEvent {
  std::string kind;
  NodeId node = kNoNode;
  std::vector<std::pair<std::string, std::int64_t>> numbers;
  std::vector<std::pair<std::string, std::string>> texts;
};

class Roles {
 public:
  std::vector<RoleEvent> observe(const ClusterSeen& seen, Instant now);
  std::vector<RoleEvent> observe(const QuorumSeen& seen);
  // A question that this node did not answer. What it was last heard to say is then no proof that it serves.
  std::vector<RoleEvent> unanswered(NodeId node, Instant now);

 private:
  struct Partition {
    NodeId leader = kNoNode;
    LeaderEpoch leader_epoch = kNoEpoch;
    std::set<NodeId> isr;
    std::map<NodeId, std::pair<LeaderEpoch, Instant>> told;  // per node: what it said last, and when it was asked
  };
  bool believed(NodeId from, const Partition& partition, Instant now) const;
  void observe(const ClusterSeen& seen, const PartitionSeen& row, Instant now, std::vector<RoleEvent>& events);
  Instant not_before(const Partition& partition, const PartitionSeen& row) const;

  std::map<TopicPartition, Partition> partitions_;
  std::map<NodeId, Instant> answered_;  // when a node's last Metadata answer came
  std::set<NodeId> ready_;
  std::set<NodeId> answering_;
  NodeId controller_ = kNoNode;
  std::int64_t term_ = -1;
};

}  // namespace ordeal::watch
