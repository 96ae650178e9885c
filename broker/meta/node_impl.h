// The mover behind Node: what its four source files share. See node.h for the contract.
//
// Everything that steps Raft or the controller goes through one queue of events and one loop (node_raft.cpp), because
// nothing may be stepped between "persist" and the end of the effects.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <variant>

#include "broker/meta/control_channel.h"
#include "broker/meta/controller.h"
#include "broker/meta/node.h"
#include "broker/meta/raft.h"
#include "broker/meta/raft_storage.h"

namespace ordeal::meta {

ControllerResponse not_controller();  // the refusal of a node that is not the active controller

class Node::Impl final : public ControlEvents {
 public:
  Impl(env::Env& env, NodeConfig config, kv::KvStore& store, const mutation::Switches& switches);

  // node.cpp
  env::Task<Status> start();
  env::Task<> stop();
  env::Task<Result<ControllerResponse>> call_controller(ControllerRequest request, Instant deadline);
  bool is_active_controller() const { return controller_.has_value(); }
  NodeId controller_id() const { return raft_ ? raft_->leader() : kNoNode; }
  QuorumStatus quorum() const;  // node_quorum.cpp

  // node_lifecycle.cpp
  void set_ready();
  env::Task<Status> wait_unfenced(Instant deadline);
  env::Task<Status> controlled_shutdown(Instant deadline);
  bool fenced() const;

  // ControlEvents
  void on_raft(const Envelope& envelope) override;
  env::Task<ControllerResponse> on_request(NodeId from, ControllerRequest request) override;
  void on_connected(NodeId peer) override;
  void on_heard(NodeId peer) override { lost_.erase(peer); }
  void on_lost(NodeId peer) override;

  ImagePtr image_;
  env::Signal image_changed_;
  BrokerEpoch broker_epoch_ = -1;

 private:
  using Reply = env::OneShot<ControllerResponse>;
  struct LostPeer {
    NodeId peer;
  };
  struct FoundPeer {
    NodeId peer;
  };
  struct Transfer {};
  struct Request {
    ControllerRequest request;
    std::shared_ptr<Reply> reply;
  };
  using Event = std::variant<raft::Message, LostPeer, FoundPeer, Transfer, Request>;
  struct Waiting {
    ControllerResponse response;
    std::shared_ptr<Reply> reply;
  };

  // node_raft.cpp
  env::Task<> raft_loop();
  void step_events();
  void step(Event event);
  void note_role();
  env::Task<Status> perform(raft::Effects effects);
  bool must_sync(const raft::Effects& effects) const;
  void note_persisted(const raft::Effects& effects);
  void send_snapshots(const std::vector<NodeId>& peers);
  Status replay(const std::vector<raft::Entry>& entries, ImageBuilder& builder);
  env::Task<Status> apply(ImageBuilder builder);
  env::Task<Status> compact_log();
  env::Task<Status> write(kv::WriteBatch batch, kv::Sync sync);
  void publish(ImagePtr image);
  void post(Event event);
  Instant next_deadline() const;
  void fatal(const Error& error);

  // node_quorum.cpp
  Endpoint own_endpoint() const;
  void connect_to(NodeId peer, const Endpoint& endpoint);
  void connect_to_voters(const raft::VoterSet& voters);
  void send_raft(const raft::Message& message);
  void alter_voters(const AlterVotersRequest& request, ControllerResponse& response);
  ControllerResponse describe_quorum() const;
  void note_quorum();
  void note_applied();

  // node_controller.cpp
  bool leads() const;
  void activate_controller();
  void resign_controller();
  void tick_controller();
  void decide(Request request);
  void append_records(const MetadataBatch& records);
  void acknowledge();
  // The controller's truth as trace events, for whoever judges a cluster from outside.
  void report_committed(const raft::Entry& entry, const ClusterImage& after);
  void report_broker(const BrokerImage& broker, Offset index);
  void report_partition(const TopicImage& topic, PartitionId number, Offset index);

  // node_lifecycle.cpp
  env::Task<> lifecycle_loop();
  env::Task<bool> register_broker();
  env::Task<bool> heartbeat();
  void kick_lifecycle();
  void note_own_registration(const ClusterImage& before, const ClusterImage& after);

  ChannelConfig channel_config() const;

  env::Env& env_;
  const NodeConfig config_;
  kv::KvStore& store_;
  const mutation::Switches& switches_;
  env::Gate gate_;
  ControlServer server_;
  std::map<NodeId, std::unique_ptr<PeerChannel>> channels_;      // to the voters, and to who asked for the log
  std::vector<std::unique_ptr<PeerChannel>> replaced_channels_;  // stopped: their peer listens elsewhere now

  std::optional<raft::Raft> raft_;
  std::deque<Event> events_;
  env::Signal wake_;            // of the Raft loop
  env::Signal leader_changed_;  // also when the own controller becomes active
  raft::Role seen_role_ = raft::Role::follower;
  raft::Term seen_term_ = -1;
  NodeId seen_leader_ = kNoNode;
  raft::Index seen_commit_ = 0;
  raft::Index seen_voters_index_ = -1;
  raft::VoterSet seen_voters_;
  std::set<NodeId> lost_;  // connection broken and not heard of since

  std::optional<Controller> controller_;
  raft::Term controller_term_ = 0;
  std::multimap<Offset, Waiting> waiting_;  // for their records to be applied

  env::Signal lifecycle_wake_;
  bool lifecycle_kicked_ = false;
  bool ready_ = false;
  bool want_shutdown_ = false;
  bool may_shut_down_ = false;
  bool failed_ = false;
};

}  // namespace ordeal::meta
