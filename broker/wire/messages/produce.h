// Produce (key 0). Versions 0 to 2 are advertised for old librdkafka's sake but never decoded.
#pragma once

#include <optional>

#include "broker/base/bytes.h"
#include "broker/base/types.h"
#include "broker/wire/error_codes.h"
#include "broker/wire/message.h"
#include "broker/wire/messages/common.h"

namespace ordeal::wire {

struct ProduceResponse;

struct ProduceRequest {
  static constexpr ApiKey kKey = ApiKey::produce;
  static constexpr const char* kName = "ProduceRequest";
  using Response = ProduceResponse;

  struct PartitionProduceData {
    std::int32_t index = 0;
    std::optional<Slice> records;  // shares the request's buffer
    template <class V>
    void visit(V& v) {
      v("index", index);
      v("records", records);
    }
  };
  struct TopicProduceData {
    std::string name;  // up to version 12
    Uuid topic_id;     // from version 13
    std::vector<PartitionProduceData> partition_data;
    template <class V>
    void visit(V& v) {
      v("name", name, versions(0, 12));
      v("topic_id", topic_id, since(13));
      v("partition_data", partition_data);
    }
  };

  std::optional<std::string> transactional_id;
  std::int16_t acks = 0;  // 0 none, 1 leader, -1 all in-sync replicas
  std::int32_t timeout_ms = 0;
  std::vector<TopicProduceData> topic_data;
  template <class V>
  void visit(V& v) {
    v("transactional_id", transactional_id, since(3));
    v("acks", acks);
    v("timeout_ms", timeout_ms);
    v("topic_data", topic_data);
  }
};

struct ProduceResponse {
  static constexpr ApiKey kKey = ApiKey::produce;
  static constexpr const char* kName = "ProduceResponse";

  struct BatchIndexAndErrorMessage {
    std::int32_t batch_index = 0;
    std::optional<std::string> batch_index_error_message;
    template <class V>
    void visit(V& v) {
      v("batch_index", batch_index);
      v("batch_index_error_message", batch_index_error_message);
    }
  };
  struct PartitionProduceResponse {
    std::int32_t index = 0;
    ErrorCode error_code = ErrorCode::none;
    std::int64_t base_offset = 0;
    std::int64_t log_append_time_ms = -1;  // -1 for CreateTime topics
    std::int64_t log_start_offset = -1;
    std::vector<BatchIndexAndErrorMessage> record_errors;
    std::optional<std::string> error_message;
    LeaderIdAndEpoch current_leader;
    template <class V>
    void visit(V& v) {
      v("index", index);
      v("error_code", error_code);
      v("base_offset", base_offset);
      v("log_append_time_ms", log_append_time_ms, since(2));
      v("log_start_offset", log_start_offset, since(5));
      v("record_errors", record_errors, since(8));
      v("error_message", error_message, since(8));
      v.tagged(0, "current_leader", current_leader, since(10));
    }
  };
  struct TopicProduceResponse {
    std::string name;
    Uuid topic_id;
    std::vector<PartitionProduceResponse> partition_responses;
    template <class V>
    void visit(V& v) {
      v("name", name, versions(0, 12));
      v("topic_id", topic_id, since(13));
      v("partition_responses", partition_responses);
    }
  };

  std::vector<TopicProduceResponse> responses;
  std::int32_t throttle_time_ms = 0;
  std::vector<NodeEndpoint> node_endpoints;  // of the leaders named in current_leader
  template <class V>
  void visit(V& v) {
    v("responses", responses);
    v("throttle_time_ms", throttle_time_ms, since(1));
    v.tagged(0, "node_endpoints", node_endpoints, since(10));
  }
};

}  // namespace ordeal::wire
