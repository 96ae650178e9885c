// Who votes: changes of the voter set, observers that follow outside of it, and voters that have lost their disk.
//
// Changes. An entry carries the whole new set; it differs from the old one by one node, so that every majority of one
// meets every majority of the other. It is in force from the moment a log has it. The next change waits until the last
// one is committed, and the first until the leader has committed an entry of its own term.
//
// Observers. A node outside the set asks the voters that it knows for the log; the leader then sends to it as to any
// follower, but counts it for nothing. A voter that finds no one to elect it asks too: perhaps it was removed and
// missed that. Only an observer that follows closely can be added.
//
// Blank voters. A voter that started with nothing stored may have lost what it acknowledged and whom it voted for. It
// says so with every answer, and counts for nothing. It votes only for candidates whose log is empty too: so a new
// cluster can begin, and nothing a wiped disk promised is promised twice. A leader that hears of it appends one more
// entry (the fence) and, once this voter and every other one hold it, tells it that it counts again: no voter can then
// still be a candidate of a later term that the wiped disk had given its vote. Where another voter stays away for good,
// remove it.
#include <algorithm>
#include <charconv>

#include "broker/base/bytes.h"
#include "broker/base/check.h"
#include "broker/base/mark.h"
#include "broker/meta/raft.h"

namespace ordeal::meta::raft {

namespace {
constexpr Index kBehindMax = 64;       // entries that a node to be added may lack
constexpr int kObserverPatience = 10;  // quorum timeouts of silence, then an observer must ask again

template <class Int>
std::optional<Int> to_number(std::string_view text) {
  Int number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}
}  // namespace

std::string encode_voters(const VoterSet& voters) {
  std::string text;
  for (const auto& [id, endpoint] : voters) {
    if (!text.empty()) text += ',';
    text += std::to_string(id) + '@' + endpoint.to_string();
  }
  return text;
}

std::optional<VoterSet> decode_voters(std::string_view text) {
  VoterSet voters;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    const std::size_t at = part.find('@');
    const std::size_t colon = part.rfind(':');
    if (at == std::string_view::npos || colon == std::string_view::npos || colon < at) return std::nullopt;
    const auto id = to_number<NodeId>(part.substr(0, at));
    const auto port = to_number<std::uint16_t>(part.substr(colon + 1));
    if (!id || !port || *id < 0) return std::nullopt;
    voters[*id] = {std::string(part.substr(at + 1, colon - at - 1)), *port};
    text.remove_prefix(std::min(text.size(), part.size() + 1));
  }
  if (voters.empty()) return std::nullopt;
  return voters;
}

std::uint64_t fold_hash(std::uint64_t before, const Entry& entry) {
  std::uint8_t header[20];
  store_be(header, entry.index);
  store_be(header + 8, entry.term);
  store_be(header + 16, static_cast<std::int32_t>(entry.kind));
  return fnv1a(as_bytes(entry.data), fnv1a(ByteView(header, sizeof header), before + 1));
}

const char* refusal_text(VoterRefusal refusal) {
  switch (refusal) {
    case VoterRefusal::none:
      return "";
    case VoterRefusal::not_leader:
      return "this node does not lead the metadata quorum";
    case VoterRefusal::not_ready:
      return "nothing of this leader's term is committed yet";
    case VoterRefusal::pending:
      return "an earlier change of the voters is not committed yet";
    case VoterRefusal::present:
      return "the node is a voter already";
    case VoterRefusal::absent:
      return "the node is no voter";
    case VoterRefusal::too_many:
      return "a quorum has up to five voters";
    case VoterRefusal::last_one:
      return "the last voter cannot be removed";
    case VoterRefusal::behind:
      return "the node does not follow the metadata log closely enough";
  }
  return "?";
}

// ---- changes ----

VoterRefusal Raft::check_change() const {
  if (role_ != Role::leader || halted_) return VoterRefusal::not_leader;
  if (term_start_ > commit_) return VoterRefusal::not_ready;
  if (voters_index() > commit_ && !switches_.active(mutation::Bug::raft_overlapping_reconfig)) {
    ORDEAL_MARK("raft.voter_change_pending");
    return VoterRefusal::pending;
  }
  return VoterRefusal::none;
}

