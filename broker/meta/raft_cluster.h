// A cluster of Raft deciders in one test: scripted or shuffled messages, durable state that survives a crash, and
// Raft's safety properties checked after every step.
//
// The harness performs effects in the contract's order (persist, send, apply) and can crash a node between any two
// of them. What was not persisted is gone; what was sent had been persisted.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "broker/base/bytes.h"
#include "broker/base/check.h"
#include "broker/meta/raft.h"

namespace ordeal::meta::raft {

class Cluster {
 public:
  struct Durable {
    HardState hard_state;
    LogBase base;
    std::vector<Entry> entries;
    Index applied = 0;
    std::uint64_t state = 0;  // a digest over all applied entries: the whole state machine

    std::optional<Term> term_at(Index index) const {
      if (index == base.index) return base.term;
      if (index < base.index || index > base.index + static_cast<Index>(entries.size())) return std::nullopt;
      return entries[static_cast<std::size_t>(index - base.index - 1)].term;
    }
  };
  struct Member {
    Durable disk;
    std::unique_ptr<Raft> raft;  // null while crashed
    Index commit_seen = 0;       // of this incarnation
    int incarnation = 0;
    std::map<Index, std::string> applied;  // what this incarnation applied
  };
  enum class CrashPoint { none, before_persist, after_persist, before_apply };

  // `batch_entries`: small batches leave old-term entries on a majority before the leader's own (figure 8).
  // Nodes beyond `voters` begin as observers; 0: all vote.
  explicit Cluster(int size, std::uint64_t seed = 1, std::size_t batch_entries = 256, int voters = 0)
      : random_(seed), batch_entries_(batch_entries) {
    for (NodeId id = 1; id <= size; ++id) nodes_.push_back(id);
    for (NodeId id = 1; id <= (voters == 0 ? size : voters); ++id) initial_[id] = endpoint_of(id);
    for (const NodeId id : nodes_) start(id);
  }
  static Endpoint endpoint_of(NodeId id) { return {"10.0.0." + std::to_string(id), 9094}; }

  // ---- verbs ----

  void start(NodeId id) {
    Member& member = members_[id];
    Config config;
    config.id = id;
    config.voters = initial_;
    config.endpoint = endpoint_of(id);
    config.batch_entries_max = batch_entries_;
    config.chunk_bytes_max = 4;  // so that snapshots take several messages
    Restored restored{member.disk.hard_state, member.disk.base, member.disk.entries, member.disk.applied};
    member.incarnation++;
    member.commit_seen = 0;
    member.applied.clear();
    member.raft = std::make_unique<Raft>(
        config, restored, random_.fork(std::to_string(id) + "." + std::to_string(member.incarnation)), now, switches);
  }
  void crash(NodeId id) { members_[id].raft.reset(); }
  void restart(NodeId id) { crash(id), start(id); }
  // The disk of a crashed node is new, and its connections are gone with it.
  void wipe(NodeId id) {
    ORDEAL_CHECK(!up(id));
    members_[id].disk = Durable{};
    members_[id].disk.hard_state.blank = true;
    std::erase_if(network, [&](const Message& each) { return each.from == id || each.to == id; });
    for (auto& [other, member] : members_)
      if (member.raft) member.raft->peer_lost(id, now);
  }
  // Drops the log up to `base` from memory and disk.
  void compact(NodeId id, Index base) {
    Member& member = members_[id];
    if (base <= member.disk.base.index) return;
    const LogBase after = member.raft->base_at(base);
    member.raft->compact(base);
    member.disk.entries.erase(member.disk.entries.begin(),
                              member.disk.entries.begin() + (base - member.disk.base.index));
    member.disk.base = after;
  }
  VoterRefusal change(NodeId at_node, NodeId node, bool add) {
    const Raft::VoterAnswer answer =
        add ? at(at_node).add_voter(node, endpoint_of(node), now) : at(at_node).remove_voter(node, now);
    settle(at_node);
    return answer.refusal;
  }

