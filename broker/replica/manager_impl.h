// The inside of ReplicaManager, shared by its source files: roles, requests, fetches, ISR proposals, periodic work.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "broker/env/sync.h"
#include "broker/log/log_dir.h"
#include "broker/replica/fetcher.h"
#include "broker/replica/replica.h"
#include "broker/replica/replica_manager.h"
#include "broker/replica/topic_config.h"

namespace ordeal::replica {

// Serialises tasks that use the log directory's tables across an await.
class AsyncLock {
 public:
  explicit AsyncLock(env::Scheduler& scheduler) : freed_(scheduler) {}
  env::Task<> lock() {
    while (held_) {
      const bool woken = co_await freed_.wait();
      (void)woken;
    }
    held_ = true;
  }
  void unlock() {
    held_ = false;
    freed_.notify_all();
  }

 private:
  env::Signal freed_;
  bool held_ = false;
};

struct Resolved {
  ErrorCode error = ErrorCode::none;
  ReplicaPtr replica;  // set iff there is no error; it may follow, or be busy
  CurrentLeader leader;
};

struct ReplicaManager::Impl {
  Impl(env::Env& env_in, const mutation::Switches& switches_in, ControllerLink controller_in, Options options_in);

  // manager_roles.cpp
  env::Task<> apply(meta::ImagePtr next, bool first);
  env::Task<> assign_all(std::vector<ReplicaPtr> some);
  env::Task<> remove_all(std::vector<ReplicaPtr> some);
  env::Task<> create_all(std::vector<std::pair<TopicPartition, Uuid>> some);
  env::Task<> remove_strays();
  void refresh_fetchers();
  bool assigned_here(const meta::ClusterImage& in, const TopicPartition& at, const Uuid& id) const;
  TopicSettings settings_for(const TopicPartition& at) const;
  TopicSettings default_settings() const { return {options.log, options.min_insync_replicas}; }
  Resolved resolve(const PartitionRef& ref) const;
  CurrentLeader current_leader(const PartitionRef& ref) const;

  // manager_isr.cpp
  void queue_proposal(const ReplicaPtr& replica);
  env::Task<> send_proposals();
  env::Task<bool> send_once(std::map<TopicPartition, ReplicaPtr> batch);

  // manager_tasks.cpp
  void start_tasks();
  env::Task<> isr_ticks();
  env::Task<> checkpoint_high_watermarks();
  env::Task<> checkpoint_recovery_points();
  env::Task<> enforce_retention();
  env::Task<Status> run_job(log::LogDirectory::Job job);
  std::map<TopicPartition, Offset> high_watermarks() const;
  void fatal(const Error& error);

  env::Env& env;
  const mutation::Switches& switches;
  const ControllerLink controller;
  const Options options;
  ReplicaContext context;
  std::unique_ptr<log::LogDirectory> directory;
  AsyncLock directory_lock;
  AsyncLock roles_lock;
  std::map<TopicPartition, ReplicaPtr> replicas;
  std::map<std::pair<Uuid, PartitionId>, ReplicaPtr> by_id;
  std::map<NodeId, std::shared_ptr<ReplicaFetcher>> fetchers;
  meta::ImagePtr image;
  std::map<TopicPartition, ReplicaPtr> proposals;  // to be sent
  env::Signal proposals_changed;
  std::uint64_t next_fetch_id = 1;
  bool fatal_reported = false;
};

}  // namespace ordeal::replica
