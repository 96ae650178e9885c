#include "workloads/adapter/clients.h"

#include <fmt/format.h>

#include "workloads/adapter/base64.h"

namespace ordeal::adapter {
namespace {

using Steady = std::chrono::steady_clock;

constexpr std::size_t kBatchRecords = 500;
constexpr std::size_t kBatchBytes = 256U << 10;

// Waits for the answer of a command that has exactly one; `error` is an answer too.
Result<Message> answer(Process& process, std::uint64_t id, const std::string& command, const std::string& expected,
                       std::chrono::milliseconds wait) {
  auto message = process.take(id, wait);
  if (!message) {
    process.fail_with(fmt::format("hangs: '{}' was not answered within {} s", command, wait.count() / 1000.0));
    return fail(*process.broken());
  }
  const std::string event = text_of(*message, "event");
  if (event == expected) return std::move(*message);
  if (event == "error")
    return fail(Errc::invalid_argument, fmt::format("{}: {}", command, shown(text_of(*message, "text"))));
  process.fail_with(fmt::format("answered '{}' with '{}'", command, shown(message->dump())));
  return fail(*process.broken());
}

// Makes a client of the adapter, by `command` ("producer", "consumer").
Result<std::uint64_t> make(Process& process, const char* command, const client::Properties& properties) {
  const std::uint64_t id = process.open_client();
  Message config = Message::object();
  for (const auto& [key, value] : properties) config[key] = value;
  process.post(Message{{"cmd", command}, {"id", id}, {"config", config}}.dump());
  const auto ready = answer(process, id, command, "ready", process.limits().reply);
  if (!ready) {
    process.close_client(id);
    return fail(ready.error());
  }
  return id;
}

client::Persistence persistence_of(const Message& message) {
  const std::string said = text_of(message, "persisted");
  if (said == "no") return client::Persistence::not_persisted;
  return said == "yes" ? client::Persistence::persisted : client::Persistence::possibly_persisted;
}

}  // namespace

// ---- producer

Result<std::unique_ptr<AdapterProducer>> AdapterProducer::create(std::shared_ptr<Process> process,
                                                                 const client::Properties& properties,
                                                                 client::OnDelivery on_delivery) {
  const auto id = make(*process, "producer", properties);
  if (!id) return fail(id.error());
  return std::unique_ptr<AdapterProducer>(new AdapterProducer(std::move(process), *id, std::move(on_delivery)));
}

AdapterProducer::~AdapterProducer() {
  purge_all();
  process_->close_client(id_);
}

std::optional<client::Refused> AdapterProducer::produce(const TopicPartition& to, std::optional<ByteView> key,
                                                        ByteView value, std::uint64_t tag) {
  if (closed_ || process_->broken()) return client::Refused{"_QUEUE_FULL", "the adapter takes nothing any more"};
  const std::uint64_t number = ++last_number_;
  open_.emplace(number, tag);
  batch_ += fmt::format(R"({}{{"tag":{},"topic":{},"partition":{},"key":)", batched_ == 0 ? "" : ",", number,
                        Message(to.topic).dump(), to.partition);
  if (key) {
    batch_ += '"';
    append_base64(batch_, *key);
    batch_ += '"';
  } else {
    batch_ += "null";
  }
  batch_ += R"(,"value":")";
  append_base64(batch_, value);
  batch_ += "\"}";
  if (++batched_ >= kBatchRecords || batch_.size() >= kBatchBytes) flush();
  return std::nullopt;
}

void AdapterProducer::flush() {
  if (batched_ == 0) return;
  process_->post(fmt::format(R"({{"cmd":"send","id":{},"records":[{}]}})", id_, batch_));
  batch_.clear();
  batched_ = 0;
}

int AdapterProducer::poll(int timeout_ms) {
  flush();
  int served = 0;
  auto message = process_->take(id_, std::chrono::milliseconds(timeout_ms));
  for (; message; message = process_->take(id_, std::chrono::milliseconds(0))) served += serve(*message);
  if (const auto broken = process_->broken()) give_up("_ADAPTER_FAILED", broken->text);
  return served;
}

int AdapterProducer::serve(const Message& message) {
  const std::string event = text_of(message, "event");
  int served = 0;
  if (event == "sent") {
    for (const Message& result : list_of(message, "results")) {
      client::Delivery delivery;
      delivery.persistence = client::Persistence::persisted;
      delivery.offset = std::max(kNoOffset, integer_of(result, "offset").value_or(kNoOffset));
      served += finish(result, std::move(delivery)) ? 1 : 0;
    }
  } else if (event == "failed") {
    client::Delivery delivery;
    delivery.error = text_of(message, "error", "UNKNOWN");
    delivery.error_text = shown(text_of(message, "text"));
    delivery.persistence = persistence_of(message);
    served += finish(message, std::move(delivery)) ? 1 : 0;
  } else if (event == "fatal") {
    fatal_ = Error{Errc::internal, fmt::format("{}: {}", text_of(message, "error"), shown(text_of(message, "text")))};
  } else if (event == "closed") {
    closed_ = true;
  } else if (event == "error") {
    process_->fail_with("reports of a producer: " + shown(message.dump()));
  }
  return served;
}

