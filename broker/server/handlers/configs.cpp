// DescribeConfigs: values in force, where they come from and what else would apply, from the tables of base/config.
#include <fmt/format.h>

#include <algorithm>

#include "broker/server/handlers/handlers.h"

namespace ordeal::server {

using wire::ErrorCode;
using Asked = wire::DescribeConfigsRequest::DescribeConfigsResource;
using Answer = wire::DescribeConfigsResponse::DescribeConfigsResult;
using Entry = wire::DescribeConfigsResponse::DescribeConfigsResourceResult;

namespace {

std::int8_t source_of(ConfigOrigin origin) {
  switch (origin) {
    case ConfigOrigin::topic:
      return static_cast<std::int8_t>(wire::ConfigSource::topic);
    case ConfigOrigin::static_broker:
      return static_cast<std::int8_t>(wire::ConfigSource::static_broker);
    case ConfigOrigin::default_config:
      return static_cast<std::int8_t>(wire::ConfigSource::default_config);
  }
  return static_cast<std::int8_t>(wire::ConfigSource::unknown);
}

std::int8_t type_of(ConfigType type) {
  switch (type) {
    case ConfigType::boolean:
      return static_cast<std::int8_t>(wire::ConfigValueType::boolean);
    case ConfigType::string:
      return static_cast<std::int8_t>(wire::ConfigValueType::string);
    case ConfigType::int32:
      return static_cast<std::int8_t>(wire::ConfigValueType::int32);
    case ConfigType::int64:
      return static_cast<std::int8_t>(wire::ConfigValueType::int64);
    case ConfigType::list:
      return static_cast<std::int8_t>(wire::ConfigValueType::list);
  }
  return static_cast<std::int8_t>(wire::ConfigValueType::unknown);
}

void fill(Answer& answer, const Asked& asked, const wire::DescribeConfigsRequest& request,
          const std::vector<DescribedConfig>& configs, bool read_only) {
  for (const DescribedConfig& config : configs) {
    if (asked.configuration_keys) {
      const auto& keys = *asked.configuration_keys;
      if (std::find(keys.begin(), keys.end(), config.name) == keys.end()) continue;
    }
    Entry entry;
    entry.name = config.name;
    entry.value = config.value;
    entry.read_only = read_only;
    entry.config_source = source_of(config.origin);
    entry.config_type = type_of(config.type);
    if (request.include_documentation) entry.documentation = std::string(config.doc);
    if (request.include_synonyms) {
      for (const ConfigSynonym& synonym : config.synonyms) {
        entry.synonyms.push_back({synonym.name, synonym.value, source_of(synonym.origin)});
      }
    }
    answer.configs.push_back(std::move(entry));
  }
}

void refuse(Answer& answer, ErrorCode code, std::string why) {
  answer.error_code = code;
  answer.error_message = std::move(why);
}

Answer describe(const Services& services, const wire::DescribeConfigsRequest& request, const Asked& asked) {
  Answer answer;
  answer.resource_type = asked.resource_type;
  answer.resource_name = asked.resource_name;
  switch (static_cast<wire::ConfigResourceType>(asked.resource_type)) {
    case wire::ConfigResourceType::topic: {
      if (!valid_topic_name(asked.resource_name)) {
        refuse(answer, ErrorCode::invalid_topic_exception, "not a topic name");
        return answer;
      }
      const meta::TopicPtr topic = services.metadata.image()->topic(asked.resource_name);
      if (!topic) {
        refuse(answer, ErrorCode::unknown_topic_or_partition, "there is no such topic");
        return answer;
      }
      fill(answer, asked, request, describe_topic(services.config, topic->configs), false);
      return answer;
    }
    case wire::ConfigResourceType::broker:
      // No name asks for cluster-wide dynamic defaults, of which there are none.
      if (asked.resource_name.empty()) return answer;
      if (asked.resource_name != std::to_string(services.config.node_id)) {
        refuse(answer, ErrorCode::invalid_request,
               fmt::format("this is broker {}, not {}", services.config.node_id, asked.resource_name));
        return answer;
      }
      fill(answer, asked, request, describe_broker(services.config), true);
      return answer;
    case wire::ConfigResourceType::unknown:
    case wire::ConfigResourceType::broker_logger:
      break;
  }
  refuse(answer, ErrorCode::invalid_request, fmt::format("resource type {}", int{asked.resource_type}));
  return answer;
}

}  // namespace

wire::DescribeConfigsResponse describe_configs(const Services& services, const wire::DescribeConfigsRequest& request) {
  wire::DescribeConfigsResponse response;
  for (const Asked& asked : request.resources) response.results.push_back(describe(services, request, asked));
  return response;
}

}  // namespace ordeal::server
