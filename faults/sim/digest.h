// The running fingerprint of one simulated world: equal for equal seeds, different as soon as anything observable
// differs. Fed with times, ids, lengths and names; never with addresses, nor with bytes that RocksDB writes.
#pragma once

#include <cstdint>
#include <string_view>

#include "broker/base/bytes.h"
#include "broker/base/types.h"
#include "faults/sim/draw_log.h"

namespace ordeal::sim {

class Digest {
 public:
  void mix(std::uint64_t value) {
    value_ = (value_ ^ value) * 0x9E3779B97F4A7C15ULL;
    value_ ^= value_ >> 29;
  }
  void mix(Instant at) { mix(static_cast<std::uint64_t>(at.time_since_epoch().count())); }
  void mix(std::string_view text) { mix(fnv1a(as_bytes(text))); }
  template <class... Parts>
  void note(std::string_view what, Instant at, const Parts&... parts) {
    mix(what);
    mix(at);
    (mix(parts), ...);
    if (log_ != nullptr) log_->note(steps_, what, value_);
  }
  // A draw: only for the log, since what follows from it is noted anyway. The name is made only when it is wanted.
  template <class Name>
  void drew(const Name& name, std::uint64_t value) const {
    if (log_ != nullptr) log_->note(steps_, name(), value);
  }
  void keep_log(DrawLog* log) { log_ = log; }
  void at_step(std::uint64_t steps) { steps_ = steps; }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0x243F6A8885A308D3ULL;
  DrawLog* log_ = nullptr;
  std::uint64_t steps_ = 0;
};

}  // namespace ordeal::sim
