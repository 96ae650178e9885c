#include "workloads/load/load.h"

#include <doctest/doctest.h>

using namespace ordeal;

TEST_CASE("quantiles are ranks of the sorted samples") {
  std::vector<std::uint32_t> samples;
  for (std::uint32_t i = 1000; i >= 1; --i) samples.push_back(i);
  const auto figures = load::quantiles_of(samples);
  CHECK(figures.p50 == 500);
  CHECK(figures.p99 == 990);
  CHECK(figures.p999 == 999);
  CHECK(figures.max == 1000);
  std::vector<std::uint32_t> none;
  CHECK(load::quantiles_of(none).max == 0);
}
