#include "faults/sim/cluster/sim_trial.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "broker/base/check.h"
#include "broker/meta/control.pb.h"
#include "checker/settings.h"
#include "faults/sim/cluster/sim_setup.h"

namespace ordeal::sim {
namespace {

constexpr std::string_view kDefaultPlan = R"(
name: sim
description: Everything a simulated world can do to its nodes and links, drawn from the seed.
min_faults: 1
random:
  start: 2s
  every: {exp: 4s}
  hold: {uniform: [500ms, 7s]}
  overlap: 2
  swarm: true
  choose:
    - {do: proc.kill, on: leader, weight: 3}
    - {do: proc.kill, on: controller, weight: 1}
    - {do: proc.kill, on: random, weight: 1}
    - {do: node.power_cut, on: leader, weight: 2}
    - {do: node.power_cut, on: random, weight: 1}
    - {do: node.power_cut, on: all, weight: 1, hold: {uniform: [0s, 2s]}}
    - {do: node.crash, on: leader, weight: 2}
    - {do: node.crash, on: random, weight: 1}
    - {do: proc.pause, on: leader, weight: 2}
    - {do: proc.pause, on: random, weight: 1}
    - {do: proc.restart, on: random, weight: 1, hold: {uniform: [0s, 2s]}}
    - {do: net.partition, on: one, weight: 2}
    - {do: net.partition, on: leader, weight: 2, params: {shape: brokers-not-clients}}
    - {do: net.partition, on: {from: leader, to: follower}, weight: 2, params: {shape: link}}
    - {do: net.partition, on: {from: controller, to: one(all - controller)}, weight: 2, params: {shape: link, listeners: [control]}}
    - {do: net.simplex, on: {from: one(all), to: controller}, weight: 1}
)";

constexpr Duration kFilesEvery = 5s;
constexpr Duration kRequestBound = 10s;  // for what a plan asks the controller
constexpr Duration kLateStrikes = 1100ms;  // a crash that was armed when the plan ended strikes within a second
constexpr std::uint16_t kAuditProcess = 65000;

env::Task<> hold_status(env::Task<Status> task, std::shared_ptr<std::optional<Status>> out) {
  Status status = co_await std::move(task);
  out->emplace(std::move(status));
}

env::Task<> hold_report(workload::Auditor* auditor, std::shared_ptr<std::optional<workload::AuditReport>> out) {
  workload::AuditReport report = co_await auditor->run();
  out->emplace(report);
}

checker::TraceEvent to_checker(const TraceEvent& event) {
  checker::TraceEvent out;
  out.t_ns = static_cast<std::uint64_t>(event.at.time_since_epoch().count());
  out.node = event.node;
  out.kind = event.kind;
  out.body = nlohmann::json::object();
  for (const auto& [name, value] : event.fields) {
    if (const auto* number = std::get_if<std::int64_t>(&value))
      out.body[name] = *number;
    else
      out.body[name] = std::get<std::string>(value);
  }
  return out;
}

checker::FaultEvent to_checker(const FaultEvent& event) {
  checker::FaultEvent out;
  out.t_ns = static_cast<std::uint64_t>(event.at.time_since_epoch().count());
  out.event = event.event;
  out.id = event.step;
  out.body = nlohmann::json::parse(event.to_json());
  return out;
}

}  // namespace

plan::Plan default_plan() {
  Result<plan::Plan> parsed = plan::parse_plan(kDefaultPlan, "the simulator's plan");
  ORDEAL_CHECK(parsed.has_value(), "{}", parsed.error().to_string());
  return std::move(*parsed);
}

workload::LogConfig modest_workload(int nodes) {
  workload::LogConfig config;
  config.client = "native";
  workload::TopicSpec topic;
  topic.name = "t";
  topic.partitions = 2;
  topic.replication = static_cast<std::int16_t>(std::min(nodes, 3));
  config.topics = {topic};
  config.producers = 2;
  config.consumers = 1;
  config.rate = 60;
  config.value_size = 64;
  config.outstanding_max = 400;
  config.linger_ms = 10;
  config.poll_interval_ms = 250;
  config.list_end_interval_ms = 500;
  config.delivery_timeout_ms = 15000;
  config.request_timeout_ms = 3000;
  config.stop_grace_s = 20;
  config.audit_budget_s = 60;
  return config;
}

