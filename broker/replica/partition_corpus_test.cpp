// The known replication bugs as schedules. With the fixed rule each stays safe; where a switch exists, the same
// schedule with the switch on shows that its branch ran and decided wrongly.
#include <doctest/doctest.h>

#include "broker/replica/partition.h"
#include "broker/replica/partition_world_test.h"

using namespace ordeal;
using namespace ordeal::replica;
using namespace ordeal::replica::testing;
using mutation::Bug;
using Durability = Partition::Durability;

namespace {

// A1: everything is on all replicas and acknowledged; follower 3 has not heard of the high watermark.
void acked_but_watermark_unheard(World& w) {
  w.elect(1, {1, 2, 3});
  w.write(1, "m1");
  w.write(1, "m2");
  w.fetch(2, 1);
  w.fetch(3, 1);
  w.ask(2, 1);
  w.ask(3, 1);  // the answers, which carry the high watermark, are lost with the leader
  CHECK(w.part(1).high_watermark() == 2);
  CHECK(w.part(3).high_watermark() == 0);
  w.elect(2, {2, 3});
}

// A8: node 2 leads with end 10 but knows the high watermark 5; node 3, outside the ISR, fetches at 6.
bool joins_between_watermark_and_epoch_start(World& w) {
  w.elect(1, {1, 2});
  for (int i = 0; i < 5; ++i) w.write(1, "a");
  w.sync(2, 1);
  w.write(1, "b5");
  w.act(3, w.ask(3, 1, false));
  for (int i = 6; i < 10; ++i) w.write(1, "b");
  w.fetch(2, 1);
  w.ask(2, 1);
  CHECK(w.part(1).high_watermark() == 10);
  CHECK(w.part(2).high_watermark() == 5);
  CHECK(w.log(3).end() == 6);
  w.decide(2, {1, 2});  // node 1 is still a member, and silent
  w.tell(2);
  w.tell(3);
  return w.ask(3, 2).verdict.isr_proposed;
}

// A5: node 2 is deaf to the controller through epochs 2 and 3 and fetches with epoch 1 from a leader it believes in.
FetchReply zombie_fetch(World& w) {
  w.elect(1, {1, 2, 3});
  for (int i = 0; i < 40; ++i) w.write(1, "old");
  w.sync(2, 1);
  w.sync(3, 1);
  for (int i = 40; i < 50; ++i) w.write(1, "lost");
  w.fetch(2, 1);
  w.decide(3, {1, 3});
  w.tell(3);
  w.tell(1);
  w.sync(1, 3);
  for (int i = 40; i < 60; ++i) w.write(3, "new");
  w.sync(1, 3);
  CHECK(w.log(1).end() == 60);
  w.decide(1, {1, 3});
  w.tell(1);
  w.tell(3);
  return w.fetch(2, 1);
}

}  // namespace

TEST_CASE("A1 KIP-101/1: a new follower keeps what it has and cuts only by epoch") {
  World w;
  acked_but_watermark_unheard(w);
  CHECK(w.log(3).end() == 2);
  w.elect(3, {3});  // node 2 dies before node 3 fetched again
  CHECK(w.log(3).entries == std::vector<Entry>{{1, "m1"}, {1, "m2"}});
  CHECK(w.switches.ran(Bug::repl_truncate_to_hw) == 0);
}

TEST_CASE("A1 switched on: the follower drops an acknowledged record") {
  World w;
  w.switches.turn_on(Bug::repl_truncate_to_hw);
  acked_but_watermark_unheard(w);
  CHECK(w.switches.ran(Bug::repl_truncate_to_hw) >= 1);
  CHECK(w.log(3).end() == 0);
  w.elect(3, {3});
  CHECK(w.log(3).entries.empty());
}

TEST_CASE("A3 KAFKA-6361: two fast moves leave no foreign epoch behind") {
  World w;
  w.elect(1, {1, 2, 3});
  w.write(1, "a0");
  w.sync(2, 1);
  for (int i = 1; i < 6; ++i) w.write(1, "a");
  w.decide(2, {1, 2});
  w.tell(2);  // node 1 does not hear of it
  for (int i = 1; i < 9; ++i) w.write(2, "b");
  w.decide(1, {1, 2});
  w.tell(1);
  w.write(1, "c");
  w.tell(2);
  w.sync(2, 1);
  CHECK(w.log(2).entries == w.log(1).entries);
}

