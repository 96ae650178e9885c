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

// A2: after a power cut of everything node 1 has lost m2, which node 2 kept, and leads first.
void staggered_restart(World& w) {
  w.elect(1, {1, 2});
  w.write(1, "m1");
  w.sync(2, 1);
  w.write(1, "m2");
  w.fetch(2, 1);
  w.boot(1, 1);
  w.boot(2);
  w.decide(1, {1, 2});
  w.tell(1);
  w.write(1, "m3");
  w.tell(2);
  w.sync(2, 1);
}

// A3: node 1 leads twice and never hears of node 2's epoch in between.
void two_fast_moves(World& w) {
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
}

// A4: node 2 knows no high watermark, leads, writes one record; node 1 leads again and writes nothing.
void idle_leader_is_asked(World& w) {
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
  w.fetch(2, 1);
}

// A6: node 3 has x of node 1's first epoch, misses node 2's, and finds node 1 leading with y in its place.
void same_leader_again(World& w) {
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
}

// A9, A10, A17: node 3 has four records of epoch 1 that nobody else has; node 2 leads epoch 2 with three of its own.
void longer_follower(World& w) {
  w.elect(1, {1, 2, 3});
  for (int i = 0; i < 6; ++i) w.write(1, "a");
  w.sync(2, 1);
  w.sync(3, 1);
  w.fetch(2, 1);
  for (int i = 6; i < 10; ++i) w.write(1, "tail");
  w.fetch(3, 1);
  w.decide(2, {2, 3});
  w.tell(1);
  w.tell(2);
  for (int i = 6; i < 9; ++i) w.write(2, "b");
}

// A12: the answer to node 2's fetch says "diverging" and is late: node 2 leads by then, and has written.
FetchReply late_divergence(World& w) {
  w.elect(1, {1, 2, 3});
  w.write(1, "a");
  w.sync(2, 1);
  w.decide(3, {1, 2, 3});
  w.tell(3);
  w.tell(2);
  FetchReply late = w.ask(2, 3);  // node 3 has nothing
  REQUIRE(late.verdict.diverging.has_value());
  w.elect(2, {1, 2});
  w.write(2, "acked");
  return late;
}

// A13: the controller has {1,2,3}, node 1 has not heard of it, and node 3 lacks x.
IsrProposal unanswered_expansion(World& w) {
  w.elect(1, {1, 2});
  w.sync(3, 1);
  const auto sent = w.part(1).proposal(1);
  REQUIRE(sent.has_value());
  return *sent;
}

