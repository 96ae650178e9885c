// A tiny cluster for scenario tests of the partition decider: three replicas with logs of (epoch, value), a controller
// that is a variable, and a wire that is a function call. Everything else is the real decider.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "broker/replica/partition.h"

namespace ordeal::replica::testing {

struct Entry {
  LeaderEpoch epoch;
  std::string value;
  bool operator==(const Entry&) const = default;
};

// A log without disk: flushed may lag in fsync worlds; epochs may hold an empty latest one (a leader that wrote
// nothing).
struct TinyLog {
  std::vector<Entry> entries;
  std::vector<std::pair<LeaderEpoch, Offset>> epochs;
  Offset flushed = 0;

  Offset end() const { return static_cast<Offset>(entries.size()); }
  LogEnds ends() const { return {0, flushed, end()}; }
  LeaderEpoch latest() const { return epochs.empty() ? kNoEpoch : epochs.back().first; }

  void note_epoch(LeaderEpoch epoch, Offset start) {
    if (epoch > latest()) epochs.emplace_back(epoch, start);
  }
  void append(LeaderEpoch epoch, std::string value) {
    note_epoch(epoch, end());
    entries.push_back({epoch, std::move(value)});
  }
  void flush() { flushed = end(); }
  void cut(Offset at) {
    if (at < end()) entries.resize(static_cast<std::size_t>(at));
    while (!epochs.empty() && epochs.back().second >= at) epochs.pop_back();
    flushed = std::min(flushed, end());
  }
  EpochEnd end_of(LeaderEpoch asked) const {
    if (asked == kNoEpoch || epochs.empty() || asked > latest()) return {};
    for (std::size_t i = epochs.size(); i-- > 0;) {
      if (epochs[i].first <= asked) return {epochs[i].first, i + 1 < epochs.size() ? epochs[i + 1].second : end()};
    }
    return {asked, epochs.front().second};
  }
};

struct FetchReply {
  LeaderEpoch epoch = kNoEpoch;  // the follower's, when it asked
  Offset offset = 0;
  FetchVerdict verdict;
  EpochEnd looked_up;  // what the leader would say if asked for the end of the follower's last epoch
  std::vector<Entry> records;
  Offset leader_hw = 0;
};

class World {
 public:
  explicit World(Partition::Durability durability = Partition::Durability::page_cache, std::int32_t min_isr = 1,
                 std::vector<NodeId> ids = {1, 2, 3})
      : durability_(durability), min_isr_(min_isr), ids_(std::move(ids)) {
    state_.leader_epoch = 0;  // the first election is epoch 1
    state_.partition_epoch = 0;
    for (const NodeId id : ids_) boot(id);
  }

  mutation::Switches switches;
  Instant now{1000s};
  bool in_session = false;  // fetches are incremental

  struct Replica {
    TinyLog log;
    std::optional<Partition> part;
    BrokerEpoch incarnation = 1;
  };
  Replica& at(NodeId id) { return replicas_[id]; }
  Partition& part(NodeId id) { return *replicas_[id].part; }
  TinyLog& log(NodeId id) { return replicas_[id].log; }

  // The controller decides; nobody knows yet.
  void decide(NodeId leader, std::vector<NodeId> isr) {
    state_.leader = leader;
    state_.isr = std::move(isr);
    state_.replicas = ids_;
    state_.min_isr = min_isr_;
    ++state_.leader_epoch;
    ++state_.partition_epoch;
  }
  const Assignment& state() const { return state_; }
  RoleChange tell(NodeId id) { return tell(id, state_); }
  RoleChange tell(NodeId id, const Assignment& state) {
    const RoleChange change = part(id).assign(state, log(id).ends(), now);
    if (change.epoch_start) log(id).note_epoch(part(id).leader_epoch(), *change.epoch_start);
    if (change.truncate_to) {
      log(id).cut(*change.truncate_to);
      part(id).on_truncated(log(id).ends());
    }
    return change;
  }
  void elect(NodeId leader, std::vector<NodeId> isr) {
    decide(leader, std::move(isr));
    for (const NodeId id : ids_) tell(id);
  }

  // The process dies and comes back with what its log kept and the high watermark it had checkpointed.
  void boot(NodeId id, Offset keep = -1, Offset checkpointed_hw = 0) {
    Replica& replica = replicas_[id];
    if (keep >= 0) replica.log.cut(keep);
    replica.part.emplace(id, durability_, 10s, switches);
    replica.part->restore(checkpointed_hw, replica.log.latest(), replica.log.ends());
    ++replica.incarnation;
  }

