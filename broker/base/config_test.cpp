// Configuration: defaults, overrides, and what a wrong line is told.
#include "broker/base/config.h"

#include <doctest/doctest.h>

using namespace ordeal;

namespace {
ConfigMap minimal() {
  return {{"node.id", "1"},
          {"cluster.id", "test"},
          {"listeners", "CLIENT://10.0.0.1:9092,REPLICATION://10.0.0.1:9093,CONTROLLER://10.0.0.1:9094"},
          {"controller.quorum.voters", "1@10.0.0.1:9094,2@10.0.0.2:9094"},
          {"log.dirs", "/data"}};
}
std::string error_of(std::string_view key, std::string_view value) {
  ConfigMap given = minimal();
  given[std::string(key)] = value;
  const Result<BrokerConfig> config = make_broker_config(given);
  return config ? "" : config.error().text;
}
}  // namespace

TEST_CASE("the tables are sorted, their defaults pass their own checks") {
  const auto keys = broker_config_keys();
  for (std::size_t i = 1; i < keys.size(); ++i) CHECK(keys[i - 1].name < keys[i].name);
  ConfigMap defaults = minimal();
  for (const ConfigKey& key : keys) {
    CHECK_FALSE(key.doc.empty());
    if (key.fallback) defaults.emplace(key.name, *key.fallback);
  }
  defaults.erase("log.dir");
  defaults["log.dirs"] = "/data";
  defaults["advertised.listeners"] = defaults["listeners"];
  CHECK(make_broker_config(defaults).has_value());
}

TEST_CASE("a properties file gives typed values, --set wins over it") {
  const std::string text =
      "# a comment\n\n node.id = 2 \ncluster.id: abc\n"
      "listeners=CLIENT://10.0.0.2:9092,REPLICATION://10.0.0.2:9093,\\\n   CONTROLLER://10.0.0.2:9094\n"
      "controller.quorum.voters=1@10.0.0.1:9094,2@10.0.0.2:9094\nlog.dirs=/data\nnum.partitions=3\r\n";
  const std::vector<std::string> sets = {"num.partitions=4", "ordeal.mutations=repl.truncate_to_hw, disk.skip_crc"};
  const Result<BrokerConfig> config = parse_broker_config(text, "server.properties", sets);
  REQUIRE(config.has_value());
  CHECK(config->node_id == 2);
  CHECK(config->cluster_id == "abc");
  CHECK(config->num_partitions == 4);
  CHECK(config->mutations == std::vector<std::string>{"repl.truncate_to_hw", "disk.skip_crc"});
  CHECK(config->voters.at(1) == Endpoint{"10.0.0.1", 9094});
  REQUIRE(config->listener("REPLICATION") != nullptr);
  CHECK(*config->listener("REPLICATION") == Endpoint{"10.0.0.2", 9093});
  CHECK(*config->advertised("CLIENT") == Endpoint{"10.0.0.2", 9092});
  CHECK(config->listener("NONE") == nullptr);
  CHECK(config->topic_defaults.fsync());
  CHECK(config->broker_session_timeout == 1500ms);
}

