// ApiVersions, DescribeCluster, FindCoordinator, and what several families share.
#include <fmt/format.h>

#include <algorithm>

#include "broker/server/handlers/handlers.h"
#include "broker/wire/api.h"

namespace ordeal::server {

using wire::ErrorCode;

namespace {

wire::ApiVersionsResponse::ApiVersion advertised(const wire::ApiVersionRange& api) {
  return {static_cast<std::int16_t>(api.key), api.advertised.from, api.advertised.to};
}

// Without an authorizer everything is allowed: the bits of all operations on a cluster (AclOperation codes).
constexpr std::int32_t kClusterOperations = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12;

}  // namespace

wire::ApiVersionsResponse api_versions(const Services& services, const wire::ApiVersionsRequest& request) {
  wire::ApiVersionsResponse response;
  // A client that meant another cluster or another node of it must look for its broker again (KIP-1242).
  const bool elsewhere = (request.cluster_id && *request.cluster_id != services.config.cluster_id) ||
                         (request.node_id >= 0 && request.node_id != services.config.node_id);
  if (elsewhere) response.error_code = ErrorCode::rebootstrap_required;
  for (const wire::ApiVersionRange& api : wire::all_apis()) {
    if (api.advertised.to >= api.advertised.from) response.api_keys.push_back(advertised(api));
  }
  return response;
}

wire::ApiVersionsResponse api_versions_unsupported() {
  wire::ApiVersionsResponse response;
  response.error_code = ErrorCode::unsupported_version;
  response.api_keys.push_back(advertised(wire::api_of(wire::ApiKey::api_versions)));
  return response;
}

wire::DescribeClusterResponse describe_cluster(const Services& services, const Call& call,
                                               const wire::DescribeClusterRequest& request) {
  wire::DescribeClusterResponse response;
  response.endpoint_type = request.endpoint_type;
  response.cluster_id = services.config.cluster_id;
  if (request.endpoint_type != 1) {
    const bool controllers = request.endpoint_type == 2;
    response.error_code = controllers ? ErrorCode::mismatched_endpoint_type : ErrorCode::unsupported_endpoint_type;
    response.error_message = controllers ? "this is a broker's endpoint, not a controller's"
                                         : fmt::format("endpoint type {} is unknown", int{request.endpoint_type});
    return response;
  }
  const meta::ImagePtr image = services.metadata.image();
  for (const auto& [id, broker] : image->brokers()) {
    if (broker.fenced && !request.include_fenced_brokers) continue;
    const Endpoint* endpoint = broker.endpoint(call.listener);
    if (endpoint == nullptr) continue;
    wire::DescribeClusterResponse::DescribeClusterBroker entry{id, endpoint->host, endpoint->port, {}, broker.fenced};
    if (!broker.rack.empty()) entry.rack = broker.rack;
    response.brokers.push_back(std::move(entry));
  }
  response.controller_id = services.metadata.controller_id();
  if (request.include_cluster_authorized_operations) response.cluster_authorized_operations = kClusterOperations;
  return response;
}

wire::FindCoordinatorResponse find_coordinator(const Call& call, const wire::FindCoordinatorRequest& request) {
  wire::FindCoordinatorResponse response;
  const char* why = "there are no coordinators yet";
  if (call.version >= 4) {
    for (const std::string& key : request.coordinator_keys) {
      response.coordinators.push_back({key, kNoNode, "", -1, ErrorCode::coordinator_not_available, why});
    }
    return response;
  }
  response.error_code = ErrorCode::coordinator_not_available;
  response.error_message = why;
  response.node_id = kNoNode;
  response.port = -1;
  return response;
}

bool valid_topic_name(std::string_view name) {
  if (name.empty() || name.size() > 249 || name == "." || name == "..") return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  });
}

std::vector<wire::NodeEndpoint> endpoints_of(const Services& services, const std::string& listener,
                                             const std::set<NodeId>& nodes) {
  std::vector<wire::NodeEndpoint> endpoints;
  const meta::ImagePtr image = services.metadata.image();
  for (const NodeId node : nodes) {
    const meta::BrokerImage* broker = image->broker(node);
    const Endpoint* endpoint = broker == nullptr ? nullptr : broker->endpoint(listener);
    if (endpoint == nullptr) continue;
    wire::NodeEndpoint entry{node, endpoint->host, endpoint->port, {}};
    if (!broker->rack.empty()) entry.rack = broker->rack;
    endpoints.push_back(std::move(entry));
  }
  return endpoints;
}

env::Task<bool> wait_for_topic(Services& services, std::string name, bool present, Instant deadline) {
  while (true) {
    const bool there = services.metadata.image()->topic(name) != nullptr;
    if (there == present) co_return true;
    const bool changed = co_await services.metadata.image_changed().wait(deadline);
    if (!changed) co_return false;
  }
}

}  // namespace ordeal::server
