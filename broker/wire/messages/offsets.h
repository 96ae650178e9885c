// ListOffsets (key 2) and OffsetForLeaderEpoch (key 23): where a log begins, ends, or leaves an epoch.
#pragma once

#include <optional>

#include "broker/base/types.h"
#include "broker/wire/error_codes.h"
#include "broker/wire/message.h"

namespace ordeal::wire {

// Timestamps below zero ask for a place, not a time.
inline constexpr std::int64_t kLatestTimestamp = -1;
inline constexpr std::int64_t kEarliestTimestamp = -2;
inline constexpr std::int64_t kMaxTimestamp = -3;            // version 7: the record with the highest timestamp
inline constexpr std::int64_t kEarliestLocalTimestamp = -4;  // version 8: tiered storage; here the same as earliest
inline constexpr std::int64_t kLatestTieredTimestamp = -5;   // version 9: nothing is tiered here
inline constexpr std::int64_t kEarliestPendingUploadTimestamp = -6;  // version 11: likewise

struct ListOffsetsResponse;

struct ListOffsetsRequest {
  static constexpr ApiKey kKey = ApiKey::list_offsets;
  static constexpr const char* kName = "ListOffsetsRequest";
  using Response = ListOffsetsResponse;

  struct ListOffsetsPartition {
    std::int32_t partition_index = 0;
    std::int32_t current_leader_epoch = -1;
    std::int64_t timestamp = 0;
    template <class V>
    void visit(V& v) {
      v("partition_index", partition_index);
      v("current_leader_epoch", current_leader_epoch, since(4));
      v("timestamp", timestamp);
    }
  };
  struct ListOffsetsTopic {
    std::string name;
    std::vector<ListOffsetsPartition> partitions;
    template <class V>
    void visit(V& v) {
      v("name", name);
      v("partitions", partitions);
    }
  };

  std::int32_t replica_id = -1;
  std::int8_t isolation_level = 0;
  std::vector<ListOffsetsTopic> topics;
  std::int32_t timeout_ms = 0;
  template <class V>
  void visit(V& v) {
    v("replica_id", replica_id);
    v("isolation_level", isolation_level, since(2));
    v("topics", topics);
    v("timeout_ms", timeout_ms, since(10));
  }
};

struct ListOffsetsResponse {
  static constexpr ApiKey kKey = ApiKey::list_offsets;
  static constexpr const char* kName = "ListOffsetsResponse";

  struct ListOffsetsPartitionResponse {
    std::int32_t partition_index = 0;
    ErrorCode error_code = ErrorCode::none;
    std::int64_t timestamp = -1;
    std::int64_t offset = -1;
    std::int32_t leader_epoch = -1;
    template <class V>
    void visit(V& v) {
      v("partition_index", partition_index);
      v("error_code", error_code);
      v("timestamp", timestamp, since(1));
      v("offset", offset, since(1));
      v("leader_epoch", leader_epoch, since(4));
    }
  };
  struct ListOffsetsTopicResponse {
    std::string name;
    std::vector<ListOffsetsPartitionResponse> partitions;
    template <class V>
    void visit(V& v) {
      v("name", name);
      v("partitions", partitions);
    }
  };

  std::int32_t throttle_time_ms = 0;
  std::vector<ListOffsetsTopicResponse> topics;
  template <class V>
  void visit(V& v) {
    v("throttle_time_ms", throttle_time_ms, since(2));
    v("topics", topics);
  }
};

struct OffsetForLeaderEpochResponse;

struct OffsetForLeaderEpochRequest {
  static constexpr ApiKey kKey = ApiKey::offset_for_leader_epoch;
  static constexpr const char* kName = "OffsetForLeaderEpochRequest";
  using Response = OffsetForLeaderEpochResponse;

  struct OffsetForLeaderPartition {
    std::int32_t partition = 0;
    std::int32_t current_leader_epoch = -1;
    std::int32_t leader_epoch = 0;
    template <class V>
    void visit(V& v) {
      v("partition", partition);
      v("current_leader_epoch", current_leader_epoch, since(2));
      v("leader_epoch", leader_epoch);
    }
  };
  struct OffsetForLeaderTopic {
    std::string topic;
    std::vector<OffsetForLeaderPartition> partitions;
    template <class V>
    void visit(V& v) {
      v("topic", topic);
      v("partitions", partitions);
    }
  };

  std::int32_t replica_id = -2;  // -1 a consumer, -2 a debugging consumer (and what versions without the field mean)
  std::vector<OffsetForLeaderTopic> topics;
  template <class V>
  void visit(V& v) {
    v("replica_id", replica_id, since(3));
    v("topics", topics);
  }
};

struct OffsetForLeaderEpochResponse {
  static constexpr ApiKey kKey = ApiKey::offset_for_leader_epoch;
  static constexpr const char* kName = "OffsetForLeaderEpochResponse";

  struct EpochEndOffset {
    ErrorCode error_code = ErrorCode::none;
    std::int32_t partition = 0;
    std::int32_t leader_epoch = -1;  // the largest epoch not above the asked one
    std::int64_t end_offset = -1;    // where that epoch ends
    template <class V>
    void visit(V& v) {
      v("error_code", error_code);
      v("partition", partition);
      v("leader_epoch", leader_epoch, since(1));
      v("end_offset", end_offset);
    }
  };
  struct OffsetForLeaderTopicResult {
    std::string topic;
    std::vector<EpochEndOffset> partitions;
    template <class V>
    void visit(V& v) {
      v("topic", topic);
      v("partitions", partitions);
    }
  };

  std::int32_t throttle_time_ms = 0;
  std::vector<OffsetForLeaderTopicResult> topics;
  template <class V>
  void visit(V& v) {
    v("throttle_time_ms", throttle_time_ms, since(2));
    v("topics", topics);
  }
};

}  // namespace ordeal::wire
