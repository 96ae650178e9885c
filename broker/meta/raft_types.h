// What Raft stores and says: entries, voters, hard state, messages. raft.h has the rules.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "broker/base/types.h"

namespace ordeal::meta::raft {

using Term = std::int64_t;
using Index = std::int64_t;  // of entries; the first is 1, 0 means none

// Where the voters listen. The set changes by one node at a time (raft_voters.cpp).
using VoterSet = std::map<NodeId, Endpoint>;
inline constexpr std::size_t kVotersMax = 5;
std::string encode_voters(const VoterSet& voters);             // "1@10.0.0.1:9094,2@10.0.0.2:9094"
std::optional<VoterSet> decode_voters(std::string_view text);  // nullopt when it is not of that form, or empty

enum class EntryKind : std::int32_t {
  leader_change = 0,  // empty: opens a leader's term
  records = 1,        // one serialized MetadataBatch
  voters = 2,         // encode_voters(): in force from the moment a log has it, committed or not
};

struct Entry {
  Index index = 0;
  Term term = 0;
  EntryKind kind = EntryKind::leader_change;
  std::string data;
  bool operator==(const Entry&) const = default;
};

// Of a log up to and with `entry`, given that of the log before it: equal logs have equal hashes.
std::uint64_t fold_hash(std::uint64_t before, const Entry& entry);

struct HardState {
  Term term = 0;
  NodeId vote = kNoNode;
  // Nothing was stored when this node first started, so what it promised before, if anything, is not known: its
  // disk may have been wiped. Until a leader ends this, it votes for no one who has a log (raft_voters.cpp).
  bool blank = false;
  bool operator==(const HardState&) const = default;
};

// The state up to and with `index` is in the state machine's store; the log begins after it. Carries what Raft itself
// still needs of the entries before.
struct LogBase {
  Index index = 0;
  Term term = 0;
  std::uint64_t hash = 0;  // fold_hash() over all entries up to here
  VoterSet voters;         // in force at `index`; empty: those of the configuration
  bool operator==(const LogBase&) const = default;
};

struct Snapshot {
  LogBase base;
  std::string data;  // the state machine's own format
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
  bool trusted = false;        // ends the receiver's blank state
};
struct AppendResponse {
  bool ok = false;
  Index match_index = 0;    // ok: the follower's log equals the leader's up to here, durably
  Index rejected_prev = 0;  // not ok: which request this answers
  Index hint_index = 0;     // not ok: the highest index at which the logs may still agree ...
  Term hint_term = 0;       // ... and the follower's term there
  bool blank = false;       // as HardState has it
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
  bool blank = false;
};
struct TimeoutNow {};  // leadership transfer: campaign at once
// A node outside the voters asks for the log, and says where it listens.
struct Join {
  Endpoint endpoint;
  Index last_index = 0;
};
struct JoinResponse {  // of a node that does not lead: whom to ask
  VoterSet voters;
};

struct Message {
  NodeId from = kNoNode;
  NodeId to = kNoNode;
  Term term = 0;
  std::variant<VoteRequest, VoteResponse, AppendRequest, AppendResponse, SnapshotChunk, SnapshotResponse, TimeoutNow,
               Join, JoinResponse>
      body;
};

enum class Role : std::uint8_t { follower, pre_candidate, candidate, leader };
const char* role_name(Role role);  // "follower", "prevote", "candidate", "leader": as traces have it

// Why a change of the voters was not begun.
enum class VoterRefusal : std::uint8_t {
  none,
  not_leader,
  not_ready,  // nothing of the leader's own term is committed yet
  pending,    // an earlier change is not committed yet
  present,    // to be added, but it is a voter
  absent,     // to be removed, but it is no voter
  too_many,
  last_one,
  behind,  // to be added, but it does not follow, or not closely enough
};
const char* refusal_text(VoterRefusal refusal);

}  // namespace ordeal::meta::raft
