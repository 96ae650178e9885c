#include "faults/plan/sample.h"

#include <algorithm>

namespace ordeal::plan {
namespace {

// -log2(u) for u uniform in (0, 1], as a 32.32 fixed-point number.
std::uint64_t negative_log2(Random& random) {
  const std::uint64_t bits = std::max<std::uint64_t>(random.next(), 1);
  const int leading = __builtin_clzll(bits);
  std::uint64_t mantissa = bits << leading;  // in [2^63, 2^64): u = mantissa * 2^-(64+leading)
  std::uint64_t fraction = 0;                // log2(mantissa / 2^63) in 32 bits, by repeated squaring
  for (int i = 0; i < 32; ++i) {
    const auto square = static_cast<unsigned __int128>(mantissa) * mantissa;
    fraction <<= 1;
    if ((square >> 127) != 0) {
      fraction |= 1;
      mantissa = static_cast<std::uint64_t>(square >> 64);
    } else {
      mantissa = static_cast<std::uint64_t>(square >> 63);
    }
  }
  return (static_cast<std::uint64_t>(leading + 1) << 32) - fraction;
}

}  // namespace

Duration sample_exponential(Duration mean, Random& random) {
  constexpr std::uint64_t kLn2 = 2'977'044'472;  // ln 2 * 2^32
  const auto exponent = static_cast<unsigned __int128>(negative_log2(random)) * kLn2 >> 32;
  const auto scaled = static_cast<unsigned __int128>(mean.count()) * exponent >> 32;
  const auto cap = static_cast<unsigned __int128>(mean.count()) * 5;
  return Duration(static_cast<std::int64_t>(std::min(scaled, cap)));
}

}  // namespace ordeal::plan
