#include "checker/run_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "checker/evidence.h"
#include "checker/settings.h"

namespace ordeal::checker {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

Result<std::string> slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(Errc::not_found, path + ": " + std::strerror(errno));
  std::ostringstream text;
  text << in.rdbuf();
  if (in.bad()) return fail(Errc::io, path + ": cannot be read");
  return std::move(text).str();
}

std::string scalar(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

// `effective` is flat, or grouped one level deep.
Status read_settings(const Json& effective, Settings& into) {
  for (const auto& [key, value] : effective.items()) {
    if (value.is_object()) {
      for (const auto& [inner, setting] : value.items())
        if (!setting.is_structured() && !setting.is_null()) ORDEAL_TRY(parse_setting(inner, scalar(setting), into));
    } else if (!value.is_array() && !value.is_null()) {
      ORDEAL_TRY(parse_setting(key, scalar(value), into));
    }
  }
  return {};
}

void read_nodes(const Json& nodes, Context& into) {
  for (const Json& node : nodes) {
    if (node.is_number())
      into.nodes.push_back(node.get<std::int32_t>());
    else if (node.is_object() && node.contains("id") && node.at("id").is_number())
      into.nodes.push_back(node.at("id").get<std::int32_t>());
  }
}

FaultEvent fault_event(Json line) {
  FaultEvent event;
  event.t_ns = line.at("t").get<std::uint64_t>();
  event.event = line.at("event").get<std::string>();
  if (const auto id = line.find("id"); id != line.end() && !id->is_null()) event.id = scalar(*id);
  event.body = std::move(line);
  return event;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(std::move(line));
  return lines;
}

bool blank(const std::string& line) { return line.find_first_not_of(" \t\r") == std::string::npos; }

// One trace line; of a torn one followed by a new beginning, the new beginning.
bool trace_event(const std::string& line, TraceEvent& out) {
  Json body = Json::parse(line, nullptr, false);
  if (body.is_discarded()) {
    const std::size_t again = line.rfind("{\"t\":");
    if (again == std::string::npos || again == 0) return false;
    body = Json::parse(line.substr(again), nullptr, false);
  }
  if (!body.is_object() || !body.contains("k") || !body.contains("t") || !body["t"].is_number() ||
      !body["k"].is_string())
    return false;
  out.t_ns = body["t"].get<std::uint64_t>();
  out.kind = body["k"].get<std::string>();
  const auto node = body.find("n");
  out.node = node != body.end() && node->is_number() ? node->get<std::int32_t>() : -1;
  out.body = std::move(body);
  return true;
}

Status read_traces(const std::string& folder, Context& into) {
  std::error_code error;
  std::vector<std::string> paths;
  for (const auto& node : fs::directory_iterator(folder + "/nodes", error)) {
    const std::string path = node.path().string() + "/trace.jsonl";
    if (fs::exists(path)) paths.push_back(path);
  }
  std::ranges::sort(paths);
  for (const std::string& path : paths) {
    auto text = slurp(path);
    if (!text) return fail(text.error());
    for (TraceEvent& event : parse_trace(*text)) into.traces.push_back(std::move(event));
  }
  return {};
}

}  // namespace

Status parse_trial(const std::string& text, const std::string& name, Context& into, std::string& world) {
  try {
    const Json in = Json::parse(text);
    const int schema = in.at("schema").get<int>();
    if (schema != 1) return fail(Errc::unsupported, fmt::format("{}: schema {}, this build reads 1", name, schema));
    into.run_id = in.value("run_id", "");
    world = in.value("world", "real");
    if (in.contains("promises") && in.at("promises").is_string())
      into.promise_set = in.at("promises").get<std::string>();
    into.min_faults = in.value("min_faults", std::uint64_t{0});
    for (const Json& id : in.value("required_faults", Json::array())) into.required_faults.push_back(scalar(id));
    if (in.contains("nodes")) read_nodes(in.at("nodes"), into);
    if (in.contains("effective")) {
      if (auto settings = read_settings(in.at("effective"), into.settings); !settings)
        return fail(settings.error().at(name));
    }
  } catch (const std::exception& problem) {  // nlohmann reports by exception
    return fail(Errc::corrupt, name + ": " + problem.what());
  }
  return {};
}

Result<std::vector<FaultEvent>> parse_faults(const std::string& text, const std::string& name,
                                             std::vector<std::string>& gaps) {
  std::vector<FaultEvent> events;
  const std::vector<std::string> lines = lines_of(text);
  const bool whole = text.empty() || text.back() == '\n';
  bool stopped = false;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (blank(lines[i])) continue;
    try {
      events.push_back(fault_event(Json::parse(lines[i])));
      stopped = stopped || events.back().event == "nemesis.stop";
    } catch (const std::exception& problem) {      // nlohmann reports by exception
      if (i + 1 == lines.size() && !whole) break;  // cut short by its writer's death: the missing stop tells it
      return fail(Errc::corrupt, fmt::format("{} line {}: {}", name, i + 1, problem.what()));
    }
  }
  if (!stopped) gaps.push_back(name + " ends before nemesis.stop: fault events may be missing");
  return events;
}

std::vector<TraceEvent> parse_trace(const std::string& text) {
  std::vector<TraceEvent> events;
  for (const std::string& line : lines_of(text)) {
    TraceEvent event;
    if (!blank(line) && trace_event(line, event)) events.push_back(std::move(event));
  }
  return events;
}

Result<Context> read_context(const std::string& folder) {
  Context context;
  auto trial = slurp(folder + "/trial.json");
  if (!trial) return fail(trial.error());
  std::string world;
  ORDEAL_TRY(parse_trial(*trial, folder + "/trial.json", context, world));
  const std::string faults_path = folder + "/faults.jsonl";
  if (fs::exists(faults_path)) {
    auto text = slurp(faults_path);
    if (!text) return fail(text.error());
    std::vector<std::string> gaps;
    auto faults = parse_faults(*text, faults_path, gaps);
    if (!faults) return fail(faults.error());
    context.faults = std::move(*faults);
    if (world != "sim") context.harness_gaps = std::move(gaps);
  } else if (world != "sim") {
    context.harness_gaps.push_back(faults_path + " is missing: what the harness did is not known");
  }
  ORDEAL_TRY(read_traces(folder, context));
  return context;
}

Status write_file(const std::string& path, const std::string& text) {
  const std::string fresh = path + ".new";
  {
    std::ofstream out(fresh, std::ios::binary | std::ios::trunc);
    out << text;
    out.flush();
    if (!out) return fail(Errc::io, fresh + ": cannot be written: " + std::strerror(errno));
  }
  std::error_code error;
  fs::rename(fresh, path, error);
  if (error) return fail(Errc::io, path + ": " + error.message());
  return {};
}

}  // namespace ordeal::checker