checker::Outcome TrialResult::outcome() const {
  if (verdict.outcome == checker::Outcome::fail || !violations.empty()) return checker::Outcome::fail;
  return trouble.empty() ? verdict.outcome : checker::Outcome::unknown;
}

std::string TrialResult::sentence() const {
  if (!violations.empty()) return fmt::format("{}: {}", violations.front().invariant, violations.front().text);
  if (!trouble.empty() && verdict.outcome != checker::Outcome::fail) return trouble;
  return verdict.sentence;
}

namespace {

// What the invariants may hold the brokers to.
WorldPromises promises_of(const std::map<std::string, std::string>& effective) {
  WorldPromises promises;
  promises.fsync = effective.at("log.flush.interval.messages") == "1";
  promises.unclean = effective.at("unclean.leader.election.enable") == "true";
  promises.min_isr = std::stoi(effective.at("min.insync.replicas"));
  return promises;
}

}  // namespace

Trial::Trial(TrialOptions options)
    : options_(std::move(options)), workload_(options_.workload.value_or(modest_workload(options_.cluster.nodes))) {
  result_.seed = options_.cluster.seed;
  cluster_ = std::make_unique<SimCluster>(options_.cluster);
  if (options_.on_trace) world().trace().observe(options_.on_trace);
  if (options_.keep_messages || options_.on_message)
    world().network().on_message([this](const MessageSeen& seen) {
      if (options_.on_message) options_.on_message(seen);
      if (options_.keep_messages) evidence_.messages.push_back(seen);
    });
  workload_.run_id = fmt::format("sim-{}", options_.cluster.seed);
  workload_.seed = options_.cluster.seed;
  workload_.bootstrap = cluster_->bootstrap();
  evidence_.effective = effective_settings({.cluster = options_.cluster, .workload = workload_});
  cluster_->invariants().promise(promises_of(evidence_.effective));
  client_ = &world().add_client(client_host(1));
}

// Frames of client tasks refer to the driver, and the driver to the world: frames first, the world last.
Trial::~Trial() {
  world().drop_clients();
  auditor_.reset();
  driver_.reset();
  cluster_.reset();
}

Status Trial::prepare() {
  cluster_->start_all();
  if (!cluster_->wait_ready(options_.ready_bound))
    return fail(Errc::timed_out, "the cluster did not come up: " + cluster_->why_not_whole());
  const workload::MakeRecorder make = [](history::Header header) -> Result<std::unique_ptr<history::Recorder>> {
    return history::Recorder::in_memory(std::move(header));
  };
  driver_ = std::make_unique<workload::EnvDriver>(*client_, workload_, "c1", make, progress_);
  ORDEAL_TRY(driver_->open(true));
  auto created = std::make_shared<std::optional<Status>>();
  world().spawn(*client_, hold_status(driver_->create_topics(world().now() + options_.ready_bound), created), "topics");
  if (!cluster_->wait_until([created] { return created->has_value(); }, options_.ready_bound + 1s))
    return fail(Errc::timed_out, "the topics were not created in time");
  if (!**created) return fail((*created)->error());
  if (!cluster_->wait_whole(options_.ready_bound))
    return fail(Errc::timed_out, "the topics did not become whole: " + cluster_->why_not_whole());
  return {};
}

void Trial::start_clients() {
  ORDEAL_CHECK(driver_ != nullptr, "prepare() comes first");
  begin_phase("drive");
  driven_ = world().now();
  driver_->start(true);
  watching_ = true;
  if (options_.check_files) watch_files();
}

void Trial::watch_files() {
  world().at(world().now() + kFilesEvery, [this] {
    if (!watching_) return;
    cluster_->invariants().check_replicas();
    watch_files();
  });
}

// Plans may count completed operations; the clients count them in Progress.
void Trial::count_operations() {
  world().at(world().now() + 50ms, [this] {
    if (!watching_) return;
    for (const std::uint64_t done = progress_.ok + progress_.fail + progress_.info; counted_ < done; ++counted_)
      runner_->operation_completed();
    count_operations();
  });
}

