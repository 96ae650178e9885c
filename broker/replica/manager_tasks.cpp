// What goes on by itself: ISR ticks, checkpoints, retention.
#include <algorithm>
#include <utility>

#include "broker/env/buggify.h"
#include "broker/replica/manager_impl.h"

namespace ordeal::replica {

void ReplicaManager::Impl::start_tasks() {
  context.gate.spawn(isr_ticks(), "replica.isr");
  context.gate.spawn(send_proposals(), "replica.alter_partition");
  context.gate.spawn(checkpoint_high_watermarks(), "replica.hw_checkpoint");
  context.gate.spawn(checkpoint_recovery_points(), "replica.recovery_points");
  context.gate.spawn(enforce_retention(), "replica.retention");
}

env::Task<> ReplicaManager::Impl::isr_ticks() {
  const Duration interval = std::clamp<Duration>(options.replica_lag_time_max / 4, 20ms, 1s);
  while (true) {
    const Duration pause = env::buggify(env, "replica.early_isr_check") ? Duration(1ms) : interval;
    const bool go_on = co_await context.gate.sleep_for(pause);
    if (!go_on) co_return;
    for (const auto& [at, replica] : replicas) replica->on_isr_tick();
  }
}

std::map<TopicPartition, Offset> ReplicaManager::Impl::high_watermarks() const {
  std::map<TopicPartition, Offset> all;
  for (const auto& [at, replica] : replicas) all[at] = replica->partition().high_watermark();
  return all;
}

// The job holds all it needs; the lock keeps two writers of one file apart.
env::Task<Status> ReplicaManager::Impl::run_job(log::LogDirectory::Job job) {
  std::function<Status()> work = [job = std::move(job)] { return job(); };
  const Status done = co_await env::blocking(env.scheduler, std::move(work));
  if (!done) fatal(done.error());
  co_return done;
}

env::Task<> ReplicaManager::Impl::checkpoint_high_watermarks() {
  std::map<TopicPartition, Offset> written;
  while (true) {
    const bool go_on = co_await context.gate.sleep_for(options.high_watermark_checkpoint_interval);
    if (!go_on) co_return;
    std::map<TopicPartition, Offset> now = high_watermarks();
    if (now == written) continue;
    co_await directory_lock.lock();
    log::LogDirectory::Job job = directory->prepare_high_watermarks(now);
    const Status done = co_await run_job(std::move(job));
    directory_lock.unlock();
    if (!done) co_return;
    written = std::move(now);
  }
}

env::Task<> ReplicaManager::Impl::checkpoint_recovery_points() {
  while (true) {
    const bool go_on = co_await context.gate.sleep_for(options.flush_checkpoint_interval);
    if (!go_on) co_return;
    if (!options.fsync) {  // page-cache durability: this is the only regular flush, for a short recovery
      std::vector<ReplicaPtr> dirty;
      for (const auto& [at, replica] : replicas) {
        if (replica->unflushed()) dirty.push_back(replica);
      }
      for (const ReplicaPtr& replica : dirty) replica->kick_flush();
      for (const ReplicaPtr& replica : dirty) co_await replica->wait_flushed();
    }
    while (std::any_of(replicas.begin(), replicas.end(), [](const auto& entry) { return entry.second->busy(); })) {
      const bool still_open = co_await context.gate.sleep_for(5ms);  // a log in the hands of a job is not to be read
      if (!still_open) co_return;
    }
    co_await directory_lock.lock();
    log::LogDirectory::Job points = directory->prepare_recovery_points();
    log::LogDirectory::Job starts = directory->prepare_log_starts();
    Status done = co_await run_job(std::move(points));
    if (done) done = co_await run_job(std::move(starts));
    directory_lock.unlock();
    if (!done) co_return;
  }
}

env::Task<> ReplicaManager::Impl::enforce_retention() {
  while (true) {
    const bool go_on = co_await context.gate.sleep_for(options.retention_check_interval);
    if (!go_on) co_return;
    for (const auto& [at, replica] : replicas) {
      const Status done = replica->enforce_retention();
      if (!done) fatal(done.error().at(at.to_string()));
    }
    co_await directory_lock.lock();
    std::function<Status()> work = [this] { return directory->sweep(); };
    const Status swept = co_await env::blocking(env.scheduler, std::move(work));
    directory_lock.unlock();
    if (!swept) fatal(swept.error());
  }
}

}  // namespace ordeal::replica