TEST_CASE("A4 KAFKA-7415: a leader that writes nothing still has an epoch to answer with") {
  World w;
  w.elect(1, {1, 2, 3});
  for (int i = 0; i < 4; ++i) w.write(1, "acked");
  w.fetch(2, 1);
  w.fetch(3, 1);
  w.ask(2, 1);
  w.ask(3, 1);
  CHECK(w.part(1).high_watermark() == 4);
  w.decide(2, {1, 2});
  w.tell(2);
  w.write(2, "unacked");
  w.decide(1, {1, 2});
  w.tell(1);
  w.tell(2);
  CHECK(w.log(1).latest() == 3);
  w.fetch(2, 1);
  CHECK(w.log(2).end() == 4);  // the unacknowledged one is gone, the acknowledged four are not
  // A divergence exactly at the end must drop the stale epoch too, or the follower asks for ever (KAFKA-10706).
  w.elect(2, {1, 2});
  w.elect(1, {1, 2});
  w.write(1, "next");
  w.sync(2, 1);
  CHECK(w.log(2).entries == w.log(1).entries);
}

TEST_CASE("A5 KAFKA-6880: a fetch with an old leader epoch is fenced") {
  World w;
  const FetchReply reply = zombie_fetch(w);
  CHECK(reply.verdict.error == ErrorCode::fenced_leader_epoch);
  CHECK(w.log(2).end() == 50);
  w.tell(2);
  w.sync(2, 1);
  CHECK(w.log(2).entries == w.log(1).entries);
  CHECK(w.switches.ran(Bug::repl_ignore_fetch_leader_epoch) == 0);
}

TEST_CASE("A5 switched on: a zombie grafts the new tail on its old one") {
  World w;
  w.switches.turn_on(Bug::repl_ignore_fetch_leader_epoch);
  const FetchReply reply = zombie_fetch(w);
  CHECK(reply.verdict.error == ErrorCode::none);
  CHECK(w.switches.ran(Bug::repl_ignore_fetch_leader_epoch) == 1);
  CHECK(w.log(2).end() == 60);
  CHECK(w.log(2).entries[45].value == "lost");
  CHECK(w.log(1).entries[45].value == "new");
}

TEST_CASE("A6 KAFKA-7164: the same leader in a new epoch means truncation all the same") {
  World w;
  w.elect(1, {1, 2, 3});
  w.write(1, "x");
  w.fetch(3, 1);
  w.decide(2, {1, 2});
  w.tell(1);
  w.tell(2);
  w.sync(1, 2);
  CHECK(w.log(1).end() == 0);
  w.decide(1, {1, 2});
  w.tell(1);
  w.tell(2);
  w.write(1, "y");
  w.tell(3);  // from epoch 1 to epoch 3, leader 1 both times
  w.sync(3, 1);
  CHECK(w.log(3).entries == w.log(1).entries);
}

TEST_CASE("A8 KAFKA-7128: nobody joins below the start of the leader's epoch") {
  World w;
  CHECK_FALSE(joins_between_watermark_and_epoch_start(w));
  CHECK(w.switches.ran(Bug::isr_expand_at_hw_only) == 0);
  w.sync(3, 2);
  CHECK(w.part(2).proposal_pending());  // once it has everything up to there it is welcome
}

TEST_CASE("A8 switched on: a replica without acknowledged records becomes electable") {
  World w;
  w.switches.turn_on(Bug::isr_expand_at_hw_only);
  CHECK(joins_between_watermark_and_epoch_start(w));
  CHECK(w.switches.ran(Bug::isr_expand_at_hw_only) == 1);
  CHECK(w.settle_isr(2));
  CHECK(w.log(3).end() == 6);
  CHECK(w.state().isr == std::vector<NodeId>{1, 2, 3});
}

TEST_CASE("A9 KAFKA-13141: a diverging fetch counts for nothing") {
  World w;
  w.elect(1, {1, 2, 3});
  for (int i = 0; i < 6; ++i) w.write(1, "a");
  w.sync(2, 1);
  w.sync(3, 1);
  w.fetch(2, 1);
  for (int i = 6; i < 10; ++i) w.write(1, "tail");
  w.fetch(3, 1);
  w.elect(2, {2, 3});
  for (int i = 6; i < 9; ++i) w.write(2, "b");
  const FetchReply reply = w.ask(3, 2);
  REQUIRE(reply.verdict.diverging.has_value());
  CHECK(*reply.verdict.diverging == EpochEnd{1, 6});
  CHECK(w.part(2).progress().at(3).position == kNoOffset);
  CHECK(w.part(2).high_watermark() == 6);
  w.act(3, reply);
  CHECK(w.log(3).end() == 6);
  w.sync(3, 2);
  CHECK(w.part(2).high_watermark() == 9);
}

TEST_CASE("A10 Kip320FirstTry: what was fetched before the epoch does not raise the high watermark") {
  World w;
  w.elect(1, {1, 2, 3});
  w.write(1, "a");
  w.fetch(2, 1);
  w.fetch(3, 1);
  const Assignment before = w.state();
  w.decide(2, {2, 3});
  w.tell(2);
  w.write(2, "b");
  // Node 3 still lives in the old epoch: fenced, and its position does not count.
  CHECK(w.ask(3, 2).verdict.error == ErrorCode::fenced_leader_epoch);
  CHECK(w.part(2).high_watermark() == 0);
  CHECK_FALSE(w.tell(2, before).new_epoch);
  w.tell(3);
  w.sync(3, 2);
  CHECK(w.part(2).high_watermark() == 2);
  // And a follower ahead of its leader's metadata waits for it.
  w.decide(2, {2, 3});
  w.tell(3);
  CHECK(w.ask(3, 2).verdict.error == ErrorCode::unknown_leader_epoch);
}

