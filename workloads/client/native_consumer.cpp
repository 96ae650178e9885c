#include "workloads/client/native_consumer.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "broker/wire/error_codes.h"

namespace ordeal::client {

using env::Task;
using wire::ErrorCode;

NativeConsumer::NativeConsumer(NativeCluster& cluster, ConsumerOptions options)
    : cluster_(cluster),
      options_(options),
      gate_(cluster.env().scheduler),
      arrived_(cluster.env().scheduler),
      work_(cluster.env().scheduler) {
  gate_.spawn(run_leaders(), "consumer-leaders");
}

NativeConsumer::~NativeConsumer() = default;

void NativeConsumer::assign(const TopicPartition& tp, Offset from) {
  Assigned fresh;
  fresh.position = from;
  fresh.generation = next_generation_++;
  assigned_[tp] = fresh;
  cluster_.want_topic(tp.topic);
  std::erase_if(chunks_, [&tp](const Fetched& chunk) { return chunk.tp == tp; });
  work_.notify_all();
}

void NativeConsumer::unassign(const TopicPartition& tp) {
  assigned_.erase(tp);
  std::erase_if(chunks_, [&tp](const Fetched& chunk) { return chunk.tp == tp; });
}

Offset NativeConsumer::position(const TopicPartition& tp) const {
  const auto found = assigned_.find(tp);
  return found == assigned_.end() ? kNoOffset : found->second.position;
}

Task<Polled> NativeConsumer::poll(Instant deadline) {
  while (chunks_.empty() && events_.empty() && now() < deadline && !gate_.closing()) co_await arrived_.wait(deadline);
  Polled polled;
  polled.chunks.assign(std::make_move_iterator(chunks_.begin()), std::make_move_iterator(chunks_.end()));
  chunks_.clear();
  polled.events.swap(events_);
  work_.notify_all();
  co_return polled;
}

Task<> NativeConsumer::close() {
  gate_.begin_close();
  work_.notify_all();
  arrived_.notify_all();
  co_await gate_.close();
}

bool NativeConsumer::current(const TopicPartition& tp, std::uint64_t generation) const {
  const auto found = assigned_.find(tp);
  return found != assigned_.end() && found->second.generation == generation;
}

void NativeConsumer::add_event(ConsumerEvent event) {
  events_.push_back(std::move(event));
  arrived_.notify_all();
}

// Finds a leader for every partition that has none, checks the position against it, and starts the node's fetch loop.
Task<> NativeConsumer::run_leaders() {
  while (!gate_.closing()) {
    std::optional<TopicPartition> orphan;
    Instant wake_at = kForever;
    for (const auto& [tp, assigned] : assigned_) {
      if (assigned.leader || assigned.busy) continue;
      if (assigned.not_before <= now()) {
        orphan = tp;
        break;
      }
      wake_at = std::min(wake_at, assigned.not_before);
    }
    if (!orphan) {
      co_await work_.wait(wake_at);
      continue;
    }
    TopicPartition tp = *orphan;
    const std::uint64_t generation = assigned_[tp].generation;
    assigned_[tp].not_before = now() + options_.retry_backoff;
    std::optional<LeaderInfo> leader = co_await cluster_.leader_of(tp, now() + 1s);
    if (!leader || !current(tp, generation)) continue;
    Assigned& assigned = assigned_[tp];
    if (assigned.last_epoch != kNoEpoch && assigned.checked_epoch != leader->epoch) {
      assigned.busy = true;
      assigned.leader = leader;
      gate_.spawn(validate(tp, &assigned, generation), "consumer-validate");
      continue;
    }
    assigned.leader = leader;
    bool& running = node_loops_[leader->node];
    if (!std::exchange(running, true)) gate_.spawn(run_node(leader->node), "consumer-fetch");
    work_.notify_all();
  }
}

// KIP-320: under a new leader epoch, ask where the epoch we last read ends there; beyond it our position is fiction.
Task<> NativeConsumer::validate(TopicPartition tp, Assigned* assigned, std::uint64_t generation) {
  const LeaderInfo leader = *assigned->leader;
  wire::OffsetForLeaderEpochRequest request;
  request.replica_id = -1;
  auto& topic = request.topics.emplace_back();
  topic.topic = tp.topic;
  auto& asked = topic.partitions.emplace_back();
  asked.partition = tp.partition;
  asked.current_leader_epoch = leader.epoch;
  asked.leader_epoch = assigned->last_epoch;
  auto reply = co_await cluster_.call(leader.node, std::move(request), now() + cluster_.options().request_timeout);
  if (!current(tp, generation)) co_return;
  Assigned& mine = assigned_[tp];
  mine.busy = false;
  const bool answered = reply && reply->topics.size() == 1 && reply->topics[0].partitions.size() == 1 &&
                        reply->topics[0].partitions[0].error_code == ErrorCode::none;
  if (!answered) {
    cluster_.mark_stale(tp, leader.node);
    mine.leader.reset();
    mine.not_before = now() + options_.retry_backoff;
    work_.notify_all();
    co_return;
  }
  const auto& answer = reply->topics[0].partitions[0];
  if (answer.end_offset >= 0 && answer.end_offset < mine.position) {
    add_event({ConsumerEvent::Kind::truncated, tp, mine.position, answer.end_offset,
               fmt::format("epoch {} ends at {} under leader {} epoch {}", answer.leader_epoch, answer.end_offset,
                           leader.node, leader.epoch)});
    mine.position = answer.end_offset;
    mine.last_epoch = answer.leader_epoch;
  }
  mine.checked_epoch = leader.epoch;
  mine.leader.reset();  // run_leaders hands it to the node's loop, now validated
  mine.not_before = now();
  work_.notify_all();
}

wire::FetchRequest NativeConsumer::make_request(NodeId node, std::map<TopicPartition, std::uint64_t>* asked) {
  wire::FetchRequest request;
  request.max_wait_ms = static_cast<std::int32_t>(options_.max_wait / 1ms);
  request.min_bytes = options_.min_bytes;
  request.max_bytes = options_.max_bytes;
  request.isolation_level = options_.read_committed ? 1 : 0;
  for (auto& [tp, assigned] : assigned_) {
    if (assigned.busy || !assigned.leader || assigned.leader->node != node || assigned.not_before > now()) continue;
    if (request.topics.empty() || request.topics.back().topic != tp.topic) {
      auto& topic = request.topics.emplace_back();
      topic.topic = tp.topic;
      topic.topic_id = cluster_.topic_id(tp.topic).value_or(Uuid{});
    }
    auto& partition = request.topics.back().partitions.emplace_back();
    partition.partition = tp.partition;
    partition.current_leader_epoch = assigned.leader->epoch;
    partition.fetch_offset = assigned.position;
    partition.last_fetched_epoch = assigned.last_epoch;
    partition.partition_max_bytes = options_.partition_max_bytes;
    assigned.busy = true;
    asked->emplace(tp, assigned.generation);
  }
  return request;
}

Task<> NativeConsumer::run_node(NodeId node) {
  while (!gate_.closing()) {
    std::map<TopicPartition, std::uint64_t> asked;
    wire::FetchRequest request;
    if (chunks_.size() < options_.buffered_chunks_max) request = make_request(node, &asked);
    if (asked.empty()) {
      Instant wake_at = kForever;
      for (const auto& [tp, assigned] : assigned_) {
        if (assigned.leader && assigned.leader->node == node && assigned.not_before > now()) {
          wake_at = std::min(wake_at, assigned.not_before);
        }
      }
      co_await work_.wait(wake_at);
      continue;
    }
    const Instant deadline = now() + options_.max_wait + cluster_.options().request_timeout;
    // Version 12 addresses topics by name; from 13 on a deleted and re-created topic would need a new id first.
    auto reply = co_await cluster_.call(node, std::move(request), deadline, 12);
    if (!reply) {
      release(asked, node, true);
      continue;
    }
    release(asked, node, false);
    take_reply(node, *reply, asked);
  }
}

// Ends the fetch's hold on its partitions; `stale`: the node did not answer, so ask again who leads.
void NativeConsumer::release(const std::map<TopicPartition, std::uint64_t>& asked, NodeId node, bool stale) {
  for (const auto& [tp, generation] : asked) {
    if (!current(tp, generation)) continue;
    Assigned& assigned = assigned_[tp];
    assigned.busy = false;
    if (!stale) continue;
    cluster_.mark_stale(tp, node);
    assigned.leader.reset();
    assigned.not_before = now() + options_.retry_backoff;
  }
  work_.notify_all();
}

void NativeConsumer::take_reply(NodeId node, const wire::FetchResponse& reply,
                                const std::map<TopicPartition, std::uint64_t>& asked) {
  for (const auto& topic : reply.responses) {
    for (const auto& data : topic.partitions) {
      const TopicPartition tp{topic.topic, data.partition_index};
      const auto mine = asked.find(tp);
      if (mine != asked.end() && current(tp, mine->second)) take_partition(node, tp, data);
    }
  }
}

void NativeConsumer::take_partition(NodeId node, const TopicPartition& tp,
                                    const wire::FetchResponse::PartitionData& data) {
  Assigned& assigned = assigned_[tp];
  if (data.error_code != ErrorCode::none) return take_error(node, tp, assigned, data);
  if (data.diverging_epoch.epoch >= 0) {
    const Offset to = std::min(assigned.position, data.diverging_epoch.end_offset);
    add_event({ConsumerEvent::Kind::truncated, tp, assigned.position, to,
               fmt::format("leader {} says epoch {} ends at {}", node, data.diverging_epoch.epoch,
                           data.diverging_epoch.end_offset)});
    assigned.position = to;
    assigned.last_epoch = data.diverging_epoch.epoch;
    return;
  }
  Fetched chunk;
  chunk.tp = tp;
  chunk.from = assigned.position;
  chunk.next = assigned.position;
  chunk.high_watermark = data.high_watermark;
  chunk.last_stable = data.last_stable_offset;
  chunk.log_start = data.log_start_offset;
  chunk.leader = *assigned.leader;
  if (data.aborted_transactions) {
    for (const auto& aborted : *data.aborted_transactions)
      chunk.aborted.emplace_back(aborted.producer_id, aborted.first_offset);
  }
  if (data.records && !data.records->empty()) {
    wire::BatchIterator batches(data.records->view);
    while (auto batch = batches.next()) {
      chunk.next = std::max(chunk.next, batch->next_offset());
      assigned.last_epoch = batch->partition_leader_epoch();
    }
    chunk.batches = data.records->sub(0, batches.position());
    if (batches.error()) {
      add_event({ConsumerEvent::Kind::error, tp, assigned.position, assigned.position,
                 "CORRUPT_MESSAGE: " + batches.error()->text});
      assigned.not_before = now() + options_.retry_backoff;
    }
    assigned.position = chunk.next;
  }
  if (chunk.batches.empty() && !tell_empty_) return;
  chunks_.push_back(std::move(chunk));
  arrived_.notify_all();
}

void NativeConsumer::take_error(NodeId node, const TopicPartition& tp, Assigned& assigned,
                                const wire::FetchResponse::PartitionData& data) {
  if (data.error_code == ErrorCode::offset_out_of_range && data.log_start_offset > assigned.position) {
    add_event(
        {ConsumerEvent::Kind::out_of_range, tp, assigned.position, data.log_start_offset, "below the log's start"});
    assigned.position = data.log_start_offset;
    assigned.last_epoch = kNoEpoch;
    return;
  }
  add_event({ConsumerEvent::Kind::error, tp, assigned.position, assigned.position,
             std::string(wire::error_name(data.error_code))});
  cluster_.mark_stale(tp, node);
  assigned.leader.reset();
  assigned.not_before = now() + options_.retry_backoff;
  work_.notify_all();
}

Result<std::vector<UnpackedBatch>> unpack(const Fetched& chunk) {
  std::vector<UnpackedBatch> all;
  // Transactions aborted within this chunk: producer ids whose records are void from their first offset to the marker.
  std::vector<std::pair<ProducerId, Offset>> pending = chunk.aborted;
  std::ranges::sort(pending, {}, &std::pair<ProducerId, Offset>::second);
  std::size_t next = 0;
  std::set<ProducerId> aborted;
  wire::BatchIterator batches(chunk.batches.view);
  while (auto batch = batches.next()) {
    while (next < pending.size() && pending[next].second <= batch->last_offset()) aborted.insert(pending[next++].first);
    UnpackedBatch unpacked{*batch, batch->crc_ok(), false};
    if (batch->is_control()) {
      aborted.erase(batch->producer_id());
    } else {
      unpacked.aborted = batch->is_transactional() && aborted.contains(batch->producer_id());
    }
    if (batch->last_offset() >= chunk.from) all.push_back(unpacked);
  }
  if (batches.error()) {
    return fail(batches.error()->at(fmt::format("{} after offset {}", chunk.tp.to_string(),
                                                all.empty() ? chunk.from : all.back().view.next_offset())));
  }
  return all;
}

}  // namespace ordeal::client
