// E11 (KAFKA-4384, KAFKA-14104): a bit of a stored value rots while its broker is down. The broker recovers its log,
// rejoins, and comes to lead.
#include <fmt/format.h>

#include "faults/sim/scenarios/scenarios.h"

namespace ordeal::sim {
namespace {

std::uint64_t load_be(const Bytes& bytes, std::size_t at, std::size_t width) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < width; ++i) value = value << 8 | bytes[at + i];
  return value;
}

// Flips a bit in the value of the batch in the middle of the replica's first segment.
Status rot(SimCluster& cluster, NodeId node) {
  constexpr std::size_t kHead = 12;    // base offset and length
  constexpr std::size_t kFromEnd = 8;  // inside the last value: after it come only the headers' count
  const std::string path = fmt::format("{}/{:020}.log", cluster.partition_dir(kAt), 0);
  const auto bytes = cluster.world().disk(node).cached(path);
  if (!bytes) return fail(Errc::not_found, path);
  std::vector<std::size_t> ends;
  for (std::size_t at = 0; at + kHead <= bytes->size();) {
    at += kHead + load_be(*bytes, at + 8, 4);
    ends.push_back(at);
  }
  if (ends.size() < 3) return fail(Errc::not_found, "too few batches in " + path);
  return cluster.flip_bit(node, path, ends[ends.size() / 2] - kFromEnd, 3);
}

Status play(Trial& trial) {
  SimCluster& cluster = trial.cluster();
  trial.drive(3s);
  const NodeId victim = cluster.replicas(kAt)[1];  // next in line
  ORDEAL_TRY(reached(cluster.leader(kAt) == cluster.replicas(kAt)[0], "the preferred replica leads"));
  cluster.kill(victim);
  trial.drive(500ms);
  ORDEAL_TRY(rot(cluster, victim));
  cluster.start(victim);
  ORDEAL_TRY(reached(cluster.wait_whole(30s), "the damaged replica rejoins: " + cluster.why_not_whole()));
  ORDEAL_TRY(make_leader(cluster, victim));
  trial.drive(1s);
  return {};
}

}  // namespace

Scenario skip_crc() {
  return {"E11",
          mutation::Bug::disk_skip_crc,
          "a bit of a stored value flips while its broker is down; the broker recovers and comes to lead",
          1,
          script_options(3),
          play};
}

}  // namespace ordeal::sim
