#include "workloads/watch/roles.h"

#include <algorithm>

namespace ordeal::watch {

namespace {

constexpr Duration kSilent = 1s;  // a node that did not answer for so long is not waited for

std::string joined(const std::set<NodeId>& nodes) {
  std::string list;
  for (const NodeId node : nodes) list += (list.empty() ? "" : ",") + std::to_string(node);
  return list;
}

std::int64_t nanos(Instant at) { return at.time_since_epoch().count(); }

}  // namespace

// The controller's own image is the newest there is: it has applied what the others are still told.
bool Roles::believed(NodeId from, const Partition& partition, Instant now) const {
  const auto answers = [&](NodeId node) {
    const auto last = answered_.find(node);
    return last != answered_.end() && now - last->second < kSilent;
  };
  if (controller_ != kNoNode && answers(controller_)) return from == controller_;
  if (partition.leader != kNoNode && answers(partition.leader)) return from == partition.leader;
  return true;
}

// A leader acts only on what its own image says: it did not lead before it was last asked and knew nothing of it. When
// nobody leads, the old leader's image is the one that counts.
Instant Roles::not_before(const Partition& partition, const PartitionSeen& row) const {
  const NodeId whose = row.leader != kNoNode ? row.leader : partition.leader;
  const auto told = partition.told.find(whose);
  if (told != partition.told.end()) return told->second.second;
  Instant earliest = Instant::max();
  for (const auto& [node, last] : partition.told) earliest = std::min(earliest, last.second);
  return earliest == Instant::max() ? Instant{} : earliest;
}

void Roles::observe(const ClusterSeen& seen, const PartitionSeen& row, Instant now, std::vector<RoleEvent>& events) {
  Partition& known = partitions_[row.name];
  const auto place = [&](RoleEvent event) {
    event.numbers.insert(event.numbers.begin(),
                         {{"partition", row.name.partition}, {"leader_epoch", row.leader_epoch}});
    event.texts.insert(event.texts.begin(), {"topic", row.name.topic});
    events.push_back(std::move(event));
  };
  const std::set<NodeId> isr(row.isr.begin(), row.isr.end());
  const bool newer = row.leader_epoch > known.leader_epoch;
  // A node whose image has the leader fenced names none, at the leader's own epoch.
  const bool named_late = row.leader_epoch == known.leader_epoch && known.leader == kNoNode && row.leader != kNoNode;
  if (newer || named_late) {
    const bool first = known.leader_epoch == kNoEpoch;
    if (!first && row.leader_epoch > known.leader_epoch + 1) {
      events.push_back({"trace.dropped", row.leader, {{"count", row.leader_epoch - known.leader_epoch - 1}}, {}});
    }
    const Instant since = first ? seen.asked : not_before(known, row);
    known.leader = row.leader;
    known.leader_epoch = row.leader_epoch;
    known.isr = isr;
    if (row.leader != kNoNode) {
      place({"partition.leader", row.leader, {{"not_before", nanos(since)}}, {{"isr", joined(isr)}}});
    }
    for (const NodeId replica : row.replicas) {
      if (replica != row.leader) place({"partition.follower", replica, {{"leader", row.leader}}, {}});
    }
  } else if (row.leader_epoch == known.leader_epoch && row.leader == known.leader && isr != known.isr &&
             known.leader != kNoNode && believed(seen.from, known, now)) {
    known.isr = isr;
    place({"partition.isr", known.leader, {}, {{"isr", joined(isr)}}});
  }
  known.told[seen.from] = {row.leader_epoch, seen.asked};
}

std::vector<RoleEvent> Roles::observe(const ClusterSeen& seen, Instant now) {
  std::vector<RoleEvent> events;
  answered_[seen.from] = now;
  if (answering_.insert(seen.from).second) events.push_back({"broker.answers", seen.from, {}, {}});
  for (const NodeId broker : seen.brokers) {
    if (ready_.insert(broker).second) events.push_back({"broker.ready", broker, {}, {}});
  }
  for (const PartitionSeen& row : seen.partitions) observe(seen, row, now, events);
  return events;
}

std::vector<RoleEvent> Roles::unanswered(NodeId node, Instant now) {
  const auto last = answered_.find(node);
  if (last != answered_.end() && now - last->second < kSilent) return {};
  if (answering_.erase(node) == 0) return {};
  return {{"broker.silent", node, {}, {}}};
}

std::vector<RoleEvent> Roles::observe(const QuorumSeen& seen) {
  std::vector<RoleEvent> events;
  if (seen.leads && (seen.term > term_ || (seen.term == term_ && controller_ == kNoNode))) {
    controller_ = seen.from;
    term_ = seen.term;
    events.push_back({"controller.active", controller_, {{"term", term_}}, {}});
  } else if (!seen.leads && seen.from == controller_) {
    controller_ = kNoNode;
    events.push_back({"controller.resigned", seen.from, {{"term", term_}}, {}});
  }
  return events;
}

}  // namespace ordeal::watch
