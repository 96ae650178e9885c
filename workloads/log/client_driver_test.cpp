#include "workloads/log/client_driver.h"

#include <doctest/doctest.h>

#include <unistd.h>

#include <filesystem>
#include <map>
#include <set>

#include "workloads/history/reader.h"

using namespace ordeal;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

enum class Behaviour { good, gives_up, breaks };

// Acknowledges at the next poll, in memory; what goes wrong goes wrong at the 50th record.
class PretendedProducer final : public client::ProducerClient {
 public:
  PretendedProducer(Behaviour behaviour, client::OnDelivery on_delivery)
      : behaviour_(behaviour), on_delivery_(std::move(on_delivery)) {}

  std::optional<client::Refused> produce(const TopicPartition&, std::optional<ByteView>, ByteView,
                                         std::uint64_t tag) override {
    if (++produced_ == 10) return client::Refused{"_QUEUE_FULL", "full"};
    open_.push_back(tag);
    return std::nullopt;
  }
  int poll(int timeout_ms) override {
    std::this_thread::sleep_for(std::chrono::milliseconds(std::min(timeout_ms, 1)));
    if (behaviour_ != Behaviour::good && produced_ >= 50) return 0;
    return deliver("");
  }
  std::size_t queued() const override { return open_.size(); }
  std::optional<Error> fatal_error() const override {
    if (behaviour_ != Behaviour::gives_up || produced_ < 50) return std::nullopt;
    return Error{Errc::internal, "PRODUCER_FENCED"};
  }
  void purge_all() override { deliver("_PURGE_QUEUE"); }
  std::optional<Error> broken() const override {
    if (behaviour_ != Behaviour::breaks || produced_ < 50) return std::nullopt;
    return Error{Errc::internal, "the program is gone"};
  }

 private:
  int deliver(const std::string& error) {
    for (const std::uint64_t tag : open_) {
      client::Delivery delivery;
      delivery.tag = tag;
      delivery.error = error;
      delivery.offset = next_offset_++;
      on_delivery_(delivery);
    }
    return static_cast<int>(std::exchange(open_, {}).size());
  }

  const Behaviour behaviour_;
  client::OnDelivery on_delivery_;
  std::vector<std::uint64_t> open_;
  std::size_t produced_ = 0;
  Offset next_offset_ = 0;
};

class PretendedFamily final : public client::ClientFamily {
 public:
  explicit PretendedFamily(Behaviour behaviour) : behaviour_(behaviour) {}
  std::string kind() const override { return "pretended"; }
  std::string version() const override { return "7"; }
  std::map<std::string, std::string> facts() const override { return {{"client.library", "none"}}; }
  Result<std::unique_ptr<client::ProducerClient>> producer(const client::ProducerSettings&,
                                                           client::OnDelivery on_delivery) override {
    // What replaces a client that gave up works.
    const Behaviour behaviour = made_++ > 0 && behaviour_ == Behaviour::gives_up ? Behaviour::good : behaviour_;
    return std::make_unique<PretendedProducer>(behaviour, std::move(on_delivery));
  }
  Result<std::unique_ptr<client::ConsumerClient>> consumer(const client::ConsumerSettings&,
                                                           std::vector<TopicPartition>) override {
    return fail(Errc::unsupported, "no consumers here");
  }

 private:
  const Behaviour behaviour_;
  int made_ = 0;
};

// Drives one producer for a moment. The history's records, and what the driver ended with.
struct Driven {
  Status ended;
  bool failed_meanwhile = false;
  history::History history;

  explicit Driven(Behaviour behaviour) {
    const fs::path folder = fs::temp_directory_path() / ("ordeal-driver-" + std::to_string(::getpid()) +
                                                         std::to_string(static_cast<int>(behaviour)));
    fs::remove_all(folder);
    fs::create_directories(folder);
    workload::LogConfig config;
    config.run_id = "r";
    config.topics = {{.name = "t", .partitions = 2, .replication = 1, .configs = {}}};
    config.producers = 1;
    config.consumers = 0;
    config.rate = 2000;
    PretendedFamily family(behaviour);
    workload::Progress progress;
    workload::ClientDriver driver(config, family, folder.string(), "c1", progress);
    REQUIRE(driver.start().has_value());
    for (int round = 0; round < 400 && progress.invoked.load() < 300 && !driver.failed(); ++round)
      std::this_thread::sleep_for(10ms);
    failed_meanwhile = driver.failed();
    ended = driver.join();
    auto read = history::read_folder(folder.string());
    REQUIRE_MESSAGE(read.has_value(), (read ? "" : read.error().text));
    history = std::move(*read);
    fs::remove_all(folder);
  }

  template <class Visit>
  void each(Visit visit) const {
    for (const auto& file : history.files) {
      for (const auto& block : file.blocks) {
        for (const history::Record& record : block) visit(record);
      }
    }
  }
};

}  // namespace

TEST_CASE("every record has one outcome, and a refusal is a definite failure") {
  const Driven driven(Behaviour::good);
  CHECK(driven.ended.has_value());
  std::map<history::Type, int> types;
  driven.each([&types](const history::Record& record) { ++types[record.type]; });
  CHECK(types[history::Type::invoke] >= 300);
  CHECK(types[history::Type::fail] == 1);
  CHECK(types[history::Type::ok] == types[history::Type::invoke] - 1);
}

TEST_CASE("a producer that gave up is replaced by another process, and what it had open is unknown") {
  const Driven driven(Behaviour::gives_up);
  CHECK(driven.ended.has_value());
  std::set<std::uint16_t> invoked;
  std::set<std::uint16_t> unknown;
  driven.each([&](const history::Record& record) {
    if (record.type == history::Type::invoke) invoked.insert(record.process);
    if (record.type == history::Type::info) unknown.insert(record.process);
  });
  CHECK(invoked == std::set<std::uint16_t>{0, 100});
  CHECK(unknown == std::set<std::uint16_t>{0});
}

TEST_CASE("a client that broke as a program ends the drive with its reason") {
  const Driven driven(Behaviour::breaks);
  CHECK(driven.failed_meanwhile);
  REQUIRE_FALSE(driven.ended.has_value());
  CHECK(driven.ended.error().text == "the program is gone");
}

TEST_CASE("the history says which client drove") {
  const Driven driven(Behaviour::good);
  const history::Header& header = driven.history.files.front().header;
  CHECK(header.client_kind == "pretended");
  CHECK(header.client_version == "7");
  CHECK(header.config.at("client.library") == "none");
}
