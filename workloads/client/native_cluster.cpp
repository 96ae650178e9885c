#include "workloads/client/native_cluster.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/wire/error_codes.h"
#include "broker/wire/messages/api_versions.h"
#include "broker/wire/messages/metadata.h"

namespace ordeal::client {

using channel::KafkaChannel;
using env::Task;

NativeCluster::NativeCluster(env::Env& env, ClusterOptions options)
    : env_(env), options_(std::move(options)), refreshed_(env.scheduler), opened_(env.scheduler) {
  if (!options_.bootstrap.empty()) next_bootstrap_ = env_.random.below(options_.bootstrap.size());
}

void NativeCluster::close() {
  closed_ = true;
  for (auto& [node, link] : links_) {
    if (link.channel) link.channel->close();
  }
  for (auto& [index, link] : bootstrap_links_) {
    if (link.channel) link.channel->close();
  }
  refreshed_.notify_all();
  opened_.notify_all();
}

std::int16_t NativeCluster::negotiated(const Link& link, wire::ApiKey key, std::int16_t ceiling) const {
  const wire::ApiVersionRange& ours = wire::api_of(key);
  std::int16_t version = std::min(ours.supported.to, ceiling);
  const auto theirs = link.versions.find(std::to_underlying(key));
  if (theirs != link.versions.end()) version = std::min(version, theirs->second.second);
  return std::max(version, ours.supported.from);
}

std::int16_t NativeCluster::version_for(NodeId node, wire::ApiKey key, std::int16_t ceiling) const {
  const auto link = links_.find(node);
  return link == links_.end() ? negotiated(Link{}, key, ceiling) : negotiated(link->second, key, ceiling);
}

Task<Result<std::shared_ptr<KafkaChannel>>> NativeCluster::open_link(Endpoint to, Link* link, Instant deadline) {
  while (link->opening && !closed_) {
    bool in_time = co_await opened_.wait(deadline);
    if (!in_time) co_return fail(Errc::timed_out, to.to_string() + ": still connecting");
  }
  if (closed_) co_return fail(Errc::closed, "client closed");
  if (link->channel && !link->channel->broken()) co_return link->channel;
  link->opening = true;
  const Instant until = std::min(deadline, env_.scheduler.now() + options_.connect_timeout);
  channel::ChannelOptions channel_options;
  channel_options.client_id = options_.client_id;
  auto opened = co_await KafkaChannel::open(env_, to, std::move(channel_options), until);
  Status ready;
  std::shared_ptr<KafkaChannel> made;
  if (opened) {
    made = std::move(*opened);
    wire::ApiVersionsRequest request;
    request.client_software_name = "ordeal-native";
    request.client_software_version = ORDEAL_VERSION;
    auto reply = co_await made->call(std::move(request), 3, until);
    if (!reply) {
      ready = fail(reply.error());
    } else if (reply->error_code != wire::ErrorCode::none) {
      ready = fail(Errc::unsupported, fmt::format("ApiVersions: {}", wire::error_name(reply->error_code)));
    } else {
      link->versions.clear();
      for (const auto& api : reply->api_keys) link->versions[api.api_key] = {api.min_version, api.max_version};
    }
  } else {
    ready = fail(opened.error());
  }
  link->opening = false;
  opened_.notify_all();
  if (!ready) co_return fail(ready.error());
  link->channel = made;
  co_return made;
}

Task<Result<std::shared_ptr<KafkaChannel>>> NativeCluster::connect(NodeId node, Instant deadline) {
  const auto broker = brokers_.find(node);
  if (broker == brokers_.end()) co_return fail(Errc::not_found, fmt::format("broker {} is not known", node));
  Endpoint to = broker->second;
  auto opened = co_await open_link(std::move(to), &links_[node], deadline);
  if (!opened && env_.scheduler.now() < deadline) {
    // A refused connection fails at once: do not let callers spin on it.
    const Instant pause = std::min(deadline, env_.scheduler.now() + options_.retry_backoff);
    co_await env_.scheduler.sleep_until(pause);
  }
  co_return opened;
}

// A live connection to anybody: known brokers first, then the bootstrap list, round robin.
Task<Result<std::shared_ptr<KafkaChannel>>> NativeCluster::any_broker(NodeId* used, Instant deadline) {
  std::vector<NodeId> known = nodes();
  Error last{Errc::unreachable, "no broker to ask"};
  if (!known.empty()) {
    const std::size_t from = env_.random.below(known.size());
    for (std::size_t i = 0; i < known.size() && env_.scheduler.now() < deadline; ++i) {
      const NodeId node = known[(from + i) % known.size()];
      auto opened = co_await connect(node, deadline);
      if (opened) {
        *used = node;
        co_return opened;
      }
      last = opened.error();
    }
  }
  for (std::size_t i = 0; i < options_.bootstrap.size() && env_.scheduler.now() < deadline; ++i) {
    const std::size_t index = next_bootstrap_++ % options_.bootstrap.size();
    Endpoint to = options_.bootstrap[index];
    auto opened = co_await open_link(std::move(to), &bootstrap_links_[index], deadline);
    if (opened) {
      *used = kNoNode - 1 - static_cast<NodeId>(index);
      co_return opened;
    }
    last = opened.error();
  }
  co_return fail(last);
}

Task<Status> NativeCluster::refresh(Instant deadline) {
  if (refreshing_) {
    bool in_time = co_await refreshed_.wait(deadline);
    if (!in_time) co_return fail(Errc::timed_out, "metadata: no answer in time");
    co_return Status{};
  }
  refreshing_ = true;
  Status asked = co_await ask_metadata(deadline);
  refreshing_ = false;
  refreshed_.notify_all();
  co_return asked;
}

Task<Status> NativeCluster::ask_metadata(Instant deadline) {
  if (closed_) co_return fail(Errc::closed, "client closed");
  NodeId used = kNoNode;
  auto opened = co_await any_broker(&used, deadline);
  if (!opened) co_return fail(opened.error());
  std::shared_ptr<KafkaChannel> link = *opened;
  wire::MetadataRequest request;
  request.allow_auto_topic_creation = false;
  request.topics.emplace();
  for (const std::string& topic : topics_wanted_) {
    wire::MetadataRequest::MetadataRequestTopic wanted;
    wanted.name = topic;
    request.topics->push_back(std::move(wanted));
  }
  const std::int16_t version =
      used >= 0 ? version_for(used, wire::ApiKey::metadata)
                : negotiated(bootstrap_links_[static_cast<std::size_t>(-used - 2)], wire::ApiKey::metadata, 32767);
  const Instant until = std::min(deadline, env_.scheduler.now() + options_.request_timeout);
  auto reply = co_await link->call(std::move(request), version, until);
  if (!reply) co_return fail(reply.error());
  for (const auto& broker : reply->brokers) {
    brokers_[broker.node_id] = {broker.host, static_cast<std::uint16_t>(broker.port)};
  }
  for (const auto& topic : reply->topics) {
    if (!topic.name || topic.error_code != wire::ErrorCode::none) continue;
    topic_ids_[*topic.name] = topic.topic_id;
    for (const auto& partition : topic.partitions) {
      const TopicPartition tp{*topic.name, partition.partition_index};
      LeaderInfo& known = leaders_[tp];
      if (partition.leader_epoch < known.epoch) continue;  // an answer from the past
      const bool moved = partition.leader_epoch > known.epoch || partition.leader_id != known.node;
      known = {partition.leader_id, partition.leader_epoch};
      if (moved) stale_.erase(tp);
    }
  }
  refreshed_at_ = env_.scheduler.now();
  co_return Status{};
}

Task<std::optional<LeaderInfo>> NativeCluster::leader_of(TopicPartition tp, Instant deadline) {
  want_topic(tp.topic);
  bool asked = false;
  while (!closed_) {
    const auto known = leaders_.find(tp);
    const bool usable = known != leaders_.end() && known->second.node >= 0 && brokers_.contains(known->second.node);
    // A stale mark asks for one fresh look; the same answer again is then as good as it gets.
    if (usable && (asked || !stale_.contains(tp))) co_return known->second;
    if (env_.scheduler.now() >= deadline) break;
    Status refreshed = co_await refresh(deadline);
    if (!refreshed || !usable) {
      const Instant pause = std::min(deadline, env_.scheduler.now() + options_.retry_backoff);
      co_await env_.scheduler.sleep_until(pause);
    }
    asked = refreshed.has_value();
    if (asked) stale_.erase(tp);
  }
  co_return std::nullopt;
}

void NativeCluster::mark_stale(const TopicPartition& tp, NodeId used) {
  const auto known = leaders_.find(tp);
  if (known == leaders_.end() || known->second.node == used) stale_.insert(tp);
}

std::optional<Uuid> NativeCluster::topic_id(const std::string& topic) const {
  const auto found = topic_ids_.find(topic);
  if (found == topic_ids_.end()) return std::nullopt;
  return found->second;
}

std::optional<std::string> NativeCluster::topic_name(const Uuid& id) const {
  const auto found = std::ranges::find(topic_ids_, id, [](const auto& entry) { return entry.second; });
  if (found == topic_ids_.end()) return std::nullopt;
  return found->first;
}

std::vector<NodeId> NativeCluster::nodes() const {
  std::vector<NodeId> all;
  for (const auto& [node, endpoint] : brokers_) all.push_back(node);
  return all;
}

Task<Result<ListedOffset>> NativeCluster::list_offset(TopicPartition tp, std::int64_t timestamp, Instant deadline,
                                                      std::int8_t isolation) {
  std::optional<LeaderInfo> leader = co_await leader_of(tp, deadline);
  if (!leader) co_return fail(Errc::timed_out, "LEADER_NOT_AVAILABLE: " + tp.to_string() + " has no known leader");
  wire::ListOffsetsRequest request;
  request.isolation_level = isolation;
  request.timeout_ms = static_cast<std::int32_t>(options_.request_timeout / 1ms);
  auto& topic = request.topics.emplace_back();
  topic.name = tp.topic;
  auto& asked = topic.partitions.emplace_back();
  asked.partition_index = tp.partition;
  asked.current_leader_epoch = leader->epoch;
  asked.timestamp = timestamp;
  const Instant until = std::min(deadline, env_.scheduler.now() + options_.request_timeout);
  auto reply = co_await call(leader->node, std::move(request), until);
  if (!reply) {
    mark_stale(tp, leader->node);
    co_return fail(reply.error());
  }
  if (reply->topics.size() != 1 || reply->topics[0].partitions.size() != 1) {
    co_return fail(Errc::corrupt, "ListOffsets: an answer of another shape than the question");
  }
  const auto& answer = reply->topics[0].partitions[0];
  if (answer.error_code != wire::ErrorCode::none) {
    mark_stale(tp, leader->node);
    co_return fail(Errc::not_leader, fmt::format("{}: {}", wire::error_name(answer.error_code), tp.to_string()));
  }
  co_return ListedOffset{answer.offset, answer.leader_epoch, answer.timestamp};
}

Task<Status> NativeCluster::create_topics(std::vector<TopicToCreate> topics, Instant deadline) {
  Error last{Errc::timed_out, "CreateTopics: no attempt was made"};
  bool created = false;
  while (env_.scheduler.now() < deadline && !closed_ && !created) {
    NodeId used = kNoNode;
    auto opened = co_await any_broker(&used, deadline);
    if (!opened) {
      last = opened.error();
      co_await env_.scheduler.sleep_for(options_.retry_backoff);
      continue;
    }
    std::shared_ptr<KafkaChannel> link = *opened;
    wire::CreateTopicsRequest request;
    request.timeout_ms = static_cast<std::int32_t>(options_.request_timeout / 1ms);
    for (const TopicToCreate& topic : topics) {
      auto& wanted = request.topics.emplace_back();
      wanted.name = topic.name;
      wanted.num_partitions = topic.partitions;
      wanted.replication_factor = topic.replication;
      for (const auto& [key, value] : topic.configs) {
        auto& config = wanted.configs.emplace_back();
        config.name = key;
        config.value = value;
      }
    }
    const Instant until = std::min(deadline, env_.scheduler.now() + options_.request_timeout + 1s);
    auto reply = co_await link->call(std::move(request), 7, until);
    if (!reply) {
      last = reply.error();
      continue;
    }
    created = true;
    for (const auto& result : reply->topics) {
      if (result.error_code == wire::ErrorCode::none || result.error_code == wire::ErrorCode::topic_already_exists)
        continue;
      created = false;
      last = {Errc::internal, fmt::format("CreateTopics {}: {} {}", result.name, wire::error_name(result.error_code),
                                          result.error_message.value_or(""))};
    }
    if (!created) co_await env_.scheduler.sleep_for(options_.retry_backoff);
  }
  if (!created) co_return fail(last);
  for (const TopicToCreate& topic : topics) {
    for (PartitionId p = 0; p < topic.partitions; ++p) {
      std::optional<LeaderInfo> leader = co_await leader_of({topic.name, p}, deadline);
      if (!leader) co_return fail(Errc::timed_out, fmt::format("topic {}: partition {} has no leader", topic.name, p));
    }
  }
  co_return Status{};
}

}  // namespace ordeal::client
