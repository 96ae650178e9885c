#include "faults/sim/sim_world.h"

#include <fmt/format.h>

#include "broker/base/check.h"

namespace ordeal::sim {

struct World::Incarnation {
  Incarnation(World& world, NodeId id, std::string on_host, SimDisk& disk, std::uint64_t number,
              std::shared_ptr<NodeClocks> clocks)
      : scheduler(world.loop_, ++world.incarnations_,
                  world.random_.fork(fmt::format("blocking/{}/{}/{}", id, on_host, number)), world.options_.blocking,
                  std::move(clocks)),
        network(world.network_, scheduler, on_host),
        handle(disk, &scheduler),
        random(world.random_.fork(fmt::format("node/{}/{}/{}", id, on_host, number))),
        trace(world.trace_, scheduler, id),
        buggify(world.sites_, world.random_.fork(fmt::format("buggify/{}/{}", id, number))),
        host(on_host),
        context{
            id,
            std::move(on_host),
            number,
            env::Env{scheduler, network, handle, random, trace, world.options_.buggify && id > 0 ? &buggify : nullptr},
            {},
            {}} {
    scheduler.watch_draws(&random);
  }

  void silence() {
    trace.mute();
    handle.freeze();
    scheduler.doom();
  }
  void destroy() {
    scheduler.drop_all();
    process.reset();
    scheduler.drop_all();  // what the process object's destructor left
  }

