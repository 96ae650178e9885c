// What a simulated machine's clocks show: they may run fast or slow, and the wall clock may jump.
//
// One for each node, longer-lived than its processes. The true time is the loop's; everything that judges uses that.
// The wall clock and the timers' clock have rates of their own: NTP slews the one, a bad oscillator moves both.
#pragma once

#include <cstdint>

#include "broker/base/types.h"

namespace ordeal::sim {

// A clock that runs `ppm` millionths faster than the truth since `base_true`; it never jumps when its rate changes.
class DriftingClock {
 public:
  Instant read(Instant truth) const {
    if (ppm_ == 0) return truth + ahead_;
    return base_ + scaled(truth - (base_ - ahead_), kMillion + ppm_, kMillion, 0);
  }
  // The earliest true instant at which read() shows `local` or more.
  Instant when(Instant local) const {
    if (local == kForever) return kForever;
    if (ppm_ == 0) return local - ahead_;
    return base_ - ahead_ + scaled(local - base_, kMillion, kMillion + ppm_, kMillion + ppm_ - 1);
  }
  void set_rate(Instant truth, std::int64_t ppm) {
    base_ = read(truth);
    ahead_ = base_ - truth;
    ppm_ = ppm;
  }
  std::int64_t rate() const { return ppm_; }

 private:
  static constexpr std::int64_t kMillion = 1'000'000;
  static Duration scaled(Duration by, std::int64_t times, std::int64_t over, std::int64_t round) {
    return Duration(static_cast<std::int64_t>((static_cast<__int128>(by.count()) * times + round) / over));
  }

  Instant base_{};    // what it showed when its rate was last set
  Duration ahead_{};  // and how far ahead of the truth that was
  std::int64_t ppm_ = 0;
};

struct NodeClocks {
  DriftingClock timers;
  DriftingClock wall;
  Duration wall_offset{};
};

}  // namespace ordeal::sim
