#include "workloads/log/rdkafka_consumer_loop.h"

#include <fmt/format.h>

#include "workloads/log/rdkafka_driver.h"
#include "workloads/log/stopwatch.h"

namespace ordeal::workload {
namespace {

constexpr std::size_t kPollMax = 2000;

client::Properties consumer_properties(const LogConfig& config, const std::string& client_id) {
  client::Properties all = rdkafka_properties(config, client_id);
  all.emplace_back("group.id", client_id);  // librdkafka wants one; nothing is committed or joined
  all.emplace_back("enable.auto.commit", "false");
  // A position the log no longer has is an error to be seen, not a silent jump.
  all.emplace_back("auto.offset.reset", "error");
  all.emplace_back("isolation.level", config.isolation);
  all.emplace_back("check.crcs", "true");
  all.emplace_back("fetch.wait.max.ms", std::to_string(config.poll_interval_ms));
  all.emplace_back("fetch.error.backoff.ms", "100");
  all.insert(all.end(), config.librdkafka.begin(), config.librdkafka.end());
  return all;
}

}  // namespace

RdkafkaConsumerLoop::RdkafkaConsumerLoop(const LogConfig& config, std::uint16_t process,
                                         std::unique_ptr<history::Recorder> recorder, Progress& progress)
    : config_(config),
      process_(process),
      recorder_(std::move(recorder)),
      progress_(progress),
      objects_(config.objects()),
      run_hash_(history::run_hash(config.run_id)) {}

Status RdkafkaConsumerLoop::open() {
  auto made = client::RdConsumer::create(consumer_properties(config_, recorder_->header().writer), objects_);
  if (!made) return fail(made.error());
  consumer_ = std::move(*made);
  return assign_all();
}

Status RdkafkaConsumerLoop::assign_all() {
  std::vector<client::RdConsumer::Position> positions;
  for (std::size_t i = 0; i < objects_.size(); ++i) {
    positions.push_back({i, 0});
    recorder_->assign(monotonic_now(), process_, static_cast<std::uint16_t>(i), 0);
  }
  return consumer_->assign(positions);
}

void RdkafkaConsumerLoop::record(const client::RdConsumer::Batch& batch) {
  const Instant now = monotonic_now();
  for (const client::Received& received : batch.records) {
    const auto object = static_cast<std::uint16_t>(received.object);
    const history::Decoded decoded = history::decode_payload(run_hash_, received.value);
    if (const auto* value = std::get_if<history::PayloadValue>(&decoded)) {
      recorder_->read(now, process_, object, received.offset, value->id);
    } else {
      const auto& foreign = std::get<history::PayloadForeign>(decoded);
      recorder_->read_foreign(now, process_, object, received.offset, foreign.describe(received.value));
    }
  }
  progress_.reads.fetch_add(batch.records.size(), std::memory_order_relaxed);
  if (!batch.records.empty() && !std::exchange(seen_record_, true)) progress_.connected.fetch_add(1);
}

// The log lost the position we were at (truncation below it, or retention): start over, visibly.
void RdkafkaConsumerLoop::recover(const client::ConsumeError& error) {
  recorder_->note(fmt::format("process {}: {}: {}", process_, error.error, error.text));
  if (!error.object || (error.error != "OFFSET_OUT_OF_RANGE" && error.error != "_AUTO_OFFSET_RESET")) return;
  const Status sought = consumer_->seek({*error.object, client::RdConsumer::kFromStart});
  if (!sought) recorder_->note(fmt::format("process {}: {}", process_, sought.error().text));
  recorder_->assign(monotonic_now(), process_, static_cast<std::uint16_t>(*error.object), 0);
}

Status RdkafkaConsumerLoop::run(const std::atomic<bool>& consuming) {
  while (consuming.load(std::memory_order_relaxed)) {
    recorder_->poll_invoke(monotonic_now(), process_);
    const client::RdConsumer::Batch batch = consumer_->poll(config_.poll_interval_ms, kPollMax);
    record(batch);
    const auto count = static_cast<std::int64_t>(batch.records.size());
    recorder_->poll_done(monotonic_now(), process_, history::Type::ok, count);
    progress_.polls.fetch_add(1, std::memory_order_relaxed);
    for (const client::ConsumeError& error : batch.errors) recover(error);
    if (!recorder_->status()) return recorder_->status();
  }
  return recorder_->close();
}

}  // namespace ordeal::workload