Raft::VoterAnswer Raft::add_voter(NodeId node, Endpoint endpoint, Instant now) {
  if (const VoterRefusal refusal = check_change(); refusal != VoterRefusal::none) return {refusal, 0};
  if (is_voter(node)) return {VoterRefusal::present, 0};
  if (voters().size() >= kVotersMax) return {VoterRefusal::too_many, 0};
  if (node != config_.id) {
    const auto it = progress_.find(node);
    const bool follows = it != progress_.end() && !it->second.blank && now - it->second.heard < config_.quorum_timeout;
    if (!follows || it->second.match + kBehindMax < commit_) return {VoterRefusal::behind, 0};
  }
  VoterSet set = voters();
  set[node] = std::move(endpoint);
  return {VoterRefusal::none, change_voters(set, now)};
}

Raft::VoterAnswer Raft::remove_voter(NodeId node, Instant now) {
  if (const VoterRefusal refusal = check_change(); refusal != VoterRefusal::none) return {refusal, 0};
  if (!is_voter(node)) return {VoterRefusal::absent, 0};
  if (voters().size() == 1) return {VoterRefusal::last_one, 0};
  VoterSet set = voters();
  set.erase(node);
  return {VoterRefusal::none, change_voters(set, now)};
}

Index Raft::change_voters(const VoterSet& set, Instant now) {
  append_own(EntryKind::voters, encode_voters(set));
  const Index index = last_index();
  replicate_to_all(now);
  advance_commit(now);
  return index;
}

// It led to commit its own removal; the others go on without it.
bool Raft::leaving() const { return role_ == Role::leader && !is_voter(config_.id) && voters_index() <= commit_; }

void Raft::step_down(Instant now) {
  ORDEAL_MARK("raft.removed_leader_resigned");
  transfer_leadership(now);
  become_follower(hard_state_.term, kNoNode, now);
}

// ---- observers ----

void Raft::ask_for_log(Instant now) {
  leader_ = kNoNode;
  lease_ended_ = true;
  election_deadline_ = now + config_.election_timeout;
  send_joins();
}

void Raft::send_joins() {
  VoterSet whom = guides_;
  whom.insert(voters().begin(), voters().end());
  for (const auto& [id, endpoint] : whom)
    if (id != config_.id) send(id, hard_state_.term, Join{config_.endpoint, last_index()});
}

void Raft::on_join(const Message& message, const Join& join, Instant now) {
  if (role_ != Role::leader) return send(message.from, hard_state_.term, JoinResponse{voters()});
  if (is_voter(message.from)) return;  // it is being told
  ORDEAL_MARK("raft.observer_joined");
  Progress progress;
  progress.next = std::min(join.last_index, last_index()) + 1;
  progress.heard = now;
  progress_[message.from] = progress;
  replicate_to(message.from, progress_.at(message.from), now);
}

void Raft::forget_silent_observers(Instant now) {
  std::erase_if(progress_, [&](const auto& each) {
    return !is_voter(each.first) && now - each.second.heard > kObserverPatience * config_.quorum_timeout;
  });
}

// ---- blank voters ----

void Raft::set_blank(bool blank) {
  if (hard_state_.blank == blank) return;
  hard_state_.blank = blank;
  hard_state_changed_ = true;
}

void Raft::note_blank(Progress& progress, bool blank) {
  if (progress.blank == blank) return;
  progress.blank = blank;
  progress.fence = 0;
  if (!blank) return;
  ORDEAL_MARK("raft.blank_follower");
  progress.match = 0;  // what it held is gone
  // A new cluster has no past that anyone could have forgotten.
  const bool founding = term_start_ == 1 && commit_ == 0;
  progress.fence = founding ? term_start_ : last_index() + 1;
}

bool Raft::trusted(NodeId peer, const Progress& progress) const {
  if (!progress.blank) return false;
  if (!is_voter(peer)) return progress.match >= commit_;
  if (progress.fence == term_start_) return true;
  const auto holds = [&](const auto& voter) {
    if (voter.first == config_.id) return true;
    const auto it = progress_.find(voter.first);
    return it != progress_.end() && it->second.match >= progress.fence;
  };
  return std::ranges::all_of(voters(), holds);
}

Index Raft::counted_match(NodeId voter) const {
  if (voter == config_.id) return last_index();
  const auto it = progress_.find(voter);
  return it == progress_.end() || it->second.blank ? 0 : it->second.match;
}

bool Raft::wants_entry() const {
  if (role_ != Role::leader) return false;
  return std::ranges::any_of(progress_, [&](const auto& each) {
    return each.second.blank && is_voter(each.first) && each.second.fence > last_index();
  });
}

}  // namespace ordeal::meta::raft
