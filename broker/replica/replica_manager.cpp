#include "broker/replica/replica_manager.h"

#include <utility>

#include "broker/base/check.h"
#include "broker/meta/control.pb.h"
#include "broker/replica/manager_impl.h"

namespace ordeal::replica {

ControllerLink controller_link(meta::Node& node) {
  ControllerLink link;
  link.call = [&node](meta::ControllerRequest request, Instant deadline) {
    return node.call_controller(std::move(request), deadline);
  };
  link.broker_epoch = [&node] { return node.broker_epoch(); };
  return link;
}

ReplicaManager::Impl::Impl(env::Env& env_in, const mutation::Switches& switches_in, ControllerLink controller_in,
                           Options options_in)
    : env(env_in),
      switches(switches_in),
      controller(std::move(controller_in)),
      options(std::move(options_in)),
      context{env, switches, options, env::Gate(env.scheduler), {}, {}, false},
      directory_lock(env.scheduler),
      roles_lock(env.scheduler),
      image(std::make_shared<meta::ClusterImage>()),
      proposals_changed(env.scheduler) {
  ORDEAL_CHECK(options.fatal != nullptr, "a failed disk must be able to end the node");
  context.fatal = [this](const Error& error) { fatal(error); };
  context.isr_proposed = [this](const ReplicaPtr& replica) { queue_proposal(replica); };
}

void ReplicaManager::Impl::fatal(const Error& error) {
  if (std::exchange(fatal_reported, true)) return;
  env.trace.error("broker.disk_failed", {{"error", std::string_view(error.text)}});
  options.fatal(error);
}

ReplicaManager::ReplicaManager(env::Env& env, const mutation::Switches& switches, ControllerLink controller,
                               Options options)
    : impl_(std::make_unique<Impl>(env, switches, std::move(controller), std::move(options))) {}
ReplicaManager::~ReplicaManager() = default;

env::Task<Status> ReplicaManager::open() {
  Impl& impl = *impl_;
  using Opened = Result<std::unique_ptr<log::LogDirectory>>;
  const WallMs now = impl.env.scheduler.wall_ms();
  std::function<Opened()> work = [&impl, now]() -> Opened {
    log::LogDirIdentity identity;
    identity.cluster_id = impl.options.cluster_id;
    identity.node_id = impl.options.node_id;
    Opened opened = log::LogDirectory::open(impl.env.disk, impl.options.log_dir, identity, impl.switches,
                                            impl.env.trace, impl.env.buggify);
    if (!opened) return opened;
    for (const auto& found : (*opened)->found()) {
      const auto log = (*opened)->open_log(found.partition, found.topic_id, impl.options.log, now);
      if (!log) return ordeal::fail(log.error().at(found.partition.to_string()));
    }
    return opened;
  };
  Opened opened = co_await env::blocking(impl.env.scheduler, std::move(work));
  if (!opened) co_return fail(opened.error());
  impl.directory = std::move(*opened);
  co_return Status{};
}

env::Task<> ReplicaManager::start(meta::ImagePtr image) {
  ORDEAL_CHECK(impl_->directory != nullptr, "open() comes first");
  co_await impl_->apply(std::move(image), true);
  impl_->start_tasks();
}

env::Task<> ReplicaManager::on_image(meta::ImagePtr image) { co_await impl_->apply(std::move(image), false); }

env::Task<> ReplicaManager::stop() {
  Impl& impl = *impl_;
  co_await impl.roles_lock.lock();
  impl.context.stopping = true;
  impl.context.gate.begin_close();
  for (auto& [leader, fetcher] : impl.fetchers) fetcher->stop();
  impl.fetchers.clear();
  impl.proposals_changed.notify_all();
  const auto high_watermarks = impl.high_watermarks();
  for (auto& [at, replica] : impl.replicas) co_await replica->retire();
  co_await impl.context.gate.close();
  impl.replicas.clear();
  impl.by_id.clear();
  impl.roles_lock.unlock();
  if (impl.directory == nullptr || impl.fatal_reported) co_return;
  co_await impl.directory_lock.lock();
  const BrokerEpoch epoch = impl.controller.broker_epoch();
  std::function<Status()> work = [&impl, high_watermarks, epoch] {
    return impl.directory->close_clean(high_watermarks, epoch);
  };
  const Status closed = co_await env::blocking(impl.env.scheduler, std::move(work));
  impl.directory_lock.unlock();
  if (!closed) impl.fatal(closed.error());
  impl.directory.reset();
}

std::vector<PartitionStatus> ReplicaManager::status() const {
  std::vector<PartitionStatus> all;
  for (const auto& [at, replica] : impl_->replicas) all.push_back(replica->status());
  return all;
}

std::optional<PartitionStatus> ReplicaManager::status(const TopicPartition& at) const {
  const auto found = impl_->replicas.find(at);
  if (found == impl_->replicas.end()) return std::nullopt;
  return found->second->status();
}

std::size_t ReplicaManager::leading() const {
  std::size_t count = 0;
  for (const auto& [at, replica] : impl_->replicas) count += replica->partition().leading() ? 1 : 0;
  return count;
}

}  // namespace ordeal::replica
