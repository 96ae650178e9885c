#include "workloads/log/consumer_loop.h"

#include <fmt/format.h>

#include "workloads/log/stopwatch.h"

namespace ordeal::workload {
namespace {

client::ConsumerSettings settings_of(const LogConfig& config, const std::string& client_id) {
  client::ConsumerSettings settings;
  settings.bootstrap = config.bootstrap;
  settings.client_id = client_id;
  settings.request_timeout_ms = config.request_timeout_ms;
  settings.isolation = config.isolation;
  settings.poll_interval_ms = config.poll_interval_ms;
  return settings;
}

}  // namespace

ConsumerLoop::ConsumerLoop(const LogConfig& config, client::ClientFamily& family, std::uint16_t process,
                           std::unique_ptr<history::Recorder> recorder, Progress& progress)
    : config_(config),
      family_(family),
      process_(process),
      recorder_(std::move(recorder)),
      progress_(progress),
      objects_(config.objects()),
      run_hash_(history::run_hash(config.run_id)) {}

Status ConsumerLoop::open() {
  auto made = family_.consumer(settings_of(config_, recorder_->header().writer), objects_);
  if (!made) return fail(made.error());
  consumer_ = std::move(*made);
  return assign_all();
}

Status ConsumerLoop::assign_all() {
  std::vector<client::Position> positions;
  for (std::size_t i = 0; i < objects_.size(); ++i) {
    positions.push_back({i, 0});
    recorder_->assign(monotonic_now(), process_, static_cast<std::uint16_t>(i), 0);
  }
  return consumer_->assign(positions);
}

void ConsumerLoop::record(const client::ConsumedBatch& batch) {
  const Instant now = monotonic_now();
  for (const client::Received& received : batch.records) {
    const auto object = static_cast<std::uint16_t>(received.object);
    const history::Decoded decoded = history::decode_payload(run_hash_, received.value);
    if (const auto* value = std::get_if<history::PayloadValue>(&decoded)) {
      recorder_->read(now, process_, object, received.offset, value->id, received.leader_epoch);
    } else {
      const auto& foreign = std::get<history::PayloadForeign>(decoded);
      recorder_->read_foreign(now, process_, object, received.offset, foreign.describe(received.value));
    }
  }
  progress_.reads.fetch_add(batch.records.size(), std::memory_order_relaxed);
  if (!batch.records.empty() && !std::exchange(seen_record_, true)) progress_.connected.fetch_add(1);
}

// The log lost the position we were at (truncation below it, or retention): start over, visibly.
void ConsumerLoop::recover(const client::ConsumeError& error) {
  recorder_->note(fmt::format("process {}: {}: {}", process_, error.error, error.text));
  if (!error.object || (error.error != "OFFSET_OUT_OF_RANGE" && error.error != "_AUTO_OFFSET_RESET")) return;
  const Status sought = consumer_->seek({*error.object, client::kFromStart});
  if (!sought) recorder_->note(fmt::format("process {}: {}", process_, sought.error().text));
  recorder_->assign(monotonic_now(), process_, static_cast<std::uint16_t>(*error.object), 0);
}

Status ConsumerLoop::run(const std::atomic<bool>& consuming) {
  const std::size_t poll_max = client::ConsumerSettings{}.poll_max;
  while (consuming.load(std::memory_order_relaxed)) {
    recorder_->poll_invoke(monotonic_now(), process_);
    const client::ConsumedBatch batch = consumer_->poll(config_.poll_interval_ms, poll_max);
    record(batch);
    const auto broken = consumer_->broken();
    if (broken) return fail(*broken);
    const auto count = static_cast<std::int64_t>(batch.records.size());
    recorder_->poll_done(monotonic_now(), process_, history::Type::ok, count);
    progress_.polls.fetch_add(1, std::memory_order_relaxed);
    for (const client::ConsumeError& error : batch.errors) recover(error);
    if (!recorder_->status()) return recorder_->status();
  }
  return recorder_->close();
}

}  // namespace ordeal::workload
