#include "faults/plan/draw.h"

#include <algorithm>

#include "broker/base/random.h"
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
