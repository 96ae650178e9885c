// The metadata plane on three simulated nodes: Raft over the simulated network, RocksDB on the simulated disks,
// controller and brokers' life cycles, under kills, power cuts, pauses and partitions.
#include <doctest/doctest.h>

#include "broker/kv/rocks_store.h"
#include "broker/meta/control.pb.h"
#include "broker/meta/error_code.h"
#include "broker/meta/node.h"
#include "faults/sim/sim_world.h"

namespace ordeal::sim {
namespace {

using meta::ControllerRequest;
using meta::ControllerResponse;
namespace raft = meta::raft;

std::string meta_host(NodeId id) { return fmt::format("10.77.0.{}", 10 + id); }

// A broker reduced to its metadata plane. Enters itself into `running` for as long as it lives.
class MetaProcess {
 public:
  using Running = std::map<NodeId, MetaProcess*>;

  MetaProcess(NodeContext& context, int voters, Running& running)
      : context_(context), env_(context.env), voters_(voters), running_(running) {
    running_[context.node] = this;
    env_.scheduler.spawn(run(this), "meta.process");
  }
  ~MetaProcess() {
    if (running_[context_.node] == this) running_.erase(context_.node);
  }

  meta::Node& node() { return *node_; }
  bool up() const { return started_; }

  static env::Task<> shut_down(MetaProcess* self) {
    const Status status = co_await self->node_->controlled_shutdown(self->env_.scheduler.now() + 5s);
    self->clean_ = status.has_value();
    co_await self->node_->stop();
    self->env_.trace.info("test.stopped", {{"clean", self->clean_ ? 1 : 0}});
    self->context_.exit();
  }

 private:
  static env::Task<> run(MetaProcess* self) {
    auto open = [self] { return kv::pinned_rocks_factory(self->env_.disk, self->context_.fatal)("/data/metadata"); };
    auto opened = co_await env::blocking(self->env_.scheduler, open);
    if (!opened) {
      self->context_.fatal(opened.error().to_string());
      co_return;
    }
    self->store_ = std::move(*opened);
    meta::NodeConfig config;
    config.id = self->context_.node;
    config.cluster_id = "test";
    for (NodeId id = 1; id <= self->voters_; ++id) config.voters[id] = {meta_host(id), 9094};
    config.controller_endpoint = {meta_host(config.id), 9094};
    config.advertised = {{"CLIENT", {meta_host(config.id), 9092}}, {"REPLICATION", {meta_host(config.id), 9093}}};
    config.rack = fmt::format("rack{}", config.id);
    for (auto& byte : config.incarnation.bytes) byte = static_cast<std::uint8_t>(self->env_.random.below(255) + 1);
    config.raft_entries_max = 64;
    config.on_fatal = [self](const Error& error) { self->context_.fatal(error.to_string()); };
    self->node_ = std::make_unique<meta::Node>(self->env_, config, *self->store_, self->switches_);
    const Status started = co_await self->node_->start();
    if (!started) {
      self->context_.fatal(started.error().to_string());
      co_return;
    }
    self->started_ = true;
    self->node_->set_ready();
  }

  NodeContext& context_;
  env::Env& env_;
  int voters_;
  Running& running_;
  mutation::Switches switches_;
  std::unique_ptr<kv::KvStore> store_;
  std::unique_ptr<meta::Node> node_;
  bool started_ = false;
  bool clean_ = false;
};

struct MetaWorld {
  MetaProcess::Running processes;  // outlives the world
  World world;
  int size;
  std::map<Offset, std::uint64_t> digests;  // of every image seen, by offset: equal on all nodes for ever

  // Of the nodes the first `voters` vote at the beginning; 0: all.
  explicit MetaWorld(std::uint64_t seed, int nodes = 3, int voters = 0)
      : world(WorldOptions{.seed = seed}), size(nodes) {
    const int voting = voters == 0 ? nodes : voters;
    for (NodeId id = 1; id <= size; ++id)
      world.add_node(id, meta_host(id), [this, voting](NodeContext& context) {
        return std::make_shared<MetaProcess>(context, voting, processes);
      });
    for (NodeId id = 1; id <= size; ++id) world.start(id);
  }

