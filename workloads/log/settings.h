// Reads back what the cluster is really set to: promises are judged against effective settings, not intended ones.
#pragma once

#include <map>
#include <string>

#include "broker/env/env.h"
#include "workloads/client/native_cluster.h"
#include "workloads/log/config.h"

namespace ordeal::workload {

struct EffectiveSettings {
  using Values = std::map<std::string, std::string>;
  std::map<NodeId, Values> brokers;                 // by Kafka's names
  std::map<std::string, Values> topics;             // of the workload's topics
  std::map<std::string, std::int32_t> replication;  // the smallest replica count of a topic's partitions
};

// Asks every broker that Metadata names for its own settings, and one of them for the topics'. All or an error.
env::Task<Result<EffectiveSettings>> read_settings(env::Env& env, const LogConfig& config, Instant deadline);

}  // namespace ordeal::workload
