// The directory level: identity, clean-shutdown marker, topic ids, deletion, checkpoints.
#include "broker/log/log_dir.h"

#include <doctest/doctest.h>

#include "broker/log/test_log.h"

namespace ordeal::log {
namespace {

constexpr const char* kPath = "/data/logs";
const TopicPartition kOrders{"orders-eu", 3};

Uuid uuid(std::uint8_t n) {
  Uuid id;
  id.bytes.fill(n);
  return id;
}

struct TestDirectory {
  Result<std::unique_ptr<LogDirectory>> try_open(const std::string& cluster = "c1", NodeId node = 1) {
    directory.reset();
    return LogDirectory::open(*disk, kPath, {cluster, node, uuid(99)}, switches, trace);
  }
  void open() {
    auto opened = try_open();
    REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().to_string()));
    directory = std::move(*opened);
  }
  PartitionLog& log(const Uuid& id = uuid(1), const TopicPartition& partition = kOrders) {
    auto opened = directory->open_log(partition, id, {}, kTestNow);
    REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().to_string()));
    return **opened;
  }
  void append(PartitionLog& to, const std::string& value = "v") {
    const Bytes batch = make_batch({.value = value});
    REQUIRE(to.append_as_leader(batch, 1, kTestNow, AppendOrigin::client));
  }
  void power_cut() {
    directory.reset();
    disk = disk->power_cut();
  }
  std::string text(const std::string& name) {
    const Bytes* content = disk->content(std::string(kPath) + "/" + name);
    return content == nullptr ? "(missing)" : std::string(as_text(*content));
  }

  mutation::Switches switches;
  NullTrace trace;
  std::unique_ptr<TestDisk> disk = std::make_unique<TestDisk>();
  std::unique_ptr<LogDirectory> directory;
};

TEST_CASE("a new directory gets its identity, another node's is refused") {
  TestDirectory t;
  t.open();
  CHECK(t.text("meta.properties") ==
        "version=1\ncluster.id=c1\nnode.id=1\ndirectory.id=" + uuid(99).to_string() + "\n");
  CHECK_FALSE(t.directory->was_clean());
  CHECK(t.try_open("c2", 1).error().code == Errc::invalid_argument);
  CHECK(t.try_open("c1", 2).error().code == Errc::invalid_argument);
  t.open();
  CHECK(t.directory->directory_id() == uuid(99));
}

TEST_CASE("a flushed record survives a power cut although its directory is new") {
  TestDirectory t;
  t.open();
  PartitionLog& log = t.log();
  t.append(log);
  REQUIRE(log.flush());
  CHECK(t.text("orders-eu-3/partition.metadata") == "version: 0\ntopic_id: " + uuid(1).to_string() + "\n");
  t.power_cut();
  t.open();
  REQUIRE(t.directory->found().size() == 1);
  CHECK(t.directory->found()[0].partition == kOrders);
  CHECK(t.directory->found()[0].topic_id == uuid(1));
  CHECK(t.log().log_end() == 1);
}

TEST_CASE("a clean stop writes checkpoints and the marker; the marker is gone before anything is loaded") {
  TestDirectory t;
  t.open();
  t.append(t.log());
  t.append(t.log());
  REQUIRE(t.directory->close_clean({{kOrders, 2}}, 17));
  CHECK(t.text(".kafka_cleanshutdown") == "{\"version\":0,\"brokerEpoch\":17}");
  CHECK(t.text("recovery-point-offset-checkpoint") == "0\n1\norders-eu 3 2\n");
  CHECK(t.text("replication-offset-checkpoint") == "0\n1\norders-eu 3 2\n");
  CHECK(t.text("log-start-offset-checkpoint") == "0\n1\norders-eu 3 0\n");
  t.power_cut();
  t.open();
  CHECK(t.directory->was_clean());
  CHECK(t.directory->previous_broker_epoch() == 17);
  CHECK(t.directory->checkpointed_high_watermark(kOrders) == 2);
  CHECK(t.text(".kafka_cleanshutdown") == "(missing)");
  CHECK_FALSE(t.log().recovery().walked);
  // KAFKA-10471: dying now, while loading, must not look clean.
  t.power_cut();
  t.open();
  CHECK_FALSE(t.directory->was_clean());
  CHECK(t.log().recovery().walked);
}