namespace {

// As the node sees them that has come furthest; all nodes when none runs.
std::vector<NodeId> voters_of(SimCluster& cluster) {
  std::optional<meta::QuorumStatus> furthest;
  for (const NodeId id : cluster.world().nodes()) {
    const auto own = cluster.quorum(id);
    if (own && (!furthest || own->commit > furthest->commit)) furthest = own;
  }
  return furthest ? furthest->voters : cluster.world().nodes();
}

// What a plan sets during the trial weakens what the whole of it promises.
workload::LogConfig with_settings_of(const plan::Plan& drawn, workload::LogConfig workload) {
  const std::vector<workload::TopicSpec> topics = workload.topics;
  for (const plan::Step& step : drawn.steps) {
    const bool unclean = step.verb == plan::Verb::partition_elect && step.params.unclean;
    if (step.verb != plan::Verb::topic_set && !unclean) continue;
    for (workload::TopicSpec topic : topics) {
      if (!step.params.topic.empty() && step.params.topic != topic.name) continue;
      for (const auto& [key, value] : step.params.set) {
        std::erase_if(topic.configs, [&](const auto& config) { return config.first == key; });
        topic.configs.emplace_back(key, value);
      }
      if (unclean) topic.configs.emplace_back("unclean.leader.election.enable", "true");
      workload.topics.push_back(std::move(topic));
    }
  }
  return workload;
}

}  // namespace

PlanHands Trial::hands() {
  PlanHands hands;
  hands.ask = [this](const meta::ControllerRequest& request, NodeId via) {
    return cluster_->tell_controller(request, kRequestBound, via);
  };
  hands.pause_clients = [this](bool off) { driver_->pause_sending(off); };
  hands.voters = [this] { return voters_of(*cluster_); };
  hands.topic_settings = [this](const std::string& name) {
    const meta::ImagePtr image = cluster_->newest_image();
    std::map<std::string, std::string> set;
    if (!image) return set;
    for (const auto& [known, topic] : image->topics())
      if (known == name) set.insert(topic->configs.begin(), topic->configs.end());
    return set;
  };
  return hands;
}

void Trial::drive(plan::Plan drawn, Duration time) {
  ORDEAL_CHECK(runner_ == nullptr, "one plan a trial");
  evidence_.effective =
      effective_settings({.cluster = options_.cluster, .workload = with_settings_of(drawn, workload_)});
  cluster_->invariants().promise(promises_of(evidence_.effective));
  runner_ = std::make_unique<PlanRunner>(
      world(), std::move(drawn), std::vector<std::string>{client_host(1)},
      [this](NodeId node) { cluster_->stop(node); }, hands());
  count_operations();
  runner_->start();
  world().run_for(time);
}

// A voter that lost its disk votes again only when all the others have followed its leader since.
bool Trial::any_wiped() const {
  const auto wiped = [](const FaultEvent& event) { return event.kind == "node.amnesia" || event.kind == "disk.wipe"; };
  return (runner_ && std::ranges::any_of(runner_->events(), wiped)) || std::ranges::any_of(cluster_->faults(), wiped);
}

// Some worlds first heal a core only: a majority, linked and up, which must lead what it can before the others return.
void Trial::demand_of_core() {
  Random draw = Random(options_.cluster.seed).fork("core");
  std::vector<NodeId> rest = world().nodes();
  if (rest.size() < 3 || !draw.chance(1, 4) || any_wiped()) return;
  begin_phase("core");
  // A majority of those that vote on the metadata.
  const std::vector<NodeId> voters = voters_of(*cluster_);
  const auto votes = [&](NodeId id) { return std::ranges::find(voters, id) != voters.end(); };
  for (std::size_t in_core = 0; in_core <= voters.size() / 2;) {
    const auto drawn = rest.begin() + static_cast<std::ptrdiff_t>(draw.below(rest.size()));
    in_core += votes(*drawn) ? 1 : 0;
    rest.erase(drawn);
  }
  cluster_->heal_all();
  for (const NodeId id : world().nodes()) {
    const bool in_core = std::ranges::find(rest, id) == rest.end();
    if (world().state(id) == NodeState::paused) cluster_->resume(id);
    if (!in_core && world().state(id) != NodeState::down) cluster_->kill(id);
  }
  const auto missing = [&]() -> std::optional<Violation> {
    for (const NodeId id : world().nodes())  // a clean stop begun by the plan may end only now
      if (world().state(id) == NodeState::down && std::ranges::find(rest, id) == rest.end()) cluster_->start(id);
    return missing_in_core(*cluster_);
  };
  if (auto found = await_none(*cluster_, options_.bounds.core, missing))
    result_.violations.push_back(std::move(*found));
}

