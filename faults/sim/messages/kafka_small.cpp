#include "faults/sim/messages/kafka_small.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "broker/wire/messages/all.h"

namespace ordeal::sim {

using namespace wire;

namespace {

std::string words_of(ErrorCode code) { return error_words(static_cast<std::int16_t>(code)); }

std::string which_offset(std::int64_t timestamp) {
  switch (timestamp) {
    case kLatestTimestamp:
      return "the end";
    case kEarliestTimestamp:
    case kEarliestLocalTimestamp:
      return "the start";
    case kMaxTimestamp:
      return "of the newest timestamp";
    default:
      return fmt::format("at time {}", timestamp);
  }
}

Told words(const ListOffsetsRequest& body) {
  Told told{"ask offsets of", {}};
  for (const auto& topic : body.topics)
    for (const auto& part : topic.partitions)
      told.parts.push_back({partition_name(topic.name, part.partition_index), which_offset(part.timestamp)});
  return told;
}

Told words(const ListOffsetsResponse& body, TopicNames&) {
  Told told{"offsets:", {}};
  for (const auto& topic : body.topics) {
    for (const auto& part : topic.partitions) {
      std::string text = fmt::format("{} in epoch {}", part.offset, part.leader_epoch);
      if (part.error_code != ErrorCode::none) text = "refused: " + words_of(part.error_code);
      told.parts.push_back({partition_name(topic.name, part.partition_index), std::move(text)});
    }
  }
  return told;
}

Told words(const OffsetForLeaderEpochRequest& body) {
  Told told{"where does it end:", {}};
  for (const auto& topic : body.topics)
    for (const auto& part : topic.partitions)
      told.parts.push_back({partition_name(topic.topic, part.partition), fmt::format("epoch {}", part.leader_epoch)});
  return told;
}

Told words(const OffsetForLeaderEpochResponse& body, TopicNames&) {
  Told told{"ends:", {}};
  for (const auto& topic : body.topics) {
    for (const auto& part : topic.partitions) {
      std::string text = fmt::format("epoch {} at {}", part.leader_epoch, part.end_offset);
      if (part.error_code != ErrorCode::none) text = "refused: " + words_of(part.error_code);
      told.parts.push_back({partition_name(topic.topic, part.partition), std::move(text)});
    }
  }
  return told;
}

Told words(const FindCoordinatorRequest& body) {
  return {"find the coordinator of " + printable(body.coordinator_keys.empty() ? body.key : body.coordinator_keys[0]),
          {}};
}

Told words(const FindCoordinatorResponse& body, TopicNames&) {
  const bool listed = !body.coordinators.empty();
  const ErrorCode code = listed ? body.coordinators[0].error_code : body.error_code;
  if (code != ErrorCode::none) return {"refused: " + words_of(code), {}};
  return {fmt::format("coordinator is n{}", listed ? body.coordinators[0].node_id : body.node_id), {}};
}

Told words(const ApiVersionsRequest&) { return {"ask which versions it speaks", {}}; }

Told words(const ApiVersionsResponse& body, TopicNames&) {
  if (body.error_code != ErrorCode::none) return {"refused: " + words_of(body.error_code), {}};
  return {fmt::format("speaks {} APIs", body.api_keys.size()), {}};
}

Told words(const CreateTopicsRequest& body) {
  std::string said = "create";
  for (const auto& topic : body.topics)
    said += fmt::format(" {} ({} partitions, {} replicas)", printable(topic.name), topic.num_partitions,
                        topic.replication_factor);
  return {said, {}};
}

Told words(const CreateTopicsResponse& body, TopicNames& names) {
  std::string said;
  for (const auto& topic : body.topics) {
    names.learn(topic.topic_id, topic.name);
    const bool good = topic.error_code == ErrorCode::none;
    said += fmt::format("{}{} {}", said.empty() ? "" : ", ", printable(topic.name),
                        good ? "created" : "refused: " + words_of(topic.error_code));
  }
  return {said, {}};
}

Told words(const DeleteTopicsRequest& body) {
  std::vector<std::string> gone;
  for (const std::string& name : body.topic_names) gone.push_back(printable(name));
  for (const auto& topic : body.topics)
    gone.push_back(topic.name ? printable(*topic.name) : topic.topic_id.to_string());
  return {fmt::format("delete {}", fmt::join(gone, ", ")), {}};
}

Told words(const DeleteTopicsResponse& body, TopicNames& names) {
  std::string said;
  for (const auto& topic : body.responses) {
    const std::string name = topic.name ? printable(*topic.name) : names.of(topic.topic_id);
    const bool good = topic.error_code == ErrorCode::none;
    said += fmt::format("{}{} {}", said.empty() ? "" : ", ", name,
                        good ? "deleted" : "refused: " + words_of(topic.error_code));
  }
  return {said, {}};
}

Told words(const InitProducerIdRequest& body) {
  if (body.producer_id >= 0)
    return {fmt::format("next epoch of producer {} after {}", body.producer_id, body.producer_epoch), {}};
  return {"ask for a producer id", {}};
}

Told words(const InitProducerIdResponse& body, TopicNames&) {
  if (body.error_code != ErrorCode::none) return {"refused: " + words_of(body.error_code), {}};
  return {fmt::format("you are producer {} epoch {}", body.producer_id, body.producer_epoch), {}};
}

Told words(const DescribeConfigsRequest& body) {
  return {
      fmt::format("ask the settings of {} resource{}", body.resources.size(), body.resources.size() == 1 ? "" : "s"),
      {}};
}

Told words(const DescribeConfigsResponse& body, TopicNames&) {
  for (const auto& result : body.results)
    if (result.error_code != ErrorCode::none)
      return {fmt::format("{}: {}", printable(result.resource_name), words_of(result.error_code)), {}};
  return {"its settings", {}};
}

Told words(const DescribeClusterRequest&) { return {"describe the cluster", {}}; }

Told words(const DescribeClusterResponse& body, TopicNames&) {
  if (body.error_code != ErrorCode::none) return {"refused: " + words_of(body.error_code), {}};
  return {fmt::format("{} brokers, controller n{}", body.brokers.size(), body.controller_id), {}};
}

// Those that kafka_words.cpp tells need more than the body.
template <class Request>
constexpr bool kSmall =
    Request::kKey != ApiKey::produce && Request::kKey != ApiKey::fetch && Request::kKey != ApiKey::metadata;

}  // namespace

std::optional<Told> small_request(const DecodedHeader& head) {
  std::optional<Told> told;
  for_each_request([&]<class Request>() {
    if constexpr (kSmall<Request>) {
      if (head.api->key != Request::kKey) return;
      const auto body = decode<Request>(head.body, head.header.api_version);
      if (!body) return;
      if constexpr (requires { words(*body); })
        told = words(*body);
      else
        told = Told{};  // its name says enough
    }
  });
  return told;
}

std::optional<Told> small_reply(ApiKey key, std::int16_t version, const Slice& frame, TopicNames& names) {
  std::optional<Told> told;
  for_each_request([&]<class Request>() {
    if constexpr (kSmall<Request>) {
      if (key != Request::kKey) return;
      auto got = decode_response<typename Request::Response>(frame, version);
      // To a version that it does not speak, a broker answers in version 0.
      if (!got && key == ApiKey::api_versions) got = decode_response<typename Request::Response>(frame, 0);
      if (!got) return;
      if constexpr (requires { words(got->body, names); })
        told = words(got->body, names);
      else
        told = Told{};
    }
  });
  return told;
}

}  // namespace ordeal::sim
