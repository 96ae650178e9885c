// Log replication: appends with conflict hints and pipelining, commitment, snapshots for followers that fell behind.
#include <algorithm>

#include "broker/base/check.h"
#include "broker/base/mark.h"
#include "broker/meta/raft.h"

namespace ordeal::meta::raft {

// ---- follower ----

void Raft::follow(NodeId leader, Instant now) {
  ORDEAL_CHECK(role_ != Role::leader, "two leaders in term {}: {} and {}", hard_state_.term, config_.id, leader);
  ORDEAL_CHECK(leader_ == kNoNode || leader_ == leader, "two leaders in term {}: {} and {}", hard_state_.term, leader_,
               leader);
  become_follower(hard_state_.term, leader, now);
}

void Raft::on_append_request(const Message& message, AppendRequest request, Instant now) {
  if (message.term < hard_state_.term) {
    AppendResponse response;
    response.rejected_prev = request.prev_index;
    return answer_append(message.from, response);  // tells a deposed leader
  }
  follow(message.from, now);
  const bool beyond_end = request.prev_index > last_index();
  // Below the base everything is committed, and committed means equal.
  if (beyond_end || (request.prev_index >= base_.index && *term_at(request.prev_index) != request.prev_term))
    return answer_append(message.from, reject(request));

  AppendResponse response;
  response.ok = true;
  response.match_index = request.prev_index + static_cast<Index>(request.entries.size());
  append_from_leader(std::move(request.entries));
  if (halted_) return;
  if (request.trusted) set_blank(false);
  const Index commit = std::min(request.commit, response.match_index);
  if (commit > commit_) {
    commit_ = commit;
  }
  advance_applied();
  answer_append(message.from, response);
}

void Raft::answer_append(NodeId to, AppendResponse response) {
  response.blank = hard_state_.blank;
  send(to, hard_state_.term, response);
}

// Names the highest own index whose term is not above the leader's there: the leader can then skip whole terms.
AppendResponse Raft::reject(const AppendRequest& request) const {
  AppendResponse response;
  response.rejected_prev = request.prev_index;
  Index hint = std::min(request.prev_index, last_index());
  while (hint > base_.index && *term_at(hint) > request.prev_term) --hint;
  response.hint_index = hint;
  response.hint_term = *term_at(hint);
  return response;
}

void Raft::append_from_leader(std::vector<Entry> entries) {
  for (Entry& entry : entries) {
    if (entry.index <= base_.index) continue;
    if (entry.index <= last_index()) {
      if (*term_at(entry.index) == entry.term) continue;  // had it already; never cut what a late message repeats
      // Committed is for ever: some voter has lost what it had promised, and no cut here would bring it back.
      if (entry.index <= commit_ && !switches_.active(mutation::Bug::raft_truncate_below_hw)) {
        return halt(fmt::format("the leader's entry {} of term {} contradicts the metadata log, committed up to {}",
                                entry.index, entry.term, commit_));
      }
      ORDEAL_MARK("raft.log_cut");
      commit_ = std::min(commit_, entry.index - 1);
      effects_.truncate_to = std::max(effects_.truncate_to, last_index());
      cut(entry.index);
      mark_unpersisted(entry.index);
      truncated_ = true;
    }
    ORDEAL_CHECK(entry.index == last_index() + 1 && entry.term >= last_term());
    mark_unpersisted(entry.index);
    push(std::move(entry));
  }
  if (!is_voter(config_.id)) role_ = Role::follower;
}

void Raft::mark_unpersisted(Index from) {
  unpersisted_from_ = unpersisted_from_ == 0 ? from : std::min(unpersisted_from_, from);
}

void Raft::on_snapshot_chunk(const Message& message, SnapshotChunk chunk, Instant now) {
  if (message.term < hard_state_.term) return answer_append(message.from, AppendResponse{});
  follow(message.from, now);
  if (chunk.base.index <= commit_) {
    incoming_.reset();
    if (chunk.last) send(message.from, hard_state_.term, SnapshotResponse{commit_, hard_state_.blank});
    return;
  }
  if (chunk.offset == 0) {
    incoming_ = Incoming{message.from, message.term, chunk.base, {}};
  } else if (!incoming_ || incoming_->from != message.from || incoming_->term != message.term ||
             incoming_->base != chunk.base || incoming_->data.size() != chunk.offset) {
    ORDEAL_MARK("raft.snapshot_part_missing");
    incoming_.reset();  // the leader starts over
    return;
  }
  incoming_->data += chunk.data;
  if (!chunk.last) return;
  Snapshot snapshot{chunk.base, std::move(incoming_->data)};
  incoming_.reset();
  install(std::move(snapshot), message.from);
  send(message.from, hard_state_.term, SnapshotResponse{commit_, hard_state_.blank});
}

void Raft::install(Snapshot snapshot, NodeId from) {
  if (term_at(snapshot.base.index) == snapshot.base.term) {
    // The log has it all: the snapshot only says that it is committed.
    commit_ = snapshot.base.index;
    return advance_applied();
  }
  ORDEAL_MARK("raft.snapshot_installed");
  log_.clear();
  hashes_.clear();
  base_ = snapshot.base;
  if (base_.voters.empty()) base_.voters = config_.voters;
  voters_ = {{base_.index, base_.voters}};
  commit_ = applied_ = base_.index;
  effects_.apply.clear();  // contained in the snapshot
  effects_.install = std::move(snapshot);
  effects_.install_from = from;
  unpersisted_from_ = 0;
  truncated_ = false;
}

// ---- leader ----

void Raft::append_own(EntryKind kind, std::string data) {
  mark_unpersisted(last_index() + 1);
  push({last_index() + 1, hard_state_.term, kind, std::move(data)});
  advance_applied();
}

void Raft::send_append(NodeId to, Progress& progress, Instant now) {
  AppendRequest request;
  progress.sent = now;
  if (progress.flow == Flow::snapshot) return send(to, hard_state_.term, std::move(request));  // only a sign of life
  request.prev_index = progress.next - 1;
  const std::optional<Term> prev_term = term_at(request.prev_index);
  if (!prev_term) return send_snapshot(to, progress, now);
  request.prev_term = *prev_term;
  request.commit = commit_;
  request.trusted = trusted(to, progress);
  const bool window_open = progress.flow == Flow::probe || progress.inflight < config_.inflight_max;
  std::size_t bytes = 0;
  for (Index index = progress.next; window_open && index <= last_index(); ++index) {
    const Entry& next = entry(index);
    bytes += next.data.size();
    const bool full = request.entries.size() >= config_.batch_entries_max || bytes > config_.batch_bytes_max;
    if (!request.entries.empty() && full) break;
    request.entries.push_back(next);
  }
  ++progress.inflight;
  if (progress.flow == Flow::replicate) progress.next += static_cast<Index>(request.entries.size());
  send(to, hard_state_.term, std::move(request));
}

void Raft::send_snapshot(NodeId to, Progress& progress, Instant now) {
  progress.flow = Flow::snapshot;
  progress.inflight = 0;
  progress.snapshot_sent = now;
  effects_.send_snapshot_to.push_back(to);
}

void Raft::replicate_to(NodeId to, Progress& progress, Instant now) {
  if (progress.flow == Flow::probe && progress.inflight == 0) send_append(to, progress, now);
  while (progress.flow == Flow::replicate && progress.next <= last_index() && progress.inflight < config_.inflight_max)
    send_append(to, progress, now);
}

void Raft::replicate_to_all(Instant now) {
  for (auto& [peer, progress] : progress_) replicate_to(peer, progress, now);
}

void Raft::heartbeat(Instant now) {
  forget_silent_observers(now);
  for (auto& [peer, progress] : progress_) {
    if (now - config_.heartbeat_interval < progress.sent) continue;
    if (progress.flow == Flow::snapshot && now - config_.snapshot_retry >= progress.snapshot_sent)
      send_snapshot(peer, progress, now);
    send_append(peer, progress, now);
  }
}

void Raft::on_append_response(const Message& message, const AppendResponse& response, Instant now) {
  const auto it = progress_.find(message.from);
  if (role_ != Role::leader || it == progress_.end()) return;
  Progress& progress = it->second;
  progress.heard = now;
  note_blank(progress, response.blank);
  if (response.ok) {
    ORDEAL_CHECK(response.match_index <= last_index(), "node {} matches {} beyond our end", message.from,
                 response.match_index);
    progress.match = std::max(progress.match, response.match_index);
    if (progress.match == last_index()) progress.caught_up = now;
    if (progress.flow == Flow::snapshot) {
      if (!term_at(progress.match)) return;  // still behind our base
      progress.flow = Flow::probe;
    }
    if (progress.flow == Flow::probe) {
      progress.flow = Flow::replicate;
      progress.next = progress.match + 1;
      progress.inflight = 0;
    }
    progress.next = std::max(progress.next, progress.match + 1);
    // All answered, or answers were lost: either way nothing is in flight.
    if (progress.inflight > 0) --progress.inflight;
    if (progress.match + 1 == progress.next) progress.inflight = 0;
    advance_commit(now);
    // Once it may count again it is told at once: a new cluster waits for this.
    if (trusted(message.from, progress)) send_append(message.from, progress, now);
    return replicate_to(message.from, progress, now);
  }
  if (progress.flow == Flow::snapshot) return;
  const bool stale = progress.flow == Flow::replicate ? response.rejected_prev <= progress.match
                                                      : response.rejected_prev != progress.next - 1;
  if (stale) return;
  Index agree = std::min(response.hint_index, response.rejected_prev);
  // Where even our base disagrees the follower needs a snapshot: agree ends below the base.
  while (agree >= base_.index && term_at(agree) && *term_at(agree) > response.hint_term) --agree;
  progress.flow = Flow::probe;
  progress.next = std::max(agree, progress.match) + 1;
  progress.inflight = 0;
  replicate_to(message.from, progress, now);
}

void Raft::on_snapshot_response(const Message& message, const SnapshotResponse& response, Instant now) {
  const auto it = progress_.find(message.from);
  if (role_ != Role::leader || it == progress_.end()) return;
  Progress& progress = it->second;
  progress.heard = now;
  note_blank(progress, response.blank);
  progress.match = std::max(progress.match, response.match_index);
  if (progress.flow != Flow::snapshot) return;
  progress.flow = Flow::probe;
  progress.next = progress.match + 1;
  progress.inflight = 0;
  advance_commit(now);
  replicate_to(message.from, progress, now);
}

void Raft::advance_commit(Instant now) {
  std::vector<Index> matches;
  for (const auto& [voter, endpoint] : voters()) matches.push_back(counted_match(voter));
  std::ranges::sort(matches, std::greater<>());
  const Index held_by_majority = matches[majority() - 1];
  // Only an entry of this term commits by counting; it takes the earlier ones along (figure 8, KAFKA-12619).
  if (held_by_majority <= commit_) return;
  if (term_at(held_by_majority) != hard_state_.term && !switches_.active(mutation::Bug::raft_commit_old_term)) return;
  commit_ = held_by_majority;
  advance_applied();
  // Followers apply what they know committed: tell them now rather than with the next heartbeat.
  for (auto& [peer, progress] : progress_)
    if (progress.flow == Flow::replicate) send_append(peer, progress, now);
}

std::vector<Message> Raft::snapshot_messages(NodeId to, const Snapshot& snapshot) const {
  std::vector<Message> messages;
  if (role_ != Role::leader) return messages;
  std::uint64_t offset = 0;
  do {
    SnapshotChunk chunk;
    chunk.base = snapshot.base;
    chunk.offset = offset;
    chunk.data = snapshot.data.substr(offset, config_.chunk_bytes_max);
    offset += chunk.data.size();
    chunk.last = offset == snapshot.data.size();
    messages.push_back({config_.id, to, hard_state_.term, std::move(chunk)});
  } while (offset < snapshot.data.size());
  return messages;
}

}  // namespace ordeal::meta::raft
