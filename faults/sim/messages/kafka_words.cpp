#include "faults/sim/messages/kafka_words.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "broker/wire/messages/all.h"
#include "broker/wire/record_batch.h"
#include "faults/sim/messages/kafka_small.h"

namespace ordeal::sim {

using namespace wire;

namespace {

constexpr std::size_t kLength = 4;
constexpr std::size_t kAskedMax = 50'000;
constexpr const char* kDamaged = "(damaged)";

Slice content(ByteView frame) {
  const ByteView body = frame.size() < kLength ? ByteView{} : frame.subspan(kLength);
  return Slice::own(Bytes(body.begin(), body.end()));
}

// Offsets of damaged batches may be anything: sums wrap.
std::int64_t plus(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}

std::string range(std::int64_t first, std::int64_t last) {
  return first == last ? std::to_string(first) : fmt::format("{}..{}", first, last);
}

// "4 records seq 12..15 of producer 1000"; `count` becomes how many.
std::string records_words(ByteView records, std::int64_t& count) {
  BatchIterator batches(records);
  std::string producer;
  while (const auto batch = batches.next()) {
    count = plus(count, batch->record_count());
    if (!batch->has_producer_id() || !producer.empty()) continue;
    const std::int32_t first = batch->base_sequence();
    const std::int64_t last = first < 0 ? first : batch->last_sequence();
    producer = fmt::format(" seq {} of producer {}", range(first, last), batch->producer_id());
    if (batch->producer_epoch() > 0) producer += fmt::format(" epoch {}", batch->producer_epoch());
  }
  std::string words = fmt::format("{} record{}{}", count, count == 1 ? "" : "s", producer);
  if (!batches.clean()) words += " (damaged batch)";
  return words;
}

std::string fetched_words(const FetchResponse::PartitionData& part) {
  if (part.error_code != ErrorCode::none) return "refused: " + error_words(static_cast<std::int16_t>(part.error_code));
  if (part.diverging_epoch.epoch >= 0)
    return fmt::format("diverges: epoch {} ends at {}", part.diverging_epoch.epoch, part.diverging_epoch.end_offset);
  std::int64_t first = -1;
  std::int64_t last = -1;
  std::int32_t epoch = -1;
  if (part.records) {
    BatchIterator batches(part.records->view);
    while (const auto batch = batches.next()) {
      if (epoch < 0) first = batch->base_offset();
      last = plus(batch->base_offset(), batch->last_offset_delta());
      epoch = std::max(batch->partition_leader_epoch(), 0);
    }
  }
  const std::string what = epoch < 0 ? "nothing new" : fmt::format("{} of epoch {}", range(first, last), epoch);
  return fmt::format("{}, hw {}", what, part.high_watermark);
}

}  // namespace

Told KafkaWords::request(std::uint64_t connection, ByteView frame) {
  const Result<DecodedHeader> head = decode_request_header(content(frame));
  if (!head) return {kDamaged, {}};
  Asked asked{head->header.api_key, head->header.api_version, {}, {}};
  Told told;
  if (head->api != nullptr && head->supported) told = ask(connection, *head, asked);
  asked.parts = told.parts;
  if (asked_.size() >= kAskedMax) asked_.erase(asked_.begin());
  asked_[{connection, head->header.correlation_id}] = std::move(asked);
  return told;
}

Told KafkaWords::reply(std::uint64_t connection, ByteView frame) {
  const Slice body = content(frame);
  const Result<std::int32_t> correlation = peek_correlation_id(body.view);
  if (!correlation) return {kDamaged, {}};
  const auto found = asked_.find({connection, *correlation});
  if (found == asked_.end()) return {};
  const Asked asked = std::move(found->second);
  asked_.erase(found);
  const ApiVersionRange* api = find_api(asked.key);
  if (api == nullptr || !api->supported.has(asked.version)) return {};
  return answer(asked, body);
}

Told KafkaWords::ask(std::uint64_t connection, const DecodedHeader& head, Asked& asked) {
  switch (head.api->key) {
    case ApiKey::produce:
      return produce(head, asked);
    case ApiKey::fetch:
      return fetch(connection, head);
    case ApiKey::metadata:
      return metadata(head);
    default:
      return small_request(head).value_or(Told{kDamaged, {}});
  }
}

Told KafkaWords::answer(const Asked& asked, const Slice& frame) {
  Told told;
  switch (static_cast<ApiKey>(asked.key)) {
    case ApiKey::produce:
      told = produced(asked, frame);
      break;
    case ApiKey::fetch:
      told = fetched(asked, frame);
      break;
    case ApiKey::metadata:
      told = described(asked, frame);
      break;
    default:
      told = small_reply(static_cast<ApiKey>(asked.key), asked.version, frame, names_).value_or(Told{kDamaged, {}});
  }
  // An answer that names no partition concerns those of its request.
  if (told.parts.empty())
    for (const Told::Part& part : asked.parts) told.parts.push_back({part.partition, ""});
  return told;
}

Told KafkaWords::produce(const DecodedHeader& head, Asked& asked) {
  const auto body = decode<ProduceRequest>(head.body, head.header.api_version);
  if (!body) return {kDamaged, {}};
  Told told{body->acks == -1 ? "produce" : fmt::format("produce with acks={}", body->acks), {}};
  for (const auto& topic_data : body->topic_data) {
    for (const auto& part : topic_data.partition_data) {
      const std::string name = partition_name(topic(topic_data.name, topic_data.topic_id), part.index);
      std::int64_t& count = asked.counts[name];
      told.parts.push_back({name, records_words(part.records ? part.records->view : ByteView{}, count)});
    }
  }
  return told;
}

Told KafkaWords::produced(const Asked& asked, const Slice& frame) {
  const auto got = decode_response<ProduceResponse>(frame, asked.version);
  if (!got) return {kDamaged, {}};
  Told told{"refused", {}};
  for (const auto& response : got->body.responses) {
    for (const auto& part : response.partition_responses) {
      const std::string name = partition_name(topic(response.name, response.topic_id), part.index);
      const auto count = asked.counts.find(name);
      const std::int64_t more = count == asked.counts.end() ? 0 : std::max<std::int64_t>(count->second - 1, 0);
      if (part.error_code != ErrorCode::none) {
        told.parts.push_back({name, error_words(static_cast<std::int16_t>(part.error_code))});
      } else {
        told.say = "appended";
        told.parts.push_back({name, "at " + range(part.base_offset, plus(part.base_offset, more))});
      }
    }
  }
  return told;
}

Told KafkaWords::fetch(std::uint64_t connection, const DecodedHeader& head) {
  const auto body = decode<FetchRequest>(head.body, head.header.api_version);
  if (!body) return {kDamaged, {}};
  Parts& session = sessions_[connection];
  if (body->session_epoch <= 0) session.clear();
  for (const auto& gone : body->forgotten_topics_data)
    for (const std::int32_t part : gone.partitions)
      session.erase(partition_name(topic(gone.topic, gone.topic_id), part));
  for (const auto& topic_data : body->topics) {
    for (const auto& part : topic_data.partitions) {
      std::string words = fmt::format("from {}", part.fetch_offset);
      if (part.current_leader_epoch >= 0) words += fmt::format(" in epoch {}", part.current_leader_epoch);
      if (part.last_fetched_epoch >= 0 && part.last_fetched_epoch != part.current_leader_epoch)
        words += fmt::format(", last of epoch {}", part.last_fetched_epoch);
      session[partition_name(topic(topic_data.topic, topic_data.topic_id), part.partition)] = std::move(words);
    }
  }
  Told told{"fetch", {}};
  for (const auto& [partition, words] : session) told.parts.push_back({partition, words});
  return told;
}

Told KafkaWords::fetched(const Asked& asked, const Slice& frame) {
  const auto got = decode_response<FetchResponse>(frame, asked.version);
  if (!got) return {kDamaged, {}};
  if (got->body.error_code != ErrorCode::none)
    return {"refused: " + error_words(static_cast<std::int16_t>(got->body.error_code)), {}};
  Told told{"fetched", {}};
  Parts listed;
  for (const auto& response : got->body.responses) {
    for (const auto& part : response.partitions) {
      const std::string name = partition_name(topic(response.topic, response.topic_id), part.partition_index);
      listed[name] = "";
      told.parts.push_back({name, fetched_words(part)});
    }
  }
  for (const Told::Part& part : asked.parts)  // a session's answer leaves out what has nothing new
    if (!listed.contains(part.partition)) told.parts.push_back({part.partition, "nothing new"});
  return told;
}

Told KafkaWords::metadata(const DecodedHeader& head) {
  const auto body = decode<MetadataRequest>(head.body, head.header.api_version);
  if (!body) return {kDamaged, {}};
  const bool all = !body->topics || (body->topics->empty() && head.header.api_version == 0);
  if (all) return {"ask about all topics", {}};
  if (body->topics->empty()) return {"ask who the brokers are", {}};
  std::vector<std::string> asked;
  for (const auto& one : *body->topics) asked.push_back(one.name ? printable(*one.name) : names_.of(one.topic_id));
  if (asked.size() > 4) asked.resize(4);
  return {fmt::format("ask about {}", fmt::join(asked, ", ")), {}};
}

Told KafkaWords::described(const Asked& asked, const Slice& frame) {
  const auto got = decode_response<MetadataResponse>(frame, asked.version);
  if (!got) return {kDamaged, {}};
  Told told{fmt::format("{} brokers, controller n{}", got->body.brokers.size(), got->body.controller_id), {}};
  for (const auto& found : got->body.topics) {
    const std::string name = found.name.value_or(names_.of(found.topic_id));
    if (found.name) names_.learn(found.topic_id, *found.name);
    if (found.error_code != ErrorCode::none)
      told.say += fmt::format("; {}: {}", printable(name), error_words(static_cast<std::int16_t>(found.error_code)));
    for (const auto& part : found.partitions) {
      std::string leader = part.leader_id < 0 ? "no leader" : fmt::format("leader n{}", part.leader_id);
      told.parts.push_back(
          {partition_name(name, part.partition_index),
           fmt::format("{} in epoch {}, ISR {{{}}}", leader, part.leader_epoch, fmt::join(part.isr_nodes, ","))});
    }
  }
  if (!told.parts.empty()) told.say += ":";
  return told;
}

}  // namespace ordeal::sim
