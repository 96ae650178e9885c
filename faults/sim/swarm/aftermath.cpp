#include "faults/sim/swarm/aftermath.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "broker/base/check.h"
#include "broker/base/random.h"
#include "faults/sim/swarm/settings.h"

namespace ordeal::sim {
namespace {

// What may follow, in the plan's language. $n: the node that took the branch; $w: waits for the branch, and then a
// drawn while; $p: a drawn while before it; $s, $m, $l: a drawn while, up to 50 ms, 500 ms and 5 s, $h: any of these or
// nothing; $a, $b, $c: ids.
struct Move {
  std::string_view suits;  // the groups of known bugs that it suits, and comes up three times as often for
  std::string_view steps;
};

constexpr Move kMoves[] = {
    // The node itself.
    {"A", "- {id: $a, when: $w, do: proc.kill, on: $n, hold: $h}"},
    {"AF", "- {id: $a, when: $w, do: proc.kill, on: $n, hold: $s}"},
    {"EF", "- {id: $a, when: $w, do: node.power_cut, on: $n, hold: $h}"},
    {"EF", "- {id: $a, when: $w, do: node.power_cut, on: $n, hold: $s}"},
    {"EF", "- {id: $a, when: $w, do: node.crash, on: $n, hold: $m}"},
    {"E", "- {id: $a, when: $w, do: node.crash, on: $n, params: {path: .log}, hold: $m}"},
    {"A", "- {id: $a, when: $w, do: proc.pause, on: $n, hold: $l}"},
    {"", "- {id: $a, when: $w, do: proc.restart, on: $n, hold: $m}"},
    {"E", R"(- {id: $a, when: $w, do: proc.restart, on: $n, hold: $s}
- {id: $b, when: {after: $a, phase: heal, delay: $m}, do: node.crash, on: $n, params: {path: .log}, hold: $m})"},
    {"E", R"(- {id: $a, when: $w, do: proc.kill, on: $n, hold: $s}
- {id: $b, when: {after: $a, phase: heal, delay: $h}, do: node.power_cut, on: $n, hold: $m})"},
    {"A", "- {id: $a, when: $w, do: net.partition, on: $n, params: {shape: brokers-not-clients}, hold: $l}"},
    {"AF", "- {id: $a, when: $w, do: net.partition, on: $n, params: {listeners: [control]}, hold: $l}"},
    {"A", "- {id: $a, when: $w, do: net.partition, on: $n, params: {listeners: [replication]}, hold: $l}"},
    // Everybody.
    {"E", "- {id: $a, when: $w, do: node.power_cut, on: all, hold: $m}"},
    {"EF", "- {id: $a, when: $w, do: node.power_cut, on: all, hold: $s}"},
    {"", "- {id: $a, when: $w, do: proc.kill, on: all, hold: $s}"},
    {"", "- {id: $a, when: $w, do: proc.restart, on: all, hold: $s}"},
    // Everybody else: the node is what is left.
    {"AF", "- {id: $a, when: $w, do: proc.kill, on: all - $n, hold: $h}"},
    {"E", "- {id: $a, when: $w, do: node.power_cut, on: all - $n, hold: $h}"},
    {"AE", R"(- {id: $a, when: $w, do: proc.kill, on: one(all - $n), hold: $l}
- {id: $b, when: {after: $a, phase: begin, delay: $l}, do: proc.kill, on: all - $n, hold: $l})"},
    {"", "- {id: $a, when: $w, do: proc.pause, on: all - $n, hold: $l}"},
    // Who leads.
    {"A", "- {id: $a, when: $w, do: proc.kill, on: leader, hold: $h}"},
    {"A", "- {id: $a, when: $w, do: proc.kill, on: leader, hold: $l}"},
    {"AE", "- {id: $a, when: $w, do: node.power_cut, on: leader, hold: $h}"},
    {"A", "- {id: $a, when: $w, do: net.partition, on: leader, params: {listeners: [control]}, hold: $l}"},
    {"A", "- {id: $a, when: $w, do: net.partition, on: leader, params: {shape: brokers-not-clients}, hold: $l}"},
    {"A", "- {id: $a, when: $w, do: proc.restart, on: leader, hold: $m}"},
    {"A", R"(- {id: $a, when: $w, do: proc.kill, on: leader, hold: $l}
- {id: $b, when: {after: $a, phase: begin, delay: $l}, do: proc.kill, on: leader, hold: $l})"},
    {"A", R"(- {id: $a, when: $w, do: net.partition, on: leader, params: {listeners: [control]}, hold: $l}
- {id: $b, when: {after: $a, phase: begin, delay: $l}, do: proc.kill, on: leader, hold: $l})"},
    {"AE", R"(- {id: $a, when: $w, do: node.power_cut, on: leader, hold: $s}
- {id: $b, when: {after: $a, phase: heal, delay: $h}, do: node.power_cut, on: leader, hold: $l})"},
    {"A",
     "- {id: $a, when: $w, do: net.partition, on: {from: leader, to: follower}, params: {shape: link, listeners: "
     "[replication]}, hold: $l}"},
    // Who controls.
    {"F", "- {id: $a, when: $w, do: proc.kill, on: controller, hold: $h}"},
    {"F", "- {id: $a, when: $w, do: node.power_cut, on: controller, hold: $h}"},
    {"F", "- {id: $a, when: $w, do: proc.pause, on: controller, hold: $l}"},
    {"F", "- {id: $a, when: $w, do: net.partition, on: controller, params: {listeners: [control]}, hold: $l}"},
    {"F", R"(- {id: $a, when: $w, do: net.partition, on: controller, params: {listeners: [control]}, hold: $l}
- {id: $b, when: {after: $a, phase: begin, delay: $l}, do: proc.kill, on: controller, hold: $l})"},
    // One after another.
    {"A", R"(- {id: $a, when: $w, do: proc.kill, on: one(up), hold: $l}
- {id: $b, when: {after: $a, phase: begin, delay: $m}, do: proc.kill, on: one(up), hold: $l}
- {id: $c, when: {after: $b, phase: begin, delay: $m}, do: proc.kill, on: up, hold: $l})"},
    {"A", R"(- {id: $a, when: $w, do: proc.restart, on: follower, hold: $l}
- {id: $b, when: {after: $a, phase: begin, delay: $m}, do: proc.restart, on: follower, hold: $l}
- {id: $c, when: {after: $b, phase: begin, delay: $m}, do: node.power_cut, on: leader, hold: $s})"},
    {"A", R"(- {id: $a, when: $w, do: proc.restart, on: one(up), hold: $l}
- {id: $b, when: {after: $a, phase: begin, delay: $l}, do: proc.restart, on: one(up), hold: $m})"},
    // Replies that were under way, and a retry that meets other brokers.
    {"BE", R"(- {id: $a, when: $p, do: net.simplex, on: {from: leader, to: clients}, hold: $l}
- {id: $b, when: $w, do: node.power_cut, on: all, hold: $s})"},
    {"BE", R"(- {id: $a, when: $p, do: net.simplex, on: {from: all, to: clients}, hold: $l}
- {id: $b, when: $w, do: node.power_cut, on: all, hold: $m})"},
    {"B", R"(- {id: $a, when: $p, do: net.simplex, on: {from: leader, to: clients}, hold: $l}
- {id: $b, when: $w, do: node.power_cut, on: leader, hold: $m})"},
    // Messages of the metadata's voters.
    {"F", R"(- {id: $a, when: $p, do: net.message, params: {api: raft_vote, action: delay, by: $m, count: 3}, hold: $l}
- {id: $b, when: $w, do: node.power_cut, on: $n, hold: $s})"},
    {"F",
     R"(- {id: $a, when: $w, do: net.message, on: {from: $n}, params: {api: raft_append, action: drop, count: 10}, hold: $l}
- {id: $b, when: {after: $a, phase: begin, delay: $m}, do: proc.kill, on: $n, hold: $l})"},
};

// Those that suit the bug's group more often.
const Move& draw_move(Random& random, mutation::Bug bug) {
  const char group = mutation::info_of(bug).id.front();
  std::vector<const Move*> bag;
  for (const Move& move : kMoves) bag.insert(bag.end(), move.suits.contains(group) ? 3 : 1, &move);
  return *bag[random.below(bag.size())];
}

class Draft {
 public:
  Draft(Random random, const BranchRun& run, std::uint64_t variant) : random_(random), run_(run), variant_(variant) {}

