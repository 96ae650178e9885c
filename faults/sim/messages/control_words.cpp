#include "faults/sim/messages/control_words.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "broker/meta/raft_types.h"

namespace ordeal::sim {

using namespace meta;

namespace {

constexpr std::size_t kLength = 4;
constexpr std::size_t kAskedMax = 50'000;
constexpr std::size_t kPartsMax = 256;
constexpr std::size_t kOthersSpoken = 4;

template <class Nodes>
std::string set_of(const Nodes& nodes) {
  return fmt::format("{{{}}}", fmt::join(nodes, ","));
}

std::string node(std::int32_t id) { return id < 0 ? "nobody" : fmt::format("n{}", id); }

std::string leader_words(std::int32_t id) { return id < 0 ? "no leader" : fmt::format("leader n{}", id); }

std::string change_words(const PartitionChangeRecord& change) {
  std::vector<std::string> words;
  if (change.has_leader()) words.push_back(leader_words(change.leader()));
  if (change.has_isr()) words.push_back("ISR " + set_of(change.isr().nodes()));
  if (change.has_elr() && change.elr().nodes_size() > 0) words.push_back("ELR " + set_of(change.elr().nodes()));
  if (change.has_replicas()) words.push_back("replicas " + set_of(change.replicas().nodes()));
  return fmt::format("{}", fmt::join(words, " "));
}

std::string vote_answer(const RaftMessage& message, std::int32_t candidate) {
  const RaftVoteResponse& vote = message.vote_response();
  return fmt::format("{} for {} in term {}: {}", vote.pre() ? "pre-vote" : "vote", node(candidate), message.term(),
                     vote.granted() ? "granted" : "refused");
}

std::string append_answer(const RaftMessage& message) {
  const RaftAppendResponse& answer = message.append_response();
  if (answer.ok()) return fmt::format("has the log up to {} in term {}", answer.match_index(), message.term());
  return fmt::format("refused in term {}: differs at {}, try {}", message.term(), answer.rejected_prev(),
                     answer.hint_index());
}

// Of the answers that have nothing but an error and a word for success.
std::string outcome(std::int32_t code, std::string_view good) {
  return code == 0 ? std::string(good) : "refused " + error_words(code);
}

template <class Topics>
std::string topics_outcome(const Topics& topics, std::string_view good) {
  std::string said;
  for (const auto& topic : topics)
    said +=
        fmt::format("{}{} {}", said.empty() ? "" : ", ", printable(topic.name()), outcome(topic.error_code(), good));
  return said;
}

}  // namespace

Told ControlWords::tell(std::uint64_t connection, ByteView frame) {
  Envelope envelope;
  const ByteView body = frame.size() < kLength ? ByteView{} : frame.subspan(kLength);
  if (!envelope.ParseFromArray(body.data(), static_cast<int>(body.size()))) return {"(damaged)", {}};
  const std::pair key(connection, envelope.correlation());
  switch (envelope.body_case()) {
    case Envelope::kRaft:
      return raft(envelope);
    case Envelope::kRequest: {
      Told told = request(envelope.request());
      if (asked_.size() >= kAskedMax) asked_.erase(asked_.begin());
      asked_[key] = told;
      return told;
    }
    case Envelope::kResponse: {
      const auto found = asked_.find(key);
      const Told asked = found == asked_.end() ? Told{} : std::move(found->second);
      if (found != asked_.end()) asked_.erase(found);
      return response(envelope.response(), asked);
    }
    case Envelope::BODY_NOT_SET:
      break;
  }
  return {};
}

Told ControlWords::raft(const Envelope& envelope) {
  const RaftMessage& message = envelope.raft();
  switch (message.body_case()) {
    case RaftMessage::kVoteRequest: {
      const RaftVoteRequest& vote = message.vote_request();
      return {fmt::format("{} for {} in term {}? its log ends at {} of term {}", vote.pre() ? "pre-vote" : "vote",
                          node(envelope.from()), message.term(), vote.last_index(), vote.last_term()),
              {}};
    }
    case RaftMessage::kVoteResponse:
      return {vote_answer(message, envelope.to()), {}};
    case RaftMessage::kAppendRequest:
      return append(message);
    case RaftMessage::kAppendResponse:
      return {append_answer(message), {}};
    case RaftMessage::kSnapshotChunk:
      return {fmt::format("snapshot up to {} in term {}, {} bytes from {}{}", message.snapshot_chunk().index(),
                          message.term(), message.snapshot_chunk().data().size(), message.snapshot_chunk().offset(),
                          message.snapshot_chunk().last() ? ", the last" : ""),
              {}};
    case RaftMessage::kSnapshotResponse:
      return {fmt::format("has the snapshot up to {}", message.snapshot_response().match_index()), {}};
    case RaftMessage::kTimeoutNow:
      return {fmt::format("stand for election now, term {} ends", message.term()), {}};
    case RaftMessage::kJoin:
      return {fmt::format("let me join, my log ends at {}", message.join().last_index()), {}};
    case RaftMessage::kJoinResponse:
      return {"voters " + printable(message.join_response().voters()), {}};
    case RaftMessage::BODY_NOT_SET:
      break;
  }
  return {};
}

Told ControlWords::append(const RaftMessage& message) {
  const RaftAppendRequest& request = message.append_request();
  if (request.entries_size() == 0)
    return {
        fmt::format("leads term {}, log ends at {}, commit {}", message.term(), request.prev_index(), request.commit()),
        {}};
  const int count = request.entries_size();
  Told told{fmt::format("append {} entr{} after {} in term {}", count, count == 1 ? "y" : "ies", request.prev_index(),
                        message.term()),
            {}};
  std::vector<std::string> others;
  for (const RaftEntry& one : request.entries()) entry(one, told, others);
  if (others.size() > kOthersSpoken) {
    const std::size_t more = others.size() - kOthersSpoken;
    others.resize(kOthersSpoken);
    others.push_back(fmt::format("{} more", more));
  }
  if (!others.empty()) told.say += fmt::format(" ({})", fmt::join(others, ", "));
  if (!told.parts.empty()) told.say += ":";
  return told;
}

void ControlWords::entry(const RaftEntry& entry, Told& told, std::vector<std::string>& others) {
  if (entry.kind() == static_cast<std::int32_t>(raft::EntryKind::leader_change))
    others.push_back(fmt::format("term {} begins", entry.term()));
  if (entry.kind() == static_cast<std::int32_t>(raft::EntryKind::voters))
    others.push_back("voters " + printable(entry.data()));
  if (entry.kind() != static_cast<std::int32_t>(raft::EntryKind::records)) return;
  MetadataBatch batch;
  if (!batch.ParseFromArray(entry.data().data(), static_cast<int>(entry.data().size()))) {
    others.push_back("(damaged)");
    return;
  }
  for (const MetadataRecord& one : batch.records()) record(one, told, others);
}

void ControlWords::record(const MetadataRecord& record, Told& told, std::vector<std::string>& others) {
  if (told.parts.size() >= kPartsMax) return;
  switch (record.record_case()) {
    case MetadataRecord::kTopic:
      names_.learn(record.topic().topic_id(), record.topic().name());
      return others.push_back("topic " + printable(record.topic().name()));
    case MetadataRecord::kRemoveTopic:
      return others.push_back("without topic " + names_.of(record.remove_topic().topic_id()));
    case MetadataRecord::kPartition: {
      const PartitionRecord& part = record.partition();
      return told.parts.push_back(
          {partition_name(names_.of(part.topic_id()), part.partition()),
           fmt::format("{} epoch {} ISR {}", leader_words(part.leader()), part.leader_epoch(), set_of(part.isr()))});
    }
    case MetadataRecord::kPartitionChange: {
      const PartitionChangeRecord& change = record.partition_change();
      return told.parts.push_back(
          {partition_name(names_.of(change.topic_id()), change.partition()), change_words(change)});
    }
    case MetadataRecord::kRegisterBroker:
      return others.push_back(node(record.register_broker().broker_id()) + " registered");
    case MetadataRecord::kUnregisterBroker:
      return others.push_back(node(record.unregister_broker().broker_id()) + " unregistered");
    case MetadataRecord::kFenceBroker:
      return others.push_back(node(record.fence_broker().broker_id()) + " fenced");
    case MetadataRecord::kUnfenceBroker:
      return others.push_back(node(record.unfence_broker().broker_id()) + " unfenced");
    case MetadataRecord::kBrokerShuttingDown:
      return others.push_back(node(record.broker_shutting_down().broker_id()) + " stopping");
    case MetadataRecord::kProducerIdBlock:
      return others.push_back(fmt::format("producer ids below {}", record.producer_id_block().next_producer_id()));
    case MetadataRecord::kTopicConfig:
      return others.push_back(fmt::format("{} of {}", printable(record.topic_config().name()),
                                          names_.of(record.topic_config().topic_id())));
    case MetadataRecord::kFeature:
      return others.push_back("feature " + printable(record.feature().name()));
    case MetadataRecord::kNoOp:
    case MetadataRecord::RECORD_NOT_SET:
      return;
  }
}

Told ControlWords::request(const ControllerRequest& request) {
  switch (request.body_case()) {
    case ControllerRequest::kBrokerRegistration: {
      const BrokerRegistrationRequest& body = request.broker_registration();
      return {fmt::format("register {}, {}", node(body.broker_id()),
                          body.previous_broker_epoch() > 0
                              ? fmt::format("stopped cleanly in epoch {}", body.previous_broker_epoch())
                              : "no clean stop before"),
              {}};
    }
    case ControllerRequest::kBrokerHeartbeat: {
      const BrokerHeartbeatRequest& body = request.broker_heartbeat();
      return {fmt::format("{} in epoch {} has metadata up to {}{}{}", node(body.broker_id()), body.broker_epoch(),
                          body.current_metadata_offset(), body.want_fence() ? ", wants to be fenced" : "",
                          body.want_shutdown() ? ", wants to stop" : ""),
              {}};
    }
    case ControllerRequest::kAlterPartition: {
      Told told{"alter partition", {}};
      for (const auto& part : request.alter_partition().partitions()) {
        if (told.parts.size() >= kPartsMax) break;
        std::vector<std::int32_t> isr;
        for (const auto& member : part.new_isr()) isr.push_back(member.broker_id());
        told.parts.push_back({partition_name(names_.of(part.topic_id()), part.partition()),
                              fmt::format("ISR {} in epoch {}", set_of(isr), part.leader_epoch())});
      }
      return told;
    }
    case ControllerRequest::kCreateTopics: {
      std::vector<std::string> topics;
      for (const auto& topic : request.create_topics().topics()) topics.push_back(printable(topic.name()));
      return {fmt::format("create topic {}", fmt::join(topics, ", ")), {}};
    }
    case ControllerRequest::kDeleteTopics: {
      std::vector<std::string> topics;
      for (const auto& topic : request.delete_topics().topics())
        topics.push_back(topic.name().empty() ? names_.of(topic.topic_id()) : printable(topic.name()));
      return {fmt::format("delete topic {}", fmt::join(topics, ", ")), {}};
    }
    case ControllerRequest::kAllocateProducerIds:
      return {"ask for producer ids", {}};
    case ControllerRequest::kElectLeaders: {
      Told told{request.elect_leaders().unclean() ? "elect any leader" : "elect the preferred leader", {}};
      for (const auto& part : request.elect_leaders().partitions())
        if (told.parts.size() < kPartsMax) told.parts.push_back({partition_name(part.topic(), part.partition()), ""});
      return told;
    }
    case ControllerRequest::kAlterTopicConfigs: {
      std::vector<std::string> topics;
      for (const auto& topic : request.alter_topic_configs().topics()) topics.push_back(printable(topic.name()));
      return {fmt::format("change settings of {}", fmt::join(topics, ", ")), {}};
    }
    case ControllerRequest::kAlterVoters:
      return {fmt::format("{} voter {}", request.alter_voters().remove() ? "remove" : "add",
                          node(request.alter_voters().node_id())),
              {}};
    case ControllerRequest::kDescribeQuorum:
      return {"ask about the quorum", {}};
    case ControllerRequest::BODY_NOT_SET:
      break;
  }
  return {};
}

Told ControlWords::altered(const AlterPartitionResponse& body, const Told& asked) const {
  Told answer{"alter partition", {}};
  for (const auto& part : body.partitions()) {
    if (answer.parts.size() >= kPartsMax) break;
    const std::string name = partition_name(names_.of(part.topic_id()), part.partition());
    const auto wish = std::ranges::find(asked.parts, name, &Told::Part::partition);
    std::string words =
        fmt::format("ISR {}: done, {} epoch {}", set_of(part.isr()), leader_words(part.leader()), part.leader_epoch());
    if (part.error_code() != 0)
      words =
          fmt::format("{}: refused {}", wish == asked.parts.end() ? "" : wish->words, error_words(part.error_code()));
    answer.parts.push_back({name, std::move(words)});
  }
  return answer;
}

Told ControlWords::response(const ControllerResponse& response, const Told& asked) {
  Told told{asked.say, asked.parts};
  if (response.error_code() != 0) {
    told.say = "refused " + error_words(response.error_code()) + (told.say.empty() ? "" : ": " + told.say);
    return told;
  }
  switch (response.body_case()) {
    case ControllerResponse::kBrokerRegistration: {
      const BrokerRegistrationResponse& body = response.broker_registration();
      return {outcome(body.error_code(), fmt::format("registered in epoch {}", body.broker_epoch())), {}};
    }
    case ControllerResponse::kBrokerHeartbeat: {
      const BrokerHeartbeatResponse& body = response.broker_heartbeat();
      if (body.error_code() != 0) return {outcome(body.error_code(), ""), {}};
      return {fmt::format("{}{}{}", body.is_fenced() ? "fenced" : "unfenced", body.is_caught_up() ? "" : ", behind",
                          body.should_shutdown() ? ", may stop" : ""),
              {}};
    }
    case ControllerResponse::kAlterPartition: {
      const AlterPartitionResponse& body = response.alter_partition();
      if (body.error_code() != 0) {
        told.say = outcome(body.error_code(), "") + ": " + told.say;
        return told;
      }
      return altered(body, asked);
    }
    case ControllerResponse::kCreateTopics:
      for (const auto& topic : response.create_topics().topics()) names_.learn(topic.topic_id(), topic.name());
      return {topics_outcome(response.create_topics().topics(), "created"), {}};
    case ControllerResponse::kDeleteTopics:
      return {topics_outcome(response.delete_topics().topics(), "deleted"), {}};
    case ControllerResponse::kAlterTopicConfigs:
      return {topics_outcome(response.alter_topic_configs().topics(), "changed"), {}};
    case ControllerResponse::kAllocateProducerIds: {
      const AllocateProducerIdsResponse& body = response.allocate_producer_ids();
      return {
          outcome(body.error_code(), fmt::format("{} producer ids from {}", body.count(), body.first_producer_id())),
          {}};
    }
    case ControllerResponse::kElectLeaders: {
      Told answer{"elections:", {}};
      for (const auto& part : response.elect_leaders().partitions())
        if (answer.parts.size() < kPartsMax)
          answer.parts.push_back({partition_name(part.topic(), part.partition()), outcome(part.error_code(), "done")});
      return answer;
    }
    case ControllerResponse::kAlterVoters:
      told.say += ": " + outcome(response.alter_voters().error_code(), "done");
      return told;
    case ControllerResponse::kDescribeQuorum:
      return {fmt::format("node {} leads in term {}", response.describe_quorum().leader(),
                          response.describe_quorum().term()),
              {}};
    case ControllerResponse::BODY_NOT_SET:
      break;
  }
  return told;
}

}  // namespace ordeal::sim
