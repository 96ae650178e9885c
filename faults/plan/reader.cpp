#include "faults/plan/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "faults/plan/plan.h"
#include "faults/plan/text.h"

namespace ordeal::plan {

namespace {
constexpr int kDepthMax = 24;
constexpr int kNodesMax = 20'000;

std::string show(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Map:
      return "a mapping";
    case YAML::NodeType::Sequence:
      return "a list";
    case YAML::NodeType::Scalar:
      return "'" + node.Scalar().substr(0, 64) + "'";
    default:
      return "nothing";
  }
}
}  // namespace

void Reader::complain(const YAML::Node& at, const std::string& field, const std::string& what) {
  if (error_) return;
  const YAML::Mark mark = at.IsDefined() ? at.Mark() : YAML::Mark::null_mark();
  const std::string place = mark.is_null() ? origin_ : fmt::format("{}:{}:{}", origin_, mark.line + 1, mark.column + 1);
  error_ = Error{Errc::invalid_argument, field.empty() ? place + ": " + what : place + ": " + field + ": " + what};
}

std::string Reader::text(const YAML::Node& node, const std::string& field) {
  if (node.IsScalar()) return node.Scalar();
  complain(node, field, "a text is expected, not " + show(node));
  return {};
}

std::int64_t Reader::integer(const YAML::Node& node, const std::string& field, std::int64_t low, std::int64_t high) {
  const auto value = node.IsScalar() ? parse_int<std::int64_t>(node.Scalar()) : std::nullopt;
  if (value && *value >= low && *value <= high) return *value;
  complain(node, field, fmt::format("a whole number from {} to {} is expected, not {}", low, high, show(node)));
  return low;
}

std::uint64_t Reader::unsigned64(const YAML::Node& node, const std::string& field) {
  const auto value = node.IsScalar() ? parse_int<std::uint64_t>(node.Scalar()) : std::nullopt;
  if (value) return *value;
  complain(node, field, "a whole number of 64 bits is expected, not " + show(node));
  return 0;
}

bool Reader::boolean(const YAML::Node& node, const std::string& field) {
  if (node.IsScalar() && node.Scalar() == "true") return true;
  if (node.IsScalar() && node.Scalar() == "false") return false;
  complain(node, field, "true or false is expected, not " + show(node));
  return false;
}

Duration Reader::duration(const YAML::Node& node, const std::string& field) {
  if (!node.IsScalar()) {
    complain(node, field, "a duration such as 10s is expected, not " + show(node));
    return {};
  }
  const auto value = parse_duration(node.Scalar());
  if (value) return *value;
  complain(node, field, value.error().text);
  return {};
}

nlohmann::json Reader::passthrough(const YAML::Node& node, const std::string& field) {
  if (!node.IsMap()) {
    complain(node, field, "a mapping is expected, not " + show(node));
    return nlohmann::json::object();
  }
  nlohmann::json value = convert(node, field, 0);
  return value;
}

nlohmann::json Reader::convert(const YAML::Node& node, const std::string& field, int depth) {
  if (depth > kDepthMax || ++converted_ > kNodesMax) {
    complain(node, field, "it is nested too deeply or has too many entries");
    return nullptr;
  }
  if (node.IsMap()) {
    nlohmann::json object = nlohmann::json::object();
    for (const auto& entry : node) {
      if (error_) break;
      if (!entry.first.IsScalar()) {
        complain(entry.first, field, "a key must be a text, not " + show(entry.first));
        break;
      }
      const std::string& key = entry.first.Scalar();
      object[key] = convert(entry.second, field + "." + key, depth + 1);
    }
    return object;
  }
  if (node.IsSequence()) {
    nlohmann::json list = nlohmann::json::array();
    for (const auto& entry : node) {
      if (error_) break;
      list.push_back(convert(entry, field, depth + 1));
    }
    return list;
  }
  if (!node.IsScalar()) return nullptr;
  const std::string& scalar = node.Scalar();
  if (node.Tag() == "!") return scalar;  // it was quoted
  if (scalar == "true" || scalar == "false") return scalar == "true";
  if (const auto number = parse_int<std::int64_t>(scalar)) return *number;
  // A fraction as JSON writes it: "60.0", "1e-07"; neither "nan" nor "1e9", which people mean as texts.
  if (scalar.find('.') == std::string::npos && scalar.find("e-") == std::string::npos &&
      scalar.find("e+") == std::string::npos)
    return scalar;
  double fraction = 0;
  const auto [end, error] = std::from_chars(scalar.data(), scalar.data() + scalar.size(), fraction);
  if (error == std::errc() && end == scalar.data() + scalar.size()) return fraction;
  return scalar;
}

Fields::Fields(Reader& reader, const YAML::Node& node, std::string path)
    : reader_(reader), node_(node), path_(std::move(path)) {
  if (!node.IsMap()) {
    reader_.complain(node, path_, "a mapping is expected, not " + show(node));
    return;
  }
  std::set<std::string> seen;
  for (const auto& entry : node) {
    if (!entry.first.IsScalar()) {
      reader_.complain(entry.first, path_, "a key must be a text, not " + show(entry.first));
      return;
    }
    if (!seen.insert(entry.first.Scalar()).second) {
      reader_.complain(entry.first, path_, "'" + entry.first.Scalar().substr(0, 64) + "' is given twice");
      return;
    }
  }
  ok_ = true;
}

std::optional<YAML::Node> Fields::get(const std::string& key) {
  known_.push_back(key);
  if (!ok_) return std::nullopt;
  const YAML::Node& node = node_;  // const: a lookup must not create the key
  const YAML::Node value = node[key];
  if (!value.IsDefined()) return std::nullopt;
  return value;
}

std::string Fields::path(std::string_view key) const {
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

void Fields::finish() {
  if (!ok_) return;
  for (const auto& entry : node_) {
    const std::string& key = entry.first.Scalar();
    if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
      reader_.complain(entry.first, path_, "unknown key '" + key.substr(0, 64) + "'" + suggest(key, known_));
      return;
    }
  }
}

}  // namespace ordeal::plan
