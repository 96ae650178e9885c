// DescribeQuorum (55): who leads the metadata quorum, and how far its voters and observers are.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "broker/base/types.h"
#include "broker/wire/error_codes.h"
#include "broker/wire/message.h"

namespace ordeal::wire {

inline constexpr const char* kMetadataTopic = "__cluster_metadata";  // its partition 0 is the one quorum there is

struct DescribeQuorumResponse;

struct DescribeQuorumRequest {
  static constexpr ApiKey kKey = ApiKey::describe_quorum;
  static constexpr const char* kName = "DescribeQuorumRequest";
  using Response = DescribeQuorumResponse;

  struct PartitionData {
    std::int32_t partition_index = 0;
    template <class V>
    void visit(V& v) {
      v("partition_index", partition_index);
    }
  };
  struct TopicData {
    std::string topic_name;
    std::vector<PartitionData> partitions;
    template <class V>
    void visit(V& v) {
      v("topic_name", topic_name);
      v("partitions", partitions);
    }
  };

  std::vector<TopicData> topics;
  template <class V>
  void visit(V& v) {
    v("topics", topics);
  }
};

struct DescribeQuorumResponse {
  static constexpr ApiKey kKey = ApiKey::describe_quorum;
  static constexpr const char* kName = "DescribeQuorumResponse";

  struct ReplicaState {
    std::int32_t replica_id = 0;
    Uuid replica_directory_id;
    std::int64_t log_end_offset = 0;
    std::int64_t last_fetch_timestamp = -1;
    std::int64_t last_caught_up_timestamp = -1;
    template <class V>
    void visit(V& v) {
      v("replica_id", replica_id);
      v("replica_directory_id", replica_directory_id, since(2));
      v("log_end_offset", log_end_offset);
      v("last_fetch_timestamp", last_fetch_timestamp, since(1));
      v("last_caught_up_timestamp", last_caught_up_timestamp, since(1));
    }
  };
  struct PartitionData {
    std::int32_t partition_index = 0;
    ErrorCode error_code = ErrorCode::none;
    std::optional<std::string> error_message;
    std::int32_t leader_id = 0;
    std::int32_t leader_epoch = 0;
    std::int64_t high_watermark = 0;
    std::vector<ReplicaState> current_voters;
    std::vector<ReplicaState> observers;
    template <class V>
    void visit(V& v) {
      v("partition_index", partition_index);
      v("error_code", error_code);
      v("error_message", error_message, since(2));
      v("leader_id", leader_id);
      v("leader_epoch", leader_epoch);
      v("high_watermark", high_watermark);
      v("current_voters", current_voters);
      v("observers", observers);
    }
  };
  struct TopicData {
    std::string topic_name;
    std::vector<PartitionData> partitions;
    template <class V>
    void visit(V& v) {
      v("topic_name", topic_name);
      v("partitions", partitions);
    }
  };
  struct NodeListener {
    std::string name;
    std::string host;
    std::uint16_t port = 0;
    template <class V>
    void visit(V& v) {
      v("name", name);
      v("host", host);
      v("port", port);
    }
  };
  struct Node {
    std::int32_t node_id = 0;
    std::vector<NodeListener> listeners;
    template <class V>
    void visit(V& v) {
      v("node_id", node_id);
      v("listeners", listeners);
    }
  };

  ErrorCode error_code = ErrorCode::none;
  std::optional<std::string> error_message;
  std::vector<TopicData> topics;
  std::vector<Node> nodes;
  template <class V>
  void visit(V& v) {
    v("error_code", error_code);
    v("error_message", error_message, since(2));
    v("topics", topics);
    v("nodes", nodes, since(2));
  }
};

}  // namespace ordeal::wire
