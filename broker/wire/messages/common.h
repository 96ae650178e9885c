// Structs that several responses share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace ordeal::wire {

struct LeaderIdAndEpoch {
  std::int32_t leader_id = -1;
  std::int32_t leader_epoch = -1;
  bool operator==(const LeaderIdAndEpoch&) const = default;
  template <class V>
  void visit(V& v) {
    v("leader_id", leader_id);
    v("leader_epoch", leader_epoch);
  }
};

struct NodeEndpoint {
  std::int32_t node_id = 0;
  std::string host;
  std::int32_t port = 0;
  std::optional<std::string> rack;
  bool operator==(const NodeEndpoint&) const = default;
  template <class V>
  void visit(V& v) {
    v("node_id", node_id);
    v("host", host);
    v("port", port);
    v("rack", rack);
  }
};

}  // namespace ordeal::wire
