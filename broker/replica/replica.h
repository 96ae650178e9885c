// One replica on this node: its log, its decider, and whoever waits for either to move.
//
// Invariants
//   - The decider hears of every change of the log at once (after_log_change), on the run queue.
//   - At most one flush is in flight; appends that arrive meanwhile share the next one (group commit).
//   - While `exclusive` is held the log belongs to a blocking job: no flush, append, read or role change touches it.
//   - Roles, positions and waiters are only touched on the run queue, between awaits.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "broker/env/env.h"
#include "broker/env/sync.h"
#include "broker/log/partition_log.h"
#include "broker/replica/partition.h"
#include "broker/replica/replica_manager.h"

namespace ordeal::replica {

class Replica;
using ReplicaPtr = std::shared_ptr<Replica>;

// What all replicas of a node share. Owned by the manager.
struct ReplicaContext {
  env::Env& env;
  const mutation::Switches& switches;
  const Options& options;
  env::Gate gate;
  std::function<void(const Error&)> fatal;              // the disk failed: the node must end
  std::function<void(const ReplicaPtr&)> isr_proposed;  // its proposal() is to be sent
  bool stopping = false;
};

// A produce request that waits for acknowledgement of several partitions. Errors are by request index.
struct AckWait {
  explicit AckWait(env::Scheduler& scheduler) : settled(scheduler) {}
  env::Signal settled;
  std::size_t waiting = 0;
  std::map<std::size_t, ErrorCode> errors;  // of those that are done
};
using AckWaitPtr = std::shared_ptr<AckWait>;

// A fetch request that waits for any of its partitions to move.
struct FetchWait {
  explicit FetchWait(env::Scheduler& scheduler) : woken(scheduler) {}
  env::Signal woken;
  void fire() { woken.notify_all(); }
};
using FetchWaitPtr = std::shared_ptr<FetchWait>;

class Replica : public std::enable_shared_from_this<Replica> {
 public:
  // `log` stays good until the replica was retired.
  Replica(ReplicaContext& context, TopicPartition at, Uuid topic_id, log::PartitionLog& log, Offset checkpointed_hw);

  const TopicPartition& at() const { return at_; }
  const Uuid& topic_id() const { return topic_id_; }
  Partition& partition() { return partition_; }
  const Partition& partition() const { return partition_; }
  const LogEnds& ends() const { return ends_; }  // as of the last change: good even while the log is busy
  bool busy() const { return busy_; }
  bool retired() const { return retired_; }
  bool failed() const { return !busy_ && !retired_ && log_->failed(); }
  // Only while not busy and not retired.
  log::PartitionLog& log() { return *log_; }
  Offset last_stable() const;
  PartitionStatus status() const;

  // ---- Roles
  // Takes the role the image gives, and the topic's settings, as soon as the log is free.
  env::Task<> assign(Assignment to, log::LogConfig config);
  // Fails all waiters, waits for the log to come to rest and lets go of it. The caller may then close or remove it.
  env::Task<> retire();

  // ---- Leader
  log::PartitionLog::AppendResult append(ByteView batches, log::AppendOrigin origin);
  // Registers with `wait` unless the answer is known already; then it is put there at once.
  void wait_ack(const AckWaitPtr& wait, std::size_t index, std::int16_t acks, LeaderEpoch epoch, Offset end);
  void forget_ack(const AckWaitPtr& wait);
  // Followers are woken when the log grows, consumers when the high watermark moves, all when the role changes.
  void add_fetch_wait(std::uint64_t id, FetchWaitPtr wait, bool follower);
  void remove_fetch_wait(std::uint64_t id);
  FetchVerdict on_follower_fetch(const FollowerFetch& fetch);
  void on_isr_tick();
  void on_alter_result(const IsrProposal& sent, const AlterResult& result);
  bool may_propose_now() const;

  // ---- Follower
  LeaderEpoch last_record_epoch() const;
  // A leadership of this node in which nothing was written leaves its epoch at the log's end. A follower must drop it
  // before it copies: the leader may hold records of older epochs there (KAFKA-10706).
  bool has_unwritten_epoch() const;
  env::Task<Status> drop_unwritten_epoch();
  // Appends what a fetch in `epoch` at `offset` brought; the error is the log's.
  Status append_fetched(ByteView records, LeaderEpoch epoch, Offset offset);
  void on_leader_state(Offset leader_hw);
  // Cuts by the leader's answer if the reply may still be acted on once the log is free (A12).
  env::Task<Status> truncate_diverging(EpochEnd leader, LeaderEpoch epoch, Offset offset);
  env::Task<Status> start_over_at(Offset log_start, LeaderEpoch epoch, Offset offset);
  env::Task<Status> raise_log_start(Offset log_start);

  // ---- Durability
  void kick_flush();
  env::Task<> wait_flushed();  // until everything appended so far is flushed (or the node is ending)
  bool unflushed() const;
  Status enforce_retention();  // on the run queue: deletes files, syncs nothing big

 private:
  struct AckEntry {
    AckWaitPtr wait;
    std::size_t index;
    LeaderEpoch epoch;
    bool all;
  };
  using AckMap = std::multimap<Offset, AckEntry>;
  struct FetchEntry {
    FetchWaitPtr wait;
    bool follower;
  };

  static env::Task<> flush_loop(ReplicaPtr self);
  env::Task<> acquire();
  void release();
  void after_log_change();
  void on_high_watermark();
  void settle(AckMap& acks, Offset reached);
  void settle_everything();
  static void finish(const AckEntry& entry, ErrorCode error);
  void wake_fetches(bool followers, bool consumers);
  void trace_role();
  void trace_isr();
  void trace_high_watermark(bool force);
  void trace_truncate(Offset from, Offset to);
  env::Task<Status> cut(Offset to);
  void fail(const Error& error);

  ReplicaContext& context_;
  const TopicPartition at_;
  const Uuid topic_id_;
  log::PartitionLog* log_;
  Partition partition_;
  LogEnds ends_;
  mutable std::int64_t seen_bytes_ = 0;  // the log's size when it was last looked at: a busy log may not be
  AckMap acks_all_;
  AckMap acks_local_;
  std::map<std::uint64_t, FetchEntry> fetch_waits_;
  env::Signal rest_;  // flushing_ or busy_ ended
  bool flushing_ = false;
  bool busy_ = false;
  bool retired_ = false;
  Instant propose_after_{};
  Instant hw_traced_at_{};
  Offset hw_traced_ = kNoOffset;
};

}  // namespace ordeal::replica
