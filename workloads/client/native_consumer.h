// The native consumer: assigned partitions, fetched raw from their leaders, with leader epochs on every request and
// truncation detection (KIP-320). It hands out whole batches as they lie in the log, control batches included: what the
// auditor needs. unpack() below turns them into records.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/env/sync.h"
#include "broker/wire/messages/fetch.h"
#include "broker/wire/record_batch.h"
#include "workloads/client/native_cluster.h"

namespace ordeal::client {

struct ConsumerOptions {
  bool read_committed = true;
  Duration max_wait = 200ms;
  std::int32_t min_bytes = 1;
  std::int32_t max_bytes = 8 << 20;
  std::int32_t partition_max_bytes = 1 << 20;
  std::size_t buffered_chunks_max = 64;  // fetching pauses while this many wait to be polled
  Duration retry_backoff = 50ms;
};

struct Fetched {
  TopicPartition tp;
  Slice batches;    // whole RecordBatches; the first may begin below `from`
  Offset from = 0;  // the position asked for
  Offset next = 0;  // the position after these batches
  Offset high_watermark = 0;
  Offset last_stable = 0;
  Offset log_start = 0;
  LeaderInfo leader;                                   // who served it
  std::vector<std::pair<ProducerId, Offset>> aborted;  // read_committed: (producer id, first offset)
};

struct ConsumerEvent {
  enum class Kind {
    truncated,     // records below the position were cut away by a leader change: the position went back to `offset`
    out_of_range,  // the log does not have the position any more: it went to `offset`, the log's start
    error,         // `text` says what; fetching goes on
  } kind;
  TopicPartition tp;
  Offset position = 0;  // before
  Offset offset = 0;    // after
  std::string text;
};

struct Polled {
  std::vector<Fetched> chunks;
  std::vector<ConsumerEvent> events;
};

class NativeConsumer {
 public:
  NativeConsumer(NativeCluster& cluster, ConsumerOptions options);
  ~NativeConsumer();

  void assign(const TopicPartition& tp, Offset from);  // adds, or moves an assigned one
  void unassign(const TopicPartition& tp);
  Offset position(const TopicPartition& tp) const;
  // What arrived since the last poll; waits until the deadline for something to arrive. Empty chunks (a fetch that
  // found nothing) are handed out too when `tell_empty`, since they carry fresh high watermarks.
  env::Task<Polled> poll(Instant deadline);
  void tell_empty(bool on) { tell_empty_ = on; }
  env::Task<> close();

 private:
  struct Assigned {
    Offset position = 0;
    LeaderEpoch last_epoch = kNoEpoch;     // of the last batch read; none right after assign()
    LeaderEpoch checked_epoch = kNoEpoch;  // the position was validated against this leader epoch
    std::optional<LeaderInfo> leader;
    std::uint64_t generation = 0;  // changes with every assign(): late replies for an earlier one are dropped
    bool busy = false;             // part of a fetch or a validation in progress
    Instant not_before{};
  };

  env::Task<> run_leaders();
  env::Task<> run_node(NodeId node);
  env::Task<> validate(TopicPartition tp, Assigned* assigned, std::uint64_t generation);
  wire::FetchRequest make_request(NodeId node, std::map<TopicPartition, std::uint64_t>* asked);
  void take_reply(NodeId node, const wire::FetchResponse& reply, const std::map<TopicPartition, std::uint64_t>& asked);
  void take_partition(NodeId node, const TopicPartition& tp, const wire::FetchResponse::PartitionData& data);
  void take_error(NodeId node, const TopicPartition& tp, Assigned& assigned,
                  const wire::FetchResponse::PartitionData& data);
  void release(const std::map<TopicPartition, std::uint64_t>& asked, NodeId node, bool stale);
  void add_event(ConsumerEvent event);
  bool current(const TopicPartition& tp, std::uint64_t generation) const;
  Instant now() const { return cluster_.env().scheduler.now(); }

  NativeCluster& cluster_;
  ConsumerOptions options_;
  bool tell_empty_ = false;
  std::map<TopicPartition, Assigned> assigned_;
  std::map<NodeId, bool> node_loops_;
  std::uint64_t next_generation_ = 1;
  std::deque<Fetched> chunks_;
  std::vector<ConsumerEvent> events_;
  env::Gate gate_;
  env::Signal arrived_;
  env::Signal work_;  // assignments, leaders or buffer space changed
};

// One record of a batch with what the batch knows about it.
struct UnpackedBatch {
  wire::BatchView view;
  bool crc_ok = false;
  bool aborted = false;  // belongs to an aborted transaction (by the chunk's list)
};
// The batches of a chunk from `from` on, in order, marking those of aborted transactions. Errc::corrupt names the
// offset reached when bytes are no batch.
Result<std::vector<UnpackedBatch>> unpack(const Fetched& chunk);

}  // namespace ordeal::client
