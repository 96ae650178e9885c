// What a produce, a fetch and a lookup get from three whole brokers' replication in a simulated world.
#include "broker/replica/replica_cluster_test.h"

using namespace ordeal;
using namespace ordeal::replica;
using namespace ordeal::replica::testing;
using wire::ErrorCode;

TEST_CASE("acks=all is answered when every ISR member has it, and all logs are the same bytes") {
  for (const bool fsync : {true, false}) {
    Cluster c({.seed = 11, .fsync = fsync});
    c.start_all();
    c.create_topic("t", {1, 2, 3});
    REQUIRE(c.leader() == 1);
    for (int i = 0; i < 20; ++i) {
      const AppendResult done = c.produce(1, fmt::format("v{}", i));
      REQUIRE(done.error == ErrorCode::none);
      CHECK(done.base_offset == i);
      CHECK(c.status(1).high_watermark == i + 1);
    }
    REQUIRE(c.run_until([&] { return c.settled(); }));
    CHECK(c.values(1).size() == 20);
    CHECK(c.log_bytes(2) == c.log_bytes(1));
    CHECK(c.log_bytes(3) == c.log_bytes(1));
    if (fsync) CHECK(c.status(2).flushed_end == 20);
  }
}

TEST_CASE("acks=1 waits for the leader's flush only, acks=0 for nothing") {
  Cluster c({.seed = 12});
  c.start_all();
  c.create_topic("t", {1, 2, 3});
  c.cut(1, 2);
  c.cut(1, 3);
  const AppendResult one = c.produce(1, "one", 1);
  CHECK(one.error == ErrorCode::none);
  CHECK(c.status(1).flushed_end == 1);
  CHECK(c.status(1).high_watermark == 0);
  const AppendResult none = c.produce(1, "none", 0);
  CHECK(none.error == ErrorCode::none);
  CHECK(none.base_offset == 1);
  CHECK(c.produce(1, "odd", 2).error == ErrorCode::invalid_required_acks);
}

TEST_CASE("a produce that cannot be acknowledged in time times out and its record stays") {
  Cluster c({.seed = 13, .lag = 20s});
  c.start_all();
  c.create_topic("t", {1, 2, 3});
  c.cut(1, 3);
  CHECK(c.produce(1, "late", -1, 300ms).error == ErrorCode::request_timed_out);
  c.heal(1, 3);
  REQUIRE(c.run_until([&] { return c.settled(); }));
  CHECK(c.values(3) == std::vector<std::string>{"late"});
}

TEST_CASE("requests find their partition by name or id, or learn why not") {
  Cluster c({.seed = 14});
  c.start_all();
  c.create_topic("t", {1, 2, 3});
  const Uuid id = c.controller.image()->topic("t")->id;
  const auto ask = [&](PartitionRef ref) {
    auto out = std::make_shared<std::optional<EpochAnswer>>();
    auto task = [](ReplicaManager& manager, PartitionRef at,
                   std::shared_ptr<std::optional<EpochAnswer>> into) -> env::Task<> {
      std::vector<EpochQuery> queries{{.at = std::move(at), .leader_epoch = 0}};
      std::vector<EpochAnswer> answers = co_await manager.offset_for_leader_epoch(std::move(queries));
      *into = answers[0];
    };
    c.world.spawn(c.world.env(1), task(c.node(1).manager(), std::move(ref), out), "ask");
    REQUIRE(c.run_until([&] { return out->has_value(); }));
    return (*out)->error;
  };
  Uuid other;
  other.bytes[3] = 9;
  CHECK(ask({"t", {}, 0}) == ErrorCode::none);
  CHECK(ask({"", id, 0}) == ErrorCode::none);
  CHECK(ask({"t", id, 0}) == ErrorCode::none);
  CHECK(ask({"u", id, 0}) == ErrorCode::inconsistent_topic_id);
  CHECK(ask({"u", {}, 0}) == ErrorCode::unknown_topic_or_partition);
  CHECK(ask({"", other, 0}) == ErrorCode::unknown_topic_id);
  CHECK(ask({"t", {}, 1}) == ErrorCode::unknown_topic_or_partition);
  const AppendResult elsewhere = c.produce(2, "x");
  CHECK(elsewhere.error == ErrorCode::not_leader_or_follower);
  CHECK(elsewhere.current_leader.leader == 1);
}

TEST_CASE("a consumer's fetch parks until the high watermark moves, and sees nothing above it") {
  Cluster c({.seed = 15});
  c.start_all();
  c.create_topic("t", {1, 2, 3});
  const auto parked = c.begin_fetch(1, 0, 5s);
  c.run_for(200ms);
  CHECK_FALSE(parked->has_value());
  c.cut(1, 2);
  c.begin_produce(1, "x");
  c.run_for(200ms);
  CHECK(c.status(1).log_end == 1);
  CHECK_FALSE(parked->has_value());
  c.heal(1, 2);
  REQUIRE(c.run_until([&] { return parked->has_value(); }, 3s));
  CHECK(values_of((*parked)->records.view) == std::vector<std::string>{"x"});
  CHECK((*parked)->high_watermark == 1);
  CHECK_FALSE((*parked)->aborted.has_value());

  const auto more = c.begin_fetch(1, 1, 300ms, {"t", 0}, 100000);
  c.produce(1, "small");
  CHECK_FALSE(more->has_value());  // below min_bytes: waits its time, then takes what there is
  REQUIRE(c.run_until([&] { return more->has_value(); }, 1s));
  CHECK(values_of((*more)->records.view) == std::vector<std::string>{"small"});
  CHECK(c.fetch(1, 99).error == ErrorCode::offset_out_of_range);
  CHECK(c.fetch(2, 0).error == ErrorCode::not_leader_or_follower);
}

