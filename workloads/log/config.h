// What a `log` workload is told to do: read from the JSON file the trial writes (docs/formats/workload.md).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "broker/base/result.h"
#include "broker/base/types.h"

namespace ordeal::workload {

struct TopicSpec {
  std::string name;
  std::int32_t partitions = 4;
  std::int16_t replication = 3;
  std::vector<std::pair<std::string, std::string>> configs;  // topic configs, by Kafka's names
};

// How keys are chosen: they do not place records (the partition is always explicit, so that the intended
// partition is part of the value), but they exercise the key path and compaction later.
enum class KeyMode { none, unique, hot };

struct LogConfig {
  std::string run_id;
  std::vector<Endpoint> bootstrap;
  std::string client = "librdkafka";      // or "native", or an adapter's name
  std::vector<std::string> adapter_argv;  // the program that hosts the clients (docs/formats/adapter.md)
  std::vector<TopicSpec> topics;
  bool create_topics = true;

  std::int32_t producers = 3;
  std::int32_t consumers = 2;
  std::int32_t rate = 9000;       // records a second over all producers of this process; 0: as fast as it goes
  std::int32_t value_size = 100;  // bytes, 40 or more
  KeyMode keys = KeyMode::none;
  std::int32_t acks = -1;
  bool idempotence = true;
  std::string compression = "none";
  std::int32_t max_in_flight = 5;       // requests on a connection
  std::int32_t outstanding_max = 4000;  // records of one producer that await their outcome
  std::int32_t retries = -1;            // -1: the client's default
  std::int32_t linger_ms = 5;
  std::int32_t delivery_timeout_ms = 15000;
  std::int32_t request_timeout_ms = 5000;
  std::string isolation = "read_committed";
  std::int32_t poll_interval_ms = 100;
  std::int32_t list_end_interval_ms = 250;  // how often the watcher asks for end offsets; 0: never
  double duration_s = 60;
  double stop_grace_s = 20;  // how long outcomes are awaited after the last send
  double audit_budget_s = 120;
  std::uint64_t seed = 1;
  // Several client hosts share one value space: host `value_offset` of `value_stride` takes ids offset + n * stride,
  // and processes are numbered from process_base.
  std::uint32_t value_stride = 1;
  std::uint32_t value_offset = 0;
  std::uint16_t process_base = 0;
  std::vector<std::pair<std::string, std::string>> librdkafka;  // further properties, passed through
  std::vector<std::pair<std::string, std::string>> adapter;     // further properties of an adapter's clients

  // Every topic-partition, in table order: its index is the history's `object`.
  std::vector<TopicPartition> objects() const;
};

// Errors name the file and the field; unknown fields are refused.
Result<LogConfig> load_config(const std::string& path);
Result<LogConfig> parse_config(const std::string& text, const std::string& where);

}  // namespace ordeal::workload
