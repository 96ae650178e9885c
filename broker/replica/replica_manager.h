// Everything a broker does with partitions it hosts: the interface of the request handlers to the replicated logs.
//
// The manager owns one PartitionLog and one Partition decider for each replica on this node, follows the cluster image
// (create, lead, follow, delete), appends and reads for the handlers, keeps the ISR through the controller, and runs
// the fetchers that copy from other leaders. All calls are made on the node's run queue.
//
// Durability (Options::fsync): in fsync mode a replica's position is its flushed end. Flushes are grouped: one in
// flight a partition, partitions side by side. A flush that fails ends the process through Options::fatal.
//
// A partition is addressed by name (old requests) or by topic id (Produce v13, Fetch v13 and later): PartitionRef.
// Errors come back per partition as Kafka error codes; nothing here throws or returns an error for the whole request.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/base/bytes.h"
#include "broker/base/types.h"
#include "broker/env/env.h"
#include "broker/log/partition_log.h"
#include "broker/meta/image.h"
#include "broker/meta/node.h"
#include "broker/mutation/mutation.h"
#include "broker/wire/error_codes.h"

namespace ordeal::replica {

// Either the name or the id may be missing (empty, zero); if both are given they must belong together, else
// INCONSISTENT_TOPIC_ID. A missing or deleted topic is UNKNOWN_TOPIC_OR_PARTITION (by name) or UNKNOWN_TOPIC_ID.
struct PartitionRef {
  std::string topic;
  Uuid topic_id;
  PartitionId partition = 0;
};

// Who leads now, as Produce v10 and Fetch v12 report it with NOT_LEADER_OR_FOLLOWER or FENCED_LEADER_EPOCH (KIP-951).
struct CurrentLeader {
  NodeId leader = kNoNode;
  LeaderEpoch epoch = kNoEpoch;
};

enum class Isolation : std::int8_t { read_uncommitted = 0, read_committed = 1 };

// ---- Produce

using AppendOrigin = log::AppendOrigin;  // client, coordinator

struct RecordError {
  std::int32_t batch_index = 0;
  std::string message;
};

struct AppendRequest {
  PartitionRef at;
  Slice records;  // exactly one RecordBatch v2 as the client sent it; never modified
};

struct AppendResult {
  wire::ErrorCode error = wire::ErrorCode::none;
  std::string error_message;               // empty: none
  std::vector<RecordError> record_errors;  // Produce v8+
  Offset base_offset = kNoOffset;          // a duplicate gets the offset of the first copy
  WallMs log_append_time = kNoTimestamp;   // set when the topic stamps records at the broker
  Offset log_start_offset = kNoOffset;
  CurrentLeader current_leader;  // set with NOT_LEADER_OR_FOLLOWER
};

struct AppendParams {
  std::vector<AppendRequest> requests;
  std::int16_t acks = -1;         // 0, 1 or -1; anything else: INVALID_REQUIRED_ACKS for all
  Instant deadline = kForever;    // acks=-1 (and 1 in fsync mode): REQUEST_TIMED_OUT when it passes; the records stay
  std::int16_t api_version = 13;  // of Produce: below 7 zstd is refused
  AppendOrigin origin = AppendOrigin::client;
};

// ---- Fetch (consumers and followers)

struct FetchPartition {
  PartitionRef at;
  LeaderEpoch current_leader_epoch = kNoEpoch;  // none: not checked
  Offset fetch_offset = 0;
  LeaderEpoch last_fetched_epoch = kNoEpoch;  // v12+: lets the leader find divergence
  Offset log_start_offset = kNoOffset;        // of the follower
  std::int32_t max_bytes = 1 << 20;
};

struct FetchParams {
  NodeId replica_id = -1;          // -1: a consumer
  BrokerEpoch replica_epoch = -1;  // v15+: of the follower's incarnation
  Duration max_wait{};
  std::int32_t min_bytes = 1;
  std::int32_t max_bytes =
      50 << 20;  // the first non-empty partition may exceed it by one batch, so progress is possible
  Isolation isolation = Isolation::read_uncommitted;
  bool in_session = false;  // an incremental fetch: epochs and offsets are what the session holds
  std::vector<FetchPartition> partitions;
};

struct AbortedTransaction {
  ProducerId producer_id = kNoProducerId;
  Offset first_offset = 0;
};

struct DivergingEpoch {
  LeaderEpoch epoch = kNoEpoch;
  Offset end_offset = kNoOffset;
};

struct FetchResult {
  wire::ErrorCode error = wire::ErrorCode::none;
  Offset high_watermark = kNoOffset;
  Offset last_stable_offset = kNoOffset;
  Offset log_start_offset = kNoOffset;                     // set with OFFSET_OUT_OF_RANGE too
  std::optional<DivergingEpoch> diverging;                 // then there are no records
  CurrentLeader current_leader;                            // set with NOT_LEADER_OR_FOLLOWER and FENCED_LEADER_EPOCH
  std::optional<std::vector<AbortedTransaction>> aborted;  // read_committed only; null otherwise
  Slice records;                                           // whole batches; the first may begin before fetch_offset
};

// ---- ListOffsets, OffsetForLeaderEpoch

struct ListOffsetsQuery {
  PartitionRef at;
  LeaderEpoch current_leader_epoch = kNoEpoch;
  std::int64_t timestamp = -1;  // milliseconds, or a place below zero (wire/messages/offsets.h)
  Isolation isolation = Isolation::read_uncommitted;
  NodeId replica_id = -1;  // a follower sees up to the log end
};

struct ListOffsetsResult {
  // OFFSET_NOT_AVAILABLE (KIP-207; callers below v5 send LEADER_NOT_AVAILABLE instead) until a new leader knows its
  // end.
  wire::ErrorCode error = wire::ErrorCode::none;
  std::int64_t timestamp = kNoTimestamp;
  Offset offset = kNoOffset;
  LeaderEpoch leader_epoch = kNoEpoch;
};

struct EpochQuery {
  PartitionRef at;
  LeaderEpoch current_leader_epoch = kNoEpoch;
  LeaderEpoch leader_epoch = kNoEpoch;  // asked for
};

struct EpochAnswer {
  wire::ErrorCode error = wire::ErrorCode::none;
  LeaderEpoch leader_epoch = kNoEpoch;  // the largest epoch not above the one asked for
  Offset end_offset = kNoOffset;
};

// ---- State for tools, invariants and tests

struct PartitionStatus {
  TopicPartition at;
  Uuid topic_id;
  bool leading = false;
  NodeId leader = kNoNode;
  LeaderEpoch leader_epoch = kNoEpoch;
  PartitionEpoch partition_epoch = -1;
  std::vector<NodeId> isr;  // committed; filled on the leader
  std::vector<NodeId> maximal_isr;
  Offset log_start = 0;
  Offset high_watermark = 0;
  Offset last_stable = 0;
  Offset flushed_end = 0;
  Offset log_end = 0;
  std::int64_t log_bytes = 0;
};

struct Options {
  NodeId node_id = kNoNode;
  std::string cluster_id;
  std::string log_dir;                   // the node's data directory; partitions live in <log_dir>/<topic>-<partition>
  bool fsync = true;                     // log.flush.interval.messages=1; false: page-cache durability
  log::LogConfig log;                    // defaults of every topic; topic configs from the image override
  std::int32_t min_insync_replicas = 1;  // default of every topic
  Duration replica_lag_time_max = 30s;
  Duration replica_fetch_wait_max = 500ms;
  Duration replica_fetch_backoff = 100ms;
  Duration replica_request_timeout = 30s;
  std::int32_t replica_fetch_min_bytes = 1;
  std::int32_t replica_fetch_max_bytes = 1 << 20;
  std::int32_t replica_fetch_response_max_bytes = 10 << 20;
  Duration high_watermark_checkpoint_interval = 5s;
  Duration retention_check_interval = 5min;
  Duration flush_checkpoint_interval = 60s;  // recovery points
  Duration hw_trace_interval = 100ms;        // partition.hw events a partition; zero: every change
  std::function<void(const Error&)> fatal;   // must end the process (or the simulated node); called at most once
};

// The way to the active controller. Separate from meta::Node so that replication can be tested without Raft.
struct ControllerLink {
  std::function<env::Task<Result<meta::ControllerResponse>>(meta::ControllerRequest, Instant deadline)> call;
  std::function<BrokerEpoch()> broker_epoch;  // of the present registration
};
ControllerLink controller_link(meta::Node& node);  // the node must outlive the link

class ReplicaManager {
 public:
  // All references must outlive the manager. Typically: ReplicaManager(env, switches, controller_link(node), options).
  ReplicaManager(env::Env& env, const mutation::Switches& switches, ControllerLink controller, Options options);
  ~ReplicaManager();
  ReplicaManager(const ReplicaManager&) = delete;
  ReplicaManager& operator=(const ReplicaManager&) = delete;