TEST_CASE("a parked fetch is answered at once when leadership goes") {
  Cluster c({.seed = 16});
  c.start_all();
  c.create_topic("t", {1, 2, 3});
  const auto parked = c.begin_fetch(1, 0, 60s);
  c.run_for(100ms);
  c.controller.move_leader("t", 0, 2);
  REQUIRE(c.run_until([&] { return parked->has_value(); }, 1s));
  CHECK((*parked)->error == ErrorCode::not_leader_or_follower);
  CHECK((*parked)->current_leader.leader == 2);
}

TEST_CASE("list offsets: earliest, latest, by time, by largest time") {
  Cluster c({.seed = 17});
  c.start_all();
  c.create_topic("t", {1, 2, 3});
  c.produce(1, "a");
  c.run_for(2s);
  const WallMs middle = c.world.env(1).scheduler.wall_ms();
  c.run_for(2s);
  c.produce(1, "b");
  CHECK(c.list_offset(1, wire::kEarliestTimestamp).offset == 0);
  CHECK(c.list_offset(1, wire::kLatestTimestamp).offset == 2);
  CHECK(c.list_offset(1, middle).offset == 1);
  CHECK(c.list_offset(1, wire::kMaxTimestamp).offset == 1);
  CHECK(c.list_offset(1, middle + 3600 * 1000).offset == kNoOffset);
  CHECK(c.list_offset(2, wire::kLatestTimestamp).error == ErrorCode::not_leader_or_follower);
}

TEST_CASE("a deleted topic's files go, and one made anew under its name starts empty") {
  Cluster c({.seed = 18});
  c.start_all();
  c.create_topic("t", {1, 2, 3});
  c.produce(1, "old");
  c.controller.delete_topic("t", c.world.now());
  REQUIRE(c.run_until([&] { return c.node(1).manager().status().empty() && c.node(3).manager().status().empty(); }));
  REQUIRE(c.run_until([&] { return c.log_bytes(1).empty() && c.log_bytes(3).empty(); }));
  c.create_topic("t", {3, 2, 1});
  CHECK(c.produce(3, "new").base_offset == 0);
  REQUIRE(c.run_until([&] { return c.settled(); }));
  CHECK(c.values(1) == std::vector<std::string>{"new"});
}

TEST_CASE("many partitions are led and followed side by side") {
  Cluster c({.seed = 19});
  c.start_all();
  c.create_topic("many", {1, 2, 3}, 20);
  std::vector<Cluster::Pending> all;
  for (int round = 0; round < 3; ++round) {
    for (PartitionId p = 0; p < 20; ++p)
      all.push_back(c.begin_produce(1, fmt::format("{}-{}", p, round), -1, 5s, {"many", p}));
  }
  REQUIRE(c.run_until([&] { return std::ranges::all_of(all, [](const auto& one) { return one->has_value(); }); }, 5s));
  for (const auto& one : all) CHECK((*one)->error == ErrorCode::none);
  REQUIRE(c.run_until([&] { return c.settled({"many", 19}); }));
  CHECK(c.log_bytes(2, {"many", 19}) == c.log_bytes(1, {"many", 19}));
}

TEST_CASE("a stopped node leaves a clean directory and comes back with everything") {
  Cluster c({.seed = 20});
  c.start_all();
  c.create_topic("t", {1, 2, 3});
  for (int i = 0; i < 5; ++i) c.produce(1, fmt::format("v{}", i));
  c.stop(1);
  CHECK(c.world.disk(1).cached(kDataDir + "/.kafka_cleanshutdown").has_value());
  REQUIRE(c.run_until([&] { return c.leader() != 1 && c.status(c.leader()).leading; }));
  CHECK(c.produce(c.leader(), "while away").error == ErrorCode::none);
  c.start(1);
  REQUIRE(c.run_until([&] { return c.settled(); }));
  CHECK(c.values(1).size() == 6);
  CHECK(c.log_bytes(1) == c.log_bytes(c.leader()));
}

TEST_CASE("a topic's own min.insync.replicas holds, and changes take effect") {
  Cluster c({.seed = 21});
  c.start_all();
  c.controller.create_topic("t", {1, 2, 3}, 1, c.world.now(), {{"min.insync.replicas", "3"}});
  REQUIRE(c.run_until([&] { return c.settled(); }));
  CHECK(c.produce(1, "a").error == ErrorCode::none);
  c.kill(3);
  REQUIRE(c.run_until([&] { return c.status(1).isr.size() == 2; }));
  CHECK(c.produce(1, "b").error == ErrorCode::not_enough_replicas);
  CHECK(c.produce(1, "b", 1).error == ErrorCode::none);
  c.run_for(1s);
  CHECK(c.status(1).high_watermark == 1);  // KIP-966: below the minimum nothing more is committed
}
