// Who is what, as the brokers' traces tell it: controller, leaders, ISRs.
//
// Traces are claims. When two nodes claim one leadership the higher epoch wins, and within one epoch the higher
// partition epoch. Lines may come late or be lost; the view is the best knowledge at hand, and each answer carries the
// epoch it rests on so that a fault can be re-checked after it acted.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "broker/base/types.h"
#include "faults/plan/plan.h"

namespace ordeal::plan {

// One trace event, with every field as text ("leader_epoch" -> "5").
struct TraceEvent {
  std::int64_t time_ns = 0;
  NodeId node = kNoNode;
  std::string kind;
  std::map<std::string, std::string, std::less<>> fields;
};

// One line of a trace.jsonl. Errc::corrupt when it is not a trace event.
Result<TraceEvent> parse_trace_line(std::string_view line);

bool matches(const EventPattern& pattern, const TraceEvent& event);  // ignores nth

struct PartitionRole {
  std::string leader;  // empty: not known
  LeaderEpoch leader_epoch = kNoEpoch;
  PartitionEpoch partition_epoch = -1;
  std::set<std::string> isr;
  std::set<std::string> replicas;  // every node seen leading, following or in an ISR
};

// All that targets are resolved against. Worlds fill hosts and process states; RoleTracker fills the roles.
struct WorldView {
  std::vector<std::string> nodes;    // in order of node id
  std::vector<std::string> clients;  // in order
  std::set<std::string> killed;      // down on purpose or by themselves
  std::set<std::string> paused;
  std::string controller;  // empty: not known
  std::int64_t controller_term = -1;
  std::set<std::string> voters;  // of the metadata quorum; empty: not known
  std::int64_t voters_index = -1;
  std::map<TopicPartition, PartitionRole> partitions;
};

struct RoleChange {
  std::string role;  // "controller" or "leader(t/0)"
  std::string from;
  std::string to;
  std::int64_t epoch = -1;
};

class RoleTracker {
 public:
  // Updates the roles in `view`; returns what changed hands, if anything did.
  static std::optional<RoleChange> observe(const TraceEvent& event, WorldView& view);
};

// Empty when the cluster is whole: a controller and, for each known partition, a leader that is up and every replica
// in the ISR. Otherwise the first reason ("t/0: ISR has 2 of 3 replicas"). `view` without partitions is not whole.
std::string why_not_converged(const WorldView& view);

}  // namespace ordeal::plan
