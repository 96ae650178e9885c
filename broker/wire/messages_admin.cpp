// Instantiates the coding of the messages about the cluster, its topics and its configuration.
#include "broker/wire/message_codec.h"
#include "broker/wire/messages/api_versions.h"
#include "broker/wire/messages/configs.h"
#include "broker/wire/messages/elections.h"
#include "broker/wire/messages/log_dirs.h"
#include "broker/wire/messages/metadata.h"
#include "broker/wire/messages/quorum.h"
#include "broker/wire/messages/topics.h"

namespace ordeal::wire {
ORDEAL_WIRE_MESSAGE(ApiVersionsRequest);
ORDEAL_WIRE_MESSAGE(MetadataRequest);
ORDEAL_WIRE_MESSAGE(DescribeClusterRequest);
ORDEAL_WIRE_MESSAGE(FindCoordinatorRequest);
ORDEAL_WIRE_MESSAGE(CreateTopicsRequest);
ORDEAL_WIRE_MESSAGE(DeleteTopicsRequest);
ORDEAL_WIRE_MESSAGE(DescribeConfigsRequest);
ORDEAL_WIRE_MESSAGE(DescribeLogDirsRequest);
ORDEAL_WIRE_MESSAGE(ElectLeadersRequest);
ORDEAL_WIRE_MESSAGE(IncrementalAlterConfigsRequest);
ORDEAL_WIRE_MESSAGE(DescribeQuorumRequest);
}  // namespace ordeal::wire
