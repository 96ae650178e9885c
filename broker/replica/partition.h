// The partition decider: who may lead, follow, acknowledge, join the ISR, and how far the high watermark goes.
//
// Pure: no I/O, clock or log. The replica manager tells it what happened (roles from the cluster image, local appends
// and flushes, fetches of followers, answers of the controller) and performs what it returns. It keeps these rules:
//   - A leader epoch is led at most once by one incarnation; an older epoch or partition epoch changes nothing.
//   - What a follower reported counts only if it was fetched in the current leader epoch and did not diverge
//     (KIP-320; CORPUS A5, A9, A10); all positions are forgotten with each new leader epoch (A18).
//   - The high watermark is the least position over the committed and the proposed ISR (KIP-497, A13), it never goes
//     back on a leader, and it stands still while the ISR is below the minimum (KIP-966, A15).
//   - A follower joins the ISR only at or past max(high watermark, start of this leader epoch) (A8).
//   - A follower's log end is taken for progress only once the leader has placed the epoch of its last record (A2, A3);
//   a
//     new epoch has it placed again, whoever leads (A6). What parts from the leader is cut, never more (A4, A17).
//   - "Position" is the flushed end of a replica in fsync mode and its log end in page-cache mode.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "broker/base/types.h"
#include "broker/mutation/mutation.h"
#include "broker/wire/error_codes.h"

namespace ordeal::replica {

using wire::ErrorCode;

enum class Role : std::uint8_t { offline, leader, follower };

// What the cluster image says about one partition. `replicas` and `isr` in any order.
struct Assignment {
  NodeId leader = kNoNode;
  LeaderEpoch leader_epoch = kNoEpoch;
  PartitionEpoch partition_epoch = -1;
  std::vector<NodeId> replicas;
  std::vector<NodeId> isr;
  std::int32_t min_isr = 1;
};

// The ends of the local log at one moment: start <= flushed <= end.
struct LogEnds {
  Offset start = 0;
  Offset flushed = 0;
  Offset end = 0;
};

// A leader epoch and where it ends (exclusive); epoch none when the log knows no epoch that old.
struct EpochEnd {
  LeaderEpoch epoch = kNoEpoch;
  Offset end = kNoOffset;
  auto operator<=>(const EpochEnd&) const = default;
};

struct RoleChange {
  bool new_epoch = false;    // a new leader epoch began (or the first role was taken)
  bool isr_changed = false;  // the committed ISR or its partition epoch moved
  bool hw_advanced = false;
  std::optional<Offset> epoch_start;  // leader: record (leader epoch, this) in the epoch history before anything else
  std::optional<Offset> truncate_to;  // follower: cut the log here before the first fetch
};

struct ReplicaProgress {
  Offset position = kNoOffset;    // of the last fetch in this leader epoch; none: not heard of in this epoch
  BrokerEpoch broker_epoch = -1;  // of the incarnation that fetched
  Instant caught_up{};            // the last time it is known to have had all that the leader had
  Instant last_fetch{};
  Offset leader_end_at_last_fetch = kNoOffset;
};

struct FollowerFetch {
  NodeId replica = kNoNode;
  Offset fetch_offset = 0;
  LeaderEpoch current_leader_epoch = kNoEpoch;  // none is taken for the current one only from consumers
  LeaderEpoch last_fetched_epoch = kNoEpoch;
  BrokerEpoch broker_epoch = -1;
  bool in_session = false;  // an incremental fetch: what the session holds was true at least once
  bool may_join = true;     // the image has it unfenced, not shutting down, and in this incarnation (F11, A14)
};

struct FetchVerdict {
  ErrorCode error = ErrorCode::none;
  std::optional<EpochEnd> diverging;  // then nothing is served and nothing was counted
  bool hw_advanced = false;
  bool isr_proposed = false;  // proposal() is to be sent
  bool serve() const { return error == ErrorCode::none && !diverging; }
};

// What a follower does about an answer that brought no records because the logs do not fit together.
enum class Repair : std::uint8_t {
  cut,         // at the divergence point
  start_over,  // empty, at the leader's log start
  look_up,     // ask where the own last epoch ends
};
struct Misfit {
  Offset asked = 0;                   // the offset that was asked for
  std::optional<EpochEnd> diverging;  // none: out of range
  Offset leader_log_start = kNoOffset;
};

struct ProposedReplica {
  NodeId id = kNoNode;
  BrokerEpoch broker_epoch = -1;  // -1: not known; the controller then does not check it
  auto operator<=>(const ProposedReplica&) const = default;
};

// One AlterPartition entry. Compare-and-set on (leader epoch, partition epoch).
struct IsrProposal {
  LeaderEpoch leader_epoch = kNoEpoch;
  PartitionEpoch partition_epoch = -1;
  std::vector<ProposedReplica> isr;  // by id
};

enum class AlterOutcome : std::uint8_t {
  committed,  // with the state that now holds
  rejected,   // surely not applied and never will be: back to the committed ISR
  overtaken,  // another state holds (stale partition or leader epoch, new leader): the image will bring it
  not_sent,   // surely not applied, worth sending again
  unknown,    // may or may not have been applied: send again, and count on both
};

struct AlterResult {
  AlterOutcome outcome = AlterOutcome::unknown;
  LeaderEpoch leader_epoch = kNoEpoch;  // committed only
  PartitionEpoch partition_epoch = -1;  // committed only
  std::vector<NodeId> isr;              // committed only
  std::int32_t min_isr = 0;             // committed only: the minimum the controller decided by; 0: not told
};

enum class AckState : std::uint8_t { waiting, done };
struct Ack {
  AckState state = AckState::waiting;
  ErrorCode error = ErrorCode::none;
};

struct LatestOffset {
  ErrorCode error = ErrorCode::none;
  Offset offset = kNoOffset;
};

// What to do with a "diverging" answer: cut to `offset`.
// `local` is the local log's answer for the leader's epoch. If the local log does not know that very epoch, the cut is
// where its own largest older epoch ends, and the next fetch finds the next divergence (KIP-279, A3).
Offset divergence_point(const EpochEnd& leader, const EpochEnd& local, const LogEnds& ends);

class Partition {
 public:
  enum class Durability : std::uint8_t { page_cache, fsync };