  MetaProcess* process(NodeId id) {
    const auto it = processes.find(id);
    if (world.state(id) == NodeState::down || it == processes.end()) return nullptr;
    return it->second->up() ? it->second : nullptr;
  }
  meta::ImagePtr image(NodeId id) {
    MetaProcess* found = process(id);
    return found == nullptr ? nullptr : found->node().image();
  }
  NodeId controller() {
    NodeId found = kNoNode;
    for (NodeId id = 1; id <= size; ++id)
      if (process(id) != nullptr && process(id)->node().is_active_controller()) found = id;
    return found;
  }
  void check_digests() {
    for (NodeId id = 1; id <= size; ++id) {
      const meta::ImagePtr seen = image(id);
      if (!seen) continue;
      const auto [it, fresh] = digests.try_emplace(seen->offset(), seen->digest());
      REQUIRE_MESSAGE(it->second == seen->digest(), "images differ at offset ", seen->offset());
    }
  }
  // Every running node sees every broker of `expected` unfenced.
  bool all_unfenced(int expected) {
    if (controller() == kNoNode) return false;
    for (NodeId id = 1; id <= size; ++id) {
      if (world.state(id) == NodeState::down) continue;
      const meta::ImagePtr seen = image(id);
      if (!seen) return false;
      int active = 0;
      for (const auto& [broker, registered] : seen->brokers()) active += registered.active() ? 1 : 0;
      if (active != expected) return false;
    }
    return true;
  }

