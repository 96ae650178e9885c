// Raft as a pure decider: events and the time go in, effects come out; no I/O, clock or thread of its own.
//
// Contract with the mover (node_raft.cpp): after one or more step() calls take the effects and perform them in this
// order, completely, before the next step():
//   1. persist   hard state, log truncation, entries, installed snapshot: in one atomic, synced write
//   2. send      messages (every one of them may promise what 1 made durable)
//   3. apply     committed entries, to the state machine
//   4. acknowledge proposals that were applied
// Because nothing is stepped between 1 and the end, a leader may count its own log as durable.
//
// Invariants (asserted here or in raft_fuzz_test.cpp): one leader a term, also across restarts (term and vote are
// persisted before any message of that term leaves); a leader never overwrites its log; equal (index, term) means equal
// logs up to there; the commit index never goes back and only entries of the leader's own term commit by counting
// (each leader starts with an entry of its own); nothing at or below the commit index is ever truncated.
//
// Sources: Ongaro's thesis (pre-vote 9.6, check-quorum 6.2, transfer 3.10), KIP-595, KIP-996; CORPUS.md group F.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "broker/base/random.h"
#include "broker/base/types.h"

namespace ordeal::meta::raft {

using Term = std::int64_t;
using Index = std::int64_t;  // of entries; the first is 1, 0 means none

enum class EntryKind : std::int32_t {
  leader_change = 0,  // empty: opens a leader's term
  records = 1,        // one serialized MetadataBatch
};

struct Entry {
  Index index = 0;
  Term term = 0;
  EntryKind kind = EntryKind::leader_change;
  std::string data;
  bool operator==(const Entry&) const = default;
};

struct HardState {
  Term term = 0;
  NodeId vote = kNoNode;
  bool operator==(const HardState&) const = default;
};

// The state up to and with `index` is in the state machine's store; the log begins after it.
struct LogBase {
  Index index = 0;
  Term term = 0;
  bool operator==(const LogBase&) const = default;
};

// ---- messages ----

struct VoteRequest {
  bool pre = false;  // asks without raising anyone's term; the message carries the term it would campaign in
  Index last_index = 0;
  Term last_term = 0;
  bool transfer = false;  // the leader asked for it: no one needs to wait for the leader's lease to end
};
struct VoteResponse {
  bool pre = false;
  bool granted = false;
};
struct AppendRequest {
  Index prev_index = 0;
  Term prev_term = 0;
  Index commit = 0;
  std::vector<Entry> entries;  // none: heartbeat and probe
};
struct AppendResponse {
  bool ok = false;
  Index match_index = 0;    // ok: the follower's log equals the leader's up to here, durably
  Index rejected_prev = 0;  // not ok: which request this answers
  Index hint_index = 0;     // not ok: the highest index at which the logs may still agree ...
  Term hint_term = 0;       // ... and the follower's term there
};
// Part of a snapshot; parts of one snapshot are sent in order and put together by the receiver.
struct SnapshotChunk {
  LogBase base;
  std::uint64_t offset = 0;
  std::string data;
  bool last = false;
};
struct SnapshotResponse {
  Index match_index = 0;
};
struct TimeoutNow {};  // leadership transfer: campaign at once

struct Message {
  NodeId from = kNoNode;
  NodeId to = kNoNode;
  Term term = 0;
  std::variant<VoteRequest, VoteResponse, AppendRequest, AppendResponse, SnapshotChunk, SnapshotResponse, TimeoutNow>
      body;
};

// ---- configuration and state ----

struct Config {
  NodeId id = kNoNode;
  std::vector<NodeId> voters;               // sorted, with `id`
  Duration election_timeout = 300ms;        // followers wait for a time drawn from [x, 2x); the lease is x
  Duration heartbeat_interval = 80ms;       // well below election_timeout
  Duration quorum_timeout = 600ms;          // a leader that a majority did not answer for this long resigns
  Duration snapshot_retry = 2000ms;         // an unanswered snapshot is sent again after this
  std::size_t batch_bytes_max = 256 << 10;  // of entry data in one AppendRequest (one entry always fits)
  std::size_t batch_entries_max = 256;
  std::size_t inflight_max = 32;            // unanswered AppendRequests to one follower
  std::size_t chunk_bytes_max = 512 << 10;  // of snapshot data in one message
};

// What was durable when the process started.
struct Restored {
  HardState hard_state;
  LogBase base;
  std::vector<Entry> entries;  // from base.index + 1, without gaps
  Index applied = 0;           // of the state machine; base.index <= applied <= last entry
};

enum class Role : std::uint8_t { follower, pre_candidate, candidate, leader };
const char* role_name(Role role);  // "follower", "prevote", "candidate", "leader": as traces have it

struct Snapshot {
  LogBase base;
  std::string data;  // the state machine's own format
};

struct Effects {
  // 1. persist: in this order, in one batch
  std::optional<Snapshot> install;  // replaces state machine and log; the hard state stays
  std::optional<HardState> hard_state;
  std::optional<Index> truncate_from;  // remove entries at and above
  std::vector<Entry> append;
  // 2. send
  std::vector<Message> send;
  // These followers need what the log no longer has: call snapshot_messages() with the state machine's state as it
  // is before 3 and send the result.
  std::vector<NodeId> send_snapshot_to;
  // 3. apply
  std::vector<Entry> apply;

