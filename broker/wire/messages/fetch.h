// Fetch (key 1): consumers and our own followers alike. Followers name themselves in replica_id up to version 14 and in
// replica_state from 15; use replica() to read either.
#pragma once

#include <limits>
#include <optional>

#include "broker/base/bytes.h"
#include "broker/base/types.h"
#include "broker/wire/error_codes.h"
#include "broker/wire/message.h"
#include "broker/wire/messages/common.h"

namespace ordeal::wire {

struct FetchResponse;

struct FetchRequest {
  static constexpr ApiKey kKey = ApiKey::fetch;
  static constexpr const char* kName = "FetchRequest";
  using Response = FetchResponse;

  struct ReplicaState {
    std::int32_t replica_id = -1;
    std::int64_t replica_epoch = -1;  // the follower's broker epoch
    bool operator==(const ReplicaState&) const = default;
    template <class V>
    void visit(V& v) {
      v("replica_id", replica_id);
      v("replica_epoch", replica_epoch);
    }
  };
  struct FetchPartition {
    std::int32_t partition = 0;
    std::int32_t current_leader_epoch = -1;
    std::int64_t fetch_offset = 0;
    std::int32_t last_fetched_epoch = -1;  // -1: no divergence check wanted
    std::int64_t log_start_offset = -1;    // followers only
    std::int32_t partition_max_bytes = 0;
    Uuid replica_directory_id;
    std::int64_t high_watermark = std::numeric_limits<std::int64_t>::max();  // max: the follower does not say
    template <class V>
    void visit(V& v) {
      v("partition", partition);
      v("current_leader_epoch", current_leader_epoch, since(9));
      v("fetch_offset", fetch_offset);
      v("last_fetched_epoch", last_fetched_epoch, since(12));
      v("log_start_offset", log_start_offset, since(5));
      v("partition_max_bytes", partition_max_bytes);
      v.tagged(0, "replica_directory_id", replica_directory_id, since(17));
      v.tagged(1, "high_watermark", high_watermark, since(18), std::numeric_limits<std::int64_t>::max());
    }
  };
  struct FetchTopic {
    std::string topic;  // up to version 12
    Uuid topic_id;      // from version 13
    std::vector<FetchPartition> partitions;
    template <class V>
    void visit(V& v) {
      v("topic", topic, versions(0, 12));
      v("topic_id", topic_id, since(13));
      v("partitions", partitions);
    }
  };
  struct ForgottenTopic {
    std::string topic;
    Uuid topic_id;
    std::vector<std::int32_t> partitions;
    template <class V>
    void visit(V& v) {
      v("topic", topic, versions(7, 12));
      v("topic_id", topic_id, since(13));
      v("partitions", partitions);
    }
  };

  std::optional<std::string> cluster_id;
  std::int32_t replica_id = -1;
  ReplicaState replica_state;
  std::int32_t max_wait_ms = 0;
  std::int32_t min_bytes = 0;
  std::int32_t max_bytes = std::numeric_limits<std::int32_t>::max();
  std::int8_t isolation_level = 0;  // 0 read_uncommitted, 1 read_committed
  std::int32_t session_id = 0;
  std::int32_t session_epoch = -1;
  std::vector<FetchTopic> topics;
  std::vector<ForgottenTopic> forgotten_topics_data;
  std::string rack_id;

  // Who fetches, whatever the version: -1 is a consumer.
  ReplicaState replica() const { return replica_state.replica_id >= 0 ? replica_state : ReplicaState{replica_id, -1}; }

  template <class V>
  void visit(V& v) {
    v("replica_id", replica_id, versions(0, 14));
    v("max_wait_ms", max_wait_ms);
    v("min_bytes", min_bytes);
    v("max_bytes", max_bytes, since(3));
    v("isolation_level", isolation_level, since(4));
    v("session_id", session_id, since(7));
    v("session_epoch", session_epoch, since(7));
    v("topics", topics);
    v("forgotten_topics_data", forgotten_topics_data, since(7));
    v("rack_id", rack_id, since(11));
    v.tagged(0, "cluster_id", cluster_id, since(12));
    v.tagged(1, "replica_state", replica_state, since(15));
  }
};

struct FetchResponse {
  static constexpr ApiKey kKey = ApiKey::fetch;
  static constexpr const char* kName = "FetchResponse";

  struct EpochEndOffset {
    std::int32_t epoch = -1;
    std::int64_t end_offset = -1;
    bool operator==(const EpochEndOffset&) const = default;
    template <class V>
    void visit(V& v) {
      v("epoch", epoch);
      v("end_offset", end_offset);
    }
  };
  struct SnapshotId {
    std::int64_t end_offset = -1;
    std::int32_t epoch = -1;
    bool operator==(const SnapshotId&) const = default;
    template <class V>
    void visit(V& v) {
      v("end_offset", end_offset);
      v("epoch", epoch);
    }
  };
  struct AbortedTransaction {
    std::int64_t producer_id = 0;
    std::int64_t first_offset = 0;
    template <class V>
    void visit(V& v) {
      v("producer_id", producer_id);
      v("first_offset", first_offset);
    }
  };
  struct PartitionData {
    std::int32_t partition_index = 0;
    ErrorCode error_code = ErrorCode::none;
    std::int64_t high_watermark = 0;
    std::int64_t last_stable_offset = -1;
    std::int64_t log_start_offset = -1;
    EpochEndOffset diverging_epoch;
    LeaderIdAndEpoch current_leader;
    SnapshotId snapshot_id;
    // Must be null for read_uncommitted: clients drop records of transactions listed here.
    std::optional<std::vector<AbortedTransaction>> aborted_transactions;
    std::int32_t preferred_read_replica = -1;
    std::optional<Slice> records;  // whole batches, the last one possibly cut; shares the response's buffer
    template <class V>
    void visit(V& v) {
      v("partition_index", partition_index);
      v("error_code", error_code);
      v("high_watermark", high_watermark);
      v("last_stable_offset", last_stable_offset, since(4));
      v("log_start_offset", log_start_offset, since(5));
      v("aborted_transactions", aborted_transactions, since(4));
      v("preferred_read_replica", preferred_read_replica, since(11));
      v("records", records);
      v.tagged(0, "diverging_epoch", diverging_epoch, since(12));
      v.tagged(1, "current_leader", current_leader, since(12));
      v.tagged(2, "snapshot_id", snapshot_id, since(12));
    }
  };
  struct FetchableTopicResponse {
    std::string topic;
    Uuid topic_id;
    std::vector<PartitionData> partitions;
    template <class V>
    void visit(V& v) {
      v("topic", topic, versions(0, 12));
      v("topic_id", topic_id, since(13));
      v("partitions", partitions);
    }
  };

  std::int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::none;
  std::int32_t session_id = 0;
  std::vector<FetchableTopicResponse> responses;
  std::vector<NodeEndpoint> node_endpoints;
  template <class V>
  void visit(V& v) {
    v("throttle_time_ms", throttle_time_ms, since(1));
    v("error_code", error_code, since(7));
    v("session_id", session_id, since(7));
    v("responses", responses);
    v.tagged(0, "node_endpoints", node_endpoints, since(16));
  }
};

}  // namespace ordeal::wire
