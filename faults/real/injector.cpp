#include "faults/real/injector.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <signal.h>

#include <algorithm>

#include "broker/base/check.h"
#include "faults/real/clock.h"
#include "faults/real/socket_purge.h"

namespace ordeal::nemesis {

using nlohmann::json;
using plan::Verb;

namespace {

constexpr Duration kProcessPatience = 5s;    // a SIGKILL of a process with a gigabyte to free takes 0.1 s
constexpr Duration kLauncherPatience = 20s;  // a container's exit goes through two daemons until we hear of it

double ms(Duration duration) { return static_cast<double>(duration.count()) / 1e6; }

void add(std::string& list, const std::string& item) { list += (list.empty() ? "" : "; ") + item; }

}  // namespace

const Fault* Injector::find(const std::string& id) const {
  const auto found = faults_.find(id);
  return found == faults_.end() ? nullptr : found->second.get();
}

std::vector<std::string> Injector::active() const {
  std::vector<std::string> ids;
  for (const auto& [id, fault] : faults_) {
    if (fault->state != Fault::State::over) ids.push_back(id);
  }
  return ids;
}

void Injector::forget_finished() {
  std::erase_if(faults_, [](const auto& entry) { return entry.second->state == Fault::State::over; });
}

void Injector::event(const std::string& name, const Fault& fault, json fields) {
  fields["id"] = fault.step.id;
  fields["kind"] = plan::verb_name(fault.step.verb);
  if (!name.starts_with("fault.heal")) fields["planned"] = plan::describe(fault.step);
  journal_.event(name, std::move(fields));
}

void Injector::begin(const plan::Step& step, FaultEvents events) {
  auto& slot = faults_[step.id];
  ORDEAL_CHECK(!slot || slot->state == Fault::State::over, "fault {} is active already", step.id);
  slot = std::make_unique<Fault>();
  Fault& fault = *slot;
  fault.step = step;
  fault.events = std::move(events);
  fault.invoked = now();
  std::vector<plan::Step> earlier;
  for (const auto& [id, known] : faults_) {
    earlier.push_back(known->step);
    if (!known->resolution.targets.empty()) earlier.back().resolved = known->resolution;
  }
  auto resolution = plan::resolve(step, world_.view, earlier);
  if (!resolution) return missed(fault, resolution.error().text);
  fault.resolution = std::move(*resolution);
  json resolved = plan::to_json(fault.resolution);
  resolved["resolved"] = plan::describe(fault.resolution);
  event("fault.resolve", fault, std::move(resolved));
  if (fault.events.resolved) fault.events.resolved(fault.resolution);
  switch (step.verb) {
    case Verb::net_partition:
    case Verb::net_simplex:
      return begin_network(fault);
    case Verb::proc_kill:
      return begin_kill(fault);
    case Verb::proc_pause:
      return begin_pause(fault);
    case Verb::proc_restart:
      return begin_restart(fault);
    default:  // check_verbs() refused the plan
      break;
  }
  failed_to_begin(fault, fmt::format("the real world cannot do {}", plan::verb_name(step.verb)));
}

void Injector::heal(const std::string& id) {
  const auto found = faults_.find(id);
  if (found == faults_.end()) return;
  Fault& fault = *found->second;
  if (fault.state == Fault::State::beginning) fault.heal_wanted = true;
  if (fault.state != Fault::State::held) return;
  fault.state = Fault::State::healing;
  fault.heal_invoked = now();
  event("fault.heal.invoke", fault, {{"targets", fault.resolution.targets}});
  switch (fault.step.verb) {
    case Verb::net_partition:
    case Verb::net_simplex:
      return heal_network(fault);
    case Verb::proc_pause:
      return heal_pause(fault);
    default:
      return heal_by_start(fault);
  }
}

// ---- network ----

std::set<PortCut> Injector::sum_of_cuts(const Fault* without) const {
  std::set<PortCut> sum;
  for (const auto& [id, fault] : faults_) {
    if (fault.get() != without && fault->state != Fault::State::over)
      sum.insert(fault->cuts.begin(), fault->cuts.end());
  }
  return sum;
}

void Injector::begin_network(Fault& fault) {
  std::set<PortCut> cuts;
  json listeners = json::array();
  for (const plan::Cut& cut : fault.resolution.cuts) {
    const Host* from = world_.network().find(cut.from);
    const Host* to = world_.network().find(cut.to);
    if (from == nullptr || to == nullptr) return missed(fault, fmt::format("no host {} or {}", cut.from, cut.to));
    if (fault.step.params.listeners.empty()) cuts.insert({from->port, to->port, 0});
    for (const auto listener : fault.step.params.listeners) {
      cuts.insert({from->port, to->port, plan::listener_port(listener)});
    }
  }
  for (const auto listener : fault.step.params.listeners) listeners.push_back(plan::listener_name(listener));
  const std::set<PortCut> before = sum_of_cuts(nullptr);
  if (std::includes(before.begin(), before.end(), cuts.begin(), cuts.end())) {
    return missed(fault, "all its links are cut already by other faults");
  }
  // Without this, a link that was broken before would pass as cut by us.
  if (const ProbeReport report = world_.probe(); !report.as_expected) {
    return failed_to_begin(fault, "before the cut: " + report.evidence);
  }
  fault.invoked = now();
  event("fault.invoke", fault, {{"targets", fault.resolution.targets}, {"listeners", listeners}});
  fault.cuts = cuts;
  if (const Status set = world_.firewall().set(sum_of_cuts(nullptr)); !set) {
    fault.cuts.clear();
    return failed_to_begin(fault, set.error().text);
  }
  const Duration applied = now() - fault.invoked;
  const ProbeReport report = world_.probe();
  if (!report.as_expected) {
    fault.cuts.clear();
    const Status undone = world_.firewall().set(before);
    return failed_to_begin(fault, report.evidence + (undone ? "" : "; and the undo failed: " + undone.error().text));
  }
  begun(fault, fmt::format("{} directed cuts applied in {:.2f} ms; {}", cuts.size(), ms(applied), report.evidence));
}

int Injector::purge(const Fault& fault, std::string& trouble) {
  std::map<std::string, std::set<std::uint32_t>> peers;
  for (const plan::Cut& cut : fault.resolution.cuts) {
    peers[cut.from].insert(world_.network().find(cut.to)->address);
    peers[cut.to].insert(world_.network().find(cut.from)->address);
  }
  std::set<std::uint16_t> ports;
  for (const auto listener : fault.step.params.listeners) ports.insert(plan::listener_port(listener));
  int destroyed = 0;
  for (const auto& [host, addresses] : peers) {
    const auto count = destroy_connections(*world_.network().find(host), addresses, ports);
    if (!count) {
      trouble = count.error().text;
      return destroyed;
    }
    destroyed += *count;
  }
  return destroyed;
}

void Injector::heal_network(Fault& fault) {
  std::uint64_t dropped = 0;
  if (const auto counters = world_.firewall().dropped()) {
    for (const auto& [cut, packets] : *counters) {
      if (fault.cuts.contains(cut)) dropped += packets;
    }
  }
  std::string trouble;
  // Before the links open, so that no reset and no old segment crosses them.
  const int purged = fault.step.params.purge ? purge(fault, trouble) : 0;
  const Status set = world_.firewall().set(sum_of_cuts(&fault));
  if (!set) return healed(fault, false, set.error().text);
  fault.cuts.clear();
  const Duration applied = now() - fault.heal_invoked;
  const ProbeReport report = world_.probe(2s);
  std::string evidence =
      fmt::format("links open after {:.2f} ms; {}; {} frames dropped", ms(applied), report.evidence, dropped);
  if (fault.step.params.purge) evidence += fmt::format("; {} connections destroyed", purged);
  if (!trouble.empty()) evidence += "; old connections kept: " + trouble;
  healed(fault, report.as_expected, evidence, {{"dropped", dropped}, {"purged", purged}});
}

// ---- processes ----

// Fills fault.victims with the running processes on the targets; false (and missed) when there is none.
bool Injector::choose_victims(Fault& fault, bool may_be_paused) {
  std::string idle;
  for (const std::string& host : fault.resolution.targets) {
    bool any = false;
    for (Managed* managed : world_.on_host(host)) {
      if (!managed->running() || managed->process->acting().empty() || (managed->paused && !may_be_paused)) continue;
      fault.victims[managed->id] = managed->incarnation;
      any = true;
    }
    if (!any) add(idle, host + (world_.view.paused.contains(host) ? " is paused" : " does not run"));
  }
  if (fault.victims.empty()) {
    missed(fault, idle);
    return false;
  }
  fault.trouble = idle;
  return true;
}

void Injector::begin_kill(Fault& fault) {
  if (!choose_victims(fault, true)) return;
  event("fault.invoke", fault, {{"targets", fault.resolution.targets}});
  fault.invoked = now();
  std::string evidence = fault.trouble;
  std::string wrong;
  std::map<std::string, std::string> pids;
  for (const auto& [id, incarnation] : fault.victims) {
    Managed& managed = *world_.find(id);
    managed.expecting_exit = true;
    pids[id] = fmt::format("{}", fmt::join(managed.process->acting(), ", "));
    if (const Status sent = managed.process->signal(SIGKILL); !sent) add(wrong, id + ": " + sent.error().text);
  }
  for (const auto& [id, incarnation] : fault.victims) {
    Managed& managed = *world_.find(id);
    const Duration patience = managed.launcher ? kLauncherPatience : kProcessPatience;
    if (world_.reap(managed, patience) && (!managed.launcher || managed.process->acting().empty())) {
      add(evidence, fmt::format("{}: pid {} {} {:.2f} ms after SIGKILL", id, pids[id],
                                managed.launcher ? "gone and its launcher left" : "reaped", ms(now() - fault.invoked)));
    } else {
      add(wrong, fmt::format("{}: pid {} is not dead after {} s", id, pids[id], patience / 1s));
    }
  }
  if (!wrong.empty()) return failed_to_begin(fault, wrong);
  begun(fault, evidence);
}

void Injector::begin_pause(Fault& fault) {
  if (!choose_victims(fault, false)) return;
  event("fault.invoke", fault, {{"targets", fault.resolution.targets}});
  fault.invoked = now();
  std::string evidence = fault.trouble;
  std::string wrong;
  for (const auto& [id, incarnation] : fault.victims) {
    Managed& managed = *world_.find(id);
    if (const Status stopped = managed.process->stop_and_verify(kProcessPatience); !stopped) {
      add(wrong, id + ": " + stopped.error().text);
      continue;
    }
    world_.set_paused(managed, true);
    add(evidence, fmt::format("{}: all {} threads of pid {} in state T", id, managed.process->threads(),
                              fmt::join(managed.process->acting(), ", ")));
  }
  if (wrong.empty()) return begun(fault, evidence);
  for (const auto& [id, incarnation] : fault.victims) {
    Managed& managed = *world_.find(id);
    if (managed.running() && !managed.process->resume_and_verify(kProcessPatience))
      add(wrong, id + " cannot be resumed");
    world_.set_paused(managed, false);
  }
  failed_to_begin(fault, wrong);
}

void Injector::begin_restart(Fault& fault) {
  if (!choose_victims(fault, false)) return;
  event("fault.invoke", fault, {{"targets", fault.resolution.targets}});
  fault.invoked = now();
  fault.evidence = fault.trouble;
  fault.trouble.clear();
  fault.pending = static_cast<int>(fault.victims.size());
  const std::string id = fault.step.id;
  const auto victims = fault.victims;  // a copy: callbacks may run at once
  for (const auto& victim : victims) {
    Managed& managed = *world_.find(victim.first);
    managed.expecting_exit = true;
    (void)managed.process->signal(SIGTERM);  // fails only if the process is gone, which the waiter then reports
    loop_.call_at(now() + fault.step.params.timeout, [this, name = victim.first, incarnation = victim.second] {
      Managed* late = world_.find(name);
      if (late != nullptr && late->incarnation == incarnation && late->running()) {
        (void)late->process->signal(SIGKILL);
      }
    });
    world_.when_exited(managed,
                       [this, id, &managed](const ExitStatus& status) { restart_stopped(id, managed, status); });
  }
}

void Injector::restart_stopped(const std::string& id, Managed& managed, const ExitStatus& status) {
  const auto found = faults_.find(id);
  if (found == faults_.end() || found->second->state != Fault::State::beginning) return;
  Fault& fault = *found->second;
  if (managed.stopped_cleanly(status)) {
    add(fault.evidence, fmt::format("{}: pid {} left cleanly {:.1f} ms after SIGTERM", managed.id,
                                    managed.process->pid(), ms(now() - fault.invoked)));
  } else {
    add(fault.trouble, fmt::format("{}: no clean stop, {} after {:.1f} ms", managed.id, status.to_string(),
                                   ms(now() - fault.invoked)));
  }
  if (--fault.pending > 0) return;
  if (fault.trouble.empty()) return begun(fault, fault.evidence);
  // Not the clean stop that was planned, so it does not count; the nodes still have to come back.
  for (const auto& [name, incarnation] : fault.victims) {
    Managed& victim = *world_.find(name);
    if (victim.running() || victim.incarnation != incarnation) continue;
    if (const Status started = world_.start(victim); !started) add(fault.trouble, started.error().text);
  }
  failed_to_begin(fault, fault.trouble);
}

void Injector::heal_pause(Fault& fault) {
  std::string evidence;
  std::string wrong;
  for (const auto& [id, incarnation] : fault.victims) {
    Managed& managed = *world_.find(id);
    if (!managed.running() || managed.incarnation != incarnation) {
      add(evidence, id + ": ended meanwhile, so there is nothing to resume");
      continue;
    }
    if (const Status resumed = managed.process->resume_and_verify(kProcessPatience); !resumed) {
      add(wrong, id + ": " + resumed.error().text);
      continue;
    }
    world_.set_paused(managed, false);
    add(evidence,
        fmt::format("{}: no thread of pid {} is stopped any more", id, fmt::join(managed.process->acting(), ", ")));
  }
  healed(fault, wrong.empty(), wrong.empty() ? evidence : wrong);
}

void Injector::heal_by_start(Fault& fault) {
  if (!fault.step.params.restart) return healed(fault, true, "it stays down, as planned");
  fault.evidence.clear();
  fault.trouble.clear();
  fault.pending = static_cast<int>(fault.victims.size());
  const std::string id = fault.step.id;
  const auto victims = fault.victims;
  for (const auto& victim : victims) {
    Managed& managed = *world_.find(victim.first);
    std::optional<Error> refused;
    if (!managed.running()) {
      if (const Status started = world_.start(managed); !started) refused = started.error();
    }
    const auto done = [this, id, name = victim.first](const Result<Duration>& served) {
      Fault& self = *faults_.at(id);
      Managed& process = *world_.find(name);
      if (served) {
        add(self.evidence,
            fmt::format("{}: new pid {}, {} after {:.0f} ms", name, fmt::join(process.process->acting(), ", "),
                        process.port == 0 ? "running" : fmt::format("port {} open", process.port), ms(*served)));
      } else {
        add(self.trouble, served.error().text);
      }
      if (--self.pending > 0) return;
      healed(self, self.trouble.empty(), self.trouble.empty() ? self.evidence : self.trouble);
    };
    if (refused) {
      done(fail(*refused));
    } else {
      world_.when_serving(managed, std::max(fault.step.params.timeout, managed.ready_timeout), done);
    }
  }
}

// ---- outcomes ----

void Injector::begun(Fault& fault, const std::string& evidence) {
  const Duration latency = now() - fault.invoked;
  fault.state = Fault::State::held;
  fault.begin_verified = true;
  fault.evidence = evidence;
  event("fault.begin", fault,
        {{"targets", fault.resolution.targets},
         {"verified", true},
         {"evidence", evidence},
         {"latency_us", latency / 1us}});
  const auto changed = role_changed_.find(fault.resolution.role);
  const std::string moved = plan::why_moved(fault.resolution, world_.view);
  if (!moved.empty() && changed != role_changed_.end() && Instant(Duration(changed->second)) < fault.invoked) {
    fault.outcome = Fault::Outcome::missed;
    event("fault.missed", fault, {{"why", moved + " before the fault acted"}, {"acted", true}});
  }
  const std::string id = fault.step.id;
  const bool heal_now = fault.heal_wanted;
  if (fault.events.begun) fault.events.begun();
  if (heal_now) heal(id);
}

void Injector::missed(Fault& fault, const std::string& why) {
  fault.state = Fault::State::over;
  fault.outcome = Fault::Outcome::missed;
  fault.evidence = why;
  event("fault.missed", fault, {{"why", why}, {"acted", false}});
  if (fault.events.gave_up) fault.events.gave_up();
}

void Injector::failed_to_begin(Fault& fault, const std::string& why) {
  fault.state = Fault::State::over;
  fault.outcome = Fault::Outcome::failed;
  fault.evidence = why;
  event("fault.failed", fault, {{"why", why}, {"phase", "begin"}, {"targets", fault.resolution.targets}});
  if (fault.events.gave_up) fault.events.gave_up();
}

void Injector::healed(Fault& fault, bool verified, const std::string& evidence, json more) {
  fault.state = Fault::State::over;
  fault.heal_verified = verified;
  fault.evidence = evidence;
  if (fault.outcome == Fault::Outcome::open) {
    fault.outcome = verified && fault.begin_verified ? Fault::Outcome::verified : Fault::Outcome::failed;
  }
  more.update({{"targets", fault.resolution.targets},
               {"verified", verified},
               {"evidence", evidence},
               {"latency_us", (now() - fault.heal_invoked) / 1us}});
  event("fault.heal", fault, std::move(more));
  if (verified) {
    converging_.push_back({fault.step.id, std::string(plan::verb_name(fault.step.verb)), now()});
  } else {
    event("fault.failed", fault, {{"why", evidence}, {"phase", "heal"}, {"targets", fault.resolution.targets}});
  }
  if (fault.events.healed) fault.events.healed();
}

void Injector::check_convergence(Duration budget) {
  if (converging_.empty()) return;
  const std::string why = world_.why_not_whole();
  std::erase_if(converging_, [&](const Converging& entry) {
    const Duration waited = now() - entry.since;
    if (!why.empty() && waited < budget) return false;
    json fields = {{"id", entry.id},
                   {"kind", entry.kind},
                   {"after_ms", waited / 1ms},
                   {"predicate", "a controller, a running leader and a full ISR for every partition"},
                   {"verified", why.empty()}};
    if (!why.empty()) fields["why"] = why;
    journal_.event("fault.converged", std::move(fields));
    return true;
  });
}

}  // namespace ordeal::nemesis
