#include "faults/real/world.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>

#include "broker/base/check.h"
#include "faults/real/clock.h"
#include "faults/real/netns.h"

namespace ordeal::nemesis {

namespace {

constexpr Duration kPortPoll = 3ms;

bool is_host_name(const std::string& id, char prefix) {
  unsigned number = 0;
  const auto parsed = std::from_chars(id.data() + std::min<std::size_t>(1, id.size()), id.data() + id.size(), number);
  return id.size() > 1 && id.size() <= 6 && id[0] == prefix && parsed.ec == std::errc{} &&
         parsed.ptr == id.data() + id.size() && number > 0 && id[1] != '0';
}

Result<Fd> begin_connect(const Host& from, const Host& to, std::uint16_t port) {
  std::optional<InNetns> inside;
  if (from.netns) inside.emplace(from.netns.get());
  Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno("opening a socket");
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = to.address;
  at.sin_port = htons(port);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0 && errno != EINPROGRESS) {
    return fail_errno("connecting");
  }
  return socket;
}

Status check_names(const World::Hosts& hosts, char prefix) {
  for (const HostSpec& host : hosts) {
    if (!is_host_name(host.id, prefix)) {
      return fail(Errc::invalid_argument,
                  fmt::format("'{}' is no host name: nodes are n1, n2, ..., clients c1, c2, ...", host.id));
    }
  }
  return {};
}

}  // namespace

std::vector<plan::Verb> real_verbs() {
  return {plan::Verb::net_partition, plan::Verb::net_simplex, plan::Verb::proc_kill, plan::Verb::proc_pause,
          plan::Verb::proc_restart};
}

std::vector<plan::Verb> World::verbs() const {
  return owns_network() ? real_verbs() : std::vector<plan::Verb>{plan::Verb::proc_pause};
}

std::string World::why_not_whole() const {
  if (quorum || !view.controller.empty()) return plan::why_not_converged(view);
  plan::WorldView told = view;
  told.controller = "nobody that tells";
  return plan::why_not_converged(told);
}

Status World::stay_outside(const Hosts& clients) {
  ORDEAL_TRY(check_names(clients, 'c'));
  network_ = Switch::names_only(clients);
  for (const HostSpec& client : clients) view.clients.push_back(client.id);
  built_ = true;
  return {};
}

Status World::build(const Hosts& nodes, const Hosts& clients, TcpProfile profile) {
  ORDEAL_TRY(check_names(nodes, 'n'));
  ORDEAL_TRY(check_names(clients, 'c'));
  Hosts all = nodes;
  all.insert(all.end(), clients.begin(), clients.end());
  auto outside = current_netns();
  if (!outside) return fail(outside.error());
  outside_ = std::move(*outside);
  ORDEAL_TRY(enter_new_netns());
  auto network = Switch::build(all, profile);
  if (!network) return fail(network.error());
  network_ = std::move(*network);
  auto firewall = Firewall::create();
  if (!firewall) return fail(firewall.error());
  auto prober = Prober::create(network_.hosts());
  if (!prober) return fail(prober.error());
  firewall_ = std::move(*firewall);
  prober_ = std::make_unique<Prober>(std::move(*prober));
  for (const HostSpec& node : nodes) view.nodes.push_back(node.id);
  for (const HostSpec& client : clients) view.clients.push_back(client.id);
  view.killed.insert(view.nodes.begin(), view.nodes.end());  // until they are started
  const ProbeReport report = probe(2s);
  if (!report.as_expected) return fail(Errc::io, "the new network does not work: " + report.evidence);
  built_ = true;
  return {};
}

ProbeReport World::probe(Duration patience) {
  if (!owns_network()) return {{}, true, "the network is not ours: nothing was cut, nothing to probe", {}};
  const std::set<PortCut>& cuts = firewall_->cuts();
  const auto& hosts = network_.hosts();
  const auto expected = [&](std::size_t probe_class, std::size_t from, std::size_t to) {
    PortCut cut{hosts[from].port, hosts[to].port, 0};
    if (cuts.contains(cut)) return false;
    cut.port = kProbePorts[probe_class];
    return !cuts.contains(cut);
  };
  return prober_->measure(expected, patience);
}

Result<Managed*> World::add(Managed managed) {
  const Host* host = network_.find(managed.host);
  if (host == nullptr) return fail(Errc::not_found, fmt::format("there is no host '{}'", managed.host));
  if (managed.launcher && !host->residents) {
    return fail(Errc::invalid_argument, fmt::format("a launcher needs a host whose namespace setup was given, and "
                                                    "'{}' is in one of ours",
                                                    managed.host));
  }
  std::unique_ptr<Managed>& slot = processes_[managed.id];
  if (slot && slot->running()) {
    return fail(Errc::already_exists, fmt::format("'{}' runs already (pid {})", managed.id, slot->process->pid()));
  }
  const int incarnation = slot ? slot->incarnation : 0;
  slot = std::make_unique<Managed>(std::move(managed));
  slot->incarnation = incarnation;
  return slot.get();
}

