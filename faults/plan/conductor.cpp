#include "faults/plan/conductor.h"

#include <algorithm>

#include "broker/base/check.h"

namespace ordeal::plan {

Conductor::Conductor(Plan drawn) : plan_(std::move(drawn)), progress_(plan_.steps.size()) {
  ORDEAL_CHECK(!plan_.random, "plan '{}' was not drawn", plan_.name);
  for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
    if (plan_.steps[i].when.kind == Trigger::Kind::time) {
      progress_[i].state = State::armed;
      progress_[i].due = plan_.steps[i].when.time;
    }
  }
}

void Conductor::arm(Duration now, std::size_t step) {
  progress_[step].state = State::armed;
  progress_[step].due = now + plan_.steps[step].when.delay;
}

void Conductor::notify(Duration now, std::size_t step, Phase phase) {
  for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
    const Trigger& when = plan_.steps[i].when;
    if (progress_[i].state == State::waiting && when.kind == Trigger::Kind::after && when.phase == phase &&
        when.step == plan_.steps[step].id) {
      arm(now, i);
    }
  }
}

// A step that never began has nothing to heal, so what waits for its heal may go on; what waits for its begin may not.
// Of a manoeuvre nothing goes on: its later steps only mean something after the earlier ones.
void Conductor::abandon(Duration now, std::size_t step) {
  progress_[step].state = State::over;
  progress_[step].due.reset();
  for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
    const Trigger& when = plan_.steps[i].when;
    const bool after = when.kind == Trigger::Kind::after && when.step == plan_.steps[step].id &&
                       (when.phase == Phase::begin || !plan_.steps[i].of.empty());
    if (progress_[i].state == State::waiting && (after || when.since == plan_.steps[step].id)) {
      abandon(now, i);  // steps cannot form a cycle: the parser refuses one
    }
  }
  notify(now, step, Phase::heal);
}

bool Conductor::since_begun(const Trigger& when) const {
  if (when.since.empty()) return true;
  const auto since = std::ranges::find(plan_.steps, when.since, &Step::id);
  return since != plan_.steps.end() && progress_[static_cast<std::size_t>(since - plan_.steps.begin())].begun;
}

std::vector<Action> Conductor::collect(Duration now) {
  std::vector<Action> actions;
  if (finished_) return actions;
  now_ = std::max(now_, now);
  for (std::size_t i = 0; i < progress_.size(); ++i) {
    Progress& progress = progress_[i];
    if (!progress.due || *progress.due > now_) continue;
    if (progress.state == State::armed) {
      progress.state = State::beginning;
      progress.due.reset();
      actions.push_back({Action::Kind::begin, i});
    } else if (progress.state == State::held) {
      progress.state = State::healing;
      progress.due.reset();
      actions.push_back({Action::Kind::heal, i});
    }
  }
  return actions;
}

std::vector<Action> Conductor::advance(Duration now) { return collect(now); }

std::vector<Action> Conductor::operations(Duration now, std::int64_t completed) {
  for (std::size_t i = 0; i < progress_.size(); ++i) {
    const Trigger& when = plan_.steps[i].when;
    if (progress_[i].state == State::waiting && when.kind == Trigger::Kind::operations &&
        completed >= when.operations) {
      arm(now, i);
    }
  }
  return collect(now);
}

std::vector<Action> Conductor::observe(Duration now, const TraceEvent& event) {
  for (std::size_t i = 0; i < progress_.size(); ++i) {
    Progress& progress = progress_[i];
    const Step& step = plan_.steps[i];
    if (progress.state == State::waiting && step.when.kind == Trigger::Kind::event && since_begun(step.when) &&
        matches(step.when.event, event) && ++progress.seen == step.when.event.nth) {
      arm(now, i);
    } else if (progress.state == State::held && step.until && matches(step.until->event, event) &&
               ++progress.until_seen == step.until->event.nth) {
      progress.due = now;
    }
  }
  return collect(now);
}

std::vector<Action> Conductor::began(Duration now, std::size_t step) {
  Progress& progress = progress_[step];
  if (progress.state != State::beginning) return {};  // finish() has overtaken it
  const Step& what = plan_.steps[step];
  progress.state = State::held;
  progress.begun = true;
  if (what.hold) progress.due = now + *what.hold;
  if (what.until) progress.due = now + what.until->timeout;
  notify(now, step, Phase::begin);
  return collect(now);
}

std::vector<Action> Conductor::gave_up(Duration now, std::size_t step) {
  abandon(now, step);
  return collect(now);
}

std::vector<Action> Conductor::healed(Duration now, std::size_t step) {
  progress_[step].state = State::over;
  progress_[step].due.reset();
  notify(now, step, Phase::heal);
  return collect(now);
}

std::optional<Duration> Conductor::next_deadline() const {
  std::optional<Duration> next;
  if (finished_) return next;
  for (const Progress& progress : progress_) {
    if (progress.due && (!next || *progress.due < *next)) next = progress.due;
  }
  return next;
}

bool Conductor::done() const {
  for (std::size_t i = 0; i < progress_.size(); ++i) {
    const bool idle = progress_[i].state == State::waiting || progress_[i].state == State::armed;
    if (progress_[i].state != State::over && !(finished_ && idle)) return false;
  }
  return true;
}

std::vector<Action> Conductor::finish() {
  std::vector<Action> actions;
  finished_ = true;
  for (std::size_t i = 0; i < progress_.size(); ++i) {
    Progress& progress = progress_[i];
    progress.due.reset();
    if (progress.state == State::held || progress.state == State::beginning) {
      progress.state = State::healing;
      actions.push_back({Action::Kind::heal, i});
    }
  }
  return actions;
}

}  // namespace ordeal::plan
