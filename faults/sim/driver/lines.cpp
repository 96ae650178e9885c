#include "faults/sim/driver/lines.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>

namespace ordeal::sim {
namespace {

double seconds(Instant at) { return static_cast<double>(at.time_since_epoch().count()) / 1e9; }

nlohmann::ordered_json violations_json(const TrialResult& result) {
  auto list = nlohmann::ordered_json::array();
  for (const Violation& violation : result.violations)
    list.push_back({{"invariant", violation.invariant}, {"text", violation.text}, {"at_s", seconds(violation.at)}});
  for (const checker::Violation& violation : result.verdict.violations)
    if (violation.status == checker::Standing::violated)
      list.push_back({{"property", violation.property}, {"text", violation.title}});
  return list;
}

}  // namespace

std::string shell_words(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) {
    const bool plain = !word.empty() && word.find_first_of(" \"'$`\\*?[](){}<>|&;#~") == std::string::npos;
    line += fmt::format("{}{}", line.empty() ? "" : " ", plain ? word : fmt::format("'{}'", word));
  }
  return line;
}

nlohmann::ordered_json world_json(const Played& played, const std::vector<std::string>& words) {
  const TrialResult& result = played.trial;
  nlohmann::ordered_json line;
  line["seed"] = result.seed;
  line["digest"] = fmt::format("{:016x}", result.digest);
  line["last_draw"] = fmt::format("{:016x}", result.last_draw);
  line["outcome"] = outcome_name(result);
  line["exit"] = exit_code(result);
  line["sentence"] = result.sentence();
  line["operations"] = result.verdict.counts.operations;
  line["sends_ok"] = result.verdict.counts.sends_ok;
  line["faults"] = result.faults;
  line["fault_kinds"] = result.fault_kinds;
  line["events"] = result.steps;
  line["simulated_s"] = static_cast<double>(result.simulated / 1ms) / 1000;
  line["real_ms"] = played.real_ms;
  line["cpu_ms"] = played.cpu_ms;
  line["violations"] = violations_json(result);
  line["mutations_ran"] = result.mutations_ran;
  line["named"] = played.named;
  line["caught"] = played.caught;
  line["replay"] = words;
  return line;
}

void print_world(const Played& played) {
  const TrialResult& result = played.trial;
  fmt::print("seed {} digest {:016x} last {:016x} ops {} faults {} {:.1f} s: {}: {}\n", result.seed, result.digest,
             result.last_draw, result.verdict.counts.operations, result.faults,
             static_cast<double>(played.real_ms) / 1000, outcome_name(result), result.sentence());
  for (const auto& [name, count] : result.mutations_ran) fmt::print("  {} ran {} times\n", name, count);
  for (const Violation& violation : result.violations)
    fmt::print("  {} at {:.3f} s: {}\n", violation.invariant, seconds(violation.at), violation.text);
  for (const checker::Violation& violation : result.verdict.violations) {
    if (violation.status != checker::Standing::violated) continue;
    fmt::print("  {}: {}\n", violation.property, violation.title);
    for (const std::string& line : violation.story) fmt::print("    {}\n", line);
  }
  if (exit_code(result) == checker::exit_code(checker::Outcome::unknown))
    for (const std::string& reason : result.verdict.reasons) fmt::print("  {}\n", reason);
}

std::string trace_line(const TraceEvent& event) {
  std::string line = fmt::format("{:13.6f}  {:<3} {:<26}", seconds(event.at), plan::node_name(event.node), event.kind);
  for (const auto& [name, value] : event.fields)
    std::visit([&, key = name](const auto& v) { line += fmt::format(" {}={}", key, v); }, value);
  return line;
}

std::string message_line(const MessageSeen& seen) {
  const auto name = [](const std::string& host) {
    const auto last = host.rfind('.');
    const int number = last == std::string::npos ? 0 : std::atoi(host.c_str() + last + 1);
    if (number > 100) return fmt::format("c{}", number - 100);
    return number > 10 ? plan::node_name(number - 10) : host;
  };
  std::string what = fmt::format("{} -> {} {}{}, {} bytes", name(seen.from), name(seen.to),
                                 seen.api.empty() ? "?" : seen.api, seen.reply ? " reply" : "", seen.bytes);
  if (const std::string said = sentence(seen.told); !said.empty()) what += ": " + said;
  if (!seen.arrived_at)
    return fmt::format("{:13.6f}  {}: never arrived{}", seconds(seen.sent_at), what,
                       seen.lost.empty() ? "" : " (" + seen.lost + ")");
  return fmt::format("{:13.6f}  {}, sent at {:.6f}", seconds(*seen.arrived_at), what, seconds(seen.sent_at));
}

std::string fault_line(const FaultEvent& event) {
  return fmt::format("{:13.6f}  --- {:<26} {} {}{}{}", seconds(event.at), event.event, event.step, event.kind,
                     event.targets.empty() ? "" : fmt::format(" on {}", fmt::join(event.targets, ",")),
                     event.evidence.empty() ? "" : ": " + event.evidence);
}

}  // namespace ordeal::sim
