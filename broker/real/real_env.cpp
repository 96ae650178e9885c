#include "broker/real/real_env.h"

#include <sys/random.h>

#include "broker/base/check.h"

namespace ordeal::real {

std::uint64_t RealEnv::entropy() {
  std::uint64_t seed = 0;
  ORDEAL_CHECK(::getrandom(&seed, sizeof seed, 0) == sizeof seed, "the kernel gave no randomness");
  return seed;
}

}  // namespace ordeal::real
