// Scenarios of the Raft decider. raft_fuzz_test.cpp shuffles what these script.
#include "broker/meta/raft.h"

#include <doctest/doctest.h>

#include "broker/meta/raft_cluster.h"

namespace ordeal::meta::raft {
namespace {

Message message(NodeId from, NodeId to, Term term, decltype(Message::body) body) { return {from, to, term, body}; }

template <class Body>
const Body* find(const std::vector<Message>& messages, NodeId to) {
  for (const Message& each : messages)
    if (each.to == to && std::holds_alternative<Body>(each.body)) return &std::get<Body>(each.body);
  return nullptr;
}

Raft lone_follower(NodeId id, Restored restored = {}) {
  Config config;
  config.id = id;
  for (NodeId voter = 1; voter <= 3; ++voter) config.voters[voter] = {"10.0.0." + std::to_string(voter), 9094};
  return Raft(config, std::move(restored), Random(7), Instant{});
}

Restored restored(Term term, std::vector<Term> terms, NodeId vote = kNoNode) {
  Restored state;
  state.hard_state = {term, vote};
  for (const Term each : terms)
    state.entries.push_back({static_cast<Index>(state.entries.size()) + 1, each, EntryKind::records, "x"});
  return state;
}

TEST_CASE("a single voter leads at once and commits alone") {
  Cluster cluster(1);
  cluster.tick(1);
  CHECK(cluster.at(1).role() == Role::leader);
  CHECK(cluster.at(1).commit_index() == 1);  // its own term's opening entry
  const auto index = cluster.propose(1, "a");
  REQUIRE(index);
  CHECK(cluster.member(1).applied.at(*index) == "a");
}

TEST_CASE("three voters elect one leader and replicate") {
  Cluster cluster(3);
  cluster.pass(1s);
  const NodeId leader = cluster.leader();
  REQUIRE(leader != kNoNode);
  const auto index = cluster.propose(leader, "a");
  cluster.deliver_all();
  for (const NodeId id : cluster.nodes()) CHECK(cluster.member(id).applied.at(*index) == "a");
  CHECK(cluster.elections == 1);
}

TEST_CASE("a quiet leader stays: heartbeats hold the followers back") {
  Cluster cluster(3);
  cluster.pass(60s);
  CHECK(cluster.elections == 1);
}

TEST_CASE("a follower does not propose") {
  Cluster cluster(3);
  cluster.pass(1s);
  const NodeId follower = cluster.leader() == 1 ? 2 : 1;
  CHECK_FALSE(cluster.propose(follower, "a"));
}

TEST_CASE("pre-vote: an isolated node keeps its term and does not unseat the leader on return") {
  Cluster cluster(3);
  cluster.pass(1s);
  const NodeId leader = cluster.leader();
  const NodeId loner = leader == 1 ? 2 : 1;
  const Term term = cluster.at(leader).term();
  cluster.isolate(loner);
  cluster.pass(10s);
  CHECK(cluster.at(loner).term() == term);
  cluster.heal();
  cluster.pass(2s);
  CHECK(cluster.leader() == leader);
  CHECK(cluster.at(leader).term() == term);
}

TEST_CASE("the lease: a voter that hears its leader refuses pre-votes and ignores real votes of higher terms") {
  Raft raft = lone_follower(2, restored(3, {1, 3}));
  raft.receive(message(1, 2, 3, AppendRequest{2, 3, 0, {}}), Instant{1ms});
  (void)raft.take_effects();
  raft.receive(message(3, 2, 4, VoteRequest{true, 9, 3, false}), Instant{2ms});
  Effects effects = raft.take_effects();
  REQUIRE(find<VoteResponse>(effects.send, 3));
  CHECK_FALSE(find<VoteResponse>(effects.send, 3)->granted);
  raft.receive(message(3, 2, 4, VoteRequest{false, 9, 3, false}), Instant{3ms});
  CHECK(raft.take_effects().empty());
  CHECK(raft.term() == 3);
  // Once the lease has run out both are heard.
  raft.receive(message(3, 2, 4, VoteRequest{true, 9, 3, false}), Instant{400ms});
  CHECK(find<VoteResponse>(raft.take_effects().send, 3)->granted);
  CHECK(raft.term() == 3);
}

TEST_CASE("votes go to logs that are at least as long, once a term, and are persisted with the answer") {
  struct Row {
    Index last_index;
    Term last_term;
    bool granted;
  };
  for (const Row& row : {Row{2, 2, false}, Row{3, 1, false}, Row{3, 2, true}, Row{4, 2, true}, Row{1, 3, true}}) {
    Raft raft = lone_follower(2, restored(3, {1, 2, 2}));
    raft.receive(message(3, 2, 4, VoteRequest{false, row.last_index, row.last_term, false}), Instant{});
    Effects effects = raft.take_effects();
    CHECK(find<VoteResponse>(effects.send, 3)->granted == row.granted);
    REQUIRE(effects.hard_state);
    CHECK(*effects.hard_state == HardState{4, row.granted ? 3 : kNoNode});
    if (!row.granted) continue;
    raft.receive(message(1, 2, 4, VoteRequest{false, 9, 3, false}), Instant{});
    CHECK_FALSE(find<VoteResponse>(raft.take_effects().send, 1)->granted);
    raft.receive(message(3, 2, 4, VoteRequest{false, row.last_index, row.last_term, false}), Instant{});
    CHECK(find<VoteResponse>(raft.take_effects().send, 3)->granted);  // the same candidate may ask again
  }
}

TEST_CASE("a vote survives a restart: no second one in the same term") {
  Raft raft = lone_follower(2, restored(4, {1, 2}, 3));
  raft.receive(message(1, 2, 4, VoteRequest{false, 9, 3, false}), Instant{});
  CHECK_FALSE(find<VoteResponse>(raft.take_effects().send, 1)->granted);
}

TEST_CASE("a restarted leader never leads the same term again, not even on late votes") {
  Raft raft = lone_follower(1, restored(5, {5}, 1));
  raft.receive(message(2, 1, 5, VoteResponse{false, true}), Instant{});
  raft.receive(message(3, 1, 5, VoteResponse{false, true}), Instant{});
  CHECK(raft.role() == Role::follower);
  raft.tick(raft.next_deadline());
  raft.receive(message(2, 1, 6, VoteResponse{true, true}), Instant{});
  CHECK(raft.role() == Role::candidate);
  CHECK(raft.term() == 6);
  raft.receive(message(2, 1, 6, VoteResponse{false, true}), Instant{});
  CHECK(raft.role() == Role::leader);
}

TEST_CASE("figure 8: an entry of an old term on a majority is not committed until one of the own term is") {
  // Node 1 leads term 4; entry 2 of term 2 is its own old one.
  Raft raft = lone_follower(1, restored(3, {1, 2}));
  raft.tick(raft.next_deadline());
  raft.receive(message(2, 1, 4, VoteResponse{true, true}), Instant{});
  raft.receive(message(2, 1, 4, VoteResponse{false, true}), Instant{});
  REQUIRE(raft.role() == Role::leader);
  REQUIRE(raft.term() == 4);
  (void)raft.take_effects();
  raft.receive(message(2, 1, 4, AppendResponse{true, 2, 0, 0, 0}), Instant{});
  CHECK(raft.commit_index() == 0);
  CHECK(raft.take_effects().apply.empty());
  raft.receive(message(2, 1, 4, AppendResponse{true, 3, 0, 0, 0}), Instant{});
  CHECK(raft.commit_index() == 3);
  CHECK(raft.take_effects().apply.size() == 3);
}

TEST_CASE("check-quorum: a leader that a majority does not answer resigns") {
  Cluster cluster(3);
  cluster.pass(1s);
  const NodeId old = cluster.leader();
  cluster.isolate(old);
  const auto lost = cluster.propose(old, "lost");
  cluster.pass(700ms);
  CHECK(cluster.at(old).role() != Role::leader);
  cluster.pass(1s);
  const NodeId fresh = cluster.leader();
  REQUIRE(fresh != kNoNode);
  CHECK(fresh != old);
  const auto kept = cluster.propose(fresh, "kept");
  cluster.deliver_all();
  cluster.heal();
  cluster.pass(1s);
  CHECK(cluster.was_committed(*kept, "kept"));
  CHECK_FALSE(cluster.was_committed(*lost, "lost"));
  CHECK(cluster.member(old).applied.at(*kept) == "kept");
}

TEST_CASE("a one-way cut makes the leader resign as well") {
  Cluster cluster(3);
  cluster.pass(1s);
  const NodeId old = cluster.leader();
  for (const NodeId other : cluster.nodes()) cluster.cut.insert({other, old});  // it speaks but does not hear
  cluster.pass(800ms);
  CHECK((cluster.leader() != old || cluster.at(old).role() != Role::leader));
  cluster.heal();
  cluster.pass(2s);
  CHECK(cluster.leader() != kNoNode);
}

TEST_CASE("a divergent follower is found in a few rounds, by terms, and cut only where it differs") {
  Cluster cluster(3);
  cluster.pass(1s);
  const NodeId old = cluster.leader();
  cluster.isolate(old);
  for (int i = 0; i < 50; ++i) (void)cluster.propose(old, "divergent");
  cluster.pass(2s);
  const NodeId fresh = cluster.leader();
  REQUIRE(fresh != old);
  for (int i = 0; i < 5; ++i) (void)cluster.propose(fresh, "good" + std::to_string(i));
  cluster.deliver_all();
  cluster.heal();
  cluster.pass(500ms);
  CHECK(cluster.at(old).last_index() == cluster.at(fresh).last_index());
  CHECK(cluster.member(old).disk.entries == cluster.member(fresh).disk.entries);
}

TEST_CASE("a conflict hint names the last index whose term is not above the leader's") {
  Raft raft = lone_follower(2, restored(5, {1, 2, 2, 5, 5, 5}));
  raft.receive(message(1, 2, 6, AppendRequest{6, 4, 0, {}}), Instant{});
  Effects effects = raft.take_effects();
  const auto* response = find<AppendResponse>(effects.send, 1);
  REQUIRE(response);
  CHECK_FALSE(response->ok);
  CHECK(response->rejected_prev == 6);
  CHECK(response->hint_index == 3);
  CHECK(response->hint_term == 2);
}

TEST_CASE("a late, shorter append never cuts what a later one wrote") {
  Raft raft = lone_follower(2, restored(1, {}));
  const std::vector<Entry> three{
      {1, 1, EntryKind::records, "a"}, {2, 1, EntryKind::records, "b"}, {3, 1, EntryKind::records, "c"}};
  raft.receive(message(1, 2, 1, AppendRequest{0, 0, 3, three}), Instant{});
  CHECK(raft.take_effects().apply.size() == 3);
  raft.receive(message(1, 2, 1, AppendRequest{0, 0, 1, {three[0]}}), Instant{});
  const Effects effects = raft.take_effects();
  CHECK(raft.last_index() == 3);
  CHECK(raft.commit_index() == 3);
  CHECK_FALSE(effects.must_persist());
  CHECK(find<AppendResponse>(effects.send, 1)->match_index == 1);
}

TEST_CASE("commit follows the leader's only as far as the logs are known equal") {
  Raft raft = lone_follower(2, restored(2, {1, 1, 1}));  // 2 and 3 may differ from the leader's
  raft.receive(message(1, 2, 2, AppendRequest{1, 1, 3, {}}), Instant{});
  CHECK(raft.commit_index() == 1);
}

TEST_CASE("truncation and append are persisted together, in order") {
  Raft raft = lone_follower(2, restored(2, {1, 1, 1}));
  raft.receive(message(1, 2, 3, AppendRequest{1, 1, 1, {{2, 3, EntryKind::records, "n"}}}), Instant{});
  const Effects effects = raft.take_effects();
  CHECK(effects.truncate_from == 2);
  REQUIRE(effects.append.size() == 1);
  CHECK(effects.append[0].data == "n");
  CHECK(effects.hard_state == HardState{3, kNoNode});
  CHECK(raft.last_index() == 2);
}

TEST_CASE("a follower behind the compacted log gets a snapshot, in parts, then the rest") {
  Cluster cluster(3);
  cluster.pass(1s);
  const NodeId leader = cluster.leader();
  const NodeId behind = leader == 3 ? 2 : 3;
  cluster.crash(behind);
  for (int i = 0; i < 20; ++i) (void)cluster.propose(leader, "v" + std::to_string(i)), cluster.deliver_all();
  const Index base = cluster.at(leader).applied_index() - 3;
  cluster.compact(leader, base);
  cluster.start(behind);
  cluster.pass(3s);
  CHECK(cluster.snapshots_installed == 1);
  (void)cluster.propose(cluster.leader(), "after");
  cluster.deliver_all();
  CHECK(cluster.at(behind).last_index() == cluster.at(leader).last_index());
  CHECK(cluster.member(behind).disk.state == cluster.member(leader).disk.state);
}

TEST_CASE("a snapshot that the log already covers only moves the commit index") {
  Raft raft = lone_follower(2, restored(2, {1, 1, 2}));
  raft.receive(message(1, 2, 2, SnapshotChunk{{2, 1}, 0, "state", true}), Instant{});
  const Effects effects = raft.take_effects();
  CHECK_FALSE(effects.install);
  CHECK(effects.apply.size() == 2);
  CHECK(raft.last_index() == 3);
  CHECK(find<SnapshotResponse>(effects.send, 1)->match_index == 2);
}

TEST_CASE("a snapshot with a missing part is not installed") {
  Raft raft = lone_follower(2);
  raft.receive(message(1, 2, 1, SnapshotChunk{{9, 1}, 0, "abc", false}), Instant{});
  raft.receive(message(1, 2, 1, SnapshotChunk{{9, 1}, 6, "ghi", true}), Instant{});
  CHECK_FALSE(raft.take_effects().install);
  raft.receive(message(1, 2, 1, SnapshotChunk{{9, 1}, 0, "abc", false}), Instant{});
  raft.receive(message(1, 2, 1, SnapshotChunk{{9, 1}, 3, "def", true}), Instant{});
  const Effects effects = raft.take_effects();
  REQUIRE(effects.install);
  CHECK(effects.install->data == "abcdef");
  CHECK(raft.last_index() == 9);
  CHECK(raft.applied_index() == 9);
}

TEST_CASE("a lost connection to the leader shortens the wait, and a message from it restores patience") {
  Cluster cluster(3);
  cluster.pass(1s);
  const NodeId leader = cluster.leader();
  cluster.crash(leader);
  const Instant died = cluster.now;
  for (const NodeId id : cluster.nodes())
    if (id != leader) cluster.at(id).peer_lost(leader, cluster.now);
  cluster.pass(290ms);
  CHECK(cluster.leader() != kNoNode);
  CHECK(cluster.now - died < 300ms);

  Raft raft = lone_follower(2, restored(3, {3}));
  raft.receive(message(1, 2, 3, AppendRequest{1, 3, 0, {}}), Instant{});
  raft.peer_lost(1, Instant{10ms});
  CHECK(raft.next_deadline() >= Instant{85ms});
  CHECK(raft.next_deadline() <= Instant{160ms});
  raft.receive(message(1, 2, 3, AppendRequest{1, 3, 0, {}}), Instant{20ms});
  CHECK(raft.next_deadline() >= Instant{320ms});
  CHECK(raft.role() == Role::follower);
}

TEST_CASE("a leader that loses a connection before it knows the follower's log does not start over from nothing") {
  Raft raft = lone_follower(1, restored(3, {1, 2, 2}));
  raft.tick(raft.next_deadline());
  raft.receive(message(2, 1, 4, VoteResponse{true, true}), Instant{});
  raft.receive(message(2, 1, 4, VoteResponse{false, true}), Instant{});
  (void)raft.take_effects();
  raft.peer_lost(3, Instant{});
  raft.peer_connected(3);
  raft.tick(Instant{1ms});
  const Effects effects = raft.take_effects();
  CHECK(effects.send_snapshot_to.empty());
  REQUIRE(find<AppendRequest>(effects.send, 3));
  CHECK(find<AppendRequest>(effects.send, 3)->prev_index == 3);
}

TEST_CASE("a follower that differs at the leader's base gets a snapshot") {
  Restored compacted = restored(9, {});
  compacted.base = {5, 9};
  compacted.applied = 5;
  Raft raft = lone_follower(1, compacted);
  const Instant start = raft.next_deadline();
  raft.tick(start);
  raft.receive(message(2, 1, 10, VoteResponse{true, true}), start);
  raft.receive(message(2, 1, 10, VoteResponse{false, true}), start);
  (void)raft.take_effects();
  raft.receive(message(3, 1, 10, AppendResponse{false, 0, 5, 5, 8}), start);  // has entry 5, but of term 8
  CHECK(raft.take_effects().send_snapshot_to == std::vector<NodeId>{3});
}

TEST_CASE("a snapshot lost with its connection is sent again on the next one") {
  Restored compacted = restored(3, {});
  compacted.base = {5, 3};
  compacted.applied = 5;
  Raft raft = lone_follower(1, compacted);
  const Instant start = raft.next_deadline();
  raft.tick(start);
  raft.receive(message(2, 1, 4, VoteResponse{true, true}), start);
  raft.receive(message(2, 1, 4, VoteResponse{false, true}), start);
  raft.receive(message(3, 1, 4, AppendResponse{false, 0, 5, 0, 0}), start);
  CHECK(raft.take_effects().send_snapshot_to == std::vector<NodeId>{3});
  raft.tick(start + 200ms);
  CHECK(raft.take_effects().send_snapshot_to.empty());
  raft.peer_connected(3);
  raft.tick(start + 201ms);
  CHECK(raft.take_effects().send_snapshot_to == std::vector<NodeId>{3});
}

TEST_CASE("a hint that only one follower has unseats nobody") {
  Cluster cluster(3);
  cluster.pass(1s);
  const NodeId leader = cluster.leader();
  const Term term = cluster.at(leader).term();
  const NodeId other = leader == 1 ? 2 : 1;
  cluster.at(other).peer_lost(leader, cluster.now);
  cluster.pass(5s);
  CHECK(cluster.leader() == leader);
  CHECK(cluster.at(leader).term() == term);
}

TEST_CASE("leadership moves to a caught-up follower without waiting for the lease") {
  Cluster cluster(3);
  cluster.pass(1s);
  const NodeId old = cluster.leader();
  (void)cluster.propose(old, "a");
  cluster.deliver_all();
  cluster.at(old).transfer_leadership(cluster.now);
  cluster.settle(old);
  cluster.deliver_all();
  CHECK(cluster.leader() != kNoNode);
  CHECK(cluster.leader() != old);
  CHECK(cluster.at(old).role() == Role::follower);
}

TEST_CASE("entries are batched and pipelined within bounds") {
  Cluster cluster(3);
  cluster.pass(1s);
  const NodeId leader = cluster.leader();
  for (int i = 0; i < 1000; ++i) (void)cluster.at(leader).propose(std::string(1000, 'x'), cluster.now);
  cluster.settle(leader);
  CHECK(cluster.network.size() <= 2 * 32);
  cluster.deliver_all();
  for (const NodeId id : cluster.nodes()) CHECK(cluster.at(id).commit_index() == cluster.at(leader).last_index());
}

TEST_CASE("messages to others change nothing") {
  Raft raft = lone_follower(2, restored(3, {3}));
  raft.receive(message(1, 3, 8, VoteRequest{false, 9, 9, false}), Instant{});
  raft.receive(message(2, 2, 8, VoteRequest{false, 9, 9, false}), Instant{});
  CHECK(raft.take_effects().empty());
  CHECK(raft.term() == 3);
}

}  // namespace
}  // namespace ordeal::meta::raft
