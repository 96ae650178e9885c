// How a message describes itself: one visit() per struct serves encoding and decoding at every version.
//
//   template <class V> void visit(V& v) {
//     v("topic", topic, versions(0, 12));                  // present in versions 0 to 12
//     v("topic_id", topic_id, since(13));
//     v("rack", rack, since(1));                            // std::optional: nullable wherever present
//     v("name", name, since(0), since(10));                 // present from 0, may be null from 10
//     v.tagged(0, "cluster_id", cluster_id, since(12));     // tagged fields come after all others, tags ascending
//   }
// A field absent at the version in hand keeps its default when decoded and is skipped when encoded. A null where the
// version knows none is an error when decoded and an empty value when encoded. Tagged fields equal to their default are
// left out; unknown tags are skipped. Members carry Kafka's names in snake_case and Kafka's defaults.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace ordeal::wire {

struct Versions {
  std::int16_t from = 0;
  std::int16_t to = std::numeric_limits<std::int16_t>::max();
  constexpr bool has(std::int16_t version) const { return version >= from && version <= to; }
};
constexpr Versions since(std::int16_t from) { return {from}; }
constexpr Versions versions(std::int16_t from, std::int16_t to) { return {from, to}; }
inline constexpr Versions kAllVersions{};

enum class ApiKey : std::int16_t {
  produce = 0,
  fetch = 1,
  list_offsets = 2,
  metadata = 3,
  find_coordinator = 10,
  api_versions = 18,
  create_topics = 19,
  delete_topics = 20,
  init_producer_id = 22,
  offset_for_leader_epoch = 23,
  describe_configs = 32,
  describe_log_dirs = 35,
  elect_leaders = 43,
  incremental_alter_configs = 44,
  describe_quorum = 55,
  describe_cluster = 60,
};

}  // namespace ordeal::wire
