// Each switch of Raft: with it on the wrong thing happens, with it off the rule holds.
#include <doctest/doctest.h>

#include "broker/meta/raft_cluster.h"

namespace ordeal::meta::raft {
namespace {

using mutation::Bug;
using mutation::Switches;

Message message(NodeId from, NodeId to, Term term, decltype(Message::body) body) { return {from, to, term, body}; }

Raft node_of_three(NodeId id, Restored restored, const Switches& switches) {
  Config config;
  config.id = id;
  for (NodeId voter = 1; voter <= 3; ++voter) config.voters[voter] = Cluster::endpoint_of(voter);
  return Raft(config, std::move(restored), Random(7), Instant{}, switches);
}

Restored restored(HardState hard_state, std::vector<Term> terms) {
  Restored state;
  state.hard_state = hard_state;
  for (const Term each : terms)
    state.entries.push_back({static_cast<Index>(state.entries.size()) + 1, each, EntryKind::records, "x"});
  return state;
}

// The node's election, with node 2's vote.
void elect(Raft& raft, Instant now) {
  raft.tick(now);
  const Term next = raft.term() + 1;
  raft.receive(message(2, 1, next, VoteResponse{true, true}), now);
  raft.receive(message(2, 1, next, VoteResponse{false, true}), now);
  REQUIRE(raft.role() == Role::leader);
  (void)raft.take_effects();
}

bool granted(const Effects& effects) {
  for (const Message& each : effects.send)
    if (const auto* response = std::get_if<VoteResponse>(&each.body)) return response->granted;
  return false;
}

TEST_CASE("raft.relead_same_epoch: a restarted leader goes on in the term it led") {
  for (const bool on : {false, true}) {
    Switches switches;
    if (on) switches.turn_on(Bug::raft_relead_same_epoch);
    Raft raft = node_of_three(1, restored({5, 1}, {4, 5}), switches);
    CHECK((raft.role() == Role::leader) == on);
    CHECK(raft.term() == 5);
    CHECK(switches.ran(Bug::raft_relead_same_epoch) == (on ? 1 : 0));
    // One that only asked for votes has led nothing.
    CHECK(node_of_three(1, restored({5, 1}, {4, 4}), switches).role() == Role::follower);
    CHECK(node_of_three(1, restored({5, 2}, {4, 5}), switches).role() == Role::follower);
  }
}

TEST_CASE("raft.vote_not_persisted: a vote is forgotten by a restart") {
  for (const bool on : {false, true}) {
    Switches switches;
    if (on) switches.turn_on(Bug::raft_vote_not_persisted);
    Raft raft = node_of_three(1, restored({3, kNoNode}, {3}), switches);
    raft.receive(message(2, 1, 4, VoteRequest{false, 9, 3, false}), Instant{});
    const Effects effects = raft.take_effects();
    CHECK(granted(effects));
    REQUIRE(effects.hard_state);
    CHECK(*effects.hard_state == HardState{4, on ? kNoNode : 2});
    Raft again = node_of_three(1, restored(*effects.hard_state, {3}), switches);
    again.receive(message(3, 1, 4, VoteRequest{false, 9, 3, false}), Instant{});
    CHECK(granted(again.take_effects()) == on);
  }
}

TEST_CASE("raft.commit_old_term: an entry of an older term commits by counting") {
  for (const bool on : {false, true}) {
    Switches switches;
    if (on) switches.turn_on(Bug::raft_commit_old_term);
    Raft raft = node_of_three(1, restored({3, kNoNode}, {1, 2}), switches);
    elect(raft, raft.next_deadline());
    raft.receive(message(2, 1, 4, AppendResponse{true, 2, 0, 0, 0}), Instant{});
    CHECK(raft.commit_index() == (on ? 2 : 0));
    CHECK(switches.ran(Bug::raft_commit_old_term) == (on ? 1 : 0));
  }
}

TEST_CASE("raft.truncate_below_hw: committed entries are cut; off, the node halts") {
  for (const bool on : {false, true}) {
    Switches switches;
    if (on) switches.turn_on(Bug::raft_truncate_below_hw);
    Restored stored = restored({3, kNoNode}, {1, 2, 2});
    stored.applied = 2;
    Raft raft = node_of_three(1, stored, switches);
    raft.receive(message(2, 1, 5, AppendRequest{1, 1, 0, {{2, 4, EntryKind::records, "other"}}}), Instant{});
    const Effects effects = raft.take_effects();
    CHECK(effects.fatal.has_value() == !on);
    CHECK(raft.last_index() == (on ? 2 : 3));
    if (on) {
      CHECK(effects.truncate_from == 2);
      CHECK(effects.truncate_to == 3);
      continue;
    }
    CHECK(effects.fatal->find("entry 2 of term 4 contradicts") != std::string::npos);
    CHECK_FALSE(effects.must_persist());
    CHECK(effects.send.empty());
    raft.receive(message(2, 1, 5, AppendRequest{3, 2, 3, {}}), Instant{});
    raft.tick(Instant{10s});
    CHECK(raft.take_effects().empty());
    CHECK(raft.next_deadline() == kForever);
  }
}

TEST_CASE("raft.no_check_quorum: a leader that no one answers leads on") {
  for (const bool on : {false, true}) {
    Cluster cluster(3);
    if (on) cluster.switches.turn_on(Bug::raft_no_check_quorum);
    cluster.pass(1s);
    const NodeId old = cluster.leader();
    cluster.isolate(old);
    cluster.pass(3s);
    CHECK((cluster.at(old).role() == Role::leader) == on);
    CHECK(cluster.leader() != old);
  }
}

TEST_CASE("raft.overlapping_reconfig: two changes at once make disjoint majorities") {
  for (const bool on : {false, true}) {
    Switches switches;
    if (on) switches.turn_on(Bug::raft_overlapping_reconfig);
    Raft raft = node_of_three(1, restored({3, kNoNode}, {3}), switches);
    const Instant now = raft.next_deadline();
    elect(raft, now);
    const auto follows = [&](NodeId from, Index match) {
      raft.receive(message(from, 1, 4, AppendResponse{true, match, 0, 0, 0}), now);
    };
    for (const NodeId observer : {4, 5}) raft.receive(message(observer, 1, 0, Join{{"10.0.0.9", 9094}, 1}), now);
    for (const NodeId each : {2, 4, 5}) follows(each, 2);
    REQUIRE(raft.commit_index() == 2);
    // From here on it hears nothing of 2 and 3, which may elect another.
    CHECK(raft.add_voter(4, Cluster::endpoint_of(4), now).refusal == VoterRefusal::none);
    CHECK(raft.add_voter(5, Cluster::endpoint_of(5), now).refusal == (on ? VoterRefusal::none : VoterRefusal::pending));
    CHECK(raft.voters().size() == (on ? 5 : 4));
    for (const NodeId each : {4, 5}) follows(each, raft.last_index());
    CHECK((raft.commit_index() == raft.last_index()) == on);
    CHECK(switches.ran(Bug::raft_overlapping_reconfig) == (on ? 1 : 0));
  }
}

TEST_CASE("raft.apply_uncommitted: the state machine gets what may still be undone") {
  for (const bool on : {false, true}) {
    Switches switches;
    if (on) switches.turn_on(Bug::raft_apply_uncommitted);
    Raft raft = node_of_three(1, restored({3, kNoNode}, {3}), switches);
    raft.receive(message(2, 1, 3, AppendRequest{1, 3, 1, {{2, 3, EntryKind::records, "maybe"}}}), Instant{});
    const Effects effects = raft.take_effects();
    CHECK(raft.commit_index() == 1);
    CHECK(raft.applied_index() == (on ? 2 : 1));
    CHECK(effects.apply.size() == (on ? 2 : 1));
  }
}

TEST_CASE("raft.snapshot_off_by_one: a snapshot claims the entry after the last it holds") {
  for (const bool on : {false, true}) {
    Switches switches;
    if (on) switches.turn_on(Bug::raft_snapshot_off_by_one);
    Restored stored = restored({3, kNoNode}, {1, 2, 3});
    stored.applied = 2;
    const Raft raft = node_of_three(1, stored, switches);
    CHECK(raft.snapshot_base(2).index == (on ? 3 : 2));
    CHECK(raft.snapshot_base(2).term == (on ? 3 : 2));
    CHECK(raft.snapshot_base(2).hash == raft.hash_at(on ? 3 : 2));
    CHECK(raft.snapshot_base(3).index == 3);  // there is nothing more to claim
  }
}

}  // namespace
}  // namespace ordeal::meta::raft
