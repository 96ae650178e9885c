// CLOCK_MONOTONIC, the one time axis of histories, traces and fault events. For threads of real client libraries,
// which live outside any Env; workloads on Env take the scheduler's now().
#pragma once

#include <time.h>

#include "broker/base/types.h"

namespace ordeal::workload {

inline Instant monotonic_now() {
  timespec at{};
  ::clock_gettime(CLOCK_MONOTONIC, &at);
  return Instant(Duration(std::int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec));
}

}  // namespace ordeal::workload
