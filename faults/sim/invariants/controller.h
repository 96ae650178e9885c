// Invariants over what the active controller has committed: who is in which ISR, and who may be.
#pragma once

#include <map>
#include <set>

#include "faults/sim/invariants/breach.h"

namespace ordeal::sim {

struct CommittedPartition {
  NodeId leader = kNoNode;
  LeaderEpoch leader_epoch = kNoEpoch;
  PartitionEpoch partition_epoch = -1;
  std::set<NodeId> isr;
  std::set<NodeId> elr;
  NodeId told_by = kNoNode;  // none after that node's restart
};

class ControllerInvariants {
 public:
  ControllerInvariants(World& world, Breaches& breaches) : world_(world), breaches_(breaches) {}
  void observe(const TraceEvent& event);

 private:
  struct BrokerView {
    BrokerEpoch epoch = -1;
    bool fenced = true;
    bool stopping = false;
    Instant since{};  // of fenced or stopping
  };

  void committed_partition(const TraceEvent& event, const TopicPartition& at);
  void epochs_rise(const TopicPartition& at, const CommittedPartition& before, const CommittedPartition& now);
  void isr_and_elr_disjoint(const TopicPartition& at, const CommittedPartition& now);
  void leader_in_isr(const TopicPartition& at, const CommittedPartition& now);
  void no_fenced_in_isr(const TopicPartition& at, const CommittedPartition& before, const CommittedPartition& now);

  World& world_;
  Breaches& breaches_;
  std::map<TopicPartition, CommittedPartition> partitions_;
  std::map<NodeId, BrokerView> brokers_;
};

}  // namespace ordeal::sim
