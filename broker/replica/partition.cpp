#include "broker/replica/partition.h"

#include <algorithm>

#include "broker/base/check.h"
#include "broker/base/mark.h"

namespace ordeal::replica {
namespace {

using mutation::Bug;

std::vector<NodeId> sorted(std::vector<NodeId> ids) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

bool contains(const std::vector<NodeId>& ids, NodeId id) { return std::find(ids.begin(), ids.end(), id) != ids.end(); }

std::vector<NodeId> united(std::vector<NodeId> all, const std::vector<NodeId>& more) {
  all.insert(all.end(), more.begin(), more.end());
  return sorted(std::move(all));
}

}  // namespace

Offset divergence_point(const EpochEnd& leader, const EpochEnd& local, const LogEnds& ends) {
  Offset cut = local.end;
  if (local.epoch == leader.epoch) cut = std::min(local.end, leader.end);
  // A log that knows nothing as old as the leader's epoch shares at most what precedes its own first epoch.
  if (local.epoch == kNoEpoch) cut = leader.end;
  return std::clamp(cut, ends.start, ends.end);
}

Partition::Partition(NodeId self, Durability durability, Duration lag_max, const mutation::Switches& switches)
    : self_(self), durability_(durability), lag_max_(lag_max), switches_(switches) {}

void Partition::restore(Offset high_watermark, LeaderEpoch log_epoch, const LogEnds& ends) {
  ORDEAL_CHECK(leader_epoch_ == kNoEpoch, "restore comes before the first role");
  unleadable_ = log_epoch;
  log_end_ = ends.end;
  own_position_ = position_of(ends);
  high_watermark_ = std::clamp(high_watermark, ends.start, ends.end);
}

// ---- Roles

RoleChange Partition::assign(const Assignment& to, const LogEnds& ends, Instant now) {
  if (to.leader_epoch < leader_epoch_) return {};
  if (to.leader_epoch == leader_epoch_ && to.partition_epoch <= partition_epoch_) return {};
  replicas_ = sorted(to.replicas);
  min_isr_ = to.min_isr;
  if (to.leader_epoch > leader_epoch_) return to.leader == self_ ? lead(to, ends, now) : follow(to, ends);
  if (role_ == Role::leader) return commit_isr(to.partition_epoch, to.isr);
  partition_epoch_ = to.partition_epoch;
  return {};
}

RoleChange Partition::lead(const Assignment& to, const LogEnds& ends, Instant now) {
  if (to.leader_epoch <= unleadable_) {
    // An earlier incarnation led this epoch; leading it again could put other records at the same (epoch, offset).
    ORDEAL_MARK("partition.epoch_of_earlier_incarnation");
    role_ = Role::offline;
    return {};
  }
  if (role_ != Role::leader) leading_since_ = to.leader_epoch;
  role_ = Role::leader;
  leader_ = self_;
  leader_epoch_ = to.leader_epoch;
  partition_epoch_ = to.partition_epoch;
  isr_ = sorted(to.isr);
  pending_.reset();
  unsettled_.clear();
  takes_end_on_trust_ = false;
  log_end_ = ends.end;
  own_position_ = position_of(ends);
  epoch_start_ = ends.end;
  high_watermark_ = std::clamp(high_watermark_, ends.start, ends.end);
  RoleChange change;
  progress_.clear();
  // Over nobody but this replica the high watermark would be its own end: it is not looked at before all are back.
  if (own_position_ > high_watermark_ && isr_.size() > 1 && switches_.active(Bug::repl_hw_over_empty_replica_map)) {
    high_watermark_ = own_position_;
    change.hw_advanced = true;
  }
  for (const NodeId replica : replicas_) {
    if (replica == self_) continue;
    ReplicaProgress& fresh = progress_[replica];
    // Members get a full lag period to be heard of; the others must first catch up in this epoch.
    if (contains(isr_, replica)) fresh.caught_up = fresh.last_fetch = now;
  }
  change.new_epoch = change.isr_changed = true;
  // At once, not with the first record: a follower may have to ask before anything is written (KAFKA-7415).
  if (!switches_.active(Bug::repl_epoch_start_on_first_append)) change.epoch_start = epoch_start_;
  change.hw_advanced = advance_high_watermark() || change.hw_advanced;
  return change;
}

RoleChange Partition::follow(const Assignment& to, const LogEnds& ends) {
  // The same leader in a new epoch may have lost and regained the lead in between, and cut its log meanwhile.
  const bool same_leader = role_ == Role::follower && leader_ == to.leader && leader_ != kNoNode;
  takes_end_on_trust_ =
      same_leader && ends.end > ends.start && switches_.active(Bug::repl_skip_truncate_if_same_leader);
  role_ = Role::follower;
  leader_ = to.leader;
  leader_epoch_ = to.leader_epoch;
  leading_since_ = kNoEpoch;
  partition_epoch_ = to.partition_epoch;
  isr_.clear();
  pending_.reset();
  unsettled_.clear();
  progress_.clear();
  log_end_ = ends.end;
  own_position_ = position_of(ends);
  high_watermark_ = std::clamp(high_watermark_, ends.start, ends.end);

  RoleChange change;
  change.new_epoch = true;
  // Nothing is cut on becoming a follower: the leader's epochs say where the logs part (KIP-101).
  if (high_watermark_ < ends.end && switches_.active(Bug::repl_truncate_to_hw)) change.truncate_to = high_watermark_;
  return change;
}

bool Partition::set_min_isr(std::int32_t min_isr, LeaderEpoch leader_epoch, PartitionEpoch partition_epoch) {
  if (std::pair(leader_epoch, partition_epoch) < std::pair(leader_epoch_, partition_epoch_)) return false;
  min_isr_ = min_isr;
  return advance_high_watermark();
}

RoleChange Partition::commit_isr(PartitionEpoch epoch, const std::vector<NodeId>& isr) {
  ORDEAL_CHECK(role_ == Role::leader && epoch > partition_epoch_);
  // Whatever was proposed against an older partition epoch is now either this state or refused for ever.
  partition_epoch_ = epoch;
  isr_ = sorted(isr);
  pending_.reset();
  unsettled_.clear();
  RoleChange change;
  change.isr_changed = true;
  change.hw_advanced = advance_high_watermark();
  return change;
}

// ---- Progress

bool Partition::on_local_log(const LogEnds& ends) {
  log_end_ = ends.end;
  own_position_ = position_of(ends);
  return advance_high_watermark();
}

FetchVerdict Partition::on_follower_fetch(const FollowerFetch& fetch, const EpochEnd& asked, const LogEnds& ends,
                                          Instant now) {
  FetchVerdict verdict;
  verdict.error = check_epoch(fetch.current_leader_epoch, fetch.in_session);
  const bool ours = role_ == Role::leader && assigned(fetch.replica);
  if (verdict.error == ErrorCode::fenced_leader_epoch && ours) {
    ORDEAL_MARK("partition.old_epoch_fetch_refused");
    if (switches_.active(Bug::repl_ignore_fetch_leader_epoch)) {
      verdict.error = ErrorCode::none;
    } else if (switches_.active(Bug::repl_hw_counts_old_epoch_fetch)) {
      count(fetch, ends, now);
      verdict.hw_advanced = advance_high_watermark();
    }
  }
  if (verdict.error == ErrorCode::none && !ours) verdict.error = ErrorCode::not_leader_or_follower;
  if (verdict.error != ErrorCode::none) return verdict;

  if (fetch.broker_epoch != -1 && fetch.broker_epoch < progress_[fetch.replica].broker_epoch) {
    ORDEAL_MARK("partition.fetch_of_earlier_incarnation");
    verdict.error = ErrorCode::not_leader_or_follower;  // delayed on the way
    return verdict;
  }
  // What a switch let in from another epoch knows no check of divergence: those who lacked the one lacked the other.
  const bool epochs_agree = fetch.current_leader_epoch == kNoEpoch || fetch.current_leader_epoch == leader_epoch_;
  if (const auto parted = epochs_agree ? divergence_of(fetch, asked) : std::nullopt) {
    if (parted->epoch == kNoEpoch) {
      ORDEAL_MARK("partition.follower_epoch_unknown");
      verdict.error = ErrorCode::offset_out_of_range;
      return verdict;
    }
    ORDEAL_MARK("partition.follower_diverges");
    verdict.diverging = parted;
    // Its end says nothing about how much of this log it holds.
    if (switches_.active(Bug::repl_count_diverging_fetch)) {
      count(fetch, ends, now);
      verdict.hw_advanced = advance_high_watermark();
    }
    return verdict;
  }
  if (fetch.fetch_offset < ends.start || fetch.fetch_offset > ends.end) {
    ORDEAL_MARK("partition.follower_out_of_range");
    verdict.error = ErrorCode::offset_out_of_range;
    return verdict;
  }
  count(fetch, ends, now);
  verdict.hw_advanced = advance_high_watermark();
  verdict.isr_proposed = maybe_expand(fetch);
  return verdict;
}

// Where the follower's log and this one part, by the epoch of the follower's last record; an epoch of none: this log
// knows nothing that old. `asked` is the largest own epoch not above that one, and where it ends. An end alone proves
// nothing: the records before it may be of an epoch that this log never saw (KIP-279).
std::optional<EpochEnd> Partition::divergence_of(const FollowerFetch& fetch, EpochEnd asked) const {
  if (fetch.last_fetched_epoch == kNoEpoch) return std::nullopt;
  if (asked.epoch != kNoEpoch && asked.epoch < fetch.last_fetched_epoch &&
      switches_.active(Bug::repl_epoch_reply_offset_only)) {
    asked.epoch = fetch.last_fetched_epoch;
  }
  if (asked.epoch >= fetch.last_fetched_epoch && asked.end >= fetch.fetch_offset) return std::nullopt;
  if (switches_.active(Bug::repl_fetch_without_epoch_lookup)) return std::nullopt;
  return asked;
}

void Partition::count(const FollowerFetch& fetch, const LogEnds& ends, Instant now) {
  ReplicaProgress& progress = progress_[fetch.replica];
  progress.position = fetch.fetch_offset;
  progress.broker_epoch = std::max(progress.broker_epoch, fetch.broker_epoch);
  if (fetch.fetch_offset >= ends.end) {
    progress.caught_up = now;
  } else if (progress.leader_end_at_last_fetch != kNoOffset &&
             fetch.fetch_offset >= progress.leader_end_at_last_fetch) {
    progress.caught_up = std::max(progress.caught_up, progress.last_fetch);
  }
  progress.leader_end_at_last_fetch = ends.end;
  progress.last_fetch = now;
}

Offset Partition::least_position(const std::vector<NodeId>& members) const {
  Offset least = own_position_;
  for (const NodeId member : members) {
    if (member == self_) continue;
    const auto found = progress_.find(member);
    least = std::min(least, found == progress_.end() ? kNoOffset : found->second.position);
  }
  return least;
}

bool Partition::advance_high_watermark() {
  if (role_ != Role::leader) return false;
  const Offset committed = least_position(isr_);
  Offset least = std::min(committed, least_position(unsettled_));
  // The controller may have committed the proposal already, and may elect any member of it.
  if (pending_) least = std::min(least, least_position(pending_->isr));
  if (least < committed && committed > high_watermark_ && switches_.active(Bug::isr_hw_uses_committed_isr_only)) {
    least = committed;
  }
  if (least <= high_watermark_) return false;
  if (below_min_isr() && !switches_.active(Bug::isr_hw_below_min_isr)) {
    ORDEAL_MARK("partition.hw_frozen_below_min_isr");
    return false;
  }
  high_watermark_ = least;
  return true;
}

// ---- ISR

bool Partition::below_min_isr() const {
  const auto wanted = std::min<std::size_t>(static_cast<std::size_t>(std::max(min_isr_, 1)), replicas_.size());
  return isr_.size() < wanted;
}

bool Partition::assigned(NodeId replica) const { return replica != self_ && contains(replicas_, replica); }

bool Partition::in_maximal_isr(NodeId replica) const {
  return contains(isr_, replica) || contains(unsettled_, replica) || (pending_ && contains(pending_->isr, replica));
}

std::vector<NodeId> Partition::maximal_isr() const {
  std::vector<NodeId> all = united(isr_, unsettled_);
  return pending_ ? united(std::move(all), pending_->isr) : all;
}

bool Partition::maybe_expand(const FollowerFetch& fetch) {
  if (pending_ || contains(isr_, fetch.replica) || !fetch.may_join) return false;
  const Offset position = progress_[fetch.replica].position;
  if (position < high_watermark_) return false;
  // Records between the high watermark this leader knows and its first own offset may have been acknowledged by its
  // predecessor: whoever lacks them must not become electable.
  if (position < epoch_start_ && !switches_.active(Bug::isr_expand_at_hw_only)) return false;
  propose(united(isr_, {fetch.replica}));
  return true;
}

bool Partition::maybe_shrink(Instant now) {
  if (role_ != Role::leader || pending_) return false;
  std::vector<NodeId> keep;
  for (const NodeId member : isr_) {
    const auto found = progress_.find(member);
    const bool lags =
        member != self_ &&
        (found == progress_.end() || (found->second.position != log_end_ && now - found->second.caught_up > lag_max_));
    if (!lags) keep.push_back(member);
  }
  if (keep.size() == isr_.size()) return false;
  propose(std::move(keep));
  return true;
}

void Partition::propose(std::vector<NodeId> isr) {
  Pending next;
  next.isr = sorted(std::move(isr));
  for (const NodeId member : next.isr) {
    const auto found = progress_.find(member);
    next.broker_epochs[member] = found == progress_.end() ? -1 : found->second.broker_epoch;
  }
  pending_ = std::move(next);
}

std::optional<IsrProposal> Partition::proposal(BrokerEpoch own_epoch) const {
  if (role_ != Role::leader || !proposal_pending()) return std::nullopt;
  IsrProposal out;
  out.leader_epoch = leader_epoch_;
  out.partition_epoch = partition_epoch_;
  for (const NodeId member : pending_->isr) {
    out.isr.push_back({member, member == self_ ? own_epoch : pending_->broker_epochs.at(member)});
  }
  return out;
}

RoleChange Partition::on_alter_result(const IsrProposal& sent, const AlterResult& result) {
  if (role_ != Role::leader || sent.leader_epoch != leader_epoch_) return {};
  if (result.outcome == AlterOutcome::committed && result.leader_epoch == leader_epoch_ &&
      result.partition_epoch > partition_epoch_) {
    if (result.min_isr > 0) min_isr_ = result.min_isr;
    return commit_isr(result.partition_epoch, result.isr);
  }
  if (!pending_ || sent.partition_epoch != partition_epoch_) return {};
  switch (result.outcome) {
    case AlterOutcome::committed:
      if (result.leader_epoch == leader_epoch_) {  // at our partition epoch: it held already
        pending_.reset();
      } else {
        pending_->overtaken = true;
      }
      break;
    case AlterOutcome::rejected:
      if (pending_->unsettled) unsettled_ = united(std::move(unsettled_), pending_->isr);
      pending_.reset();
      break;
    case AlterOutcome::overtaken:
      pending_->overtaken = true;  // it may be our own earlier attempt that won: keep counting on both until told
      break;
    case AlterOutcome::unknown:
      pending_->unsettled = true;
      break;
    case AlterOutcome::not_sent:
      break;
  }
  RoleChange change;
  change.hw_advanced = advance_high_watermark();
  return change;
}

// ---- Follower

bool Partition::accepts_reply(LeaderEpoch epoch, Offset fetch_offset, Offset log_end) const {
  return role_ == Role::follower && leader_epoch_ == epoch && log_end == fetch_offset;
}

bool Partition::may_cut(LeaderEpoch epoch, Offset fetch_offset, Offset log_end) const {
  if (accepts_reply(epoch, fetch_offset, log_end)) return true;
  ORDEAL_MARK("partition.stale_divergence_ignored");
  return role_ != Role::offline && switches_.active(Bug::repl_truncate_on_stale_reply);
}

Repair Partition::repair_for(const Misfit& misfit) const {
  // Only what the leader has deleted is skipped. To be ahead of it means divergence, never a reset.
  if (!misfit.diverging && misfit.leader_log_start > misfit.asked) return Repair::start_over;
  const bool ahead = !misfit.diverging || misfit.diverging->end < misfit.asked;
  if (ahead && switches_.active(Bug::repl_oor_resets_to_start)) return Repair::start_over;
  return misfit.diverging ? Repair::cut : Repair::look_up;
}

std::optional<Offset> Partition::cut_without_answer() const {
  ORDEAL_MARK("partition.no_common_epoch");
  // A leader notes its epoch before anything else, so it can always place a follower's; where that is broken, this is
  // what followers then fell back to.
  if (switches_.active(Bug::repl_epoch_start_on_first_append)) return high_watermark_;
  return std::nullopt;
}

bool Partition::on_leader_high_watermark(Offset leader_hw, const LogEnds& ends) {
  if (role_ != Role::follower) return false;
  log_end_ = ends.end;
  own_position_ = position_of(ends);
  const Offset known = std::max(std::min(leader_hw, ends.end), ends.start);
  if (known <= high_watermark_) return false;
  high_watermark_ = known;
  return true;
}

void Partition::on_truncated(const LogEnds& ends) {
  log_end_ = ends.end;
  own_position_ = position_of(ends);
  high_watermark_ = std::clamp(high_watermark_, ends.start, ends.end);
}

// ---- Requests

ErrorCode Partition::check_epoch(LeaderEpoch current_leader_epoch, bool in_session) const {
  if (current_leader_epoch == kNoEpoch || current_leader_epoch == leader_epoch_) return ErrorCode::none;
  // It was right when the session began, which says nothing about now.
  if (in_session && role_ == Role::leader && switches_.active(Bug::repl_session_skips_epoch_check)) {
    return ErrorCode::none;
  }
  return current_leader_epoch < leader_epoch_ ? ErrorCode::fenced_leader_epoch : ErrorCode::unknown_leader_epoch;
}

ErrorCode Partition::check_leader(LeaderEpoch current_leader_epoch, bool in_session) const {
  const ErrorCode epoch = check_epoch(current_leader_epoch, in_session);
  if (epoch != ErrorCode::none) return epoch;
  return role_ == Role::leader ? ErrorCode::none : ErrorCode::not_leader_or_follower;
}

ErrorCode Partition::check_append(std::int16_t acks) const {
  if (role_ != Role::leader) return ErrorCode::not_leader_or_follower;
  if (acks == -1 && below_min_isr()) return ErrorCode::not_enough_replicas;
  return ErrorCode::none;
}

Ack Partition::ack_all(LeaderEpoch epoch, Offset end) const {
  if (!led_throughout(epoch)) return {AckState::done, ErrorCode::not_leader_or_follower};
  if (high_watermark_ < end) return {};
  return {AckState::done, below_min_isr() ? ErrorCode::not_enough_replicas_after_append : ErrorCode::none};
}

Ack Partition::ack_local(LeaderEpoch epoch, Offset end) const {
  if (!led_throughout(epoch)) return {AckState::done, ErrorCode::not_leader_or_follower};
  if (own_position_ < end) return {};
  return {AckState::done, ErrorCode::none};
}

LatestOffset Partition::latest(Offset visible) const {
  // The predecessor may have told a consumer an end beyond what this leader knows to be committed (KIP-207).
  if (high_watermark_ < epoch_start_ && !switches_.active(Bug::repl_list_offsets_before_leso)) {
    return {ErrorCode::offset_not_available, kNoOffset};
  }
  return {ErrorCode::none, visible};
}

}  // namespace ordeal::replica
