#include "workloads/client/rdkafka.h"

#include <fmt/format.h>
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <map>

namespace ordeal::client {
namespace {

Result<rd_kafka_conf_t*> make_conf(const Properties& properties) {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  for (const auto& [key, value] : properties) {
    char error[512];
    if (rd_kafka_conf_set(conf, key.c_str(), value.c_str(), error, sizeof error) != RD_KAFKA_CONF_OK) {
      rd_kafka_conf_destroy(conf);
      return fail(Errc::invalid_argument, fmt::format("librdkafka property {}={}: {}", key, value, error));
    }
  }
  return conf;
}

Persistence to_persistence(rd_kafka_msg_status_t status) {
  switch (status) {
    case RD_KAFKA_MSG_STATUS_NOT_PERSISTED:
      return Persistence::not_persisted;
    case RD_KAFKA_MSG_STATUS_PERSISTED:
      return Persistence::persisted;
    case RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED:
      return Persistence::possibly_persisted;
  }
  return Persistence::possibly_persisted;
}

}  // namespace

std::string rdkafka_version() { return rd_kafka_version_str(); }

// ---- producer

struct RdProducer::Impl {
  rd_kafka_t* handle = nullptr;
  OnDelivery on_delivery;

  static void delivered(rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
    auto* self = static_cast<Impl*>(opaque);
    Delivery report;
    report.tag = reinterpret_cast<std::uintptr_t>(message->_private);
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      report.error = rd_kafka_err2name(message->err);
      report.error_text = rd_kafka_err2str(message->err);
    }
    report.persistence = to_persistence(rd_kafka_message_status(message));
    report.offset = message->offset >= 0 ? message->offset : kNoOffset;
    self->on_delivery(report);
  }
};

RdProducer::RdProducer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<RdProducer>> RdProducer::create(const Properties& properties, OnDelivery on_delivery) {
  auto conf = make_conf(properties);
  if (!conf) return fail(conf.error());
  auto impl = std::make_unique<Impl>();
  impl->on_delivery = std::move(on_delivery);
  rd_kafka_conf_set_dr_msg_cb(*conf, &Impl::delivered);
  rd_kafka_conf_set_opaque(*conf, impl.get());
  char error[512];
  impl->handle = rd_kafka_new(RD_KAFKA_PRODUCER, *conf, error, sizeof error);
  if (impl->handle == nullptr) {
    rd_kafka_conf_destroy(*conf);
    return fail(Errc::invalid_argument, fmt::format("librdkafka producer: {}", error));
  }
  return std::unique_ptr<RdProducer>(new RdProducer(std::move(impl)));
}

RdProducer::~RdProducer() {
  purge_all();
  rd_kafka_destroy(impl_->handle);
}

std::optional<Refused> RdProducer::produce(const TopicPartition& to, std::optional<ByteView> key, ByteView value,
                                           std::uint64_t tag) {
  rd_kafka_vu_t fields[6];
  fields[0].vtype = RD_KAFKA_VTYPE_TOPIC;
  fields[0].u.cstr = to.topic.c_str();
  fields[1].vtype = RD_KAFKA_VTYPE_PARTITION;
  fields[1].u.i32 = to.partition;
  fields[2].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
  fields[2].u.i = RD_KAFKA_MSG_F_COPY;
  fields[3].vtype = RD_KAFKA_VTYPE_KEY;
  fields[3].u.mem.ptr = key ? const_cast<std::uint8_t*>(key->data()) : nullptr;
  fields[3].u.mem.size = key ? key->size() : 0;
  fields[4].vtype = RD_KAFKA_VTYPE_VALUE;
  fields[4].u.mem.ptr = const_cast<std::uint8_t*>(value.data());
  fields[4].u.mem.size = value.size();
  fields[5].vtype = RD_KAFKA_VTYPE_OPAQUE;
  fields[5].u.ptr = reinterpret_cast<void*>(static_cast<std::uintptr_t>(tag));
  rd_kafka_error_t* error = rd_kafka_produceva(impl_->handle, fields, std::size(fields));
  if (error == nullptr) return std::nullopt;
  Refused refused{rd_kafka_error_name(error), rd_kafka_error_string(error)};
  rd_kafka_error_destroy(error);
  return refused;
}

int RdProducer::poll(int timeout_ms) { return rd_kafka_poll(impl_->handle, timeout_ms); }

std::size_t RdProducer::queued() const { return static_cast<std::size_t>(rd_kafka_outq_len(impl_->handle)); }