  // Performs the effects of a step. Returns false when it crashed on the way.
  bool settle(NodeId id, CrashPoint crash_at = CrashPoint::none) {
    Member& member = members_[id];
    check_node(id);
    Effects effects = member.raft->take_effects();
    if (crash_at == CrashPoint::before_persist) return crash(id), false;
    ORDEAL_CHECK(!effects.fatal || may_halt, "node {} halted: {}", id, *effects.fatal);
    persist(member.disk, effects);
    note_entries(member.disk);
    std::size_t to_send = effects.send.size();
    if (crash_at == CrashPoint::after_persist) to_send = random_.below(to_send + 1);
    for (std::size_t i = 0; i < to_send; ++i) network.push_back(std::move(effects.send[i]));
    if (crash_at == CrashPoint::after_persist) return crash(id), false;
    for (const NodeId to : effects.send_snapshot_to) {
      const Snapshot snapshot{member.raft->snapshot_base(member.disk.applied), std::to_string(member.disk.state)};
      for (Message& message : member.raft->snapshot_messages(to, snapshot)) network.push_back(std::move(message));
      ++snapshots_sent;
    }
    if (crash_at == CrashPoint::before_apply) return crash(id), false;
    for (const Entry& entry : effects.apply) apply(member, entry);
    ORDEAL_CHECK(member.disk.applied == member.raft->applied_index());
    return true;
  }

  void tick(NodeId id) {
    if (!up(id)) return;
    at(id).tick(now);
    settle(id);
  }
  std::optional<Index> propose(NodeId id, std::string data) {
    const auto index = at(id).propose(std::move(data), now);
    settle(id);
    return index;
  }
  void deliver(Message message, CrashPoint crash_at = CrashPoint::none) {
    const NodeId to = message.to;
    if (!up(to)) return;
    at(to).receive(std::move(message), now);
    settle(to, crash_at);
  }
  // Delivers in order of sending, dropping what a cut link carries, until nothing is under way.
  void deliver_all() {
    for (int budget = 100000; !network.empty(); --budget) {
      ORDEAL_CHECK(budget > 0, "messages never end");
      Message message = std::move(network.front());
      network.erase(network.begin());
      if (!cut.contains({message.from, message.to})) deliver(std::move(message));
    }
  }
  // Lets time pass; every node ticks when its deadline is due.
  void pass(Duration duration) {
    const Instant end = now + duration;
    while (true) {
      Instant next = end;
      for (auto& [id, member] : members_)
        if (member.raft) next = std::min(next, std::max(now + 1ms, member.raft->next_deadline()));
      now = next;
      if (now >= end) return;
      for (const NodeId id : nodes_)
        if (up(id) && at(id).next_deadline() <= now) tick(id);
      deliver_all();
    }
  }
  void isolate(NodeId id) {
    for (const NodeId other : nodes_) cut.insert({id, other}), cut.insert({other, id});
  }
  void heal() { cut.clear(); }
  // Makes `id` campaign now: its deadline is reached before the others'.
  void campaign(NodeId id) {
    now = std::max(now, at(id).next_deadline());
    tick(id);
    deliver_all();
  }

  // ---- what is seen ----

  bool up(NodeId id) { return members_[id].raft != nullptr; }
  Raft& at(NodeId id) { return *members_[id].raft; }
  Member& member(NodeId id) { return members_[id]; }
  const std::vector<NodeId>& nodes() const { return nodes_; }
  Random& random() { return random_; }
  // The leader of the highest term, or kNoNode.
  NodeId leader() {
    NodeId best = kNoNode;
    for (const NodeId id : nodes_)
      if (up(id) && at(id).role() == Role::leader && (best == kNoNode || at(id).term() > at(best).term())) best = id;
    return best;
  }
  std::size_t committed_count() const { return committed_.size(); }
  bool was_committed(Index index, const std::string& data) const {
    const auto it = committed_.find(index);
    return it != committed_.end() && it->second.data == data;
  }

  Instant now{};
  std::vector<Message> network;
  std::set<std::pair<NodeId, NodeId>> cut;  // directed links that drop everything
  int snapshots_sent = 0;
  int snapshots_installed = 0;
  int elections = 0;
  mutation::Switches switches;
  bool may_halt = false;

