// IncrementalAlterConfigs: topics' settings are changed by the active controller. A broker's settings come from its
// file and stand until it starts again, so they are refused. Answers wait until this broker's own image shows the
// change.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "broker/base/mark.h"
#include "broker/meta/control.pb.h"
#include "broker/server/handlers/handlers.h"

namespace ordeal::server {

using wire::AlterConfigOp;
using wire::ErrorCode;
using Asked = wire::IncrementalAlterConfigsRequest::AlterConfigsResource;
using Answer = wire::IncrementalAlterConfigsResponse::AlterConfigsResourceResponse;
using Change = wire::IncrementalAlterConfigsRequest::AlterableConfig;

namespace {

constexpr Duration kPatience = 30s;  // the request names none

Answer answer_to(const Asked& asked, ErrorCode code, std::string why) {
  Answer answer;
  answer.resource_type = asked.resource_type;
  answer.resource_name = asked.resource_name;
  answer.error_code = code;
  if (code != ErrorCode::none) answer.error_message = std::move(why);
  return answer;
}

Answer refuse_broker(const Services& services, const Asked& asked) {
  const std::string self = std::to_string(services.config.node_id);
  if (!asked.resource_name.empty() && asked.resource_name != self) {
    return answer_to(asked, ErrorCode::invalid_request,
                     fmt::format("Unexpected broker id, expected {}, but received {}", self, asked.resource_name));
  }
  std::string names;
  for (const Change& change : asked.configs) names += (names.empty() ? "" : ", ") + change.name;
  return answer_to(asked, ErrorCode::invalid_request,
                   fmt::format("Cannot update these configs dynamically: Set({})", names));
}

std::string in_force(const Services& services, const std::string& name) {
  const ConfigMap no_overrides;
  for (const DescribedConfig& config : describe_topic(services.config, no_overrides))
    if (config.name == name) return config.value.value_or("");
  return "";
}

// What this broker can refuse by itself; nullopt: the controller decides.
std::optional<Answer> refused_here(const Services& services, const Asked& asked, int times) {
  if (times > 1) return answer_to(asked, ErrorCode::invalid_request, "the request names the resource twice");
  switch (static_cast<wire::ConfigResourceType>(asked.resource_type)) {
    case wire::ConfigResourceType::topic:
      break;
    case wire::ConfigResourceType::broker:
      return refuse_broker(services, asked);
    case wire::ConfigResourceType::unknown:
    case wire::ConfigResourceType::broker_logger:
    default:
      return answer_to(asked, ErrorCode::invalid_request, fmt::format("resource type {}", int{asked.resource_type}));
  }
  if (!valid_topic_name(asked.resource_name))
    return answer_to(asked, ErrorCode::invalid_topic_exception, "not a topic name");
  for (const Change& change : asked.configs) {
    if (change.config_operation < 0 || change.config_operation > static_cast<std::int8_t>(AlterConfigOp::subtract))
      return answer_to(asked, ErrorCode::invalid_request, fmt::format("operation {}", int{change.config_operation}));
    const bool needs_value = change.config_operation != static_cast<std::int8_t>(AlterConfigOp::remove);
    if (needs_value && !change.value)
      return answer_to(asked, ErrorCode::invalid_request,
                       fmt::format("Null value not supported for : {}", change.name));
    if (!needs_value) continue;
    if (auto wrong = other_durability(services, change.name, change.value))
      return answer_to(asked, ErrorCode::invalid_config, std::move(*wrong));
  }
  return std::nullopt;
}

void add_changes(const Services& services, const Asked& asked, meta::AlterTopicConfigsRequest::Topic& topic) {
  topic.set_name(asked.resource_name);
  for (const Change& change : asked.configs) {
    const auto op = static_cast<AlterConfigOp>(change.config_operation);
    if (op == AlterConfigOp::append || op == AlterConfigOp::subtract) {
      meta::AlterTopicConfigsRequest::ListChange& list = *topic.add_list_changes();
      list.set_name(change.name);
      list.set_value(*change.value);
      list.set_remove(op == AlterConfigOp::subtract);
      list.set_otherwise(in_force(services, change.name));
      continue;
    }
    meta::CreateTopicsRequest::Config& config = *topic.add_configs();
    config.set_name(change.name);
    if (op == AlterConfigOp::set) config.set_value(*change.value);
  }
}

bool shows(const meta::TopicPtr& topic, const Asked& asked) {
  if (!topic) return true;  // it is gone: nothing more will show
  for (const Change& change : asked.configs) {
    const auto own = topic->configs.find(change.name);
    const auto op = static_cast<AlterConfigOp>(change.config_operation);
    if (op == AlterConfigOp::remove && own != topic->configs.end()) return false;
    if (op == AlterConfigOp::set && (own == topic->configs.end() || own->second != *change.value)) return false;
  }
  return true;
}

// Another change may have come on top of it meanwhile: then there is nothing to wait for, hence the bound.
env::Task<> wait_until_shown(Services& services, Asked asked) {
  constexpr Duration kShown = 2s;
  const Instant deadline = services.in(kShown);
  while (!shows(services.metadata.image()->topic(asked.resource_name), asked)) {
    const bool changed = co_await services.metadata.image_changed().wait(deadline);
    if (!changed) co_return;
  }
}

}  // namespace

env::Task<wire::IncrementalAlterConfigsResponse> incremental_alter_configs(
    Services& services, wire::IncrementalAlterConfigsRequest request) {
  wire::IncrementalAlterConfigsResponse response;
  std::map<std::pair<std::int8_t, std::string>, int> times;
  for (const Asked& asked : request.resources) ++times[{asked.resource_type, asked.resource_name}];
  meta::ControllerRequest forward;
  forward.mutable_alter_topic_configs()->set_validate_only(request.validate_only);
  std::vector<Asked> forwarded;
  for (Asked& asked : request.resources) {
    std::optional<Answer> refused = refused_here(services, asked, times.at({asked.resource_type, asked.resource_name}));
    if (refused) {
      ORDEAL_MARK("server.alter_configs_refused");
      response.responses.push_back(std::move(*refused));
      continue;
    }
    add_changes(services, asked, *forward.mutable_alter_topic_configs()->add_topics());
    forwarded.push_back(std::move(asked));
  }
  if (forwarded.empty()) co_return response;
  const Instant deadline = services.in(kPatience);
  Result<meta::ControllerResponse> answer = co_await services.metadata.call_controller(std::move(forward), deadline);
  const std::optional<ControllerFailure> failure = failure_of(answer);
  for (std::size_t i = 0; i < forwarded.size(); ++i) {
    if (failure) {
      response.responses.push_back(answer_to(forwarded[i], failure->code, failure->text));
      continue;
    }
    const auto& result = answer->alter_topic_configs().topics(static_cast<int>(i));
    const auto code = static_cast<ErrorCode>(result.error_code());
    response.responses.push_back(answer_to(forwarded[i], code, result.error_message()));
    if (code != ErrorCode::none || request.validate_only) continue;
    Asked shown = forwarded[i];
    co_await wait_until_shown(services, std::move(shown));
  }
  co_return response;
}

}  // namespace ordeal::server