void Trial::end_faults() {
  if (runner_) {
    runner_->finish();
    world().run_for(kLateStrikes);
    if (options_.core_first) demand_of_core();
    runner_->revive();
  }
  cluster_->heal_all();
  for (const NodeId id : world().nodes())
    if (world().state(id) == NodeState::paused) cluster_->resume(id);
  cluster_->start_all();
}

// Leaders while clients write; a full ISR at the latest once they rest; then writes are answered again.
void Trial::demand_liveness() {
  const LivenessBounds& bounds = options_.bounds;
  const auto demand = [&](Duration bound, const std::function<std::optional<Violation>()>& missing,
                          Patience patience = Patience::once) {
    const auto still_missing = [&] {
      for (const NodeId id : world().nodes())  // a clean stop begun by the plan may end only now
        if (world().state(id) == NodeState::down) cluster_->start(id);
      return missing();
    };
    auto found = await_none(*cluster_, bound, still_missing, patience);
    if (found) result_.violations.push_back(std::move(*found));
    return !found.has_value();
  };
  if (!demand(bounds.leaders, [this] { return missing_leader(*cluster_); })) return;
  if (await_none(*cluster_, bounds.with_writers, [this] { return missing_member(*cluster_); })) {
    driver_->pause_sending(true);
    const auto missing = [this] { return missing_member(*cluster_); };
    if (!demand(bounds.whole, missing, Patience::while_replicas_grow)) return;
  }
  driver_->pause_sending(false);
  const bool all_led = cluster_->why_not_whole().empty();  // else some writes wait, and hold up those behind them
  if (workload_.producers == 0 || !all_led) return;
  const std::uint64_t before = progress_.ok;
  demand(bounds.progress, [this, before]() -> std::optional<Violation> {
    if (progress_.ok > before) return std::nullopt;
    return Violation{"NoProgress", "no write was acknowledged since the cluster was whole", world().now()};
  });
}

void Trial::end_clients() {
  auto stopped = std::make_shared<std::optional<Status>>();
  world().spawn(*client_, hold_status(driver_->stop(), stopped), "stop clients");
  const Duration bound = std::chrono::milliseconds(static_cast<std::int64_t>(workload_.stop_grace_s * 1000)) + 30s;
  if (!cluster_->wait_until([stopped] { return stopped->has_value(); }, bound)) {
    result_.trouble = "the clients did not end";
    result_.violations.push_back({"ClientsStuck", result_.trouble, world().now()});
    return;
  }
  if (!**stopped) result_.trouble = (*stopped)->error().to_string();
  for (history::Recorder* recorder : driver_->recorders()) evidence_.history.files.push_back(recorder->to_memory());
}

// What retention still takes it takes before the audit begins, not from under it.
void Trial::let_retention_rest() {
  if (evidence_.effective.at("log.retention.acts") != "true") return;
  constexpr Duration kLongest = 10s;
  ConfigMap config = cluster_config(1, options_.cluster.nodes);
  for (const auto& [key, value] : options_.cluster.config) config.insert_or_assign(key, value);
  world().run_for(std::min<Duration>(make_broker_config(std::move(config))->retention_check_interval * 2, kLongest) +
                  1s);
}

void Trial::audit() {
  audit_recorder_ = history::Recorder::in_memory(workload::native_header(workload_, "c1-auditor"));
  auditor_ = std::make_unique<workload::Auditor>(*client_, workload_, kAuditProcess, *audit_recorder_);
  auto report = std::make_shared<std::optional<workload::AuditReport>>();
  world().spawn(*client_, hold_report(auditor_.get(), report), "audit");
  const Duration bound = std::chrono::milliseconds(static_cast<std::int64_t>(workload_.audit_budget_s * 1000)) + 30s;
  if (!cluster_->wait_until([report] { return report->has_value(); }, bound)) {
    result_.trouble = "the audit did not end";
    result_.violations.push_back({"AuditStuck", result_.trouble, world().now()});
    return;
  }
  evidence_.history.files.push_back(audit_recorder_->to_memory());
}

