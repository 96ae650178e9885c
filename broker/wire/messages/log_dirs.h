// DescribeLogDirs (35).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "broker/wire/error_codes.h"
#include "broker/wire/message.h"

namespace ordeal::wire {

struct DescribeLogDirsResponse;

struct DescribeLogDirsRequest {
  static constexpr ApiKey kKey = ApiKey::describe_log_dirs;
  static constexpr const char* kName = "DescribeLogDirsRequest";
  using Response = DescribeLogDirsResponse;

  struct DescribableLogDirTopic {
    std::string topic;
    std::vector<std::int32_t> partitions;
    template <class V>
    void visit(V& v) {
      v("topic", topic);
      v("partitions", partitions);
    }
  };

  std::optional<std::vector<DescribableLogDirTopic>> topics;  // null: all
  template <class V>
  void visit(V& v) {
    v("topics", topics);
  }
};

struct DescribeLogDirsResponse {
  static constexpr ApiKey kKey = ApiKey::describe_log_dirs;
  static constexpr const char* kName = "DescribeLogDirsResponse";

  struct DescribeLogDirsPartition {
    std::int32_t partition_index = 0;
    std::int64_t partition_size = 0;
    std::int64_t offset_lag = 0;
    bool is_future_key = false;
    template <class V>
    void visit(V& v) {
      v("partition_index", partition_index);
      v("partition_size", partition_size);
      v("offset_lag", offset_lag);
      v("is_future_key", is_future_key);
    }
  };
  struct DescribeLogDirsTopic {
    std::string name;
    std::vector<DescribeLogDirsPartition> partitions;
    template <class V>
    void visit(V& v) {
      v("name", name);
      v("partitions", partitions);
    }
  };
  struct DescribeLogDirsResult {
    ErrorCode error_code = ErrorCode::none;
    std::string log_dir;
    std::vector<DescribeLogDirsTopic> topics;
    std::int64_t total_bytes = -1;
    std::int64_t usable_bytes = -1;
    bool is_cordoned = false;
    template <class V>
    void visit(V& v) {
      v("error_code", error_code);
      v("log_dir", log_dir);
      v("topics", topics);
      v("total_bytes", total_bytes, since(4));
      v("usable_bytes", usable_bytes, since(4));
      v("is_cordoned", is_cordoned, since(5));
    }
  };

  std::int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::none;
  std::vector<DescribeLogDirsResult> results;
  template <class V>
  void visit(V& v) {
    v("throttle_time_ms", throttle_time_ms);
    v("error_code", error_code, since(3));
    v("results", results);
  }
};

}  // namespace ordeal::wire
