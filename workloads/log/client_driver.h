// The log workload on clients outside Env (librdkafka, adapters): one thread a client, one history file a thread.
//
// Producers send unique values to drawn partitions at their share of the rate and keep going whatever happens.
// Consumers read every partition from its start with an assignment of their own (no group).
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "broker/base/result.h"
#include "workloads/client/client.h"
#include "workloads/history/history.h"
#include "workloads/log/config.h"
#include "workloads/log/progress.h"

namespace ordeal::workload {

class ClientDriver {
 public:
  // `family` outlives the driver.
  ClientDriver(const LogConfig& config, client::ClientFamily& family, std::string history_dir, std::string host,
               Progress& progress)
      : config_(config),
        family_(family),
        history_dir_(std::move(history_dir)),
        host_(std::move(host)),
        progress_(progress) {}
  ~ClientDriver();  // stops what start() began

  Status start();         // opens every history file and client, then starts the threads
  void stop_producing();  // no new sends; outcomes of the open ones are still awaited (config.stop_grace_s)
  void stop_consuming();
  Status join();                                  // waits for all threads; the first error any of them met
  bool failed() const { return failed_.load(); }  // a thread met an error that makes the history unusable

 private:
  void note_failure(const Error& error);
  history::Header make_header(const std::string& writer) const;

  LogConfig config_;
  client::ClientFamily& family_;
  std::string history_dir_;
  std::string host_;
  Progress& progress_;
  std::atomic<bool> producing_{true};
  std::atomic<bool> consuming_{true};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  Status first_failure_;
  std::vector<std::thread> producers_;
  std::vector<std::thread> consumers_;
};

}  // namespace ordeal::workload
