// Raft under shuffled, repeated, dropped and delayed messages, crashes between any two effects, and compaction.
// The Cluster checks election safety, log matching, leader completeness, state machine safety and monotone commit
// after every step; here the schedule is drawn, and progress is demanded once the faults end.
#include <doctest/doctest.h>

#include "broker/meta/raft_cluster.h"

namespace ordeal::meta::raft {
namespace {

using CrashPoint = Cluster::CrashPoint;

struct World {
  Cluster cluster;
  Random& random = cluster.random();
  int proposals = 0;
  int crashes = 0;

  int changes = 0;
  int wipes = 0;

  // `voters` of the nodes vote at first; 0: all, and that never changes.
  World(int size, std::uint64_t seed, int voters = 0)
      : cluster(size, seed, seed % 2 == 0 ? 256 : 1, voters), changing(voters != 0) {}
  const bool changing;

  NodeId any() { return cluster.nodes()[random.below(cluster.nodes().size())]; }

  CrashPoint draw_crash() {
    if (!random.chance(1, 150)) return CrashPoint::none;
    ++crashes;
    return static_cast<CrashPoint>(random.between(1, 3));
  }

  void deliver_any() {
    if (cluster.network.empty()) return;
    const std::size_t at = random.below(std::min<std::size_t>(cluster.network.size(), 12));
    Message message = cluster.network[at];
    if (!random.chance(1, 20)) cluster.network.erase(cluster.network.begin() + static_cast<std::ptrdiff_t>(at));
    if (cluster.cut.contains({message.from, message.to}) || random.chance(1, 25)) return;
    cluster.deliver(std::move(message), draw_crash());
  }

  void compact(NodeId id) {
    auto& member = cluster.member(id);
    const Index index = member.disk.applied - static_cast<Index>(random.below(4));
    cluster.compact(id, index);
  }

  bool any_blank() {
    return std::ranges::any_of(cluster.nodes(), [&](NodeId id) { return cluster.member(id).disk.hard_state.blank; });
  }

  // Changes of the voters, and wiped disks: one at a time, for data on two of three disks cannot survive both.
  void step_voters() {
    const NodeId leader = cluster.leader();
    const NodeId node = any();
    if (leader != kNoNode && cluster.at(leader).wants_entry())
      (void)cluster.propose(leader, "p" + std::to_string(++proposals));
    if (any_blank()) return;
    if (random.chance(2, 3)) {
      if (cluster.up(node) || leader == kNoNode || cluster.at(leader).voters().size() < 3) return;
      if (cluster.at(leader).voters_index() > cluster.at(leader).commit_index()) return;
      cluster.wipe(node);
      ++wipes;
      return;
    }
    if (leader == kNoNode) return;
    const bool add = !cluster.at(leader).is_voter(node);
    if (!add && cluster.at(leader).voters().size() <= 3) return;
    if (cluster.change(leader, node, add) == VoterRefusal::none) ++changes;
  }

  void step() {
    if (changing && random.chance(1, 60)) return step_voters();
    const NodeId id = any();
    const std::uint64_t draw = random.below(1000);
    if (draw < 700) return deliver_any();
    if (draw < 800) {
      cluster.now += Duration(random.between(0, 40'000'000));
      if (!cluster.up(id)) return;
      cluster.at(id).tick(cluster.now);
      cluster.settle(id, draw_crash());
    } else if (draw < 900) {
      if (!cluster.up(id)) return;
      (void)cluster.at(id).propose("p" + std::to_string(++proposals), cluster.now);
      cluster.settle(id, draw_crash());
    } else if (draw < 930) {
      if (!cluster.up(id)) cluster.start(id);
    } else if (draw < 940) {
      cluster.isolate(id);
    } else if (draw < 950) {
      cluster.cut.insert({id, any()});
    } else if (draw < 975) {
      cluster.heal();
    } else if (draw < 985) {
      if (cluster.up(id)) compact(id);
    } else if (draw < 990) {
      if (!cluster.up(id)) return;
      cluster.at(id).peer_lost(any(), cluster.now);
      cluster.settle(id);
    } else if (draw < 993) {
      if (!cluster.up(id)) return;
      cluster.at(id).transfer_leadership(cluster.now);
      cluster.settle(id);
    } else if (cluster.network.size() > 200) {
      cluster.network.clear();
    }
  }

  // Faults end: everyone is up and connected. A leader must come and everything must converge.
  void recover() {
    cluster.heal();
    cluster.network.clear();
    for (const NodeId id : cluster.nodes())
      if (!cluster.up(id)) cluster.start(id);
    for (const NodeId id : cluster.nodes())
      if (random.chance(1, 2)) compact(id);
    cluster.pass(15s);
    const NodeId leader = cluster.leader();
    REQUIRE(leader != kNoNode);
    if (any_blank()) (void)cluster.propose(leader, "fence");
    cluster.pass(3s);
    CHECK_FALSE(any_blank());
    const auto index = cluster.propose(leader, "last");
    cluster.deliver_all();
    cluster.pass(3s);
    REQUIRE(index);
    CHECK(cluster.was_committed(*index, "last"));
    for (const NodeId id : cluster.nodes()) {
      CHECK(cluster.at(id).commit_index() == *index);
      CHECK(cluster.member(id).disk.state == cluster.member(leader).disk.state);
    }
  }
};

TEST_CASE("no schedule breaks safety, and every schedule recovers") {
  int elections = 0, installs = 0, crashes = 0;
  std::size_t committed = 0;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    World world(seed % 3 == 0 ? 5 : 3, seed);
    for (int i = 0; i < 6000; ++i) world.step();
    world.recover();
    elections += world.cluster.elections;
    installs += world.cluster.snapshots_installed;
    crashes += world.crashes;
    committed += world.cluster.committed_count();
  }
  // The schedules must have gone where it hurts, or the checks above prove nothing.
  CHECK(elections > 1500);
  CHECK(installs > 200);
  CHECK(crashes > 2000);
  CHECK(committed > 20000);
  MESSAGE(elections, " elections, ", installs, " snapshots installed, ", crashes, " crashes, ", committed,
          " committed");
}

TEST_CASE("no schedule breaks safety while voters come, go and lose their disks") {
  int changes = 0, wipes = 0, installs = 0;
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    CAPTURE(seed);
    World world(6, seed, 3);
    for (int i = 0; i < 8000; ++i) world.step();
    world.recover();
    changes += world.changes;
    wipes += world.wipes;
    installs += world.cluster.snapshots_installed;
  }
  CHECK(changes > 500);
  CHECK(wipes > 50);
  CHECK(installs > 150);
  MESSAGE(changes, " changes of the voters, ", wipes, " disks wiped, ", installs, " snapshots installed");
}

TEST_CASE("equal seeds give equal runs") {
  const auto run = [](std::uint64_t seed) {
    World world(3, seed);
    for (int i = 0; i < 2000; ++i) world.step();
    return std::tuple(world.random.draws(), world.cluster.committed_count(), world.cluster.now);
  };
  CHECK(run(5) == run(5));
  CHECK(run(5) != run(6));
}

}  // namespace
}  // namespace ordeal::meta::raft
