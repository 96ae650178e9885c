#include "faults/plan/draw.h"

#include <algorithm>
#include <map>

#include "broker/base/random.h"
#include "faults/plan/expression.h"
#include "faults/plan/sample.h"

namespace ordeal::plan {

namespace {

Duration sample(const Distribution& distribution, Random& random) {
  switch (distribution.kind) {
    case Distribution::Kind::fixed:
      return distribution.low;
    case Distribution::Kind::uniform:
      return Duration(random.between(distribution.low.count(), distribution.high.count()));
    case Distribution::Kind::exponential:
      return sample_exponential(distribution.low, random);
  }
  return {};
}

// Millisecond steps keep saved plans readable; nothing depends on finer times.
Duration round_ms(Duration duration) { return std::chrono::floor<std::chrono::milliseconds>(duration); }

std::vector<Choice> enabled(const RandomSection& section, Random random) {
  if (!section.swarm) return section.choose;
  std::vector<Choice> kept;
  for (const Choice& choice : section.choose) {
    if (random.chance(1, 2)) kept.push_back(choice);
  }
  if (kept.empty()) kept.push_back(section.choose[random.below(section.choose.size())]);
  return kept;
}

const Choice& pick(const std::vector<Choice>& choices, Random& random) {
  std::int64_t total = 0;
  for (const Choice& choice : choices) total += choice.weight;
  auto point = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(total)));
  for (const Choice& choice : choices) {
    if (point < choice.weight) return choice;
    point -= choice.weight;
  }
  return choices.back();
}

// A manoeuvre as steps of its own, named after the id it was drawn under; the last end of a step, as far as it is
// known.
Duration draw_moves(const Choice& choice, const std::string& id, Duration at, const Distribution& hold, Random own,
                    std::vector<Step>& into) {
  const auto full = [&](const std::string& name) { return id + "." + name; };
  std::map<std::string, std::pair<Duration, Duration>> times;  // begin and end
  Duration last = at;
  for (const Move& move : choice.moves) {
    Random stream = own.fork(move.step.id);
    Step step = move.step;
    step.id = full(move.step.id);
    step.of = choice.name.empty() ? id : choice.name;
    step.seed = stream.next();
    step.when.delay = round_ms(sample(move.delay, stream));
    if (!step.until) step.hold = round_ms(sample(move.hold.value_or(hold), stream));
    Duration begin = at;
    if (step.when.kind == Trigger::Kind::time) {
      step.when.time = at;
      step.when.delay = {};
    } else {
      std::string& before = step.when.kind == Trigger::Kind::after ? step.when.step : step.when.since;
      const bool heal = step.when.kind == Trigger::Kind::after && step.when.phase == Phase::heal;
      begin = (heal ? times[before].second : times[before].first) + step.when.delay;
      before = full(before);
    }
    for (std::string* text : {&step.on.nodes, &step.on.from, &step.on.to}) *text = rename_steps(*text, full);
    times[move.step.id] = {begin, begin + step.hold.value_or(Duration::zero())};
    last = std::max(last, times[move.step.id].second);
    into.push_back(std::move(step));
  }
  return last;
}

void draw_random(const RandomSection& section, const Random& root, Duration stop, std::vector<Step>& into) {
  constexpr std::size_t kDrawnMax = 100'000;
  const std::vector<Choice> choices = enabled(section, root.fork("swarm"));
  std::vector<Duration> ends(static_cast<std::size_t>(section.overlap), Duration::zero());
  Random arrivals = root.fork("arrivals");
  Duration at = section.start;
  for (std::size_t i = 1; i <= kDrawnMax; ++i) {
    Step step;
    step.id = "r" + std::to_string(i);
    Random own = root.fork(step.id);
    // The first fault comes at `start`, so that even a short run has one.
    if (i > 1) at += std::max<Duration>(sample(section.every, arrivals), 1ms);
    const auto slot = std::min_element(ends.begin(), ends.end());
    at = round_ms(std::max(at, *slot));  // wait for a free slot, or the overlap would exceed its bound
    if (at >= stop) return;
    const Choice& choice = pick(choices, own);
    if (!choice.moves.empty()) {
      *slot = draw_moves(choice, step.id, at, section.hold, own, into) + 1ms;
      continue;
    }
    step.when.time = at;
    step.verb = choice.verb;
    step.on = choice.on;
    step.params = choice.params;
    step.hold = round_ms(sample(choice.hold.value_or(section.hold), own));
    step.seed = own.next();
    *slot = at + *step.hold + 1ms;
    into.push_back(std::move(step));
  }
}

}  // namespace

Plan draw(const Plan& plan, std::uint64_t seed, Duration time) {
  Plan drawn = plan;
  drawn.seed = seed;
  drawn.time = time;
  const Random root = Random(seed).fork("plan");
  for (Step& step : drawn.steps) {
    if (!step.seed) step.seed = root.fork("step:" + step.id).next();
  }
  if (drawn.random) {
    draw_random(*drawn.random, root, drawn.random->stop.value_or(time), drawn.steps);
    drawn.random.reset();
  }
  return drawn;
}

}  // namespace ordeal::plan
