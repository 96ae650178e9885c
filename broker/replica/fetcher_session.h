// The follower's end of a fetch session (KIP-227): what the leader knows of the partitions that are copied from it, so
// that a request need only say what changed.
//
// Pure. Each round: fill() writes the session's part of the request, then on_answer() or on_failure() hears what came
// of it. After a failure nobody can tell whether the request arrived, so the session is closed and begun anew; the same
// when the leader refuses to go on with it. A leader that opens no session gets everything each time.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "broker/base/types.h"
#include "broker/wire/messages/fetch.h"

namespace ordeal::replica {

class FetcherSession {
 public:
  struct Wanted {
    std::string topic;
    Uuid topic_id;
    wire::FetchRequest::FetchPartition part;
  };

  // `wanted`: everything that is to be fetched now, topic by topic. Session id and epoch, topics and forgotten topics.
  void fill(wire::FetchRequest& request, std::vector<Wanted> wanted);
  // False: the leader refused to go on with the session, and the next request begins a new one.
  bool on_answer(const wire::FetchResponse& response);
  void on_failure() { restart(); }
  void restart() { epoch_ = 0; }  // the old session, if any, is closed by the next request
  std::int32_t id() const { return id_; }

 private:
  using Key = std::pair<Uuid, PartitionId>;

  std::int32_t id_ = 0;            // none
  std::int32_t epoch_ = 0;         // of the next request; 0: it names everything
  std::map<Key, Wanted> known_;    // what the leader holds
  std::map<Key, Wanted> sending_;  // and will hold, if the request arrives
};

}  // namespace ordeal::replica