TEST_CASE("errors name the key, the place and the nearest name") {
  CHECK(error_of("num.partition", "1") == "unknown key 'num.partition' (did you mean 'num.partitions'?)");
  CHECK(error_of("qqqqqqqqqqqqqqqqq", "1") == "unknown key 'qqqqqqqqqqqqqqqqq'");
  CHECK(error_of("num.partitions", "0") == "num.partitions=0: must be between 1 and 2147483647");
  CHECK(error_of("num.partitions", "x") == "num.partitions=x: not a number");
  CHECK(error_of("compression.type", "zip").find("must be one of producer|") != std::string::npos);
  CHECK(error_of("log.cleanup.policy", "delete,burn").find("'burn' is none of") != std::string::npos);
  CHECK(error_of("auto.create.topics.enable", "yes").find("true|false") != std::string::npos);
  CHECK(error_of("controller.quorum.voters", "") == "'controller.quorum.voters' must be given");
  CHECK(error_of("log.dirs", "/a,/b").find("exactly one directory") != std::string::npos);
  CHECK(error_of("log.dirs", "data").find("absolute") != std::string::npos);
  CHECK(error_of("listeners", "CLIENT://1.1.1.1:9092").find("once each") != std::string::npos);
  CHECK(error_of("listeners", "CLIENT:1.1.1.1").find("NAME://host:port") != std::string::npos);
  CHECK(error_of("controller.quorum.voters", "1:10.0.0.1:9094").find("id@host:port") != std::string::npos);
  std::string voters = "1@10.0.0.1:9094";
  for (int id = 2; id <= 6; ++id) {
    CHECK(error_of("controller.quorum.voters", voters).empty());
    voters += fmt::format(",{0}@10.0.0.{0}:9094", id);
  }
  CHECK(error_of("controller.quorum.voters", voters).starts_with("controller.quorum.voters names 6 voters"));
  CHECK(error_of("broker.session.timeout.ms", "100").find("must be below") != std::string::npos);
  ConfigMap without = minimal();
  without.erase("cluster.id");
  CHECK(make_broker_config(without).error().text == "'cluster.id' must be given");

  const auto broken = [](std::string_view text) { return parse_broker_config(text, "f").error().text; };
  CHECK(broken("node.id=1\nnonsense\n") == "f line 2: no '=' in 'nonsense'");
  CHECK(broken("node.id=1\nnode.id=2\n") == "f line 2: 'node.id' is given twice");
  CHECK(broken("\nlog.segment.byte=1\n").find("f line 2: unknown key") == 0);
}

TEST_CASE("a topic override beats the broker's setting, which beats the default; units are converted") {
  ConfigMap given = minimal();
  given["log.retention.hours"] = "2";
  given["min.insync.replicas"] = "2";
  given["log.flush.interval.messages"] = "9223372036854775807";
  const BrokerConfig broker = *make_broker_config(given);
  CHECK(broker.topic_defaults.retention_ms == 2 * 3600 * 1000);
  CHECK_FALSE(broker.topic_defaults.fsync());
  const TopicConfig plain = *make_topic_config(broker, {});
  CHECK(plain == broker.topic_defaults);
  const TopicConfig own = *make_topic_config(
      broker,
      {{"retention.ms", "5"}, {"cleanup.policy", "compact,delete"}, {"message.timestamp.type", "LogAppendTime"}});
  CHECK(own.retention_ms == 5);
  CHECK(own.cleanup_compact);
  CHECK(own.cleanup_delete);
  CHECK(own.log_append_time);
  CHECK(own.min_insync_replicas == 2);
  CHECK(make_topic_config(broker, {{"retention.m", "5"}}).error().text ==
        "unknown topic config 'retention.m' (did you mean 'retention.ms'?)");
  CHECK_FALSE(make_topic_config(broker, {{"min.insync.replicas", "0"}}).has_value());

  given["log.retention.hours"] = "-1";
  CHECK(make_broker_config(given)->topic_defaults.retention_ms == -1);
  given["log.retention.minutes"] = "3";
  CHECK(make_broker_config(given)->topic_defaults.retention_ms == 3 * 60 * 1000);
}

TEST_CASE("describing tells every value's origin and synonyms, the one in force first") {
  ConfigMap given = minimal();
  given["log.retention.minutes"] = "3";
  const BrokerConfig broker = *make_broker_config(given);
  const auto find = [](const std::vector<DescribedConfig>& all, std::string_view name) {
    for (const DescribedConfig& one : all) {
      if (one.name == name) return one;
    }
    FAIL("missing ", name);
    return DescribedConfig{};
  };
  const DescribedConfig own = find(describe_topic(broker, {{"retention.ms", "9"}}), "retention.ms");
  CHECK(own.value == "9");
  CHECK(own.origin == ConfigOrigin::topic);
  REQUIRE(own.synonyms.size() == 3);
  CHECK(own.synonyms[1].name == "log.retention.minutes");
  CHECK(own.synonyms[1].value == "180000");
  CHECK(own.synonyms[2].origin == ConfigOrigin::default_config);
  const std::vector<DescribedConfig> all = describe_broker(broker);
  CHECK(find(all, "node.id").origin == ConfigOrigin::static_broker);
  CHECK(find(all, "num.partitions").origin == ConfigOrigin::default_config);
  CHECK_FALSE(find(all, "log.roll.ms").value.has_value());
}