  SimScheduler scheduler;
  HostNetwork network;
  DiskHandle handle;
  Random random;
  NodeTrace trace;
  NodeBuggify buggify;
  std::string host;
  NodeContext context;
  std::shared_ptr<void> process;
};

struct World::Node {
  NodeId id;
  std::string host;
  Program program;
  std::unique_ptr<SimDisk> disk;
  std::unique_ptr<Incarnation> alive;
  std::uint64_t incarnation = 0;
  bool powered = true;
  std::shared_ptr<NodeClocks> clocks = std::make_shared<NodeClocks>();
  std::optional<std::string> last_fatal;
};

World::World(WorldOptions options)
    : options_(options),
      random_(options.seed),
      sites_(random_.fork("buggify sites")),
      loop_(options.loop, digest_),
      network_(loop_, random_.fork("network"), options.network),
      trace_(loop_) {
  if (options.log_draws) digest_.keep_log(&draw_log_);
  digest_.mix(options.seed);
  loop_.after_step([this] {
    bury();
    if (watch_) watch_();
  });
}

World::~World() {
  ORDEAL_CHECK(loop_.running() == nullptr, "a world cannot end inside one of its own steps");
  for (auto& [id, owned] : nodes_) end(*owned, CrashKind::process, false);
  for (auto& client : clients_) client->silence();
  for (auto& client : clients_) client->destroy();
  bury();
}

World::Node& World::node(NodeId id) {
  auto found = nodes_.find(id);
  ORDEAL_CHECK(found != nodes_.end(), "no node {}", id);
  return *found->second;
}
const World::Node& World::node(NodeId id) const { return const_cast<World*>(this)->node(id); }

void World::add_node(NodeId id, const std::string& host, Program program) {
  ORDEAL_CHECK(id > 0 && !nodes_.contains(id) && !network_.hosts().contains(host), "node {} at {}", id, host);
  auto added = std::make_unique<Node>();
  added->id = id;
  added->host = host;
  added->program = std::move(program);
  added->disk =
      std::make_unique<SimDisk>(loop_, static_cast<std::uint64_t>(id), random_.fork(fmt::format("disk/{}", id)));
  Node* raw = added.get();
  added->disk->on_crash([this, raw](CrashKind kind) { end(*raw, kind, false); });
  network_.add_host(host);
  nodes_.emplace(id, std::move(added));
}

void World::start(NodeId id) {
  Node& starting = node(id);
  ORDEAL_CHECK(starting.alive == nullptr, "node {} is running", id);
  if (!starting.powered) network_.host_up(starting.host);
  starting.powered = true;
  starting.last_fatal.reset();
  ++starting.incarnation;
  digest_.note("start", loop_.now(), static_cast<std::uint64_t>(id), starting.incarnation);
  starting.alive =
      std::make_unique<Incarnation>(*this, id, starting.host, *starting.disk, starting.incarnation, starting.clocks);
  Incarnation* born = starting.alive.get();
  const auto still_alive = [this, id, born] { return node(id).alive.get() == born; };
  born->context.fatal = [this, id, still_alive](const std::string& why) {
    if (!still_alive()) return;
    node(id).last_fatal = why;
    end(node(id), CrashKind::process, false);
  };
  born->context.exit = [this, id, still_alive] {
    if (still_alive()) end(node(id), CrashKind::process, true);
  };
  // The program runs as the node's first task, so that whatever it does happens inside a step of that node.
  born->scheduler.post([born, program = starting.program] { born->process = program(born->context); });
}

void World::kill(NodeId id) { end(node(id), CrashKind::process, false); }

void World::power_cut(NodeId id) { end(node(id), CrashKind::power, false); }

void World::end(Node& ending, CrashKind kind, bool orderly) {
  if (ending.alive == nullptr && (kind == CrashKind::process || !ending.powered)) return;
  digest_.note(orderly ? "exit" : "kill", loop_.now(), static_cast<std::uint64_t>(ending.id),
               static_cast<std::uint64_t>(kind));
  ending.disk->disarm_crash();
  if (kind == CrashKind::power) {
    ending.powered = false;
    network_.host_down(ending.host);
  }
  if (ending.alive != nullptr) {
    Incarnation& dying = *ending.alive;
    dying.silence();
    if (kind == CrashKind::process) network_.process_died(dying.scheduler, ending.host);
    doomed_.push_back(std::move(ending.alive));
  }
  if (kind == CrashKind::power) ending.disk->power_cut();
  if (loop_.running() == nullptr) bury();
}

void World::bury() {
  while (!doomed_.empty()) {
    std::unique_ptr<Incarnation> corpse = std::move(doomed_.back());
    doomed_.pop_back();
    corpse->destroy();
    graves_.push_back(std::move(corpse));
  }
}

void World::pause(NodeId id) {
  digest_.note("pause", loop_.now(), static_cast<std::uint64_t>(id));
  if (node(id).alive) node(id).alive->scheduler.pause();
}

void World::resume(NodeId id) {
  digest_.note("resume", loop_.now(), static_cast<std::uint64_t>(id));
  if (node(id).alive) node(id).alive->scheduler.resume();
}

NodeState World::state(NodeId id) const {
  const Node& asked = node(id);
  if (asked.alive == nullptr) return NodeState::down;
  const SimScheduler& scheduler = asked.alive->scheduler;
  return scheduler.paused() || scheduler.stuck() ? NodeState::paused : NodeState::running;
}

bool World::started(NodeId id) const { return node(id).alive != nullptr && node(id).alive->process != nullptr; }

std::uint64_t World::incarnation(NodeId id) const { return node(id).incarnation; }
const std::string& World::host(NodeId id) const { return node(id).host; }
std::optional<std::string> World::last_fatal(NodeId id) const { return node(id).last_fatal; }
SimDisk& World::disk(NodeId id) { return *node(id).disk; }

std::vector<NodeId> World::nodes() const {
  std::vector<NodeId> ids;
  for (const auto& [id, owned] : nodes_) ids.push_back(id);
  return ids;
}

void* World::process_of(NodeId id) {
  const Node& asked = node(id);
  ORDEAL_CHECK(asked.alive != nullptr && asked.alive->process != nullptr, "node {} has no process", id);
  return asked.alive->process.get();
}

env::Env& World::env(NodeId id) {
  ORDEAL_CHECK(node(id).alive != nullptr, "node {} is down", id);
  return node(id).alive->context.env;
}

void World::wipe(NodeId id) {
  ORDEAL_CHECK(node(id).alive == nullptr, "node {} is running", id);
  digest_.note("wipe", loop_.now(), static_cast<std::uint64_t>(id));
  node(id).disk->wipe();
}

void World::set_wall_offset(NodeId id, Duration offset) { node(id).clocks->wall_offset = offset; }
Duration World::wall_offset(NodeId id) const { return node(id).clocks->wall_offset; }

void World::set_clock_drift(NodeId id, std::int64_t ppm, bool timers) {
  Node& drifting = node(id);
  digest_.note("drift", loop_.now(), static_cast<std::uint64_t>(id), static_cast<std::uint64_t>(ppm));
  drifting.clocks->wall.set_rate(loop_.now(), ppm);
  drifting.clocks->timers.set_rate(loop_.now(), timers ? ppm : 0);
  if (drifting.alive) drifting.alive->scheduler.timers_changed();
}

std::int64_t World::clock_drift(NodeId id) const { return node(id).clocks->wall.rate(); }

env::Env& World::add_client(const std::string& host) {
  network_.add_host(host);
  const auto number = clients_.size() + 1;
  client_disks_.push_back(std::make_unique<SimDisk>(loop_, std::uint64_t{1} << 32 | number,
                                                    random_.fork(fmt::format("client disk/{}", number))));
  clients_.push_back(std::make_unique<Incarnation>(*this, -static_cast<NodeId>(number), host, *client_disks_.back(),
                                                   number, std::make_shared<NodeClocks>()));
  return clients_.back()->context.env;
}

void World::drop_clients() {
  ORDEAL_CHECK(loop_.running() == nullptr, "clients cannot be dropped inside a step");
  for (auto& client : clients_) client->silence();
  for (auto& client : clients_) client->destroy();
}

void World::cut(const std::string& a, const std::string& b, std::uint16_t port) {
  cut_one_way(a, b, port);
  cut_one_way(b, a, port);
}
void World::heal(const std::string& a, const std::string& b, std::uint16_t port) {
  heal_one_way(a, b, port);
  heal_one_way(b, a, port);
}
void World::cut_one_way(const std::string& from, const std::string& to, std::uint16_t port) {
  network_.cut({from, to, port});
}
void World::heal_one_way(const std::string& from, const std::string& to, std::uint16_t port) {
  network_.heal({from, to, port});
}
void World::isolate(const std::string& host, std::uint16_t port) {
  for (const std::string& other : network_.hosts())
    if (other != host) cut(host, other, port);
}
void World::heal_all() { network_.heal_all(); }

bool World::run_until(const std::function<bool()>& done, Duration at_most) {
  const Instant limit = loop_.now() + at_most;
  while (!done()) {
    if (loop_.now() >= limit || !loop_.step(limit)) {
      loop_.run_until(limit);
      return done();
    }
  }
  return true;
}

std::uint64_t World::digest() const {
  Digest whole = digest_;
  whole.mix(loop_.now());
  whole.mix(loop_.steps());
  whole.mix(last_draw());
  return whole.value();
}

}  // namespace ordeal::sim