// A15: the ISR shrinks to the leader alone, below its minimum of two, and a record is written.
Assignment alone_below_minimum(World& w) {
  w.elect(1, {1, 2, 3});
  w.write(1, "a");
  w.sync(2, 1);
  w.sync(3, 1);
  Assignment alone = w.state();
  alone.isr = {1};
  ++alone.partition_epoch;
  w.tell(1, alone);
  w.write(1, "b");
  return alone;
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

TEST_CASE("A2 KIP-101/2: what a power cut left on one replica only is cut where the epochs part") {
  World w;
  staggered_restart(w);
  CHECK(w.log(2).entries == std::vector<Entry>{{1, "m1"}, {2, "m3"}});
  CHECK(w.switches.ran(Bug::repl_fetch_without_epoch_lookup) == 0);
}

TEST_CASE("A2 switched on: two values at one offset") {
  World w;
  w.switches.turn_on(Bug::repl_fetch_without_epoch_lookup);
  staggered_restart(w);
  CHECK(w.switches.ran(Bug::repl_fetch_without_epoch_lookup) >= 1);
  CHECK(w.log(1).entries == std::vector<Entry>{{1, "m1"}, {2, "m3"}});
  CHECK(w.log(2).entries == std::vector<Entry>{{1, "m1"}, {1, "m2"}});
}

TEST_CASE("A3 KAFKA-6361: two fast moves leave no foreign epoch behind") {
  World w;
  two_fast_moves(w);
  CHECK(w.log(2).entries == w.log(1).entries);
  CHECK(w.switches.ran(Bug::repl_epoch_reply_offset_only) == 0);
}

TEST_CASE("A3 switched on: the records of an epoch that the leader never saw stay") {
  World w;
  w.switches.turn_on(Bug::repl_epoch_reply_offset_only);
  two_fast_moves(w);
  CHECK(w.switches.ran(Bug::repl_epoch_reply_offset_only) >= 1);
  CHECK(w.log(2).end() == w.log(1).end());
  CHECK(w.log(1).entries[3] == Entry{1, "a"});
  CHECK(w.log(2).entries[3] == Entry{2, "b"});
  CHECK(w.log(2).entries[6] == Entry{3, "c"});
}

TEST_CASE("A4 KAFKA-7415: a leader that writes nothing still has an epoch to answer with") {
  World w;
  idle_leader_is_asked(w);
  CHECK(w.log(1).latest() == 3);
  CHECK(w.log(2).end() == 4);  // the unacknowledged one is gone, the acknowledged four are not
  // A divergence exactly at the end must drop the stale epoch too, or the follower asks for ever (KAFKA-10706).
  w.elect(2, {1, 2});
  w.elect(1, {1, 2});
  w.write(1, "next");
  w.sync(2, 1);
  CHECK(w.log(2).entries == w.log(1).entries);
}

TEST_CASE("A4 switched on: without an answer the follower cuts acknowledged records") {
  World w;
  w.switches.turn_on(Bug::repl_epoch_start_on_first_append);
  idle_leader_is_asked(w);
  CHECK(w.switches.ran(Bug::repl_epoch_start_on_first_append) >= 1);
  CHECK(w.log(1).latest() == 1);
  CHECK(w.log(2).end() == 0);
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
  same_leader_again(w);
  CHECK(w.log(3).entries == w.log(1).entries);
  CHECK(w.switches.ran(Bug::repl_skip_truncate_if_same_leader) == 0);
}

TEST_CASE("A6 switched on: x and y at one offset") {
  World w;
  w.switches.turn_on(Bug::repl_skip_truncate_if_same_leader);
  same_leader_again(w);
  CHECK(w.switches.ran(Bug::repl_skip_truncate_if_same_leader) == 1);
  CHECK(w.log(1).entries == std::vector<Entry>{{3, "y"}});
  CHECK(w.log(3).entries == std::vector<Entry>{{1, "x"}});
}

TEST_CASE("A7 KAFKA-9338: a session's fetches are fenced like any other") {
  World w;
  w.in_session = true;
  const FetchReply reply = zombie_fetch(w);
  CHECK(reply.verdict.error == ErrorCode::fenced_leader_epoch);
  CHECK(w.part(1).check_leader(1, true) == ErrorCode::fenced_leader_epoch);
  CHECK(w.log(2).end() == 50);
}

TEST_CASE("A7 switched on: inside a session the old epoch goes on, outside it does not") {
  World w;
  w.switches.turn_on(Bug::repl_session_skips_epoch_check);
  CHECK(zombie_fetch(w).verdict.error == ErrorCode::fenced_leader_epoch);
  CHECK(w.switches.ran(Bug::repl_session_skips_epoch_check) == 0);
  w.in_session = true;
  w.fetch(2, 1);
  CHECK(w.switches.ran(Bug::repl_session_skips_epoch_check) == 1);
  CHECK(w.log(2).end() == 60);
  CHECK(w.log(2).entries[45].value == "lost");
  CHECK(w.log(1).entries[45].value == "new");
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
  longer_follower(w);
  w.tell(3);
  const FetchReply reply = w.ask(3, 2);
  REQUIRE(reply.verdict.diverging.has_value());
  CHECK(*reply.verdict.diverging == EpochEnd{1, 6});
  CHECK(w.part(2).progress().at(3).position == kNoOffset);
  CHECK(w.part(2).high_watermark() == 6);
  w.act(3, reply);
  CHECK(w.log(3).end() == 6);
  w.sync(3, 2);
  CHECK(w.part(2).high_watermark() == 9);
  CHECK(w.switches.ran(Bug::repl_count_diverging_fetch) == 0);
}

TEST_CASE("A9 switched on: records on the leader alone are acknowledged") {
  World w;
  w.switches.turn_on(Bug::repl_count_diverging_fetch);
  longer_follower(w);
  w.tell(3);
  const FetchReply reply = w.ask(3, 2);
  CHECK(reply.verdict.diverging.has_value());
  CHECK(w.switches.ran(Bug::repl_count_diverging_fetch) == 1);
  CHECK(w.part(2).high_watermark() == 9);
  CHECK(w.log(3).entries[6].value == "tail");
}

TEST_CASE("A10 Kip320FirstTry: what was fetched in an older epoch does not raise the high watermark") {
  World w;
  longer_follower(w);
  const Assignment before = w.state();
  // Node 3 still lives in the old epoch: fenced, and its position does not count.
  CHECK(w.ask(3, 2).verdict.error == ErrorCode::fenced_leader_epoch);
  CHECK(w.part(2).high_watermark() == 6);
  CHECK_FALSE(w.tell(2, before).new_epoch);
  w.tell(3);
  w.sync(3, 2);
  CHECK(w.part(2).high_watermark() == 9);
  // And a follower ahead of its leader's metadata waits for it.
  w.decide(2, {2, 3});
  w.tell(3);
  CHECK(w.ask(3, 2).verdict.error == ErrorCode::unknown_leader_epoch);
  CHECK(w.switches.ran(Bug::repl_hw_counts_old_epoch_fetch) == 0);
}

TEST_CASE("A10 switched on: a follower of an older epoch commits what it will cut") {
  World w;
  w.switches.turn_on(Bug::repl_hw_counts_old_epoch_fetch);
  longer_follower(w);
  const FetchVerdict verdict = w.ask(3, 2).verdict;
  CHECK(verdict.error == ErrorCode::fenced_leader_epoch);
  CHECK(verdict.hw_advanced);
  CHECK(w.switches.ran(Bug::repl_hw_counts_old_epoch_fetch) == 1);
  CHECK(w.part(2).high_watermark() == 9);
}

TEST_CASE("A12 KAFKA-13207: a reply from another epoch or to another offset is not acted on") {
  World w;
  const FetchReply late = late_divergence(w);
  CHECK_FALSE(w.act(2, late));
  CHECK(w.log(2).end() == 2);
  // The same epoch, but the log has moved on: also stale.
  w.elect(1, {1, 2});
  const FetchReply first = w.ask(2, 1);
  w.act(2, first);
  w.log(2).append(9, "moved");
  CHECK_FALSE(w.act(2, w.ask(2, 1)) == true);
  CHECK_FALSE(w.part(2).accepts_reply(w.part(2).leader_epoch(), 0, w.log(2).end()));
  CHECK(w.switches.ran(Bug::repl_truncate_on_stale_reply) == 0);
}

TEST_CASE("A12 switched on: a leader cuts its own log") {
  World w;
  w.switches.turn_on(Bug::repl_truncate_on_stale_reply);
  const FetchReply late = late_divergence(w);
  CHECK(w.part(2).leading());
  CHECK(w.act(2, late));
  CHECK(w.switches.ran(Bug::repl_truncate_on_stale_reply) == 1);
  CHECK(w.log(2).end() == 0);
}

TEST_CASE("A13 KIP-497: the high watermark needs the proposed ISR until it is resolved") {
  World w;
  const IsrProposal sent = unanswered_expansion(w);
  const AlterResult committed = w.alter(sent);  // the answer is delayed
  w.write(1, "x");
  w.sync(2, 1);
  CHECK(w.part(1).high_watermark() == 0);
  // KAFKA-12686: an image that is not newer than the proposal's base does not end the wait.
  Assignment same = w.state();
  same.partition_epoch = sent.partition_epoch;
  same.isr = {1, 2};
  w.tell(1, same);
  CHECK(w.part(1).high_watermark() == 0);
  w.part(1).on_alter_result(sent, committed);
  CHECK(w.part(1).high_watermark() == 0);
  w.sync(3, 1);
  CHECK(w.part(1).high_watermark() == 1);
  CHECK(w.switches.ran(Bug::isr_hw_uses_committed_isr_only) == 0);
}

TEST_CASE("A13 switched on: a record is acknowledged that an electable replica lacks") {
  World w;
  w.switches.turn_on(Bug::isr_hw_uses_committed_isr_only);
  w.alter(unanswered_expansion(w));
  w.write(1, "x");
  w.sync(2, 1);
  CHECK(w.switches.ran(Bug::isr_hw_uses_committed_isr_only) >= 1);
  CHECK(w.part(1).high_watermark() == 1);
  CHECK(w.state().isr == std::vector<NodeId>{1, 2, 3});
  CHECK(w.log(3).end() == 0);
}

TEST_CASE("A15 KIP-966: below min ISR the high watermark stands still") {
  World w(Durability::page_cache, 2);
  const Assignment alone = alone_below_minimum(w);
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
  CHECK(w.switches.ran(Bug::isr_hw_below_min_isr) == 0);
}

TEST_CASE("A15a switched on: what a single replica holds is visible") {
  World w(Durability::page_cache, 2);
  w.switches.turn_on(Bug::isr_hw_below_min_isr);
  alone_below_minimum(w);
  CHECK(w.switches.ran(Bug::isr_hw_below_min_isr) >= 1);
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

TEST_CASE("A17 KAFKA-2143: a follower that is ahead of its leader cuts where they part") {
  World w;
  longer_follower(w);
  w.tell(3);
  w.fetch(3, 2);
  CHECK(w.log(3).end() == 6);
  CHECK(w.part(3).repair_for({.asked = 9, .diverging = std::nullopt, .leader_log_start = 3}) == Repair::look_up);
  CHECK(w.part(3).repair_for({.asked = 2, .diverging = std::nullopt, .leader_log_start = 3}) == Repair::start_over);
  CHECK(w.switches.ran(Bug::repl_oor_resets_to_start) == 0);
}

TEST_CASE("A17 switched on: it throws its whole log away") {
  World w;
  w.switches.turn_on(Bug::repl_oor_resets_to_start);
  longer_follower(w);
  w.tell(3);
  w.fetch(3, 2);
  CHECK(w.switches.ran(Bug::repl_oor_resets_to_start) == 1);
  CHECK(w.log(3).end() == 0);
  CHECK(w.part(3).repair_for({.asked = 9, .diverging = std::nullopt, .leader_log_start = 3}) == Repair::start_over);
}

TEST_CASE("A18b KAFKA-10301: a new leader commits nothing before it has heard of the others") {
  World w;
  acked_but_watermark_unheard(w);
  CHECK(w.log(2).end() == 2);
  CHECK(w.part(2).high_watermark() == 0);
}

TEST_CASE("A18b switched on: the high watermark jumps to the log end") {
  World w;
  w.switches.turn_on(Bug::repl_hw_over_empty_replica_map);
  acked_but_watermark_unheard(w);
  CHECK(w.switches.ran(Bug::repl_hw_over_empty_replica_map) >= 1);
  CHECK(w.part(2).high_watermark() == 2);
}
