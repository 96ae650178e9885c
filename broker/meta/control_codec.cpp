#include "broker/meta/control_codec.h"

#include "broker/base/bytes.h"
#include "broker/base/check.h"

namespace ordeal::meta {
namespace {

using namespace raft;

struct Encoder {
  RaftMessage& out;

  const char* operator()(const VoteRequest& from) const {
    RaftVoteRequest* to = out.mutable_vote_request();
    to->set_pre(from.pre);
    to->set_last_index(from.last_index);
    to->set_last_term(from.last_term);
    to->set_transfer(from.transfer);
    return from.pre ? "raft_pre_vote_request" : "raft_vote_request";
  }
  const char* operator()(const VoteResponse& from) const {
    RaftVoteResponse* to = out.mutable_vote_response();
    to->set_pre(from.pre);
    to->set_granted(from.granted);
    return from.pre ? "raft_pre_vote_response" : "raft_vote_response";
  }
  const char* operator()(const AppendRequest& from) const {
    RaftAppendRequest* to = out.mutable_append_request();
    to->set_prev_index(from.prev_index);
    to->set_prev_term(from.prev_term);
    to->set_commit(from.commit);
    to->set_trusted(from.trusted);
    for (const Entry& entry : from.entries) {
      RaftEntry* added = to->add_entries();
      added->set_term(entry.term);
      added->set_kind(static_cast<std::int32_t>(entry.kind));
      added->set_data(entry.data);
    }
    return "raft_append_request";
  }
  const char* operator()(const AppendResponse& from) const {
    RaftAppendResponse* to = out.mutable_append_response();
    to->set_ok(from.ok);
    to->set_match_index(from.match_index);
    to->set_rejected_prev(from.rejected_prev);
    to->set_hint_index(from.hint_index);
    to->set_hint_term(from.hint_term);
    to->set_blank(from.blank);
    return "raft_append_response";
  }
  const char* operator()(const SnapshotChunk& from) const {
    RaftSnapshotChunk* to = out.mutable_snapshot_chunk();
    to->set_index(from.base.index);
    to->set_snapshot_term(from.base.term);
    to->set_offset(from.offset);
    to->set_data(from.data);
    to->set_last(from.last);
    to->set_hash(from.base.hash);
    to->set_voters(encode_voters(from.base.voters));
    return "raft_snapshot_chunk";
  }
  const char* operator()(const SnapshotResponse& from) const {
    out.mutable_snapshot_response()->set_match_index(from.match_index);
    out.mutable_snapshot_response()->set_blank(from.blank);
    return "raft_snapshot_response";
  }
  const char* operator()(const TimeoutNow&) const {
    out.mutable_timeout_now();
    return "raft_timeout_now";
  }
  const char* operator()(const Join& from) const {
    out.mutable_join()->set_host(from.endpoint.host);
    out.mutable_join()->set_port(from.endpoint.port);
    out.mutable_join()->set_last_index(from.last_index);
    return "raft_join";
  }
  const char* operator()(const JoinResponse& from) const {
    out.mutable_join_response()->set_voters(encode_voters(from.voters));
    return "raft_join_response";
  }
};

std::optional<AppendRequest> decode_append(const RaftAppendRequest& from) {
  AppendRequest to;
  to.prev_index = from.prev_index();
  to.prev_term = from.prev_term();
  to.commit = from.commit();
  to.trusted = from.trusted();
  if (to.prev_index < 0 || to.commit < 0) return std::nullopt;
  for (const RaftEntry& entry : from.entries()) {
    if (entry.kind() < 0 || entry.kind() > 2) return std::nullopt;
    if (entry.kind() == 2 && !decode_voters(entry.data())) return std::nullopt;
    const Index index = to.prev_index + static_cast<Index>(to.entries.size()) + 1;
    to.entries.push_back({index, entry.term(), static_cast<EntryKind>(entry.kind()), entry.data()});
  }
  return to;
}

std::optional<SnapshotChunk> decode_chunk(const RaftSnapshotChunk& from) {
  SnapshotChunk to;
  to.base = {from.index(), from.snapshot_term(), from.hash(), {}};
  to.offset = from.offset();
  to.data = from.data();
  to.last = from.last();
  if (from.voters().empty()) return to;
  std::optional<VoterSet> voters = decode_voters(from.voters());
  if (!voters) return std::nullopt;
  to.base.voters = std::move(*voters);
  return to;
}

std::optional<Join> decode_join(const RaftJoin& from) {
  if (from.port() == 0 || from.port() > 65535 || from.last_index() < 0) return std::nullopt;
  return Join{{from.host(), static_cast<std::uint16_t>(from.port())}, from.last_index()};
}

}  // namespace

void encode_raft(const raft::Message& message, Envelope& envelope) {
  envelope.set_from(message.from);
  envelope.set_to(message.to);
  RaftMessage* out = envelope.mutable_raft();
  out->set_term(message.term);
  envelope.set_api(std::visit(Encoder{*out}, message.body));
}

std::optional<raft::Message> decode_raft(const Envelope& envelope) {
  const RaftMessage& from = envelope.raft();
  raft::Message to;
  to.from = envelope.from();
  to.to = envelope.to();
  to.term = from.term();
  switch (from.body_case()) {
    case RaftMessage::kVoteRequest: {
      const auto& body = from.vote_request();
      to.body = VoteRequest{body.pre(), body.last_index(), body.last_term(), body.transfer()};
      return to;
    }
    case RaftMessage::kVoteResponse:
      to.body = VoteResponse{from.vote_response().pre(), from.vote_response().granted()};
      return to;
    case RaftMessage::kAppendRequest: {
      auto body = decode_append(from.append_request());
      if (!body) return std::nullopt;
      to.body = std::move(*body);
      return to;
    }
    case RaftMessage::kAppendResponse: {
      const auto& body = from.append_response();
      to.body = AppendResponse{body.ok(),         body.match_index(), body.rejected_prev(),
                               body.hint_index(), body.hint_term(),   body.blank()};
      return to;
    }
    case RaftMessage::kSnapshotChunk: {
      auto body = decode_chunk(from.snapshot_chunk());
      if (!body) return std::nullopt;
      to.body = std::move(*body);
      return to;
    }
    case RaftMessage::kSnapshotResponse:
      to.body = SnapshotResponse{from.snapshot_response().match_index(), from.snapshot_response().blank()};
      return to;
    case RaftMessage::kJoin: {
      auto body = decode_join(from.join());
      if (!body) return std::nullopt;
      to.body = std::move(*body);
      return to;
    }
    case RaftMessage::kJoinResponse: {
      auto voters = decode_voters(from.join_response().voters());
      if (!voters) return std::nullopt;
      to.body = JoinResponse{std::move(*voters)};
      return to;
    }
    case RaftMessage::kTimeoutNow:
      to.body = TimeoutNow{};
      return to;
    case RaftMessage::BODY_NOT_SET:
      break;
  }
  return std::nullopt;
}

const char* api_name(const ControllerRequest& request) {
  switch (request.body_case()) {
    case ControllerRequest::kBrokerRegistration:
      return "broker_registration";
    case ControllerRequest::kBrokerHeartbeat:
      return "broker_heartbeat";
    case ControllerRequest::kAlterPartition:
      return "alter_partition";
    case ControllerRequest::kCreateTopics:
      return "create_topics";
    case ControllerRequest::kDeleteTopics:
      return "delete_topics";
    case ControllerRequest::kAllocateProducerIds:
      return "allocate_producer_ids";
    case ControllerRequest::kElectLeaders:
      return "elect_leaders";
    case ControllerRequest::kAlterTopicConfigs:
      return "alter_topic_configs";
    case ControllerRequest::kAlterVoters:
      return "alter_voters";
    case ControllerRequest::kDescribeQuorum:
      return "describe_quorum";
    case ControllerRequest::BODY_NOT_SET:
      break;
  }
  return "none";
}

std::string encode_frame(const Envelope& envelope) {
  const std::size_t size = envelope.ByteSizeLong();
  ORDEAL_CHECK(size <= kFrameBytesMax, "a control message of {} bytes", size);
  std::string frame(4 + size, '\0');
  store_be(reinterpret_cast<std::uint8_t*>(frame.data()), static_cast<std::uint32_t>(size));
  envelope.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(frame.data()) + 4);
  return frame;
}

}  // namespace ordeal::meta
