// Load for benchmarks, on librdkafka so that every target is measured by the same, foreign client.
//
// Nothing here judges: figures only. All latencies are microseconds from handing the record to the client until its
// acknowledgement, so they include the client's own batching (linger).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "broker/base/result.h"
#include "workloads/client/rdkafka.h"

namespace ordeal::load {

struct Options {
  std::string bootstrap;
  std::string topic = "bench";
  std::int32_t partitions = 1;
  std::int16_t replication = 1;
  std::vector<std::pair<std::string, std::string>> topic_configs;
  std::string acks = "all";
  std::string compression = "none";
  std::int32_t size = 1024;  // bytes of a value
  double seconds = 5;        // of measuring, after a warm-up of a fifth of it
  std::int64_t rate = 0;     // records a second; 0: as fast as it goes
  std::int32_t linger_ms = 5;
  std::int32_t batch_bytes = 1 << 20;
  std::vector<std::pair<std::string, std::string>> properties;  // further librdkafka settings
};

struct Quantiles {
  double p50 = 0, p90 = 0, p99 = 0, p999 = 0, max = 0;  // microseconds
};

struct ProduceFigures {
  std::uint64_t records = 0;
  std::uint64_t errors = 0;
  double seconds = 0;
  double records_per_s = 0;
  double mb_per_s = 0;  // 10^6 bytes of values
  Quantiles latency_us;
};

struct FetchFigures {
  std::uint64_t records = 0;
  double seconds = 0;
  double records_per_s = 0;
  double mb_per_s = 0;
};

// One record in flight after another on one partition, every `interval_us`; every acknowledgement with its times.
struct Ack {
  std::int64_t sent_ns = 0;
  std::int64_t acked_ns = 0;
};
struct ProbeFigures {
  std::vector<Ack> acks;
  std::uint64_t errors = 0;
};

Status make_topic(const Options& options);
Result<ProduceFigures> produce(const Options& options);
// Reads what the topic holds from the start until nothing arrives for half a second or `seconds` have passed.
Result<FetchFigures> fetch(const Options& options);
// Until `seconds` are over or a SIGTERM (should_stop) comes.
Result<ProbeFigures> probe(const Options& options, std::int32_t partition, std::int32_t interval_us,
                           const std::function<bool()>& should_stop);

Quantiles quantiles_of(std::vector<std::uint32_t>& samples_us);  // sorts them

}  // namespace ordeal::load
