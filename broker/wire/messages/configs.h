// DescribeConfigs (32) and IncrementalAlterConfigs (44).
#pragma once

#include <optional>

#include "broker/wire/error_codes.h"
#include "broker/wire/message.h"

namespace ordeal::wire {

// Numbers of the protocol's resource types and config sources.
enum class ConfigResourceType : std::int8_t { unknown = 0, topic = 2, broker = 4, broker_logger = 8 };
enum class ConfigSource : std::int8_t {
  unknown = -1,
  topic = 1,
  dynamic_broker = 2,
  dynamic_default_broker = 3,
  static_broker = 4,
  default_config = 5,
};
enum class ConfigValueType : std::int8_t {
  unknown = 0,
  boolean = 1,
  string = 2,
  int32 = 3,
  int16 = 4,
  int64 = 5,
  float64 = 6,
  list = 7,
};

// What an alteration does with a setting; the last two are for settings that are lists.
enum class AlterConfigOp : std::int8_t { set = 0, remove = 1, append = 2, subtract = 3 };

struct DescribeConfigsResponse;

struct DescribeConfigsRequest {
  static constexpr ApiKey kKey = ApiKey::describe_configs;
  static constexpr const char* kName = "DescribeConfigsRequest";
  using Response = DescribeConfigsResponse;

  struct DescribeConfigsResource {
    std::int8_t resource_type = 0;
    std::string resource_name;
    std::optional<std::vector<std::string>> configuration_keys;  // null: all
    template <class V>
    void visit(V& v) {
      v("resource_type", resource_type);
      v("resource_name", resource_name);
      v("configuration_keys", configuration_keys);
    }
  };

  std::vector<DescribeConfigsResource> resources;
  bool include_synonyms = false;
  bool include_documentation = false;
  template <class V>
  void visit(V& v) {
    v("resources", resources);
    v("include_synonyms", include_synonyms, since(1));
    v("include_documentation", include_documentation, since(3));
  }
};

struct DescribeConfigsResponse {
  static constexpr ApiKey kKey = ApiKey::describe_configs;
  static constexpr const char* kName = "DescribeConfigsResponse";

  struct DescribeConfigsSynonym {
    std::string name;
    std::optional<std::string> value;
    std::int8_t source = 0;
    template <class V>
    void visit(V& v) {
      v("name", name);
      v("value", value);
      v("source", source);
    }
  };
  struct DescribeConfigsResourceResult {
    std::string name;
    std::optional<std::string> value;
    bool read_only = false;
    std::int8_t config_source = -1;
    bool is_sensitive = false;
    std::vector<DescribeConfigsSynonym> synonyms;
    std::int8_t config_type = 0;
    std::optional<std::string> documentation;
    template <class V>
    void visit(V& v) {
      v("name", name);
      v("value", value);
      v("read_only", read_only);
      v("config_source", config_source, since(1));
      v("is_sensitive", is_sensitive);
      v("synonyms", synonyms, since(1));
      v("config_type", config_type, since(3));
      v("documentation", documentation, since(3));
    }
  };
  struct DescribeConfigsResult {
    ErrorCode error_code = ErrorCode::none;
    std::optional<std::string> error_message;
    std::int8_t resource_type = 0;
    std::string resource_name;
    std::vector<DescribeConfigsResourceResult> configs;
    template <class V>
    void visit(V& v) {
      v("error_code", error_code);
      v("error_message", error_message);
      v("resource_type", resource_type);
      v("resource_name", resource_name);
      v("configs", configs);
    }
  };

  std::int32_t throttle_time_ms = 0;
  std::vector<DescribeConfigsResult> results;
  template <class V>
  void visit(V& v) {
    v("throttle_time_ms", throttle_time_ms);
    v("results", results);
  }
};

struct IncrementalAlterConfigsResponse;

struct IncrementalAlterConfigsRequest {
  static constexpr ApiKey kKey = ApiKey::incremental_alter_configs;
  static constexpr const char* kName = "IncrementalAlterConfigsRequest";
  using Response = IncrementalAlterConfigsResponse;

  struct AlterableConfig {
    std::string name;
    std::int8_t config_operation = 0;
    std::optional<std::string> value;
    template <class V>
    void visit(V& v) {
      v("name", name);
      v("config_operation", config_operation);
      v("value", value);
    }
  };
  struct AlterConfigsResource {
    std::int8_t resource_type = 0;
    std::string resource_name;
    std::vector<AlterableConfig> configs;
    template <class V>
    void visit(V& v) {
      v("resource_type", resource_type);
      v("resource_name", resource_name);
      v("configs", configs);
    }
  };

  std::vector<AlterConfigsResource> resources;
  bool validate_only = false;
  template <class V>
  void visit(V& v) {
    v("resources", resources);
    v("validate_only", validate_only);
  }
};

struct IncrementalAlterConfigsResponse {
  static constexpr ApiKey kKey = ApiKey::incremental_alter_configs;
  static constexpr const char* kName = "IncrementalAlterConfigsResponse";

  struct AlterConfigsResourceResponse {
    ErrorCode error_code = ErrorCode::none;
    std::optional<std::string> error_message;
    std::int8_t resource_type = 0;
    std::string resource_name;
    template <class V>
    void visit(V& v) {
      v("error_code", error_code);
      v("error_message", error_message);
      v("resource_type", resource_type);
      v("resource_name", resource_name);
    }
  };

  std::int32_t throttle_time_ms = 0;
  std::vector<AlterConfigsResourceResponse> responses;
  template <class V>
  void visit(V& v) {
    v("throttle_time_ms", throttle_time_ms);
    v("responses", responses);
  }
};

}  // namespace ordeal::wire
