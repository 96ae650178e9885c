// ElectLeaders (43).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "broker/wire/error_codes.h"
#include "broker/wire/message.h"

namespace ordeal::wire {

enum class ElectionType : std::int8_t { preferred = 0, unclean = 1 };

struct ElectLeadersResponse;

struct ElectLeadersRequest {
  static constexpr ApiKey kKey = ApiKey::elect_leaders;
  static constexpr const char* kName = "ElectLeadersRequest";
  using Response = ElectLeadersResponse;

  struct TopicPartitions {
    std::string topic;
    std::vector<std::int32_t> partitions;
    template <class V>
    void visit(V& v) {
      v("topic", topic);
      v("partitions", partitions);
    }
  };

  std::int8_t election_type = 0;
  std::optional<std::vector<TopicPartitions>> topic_partitions;  // null: all
  std::int32_t timeout_ms = 60000;
  template <class V>
  void visit(V& v) {
    v("election_type", election_type, since(1));
    v("topic_partitions", topic_partitions);
    v("timeout_ms", timeout_ms);
  }
};

struct ElectLeadersResponse {
  static constexpr ApiKey kKey = ApiKey::elect_leaders;
  static constexpr const char* kName = "ElectLeadersResponse";

  struct PartitionResult {
    std::int32_t partition_id = 0;
    ErrorCode error_code = ErrorCode::none;
    std::optional<std::string> error_message;
    template <class V>
    void visit(V& v) {
      v("partition_id", partition_id);
      v("error_code", error_code);
      v("error_message", error_message);
    }
  };
  struct ReplicaElectionResult {
    std::string topic;
    std::vector<PartitionResult> partition_result;
    template <class V>
    void visit(V& v) {
      v("topic", topic);
      v("partition_result", partition_result);
    }
  };

  std::int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::none;
  std::vector<ReplicaElectionResult> replica_election_results;
  template <class V>
  void visit(V& v) {
    v("throttle_time_ms", throttle_time_ms);
    v("error_code", error_code, since(1));
    v("replica_election_results", replica_election_results);
  }
};

}  // namespace ordeal::wire
