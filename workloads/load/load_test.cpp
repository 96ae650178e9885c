#include "workloads/load/load.h"

#include <doctest/doctest.h>

#include <algorithm>

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

TEST_CASE("values differ from record to record, and half of what they hold is noise") {
  const Bytes pool = load::make_values();
  const ByteView first = load::value_of(pool, 0, 1024);
  const ByteView second = load::value_of(pool, 1, 1024);
  CHECK(first.size() == 1024);
  CHECK(!std::equal(first.begin(), first.end(), second.begin(), second.end()));
  CHECK(std::ranges::count(first, std::uint8_t{'o'}) >= 512);
  CHECK(std::ranges::count(first, std::uint8_t{'o'}) < 600);
}

TEST_CASE("a value of any record and size lies within the pool") {
  const Bytes pool = load::make_values();
  for (const std::int32_t size : {1, 100, 1024, 1 << 20}) {
    for (const std::uint64_t record : {0ULL, 4095ULL, 123456789ULL}) {
      const ByteView value = load::value_of(pool, record, size);
      CHECK(value.size() == static_cast<std::size_t>(size));
      CHECK(value.data() + value.size() <= pool.data() + pool.size());
    }
  }
}
