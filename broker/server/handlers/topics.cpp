// CreateTopics, DeleteTopics and InitProducerId: what the active controller decides. Answers wait until this broker's
// own image shows the change, so that a client that asks here next is not told otherwise.
#include <fmt/format.h>

#include <map>

#include "broker/meta/control.pb.h"
#include "broker/server/handlers/handlers.h"
#include "broker/server/producer_ids.h"

namespace ordeal::server {

using wire::ErrorCode;
using Created = wire::CreateTopicsResponse::CreatableTopicResult;
using Deleted = wire::DeleteTopicsResponse::DeletableTopicResult;

namespace {

// Version 4 and below cannot ask for less than the wait this takes; a request without patience gets this much.
constexpr Duration kPatienceMin = 1s;

Uuid to_uuid(const std::string& bytes) {
  Uuid id;
  if (bytes.size() == id.bytes.size()) std::copy(bytes.begin(), bytes.end(), id.bytes.begin());
  return id;
}

Instant deadline_of(const Services& services, std::int32_t timeout_ms) {
  return std::max(services.in_ms(timeout_ms), services.in(kPatienceMin));
}

std::optional<std::string> other_durability(const Services& services,
                                            const wire::CreateTopicsRequest::CreatableTopic& topic) {
  for (const auto& config : topic.configs)
    if (auto wrong = other_durability(services, config.name, config.value)) return wrong;
  return std::nullopt;
}

meta::ControllerRequest to_controller(const wire::CreateTopicsRequest& request) {
  meta::ControllerRequest out;
  meta::CreateTopicsRequest& create = *out.mutable_create_topics();
  create.set_validate_only(request.validate_only);
  for (const auto& topic : request.topics) {
    meta::CreateTopicsRequest::Topic& wanted = *create.add_topics();
    wanted.set_name(topic.name);
    wanted.set_num_partitions(topic.num_partitions);
    wanted.set_replication_factor(topic.replication_factor);
    for (const auto& assignment : topic.assignments) {
      meta::CreateTopicsRequest::Assignment& entry = *wanted.add_assignments();
      entry.set_partition(assignment.partition_index);
      for (const std::int32_t broker : assignment.broker_ids) entry.add_replicas(broker);
    }
    for (const auto& config : topic.configs) {
      meta::CreateTopicsRequest::Config& entry = *wanted.add_configs();
      entry.set_name(config.name);
      if (config.value) entry.set_value(*config.value);
    }
  }
  return out;
}

void add_configs(const Services& services, const meta::CreateTopicsResponse::Topic& topic, Created& created) {
  ConfigMap overrides;
  for (const auto& config : topic.configs()) overrides[config.name()] = config.value();
  created.configs.emplace();
  for (const DescribedConfig& config : describe_topic(services.config, overrides)) {
    wire::CreateTopicsResponse::CreatableTopicConfigs entry;
    entry.name = config.name;
    entry.value = config.value;
    entry.config_source =
        static_cast<std::int8_t>(config.origin == ConfigOrigin::topic           ? wire::ConfigSource::topic
                                 : config.origin == ConfigOrigin::static_broker ? wire::ConfigSource::static_broker
                                                                                : wire::ConfigSource::default_config);
    created.configs->push_back(std::move(entry));
  }
}

}  // namespace

std::optional<ControllerFailure> failure_of(const Result<meta::ControllerResponse>& response) {
  if (!response) {
    const bool late = response.error().code == Errc::timed_out;
    return ControllerFailure{late ? ErrorCode::request_timed_out : ErrorCode::not_controller, response.error().text};
  }
  if (response->error_code() == 0) return std::nullopt;
  return ControllerFailure{static_cast<ErrorCode>(response->error_code()), response->error_message()};
}

std::optional<std::string> other_durability(const Services& services, const std::string& name,
                                            const std::optional<std::string>& value) {
  if (name != "flush.messages" || !value) return std::nullopt;
  if ((*value == "1") == services.config.topic_defaults.fsync()) return std::nullopt;
  return fmt::format("flush.messages={}: this broker runs with log.flush.interval.messages={} for all topics", *value,
                     services.config.topic_defaults.flush_messages);
}

env::Task<wire::CreateTopicsResponse> create_topics(Services& services, Call, wire::CreateTopicsRequest request) {
  const Instant deadline = deadline_of(services, request.timeout_ms);
  wire::CreateTopicsResponse response;
  std::erase_if(request.topics, [&](const wire::CreateTopicsRequest::CreatableTopic& topic) {
    std::optional<std::string> wrong = other_durability(services, topic);
    if (!wrong) return false;
    Created refused;
    refused.name = topic.name;
    refused.error_code = ErrorCode::invalid_config;
    refused.error_message = std::move(wrong);
    response.topics.push_back(std::move(refused));
    return true;
  });
  if (request.topics.empty()) co_return response;
  meta::ControllerRequest forward = to_controller(request);
  Result<meta::ControllerResponse> answer = co_await services.metadata.call_controller(std::move(forward), deadline);
  if (const std::optional<ControllerFailure> failure = failure_of(answer)) {
    for (const auto& topic : request.topics) {
      Created created;
      created.name = topic.name;
      created.error_code = failure->code;
      created.error_message = failure->text;
      response.topics.push_back(std::move(created));
    }
    co_return response;
  }
  for (const meta::CreateTopicsResponse::Topic& topic : answer->create_topics().topics()) {
    Created created;
    created.name = topic.name();
    created.error_code = static_cast<ErrorCode>(topic.error_code());
    if (created.error_code != ErrorCode::none) {
      created.error_message = topic.error_message();
      response.topics.push_back(std::move(created));
      continue;
    }
    created.topic_id = to_uuid(topic.topic_id());
    created.num_partitions = topic.num_partitions();
    created.replication_factor = static_cast<std::int16_t>(topic.replication_factor());
    add_configs(services, topic, created);
    response.topics.push_back(std::move(created));
    // It is created whether or not the local image has it in time: the answer stays the same.
    if (!request.validate_only) co_await wait_for_topic(services, topic.name(), true, deadline);
  }
  co_return response;
}

env::Task<wire::DeleteTopicsResponse> delete_topics(Services& services, Call call, wire::DeleteTopicsRequest request) {
  const Instant deadline = deadline_of(services, request.timeout_ms);
  wire::DeleteTopicsResponse response;
  std::vector<wire::DeleteTopicsRequest::DeleteTopicState> wanted = request.topics;
  for (const std::string& name : request.topic_names) wanted.push_back({name, {}});
  const auto refuse_all = [&](ErrorCode code, const std::string& text) {
    for (const auto& topic : wanted) response.responses.push_back({topic.name, topic.topic_id, code, text});
  };
  if (!services.config.delete_topic) {
    refuse_all(call.version >= 3 ? ErrorCode::topic_deletion_disabled : ErrorCode::invalid_request,
               "delete.topic.enable is false");
    co_return response;
  }
  meta::ControllerRequest forward;
  for (const auto& topic : wanted) {
    meta::DeleteTopicsRequest::Topic& entry = *forward.mutable_delete_topics()->add_topics();
    if (topic.name) entry.set_name(*topic.name);
    if (!topic.topic_id.is_zero()) entry.set_topic_id(topic.topic_id.bytes.data(), topic.topic_id.bytes.size());
  }
  Result<meta::ControllerResponse> answer = co_await services.metadata.call_controller(std::move(forward), deadline);
  if (const std::optional<ControllerFailure> failure = failure_of(answer)) {
    refuse_all(failure->code, failure->text);
    co_return response;
  }
  for (const meta::DeleteTopicsResponse::Topic& topic : answer->delete_topics().topics()) {
    Deleted deleted;
    if (!topic.name().empty()) deleted.name = topic.name();
    deleted.topic_id = to_uuid(topic.topic_id());
    deleted.error_code = static_cast<ErrorCode>(topic.error_code());
    if (deleted.error_code != ErrorCode::none) deleted.error_message = topic.error_message();
    const bool done = deleted.error_code == ErrorCode::none;
    response.responses.push_back(std::move(deleted));
    if (done) co_await wait_for_topic(services, topic.name(), false, deadline);
  }
  co_return response;
}

env::Task<wire::InitProducerIdResponse> init_producer_id(Services& services, wire::InitProducerIdRequest request) {
  wire::InitProducerIdResponse response;
  if (request.transactional_id) {
    response.error_code =
        request.transactional_id->empty() ? ErrorCode::invalid_request : ErrorCode::coordinator_not_available;
    co_return response;
  }
  constexpr Duration kWait = 5s;
  Result<ProducerId> id = co_await services.producer_ids.next(services.in(kWait));
  if (!id) {
    // Retriable for every client, and true: what gives out ids is not there yet.
    response.error_code = ErrorCode::coordinator_load_in_progress;
    co_return response;
  }
  response.producer_id = *id;
  response.producer_epoch = 0;
  co_return response;
}

}  // namespace ordeal::server
