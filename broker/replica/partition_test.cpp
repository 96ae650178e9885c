// The rules of the partition decider one by one; partition_corpus_test.cpp plays the known bugs against them.
#include "broker/replica/partition.h"

#include <doctest/doctest.h>

#include "broker/replica/partition_world_test.h"

using namespace ordeal;
using namespace ordeal::replica;
using namespace ordeal::replica::testing;
using Durability = Partition::Durability;

TEST_CASE("a role is taken once; older and equal states change nothing") {
  World w;
  w.decide(1, {1, 2, 3});
  CHECK(w.tell(1).new_epoch);
  CHECK_FALSE(w.tell(1).new_epoch);
  const Assignment old = w.state();
  w.elect(2, {2, 3});
  CHECK(w.part(1).following());
  CHECK(w.part(2).leading());
  CHECK_FALSE(w.tell(1, old).new_epoch);
  CHECK(w.part(1).following());
  CHECK(w.part(1).leader() == 2);
}

TEST_CASE("a newer partition epoch in the same leader epoch moves the ISR, an older one does not") {
  World w;
  w.elect(1, {1, 2, 3});
  Assignment next = w.state();
  next.isr = {1, 3};
  next.partition_epoch += 2;
  CHECK(w.tell(1, next).isr_changed);
  CHECK(w.part(1).isr() == std::vector<NodeId>{1, 3});
  Assignment stale = next;
  stale.isr = {1, 2, 3};
  stale.partition_epoch -= 1;
  CHECK_FALSE(w.tell(1, stale).isr_changed);
  CHECK(w.part(1).isr() == std::vector<NodeId>{1, 3});
}

TEST_CASE("an epoch that an earlier incarnation led is not led again") {
  World w;
  w.elect(1, {1, 2, 3});
  w.write(1, "a");
  w.boot(1);
  w.tell(1);
  CHECK_FALSE(w.part(1).leading());
  CHECK(w.part(1).check_append(1) == ErrorCode::not_leader_or_follower);
  w.elect(1, {1, 2, 3});
  CHECK(w.part(1).leading());
}

TEST_CASE("the high watermark is the least position over the ISR") {
  World w;
  w.elect(1, {1, 2, 3});
  w.write(1, "a");
  w.write(1, "b");
  CHECK(w.part(1).high_watermark() == 0);
  w.sync(2, 1);
  CHECK(w.part(1).high_watermark() == 0);
  w.fetch(3, 1);
  CHECK(w.part(1).high_watermark() == 0);  // it was sent the records; it has not yet said that it has them
  const FetchReply told = w.fetch(3, 1);
  CHECK(told.verdict.hw_advanced);
  CHECK(w.part(1).high_watermark() == 2);
  CHECK(w.part(3).high_watermark() == 2);
}

TEST_CASE("in fsync mode the leader counts its flushed end, in page-cache mode its log end") {
  for (const Durability mode : {Durability::fsync, Durability::page_cache}) {
    World w(mode);
    w.elect(1, {1});
    w.log(1).append(w.part(1).leader_epoch(), "a");
    const bool moved = w.part(1).on_local_log(w.log(1).ends());
    CHECK(moved == (mode == Durability::page_cache));
    CHECK(w.part(1).ack_local(w.part(1).leader_epoch(), 1).state ==
          (mode == Durability::page_cache ? AckState::done : AckState::waiting));
    w.flush(1);
    CHECK(w.part(1).high_watermark() == 1);
    CHECK(w.part(1).ack_local(w.part(1).leader_epoch(), 1).state == AckState::done);
  }
}

TEST_CASE("followers may be ahead of the leader's own flush, which then holds the high watermark") {
  World w(Durability::fsync);
  w.elect(1, {1, 2, 3});
  w.write(1, "a");
  w.sync(2, 1);
  w.sync(3, 1);
  CHECK(w.part(1).high_watermark() == 0);
  w.flush(1);
  CHECK(w.part(1).high_watermark() == 1);
}

