// What administrators ask for: settings, elections, the quorum, log directories; over pretended metadata and logs.
#include "broker/server/server_test.h"

using namespace ordeal;
using namespace ordeal::server;
using namespace ordeal::server::testing;
using wire::ErrorCode;

namespace {

template <class Message>
typename Message::Response ask(ServerWorld& world, std::int16_t version, Message message) {
  typename Message::Response response;
  auto task = [](ServerWorld* w, std::int16_t v, Message m, typename Message::Response* out) -> env::Task<> {
    auto wire = co_await Wire::open(w->client);
    *out = co_await wire->call(v, std::move(m));
    wire->close();
  };
  world.run(task(&world, version, std::move(message), &response));
  return response;
}

wire::IncrementalAlterConfigsRequest::AlterConfigsResource change(std::int8_t type, const std::string& name,
                                                                  const std::string& key, std::int8_t op,
                                                                  std::optional<std::string> value) {
  return {type, name, {{key, op, std::move(value)}}};
}

}  // namespace

TEST_CASE("IncrementalAlterConfigs: what is set, removed, added and taken out reaches the controller") {
  ServerWorld world;
  world.metadata->add_topic("t", 1);
  meta::AlterTopicConfigsRequest asked;
  world.metadata->on_call = [&](const meta::ControllerRequest& request) -> Result<meta::ControllerResponse> {
    asked = request.alter_topic_configs();
    meta::ControllerResponse response;
    for (const auto& topic : asked.topics()) {
      auto* result = response.mutable_alter_topic_configs()->add_topics();
      result->set_name(topic.name());
      if (topic.name() != "missing") continue;
      result->set_error_code(static_cast<std::int32_t>(ErrorCode::unknown_topic_or_partition));
      result->set_error_message("there is no such topic");
    }
    return response;
  };
  wire::IncrementalAlterConfigsRequest request;
  request.validate_only = true;
  request.resources.push_back(change(2, "t", "retention.ms", 0, "5"));
  request.resources.back().configs.push_back({"retention.bytes", 1, std::nullopt});
  request.resources.back().configs.push_back({"cleanup.policy", 2, "compact"});
  request.resources.push_back(change(2, "missing", "cleanup.policy", 3, "compact"));
  const auto response = ask(world, 1, request);
  REQUIRE(response.responses.size() == 2);
  CHECK(response.responses[0].error_code == ErrorCode::none);
  CHECK_FALSE(response.responses[0].error_message.has_value());
  CHECK(response.responses[1].error_code == ErrorCode::unknown_topic_or_partition);
  CHECK(response.responses[1].resource_name == "missing");
  CHECK(asked.validate_only());
  REQUIRE(asked.topics_size() == 2);
  REQUIRE(asked.topics(0).configs_size() == 2);
  CHECK(asked.topics(0).configs(0).value() == "5");
  CHECK_FALSE(asked.topics(0).configs(1).has_value());
  REQUIRE(asked.topics(0).list_changes_size() == 1);
  CHECK(asked.topics(0).list_changes(0).otherwise() == "delete");
  CHECK_FALSE(asked.topics(0).list_changes(0).remove());
  CHECK(asked.topics(1).list_changes(0).remove());
}

TEST_CASE("IncrementalAlterConfigs: refused before the controller is asked") {
  ServerWorld world;
  struct Row {
    wire::IncrementalAlterConfigsRequest::AlterConfigsResource resource;
    ErrorCode error;
  };
  for (const Row& row : {Row{change(4, "1", "log.dirs", 0, "/x"), ErrorCode::invalid_request},
                         Row{change(4, "", "log.dirs", 1, std::nullopt), ErrorCode::invalid_request},
                         Row{change(4, "7", "log.dirs", 0, "/x"), ErrorCode::invalid_request},
                         Row{change(8, "1", "root", 0, "INFO"), ErrorCode::invalid_request},
                         Row{change(2, "a/b", "retention.ms", 0, "1"), ErrorCode::invalid_topic_exception},
                         Row{change(2, "t", "retention.ms", 0, std::nullopt), ErrorCode::invalid_request},
                         Row{change(2, "t", "retention.ms", 9, "1"), ErrorCode::invalid_request},
                         Row{change(2, "t", "flush.messages", 0, "1000"), ErrorCode::invalid_config}}) {
    CAPTURE(row.resource.resource_name);
    CAPTURE(row.resource.configs[0].name);
    wire::IncrementalAlterConfigsRequest request;
    request.resources.push_back(row.resource);
    const auto response = ask(world, 0, request);
    REQUIRE(response.responses.size() == 1);
    CHECK(response.responses[0].error_code == row.error);
    CHECK(response.responses[0].error_message.has_value());
  }
  CHECK(world.metadata->calls == 0);
  wire::IncrementalAlterConfigsRequest twice;
  twice.resources.push_back(change(2, "t", "retention.ms", 0, "1"));
  twice.resources.push_back(change(2, "t", "retention.ms", 0, "2"));
  for (const auto& answer : ask(world, 1, twice).responses) CHECK(answer.error_code == ErrorCode::invalid_request);
  twice.resources.pop_back();
  CHECK(ask(world, 1, twice).responses.at(0).error_code == ErrorCode::request_timed_out);  // no controller
}