checker::Context Trial::context() const {
  checker::Context context;
  context.run_id = workload_.run_id;
  const Result<checker::Settings> settings = checker::parse_settings(evidence_.effective);
  ORDEAL_CHECK(settings.has_value(), "{}", settings.error().to_string());
  context.settings = *settings;
  for (const FaultEvent& event : result_.events) context.faults.push_back(to_checker(event));
  for (const TraceEvent& event : cluster_->world().trace().events()) context.traces.push_back(to_checker(event));
  if (runner_) context.min_faults = static_cast<std::uint64_t>(std::max<std::int64_t>(0, runner_->plan().min_faults));
  context.nodes = cluster_->world().nodes();
  return context;
}

void Trial::judge() {
  checker::Options options;
  options.threads = 1;
  options.max_witnesses = 2;
  Result<checker::Verdict> verdict = checker::check(evidence_.history, evidence_.context, options);
  if (verdict)
    result_.verdict = std::move(*verdict);
  else
    result_.trouble = "the checker refused the history: " + verdict.error().to_string();
}

// What is common to every end: what the world says of itself.
void Trial::close_books() {
  for (const std::string& why : cluster_->fatals()) result_.violations.push_back({"Fatal", why, world().now()});
  result_.events = cluster_->faults();
  if (runner_) result_.events.insert(result_.events.end(), runner_->events().begin(), runner_->events().end());
  evidence_.context = context();
  const std::vector<Violation>& broken = cluster_->invariants().violations();
  result_.violations.insert(result_.violations.end(), broken.begin(), broken.end());
  for (const FaultEvent& event : result_.events) {
    if (event.event != "fault.begin" || !event.verified) continue;
    ++result_.faults;
    ++result_.fault_kinds[event.kind];
  }
  for (const mutation::BugInfo& bug : mutation::all_bugs())
    if (std::ranges::find(options_.cluster.mutations, bug.bug) != options_.cluster.mutations.end())
      result_.mutations_ran[std::string(bug.name)] = cluster_->ran(bug.bug);
  result_.digest = world().digest();
  result_.last_draw = world().last_draw();
  result_.simulated = world().now().time_since_epoch();
  result_.steps = world().loop().steps();
}

void Trial::begin_phase(std::string name) { evidence_.phases.emplace_back(std::move(name), world().now()); }

// After the verdict: nothing here may change what the world did.
void Trial::keep_evidence() {
  world().network().on_message({});
  if (!options_.keep_evidence && result_.outcome() == checker::Outcome::pass) return;
  evidence_.traces = world().trace().events();
  if (runner_) evidence_.plan = runner_->plan();
  evidence_.workload = workload_;
  if (options_.cluster.log_draws) evidence_.draws = world().draws();
  result_.evidence = std::make_shared<const Evidence>(std::move(evidence_));
}

TrialResult Trial::finish() {
  begin_phase("heal");
  for (BranchRun run : cluster_->branch_runs()) {
    run.at -= driven_.time_since_epoch();
    if (run.at >= Instant{}) result_.branch_runs.push_back(run);
  }
  end_faults();
  demand_liveness();
  end_clients();
  watching_ = false;
  begin_phase("drain");
  let_retention_rest();
  if (result_.trouble.empty()) audit();
  if (options_.check_files) cluster_->invariants().check_leaders_complete();
  close_books();
  if (result_.trouble.empty()) judge();
  keep_evidence();
  return std::move(result_);
}

TrialResult Trial::give_up(std::string why) {
  watching_ = false;
  result_.trouble = std::move(why);
  close_books();
  keep_evidence();
  return std::move(result_);
}

TrialResult Trial::run(TrialOptions options, plan::Plan drawn, Duration time) {
  options.core_first = true;
  Trial trial(std::move(options));
  const Status ready = trial.prepare();
  if (!ready) {  // without any fault: that is the brokers' failure, not the harness'
    trial.result_.violations.push_back({"NotReady", ready.error().text, trial.world().now()});
    return trial.give_up(ready.error().text);
  }
  trial.start_clients();
  trial.drive(std::move(drawn), time);
  return trial.finish();
}

}  // namespace ordeal::sim
