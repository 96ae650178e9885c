#include <doctest/doctest.h>

#include <map>

#include "workloads/adapter/base64.h"
#include "workloads/adapter/clients.h"
#include "workloads/adapter/family.h"
#include "workloads/client/outcome.h"

using namespace ordeal;
using namespace std::chrono_literals;
using adapter::AdapterFamily;
using client::Delivery;

namespace {

adapter::Limits short_limits() {
  return {.hello = 20s, .reply = 1500ms, .close = 1500ms, .silence = 20s, .shutdown = 500ms};
}

std::vector<std::string> fake(const std::string& mode) { return {"python3", ORDEAL_FAKE_ADAPTER, mode}; }

Bytes bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

// A producer of a fake adapter in `mode`, with what it delivered.
struct Sending {
  std::unique_ptr<AdapterFamily> family;
  std::vector<Delivery> deliveries;
  std::unique_ptr<client::ProducerClient> producer;

  explicit Sending(const std::string& mode) {
    auto started = AdapterFamily::start(fake(mode), {}, short_limits());
    REQUIRE_MESSAGE(started.has_value(), (started ? "" : started.error().text));
    family = std::move(*started);
    auto made = family->producer({}, [this](const Delivery& delivery) { deliveries.push_back(delivery); });
    REQUIRE(made.has_value());
    producer = std::move(*made);
  }

  void send(std::uint64_t tag, PartitionId partition = 0) {
    CHECK_FALSE(producer->produce({"t", partition}, std::nullopt, bytes_of("v" + std::to_string(tag)), tag));
  }

  void settle() {
    for (int round = 0; round < 100 && producer->queued() > 0 && !producer->broken(); ++round) producer->poll(50);
  }
};

std::string reason(const std::optional<Error>& error) { return error ? error->text : ""; }

}  // namespace

TEST_CASE("base64 keeps every length and refuses what is none") {
  for (std::size_t size = 0; size < 20; ++size) {
    Bytes bytes;
    for (std::size_t i = 0; i < size; ++i) bytes.push_back(static_cast<std::uint8_t>(i * 37 + 200));
    std::string text;
    adapter::append_base64(text, bytes);
    CHECK(adapter::decode_base64(text) == bytes);
  }
  std::string hello;
  adapter::append_base64(hello, bytes_of("hello"));
  CHECK(hello == "aGVsbG8=");
  for (const char* wrong : {"abc", "ab!=", "====", "a===", "ab=c"}) CHECK_FALSE(adapter::decode_base64(wrong));
}

TEST_CASE("records are sent through an adapter, acknowledged with offsets and read back") {
  Sending sending("good");
  CHECK(sending.family->kind() == "fake");
  CHECK(sending.family->version() == "1.0");
  CHECK(sending.family->facts().at("client.runtime") == "python");
  for (std::uint64_t tag = 0; tag < 1200; ++tag) sending.send((tag << 40) + 7, static_cast<PartitionId>(tag % 2));
  sending.settle();
  REQUIRE(sending.deliveries.size() == 1200);
  CHECK(sending.deliveries[5].tag == (std::uint64_t{5} << 40) + 7);
  CHECK(sending.deliveries[5].offset == 2);
  CHECK(sending.deliveries[5].error.empty());

  auto consumer = sending.family->consumer({}, {{"t", 0}, {"t", 1}});
  REQUIRE(consumer.has_value());
  REQUIRE((*consumer)->assign({{0, 0}, {1, 590}}).has_value());
  auto batch = (*consumer)->poll(100, 2000);
  REQUIRE(batch.records.size() == 610);
  CHECK(batch.records[3].offset == 3);
  CHECK(batch.records[3].leader_epoch == 3);
  CHECK(Bytes(batch.records[0].value.begin(), batch.records[0].value.end()) == bytes_of("v7"));
  CHECK(batch.records.back().object == 1);
  CHECK((*consumer)->poll(10, 2000).records.empty());
  REQUIRE((*consumer)->seek({1, client::kFromStart}).has_value());
  CHECK((*consumer)->poll(100, 2000).records.size() == 600);
  CHECK_FALSE((*consumer)->broken());
}

TEST_CASE("what a failure proves is the client's word and the error's nature together") {
  const std::map<std::string, history::Type> expected{
      {"no", history::Type::fail}, {"maybe", history::Type::info}, {"yes", history::Type::info}};
  for (const auto& [persisted, type] : expected) {
    CAPTURE(persisted);
    Sending sending("failed-" + persisted);
    sending.send(1);
    sending.settle();
    REQUIRE(sending.deliveries.size() == 1);
    CHECK(sending.deliveries[0].error == "MESSAGE_TOO_LARGE");
    CHECK(client::classify_send(sending.deliveries[0].error, sending.deliveries[0].persistence) == type);
    CHECK_FALSE(sending.producer->broken());
  }
}

TEST_CASE("a fatal error asks for another producer and breaks nothing") {
  Sending sending("fatal");
  sending.send(1);
  sending.settle();
  CHECK(reason(sending.producer->fatal_error()).find("PRODUCER_FENCED") != std::string::npos);
  sending.producer->purge_all();
  CHECK_FALSE(sending.producer->broken());
  CHECK(sending.family->producer({}, [](const Delivery&) {}).has_value());
}

