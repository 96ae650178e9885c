// The auditor: reads every partition from its start to its proven end, raw, after the faults have healed.
//
// The end is proven when the position has reached the latest offset that the leader answers, and the same answer comes
// again after that. Whatever was not reached within the budget is reported as such: late is not lost.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "broker/env/env.h"
#include "workloads/client/native_consumer.h"
#include "workloads/history/writer.h"
#include "workloads/log/config.h"

namespace ordeal::workload {

struct AuditReport {
  std::size_t partitions = 0;
  std::size_t proven = 0;
  std::uint64_t records = 0;
  std::uint64_t batches = 0;
};

class Auditor {
 public:
  Auditor(env::Env& env, const LogConfig& config, std::uint16_t process, history::Recorder& recorder);
  // Called with the report so far, for progress.
  using OnProgress = std::function<void(const AuditReport&)>;
  env::Task<AuditReport> run(OnProgress on_progress = nullptr);

 private:
  struct Drain {
    Offset position = 0;
    Offset end = kNoOffset;  // the latest offset as last answered
    bool asked_after_reaching = false;
    bool started = false;
    bool proven = false;
    std::string trouble;  // the last error met
  };

  env::Task<bool> find_start(std::uint16_t object, Instant deadline);
  env::Task<> ask_end(std::uint16_t object, Instant deadline);
  void take(const client::Fetched& chunk);
  void take_batch(std::uint16_t object, const client::Fetched& chunk, const client::UnpackedBatch& batch);
  void finish(std::uint16_t object, Drain& drain);

  env::Env& env_;
  const LogConfig& config_;
  std::uint16_t process_;
  history::Recorder& recorder_;
  std::vector<TopicPartition> objects_;
  std::map<TopicPartition, std::uint16_t> object_of_;
  std::uint64_t run_hash_;
  std::vector<Drain> drains_;
  AuditReport report_;
  client::NativeCluster cluster_;
  client::NativeConsumer consumer_;
};

}  // namespace ordeal::workload
