// The handlers over pretended metadata and logs: what they ask for and what they answer at old and new versions.
#include <algorithm>

#include "broker/server/server_test.h"

using namespace ordeal;
using namespace ordeal::server;
using namespace ordeal::server::testing;
using wire::ErrorCode;

namespace {

template <class Message>
typename Message::Response ask(ServerWorld& world, std::int16_t version, Message message, std::uint16_t port = 9092) {
  typename Message::Response response;
  auto task = [](ServerWorld* w, std::int16_t v, Message m, std::uint16_t p,
                 typename Message::Response* out) -> env::Task<> {
    auto wire = co_await Wire::open(w->client, p);
    *out = co_await wire->call(v, std::move(m));
    wire->close();
  };
  world.run(task(&world, version, std::move(message), port, &response));
  return response;
}

wire::MetadataRequest about(const std::string& topic) {
  wire::MetadataRequest request;
  request.topics.emplace().push_back({{}, topic});
  return request;
}

Result<meta::ControllerResponse> create_all(FakeMetadata& metadata, const meta::ControllerRequest& request) {
  meta::ControllerResponse response;
  for (const auto& topic : request.create_topics().topics()) {
    auto* out = response.mutable_create_topics()->add_topics();
    out->set_name(topic.name());
    out->set_num_partitions(topic.num_partitions());
    out->set_replication_factor(2);
    *out->mutable_configs() = topic.configs();
    if (topic.name() == "refused") {
      out->set_error_code(38);
      out->set_error_message("too few brokers");
      continue;
    }
    out->set_topic_id(std::string(16, 'x'));
    if (!request.create_topics().validate_only()) metadata.add_topic(topic.name(), topic.num_partitions());
  }
  return response;
}

}  // namespace

TEST_CASE("Metadata: brokers as the listener reaches them, leaders, offline replicas") {
  ServerWorld world;
  world.metadata->add_topic("t", 2);
  wire::MetadataRequest all;
  const auto response = ask(world, 12, all);
  CHECK(response.cluster_id == "test");
  CHECK(response.controller_id == 2);
  REQUIRE(response.brokers.size() == 2);  // the fenced one is not told
  CHECK(response.brokers[1].host == "10.77.0.12");
  CHECK(response.brokers[1].port == 9092);
  CHECK(response.brokers[1].rack == "r2");
  REQUIRE(response.topics.size() == 1);
  CHECK(response.topics[0].name == "t");
  CHECK(response.topics[0].topic_id == FakeMetadata::topic_id(1));
  REQUIRE(response.topics[0].partitions.size() == 2);
  const auto& partition = response.topics[0].partitions[1];
  CHECK(partition.leader_id == 1);
  CHECK(partition.leader_epoch == 0);
  CHECK(partition.replica_nodes == std::vector<std::int32_t>{1, 2, 3});
  CHECK(partition.isr_nodes == std::vector<std::int32_t>{1});
  CHECK(partition.offline_replicas == std::vector<std::int32_t>{3});
  CHECK(ask(world, 12, all, 9093).brokers[0].port == 9093);
  // Version 0 asks for all by an empty list; from 1 on that asks for none.
  wire::MetadataRequest none;
  none.topics.emplace();
  CHECK(ask(world, 0, none).topics.size() == 1);
  CHECK(ask(world, 1, none).topics.empty());
}

TEST_CASE("Metadata: by id, unknown ids and bad names") {
  ServerWorld world;
  world.metadata->add_topic("t", 1);
  wire::MetadataRequest request;
  request.topics.emplace().push_back({FakeMetadata::topic_id(1), std::nullopt});
  request.topics->push_back({FakeMetadata::topic_id(9), std::nullopt});
  request.topics->push_back({{}, "no/slash"});
  request.allow_auto_topic_creation = false;
  request.topics->push_back({{}, "missing"});
  request.include_topic_authorized_operations = true;
  const auto response = ask(world, 12, request);
  REQUIRE(response.topics.size() == 4);
  CHECK(response.topics[0].name == "t");
  CHECK(response.topics[0].topic_authorized_operations != wire::kNoAuthorizedOperations);
  CHECK(response.topics[1].error_code == ErrorCode::unknown_topic_id);
  CHECK_FALSE(response.topics[1].name.has_value());
  CHECK(response.topics[2].error_code == ErrorCode::invalid_topic_exception);
  CHECK(response.topics[3].error_code == ErrorCode::unknown_topic_or_partition);
  CHECK(world.metadata->calls == 0);
}