  static env::Task<> send(meta::Node* node, ControllerRequest request, Instant deadline,
                          std::shared_ptr<std::optional<Result<ControllerResponse>>> out) {
    Result<ControllerResponse> response = co_await node->call_controller(std::move(request), deadline);
    out->emplace(std::move(response));
  }
  Result<ControllerResponse> call(NodeId from, ControllerRequest request, Duration patience = 10s) {
    auto out = std::make_shared<std::optional<Result<ControllerResponse>>>();
    world.env(from).scheduler.spawn(send(&process(from)->node(), std::move(request), world.now() + patience, out),
                                    "test.call");
    REQUIRE(world.run_until([&] { return out->has_value(); }, patience + 5s));
    return **out;
  }
  int alter_voters(NodeId from, NodeId node, bool remove) {
    ControllerRequest request;
    auto* body = request.mutable_alter_voters();
    body->set_remove(remove);
    body->set_node_id(node);
    body->set_host(meta_host(node));
    body->set_port(9094);
    const auto response = call(from, std::move(request));
    REQUIRE(response);
    return response->alter_voters().error_code();
  }
  static ControllerRequest create(const std::string& name, int partitions, int factor) {
    ControllerRequest request;
    auto* topic = request.mutable_create_topics()->add_topics();
    topic->set_name(name);
    topic->set_num_partitions(partitions);
    topic->set_replication_factor(factor);
    return request;
  }
};

TEST_CASE("a single node is ready within 300 ms") {
  MetaWorld cluster(1, 1);
  CHECK(cluster.world.run_until([&] { return cluster.process(1) && !cluster.process(1)->node().fenced(); }, 300ms));
  cluster.world.kill(1);
  cluster.world.start(1);
  CHECK(cluster.world.run_until([&] { return cluster.process(1) && !cluster.process(1)->node().fenced(); }, 300ms));
}

TEST_CASE("three nodes form a cluster, place topics on distinct racks, and agree") {
  MetaWorld cluster(2);
  REQUIRE(cluster.world.run_until([&] { return cluster.all_unfenced(3); }, 5s));
  for (NodeId from = 1; from <= 3; ++from) {
    const auto response = cluster.call(from, MetaWorld::create("t" + std::to_string(from), 3, 3));
    REQUIRE(response);
    CHECK(response->create_topics().topics(0).error_code() == 0);
    // Answered means applied at the controller.
    CHECK(cluster.image(cluster.controller())->topic("t" + std::to_string(from)) != nullptr);
  }
  cluster.world.run_for(1s);
  for (NodeId id = 1; id <= 3; ++id) {
    REQUIRE(cluster.image(id)->topic("t3"));
    std::set<NodeId> leaders;
    for (const auto& partition : cluster.image(id)->topic("t1")->partitions) {
      CHECK(partition.isr.size() == 3);
      leaders.insert(partition.leader);
    }
    CHECK(leaders.size() == 3);
  }
  cluster.check_digests();
}

TEST_CASE("after a kill every partition has a live leader within a second, whoever was killed") {
  for (std::uint64_t seed = 10; seed < 16; ++seed) {
    CAPTURE(seed);
    MetaWorld cluster(seed);
    REQUIRE(cluster.world.run_until([&] { return cluster.all_unfenced(3); }, 5s));
    REQUIRE(cluster.call(1, MetaWorld::create("t", 6, 3)));
    cluster.world.run_for(1s);
    const NodeId victim = seed % 2 == 0 ? cluster.controller() : cluster.controller() % 3 + 1;
    const NodeId witness = victim % 3 + 1;
    const Instant killed = cluster.world.now();
    cluster.world.kill(victim);
    REQUIRE(cluster.world.run_until(
        [&] {
          for (const auto& partition : cluster.image(witness)->topic("t")->partitions)
            if (partition.leader == victim || partition.leader == kNoNode || partition.in_isr(victim)) return false;
          return true;
        },
        10s));
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(cluster.world.now() - killed).count();
    MESSAGE("seed ", seed, std::string(seed % 2 == 0 ? ": controller" : ": broker"), " killed: leaders moved after ",
            took, " ms");
    CHECK(took < 1000);
    cluster.world.start(victim);
    REQUIRE(cluster.world.run_until([&] { return cluster.all_unfenced(3); }, 5s));
    cluster.check_digests();
  }
}

TEST_CASE("a broker cut from the controller is fenced by its session and comes back") {
  MetaWorld cluster(20);
  REQUIRE(cluster.world.run_until([&] { return cluster.all_unfenced(3); }, 5s));
  const NodeId controller = cluster.controller();
  const NodeId other = controller % 3 + 1;
  cluster.world.cut(meta_host(controller), meta_host(other));
  REQUIRE(cluster.world.run_until(
      [&] {
        const auto image = cluster.image(cluster.controller() == kNoNode ? controller : cluster.controller());
        return image->broker(other)->fenced || image->broker(controller)->fenced;
      },
      10s));
  cluster.world.heal_all();
  REQUIRE(cluster.world.run_until([&] { return cluster.all_unfenced(3); }, 10s));
  cluster.check_digests();
}

TEST_CASE("an isolated controller resigns, another takes over, and the old one rejoins") {
  MetaWorld cluster(21);
  REQUIRE(cluster.world.run_until([&] { return cluster.all_unfenced(3); }, 5s));
  const NodeId old = cluster.controller();
  cluster.world.isolate(meta_host(old));
  REQUIRE(cluster.world.run_until(
      [&] { return !cluster.process(old)->node().is_active_controller() && cluster.controller() != kNoNode; }, 5s));
  CHECK(cluster.controller() != old);
  cluster.world.heal_all();
  REQUIRE(cluster.world.run_until([&] { return cluster.all_unfenced(3); }, 10s));
  cluster.check_digests();
}

TEST_CASE("controlled shutdown moves leaderships away before the broker ends") {
  for (const bool of_controller : {false, true}) {
    MetaWorld cluster(of_controller ? 30 : 31);
    REQUIRE(cluster.world.run_until([&] { return cluster.all_unfenced(3); }, 5s));
    REQUIRE(cluster.call(1, MetaWorld::create("t", 6, 3)));
    cluster.world.run_for(500ms);
    const NodeId leaving = of_controller ? cluster.controller() : cluster.controller() % 3 + 1;
    const Instant asked = cluster.world.now();
    cluster.world.env(leaving).scheduler.spawn(MetaProcess::shut_down(cluster.process(leaving)), "test.shutdown");
    REQUIRE(cluster.world.run_until([&] { return cluster.world.state(leaving) == NodeState::down; }, 8s));
    CHECK(cluster.world.now() - asked < 2s);
    const NodeId witness = leaving % 3 + 1;
    cluster.world.run_for(100ms);
    for (const auto& partition : cluster.image(witness)->topic("t")->partitions) {
      CHECK(partition.leader != leaving);
      CHECK(partition.leader != kNoNode);
    }
    REQUIRE(cluster.world.run_until([&] { return cluster.controller() != kNoNode; }, 1s));
    cluster.world.start(leaving);
    REQUIRE(cluster.world.run_until([&] { return cluster.all_unfenced(3); }, 3s));
    cluster.check_digests();
  }
}

TEST_CASE("a node that was down over a compaction catches up by snapshot") {
  MetaWorld cluster(40);
  REQUIRE(cluster.world.run_until([&] { return cluster.all_unfenced(3); }, 5s));
  const NodeId behind = cluster.controller() % 3 + 1;
  const NodeId from = cluster.controller();
  cluster.world.kill(behind);
  for (int i = 0; i < 150; ++i) REQUIRE(cluster.call(from, MetaWorld::create("t" + std::to_string(i), 1, 2)));
  cluster.world.start(behind);
  REQUIRE(
      cluster.world.run_until([&] { return cluster.process(behind) && cluster.image(behind)->topic("t149"); }, 10s));
  REQUIRE(cluster.world.run_until([&] { return cluster.all_unfenced(3); }, 5s));
  cluster.check_digests();
}

TEST_CASE("a power cut anywhere in the installation of a snapshot loses nothing") {
  for (std::uint64_t call = 1; call <= 12; ++call) {
    CAPTURE(call);
    MetaWorld cluster(41);
    REQUIRE(cluster.world.run_until([&] { return cluster.all_unfenced(3); }, 5s));
    const NodeId behind = cluster.controller() % 3 + 1;
    const NodeId from = cluster.controller();
    cluster.world.kill(behind);
    for (int i = 0; i < 80; ++i) REQUIRE(cluster.call(from, MetaWorld::create("t" + std::to_string(i), 1, 2)));
    cluster.world.start(behind);
    REQUIRE(cluster.world.run_until([&] { return cluster.process(behind) != nullptr; }, 5s));
    cluster.world.disk(behind).crash_in_call(call, CrashKind::power);
    (void)cluster.world.run_until([&] { return cluster.world.state(behind) == NodeState::down; }, 2s);
    if (cluster.world.state(behind) == NodeState::down) cluster.world.start(behind);
    REQUIRE(cluster.world.run_until(
        [&] { return cluster.process(behind) && cluster.image(behind)->topic("t79") && cluster.all_unfenced(3); },
        10s));
    cluster.check_digests();
  }
}

TEST_CASE("a voter whose disk was wiped is brought back under the same controller and then counts again") {
  MetaWorld cluster(42);
  REQUIRE(cluster.world.run_until([&] { return cluster.all_unfenced(3); }, 5s));
  const NodeId controller = cluster.controller();
  const raft::Term term = cluster.process(controller)->node().quorum().term;
  REQUIRE(cluster.call(controller, MetaWorld::create("t", 3, 3)));
  const NodeId wiped = controller % 3 + 1;
  const NodeId other = 6 - controller - wiped;
  cluster.world.kill(wiped);
  cluster.world.wipe(wiped);
  cluster.world.start(wiped);
  REQUIRE(cluster.world.run_until([&] { return cluster.all_unfenced(3) && cluster.image(wiped)->topic("t"); }, 5s));
  CHECK(cluster.process(controller)->node().quorum().term == term);
  cluster.world.run_for(1s);
  cluster.world.kill(controller);  // the wiped voter's vote is needed now
  REQUIRE(cluster.world.run_until([&] { return cluster.controller() != kNoNode; }, 5s));
  CHECK(cluster.image(other)->topic("t"));
  cluster.check_digests();
}

TEST_CASE("a node outside the voters serves, becomes a voter, and a removed controller hands over") {
  MetaWorld cluster(43, 4, 3);
  REQUIRE(cluster.world.run_until([&] { return cluster.all_unfenced(4); }, 5s));
  CHECK(cluster.process(4)->node().quorum().voters == std::vector<NodeId>{1, 2, 3});
  const NodeId old = cluster.controller();
  CHECK(cluster.alter_voters(4, 4, false) == 0);
  CHECK(cluster.alter_voters(4, 4, false) == meta::error_code::kDuplicateVoter);
  CHECK(cluster.alter_voters(old, old, true) == 0);
  REQUIRE(cluster.world.run_until([&] { return cluster.controller() != kNoNode && cluster.controller() != old; }, 5s));
  REQUIRE(cluster.world.run_until([&] { return cluster.all_unfenced(4); }, 5s));
  std::vector<NodeId> rest{1, 2, 3, 4};
  std::erase(rest, old);
  for (NodeId id = 1; id <= 4; ++id) CHECK(cluster.process(id)->node().quorum().voters == rest);
  // All of it survives a restart of everything.
  for (NodeId id = 1; id <= 4; ++id) cluster.world.power_cut(id);
  for (NodeId id = 1; id <= 4; ++id) cluster.world.start(id);
  REQUIRE(cluster.world.run_until([&] { return cluster.all_unfenced(4); }, 10s));
  CHECK(cluster.process(old)->node().quorum().voters == rest);
  cluster.check_digests();
}

// What a client was told to exist must go on existing, whatever happens to the nodes.
std::uint64_t chaos(std::uint64_t seed, Duration length) {
  MetaWorld cluster(seed);
  World& world = cluster.world;
  Random random = world.random().fork("chaos");
  std::set<std::string> acknowledged;
  std::vector<std::pair<std::string, std::shared_ptr<std::optional<Result<ControllerResponse>>>>> calls;
  std::set<ProducerId> blocks;
  const Instant end = world.now() + length;
  int number = 0;
  while (world.now() < end) {
    world.run_for(Duration(random.between(1'000'000, 200'000'000)));
    cluster.check_digests();
    const NodeId id = static_cast<NodeId>(random.between(1, 3));
    const std::uint64_t draw = random.below(100);
    if (draw < 60) {
      if (cluster.process(id) == nullptr || world.state(id) != NodeState::running) continue;
      const std::string name = "t" + std::to_string(number++);
      auto out = std::make_shared<std::optional<Result<ControllerResponse>>>();
      world.env(id).scheduler.spawn(
          MetaWorld::send(&cluster.process(id)->node(), MetaWorld::create(name, 2, -1), world.now() + 3s, out), "call");
      calls.emplace_back(name, out);
    } else if (draw < 66) {
      world.kill(id);
    } else if (draw < 70) {
      world.power_cut(id);
    } else if (draw < 85) {
      if (world.state(id) == NodeState::down) world.start(id);
    } else if (draw < 88) {
      if (world.state(id) == NodeState::running) world.pause(id);
    } else if (draw < 92) {
      if (world.state(id) == NodeState::paused) world.resume(id);
    } else if (draw < 95) {
      world.isolate(meta_host(id));
    } else if (draw < 97) {
      world.cut_one_way(meta_host(id), meta_host(id % 3 + 1));
    } else {
      world.heal_all();
    }
  }
  world.heal_all();
  for (NodeId id = 1; id <= 3; ++id) {
    if (world.state(id) == NodeState::down) world.start(id);
    if (world.state(id) == NodeState::paused) world.resume(id);
  }
  REQUIRE(world.run_until([&] { return cluster.all_unfenced(3); }, 30s));
  world.run_for(2s);
  cluster.check_digests();
  std::size_t acked = 0;
  for (const auto& [name, out] : calls) {
    const bool told = out->has_value() && out->value().has_value() &&
                      (*out)->value().create_topics().topics(0).error_code() == meta::error_code::kNone;
    if (!told) continue;
    ++acked;
    for (NodeId id = 1; id <= 3; ++id) REQUIRE_MESSAGE(cluster.image(id)->topic(name), name, " is gone on node ", id);
  }
  MESSAGE("seed ", seed, ": ", acked, " of ", calls.size(), " acknowledged");
  CHECK(acked > 0);
  CHECK(cluster.image(1)->digest() == cluster.image(2)->digest());
  CHECK(cluster.image(1)->digest() == cluster.image(3)->digest());
  return world.digest();
}

TEST_CASE("acknowledged metadata survives kills, power cuts, pauses and partitions") {
  for (std::uint64_t seed = 100; seed < 108; ++seed) {
    CAPTURE(seed);
    (void)chaos(seed, 30s);
  }
}

TEST_CASE("equal seeds give equal metadata worlds") { CHECK(chaos(7, 10s) == chaos(7, 10s)); }

}  // namespace
}  // namespace ordeal::sim
