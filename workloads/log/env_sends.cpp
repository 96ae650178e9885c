// Records sent on demand: what a scripted scenario's `send` does.
#include <fmt/format.h>

#include <algorithm>

#include "workloads/log/env_clients.h"
#include "workloads/log/record_delivery.h"

namespace ordeal::workload {

using env::Task;

namespace {
constexpr std::uint16_t kSendProcesses = 400;  // below those of the consumers
constexpr std::uint16_t kBurstsMax = 100;
}  // namespace

// A producer with its own connections; its tasks end with close().
struct EnvSends::Sender {
  Sender(EnvSends& owner, std::int64_t count, std::int16_t acks, Duration within)
      : process(static_cast<std::uint16_t>(owner.config_.process_base + kSendProcesses + owner.bursts_)),
        cluster(owner.env_, options(owner, process)) {
    client::ProducerOptions wanted;
    wanted.acks = acks;
    wanted.idempotence = acks == -1 && owner.config_.idempotence;
    wanted.linger = Duration::zero();
    wanted.delivery_timeout = within;
    wanted.records_max = static_cast<std::size_t>(count) + 1;
    producer =
        std::make_unique<client::NativeProducer>(cluster, wanted, [this, &owner](const client::Delivery& delivery) {
          if (record_delivery(*owner.recorder_, owner.progress_, owner.env_.scheduler.now(), process, delivery))
            ++acknowledged;
        });
  }
  static client::ClusterOptions options(EnvSends& owner, std::uint16_t process) {
    return native_cluster_options(owner.config_, fmt::format("{}-{}", owner.recorder_->header().writer, process));
  }

  std::uint16_t process;
  std::int64_t acknowledged = 0;
  client::NativeCluster cluster;
  std::unique_ptr<client::NativeProducer> producer;
};

EnvSends::EnvSends(env::Env& env, const LogConfig& config, std::unique_ptr<history::Recorder> recorder,
                   Progress& progress)
    : env_(env), config_(config), recorder_(std::move(recorder)), progress_(progress), objects_(config.objects()) {}

Result<std::shared_ptr<const EnvSends::Burst>> EnvSends::send(const TopicPartition& at, std::int64_t count,
                                                              std::int16_t acks, Duration within, env::Gate& gate) {
  const auto found = std::ranges::find(objects_, at);
  if (found == objects_.end()) return fail(Errc::not_found, at.to_string() + " is no partition of the workload");
  if (bursts_ >= kBurstsMax) return fail(Errc::unsupported, fmt::format("more than {} bursts", kBurstsMax));
  auto burst = std::make_shared<Burst>();
  burst->wanted = count;
  auto sender = std::make_shared<Sender>(*this, count, acks, within);
  ++bursts_;
  gate.spawn(run(std::move(sender), burst, static_cast<std::uint16_t>(std::distance(objects_.begin(), found)), within),
             "log-send");
  return burst;
}

Task<> EnvSends::run(std::shared_ptr<Sender> sender, std::shared_ptr<Burst> burst, std::uint16_t object,
                     Duration within) {
  const std::uint64_t run = history::run_hash(config_.run_id);
  for (std::int64_t i = 0; i < burst->wanted; ++i) {
    const std::uint64_t value = recorder_->value_id(next_value_++);
    const Bytes payload = history::make_payload(run, {value, object}, static_cast<std::size_t>(config_.value_size));
    recorder_->send_invoke(env_.scheduler.now(), sender->process, object, value);
    progress_.invoked.fetch_add(1, std::memory_order_relaxed);
    const bool queued = sender->producer->send(objects_[object], std::nullopt, payload, pack_tag(value, object));
    if (!queued)
      record_refusal(*recorder_, progress_, env_.scheduler.now(), sender->process, object, value, "_QUEUE_FULL",
                     "the producer's buffer is full");
  }
  co_await sender->producer->close(env_.scheduler.now() + within);
  sender->cluster.close();
  burst->acknowledged = sender->acknowledged;
  burst->done = true;
}

}  // namespace ordeal::workload
