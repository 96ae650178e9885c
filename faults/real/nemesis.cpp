#include "faults/real/nemesis.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/utsname.h>

#include "faults/plan/draw.h"
#include "faults/real/clock.h"
#include "faults/real/netns.h"

namespace ordeal::nemesis {

using nlohmann::json;

namespace {
constexpr Duration kTracePoll = 5ms;
constexpr std::size_t kLineMax = 16 << 20;
}  // namespace

Nemesis::Nemesis(int input, int output, bool rootless) : input_(input), rootless_(rootless), journal_(output) {}

int Nemesis::run() {
  journal_.event("nemesis.start", {{"pid", ::getpid()}, {"rootless", rootless_}, {"version", ORDEAL_VERSION}});
  loop_.watch(input_, [this] { read_input(); });
  loop_.on_idle([this] { return idle(); });
  loop_.run();
  world_.kill_everything();
  journal_.event("nemesis.stop", {{"pid", ::getpid()}});
  return 0;
}

void Nemesis::read_input() {
  char buffer[64 * 1024];
  const ssize_t got = ::read(input_, buffer, sizeof buffer);
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (got <= 0) return loop_.stop();  // whoever started us has gone: leave in order
  pending_input_.append(buffer, static_cast<std::size_t>(got));
  std::size_t from = 0;
  for (std::size_t end = pending_input_.find('\n'); end != std::string::npos; end = pending_input_.find('\n', from)) {
    const std::string line = pending_input_.substr(from, end - from);
    from = end + 1;
    if (line.find_first_not_of(" \t\r") != std::string::npos) dispatch(line);
  }
  pending_input_.erase(0, from);
  if (pending_input_.size() > kLineMax) {
    journal_.refuse(nullptr, "an input line of more than 16 MiB");
    loop_.stop();
  }
}

void Nemesis::dispatch(const std::string& line) {
  const json command = json::parse(line, nullptr, false);
  if (!command.is_object()) return journal_.refuse(nullptr, "not a JSON object: " + line.substr(0, 200));
  const json re = command.value("re", json(nullptr));
  if (!command.contains("cmd") || !command["cmd"].is_string()) return journal_.refuse(re, "\"cmd\" is missing");
  const std::string name = command["cmd"];
  try {
    execute(name, command, re);
  } catch (const json::exception& error) {  // a field of the wrong type: the JSON library's way to say so
    journal_.refuse(re, name + ": " + error.what());
  }
}

void Nemesis::execute(const std::string& name, const json& command, const json& re) {
  if (name == "ping") return journal_.reply(re, json::object());
  if (name == "shutdown") {
    journal_.reply(re, json::object());
    return loop_.stop();
  }
  if (name == "setup") return setup(command, re);
  if (!world_.built()) return journal_.refuse(re, name + ": setup comes first");
  if (name == "spawn") return spawn(command, re);
  if (name == "stop") return stop_process(command, re);
  if (name == "wait") return wait_process(command, re);
  if (name == "signal") return signal_process(command, re);
  if (name == "exec") return exec(command, re);
  if (name == "plan.start") return plan_start(command, re);
  if (name == "plan.stop") return plan_stop(re);
  if (name == "fault.begin") return fault_begin(command, re);
  if (name == "fault.heal") return fault_heal(command, re);
  if (name == "heal.all") return heal_all(re);
  if (name == "converge") return converge(command, re);
  if (name == "matrix") return matrix(re);
  if (name == "status") return status(re);
  if (name == "follow") {
    follow(command.at("traces"));
    return journal_.reply(re, json::object());
  }
  if (name == "ops") {
    if (plan_) plan_->operations(command.at("count").get<std::int64_t>());
    return journal_.reply(re, json::object());
  }
  journal_.refuse(re, "unknown command '" + name + "'");
}

// ---- setup and facts ----

json Nemesis::environment() const {
  utsname kernel{};
  ::uname(&kernel);
  json fields = {{"kernel", kernel.release},
                 {"tcp_profile", tcp_profile_},
                 {"sysctls", world_.network().sysctls()},
                 {"congestion_control", read_sysctl("net.ipv4.tcp_congestion_control")},
                 {"cpus", ::sysconf(_SC_NPROCESSORS_ONLN)},
                 {"rootless", rootless_}};
  return fields;
}

void Nemesis::setup(const json& command, const json& re) {
  if (world_.built()) return journal_.refuse(re, "setup was done already");
  const Instant start = now();
  const std::string network = command.value("network", "own");
  if (network != "own" && network != "caller") {
    return journal_.refuse(re, "network is own or caller, not '" + network + "'");
  }
  const bool own = network == "own";
  const auto hosts = [&](const char* key) {
    World::Hosts list;
    for (const json& host : command.value(key, json::array())) {
      list.push_back({host.at("id"), own ? host.at("ip").get<std::string>() : "", host.value("netns", "")});
    }
    return list;
  };
  const World::Hosts nodes = hosts("nodes");
  if (!own && !nodes.empty()) return journal_.refuse(re, "nodes need a network of ours");
  world_.quorum = command.value("quorum", true);
  tcp_profile_ = command.value("tcp", "fast-heal");
  if (tcp_profile_ != "fast-heal" && tcp_profile_ != "default") {
    return journal_.refuse(re, "tcp is fast-heal or default, not '" + tcp_profile_ + "'");
  }
  const auto profile = tcp_profile_ == "fast-heal" ? TcpProfile::fast_heal : TcpProfile::kernel;
  if (const std::string path = command.value("faults", ""); !path.empty()) {
    if (const Status opened = journal_.open_file(path); !opened) return journal_.refuse(re, opened.error().text);
  }
  const Status built = own ? world_.build(nodes, hosts("clients"), profile) : world_.stay_outside(hosts("clients"));
  if (!built) {
    return journal_.refuse(re, "setup: " + built.error().text);
  }
  const ProbeReport report = world_.probe();
  journal_.event("env", environment());
  journal_.reply(re, {{"took_ms", (now() - start) / 1ms},
                      {"matrix", report.evidence},
                      {"env", environment()},
                      {"rootless", rootless_}});
}

void Nemesis::matrix(const json& re) {
  if (!world_.owns_network()) return journal_.refuse(re, "the network is not ours, so there is nothing to probe");
  const ProbeReport report = world_.probe();
  const auto& hosts = world_.network().hosts();
  json names = json::array();
  for (const Host& host : hosts) names.push_back(host.id);
  json by_class = json::object();
  json cut = json::array();
  static constexpr const char* kNames[kProbeClasses] = {"any", "client", "replication", "control"};
  for (std::size_t c = 0; c < kProbeClasses; ++c) {
    json rows = json::array();
    for (std::size_t from = 0; from < hosts.size(); ++from) {
      json row = json::array();
      for (std::size_t to = 0; to < hosts.size(); ++to) {
        row.push_back(report.matrix.at(c, from, to) ? 1 : 0);
        if (c == 0 && !report.matrix.at(c, from, to)) cut.push_back({hosts[from].id, hosts[to].id});
      }
      rows.push_back(std::move(row));
    }
    by_class[kNames[c]] = std::move(rows);
  }
  journal_.reply(re, {{"hosts", names},
                      {"open", by_class["any"]},
                      {"listeners", by_class},
                      {"cut", cut},
                      {"as_expected", report.as_expected},
                      {"evidence", report.evidence}});
}

void Nemesis::status(const json& re) {
  json hosts = json::object();
  for (const Host& host : world_.network().hosts()) hosts[host.id] = host.ip;
  json processes = json::object();
  for (const auto& [id, managed] : world_.processes()) {
    const char* state = !managed->process     ? "new"
                        : !managed->running() ? "exited"
                        : managed->paused     ? "paused"
                                              : "running";
    processes[id] = {{"host", managed->host},
                     {"state", state},
                     {"pid", managed->process ? managed->process->pid() : -1},
                     {"incarnation", managed->incarnation}};
  }
  json faults = json::object();
  for (const auto& [id, fault] : injector_.faults()) {
    static constexpr const char* kStates[] = {"beginning", "held", "healing", "over"};
    static constexpr const char* kOutcomes[] = {"open", "verified", "failed", "missed"};
    faults[id] = {{"kind", plan::verb_name(fault->step.verb)},
                  {"targets", fault->resolution.targets},
                  {"state", kStates[static_cast<int>(fault->state)]},
                  {"outcome", kOutcomes[static_cast<int>(fault->outcome)]},
                  {"evidence", fault->evidence}};
  }
  json leaders = json::object();
  for (const auto& [partition, role] : world_.view.partitions) {
    leaders[fmt::format("{}/{}", partition.topic, partition.partition)] = {
        {"leader", role.leader}, {"epoch", role.leader_epoch}, {"isr", role.isr}};
  }
  json fields = {{"hosts", hosts},
                 {"processes", processes},
                 {"faults", faults},
                 {"active", injector_.active()},
                 {"roles",
                  {{"controller", world_.view.controller},
                   {"term", world_.view.controller_term},
                   {"partitions", leaders},
                   {"converged", world_.why_not_whole().empty()},
                   {"why", world_.why_not_whole()}}},
                 {"lost_trace_events", lost_trace_events_}};
  if (plan_) fields["plan"] = {{"over", plan_->over()}, {"summary", plan_->summary()}};
  journal_.reply(re, std::move(fields));
}

// ---- traces ----

void Nemesis::follow(const json& traces) {
  for (const auto& [node, path] : traces.items()) tails_.insert_or_assign(node, Tail(path.get<std::string>()));
}

void Nemesis::poll_traces() {
  for (auto& [node, tail] : tails_) {
    tail.poll([&](std::string_view line) {
      const auto event = plan::parse_trace_line(line);
      if (event) {
        observe(*event);
      } else {
        ++lost_trace_events_;  // a torn line after SIGKILL; status() tells
      }
    });
  }
}

void Nemesis::observe(const plan::TraceEvent& event) {
  if (event.kind == "trace.dropped") {
    ++lost_trace_events_;
    journal_.event("trace.dropped", {{"node", event.node}});
  }
  if (const auto change = plan::RoleTracker::observe(event, world_.view)) {
    injector_.role_changed(change->role, event.time_ns);
    journal_.event("role.change", {{"role", change->role},
                                   {"from", change->from},
                                   {"to", change->to},
                                   {"epoch", change->epoch},
                                   {"at", event.time_ns}});
  }
  if (plan_) plan_->observe(event);
}

Instant Nemesis::idle() {
  if (!world_.built()) return kForever;
  poll_traces();
  Instant wake = kForever;
  if (!tails_.empty()) {
    injector_.check_convergence(plan_ ? plan_->plan().final.converge : Duration(30s));
    wake = now() + kTracePoll;
  }
  if (plan_ && !plan_->over()) {
    plan_->advance();
    if (const auto next = plan_->next_deadline()) wake = std::min(wake, *next);
  }
  return wake;
}

}  // namespace ordeal::nemesis
