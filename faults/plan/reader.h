// Reads a YAML document field by field and remembers the first thing that is wrong, with file, line, column and field.
//
// Reading goes on after an error with default values, so that parsers stay straight-line code; the caller asks error()
// once at the end. Bounds on size, depth and node count make hostile input (deep nesting, alias bombs) harmless.
// For the parsers of faults/plan and faults/scenario.
#pragma once

#include <yaml-cpp/yaml.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/base/result.h"
#include "broker/base/types.h"
#include "faults/plan/plan.h"

namespace ordeal::plan {

// A plan inside a larger document that is parsed already; may throw what the YAML library throws.
Result<Plan> parse_plan(const YAML::Node& document, const std::string& origin);

class Reader {
 public:
  explicit Reader(std::string origin) : origin_(std::move(origin)) {}

  const std::optional<Error>& error() const { return error_; }
  void complain(const YAML::Node& at, const std::string& field, const std::string& what);

  // Each takes a defined node and returns a default after complaining.
  std::string text(const YAML::Node& node, const std::string& field);
  std::int64_t integer(const YAML::Node& node, const std::string& field, std::int64_t low, std::int64_t high);
  std::uint64_t unsigned64(const YAML::Node& node, const std::string& field);
  bool boolean(const YAML::Node& node, const std::string& field);
  Duration duration(const YAML::Node& node, const std::string& field);
  nlohmann::json passthrough(const YAML::Node& node, const std::string& field);

 private:
  nlohmann::json convert(const YAML::Node& node, const std::string& field, int depth);

  std::string origin_;
  std::optional<Error> error_;
  int converted_ = 0;
};

// One mapping. get() marks a key as known; finish() refuses the keys nobody asked for.
class Fields {
 public:
  Fields(Reader& reader, const YAML::Node& node, std::string path);

  bool ok() const { return ok_; }  // it is a mapping with scalar keys, each once
  std::optional<YAML::Node> get(const std::string& key);
  std::string path(std::string_view key) const;
  void finish();

 private:
  Reader& reader_;
  YAML::Node node_;
  std::string path_;
  std::vector<std::string> known_;
  bool ok_ = false;
};

}  // namespace ordeal::plan
