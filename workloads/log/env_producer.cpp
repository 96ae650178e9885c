#include <fmt/format.h>

#include <algorithm>

#include "workloads/log/env_clients.h"
#include "workloads/log/header.h"
#include "workloads/log/record_delivery.h"

namespace ordeal::workload {

using env::Task;

namespace {

wire::Codec codec_of(const std::string& name) {
  if (name == "gzip") return wire::Codec::gzip;
  if (name == "snappy") return wire::Codec::snappy;
  if (name == "lz4") return wire::Codec::lz4;
  if (name == "zstd") return wire::Codec::zstd;
  return wire::Codec::none;
}

client::ProducerOptions producer_options(const LogConfig& config) {
  client::ProducerOptions options;
  options.acks = static_cast<std::int16_t>(config.acks);
  options.idempotence = config.idempotence;
  options.codec = codec_of(config.compression);
  options.max_in_flight = config.idempotence ? std::min(config.max_in_flight, 5) : config.max_in_flight;
  options.linger = std::chrono::milliseconds(config.linger_ms);
  options.delivery_timeout = std::chrono::milliseconds(config.delivery_timeout_ms);
  options.retries = config.retries;
  options.records_max = static_cast<std::size_t>(config.outstanding_max);
  return options;
}

constexpr Duration kTick = 5ms;

}  // namespace

client::ClusterOptions native_cluster_options(const LogConfig& config, const std::string& client_id) {
  client::ClusterOptions options;
  options.bootstrap = config.bootstrap;
  options.client_id = client_id;
  options.request_timeout = std::chrono::milliseconds(config.request_timeout_ms);
  return options;
}

history::Header native_header(const LogConfig& config, const std::string& writer) {
  return client_header(config, writer, "native", ORDEAL_VERSION);
}

EnvProducer::EnvProducer(env::Env& env, const LogConfig& config, std::int32_t index,
                         std::unique_ptr<history::Recorder> recorder, Progress& progress)
    : env_(env),
      config_(config),
      recorder_(std::move(recorder)),
      progress_(progress),
      objects_(config.objects()),
      run_hash_(history::run_hash(config.run_id)),
      random_(Random(config.seed).fork(fmt::format("producer-{}-{}", config.value_offset, index))),
      process_(static_cast<std::uint16_t>(config.process_base + index)),
      cluster_(env, native_cluster_options(config, recorder_->header().writer)) {
  producer_ = std::make_unique<client::NativeProducer>(
      cluster_, producer_options(config), [this](const client::Delivery& delivery) { on_delivery(delivery); },
      [this](const client::EpochChange& change) { on_epoch_change(change); });
}

void EnvProducer::on_delivery(const client::Delivery& delivery) {
  const bool acknowledged = record_delivery(*recorder_, progress_, env_.scheduler.now(), process_, delivery);
  if (acknowledged && !std::exchange(seen_ok_, true)) progress_.connected.fetch_add(1);
}

void EnvProducer::on_epoch_change(const client::EpochChange& change) {
  history::ProducerReset reset;
  reset.process = process_;
  reset.time_ns = static_cast<std::uint64_t>(env_.scheduler.now().time_since_epoch().count());
  reset.old_producer_id = change.old_id;
  reset.old_producer_epoch = change.old_epoch;
  reset.new_producer_id = change.new_id;
  reset.new_producer_epoch = change.new_epoch;
  reset.cause_code = change.cause;
  reset.cause_sequence = change.cause_sequence;
  reset.cause_node = change.cause_node;
  const auto at = std::ranges::find(objects_, change.cause_at);
  reset.cause_object =
      at == objects_.end() ? history::kNoObject : static_cast<std::uint16_t>(std::distance(objects_.begin(), at));
  recorder_->producer_reset(reset);
}

void EnvProducer::send_one() {
  const std::uint64_t value = recorder_->value_id(next_value_++);
  const auto object = static_cast<std::uint16_t>(random_.below(objects_.size()));
  const Bytes payload = history::make_payload(run_hash_, {value, object}, static_cast<std::size_t>(config_.value_size));
  std::string key;
  if (config_.keys == KeyMode::unique) key = fmt::format("k{}", value);
  if (config_.keys == KeyMode::hot) key = fmt::format("k{}", random_.below(16));
  recorder_->send_invoke(env_.scheduler.now(), process_, object, value);
  progress_.invoked.fetch_add(1, std::memory_order_relaxed);
  const bool queued =
      producer_->send(objects_[object], key.empty() ? std::nullopt : std::optional<ByteView>(as_bytes(key)), payload,
                      pack_tag(value, object));
  if (queued) return;
  record_refusal(*recorder_, progress_, env_.scheduler.now(), process_, object, value, "_QUEUE_FULL",
                 "the producer's buffer is full");
}

Task<> EnvProducer::run(env::Gate* stop) {
  const Instant start = env_.scheduler.now();
  const std::int64_t rate = config_.producers > 0 ? config_.rate / config_.producers : 0;
  const auto room = static_cast<std::size_t>(config_.outstanding_max);
  std::int64_t sent = 0;
  while (!stop->closing()) {
    const std::int64_t elapsed_us = (env_.scheduler.now() - start) / 1us;
    const std::int64_t due = config_.rate > 0 ? elapsed_us * rate / 1'000'000 : sent + 512;
    if (paused_) sent = due;
    if (due > sent + 4096) sent = due - 4096;  // a stuck client's schedule does not pile up
    for (; sent < due && producer_->queued() < room; ++sent) send_one();
    co_await stop->sleep_for(config_.rate > 0 ? kTick : Duration(1ms));
  }
  const auto grace = std::chrono::milliseconds(static_cast<std::int64_t>(config_.stop_grace_s * 1000));
  co_await producer_->close(env_.scheduler.now() + grace);
  cluster_.close();
}

}  // namespace ordeal::workload