std::optional<Error> RdProducer::fatal_error() const {
  char text[512];
  const auto error = rd_kafka_fatal_error(impl_->handle, text, sizeof text);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return std::nullopt;
  return Error{Errc::internal, fmt::format("{}: {}", rd_kafka_err2name(error), text)};
}

void RdProducer::purge_all() {
  rd_kafka_purge(impl_->handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  // Purged records come back as deliveries; a few rounds serve them all.
  for (int round = 0; round < 100 && queued() > 0; ++round) poll(10);
}

// ---- consumer

struct RdConsumer::Impl {
  rd_kafka_t* handle = nullptr;
  rd_kafka_queue_t* queue = nullptr;
  std::vector<TopicPartition> table;
  std::map<std::pair<std::string, PartitionId>, std::size_t> index;
};

namespace {

struct Messages {
  std::vector<rd_kafka_message_t*> all;
  ~Messages() {
    for (rd_kafka_message_t* message : all) rd_kafka_message_destroy(message);
  }
};

}  // namespace

RdConsumer::RdConsumer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<RdConsumer>> RdConsumer::create(const Properties& properties,
                                                       std::vector<TopicPartition> table) {
  auto conf = make_conf(properties);
  if (!conf) return fail(conf.error());
  auto impl = std::make_unique<Impl>();
  char error[512];
  impl->handle = rd_kafka_new(RD_KAFKA_CONSUMER, *conf, error, sizeof error);
  if (impl->handle == nullptr) {
    rd_kafka_conf_destroy(*conf);
    return fail(Errc::invalid_argument, fmt::format("librdkafka consumer: {}", error));
  }
  rd_kafka_poll_set_consumer(impl->handle);
  impl->queue = rd_kafka_queue_get_consumer(impl->handle);
  for (std::size_t i = 0; i < table.size(); ++i) impl->index[{table[i].topic, table[i].partition}] = i;
  impl->table = std::move(table);
  return std::unique_ptr<RdConsumer>(new RdConsumer(std::move(impl)));
}

RdConsumer::~RdConsumer() {
  rd_kafka_queue_destroy(impl_->queue);
  rd_kafka_consumer_close(impl_->handle);
  rd_kafka_destroy(impl_->handle);
}

Status RdConsumer::assign(const std::vector<Position>& positions) {
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(static_cast<int>(positions.size()));
  for (const Position& position : positions) {
    const TopicPartition& tp = impl_->table[position.object];
    rd_kafka_topic_partition_list_add(list, tp.topic.c_str(), tp.partition)->offset =
        position.offset == kFromStart ? RD_KAFKA_OFFSET_BEGINNING : position.offset;
  }
  const rd_kafka_resp_err_t error = rd_kafka_assign(impl_->handle, list);
  rd_kafka_topic_partition_list_destroy(list);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
    return fail(Errc::internal, fmt::format("assign: {}", rd_kafka_err2str(error)));
  return {};
}

Status RdConsumer::seek(const Position& to) {
  const TopicPartition& tp = impl_->table[to.object];
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, tp.topic.c_str(), tp.partition)->offset =
      to.offset == kFromStart ? RD_KAFKA_OFFSET_BEGINNING : to.offset;
  rd_kafka_error_t* error = rd_kafka_seek_partitions(impl_->handle, list, 5000);
  rd_kafka_topic_partition_list_destroy(list);
  if (error == nullptr) return {};
  const std::string text = rd_kafka_error_string(error);
  rd_kafka_error_destroy(error);
  return fail(Errc::internal, fmt::format("seek {}: {}", tp.to_string(), text));
}

ConsumedBatch RdConsumer::poll(int timeout_ms, std::size_t max) {
  ConsumedBatch batch;
  auto kept = std::make_shared<Messages>();
  batch.memory = kept;
  std::vector<rd_kafka_message_t*> messages(max);
  const ssize_t count = rd_kafka_consume_batch_queue(impl_->queue, timeout_ms, messages.data(), max);
  for (ssize_t i = 0; i < count; ++i) {
    rd_kafka_message_t* message = messages[static_cast<std::size_t>(i)];
    kept->all.push_back(message);
    std::optional<std::size_t> object;
    if (message->rkt != nullptr) {
      const auto found = impl_->index.find({rd_kafka_topic_name(message->rkt), message->partition});
      if (found != impl_->index.end()) object = found->second;
    }
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) continue;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR || !object) {
      batch.errors.push_back({object, rd_kafka_err2name(message->err), rd_kafka_message_errstr(message)});
      continue;
    }
    batch.records.push_back(
        {*object, message->offset, ByteView(static_cast<const std::uint8_t*>(message->payload), message->len)});
  }
  return batch;
}

// ---- admin

