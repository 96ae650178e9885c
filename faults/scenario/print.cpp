// From a Scenario back to text. JSON for programs; YAML for people: a step a line, blocks where steps nest.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "faults/scenario/scenario.h"

namespace ordeal::scenario {
namespace {

using Json = nlohmann::ordered_json;

Json steps_json(const Script& script);

Json step_json(const Step& step) {
  Json out = step.arguments;
  if (step.verb == "if") {
    out["then"] = steps_json(step.steps);
    if (!step.otherwise.empty()) out["else"] = steps_json(step.otherwise);
  } else if (step.verb == "repeat" || step.verb == "each") {
    out[step.verb]["do"] = steps_json(step.steps);
  }
  return out;
}

Json steps_json(const Script& script) {
  Json out = Json::array();
  for (const Step& step : script) out.push_back(step_json(step));
  return out;
}

Json cluster_json(const ClusterSpec& cluster) {
  Json out;
  out["nodes"] = cluster.nodes;
  if (!cluster.set.empty()) out["set"] = cluster.set;
  if (const NetworkSpec& net = cluster.network; net != NetworkSpec{}) {
    Json& to = out["network"];
    to["latency"] = {plan::format_duration(net.latency_min), plan::format_duration(net.latency_max)};
    to["slow_in"] = net.slow_in;
    to["slow_max"] = plan::format_duration(net.slow_max);
    to["window"] = net.window;
    to["split_in"] = net.split_in;
  }
  if (!cluster.shuffle) out["shuffle"] = false;
  if (cluster.buggify) out["buggify"] = true;
  return out;
}

// A text that YAML reads as that text, also inside [] and {}. What looks like a number or a truth value is quoted,
// since settings passed through are told apart by their quotes.
bool plain(const std::string& text) {
  if (text.empty() || std::isalpha(static_cast<unsigned char>(text[0])) == 0) return false;
  if (text == "true" || text == "false" || text == "null" || text == "on" || text == "off" || text == "yes" ||
      text == "no" || text == "y" || text == "n")
    return text == "on" || text == "off";
  if (text.back() == ' ') return false;
  return std::ranges::all_of(text, [](unsigned char c) {
    return std::isalnum(c) != 0 ||
           std::string_view(" _-./()<>=!|&+").find(static_cast<char>(c)) != std::string_view::npos;
  });
}

std::string scalar(const Json& value) {
  if (value.is_string() && plain(value.get<std::string>())) return value.get<std::string>();
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string key_text(const std::string& key) { return plain(key) ? key : Json(key).dump(); }

std::string flow(const Json& value) {
  std::string out;
  if (value.is_object()) {
    for (const auto& [key, item] : value.items())
      out += fmt::format("{}{}: {}", out.empty() ? "" : ", ", key_text(key), flow(item));
    return "{" + out + "}";
  }
  if (value.is_array()) {
    for (const Json& item : value) out += (out.empty() ? "" : ", ") + flow(item);
    return "[" + out + "]";
  }
  return scalar(value);
}

bool has_steps(const Json& value) {
  if (value.is_array()) return std::ranges::any_of(value, [](const Json& item) { return item.is_object(); });
  if (!value.is_object()) return false;
  return std::ranges::any_of(value, [](const Json& item) { return has_steps(item); });
}

constexpr std::size_t kColumns = 118;

void block(const Json& value, std::size_t indent, std::string& out);

// What follows "key:" or "-": on the same line if it fits.
void after(const Json& value, std::size_t indent, std::size_t used, std::string& out) {
  const bool container = (value.is_object() || value.is_array()) && !value.empty();
  const std::string line = flow(value);
  if (!container || (!has_steps(value) && used + line.size() < kColumns)) {
    out += " " + line + "\n";
    return;
  }
  out += "\n";
  block(value, indent, out);
}

void block(const Json& value, std::size_t indent, std::string& out) {
  const std::string pad(indent, ' ');
  if (value.is_object()) {
    for (const auto& [key, item] : value.items()) {
      out += pad + key_text(key) + ":";
      after(item, indent + 2, indent + key.size() + 2, out);
    }
    return;
  }
  for (const Json& item : value) {
    const std::string line = flow(item);
    if (!item.is_object() || (!has_steps(item) && indent + line.size() < kColumns)) {
      out += pad + "- " + line + "\n";
      continue;
    }
    std::string inner;
    block(item, indent + 2, inner);
    inner.replace(indent, 2, "- ");
    out += inner;
  }
}

}  // namespace

Json to_json(const Scenario& scenario) {
  Json out;
  if (!scenario.name.empty()) out["name"] = scenario.name;
  if (!scenario.title.empty()) out["title"] = scenario.title;
  if (!scenario.bug.empty()) out["bug"] = scenario.bug;
  if (!scenario.property.empty()) out["property"] = scenario.property;
  out["seed"] = scenario.seed;
  out["cluster"] = cluster_json(scenario.cluster);
  if (!scenario.workload.empty()) out["workload"] = scenario.workload;
  if (scenario.plan) {
    out["plan"] = plan::to_json(*scenario.plan);
    out["time"] = plan::format_duration(scenario.time);
  } else if (scenario.script.empty()) {
    out["time"] = plan::format_duration(scenario.time);
  } else {
    out["script"] = steps_json(scenario.script);
  }
  return out;
}

std::string to_yaml(const Scenario& scenario) {
  std::string out;
  block(to_json(scenario), 0, out);
  return out;
}

}  // namespace ordeal::scenario
