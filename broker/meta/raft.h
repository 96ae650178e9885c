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
// (each leader starts with an entry of its own); nothing at or below the commit index is ever truncated: a node that
// would have to halts. The voters change by one at a time, each change committed before the next begins.
//
// Sources: Ongaro's thesis (pre-vote 9.6, check-quorum 6.2, transfer 3.10, single-server
// changes 4.1 with the author's correction), KIP-595, KIP-853, KIP-996; CORPUS.md group F.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "broker/base/random.h"
#include "broker/meta/raft_types.h"
#include "broker/mutation/mutation.h"

namespace ordeal::meta::raft {

// ---- configuration and state ----

struct Config {
  NodeId id = kNoNode;
  VoterSet voters;                          // until the log has a set of its own; `id` may be outside
  Endpoint endpoint;                        // where this node listens, for a leader that it asks for the log
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

struct Effects {
  // 1. persist: in this order, in one batch
  std::optional<Snapshot> install;  // replaces state machine and log; the hard state stays
  NodeId install_from = kNoNode;
  std::optional<HardState> hard_state;
  std::optional<Index> truncate_from;  // remove entries at and above
  Index truncate_to = 0;               // the last entry removed
  std::vector<Entry> append;
  // 2. send
  std::vector<Message> send;
  // These followers need what the log no longer has: call snapshot_messages() with the state machine's state as it
  // is before 3 and send the result.
  std::vector<NodeId> send_snapshot_to;
  // 3. apply
  std::vector<Entry> apply;
  // What is stored contradicts what the cluster committed. Nothing else is in these effects, nothing more will come:
  // the node must stop.
  std::optional<std::string> fatal;

  bool must_persist() const {
    return install.has_value() || hard_state.has_value() || truncate_from.has_value() || !append.empty();
  }
  bool empty() const { return !must_persist() && send.empty() && send_snapshot_to.empty() && apply.empty() && !fatal; }
};

class Raft {
 public:
  Raft(Config config, Restored restored, Random random, Instant now,
       const mutation::Switches& switches = mutation::no_switches());

  // ---- events ----
  void receive(Message message, Instant now);
  void tick(Instant now);  // at or after next_deadline(); earlier is harmless
  // Appends at a leader; nullopt elsewhere. The entry is applied later, unless leadership is lost first.
  std::optional<Index> propose(std::string data, Instant now);
  // One change of the voters, in force at once: the node must follow closely to be added. A leader that removes
  // itself resigns once the change is committed. `index` is the entry's, when nothing was refused.
  struct VoterAnswer {
    VoterRefusal refusal = VoterRefusal::none;
    Index index = 0;
  };
  VoterAnswer add_voter(NodeId node, Endpoint endpoint, Instant now);
  VoterAnswer remove_voter(NodeId node, Instant now);
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
  std::uint64_t hash_at(Index index) const;        // base index <= index <= last_index()
  Index match_index(NodeId peer) const;            // leader only
  // What a leader knows of those that follow it: the other voters, and observers.
  struct Peer {
    NodeId id = kNoNode;
    Index match = 0;
    Instant heard{};                   // last answer
    std::optional<Instant> caught_up;  // when it last had everything
  };
  std::vector<Peer> peers() const;
  const VoterSet& voters() const { return voters_.back().set; }
  Index voters_index() const { return voters_.back().index; }  // of the entry that brought them; 0: configured
  bool is_voter(NodeId node) const { return voters().contains(node); }
  const VoterSet& guides() const { return guides_; }  // voters as others named them, while this node asks for the log
  // A leader with a blank voter needs one more entry to see that all others still follow: any will do.
  bool wants_entry() const;
  // What a log that begins after `index` starts from.
  LogBase base_at(Index index) const;
  // What a snapshot says of itself, when the state machine is at `applied`.
  LogBase snapshot_base(Index applied) const;
  // The snapshot as messages for one follower. Empty when no longer the leader.
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
    std::optional<Instant> caught_up;
    Instant snapshot_sent{};
    bool blank = false;  // as it said last
    Index fence = 0;     // while blank: all other voters must hold this entry before it counts again
  };
  struct VotersAt {
    Index index = 0;
    VoterSet set;
  };

  // raft.cpp
  void become_follower(Term term, NodeId leader, Instant now);
  void set_term(Term term, NodeId vote);
  void reset_election_deadline(Instant now);
  bool lease_holds(Instant now) const;
  void send(NodeId to, Term term, decltype(Message::body) body);
  void advance_applied();
  void restore(std::vector<Entry> entries);
  void push(Entry entry);
  void cut(Index from);
  void set_blank(bool blank);
  void halt(std::string why);
  std::size_t majority() const { return voters().size() / 2 + 1; }

  // raft_election.cpp
  void campaign(bool pre, bool transfer, Instant now);
  void become_leader(Instant now);
  void take_lead(Instant now);
  void on_vote_request(const Message& message, const VoteRequest& request, Instant now);
  void grant(NodeId candidate);
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
  void install(Snapshot snapshot, NodeId from);
  AppendResponse reject(const AppendRequest& request) const;
  void answer_append(NodeId to, AppendResponse response);

  // raft_voters.cpp
  VoterRefusal check_change() const;
  Index change_voters(const VoterSet& set, Instant now);
  bool leaving() const;
  void step_down(Instant now);
  void ask_for_log(Instant now);
  void send_joins();
  void on_join(const Message& message, const Join& join, Instant now);
  void forget_silent_observers(Instant now);
  void note_blank(Progress& progress, bool blank);
  bool trusted(NodeId peer, const Progress& progress) const;
  Index counted_match(NodeId voter) const;

  const Config config_;
  const mutation::Switches& switches_;
  Random random_;

  HardState hard_state_;
  LogBase base_;
  std::deque<Entry> log_;
  std::deque<std::uint64_t> hashes_;  // of each entry of log_
  std::vector<VotersAt> voters_;      // in force at the base, then one of each entry that changed them
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
  std::map<NodeId, Progress> progress_;  // while leading: of the other voters, and of who asked for the log

  struct Incoming {
    NodeId from = kNoNode;
    Term term = 0;
    LogBase base;
    std::string data;
  };
  std::optional<Incoming> incoming_;  // a snapshot being received

  VoterSet guides_;

  Effects effects_;
  Index unpersisted_from_ = 0;  // lowest index changed since the last take_effects(); 0: none
  bool truncated_ = false;      // and some entry that may be stored was replaced
  bool hard_state_changed_ = false;
  bool vote_unstored_ = false;  // only by a mutation
  bool halted_ = false;
};

}  // namespace ordeal::meta::raft
