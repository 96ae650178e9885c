// The active controller as a pure decider: requests and time in, records and responses out.
//
// Only replay() changes the cluster state, and it changes this controller's own image as soon as the records are
// appended to the Raft log, before they commit: the next decision then builds on them (two CAS requests in flight
// cannot both win). The mover answers a request only once everything decided up to then is committed and applied, and
// throws the whole controller away when leadership is lost. Soft state (sessions, the metadata offsets that brokers
// report) is not replicated: every new controller starts all timers anew.
//
// Sources: KIP-631 (controller), KIP-497 and KIP-841/903 (AlterPartition), KIP-966 (eligible leader replicas).
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "broker/base/random.h"
#include "broker/meta/control.pb.h"
#include "broker/meta/image_builder.h"
#include "broker/mutation/mutation.h"

namespace ordeal::meta {

struct ControllerConfig {
  NodeId self = kNoNode;
  Uuid self_incarnation;  // an earlier incarnation of this very node cannot be alive
  std::string cluster_id;
  Duration session_timeout = 1500ms;
  Duration lost_connection_grace = 300ms;
  std::int32_t num_partitions = 1;
  std::int32_t default_replication_factor = 1;
  std::int32_t min_insync_replicas = 1;
  bool unclean_leader_election = false;
  bool auto_leader_rebalance = true;
  Duration leader_rebalance_interval = 300s;
};

struct Decision {
  MetadataBatch records;  // one atomic entry; none: nothing to append
  ControllerResponse response;
};

inline constexpr std::int32_t kProducerIdBlock = 1000;  // KIP-730
inline constexpr std::int32_t kPartitionsMax = 10000;   // of one topic

class Controller {
 public:
  static constexpr std::string_view kMinIsr = "min.insync.replicas";

  // `image` has everything committed before this leadership.
  Controller(ControllerConfig config, const ClusterImage& image, Random random, Instant now,
             const mutation::Switches& switches = mutation::no_switches());

  // Records of handle(), tick() and bootstrap() must be appended at this index and replayed before the next call.
  Offset next_index() const { return state_.view().offset() + 1; }
  void replay(const MetadataBatch& records, Offset index);
  void skip(Offset index) { state_.skip(index); }  // an entry without records: a change of the voters

  Decision handle(const ControllerRequest& request, Instant now);
  // What a fresh cluster begins with; empty when it has begun.
  MetadataBatch bootstrap() const;
  // Fences silent brokers and rebalances leaders. Call again after replaying, until it returns nothing.
  MetadataBatch tick(Instant now);
  Instant next_deadline() const;
  // A hint that the broker died: it has the grace period to be heard of.
  void connection_lost(NodeId broker, Instant now);

  const ClusterImage& image() const { return state_.view(); }

 private:
  struct Session {
    Instant deadline{};
    Offset metadata_offset = -1;  // as last reported
    Offset shutdown_offset = -1;  // of the BrokerShuttingDown record; -1: not asked
  };
  // What an election must assume beyond the image: records of the same entry are not replayed yet.
  struct Assume {
    NodeId gone = kNoNode;
    NodeId back = kNoNode;
    bool lost = false;                    // `gone` stopped uncleanly and may have lost what others counted on
    bool unclean = false;                 // any active replica may lead
    std::optional<std::int32_t> min_isr;  // of the topic, from now on
  };
  // Of a partition; the epochs follow from it.
  struct PartitionState {
    NodeId leader = kNoNode;
    std::vector<NodeId> isr;
    std::vector<NodeId> elr;
    std::vector<NodeId> last_known;
  };
  struct Election {
    NodeId leader = kNoNode;
    bool unclean = false;
  };

  // controller_brokers.cpp
  void on_registration(const BrokerRegistrationRequest& request, Instant now, Decision& decision);
  void on_heartbeat(const BrokerHeartbeatRequest& request, Instant now, Decision& decision);
  void controlled_shutdown(const BrokerImage& broker, MetadataBatch& records, BrokerHeartbeatResponse& response);
  bool has_valid_session(const BrokerImage& broker, Instant now) const;
  bool others_caught_up(NodeId leaving, Offset offset) const;
  void fence(const BrokerImage& broker, bool lost, MetadataBatch& records) const;
  static bool may_have_lost(const BrokerImage& before, const BrokerRegistrationRequest& now);
  void touch(NodeId broker, Instant now);
  std::optional<std::int32_t> check_epoch(NodeId broker, BrokerEpoch epoch) const;  // an error code

  // controller_partitions.cpp
  void on_alter_partition(const AlterPartitionRequest& request, Decision& decision);
  std::int32_t validate_alter(NodeId from, const AlterPartitionRequest::Partition& proposal,
                              const PartitionImage* partition) const;
  bool may_be_member(const AlterPartitionRequest::IsrMember& member, const PartitionImage& partition) const;
  void on_elect_leaders(const ElectLeadersRequest& request, Decision& decision);
  std::int32_t elect_one(const TopicImage& topic, PartitionId number, bool unclean, MetadataBatch& records) const;
  void rebalance(MetadataBatch& records) const;

  // controller_elections.cpp
  void leave_all(NodeId gone, bool lost, MetadataBatch& records) const;
  void join_all(NodeId back, MetadataBatch& records) const;
  bool active(NodeId node, const Assume& assume) const;
  bool unclean_allowed(const TopicImage& topic) const;
  std::int32_t min_isr(const TopicImage& topic, const Assume& assume) const;
  static std::int32_t parse_min_isr(const std::string& value);
  static std::vector<NodeId> eligible(const PartitionImage& partition, const std::vector<NodeId>& isr,
                                      std::int32_t min_isr, NodeId lost);
  Election elect(const TopicImage& topic, const PartitionImage& partition, const PartitionState& state,
                 const Assume& assume) const;
  // Puts the change that `assume` makes necessary into `records`, if any.
  void update_partition(const TopicImage& topic, PartitionId number, const Assume& assume,
                        MetadataBatch& records) const;
  // False when nothing changes.
  static bool record_change(const TopicImage& topic, PartitionId number, const PartitionState& to,
                            MetadataBatch& records);
  void for_each_partition(const std::function<void(const TopicImage&, PartitionId)>& visit) const;

  // controller_topics.cpp
  void on_create_topics(const CreateTopicsRequest& request, Decision& decision);
  void on_delete_topics(const DeleteTopicsRequest& request, Decision& decision);
  void on_alter_topic_configs(const AlterTopicConfigsRequest& request, Decision& decision);
  void on_allocate_producer_ids(const AllocateProducerIdsRequest& request, Decision& decision);
  Uuid new_topic_id();

  const ControllerConfig config_;
  const mutation::Switches& switches_;
  ImageBuilder state_;  // committed, plus what this controller appended
  Random random_;
  std::map<NodeId, Session> sessions_;
  Instant last_tick_;
  Instant next_rebalance_;
};

}  // namespace ordeal::meta
