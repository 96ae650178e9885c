// Metadata (3), DescribeCluster (60), FindCoordinator (10) and ApiVersions (18): how clients find their way.
#pragma once

#include <limits>
#include <optional>

#include "broker/base/types.h"
#include "broker/wire/error_codes.h"
#include "broker/wire/message.h"

namespace ordeal::wire {

inline constexpr std::int32_t kNoAuthorizedOperations = std::numeric_limits<std::int32_t>::min();  // not asked for

struct MetadataResponse;

struct MetadataRequest {
  static constexpr ApiKey kKey = ApiKey::metadata;
  static constexpr const char* kName = "MetadataRequest";
  // librdkafka asks for all topics with a null array that keeps the four bytes reserved for its count, so three bytes
  // too many end the request; Kafka ignores what follows a request's last field.
  static constexpr bool kTrailingBytes = true;
  using Response = MetadataResponse;

  struct MetadataRequestTopic {
    Uuid topic_id;                    // zero: ask by name
    std::optional<std::string> name;  // null: ask by id (version 10 on)
    template <class V>
    void visit(V& v) {
      v("topic_id", topic_id, since(10));
      v("name", name, since(0), since(10));
    }
  };

  // All topics: an empty list in version 0, null from version 1; from 1 on an empty list asks for none.
  std::optional<std::vector<MetadataRequestTopic>> topics;
  bool allow_auto_topic_creation = true;
  bool include_cluster_authorized_operations = false;
  bool include_topic_authorized_operations = false;
  template <class V>
  void visit(V& v) {
    v("topics", topics, since(0), since(1));
    v("allow_auto_topic_creation", allow_auto_topic_creation, since(4));
    v("include_cluster_authorized_operations", include_cluster_authorized_operations, versions(8, 10));
    v("include_topic_authorized_operations", include_topic_authorized_operations, since(8));
  }
};

struct MetadataResponse {
  static constexpr ApiKey kKey = ApiKey::metadata;
  static constexpr const char* kName = "MetadataResponse";

  struct MetadataResponseBroker {
    std::int32_t node_id = 0;
    std::string host;
    std::int32_t port = 0;
    std::optional<std::string> rack;
    template <class V>
    void visit(V& v) {
      v("node_id", node_id);
      v("host", host);
      v("port", port);
      v("rack", rack, since(1));
    }
  };
  struct MetadataResponsePartition {
    ErrorCode error_code = ErrorCode::none;
    std::int32_t partition_index = 0;
    std::int32_t leader_id = 0;  // -1 none
    std::int32_t leader_epoch = -1;
    std::vector<std::int32_t> replica_nodes;
    std::vector<std::int32_t> isr_nodes;
    std::vector<std::int32_t> offline_replicas;
    template <class V>
    void visit(V& v) {
      v("error_code", error_code);
      v("partition_index", partition_index);
      v("leader_id", leader_id);
      v("leader_epoch", leader_epoch, since(7));
      v("replica_nodes", replica_nodes);
      v("isr_nodes", isr_nodes);
      v("offline_replicas", offline_replicas, since(5));
    }
  };
  struct MetadataResponseTopic {
    ErrorCode error_code = ErrorCode::none;
    std::optional<std::string> name;  // null only when asked by an unknown id (version 12 on)
    Uuid topic_id;
    bool is_internal = false;
    std::vector<MetadataResponsePartition> partitions;
    std::int32_t topic_authorized_operations = kNoAuthorizedOperations;
    template <class V>
    void visit(V& v) {
      v("error_code", error_code);
      v("name", name, since(0), since(12));
      v("topic_id", topic_id, since(10));
      v("is_internal", is_internal, since(1));
      v("partitions", partitions);
      v("topic_authorized_operations", topic_authorized_operations, since(8));
    }
  };