TEST_CASE("acks=all waits for the high watermark and names a shrunken ISR") {
  World w(Durability::page_cache, 2);
  w.elect(1, {1, 2, 3});
  const LeaderEpoch epoch = w.part(1).leader_epoch();
  CHECK(w.part(1).check_append(-1) == ErrorCode::none);
  w.write(1, "a");
  CHECK(w.part(1).ack_all(epoch, 1).state == AckState::waiting);
  w.sync(2, 1);
  w.sync(3, 1);
  CHECK(w.part(1).ack_all(epoch, 1).state == AckState::done);
  CHECK(w.part(1).ack_all(epoch, 1).error == ErrorCode::none);

  Assignment alone = w.state();
  alone.isr = {1};
  ++alone.partition_epoch;
  w.tell(1, alone);
  CHECK(w.part(1).check_append(-1) == ErrorCode::not_enough_replicas);
  CHECK(w.part(1).check_append(1) == ErrorCode::none);
  CHECK(w.part(1).ack_all(epoch, 1).error == ErrorCode::not_enough_replicas_after_append);
}

TEST_CASE("an acknowledgement does not outlive an interrupted leadership") {
  World w;
  w.elect(1, {1, 2, 3});
  const LeaderEpoch first = w.part(1).leader_epoch();
  w.write(1, "a");
  w.elect(1, {1, 2});  // the same leader, a new epoch: what it holds is still what was sent
  CHECK(w.part(1).ack_all(first, 1).state == AckState::waiting);
  w.elect(2, {1, 2});
  CHECK(w.part(1).ack_all(first, 1).error == ErrorCode::not_leader_or_follower);
  w.elect(1, {1, 2});
  CHECK(w.part(1).ack_all(first, 0).error == ErrorCode::not_leader_or_follower);
  CHECK(w.part(1).ack_local(first, 0).error == ErrorCode::not_leader_or_follower);
}

TEST_CASE("min ISR above the replication factor counts as the replication factor") {
  World w(Durability::page_cache, 2, {1});
  w.elect(1, {1});
  w.write(1, "a");
  CHECK(w.part(1).check_append(-1) == ErrorCode::none);
  CHECK(w.part(1).high_watermark() == 1);
}

TEST_CASE("a client's leader epoch is fenced when older and unknown when newer") {
  World w;
  w.elect(1, {1, 2, 3});
  w.elect(1, {1, 2, 3});
  const LeaderEpoch epoch = w.part(1).leader_epoch();
  CHECK(w.part(1).check_leader(kNoEpoch) == ErrorCode::none);
  CHECK(w.part(1).check_leader(epoch) == ErrorCode::none);
  CHECK(w.part(1).check_leader(epoch - 1) == ErrorCode::fenced_leader_epoch);
  CHECK(w.part(1).check_leader(epoch + 1) == ErrorCode::unknown_leader_epoch);
  CHECK(w.part(2).check_leader(epoch) == ErrorCode::not_leader_or_follower);
  CHECK(w.part(2).check_leader(epoch - 1) == ErrorCode::fenced_leader_epoch);
}

TEST_CASE("fetches of strangers and of an earlier incarnation are refused and not counted") {
  World w;
  w.elect(1, {1, 2, 3});
  w.write(1, "a");
  FollowerFetch fetch{.replica = 9, .fetch_offset = 1, .current_leader_epoch = w.part(1).leader_epoch()};
  CHECK(w.part(1).on_follower_fetch(fetch, {}, w.log(1).ends(), w.now).error == ErrorCode::not_leader_or_follower);
  w.at(2).incarnation = 7;
  w.fetch(2, 1);
  FollowerFetch ghost{
      .replica = 2, .fetch_offset = 1, .current_leader_epoch = w.part(1).leader_epoch(), .broker_epoch = 6};
  CHECK(w.part(1).on_follower_fetch(ghost, {}, w.log(1).ends(), w.now).error == ErrorCode::not_leader_or_follower);
  CHECK(w.part(1).progress().at(2).position == 0);
}