namespace {

struct Handle {
  rd_kafka_t* handle = nullptr;
  ~Handle() {
    if (handle != nullptr) rd_kafka_destroy(handle);
  }
};

// One attempt; the first error that is not "already there".
Status try_create(rd_kafka_t* handle, const std::vector<NewTopicSpec>& topics, int timeout_ms) {
  std::vector<rd_kafka_NewTopic_t*> wanted;
  char error[256];
  for (const NewTopicSpec& topic : topics) {
    rd_kafka_NewTopic_t* made =
        rd_kafka_NewTopic_new(topic.name.c_str(), topic.partitions, topic.replication, error, sizeof error);
    if (made == nullptr) return fail(Errc::invalid_argument, fmt::format("topic {}: {}", topic.name, error));
    for (const auto& [key, value] : topic.configs) rd_kafka_NewTopic_set_config(made, key.c_str(), value.c_str());
    wanted.push_back(made);
  }
  rd_kafka_queue_t* queue = rd_kafka_queue_new(handle);
  rd_kafka_AdminOptions_t* options = rd_kafka_AdminOptions_new(handle, RD_KAFKA_ADMIN_OP_CREATETOPICS);
  rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, error, sizeof error);
  rd_kafka_CreateTopics(handle, wanted.data(), wanted.size(), options, queue);
  rd_kafka_event_t* event = rd_kafka_queue_poll(queue, timeout_ms + 1000);
  Status result;
  if (event == nullptr) {
    result = fail(Errc::timed_out, "CreateTopics: no answer");
  } else if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    result = fail(Errc::internal, fmt::format("CreateTopics: {}", rd_kafka_event_error_string(event)));
  } else {
    std::size_t count = 0;
    const rd_kafka_topic_result_t** results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    for (std::size_t i = 0; i < count && result; ++i) {
      const auto code = rd_kafka_topic_result_error(results[i]);
      if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) continue;
      const char* text = rd_kafka_topic_result_error_string(results[i]);
      result = fail(Errc::internal, fmt::format("CreateTopics {}: {} ({})", rd_kafka_topic_result_name(results[i]),
                                                rd_kafka_err2name(code), text != nullptr ? text : ""));
    }
  }
  if (event != nullptr) rd_kafka_event_destroy(event);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_queue_destroy(queue);
  rd_kafka_NewTopic_destroy_array(wanted.data(), wanted.size());
  return result;
}

// Every wanted partition is known and led.
Status all_led(rd_kafka_t* handle, const std::vector<NewTopicSpec>& topics) {
  const rd_kafka_metadata_t* metadata = nullptr;
  const auto error = rd_kafka_metadata(handle, 1, nullptr, &metadata, 2000);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
    return fail(Errc::timed_out, fmt::format("Metadata: {}", rd_kafka_err2str(error)));
  Status result;
  for (const NewTopicSpec& topic : topics) {
    int led = 0;
    for (int t = 0; t < metadata->topic_cnt; ++t) {
      const auto& found = metadata->topics[t];
      if (topic.name != found.topic) continue;
      for (int p = 0; p < found.partition_cnt; ++p) led += found.partitions[p].leader >= 0 ? 1 : 0;
    }
    if (led < topic.partitions) {
      result = fail(Errc::timed_out,
                    fmt::format("topic {}: {} of {} partitions have a leader", topic.name, led, topic.partitions));
      break;
    }
  }
  rd_kafka_metadata_destroy(metadata);
  return result;
}

}  // namespace

Status create_topics(const Properties& properties, const std::vector<NewTopicSpec>& topics, std::int64_t timeout_ms) {
  auto conf = make_conf(properties);
  if (!conf) return fail(conf.error());
  char error[512];
  Handle client;
  client.handle = rd_kafka_new(RD_KAFKA_PRODUCER, *conf, error, sizeof error);
  if (client.handle == nullptr) {
    rd_kafka_conf_destroy(*conf);
    return fail(Errc::invalid_argument, fmt::format("librdkafka admin: {}", error));
  }
  constexpr int kAttemptMs = 3000;
  Status last = fail(Errc::timed_out, "no attempt was made");
  bool created = false;
  // Attempts are bounded by count: librdkafka's own waits give the clock.
  for (std::int64_t spent = 0; spent < timeout_ms; spent += 100) {
    if (!created) {
      last = try_create(client.handle, topics, kAttemptMs);
      created = last.has_value();
      if (!created && last.error().code == Errc::timed_out) spent += kAttemptMs;
    }
    if (created) {
      last = all_led(client.handle, topics);
      if (last) return last;
    }
    rd_kafka_poll(client.handle, 100);
  }
  return last;
}

}  // namespace ordeal::client
