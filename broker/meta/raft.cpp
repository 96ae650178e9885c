// The frame of the Raft decider: dispatch of events, terms, timers, and the collection of effects.
#include "broker/meta/raft.h"

#include <algorithm>

#include "broker/base/check.h"
#include "broker/base/mark.h"

namespace ordeal::meta::raft {

const char* role_name(Role role) {
  switch (role) {
    case Role::follower:
      return "follower";
    case Role::pre_candidate:
      return "prevote";
    case Role::candidate:
      return "candidate";
    case Role::leader:
      return "leader";
  }
  return "?";
}

Raft::Raft(Config config, Restored restored, Random random, Instant now, const mutation::Switches& switches)
    : config_(std::move(config)),
      switches_(switches),
      random_(random),
      hard_state_(restored.hard_state),
      base_(std::move(restored.base)) {
  ORDEAL_CHECK(!config_.voters.empty());
  ORDEAL_CHECK(config_.heartbeat_interval < config_.election_timeout);
  restore(std::move(restored.entries));
  ORDEAL_CHECK(restored.applied >= base_.index && restored.applied <= last_index(), "applied {} outside [{}, {}]",
               restored.applied, base_.index, last_index());
  // What was applied was committed, so the commit index starts there.
  commit_ = applied_ = restored.applied;
  // A fresh process has no lease to wait for. Peers that have one refuse the pre-vote, so an early try is safe; a
  // single voter waits for no one.
  const bool alone = voters().size() == 1 && is_voter(config_.id);
  election_deadline_ =
      alone ? now
            : now + Duration(random_.between(config_.election_timeout.count() / 6, config_.election_timeout.count()));
  // A term is led by one incarnation only: what it had sent, or not, died with it (KAFKA-10527).
  const bool led = hard_state_.term > 0 && hard_state_.vote == config_.id && last_term() == hard_state_.term;
  if (led && is_voter(config_.id) && switches_.active(mutation::Bug::raft_relead_same_epoch)) take_lead(now);
}

void Raft::restore(std::vector<Entry> entries) {
  if (base_.voters.empty()) base_.voters = config_.voters;
  voters_.push_back({base_.index, base_.voters});
  for (Entry& entry : entries) {
    ORDEAL_CHECK(entry.index == last_index() + 1, "gap in the stored log before {}", entry.index);
    ORDEAL_CHECK(entry.term >= last_term() && entry.term <= hard_state_.term, "entry {} has term {}", entry.index,
                 entry.term);
    push(std::move(entry));
  }
}

// The log and what follows from it: hashes, and the voters.
void Raft::push(Entry entry) {
  hashes_.push_back(fold_hash(hash_at(entry.index - 1), entry));
  if (entry.kind == EntryKind::voters) {
    std::optional<VoterSet> set = decode_voters(entry.data);
    ORDEAL_CHECK(set.has_value(), "entry {} names no voters", entry.index);
    voters_.push_back({entry.index, std::move(*set)});
  }
  log_.push_back(std::move(entry));
}

void Raft::cut(Index from) {
  log_.resize(static_cast<std::size_t>(from - first_index()));
  hashes_.resize(log_.size());
  while (voters_.size() > 1 && voters_.back().index >= from) voters_.pop_back();
}

void Raft::receive(Message message, Instant now) {
  // Also of nodes that this log does not name as voters: it may not have the entry yet that adds them.
  if (message.to != config_.id || message.from == config_.id || halted_) return;
  if (const auto* join = std::get_if<Join>(&message.body)) return on_join(message, *join, now);
  if (auto* answer = std::get_if<JoinResponse>(&message.body)) {
    for (const auto& [id, endpoint] : answer->voters) guides_[id] = endpoint;
    return;
  }

  const auto* vote_request = std::get_if<VoteRequest>(&message.body);
  const auto* vote_response = std::get_if<VoteResponse>(&message.body);
  // A pre-vote speaks of a term that nobody has entered yet, and so does a granted answer to it.
  const bool hypothetical = (vote_request != nullptr && vote_request->pre) ||
                            (vote_response != nullptr && vote_response->pre && vote_response->granted);

  if (message.term > hard_state_.term && !hypothetical) {
    // A candidate that did not hear of our live leader must not unseat it.
    if (vote_request != nullptr && !vote_request->transfer && lease_holds(now)) return;
    const bool from_leader =
        std::holds_alternative<AppendRequest>(message.body) || std::holds_alternative<SnapshotChunk>(message.body);
    become_follower(message.term, from_leader ? message.from : kNoNode, now);
  }

  if (vote_request != nullptr) return on_vote_request(message, *vote_request, now);
  if (vote_response != nullptr) return on_vote_response(message, *vote_response, now);
  if (auto* request = std::get_if<AppendRequest>(&message.body))
    return on_append_request(message, std::move(*request), now);
  if (auto* chunk = std::get_if<SnapshotChunk>(&message.body))
    return on_snapshot_chunk(message, std::move(*chunk), now);
  if (message.term < hard_state_.term) return;  // answers to what an earlier self asked
  if (auto* response = std::get_if<AppendResponse>(&message.body)) return on_append_response(message, *response, now);
  if (auto* response = std::get_if<SnapshotResponse>(&message.body))
    return on_snapshot_response(message, *response, now);
  if (std::holds_alternative<TimeoutNow>(message.body)) return on_timeout_now(message, now);
}

void Raft::tick(Instant now) {
  if (halted_) return;
  if (role_ == Role::leader) {
    if (leaving() && effects_.apply.empty()) return step_down(now);
    check_quorum(now);
    if (role_ == Role::leader) heartbeat(now);
  } else if (now >= election_deadline_) {
    if (!is_voter(config_.id)) return ask_for_log(now);
    // A wiped voter waits for the leader's log; only where all are empty may it lead.
    if (hard_state_.blank && last_index() > 0) return reset_election_deadline(now);
    campaign(/*pre=*/true, /*transfer=*/false, now);
  }
}

std::optional<Index> Raft::propose(std::string data, Instant now) {
  if (role_ != Role::leader || halted_) return std::nullopt;
  append_own(EntryKind::records, std::move(data));
  const Index index = last_index();
  replicate_to_all(now);
  advance_commit(now);
  return index;
}

void Raft::peer_lost(NodeId peer, Instant now) {
  if (role_ == Role::leader) {
    // What was in flight on that connection may be lost: start over from what is known.
    const auto it = progress_.find(peer);
    if (it == progress_.end()) return;
    const Index known =
        std::exchange(it->second.match, 0);  // perhaps its process died: it must say again what it holds
    if (it->second.flow == Flow::snapshot) return;
    if (it->second.flow == Flow::replicate) it->second.next = known + 1;
    it->second.flow = Flow::probe;
    it->second.inflight = 0;
    return;
  }
  if (role_ != Role::follower || peer != leader_) return;
  lease_ended_ = true;
  // Long enough for a live leader to connect again and speak.
  const std::int64_t wait = config_.election_timeout.count() / 4;
  const Instant soon = now + Duration(random_.between(wait, 2 * wait));
  election_deadline_ = std::min(election_deadline_, soon);
}

void Raft::peer_connected(NodeId peer) {
  const auto it = progress_.find(peer);
  if (it == progress_.end()) return;
  it->second.snapshot_sent = Instant::min();  // what an earlier connection carried is lost
  it->second.sent = Instant::min();
}

void Raft::compact(Index index) {
  ORDEAL_CHECK(index <= applied_, "compaction to {} beyond applied {}", index, applied_);
  if (index <= base_.index) return;
  LogBase base = base_at(index);
  log_.erase(log_.begin(), log_.begin() + (index - base_.index));
  hashes_.erase(hashes_.begin(), hashes_.begin() + (index - base_.index));
  base_ = std::move(base);
  while (voters_.size() > 1 && voters_[1].index <= index) voters_.erase(voters_.begin());
}

LogBase Raft::base_at(Index index) const {
  LogBase base;
  base.index = index;
  base.term = term_at(index).value();
  base.hash = hash_at(index);
  for (const VotersAt& each : voters_)
    if (each.index <= index) base.voters = each.set;
  return base;
}

LogBase Raft::snapshot_base(Index applied) const {
  // To claim one entry more is to make the receiver skip it (KAFKA-14238).
  if (applied < last_index() && switches_.active(mutation::Bug::raft_snapshot_off_by_one)) return base_at(applied + 1);
  return base_at(applied);
}

void Raft::halt(std::string why) {
  halted_ = true;
  effects_ = {};
  effects_.fatal = std::move(why);
  hard_state_changed_ = false;
  unpersisted_from_ = 0;
}

Effects Raft::take_effects() {
  if (hard_state_changed_) {
    effects_.hard_state = hard_state_;
    if (vote_unstored_) effects_.hard_state->vote = kNoNode;
  }
  if (unpersisted_from_ != 0 && !halted_) {
    if (truncated_) effects_.truncate_from = unpersisted_from_;
    for (Index index = std::max(unpersisted_from_, first_index()); index <= last_index(); ++index)
      effects_.append.push_back(entry(index));
  }
  hard_state_changed_ = false;
  unpersisted_from_ = 0;
  truncated_ = false;
  return std::exchange(effects_, Effects{});
}

Instant Raft::next_deadline() const {
  if (halted_) return kForever;
  if (leaving() && effects_.apply.empty()) return Instant::min();
  if (role_ != Role::leader) return election_deadline_;
  if (progress_.empty()) return kForever;
  Instant earliest = kForever;
  for (const auto& [peer, progress] : progress_)
    earliest = std::min(earliest, progress.sent + config_.heartbeat_interval);
  return earliest;
}

std::optional<Term> Raft::term_at(Index index) const {
  if (index == base_.index) return base_.term;
  if (index < base_.index || index > last_index()) return std::nullopt;
  return entry(index).term;
}

std::uint64_t Raft::hash_at(Index index) const {
  if (index == base_.index) return base_.hash;
  ORDEAL_CHECK(index > base_.index && index <= last_index(), "no hash at {}", index);
  return hashes_[static_cast<std::size_t>(index - first_index())];
}

const Entry& Raft::entry(Index index) const {
  ORDEAL_CHECK(index >= first_index() && index <= last_index(), "no entry {} in [{}, {}]", index, first_index(),
               last_index());
  return log_[static_cast<std::size_t>(index - first_index())];
}

Index Raft::match_index(NodeId peer) const {
  if (peer == config_.id) return last_index();
  const auto it = progress_.find(peer);
  return it == progress_.end() ? 0 : it->second.match;
}

std::vector<Raft::Peer> Raft::peers() const {
  std::vector<Peer> peers;
  for (const auto& [id, progress] : progress_)
    peers.push_back({id, progress.match, progress.heard, progress.caught_up});
  return peers;
}

void Raft::become_follower(Term term, NodeId leader, Instant now) {
  ORDEAL_CHECK(term >= hard_state_.term);
  if (term > hard_state_.term) set_term(term, kNoNode);
  const bool was_follower = role_ == Role::follower;
  role_ = Role::follower;
  leader_ = leader;
  votes_.clear();
  progress_.clear();
  term_start_ = 0;
  if (leader != kNoNode) {
    heard_leader_ = now;
    lease_ended_ = false;
  } else {
    lease_ended_ = true;
  }
  // A follower that only learnt a higher term keeps its patience; one that steps down starts anew.
  if (leader != kNoNode || !was_follower) reset_election_deadline(now);
}

void Raft::set_term(Term term, NodeId vote) {
  ORDEAL_CHECK(term > hard_state_.term || (term == hard_state_.term && hard_state_.vote == kNoNode));
  hard_state_.term = term;
  hard_state_.vote = vote;
  hard_state_changed_ = true;
  vote_unstored_ = false;
}

void Raft::reset_election_deadline(Instant now) {
  const std::int64_t base = config_.election_timeout.count();
  election_deadline_ = now + Duration(random_.between(base, 2 * base - 1));
}

bool Raft::lease_holds(Instant now) const {
  if (role_ == Role::leader) return true;  // check_quorum ends it
  return leader_ != kNoNode && !lease_ended_ && now < heard_leader_ + config_.election_timeout;
}

void Raft::send(NodeId to, Term term, decltype(Message::body) body) {
  effects_.send.push_back({config_.id, to, term, std::move(body)});
}

void Raft::advance_applied() {
  Index limit = commit_;
  // Beyond the commit index an entry may still be replaced.
  if (limit < last_index() && switches_.active(mutation::Bug::raft_apply_uncommitted)) limit = last_index();
  while (applied_ < limit) effects_.apply.push_back(entry(++applied_));
}

}  // namespace ordeal::meta::raft