TEST_CASE("A12 KAFKA-13207: a reply from another epoch or to another offset is not acted on") {
  World w;
  w.elect(1, {1, 2, 3});
  w.write(1, "a");
  w.sync(2, 1);
  w.decide(3, {1, 2, 3});
  w.tell(3);
  w.tell(2);
  FetchReply late = w.ask(2, 3);  // node 3 has nothing: "diverging"
  REQUIRE(late.verdict.diverging.has_value());
  w.elect(2, {1, 2});
  w.write(2, "acked");
  CHECK_FALSE(w.act(2, late));
  CHECK(w.log(2).end() == 2);
  // The same epoch, but the log has moved on: also stale.
  w.elect(1, {1, 2});
  const FetchReply first = w.ask(2, 1);
  w.act(2, first);
  w.log(2).append(9, "moved");
  CHECK_FALSE(w.act(2, w.ask(2, 1)) == true);
  CHECK_FALSE(w.part(2).accepts_reply(w.part(2).leader_epoch(), 0, w.log(2).end()));
}

TEST_CASE("A13 KIP-497: the high watermark needs the proposed ISR until it is resolved") {
  World w;
  w.elect(1, {1, 2});
  w.sync(3, 1);
  const auto sent = w.part(1).proposal(1);
  REQUIRE(sent.has_value());
  const AlterResult committed = w.alter(*sent);  // the controller has {1,2,3}; the answer is delayed
  w.write(1, "x");
  w.sync(2, 1);
  CHECK(w.part(1).high_watermark() == 0);
  // KAFKA-12686: an image that is not newer than the proposal's base does not end the wait.
  Assignment same = w.state();
  same.partition_epoch = sent->partition_epoch;
  same.isr = {1, 2};
  w.tell(1, same);
  CHECK(w.part(1).high_watermark() == 0);
  w.part(1).on_alter_result(*sent, committed);
  CHECK(w.part(1).high_watermark() == 0);
  w.sync(3, 1);
  CHECK(w.part(1).high_watermark() == 1);
}

TEST_CASE("A15 KIP-966: below min ISR the high watermark stands still") {
  World w(Durability::page_cache, 2);
  w.elect(1, {1, 2, 3});
  w.write(1, "a");
  w.sync(2, 1);
  w.sync(3, 1);
  Assignment alone = w.state();
  alone.isr = {1};
  ++alone.partition_epoch;
  w.tell(1, alone);
  w.write(1, "b");
  CHECK(w.part(1).high_watermark() == 1);
  // A second member that is proposed but not committed does not thaw it.
  w.sync(2, 1);
  CHECK(w.part(1).proposal_pending());
  CHECK(w.part(1).high_watermark() == 1);
  Assignment both = alone;
  both.isr = {1, 2};
  ++both.partition_epoch;
  CHECK(w.tell(1, both).hw_advanced);
  CHECK(w.part(1).high_watermark() == 2);
}

TEST_CASE("A16 KIP-207: a new leader does not tell an end below what its predecessor told") {
  World w;
  acked_but_watermark_unheard(w);
  CHECK(w.part(2).latest(w.part(2).high_watermark()).error == ErrorCode::offset_not_available);
  w.sync(3, 2);
  const LatestOffset known = w.part(2).latest(w.part(2).high_watermark());
  CHECK(known.error == ErrorCode::none);
  CHECK(known.offset == 2);
  CHECK(w.switches.ran(Bug::repl_list_offsets_before_leso) == 0);
}

TEST_CASE("A16 switched on: the end offset goes back") {
  World w;
  w.switches.turn_on(Bug::repl_list_offsets_before_leso);
  acked_but_watermark_unheard(w);
  const LatestOffset told = w.part(2).latest(w.part(2).high_watermark());
  CHECK(told.error == ErrorCode::none);
  CHECK(told.offset == 0);
  CHECK(w.switches.ran(Bug::repl_list_offsets_before_leso) == 1);
}

TEST_CASE("A18: a new epoch forgets the progress of everyone") {
  World w;
  w.elect(1, {1, 2});
  w.write(1, "a");
  w.sync(3, 1);
  w.log(3).cut(0);  // removed and added again, empty, in one metadata batch
  w.elect(1, {1, 2});
  CHECK(w.part(1).progress().at(3).position == kNoOffset);
  CHECK(w.part(1).progress().at(2).position == kNoOffset);
  CHECK_FALSE(w.ask(3, 1).verdict.isr_proposed);
}
