#include "faults/sim/driver/folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "checker/run_folder.h"
#include "checker/sort.h"
#include "faults/sim/cluster/sim_setup.h"
#include "faults/sim/driver/lines.h"
#include "workloads/history/writer.h"

namespace ordeal::sim {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::string text_of(const Json& json, int indent = 2) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::int64_t ns(Instant at) { return at.time_since_epoch().count(); }

Json trial_json(const scenario::Scenario& scenario, const Played& played, const std::vector<std::string>& words) {
  const TrialResult& result = played.trial;
  const Evidence& evidence = *result.evidence;
  Json trial{{"schema", 1},
             {"run_id", evidence.context.run_id},
             {"name", scenario.name},
             {"title", scenario.title},
             {"command", "ordeal-sim " + shell_words(words)},
             {"replay", words},
             {"world", "sim"},
             {"promises", evidence.context.promise_set},
             {"min_faults", evidence.context.min_faults},
             {"required_faults", Json::array()},
             {"effective", evidence.effective}};
  for (const auto& [name, at] : evidence.phases) trial["phases"][name] = ns(at);
  for (NodeId id = 1; id <= scenario.cluster.nodes; ++id)
    trial["nodes"].push_back({{"id", id}, {"address", node_host(id)}});
  trial["seed"] = result.seed;
  trial["digest"] = fmt::format("{:016x}", result.digest);
  trial["last_draw"] = fmt::format("{:016x}", result.last_draw);
  trial["time_s"] = static_cast<double>(scenario.time / 1ms) / 1000;
  trial["simulated_s"] = static_cast<double>(result.simulated / 1ms) / 1000;
  trial["target"] = "ordeal";
  trial["plan"] = scenario.plan ? scenario.plan->name : "";
  trial["durability"] = evidence.context.settings.fsync ? "fsync" : "page cache";
  trial["mutations"] = Json::array();
  for (const auto& [name, count] : result.mutations_ran) trial["mutations"].push_back(name);
  trial["mutations_ran"] = result.mutations_ran;
  trial["config"] = scenario.cluster.set;
  trial["workload"] = workload_json(evidence.workload);
  trial["workload"]["run_id"] = evidence.workload.run_id;
  trial["workload"]["client"] = evidence.workload.client;
  return trial;
}

Json topology_json(int nodes) {
  Json topology;
  for (NodeId id = 1; id <= nodes; ++id)
    topology["nodes"].push_back({{"id", plan::node_name(id)}, {"ip", node_host(id)}});
  topology["clients"].push_back({{"id", "c1"}, {"ip", client_host(1)}});
  return topology;
}

// A broken invariant is a violation in the verdict, too: it stands first, as it was seen first.
checker::Verdict whole_verdict(const TrialResult& result) {
  checker::Verdict verdict = result.verdict;
  verdict.outcome = result.outcome();
  verdict.sentence = result.sentence();
  verdict.run_id = result.evidence->context.run_id;
  std::vector<checker::Violation> broken;
  std::vector<checker::Property> properties;
  for (const Violation& violation : result.violations) {
    checker::Violation out;
    out.property = violation.invariant;
    out.title = violation.text;
    out.story = {fmt::format("seen at {:.3f} s of the simulated time", static_cast<double>(ns(violation.at)) / 1e9)};
    out.from_ns = out.to_ns = static_cast<std::uint64_t>(ns(violation.at));
    auto known = std::ranges::find(properties, violation.invariant, &checker::Property::name);
    if (known == properties.end()) {
      properties.push_back({violation.invariant, "invariant of the simulated cluster", checker::Promise::promised,
                            checker::Standing::violated, 0, 0, violation.text, broken.size()});
      known = std::prev(properties.end());
    }
    ++known->count;
    ++known->violated;
    broken.push_back(std::move(out));
  }
  for (checker::Property& property : verdict.properties)
    if (property.first_violation) *property.first_violation += broken.size();
  verdict.violations.insert(verdict.violations.begin(), broken.begin(), broken.end());
  verdict.properties.insert(verdict.properties.begin(), properties.begin(), properties.end());
  if (!result.trouble.empty()) verdict.reasons.insert(verdict.reasons.begin(), result.trouble);
  return verdict;
}

// Ids of error and payload details are the writer's to give: what is copied gets new ones.
Status write_history(const std::string& folder, const history::FileView& view) {
  history::RecorderOptions options;
  options.flush_interval = 24h;  // whole blocks
  auto recorder =
      history::Recorder::create(fmt::format("{}/{}.ohist", folder, view.header.writer), view.header, options);
  if (!recorder) return fail(recorder.error());
  std::map<std::uint16_t, std::uint16_t> foreign;
  for (const auto& block : view.blocks) {
    for (history::Record record : block) {
      const auto error = view.side.errors.find(record.detail);
      const auto payload = view.side.foreign.find(record.detail);
      if (error != view.side.errors.end()) {
        record.detail = (*recorder)->error_id(error->second);
      } else if (payload != view.side.foreign.end()) {
        const auto [known, fresh] = foreign.emplace(record.detail, 0);
        if (fresh) known->second = (*recorder)->foreign_id(payload->second);
        record.detail = known->second;
      }
      (*recorder)->append(record);
    }
  }
  for (const history::AuditBatch& batch : view.side.batches) (*recorder)->audit_batch(batch);
  for (const history::ProducerReset& reset : view.side.resets) (*recorder)->producer_reset(reset);
  for (const std::string& note : view.side.notes) (*recorder)->note(note);
  return (*recorder)->close();
}

Status write_traces(const std::string& folder, int nodes, const std::vector<TraceEvent>& traces) {
  std::map<NodeId, std::string> lines;
  for (NodeId id = 1; id <= nodes; ++id) lines[id];
  for (const TraceEvent& event : traces)
    if (event.node > 0) lines[event.node] += event.to_json() + "\n";
  std::error_code error;
  for (const auto& [node, text] : lines) {
    const std::string path = fmt::format("{}/nodes/{}", folder, node);
    fs::create_directories(path, error);
    ORDEAL_TRY(checker::write_file(path + "/trace.jsonl", text));
  }
  return {};
}

std::string faults_jsonl(const TrialResult& result) {
  std::vector<FaultEvent> events = result.events;
  checker::sort_stably(events, &FaultEvent::at);
  std::string text;
  for (const FaultEvent& event : events) text += event.to_json() + "\n";
  return text + Json{{"t", result.simulated.count()}, {"event", "nemesis.stop"}}.dump() + "\n";
}

std::string host_name(const std::string& host, int nodes) {
  for (NodeId id = 1; id <= nodes; ++id)
    if (node_host(id) == host) return plan::node_name(id);
  return host == client_host(1) ? "c1" : host;
}

// One partition's words stand in the sentence; of several, beside each.
Json message_json(const MessageSeen& seen, int nodes) {
  Json line{{"t", ns(seen.sent_at)},
            {"a", seen.arrived_at ? Json(ns(*seen.arrived_at)) : Json(nullptr)},
            {"from", host_name(seen.from, nodes)},
            {"to", host_name(seen.to, nodes)},
            {"api", seen.api},
            {"reply", seen.reply},
            {"id", seen.correlation},
            {"c", seen.connection},
            {"bytes", seen.bytes}};
  const Told& told = seen.told;
  const std::string say = told.parts.size() > 1 ? told.say : sentence(told);
  for (const Told::Part& part : told.parts) line["p"].push_back(part.partition);
  if (!say.empty()) line["say"] = say;
  if (told.parts.size() > 1 && std::ranges::any_of(told.parts, [](const auto& part) { return !part.words.empty(); }))
    for (const Told::Part& part : told.parts) line["each"].push_back(part.words);
  if (!seen.lost.empty()) line["lost"] = seen.lost;
  if (!seen.note.empty()) line["note"] = seen.note;
  return line;
}

// What went over the network, all of it or, where that is too much to draw, what was under way around the violation.
std::string messages_jsonl(const TrialResult& result, int nodes) {
  constexpr std::size_t kMany = 40'000;
  constexpr Duration kBefore = 5s;
  constexpr Duration kAfter = 2s;
  std::vector<MessageSeen> messages = result.evidence->messages;
  if (messages.size() > kMany) {
    const Instant around = result.violations.empty() ? Instant(result.simulated)
                                                     : std::ranges::min(result.violations, {}, &Violation::at).at;
    std::erase_if(messages, [&](const MessageSeen& seen) {
      return seen.sent_at + kBefore < around || seen.sent_at > around + kAfter;
    });
  }
  checker::sort_stably(messages, &MessageSeen::sent_at);
  std::string text;
  for (const MessageSeen& seen : messages) text += text_of(message_json(seen, nodes), -1);
  return text;
}

}  // namespace

