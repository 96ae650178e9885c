// The log workload on Env: native producers and consumers, and the watcher of end offsets. Coroutines on one run queue,
// so the same code drives the simulator and, with `--client native`, real processes.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "broker/env/env.h"
#include "broker/env/sync.h"
#include "workloads/client/native_cluster.h"
#include "workloads/client/native_consumer.h"
#include "workloads/client/native_producer.h"
#include "workloads/history/payload.h"
#include "workloads/history/writer.h"
#include "workloads/log/config.h"
#include "workloads/log/progress.h"

namespace ordeal::workload {

// Where a client's history goes: a file in the real world, memory in simulation.
using MakeRecorder = std::function<Result<std::unique_ptr<history::Recorder>>(history::Header)>;

history::Header native_header(const LogConfig& config, const std::string& writer);
client::ClusterOptions native_cluster_options(const LogConfig& config, const std::string& client_id);

// Sends unique values at its share of the rate.
class EnvProducer {
 public:
  EnvProducer(env::Env& env, const LogConfig& config, std::int32_t index, std::unique_ptr<history::Recorder> recorder,
              Progress& progress);
  env::Task<> run(env::Gate* stop);              // until `stop` closes; then awaits outcomes within config.stop_grace_s
  void pause(bool paused) { paused_ = paused; }  // nothing new is sent meanwhile, nor made up for afterwards
  history::Recorder& recorder() { return *recorder_; }

 private:
  void send_one();
  void on_delivery(const client::Delivery& delivery);
  void on_epoch_change(const client::EpochChange& change);

  env::Env& env_;
  const LogConfig& config_;
  std::unique_ptr<history::Recorder> recorder_;
  Progress& progress_;
  std::vector<TopicPartition> objects_;
  std::uint64_t run_hash_;
  Random random_;
  std::uint16_t process_;
  std::uint64_t next_value_ = 0;
  bool seen_ok_ = false;
  bool paused_ = false;
  client::NativeCluster cluster_;
  std::unique_ptr<client::NativeProducer> producer_;
};

// Sends records when told to, each burst through a producer of its own. One recorder takes all of them.
class EnvSends {
 public:
  struct Burst {
    std::int64_t wanted = 0;
    std::int64_t acknowledged = 0;
    bool done = false;  // every record has its outcome
  };

  EnvSends(env::Env& env, const LogConfig& config, std::unique_ptr<history::Recorder> recorder, Progress& progress);
  // The outcomes come within `within` or are unknown. `at` must be one of the workload's partitions. acks as Kafka's;
  // other than -1 goes without idempotence.
  Result<std::shared_ptr<const Burst>> send(const TopicPartition& at, std::int64_t count, std::int16_t acks,
                                            Duration within, env::Gate& gate);
  history::Recorder& recorder() { return *recorder_; }

 private:
  struct Sender;
  env::Task<> run(std::shared_ptr<Sender> sender, std::shared_ptr<Burst> burst, std::uint16_t object, Duration within);

  env::Env& env_;
  const LogConfig& config_;
  std::unique_ptr<history::Recorder> recorder_;
  Progress& progress_;
  std::vector<TopicPartition> objects_;
  std::uint64_t next_value_ = 0;
  std::uint16_t bursts_ = 0;
};

// Reads every partition from its start and records what it sees.
class EnvConsumer {
 public:
  EnvConsumer(env::Env& env, const LogConfig& config, std::uint16_t process,
              std::unique_ptr<history::Recorder> recorder, Progress& progress);
  env::Task<> run(env::Gate* stop);
  history::Recorder& recorder() { return *recorder_; }

 private:
  std::int64_t record(const client::Fetched& chunk);
  void record_event(const client::ConsumerEvent& event);

  env::Env& env_;
  const LogConfig& config_;
  std::unique_ptr<history::Recorder> recorder_;
  Progress& progress_;
  std::vector<TopicPartition> objects_;
  std::map<TopicPartition, std::uint16_t> object_of_;
  std::uint64_t run_hash_;
  std::uint16_t process_;
  bool seen_record_ = false;
  client::NativeCluster cluster_;
  client::NativeConsumer consumer_;
};

// Asks for the end offset of each partition again and again: one logical process a partition.
class EndWatcher {
 public:
  EndWatcher(env::Env& env, const LogConfig& config, std::unique_ptr<history::Recorder> recorder);
  env::Task<> run(env::Gate* stop);
  history::Recorder& recorder() { return *recorder_; }

 private:
  env::Task<> watch(std::uint16_t object, env::Gate* stop, env::Signal* ended, std::size_t* running);

  env::Env& env_;
  const LogConfig& config_;
  std::unique_ptr<history::Recorder> recorder_;
  std::vector<TopicPartition> objects_;
  client::NativeCluster cluster_;
};

// All of it together for the native client.
class EnvDriver {
 public:
  EnvDriver(env::Env& env, LogConfig config, std::string host, MakeRecorder make_recorder, Progress& progress);
  ~EnvDriver();
  Status open(bool with_sends = false);  // makes every recorder; with_sends: send() may be called
  env::Task<Status> create_topics(Instant deadline);
  void start(bool native_clients);  // false: the watcher only (librdkafka does the rest)
  env::Task<Status> stop();         // producers first, then the rest; closes the recorders
  void pause_sending(bool paused);  // of the producers that start() began; records under way finish
  Result<std::shared_ptr<const EnvSends::Burst>> send(const TopicPartition& at, std::int64_t count, std::int16_t acks,
                                                      Duration within);

  std::vector<history::Recorder*> recorders();

 private:
  env::Env& env_;
  LogConfig config_;
  std::string host_;
  MakeRecorder make_recorder_;
  Progress& progress_;
  std::vector<std::unique_ptr<EnvProducer>> producers_;
  std::vector<std::unique_ptr<EnvConsumer>> consumers_;
  std::unique_ptr<EndWatcher> watcher_;
  std::unique_ptr<EnvSends> sends_;
  std::unique_ptr<env::Gate> producing_;  // closing it stops the sending; its tasks are the producers
  std::unique_ptr<env::Gate> reading_;
};

}  // namespace ordeal::workload
