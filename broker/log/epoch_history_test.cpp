// The leader epoch history, by the schedules of KIP-101 and KIP-279.
#include "broker/log/epoch_history.h"

#include <doctest/doctest.h>

#include "broker/log/test_log.h"

namespace ordeal::log {
namespace {

EpochHistory history(const std::vector<EpochEntry>& entries) {
  EpochHistory made;
  for (const auto& entry : entries) REQUIRE(made.assign(entry.epoch, entry.start));
  return made;
}

TEST_CASE("lookups answer the largest epoch not above the asked one and where it ends") {
  const EpochHistory h = history({{2, 10}, {4, 20}, {7, 50}});
  CHECK(h.end_offset_for(7, 60) == EpochEnd{7, 60});
  CHECK(h.end_offset_for(4, 60) == EpochEnd{4, 50});
  CHECK(h.end_offset_for(5, 60) == EpochEnd{4, 50});  // KIP-279: the epoch comes with the offset
  CHECK(h.end_offset_for(3, 60) == EpochEnd{2, 20});
  CHECK(h.end_offset_for(1, 60) == EpochEnd{1, 10});  // nothing of it is left here
  CHECK(h.end_offset_for(8, 60) == EpochEnd{});
  CHECK(h.end_offset_for(kNoEpoch, 60) == EpochEnd{});
  CHECK(EpochHistory{}.end_offset_for(0, 0) == EpochEnd{});
  CHECK(h.epoch_of(9) == kNoEpoch);
  CHECK(h.epoch_of(10) == 2);
  CHECK(h.epoch_of(49) == 4);
  CHECK(h.epoch_of(500) == 7);
}

TEST_CASE("an epoch that wrote nothing is replaced, a repeated or older one changes nothing") {
  EpochHistory h = history({{1, 0}, {2, 5}});
  CHECK_FALSE(h.assign(2, 9));
  CHECK_FALSE(h.assign(1, 9));
  CHECK(h.assign(4, 5));
  CHECK(h.entries() == std::vector<EpochEntry>{{1, 0}, {4, 5}});
  CHECK(h.assign(5, 0));
  CHECK(h.entries() == std::vector<EpochEntry>{{5, 0}});
  CHECK(history({{0, 0}}).latest() == 0);  // epoch 0 is an epoch (KAFKA-10432)
}

TEST_CASE("truncation at either end keeps the epoch that reaches across") {
  EpochHistory h = history({{1, 0}, {2, 10}, {3, 20}});
  CHECK(h.truncate_from_end(20));
  CHECK_FALSE(h.truncate_from_end(20));
  CHECK(h.entries() == std::vector<EpochEntry>{{1, 0}, {2, 10}});
  CHECK(h.truncate_from_end(10));
  CHECK(h.truncate_from_start(5));
  CHECK(h.entries() == std::vector<EpochEntry>{{1, 5}});
  EpochHistory g = history({{1, 0}, {2, 10}, {3, 20}});
  CHECK(g.truncate_from_start(10));
  CHECK(g.entries() == std::vector<EpochEntry>{{2, 10}, {3, 20}});
  CHECK_FALSE(g.truncate_from_start(10));
  CHECK_FALSE(g.truncate_from_start(3));
}

TEST_CASE("the checkpoint text is Kafka's and anything else is refused") {
  const EpochHistory h = history({{0, 0}, {3, 42}});
  CHECK(as_text(h.encode()) == "0\n2\n0 0\n3 42\n");
  CHECK(EpochHistory::decode(h.encode())->entries() == h.entries());
  CHECK(EpochHistory::decode(as_bytes("0\n0\n"))->empty());
  for (const char* bad : {"", "0\n", "1\n0\n", "0\n2\n0 0\n", "0\n1\n0 0", "0\n1\n0\n", "0\n1\nx 0\n",
                          "0\n2\n1 0\n1 5\n", "0\n2\n1 5\n2 5\n", "0\n1\n-1 0\n"}) {
    CHECK(EpochHistory::decode(as_bytes(bad)).error().code == Errc::corrupt);
  }
}

// A replica that follows: it asks where its latest epoch ends at the leader, cuts, and asks again until they agree.
void follow(TestLog& follower, const TestLog& leader) {
  for (int round = 0; round < 10; ++round) {
    const LeaderEpoch asked = follower.log->latest_epoch();
    if (asked == kNoEpoch) break;
    const EpochEnd answer = leader.log->end_offset_for_epoch(asked);
    const EpochEnd mine = follower.log->end_offset_for_epoch(answer.epoch);
    const Offset cut = std::min(answer.end, mine.end);
    REQUIRE(follower.log->truncate_to(cut, kTestNow));
    if (mine.epoch == answer.epoch && follower.log->latest_epoch() == answer.epoch) break;
  }
  while (follower.log->log_end() < leader.log->log_end()) {
    auto part = leader.log->read(follower.log->log_end(), 1 << 20, leader.log->log_end());
    REQUIRE(part);
    REQUIRE(follower.log->append_as_follower(part->view, kTestNow));
  }
  CHECK(follower.values(0) == leader.values(0));
}

TEST_CASE("KIP-101: two power losses apart, the replicas converge on the leader's records") {
  TestLog a;
  TestLog b;
  a.append({.value = "m1"}, 0);
  follow(b, a);
  b.append({.value = "m2"}, 0);  // B has m2, A lost it
  a.log->assign_epoch(1);
  a.append({.value = "m3"}, 1);
  follow(b, a);
  CHECK(b.values(0) == std::vector<std::string>{"m1.0", "m3.0"});
}

TEST_CASE("KIP-279: fast leader changes, the offset alone would keep divergent records") {
  TestLog a;
  TestLog b;
  a.append({.value = "common"}, 1);
  follow(b, a);
  for (int i = 1; i <= 5; ++i) a.append({.value = "a1"}, 1);
  b.log->assign_epoch(2);
  for (int i = 1; i <= 8; ++i) b.append({.value = "b2"}, 2);
  a.log->assign_epoch(3);
  a.append({.value = "a3"}, 3);
  follow(b, a);
  CHECK(b.log->epochs().entries() == a.log->epochs().entries());
}

TEST_CASE("KAFKA-7415: a leader that wrote nothing still answers for the epoch before it") {
  TestLog a;
  TestLog b;
  for (int i = 0; i < 4; ++i) a.append({.value = "acked"}, 1);
  follow(b, a);
  b.log->assign_epoch(2);
  b.append({.value = "b2"}, 2);
  a.log->assign_epoch(3);
  CHECK(a.log->end_offset_for_epoch(2) == EpochEnd{1, 4});
  follow(b, a);
  CHECK(b.log->log_end() == 4);
}

TEST_CASE("KAFKA-10706: truncation to the end drops an epoch that wrote nothing") {
  TestLog t;
  t.append({}, 1);
  t.log->assign_epoch(5);
  CHECK(t.log->latest_epoch() == 5);
  REQUIRE(t.log->truncate_to(1, kTestNow));
  CHECK(t.log->latest_epoch() == 1);
  CHECK(t.log->log_end() == 1);
}

}  // namespace
}  // namespace ordeal::log