  std::string add_move() {
    const std::string_view steps = draw_move(random_, run_.bug).steps;
    ++moves_;
    std::string text;
    for (std::size_t i = 0; i < steps.size(); ++i)
      text += steps[i] == '$' ? filled(steps[++i]) : std::string(1, steps[i]);
    return text + "\n";
  }

  Duration last_event() const { return last_; }

 private:
  std::string filled(char what) {
    switch (what) {
      case 'n':
        return plan::node_name(run_.node);
      case 'w':
        return fmt::format("{{event: mutation.ran, where: {{run: {}}}, delay: {}}}", run_.run, time(drawn('h') / 2));
      case 'p':
        return time(std::max<Duration>(run_.at.time_since_epoch() - drawn('m') * 2 - 1us, 1us));
      case 'a':
      case 'b':
      case 'c':
        return fmt::format("v{}.{}{}", variant_, moves_, what);
      default:
        return time(drawn(what));
    }
  }

  // Mostly little, so that what follows meets what was under way.
  Duration drawn(char length) {
    if (length == 'h') length = one_of(random_, {'0', '0', 's', 's', 's', 'm', 'm', 'l'});
    const Duration longest = length == '0' ? 0ms : length == 's' ? 50ms : length == 'm' ? 500ms : 5s;
    const Duration length_drawn = longest == 0ms ? Duration(0) : Duration(1us) * random_.between(1, longest / 1us);
    last_ = std::max(last_, length_drawn);
    return length_drawn;
  }
  static std::string time(Duration duration) { return plan::format_duration(duration); }

