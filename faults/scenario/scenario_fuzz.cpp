// libFuzzer target: no text, however damaged, may crash the scenario parser; what it accepts must print and parse
// again.
#include <cstdint>

#include "broker/base/check.h"
#include "faults/scenario/scenario.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ordeal;
  const auto read = scenario::parse_scenario({reinterpret_cast<const char*>(data), size}, "fuzz");
  if (!read) return 0;
  const auto printed = scenario::to_json(*read).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  const auto again = scenario::parse_scenario(printed, "printed");
  ORDEAL_CHECK(again.has_value() || printed.find("\\ufffd") != std::string::npos, "{}", again.error().text);
  return 0;
}
