// CreateTopics (19) and DeleteTopics (20).
#pragma once

#include <optional>

#include "broker/base/types.h"
#include "broker/wire/error_codes.h"
#include "broker/wire/message.h"

namespace ordeal::wire {

struct CreateTopicsResponse;

struct CreateTopicsRequest {
  static constexpr ApiKey kKey = ApiKey::create_topics;
  static constexpr const char* kName = "CreateTopicsRequest";
  using Response = CreateTopicsResponse;

  struct CreatableReplicaAssignment {
    std::int32_t partition_index = 0;
    std::vector<std::int32_t> broker_ids;
    template <class V>
    void visit(V& v) {
      v("partition_index", partition_index);
      v("broker_ids", broker_ids);
    }
  };
  struct CreatableTopicConfig {
    std::string name;
    std::optional<std::string> value;
    template <class V>
    void visit(V& v) {
      v("name", name);
      v("value", value);
    }
  };
  struct CreatableTopic {
    std::string name;
    std::int32_t num_partitions = 0;      // -1: the broker's default (version 4 on), or given by assignments
    std::int16_t replication_factor = 0;  // likewise
    std::vector<CreatableReplicaAssignment> assignments;
    std::vector<CreatableTopicConfig> configs;
    template <class V>
    void visit(V& v) {
      v("name", name);
      v("num_partitions", num_partitions);
      v("replication_factor", replication_factor);
      v("assignments", assignments);
      v("configs", configs);
    }
  };

  std::vector<CreatableTopic> topics;
  std::int32_t timeout_ms = 60000;
  bool validate_only = false;
  template <class V>
  void visit(V& v) {
    v("topics", topics);
    v("timeout_ms", timeout_ms);
    v("validate_only", validate_only, since(1));
  }
};

struct CreateTopicsResponse {
  static constexpr ApiKey kKey = ApiKey::create_topics;
  static constexpr const char* kName = "CreateTopicsResponse";

  struct CreatableTopicConfigs {
    std::string name;
    std::optional<std::string> value;
    bool read_only = false;
    std::int8_t config_source = -1;
    bool is_sensitive = false;
    template <class V>
    void visit(V& v) {
      v("name", name);
      v("value", value);
      v("read_only", read_only);
      v("config_source", config_source);
      v("is_sensitive", is_sensitive);
    }
  };
  struct CreatableTopicResult {
    std::string name;
    Uuid topic_id;
    ErrorCode error_code = ErrorCode::none;
    std::optional<std::string> error_message;
    ErrorCode topic_config_error_code = ErrorCode::none;
    std::int32_t num_partitions = -1;
    std::int16_t replication_factor = -1;
    std::optional<std::vector<CreatableTopicConfigs>> configs;
    template <class V>
    void visit(V& v) {
      v("name", name);
      v("topic_id", topic_id, since(7));
      v("error_code", error_code);
      v("error_message", error_message, since(1));
      v("num_partitions", num_partitions, since(5));
      v("replication_factor", replication_factor, since(5));
      v("configs", configs, since(5));
      v.tagged(0, "topic_config_error_code", topic_config_error_code, since(5));
    }
  };

  std::int32_t throttle_time_ms = 0;
  std::vector<CreatableTopicResult> topics;
  template <class V>
  void visit(V& v) {
    v("throttle_time_ms", throttle_time_ms, since(2));
    v("topics", topics);
  }
};

struct DeleteTopicsResponse;

struct DeleteTopicsRequest {
  static constexpr ApiKey kKey = ApiKey::delete_topics;
  static constexpr const char* kName = "DeleteTopicsRequest";
  using Response = DeleteTopicsResponse;

  struct DeleteTopicState {
    std::optional<std::string> name;  // null: by id
    Uuid topic_id;
    template <class V>
    void visit(V& v) {
      v("name", name);
      v("topic_id", topic_id);
    }
  };

  std::vector<DeleteTopicState> topics;  // from version 6
  std::vector<std::string> topic_names;  // up to version 5
  std::int32_t timeout_ms = 0;
  template <class V>
  void visit(V& v) {
    v("topics", topics, since(6));
    v("topic_names", topic_names, versions(0, 5));
    v("timeout_ms", timeout_ms);
  }
};

struct DeleteTopicsResponse {
  static constexpr ApiKey kKey = ApiKey::delete_topics;
  static constexpr const char* kName = "DeleteTopicsResponse";

  struct DeletableTopicResult {
    std::optional<std::string> name;
    Uuid topic_id;
    ErrorCode error_code = ErrorCode::none;
    std::optional<std::string> error_message;
    template <class V>
    void visit(V& v) {
      v("name", name, since(0), since(6));
      v("topic_id", topic_id, since(6));
      v("error_code", error_code);
      v("error_message", error_message, since(5));
    }
  };

  std::int32_t throttle_time_ms = 0;
  std::vector<DeletableTopicResult> responses;
  template <class V>
  void visit(V& v) {
    v("throttle_time_ms", throttle_time_ms, since(1));
    v("responses", responses);
  }
};

}  // namespace ordeal::wire