 private:
  void persist(Durable& disk, const Effects& effects) {
    if (effects.install) {
      disk.base = effects.install->base;
      disk.entries.clear();
      disk.applied = disk.base.index;
      disk.state = std::stoull(effects.install->data);
      ORDEAL_CHECK(disk.state == states_.at(disk.applied), "snapshot at {} differs", disk.applied);
      ++snapshots_installed;
    }
    if (effects.hard_state) disk.hard_state = *effects.hard_state;
    if (effects.truncate_from) {
      const Index keep = *effects.truncate_from - disk.base.index - 1;
      if (keep < static_cast<Index>(disk.entries.size())) disk.entries.resize(static_cast<std::size_t>(keep));
    }
    for (const Entry& entry : effects.append) {
      ORDEAL_CHECK(entry.index == disk.base.index + static_cast<Index>(disk.entries.size()) + 1, "hole before {}",
                   entry.index);
      disk.entries.push_back(entry);
    }
  }

  // Log matching, by induction: an (index, term) names one entry and one predecessor, everywhere and for ever.
  void note_entries(const Durable& disk) {
    Term prev = disk.base.term;
    for (const Entry& entry : disk.entries) {
      const auto [it, fresh] = entries_.try_emplace({entry.index, entry.term}, entry.data, prev);
      ORDEAL_CHECK(fresh || (it->second.first == entry.data && it->second.second == prev), "log mismatch at {}",
                   entry.index);
      prev = entry.term;
    }
  }

  void apply(Member& member, const Entry& entry) {
    ORDEAL_CHECK(entry.index == member.disk.applied + 1, "applied {} after {}", entry.index, member.disk.applied);
    const auto [it, fresh] = committed_.try_emplace(entry.index, entry);
    ORDEAL_CHECK(it->second == entry, "state machines differ at {}", entry.index);
    if (fresh) {
      ORDEAL_CHECK(held_by_majority(entry), "entry {} committed without a majority", entry.index);
    }
    const std::string line = std::to_string(entry.index) + entry.data;
    member.disk.state = fnv1a(as_bytes(line), member.disk.state + 1);
    member.disk.applied = entry.index;
    member.applied[entry.index] = entry.data;
    states_.try_emplace(entry.index, member.disk.state);
    ORDEAL_CHECK(states_.at(entry.index) == member.disk.state);
  }

  // Of some set of voters that is in force somewhere: the one that committed it.
  bool held_by_majority(const Entry& entry) const {
    return std::ranges::any_of(members_, [&](const auto& witness) {
      if (!witness.second.raft) return false;
      const VoterSet& set = witness.second.raft->voters();
      const auto holders = std::ranges::count_if(set, [&](const auto& voter) {
        const Durable& disk = members_.at(voter.first).disk;
        return disk.base.index >= entry.index || disk.term_at(entry.index) == entry.term;
      });
      return 2 * static_cast<std::size_t>(holders) > set.size();
    });
  }

  void check_node(NodeId id) {
    Member& member = members_[id];
    Raft& raft = *member.raft;
    ORDEAL_CHECK(raft.commit_index() >= member.commit_seen, "commit went back on {}", id);
    ORDEAL_CHECK(raft.commit_index() <= raft.last_index());
    ORDEAL_CHECK(raft.term() >= member.disk.hard_state.term, "term went back on {}", id);
    member.commit_seen = raft.commit_index();
    if (raft.role() != Role::leader) return;
    // One leader a term; the same process, too, never leads one term twice.
    const auto [it, fresh] = leaders_.try_emplace(raft.term(), id, member.incarnation);
    ORDEAL_CHECK(it->second == std::pair(id, member.incarnation), "two leaders in term {}", raft.term());
    if (!fresh) return;
    ++elections;
    for (const auto& [index, entry] : committed_)
      ORDEAL_CHECK(index < raft.first_index() || raft.term_at(index) == entry.term,
                   "leader {} of term {} lacks committed entry {}", id, raft.term(), index);
  }

  std::vector<NodeId> nodes_;
  VoterSet initial_;
  Random random_;
  std::size_t batch_entries_;
  std::map<NodeId, Member> members_;
  std::map<Index, Entry> committed_;
  std::map<Index, std::uint64_t> states_;
  std::map<std::pair<Index, Term>, std::pair<std::string, Term>> entries_;
  std::map<Term, std::pair<NodeId, int>> leaders_;
};

}  // namespace ordeal::meta::raft
