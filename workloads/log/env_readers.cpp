#include <fmt/format.h>

#include "workloads/log/env_clients.h"

namespace ordeal::workload {

using env::Task;

namespace {

constexpr std::size_t kWatchedMax = 100;
constexpr std::uint16_t kConsumerProcesses = 500;
constexpr std::uint16_t kWatcherProcesses = 700;

client::ConsumerOptions consumer_options(const LogConfig& config) {
  client::ConsumerOptions options;
  options.read_committed = config.isolation == "read_committed";
  options.max_wait = std::chrono::milliseconds(config.poll_interval_ms);
  return options;
}

history::ErrorDetail detail_of(const Error& error) {
  history::ErrorDetail detail;
  // "NOT_LEADER_OR_FOLLOWER: t-0" -> the name; transport errors have names of their own.
  const auto colon = error.text.find(':');
  const bool named = colon != std::string::npos && error.text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == colon;
  detail.class_name = named ? error.text.substr(0, colon) : errc_name(error.code);
  detail.text = error.text;
  detail.retriable = true;
  return detail;
}

}  // namespace

EnvConsumer::EnvConsumer(env::Env& env, const LogConfig& config, std::uint16_t process,
                         std::unique_ptr<history::Recorder> recorder, Progress& progress)
    : env_(env),
      config_(config),
      recorder_(std::move(recorder)),
      progress_(progress),
      objects_(config.objects()),
      run_hash_(history::run_hash(config.run_id)),
      process_(process),
      cluster_(env, native_cluster_options(config, recorder_->header().writer)),
      consumer_(cluster_, consumer_options(config)) {
  for (std::size_t i = 0; i < objects_.size(); ++i) object_of_[objects_[i]] = static_cast<std::uint16_t>(i);
}

std::int64_t EnvConsumer::record(const client::Fetched& chunk) {
  const Instant now = env_.scheduler.now();
  const std::uint16_t object = object_of_.at(chunk.tp);
  std::int64_t count = 0;
  auto batches = client::unpack(chunk);
  if (!batches) {
    recorder_->note(fmt::format("process {}: {}", process_, batches.error().text));
    return 0;
  }
  for (const client::UnpackedBatch& batch : *batches) {
    if (batch.view.is_control() || batch.aborted) continue;
    auto reader = wire::RecordReader::open(batch.view);
    wire::Record record;
    while (reader) {
      const auto more = reader->next(record);
      if (!more) recorder_->note(fmt::format("process {}: {}", process_, more.error().text));
      if (!more || !*more) break;
      if (record.offset < chunk.from) continue;
      const ByteView bytes = record.value.value_or(ByteView{});
      const history::Decoded decoded = history::decode_payload(run_hash_, bytes);
      const LeaderEpoch epoch = batch.view.partition_leader_epoch();
      if (const auto* value = std::get_if<history::PayloadValue>(&decoded)) {
        recorder_->read(now, process_, object, record.offset, value->id, epoch);
      } else {
        const auto& foreign = std::get<history::PayloadForeign>(decoded);
        recorder_->read_foreign(now, process_, object, record.offset, foreign.describe(bytes), epoch);
      }
      ++count;
    }
    if (!reader) recorder_->note(fmt::format("process {}: {}", process_, reader.error().text));
  }
  return count;
}

void EnvConsumer::record_event(const client::ConsumerEvent& event) {
  recorder_->note(fmt::format("process {}: {} at {}: {}", process_, event.tp.to_string(), event.position, event.text));
  if (event.kind == client::ConsumerEvent::Kind::error) return;
  recorder_->assign(env_.scheduler.now(), process_, object_of_.at(event.tp), event.offset);
}

Task<> EnvConsumer::run(env::Gate* stop) {
  for (std::size_t i = 0; i < objects_.size(); ++i) {
    recorder_->assign(env_.scheduler.now(), process_, static_cast<std::uint16_t>(i), 0);
    consumer_.assign(objects_[i], 0);
  }
  while (!stop->closing()) {
    recorder_->poll_invoke(env_.scheduler.now(), process_);
    client::Polled polled =
        co_await consumer_.poll(env_.scheduler.now() + std::chrono::milliseconds(config_.poll_interval_ms));
    std::int64_t count = 0;
    for (const client::Fetched& chunk : polled.chunks) count += record(chunk);
    recorder_->poll_done(env_.scheduler.now(), process_, history::Type::ok, count);
    // A changed position orders nothing before it: it comes after the poll that noticed.
    for (const client::ConsumerEvent& event : polled.events) record_event(event);
    progress_.polls.fetch_add(1, std::memory_order_relaxed);
    progress_.reads.fetch_add(static_cast<std::uint64_t>(count), std::memory_order_relaxed);
    if (count > 0 && !std::exchange(seen_record_, true)) progress_.connected.fetch_add(1);
  }
  cluster_.close();
  co_await consumer_.close();
}

EndWatcher::EndWatcher(env::Env& env, const LogConfig& config, std::unique_ptr<history::Recorder> recorder)
    : env_(env),
      config_(config),
      recorder_(std::move(recorder)),
      objects_(config.objects()),
      cluster_(env, native_cluster_options(config, recorder_->header().writer)) {}

Task<> EndWatcher::watch(std::uint16_t object, env::Gate* stop, env::Signal* ended, std::size_t* running) {
  const auto process = static_cast<std::uint16_t>(config_.process_base + kWatcherProcesses + object);
  const auto interval = std::chrono::milliseconds(config_.list_end_interval_ms);
  while (!stop->closing()) {
    recorder_->list_end_invoke(env_.scheduler.now(), process, object);
    auto listed = co_await cluster_.list_offset(objects_[object], wire::kLatestTimestamp, env_.scheduler.now() + 2s);
    if (listed) {
      recorder_->list_end_ok(env_.scheduler.now(), process, object, listed->offset, listed->leader_epoch);
    } else {
      recorder_->list_end_failed(env_.scheduler.now(), process, object, detail_of(listed.error()));
    }
    co_await stop->sleep_for(interval);
  }
  --*running;
  ended->notify_all();
}

Task<> EndWatcher::run(env::Gate* stop) {
  env::Signal ended(env_.scheduler);
  std::size_t running = std::min(objects_.size(), kWatchedMax);
  for (std::size_t i = 0; i < std::min(objects_.size(), kWatchedMax); ++i) {
    env_.scheduler.spawn(watch(static_cast<std::uint16_t>(i), stop, &ended, &running), "watch-end");
  }
  while (running > 0) co_await ended.wait();
  cluster_.close();
}

// ---- all of it

EnvDriver::EnvDriver(env::Env& env, LogConfig config, std::string host, MakeRecorder make_recorder, Progress& progress)
    : env_(env),
      config_(std::move(config)),
      host_(std::move(host)),
      make_recorder_(std::move(make_recorder)),
      progress_(progress),
      producing_(std::make_unique<env::Gate>(env.scheduler)),
      reading_(std::make_unique<env::Gate>(env.scheduler)) {}

EnvDriver::~EnvDriver() = default;

Status EnvDriver::open(bool with_sends) {
  const bool native = config_.client == "native";
  const auto producers = static_cast<std::uint64_t>(config_.producers);
  const std::uint64_t writers = producers + (with_sends ? 1 : 0);
  for (std::int32_t i = 0; native && i < config_.producers; ++i) {
    history::Header header = native_header(config_, fmt::format("{}-producer-{}", host_, i));
    header.value_first = config_.value_offset * writers + static_cast<std::uint64_t>(i);
    header.value_stride = config_.value_stride * writers;
    auto recorder = make_recorder_(std::move(header));
    if (!recorder) return fail(recorder.error());
    producers_.push_back(std::make_unique<EnvProducer>(env_, config_, i, std::move(*recorder), progress_));
  }
  if (with_sends) {
    history::Header header = native_header(config_, host_ + "-sends");
    header.value_first = config_.value_offset * writers + producers;
    header.value_stride = config_.value_stride * writers;
    auto recorder = make_recorder_(std::move(header));
    if (!recorder) return fail(recorder.error());
    sends_ = std::make_unique<EnvSends>(env_, config_, std::move(*recorder), progress_);
  }
  for (std::int32_t i = 0; native && i < config_.consumers; ++i) {
    auto recorder = make_recorder_(native_header(config_, fmt::format("{}-consumer-{}", host_, i)));
    if (!recorder) return fail(recorder.error());
    const auto process = static_cast<std::uint16_t>(config_.process_base + kConsumerProcesses + i);
    consumers_.push_back(std::make_unique<EnvConsumer>(env_, config_, process, std::move(*recorder), progress_));
  }
  if (config_.list_end_interval_ms > 0) {
    auto recorder = make_recorder_(native_header(config_, host_ + "-watcher"));
    if (!recorder) return fail(recorder.error());
    watcher_ = std::make_unique<EndWatcher>(env_, config_, std::move(*recorder));
  }
  return {};
}

Task<Status> EnvDriver::create_topics(Instant deadline) {
  auto cluster = std::make_unique<client::NativeCluster>(env_, native_cluster_options(config_, host_ + "-admin"));
  std::vector<client::TopicToCreate> topics;
  for (const TopicSpec& topic : config_.topics) {
    client::TopicToCreate wanted;
    wanted.name = topic.name;
    wanted.partitions = topic.partitions;
    wanted.replication = topic.replication;
    wanted.configs = topic.configs;
    topics.push_back(std::move(wanted));
  }
  Status created = co_await cluster->create_topics(std::move(topics), deadline);
  cluster->close();
  co_return created;
}

void EnvDriver::start(bool native_clients) {
  if (native_clients) {
    for (auto& producer : producers_) producing_->spawn(producer->run(producing_.get()), "log-producer");
    for (auto& consumer : consumers_) reading_->spawn(consumer->run(reading_.get()), "log-consumer");
  }
  if (watcher_) reading_->spawn(watcher_->run(reading_.get()), "log-watcher");
}

Task<Status> EnvDriver::stop() {
  co_await producing_->close();
  co_await reading_->close();
  Status first;
  for (history::Recorder* recorder : recorders()) {
    const Status closed = recorder->close();
    if (!closed && first) first = closed;
  }
  co_return first;
}

void EnvDriver::pause_sending(bool paused) {
  for (auto& producer : producers_) producer->pause(paused);
}

Result<std::shared_ptr<const EnvSends::Burst>> EnvDriver::send(const TopicPartition& at, std::int64_t count,
                                                               std::int16_t acks, Duration within) {
  if (!sends_) return fail(Errc::unsupported, "the clients were opened without sends");
  return sends_->send(at, count, acks, within, *producing_);
}

std::vector<history::Recorder*> EnvDriver::recorders() {
  std::vector<history::Recorder*> all;
  for (auto& producer : producers_) all.push_back(&producer->recorder());
  if (sends_) all.push_back(&sends_->recorder());
  for (auto& consumer : consumers_) all.push_back(&consumer->recorder());
  if (watcher_) all.push_back(&watcher_->recorder());
  return all;
}

}  // namespace ordeal::workload