bool AdapterProducer::finish(const Message& result, client::Delivery delivery) {
  const auto number = integer_of(result, "tag");
  const auto found = number ? open_.find(static_cast<std::uint64_t>(*number)) : open_.end();
  if (found == open_.end()) {
    process_->fail_with("told the outcome of a record that is not open: " + shown(result.dump()));
    return false;
  }
  delivery.tag = found->second;
  open_.erase(found);
  on_delivery_(delivery);
  return true;
}

void AdapterProducer::give_up(const std::string& error, const std::string& text) {
  for (const auto& [number, tag] : std::exchange(open_, {})) {
    client::Delivery delivery;
    delivery.tag = tag;
    delivery.error = error;
    delivery.error_text = text;
    on_delivery_(delivery);
  }
}

void AdapterProducer::purge_all() {
  if (!closed_ && !process_->broken()) {
    flush();
    process_->post(fmt::format(R"({{"cmd":"close","id":{},"timeout_ms":0}})", id_));
    const auto until = Steady::now() + process_->limits().close;
    while (!closed_ && !process_->broken() && Steady::now() < until) poll(100);
    if (!closed_) process_->fail_with("hangs: a producer was not closed in time");
    if (closed_ && !open_.empty())
      process_->fail_with(fmt::format("closed a producer and left {} records without an outcome", open_.size()));
  }
  give_up("_ADAPTER_FAILED", "no outcome was told");
}

// ---- consumer

namespace {

// What the values of a batch point into.
using Values = std::vector<Bytes>;

}  // namespace

AdapterConsumer::AdapterConsumer(std::shared_ptr<Process> process, std::uint64_t id, std::vector<TopicPartition> table)
    : process_(std::move(process)), id_(id), table_(std::move(table)) {
  for (std::size_t i = 0; i < table_.size(); ++i) index_[table_[i]] = i;
}

Result<std::unique_ptr<AdapterConsumer>> AdapterConsumer::create(std::shared_ptr<Process> process,
                                                                 const client::Properties& properties,
                                                                 std::vector<TopicPartition> table) {
  const auto id = make(*process, "consumer", properties);
  if (!id) return fail(id.error());
  return std::unique_ptr<AdapterConsumer>(new AdapterConsumer(std::move(process), *id, std::move(table)));
}

AdapterConsumer::~AdapterConsumer() {
  if (!process_->broken()) {
    process_->post(fmt::format(R"({{"cmd":"close","id":{},"timeout_ms":0}})", id_));
    const auto closed = answer(*process_, id_, "close", "closed", process_->limits().close);
    if (!closed) process_->fail_with("did not close a consumer: " + closed.error().text);
  }
  process_->close_client(id_);
}

Message AdapterConsumer::place(const client::Position& position) const {
  const TopicPartition& tp = table_[position.object];
  return {{"topic", tp.topic}, {"partition", tp.partition}, {"offset", position.offset}};
}

Status AdapterConsumer::assign(const std::vector<client::Position>& positions) {
  Message places = Message::array();
  for (const client::Position& position : positions) places.push_back(place(position));
  process_->post(Message{{"cmd", "assign"}, {"id", id_}, {"positions", places}}.dump());
  const auto ready = answer(*process_, id_, "assign", "ready", process_->limits().reply);
  if (!ready) return fail(ready.error());
  return {};
}

Status AdapterConsumer::seek(const client::Position& to) {
  Message command = place(to);
  command["cmd"] = "seek";
  command["id"] = id_;
  process_->post(command.dump());
  const auto ready = answer(*process_, id_, "seek", "ready", process_->limits().reply);
  if (!ready) return fail(ready.error());
  return {};
}

client::ConsumedBatch AdapterConsumer::poll(int timeout_ms, std::size_t max) {
  process_->post(fmt::format(R"({{"cmd":"poll","id":{},"timeout_ms":{},"max":{}}})", id_, timeout_ms, max));
  const auto polled =
      answer(*process_, id_, "poll", "polled", process_->limits().reply + std::chrono::milliseconds(timeout_ms));
  if (polled) return unpack(*polled);
  process_->fail_with("cannot poll: " + polled.error().text);
  return {};
}

std::optional<std::size_t> AdapterConsumer::object_of(const Message& message) const {
  const auto partition = integer_of(message, "partition");
  const auto found = index_.find({text_of(message, "topic"), static_cast<PartitionId>(partition.value_or(-1))});
  if (found == index_.end()) return std::nullopt;
  return found->second;
}

client::ConsumedBatch AdapterConsumer::unpack(const Message& message) const {
  client::ConsumedBatch batch;
  const Message& records = list_of(message, "records");
  auto values = std::make_shared<Values>();
  values->reserve(records.size());
  for (const Message& record : records) {
    const auto object = object_of(record);
    const auto offset = integer_of(record, "offset");
    auto value = decode_base64(text_of(record, "value"));  // a null value is an empty one: no value of ours either way
    if (!object || !offset || !value) {
      process_->fail_with("read what was not assigned, or is no record: " + shown(record.dump()));
      break;
    }
    values->push_back(std::move(*value));
    const auto epoch = static_cast<LeaderEpoch>(integer_of(record, "leader_epoch").value_or(kNoEpoch));
    batch.records.push_back({*object, *offset, values->back(), epoch});
  }
  for (const Message& error : list_of(message, "errors"))
    batch.errors.push_back({object_of(error), text_of(error, "error", "UNKNOWN"), shown(text_of(error, "text"))});
  batch.memory = std::move(values);
  return batch;
}

}  // namespace ordeal::adapter
