// Load for benchmarks, on librdkafka so that every target is measured by the same, foreign client.
//
// Nothing here judges: figures only. All latencies are microseconds, and include the client's own batching (linger). At
// a fixed rate they start when the record was due, not when a generator that had fallen behind came to it, so that a
// stall counts for every record that had to wait. Throughput is what was acknowledged within the window, whenever it
// was sent: the client's queue is full at both of its ends.
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
  double seconds = 5;        // of measuring, after a warm-up of a fifth of it, 1.5 s at least
  std::int64_t rate = 0;     // records a second; 0: as fast as it goes
  std::int64_t mb_max = 0;   // of values acknowledged in the window, 10^6 bytes: it ends early there; 0: no limit
  std::int32_t linger_ms = 5;
  std::int32_t batch_bytes = 1 << 20;
  std::int32_t queue_kb = 32768;                                // of the producer; what may be under way
  std::vector<std::pair<std::string, std::string>> properties;  // further librdkafka settings
};

struct Quantiles {
  double p50 = 0, p90 = 0, p99 = 0, p999 = 0, max = 0;  // microseconds
};

struct ProduceFigures {
  std::uint64_t records = 0;  // acknowledged in the window
  std::uint64_t acked = 0;    // in all, the warm-up included
  std::uint64_t errors = 0;
  std::int64_t stored = 0;  // by how much the partitions' ends moved, asked of the brokers: at least `acked`
  double cpu_s = 0;         // of this process, client library included, over the window
  double seconds = 0;
  double records_per_s = 0;
  double mb_per_s = 0;  // 10^6 bytes of values
  Quantiles latency_us;
};

struct FetchFigures {
  std::uint64_t records = 0;
  std::uint64_t errors = 0;
  double cpu_s = 0;
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

struct LatencyFigures {
  std::uint64_t acked = 0;     // of the window's records
  std::uint64_t received = 0;  // of the window's records, by a consumer in this process; the same number if all is well
  std::uint64_t errors = 0;
  double seconds = 0;
  double cpu_s = 0;
  std::int64_t behind_us = 0;  // the furthest that the generator itself fell behind its rate
  Quantiles ack_us;            // due until acknowledged
  Quantiles end_to_end_us;     // due until in the consumer's hands
};

// When a cluster that is being started became of use: CLOCK_MONOTONIC.
struct ReadyFigures {
  std::int64_t ports_ns = 0;  // every bootstrap address accepts connections
  std::int64_t topic_ns = 0;  // the topic is there and every partition has a leader
  std::int64_t acked_ns = 0;  // its first write was acknowledged
};

std::int64_t now_ns();  // CLOCK_MONOTONIC
double cpu_seconds();   // of this process
Bytes make_values();    // a pool to take values from: compresses two to one, does not repeat within a codec's window
ByteView value_of(const Bytes& pool, std::uint64_t record, std::int32_t size);
client::Properties common_properties(const Options& options);
client::Properties producer_properties(const Options& options);
// The sum of the partitions' ends, as their leaders tell.
Result<std::int64_t> log_ends(const Options& options);

Status make_topic(const Options& options);
// At `rate` (which must be given), one consumer of every partition beside the producer.
Result<LatencyFigures> latency(const Options& options);
Result<ReadyFigures> ready(const Options& options);
Result<ProduceFigures> produce(const Options& options);
// Reads what the topic holds from the start until nothing arrives for half a second or `seconds` have passed.
Result<FetchFigures> fetch(const Options& options);
// Until `seconds` are over or a SIGTERM (should_stop) comes; with `announced` (the time of a SIGUSR1, 0: none yet) also
// shortly after the first acknowledgement of a record that was sent later.
Result<ProbeFigures> probe(const Options& options, std::int32_t partition, std::int32_t interval_us,
                           const std::function<bool()>& should_stop, const std::function<std::int64_t()>& announced);

Quantiles quantiles_of(std::vector<std::uint32_t>& samples_us);  // sorts them

}  // namespace ordeal::load
