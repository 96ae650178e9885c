// The follower's mover: copies from one leader node all partitions that this node follows there.
//
// One loop, one connection, one Fetch at a time (KIP-595 style). A round: ask from the log ends with the leader epoch
// in hand; act on each part of the answer only if the partition is still followed in that epoch and still ends there
// (A12); cut where the leader says the logs part, append the rest; make it durable; only then ask again, so that the
// offset in a Fetch is always the flushed end in fsync mode.
//
// Requests run in a fetch session: partitions that have nothing new are neither asked for nor answered again.
//
// A new set of partitions interrupts the long poll in progress: a fail-over must not wait for it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "broker/channel/kafka_channel.h"
#include "broker/env/sync.h"
#include "broker/replica/fetcher_session.h"
#include "broker/replica/replica.h"
#include "broker/wire/messages/fetch.h"
#include "broker/wire/messages/offsets.h"

namespace ordeal::replica {

class ReplicaFetcher : public std::enable_shared_from_this<ReplicaFetcher> {
 public:
  struct Wiring {
    std::function<std::optional<Endpoint>()> leader_endpoint;  // its REPLICATION listener, as the image has it now
    std::function<BrokerEpoch()> broker_epoch;
  };
  ReplicaFetcher(ReplicaContext& context, Wiring wiring);

  // Which partitions to copy from now on, and in which leader epoch. Called after every image.
  void follow(const std::map<TopicPartition, ReplicaPtr>& replicas);
  bool idle() const { return followed_.empty(); }
  void start();
  void stop();  // the loop ends soon; nothing is fetched any more

 private:
  struct Followed {
    ReplicaPtr replica;
    LeaderEpoch epoch = kNoEpoch;
    Instant not_before{};
    Duration pause{};  // grows while the partition keeps failing
  };
  // What a request said about one partition: the answer is judged by it.
  struct Asked {
    ReplicaPtr replica;
    LeaderEpoch epoch = kNoEpoch;
    Offset offset = 0;
  };
  using PartitionKey = std::pair<Uuid, PartitionId>;
  struct Round {
    wire::FetchRequest request;
    std::map<PartitionKey, Asked> asked;  // all of the session, also what the request does not repeat
    std::vector<ReplicaPtr> flush_first;  // a former leader's tail: not to be reported before it is durable
    std::vector<ReplicaPtr> trim_first;   // see Replica::has_unwritten_epoch
    Instant next_ready = kForever;        // when a partition that was left out may be asked for
  };
  // Parts of an answer that need the disk for a while; they run side by side.
  struct Repairs {
    explicit Repairs(env::Scheduler& scheduler) : done(scheduler) {}
    std::size_t running = 0;
    env::Signal done;
  };
  using RepairsPtr = std::shared_ptr<Repairs>;

  static env::Task<> run(std::shared_ptr<ReplicaFetcher> self);
  bool acts_on_late_replies() const;
  void interrupt();  // a call in progress ends with Errc::closed; an idle connection is kept
  env::Task<Status> connect();
  template <class Request>
  env::Task<Result<typename Request::Response>> ask(Request request, Instant deadline);
  Round prepare();
  env::Task<> make_ready(Round round);
  env::Task<> settle(Round round, wire::FetchResponse response);
  // Appends, or starts a repair. True: records were appended.
  bool take(const Asked& asked, const wire::FetchResponse::PartitionData& data, const RepairsPtr& repairs);
  void mend(const Asked& asked, const wire::FetchResponse::PartitionData& data, const RepairsPtr& repairs);
  void repair(const RepairsPtr& repairs, env::Task<> work);
  static env::Task<> count_down(RepairsPtr repairs, env::Task<> work);
  static env::Task<> start_over(Asked asked, Offset log_start);
  static env::Task<> cut(Asked asked, EpochEnd leader);
  static env::Task<> trim(ReplicaPtr replica);
  static env::Task<> finish(RepairsPtr repairs);
  static env::Task<> raise_start(ReplicaPtr replica, Offset log_start);
  env::Task<> look_up_epochs(std::vector<Asked> asked);
  void postpone(const TopicPartition& at);
  env::Task<> pause_after_failure();

  ReplicaContext& context_;
  Wiring wiring_;
  std::shared_ptr<channel::KafkaChannel> channel_;
  Endpoint channel_to_;
  env::Signal changed_;
  FetcherSession session_;
  std::map<TopicPartition, Followed> followed_;
  std::vector<Asked> lookups_;  // out of range above the leader's start: ask where the epoch ends (A17)
  std::uint32_t failures_ = 0;  // in a row, of whole requests
  bool news_ = false;           // follow() changed something since the last request was built
  bool stopped_ = false;
};

}  // namespace ordeal::replica
