// One face for every client that lives outside Env: librdkafka in this process, or any client behind an adapter.
//
// A workload is written against these classes, so what it records and judges does not depend on who speaks Kafka.
// Rules that every implementation keeps:
//   - an object is used by one thread; deliveries are reported on that thread, inside poll() and purge_all();
//   - produce() without a refusal is followed by exactly one delivery with its tag, purge_all() at the latest;
//   - errors carry a name that outcome.h judges, and `not_persisted` only where the client truly knows it;
//   - broken() means that the client failed as a program (an adapter died, hung or talked nonsense). That is the
//     harness's failure and no finding: the trial ends without a verdict.
#pragma once

#include <functional>
#include <map>
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

using Properties = std::vector<std::pair<std::string, std::string>>;  // a client's configuration, in order

using OnDelivery = std::function<void(const Delivery&)>;

// Nothing was queued and no delivery will follow.
struct Refused {
  std::string error;
  std::string text;
};

class ProducerClient {
 public:
  virtual ~ProducerClient() = default;  // outcomes that are still open are reported first, as unknown

  // Queues one record for an explicit partition.
  virtual std::optional<Refused> produce(const TopicPartition& to, std::optional<ByteView> key, ByteView value,
                                         std::uint64_t tag) = 0;
  virtual int poll(int timeout_ms) = 0;                  // deliveries served
  virtual std::size_t queued() const = 0;                // records whose outcome is open
  virtual std::optional<Error> fatal_error() const = 0;  // an idempotent producer that gave up: replace it
  virtual void purge_all() = 0;                          // reports every open record now; nothing is produced after it
  virtual std::optional<Error> broken() const { return std::nullopt; }
};

struct Position {
  std::size_t object;  // index into the table given at creation
  Offset offset;       // or kFromStart
};
inline constexpr Offset kFromStart = -2;

struct Received {
  std::size_t object = 0;
  Offset offset = 0;
  ByteView value;                       // valid until the batch is destroyed
  LeaderEpoch leader_epoch = kNoEpoch;  // of the record, if the client tells
};

struct ConsumeError {
  std::optional<std::size_t> object;
  std::string error;
  std::string text;
};

// What one poll returned, in delivery order; errors beside it.
struct ConsumedBatch {
  std::vector<Received> records;
  std::vector<ConsumeError> errors;
  std::shared_ptr<void> memory;  // what the values point into
};

class ConsumerClient {
 public:
  virtual ~ConsumerClient() = default;

  virtual Status assign(const std::vector<Position>& positions) = 0;  // replaces the assignment
  virtual Status seek(const Position& to) = 0;
  // Up to `max` records that arrive within the timeout.
  virtual ConsumedBatch poll(int timeout_ms, std::size_t max) = 0;
  virtual std::optional<Error> broken() const { return std::nullopt; }
};

// What a workload asks of its clients; each family says it in its own properties.
struct ClientSettings {
  std::vector<Endpoint> bootstrap;
  std::string client_id;
  std::int32_t request_timeout_ms = 5000;
};

struct ProducerSettings : ClientSettings {
  std::int32_t acks = -1;
  bool idempotence = true;
  std::string compression = "none";
  std::int32_t linger_ms = 5;
  std::int32_t max_in_flight = 5;
  std::int32_t retries = -1;  // -1: the client's default
  std::int32_t delivery_timeout_ms = 15000;
};

struct ConsumerSettings : ClientSettings {
  std::string isolation = "read_committed";
  std::int32_t poll_interval_ms = 100;
  std::size_t poll_max = 2000;  // records of one poll
};

// Makes clients of one kind. Outlives them. producer() and consumer() may be called by any thread.
class ClientFamily {
 public:
  virtual ~ClientFamily() = default;
  virtual std::string kind() const = 0;                                    // "librdkafka", "java", ...
  virtual std::string version() const = 0;                                 // of the client library
  virtual std::map<std::string, std::string> facts() const { return {}; }  // more for the history's header
  virtual Result<std::unique_ptr<ProducerClient>> producer(const ProducerSettings& settings,
                                                           OnDelivery on_delivery) = 0;
  virtual Result<std::unique_ptr<ConsumerClient>> consumer(const ConsumerSettings& settings,
                                                           std::vector<TopicPartition> table) = 0;
};

}  // namespace ordeal::client