Status store_world(const std::string& folder, const scenario::Scenario& scenario, const Played& played,
                   const std::vector<std::string>& words) {
  ORDEAL_CHECK(played.trial.evidence != nullptr, "a world is stored with its evidence");
  const Evidence& evidence = *played.trial.evidence;
  std::error_code error;
  fs::remove_all(folder, error);
  fs::create_directories(folder + "/history", error);
  if (error) return fail(Errc::io, folder + ": " + error.message());
  ORDEAL_TRY(checker::write_file(folder + "/scenario.yaml", scenario::to_yaml(scenario)));
  if (evidence.plan) ORDEAL_TRY(checker::write_file(folder + "/plan.yaml", text_of(plan::to_json(*evidence.plan))));
  ORDEAL_TRY(checker::write_file(folder + "/trial.json", text_of(trial_json(scenario, played, words))));
  ORDEAL_TRY(checker::write_file(folder + "/topology.json", text_of(topology_json(scenario.cluster.nodes))));
  ORDEAL_TRY(checker::write_file(folder + "/faults.jsonl", faults_jsonl(played.trial)));
  ORDEAL_TRY(write_traces(folder, scenario.cluster.nodes, evidence.traces));
  ORDEAL_TRY(checker::write_file(folder + "/messages.jsonl", messages_jsonl(played.trial, scenario.cluster.nodes)));
  for (const history::FileView& view : evidence.history.files) ORDEAL_TRY(write_history(folder + "/history", view));
  ORDEAL_TRY(checker::write_file(folder + "/verdict.json", text_of(checker::to_json(whole_verdict(played.trial)))));
  return checker::write_file(folder + "/aggregates.json",
                             text_of(checker::aggregates(evidence.history, evidence.context), -1));
}

}  // namespace ordeal::sim