TEST_CASE("ElectLeaders: results by topic; none asked for is none, null is all") {
  ServerWorld world;
  meta::ElectLeadersRequest asked;
  world.metadata->on_call = [&](const meta::ControllerRequest& request) -> Result<meta::ControllerResponse> {
    asked = request.elect_leaders();
    meta::ControllerResponse response;
    response.mutable_elect_leaders();
    for (const auto& partition : asked.partitions()) {
      auto* result = response.mutable_elect_leaders()->add_partitions();
      result->set_topic(partition.topic());
      result->set_partition(partition.partition());
      if (partition.partition() == 1) result->set_error_code(static_cast<std::int32_t>(ErrorCode::election_not_needed));
    }
    return response;
  };
  wire::ElectLeadersRequest request;
  request.election_type = 1;
  request.topic_partitions = {{"b", {0, 1}}, {"a", {0}}};
  const auto response = ask(world, 2, request);
  CHECK(response.error_code == ErrorCode::none);
  REQUIRE(response.replica_election_results.size() == 2);
  CHECK(response.replica_election_results[0].topic == "a");
  const auto& parts = response.replica_election_results[1].partition_result;
  REQUIRE(parts.size() == 2);
  CHECK(parts[0].error_code == ErrorCode::none);
  CHECK_FALSE(parts[0].error_message.has_value());
  CHECK(parts[1].error_code == ErrorCode::election_not_needed);
  CHECK(asked.unclean());
  CHECK(ask(world, 0, request).replica_election_results.size() == 2);
  CHECK_FALSE(asked.unclean());  // version 0 knows preferred elections only

  const int calls = world.metadata->calls;
  request.topic_partitions->clear();
  CHECK(ask(world, 2, request).replica_election_results.empty());
  CHECK(world.metadata->calls == calls);
  request.topic_partitions.reset();
  CHECK(ask(world, 2, request).error_code == ErrorCode::none);
  CHECK(world.metadata->calls == calls + 1);
  request.election_type = 5;
  CHECK(ask(world, 2, request).error_code == ErrorCode::invalid_request);
  request.election_type = 0;
  world.metadata->on_call = nullptr;
  CHECK(ask(world, 2, request).error_code == ErrorCode::request_timed_out);
}

TEST_CASE("DescribeQuorum: the leader's view, voters and observers apart; other topics are unknown") {
  ServerWorld world;
  world.metadata->on_call = [&](const meta::ControllerRequest& request) -> Result<meta::ControllerResponse> {
    CHECK(request.has_describe_quorum());
    meta::ControllerResponse response;
    auto& quorum = *response.mutable_describe_quorum();
    quorum.set_leader(2);
    quorum.set_term(7);
    quorum.set_commit(41);
    for (const int id : {1, 2, 9}) {
      auto* replica = quorum.add_replicas();
      replica->set_node_id(id);
      replica->set_voter(id != 9);
      replica->set_last_index(40 + id);
      replica->set_heard_ms(1000 + id);
      replica->set_caught_up_ms(-1);
      replica->set_host("10.77.0.1");
      replica->set_port(9094);
    }
    return response;
  };
  wire::DescribeQuorumRequest request;
  request.topics = {{wire::kMetadataTopic, {{0}, {1}}}, {"t", {{0}}}};
  const auto response = ask(world, 2, request);
  CHECK(response.error_code == ErrorCode::none);
  REQUIRE(response.topics.size() == 2);
  const auto& data = response.topics[0].partitions.at(0);
  CHECK(data.leader_id == 2);
  CHECK(data.leader_epoch == 7);
  CHECK(data.high_watermark == 42);
  REQUIRE(data.current_voters.size() == 2);
  CHECK(data.current_voters[1].log_end_offset == 43);
  REQUIRE(data.observers.size() == 1);
  CHECK(data.observers[0].last_fetch_timestamp == 1009);
  CHECK(response.topics[0].partitions.at(1).error_code == ErrorCode::unknown_topic_or_partition);
  CHECK(response.topics[1].partitions.at(0).error_code == ErrorCode::unknown_topic_or_partition);
  REQUIRE(response.nodes.size() == 2);
  CHECK(response.nodes[0].listeners.at(0).name == "CONTROLLER");
  world.metadata->on_call = nullptr;
  CHECK(ask(world, 0, request).error_code == ErrorCode::request_timed_out);
}

TEST_CASE("DescribeLogDirs: one directory, sizes by partition, those asked for") {
  ServerWorld world;
  for (const auto& [topic, partition, bytes] :
       {std::tuple{"a", 0, 10}, std::tuple{"a", 2, 20}, std::tuple{"b", 1, 30}}) {
    replica::PartitionStatus status;
    status.at = {topic, partition};
    status.log_bytes = bytes;
    status.high_watermark = 4;
    status.log_end = 5;
    world.partitions->statuses.push_back(status);
  }
  wire::DescribeLogDirsRequest request;
  const auto all = ask(world, 5, request);
  REQUIRE(all.results.size() == 1);
  CHECK(all.results[0].log_dir == "/data/logs");
  REQUIRE(all.results[0].topics.size() == 2);
  REQUIRE(all.results[0].topics[0].partitions.size() == 2);
  CHECK(all.results[0].topics[0].partitions[1].partition_index == 2);
  CHECK(all.results[0].topics[0].partitions[1].partition_size == 20);
  CHECK(all.results[0].topics[0].partitions[1].offset_lag == 0);
  request.topics = {{"a", {0, 1}}, {"c", {0}}};
  const auto some = ask(world, 1, request);
  REQUIRE(some.results.at(0).topics.size() == 1);
  CHECK(some.results[0].topics[0].partitions.size() == 1);
}
