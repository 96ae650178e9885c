#include "faults/sim/invariants/invariants.h"

#include <doctest/doctest.h>

namespace ordeal::sim {
namespace {

struct Silent {};

struct Fixture {
  Fixture() : world(WorldOptions{}), invariants(world, "/data", {.min_isr = 2}) {
    for (NodeId id = 1; id <= 2; ++id) {
      world.add_node(id, fmt::format("10.77.0.{}", 10 + id), [](NodeContext&) { return std::make_shared<Silent>(); });
      world.start(id);
    }
    world.run_for(1ms);
    for (NodeId id = 1; id <= 2; ++id) say(id, "broker.start", {});
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
  void committed(NodeId controller, NodeId leader, LeaderEpoch epoch, PartitionEpoch partition_epoch,
                 std::string_view isr, std::string_view elr) {
    say(controller, "controller.partition",
        {{"topic", "t"},
         {"partition", 0},
         {"leader", leader},
         {"leader_epoch", epoch},
         {"partition_epoch", partition_epoch},
         {"isr", isr},
         {"elr", elr}});
  }
  // Writes batches of one record each into the node's replica of t-0.
  void append(NodeId node, std::initializer_list<std::pair<Offset, LeaderEpoch>> batches, std::uint8_t salt = 0,
              bool sync = false) {
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
    if (!sync) return;
    REQUIRE((*file)->sync().has_value());
    for (const char* folder : {"/data/t-0", "/data", "/"}) REQUIRE(handle.sync_directory(folder).has_value());
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
  test.append(1, {{0, 4}, {1, 4}, {2, 4}}, 0, true);
  test.append(2, {{0, 4}, {1, 4}}, 0, true);
  test.high_watermark(1, 4, 2);
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
  CHECK(partitions.broken() == "SingleLeader LeaderInIsr MonotonicEpoch ");
  partitions.lead(2, 6, "2,1", 10);
  CHECK(partitions.broken() == "SingleLeader LeaderInIsr MonotonicEpoch OneIsrPerEpoch ");
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
  test.append(1, {{0, 4}, {1, 4}}, 0, true);
  test.append(2, {{0, 4}, {1, 4}}, 7, true);  // same epoch and offsets, other content
  test.high_watermark(1, 4, 2);
  CHECK(test.broken() == "WeakIsr ");
  test.invariants.check_replicas();
  CHECK(test.broken() == "WeakIsr LogMatching LogMatching ");

  Fixture shorter;
  shorter.lead(1, 4, "1,2", 9);
  shorter.append(1, {{0, 4}, {1, 4}}, 0, true);
  shorter.append(2, {{0, 4}}, 0, true);
  shorter.high_watermark(1, 4, 2);
  CHECK(shorter.broken() == "ValidHighWatermark ");
  shorter.lead(2, 5, "2", 10);
  CHECK(shorter.broken() == "ValidHighWatermark LeaderCompleteness ");
}

TEST_CASE("the controller's ISR is compared too, and what is committed must be synced") {
  Fixture test;
  test.lead(1, 4, "1", 9);
  test.append(1, {{0, 4}, {1, 4}}, 0, true);
  test.high_watermark(1, 4, 2);
  test.committed(1, 1, 4, 9, "1", "");
  CHECK(test.broken() == "");
  test.committed(1, 1, 4, 10, "1,2", "");
  CHECK(test.broken() == "LeaderCandidateCompleteness ");

  Fixture unsynced;
  unsynced.lead(1, 4, "1", 9);
  unsynced.append(1, {{0, 4}});
  unsynced.high_watermark(1, 4, 1);
  CHECK(unsynced.broken() == "CommittedIsSynced ");
}

TEST_CASE("a high watermark that moves below the minimum ISR, and offsets out of order, are named") {
  Fixture test;
  test.say(1, "partition.leader",
           {{"topic", "t"},
            {"partition", 0},
            {"leader_epoch", 1},
            {"partition_epoch", 1},
            {"isr", "1"},
            {"min_isr", 2},
            {"start_offset", 0}});
  test.append(1, {{0, 1}}, 0, true);
  test.high_watermark(1, 1, 1);
  CHECK(test.broken() == "HighWatermarkNeedsMinIsr ");
  test.say(1, "partition.hw",
           {{"topic", "t"}, {"partition", 0}, {"leader_epoch", 1}, {"hw", 1}, {"log_start", 2}, {"end", 3}});
  CHECK(test.broken() == "HighWatermarkNeedsMinIsr OffsetsOrdered ");
  test.say(1, "log.retention", {{"topic", "t"}, {"partition", 0}, {"from", 0}, {"to", 5}, {"hw", 4}});
  CHECK(test.broken() == "HighWatermarkNeedsMinIsr OffsetsOrdered OffsetsOrdered ");
}

TEST_CASE("a replica that lost its disk may neither lead nor join before it has caught up") {
  Fixture test;
  test.lead(1, 4, "1,2", 9);
  test.append(1, {{0, 4}, {1, 4}}, 0, true);
  test.append(2, {{0, 4}, {1, 4}}, 0, true);
  test.high_watermark(1, 4, 2);
  test.world.disk(2).wipe();
  test.high_watermark(1, 4, 2);
  CHECK(test.broken() == "");  // the loss itself is the fault's
  test.say(1, "partition.isr",
           {{"topic", "t"}, {"partition", 0}, {"leader_epoch", 4}, {"partition_epoch", 10}, {"isr", "1"}});
  test.say(1, "partition.isr",
           {{"topic", "t"}, {"partition", 0}, {"leader_epoch", 4}, {"partition_epoch", 11}, {"isr", "1,2"}});
  CHECK(test.broken() == "UncleanExclusion ");
  test.lead(2, 5, "2", 12);
  CHECK(test.broken() == "UncleanExclusion UncleanExclusion ");
}

TEST_CASE("a recovered log that lost synced batches, or found others, is named") {
  Fixture test;
  test.lead(1, 4, "1", 9);
  test.append(1, {{0, 4}, {1, 4}}, 0, true);
  test.world.disk(1).power_cut();
  test.say(1, "log.recovered", {{"topic", "t"}, {"partition", 0}, {"end", 1}});
  CHECK(test.broken() == "CrashPrefix ");
  test.world.disk(1).power_cut();
  test.append(1, {{2, 5}});
  test.say(1, "log.recovered", {{"topic", "t"}, {"partition", 0}, {"end", 3}});
  CHECK(test.broken() == "CrashPrefix CrashPrefix ");
}

TEST_CASE("a loss before anything was committed still counts when a leader commits on the word of before") {
  Fixture test;
  test.invariants.promise({.fsync = false, .min_isr = 2});
  test.lead(1, 4, "1,2", 9);
  test.append(2, {{0, 4}});
  test.world.disk(2).power_cut();
  test.high_watermark(1, 4, 0);
  test.append(1, {{0, 4}}, 1);
  test.high_watermark(1, 4, 1);
  CHECK(test.broken() == "");
}

TEST_CASE("a log that needed no recovery is not compared with what was written before it") {
  Fixture test;
  test.lead(1, 4, "1", 9);
  test.append(1, {{0, 4}}, 0, true);
  test.world.disk(1).power_cut();
  test.say(1, "broker.registered", {{"broker_epoch", 7}});
  test.append(1, {{1, 4}}, 0, true);
  test.world.disk(1).power_cut();
  test.say(1, "log.recovered", {{"topic", "t"}, {"partition", 0}, {"end", 2}});
  CHECK(test.broken() == "");
}

TEST_CASE("fenced joiners, overlapping ELR and ISR, and falling epochs of the controller are named") {
  Fixture test;
  const auto broker = [&](NodeId id, int fenced) {
    test.say(1, "controller.broker", {{"broker", id}, {"broker_epoch", 5}, {"fenced", fenced}, {"in_shutdown", 0}});
  };
  broker(1, 0);
  broker(2, 1);
  test.committed(1, 1, 1, 1, "1", "2");
  CHECK(test.broken() == "");
  test.committed(1, 1, 1, 2, "1,2", "");
  CHECK(test.broken() == "NoFencedInIsr ");
  test.committed(1, 1, 1, 3, "1", "1");
  CHECK(test.broken() == "NoFencedInIsr IsrElrDisjoint ");
  test.committed(1, 2, 2, 4, "1", "");
  CHECK(test.broken() == "NoFencedInIsr IsrElrDisjoint LeaderInIsr ");
  test.committed(2, 1, 1, 3, "1", "");  // another controller tells what is known
  CHECK(test.broken() == "NoFencedInIsr IsrElrDisjoint LeaderInIsr ");
  test.committed(1, 1, 1, 3, "1", "");
  CHECK(test.broken() == "NoFencedInIsr IsrElrDisjoint LeaderInIsr EpochsRise ");
}

TEST_CASE("metadata that differs, is undone, or is applied too early is named") {
  Fixture test;
  test.say(1, "raft.commit", {{"term", 1}, {"index", 5}, {"hash", 50}});
  test.say(2, "raft.commit", {{"term", 1}, {"index", 5}, {"hash", 50}});
  test.say(1, "raft.applied", {{"index", 5}, {"hash", 50}});
  CHECK(test.broken() == "");
  test.say(2, "raft.commit", {{"term", 2}, {"index", 6}, {"hash", 60}});
  test.say(1, "raft.commit", {{"term", 1}, {"index", 6}, {"hash", 61}});
  CHECK(test.broken() == "MetadataLogMatching ");
  test.say(1, "raft.commit", {{"term", 1}, {"index", 4}, {"hash", 40}});
  CHECK(test.broken() == "MetadataLogMatching RaftHighWatermarkMonotonic ");
  test.say(1, "raft.applied", {{"index", 9}, {"hash", 90}});
  CHECK(test.broken() == "MetadataLogMatching RaftHighWatermarkMonotonic AppliesOnlyCommitted ");
  test.say(2, "raft.truncate", {{"from", 8}, {"to", 5}});
  CHECK(test.broken().ends_with(" CommittedMetadataStays "));
  test.say(2, "raft.role", {{"role", "leader"}, {"term", 7}, {"end", 5}});
  CHECK(test.broken().ends_with(" MetadataDurable "));
  test.say(2, "raft.snapshot", {{"index", 5}, {"term", 2}, {"from", 1}});
  CHECK(test.broken().ends_with(" LeaderLoadsNoSnapshot "));
  test.say(1, "raft.compacted", {{"index", 12}});
  CHECK(test.broken().ends_with(" SnapshotAtLogStart "));
}

TEST_CASE("voters change one at a time, each change committed before the next") {
  Fixture test;
  test.say(1, "raft.role", {{"role", "leader"}, {"term", 1}});
  test.say(1, "raft.voters", {{"index", 1}, {"voters", "1,2,3"}});
  test.say(1, "raft.commit", {{"term", 1}, {"index", 1}, {"hash", 1}});
  test.say(1, "raft.voters", {{"index", 2}, {"voters", "1,2,3,4"}});
  CHECK(test.broken() == "");
  test.say(1, "raft.voters", {{"index", 3}, {"voters", "1,2,3,4,5"}});
  CHECK(test.broken() == "OneVoterChangeAtATime ");
  test.say(1, "raft.commit", {{"term", 1}, {"index", 3}, {"hash", 3}});
  test.say(1, "raft.voters", {{"index", 4}, {"voters", "1,2,3"}});
  CHECK(test.broken() == "OneVoterChangeAtATime OneVoterChangeAtATime ");
}

TEST_CASE("a deposed controller that runs on is named once it had time to notice, a paused one is not") {
  Fixture test;
  const auto control = [&](NodeId node, int term) {
    test.say(node, "raft.role", {{"role", "leader"}, {"term", term}});
    test.say(node, "controller.active", {{"term", term}});
  };
  control(1, 1);
  test.world.pause(1);
  control(2, 2);
  test.world.run_for(8s);
  CHECK(test.broken() == "");
  test.world.resume(1);
  test.world.run_for(4s);
  CHECK(test.broken() == "");
  test.world.run_for(2s);
  CHECK(test.broken() == "OneActiveController ");
}

}  // namespace ordeal::sim