  // Opens and recovers what the log directory holds. Before anything else. Errc::invalid_argument when the directory is
  // another node's or another cluster's.
  env::Task<Status> open();
  // An image that has this broker's new registration, before the broker is unfenced (meta::Node::set_ready): from here
  // on partitions are led and followed. Leadership that this image gives to this broker belongs to an earlier
  // incarnation and is not taken up (a new incarnation leads only in a new leader epoch).
  env::Task<> start(meta::ImagePtr image);
  // Every later image, in order. Returns once the partitions have taken their new roles.
  env::Task<> on_image(meta::ImagePtr image);
  // Stops fetchers and waiting requests, flushes, checkpoints and closes cleanly (marker written).
  env::Task<> stop();

  // Results in the order of the requests. acks=0 resolves at once after the append.
  env::Task<std::vector<AppendResult>> append(AppendParams params);
  env::Task<std::vector<FetchResult>> fetch(FetchParams params);
  env::Task<std::vector<ListOffsetsResult>> list_offsets(std::vector<ListOffsetsQuery> queries);
  env::Task<std::vector<EpochAnswer>> offset_for_leader_epoch(std::vector<EpochQuery> queries);

  std::vector<PartitionStatus> status() const;  // by topic and partition
  std::optional<PartitionStatus> status(const TopicPartition& at) const;
  std::size_t leading() const;  // how many partitions this node leads: controlled shutdown waits for zero

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ordeal::replica