TEST_CASE("Metadata creates a topic that is asked for, once, unless client or broker forbids it") {
  ServerWorld world({{"num.partitions", "3"}});
  world.metadata->on_call = [&](const auto& request) { return create_all(*world.metadata, request); };
  const auto created = ask(world, 4, about("new"));
  REQUIRE(created.topics.size() == 1);
  CHECK(created.topics[0].error_code == ErrorCode::none);
  CHECK(created.topics[0].partitions.size() == 3);
  CHECK(ask(world, 4, about("new")).topics[0].error_code == ErrorCode::none);
  CHECK(world.metadata->calls == 1);
  CHECK(ask(world, 4, about("refused")).topics[0].error_code == ErrorCode::invalid_replication_factor);
  world.metadata->on_call = nullptr;
  CHECK(ask(world, 4, about("other")).topics[0].error_code == ErrorCode::leader_not_available);
  wire::MetadataRequest forbidden = about("third");
  forbidden.allow_auto_topic_creation = false;
  CHECK(ask(world, 4, forbidden).topics[0].error_code == ErrorCode::unknown_topic_or_partition);

  ServerWorld strict({{"auto.create.topics.enable", "false"}});
  CHECK(ask(strict, 4, about("new")).topics[0].error_code == ErrorCode::unknown_topic_or_partition);
  CHECK(strict.metadata->calls == 0);
}

TEST_CASE("Produce: answers of each partition, the leader's whereabouts, refused acks and transactions") {
  ServerWorld world;
  wire::ProduceRequest request;
  request.acks = -1;
  request.timeout_ms = 777;
  request.topic_data.resize(1);
  request.topic_data[0].topic_id = FakeMetadata::topic_id(1);
  request.topic_data[0].partition_data.resize(2);
  request.topic_data[0].partition_data[1].index = 4;
  request.topic_data[0].partition_data[1].records = Slice::own({7, 8});
  world.partitions->append_result.error = ErrorCode::not_leader_or_follower;
  world.partitions->append_result.current_leader = {2, 9};
  const auto response = ask(world, 13, request);
  CHECK(world.partitions->last_append.requests.size() == 2);
  CHECK(world.partitions->last_append.requests[1].at.topic_id == FakeMetadata::topic_id(1));
  CHECK(world.partitions->last_append.requests[1].records.view.size() == 2);
  CHECK(world.partitions->last_append.api_version == 13);
  const auto& answer = response.responses.at(0).partition_responses.at(1);
  CHECK(answer.index == 4);
  CHECK(answer.error_code == ErrorCode::not_leader_or_follower);
  CHECK(answer.current_leader == wire::LeaderIdAndEpoch{2, 9});
  REQUIRE(response.node_endpoints.size() == 1);
  CHECK(response.node_endpoints[0].host == "10.77.0.12");

  request.topic_data[0].name = "t";
  world.partitions->append_result = {};
  world.partitions->append_result.error = ErrorCode::invalid_record;
  world.partitions->append_result.error_message = "bad";
  world.partitions->append_result.record_errors = {{3, "null key"}};
  const auto rejected = ask(world, 8, request).responses.at(0).partition_responses.at(0);
  CHECK(rejected.error_message == "bad");
  CHECK(rejected.record_errors.at(0).batch_index == 3);

  const std::size_t before = world.partitions->appended.size();
  request.acks = 2;
  CHECK(ask(world, 7, request).responses.at(0).partition_responses.at(0).error_code ==
        ErrorCode::invalid_required_acks);
  request.acks = -1;
  request.transactional_id = "tx";
  CHECK(ask(world, 7, request).responses.at(0).partition_responses.at(0).error_code == ErrorCode::invalid_txn_state);
  CHECK(world.partitions->appended.size() == before);
}

