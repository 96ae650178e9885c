// One producer thread: sends unique values through a client of any family and records what becomes of them.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "broker/base/random.h"
#include "workloads/client/client.h"
#include "workloads/history/payload.h"
#include "workloads/history/writer.h"
#include "workloads/log/config.h"
#include "workloads/log/progress.h"

namespace ordeal::workload {

class ProducerLoop {
 public:
  // `index` of this host's producers; processes are numbered from it in steps of `process_step`, a new one whenever
  // the client had to be replaced. `family` outlives the loop.
  ProducerLoop(const LogConfig& config, client::ClientFamily& family, std::int32_t index,
               std::unique_ptr<history::Recorder> recorder, Progress& progress);
  Status open();                                   // makes the first client
  Status run(const std::atomic<bool>& producing);  // until told to stop and all outcomes are in, or grace ran out

 private:
  Status open_client();
  void on_delivery(const client::Delivery& delivery);
  void send_one();
  Status replace_client_if_dead();
  Status wind_down();
  Status health() const;  // of the recorder and of the client as a program

  const LogConfig& config_;
  client::ClientFamily& family_;
  std::unique_ptr<history::Recorder> recorder_;
  Progress& progress_;
  Random random_;
  std::vector<TopicPartition> objects_;
  std::uint64_t run_hash_;
  std::uint64_t next_value_ = 0;
  std::uint16_t process_;
  std::string client_id_;
  bool seen_ok_ = false;
  std::unique_ptr<client::ProducerClient> producer_;
};

}  // namespace ordeal::workload
