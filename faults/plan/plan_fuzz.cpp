// libFuzzer target: no text, however damaged, may crash the plan parser; what it accepts must print and parse again.
#include <cstdint>

#include "broker/base/check.h"
#include "faults/plan/draw.h"
#include "faults/plan/plan.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ordeal;
  const auto plan = plan::parse_plan({reinterpret_cast<const char*>(data), size}, "fuzz");
  if (!plan) return 0;
  const auto printed = plan::to_json(*plan).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  const auto again = plan::parse_plan(printed, "printed");
  ORDEAL_CHECK(again.has_value() || printed.find("\\ufffd") != std::string::npos, "{}", again.error().text);
  return 0;
}
