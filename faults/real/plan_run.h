// One run of a plan: joins the conductor (when) with the injector (how) and keeps the score.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "faults/plan/conductor.h"
#include "faults/real/injector.h"

namespace ordeal::nemesis {

class PlanRun {
 public:
  // `drawn` has no random section. Time zero of the plan is now.
  PlanRun(Journal& journal, Injector& injector, plan::Plan drawn);

  void advance();
  void operations(std::int64_t completed);
  void observe(const plan::TraceEvent& event);
  std::optional<Instant> next_deadline() const;
  // Heals all, begins nothing more; `done` once everything is healed.
  void stop(std::function<void()> done);
  bool over() const { return over_; }
  const plan::Plan& plan() const { return conductor_.plan(); }  // with resolutions filled in
  nlohmann::json summary() const;

 private:
  void perform(const std::vector<plan::Action>& actions);
  void begin(std::size_t step);
  void finish_if_done();
  Duration elapsed() const;

  Journal& journal_;
  Injector& injector_;
  plan::Conductor conductor_;
  Instant start_;
  bool over_ = false;
  std::vector<std::function<void()>> stop_waiters_;
};

}  // namespace ordeal::nemesis
