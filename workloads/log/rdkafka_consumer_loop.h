// One consumer thread of the librdkafka driver: reads every partition from its start, by assignment.
#pragma once

#include <atomic>
#include <memory>

#include "workloads/client/rdkafka.h"
#include "workloads/history/payload.h"
#include "workloads/history/writer.h"
#include "workloads/log/config.h"
#include "workloads/log/progress.h"

namespace ordeal::workload {

class RdkafkaConsumerLoop {
 public:
  RdkafkaConsumerLoop(const LogConfig& config, std::uint16_t process, std::unique_ptr<history::Recorder> recorder,
                      Progress& progress);
  Status open();
  Status run(const std::atomic<bool>& consuming);

 private:
  Status assign_all();
  void record(const client::RdConsumer::Batch& batch);
  void recover(const client::ConsumeError& error);

  const LogConfig& config_;
  std::uint16_t process_;
  std::unique_ptr<history::Recorder> recorder_;
  Progress& progress_;
  std::vector<TopicPartition> objects_;
  std::uint64_t run_hash_;
  bool seen_record_ = false;
  std::unique_ptr<client::RdConsumer> consumer_;
};

}  // namespace ordeal::workload
