#include "faults/real/plan_run.h"

#include "faults/real/clock.h"

namespace ordeal::nemesis {

using nlohmann::json;

PlanRun::PlanRun(Journal& journal, Injector& injector, plan::Plan drawn)
    : journal_(journal), injector_(injector), conductor_(std::move(drawn)), start_(now()) {
  journal_.event("plan.start",
                 {{"name", plan().name}, {"seed", plan().seed.value_or(0)}, {"steps", plan().steps.size()}});
  for (const plan::Step& step : plan().steps) {
    journal_.event("fault.plan",
                   {{"id", step.id}, {"kind", plan::verb_name(step.verb)}, {"spec", plan::to_json(step)}});
  }
}

Duration PlanRun::elapsed() const { return now() - start_; }

void PlanRun::advance() {
  perform(conductor_.advance(elapsed()));
  finish_if_done();
}

void PlanRun::operations(std::int64_t completed) { perform(conductor_.operations(elapsed(), completed)); }

void PlanRun::observe(const plan::TraceEvent& event) {
  // Traces are read from their beginning; what happened before the plan started triggers nothing.
  if (Instant(Duration(event.time_ns)) >= start_) perform(conductor_.observe(elapsed(), event));
}

std::optional<Instant> PlanRun::next_deadline() const {
  const auto next = conductor_.next_deadline();
  if (!next) return std::nullopt;
  return start_ + *next;
}

void PlanRun::perform(const std::vector<plan::Action>& actions) {
  for (const plan::Action& action : actions) {
    if (action.kind == plan::Action::Kind::begin) {
      begin(action.step);
    } else {
      injector_.heal(plan().steps[action.step].id);
    }
  }
}

void PlanRun::begin(std::size_t step) {
  FaultEvents events;
  events.resolved = [this, step](const plan::Resolution& resolution) {
    conductor_.plan().steps[step].resolved = resolution;
  };
  events.begun = [this, step] { perform(conductor_.began(elapsed(), step)); };
  events.gave_up = [this, step] { perform(conductor_.gave_up(elapsed(), step)); };
  events.healed = [this, step] { perform(conductor_.healed(elapsed(), step)); };
  injector_.begin(plan::Step(plan().steps[step]), std::move(events));
}

void PlanRun::stop(std::function<void()> done) {
  stop_waiters_.push_back(std::move(done));
  perform(conductor_.finish());
  finish_if_done();
}

void PlanRun::finish_if_done() {
  if (!conductor_.done()) return;
  if (!over_) {
    over_ = true;
    journal_.event("plan.done", {{"name", plan().name}, {"summary", summary()}});
  }
  const auto waiters = std::move(stop_waiters_);
  stop_waiters_.clear();
  for (const auto& waiter : waiters) waiter();
}

json PlanRun::summary() const {
  std::int64_t verified = 0;
  std::int64_t failed = 0;
  std::int64_t missed = 0;
  std::int64_t waiting = 0;
  std::int64_t unhealed = 0;
  json required_missed = json::array();
  json kinds = json::object();
  for (const plan::Step& step : plan().steps) {
    const Fault* fault = injector_.find(step.id);
    const Fault::Outcome outcome = fault == nullptr ? Fault::Outcome::open : fault->outcome;
    if (fault == nullptr) {
      ++waiting;
    } else if (fault->state != Fault::State::over) {
      ++unhealed;
    } else if (fault->begin_verified && !fault->heal_verified) {
      ++unhealed;
    }
    verified += outcome == Fault::Outcome::verified ? 1 : 0;
    failed += outcome == Fault::Outcome::failed ? 1 : 0;
    missed += outcome == Fault::Outcome::missed ? 1 : 0;
    if (outcome == Fault::Outcome::verified) {
      json& count = kinds[std::string(plan::verb_name(step.verb))];
      count = count.is_null() ? 1 : count.get<int>() + 1;
    } else if (step.required) {
      required_missed.push_back(step.id);
    }
  }
  return {{"steps", plan().steps.size()},
          {"verified", verified},
          {"failed", failed},
          {"missed", missed},
          {"waiting", waiting},
          {"unhealed", unhealed},
          {"required_missed", required_missed},
          {"min_faults", plan().min_faults},
          {"enough", verified >= plan().min_faults && required_missed.empty()},
          {"kinds", kinds}};
}

}  // namespace ordeal::nemesis
