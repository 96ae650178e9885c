#include "broker/replica/replica.h"

#include <algorithm>
#include <utility>

#include "broker/base/check.h"
#include "broker/base/mark.h"

namespace ordeal::replica {
namespace {

// A proposal the controller refused is not made again at once: the reason (a fenced joiner) takes a while to go away.
constexpr Duration kProposalPause = 200ms;

std::string joined(const std::vector<NodeId>& ids) {
  std::string text;
  for (const NodeId id : ids) text += (text.empty() ? "" : ",") + std::to_string(id);
  return text;
}

EpochEnd to_decider(const log::EpochEnd& end) { return {end.epoch, end.end}; }

LogEnds ends_of(const log::PartitionLog& log) { return {log.log_start(), log.flushed_end(), log.log_end()}; }

}  // namespace

Replica::Replica(ReplicaContext& context, TopicPartition at, Uuid topic_id, log::PartitionLog& log,
                 Offset checkpointed_hw)
    : context_(context),
      at_(std::move(at)),
      topic_id_(topic_id),
      log_(&log),
      partition_(context.options.node_id,
                 context.options.fsync ? Partition::Durability::fsync : Partition::Durability::page_cache,
                 context.options.replica_lag_time_max, context.switches),
      ends_(ends_of(log)),
      rest_(context.env.scheduler) {
  partition_.restore(checkpointed_hw, log.latest_epoch(), ends_);
}

Offset Replica::last_stable() const {
  const Offset hw = partition_.high_watermark();
  if (busy_ || retired_) return hw;
  const auto open = log_->producers().first_open_txn();
  return open ? std::min(*open, hw) : hw;
}

PartitionStatus Replica::status() const {
  PartitionStatus out;
  out.at = at_;
  out.topic_id = topic_id_;
  out.leading = partition_.leading();
  out.leader = partition_.leader();
  out.leader_epoch = partition_.leader_epoch();
  out.partition_epoch = partition_.partition_epoch();
  if (out.leading) {
    out.isr = partition_.isr();
    out.maximal_isr = partition_.maximal_isr();
  }
  out.log_start = ends_.start;
  out.high_watermark = partition_.high_watermark();
  out.last_stable = last_stable();
  out.flushed_end = ends_.flushed;
  out.log_end = ends_.end;
  if (!busy_ && !retired_) seen_bytes_ = log_->size_bytes();
  out.log_bytes = seen_bytes_;
  return out;
}

void Replica::fail(const Error& error) { context_.fatal(error.at(at_.to_string())); }

// ---- Roles

env::Task<> Replica::acquire() {
  while (busy_ || flushing_) {
    const bool woken = co_await rest_.wait();
    (void)woken;
  }
  busy_ = true;
}

void Replica::release() {
  busy_ = false;
  rest_.notify_all();
  if (!retired_ && context_.options.fsync) kick_flush();
}

env::Task<> Replica::assign(Assignment to, log::LogConfig config) {
  while (busy_) {
    const bool woken = co_await rest_.wait();
    (void)woken;
  }
  if (retired_) co_return;
  log_->set_config(std::move(config));
  const RoleChange change = partition_.assign(to, ends_, context_.env.scheduler.now());
  const bool thawed = partition_.set_min_isr(to.min_isr, to.leader_epoch, to.partition_epoch);
  if (change.epoch_start) {
    log_->assign_epoch(partition_.leader_epoch());
    // The new epoch must be on disk before anything acknowledged in it, or a crash could lead it twice.
    if (context_.options.fsync) kick_flush();
  }
  if (change.new_epoch) {
    trace_role();
    settle_everything();
    wake_fetches(true, true);
  } else if (change.isr_changed) {
    trace_isr();
  }
  if (change.hw_advanced || thawed) on_high_watermark();
  if (change.truncate_to) {
    const LeaderEpoch epoch = partition_.leader_epoch();
    co_await acquire();
    if (!retired_ && partition_.following() && partition_.leader_epoch() == epoch) {
      const Status done = co_await cut(*change.truncate_to);
      if (!done) fail(done.error());
    }
    release();
  }
}

env::Task<> Replica::retire() {
  retired_ = true;
  partition_.go_offline();
  settle_everything();
  wake_fetches(true, true);
  while (busy_ || flushing_) {
    const bool woken = co_await rest_.wait();
    (void)woken;
  }
}

// ---- Leader

log::PartitionLog::AppendResult Replica::append(ByteView batches, log::AppendOrigin origin) {
  auto result = log_->append_as_leader(batches, partition_.leader_epoch(), context_.env.scheduler.wall_ms(), origin);
  if (log_->failed()) {
    const std::string why = result ? "the log failed" : result.error().text;
    fail({Errc::io, why});
  } else if (result && !result->duplicate) {
    after_log_change();
    wake_fetches(true, false);
    if (context_.options.fsync) kick_flush();
  }
  return result;
}

void Replica::wait_ack(const AckWaitPtr& wait, std::size_t index, std::int16_t acks, LeaderEpoch epoch, Offset end) {
  const bool all = acks == -1;
  const Ack now = all ? partition_.ack_all(epoch, end) : partition_.ack_local(epoch, end);
  if (now.state == AckState::done) {
    wait->errors[index] = now.error;
    return;
  }
  ++wait->waiting;
  (all ? acks_all_ : acks_local_).emplace(end, AckEntry{wait, index, epoch, all});
}

void Replica::forget_ack(const AckWaitPtr& wait) {
  const auto mine = [&](const auto& entry) { return entry.second.wait == wait; };
  std::erase_if(acks_all_, mine);
  std::erase_if(acks_local_, mine);
}

void Replica::finish(const AckEntry& entry, ErrorCode error) {
  entry.wait->errors[entry.index] = error;
  if (--entry.wait->waiting == 0) entry.wait->settled.notify_all();
}

void Replica::settle(AckMap& acks, Offset reached) {
  while (!acks.empty() && acks.begin()->first <= reached) {
    const auto node = acks.extract(acks.begin());
    const AckEntry& entry = node.mapped();
    const Ack ack =
        entry.all ? partition_.ack_all(entry.epoch, node.key()) : partition_.ack_local(entry.epoch, node.key());
    ORDEAL_CHECK(ack.state == AckState::done, "{}: offset {} is below {} and not acknowledged", at_.to_string(),
                 node.key(), reached);
    finish(entry, ack.error);
  }
}

// After a role change: whatever can no longer be acknowledged is answered now.
void Replica::settle_everything() {
  for (AckMap* acks : {&acks_all_, &acks_local_}) {
    for (auto it = acks->begin(); it != acks->end();) {
      const AckEntry& entry = it->second;
      const Ack ack =
          entry.all ? partition_.ack_all(entry.epoch, it->first) : partition_.ack_local(entry.epoch, it->first);
      if (ack.state == AckState::done) {
        finish(entry, ack.error);
        it = acks->erase(it);
      } else {
        ++it;
      }
    }
  }
}

void Replica::add_fetch_wait(std::uint64_t id, FetchWaitPtr wait, bool follower) {
  fetch_waits_[id] = {std::move(wait), follower};
}
void Replica::remove_fetch_wait(std::uint64_t id) { fetch_waits_.erase(id); }

void Replica::wake_fetches(bool followers, bool consumers) {
  for (auto& [id, entry] : fetch_waits_) {
    if (entry.follower ? followers : consumers) entry.wait->fire();
  }
}

void Replica::after_log_change() {
  ends_ = ends_of(*log_);
  const bool moved = partition_.on_local_log(ends_);
  if (partition_.leading()) settle(acks_local_, partition_.own_position());
  if (moved) on_high_watermark();
}

void Replica::on_high_watermark() {
  if (partition_.leading()) settle(acks_all_, partition_.high_watermark());
  wake_fetches(false, true);
  trace_high_watermark(false);
}

FetchVerdict Replica::on_follower_fetch(const FollowerFetch& fetch) {
  const EpochEnd asked = to_decider(log_->end_offset_for_epoch(fetch.last_fetched_epoch));
  const FetchVerdict verdict = partition_.on_follower_fetch(fetch, asked, ends_, context_.env.scheduler.now());
  if (verdict.hw_advanced) on_high_watermark();
  if (verdict.isr_proposed) context_.isr_proposed(shared_from_this());
  return verdict;
}

bool Replica::may_propose_now() const { return context_.env.scheduler.now() >= propose_after_; }

void Replica::on_isr_tick() {
  if (!partition_.leading()) return;
  if (partition_.maybe_shrink(context_.env.scheduler.now())) context_.isr_proposed(shared_from_this());
  trace_high_watermark(true);
}

void Replica::on_alter_result(const IsrProposal& sent, const AlterResult& result) {
  if (result.outcome == AlterOutcome::rejected) propose_after_ = context_.env.scheduler.now() + kProposalPause;
  const RoleChange change = partition_.on_alter_result(sent, result);
  if (change.isr_changed) trace_isr();
  if (change.hw_advanced) on_high_watermark();
}

// ---- Follower

LeaderEpoch Replica::last_record_epoch() const {
  // Not the newest epoch of the history: a leadership in which nothing was written says nothing about the records.
  return ends_.end > ends_.start ? log_->epochs().epoch_of(ends_.end - 1) : kNoEpoch;
}

Status Replica::append_fetched(ByteView records, LeaderEpoch epoch, Offset offset) {
  if (busy_ || retired_ || !partition_.accepts_reply(epoch, offset, log_->log_end())) {
    return ordeal::fail(Errc::fenced, at_.to_string() + ": the reply is of another epoch or offset");
  }
  const auto done = log_->append_as_follower(records, context_.env.scheduler.wall_ms());
  after_log_change();
  if (done) return {};
  if (log_->failed()) fail(done.error());
  return std::unexpected(done.error());
}

void Replica::on_leader_state(Offset leader_hw) {
  if (!retired_ && partition_.on_leader_high_watermark(leader_hw, ends_)) wake_fetches(false, true);
}

env::Task<Status> Replica::cut(Offset to) {
  ORDEAL_CHECK(busy_);
  const Offset from = ends_.end;
  const WallMs now = context_.env.scheduler.wall_ms();
  std::function<Status()> work = [log = log_, to, now] {
    return log->truncate_to(std::max(to, log->log_start()), now);
  };
  const Status done = co_await env::blocking(context_.env.scheduler, std::move(work));
  ends_ = ends_of(*log_);
  partition_.on_truncated(ends_);
  if (ends_.end != from) trace_truncate(from, ends_.end);
  co_return done;
}

bool Replica::has_unwritten_epoch() const {
  const auto& entries = log_->epochs().entries();
  return !entries.empty() && entries.back().start >= ends_.end;
}

env::Task<Status> Replica::drop_unwritten_epoch() {
  co_await acquire();
  Status done;
  if (!retired_ && partition_.following() && has_unwritten_epoch()) {
    done = co_await cut(ends_.end);
    if (!done) fail(done.error());
  }
  release();
  co_return done;
}

env::Task<Status> Replica::truncate_diverging(EpochEnd leader, LeaderEpoch epoch, Offset offset) {
  co_await acquire();
  Status done;
  if (!retired_ && partition_.may_cut(epoch, offset, log_->log_end())) {
    ORDEAL_MARK("replica.cut_by_epoch");
    const Offset to = divergence_point(leader, to_decider(log_->end_offset_for_epoch(leader.epoch)), ends_);
    done = co_await cut(to);
    if (!done) fail(done.error());
  }
  release();
  co_return done;
}

env::Task<Status> Replica::start_over_at(Offset log_start, LeaderEpoch epoch, Offset offset) {
  co_await acquire();
  Status done;
  if (!retired_ && partition_.accepts_reply(epoch, offset, log_->log_end())) {
    ORDEAL_MARK("replica.started_over");
    const Offset from = ends_.end;
    const WallMs now = context_.env.scheduler.wall_ms();
    std::function<Status()> work = [log = log_, log_start, now] {
      return log->truncate_fully_and_start_at(log_start, now);
    };
    done = co_await env::blocking(context_.env.scheduler, std::move(work));
    ends_ = ends_of(*log_);
    partition_.on_truncated(ends_);
    trace_truncate(from, ends_.end);
    if (!done) fail(done.error());
  }
  release();
  co_return done;
}

env::Task<Status> Replica::raise_log_start(Offset log_start) {
  co_await acquire();
  Status done;
  if (!retired_) {
    const Offset hw = partition_.high_watermark();
    std::function<Status()> work = [log = log_, log_start, hw] { return log->advance_log_start(log_start, hw); };
    done = co_await env::blocking(context_.env.scheduler, std::move(work));
    ends_ = ends_of(*log_);
    if (!done) fail(done.error());
  }
  release();
  co_return done;
}

// ---- Durability

bool Replica::unflushed() const { return !retired_ && !busy_ && log_->needs_flush(); }

void Replica::kick_flush() {
  if (flushing_ || busy_ || retired_ || log_->failed() || !log_->needs_flush()) return;
  if (context_.gate.closing()) return;  // the node is stopping and closes the log itself
  flushing_ = true;
  context_.gate.spawn(flush_loop(shared_from_this()), "replica.flush");
}

env::Task<> Replica::flush_loop(ReplicaPtr self) {
  env::Scheduler& scheduler = self->context_.env.scheduler;
  while (!self->log_->failed() && self->log_->needs_flush()) {
    auto ticket = std::make_shared<log::FlushTicket>(self->log_->prepare_flush());
    std::function<Status()> work = [ticket] { return ticket->run(); };
    const Status ran = co_await env::blocking(scheduler, std::move(work));
    const Status done = self->log_->complete_flush(*ticket);
    if (!ran || !done) {
      self->fail(ran ? done.error() : ran.error());
      break;
    }
    self->after_log_change();
    self->rest_.notify_all();
  }
  self->flushing_ = false;
  self->rest_.notify_all();
}

env::Task<> Replica::wait_flushed() {
  const Offset target = ends_.end;
  kick_flush();
  while (flushing_ && (ends_.flushed < target)) {
    const bool woken = co_await rest_.wait();
    (void)woken;
    if (!flushing_) kick_flush();
  }
}

Status Replica::enforce_retention() {
  if (busy_ || retired_) return {};  // the next round will do
  const auto removed = log_->enforce_retention(context_.env.scheduler.wall_ms(), partition_.high_watermark());
  log_->expire_producers(context_.env.scheduler.wall_ms());
  ends_ = ends_of(*log_);
  if (!removed) return std::unexpected(removed.error());
  return {};
}

// ---- Trace

void Replica::trace_role() {
  TraceSink& trace = context_.env.trace;
  if (partition_.leading()) {
    const std::string isr = joined(partition_.isr());
    trace.info("partition.leader", {{"topic", at_.topic},
                                    {"partition", at_.partition},
                                    {"leader_epoch", partition_.leader_epoch()},
                                    {"partition_epoch", partition_.partition_epoch()},
                                    {"isr", isr},
                                    {"min_isr", partition_.min_isr()},
                                    {"start_offset", partition_.epoch_start()}});
    hw_traced_ = kNoOffset;
    trace_high_watermark(true);
  } else {
    trace.info("partition.follower", {{"topic", at_.topic},
                                      {"partition", at_.partition},
                                      {"leader_epoch", partition_.leader_epoch()},
                                      {"leader", partition_.leader()}});
  }
}

void Replica::trace_isr() {
  const std::string isr = joined(partition_.isr());
  context_.env.trace.info("partition.isr", {{"topic", at_.topic},
                                            {"partition", at_.partition},
                                            {"leader_epoch", partition_.leader_epoch()},
                                            {"partition_epoch", partition_.partition_epoch()},
                                            {"isr", isr}});
}

void Replica::trace_high_watermark(bool force) {
  const Offset hw = partition_.high_watermark();
  const Instant now = context_.env.scheduler.now();
  if (!partition_.leading() || hw == hw_traced_) return;
  if (!force && now - hw_traced_at_ < context_.options.hw_trace_interval) return;
  hw_traced_ = hw;
  hw_traced_at_ = now;
  context_.env.trace.info("partition.hw", {{"topic", at_.topic},
                                           {"partition", at_.partition},
                                           {"leader_epoch", partition_.leader_epoch()},
                                           {"hw", hw},
                                           {"log_start", ends_.start},
                                           {"end", ends_.end}});
}

void Replica::trace_truncate(Offset from, Offset to) {
  context_.env.trace.info("partition.truncate", {{"topic", at_.topic},
                                                 {"partition", at_.partition},
                                                 {"leader_epoch", partition_.leader_epoch()},
                                                 {"from", from},
                                                 {"to", to}});
}

}  // namespace ordeal::replica
