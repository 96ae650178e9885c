#include "faults/sim/invariants/invariants.h"

#include <doctest/doctest.h>

namespace ordeal::sim {
namespace {

struct Silent {};

struct Fixture {
  Fixture() : world(WorldOptions{}), invariants(world, "/data") {
    for (NodeId id = 1; id <= 2; ++id) {
      world.add_node(id, fmt::format("10.77.0.{}", 10 + id), [](NodeContext&) { return std::make_shared<Silent>(); });
      world.start(id);
    }
    world.run_for(1ms);
  }
  void say(NodeId node, std::string_view kind, std::initializer_list<TraceField> fields) {
    world.env(node).trace.info(kind, fields);
  }
  void lead(NodeId node, LeaderEpoch epoch, std::string_view isr, PartitionEpoch partition_epoch) {
    say(node, "partition.leader",
        {{"topic", "t"},
         {"partition", 0},
         {"leader_epoch", epoch},
         {"partition_epoch", partition_epoch},
         {"isr", isr},
         {"start_offset", 0}});
  }
  void high_watermark(NodeId node, LeaderEpoch epoch, Offset hw) {
    say(node, "partition.hw", {{"topic", "t"}, {"partition", 0}, {"leader_epoch", epoch}, {"hw", hw}});
  }
  // Writes batches of one record each into the node's replica of t-0.
  void append(NodeId node, std::initializer_list<std::pair<Offset, LeaderEpoch>> batches, std::uint8_t salt = 0) {
    DiskHandle handle(world.disk(node));
    REQUIRE(handle.create_directories("/data/t-0").has_value());
    auto file = handle.open("/data/t-0/00000000000000000000.log", env::OpenMode::create);
    REQUIRE(file.has_value());
    for (const auto& [offset, epoch] : batches) {
      Bytes batch(70);
      store_be<std::int64_t>(batch.data(), offset);
      store_be<std::int32_t>(batch.data() + 8, 58);
      store_be<std::int32_t>(batch.data() + 12, epoch);
      batch[16] = 2;
      batch[69] = salt;
      store_be<std::uint32_t>(batch.data() + 17, crc32c(ByteView(batch).subspan(21)));
      REQUIRE((*file)->write_at((*file)->size().value(), batch).has_value());
    }
  }
  std::string broken() const {
    std::string names;
    for (const Violation& violation : invariants.violations()) names += violation.invariant + " ";
    return names;
  }
  World world;
  Invariants invariants;
};

}  // namespace

TEST_CASE("an orderly history breaks nothing") {
  Fixture test;
  test.say(1, "raft.role", {{"role", "leader"}, {"term", 3}});
  test.lead(1, 4, "1,2", 9);
  test.high_watermark(1, 4, 2);
  test.append(1, {{0, 4}, {1, 4}, {2, 4}});
  test.append(2, {{0, 4}, {1, 4}});
  test.say(2, "raft.role", {{"role", "leader"}, {"term", 4}});
  test.lead(2, 5, "2", 10);
  test.high_watermark(2, 5, 2);
  test.invariants.check_leaders_complete();
  CHECK(test.broken() == "");
  CHECK(test.invariants.high_watermark({"t", 0}) == 2);
  CHECK(test.invariants.leader({"t", 0}) == 2);
}

TEST_CASE("two leaders, a falling epoch, a falling HW and a leader outside its ISR are named") {
  Fixture test;
  test.say(1, "raft.role", {{"role", "leader"}, {"term", 3}});
  test.say(2, "raft.role", {{"role", "leader"}, {"term", 3}});
  CHECK(test.broken() == "ElectionSafety ");
  test.say(2, "raft.role", {{"role", "follower"}, {"term", 2}});
  CHECK(test.broken() == "ElectionSafety ElectionSafety ");

  Fixture partitions;
  partitions.lead(1, 4, "1,2", 9);
  partitions.lead(2, 4, "2", 10);
  CHECK(partitions.broken() == "SingleLeader ");
  partitions.lead(1, 3, "2", 10);
  CHECK(partitions.broken() == "SingleLeader MonotonicEpoch LeaderInIsr ");
  partitions.lead(2, 6, "2,1", 10);
  CHECK(partitions.broken() == "SingleLeader MonotonicEpoch LeaderInIsr OneIsrPerEpoch ");
  partitions.high_watermark(2, 6, 5);
  partitions.high_watermark(2, 6, 4);
  CHECK(partitions.broken().ends_with("MonotonicHighWatermark "));
  partitions.say(2, "partition.truncate",
                 {{"topic", "t"}, {"partition", 0}, {"leader_epoch", 7}, {"from", 9}, {"to", 3}});
  CHECK(partitions.broken().ends_with("CommittedStays "));
}

TEST_CASE("replicas that differ below the high watermark, and a leader that lost records, are named") {
  Fixture test;
  test.lead(1, 4, "1,2", 9);
  test.high_watermark(1, 4, 2);
  test.append(1, {{0, 4}, {1, 4}});
  test.append(2, {{0, 4}, {1, 4}}, 7);  // same epoch and offsets, other content
  test.invariants.check_replicas();
  CHECK(test.broken() == "LogMatching LogMatching ");

  Fixture shorter;
  shorter.lead(1, 4, "1,2", 9);
  shorter.high_watermark(1, 4, 2);
  shorter.append(1, {{0, 4}, {1, 4}});
  shorter.append(2, {{0, 4}});
  shorter.lead(2, 5, "2", 10);
  shorter.invariants.check_leaders_complete();
  CHECK(shorter.broken() == "LeaderCompleteness ");

  Fixture diverged;
  diverged.lead(1, 4, "1,2", 9);
  diverged.high_watermark(1, 4, 2);
  diverged.append(1, {{0, 4}, {1, 5}});
  diverged.append(2, {{0, 4}, {1, 4}, {2, 3}});
  diverged.invariants.check_leaders_complete();
  CHECK(diverged.broken() == "LogMatching StrongIsr ");
}

}  // namespace ordeal::sim
