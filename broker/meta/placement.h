// Where the replicas of new partitions go: on distinct racks where there are enough, evenly over brokers, leaders
// evenly too. Fenced brokers are used only when the active ones do not suffice, and never lead.
#pragma once

#include <string>
#include <vector>

#include "broker/base/random.h"
#include "broker/meta/image.h"

namespace ordeal::meta {

class Placement {
 public:
  // Counts what the image already holds; the random number only decides where ties start.
  Placement(const ClusterImage& image, Random& random);

  std::size_t brokers() const { return brokers_.size(); }
  std::size_t active_brokers() const;
  // The replicas of one more partition, the leader first; counted for the next call.
  // Needs 1 <= replication_factor <= brokers() and an active broker.
  std::vector<NodeId> next(std::size_t replication_factor);
  // Counts a partition placed by hand.
  void count(const std::vector<NodeId>& replicas);

 private:
  struct Candidate {
    NodeId id = kNoNode;
    std::string rack;  // brokers without a rack count as racks of their own
    bool active = false;
    std::int64_t leaders = 0;
    std::int64_t replicas = 0;
  };
  std::vector<Candidate> brokers_;
  std::size_t start_ = 0;  // where ties begin; moves on with each partition
};

}  // namespace ordeal::meta
