// What the wrapper has no word for: one message at a time (a batch poll waits for its batch, which would be measured
// instead of the brokers), partitions' ends, and a cluster that is only just coming up.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <librdkafka/rdkafka.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>

#include "workloads/load/load.h"

namespace ordeal::load {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr int kPatienceMs = 10000;

struct Closer {
  void operator()(rd_kafka_t* handle) const { rd_kafka_destroy(handle); }
  void operator()(rd_kafka_topic_partition_list_t* list) const { rd_kafka_topic_partition_list_destroy(list); }
};
using Handle = std::unique_ptr<rd_kafka_t, Closer>;
using Partitions = std::unique_ptr<rd_kafka_topic_partition_list_t, Closer>;

// `first_ack` is set to the time of the first acknowledgement.
Result<Handle> open(rd_kafka_type_t type, const client::Properties& properties, std::int64_t* first_ack = nullptr) {
  char error[512];
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  if (first_ack != nullptr) {
    rd_kafka_conf_set_opaque(conf, first_ack);
    rd_kafka_conf_set_dr_msg_cb(conf, [](rd_kafka_t*, const rd_kafka_message_t* message, void* at) {
      auto& acked = *static_cast<std::int64_t*>(at);
      if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR && acked == 0) acked = now_ns();
    });
  }
  for (const auto& [key, value] : properties) {
    if (rd_kafka_conf_set(conf, key.c_str(), value.c_str(), error, sizeof error) == RD_KAFKA_CONF_OK) continue;
    rd_kafka_conf_destroy(conf);
    return fail(Errc::invalid_argument, error);
  }
  Handle handle(rd_kafka_new(type, conf, error, sizeof error));
  if (handle) return handle;
  rd_kafka_conf_destroy(conf);
  return fail(Errc::internal, error);
}

// Reads every partition from its start on a thread of its own and keeps when each record of the window arrived.
class Receiver {
 public:
  Receiver(Handle handle, std::int64_t from, std::int64_t until)
      : handle_(std::move(handle)), from_(from), until_(until), thread_([this] { run(); }) {}
  ~Receiver() { stop(); }
  void stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }
  std::uint64_t received() const { return received_; }
  std::uint64_t errors() const { return errors_; }
  std::vector<std::uint32_t>& samples() { return samples_; }  // once stopped

 private:
  void run() {
    while (!stopping_) {
      rd_kafka_message_t* message = rd_kafka_consumer_poll(handle_.get(), 100);
      if (message == nullptr) continue;
      const std::int64_t now = now_ns();
      if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR && message->len >= sizeof(std::int64_t)) {
        const auto due = load_be<std::int64_t>(static_cast<const std::uint8_t*>(message->payload));
        if (due >= from_ && due < until_) {
          samples_.push_back(static_cast<std::uint32_t>((now - due) / 1000));
          ++received_;
        }
      } else if (message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        ++errors_;
      }
      rd_kafka_message_destroy(message);
    }
  }

  Handle handle_;
  std::int64_t from_;
  std::int64_t until_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> received_{0};
  std::atomic<std::uint64_t> errors_{0};
  std::vector<std::uint32_t> samples_;
  std::thread thread_;
};

Result<Handle> open_consumer(const Options& options) {
  client::Properties properties = common_properties(options);
  properties.insert(properties.end(), {{"group.id", "ordeal-load"}, {"enable.auto.commit", "false"}});
  properties.insert(properties.end(), options.properties.begin(), options.properties.end());
  Result<Handle> handle = open(RD_KAFKA_CONSUMER, properties);
  if (!handle) return handle;
  rd_kafka_poll_set_consumer(handle->get());
  const Partitions list(rd_kafka_topic_partition_list_new(options.partitions));
  for (PartitionId p = 0; p < options.partitions; ++p) {
    rd_kafka_topic_partition_list_add(list.get(), options.topic.c_str(), p)->offset = RD_KAFKA_OFFSET_END;
  }
  const auto error = rd_kafka_assign(handle->get(), list.get());
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return fail(Errc::internal, rd_kafka_err2str(error));
  return handle;
}

bool accepts(const std::string& address) {
  const auto colon = address.rfind(':');
  sockaddr_in to{};
  to.sin_family = AF_INET;
  if (colon == std::string::npos || ::inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr) != 1) {
    return false;
  }
  to.sin_port = htons(static_cast<std::uint16_t>(std::atoi(address.c_str() + colon + 1)));
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const bool open = ::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  ::close(fd);
  return open;
}

std::vector<std::string> addresses(const std::string& bootstrap) {
  std::vector<std::string> all;
  for (std::size_t at = 0; at <= bootstrap.size();) {
    const std::size_t comma = std::min(bootstrap.find(',', at), bootstrap.size());
    all.push_back(bootstrap.substr(at, comma - at));
    at = comma + 1;
  }
  return all;
}

}  // namespace

Result<std::int64_t> log_ends(const Options& options) {
  auto handle = open(RD_KAFKA_PRODUCER, common_properties(options));
  if (!handle) return fail(handle.error());
  std::int64_t sum = 0;
  for (PartitionId p = 0; p < options.partitions; ++p) {
    std::int64_t low = 0;
    std::int64_t high = 0;
    // A leader may be named before it knows of it itself: ask again for a while.
    const std::int64_t until = now_ns() + std::int64_t{kPatienceMs} * 1'000'000;
    rd_kafka_resp_err_t error;
    do {
      error = rd_kafka_query_watermark_offsets(handle->get(), options.topic.c_str(), p, &low, &high, kPatienceMs);
      if (error != RD_KAFKA_RESP_ERR_NO_ERROR) ::usleep(20'000);
    } while (error != RD_KAFKA_RESP_ERR_NO_ERROR && now_ns() < until);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return fail(Errc::internal, fmt::format("ends of {}/{}: {}", options.topic, p, rd_kafka_err2str(error)));
    }
    sum += high;
  }
  return sum;
}

