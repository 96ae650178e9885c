// What the native producer keeps per partition; private to native_producer*.cpp.
#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "broker/env/sync.h"
#include "workloads/client/native_producer.h"

namespace ordeal::client {

struct NativeProducer::Batch {
  explicit Batch(wire::Codec codec) : builder(make_options(codec)) {}
  static wire::BatchOptions make_options(wire::Codec codec) {
    wire::BatchOptions options;
    options.codec = codec;
    return options;
  }

  wire::BatchBuilder builder;
  Bytes encoded;  // built at the first send; its producer fields are patched when the identity changes
  std::vector<std::uint64_t> tags;
  Instant created{};
  std::int32_t sequence = wire::kNoSequence;  // assigned when first sent, kept over retries
  std::uint64_t number = 0;                   // counts the partition's batches in the order of their sequences
  std::int32_t attempts = 0;
  bool maybe_persisted = false;  // some attempt's outcome is unknown
  bool vouched_absent = false;   // the broker said it holds no copy: may go out again under a new epoch

  std::int32_t count() const { return static_cast<std::int32_t>(tags.size()); }
};

struct NativeProducer::Partition {
  Partition(TopicPartition at, env::Scheduler& scheduler) : tp(std::move(at)), changed(scheduler) {}

  TopicPartition tp;
  std::deque<BatchPtr> ready;      // oldest first; the last one may still grow
  std::deque<BatchPtr> in_flight;  // oldest first
  std::int32_t next_sequence = 0;
  std::uint64_t next_number = 0;
  Instant retry_at{};
  env::Signal changed;

  // Retried batches go back before everything that has not been sent yet, in the order of their sequences.
  void put_back(const BatchPtr& batch) {
    auto at = ready.begin();
    if (batch->sequence == wire::kNoSequence) {
      while (at != ready.end() && (*at)->attempts > 0 && (*at)->created <= batch->created) ++at;
    } else {
      while (at != ready.end() && (*at)->sequence != wire::kNoSequence && older(**at, *batch)) ++at;
    }
    ready.insert(at, batch);
  }

  // Batches from the oldest one in flight to the next new one, that one included. Brokers remember five batches: a new
  // one may not leave while it would push an older open one, whose retry is to be known again, out of that window.
  std::uint64_t span() const {
    std::uint64_t oldest = next_number;
    for (const BatchPtr& batch : in_flight) oldest = std::min(oldest, batch->number);
    return next_number - oldest + 1;
  }

  void leave_flight(const BatchPtr& batch) { std::erase(in_flight, batch); }

  // No open batch of this partition was sent before this one.
  bool is_oldest(const BatchPtr& batch) const {
    for (const BatchPtr& other : in_flight) {
      if (other != batch && older(*other, *batch)) return false;
    }
    for (const BatchPtr& other : ready) {
      if (other != batch && other->sequence != wire::kNoSequence && older(*other, *batch)) return false;
    }
    return true;
  }

 private:
  // Sequences of open batches lie within a small window, so a wrapped difference orders them.
  static bool older(const Batch& a, const Batch& b) {
    return ((static_cast<std::uint32_t>(a.sequence) - static_cast<std::uint32_t>(b.sequence)) & 0x7fffffffU) >
           0x40000000U;
  }
};

}  // namespace ordeal::client