TEST_CASE("Fetch: what partitions answer, replicas only on their listener, read_uncommitted gets no abort list") {
  ServerWorld world;
  wire::FetchRequest request;
  request.max_bytes = 2000000000;
  request.isolation_level = 1;
  request.topics.resize(1);
  request.topics[0].topic = "t";
  request.topics[0].partitions.resize(1);
  request.topics[0].partitions[0].fetch_offset = 12;
  request.topics[0].partitions[0].last_fetched_epoch = 3;
  world.partitions->fetch_result.high_watermark = 20;
  world.partitions->fetch_result.records = Slice::own({1, 2, 3});
  world.partitions->fetch_result.aborted = {{{5, 6}}};
  const auto response = ask(world, 12, request);
  CHECK(response.session_id == 0);
  CHECK(world.partitions->last_fetch.isolation == replica::Isolation::read_committed);
  CHECK(world.partitions->last_fetch.max_bytes == 57671680);
  CHECK(world.partitions->last_fetch.partitions.at(0).last_fetched_epoch == 3);
  const auto& data = response.responses.at(0).partitions.at(0);
  CHECK(data.high_watermark == 20);
  CHECK(data.records->view.size() == 3);
  CHECK(data.aborted_transactions->at(0).producer_id == 5);
  world.partitions->fetch_result = {};
  world.partitions->fetch_result.diverging = replica::DivergingEpoch{2, 8};
  const auto diverged = ask(world, 12, request).responses.at(0).partitions.at(0);
  CHECK_FALSE(diverged.aborted_transactions.has_value());
  CHECK(diverged.records.has_value());  // empty, not null
  CHECK(diverged.diverging_epoch == wire::FetchResponse::EpochEndOffset{2, 8});

  request.replica_id = 2;
  CHECK(ask(world, 12, request).error_code == ErrorCode::cluster_authorization_failed);
  CHECK(ask(world, 4, request).responses.at(0).partitions.at(0).error_code == ErrorCode::cluster_authorization_failed);
  CHECK(ask(world, 12, request, 9093).error_code == ErrorCode::none);
  CHECK(world.partitions->last_fetch.replica_id == 2);
  request.replica_id = -1;
  request.replica_state = {2, 40};
  CHECK(ask(world, 15, request, 9093).error_code == ErrorCode::none);
  CHECK(world.partitions->last_fetch.replica_epoch == 40);
  CHECK_FALSE(world.partitions->last_fetch.in_session);
}

TEST_CASE("Fetch: a session is opened, used with topic ids, and closed") {
  ServerWorld world;
  wire::FetchRequest request;
  request.session_epoch = 0;
  request.topics.resize(1);
  request.topics[0].topic_id = FakeMetadata::topic_id(1);
  request.topics[0].partitions.resize(2);
  request.topics[0].partitions[1].partition = 1;
  request.topics[0].partitions[1].current_leader_epoch = 7;
  world.partitions->fetch_result.high_watermark = 20;
  const auto opened = ask(world, 13, request);
  CHECK(opened.session_id > 0);
  CHECK(opened.responses.at(0).partitions.size() == 2);

  wire::FetchRequest next;
  next.session_id = opened.session_id;
  next.session_epoch = 1;
  CHECK(ask(world, 12, next).error_code == ErrorCode::fetch_session_topic_id_error);
  CHECK(ask(world, 13, next, 9093).error_code == ErrorCode::fetch_session_id_not_found);
  const auto quiet = ask(world, 13, next);
  CHECK(quiet.error_code == ErrorCode::none);
  CHECK(quiet.session_id == opened.session_id);
  CHECK(quiet.responses.empty());
  CHECK(world.partitions->last_fetch.in_session);
  CHECK(world.partitions->last_fetch.partitions.at(1).current_leader_epoch == 7);
  CHECK(ask(world, 13, next).error_code == ErrorCode::invalid_fetch_session_epoch);

  next.session_epoch = 2;
  world.partitions->fetch_result.error = ErrorCode::fenced_leader_epoch;
  world.partitions->fetch_result.current_leader = {2, 9};
  const auto moved = ask(world, 13, next);
  CHECK(moved.responses.at(0).partitions.at(0).current_leader.leader_id == 2);
  next.session_epoch = -1;
  CHECK(ask(world, 13, next).error_code == ErrorCode::none);
  next.session_epoch = 3;
  CHECK(ask(world, 13, next).error_code == ErrorCode::fetch_session_id_not_found);

  ServerWorld without({{"max.incremental.fetch.session.cache.slots", "0"}});
  CHECK(ask(without, 13, request).session_id == 0);
}

