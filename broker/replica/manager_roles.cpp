// From image to roles: what to create, remove, lead, follow; and how a request finds its partition.
#include <algorithm>
#include <utility>

#include "broker/replica/manager_impl.h"

namespace ordeal::replica {
namespace {

Assignment assignment_of(const meta::PartitionImage& partition, std::int32_t min_isr) {
  Assignment to;
  to.leader = partition.leader;
  to.leader_epoch = partition.leader_epoch;
  to.partition_epoch = partition.partition_epoch;
  to.replicas = partition.replicas;
  to.isr = partition.isr;
  to.min_isr = min_isr;
  return to;
}

}  // namespace

bool ReplicaManager::Impl::assigned_here(const meta::ClusterImage& in, const TopicPartition& at, const Uuid& id) const {
  const meta::PartitionImage* partition = in.partition(id, at.partition);
  return partition != nullptr && partition->has_replica(options.node_id);
}

TopicSettings ReplicaManager::Impl::settings_for(const TopicPartition& at) const {
  const meta::TopicPtr topic = image->topic(at.topic);
  return topic ? settings_of(*topic, default_settings()) : default_settings();
}

// Order: known partitions first, since a fail-over must not wait for files being created or deleted.
env::Task<> ReplicaManager::Impl::apply(meta::ImagePtr next, bool first) {
  co_await roles_lock.lock();
  if (context.stopping || (!first && next->offset() <= image->offset())) {
    roles_lock.unlock();
    co_return;
  }
  const meta::ImagePtr before = std::exchange(image, std::move(next));
  std::vector<ReplicaPtr> gone;
  std::vector<ReplicaPtr> known;
  std::vector<std::pair<TopicPartition, Uuid>> missing;
  for (const auto& [at, replica] : replicas) {
    if (!assigned_here(*image, at, replica->topic_id())) gone.push_back(replica);
  }
  for (const auto& [name, topic] : image->topics()) {
    if (!first && before->topic(name) == topic) continue;
    for (PartitionId number = 0; number < static_cast<PartitionId>(topic->partitions.size()); ++number) {
      if (!topic->partitions[static_cast<std::size_t>(number)].has_replica(options.node_id)) continue;
      const auto found = by_id.find({topic->id, number});
      if (found != by_id.end()) {
        known.push_back(found->second);
      } else {
        missing.emplace_back(TopicPartition{name, number}, topic->id);
      }
    }
  }
  co_await assign_all(std::move(known));
  refresh_fetchers();
  co_await remove_all(std::move(gone));
  if (first) co_await remove_strays();
  if (!missing.empty()) {
    co_await create_all(missing);
    std::vector<ReplicaPtr> created;
    for (const auto& [at, id] : missing) {
      const auto found = by_id.find({id, at.partition});
      if (found == by_id.end()) continue;
      const meta::PartitionImage* partition = image->partition(id, at.partition);
      // An epoch given to this node before it was unfenced was given to an earlier incarnation of it.
      if (first && partition != nullptr && partition->leader == options.node_id) {
        found->second->partition().refuse_to_lead(partition->leader_epoch);
      }
      created.push_back(found->second);
    }
    co_await assign_all(std::move(created));
    refresh_fetchers();
  }
  roles_lock.unlock();
}

// Whoever is in the middle of a truncation comes last and keeps nobody else waiting.
env::Task<> ReplicaManager::Impl::assign_all(std::vector<ReplicaPtr> some) {
  std::sort(some.begin(), some.end(), [](const ReplicaPtr& a, const ReplicaPtr& b) {
    return std::pair(a->busy(), a->at()) < std::pair(b->busy(), b->at());
  });
  for (const ReplicaPtr& replica : some) {
    const meta::PartitionImage* partition = image->partition(replica->topic_id(), replica->at().partition);
    if (partition == nullptr) continue;
    TopicSettings settings = settings_for(replica->at());
    Assignment to = assignment_of(*partition, settings.min_isr);
    co_await replica->assign(std::move(to), std::move(settings.log));
  }
}

env::Task<> ReplicaManager::Impl::remove_all(std::vector<ReplicaPtr> some) {
  if (some.empty()) co_return;
  for (const ReplicaPtr& replica : some) {
    co_await replica->retire();
    replicas.erase(replica->at());
    by_id.erase({replica->topic_id(), replica->at().partition});
    proposals.erase(replica->at());
  }
  refresh_fetchers();
  std::vector<TopicPartition> names;
  for (const ReplicaPtr& replica : some) names.push_back(replica->at());
  co_await directory_lock.lock();
  std::function<Status()> work = [this, names]() -> Status {
    for (const TopicPartition& at : names) ORDEAL_TRY(directory->remove(at));
    return {};
  };
  const Status removed = co_await env::blocking(env.scheduler, std::move(work));
  directory_lock.unlock();
  if (!removed) fatal(removed.error());
}

// Partitions in the log directory that the image no longer has here: deleted, or moved away, while this node was down.
env::Task<> ReplicaManager::Impl::remove_strays() {
  std::vector<TopicPartition> strays;
  for (const auto& found : directory->found()) {
    if (!assigned_here(*image, found.partition, found.topic_id) && !replicas.contains(found.partition)) {
      strays.push_back(found.partition);
    }
  }
  if (strays.empty()) co_return;
  co_await directory_lock.lock();
  std::function<Status()> work = [this, strays]() -> Status {
    for (const TopicPartition& at : strays) ORDEAL_TRY(directory->remove(at));
    return {};
  };
  const Status removed = co_await env::blocking(env.scheduler, std::move(work));
  directory_lock.unlock();
  if (!removed) fatal(removed.error());
}

env::Task<> ReplicaManager::Impl::create_all(std::vector<std::pair<TopicPartition, Uuid>> some) {
  using Opened = Result<std::vector<log::PartitionLog*>>;
  std::vector<log::LogConfig> configs;
  for (const auto& [at, id] : some) configs.push_back(settings_for(at).log);
  co_await directory_lock.lock();
  const WallMs now = env.scheduler.wall_ms();
  std::function<Opened()> work = [this, some, configs, now]() -> Opened {
    std::vector<log::PartitionLog*> logs;
    for (std::size_t i = 0; i < some.size(); ++i) {
      const auto log = directory->open_log(some[i].first, some[i].second, configs[i], now);
      if (!log) return ordeal::fail(log.error().at(some[i].first.to_string()));
      logs.push_back(*log);
    }
    return logs;
  };
  Opened opened = co_await env::blocking(env.scheduler, std::move(work));
  if (opened) {
    for (std::size_t i = 0; i < some.size(); ++i) {
      const auto& [at, id] = some[i];
      const Offset hw = directory->checkpointed_high_watermark(at);
      auto replica = std::make_shared<Replica>(context, at, id, *(*opened)[i], hw);
      replicas[at] = replica;
      by_id[{id, at.partition}] = std::move(replica);
    }
  }
  directory_lock.unlock();
  if (!opened) fatal(opened.error());
}

void ReplicaManager::Impl::refresh_fetchers() {
  std::map<NodeId, std::map<TopicPartition, ReplicaPtr>> by_leader;
  for (const auto& [at, replica] : replicas) {
    const Partition& partition = replica->partition();
    if (replica->retired() || !partition.following() || partition.leader() == kNoNode) continue;
    by_leader[partition.leader()].emplace(at, replica);
  }
  for (auto it = fetchers.begin(); it != fetchers.end();) {
    const auto wanted = by_leader.find(it->first);
    if (wanted == by_leader.end()) {
      it->second->stop();
      it = fetchers.erase(it);
    } else {
      it->second->follow(wanted->second);
      by_leader.erase(wanted);
      ++it;
    }
  }
  for (auto& [leader, followed] : by_leader) {
    ReplicaFetcher::Wiring wiring;
    wiring.broker_epoch = controller.broker_epoch;
    wiring.leader_endpoint = [this, node = leader]() -> std::optional<Endpoint> {
      const meta::BrokerImage* broker = image->broker(node);
      const Endpoint* endpoint = broker != nullptr ? broker->endpoint(meta::kReplicationListener) : nullptr;
      if (endpoint == nullptr) return std::nullopt;
      return *endpoint;
    };
    auto fetcher = std::make_shared<ReplicaFetcher>(context, std::move(wiring));
    fetcher->follow(followed);
    fetcher->start();
    fetchers.emplace(leader, std::move(fetcher));
  }
}

// ---- Addressing

CurrentLeader ReplicaManager::Impl::current_leader(const PartitionRef& ref) const {
  const meta::PartitionImage* partition = ref.topic_id.is_zero() ? image->partition(ref.topic, ref.partition)
                                                                 : image->partition(ref.topic_id, ref.partition);
  if (partition == nullptr) return {};
  return {partition->leader, partition->leader_epoch};
}

Resolved ReplicaManager::Impl::resolve(const PartitionRef& ref) const {
  Resolved out;
  meta::TopicPtr topic;
  if (ref.topic_id.is_zero()) {
    topic = image->topic(ref.topic);
    if (!topic) out.error = ErrorCode::unknown_topic_or_partition;
  } else {
    topic = image->topic(ref.topic_id);
    if (!topic) out.error = ErrorCode::unknown_topic_id;
    if (topic && !ref.topic.empty() && ref.topic != topic->name) out.error = ErrorCode::inconsistent_topic_id;
  }
  if (out.error != ErrorCode::none) return out;
  const meta::PartitionImage* partition = topic->partition(ref.partition);
  if (partition == nullptr) {
    out.error = ErrorCode::unknown_topic_or_partition;
    return out;
  }
  out.leader = {partition->leader, partition->leader_epoch};
  const auto found = by_id.find({topic->id, ref.partition});
  if (found == by_id.end() || found->second->retired()) {
    out.error = ErrorCode::not_leader_or_follower;
    return out;
  }
  out.replica = found->second;
  return out;
}

}  // namespace ordeal::replica
