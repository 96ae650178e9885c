#include "workloads/log/config.h"

#include <fmt/format.h>

#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

namespace ordeal::workload {
namespace {
using nlohmann::json;

struct FieldError {
  std::string text;
};

using Setter = std::function<void(LogConfig&, const json&)>;

template <class T>
Setter number(T LogConfig::* member, double low, double high) {
  return [member, low, high](LogConfig& config, const json& value) {
    if (!value.is_number()) throw FieldError{"must be a number"};
    const double given = value.get<double>();
    if (given < low || given > high)
      throw FieldError{fmt::format("must be between {} and {}, not {}", low, high, given)};
    config.*member = value.get<T>();
  };
}

Setter text(std::string LogConfig::* member) {
  return [member](LogConfig& config, const json& value) {
    if (!value.is_string()) throw FieldError{"must be a string"};
    config.*member = value.get<std::string>();
  };
}

Setter choice(std::string LogConfig::* member, std::vector<std::string> allowed) {
  return [member, allowed](LogConfig& config, const json& value) {
    if (!value.is_string()) throw FieldError{"must be a string"};
    const auto given = value.get<std::string>();
    if (std::find(allowed.begin(), allowed.end(), given) == allowed.end()) {
      throw FieldError{fmt::format("must be one of {}, not {}", fmt::join(allowed, ", "), given)};
    }
    config.*member = given;
  };
}

Setter flag(bool LogConfig::* member) {
  return [member](LogConfig& config, const json& value) {
    if (!value.is_boolean()) throw FieldError{"must be true or false"};
    config.*member = value.get<bool>();
  };
}

std::vector<std::pair<std::string, std::string>> string_map(const json& value) {
  if (!value.is_object()) throw FieldError{"must be an object of strings"};
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const auto& [key, item] : value.items()) {
    pairs.emplace_back(key, item.is_string() ? item.get<std::string>() : item.dump());
  }
  return pairs;
}

std::vector<std::string> string_list(const json& value) {
  if (!value.is_array()) throw FieldError{"must be a list of strings"};
  std::vector<std::string> list;
  for (const json& item : value) {
    if (!item.is_string()) throw FieldError{"must be a list of strings"};
    list.push_back(item.get<std::string>());
  }
  return list;
}

void set_bootstrap(LogConfig& config, const json& value) {
  if (!value.is_string()) throw FieldError{"must be a string host:port,host:port"};
  std::istringstream parts(value.get<std::string>());
  for (std::string part; std::getline(parts, part, ',');) {
    const auto colon = part.rfind(':');
    int port = 0;
    try {
      if (colon != std::string::npos) port = std::stoi(part.substr(colon + 1));
    } catch (const std::exception&) {
      port = 0;
    }
    if (port <= 0 || port > 65535) throw FieldError{fmt::format("'{}' is not host:port", part)};
    config.bootstrap.push_back({part.substr(0, colon), static_cast<std::uint16_t>(port)});
  }
}

void set_topics(LogConfig& config, const json& value) {
  if (!value.is_array() || value.empty()) throw FieldError{"must be a list of topics"};
  for (const json& item : value) {
    TopicSpec topic;
    for (const auto& [key, field] : item.items()) {
      if (key == "name") {
        topic.name = field.get<std::string>();
      } else if (key == "partitions") {
        topic.partitions = field.get<std::int32_t>();
      } else if (key == "replication") {
        topic.replication = field.get<std::int16_t>();
      } else if (key == "configs") {
        topic.configs = string_map(field);
      } else {
        throw FieldError{"has an unknown field '" + key + "'"};
      }
    }
    if (topic.name.empty() || topic.partitions < 1 || topic.partitions > 10000) {
      throw FieldError{"needs a name and 1 to 10000 partitions for each topic"};
    }
    config.topics.push_back(std::move(topic));
  }
}

void set_keys(LogConfig& config, const json& value) {
  const std::string given = value.is_string() ? value.get<std::string>() : "";
  if (given == "none") {
    config.keys = KeyMode::none;
  } else if (given == "unique") {
    config.keys = KeyMode::unique;
  } else if (given == "hot") {
    config.keys = KeyMode::hot;
  } else {
    throw FieldError{"must be none, unique or hot"};
  }
}

const std::map<std::string, Setter>& setters() {
  using C = LogConfig;
  static const std::map<std::string, Setter> table{
      {"run_id", text(&C::run_id)},
      {"bootstrap", set_bootstrap},
      {"client", text(&C::client)},
      {"adapter_argv", [](C& config, const json& value) { config.adapter_argv = string_list(value); }},
      {"adapter", [](C& config, const json& value) { config.adapter = string_map(value); }},
      {"topics", set_topics},
      {"create_topics", flag(&C::create_topics)},
      {"producers", number(&C::producers, 0, 100)},
      {"consumers", number(&C::consumers, 0, 100)},
      {"rate", number(&C::rate, 0, 10e6)},
      {"value_size", number(&C::value_size, 40, 1 << 20)},
      {"keys", set_keys},
      {"acks", number(&C::acks, -1, 1)},
      {"idempotence", flag(&C::idempotence)},
      {"compression", choice(&C::compression, {"none", "gzip", "snappy", "lz4", "zstd"})},
      {"max_in_flight", number(&C::max_in_flight, 1, 1000)},
      {"outstanding_max", number(&C::outstanding_max, 1, 10e6)},
      {"retries", number(&C::retries, -1, 2147483647)},
      {"linger_ms", number(&C::linger_ms, 0, 60000)},
      {"delivery_timeout_ms", number(&C::delivery_timeout_ms, 1, 3600000)},
      {"request_timeout_ms", number(&C::request_timeout_ms, 1, 900000)},
      {"isolation", choice(&C::isolation, {"read_committed", "read_uncommitted"})},
      {"poll_interval_ms", number(&C::poll_interval_ms, 1, 60000)},
      {"list_end_interval_ms", number(&C::list_end_interval_ms, 0, 3600000)},
      {"duration_s", number(&C::duration_s, 0, 1e7)},
      {"stop_grace_s", number(&C::stop_grace_s, 0, 3600)},
      {"audit_budget_s", number(&C::audit_budget_s, 1, 36000)},
      {"seed", number(&C::seed, 0, 1.8e19)},
      {"value_stride", number(&C::value_stride, 1, 1000)},
      {"value_offset", number(&C::value_offset, 0, 999)},
      {"process_base", number(&C::process_base, 0, 60000)},
      {"librdkafka", [](C& config, const json& value) { config.librdkafka = string_map(value); }},
  };
  return table;
}

Status validate(const LogConfig& config, const std::string& where) {
  if (config.run_id.empty()) return fail(Errc::invalid_argument, where + ": run_id is missing");
  if (config.bootstrap.empty()) return fail(Errc::invalid_argument, where + ": bootstrap is missing");
  if (config.topics.empty()) return fail(Errc::invalid_argument, where + ": topics is missing");
  const bool built_in = config.client == "librdkafka" || config.client == "native";
  if (built_in != config.adapter_argv.empty()) {
    return fail(
        Errc::invalid_argument,
        fmt::format("{}: client is librdkafka, native, or the name of an adapter that adapter_argv starts; it is "
                    "'{}' {} adapter_argv",
                    where, config.client, built_in ? "with" : "without"));
  }
  if (config.idempotence && config.acks != -1) {
    return fail(Errc::invalid_argument, where + ": idempotence needs acks -1 (all)");
  }
  if (config.value_offset >= config.value_stride) {
    return fail(Errc::invalid_argument, where + ": value_offset must be below value_stride");
  }
  return {};
}

}  // namespace