  std::int32_t throttle_time_ms = 0;
  std::vector<MetadataResponseBroker> brokers;
  std::optional<std::string> cluster_id;
  std::int32_t controller_id = -1;
  std::vector<MetadataResponseTopic> topics;
  std::int32_t cluster_authorized_operations = kNoAuthorizedOperations;
  ErrorCode error_code = ErrorCode::none;
  template <class V>
  void visit(V& v) {
    v("throttle_time_ms", throttle_time_ms, since(3));
    v("brokers", brokers);
    v("cluster_id", cluster_id, since(2));
    v("controller_id", controller_id, since(1));
    v("topics", topics);
    v("cluster_authorized_operations", cluster_authorized_operations, versions(8, 10));
    v("error_code", error_code, since(13));
  }
};

struct DescribeClusterResponse;

struct DescribeClusterRequest {
  static constexpr ApiKey kKey = ApiKey::describe_cluster;
  static constexpr const char* kName = "DescribeClusterRequest";
  using Response = DescribeClusterResponse;

  bool include_cluster_authorized_operations = false;
  std::int8_t endpoint_type = 1;  // 1 brokers, 2 controllers
  bool include_fenced_brokers = false;
  template <class V>
  void visit(V& v) {
    v("include_cluster_authorized_operations", include_cluster_authorized_operations);
    v("endpoint_type", endpoint_type, since(1));
    v("include_fenced_brokers", include_fenced_brokers, since(2));
  }
};

struct DescribeClusterResponse {
  static constexpr ApiKey kKey = ApiKey::describe_cluster;
  static constexpr const char* kName = "DescribeClusterResponse";

  struct DescribeClusterBroker {
    std::int32_t broker_id = 0;
    std::string host;
    std::int32_t port = 0;
    std::optional<std::string> rack;
    bool is_fenced = false;
    template <class V>
    void visit(V& v) {
      v("broker_id", broker_id);
      v("host", host);
      v("port", port);
      v("rack", rack);
      v("is_fenced", is_fenced, since(2));
    }
  };

  std::int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::none;
  std::optional<std::string> error_message;
  std::int8_t endpoint_type = 1;
  std::string cluster_id;
  std::int32_t controller_id = -1;
  std::vector<DescribeClusterBroker> brokers;
  std::int32_t cluster_authorized_operations = kNoAuthorizedOperations;
  template <class V>
  void visit(V& v) {
    v("throttle_time_ms", throttle_time_ms);
    v("error_code", error_code);
    v("error_message", error_message);
    v("endpoint_type", endpoint_type, since(1));
    v("cluster_id", cluster_id);
    v("controller_id", controller_id);
    v("brokers", brokers);
    v("cluster_authorized_operations", cluster_authorized_operations);
  }
};

struct FindCoordinatorResponse;

struct FindCoordinatorRequest {
  static constexpr ApiKey kKey = ApiKey::find_coordinator;
  static constexpr const char* kName = "FindCoordinatorRequest";
  using Response = FindCoordinatorResponse;

  std::string key;                            // up to version 3
  std::int8_t key_type = 0;                   // 0 group, 1 transaction, 2 share
  std::vector<std::string> coordinator_keys;  // from version 4
  template <class V>
  void visit(V& v) {
    v("key", key, versions(0, 3));
    v("key_type", key_type, since(1));
    v("coordinator_keys", coordinator_keys, since(4));
  }
};

struct FindCoordinatorResponse {
  static constexpr ApiKey kKey = ApiKey::find_coordinator;
  static constexpr const char* kName = "FindCoordinatorResponse";

  struct Coordinator {
    std::string key;
    std::int32_t node_id = 0;
    std::string host;
    std::int32_t port = 0;
    ErrorCode error_code = ErrorCode::none;
    std::optional<std::string> error_message;
    template <class V>
    void visit(V& v) {
      v("key", key);
      v("node_id", node_id);
      v("host", host);
      v("port", port);
      v("error_code", error_code);
      v("error_message", error_message);
    }
  };

  std::int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::none;
  std::optional<std::string> error_message;
  std::int32_t node_id = 0;
  std::string host;
  std::int32_t port = 0;
  std::vector<Coordinator> coordinators;
  template <class V>
  void visit(V& v) {
    v("throttle_time_ms", throttle_time_ms, since(1));
    v("error_code", error_code, versions(0, 3));
    v("error_message", error_message, versions(1, 3));
    v("node_id", node_id, versions(0, 3));
    v("host", host, versions(0, 3));
    v("port", port, versions(0, 3));
    v("coordinators", coordinators, since(4));
  }
};

}  // namespace ordeal::wire