  void write(NodeId leader, std::string value) {
    log(leader).append(part(leader).leader_epoch(), std::move(value));
    if (durability_ == Partition::Durability::page_cache) log(leader).flush();
    part(leader).on_local_log(log(leader).ends());
  }
  void flush(NodeId id) {
    log(id).flush();
    part(id).on_local_log(log(id).ends());
  }

  // Request and answer, not yet acted on.
  FetchReply ask(NodeId follower, NodeId leader, bool may_join = true) {
    FetchReply reply;
    FollowerFetch fetch;
    fetch.replica = follower;
    fetch.fetch_offset = reply.offset = log(follower).end();
    fetch.current_leader_epoch = reply.epoch = part(follower).leader_epoch();
    fetch.last_fetched_epoch = part(follower).epoch_to_check(log(follower).latest());
    fetch.in_session = in_session;
    fetch.broker_epoch = at(follower).incarnation;
    fetch.may_join = may_join;
    reply.verdict =
        part(leader).on_follower_fetch(fetch, log(leader).end_of(fetch.last_fetched_epoch), log(leader).ends(), now);
    if (reply.verdict.serve()) {
      reply.records.assign(log(leader).entries.begin() + fetch.fetch_offset, log(leader).entries.end());
    }
    reply.leader_hw = part(leader).high_watermark();
    reply.looked_up = log(leader).end_of(fetch.last_fetched_epoch);
    return reply;
  }
  bool act(NodeId follower, const FetchReply& reply) {
    const Offset end = log(follower).end();
    const bool diverging = reply.verdict.diverging.has_value();
    if (!(diverging ? part(follower).may_cut(reply.epoch, reply.offset, end)
                    : part(follower).accepts_reply(reply.epoch, reply.offset, end))) {
      return false;
    }
    if (diverging || reply.verdict.error == ErrorCode::offset_out_of_range) {
      const std::optional<Offset> to = mend(follower, reply);
      if (!to) return false;
      log(follower).cut(*to);
      part(follower).on_truncated(log(follower).ends());
      return true;
    }
    if (!reply.verdict.serve()) return false;
    for (const Entry& entry : reply.records) log(follower).append(entry.epoch, entry.value);
    log(follower).flush();
    part(follower).on_leader_high_watermark(reply.leader_hw, log(follower).ends());
    return true;
  }
  FetchReply fetch(NodeId follower, NodeId leader) {
    FetchReply reply = ask(follower, leader);
    act(follower, reply);
    return reply;
  }
  // Enough rounds for truncation, copying and the high watermark to settle.
  void sync(NodeId follower, NodeId leader) {
    for (int round = 0; round < 6; ++round) fetch(follower, leader);
  }

  // The controller's side of AlterPartition: compare-and-set.
  AlterResult alter(NodeId leader) {
    const auto sent = part(leader).proposal(at(leader).incarnation);
    return sent ? alter(*sent) : AlterResult{AlterOutcome::rejected, 0, 0, {}};
  }
  AlterResult alter(const IsrProposal& sent) {
    if (sent.leader_epoch != state_.leader_epoch || sent.partition_epoch != state_.partition_epoch) {
      return {AlterOutcome::overtaken, 0, 0, {}};
    }
    state_.isr.clear();
    for (const ProposedReplica& member : sent.isr) state_.isr.push_back(member.id);
    ++state_.partition_epoch;
    return {AlterOutcome::committed, state_.leader_epoch, state_.partition_epoch, state_.isr};
  }
  // Proposal, decision and answer in one go.
  bool settle_isr(NodeId leader) {
    const auto sent = part(leader).proposal(at(leader).incarnation);
    if (!sent) return false;
    part(leader).on_alter_result(*sent, alter(*sent));
    return true;
  }

 private:
  // Where the follower cuts.
  std::optional<Offset> mend(NodeId follower, const FetchReply& reply) {
    const Misfit misfit{.asked = reply.offset, .diverging = reply.verdict.diverging, .leader_log_start = 0};
    EpochEnd leader = reply.looked_up;
    switch (part(follower).repair_for(misfit)) {
      case Repair::start_over:
        return 0;
      case Repair::cut:
        leader = *reply.verdict.diverging;
        break;
      case Repair::look_up:
        if (leader.epoch == kNoEpoch) return part(follower).cut_without_answer();
    }
    return divergence_point(leader, log(follower).end_of(leader.epoch), log(follower).ends());
  }

  Partition::Durability durability_;
  std::int32_t min_isr_;
  std::vector<NodeId> ids_;
  Assignment state_;
  std::map<NodeId, Replica> replicas_;
};

}  // namespace ordeal::replica::testing
