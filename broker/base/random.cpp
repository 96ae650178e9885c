#include "broker/base/random.h"

#include "broker/base/bytes.h"
#include "broker/base/check.h"

namespace ordeal {
namespace {
std::uint64_t split_mix(std::uint64_t& state) {
  std::uint64_t z = (state += 0x9E3779B97F4A7C15ULL);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}
std::uint64_t rotate(std::uint64_t value, int by) { return (value << by) | (value >> (64 - by)); }
}  // namespace

Random::Random(std::uint64_t seed) : seed_(seed) {
  std::uint64_t mix = seed;
  for (auto& word : state_) word = split_mix(mix);
}

std::uint64_t Random::next() {
  ++draws_;
  const std::uint64_t result = rotate(state_[1] * 5, 7) * 9;
  const std::uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = rotate(state_[3], 45);
  return result;
}

std::uint64_t Random::below(std::uint64_t bound) {
  ORDEAL_CHECK(bound > 0);
  // Multiply-shift: the bias is below 2^-32 for the bounds drawn here, and it takes exactly one draw.
  return static_cast<std::uint64_t>((static_cast<unsigned __int128>(next()) * bound) >> 64);
}

std::int64_t Random::between(std::int64_t low, std::int64_t high) {
  ORDEAL_CHECK(low <= high, "low {} high {}", low, high);
  const auto width = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low) + 1;
  return width == 0 ? static_cast<std::int64_t>(next()) : low + static_cast<std::int64_t>(below(width));
}

bool Random::chance(std::uint64_t numerator, std::uint64_t denominator) { return below(denominator) < numerator; }

Random Random::fork(std::string_view name) const {
  return Random(fnv1a(as_bytes(name), seed_ ^ 0xcbf29ce484222325ULL));
}

}  // namespace ordeal
