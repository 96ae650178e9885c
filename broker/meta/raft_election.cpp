// Elections: pre-vote, votes, taking and leaving leadership.
#include "broker/base/check.h"
#include "broker/base/mark.h"
#include "broker/meta/raft.h"

namespace ordeal::meta::raft {

void Raft::campaign(bool pre, bool transfer, Instant now) {
  ORDEAL_CHECK(role_ != Role::leader);
  if (pre && role_ == Role::pre_candidate) send_joins();
  role_ = pre ? Role::pre_candidate : Role::candidate;
  leader_ = kNoNode;
  lease_ended_ = true;
  transfer_campaign_ = transfer;
  if (!pre) set_term(hard_state_.term + 1, config_.id);
  votes_ = {config_.id};
  reset_election_deadline(now);
  // Asking again disturbs no one, and a peer may have noticed the leader's death a moment later than we did.
  if (pre) election_deadline_ = now + (election_deadline_ - now) / 2;
  if (votes_.size() >= majority()) {
    if (pre) return campaign(/*pre=*/false, transfer, now);
    return become_leader(now);
  }
  const Term term = pre ? hard_state_.term + 1 : hard_state_.term;
  for (const auto& [voter, endpoint] : voters()) {
    if (voter == config_.id) continue;
    VoteRequest request;
    request.pre = pre;
    request.last_index = last_index();
    request.last_term = last_term();
    request.transfer = transfer;
    send(voter, term, request);
  }
}

void Raft::on_vote_request(const Message& message, const VoteRequest& request, Instant now) {
  VoteResponse response;
  response.pre = request.pre;
  const bool longer =
      request.last_term > last_term() || (request.last_term == last_term() && request.last_index >= last_index());
  // What a blank voter's lost log had, and whom it voted for, nobody knows: only a new cluster gets its vote.
  const bool up_to_date = longer && !(hard_state_.blank && request.last_index > 0);
  if (longer && !up_to_date) ORDEAL_MARK("raft.blank_voter_refused");
  if (request.pre) {
    // Grants bind nobody: they say that a campaign in that term could succeed.
    response.granted = message.term > hard_state_.term && up_to_date && !lease_holds(now);
    send(message.from, response.granted ? message.term : hard_state_.term, response);
    return;
  }
  if (message.term < hard_state_.term) {
    send(message.from, hard_state_.term, response);
    return;
  }
  const bool free = hard_state_.vote == kNoNode || hard_state_.vote == message.from;
  response.granted = free && up_to_date && leader_ == kNoNode;
  if (response.granted) {
    ORDEAL_CHECK(role_ == Role::follower || role_ == Role::pre_candidate);
    if (hard_state_.vote == kNoNode) grant(message.from);
    role_ = Role::follower;
    votes_.clear();
    reset_election_deadline(now);
  }
  send(message.from, hard_state_.term, response);
}

void Raft::grant(NodeId candidate) {
  const bool stored = !switches_.active(mutation::Bug::raft_vote_not_persisted);
  const bool changed_before = hard_state_changed_;
  set_term(hard_state_.term, candidate);
  if (stored) return;
  hard_state_changed_ = changed_before;
  vote_unstored_ = true;
}

void Raft::on_vote_response(const Message& message, const VoteResponse& response, Instant now) {
  if (!response.granted) return;
  if (response.pre) {
    if (role_ != Role::pre_candidate || message.term != hard_state_.term + 1) return;
  } else if (role_ != Role::candidate || message.term != hard_state_.term) {
    return;
  }
  if (!is_voter(message.from)) return;
  votes_.insert(message.from);
  if (votes_.size() < majority()) return;
  if (response.pre) return campaign(/*pre=*/false, transfer_campaign_, now);
  become_leader(now);
}

void Raft::become_leader(Instant now) {
  ORDEAL_CHECK(role_ == Role::candidate && hard_state_.vote == config_.id);
  set_blank(false);  // the first leader of a new cluster
  take_lead(now);
}

void Raft::take_lead(Instant now) {
  role_ = Role::leader;
  leader_ = config_.id;
  votes_.clear();
  incoming_.reset();
  progress_.clear();
  for (const auto& [voter, endpoint] : voters()) {
    if (voter == config_.id) continue;
    Progress progress;
    progress.next = last_index() + 1;
    progress.heard = now;
    progress_.emplace(voter, progress);
  }
  // Entries of earlier terms commit only together with this one (CORPUS F3).
  append_own(EntryKind::leader_change, {});
  term_start_ = last_index();
  replicate_to_all(now);
  advance_commit(now);
}

void Raft::on_timeout_now(const Message& message, Instant now) {
  if (role_ != Role::follower || message.from != leader_ || !is_voter(config_.id) || hard_state_.blank) return;
  campaign(/*pre=*/false, /*transfer=*/true, now);
}

void Raft::transfer_leadership(Instant now) {
  if (role_ != Role::leader) return;
  for (const auto& [peer, progress] : progress_) {
    const bool alive = now - progress.heard < config_.election_timeout;
    if (!alive || progress.match != last_index() || progress.blank || !is_voter(peer)) continue;
    send(peer, hard_state_.term, TimeoutNow{});
    return;
  }
}

void Raft::check_quorum(Instant now) {
  std::size_t answered = is_voter(config_.id) ? 1 : 0;
  for (const auto& [peer, progress] : progress_)
    if (is_voter(peer) && now - progress.heard < config_.quorum_timeout) ++answered;
  if (answered >= majority() || switches_.active(mutation::Bug::raft_no_check_quorum)) return;
  ORDEAL_MARK("raft.leader_without_majority");
  become_follower(hard_state_.term, kNoNode, now);
}

}  // namespace ordeal::meta::raft