  Partition(NodeId self, Durability durability, Duration lag_max, const mutation::Switches& switches);

  // After recovery, before the first role. Epochs up to `log_epoch` (the newest in the epoch history) were led by
  // earlier incarnations if by this node, and are not led again.
  void restore(Offset high_watermark, LeaderEpoch log_epoch, const LogEnds& ends);

  // Epochs up to this one were given to an earlier incarnation of this node.
  void refuse_to_lead(LeaderEpoch through) { unleadable_ = std::max(unleadable_, through); }

  // Roles. Idempotent; an older leader epoch, or no newer partition epoch in the same one, changes nothing.
  RoleChange assign(const Assignment& to, const LogEnds& ends, Instant now);
  // A config change, as told together with `leader_epoch` and `partition_epoch`: news that are older than the committed
  // ISR do not count. The controller holds whoever left the ISR below its minimum for complete (KIP-966), so the ISR
  // must never be taken with an older, lower minimum. True: the high watermark moved.
  bool set_min_isr(std::int32_t min_isr, LeaderEpoch leader_epoch, PartitionEpoch partition_epoch);
  void go_offline() { role_ = Role::offline; }

  // Progress. Each returns whether the high watermark moved. on_local_log follows every append, flush and truncation.
  bool on_local_log(const LogEnds& ends);
  // `asked` is the local log's answer for fetch.last_fetched_epoch (ignored when that is none).
  FetchVerdict on_follower_fetch(const FollowerFetch& fetch, const EpochEnd& asked, const LogEnds& ends, Instant now);

  // ISR. True: proposal() is to be sent.
  bool maybe_shrink(Instant now);
  std::optional<IsrProposal> proposal(BrokerEpoch own_epoch) const;  // the one in flight, or to be sent (again)
  bool proposal_pending() const { return pending_ && !pending_->overtaken; }
  // Answers to a proposal that is no longer the pending one are ignored. isr_changed and hw_advanced are meaningful.
  RoleChange on_alter_result(const IsrProposal& sent, const AlterResult& result);

  // Follower. The reply to a fetch sent in `epoch` at `fetch_offset` may be acted on: still followed in that epoch, and
  // the log still ends there (A12).
  bool accepts_reply(LeaderEpoch epoch, Offset fetch_offset, Offset log_end) const;
  bool may_cut(LeaderEpoch epoch, Offset fetch_offset, Offset log_end) const;  // by such a reply
  // What to have the leader check: the epoch of the last record.
  LeaderEpoch epoch_to_check(LeaderEpoch last_record) const { return takes_end_on_trust_ ? kNoEpoch : last_record; }
  Repair repair_for(const Misfit& misfit) const;
  // Where to cut when the leader knows nothing as old as the own last epoch. None: not at all; losing nothing is worth
  // more than following soon.
  std::optional<Offset> cut_without_answer() const;
  bool on_leader_high_watermark(Offset leader_hw, const LogEnds& ends);
  void on_truncated(const LogEnds& ends);  // the high watermark never lies past the end

