// The commands of the control loop that act on processes, plans and faults.
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>

#include <algorithm>

#include "faults/plan/draw.h"
#include "faults/real/clock.h"
#include "faults/real/nemesis.h"

namespace ordeal::nemesis {

using nlohmann::json;

namespace {

constexpr std::size_t kOutputMax = 1 << 20;

json exit_fields(const ExitStatus& status) {
  if (status.signal != 0) return {{"signal", status.signal}, {"core", status.core}};
  return {{"code", status.code}};
}

SpawnSpec spec_of(const json& command) {
  SpawnSpec spec;
  spec.argv = command.at("argv").get<std::vector<std::string>>();
  spec.env = command.value("env", std::map<std::string, std::string>());
  spec.cwd = command.value("cwd", "");
  spec.stdin_path = command.value("stdin", "");
  spec.stdout_path = command.value("stdout", "");
  spec.stderr_path = command.value("stderr", "");
  return spec;
}

std::string read_back(int memory) {
  std::string text(kOutputMax, '\0');
  const ssize_t got = ::pread(memory, text.data(), text.size(), 0);
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return text;
}

// A plan given as an object, as YAML text, or by the name of a built-in one.
Result<plan::Plan> plan_of(const json& value) {
  if (value.is_string()) {
    const std::string text = value;
    if (const auto builtin = plan::builtin_plan_text(text)) return plan::parse_plan(*builtin, text);
    return plan::parse_plan(text, "plan");
  }
  return plan::parse_plan(value.dump(), "plan");
}

}  // namespace

// ---- processes ----

void Nemesis::spawn(const json& command, const json& re) {
  Managed managed;
  managed.id = command.at("id").get<std::string>();
  managed.host = command.value("host", managed.id);
  const std::string kind = command.value("kind", managed.host.starts_with('n') ? "node" : "client");
  if (kind != "node" && kind != "client") return journal_.refuse(re, "kind is node or client, not '" + kind + "'");
  managed.node = kind == "node";
  if (managed.node &&
      std::find(world_.view.nodes.begin(), world_.view.nodes.end(), managed.host) == world_.view.nodes.end()) {
    return journal_.refuse(re, fmt::format("a node runs on a node's host, not on '{}'", managed.host));
  }
  managed.port = command.value("port", static_cast<std::uint16_t>(managed.node ? 9092 : 0));
  managed.launcher = command.value("launcher", false);
  managed.ready_timeout = std::chrono::milliseconds(command.value("ready_timeout_ms", 30'000));
  managed.clean_codes = command.value("clean_codes", managed.clean_codes);
  managed.spec = spec_of(command);
  if (const std::string trace = command.value("trace", ""); !trace.empty()) follow({{managed.host, trace}});
  auto added = world_.add(std::move(managed));
  if (!added) return journal_.refuse(re, added.error().text);
  Managed& process = **added;
  if (const Status started = world_.start(process); !started) return journal_.refuse(re, started.error().text);
  const bool wait = command.value("wait", false);
  const pid_t pid = process.process->pid();
  if (!wait) journal_.reply(re, {{"pid", pid}});
  world_.when_serving(process, process.ready_timeout, [this, re, wait, pid](const Result<Duration>& served) {
    if (!wait) return;
    if (!served) return journal_.refuse(re, served.error().text);
    journal_.reply(re, {{"pid", pid}, {"serving_ms", static_cast<double>(served->count()) / 1e6}});
  });
}

void Nemesis::reply_on_exit(const std::string& id, const json& re, Duration timeout, bool kill_late) {
  Managed* managed = world_.find(id);
  const int incarnation = managed->incarnation;
  const auto state = std::make_shared<std::pair<bool, bool>>(false, false);  // answered, killed
  world_.when_exited(*managed, [this, re, state](const ExitStatus& status) {
    if (std::exchange(state->first, true)) return;
    json fields = exit_fields(status);
    fields["killed"] = state->second;
    journal_.reply(re, std::move(fields));
  });
  if (state->first) return;
  loop_.call_at(now() + timeout, [this, id, re, state, incarnation, kill_late] {
    if (state->first) return;
    Managed* late = world_.find(id);
    if (!kill_late) {
      state->first = true;
      return journal_.refuse(re, id + " still runs");
    }
    state->second = true;
    if (late->incarnation == incarnation && late->running()) (void)late->process->signal(SIGKILL);
  });
}

void Nemesis::stop_process(const json& command, const json& re) {
  const std::string id = command.at("id");
  Managed* managed = world_.find(id);
  const auto signal = signal_number(command.value("signal", "TERM"));
  if (managed == nullptr) return journal_.refuse(re, "no process '" + id + "'");
  if (!signal) return journal_.refuse(re, "unknown signal");
  if (managed->running()) {
    managed->expecting_exit = true;
    if (managed->paused) {
      (void)managed->process->signal(SIGCONT);  // a stopped process would not see the signal
      world_.set_paused(*managed, false);
    }
    if (const Status sent = managed->process->signal(*signal); !sent) return journal_.refuse(re, sent.error().text);
  }
  reply_on_exit(id, re, std::chrono::milliseconds(command.value("timeout_ms", 10'000)), true);
}

void Nemesis::wait_process(const json& command, const json& re) {
  const std::string id = command.at("id");
  Managed* managed = world_.find(id);
  if (managed == nullptr) return journal_.refuse(re, "no process '" + id + "'");
  reply_on_exit(id, re, std::chrono::milliseconds(command.value("timeout_ms", 3'600'000)), false);
}

void Nemesis::signal_process(const json& command, const json& re) {
  const std::string id = command.at("id");
  Managed* managed = world_.find(id);
  const auto signal = signal_number(command.at("signal").get<std::string>());
  if (managed == nullptr || !managed->running()) return journal_.refuse(re, "'" + id + "' does not run");
  if (!signal) return journal_.refuse(re, "unknown signal");
  if (const Status sent = managed->process->signal(*signal); !sent) return journal_.refuse(re, sent.error().text);
  journal_.reply(re, json::object());
}

void Nemesis::exec(const json& command, const json& re) {
  const Host* host = world_.network().find(command.at("host").get<std::string>());
  if (host == nullptr) return journal_.refuse(re, "there is no such host");
  SpawnSpec spec = spec_of(command);
  const auto output = std::make_shared<Fd>(::memfd_create("stdout", MFD_CLOEXEC));
  const auto error = std::make_shared<Fd>(::memfd_create("stderr", MFD_CLOEXEC));
  const Fd input(::memfd_create("stdin", MFD_CLOEXEC));
  const std::string text = command.value("input", "");
  if (!*output || !*error || !input ||
      ::pwrite(input.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    return journal_.refuse(re, "exec: no memory file");
  }
  spec.stdin_fd = input.get();
  spec.stdout_fd = output->get();
  spec.stderr_fd = error->get();
  auto spawned = Process::spawn(spec, host->netns.get());
  if (!spawned) return journal_.refuse(re, spawned.error().text);
  const auto process = std::make_shared<Process>(std::move(*spawned));
  const auto late = std::make_shared<bool>(false);
  loop_.watch(process->pidfd(), [this, re, process, output, error, late] {
    if (!process->reap()) return;
    json fields = exit_fields(*process->exit());
    fields["stdout"] = read_back(output->get());
    fields["stderr"] = read_back(error->get());
    fields["timed_out"] = *late;
    const int pidfd = process->pidfd();
    journal_.reply(re, std::move(fields));
    loop_.unwatch(pidfd);
  });
  loop_.call_at(now() + std::chrono::milliseconds(command.value("timeout_ms", 10'000)), [process, late] {
    if (!process->running()) return;
    *late = true;
    (void)process->signal(SIGKILL);
  });
}

// ---- plans and faults ----

void Nemesis::plan_start(const json& command, const json& re) {
  if (plan_ && !plan_->over()) return journal_.refuse(re, "a plan runs already");
  auto plan = plan_of(command.at("plan"));
  if (!plan) return journal_.refuse(re, plan.error().text);
  if (const Status able = plan::check_verbs(*plan, world_.verbs(),
                                            world_.owns_network() ? "the real world" : "a network that is not ours");
      !able) {
    return journal_.refuse(re, able.error().text);
  }
  Duration time = plan->time.value_or(60s);
  if (command.contains("time")) {
    const auto given = plan::parse_duration(command["time"].get<std::string>());
    if (!given) return journal_.refuse(re, given.error().text);
    time = *given;
  }
  const std::uint64_t seed = command.contains("seed") ? command["seed"].get<std::uint64_t>() : plan->seed.value_or(1);
  const plan::Plan drawn = plan::draw(*plan, seed, time);
  if (const json before = injector_.active(); !before.empty()) {
    return journal_.refuse(re, "faults are active still: " + before.dump());
  }
  injector_.forget_finished();
  if (command.contains("traces")) follow(command["traces"]);
  json steps = json::array();
  for (const plan::Step& step : drawn.steps) steps.push_back(plan::to_json(step));
  plan_ = std::make_unique<PlanRun>(journal_, injector_, drawn);
  journal_.reply(re, {{"steps", steps}, {"seed", seed}, {"plan", plan::to_json(drawn)}});
}

void Nemesis::plan_stop(const json& re) {
  if (!plan_) return journal_.refuse(re, "no plan was started");
  plan_->stop(
      [this, re] { journal_.reply(re, {{"summary", plan_->summary()}, {"plan", plan::to_json(plan_->plan())}}); });
}

void Nemesis::fault_begin(const json& command, const json& re) {
  json step = command;
  for (const char* key : {"cmd", "re"}) step.erase(key);
  if (!step.contains("id")) step["id"] = fmt::format("f{}", next_fault_++);
  auto plan = plan::parse_plan(json{{"steps", {step}}}.dump(), "fault");
  if (!plan) return journal_.refuse(re, plan.error().text);
  const plan::Step& only = plan->steps[0];
  if (const Status able = plan::check_verbs(*plan, world_.verbs(),
                                            world_.owns_network() ? "the real world" : "a network that is not ours");
      !able) {
    return journal_.refuse(re, able.error().text);
  }
  const std::string id = only.id;
  if (const Fault* old = injector_.find(id); old != nullptr && old->state != Fault::State::over) {
    return journal_.refuse(re, "fault '" + id + "' is active already");
  }
  const auto answer = [this, re, id](const char* status) {
    const Fault& fault = *injector_.find(id);
    journal_.reply(re, {{"id", id},
                        {"status", status},
                        {"verified", fault.begin_verified},
                        {"evidence", fault.evidence},
                        {"targets", fault.resolution.targets}});
  };
  FaultEvents events;
  events.begun = [this, answer, id, hold = only.hold] {
    answer("begun");
    if (hold) loop_.call_at(now() + *hold, [this, id] { injector_.heal(id); });
  };
  events.gave_up = [this, answer, id] {
    answer(injector_.find(id)->outcome == Fault::Outcome::missed ? "missed" : "failed");
  };
  injector_.begin(only, std::move(events));
}

void Nemesis::when_healed(std::vector<std::string> ids, std::function<void()> done) {
  const bool active = std::any_of(ids.begin(), ids.end(), [&](const std::string& id) {
    const Fault* fault = injector_.find(id);
    return fault != nullptr && fault->state != Fault::State::over;
  });
  if (!active) return done();
  loop_.call_at(now() + 2ms, [this, ids = std::move(ids), done = std::move(done)] { when_healed(ids, done); });
}

void Nemesis::fault_heal(const json& command, const json& re) {
  const std::string id = command.at("id");
  if (injector_.find(id) == nullptr) return journal_.refuse(re, "no fault '" + id + "'");
  injector_.heal(id);
  when_healed({id}, [this, re, id] {
    const Fault& fault = *injector_.find(id);
    journal_.reply(re, {{"verified", fault.heal_verified}, {"evidence", fault.evidence}});
  });
}

void Nemesis::heal_all(const json& re) {
  const std::vector<std::string> ids = injector_.active();
  for (const std::string& id : ids) injector_.heal(id);
  when_healed(ids, [this, re, ids] {
    const ProbeReport report = world_.probe(2s);
    const bool verified = report.as_expected && (!world_.owns_network() || world_.firewall().cuts().empty()) &&
                          std::all_of(ids.begin(), ids.end(), [&](const std::string& id) {
                            const Fault* fault = injector_.find(id);
                            return !fault->begin_verified || fault->heal_verified;
                          });
    const json fields = {{"healed", ids}, {"verified", verified}, {"evidence", report.evidence}};
    journal_.event("heal.all", fields);
    journal_.reply(re, fields);
  });
}

void Nemesis::converge(const json& command, const json& re) {
  if (tails_.empty()) return journal_.refuse(re, "no trace is followed, so nobody can tell");
  const Instant start = now();
  poll_converge(re, start, start + std::chrono::milliseconds(command.value("timeout_ms", 30'000)));
}

void Nemesis::poll_converge(const json& re, Instant start, Instant deadline) {
  poll_traces();
  const std::string why = world_.why_not_whole();
  if (why.empty()) return journal_.reply(re, {{"after_ms", (now() - start) / 1ms}});
  if (now() >= deadline) return journal_.refuse(re, "not converged: " + why);
  loop_.call_at(now() + 20ms, [this, re, start, deadline] { poll_converge(re, start, deadline); });
}

}  // namespace ordeal::nemesis
