#include "faults/sim/cluster/sim_cluster.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/base/check.h"
#include "broker/kv/rocks_store.h"

namespace ordeal::sim {

std::string node_host(NodeId node) { return fmt::format("10.77.0.{}", 10 + node); }
std::string client_host(int client) { return fmt::format("10.77.0.{}", 100 + client); }

// Timeouts as the product's, but a lag limit and checkpoints short enough to matter within a minute, and segments
// small enough to roll.
ConfigMap cluster_config(NodeId node, int nodes) {
  const std::string host = node_host(node);
  std::string voters;
  constexpr int kVotersMax = 5;  // the others follow as observers
  for (NodeId id = 1; id <= std::min(nodes, kVotersMax); ++id)
    voters += fmt::format("{}{}@{}:{}", id == 1 ? "" : ",", id, node_host(id), kControllerPort);
  return {{"node.id", std::to_string(node)},
          {"cluster.id", "ordeal-sim"},
          {"listeners", fmt::format("CLIENT://{}:{},REPLICATION://{}:{},CONTROLLER://{}:{}", host, kClientPort, host,
                                    kReplicationPort, host, kControllerPort)},
          {"controller.quorum.voters", voters},
          {"log.dirs", SimCluster::kLogDir},
          {"default.replication.factor", std::to_string(std::min(nodes, 3))},
          {"min.insync.replicas", nodes >= 3 ? "2" : "1"},
          {"auto.create.topics.enable", "false"},
          {"replica.lag.time.max.ms", "3000"},
          {"replica.high.watermark.checkpoint.interval.ms", "1000"},
          {"ordeal.trace.hw.interval.ms", "0"},
          {"log.segment.bytes", "65536"}};
}

// What a simulated node runs: one broker, started at once.
class SimCluster::Process {
 public:
  Process(World& world, NodeContext& context, BrokerConfig config, const mutation::Switches& switches,
          std::vector<std::string>& fatals)
      : world_(world),
        context_(context),
        fatals_(fatals),
        broker_(
            context.env, std::move(config), switches, [this](const Error& error) { fatal(error.to_string()); },
            kv::pinned_rocks_factory(context.env.disk, [this](const std::string& what) { fatal(what); })) {
    context_.env.scheduler.spawn(run(this), "broker");
  }

  server::Broker& broker() { return broker_; }

  static env::Task<> shut_down(Process* self) {
    co_await self->broker_.stop();
    self->context_.exit();
  }

 private:
  static env::Task<> run(Process* self) {
    const Status started = co_await self->broker_.start();
    if (!started && started.error().code != Errc::closed) self->fatal(started.error().to_string());
  }
  void fatal(const std::string& why) {
    // A crash drawn inside a file call fails that call too: the broker's answer to it is no news.
    const bool dead =
        world_.state(context_.node) == NodeState::down || world_.incarnation(context_.node) != context_.incarnation;
    if (dead) return;
    if (!world_.disk(context_.node).has_failed()) {  // else ending itself is what a broker should do
      fatals_.push_back(
          fmt::format("node {} at {} ns: {}", context_.node, world_.now().time_since_epoch().count(), why));
    }
    context_.fatal(why);
  }

