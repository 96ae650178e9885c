// Integer-only seeded generator (SplitMix64 into xoshiro256**): the same sequence on every machine.
//
// Each component forks its own stream by name, so that removing one consumer does not shift the draws of another;
// that is what makes shrinking a failing world possible.
#pragma once

#include <cstdint>
#include <string_view>

namespace ordeal {

class Random {
 public:
  explicit Random(std::uint64_t seed);

  std::uint64_t next();
  std::uint64_t below(std::uint64_t bound);                   // uniform in [0, bound); bound > 0
  std::int64_t between(std::int64_t low, std::int64_t high);  // uniform in [low, high]
  bool chance(std::uint64_t numerator, std::uint64_t denominator);
  Random fork(std::string_view name) const;  // depends on the seed and the name only, not on draws made so far
  std::uint64_t seed() const { return seed_; }
  std::uint64_t draws() const { return draws_; }

 private:
  std::uint64_t seed_;
  std::uint64_t state_[4];
  std::uint64_t draws_ = 0;
};

}  // namespace ordeal