  // Requests. current_leader_epoch none is not checked.
  ErrorCode check_epoch(LeaderEpoch current_leader_epoch, bool in_session = false) const;  // FENCED_, UNKNOWN_
  ErrorCode check_leader(LeaderEpoch current_leader_epoch,
                         bool in_session = false) const;  // also NOT_LEADER_OR_FOLLOWER
  ErrorCode check_append(std::int16_t acks) const;
  // acks=all: `end` is the last offset + 1 of what was appended in `epoch`.
  Ack ack_all(LeaderEpoch epoch, Offset end) const;
  Ack ack_local(LeaderEpoch epoch, Offset end) const;
  // The latest offset a consumer may be told; `last_stable` is what read_committed would see.
  LatestOffset latest(Offset visible) const;

  Role role() const { return role_; }
  bool leading() const { return role_ == Role::leader; }
  bool following() const { return role_ == Role::follower; }
  NodeId leader() const { return leader_; }
  LeaderEpoch leader_epoch() const { return leader_epoch_; }
  PartitionEpoch partition_epoch() const { return partition_epoch_; }
  Offset high_watermark() const { return high_watermark_; }
  Offset epoch_start() const { return epoch_start_; }  // LESO
  Offset own_position() const { return own_position_; }
  std::int32_t min_isr() const { return min_isr_; }
  const std::vector<NodeId>& isr() const { return isr_; }  // committed, sorted
  std::vector<NodeId> maximal_isr() const;                 // committed and proposed, sorted
  const std::map<NodeId, ReplicaProgress>& progress() const { return progress_; }

 private:
  struct Pending {
    std::vector<NodeId> isr;                      // sorted
    std::map<NodeId, BrokerEpoch> broker_epochs;  // as they were when it was proposed
    bool unsettled = false;                       // an attempt of it may still be applied
    bool overtaken = false;                       // wait for the image
  };

  RoleChange lead(const Assignment& to, const LogEnds& ends, Instant now);
  RoleChange follow(const Assignment& to, const LogEnds& ends);
  RoleChange commit_isr(PartitionEpoch epoch, const std::vector<NodeId>& isr);
  std::optional<EpochEnd> divergence_of(const FollowerFetch& fetch, EpochEnd asked) const;
  void count(const FollowerFetch& fetch, const LogEnds& ends, Instant now);
  bool advance_high_watermark();
  Offset least_position(const std::vector<NodeId>& members) const;
  bool assigned(NodeId replica) const;
  bool in_maximal_isr(NodeId replica) const;
  bool maybe_expand(const FollowerFetch& fetch);
  bool below_min_isr() const;
  bool led_throughout(LeaderEpoch since) const {
    return role_ == Role::leader && since >= leading_since_ && since <= leader_epoch_;
  }
  void propose(std::vector<NodeId> isr);
  Offset position_of(const LogEnds& ends) const { return durability_ == Durability::fsync ? ends.flushed : ends.end; }

  NodeId self_;
  Durability durability_;
  Duration lag_max_;
  const mutation::Switches& switches_;

  Role role_ = Role::offline;
  NodeId leader_ = kNoNode;
  LeaderEpoch leader_epoch_ = kNoEpoch;
  LeaderEpoch unleadable_ = kNoEpoch;     // epochs up to here belong to earlier incarnations
  LeaderEpoch leading_since_ = kNoEpoch;  // the first epoch of the present unbroken leadership
  PartitionEpoch partition_epoch_ = -1;
  std::vector<NodeId> replicas_;
  std::vector<NodeId> isr_;
  std::vector<NodeId> unsettled_;  // proposed in this partition epoch and perhaps applied yet
  std::int32_t min_isr_ = 1;
  std::optional<Pending> pending_;
  std::map<NodeId, ReplicaProgress> progress_;
  Offset own_position_ = 0;
  Offset log_end_ = 0;
  Offset epoch_start_ = 0;
  Offset high_watermark_ = 0;
  bool takes_end_on_trust_ = false;  // a follower that fetches unchecked in this epoch: never by the fixed rule
};

}  // namespace ordeal::replica