TEST_CASE("the epoch of a clean stop can be read before the directory is opened") {
  TestDirectory t;
  const auto epoch = [&t] { return *clean_shutdown_epoch(*t.disk, kPath); };
  CHECK(epoch() == -1);
  t.open();
  t.append(t.log());
  REQUIRE(t.directory->close_clean({}, 42));
  CHECK(epoch() == 42);
  CHECK(epoch() == 42);  // looking takes nothing
  t.open();
  CHECK(epoch() == -1);
  REQUIRE(t.directory->close_clean({}, 43));
  // Older brokers leave an empty marker: a clean stop, but of an unknown epoch.
  t.disk->content(std::string(kPath) + "/.kafka_cleanshutdown")->clear();
  CHECK(epoch() == -1);
  t.open();
  CHECK(t.directory->was_clean());
  CHECK(t.directory->previous_broker_epoch() == -1);
}

TEST_CASE("no marker while a found partition was never recovered") {
  TestDirectory t;
  t.open();
  t.append(t.log());
  t.power_cut();
  t.open();
  REQUIRE(t.directory->close_clean({}, 1));
  CHECK(t.text(".kafka_cleanshutdown") == "(missing)");
}

TEST_CASE("a re-created topic starts empty, the old one's directory is moved aside and swept") {
  TestDirectory t;
  t.open();
  t.append(t.log(uuid(1)), "old");
  REQUIRE(t.log(uuid(1)).flush());
  REQUIRE(t.directory->prepare_recovery_points()());
  CHECK(t.log(uuid(2)).log_end() == 0);
  CHECK(*t.directory->topic_id(kOrders) == uuid(2));
  const auto aside = [&] {
    return std::ranges::count_if(t.disk->files(),
                                 [](const auto& f) { return f.find("-delete/") != std::string::npos; });
  };
  CHECK(aside() > 0);
  REQUIRE(t.directory->sweep());
  CHECK(aside() == 0);
  t.append(t.log(uuid(2)), "new");
  REQUIRE(t.log(uuid(2)).flush());
  REQUIRE(t.directory->remove(kOrders));
  CHECK(t.directory->find(kOrders) == nullptr);
  CHECK(t.directory->remove(kOrders).error().code == Errc::not_found);
  t.open();
  CHECK(t.directory->found().empty());
  CHECK(aside() == 0);
  CHECK(t.log(uuid(1)).log_end() == 0);
}

TEST_CASE("checkpoint jobs hold what was true when they were prepared and keep partitions that are not open") {
  TestDirectory t;
  t.open();
  t.append(t.log());
  REQUIRE(t.log().flush());
  const auto job = t.directory->prepare_recovery_points();
  t.append(t.log());
  REQUIRE(t.log().flush());
  REQUIRE(job());
  CHECK(t.text("recovery-point-offset-checkpoint") == "0\n1\norders-eu 3 1\n");
  t.power_cut();
  t.open();
  t.log(uuid(5), {"other", 0});
  REQUIRE(t.directory->prepare_recovery_points()());
  CHECK(t.text("recovery-point-offset-checkpoint") == "0\n2\norders-eu 3 1\nother 0 0\n");
}

TEST_CASE("foreign and unfinished directories do not get in the way") {
  TestDirectory t;
  t.open();
  for (const char* name : {"/lost+found", "/topic-x", "/orders-eu-3", "/t-1-stray", "/t-2-future"}) {
    REQUIRE(t.disk->create_directories(std::string(kPath) + name));
  }
  t.open();
  REQUIRE(t.directory->found().size() == 1);  // created without metadata: the node died right then
  CHECK(t.directory->found()[0].topic_id.is_zero());
  CHECK(t.log(uuid(4)).log_end() == 0);
  CHECK(*t.directory->topic_id(kOrders) == uuid(4));
}

TEST_CASE("a damaged checkpoint is an error, not a guess") {
  TestDirectory t;
  t.open();
  REQUIRE(t.directory->prepare_recovery_points()());
  t.disk->content(std::string(kPath) + "/recovery-point-offset-checkpoint")->push_back('x');
  CHECK(t.try_open().error().code == Errc::corrupt);
}

}  // namespace
}  // namespace ordeal::log
