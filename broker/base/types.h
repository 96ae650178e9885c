// The vocabulary every folder shares: ids, offsets, epochs, time.
//
// Ids follow Kafka: brokers, partitions and epochs are 32-bit signed, offsets 64-bit signed, -1 means none.
// Time is strong: Instant and Duration are monotonic nanoseconds; wall-clock milliseconds since the Unix epoch
// (record timestamps) are plain WallMs and never mix with Instant.
#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

namespace ordeal {

using NodeId = std::int32_t;
using PartitionId = std::int32_t;
using LeaderEpoch = std::int32_t;
using PartitionEpoch = std::int32_t;
using BrokerEpoch = std::int64_t;
using Offset = std::int64_t;
using ProducerId = std::int64_t;
using ProducerEpoch = std::int16_t;
using WallMs = std::int64_t;

inline constexpr NodeId kNoNode = -1;
inline constexpr LeaderEpoch kNoEpoch = -1;
inline constexpr Offset kNoOffset = -1;
inline constexpr ProducerId kNoProducerId = -1;
inline constexpr WallMs kNoTimestamp = -1;

// Monotonic time of one Env. Its zero is arbitrary (boot in the real world, world start in simulation).
struct MonotonicClock {
  using rep = std::int64_t;
  using period = std::nano;
  using duration = std::chrono::nanoseconds;
  using time_point = std::chrono::time_point<MonotonicClock>;
  static constexpr bool is_steady = true;  // no now(): ask the Env's scheduler
};
using Duration = std::chrono::nanoseconds;
using Instant = MonotonicClock::time_point;
inline constexpr Instant kForever = Instant::max();

using namespace std::chrono_literals;

// 128-bit id (topic ids, incarnation ids). Text form is Kafka's: 22 characters of unpadded url-safe base64.
struct Uuid {
  std::array<std::uint8_t, 16> bytes{};
  auto operator<=>(const Uuid&) const = default;
  bool is_zero() const { return *this == Uuid{}; }
  std::string to_string() const;
  static bool parse(std::string_view text, Uuid& out);  // false if `text` is not 22 characters of base64url
};

struct TopicPartition {
  std::string topic;
  PartitionId partition = 0;
  auto operator<=>(const TopicPartition&) const = default;
  std::string to_string() const { return topic + "-" + std::to_string(partition); }
};

struct Endpoint {
  std::string host;  // a numeric address in both worlds ("10.77.0.1"); names are the resolver's business, at the edge
  std::uint16_t port = 0;
  auto operator<=>(const Endpoint&) const = default;
  std::string to_string() const { return host + ":" + std::to_string(port); }
};

}  // namespace ordeal

template <>
struct std::hash<ordeal::Uuid> {
  std::size_t operator()(const ordeal::Uuid& id) const noexcept;
};
template <>
struct std::hash<ordeal::TopicPartition> {
  std::size_t operator()(const ordeal::TopicPartition& tp) const noexcept {
    return std::hash<std::string>{}(tp.topic) * 31 + static_cast<std::size_t>(tp.partition);
  }
};
