#include "workloads/log/config.h"

#include <doctest/doctest.h>

using namespace ordeal;
using workload::parse_config;

namespace {
std::string with(const std::string& more) {
  return R"({"run_id":"r","bootstrap":"10.0.0.1:9092,10.0.0.2:9093","topics":[{"name":"t","partitions":2}])" + more +
         "}";
}
}  // namespace

TEST_CASE("a workload file names its brokers and lays out its partitions") {
  const auto config = parse_config(with(R"(,"acks":1,"idempotence":false,"rate":50)"), "w.json");
  REQUIRE(config.has_value());
  CHECK(config->bootstrap[1].port == 9093);
  CHECK(config->objects().size() == 2);
  CHECK(config->acks == 1);
}

TEST_CASE("a wrong workload file is refused with the field's name") {
  for (const auto& [more, expected] :
       std::vector<std::pair<std::string, std::string>>{{R"(,"ackz":1)", "ackz"},
                                                        {R"(,"acks":7)", "acks"},
                                                        {R"(,"value_size":4)", "value_size"},
                                                        {R"(,"compression":"zip")", "compression"},
                                                        {R"(,"acks":1)", "idempotence"},
                                                        {R"(,"bootstrap":"nohost")", "bootstrap"},
                                                        {R"(,"topics":[{"name":"t","color":1}])", "color"},
                                                        {R"(,"client":"java")", "adapter_argv"},
                                                        {R"(,"adapter_argv":["java"])", "adapter_argv"},
                                                        {R"(,"client":"java","adapter_argv":"java")", "adapter_argv"},
                                                        {R"(,"value_offset":3)", "value_offset"}}) {
    CAPTURE(more);
    const auto config = parse_config(with(more), "w.json");
    REQUIRE_FALSE(config.has_value());
    CHECK(config.error().text.find(expected) != std::string::npos);
    CHECK(config.error().text.find("w.json") == 0);
  }
  CHECK_FALSE(parse_config("{", "w.json").has_value());
}

TEST_CASE("an adapter is named by its program and takes properties of its own") {
  const auto config = parse_config(
      with(R"(,"client":"java","adapter_argv":["java","-jar","a.jar"],"adapter":{"batch.size":1000})"), "w.json");
  REQUIRE(config.has_value());
  CHECK(config->adapter_argv.size() == 3);
  CHECK(config->adapter.front().second == "1000");
}
