// The quorum as a node sees it: whom it is connected to, which changes of the voters it makes, and what of all that it
// tells to traces and to whoever looks from outside.
#include "broker/meta/control_codec.h"
#include "broker/meta/error_code.h"
#include "broker/meta/node_impl.h"

namespace ordeal::meta {

namespace {

std::int32_t error_of(raft::VoterRefusal refusal) {
  switch (refusal) {
    case raft::VoterRefusal::none:
      return error_code::kNone;
    case raft::VoterRefusal::not_leader:
      return error_code::kNotController;
    case raft::VoterRefusal::not_ready:
    case raft::VoterRefusal::pending:
    case raft::VoterRefusal::behind:
      return error_code::kRequestTimedOut;  // to be tried again
    case raft::VoterRefusal::present:
      return error_code::kDuplicateVoter;
    case raft::VoterRefusal::absent:
      return error_code::kVoterNotFound;
    case raft::VoterRefusal::too_many:
    case raft::VoterRefusal::last_one:
      return error_code::kInvalidRequest;
  }
  return error_code::kUnknownServerError;
}

}  // namespace

Endpoint Node::Impl::own_endpoint() const {
  const auto voter = config_.voters.find(config_.id);
  return voter == config_.voters.end() ? config_.controller_endpoint : voter->second;
}

void Node::Impl::connect_to(NodeId peer, const Endpoint& endpoint) {
  if (peer == config_.id || gate_.closing()) return;
  auto& channel = channels_[peer];
  if (channel && channel->endpoint() == endpoint) return;
  if (channel) {
    // Its tasks may still run: they end with the gate.
    channel->stop();
    replaced_channels_.push_back(std::move(channel));
  }
  channel = std::make_unique<PeerChannel>(env_, gate_, channel_config(), peer, endpoint, *this);
  channel->start();
}

void Node::Impl::connect_to_voters(const raft::VoterSet& voters) {
  for (const auto& [id, endpoint] : voters) connect_to(id, endpoint);
}

void Node::Impl::send_raft(const raft::Message& message) {
  const auto channel = channels_.find(message.to);
  if (channel == channels_.end()) return;  // a node that has not said where it listens; it will ask again
  Envelope envelope;
  encode_raft(message, envelope);
  channel->second->send_raft(std::move(envelope));
}

// The controller's own image counts every entry, also those without records.
void Node::Impl::alter_voters(const AlterVotersRequest& request, ControllerResponse& response) {
  const Instant now = env_.scheduler.now();
  const Endpoint endpoint{request.host(), static_cast<std::uint16_t>(request.port())};
  const bool named = request.remove() || (!endpoint.host.empty() && request.port() > 0 && request.port() < 65536);
  AlterVotersResponse* body = response.mutable_alter_voters();
  if (!named) {
    body->set_error_code(error_code::kInvalidRequest);
    body->set_error_message("a voter to be added must say where it listens");
    return;
  }
  const raft::Raft::VoterAnswer answer = request.remove() ? raft_->remove_voter(request.node_id(), now)
                                                          : raft_->add_voter(request.node_id(), endpoint, now);
  body->set_error_code(error_of(answer.refusal));
  body->set_error_message(raft::refusal_text(answer.refusal));
  if (answer.refusal == raft::VoterRefusal::none) controller_->skip(answer.index);
}

ControllerResponse Node::Impl::describe_quorum() const {
  ControllerResponse response;
  DescribeQuorumResponse& body = *response.mutable_describe_quorum();
  body.set_leader(config_.id);
  body.set_term(raft_->term());
  body.set_commit(raft_->commit_index());
  const Instant now = env_.scheduler.now();
  const WallMs wall = env_.scheduler.wall_ms();
  const auto wall_of = [&](Instant then) {
    return wall - std::chrono::duration_cast<std::chrono::milliseconds>(now - then).count();
  };
  const auto add = [&](NodeId id, raft::Index match, WallMs heard, WallMs caught_up) {
    DescribeQuorumResponse::Replica& replica = *body.add_replicas();
    replica.set_node_id(id);
    replica.set_last_index(match);
    replica.set_heard_ms(heard);
    replica.set_caught_up_ms(caught_up);
    const auto voter = raft_->voters().find(id);
    replica.set_voter(voter != raft_->voters().end());
    if (!replica.voter()) return;
    replica.set_host(voter->second.host);
    replica.set_port(voter->second.port);
  };
  add(config_.id, raft_->last_index(), -1, wall);
  for (const raft::Raft::Peer& peer : raft_->peers())
    add(peer.id, peer.match, wall_of(peer.heard), peer.caught_up ? wall_of(*peer.caught_up) : -1);
  return response;
}

void Node::Impl::note_quorum() {
  if (raft_->commit_index() != seen_commit_) {
    seen_commit_ = raft_->commit_index();
    env_.trace.debug("raft.commit", {{"term", raft_->term_at(seen_commit_).value_or(-1)},
                                     {"index", seen_commit_},
                                     {"hash", static_cast<std::int64_t>(raft_->hash_at(seen_commit_))}});
  }
  if (raft_->voters_index() == seen_voters_index_ && raft_->voters() == seen_voters_) return;
  seen_voters_index_ = raft_->voters_index();
  seen_voters_ = raft_->voters();
  std::string ids;
  for (const auto& [id, endpoint] : seen_voters_) ids += (ids.empty() ? "" : ",") + std::to_string(id);
  env_.trace.debug("raft.voters", {{"index", seen_voters_index_}, {"voters", std::string_view(ids)}});
  connect_to_voters(seen_voters_);
}

void Node::Impl::note_applied() {
  const Offset index = image_->offset();
  if (index < raft_->first_index() - 1 || index > raft_->last_index()) return;  // a mutated log is shorter
  env_.trace.debug("raft.applied", {{"index", index},
                                    {"hash", static_cast<std::int64_t>(raft_->hash_at(index))},
                                    {"digest", static_cast<std::int64_t>(image_->digest())}});
}

QuorumStatus Node::Impl::quorum() const {
  QuorumStatus status;
  if (!raft_) return status;
  status.term = raft_->term();
  status.role = raft_->role();
  status.leader = raft_->leader();
  status.commit = raft_->commit_index();
  status.end = raft_->last_index();
  status.start = raft_->first_index();
  status.applied = image_->offset();
  for (const auto& [id, endpoint] : raft_->voters()) status.voters.push_back(id);
  return status;
}

}  // namespace ordeal::meta
