// The table from API key to handler, and the decode-handle-encode frame around each.
#include "broker/server/dispatch.h"

#include <fmt/format.h>

#include <utility>

#include "broker/base/check.h"
#include "broker/server/handlers/handlers.h"

namespace ordeal::server {
namespace {

Call call_of(const Request& request) { return {request.header.api_version, request.listener}; }

// Decode, handle, encode. `handle` is a plain function or a lambda without captures, so nothing of it can die early.
template <class Message, class Handle>
env::Task<Reply> answer(Services& services, Request request, Handle handle) {
  const std::int16_t version = request.header.api_version;
  Result<Message> message = wire::decode<Message>(request.body, version);
  if (!message) co_return fail(message.error());
  typename Message::Response response = co_await handle(services, call_of(request), std::move(*message));
  co_return wire::encode_response(request.header.correlation_id, version, response);
}

// For handlers that need not wait.
template <class Message, class Handle>
env::Task<Reply> answer_now(Services& services, Request request, Handle handle) {
  const std::int16_t version = request.header.api_version;
  Result<Message> message = wire::decode<Message>(request.body, version);
  if (!message) co_return fail(message.error());
  const typename Message::Response response = handle(services, call_of(request), *message);
  co_return wire::encode_response(request.header.correlation_id, version, response);
}

env::Task<Reply> answer_produce(Services& services, Request request) {
  const std::int16_t version = request.header.api_version;
  Result<wire::ProduceRequest> message = wire::decode<wire::ProduceRequest>(request.body, version);
  if (!message) co_return fail(message.error());
  Result<std::optional<wire::ProduceResponse>> response =
      co_await produce(services, call_of(request), std::move(*message));
  if (!response) co_return fail(response.error());
  if (!*response) co_return std::nullopt;
  co_return wire::encode_response(request.header.correlation_id, version, **response);
}

env::Task<Reply> answer_api_versions(Services& services, Request request) {
  const std::int16_t version = request.header.api_version;
  if (!request.api->supported.has(version)) {
    co_return wire::encode_response(request.header.correlation_id, 0, api_versions_unsupported());
  }
  Result<wire::ApiVersionsRequest> message = wire::decode<wire::ApiVersionsRequest>(request.body, version);
  if (!message) co_return fail(message.error());
  co_return wire::encode_response(request.header.correlation_id, version, api_versions(services, *message));
}

env::Task<Reply> refuse(Error error) { co_return fail(std::move(error)); }

}  // namespace

env::Task<Reply> dispatch(Services& services, Request request) {
  using wire::ApiKey;
  ORDEAL_CHECK(request.api != nullptr);
  if (request.api->key == ApiKey::api_versions) return answer_api_versions(services, std::move(request));
  if (!request.api->supported.has(request.header.api_version)) {
    return refuse({Errc::unsupported, fmt::format("{} version {}", request.api->name, request.header.api_version)});
  }
  switch (request.api->key) {
    case ApiKey::produce:
      return answer_produce(services, std::move(request));
    case ApiKey::fetch:
      return answer<wire::FetchRequest>(services, std::move(request), &fetch);
    case ApiKey::list_offsets:
      return answer<wire::ListOffsetsRequest>(services, std::move(request), &list_offsets);
    case ApiKey::metadata:
      return answer<wire::MetadataRequest>(services, std::move(request), &metadata);
    case ApiKey::create_topics:
      return answer<wire::CreateTopicsRequest>(services, std::move(request), &create_topics);
    case ApiKey::delete_topics:
      return answer<wire::DeleteTopicsRequest>(services, std::move(request), &delete_topics);
    case ApiKey::init_producer_id:
      return answer<wire::InitProducerIdRequest>(services, std::move(request), [](Services& s, Call, auto message) {
        return init_producer_id(s, std::move(message));
      });
    case ApiKey::offset_for_leader_epoch:
      return answer<wire::OffsetForLeaderEpochRequest>(
          services, std::move(request),
          [](Services& s, Call, auto message) { return offset_for_leader_epoch(s, std::move(message)); });
    case ApiKey::find_coordinator:
      return answer_now<wire::FindCoordinatorRequest>(
          services, std::move(request),
          [](Services&, const Call& call, const auto& message) { return find_coordinator(call, message); });
    case ApiKey::describe_configs:
      return answer_now<wire::DescribeConfigsRequest>(
          services, std::move(request),
          [](Services& s, const Call&, const auto& message) { return describe_configs(s, message); });
    case ApiKey::describe_cluster:
      return answer_now<wire::DescribeClusterRequest>(services, std::move(request), &describe_cluster);
    case ApiKey::incremental_alter_configs:
      return answer<wire::IncrementalAlterConfigsRequest>(
          services, std::move(request),
          [](Services& s, Call, auto message) { return incremental_alter_configs(s, std::move(message)); });
    case ApiKey::elect_leaders:
      return answer<wire::ElectLeadersRequest>(services, std::move(request), [](Services& s, Call, auto message) {
        return elect_leaders(s, std::move(message));
      });
    case ApiKey::describe_quorum:
      return answer<wire::DescribeQuorumRequest>(services, std::move(request), [](Services& s, Call, auto message) {
        return describe_quorum(s, std::move(message));
      });
    case ApiKey::describe_log_dirs:
      return answer_now<wire::DescribeLogDirsRequest>(
          services, std::move(request),
          [](Services& s, const Call&, const auto& message) { return describe_log_dirs(s, message); });
    case ApiKey::api_versions:
      break;
  }
  return refuse({Errc::unsupported, fmt::format("api key {}", request.header.api_key)});
}

}  // namespace ordeal::server