TEST_CASE("a fetch outside the log is out of range and not counted") {
  World w;
  w.elect(1, {1, 2, 3});
  w.write(1, "a");
  const LeaderEpoch epoch = w.part(1).leader_epoch();
  FollowerFetch beyond{.replica = 2, .fetch_offset = 5, .current_leader_epoch = epoch};
  CHECK(w.part(1).on_follower_fetch(beyond, {}, w.log(1).ends(), w.now).error == ErrorCode::offset_out_of_range);
  FollowerFetch below{.replica = 2, .fetch_offset = 0, .current_leader_epoch = epoch};
  CHECK(w.part(1).on_follower_fetch(below, {}, {1, 1, 1}, w.now).error == ErrorCode::offset_out_of_range);
  FollowerFetch unknown{.replica = 2, .fetch_offset = 1, .current_leader_epoch = epoch, .last_fetched_epoch = 99};
  CHECK(w.part(1).on_follower_fetch(unknown, {}, w.log(1).ends(), w.now).error == ErrorCode::offset_out_of_range);
  CHECK(w.part(1).progress().at(2).position == kNoOffset);
}

TEST_CASE("a follower that falls behind for the lag time leaves the ISR, one that keeps up does not") {
  World w;
  w.elect(1, {1, 2, 3});
  w.write(1, "a");
  w.sync(2, 1);
  w.now += 6s;
  w.sync(2, 1);
  CHECK_FALSE(w.part(1).maybe_shrink(w.now));
  w.now += 5s;  // 11 s since node 3 was last known to be level
  CHECK(w.part(1).maybe_shrink(w.now));
  const auto sent = w.part(1).proposal(77);
  REQUIRE(sent.has_value());
  CHECK(sent->isr == std::vector<ProposedReplica>{{1, 77}, {2, w.at(2).incarnation}});
  CHECK_FALSE(w.part(1).maybe_shrink(w.now));  // one proposal in flight
  CHECK(w.part(1).high_watermark() == 0);      // until it is committed node 3 still counts
  w.settle_isr(1);
  CHECK(w.part(1).isr() == std::vector<NodeId>{1, 2});
  CHECK(w.part(1).high_watermark() == 1);
}

TEST_CASE("an idle follower that has everything stays in the ISR") {
  World w;
  w.elect(1, {1, 2, 3});
  w.write(1, "a");
  w.sync(2, 1);
  w.sync(3, 1);
  w.now += 1h;
  CHECK_FALSE(w.part(1).maybe_shrink(w.now));
}

TEST_CASE("a steady follower one fetch behind under constant load is not lagging") {
  World w;
  w.elect(1, {1, 2});
  for (int i = 0; i < 100; ++i) {
    w.write(1, "x");
    w.fetch(2, 1);  // what it reports is always one record short of the leader's end
    w.now += 1s;
    CHECK_FALSE(w.part(1).maybe_shrink(w.now));
  }
}

TEST_CASE("a caught-up follower joins, and counts as soon as it is proposed") {
  World w;
  w.elect(1, {1, 2});
  w.write(1, "a");
  w.sync(2, 1);
  w.fetch(3, 1);
  CHECK_FALSE(w.part(1).proposal_pending());  // it has been sent the record, but it has not said that it has it
  w.sync(3, 1);
  CHECK(w.part(1).proposal_pending());
  w.write(1, "b");
  w.sync(2, 1);
  CHECK(w.part(1).high_watermark() == 1);  // node 3 is proposed and has not fetched "b"
  w.settle_isr(1);
  CHECK(w.part(1).isr() == std::vector<NodeId>{1, 2, 3});
  w.sync(3, 1);
  CHECK(w.part(1).high_watermark() == 2);
}

TEST_CASE("a fenced or re-registered follower is not proposed") {
  World w;
  w.elect(1, {1, 2});
  w.act(3, w.ask(3, 1, false));
  w.act(3, w.ask(3, 1, false));
  CHECK_FALSE(w.part(1).proposal_pending());
}

TEST_CASE("a rejected proposal goes away, an unanswered one is sent again and keeps counting") {
  World w;
  w.elect(1, {1, 2});
  w.sync(3, 1);
  auto sent = w.part(1).proposal(1);
  REQUIRE(sent.has_value());
  w.part(1).on_alter_result(*sent, {AlterOutcome::rejected, 0, 0, {}});
  CHECK_FALSE(w.part(1).proposal_pending());
  CHECK(w.part(1).maximal_isr() == std::vector<NodeId>{1, 2});

  w.sync(3, 1);
  sent = w.part(1).proposal(1);
  REQUIRE(sent.has_value());
  w.part(1).on_alter_result(*sent, {AlterOutcome::unknown, 0, 0, {}});
  CHECK(w.part(1).proposal_pending());
  CHECK(w.part(1).maximal_isr() == std::vector<NodeId>{1, 2, 3});
  // The second attempt is refused, but the first may still be on its way to the controller.
  w.part(1).on_alter_result(*sent, {AlterOutcome::rejected, 0, 0, {}});
  CHECK_FALSE(w.part(1).proposal_pending());
  CHECK(w.part(1).maximal_isr() == std::vector<NodeId>{1, 2, 3});
}

