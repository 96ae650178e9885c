#include "workloads/log/rdkafka_driver.h"

#include <fmt/format.h>

#include "workloads/client/rdkafka.h"
#include "workloads/log/header.h"
#include "workloads/log/rdkafka_consumer_loop.h"
#include "workloads/log/rdkafka_producer_loop.h"

namespace ordeal::workload {
namespace {

history::Header make_header(const LogConfig& config, const std::string& writer) {
  return client_header(config, writer, "librdkafka", client::rdkafka_version());
}

}  // namespace

std::vector<std::pair<std::string, std::string>> rdkafka_properties(const LogConfig& config,
                                                                    const std::string& client_id) {
  std::string bootstrap;
  for (const Endpoint& endpoint : config.bootstrap) bootstrap += (bootstrap.empty() ? "" : ",") + endpoint.to_string();
  return {{"bootstrap.servers", bootstrap},
          {"client.id", client_id},
          {"broker.address.family", "v4"},
          // Short reconnects and fresh metadata: a trial asks what the cluster does, not how long a client sulks.
          {"reconnect.backoff.ms", "50"},
          {"reconnect.backoff.max.ms", "500"},
          {"topic.metadata.refresh.interval.ms", "2000"},
          {"topic.metadata.refresh.fast.interval.ms", "100"},
          {"topic.metadata.propagation.max.ms", "60000"},
          {"socket.timeout.ms", std::to_string(config.request_timeout_ms)},
          {"socket.nagle.disable", "true"},
          {"log_level", "0"}};
}

Status RdkafkaDriver::start() {
  const auto producers = static_cast<std::uint64_t>(config_.producers);
  for (std::int32_t i = 0; i < config_.producers; ++i) {
    const std::string writer = fmt::format("{}-producer-{}", host_, i);
    history::Header header = make_header(config_, writer);
    header.value_first = config_.value_offset * producers + static_cast<std::uint64_t>(i);
    header.value_stride = config_.value_stride * producers;
    auto recorder = history::Recorder::create(history_dir_ + "/" + writer + ".ohist", std::move(header));
    if (!recorder) return fail(recorder.error());
    auto loop = std::make_shared<RdkafkaProducerLoop>(config_, i, std::move(*recorder), progress_);
    ORDEAL_TRY(loop->open());
    producers_.emplace_back([this, loop] {
      const Status ended = loop->run(producing_);
      if (!ended) note_failure(ended.error());
    });
  }
  for (std::int32_t i = 0; i < config_.consumers; ++i) {
    const std::string writer = fmt::format("{}-consumer-{}", host_, i);
    auto recorder = history::Recorder::create(history_dir_ + "/" + writer + ".ohist", make_header(config_, writer));
    if (!recorder) return fail(recorder.error());
    const auto process = static_cast<std::uint16_t>(config_.process_base + 500 + i);
    auto loop = std::make_shared<RdkafkaConsumerLoop>(config_, process, std::move(*recorder), progress_);
    ORDEAL_TRY(loop->open());
    consumers_.emplace_back([this, loop] {
      const Status ended = loop->run(consuming_);
      if (!ended) note_failure(ended.error());
    });
  }
  return {};
}

void RdkafkaDriver::note_failure(const Error& error) {
  const std::lock_guard lock(mutex_);
  if (first_failure_) first_failure_ = fail(error);
  failed_ = true;
}

void RdkafkaDriver::stop_producing() { producing_ = false; }
void RdkafkaDriver::stop_consuming() { consuming_ = false; }

Status RdkafkaDriver::join() {
  stop_producing();
  for (std::thread& thread : producers_) thread.join();
  stop_consuming();
  for (std::thread& thread : consumers_) thread.join();
  const std::lock_guard lock(mutex_);
  return first_failure_;
}

}  // namespace ordeal::workload
