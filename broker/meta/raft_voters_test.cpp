// Changes of the voters, observers, and voters that lost their disk.
#include <doctest/doctest.h>

#include "broker/meta/raft_cluster.h"

namespace ordeal::meta::raft {
namespace {

std::vector<NodeId> ids(const VoterSet& set) {
  std::vector<NodeId> all;
  for (const auto& [id, endpoint] : set) all.push_back(id);
  return all;
}

Index commit_one(Cluster& cluster, const std::string& data) {
  const auto index = cluster.propose(cluster.leader(), data);
  REQUIRE(index);
  cluster.deliver_all();
  REQUIRE(cluster.was_committed(*index, data));
  return *index;
}

TEST_CASE("voters read back from their text, and nonsense does not become voters") {
  const VoterSet set{{1, {"10.0.0.1", 9094}}, {12, {"::1", 65535}}};
  CHECK(encode_voters(set) == "1@10.0.0.1:9094,12@::1:65535");
  CHECK(decode_voters(encode_voters(set)) == set);
  for (const char* text : {"", "1", "1@", "1@a", "1@a:", "1@a:x", "1@a:65536", "x@a:1", "-1@a:1", "1@a:1,,2@b:2"})
    CHECK_FALSE(decode_voters(text));
}

TEST_CASE("a node outside the voters follows, but neither campaigns nor counts") {
  Cluster cluster(4, 1, 256, 3);
  cluster.pass(2s);
  const Index index = commit_one(cluster, "a");
  CHECK(cluster.at(4).commit_index() == index);
  CHECK(cluster.at(4).leader() == cluster.leader());
  const Term term = cluster.at(4).term();
  for (const NodeId id : {1, 2, 3}) cluster.crash(id);
  cluster.pass(5s);
  CHECK(cluster.at(4).role() == Role::follower);
  CHECK(cluster.at(4).term() == term);
  cluster.start(1);
  cluster.pass(5s);
  CHECK(cluster.leader() == kNoNode);  // 1 and 4 are no majority of {1, 2, 3}
}

TEST_CASE("a follower becomes a voter, and a voter a follower, one at a time") {
  Cluster cluster(5, 1, 256, 3);
  cluster.pass(2s);
  const NodeId leader = cluster.leader();
  CHECK(cluster.change(leader, 4, true) == VoterRefusal::none);
  CHECK(cluster.change(leader, 5, true) == VoterRefusal::pending);
  CHECK(cluster.change(leader, 1, false) == VoterRefusal::pending);
  CHECK(ids(cluster.at(leader).voters()) == std::vector<NodeId>{1, 2, 3, 4});  // in force before it is committed
  cluster.deliver_all();
  CHECK(cluster.change(leader, 5, true) == VoterRefusal::none);
  cluster.deliver_all();
  for (const NodeId id : cluster.nodes()) CHECK(ids(cluster.at(id).voters()) == cluster.nodes());
  CHECK(cluster.change(leader, 4, true) == VoterRefusal::present);
  CHECK(cluster.change(leader, 6, true) == VoterRefusal::too_many);
  CHECK(cluster.change(leader, 6, false) == VoterRefusal::absent);
  CHECK(cluster.change(leader == 1 ? 2 : 1, 3, false) == VoterRefusal::not_leader);

  // Five voters go on without two of them, the new ones included.
  cluster.crash(leader == 2 ? 3 : 2);
  cluster.crash(4);
  (void)commit_one(cluster, "with two down");
}

TEST_CASE("a node that does not follow, or not closely, cannot be added") {
  Cluster cluster(4, 1, 256, 3);
  cluster.crash(4);
  cluster.pass(2s);
  CHECK(cluster.change(cluster.leader(), 4, true) == VoterRefusal::behind);
  CHECK(cluster.change(cluster.leader(), 9, true) == VoterRefusal::behind);
  cluster.start(4);
  cluster.pass(1s);
  CHECK(cluster.change(cluster.leader(), 4, true) == VoterRefusal::none);
}

TEST_CASE("a leader changes the voters only after an entry of its own term is committed") {
  Config config;
  config.id = 1;
  for (const NodeId id : {1, 2, 3}) config.voters[id] = Cluster::endpoint_of(id);
  Raft raft(config, {}, Random(1), Instant{});
  const Instant now = raft.next_deadline();
  raft.tick(now);
  raft.receive({2, 1, 1, VoteResponse{true, true}}, now);
  raft.receive({2, 1, 1, VoteResponse{false, true}}, now);
  REQUIRE(raft.role() == Role::leader);
  CHECK(raft.remove_voter(3, now).refusal == VoterRefusal::not_ready);
  raft.receive({2, 1, 1, AppendResponse{true, 1, 0, 0, 0}}, now);
  CHECK(raft.remove_voter(3, now).refusal == VoterRefusal::none);
}

TEST_CASE("a leader that removes itself commits that with the others' votes and hands over") {
  Cluster cluster(3);
  cluster.pass(1s);
  const NodeId old = cluster.leader();
  CHECK(cluster.change(old, old, false) == VoterRefusal::none);
  cluster.deliver_all();
  cluster.pass(2s);
  const NodeId fresh = cluster.leader();
  REQUIRE(fresh != kNoNode);
  CHECK(fresh != old);
  CHECK(cluster.at(old).role() == Role::follower);
  const Index index = commit_one(cluster, "without it");
  CHECK_FALSE(cluster.at(fresh).is_voter(old));
  cluster.pass(3s);
  CHECK(cluster.at(old).commit_index() >= index);  // it follows on
  CHECK(cluster.change(fresh, old, true) == VoterRefusal::none);
  cluster.deliver_all();
  CHECK(cluster.at(old).is_voter(old));
}

TEST_CASE("the last voter stays") {
  Cluster cluster(2, 1, 256, 1);
  cluster.pass(1s);
  CHECK(cluster.change(1, 1, false) == VoterRefusal::last_one);
  CHECK(cluster.change(1, 2, true) == VoterRefusal::none);
  cluster.deliver_all();
  CHECK(cluster.change(1, 1, false) == VoterRefusal::none);
  cluster.deliver_all();
  cluster.pass(2s);
  CHECK(cluster.leader() == 2);
}

TEST_CASE("a change that was never committed is forgotten with its entry") {
  Cluster cluster(4, 1, 256, 3);
  cluster.pass(2s);
  const NodeId old = cluster.leader();
  cluster.isolate(old);
  CHECK(cluster.change(old, 4, true) == VoterRefusal::none);
  CHECK(cluster.at(old).is_voter(4));
  cluster.pass(2s);
  REQUIRE(cluster.leader() != old);
  (void)commit_one(cluster, "a");
  cluster.heal();
  cluster.pass(2s);
  CHECK_FALSE(cluster.at(old).is_voter(4));
  CHECK(ids(cluster.at(old).voters()) == std::vector<NodeId>{1, 2, 3});
}

TEST_CASE("voters and the log's hash survive restarts, compaction and snapshots") {
  Cluster cluster(5, 1, 256, 3);
  cluster.crash(5);
  cluster.pass(2s);
  REQUIRE(cluster.change(cluster.leader(), 4, true) == VoterRefusal::none);
  cluster.deliver_all();
  for (int i = 0; i < 10; ++i) (void)commit_one(cluster, "v" + std::to_string(i));
  const Index end = cluster.at(cluster.leader()).last_index();
  for (const NodeId id : {1, 2, 3, 4}) cluster.compact(id, end - 2);
  const std::uint64_t hash = cluster.at(cluster.leader()).hash_at(end);
  cluster.restart(2);
  CHECK(ids(cluster.at(2).voters()) == std::vector<NodeId>{1, 2, 3, 4});
  CHECK(cluster.at(2).hash_at(end) == hash);
  cluster.start(5);  // nothing of the log that names 4 a voter is left
  cluster.pass(4s);
  CHECK(cluster.snapshots_installed == 1);
  CHECK(ids(cluster.at(5).voters()) == std::vector<NodeId>{1, 2, 3, 4});
  CHECK(cluster.at(5).hash_at(end) == hash);
}

TEST_CASE("equal logs have equal hashes, others do not") {
  const Entry a{1, 1, EntryKind::records, "a"};
  Entry b = a;
  CHECK(fold_hash(7, a) == fold_hash(7, b));
  b.data = "b";
  CHECK(fold_hash(7, a) != fold_hash(7, b));
  b = a;
  b.term = 2;
  CHECK(fold_hash(7, a) != fold_hash(7, b));
  CHECK(fold_hash(0, a) != fold_hash(1, a));
}

// ---- wiped disks ----

TEST_CASE("a wiped voter is brought back under the same leader, and votes again") {
  for (const bool by_snapshot : {false, true}) {
    CAPTURE(by_snapshot);
    Cluster cluster(3);
    cluster.pass(1s);
    const NodeId leader = cluster.leader();
    const Term term = cluster.at(leader).term();
    for (int i = 0; i < 10; ++i) (void)commit_one(cluster, "v" + std::to_string(i));
    if (by_snapshot) cluster.compact(leader, cluster.at(leader).applied_index() - 2);
    const NodeId wiped = leader == 3 ? 2 : 3;
    cluster.crash(wiped);
    cluster.wipe(wiped);
    cluster.start(wiped);
    cluster.pass(3s);
    CHECK(cluster.at(wiped).last_index() == cluster.at(leader).last_index());
    CHECK(cluster.member(wiped).disk.hard_state.blank);  // no entry yet that all others hold since
    CHECK(cluster.at(leader).wants_entry());
    (void)commit_one(cluster, "fence");
    cluster.pass(1s);
    CHECK_FALSE(cluster.member(wiped).disk.hard_state.blank);
    CHECK(cluster.at(leader).term() == term);
    CHECK(cluster.leader() == leader);
    cluster.crash(leader);
    cluster.pass(2s);
    CHECK(cluster.leader() != kNoNode);
  }
}

TEST_CASE("a wiped voter counts for nothing: what only it acknowledges is not committed, and it elects no one") {
  Cluster cluster(3);
  cluster.pass(1s);
  const NodeId leader = cluster.leader();
  (void)commit_one(cluster, "kept");
  const NodeId wiped = leader == 3 ? 2 : 3;
  const NodeId other = 6 - leader - wiped;
  cluster.crash(wiped);
  cluster.crash(other);
  cluster.wipe(wiped);
  cluster.start(wiped);
  cluster.pass(500ms);
  const auto index = cluster.propose(leader, "on two disks, one of them blank");
  cluster.deliver_all();
  cluster.pass(500ms);
  REQUIRE(index);
  CHECK(cluster.at(wiped).last_index() == *index);
  CHECK_FALSE(cluster.was_committed(*index, "on two disks, one of them blank"));
  cluster.crash(leader);
  cluster.start(other);
  cluster.pass(10s);
  CHECK(cluster.leader() == kNoNode);
  CHECK(cluster.member(wiped).disk.hard_state.blank);
  cluster.start(leader);
  cluster.pass(3s);
  REQUIRE(cluster.leader() != kNoNode);
  (void)commit_one(cluster, "all are back");
  cluster.pass(1s);
  CHECK_FALSE(cluster.member(wiped).disk.hard_state.blank);
}

TEST_CASE("voters of a new cluster are all blank: they elect a leader and stop being so") {
  Cluster cluster(3);
  for (const NodeId id : cluster.nodes()) {
    cluster.crash(id);
    cluster.wipe(id);
    cluster.start(id);
  }
  cluster.pass(2s);
  REQUIRE(cluster.leader() != kNoNode);
  (void)commit_one(cluster, "a");
  cluster.pass(1s);
  (void)commit_one(cluster, "b");
  cluster.pass(1s);
  for (const NodeId id : cluster.nodes()) CHECK_FALSE(cluster.member(id).disk.hard_state.blank);
}

TEST_CASE("voters of a new cluster are told that they count as soon as they answer, not with the next heartbeat") {
  Cluster cluster(3);
  for (const NodeId id : cluster.nodes()) {
    cluster.crash(id);
    cluster.wipe(id);
    cluster.start(id);
  }
  cluster.campaign(1);  // no time passes for what follows it
  REQUIRE(cluster.leader() == 1);
  for (const NodeId id : cluster.nodes()) CHECK_FALSE(cluster.member(id).disk.hard_state.blank);
  CHECK(cluster.at(1).commit_index() > 0);
}

}  // namespace
}  // namespace ordeal::meta::raft