TEST_CASE("ListOffsets: places by version, duplicates, and the error old clients understand") {
  ServerWorld world;
  const auto list = [&](std::int16_t version, std::vector<std::int64_t> timestamps, bool same = false) {
    wire::ListOffsetsRequest request;
    request.topics.push_back({"t", {}});
    std::int32_t index = 0;
    for (const std::int64_t timestamp : timestamps) {
      request.topics[0].partitions.push_back({same ? 0 : index++, 2, timestamp});
    }
    return ask(world, version, request).topics.at(0).partitions;
  };
  world.partitions->list_result.offset = 7;
  world.partitions->list_result.leader_epoch = 2;
  const auto plain = list(4, {-1, -2, -3, 1000});
  CHECK(plain[0].offset == 7);
  CHECK(plain[0].leader_epoch == 2);
  CHECK(plain[2].error_code == ErrorCode::unsupported_version);
  CHECK(world.partitions->last_queries.size() == 3);
  CHECK(list(7, {-3})[0].error_code == ErrorCode::none);
  CHECK(list(11, {-6, -7})[1].error_code == ErrorCode::unsupported_version);
  CHECK(list(5, {-1, -1}, true)[0].error_code == ErrorCode::invalid_request);
  world.partitions->list_result = {};
  world.partitions->list_result.error = ErrorCode::offset_not_available;
  CHECK(list(4, {-1})[0].error_code == ErrorCode::leader_not_available);
  CHECK(list(5, {-1})[0].error_code == ErrorCode::offset_not_available);
}

TEST_CASE("OffsetForLeaderEpoch passes the answer on") {
  ServerWorld world;
  world.partitions->epoch_answer = {ErrorCode::none, 3, 99};
  wire::OffsetForLeaderEpochRequest request;
  request.topics.push_back({"t", {{5, 4, 3}}});
  const auto answer = ask(world, 2, request).topics.at(0).partitions.at(0);
  CHECK(answer.partition == 5);
  CHECK(answer.leader_epoch == 3);
  CHECK(answer.end_offset == 99);
}

TEST_CASE("CreateTopics: results with ids and configs, refusals, and no controller") {
  ServerWorld world;
  world.metadata->on_call = [&](const auto& request) { return create_all(*world.metadata, request); };
  wire::CreateTopicsRequest request;
  request.topics.push_back({"made", 2, -1, {}, {{"retention.ms", "5"}}});
  request.topics.push_back({"refused", 2, 9, {}, {}});
  request.topics.push_back({"unsafe", 2, -1, {}, {{"flush.messages", "100"}}});
  const auto response = ask(world, 7, request);
  REQUIRE(response.topics.size() == 3);
  const auto find = [&](const std::string& name) {
    return *std::find_if(response.topics.begin(), response.topics.end(), [&](const auto& t) { return t.name == name; });
  };
  CHECK(find("made").error_code == ErrorCode::none);
  CHECK_FALSE(find("made").topic_id.is_zero());
  CHECK(find("made").num_partitions == 2);
  const auto configs = *find("made").configs;
  const auto retention =
      std::find_if(configs.begin(), configs.end(), [](const auto& config) { return config.name == "retention.ms"; });
  REQUIRE(retention != configs.end());
  CHECK(retention->value == "5");
  CHECK(retention->config_source == 1);
  CHECK(find("refused").error_code == ErrorCode::invalid_replication_factor);
  CHECK(find("refused").error_message == "too few brokers");
  CHECK(find("unsafe").error_code == ErrorCode::invalid_config);
  CHECK(world.metadata->image()->topic("made") != nullptr);
  CHECK(world.metadata->image()->topic("unsafe") == nullptr);
  world.metadata->on_call = nullptr;
  CHECK(ask(world, 2, request).topics.at(1).error_code == ErrorCode::request_timed_out);
}

TEST_CASE("DeleteTopics: by name and by id, and when it is disabled") {
  ServerWorld world;
  world.metadata->on_call = [&](const meta::ControllerRequest& request) -> Result<meta::ControllerResponse> {
    meta::ControllerResponse response;
    for (const auto& topic : request.delete_topics().topics()) {
      auto* out = response.mutable_delete_topics()->add_topics();
      out->set_name(topic.name());
      out->set_topic_id(topic.topic_id());
      out->set_error_code(topic.name().empty() ? 100 : 0);
    }
    return response;
  };
  wire::DeleteTopicsRequest by_name;
  by_name.topic_names = {"gone"};
  CHECK(ask(world, 1, by_name).responses.at(0).error_code == ErrorCode::none);
  wire::DeleteTopicsRequest by_id;
  by_id.topics.push_back({std::nullopt, FakeMetadata::topic_id(5)});
  const auto unknown = ask(world, 6, by_id).responses.at(0);
  CHECK(unknown.error_code == ErrorCode::unknown_topic_id);
  CHECK(unknown.topic_id == FakeMetadata::topic_id(5));
  CHECK_FALSE(unknown.name.has_value());
  ServerWorld off({{"delete.topic.enable", "false"}});
  CHECK(ask(off, 4, by_name).responses.at(0).error_code == ErrorCode::topic_deletion_disabled);
}