// The warm-up is as long as two seconds at least: connections, topic metadata and the consumer's first fetches are a
// client's start, not the brokers' latency.
Result<LatencyFigures> latency(const Options& options) {
  auto consumer = open_consumer(options);
  if (!consumer) return fail(consumer.error());
  const auto rate = static_cast<double>(options.rate);
  const std::int64_t start = now_ns();
  const std::int64_t from = start + std::max(2 * kSecond, static_cast<std::int64_t>(options.seconds * 0.2e9));
  const std::int64_t until = from + static_cast<std::int64_t>(options.seconds * 1e9);
  LatencyFigures figures;
  std::vector<std::uint32_t> acks;
  acks.reserve(static_cast<std::size_t>(options.seconds * rate) + 1);
  auto producer = client::RdProducer::create(producer_properties(options), [&](const client::Delivery& delivery) {
    const auto due = static_cast<std::int64_t>(delivery.tag);
    if (!delivery.error.empty()) {
      ++figures.errors;
    } else if (due >= from && due < until) {
      ++figures.acked;
      acks.push_back(static_cast<std::uint32_t>((now_ns() - due) / 1000));
    }
  });
  if (!producer) return fail(producer.error());
  Receiver receiver(std::move(*consumer), from, until);
  const Bytes pool = make_values();
  Bytes value;
  std::uint64_t sent = 0;
  double cpu = -1;
  const auto due_at = [start, rate](std::uint64_t record) {
    return start + static_cast<std::int64_t>(static_cast<double>(record) * 1e9 / rate);
  };
  for (std::int64_t now = start; now < until; now = now_ns()) {
    if (cpu < 0 && now >= from) cpu = cpu_seconds();
    if (now >= from && due_at(sent) < now) figures.behind_us = std::max(figures.behind_us, (now - due_at(sent)) / 1000);
    for (; due_at(sent) <= now; ++sent) {
      const ByteView body = value_of(pool, sent, std::max(options.size, 16));
      value.assign(body.begin(), body.end());
      store_be<std::int64_t>(value.data(), due_at(sent));
      const TopicPartition to{options.topic,
                              static_cast<PartitionId>(sent % static_cast<std::uint64_t>(options.partitions))};
      if ((*producer)->produce(to, std::nullopt, value, static_cast<std::uint64_t>(due_at(sent)))) break;
    }
    (*producer)->poll(0);
    ::usleep(100);
  }
  figures.cpu_s = cpu_seconds() - std::max(cpu, 0.0);
  for (int round = 0; round < 600 && (*producer)->queued() > 0; ++round) (*producer)->poll(50);
  for (int round = 0; round < 100 && receiver.received() < figures.acked; ++round) ::usleep(50'000);
  receiver.stop();
  figures.received = receiver.received();
  figures.errors += receiver.errors();
  figures.seconds = static_cast<double>(until - from) * 1e-9;
  figures.ack_us = quantiles_of(acks);
  figures.end_to_end_us = quantiles_of(receiver.samples());
  return figures;
}

Result<ReadyFigures> ready(const Options& options) {
  ReadyFigures figures;
  const std::int64_t until = now_ns() + static_cast<std::int64_t>(options.seconds * 1e9);
  for (const std::string& address : addresses(options.bootstrap)) {
    while (!accepts(address)) {
      if (now_ns() > until) return fail(Errc::timed_out, address + " accepts no connection");
      ::usleep(2000);
    }
  }
  figures.ports_ns = now_ns();
  ORDEAL_TRY(make_topic(options));
  figures.topic_ns = now_ns();
  Options quick = options;
  quick.linger_ms = 0;
  auto producer = open(RD_KAFKA_PRODUCER, producer_properties(quick), &figures.acked_ns);
  if (!producer) return fail(producer.error());
  // A producer that meets a topic before it is connected looks for its leaders a whole second later.
  const struct rd_kafka_metadata* known = nullptr;
  if (rd_kafka_metadata(producer->get(), 1, nullptr, &known, kPatienceMs) == RD_KAFKA_RESP_ERR_NO_ERROR) {
    rd_kafka_metadata_destroy(known);
  }
  const Bytes pool = make_values();
  const ByteView value = value_of(pool, 0, options.size);
  rd_kafka_topic_t* topic = rd_kafka_topic_new(producer->get(), options.topic.c_str(), nullptr);
  const int refused = rd_kafka_produce(topic, 0, RD_KAFKA_MSG_F_COPY, const_cast<std::uint8_t*>(value.data()),
                                       value.size(), nullptr, 0, nullptr);
  rd_kafka_topic_destroy(topic);
  if (refused != 0) return fail(Errc::internal, rd_kafka_err2str(rd_kafka_last_error()));
  while (figures.acked_ns == 0 && now_ns() < until) rd_kafka_poll(producer->get(), 1);
  if (figures.acked_ns == 0) return fail(Errc::timed_out, "no write was acknowledged");
  return figures;
}

}  // namespace ordeal::load
