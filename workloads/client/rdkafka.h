// librdkafka behind a small face: what the log workload needs of a producer, a consumer and an admin client.
//
// Each object is used by one thread; callbacks run on that thread inside poll(). Errors carry librdkafka's own names
// ("_MSG_TIMED_OUT", "NOT_LEADER_FOR_PARTITION"), which outcome.h judges.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "broker/base/bytes.h"
#include "broker/base/result.h"
#include "broker/base/types.h"
#include "workloads/client/delivery.h"

namespace ordeal::client {

using Properties = std::vector<std::pair<std::string, std::string>>;  // librdkafka configuration, in order

std::string rdkafka_version();

class RdProducer {
 public:
  using OnDelivery = std::function<void(const Delivery&)>;
  static Result<std::unique_ptr<RdProducer>> create(const Properties& properties, OnDelivery on_delivery);
  ~RdProducer();  // purges what is queued: its deliveries are reported as _PURGE_QUEUE or _PURGE_INFLIGHT

  // Queues one record for an explicit partition. An error means nothing was queued and no delivery will follow.
  struct Refused {
    std::string error;
    std::string text;
  };
  std::optional<Refused> produce(const TopicPartition& to, std::optional<ByteView> key, ByteView value,
                                 std::uint64_t tag);
  int poll(int timeout_ms);                  // deliveries served
  std::size_t queued() const;                // records whose outcome is open
  std::optional<Error> fatal_error() const;  // an idempotent producer that gave up: replace it
  void purge_all();                          // reports every open record now

 private:
  struct Impl;
  explicit RdProducer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

struct Received {
  std::size_t object = 0;  // index into the assigned table
  Offset offset = 0;
  ByteView value;  // valid until the batch is destroyed
};

struct ConsumeError {
  std::optional<std::size_t> object;
  std::string error;
  std::string text;
};

class RdConsumer {
 public:
  static Result<std::unique_ptr<RdConsumer>> create(const Properties& properties, std::vector<TopicPartition> table);
  ~RdConsumer();

  struct Position {
    std::size_t object;
    Offset offset;  // or kFromStart
  };
  static constexpr Offset kFromStart = -2;
  Status assign(const std::vector<Position>& positions);  // replaces the assignment
  Status seek(const Position& to);

  // Up to `max` records that arrive within the timeout, in delivery order; errors beside them.
  struct Batch {
    Batch();
    Batch(Batch&&) noexcept;
    ~Batch();
    std::vector<Received> records;
    std::vector<ConsumeError> errors;
    std::vector<void*> messages;  // owned by librdkafka until we go
  };
  Batch poll(int timeout_ms, std::size_t max);

 private:
  struct Impl;
  explicit RdConsumer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

struct NewTopicSpec {
  std::string name;
  std::int32_t partitions = 1;
  std::int16_t replication = 1;
  Properties configs;
};
// Creates them, or finds them there already; then waits until every partition has a leader. Retries until `timeout`.
Status create_topics(const Properties& properties, const std::vector<NewTopicSpec>& topics, std::int64_t timeout_ms);

}  // namespace ordeal::client
