#include "workloads/log/client_driver.h"

#include <fmt/format.h>

#include "workloads/log/consumer_loop.h"
#include "workloads/log/header.h"
#include "workloads/log/producer_loop.h"

namespace ordeal::workload {

ClientDriver::~ClientDriver() {
  const Status ended = join();
  if (!ended) note_failure(ended.error());
}

history::Header ClientDriver::make_header(const std::string& writer) const {
  history::Header header = client_header(config_, writer, family_.kind(), family_.version());
  for (const auto& [key, value] : family_.facts()) header.config.insert_or_assign(key, value);
  return header;
}

Status ClientDriver::start() {
  const auto producers = static_cast<std::uint64_t>(config_.producers);
  for (std::int32_t i = 0; i < config_.producers; ++i) {
    const std::string writer = fmt::format("{}-producer-{}", host_, i);
    history::Header header = make_header(writer);
    header.value_first = config_.value_offset * producers + static_cast<std::uint64_t>(i);
    header.value_stride = config_.value_stride * producers;
    auto recorder = history::Recorder::create(history_dir_ + "/" + writer + ".ohist", std::move(header));
    if (!recorder) return fail(recorder.error());
    auto loop = std::make_shared<ProducerLoop>(config_, family_, i, std::move(*recorder), progress_);
    ORDEAL_TRY(loop->open());
    producers_.emplace_back([this, loop] {
      const Status ended = loop->run(producing_);
      if (!ended) note_failure(ended.error());
    });
  }
  for (std::int32_t i = 0; i < config_.consumers; ++i) {
    const std::string writer = fmt::format("{}-consumer-{}", host_, i);
    auto recorder = history::Recorder::create(history_dir_ + "/" + writer + ".ohist", make_header(writer));
    if (!recorder) return fail(recorder.error());
    const auto process = static_cast<std::uint16_t>(config_.process_base + 500 + i);
    auto loop = std::make_shared<ConsumerLoop>(config_, family_, process, std::move(*recorder), progress_);
    ORDEAL_TRY(loop->open());
    consumers_.emplace_back([this, loop] {
      const Status ended = loop->run(consuming_);
      if (!ended) note_failure(ended.error());
    });
  }
  return {};
}

void ClientDriver::note_failure(const Error& error) {
  const std::lock_guard lock(mutex_);
  if (first_failure_) first_failure_ = fail(error);
  failed_ = true;
}

void ClientDriver::stop_producing() { producing_ = false; }
void ClientDriver::stop_consuming() { consuming_ = false; }

Status ClientDriver::join() {
  stop_producing();
  for (std::thread& thread : producers_) {
    if (thread.joinable()) thread.join();
  }
  stop_consuming();
  for (std::thread& thread : consumers_) {
    if (thread.joinable()) thread.join();
  }
  const std::lock_guard lock(mutex_);
  return first_failure_;
}

}  // namespace ordeal::workload
