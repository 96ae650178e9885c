#include "workloads/log/producer_loop.h"

#include <fmt/format.h>

#include "workloads/log/record_delivery.h"
#include "workloads/log/stopwatch.h"

namespace ordeal::workload {
namespace {

constexpr std::uint16_t kProcessStep = 100;  // producers of a host are numbered below it

client::ProducerSettings settings_of(const LogConfig& config, const std::string& client_id) {
  client::ProducerSettings settings;
  settings.bootstrap = config.bootstrap;
  settings.client_id = client_id;
  settings.request_timeout_ms = config.request_timeout_ms;
  settings.acks = config.acks;
  settings.idempotence = config.idempotence;
  settings.compression = config.compression;
  settings.linger_ms = config.linger_ms;
  settings.max_in_flight = config.max_in_flight;
  settings.retries = config.retries;
  settings.delivery_timeout_ms = config.delivery_timeout_ms;
  return settings;
}

}  // namespace

ProducerLoop::ProducerLoop(const LogConfig& config, client::ClientFamily& family, std::int32_t index,
                           std::unique_ptr<history::Recorder> recorder, Progress& progress)
    : config_(config),
      family_(family),
      recorder_(std::move(recorder)),
      progress_(progress),
      random_(Random(config.seed).fork(fmt::format("producer-{}-{}", config.value_offset, index))),
      objects_(config.objects()),
      run_hash_(history::run_hash(config.run_id)),
      process_(static_cast<std::uint16_t>(config.process_base + index)),
      client_id_(recorder_->header().writer) {}

Status ProducerLoop::open() { return open_client(); }

Status ProducerLoop::open_client() {
  auto made = family_.producer(settings_of(config_, client_id_),
                               [this](const client::Delivery& delivery) { on_delivery(delivery); });
  if (!made) return fail(made.error());
  producer_ = std::move(*made);
  return {};
}

void ProducerLoop::on_delivery(const client::Delivery& delivery) {
  const bool acknowledged = record_delivery(*recorder_, progress_, monotonic_now(), process_, delivery);
  if (acknowledged && !std::exchange(seen_ok_, true)) progress_.connected.fetch_add(1);
}

void ProducerLoop::send_one() {
  const std::uint64_t value = recorder_->value_id(next_value_++);
  const auto object = static_cast<std::uint16_t>(random_.below(objects_.size()));
  const Bytes payload = history::make_payload(run_hash_, {value, object}, static_cast<std::size_t>(config_.value_size));
  std::string key;
  if (config_.keys == KeyMode::unique) key = fmt::format("k{}", value);
  if (config_.keys == KeyMode::hot) key = fmt::format("k{}", random_.below(16));
  recorder_->send_invoke(monotonic_now(), process_, object, value);
  progress_.invoked.fetch_add(1, std::memory_order_relaxed);
  const auto refused =
      producer_->produce(objects_[object], key.empty() ? std::nullopt : std::optional<ByteView>(as_bytes(key)), payload,
                         pack_tag(value, object));
  if (!refused) return;
  record_refusal(*recorder_, progress_, monotonic_now(), process_, object, value, refused->error, refused->text);
}

Status ProducerLoop::replace_client_if_dead() {
  const auto fatal = producer_->fatal_error();
  if (!fatal) return {};
  recorder_->note(fmt::format("process {} ended: {}", process_, fatal->text));
  producer_->purge_all();  // their outcomes stay unknown
  // A new client is a new process: what the old one has on the wire may still land.
  process_ = static_cast<std::uint16_t>(process_ + kProcessStep);
  Status reopened = open_client();
  return reopened ? reopened : fail(reopened.error().at("a producer could not be replaced"));
}

Status ProducerLoop::run(const std::atomic<bool>& producing) {
  const double rate = config_.producers > 0 ? static_cast<double>(config_.rate) / config_.producers : 0;
  const Instant start = monotonic_now();
  std::uint64_t sent = 0;
  while (producing.load(std::memory_order_relaxed)) {
    const double elapsed = std::chrono::duration<double>(monotonic_now() - start).count();
    const auto due = rate > 0 ? static_cast<std::uint64_t>(elapsed * rate) : sent + 256;
    const auto room_max = static_cast<std::size_t>(config_.outstanding_max);
    // When the client is stuck the schedule does not pile up: what could not be sent in its time is skipped.
    if (due > sent + 4096) sent = due - 4096;
    while (sent < due && producer_->queued() < room_max) {
      send_one();
      ++sent;
    }
    producer_->poll(sent < due ? 10 : 1);
    ORDEAL_TRY(replace_client_if_dead());
    ORDEAL_TRY(health());
  }
  return wind_down();
}

Status ProducerLoop::health() const {
  ORDEAL_TRY(recorder_->status());
  const auto broken = producer_->broken();
  if (broken) return fail(*broken);
  return {};
}

Status ProducerLoop::wind_down() {
  const Instant until =
      monotonic_now() + std::chrono::milliseconds(static_cast<std::int64_t>(config_.stop_grace_s * 1000));
  while (producer_->queued() > 0 && !producer_->broken() && monotonic_now() < until) producer_->poll(20);
  producer_->purge_all();
  const auto broken = producer_->broken();
  ORDEAL_TRY(recorder_->close());
  if (broken) return fail(*broken);
  return {};
}

}  // namespace ordeal::workload
