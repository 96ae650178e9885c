// The native producer: batches, several requests in flight, idempotent sequences and epoch bumps (KIP-98, KIP-360).
//
// Rules that matter to verdicts:
//   - a partition's batches leave in order; a retried batch keeps its place and its sequence;
//   - OUT_OF_ORDER_SEQUENCE or UNKNOWN_PRODUCER_ID for the oldest open batch means the broker vouches that it holds no
//     copy: once nothing is in flight the epoch is bumped and the batch sent again under the new one;
//   - any other batch whose outcome is unknown is never re-sent under a new epoch: it is reported as possibly
//   persisted.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "broker/env/sync.h"
#include "broker/wire/messages/produce.h"
#include "broker/wire/record_batch.h"
#include "workloads/client/delivery.h"
#include "workloads/client/native_cluster.h"

namespace ordeal::client {

struct ProducerOptions {
  std::int16_t acks = -1;
  bool idempotence = true;
  wire::Codec codec = wire::Codec::none;
  std::int32_t max_in_flight = 5;  // requests of one partition
  std::size_t batch_bytes = 16384;
  Duration linger = 5ms;
  Duration delivery_timeout = 15s;
  Duration retry_backoff = 50ms;
  std::int32_t retries = -1;         // -1: until delivery_timeout
  std::size_t records_max = 100000;  // buffered; beyond it send() refuses
};

// The producer took a new id or epoch; the recorder keeps it as evidence.
struct EpochChange {
  ProducerId old_id = kNoProducerId;
  ProducerEpoch old_epoch = -1;
  ProducerId new_id = kNoProducerId;
  ProducerEpoch new_epoch = -1;
  std::int32_t cause = 0;  // Kafka's error code; 0: an expired batch left a gap
  TopicPartition cause_at;
  NodeId cause_node = kNoNode;       // the broker that refused
  std::int32_t cause_sequence = -1;  // base sequence of the batch that was refused; -1: none was
};

class NativeProducer {
 public:
  using OnDelivery = std::function<void(const Delivery&)>;
  using OnEpochChange = std::function<void(const EpochChange&)>;

  // `cluster` must outlive the producer's tasks, that is, until close() returned.
  NativeProducer(NativeCluster& cluster, ProducerOptions options, OnDelivery on_delivery,
                 OnEpochChange on_epoch_change = nullptr);
  ~NativeProducer();

  // False: the buffer is full and nothing happened. Otherwise exactly one delivery with this tag follows.
  bool send(const TopicPartition& to, std::optional<ByteView> key, ByteView value, std::uint64_t tag);
  std::size_t queued() const { return queued_; }
  ProducerId producer_id() const { return producer_id_; }
  ProducerEpoch producer_epoch() const { return producer_epoch_; }

  // Waits until every record has its outcome or the deadline passed; then ends the tasks. What is open is reported.
  env::Task<> close(Instant deadline);

 private:
  struct Batch;
  struct Partition;
  using BatchPtr = std::shared_ptr<Batch>;

  Partition& partition_of(const TopicPartition& tp);
  env::Task<> run_partition(Partition* partition);
  env::Task<> await_reply(Partition* partition, BatchPtr batch, std::shared_ptr<channel::KafkaChannel> link,
                          channel::KafkaChannel::Ticket ticket, std::int16_t version, LeaderInfo leader);
  BatchPtr next_to_send(Partition& partition, Instant* wake_at);
  env::Task<bool> transmit(Partition* partition, LeaderInfo leader, std::shared_ptr<channel::KafkaChannel> link);
  wire::ProduceRequest make_request(const Partition& partition, const Batch& batch) const;
  void seal(Partition& partition, Batch& batch);
  void on_result(Partition& partition, const BatchPtr& batch, wire::ErrorCode error, const std::string& text,
                 Offset base, LeaderInfo leader);
  void on_lost_reply(Partition& partition, const BatchPtr& batch, const Error& error, LeaderInfo leader);
  void retry(Partition& partition, const BatchPtr& batch, LeaderInfo used);
  void finish(Partition& partition, const BatchPtr& batch, const std::string& error, const std::string& text,
              Offset base, LeaderEpoch epoch);
  void expire(Partition& partition);
  void request_bump(std::int32_t cause, const TopicPartition& at, NodeId by = kNoNode, std::int32_t sequence = -1);
  env::Task<> run_bumps();
  env::Task<bool> init_producer_id(Instant deadline);
  void restart_sequences();
  std::size_t in_flight() const;
  Instant now() const { return cluster_.env().scheduler.now(); }

  NativeCluster& cluster_;
  ProducerOptions options_;
  OnDelivery on_delivery_;
  OnEpochChange on_epoch_change_;
  std::map<TopicPartition, std::unique_ptr<Partition>> partitions_;
  std::size_t queued_ = 0;
  ProducerId producer_id_ = kNoProducerId;
  ProducerEpoch producer_epoch_ = -1;
  bool bump_wanted_ = false;  // no new request leaves until the epoch is settled
  std::int32_t bump_cause_ = 0;
  TopicPartition bump_at_;
  NodeId bump_node_ = kNoNode;
  std::int32_t bump_sequence_ = -1;
  env::Gate gate_;
  env::Signal settled_;  // something left flight, or a bump is wanted
  env::Signal drained_;  // queued_ became 0
};

}  // namespace ordeal::client