TEST_CASE("an adapter that dies leaves every open record unknown and says how it ended") {
  Sending sending("die");
  for (std::uint64_t tag = 1; tag <= 3; ++tag) sending.send(tag);
  sending.settle();
  sending.producer->poll(0);
  CHECK(reason(sending.producer->broken()).find("code 9") != std::string::npos);
  REQUIRE(sending.deliveries.size() == 3);
  for (const Delivery& delivery : sending.deliveries)
    CHECK(client::classify_send(delivery.error, delivery.persistence) == history::Type::info);
  CHECK(sending.producer->queued() == 0);
  CHECK(sending.producer->produce({"t", 0}, std::nullopt, {}, 4).has_value());
}

TEST_CASE("outcomes that never come, come twice or belong to nobody break the adapter") {
  Sending forgetful("forget");
  forgetful.send(1);
  forgetful.producer->poll(50);
  forgetful.producer->purge_all();
  CHECK(reason(forgetful.producer->broken()).find("1 records without an outcome") != std::string::npos);
  CHECK(forgetful.deliveries.size() == 1);
  CHECK(client::classify_send(forgetful.deliveries[0].error, forgetful.deliveries[0].persistence) ==
        history::Type::info);

  Sending doubled("twice");
  doubled.send(1);
  doubled.settle();
  doubled.producer->poll(50);
  CHECK(reason(doubled.producer->broken()).find("not open") != std::string::npos);
}

TEST_CASE("a handshake that fails says why") {
  const std::map<std::string, std::string> expected{{"newer", "speaks protocol 99, this harness speaks 1"},
                                                    {"garbage", "no message: Exception in thread main ??"}};
  for (const auto& [mode, words] : expected) {
    const auto family = AdapterFamily::start(fake(mode), {}, short_limits());
    REQUIRE_FALSE(family.has_value());
    CHECK_MESSAGE(family.error().text.find(words) != std::string::npos, family.error().text);
  }
  adapter::Limits hasty = short_limits();
  hasty.hello = 300ms;
  const auto hung = AdapterFamily::start(fake("hang"), {}, hasty);
  REQUIRE_FALSE(hung.has_value());
  CHECK(hung.error().text.find("said nothing for 0.3 s") != std::string::npos);
  const auto missing = AdapterFamily::start({"/nonexistent/adapter"}, {}, short_limits());
  REQUIRE_FALSE(missing.has_value());
  CHECK_MESSAGE(missing.error().text.find("is the program there?") != std::string::npos, missing.error().text);
}

TEST_CASE("an adapter that stops answering is found out") {
  auto silent = short_limits();
  silent.silence = 600ms;
  const auto stalled = AdapterFamily::start(fake("stall"), {}, silent);
  REQUIRE(stalled.has_value());
  auto producer = (*stalled)->producer({}, [](const Delivery&) {});
  REQUIRE(producer.has_value());
  for (int round = 0; round < 100 && !(*producer)->broken(); ++round) (*producer)->poll(50);
  CHECK(reason((*producer)->broken()).find("no line for 0.6 s") != std::string::npos);

  const auto deaf = AdapterFamily::start(fake("hang-poll"), {}, short_limits());
  REQUIRE(deaf.has_value());
  auto consumer = (*deaf)->consumer({}, {{"t", 0}});
  REQUIRE(consumer.has_value());
  REQUIRE((*consumer)->assign({{0, 0}}).has_value());
  CHECK((*consumer)->poll(10, 10).records.empty());
  CHECK(reason((*consumer)->broken()).find("'poll' was not answered") != std::string::npos);
}

TEST_CASE("a refused configuration and a lost position are told, and break nothing") {
  const auto family = AdapterFamily::start(fake("refuse"), {}, short_limits());
  REQUIRE(family.has_value());
  const auto producer = (*family)->producer({}, [](const Delivery&) {});
  REQUIRE_FALSE(producer.has_value());
  CHECK(producer.error().text.find("'many' is no number") != std::string::npos);

  const auto other = AdapterFamily::start(fake("out-of-range"), {}, short_limits());
  REQUIRE(other.has_value());
  auto consumer = (*other)->consumer({}, {{"t", 0}, {"t", 1}});
  REQUIRE(consumer.has_value());
  REQUIRE((*consumer)->assign({{0, 0}, {1, 0}}).has_value());
  const auto batch = (*consumer)->poll(10, 10);
  REQUIRE(batch.errors.size() == 1);
  CHECK(batch.errors[0].object == 1);
  CHECK(batch.errors[0].error == "OFFSET_OUT_OF_RANGE");
  CHECK_FALSE((*consumer)->broken());
}

TEST_CASE("the settings of a workload are said in Kafka's names") {
  client::ProducerSettings settings;
  settings.bootstrap = {{"10.0.0.1", 9092}, {"10.0.0.2", 9092}};
  settings.acks = -1;
  std::map<std::string, std::string> said;
  for (const auto& [key, value] : adapter::kafka_properties(settings)) CHECK(said.emplace(key, value).second);
  CHECK(said["bootstrap.servers"] == "10.0.0.1:9092,10.0.0.2:9092");
  CHECK(said["acks"] == "all");
  CHECK(said["enable.idempotence"] == "true");
  CHECK(said.count("retries") == 0);
}
