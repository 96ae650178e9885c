// One trial in a simulated world: a cluster, the log workload with native clients, faults, heal, audit, verdict.
//
// The same steps as a trial on real processes, and the same judge. A world is good only if the checker passes the
// clients' history, no invariant broke, no broker ended itself, and the cluster became whole again after the heal.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checker/check.h"
#include "faults/sim/cluster/liveness.h"
#include "faults/sim/cluster/sim_cluster.h"
#include "workloads/log/audit.h"
#include "workloads/log/env_clients.h"

namespace ordeal::sim {

// Modest rates: a simulated minute is to cost seconds.
workload::LogConfig modest_workload(int nodes);

struct TrialOptions {
  ClusterOptions cluster;
  std::optional<workload::LogConfig> workload;  // modest_workload() if none; bootstrap and seed are filled in
  Duration ready_bound = 30s;
  LivenessBounds bounds;
  bool core_first = false;                             // a quarter of the seeds heals a majority before the rest
  bool check_files = true;                             // compare the replicas' files every few seconds and at the end
  std::function<void(const TraceEvent&)> on_trace;     // each event as it is emitted, for people
  std::function<void(const MessageSeen&)> on_message;  // each message once it arrived or was lost
  bool keep_evidence = false;                          // also of a world that passed
  bool keep_messages = false;
};

// What a world leaves behind: everything that a run's folder holds (docs/formats/sim.md).
struct Evidence {
  history::History history;
  checker::Context context;
  std::vector<TraceEvent> traces;
  std::optional<plan::Plan> plan;                       // drawn, with what its roles resolved to
  std::map<std::string, std::string> effective;         // settings under Kafka's names
  std::vector<std::pair<std::string, Instant>> phases;  // when each began
  workload::LogConfig workload;
  std::vector<MessageSeen> messages;  // with TrialOptions::keep_messages
  DrawLog draws;                      // with ClusterOptions::log_draws
};

struct TrialResult {
  std::uint64_t seed = 0;
  std::uint64_t digest = 0;
  std::uint64_t last_draw = 0;
  Duration simulated{};
  std::int64_t faults = 0;  // verified
  std::vector<FaultEvent> events;
  std::vector<Violation> violations;  // of invariants; "Fatal" is this file's, liveness.h has the rest
  std::string trouble;                // why the harness could not judge; empty: it could
  bool unmet = false;                 // the trouble is that a script's situation did not come about
  checker::Verdict verdict;
  std::map<std::string, std::uint64_t> mutations_ran;  // by name, those switched on
  std::vector<BranchRun> branch_runs;                  // those told, while the world was driven; from its begin on
  std::map<std::string, std::int64_t> fault_kinds;     // verified, by verb
  std::uint64_t steps = 0;                             // tasks and deliveries that the world executed
  std::shared_ptr<const Evidence> evidence;            // null for a world that passed, unless it was asked for

  checker::Outcome outcome() const;  // the checker's and the invariants' together; unknown with trouble
  std::string sentence() const;      // one line for people
};

class Trial {
 public:
  explicit Trial(TrialOptions options);
  ~Trial();
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;

  SimCluster& cluster() { return *cluster_; }
  World& world() { return cluster_->world(); }
  const workload::Progress& progress() const { return progress_; }
  const workload::LogConfig& workload() const { return workload_; }
  workload::EnvDriver& clients() { return *driver_; }  // after prepare()

  // In this order; a script does what it likes in between.
  Status prepare();                             // nodes serve, topics exist with full ISRs
  void start_clients();                         // records flow from now on
  void drive(plan::Plan drawn, Duration time);  // under a drawn plan
  void drive(Duration time) { world().run_for(time); }
  TrialResult finish();  // heal, converge, outcomes, audit, verdict

  TrialResult give_up(std::string why);  // instead of finish(): a situation did not come about

  // All of it with one plan.
  static TrialResult run(TrialOptions options, plan::Plan drawn, Duration time);

 private:
  PlanHands hands();
  void watch_files();
  void count_operations();
  void end_faults();
  void demand_of_core();
  bool any_wiped() const;
  void demand_liveness();
  void end_clients();
  void let_retention_rest();
  void audit();
  checker::Context context() const;
  void judge();
  void close_books();
  void begin_phase(std::string name);
  void keep_evidence();

  TrialOptions options_;
  workload::LogConfig workload_;
  workload::Progress progress_;
  TrialResult result_;
  Evidence evidence_;
  std::unique_ptr<PlanRunner> runner_;
  std::unique_ptr<SimCluster> cluster_;
  env::Env* client_ = nullptr;
  std::unique_ptr<workload::EnvDriver> driver_;
  std::unique_ptr<history::Recorder> audit_recorder_;
  std::unique_ptr<workload::Auditor> auditor_;
  std::uint64_t counted_ = 0;
  Instant driven_{};
  bool watching_ = false;
};

// The plan of a seed when none is given: kills, power cuts, crashes inside file calls, pauses, cuts, clean restarts.
plan::Plan default_plan();

}  // namespace ordeal::sim
