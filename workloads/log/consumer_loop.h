// One consumer thread: reads every partition from its start, by assignment, through a client of any family.
#pragma once

#include <atomic>
#include <memory>

#include "workloads/client/client.h"
#include "workloads/history/payload.h"
#include "workloads/history/writer.h"
#include "workloads/log/config.h"
#include "workloads/log/progress.h"

namespace ordeal::workload {

class ConsumerLoop {
 public:
  ConsumerLoop(const LogConfig& config, client::ClientFamily& family, std::uint16_t process,
               std::unique_ptr<history::Recorder> recorder, Progress& progress);  // `family` outlives the loop
  Status open();
  Status run(const std::atomic<bool>& consuming);

 private:
  Status assign_all();
  void record(const client::ConsumedBatch& batch);
  void recover(const client::ConsumeError& error);

  const LogConfig& config_;
  client::ClientFamily& family_;
  std::uint16_t process_;
  std::unique_ptr<history::Recorder> recorder_;
  Progress& progress_;
  std::vector<TopicPartition> objects_;
  std::uint64_t run_hash_;
  bool seen_record_ = false;
  std::unique_ptr<client::ConsumerClient> consumer_;
};

}  // namespace ordeal::workload
