// The one time axis of a trial: CLOCK_MONOTONIC, shared by histories, traces and faults.jsonl.
#pragma once

#include <ctime>

#include "broker/base/types.h"

namespace ordeal::nemesis {

inline Instant now() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return Instant(std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec));
}

}  // namespace ordeal::nemesis