  bool must_persist() const {
    return install.has_value() || hard_state.has_value() || truncate_from.has_value() || !append.empty();
  }
  bool empty() const { return !must_persist() && send.empty() && send_snapshot_to.empty() && apply.empty(); }
};

class Raft {
 public:
  Raft(Config config, Restored restored, Random random, Instant now);

  // ---- events ----
  void receive(Message message, Instant now);
  void tick(Instant now);  // at or after next_deadline(); earlier is harmless
  // Appends at a leader; nullopt elsewhere. The entry is applied later, unless leadership is lost first.
  std::optional<Index> propose(std::string data, Instant now);
  // The connection to a peer broke. Of a follower's leader: ends the lease and campaigns (by pre-vote) soon, so that
  // the death of a process is noticed before its timeout. Proves nothing: any later message renews the lease.
  void peer_lost(NodeId peer, Instant now);
  // A new connection to a peer: a leader speaks to it with the next tick, and repeats an unanswered snapshot.
  void peer_connected(NodeId peer);
  void transfer_leadership(Instant now);  // to the follower that is furthest, if it is fully caught up
  // The state machine's store is durable up to `index`: entries up to there may go. The mover removes them.
  void compact(Index index);

  Effects take_effects();

  // ---- what is known ----
  Instant next_deadline() const;
  Role role() const { return role_; }
  Term term() const { return hard_state_.term; }
  NodeId vote() const { return hard_state_.vote; }
  NodeId leader() const { return leader_; }
  NodeId id() const { return config_.id; }
  Index commit_index() const { return commit_; }
  Index applied_index() const { return applied_; }  // handed out for applying
  Index last_index() const { return base_.index + static_cast<Index>(log_.size()); }
  Term last_term() const { return log_.empty() ? base_.term : log_.back().term; }
  Index first_index() const { return base_.index + 1; }
  // The leader's own first entry of this term: once applied, everything committed before is applied too.
  Index term_start() const { return term_start_; }
  std::optional<Term> term_at(Index index) const;  // nullopt when compacted away or beyond the end
  const Entry& entry(Index index) const;           // first_index() <= index <= last_index()
  Index match_index(NodeId peer) const;            // leader only
  // The snapshot as messages for one follower; `base` as the state machine has it. Empty when no longer the leader.
  std::vector<Message> snapshot_messages(NodeId to, const Snapshot& snapshot) const;

 private:
  enum class Flow : std::uint8_t { probe, replicate, snapshot };
  struct Progress {
    Index match = 0;
    Index next = 1;
    Flow flow = Flow::probe;
    std::size_t inflight = 0;  // requests sent and not answered, in flow replicate; 1 while a probe is out
    Instant sent{};            // last request
    Instant heard{};           // last answer
    Instant snapshot_sent{};
  };

  // raft.cpp
  void become_follower(Term term, NodeId leader, Instant now);
  void set_term(Term term, NodeId vote);
  void reset_election_deadline(Instant now);
  bool lease_holds(Instant now) const;
  void send(NodeId to, Term term, decltype(Message::body) body);
  void advance_applied();
  std::size_t majority() const { return config_.voters.size() / 2 + 1; }

  // raft_election.cpp
  void campaign(bool pre, bool transfer, Instant now);
  void become_leader(Instant now);
  void on_vote_request(const Message& message, const VoteRequest& request, Instant now);
  void on_vote_response(const Message& message, const VoteResponse& response, Instant now);
  void on_timeout_now(const Message& message, Instant now);
  void check_quorum(Instant now);

  // raft_replication.cpp
  void on_append_request(const Message& message, AppendRequest request, Instant now);
  void on_append_response(const Message& message, const AppendResponse& response, Instant now);
  void on_snapshot_chunk(const Message& message, SnapshotChunk chunk, Instant now);
  void on_snapshot_response(const Message& message, const SnapshotResponse& response, Instant now);
  void follow(NodeId leader, Instant now);
  void append_from_leader(std::vector<Entry> entries);
  void append_own(EntryKind kind, std::string data);
  void send_append(NodeId to, Progress& progress, Instant now);
  void send_snapshot(NodeId to, Progress& progress, Instant now);
  void replicate_to(NodeId to, Progress& progress, Instant now);
  void replicate_to_all(Instant now);
  void heartbeat(Instant now);
  void advance_commit(Instant now);
  void mark_unpersisted(Index from);
  void install(Snapshot snapshot);
  AppendResponse reject(const AppendRequest& request) const;

  const Config config_;
  Random random_;

  HardState hard_state_;
  LogBase base_;
  std::deque<Entry> log_;
  Index commit_ = 0;
  Index applied_ = 0;

  Role role_ = Role::follower;
  NodeId leader_ = kNoNode;
  Instant heard_leader_{};  // start of the lease
  bool lease_ended_ = true;
  Instant election_deadline_{};
  std::set<NodeId> votes_;  // of the campaign under way
  bool transfer_campaign_ = false;

  Index term_start_ = 0;
  std::map<NodeId, Progress> progress_;  // of the other voters, while leading

  struct Incoming {
    NodeId from = kNoNode;
    Term term = 0;
    LogBase base;
    std::string data;
  };
  std::optional<Incoming> incoming_;  // a snapshot being received

  Effects effects_;
  Index unpersisted_from_ = 0;  // lowest index changed since the last take_effects(); 0: none
  bool truncated_ = false;      // and some entry that may be stored was replaced
  bool hard_state_changed_ = false;
};

}  // namespace ordeal::meta::raft