std::vector<TopicPartition> LogConfig::objects() const {
  std::vector<TopicPartition> all;
  for (const TopicSpec& topic : topics) {
    for (PartitionId p = 0; p < topic.partitions; ++p) all.push_back({topic.name, p});
  }
  return all;
}

Result<LogConfig> parse_config(const std::string& content, const std::string& where) {
  LogConfig config;
  try {
    const json root = json::parse(content);
    if (!root.is_object()) return fail(Errc::invalid_argument, where + ": must be a JSON object");
    for (const auto& [key, value] : root.items()) {
      const auto setter = setters().find(key);
      if (setter == setters().end())
        return fail(Errc::invalid_argument, fmt::format("{}: unknown field '{}'", where, key));
      try {
        setter->second(config, value);
      } catch (const FieldError& error) {
        return fail(Errc::invalid_argument, fmt::format("{}: {} {}", where, key, error.text));
      }
    }
  } catch (const json::exception& error) {
    return fail(Errc::invalid_argument, fmt::format("{}: {}", where, error.what()));
  }
  ORDEAL_TRY(validate(config, where));
  return config;
}

Result<LogConfig> load_config(const std::string& path) {
  std::ifstream file(path);
  if (!file) return fail(Errc::not_found, path + ": cannot be read");
  std::ostringstream content;
  content << file.rdbuf();
  return parse_config(content.str(), path);
}

}  // namespace ordeal::workload
