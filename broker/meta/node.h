// One node's part in the metadata plane: a Raft voter, the image it applies, its broker's life cycle, and the
// controller while this node leads.
//
// Order of effects in the Raft loop: persist, then send, then apply, then acknowledge. A request to the controller is
// answered only after its records are committed and applied here. All calls belong to the node's run queue.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "broker/env/env.h"
#include "broker/env/sync.h"
#include "broker/kv/kv_store.h"
#include "broker/meta/image.h"
#include "broker/meta/raft_types.h"
#include "broker/mutation/mutation.h"

namespace ordeal::meta {

class ControllerRequest;   // control.proto: include "broker/meta/control.pb.h" where you build one
class ControllerResponse;  // control.proto

// Plain values; the defaults are the product's. They are shorter than Kafka's (election 1 s, fetch timeout 2 s,
// heartbeat 2 s, session 9 s), so that the first write is acknowledged again within a second of a leader's death.
struct NodeConfig {
  NodeId id = kNoNode;     // node.id
  std::string cluster_id;  // cluster.id: messages of another cluster are refused
  // controller.quorum.voters: what a cluster begins with; later its log says. A node outside follows as an observer.
  std::map<NodeId, Endpoint> voters;
  Endpoint controller_endpoint;              // where this node listens, if `voters` does not say
  std::vector<ListenerEndpoint> advertised;  // what clients and brokers are told: CLIENT, REPLICATION, CONTROLLER
  std::string rack;                          // broker.rack
  Uuid incarnation;                          // fresh at every start of the process
  // How this node stopped last, and what its log promises (BrokerRegistrationRequest says more).
  BrokerEpoch previous_broker_epoch = -1;  // of the clean-shutdown marker
  bool log_kept = false;                   // the log directory was there before this start
  bool log_durable = false;                // flushed before others may count on it

  Duration election_timeout = 300ms;  // controller.quorum.election.timeout.ms; drawn from [x, 2x)
  Duration raft_heartbeat = 80ms;     // the leader's, when it has nothing else to say
  Duration quorum_timeout = 600ms;    // controller.quorum.fetch.timeout.ms: a leader no majority answers resigns
  Duration broker_heartbeat = 200ms;  // broker.heartbeat.interval.ms
  Duration session_timeout = 1500ms;  // broker.session.timeout.ms: a silent broker is fenced
  // A reset connection is a hint of death, never proof: such a broker has this long to be heard of before it is
  // fenced (fencing a live broker is always safe, only slow).
  Duration lost_connection_grace = 300ms;
  Duration connect_timeout = 500ms;
  Duration reconnect_backoff_max = 200ms;

  std::int32_t num_partitions = 1;              // num.partitions
  std::int32_t default_replication_factor = 1;  // default.replication.factor
  std::int32_t min_insync_replicas = 1;         // min.insync.replicas, unless the topic says otherwise
  bool unclean_leader_election = false;         // unclean.leader.election.enable, unless the topic says otherwise
  bool auto_leader_rebalance = true;            // auto.leader.rebalance.enable
  Duration leader_rebalance_interval = 300s;    // leader.imbalance.check.interval.seconds
  std::int64_t raft_entries_max = 4096;         // the log is compacted beyond this many applied entries

  // Called once when the store fails or its content does not check: the node must not go on. The default aborts.
  std::function<void(const Error&)> on_fatal;
};

// The metadata quorum as one node sees it.
struct QuorumStatus {
  raft::Term term = 0;
  raft::Role role = raft::Role::follower;  // an observer is a follower that `voters` does not name
  NodeId leader = kNoNode;
  raft::Index commit = 0;
  raft::Index applied = 0;
  raft::Index start = 1;  // of the log: the first entry that is not compacted away
  raft::Index end = 0;    // the last entry
  std::vector<NodeId> voters;
};

class Node {
 public:
  // Everything passed by reference must outlive the node's tasks, that is, until stop() returned or the node's
  // scheduler dropped them (a simulated kill).
  Node(env::Env& env, NodeConfig config, kv::KvStore& store, const mutation::Switches& switches);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Loads the stored state, listens on the own voter endpoint and starts all loops. Does not wait for a leader.
  env::Task<Status> start();
  // Ends all loops and connections. Call controlled_shutdown() first for a clean stop. Calls of call_controller()
  // still waiting elsewhere return Errc::closed; they must have returned before the node is destroyed.
  env::Task<> stop();

  // The last applied image; never null after start(). Hold the pointer for as long as you need one view.
  ImagePtr image() const;
  env::Signal& image_changed();  // notified after each new image

  // The broker serves its listeners from now on: the controller may unfence it once its metadata caught up.
  void set_ready();
  // Errc::timed_out when the deadline passed first.
  env::Task<Status> wait_unfenced(Instant deadline);
  // Moves leaderships away and waits until the controller lets the broker go; Errc::timed_out when the deadline
  // passed first (stopping is safe all the same, only slower for clients).
  env::Task<Status> controlled_shutdown(Instant deadline);

  // This broker's epoch of its current registration; -1 before the first. Goes with every AlterPartition,
  // AllocateProducerIds and follower fetch.
  BrokerEpoch broker_epoch() const;
  // As the applied image has it (true before registration).
  bool fenced() const;
  NodeId controller_id() const;  // the Raft leader as far as known here; kNoNode
  bool is_active_controller() const;
  QuorumStatus quorum() const;

  // Sends the request to the active controller, here or elsewhere, finding and following it until the deadline.
  // A request may have taken effect although an error is returned or (after a leader change) it was sent twice.
  // Errors: timed_out, closed (stopping). Kafka error codes are in the response's body.
  env::Task<Result<ControllerResponse>> call_controller(ControllerRequest request, Instant deadline);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ordeal::meta
