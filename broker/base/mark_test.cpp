#include "broker/base/mark.h"

#include <doctest/doctest.h>

namespace ordeal {
namespace {

void rare(bool reach) {
  if (reach) ORDEAL_MARK("test.rare");
}
void rarer(bool reach) {
  if (reach) ORDEAL_MARK("test.rarer");
}

TEST_CASE("marks are known before they are reached, and count") {
  REQUIRE(mark_counts().contains("test.rare"));
  REQUIRE(mark_counts().contains("test.rarer"));
  CHECK(mark_counts().at("test.rare") == 0);
  rare(true);
  rare(true);
  rare(false);
  rarer(false);
  CHECK(mark_counts().at("test.rare") == 2);
  CHECK(mark_counts().at("test.rarer") == 0);
}

}  // namespace
}  // namespace ordeal
