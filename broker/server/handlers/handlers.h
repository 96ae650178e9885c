// The handlers, one file per API family. Each takes a decoded request and returns what to encode at the same version.
#pragma once

#include <optional>
#include <string>

#include "broker/server/services.h"
#include "broker/wire/messages/api_versions.h"
#include "broker/wire/messages/configs.h"
#include "broker/wire/messages/elections.h"
#include "broker/wire/messages/fetch.h"
#include "broker/wire/messages/log_dirs.h"
#include "broker/wire/messages/metadata.h"
#include "broker/wire/messages/offsets.h"
#include "broker/wire/messages/produce.h"
#include "broker/wire/messages/producer_id.h"
#include "broker/wire/messages/quorum.h"
#include "broker/wire/messages/topics.h"

namespace ordeal::server {

// What a handler knows of its request beyond the body.
struct Call {
  std::int16_t version = 0;
  std::string listener;
  bool from_broker() const { return listener == meta::kReplicationListener; }
};

wire::ApiVersionsResponse api_versions(const Services& services, const wire::ApiVersionsRequest& request);
// The body is to be encoded at version 0, whatever was asked for.
wire::ApiVersionsResponse api_versions_unsupported();

env::Task<wire::MetadataResponse> metadata(Services& services, Call call, wire::MetadataRequest request);
wire::DescribeClusterResponse describe_cluster(const Services& services, const Call& call,
                                               const wire::DescribeClusterRequest& request);
wire::FindCoordinatorResponse find_coordinator(const Call& call, const wire::FindCoordinatorRequest& request);

// nullopt: acks=0 and all went well. An error: acks=0 and something did not; the connection must be closed.
env::Task<Result<std::optional<wire::ProduceResponse>>> produce(Services& services, Call call,
                                                                wire::ProduceRequest request);
env::Task<wire::FetchResponse> fetch(Services& services, Call call, wire::FetchRequest request);
env::Task<wire::ListOffsetsResponse> list_offsets(Services& services, Call call, wire::ListOffsetsRequest request);
env::Task<wire::OffsetForLeaderEpochResponse> offset_for_leader_epoch(Services& services,
                                                                      wire::OffsetForLeaderEpochRequest request);

env::Task<wire::CreateTopicsResponse> create_topics(Services& services, Call call, wire::CreateTopicsRequest request);
env::Task<wire::DeleteTopicsResponse> delete_topics(Services& services, Call call, wire::DeleteTopicsRequest request);
env::Task<wire::InitProducerIdResponse> init_producer_id(Services& services, wire::InitProducerIdRequest request);
wire::DescribeConfigsResponse describe_configs(const Services& services, const wire::DescribeConfigsRequest& request);
env::Task<wire::IncrementalAlterConfigsResponse> incremental_alter_configs(
    Services& services, wire::IncrementalAlterConfigsRequest request);
env::Task<wire::ElectLeadersResponse> elect_leaders(Services& services, wire::ElectLeadersRequest request);
env::Task<wire::DescribeQuorumResponse> describe_quorum(Services& services, wire::DescribeQuorumRequest request);
wire::DescribeLogDirsResponse describe_log_dirs(const Services& services, const wire::DescribeLogDirsRequest& request);

// ---- Shared by several families.

// Kafka's rule: 1 to 249 letters, digits, '.', '_' and '-', but neither "." nor "..".
bool valid_topic_name(std::string_view name);
// The endpoints of those leaders that a response names, as `listener` reaches them (KIP-951).
std::vector<wire::NodeEndpoint> endpoints_of(const Services& services, const std::string& listener,
                                             const std::set<NodeId>& nodes);
// Why the call as a whole has no answer; nullopt when the controller gave one.
struct ControllerFailure {
  wire::ErrorCode code;
  std::string text;
};
std::optional<ControllerFailure> failure_of(const Result<meta::ControllerResponse>& response);
// Durability is the broker's, not a topic's: a topic that asks for another one must not be told that it has it.
std::optional<std::string> other_durability(const Services& services, const std::string& name,
                                            const std::optional<std::string>& value);
// Waits until the local image has (or no longer has) the topic; false when the deadline passed first.
env::Task<bool> wait_for_topic(Services& services, std::string name, bool present, Instant deadline);

}  // namespace ordeal::server