  World& world_;
  NodeContext& context_;
  std::vector<std::string>& fatals_;
  server::Broker broker_;
};

SimCluster::SimCluster(ClusterOptions options)
    : options_(std::move(options)),
      world_(WorldOptions{options_.seed, options_.loop, options_.blocking, options_.network, options_.buggify,
                          options_.log_draws}),
      invariants_(world_, kLogDir) {
  for (NodeId id = 1; id <= options_.nodes; ++id) {
    for (const mutation::Bug bug : options_.mutations) switches_[id].turn_on(bug);
    ConfigMap given = cluster_config(id, options_.nodes);
    for (const auto& [key, value] : options_.config) given[key] = value;
    Result<BrokerConfig> config = make_broker_config(std::move(given));
    ORDEAL_CHECK(config.has_value(), "node {}: {}", id, config.error().to_string());
    world_.add_node(id, node_host(id), [this, id, config = *config](NodeContext& context) {
      return std::make_shared<Process>(world_, context, config, switches_[id], fatals_);
    });
  }
  if (!options_.mutations.empty()) world_.watch_steps([this] { watch_switches(); });
}

SimCluster::~SimCluster() = default;

std::vector<Endpoint> SimCluster::bootstrap() const {
  std::vector<Endpoint> all;
  for (NodeId id = 1; id <= options_.nodes; ++id) all.push_back({node_host(id), kClientPort});
  return all;
}

std::uint64_t SimCluster::ran(mutation::Bug bug) const {
  std::uint64_t sum = 0;
  for (const auto& [node, switches] : switches_) sum += switches.ran(bug);
  return sum;
}

// A branch asked for all the time would drown the trace.
void SimCluster::watch_switches() {
  constexpr std::uint64_t kOneByOne = 100;
  for (const mutation::Bug bug : options_.mutations) {
    NodeId who = kNoNode;
    for (const auto& [id, switches] : switches_) {
      std::uint64_t& before = seen_[{id, bug}];
      if (std::exchange(before, switches.ran(bug)) != switches.ran(bug)) who = id;
    }
    if (who == kNoNode) continue;
    const std::uint64_t run = ran(bug);
    if (std::uint64_t& told = told_[bug]; run > told + told / kOneByOne)
      told = run;
    else
      continue;
    branch_runs_.push_back({bug, run, who, world_.now()});
    const bool died = world_.state(who) == NodeState::down;  // in that very step
    world_.trace().add({world_.now(),
                        died ? 0 : world_.env(who).scheduler.wall_ms(),
                        who,
                        Severity::info,
                        "mutation.ran",
                        {{"name", std::string(mutation::info_of(bug).name)}, {"run", static_cast<std::int64_t>(run)}}});
  }
}

// ---- verbs

std::string SimCluster::note_begin(std::string kind, std::vector<NodeId> nodes, std::string evidence) {
  FaultEvent event;
  event.at = world_.now();
  event.event = "fault.begin";
  event.step = fmt::format("s{}", faults_.size() + 1);
  event.kind = std::move(kind);
  for (const NodeId node : nodes) event.targets.push_back(plan::node_name(node));
  event.verified = true;
  event.evidence = std::move(evidence);
  faults_.push_back(event);
  return event.step;
}

// Ends the latest open fault of that kind on that node; a verb without one (a first start) heals nothing.
void SimCluster::note_heal(const std::string& kind, NodeId node) {
  for (std::size_t i = faults_.size(); i-- > 0;) {
    const FaultEvent& begun = faults_[i];
    if (begun.event != "fault.begin" || !begun.kind.starts_with(kind)) continue;
    if (node != kNoNode && std::ranges::find(begun.targets, plan::node_name(node)) == begun.targets.end()) continue;
    const bool ended = std::ranges::any_of(
        faults_, [&](const FaultEvent& other) { return other.event == "fault.heal" && other.step == begun.step; });
    if (ended) continue;
    FaultEvent event = begun;
    event.at = world_.now();
    event.event = "fault.heal";
    faults_.push_back(std::move(event));
    return;
  }
}

void SimCluster::start_all() {
  for (const NodeId id : world_.nodes())
    if (world_.state(id) == NodeState::down) start(id);
}

void SimCluster::start(NodeId node) {
  world_.start(node);
  note_heal("proc.kill", node);
  note_heal("node.power_cut", node);
  note_heal("node.crash", node);
}

void SimCluster::kill(NodeId node) {
  world_.kill(node);
  note_begin("proc.kill", {node}, "killed by the script");
}

void SimCluster::power_cut(NodeId node) {
  world_.power_cut(node);
  note_begin("node.power_cut", {node}, "cut by the script");
}

void SimCluster::pause(NodeId node) {
  world_.pause(node);
  note_begin("proc.pause", {node}, "paused by the script");
}

void SimCluster::resume(NodeId node) {
  world_.resume(node);
  note_heal("proc.pause", node);
}

void SimCluster::stop(NodeId node) {
  if (world_.state(node) == NodeState::down) return;
  world_.env(node).scheduler.spawn(Process::shut_down(&world_.process<Process>(node)), "broker.shutdown");
}

NodeId SimCluster::kill_leader(const TopicPartition& at) {
  const NodeId leads = leader(at);
  ORDEAL_CHECK(leads != kNoNode, "nobody leads {}", at.to_string());
  kill(leads);
  return leads;
}

namespace {
std::vector<NodeId> nodes_among(std::initializer_list<std::string> hosts, int nodes) {
  std::vector<NodeId> ids;
  for (NodeId id = 1; id <= nodes; ++id)
    if (std::ranges::find(hosts, node_host(id)) != hosts.end()) ids.push_back(id);
  return ids;
}
}  // namespace

void SimCluster::cut(const std::string& a, const std::string& b, std::uint16_t port) {
  world_.cut(a, b, port);
  note_begin("net.partition", nodes_among({a, b}, options_.nodes), fmt::format("{} from {}, port {}", a, b, port));
}

void SimCluster::heal(const std::string& a, const std::string& b, std::uint16_t port) {
  world_.heal(a, b, port);
  const std::vector<NodeId> nodes = nodes_among({a, b}, options_.nodes);
  note_heal("net.", nodes.empty() ? kNoNode : nodes.front());
}

void SimCluster::cut_one_way(const std::string& from, const std::string& to, std::uint16_t port) {
  world_.cut_one_way(from, to, port);
  note_begin("net.simplex", nodes_among({from, to}, options_.nodes), fmt::format("{} to {}, port {}", from, to, port));
}

void SimCluster::isolate(NodeId node, std::uint16_t port) {
  for (const NodeId other : world_.nodes())
    if (other != node) world_.cut(node_host(node), node_host(other), port);
  note_begin("net.partition", {node}, fmt::format("from every other node, port {}", port));
}

void SimCluster::rejoin(NodeId node, std::uint16_t port) {
  for (const NodeId other : world_.nodes())
    if (other != node) world_.heal(node_host(node), node_host(other), port);
  note_heal("net.", node);
}

void SimCluster::heal_all() {
  world_.heal_all();
  for (std::size_t open = faults_.size(); open > 0; --open) note_heal("net.", kNoNode);
  for (const NodeId id : world_.nodes()) disk_heal(id);
}

Status SimCluster::flip_bit(NodeId node, const std::string& path, std::uint64_t offset, unsigned bit) {
  const Status flipped = world_.disk(node).flip_bit(path, offset, bit);
  if (flipped) note_begin("disk.bitflip", {node}, fmt::format("{} byte {} bit {}", path, offset, bit));
  return flipped;
}

// ---- sight

server::Broker* SimCluster::broker(NodeId node) {
  if (world_.state(node) == NodeState::down || !world_.started(node)) return nullptr;
  server::Broker& found = world_.process<Process>(node).broker();
  return found.serving() ? &found : nullptr;
}

std::optional<meta::QuorumStatus> SimCluster::quorum(NodeId node) {
  if (world_.state(node) == NodeState::down || !world_.started(node)) return std::nullopt;
  meta::Node* found = world_.process<Process>(node).broker().started_node();
  return found == nullptr ? std::nullopt : std::optional(found->quorum());
}

bool SimCluster::serving(NodeId node) { return broker(node) != nullptr; }

meta::ImagePtr SimCluster::newest_image() {
  meta::ImagePtr newest;
  for (const NodeId id : world_.nodes()) {
    server::Broker* running = broker(id);
    if (running == nullptr) continue;
    meta::ImagePtr image = running->node().image();
    if (!newest || image->offset() > newest->offset()) newest = std::move(image);
  }
  return newest;
}

const meta::PartitionImage* SimCluster::partition(const TopicPartition& at) {
  held_ = newest_image();
  return held_ ? held_->partition(at.topic, at.partition) : nullptr;
}

NodeId SimCluster::leader(const TopicPartition& at) {
  const meta::PartitionImage* found = partition(at);
  return found == nullptr ? kNoNode : found->leader;
}

LeaderEpoch SimCluster::leader_epoch(const TopicPartition& at) {
  const meta::PartitionImage* found = partition(at);
  return found == nullptr ? kNoEpoch : found->leader_epoch;
}

std::set<NodeId> SimCluster::isr(const TopicPartition& at) {
  const meta::PartitionImage* found = partition(at);
  return found == nullptr ? std::set<NodeId>{} : std::set<NodeId>(found->isr.begin(), found->isr.end());
}

std::vector<NodeId> SimCluster::followers(const TopicPartition& at) {
  const meta::PartitionImage* found = partition(at);
  std::vector<NodeId> others;
  if (found == nullptr) return others;
  std::ranges::copy_if(found->replicas, std::back_inserter(others), [&](NodeId id) { return id != found->leader; });
  std::ranges::sort(others);
  return others;
}

NodeId SimCluster::controller() {
  for (const NodeId id : world_.nodes()) {
    server::Broker* running = broker(id);
    if (running != nullptr && running->node().is_active_controller()) return id;
  }
  return kNoNode;
}

std::vector<NodeId> SimCluster::replicas(const TopicPartition& at) {
  const meta::PartitionImage* found = partition(at);
  return found == nullptr ? std::vector<NodeId>{} : found->replicas;
}

std::optional<replica::PartitionStatus> SimCluster::status(NodeId node, const TopicPartition& at) {
  server::Broker* running = broker(node);
  return running == nullptr ? std::nullopt : running->replicas().status(at);
}

std::string SimCluster::partition_dir(const TopicPartition& at) const {
  return fmt::format("{}/{}-{}", kLogDir, at.topic, at.partition);
}

std::string SimCluster::why_not_whole() {
  for (const NodeId id : world_.nodes())
    if (!serving(id)) return fmt::format("node {} does not serve", id);
  const meta::ImagePtr image = newest_image();
  for (const auto& [name, topic] : image->topics()) {
    for (std::size_t i = 0; i < topic->partitions.size(); ++i) {
      const meta::PartitionImage& found = topic->partitions[i];
      const TopicPartition at{name, static_cast<PartitionId>(i)};
      if (found.leader == kNoNode) return at.to_string() + " has no leader";
      if (found.isr.size() != found.replicas.size())
        return fmt::format("{}: the ISR has {} of {} replicas", at.to_string(), found.isr.size(),
                           found.replicas.size());
      const auto leads = status(found.leader, at);
      if (!leads || !leads->leading || leads->isr.size() != found.isr.size())
        return fmt::format("{}: node {} does not know its leadership yet", at.to_string(), found.leader);
    }
  }
  return {};
}

// ---- time

bool SimCluster::wait_until(const std::function<bool()>& done, Duration bound) {
  constexpr Duration kLook = 5ms;  // looking after every step would cost more than the step
  const Instant limit = world_.now() + bound;
  while (!done()) {
    if (world_.now() >= limit) return false;
    world_.run_until(std::min(limit, world_.now() + kLook));
  }
  return true;
}

bool SimCluster::wait_ready(Duration bound) {
  return wait_until([this] { return std::ranges::all_of(world_.nodes(), [this](NodeId id) { return serving(id); }); },
                    bound);
}

bool SimCluster::wait_whole(Duration bound) {
  return wait_until([this] { return why_not_whole().empty(); }, bound);
}

namespace {
env::Task<> and_tell(env::Task<> task, std::shared_ptr<bool> done) {
  co_await std::move(task);
  *done = true;
}
}  // namespace

bool SimCluster::finish(env::Env& where, env::Task<> task, std::string_view name, Duration bound) {
  auto done = std::make_shared<bool>(false);
  where.scheduler.spawn(and_tell(std::move(task), done), name);
  return wait_until([done] { return *done; }, bound);
}

}  // namespace ordeal::sim
