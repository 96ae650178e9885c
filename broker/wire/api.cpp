// The table of APIs (PROTOCOL facts: Kafka 4.3's ranges), headers and frames.
#include "broker/wire/api.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "broker/base/check.h"
#include "broker/wire/codec.h"
#include "broker/wire/message_codec.h"

namespace ordeal::wire {
namespace {

// Produce is advertised from 0 though 0 to 2 are refused: librdkafka before 2.15 looks for 0 to decide whether it may
// compress (KAFKA-18659). InitProducerId 6 and ApiVersions 5 are readable but not yet stable in Kafka 4.3, hence not
// advertised.
constexpr std::array kApis = {
    ApiVersionRange{ApiKey::produce, "Produce", {0, 13}, {3, 13}, 9},
    ApiVersionRange{ApiKey::fetch, "Fetch", {4, 18}, {4, 18}, 12},
    ApiVersionRange{ApiKey::list_offsets, "ListOffsets", {1, 11}, {1, 11}, 6},
    ApiVersionRange{ApiKey::metadata, "Metadata", {0, 13}, {0, 13}, 9},
    ApiVersionRange{ApiKey::find_coordinator, "FindCoordinator", {0, 6}, {0, 6}, 3},
    ApiVersionRange{ApiKey::api_versions, "ApiVersions", {0, 4}, {0, 5}, 3},
    ApiVersionRange{ApiKey::create_topics, "CreateTopics", {2, 7}, {2, 7}, 5},
    ApiVersionRange{ApiKey::delete_topics, "DeleteTopics", {1, 6}, {1, 6}, 4},
    ApiVersionRange{ApiKey::init_producer_id, "InitProducerId", {0, 5}, {0, 6}, 2},
    ApiVersionRange{ApiKey::offset_for_leader_epoch, "OffsetForLeaderEpoch", {2, 4}, {2, 4}, 4},
    ApiVersionRange{ApiKey::describe_configs, "DescribeConfigs", {1, 4}, {1, 4}, 4},
    ApiVersionRange{ApiKey::describe_log_dirs, "DescribeLogDirs", {1, 5}, {1, 5}, 2},
    ApiVersionRange{ApiKey::elect_leaders, "ElectLeaders", {0, 2}, {0, 2}, 2},
    ApiVersionRange{ApiKey::incremental_alter_configs, "IncrementalAlterConfigs", {0, 1}, {0, 1}, 1},
    ApiVersionRange{ApiKey::describe_quorum, "DescribeQuorum", {0, 2}, {0, 2}, 0},
    ApiVersionRange{ApiKey::describe_cluster, "DescribeCluster", {0, 2}, {0, 2}, 0},
};

constexpr std::size_t kSizeField = 4;

void skip_tags(Reader& reader) {
  const std::uint32_t count = reader.uvarint();
  for (std::uint32_t i = 0; i < count && reader.ok(); ++i) {
    reader.uvarint();
    reader.take(reader.uvarint());
  }
}

}  // namespace

std::span<const ApiVersionRange> all_apis() { return kApis; }

const ApiVersionRange* find_api(std::int16_t key) {
  const auto* at = std::lower_bound(
      kApis.begin(), kApis.end(), key,
      [](const ApiVersionRange& api, std::int16_t wanted) { return static_cast<std::int16_t>(api.key) < wanted; });
  return at != kApis.end() && static_cast<std::int16_t>(at->key) == key ? at : nullptr;
}

const ApiVersionRange& api_of(ApiKey key) {
  const ApiVersionRange* api = find_api(static_cast<std::int16_t>(key));
  ORDEAL_CHECK(api != nullptr, "api key {}", static_cast<int>(key));
  return *api;
}

Result<DecodedHeader> decode_request_header(const Slice& frame) {
  Reader reader(frame);
  DecodedHeader decoded;
  decoded.header.api_key = reader.integer<std::int16_t>();
  decoded.header.api_version = reader.integer<std::int16_t>();
  decoded.header.correlation_id = reader.integer<std::int32_t>();
  if (!reader.ok()) return fail(Errc::corrupt, fmt::format("request header: {}", reader.failure()));
  decoded.api = find_api(decoded.header.api_key);
  if (decoded.api == nullptr) return decoded;
  // The client id keeps its old encoding even in the flexible header, so that a broker can read it at any version.
  if (const auto client_id = reader.string(Style::old)) decoded.header.client_id.emplace(*client_id);
  if (decoded.api->flexible(decoded.header.api_version)) skip_tags(reader);
  if (!reader.ok()) {
    return fail(Errc::corrupt, fmt::format("request header at byte {}: {}", reader.failed_at(), reader.failure()));
  }
  decoded.supported = decoded.api->supported.has(decoded.header.api_version);
  decoded.body = reader.rest();
  return decoded;
}

// ApiVersions answers before either side knows the other's versions, so its header stays at version 0.
bool flexible_response_header(const ApiVersionRange& api, std::int16_t version) {
  return api.key != ApiKey::api_versions && api.flexible(version);
}

void begin_request_frame(const RequestHeader& header, ApiKey key, Bytes& out) {
  out.resize(kSizeField);
  Writer writer(out);
  writer.integer(static_cast<std::int16_t>(key));
  writer.integer(header.api_version);
  writer.integer(header.correlation_id);
  if (header.client_id) {
    writer.string(*header.client_id, Style::old);
  } else {
    writer.null_string(Style::old);
  }
  if (api_of(key).flexible(header.api_version)) writer.uvarint(0);
}

void begin_response_frame(std::int32_t correlation_id, ApiKey key, std::int16_t version, Bytes& out) {
  out.resize(kSizeField);
  Writer writer(out);
  writer.integer(correlation_id);
  if (flexible_response_header(api_of(key), version)) writer.uvarint(0);
}

void finish_frame(Bytes& out) {
  ORDEAL_CHECK(out.size() - kSizeField <= 0x7fffffff, "frame of {} bytes", out.size());
  store_be<std::int32_t>(out.data(), static_cast<std::int32_t>(out.size() - kSizeField));
}

Result<ResponseHead> decode_response_header(const Slice& frame, ApiKey key, std::int16_t version) {
  Reader reader(frame);
  const auto correlation_id = reader.integer<std::int32_t>();
  if (flexible_response_header(api_of(key), version)) skip_tags(reader);
  if (!reader.ok()) {
    return fail(Errc::corrupt, fmt::format("{} response header at byte {}: {}", api_of(key).name, reader.failed_at(),
                                           reader.failure()));
  }
  return ResponseHead{correlation_id, reader.rest()};
}

Result<std::int32_t> peek_correlation_id(ByteView frame) {
  if (frame.size() < 4)
    return fail(Errc::corrupt, fmt::format("response of {} bytes has no correlation id", frame.size()));
  return load_be<std::int32_t>(frame.data());
}

}  // namespace ordeal::wire
