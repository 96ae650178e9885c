// librdkafka behind the face of client.h, and its admin client for the topics.
//
// Callbacks run inside poll(), on the thread of the caller. Errors carry librdkafka's own names ("_MSG_TIMED_OUT",
// "NOT_LEADER_FOR_PARTITION"), which outcome.h judges. Properties are librdkafka's.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "workloads/client/client.h"

namespace ordeal::client {

std::string rdkafka_version();

class RdProducer final : public ProducerClient {
 public:
  static Result<std::unique_ptr<RdProducer>> create(const Properties& properties, OnDelivery on_delivery);
  ~RdProducer() override;  // what is queued is reported as _PURGE_QUEUE or _PURGE_INFLIGHT

  std::optional<Refused> produce(const TopicPartition& to, std::optional<ByteView> key, ByteView value,
                                 std::uint64_t tag) override;
  int poll(int timeout_ms) override;
  std::size_t queued() const override;
  std::optional<Error> fatal_error() const override;
  void purge_all() override;

 private:
  struct Impl;
  explicit RdProducer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

class RdConsumer final : public ConsumerClient {
 public:
  using Position = client::Position;
  static constexpr Offset kFromStart = client::kFromStart;
  static Result<std::unique_ptr<RdConsumer>> create(const Properties& properties, std::vector<TopicPartition> table);
  ~RdConsumer() override;

  Status assign(const std::vector<Position>& positions) override;
  Status seek(const Position& to) override;
  ConsumedBatch poll(int timeout_ms, std::size_t max) override;

 private:
  struct Impl;
  explicit RdConsumer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// librdkafka's clients by what a workload asks of them. `extra` properties come last, so they win.
class RdFamily final : public ClientFamily {
 public:
  explicit RdFamily(Properties extra) : extra_(std::move(extra)) {}
  std::string kind() const override { return "librdkafka"; }
  std::string version() const override { return rdkafka_version(); }
  Result<std::unique_ptr<ProducerClient>> producer(const ProducerSettings& settings, OnDelivery on_delivery) override;
  Result<std::unique_ptr<ConsumerClient>> consumer(const ConsumerSettings& settings,
                                                   std::vector<TopicPartition> table) override;

 private:
  Properties extra_;
};

// What every client has in common, the admin client too.
Properties rdkafka_properties(const ClientSettings& settings);

struct NewTopicSpec {
  std::string name;
  std::int32_t partitions = 1;
  std::int16_t replication = 1;
  Properties configs;
};
// Creates them, or finds them there already; then waits until every partition has a leader. Retries until `timeout`.
Status create_topics(const Properties& properties, const std::vector<NewTopicSpec>& topics, std::int64_t timeout_ms);

}  // namespace ordeal::client