TEST_CASE("an overtaken proposal waits for the image and counts until then") {
  World w;
  w.elect(1, {1, 2});
  w.sync(3, 1);
  const auto sent = w.part(1).proposal(1);
  REQUIRE(sent.has_value());
  w.alter(*sent);  // committed, but the answer is lost; the second attempt is told that it came too late
  const AlterResult again = w.alter(*sent);
  CHECK(again.outcome == AlterOutcome::overtaken);
  w.part(1).on_alter_result(*sent, again);
  CHECK_FALSE(w.part(1).proposal_pending());
  CHECK(w.part(1).maximal_isr() == std::vector<NodeId>{1, 2, 3});
  w.tell(1);
  CHECK(w.part(1).isr() == std::vector<NodeId>{1, 2, 3});
}

TEST_CASE("an answer to a proposal of another epoch is ignored") {
  World w;
  w.elect(1, {1, 2});
  w.sync(3, 1);
  const auto sent = w.part(1).proposal(1);
  REQUIRE(sent.has_value());
  const AlterResult late = w.alter(*sent);
  w.elect(1, {1, 2});
  CHECK_FALSE(w.part(1).on_alter_result(*sent, late).isr_changed);
  CHECK(w.part(1).isr() == std::vector<NodeId>{1, 2});
}

TEST_CASE("a committed ISR is taken with the minimum it was decided by, whatever older news say") {
  World w;
  w.elect(1, {1, 2});
  w.log(1).append(1, "a");
  (void)w.part(1).on_local_log(w.log(1).ends());
  w.now += 60s;
  REQUIRE(w.part(1).maybe_shrink(w.now));
  const auto sent = w.part(1).proposal(1);
  REQUIRE(sent.has_value());
  AlterResult shrunk = w.alter(*sent);
  REQUIRE(shrunk.isr == std::vector<NodeId>{1});
  shrunk.min_isr = 2;  // it was raised meanwhile, and the controller counts on 2 as eligible
  CHECK_FALSE(w.part(1).on_alter_result(*sent, shrunk).hw_advanced);
  CHECK_FALSE(w.part(1).set_min_isr(1, sent->leader_epoch, sent->partition_epoch));  // an image from before
  CHECK(w.part(1).high_watermark() == 0);
  CHECK(w.part(1).set_min_isr(1, sent->leader_epoch, shrunk.partition_epoch));
  CHECK(w.part(1).high_watermark() == 1);
}

TEST_CASE("a follower's high watermark never passes its own end and never goes back") {
  World w;
  w.elect(1, {1, 2, 3});
  w.log(2).append(1, "a");
  CHECK(w.part(2).on_leader_high_watermark(5, w.log(2).ends()));
  CHECK(w.part(2).high_watermark() == 1);
  CHECK_FALSE(w.part(2).on_leader_high_watermark(0, w.log(2).ends()));
  CHECK(w.part(2).high_watermark() == 1);
  w.log(2).cut(0);
  w.part(2).on_truncated(w.log(2).ends());
  CHECK(w.part(2).high_watermark() == 0);
}

TEST_CASE("where a diverging log is cut") {
  const LogEnds ends{0, 10, 10};
  CHECK(divergence_point({3, 6}, {3, 10}, ends) == 6);  // the same epoch: the shorter end
  CHECK(divergence_point({3, 9}, {3, 7}, ends) == 7);
  CHECK(divergence_point({3, 6}, {2, 4}, ends) == 4);          // epoch 3 unknown here: where our epoch 2 ends
  CHECK(divergence_point({3, 6}, {kNoEpoch, -1}, ends) == 6);  // nothing to compare with
  CHECK(divergence_point({3, 60}, {3, 60}, ends) == 10);       // never beyond the log
  CHECK(divergence_point({3, 1}, {3, 1}, {5, 10, 10}) == 5);   // never before it
}
