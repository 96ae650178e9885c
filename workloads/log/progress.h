// Counters that the status line shows; written by client threads, read by the main one.
#pragma once

#include <atomic>
#include <cstdint>

namespace ordeal::workload {

struct Progress {
  std::atomic<std::uint64_t> invoked{0};
  std::atomic<std::uint64_t> ok{0};
  std::atomic<std::uint64_t> info{0};
  std::atomic<std::uint64_t> fail{0};
  std::atomic<std::uint64_t> reads{0};
  std::atomic<std::uint64_t> polls{0};
  std::atomic<std::uint32_t> connected{0};  // clients that completed at least one operation
};

}  // namespace ordeal::workload
