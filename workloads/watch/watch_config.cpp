// The file that tells `ordeal-workload watch` whom to ask (docs/formats/workload.md).
#include <fmt/format.h>

#include <charconv>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "workloads/watch/watch.h"

namespace ordeal::watch {

namespace {

using nlohmann::json;

Result<Endpoint> endpoint_of(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  Endpoint endpoint;
  if (colon == std::string::npos || colon == 0) return fail(Errc::invalid_argument, "'" + text + "' is not host:port");
  endpoint.host = text.substr(0, colon);
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data() + colon + 1, end, endpoint.port);
  if (parsed.ec != std::errc{} || parsed.ptr != end) {
    return fail(Errc::invalid_argument, "'" + text + "' is not host:port");
  }
  return endpoint;
}

Result<WatchedNode> node_of(const json& row) {
  WatchedNode node;
  for (const auto& [key, value] : row.items()) {
    if (key == "id") {
      node.id = value.get<NodeId>();
    } else if (key == "client" || key == "control") {
      auto endpoint = endpoint_of(value.get<std::string>());
      if (!endpoint) return fail(endpoint.error());
      (key == "client" ? node.client : node.control.emplace()) = *endpoint;
    } else {
      return fail(Errc::invalid_argument, fmt::format("unknown field '{}'", key));
    }
  }
  if (node.id < 0 || node.client.port == 0) return fail(Errc::invalid_argument, "a node needs id and client");
  return node;
}

Status read_nodes(const json& rows, WatchConfig& config) {
  for (const json& row : rows) {
    auto node = node_of(row);
    if (!node) return fail(node.error().at("nodes"));
    config.nodes.push_back(std::move(*node));
  }
  return {};
}

}  // namespace

Result<WatchConfig> parse_watch_config(const std::string& text, const std::string& where) {
  WatchConfig config;
  try {
    const json root = json::parse(text);
    for (const auto& [key, value] : root.items()) {
      if (key == "nodes") {
        if (const Status read = read_nodes(value, config); !read) return fail(read.error().at(where));
      } else if (key == "topics") {
        config.topics = value.get<std::vector<std::string>>();
      } else if (key == "interval_ms") {
        config.interval = std::chrono::milliseconds(value.get<int>());
      } else {
        return fail(Errc::invalid_argument, fmt::format("{}: unknown field '{}'", where, key));
      }
    }
  } catch (const json::exception& error) {  // the JSON library's way to say what is wrong
    return fail(Errc::invalid_argument, fmt::format("{}: {}", where, error.what()));
  }
  if (config.nodes.empty()) return fail(Errc::invalid_argument, where + ": nodes is missing");
  if (config.interval < 10ms || config.interval > 60s) {
    return fail(Errc::invalid_argument, where + ": interval_ms must be between 10 and 60000");
  }
  return config;
}

Result<WatchConfig> load_watch_config(const std::string& path) {
  std::ifstream file(path);
  if (!file) return fail(Errc::not_found, path + ": cannot be read");
  std::ostringstream content;
  content << file.rdbuf();
  return parse_watch_config(content.str(), path);
}

}  // namespace ordeal::watch
