#include "workloads/client/native_producer.h"

#include <fmt/format.h>

#include "broker/wire/error_codes.h"
#include "workloads/client/native_producer_state.h"

namespace ordeal::client {

using env::Task;

NativeProducer::NativeProducer(NativeCluster& cluster, ProducerOptions options, OnDelivery on_delivery,
                               OnEpochChange on_epoch_change)
    : cluster_(cluster),
      options_(options),
      on_delivery_(std::move(on_delivery)),
      on_epoch_change_(std::move(on_epoch_change)),
      gate_(cluster.env().scheduler),
      settled_(cluster.env().scheduler),
      drained_(cluster.env().scheduler) {
  if (!options_.idempotence) return;
  bump_wanted_ = true;  // the first "bump" fetches the id
  gate_.spawn(run_bumps(), "producer-epochs");
}

NativeProducer::~NativeProducer() = default;

NativeProducer::Partition& NativeProducer::partition_of(const TopicPartition& tp) {
  auto& slot = partitions_[tp];
  if (!slot) {
    slot = std::make_unique<Partition>(tp, cluster_.env().scheduler);
    gate_.spawn(run_partition(slot.get()), "producer-partition");
  }
  return *slot;
}

bool NativeProducer::send(const TopicPartition& to, std::optional<ByteView> key, ByteView value, std::uint64_t tag) {
  if (queued_ >= options_.records_max || gate_.closing()) return false;
  Partition& partition = partition_of(to);
  const std::size_t need = value.size() + (key ? key->size() : 0) + 32;
  const bool fits = !partition.ready.empty() && partition.ready.back()->attempts == 0 &&
                    partition.ready.back()->encoded.empty() &&
                    partition.ready.back()->builder.uncompressed_size() + need <= options_.batch_bytes;
  if (!fits) {
    partition.ready.push_back(std::make_shared<Batch>(options_.codec));
    partition.ready.back()->created = now();
    partition.changed.notify_all();
  }
  Batch& batch = *partition.ready.back();
  batch.builder.append(cluster_.env().scheduler.wall_ms(), key, value);
  batch.tags.push_back(tag);
  ++queued_;
  if (batch.builder.uncompressed_size() + need > options_.batch_bytes) partition.changed.notify_all();
  return true;
}

std::size_t NativeProducer::in_flight() const {
  std::size_t total = 0;
  for (const auto& [tp, partition] : partitions_) total += partition->in_flight.size();
  return total;
}

// The batch that may leave now; otherwise when to look again.
NativeProducer::BatchPtr NativeProducer::next_to_send(Partition& partition, Instant* wake_at) {
  *wake_at = kForever;
  if (partition.ready.empty()) return nullptr;
  const BatchPtr& first = partition.ready.front();
  *wake_at = first->created + options_.delivery_timeout;
  const bool blocked = bump_wanted_ || partition.in_flight.size() >= static_cast<std::size_t>(options_.max_in_flight);
  if (blocked) return nullptr;
  const bool fresh = options_.idempotence && first->sequence == wire::kNoSequence;
  if (fresh && partition.span() > static_cast<std::uint64_t>(options_.max_in_flight)) return nullptr;
  Instant at = partition.retry_at;
  const bool full = partition.ready.size() > 1 || first->builder.uncompressed_size() >= options_.batch_bytes;
  if (first->attempts == 0 && !full) at = std::max(at, first->created + options_.linger);
  if (now() >= at) return first;
  *wake_at = std::min(*wake_at, at);
  return nullptr;
}

Task<> NativeProducer::run_partition(Partition* partition) {
  while (true) {
    expire(*partition);
    Instant wake_at = kForever;
    BatchPtr batch = next_to_send(*partition, &wake_at);
    if (!batch) {
      if (gate_.closing() && partition->ready.empty()) co_return;
      co_await partition->changed.wait(wake_at);
      continue;
    }
    const Instant until = now() + cluster_.options().request_timeout;
    std::optional<LeaderInfo> leader = co_await cluster_.leader_of(partition->tp, until);
    if (!leader) continue;
    auto opened = co_await cluster_.connect(leader->node, until);
    if (!opened) {
      cluster_.mark_stale(partition->tp, leader->node);
      partition->retry_at = now() + options_.retry_backoff;
      continue;
    }
    std::shared_ptr<channel::KafkaChannel> link = *opened;
    co_await transmit(partition, *leader, std::move(link));
  }
}

// Sends the first ready batch; state may have changed during the awaits before, so everything is looked at again.
Task<bool> NativeProducer::transmit(Partition* partition, LeaderInfo leader,
                                    std::shared_ptr<channel::KafkaChannel> link) {
  Instant unused = kForever;
  BatchPtr batch = next_to_send(*partition, &unused);
  if (!batch) co_return false;
  // Version 12 addresses by name: it needs no topic id, and every supported broker has it.
  const std::int16_t version = cluster_.version_for(leader.node, wire::ApiKey::produce, 12);
  seal(*partition, *batch);
  partition->ready.pop_front();
  wire::ProduceRequest request = make_request(*partition, *batch);
  ++batch->attempts;
  if (options_.acks == 0) {
    Status sent = co_await link->send_only(std::move(request), version);
    batch->maybe_persisted = true;
    if (sent) {
      finish(*partition, batch, "", "", kNoOffset, kNoEpoch);
    } else {
      on_lost_reply(*partition, batch, sent.error(), leader);
    }
    co_return true;
  }
  partition->in_flight.push_back(batch);
  channel::KafkaChannel::Ticket ticket = link->start(request, version);
  gate_.spawn(await_reply(partition, batch, std::move(link), std::move(ticket), version, leader), "producer-reply");
  co_return true;
}

// Gives the batch its bytes and, when idempotent, its identity.
void NativeProducer::seal(Partition& partition, Batch& batch) {
  if (batch.encoded.empty()) batch.encoded = batch.builder.build();
  if (!options_.idempotence) return;
  if (batch.sequence == wire::kNoSequence) {
    batch.sequence = partition.next_sequence;
    batch.number = partition.next_number++;
    partition.next_sequence = wire::add_sequence(partition.next_sequence, batch.count());
  }
  store_be<std::int64_t>(batch.encoded.data() + 43, producer_id_);
  store_be<std::int16_t>(batch.encoded.data() + 51, producer_epoch_);
  store_be<std::int32_t>(batch.encoded.data() + 53, batch.sequence);
  wire::refresh_crc(batch.encoded);
}

wire::ProduceRequest NativeProducer::make_request(const Partition& partition, const Batch& batch) const {
  wire::ProduceRequest request;
  request.acks = options_.acks;
  request.timeout_ms = static_cast<std::int32_t>(cluster_.options().request_timeout / 1ms);
  auto& topic = request.topic_data.emplace_back();
  topic.name = partition.tp.topic;
  auto& data = topic.partition_data.emplace_back();
  data.index = partition.tp.partition;
  data.records = Slice(nullptr, batch.encoded);  // encoded before the batch can change or go
  return request;
}

Task<> NativeProducer::await_reply(Partition* partition, BatchPtr batch, std::shared_ptr<channel::KafkaChannel> link,
                                   channel::KafkaChannel::Ticket ticket, std::int16_t version, LeaderInfo leader) {
  const Instant deadline = now() + cluster_.options().request_timeout + 1s;
  auto reply = co_await link->finish<wire::ProduceRequest>(std::move(ticket), version, deadline);
  if (!reply) {
    on_lost_reply(*partition, batch, reply.error(), leader);
  } else if (reply->responses.size() != 1 || reply->responses[0].partition_responses.size() != 1) {
    on_lost_reply(*partition, batch, {Errc::corrupt, "an answer of another shape than the question"}, leader);
  } else {
    const auto& answer = reply->responses[0].partition_responses[0];
    on_result(*partition, batch, answer.error_code, answer.error_message.value_or(""), answer.base_offset, leader);
  }
  partition->changed.notify_all();
  settled_.notify_all();
}

Task<> NativeProducer::close(Instant deadline) {
  while (queued_ > 0 && now() < deadline) co_await drained_.wait(deadline);
  gate_.begin_close();
  // Whatever is open now has no outcome any more: report it, and let the loops see empty queues.
  for (auto& [tp, partition] : partitions_) {
    std::deque<BatchPtr> open;
    open.swap(partition->ready);
    for (const BatchPtr& batch : open)
      finish(*partition, batch, batch->attempts == 0 ? "_NEVER_SENT" : "_PURGE_QUEUE", "producer closed", kNoOffset,
             kNoEpoch);
    open.clear();
    open.swap(partition->in_flight);
    for (const BatchPtr& batch : open) {
      batch->maybe_persisted = true;
      finish(*partition, batch, "_PURGE_INFLIGHT", "producer closed", kNoOffset, kNoEpoch);
    }
    partition->changed.notify_all();
  }
  settled_.notify_all();
  co_await gate_.close();
}

}  // namespace ordeal::client