  Random random_;
  const BranchRun& run_;
  std::uint64_t variant_;
  int moves_ = 0;
  Duration last_{};
};

// The last run, the first or any: of what was done last the least has been repaired since.
const BranchRun& choose(std::span<const BranchRun> runs, Random& random) {
  switch (random.below(4)) {
    case 0:
      return runs.front();
    case 1:
      return runs.back();
    default:
      return runs[random.below(runs.size())];
  }
}

// Without what would begin later by itself, and what waits for that.
void forget_after(Duration time, std::vector<plan::Step>& steps) {
  std::set<std::string> gone;
  const auto goes = [&](const plan::Step& step) {
    const bool late = step.when.kind == plan::Trigger::Kind::time && step.when.time > time;
    if (!late && !gone.contains(step.when.step) && !gone.contains(step.when.since)) return false;
    gone.insert(step.id);
    return true;
  };
  while (std::erase_if(steps, goes) > 0) {
  }
}

bool waits_for_branch(const plan::Step& step) { return step.id.starts_with("v"); }

}  // namespace

scenario::Scenario aftermath(const scenario::Scenario& world, std::span<const BranchRun> runs, std::uint64_t variant) {
  ORDEAL_CHECK(!runs.empty() && world.plan.has_value(), "{}: a variant needs a plan and a run of the branch",
               world.name);
  Random random = Random(world.seed).fork("aftermath").fork(std::to_string(variant));
  const BranchRun& run = choose(runs, random);
  const Duration ran_at = run.at.time_since_epoch();
  Draft draft(random.fork("moves"), run, variant);
  std::string text = "name: aftermath\nsteps:\n";
  for (std::uint64_t i = one_of<std::uint64_t>(random, {1, 1, 2, 2, 3}); i > 0; --i) text += draft.add_move();
  Result<plan::Plan> parsed = plan::parse_plan(text, "the aftermath");
  ORDEAL_CHECK(parsed.has_value(), "{}:\n{}", parsed.error().to_string(), text);

  scenario::Scenario out = world;
  out.name = fmt::format("{}-variant-{}", world.name, variant);
  // In half of the variants the plan's own faults end with the run, so that nothing else repairs or hides what it did.
  if (random.chance(1, 2)) forget_after(ran_at, out.plan->steps);
  for (plan::Step& step : parsed->steps) {
    step.seed = random.next();
    out.plan->steps.push_back(std::move(step));
  }
  // Long enough for all of it, and not much longer: a variant costs what its time costs.
  out.time = ran_at + draft.last_event() + Duration(1ms) * random.between(2'000, 8'000);
  out.plan->time = out.time;
  return out;
}

scenario::Scenario untriggered(const scenario::Scenario& variant, std::span<const FaultEvent> events, Instant zero) {
  scenario::Scenario out = variant;
  const auto begun = [&](const plan::Step& step) {
    return std::ranges::find_if(
        events, [&](const FaultEvent& event) { return event.event == "fault.resolve" && event.step == step.id; });
  };
  std::erase_if(out.plan->steps,
                [&](const plan::Step& step) { return waits_for_branch(step) && begun(step) == events.end(); });
  for (plan::Step& step : out.plan->steps) {
    if (!waits_for_branch(step)) continue;
    step.when = {};
    step.when.time = begun(step)->at - zero;
  }
  return out;
}

}  // namespace ordeal::sim
