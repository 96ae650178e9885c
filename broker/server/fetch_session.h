// Fetch sessions (KIP-227): what a client or follower asked for last time, so that it need only say what changed and is
// only told what is new.
//
// Pure: time and drawn numbers come as arguments. The handler calls begin() when a request arrives, fetches everything
// that the plan names, and hands the answers to finish(), which leaves out those without news. It keeps these rules:
//   - A session holds each partition's current leader epoch, and the plan of every fetch carries it (KAFKA-9338).
//   - Epochs count the requests of a session: one that comes twice, late or out of turn is refused as a whole, also
//   when
//     it is overtaken while it waits for data.
//   - A partition answered with an error is answered again as soon as the error is gone, whether or not it moved.
//   - There are at most `slots` sessions. A full cache makes room only at the cost of one that was idle for `min_age`;
//     for a follower, of any consumer's; else of a smaller one that lived for `min_age` (and is no follower's, unless
//     the newcomer is one too). Whoever gets no session is served all the same.
//   - A session opened by a broker is unknown to everybody else.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "broker/base/types.h"
#include "broker/wire/messages/fetch.h"

namespace ordeal::server {

class FetchSessions {
 public:
  struct Limits {
    std::size_t slots = 1000;
    Duration min_age = 120s;
  };
  // Of a topic either the name or the id, as the request's version has it.
  struct Wanted {
    std::string topic;
    Uuid topic_id;
    wire::FetchRequest::FetchPartition part;
  };
  // What one request comes to.
  struct Plan {
    wire::ErrorCode error = wire::ErrorCode::none;  // of the request as a whole: nothing is to be fetched
    bool incremental = false;
    bool opens = false;           // a full fetch that would like a session
    bool privileged = false;      // of a follower
    bool by_id = false;           // topics are named by id
    std::int32_t session_id = 0;  // of an incremental fetch
    std::int32_t next_epoch = 0;  // what the session expects next, unless it is overtaken
    std::vector<Wanted> partitions;
  };

  explicit FetchSessions(Limits limits) : limits_(limits) {}

  Plan begin(const wire::FetchRequest& request, std::int16_t version, bool privileged, Instant now);
  // `answers` in the order of plan.partitions. `drawn` becomes the id of a new session. Everything but the endpoints.
  wire::FetchResponse finish(const Plan& plan, std::vector<wire::FetchResponse::PartitionData> answers, Instant now,
                             std::uint64_t drawn);
  void drop(std::int32_t session_id) { sessions_.erase(session_id); }
  std::size_t size() const { return sessions_.size(); }

 private:
  struct Key {
    std::string topic;
    Uuid topic_id;
    PartitionId partition = 0;
    auto operator<=>(const Key&) const = default;
  };
  struct Entry {
    Wanted wanted;
    Offset told_high_watermark = kNoOffset;  // none: tell it again, whatever it is
    Offset told_log_start = kNoOffset;
  };
  struct Session {
    bool privileged = false;
    bool by_id = false;
    std::int32_t epoch = 1;  // of the next request
    Instant created{};
    Instant last_used{};
    std::uint64_t next_turn = 0;
    std::map<std::uint64_t, Entry> by_turn;  // the order of answering: who got records goes to the end
    std::map<Key, std::uint64_t> turns;
  };

  Plan begin_full(const wire::FetchRequest& request, Plan plan);
  Plan begin_incremental(const wire::FetchRequest& request, Plan plan, Instant now);
  void open(const Plan& plan, const std::vector<wire::FetchResponse::PartitionData>& answers, Instant now,
            std::uint64_t drawn, wire::FetchResponse& response);
  bool make_room(bool privileged, std::size_t partitions, Instant now);
  Session* find(std::int32_t id, bool privileged);
  static Key key_of(const Wanted& wanted) { return {wanted.topic, wanted.topic_id, wanted.part.partition}; }
  static void put(Session& session, Wanted wanted);
  static void forget(Session& session, const wire::FetchRequest::ForgottenTopic& topic);
  static bool note(Entry& entry, const wire::FetchResponse::PartitionData& answer);
  static void add(wire::FetchResponse& response, const Wanted& wanted, wire::FetchResponse::PartitionData answer);

  Limits limits_;
  std::map<std::int32_t, Session> sessions_;
};

}  // namespace ordeal::server
