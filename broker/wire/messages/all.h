// Every message, for what must treat them all alike (tests, fuzzers).
#pragma once

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

namespace ordeal::wire {

// Calls fn.operator()<Request>() for each request type; Request::Response is its answer.
template <class Fn>
void for_each_request(Fn&& fn) {
  fn.template operator()<ProduceRequest>();
  fn.template operator()<FetchRequest>();
  fn.template operator()<ListOffsetsRequest>();
  fn.template operator()<MetadataRequest>();
  fn.template operator()<FindCoordinatorRequest>();
  fn.template operator()<ApiVersionsRequest>();
  fn.template operator()<CreateTopicsRequest>();
  fn.template operator()<DeleteTopicsRequest>();
  fn.template operator()<InitProducerIdRequest>();
  fn.template operator()<OffsetForLeaderEpochRequest>();
  fn.template operator()<DescribeConfigsRequest>();
  fn.template operator()<DescribeLogDirsRequest>();
  fn.template operator()<ElectLeadersRequest>();
  fn.template operator()<IncrementalAlterConfigsRequest>();
  fn.template operator()<DescribeQuorumRequest>();
  fn.template operator()<DescribeClusterRequest>();
}

}  // namespace ordeal::wire