Status World::start(Managed& managed) {
  ORDEAL_CHECK(!managed.running(), "{} runs already", managed.id);
  const Host* host = network_.find(managed.host);
  if (managed.launcher) managed.spec.starts = host->residents;
  auto process = Process::spawn(managed.spec, managed.launcher ? outside_.get() : host->netns.get());
  if (!process) return fail(process.error());
  managed.process.emplace(std::move(*process));
  ++managed.incarnation;
  managed.expecting_exit = false;
  managed.paused = false;
  update_view(managed);
  nlohmann::json fields = {{"id", managed.id},
                           {"pid", managed.process->pid()},
                           {"incarnation", managed.incarnation},
                           {"host", managed.host}};
  if (managed.node) fields["node"] = std::stoi(managed.host.substr(1));
  journal_.event(managed.node ? "node.start" : "client.start", std::move(fields));
  Managed* stable = &managed;  // owned by processes_ through a pointer, and unwatched before it goes
  loop_.watch(managed.process->pidfd(), [this, stable] {
    if (stable->process->reap()) ended(*stable);
  });
  return {};
}

void World::ended(Managed& managed) {
  loop_.unwatch(managed.process->pidfd());
  const ExitStatus status = *managed.process->exit();
  // A client that finished its work has every right to leave; a broker has not.
  const bool expected = managed.expecting_exit || (!managed.node && status.clean());
  nlohmann::json fields = {{"id", managed.id},
                           {"pid", managed.process->pid()},
                           {"incarnation", managed.incarnation},
                           {"expected", expected}};
  if (managed.node) fields["node"] = std::stoi(managed.host.substr(1));
  if (status.signal == 0) {
    fields["code"] = status.code;
  } else {
    fields["signal"] = status.signal;
    fields["core"] = status.core;
  }
  managed.paused = false;
  update_view(managed);
  journal_.event(managed.node ? "node.exit" : "client.exit", std::move(fields));
  const auto waiters = std::move(managed.exit_waiters);
  managed.exit_waiters.clear();
  for (const auto& waiter : waiters) waiter(status);
}

bool World::reap(Managed& managed, Duration patience) {
  if (!managed.process) return true;
  const bool ran = managed.running();
  if (!managed.process->reap_within(patience)) return false;
  if (ran) ended(managed);
  return true;
}

void World::when_exited(Managed& managed, std::function<void(const ExitStatus&)> done) {
  if (managed.running()) {
    managed.exit_waiters.push_back(std::move(done));
  } else {
    done(managed.process ? *managed.process->exit() : ExitStatus{});
  }
}

void World::set_paused(Managed& managed, bool paused) {
  managed.paused = paused;
  update_view(managed);
}

// A node counts as killed when its broker does not run, as paused when that is stopped.
void World::update_view(const Managed& managed) {
  if (!managed.node) return;
  if (managed.running()) {
    view.killed.erase(managed.host);
  } else {
    view.killed.insert(managed.host);
  }
  if (managed.paused) {
    view.paused.insert(managed.host);
  } else {
    view.paused.erase(managed.host);
  }
}

Managed* World::find(const std::string& id) {
  const auto found = processes_.find(id);
  return found == processes_.end() ? nullptr : found->second.get();
}

std::vector<Managed*> World::on_host(const std::string& host) {
  std::vector<Managed*> list;
  for (auto& [id, managed] : processes_) {
    if (managed->host == host) list.push_back(managed.get());
  }
  return list;
}

struct World::PortWait {
  std::string id;
  int incarnation;
  Instant start;
  Instant deadline;
  Fd socket;
  std::function<void(Result<Duration>)> done;
};

void World::when_serving(Managed& managed, Duration timeout, std::function<void(Result<Duration>)> done) {
  if (managed.port == 0) return done(Duration::zero());
  auto wait = std::make_shared<PortWait>();
  wait->id = managed.id;
  wait->incarnation = managed.incarnation;
  wait->start = now();
  wait->deadline = wait->start + timeout;
  wait->done = std::move(done);
  poll_port(wait);
}

void World::poll_port(const std::shared_ptr<PortWait>& wait) {
  Managed* managed = find(wait->id);
  if (managed == nullptr || managed->incarnation != wait->incarnation || !managed->running()) {
    const bool ended = managed != nullptr && managed->process && managed->process->exit();
    return wait->done(fail(Errc::closed, fmt::format("{} ended before it served ({})", wait->id,
                                                     ended ? managed->process->exit()->to_string() : "replaced")));
  }
  if (wait->socket) {
    pollfd poll{wait->socket.get(), POLLOUT, 0};
    if (::poll(&poll, 1, 0) > 0) {
      int error = 0;
      socklen_t size = sizeof error;
      ::getsockopt(wait->socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
      wait->socket.close();
      if (error == 0) {
        const Duration took = now() - wait->start;
        journal_.event(
            managed->node ? "node.serving" : "client.serving",
            {{"id", managed->id}, {"pid", managed->process->pid()}, {"port", managed->port}, {"after_ms", took / 1ms}});
        return wait->done(took);
      }
    }
  }
  if (now() >= wait->deadline) {
    return wait->done(fail(Errc::timed_out, fmt::format("{} does not accept connections on port {} after {} s",
                                                        wait->id, managed->port, (wait->deadline - wait->start) / 1s)));
  }
  if (!wait->socket) {
    auto socket = begin_connect(*network_.find(kHarness), *network_.find(managed->host), managed->port);
    if (socket) wait->socket = std::move(*socket);
  }
  loop_.call_at(now() + kPortPoll, [this, wait] { poll_port(wait); });
}

void World::kill_everything() {
  for (auto& [id, managed] : processes_) {
    if (!managed->running()) continue;
    managed->expecting_exit = true;
    (void)managed->process->signal(SIGKILL);  // it may have ended by itself just now
  }
  for (auto& [id, managed] : processes_) reap(*managed, 5s);
}

}  // namespace ordeal::nemesis