TEST_CASE("InitProducerId: ids from blocks, never twice; transactions have no coordinator yet") {
  ServerWorld world;
  std::int64_t next = 1000;
  world.metadata->on_call = [&](const meta::ControllerRequest& request) -> Result<meta::ControllerResponse> {
    CHECK(request.allocate_producer_ids().broker_id() == 1);
    meta::ControllerResponse response;
    response.mutable_allocate_producer_ids()->set_first_producer_id(next);
    response.mutable_allocate_producer_ids()->set_count(3);
    next += 3;
    return response;
  };
  std::set<std::int64_t> seen;
  for (int i = 0; i < 10; ++i) {
    const auto response = ask(world, i % 2 == 0 ? 0 : 4, wire::InitProducerIdRequest{});
    CHECK(response.error_code == ErrorCode::none);
    CHECK(response.producer_epoch == 0);
    CHECK(seen.insert(response.producer_id).second);
  }
  CHECK(world.metadata->calls == 4);
  world.metadata->on_call = nullptr;
  std::vector<ErrorCode> errors;
  for (int i = 0; i < 3; ++i) errors.push_back(ask(world, 4, wire::InitProducerIdRequest{}).error_code);
  CHECK(errors.back() == ErrorCode::coordinator_load_in_progress);
  wire::InitProducerIdRequest transactional;
  transactional.transactional_id = "tx";
  CHECK(ask(world, 4, transactional).error_code == ErrorCode::coordinator_not_available);
}

TEST_CASE("FindCoordinator says that there is none, in both shapes") {
  ServerWorld world;
  wire::FindCoordinatorRequest request;
  request.key = "group";
  request.coordinator_keys = {"a", "b"};
  CHECK(ask(world, 0, request).error_code == ErrorCode::coordinator_not_available);
  const auto many = ask(world, 4, request);
  REQUIRE(many.coordinators.size() == 2);
  CHECK(many.coordinators[1].key == "b");
  CHECK(many.coordinators[1].error_code == ErrorCode::coordinator_not_available);
}

TEST_CASE("DescribeCluster: fenced brokers on demand, other endpoint types refused") {
  ServerWorld world;
  wire::DescribeClusterRequest request;
  CHECK(ask(world, 0, request).brokers.size() == 2);
  request.include_fenced_brokers = true;
  const auto all = ask(world, 2, request);
  REQUIRE(all.brokers.size() == 3);
  CHECK(all.brokers[2].is_fenced);
  CHECK(all.cluster_id == "test");
  CHECK(all.controller_id == 2);
  request.endpoint_type = 2;
  CHECK(ask(world, 1, request).error_code == ErrorCode::mismatched_endpoint_type);
  request.endpoint_type = 9;
  CHECK(ask(world, 1, request).error_code == ErrorCode::unsupported_endpoint_type);
}

TEST_CASE("DescribeConfigs: topic and broker values with their origin, filters and refusals") {
  ServerWorld world({{"min.insync.replicas", "2"}});
  world.metadata->add_topic("t", 1, {{"retention.ms", "9"}});
  wire::DescribeConfigsRequest request;
  request.include_synonyms = true;
  request.include_documentation = true;
  request.resources.push_back({2, "t", {{"retention.ms", "min.insync.replicas"}}});
  request.resources.push_back({4, "1", {{"node.id"}}});
  request.resources.push_back({2, "missing", {}});
  request.resources.push_back({4, "7", {}});
  request.resources.push_back({8, "1", {}});
  const auto response = ask(world, 4, request);
  REQUIRE(response.results.size() == 5);
  const auto& topic = response.results[0].configs;
  REQUIRE(topic.size() == 2);
  CHECK(topic[0].name == "min.insync.replicas");
  CHECK(topic[0].value == "2");
  CHECK(topic[0].config_source == 4);
  CHECK(topic[1].value == "9");
  CHECK(topic[1].config_source == 1);
  CHECK(topic[1].synonyms.size() >= 2);
  CHECK(topic[1].documentation.has_value());
  REQUIRE(response.results[1].configs.size() == 1);
  CHECK(response.results[1].configs[0].read_only);
  CHECK(response.results[2].error_code == ErrorCode::unknown_topic_or_partition);
  CHECK(response.results[3].error_code == ErrorCode::invalid_request);
  CHECK(response.results[4].error_code == ErrorCode::invalid_request);
}
