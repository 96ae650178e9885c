#include "broker/replica/fetcher.h"

#include <algorithm>
#include <utility>

#include "broker/base/check.h"
#include "broker/base/mark.h"
#include "broker/env/buggify.h"

namespace ordeal::replica {
namespace {

constexpr Duration kFirstPause = 10ms;
constexpr Duration kConnectTimeout = 1s;

std::int32_t to_ms(Duration duration) {
  return static_cast<std::int32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

}  // namespace

ReplicaFetcher::ReplicaFetcher(ReplicaContext& context, Wiring wiring)
    : context_(context), wiring_(std::move(wiring)), changed_(context.env.scheduler) {}

void ReplicaFetcher::follow(const std::map<TopicPartition, ReplicaPtr>& replicas) {
  bool more = false;
  std::map<TopicPartition, Followed> next;
  for (const auto& [at, replica] : replicas) {
    Followed entry{.replica = replica, .epoch = replica->partition().leader_epoch()};
    const auto old = followed_.find(at);
    if (old != followed_.end() && old->second.replica == replica && old->second.epoch == entry.epoch) {
      entry = old->second;
    } else {
      more = true;
    }
    next.emplace(at, std::move(entry));
  }
  followed_ = std::move(next);
  if (!more) return;  // what is no longer followed is simply not acted on
  news_ = true;
  interrupt();
  changed_.notify_all();
}

// Whatever changes roles ends the call in progress, so that no answer of an older role can arrive. The bug needs that
// answer; the decider counts what is done with it.
bool ReplicaFetcher::acts_on_late_replies() const {
  return !context_.stopping && context_.switches.is_on(mutation::Bug::repl_truncate_on_stale_reply);
}

void ReplicaFetcher::interrupt() {
  if (acts_on_late_replies()) return;
  if (channel_ && channel_->in_flight() > 0) channel_->close();
}

env::Task<Status> ReplicaFetcher::connect() {
  const std::optional<Endpoint> to = wiring_.leader_endpoint();
  if (!to) co_return fail(Errc::not_found, "the leader has no replication listener");
  if (channel_ && !channel_->broken() && channel_to_ == *to) co_return Status{};
  channel_.reset();
  channel::ChannelOptions options;
  options.client_id = "broker-" + std::to_string(context_.options.node_id) + "-fetcher";
  const Instant give_up = context_.env.scheduler.now() + kConnectTimeout;
  auto opened = co_await channel::KafkaChannel::open(context_.env, *to, std::move(options), give_up);
  if (!opened) co_return fail(opened.error());
  channel_ = std::move(*opened);
  channel_to_ = *to;
  co_return Status{};
}

template <class Request>
env::Task<Result<typename Request::Response>> ReplicaFetcher::ask(Request request, Instant deadline) {
  Status connected = co_await connect();
  if (!connected) co_return fail(connected.error());
  if (news_ || stopped_) co_return fail(Errc::closed, "overtaken while connecting");
  std::shared_ptr<channel::KafkaChannel> channel = channel_;
  Result<typename Request::Response> response =
      co_await channel->call<Request>(std::move(request), wire::api_of(Request::kKey).supported.to, deadline);
  co_return response;
}

void ReplicaFetcher::start() { context_.gate.spawn(run(shared_from_this()), "replica.fetcher"); }

void ReplicaFetcher::stop() {
  stopped_ = true;
  interrupt();
  changed_.notify_all();
}

void ReplicaFetcher::postpone(const TopicPartition& at) {
  const auto found = followed_.find(at);
  if (found == followed_.end()) return;
  Followed& entry = found->second;
  entry.pause = std::clamp(entry.pause * 2, kFirstPause, std::max(kFirstPause, context_.options.replica_fetch_backoff));
  entry.not_before = context_.env.scheduler.now() + entry.pause;
}

env::Task<> ReplicaFetcher::pause_after_failure() {
  failures_ = std::min<std::uint32_t>(failures_ + 1, 16);
  const Duration pause =
      std::min(kFirstPause * (1 << failures_), std::max(kFirstPause, context_.options.replica_fetch_backoff));
  if (news_ || stopped_) co_return;
  const bool woken = co_await changed_.wait(context_.env.scheduler.now() + pause);
  (void)woken;
}

ReplicaFetcher::Round ReplicaFetcher::prepare() {
  const Options& options = context_.options;
  const Instant now = context_.env.scheduler.now();
  Round round;
  std::vector<FetcherSession::Wanted> wanted;
  for (auto& [at, entry] : followed_) {
    Replica& replica = *entry.replica;
    const Partition& partition = replica.partition();
    if (replica.retired() || replica.failed() || !partition.following() || partition.leader_epoch() != entry.epoch)
      continue;
    if (replica.busy() || entry.not_before > now) {
      round.next_ready = std::min(round.next_ready, replica.busy() ? now + kFirstPause : entry.not_before);
      continue;
    }
    const LogEnds& ends = replica.ends();
    if (options.fsync && ends.flushed < ends.end) {
      round.flush_first.push_back(entry.replica);
      continue;
    }
    if (replica.has_unwritten_epoch()) {
      round.trim_first.push_back(entry.replica);
      continue;
    }
    wire::FetchRequest::FetchPartition part;
    part.partition = at.partition;
    part.current_leader_epoch = entry.epoch;
    part.fetch_offset = ends.end;
    part.last_fetched_epoch = partition.epoch_to_check(replica.last_record_epoch());
    part.log_start_offset = ends.start;
    part.partition_max_bytes = options.replica_fetch_max_bytes;
    wanted.push_back({at.topic, replica.topic_id(), std::move(part)});
    round.asked.emplace(PartitionKey{replica.topic_id(), at.partition}, Asked{entry.replica, entry.epoch, ends.end});
  }
  round.request.cluster_id = options.cluster_id;
  round.request.replica_id = options.node_id;
  round.request.replica_state = {options.node_id, wiring_.broker_epoch()};
  round.request.min_bytes = options.replica_fetch_min_bytes;
  round.request.max_bytes = options.replica_fetch_response_max_bytes;
  // Whoever was left out this time must not wait for the others' long poll.
  const Duration wait = round.next_ready == kForever ? options.replica_fetch_wait_max
                                                     : std::min(options.replica_fetch_wait_max, round.next_ready - now);
  round.request.max_wait_ms = std::max(0, to_ms(wait));
  if (!round.flush_first.empty() || !round.trim_first.empty()) return round;
  if (env::buggify(context_.env, "fetcher.new_session")) session_.restart();
  session_.fill(round.request, std::move(wanted));
  return round;
}

env::Task<> ReplicaFetcher::run(std::shared_ptr<ReplicaFetcher> self) {
  ReplicaContext& context = self->context_;
  while (!self->stopped_ && !context.gate.closing()) {
    self->news_ = false;
    Round round = self->prepare();
    if (!round.flush_first.empty() || !round.trim_first.empty()) {
      co_await self->make_ready(std::move(round));
      continue;
    }
    if (round.asked.empty()) {
      const bool woken = co_await self->changed_.wait(round.next_ready);
      (void)woken;
      continue;
    }
    const Instant deadline = context.env.scheduler.now() + std::chrono::milliseconds(round.request.max_wait_ms) +
                             context.options.replica_request_timeout;
    wire::FetchRequest request = std::move(round.request);
    Result<wire::FetchResponse> response = co_await self->ask<wire::FetchRequest>(std::move(request), deadline);
    if (self->stopped_ && !self->acts_on_late_replies()) break;
    if (!response) {
      self->session_.on_failure();
      co_await self->pause_after_failure();
      continue;
    }
    if (!self->session_.on_answer(*response)) continue;
    if (response->error_code != wire::ErrorCode::none) {
      co_await self->pause_after_failure();
      continue;
    }
    self->failures_ = 0;
    co_await self->settle(std::move(round), std::move(*response));
  }
  self->channel_.reset();
}

env::Task<> ReplicaFetcher::make_ready(Round round) {
  auto repairs = std::make_shared<Repairs>(context_.env.scheduler);
  for (const ReplicaPtr& replica : round.trim_first) repair(repairs, trim(replica));
  for (const ReplicaPtr& replica : round.flush_first) replica->kick_flush();
  for (const ReplicaPtr& replica : round.flush_first) co_await replica->wait_flushed();
  co_await finish(std::move(repairs));
}

env::Task<> ReplicaFetcher::finish(RepairsPtr repairs) {
  while (repairs->running > 0) {
    const bool woken = co_await repairs->done.wait();
    (void)woken;
  }
}

env::Task<> ReplicaFetcher::settle(Round round, wire::FetchResponse response) {
  auto repairs = std::make_shared<Repairs>(context_.env.scheduler);
  std::vector<ReplicaPtr> grown;
  for (const auto& topic : response.responses) {
    for (const auto& data : topic.partitions) {
      const auto found = round.asked.find({topic.topic_id, data.partition_index});
      if (found == round.asked.end()) continue;  // nothing we asked for
      const Asked& asked = found->second;
      if (take(asked, data, repairs)) grown.push_back(asked.replica);
    }
  }
  if (context_.options.fsync) {
    for (const ReplicaPtr& replica : grown) replica->kick_flush();
    for (const ReplicaPtr& replica : grown) co_await replica->wait_flushed();
  }
  std::vector<Asked> lookups = std::exchange(lookups_, {});
  if (!lookups.empty()) co_await look_up_epochs(std::move(lookups));
  co_await finish(std::move(repairs));
}

bool ReplicaFetcher::take(const Asked& asked, const wire::FetchResponse::PartitionData& data,
                          const RepairsPtr& repairs) {
  Replica& replica = *asked.replica;
  if (replica.retired() || replica.busy()) return false;
  const Partition& partition = replica.partition();
  const bool diverging = data.error_code == wire::ErrorCode::none && data.diverging_epoch.epoch != kNoEpoch;
  const bool fresh = diverging ? partition.may_cut(asked.epoch, asked.offset, replica.ends().end)
                               : partition.accepts_reply(asked.epoch, asked.offset, replica.ends().end);
  if (!fresh) return false;
  if (diverging || data.error_code != wire::ErrorCode::none) {
    mend(asked, data, repairs);
    return false;
  }
  if (const auto entry = followed_.find(replica.at()); entry != followed_.end()) entry->second.pause = {};
  bool grown = false;
  if (data.records && !data.records->empty()) {
    const Offset before = replica.ends().end;
    const Status appended = replica.append_fetched(data.records->view, asked.epoch, asked.offset);
    grown = replica.ends().end > before;
    if (!appended) {
      // Damaged on the way or on the leader's disk: what was whole is kept, the rest is asked for again.
      context_.env.trace.warn("partition.fetch_refused", {{"topic", replica.at().topic},
                                                          {"partition", replica.at().partition},
                                                          {"leader_epoch", asked.epoch},
                                                          {"offset", replica.ends().end},
                                                          {"error", std::string_view(appended.error().text)}});
      postpone(replica.at());
    }
  }
  replica.on_leader_state(data.high_watermark);
  if (data.log_start_offset > replica.ends().start) repair(repairs, raise_start(asked.replica, data.log_start_offset));
  return grown;
}

// The part of an answer that brought an error, or says that the logs part.
void ReplicaFetcher::mend(const Asked& asked, const wire::FetchResponse::PartitionData& data,
                          const RepairsPtr& repairs) {
  Replica& replica = *asked.replica;
  if (data.error_code != wire::ErrorCode::none && data.error_code != wire::ErrorCode::offset_out_of_range) {
    return postpone(replica.at());
  }
  Misfit misfit;
  misfit.asked = asked.offset;
  misfit.leader_log_start = data.log_start_offset;
  const EpochEnd leader{data.diverging_epoch.epoch, data.diverging_epoch.end_offset};
  if (data.error_code == wire::ErrorCode::none) misfit.diverging = leader;
  switch (replica.partition().repair_for(misfit)) {
    case Repair::cut:
      if (const auto entry = followed_.find(replica.at()); entry != followed_.end()) entry->second.pause = {};
      return repair(repairs, cut(asked, leader));
    case Repair::start_over:
      return repair(repairs, start_over(asked, data.log_start_offset));
    case Repair::look_up:
      lookups_.push_back(asked);
      return postpone(replica.at());
  }
}

// ---- Repairs

void ReplicaFetcher::repair(const RepairsPtr& repairs, env::Task<> work) {
  if (context_.gate.closing()) return;
  ++repairs->running;
  context_.gate.spawn(count_down(repairs, std::move(work)), "replica.repair");
}

env::Task<> ReplicaFetcher::count_down(RepairsPtr repairs, env::Task<> work) {
  co_await std::move(work);
  if (--repairs->running == 0) repairs->done.notify_all();
}

// A failure of the disk has been reported as fatal by then; there is nothing to add.
env::Task<> ReplicaFetcher::cut(Asked asked, EpochEnd leader) {
  const Status done = co_await asked.replica->truncate_diverging(leader, asked.epoch, asked.offset);
  (void)done;
}

env::Task<> ReplicaFetcher::trim(ReplicaPtr replica) {
  const Status done = co_await replica->drop_unwritten_epoch();
  (void)done;
}

env::Task<> ReplicaFetcher::start_over(Asked asked, Offset log_start) {
  const Status done = co_await asked.replica->start_over_at(log_start, asked.epoch, asked.offset);
  (void)done;
}

env::Task<> ReplicaFetcher::raise_start(ReplicaPtr replica, Offset log_start) {
  const Status done = co_await replica->raise_log_start(log_start);
  (void)done;
}

// The leader could not place our last epoch: ask it where that epoch ends, and cut there. Without an answer the
// partition stays as it is and is asked for again later: losing nothing is worth more than following soon.
env::Task<> ReplicaFetcher::look_up_epochs(std::vector<Asked> asked) {
  wire::OffsetForLeaderEpochRequest request;
  request.replica_id = context_.options.node_id;
  std::map<TopicPartition, Asked> by_name;
  for (Asked& one : asked) {
    if (one.replica->retired() || one.replica->busy()) continue;
    wire::OffsetForLeaderEpochRequest::OffsetForLeaderTopic topic;
    topic.topic = one.replica->at().topic;
    topic.partitions.push_back({one.replica->at().partition, one.epoch, one.replica->last_record_epoch()});
    request.topics.push_back(std::move(topic));
    by_name.emplace(one.replica->at(), std::move(one));
  }
  const Instant deadline = context_.env.scheduler.now() + context_.options.replica_request_timeout;
  Result<wire::OffsetForLeaderEpochResponse> response =
      co_await ask<wire::OffsetForLeaderEpochRequest>(std::move(request), deadline);
  if (!response) co_return;
  for (const auto& topic : response->topics) {
    for (const auto& answer : topic.partitions) {
      const auto found = by_name.find({topic.topic, answer.partition});
      if (found == by_name.end()) continue;
      const Asked one = found->second;
      EpochEnd leader{answer.leader_epoch, answer.end_offset};
      if (answer.error_code != wire::ErrorCode::none) continue;
      if (leader.epoch == kNoEpoch) {
        context_.env.trace.warn("partition.no_common_epoch", {{"topic", topic.topic},
                                                              {"partition", answer.partition},
                                                              {"leader_epoch", one.epoch},
                                                              {"offset", one.offset}});
        const std::optional<Offset> to = one.replica->partition().cut_without_answer();
        if (!to) continue;
        leader.end = *to;
      }
      const Status done = co_await one.replica->truncate_diverging(leader, one.epoch, one.offset);
      if (!done) co_return;
    }
  }
}

}  // namespace ordeal::replica
