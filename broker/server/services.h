// What request handlers may use: the node's environment, its configuration, and the two halves of the broker behind
// them. The halves are interfaces so that handlers and connections can be tested without Raft, logs or disks.
#pragma once

#include <string>
#include <vector>

#include "broker/base/config.h"
#include "broker/env/env.h"
#include "broker/env/sync.h"
#include "broker/meta/image.h"
#include "broker/meta/node.h"
#include "broker/replica/replica_manager.h"
#include "broker/server/fetch_session.h"

namespace ordeal::server {

// The metadata plane as a handler sees it; the calls mean what they mean in meta::Node.
class Metadata {
 public:
  virtual ~Metadata() = default;
  virtual meta::ImagePtr image() const = 0;
  virtual env::Signal& image_changed() = 0;
  virtual NodeId controller_id() const = 0;
  virtual BrokerEpoch broker_epoch() const = 0;
  virtual env::Task<Result<meta::ControllerResponse>> call_controller(meta::ControllerRequest request,
                                                                      Instant deadline) = 0;
};

// The replicated logs; the calls mean what they mean in replica::ReplicaManager. Appends take effect in the order of
// the calls: append() reaches the log before it first suspends.
class Partitions {
 public:
  virtual ~Partitions() = default;
  virtual env::Task<std::vector<replica::AppendResult>> append(replica::AppendParams params) = 0;
  virtual env::Task<std::vector<replica::FetchResult>> fetch(replica::FetchParams params) = 0;
  virtual env::Task<std::vector<replica::ListOffsetsResult>> list_offsets(
      std::vector<replica::ListOffsetsQuery> queries) = 0;
  virtual env::Task<std::vector<replica::EpochAnswer>> offset_for_leader_epoch(
      std::vector<replica::EpochQuery> queries) = 0;
  virtual std::vector<replica::PartitionStatus> status() const = 0;  // by topic and partition
};

class ProducerIds;

inline FetchSessions::Limits fetch_session_limits(const BrokerConfig& config) {
  return {.slots = static_cast<std::size_t>(config.fetch_session_slots)};
}

// Outlives every connection and handler.
struct Services {
  env::Env& env;
  const BrokerConfig& config;
  Metadata& metadata;
  Partitions& partitions;
  ProducerIds& producer_ids;
  FetchSessions fetch_sessions{fetch_session_limits(config)};

  Instant in(Duration duration) const { return env.scheduler.now() + duration; }
  Instant in_ms(std::int32_t ms) const { return in(std::chrono::milliseconds(std::max(ms, 0))); }
};

}  // namespace ordeal::server
