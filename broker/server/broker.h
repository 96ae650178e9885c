// One broker, wired: metadata node, replicated logs and the Kafka server over one Env. The same in the real process and
// in the simulator.
//
//   start: store -> metadata node -> own logs recovered -> registered -> partitions follow the image -> listeners open
//          -> ready for the controller -> unfenced: serving
//   stop:  leaders moved away -> no new requests -> logs flushed and closed -> replies sent -> metadata node -> store
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "broker/base/config.h"
#include "broker/env/env.h"
#include "broker/env/sync.h"
#include "broker/kv/rocks_store.h"
#include "broker/meta/node.h"
#include "broker/mutation/mutation.h"
#include "broker/replica/replica_manager.h"
#include "broker/server/producer_ids.h"
#include "broker/server/server.h"
#include "broker/server/services.h"

namespace ordeal::server {

class Broker {
 public:
  // `env` and `switches` must outlive the broker, and the broker must outlive its tasks: destroy it after stop() has
  // returned, or after the node's scheduler dropped its frames (a simulated kill). `fatal` must end the process or the
  // simulated node: it is called when a disk or the store failed and going on would break promises. `open_store`
  // opens the metadata store; by default RocksDB on the kernel's file system.
  Broker(env::Env& env, BrokerConfig config, const mutation::Switches& switches,
         std::function<void(const Error&)> fatal, kv::KvFactory open_store = {});
  ~Broker();
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  // Returns when the broker serves clients (registered and unfenced), however long the quorum takes to form;
  // Errc::closed when stop() came first. After an error everything begun has been stopped again.
  env::Task<Status> start();
  // Controlled shutdown; once. May be called while start() waits.
  env::Task<> stop();

  bool serving() const { return serving_; }
  const BrokerConfig& config() const { return config_; }
  // For tools, invariants and tests; valid while the broker runs.
  meta::Node& node() { return *node_; }
  meta::Node* started_node() { return node_started_ ? node_.get() : nullptr; }  // also of a broker that does not serve
  replica::ReplicaManager& replicas() { return *replicas_; }
  Endpoint local(const std::string& listener) const;  // the address really listened on

 private:
  class NodeMetadata;
  class ReplicaPartitions;

  env::Task<Status> bring_up();
  env::Task<Status> open_store(meta::NodeConfig& node);
  env::Task<Status> wait_registered();
  env::Task<> follow_image();
  env::Task<> leave_cluster();
  env::Task<> tear_down(bool controlled);
  meta::NodeConfig node_config();
  replica::Options replica_options() const;
  void report_mutations();

  env::Env& env_;
  const BrokerConfig config_;
  const mutation::Switches& switches_;
  const std::function<void(const Error&)> fatal_;
  kv::KvFactory store_factory_;

  std::unique_ptr<kv::KvStore> store_;
  std::unique_ptr<meta::Node> node_;
  std::unique_ptr<replica::ReplicaManager> replicas_;
  std::unique_ptr<Metadata> metadata_;
  std::unique_ptr<Partitions> partitions_;
  std::unique_ptr<ProducerIds> producer_ids_;
  std::unique_ptr<Services> services_;
  std::unique_ptr<Server> server_;
  env::Gate gate_;
  env::Signal settled_;  // start() or stop() came to its end
  bool starting_ = false;
  bool serving_ = false;
  bool stopping_ = false;
  bool node_started_ = false;
  bool logs_open_ = false;
  bool stopped_ = false;
};

}  // namespace ordeal::server
