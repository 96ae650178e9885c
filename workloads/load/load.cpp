#include "workloads/load/load.h"

#include <fmt/format.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

namespace ordeal::load {
namespace {

constexpr std::size_t kPool = 4 << 20;
constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kRecordsAtLeast = 1000;
// A producer that meets a topic before it is connected looks for its leaders a second later: that is not measured.
constexpr std::int64_t kWarmUpAtLeast = kSecond * 3 / 2;

struct Window {
  std::int64_t from = 0;
  std::int64_t until = 0;
  bool has(std::int64_t at) const { return at >= from && at < until; }
};

}  // namespace

std::int64_t now_ns() {
  timespec at{};
  ::clock_gettime(CLOCK_MONOTONIC, &at);
  return std::int64_t{at.tv_sec} * kSecond + at.tv_nsec;
}

double cpu_seconds() {
  timespec at{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
  return static_cast<double>(at.tv_sec) + static_cast<double>(at.tv_nsec) * 1e-9;
}

client::Properties common_properties(const Options& options) {
  return {{"bootstrap.servers", options.bootstrap},
          {"broker.address.family", "v4"},
          {"reconnect.backoff.ms", "20"},
          {"reconnect.backoff.max.ms", "200"},
          {"topic.metadata.refresh.fast.interval.ms", "50"},
          {"socket.nagle.disable", "true"},
          {"log_level", "0"}};
}

client::Properties producer_properties(const Options& options) {
  client::Properties all = common_properties(options);
  all.emplace_back("acks", options.acks);
  all.emplace_back("compression.codec", options.compression);
  all.emplace_back("linger.ms", std::to_string(options.linger_ms));
  all.emplace_back("batch.size", std::to_string(options.batch_bytes));
  all.emplace_back("batch.num.messages", "100000");
  all.emplace_back("queue.buffering.max.messages", "400000");
  all.emplace_back("queue.buffering.max.kbytes", std::to_string(options.queue_kb));
  all.emplace_back("retry.backoff.ms", "20");
  all.insert(all.end(), options.properties.begin(), options.properties.end());
  return all;
}

Bytes make_values() {
  Bytes pool(kPool);
  std::uint64_t state = 12345;
  for (std::size_t i = 0; i < pool.size(); ++i) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    pool[i] = i % 16 < 8 ? static_cast<std::uint8_t>(state >> 56) : std::uint8_t{'o'};
  }
  return pool;
}

ByteView value_of(const Bytes& pool, std::uint64_t record, std::int32_t size) {
  const auto length = std::min(static_cast<std::size_t>(size), pool.size() / 2);
  const std::size_t places = (pool.size() - length) / length;
  return ByteView(pool).subspan(static_cast<std::size_t>(record % places) * length, length);
}

Quantiles quantiles_of(std::vector<std::uint32_t>& samples_us) {
  Quantiles figures;
  if (samples_us.empty()) return figures;
  std::ranges::sort(samples_us);
  const auto at = [&samples_us](double q) {
    const auto rank = static_cast<std::size_t>(std::ceil(q * static_cast<double>(samples_us.size())));
    return static_cast<double>(samples_us[std::clamp<std::size_t>(rank, 1, samples_us.size()) - 1]);
  };
  figures.p50 = at(0.5);
  figures.p90 = at(0.9);
  figures.p99 = at(0.99);
  figures.p999 = at(0.999);
  figures.max = samples_us.back();
  return figures;
}

Status make_topic(const Options& options) {
  return client::create_topics(common_properties(options),
                               {{options.topic, options.partitions, options.replication, options.topic_configs}},
                               30000);
}

Result<ProduceFigures> produce(const Options& options) {
  const auto before = log_ends(options);
  if (!before) return fail(before.error());
  const std::int64_t warm_up = std::max(kWarmUpAtLeast, static_cast<std::int64_t>(options.seconds * 0.2e9));
  const std::int64_t start = now_ns();
  Window window{start + warm_up, start + warm_up + static_cast<std::int64_t>(options.seconds * 1e9)};
  const std::int64_t give_up = window.until + 10 * (window.until - window.from);
  ProduceFigures figures;
  std::vector<std::uint32_t> samples;
  samples.reserve(1 << 20);
  auto producer = client::RdProducer::create(producer_properties(options), [&](const client::Delivery& delivery) {
    if (!delivery.error.empty()) {
      ++figures.errors;
      return;
    }
    const std::int64_t now = now_ns();
    ++figures.acked;
    if (window.has(now)) ++figures.records;
    const auto due = static_cast<std::int64_t>(delivery.tag);
    if (window.has(due)) samples.push_back(static_cast<std::uint32_t>((now - due) / 1000));
  });
  if (!producer) return fail(producer.error());
  const Bytes pool = make_values();
  std::uint64_t sent = 0;
  double cpu = -1;
  const bool paced = options.rate > 0;
  bool enough = false;
  for (std::int64_t now = start;; now = now_ns()) {
    if (now >= window.until) {
      // On a machine that is busy otherwise a short window may see no acknowledgement at all: then it gets longer.
      if (paced || enough || figures.records >= kRecordsAtLeast || now >= give_up) break;
      window.until = now + kSecond / 5;
    }
    if (cpu < 0 && now >= window.from) cpu = cpu_seconds();
    const std::uint64_t due =
        paced ? static_cast<std::uint64_t>(static_cast<double>(now - start) * 1e-9 * static_cast<double>(options.rate))
              : sent + 500;
    bool full = false;
    while (sent < due && !full) {
      const TopicPartition to{options.topic,
                              static_cast<PartitionId>(sent % static_cast<std::uint64_t>(options.partitions))};
      const std::int64_t tag =
          paced ? start + static_cast<std::int64_t>(static_cast<double>(sent) * 1e9 / static_cast<double>(options.rate))
                : now_ns();
      const ByteView value = value_of(pool, sent, options.size);
      full = (*producer)->produce(to, std::nullopt, value, static_cast<std::uint64_t>(tag)).has_value();
      if (!full) ++sent;
    }
    (*producer)->poll(full ? 5 : 0);
    enough = options.mb_max > 0 && figures.records * static_cast<std::uint64_t>(options.size) >=
                                       static_cast<std::uint64_t>(options.mb_max) * 1'000'000;
    if (enough) window.until = now_ns();
    if (paced) ::usleep(200);
  }
  figures.cpu_s = cpu_seconds() - std::max(cpu, 0.0);
  for (int round = 0; round < 600 && (*producer)->queued() > 0; ++round) (*producer)->poll(50);
  const auto after = log_ends(options);
  if (!after) return fail(after.error());
  figures.stored = *after - *before;
  figures.seconds = static_cast<double>(window.until - window.from) * 1e-9;
  figures.records_per_s = static_cast<double>(figures.records) / figures.seconds;
  figures.mb_per_s = figures.records_per_s * options.size * 1e-6;
  figures.latency_us = quantiles_of(samples);
  return figures;
}

Result<FetchFigures> fetch(const Options& options) {
  client::Properties properties = common_properties(options);
  properties.emplace_back("group.id", "ordeal-load");
  properties.emplace_back("enable.auto.commit", "false");
  properties.emplace_back("auto.offset.reset", "earliest");
  properties.emplace_back("fetch.wait.max.ms", "50");
  properties.emplace_back("queued.max.messages.kbytes", "262144");
  properties.insert(properties.end(), options.properties.begin(), options.properties.end());
  std::vector<TopicPartition> table;
  std::vector<client::RdConsumer::Position> positions;
  for (PartitionId p = 0; p < options.partitions; ++p) {
    table.push_back({options.topic, p});
    positions.push_back({static_cast<std::size_t>(p), client::RdConsumer::kFromStart});
  }
  auto consumer = client::RdConsumer::create(properties, table);
  if (!consumer) return fail(consumer.error());
  ORDEAL_TRY((*consumer)->assign(positions));
  FetchFigures figures;
  std::uint64_t bytes = 0;
  double cpu = cpu_seconds();
  std::int64_t first = 0;
  std::int64_t last = 0;
  const std::int64_t until = now_ns() + static_cast<std::int64_t>((options.seconds + 10) * 1e9);
  while (now_ns() < until) {
    const auto batch = (*consumer)->poll(500, 20000);
    const std::int64_t now = now_ns();
    figures.errors += batch.errors.size();
    if (batch.records.empty()) {
      if (first != 0) break;
      continue;
    }
    if (first == 0) {
      first = now;  // connecting is not fetching: the first batch starts the clock and is not counted
      cpu = cpu_seconds();
    } else {
      figures.records += batch.records.size();
      for (const auto& record : batch.records) bytes += record.value.size();
    }
    last = now;
    if (static_cast<double>(last - first) > options.seconds * 1e9) break;
  }
  figures.cpu_s = cpu_seconds() - cpu;
  figures.seconds = static_cast<double>(last - first) * 1e-9;
  if (figures.seconds > 0) {
    figures.records_per_s = static_cast<double>(figures.records) / figures.seconds;
    figures.mb_per_s = static_cast<double>(bytes) / figures.seconds * 1e-6;
  }
  return figures;
}

Result<ProbeFigures> probe(const Options& options, std::int32_t partition, std::int32_t interval_us,
                           const std::function<bool()>& should_stop, const std::function<std::int64_t()>& announced) {
  ProbeFigures figures;
  Options quick = options;
  quick.linger_ms = 0;
  // A leader that was cut off is silence: what is measured is the cluster, so the client must not wait it out.
  const std::vector<std::pair<std::string, std::string>> impatient{
      {"socket.timeout.ms", "1000"}, {"request.timeout.ms", "1000"}, {"topic.metadata.refresh.interval.ms", "500"}};
  quick.properties.insert(quick.properties.begin(), impatient.begin(), impatient.end());
  auto producer = client::RdProducer::create(producer_properties(quick), [&figures](const client::Delivery& delivery) {
    if (!delivery.error.empty()) {
      ++figures.errors;
      return;
    }
    figures.acks.push_back({static_cast<std::int64_t>(delivery.tag), now_ns()});
  });
  if (!producer) return fail(producer.error());
  const Bytes pool = make_values();
  const ByteView value = value_of(pool, 0, options.size);
  const TopicPartition to{options.topic, partition};
  const auto over = [&figures, &announced] {
    const std::int64_t at = announced();
    return at != 0 && !figures.acks.empty() && figures.acks.back().sent_ns > at &&
           figures.acks.back().acked_ns > at + kSecond / 2;
  };
  const std::int64_t until = now_ns() + static_cast<std::int64_t>(options.seconds * 1e9);
  while (now_ns() < until && !should_stop() && !over()) {
    if ((*producer)->queued() < 1000) {
      const auto refused = (*producer)->produce(to, std::nullopt, value, static_cast<std::uint64_t>(now_ns()));
      if (refused) ++figures.errors;
    }
    (*producer)->poll(0);
    ::usleep(static_cast<useconds_t>(interval_us));
  }
  for (int round = 0; round < 100 && (*producer)->queued() > 0; ++round) (*producer)->poll(50);
  return figures;
}

}  // namespace ordeal::load
