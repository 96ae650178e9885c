// ordeal-check: judge a run folder or history files. Exit codes: 0 pass, 1 violation, 2 unknown, 3 the evidence itself
// is damaged or missing, 64 bad usage.
#include <fmt/format.h>
#include <sys/resource.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "checker/bench.h"
#include "checker/check.h"
#include "checker/promises.h"
#include "checker/run_folder.h"
#include "checker/settings.h"
#include "workloads/history/export.h"
#include "workloads/history/reader.h"

namespace {

using namespace ordeal;
using checker::Context;

constexpr int kHarness = 3;
constexpr int kUsage = 64;

constexpr const char* kHelp = R"(ordeal-check: was what the brokers promised kept?

  ordeal-check RUNDIR                   judge a trial; writes verdict.json and aggregates.json there
  ordeal-check FILE.ohist ...           judge history files alone
  ordeal-check --format jsonl FILE      judge an imported history (JSON lines)
  ordeal-check --bench N                figures of the checker on a generated history of N operations

  --promise SET     what must hold: declared (what the settings promise; default), durable, idempotent, ordered
  --set KEY=VALUE   an effective setting under Kafka's name, for histories without a trial.json (repeatable)
  --json            print verdict.json instead of text
  --out DIR         write verdict.json and aggregates.json here ("-": nowhere)
  --export FILE     also write the history as JSON lines
  --witnesses N     violations spelled out per property (8)
  --threads N       2
  --repeat N        with --bench: runs, of which the median counts (3)
  --temp DIR        with --bench: where the generated history goes
  --version, --help

Exit: 0 pass, 1 violation, 2 unknown, 3 the evidence is damaged or missing, 64 bad usage.
Example: ordeal-check runs/latest --promise durable
)";

struct Arguments {
  std::vector<std::string> inputs;
  std::vector<std::pair<std::string, std::string>> settings;
  std::string promise, out, export_path, format = "ordeal", temp = std::filesystem::temp_directory_path();
  std::uint64_t bench = 0;
  std::uint64_t witnesses = 8, threads = 2, repeat = 3;
  bool json = false;
};

int usage(std::string_view problem) {
  fmt::print(stderr, "ordeal-check: {}\nTry ordeal-check --help.\n", problem);
  return kUsage;
}

int harness(const Error& error) {
  fmt::print(stderr, "ordeal-check: {}\nThe evidence is damaged or missing, so nothing was judged.\n", error.text);
  return kHarness;
}

bool number(std::string_view text, std::uint64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

// -1: go on; otherwise exit with it.
int parse(int argc, char** argv, Arguments& out) {
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const auto value = [&]() -> const char* { return i + 1 < argc ? argv[++i] : nullptr; };
    if (argument == "--help" || argument == "-h") return fmt::print("{}", kHelp), 0;
    if (argument == "--version") return fmt::print("ordeal-check {}\n", ORDEAL_VERSION), 0;
    if (argument == "--json") {
      out.json = true;
      continue;
    }
    if (!argument.starts_with("--")) {
      out.inputs.push_back(argument);
      continue;
    }
    const char* given = value();
    if (given == nullptr) return usage(argument + " needs a value, or is unknown");
    const std::map<std::string, std::string*> texts{{"--promise", &out.promise},
                                                    {"--out", &out.out},
                                                    {"--export", &out.export_path},
                                                    {"--format", &out.format},
                                                    {"--temp", &out.temp}};
    const std::map<std::string, std::uint64_t*> numbers{{"--bench", &out.bench},
                                                        {"--witnesses", &out.witnesses},
                                                        {"--threads", &out.threads},
                                                        {"--repeat", &out.repeat}};
    if (const auto text = texts.find(argument); text != texts.end()) {
      *text->second = given;
    } else if (const auto count = numbers.find(argument); count != numbers.end()) {
      if (!number(given, *count->second) || *count->second == 0)
        return usage(fmt::format("{} needs a number above 0, got \"{}\"", argument, given));
    } else if (argument == "--set") {
      const std::string setting = given;
      const std::size_t equals = setting.find('=');
      if (equals == std::string::npos) return usage("--set needs KEY=VALUE, got \"" + setting + "\"");
      out.settings.emplace_back(setting.substr(0, equals), setting.substr(equals + 1));
    } else {
      return usage("unknown option " + argument);
    }
  }
  if (out.format != "ordeal" && out.format != "jsonl")
    return usage("no format \"" + out.format + "\"; there are: ordeal, jsonl");
  if (!out.promise.empty() && !checker::Promises::standard().has_set(out.promise)) {
    const auto names = checker::Promises::standard().set_names();
    return usage(fmt::format("no promise set \"{}\"; there are: {}", out.promise, fmt::join(names, ", ")));
  }
  if (out.bench == 0 && out.inputs.empty()) return usage("name a run folder or history files");
  if (out.threads > 64 || out.repeat > 1000) return usage("--threads or --repeat is out of reason");
  return -1;
}

Result<history::History> load(const Arguments& arguments) {
  const std::string& first = arguments.inputs.front();
  if (std::filesystem::is_directory(first)) {
    if (arguments.inputs.size() > 1) return fail(Errc::invalid_argument, "one run folder at a time");
    return history::read_folder(std::filesystem::exists(first + "/history") ? first + "/history" : first);
  }
  const bool lines = arguments.format == "jsonl" || first.ends_with(".jsonl");
  if (!lines) return history::read_files(arguments.inputs);
  if (arguments.inputs.size() > 1) return fail(Errc::invalid_argument, "one JSON lines file at a time");
  std::ifstream in(first, std::ios::binary);
  if (!in) return fail(Errc::not_found, first + ": cannot be read");
  return history::import_jsonl(in, first);
}

Result<Context> context_of(const Arguments& arguments) {
  Context context;
  context.faults_known = false;
  const std::string& first = arguments.inputs.front();
  // A folder of history files alone is no trial; one with a history/ below it is, and must have its trial.json.
  if (std::filesystem::is_directory(first) && std::filesystem::exists(first + "/history")) {
    auto read = checker::read_context(first);
    if (!read) return fail(read.error());
    context = std::move(*read);
  }
  for (const auto& [key, value] : arguments.settings) ORDEAL_TRY(checker::parse_setting(key, value, context.settings));
  if (!arguments.promise.empty()) context.promise_set = arguments.promise;
  return context;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

nlohmann::json figures(const checker::Verdict& verdict, double load_s, double check_s) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const double rss = static_cast<double>(usage.ru_maxrss) * 1024;
  const auto operations = static_cast<double>(std::max<std::uint64_t>(verdict.counts.operations, 1));
  return {{"load_s", load_s},
          {"check_s", check_s},
          {"ops_per_s", check_s > 0 ? operations / check_s : 0},
          {"bytes_per_op", rss / operations},
          {"peak_rss", rss}};
}

Status write_results(const Arguments& arguments, const nlohmann::json& verdict, const history::History& history,
                     const Context& context) {
  const bool folder = std::filesystem::is_directory(arguments.inputs.front());
  const std::string out = !arguments.out.empty() ? arguments.out : folder ? arguments.inputs.front() : "-";
  if (out == "-") return {};
  const auto dump = [](const nlohmann::json& json) {
    return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  };
  ORDEAL_TRY(checker::write_file(out + "/verdict.json", dump(verdict)));
  return checker::write_file(out + "/aggregates.json", dump(checker::aggregates(history, context)));
}

Status export_history(const std::string& path, const history::History& history) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  if (!out) return fail(Errc::io, path + ": cannot be written");
  return history::export_jsonl(history, out);
}

int judge(const Arguments& arguments) {
  const auto start = std::chrono::steady_clock::now();
  auto context = context_of(arguments);
  if (!context)
    return context.error().code == Errc::invalid_argument ? usage(context.error().text) : harness(context.error());
  auto history = load(arguments);
  if (!history) return harness(history.error());
  const double load_s = seconds_since(start);
  const auto loaded = std::chrono::steady_clock::now();
  checker::Options options;
  options.max_witnesses = arguments.witnesses;
  options.threads = static_cast<unsigned>(arguments.threads);
  const auto verdict = checker::check(*history, *context, options);
  if (!verdict) return harness(verdict.error());
  const double check_s = seconds_since(loaded);
  nlohmann::json json = checker::to_json(*verdict);
  json["checker"] = figures(*verdict, load_s, check_s);
  if (const auto written = write_results(arguments, json, *history, *context); !written)
    return harness(written.error());
  if (!arguments.export_path.empty()) {
    if (const auto exported = export_history(arguments.export_path, *history); !exported)
      return harness(exported.error());
  }
  if (arguments.json)
    fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  else
    fmt::print("{}      checked in {:.2f} s (loaded in {:.2f} s)\n", checker::summary(*verdict), check_s, load_s);
  return checker::exit_code(verdict->outcome);
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (const int code = parse(argc, argv, arguments); code >= 0) return code;
  try {
    if (arguments.bench > 0) {
      const auto done = checker::run_bench(arguments.bench, static_cast<int>(arguments.repeat),
                                           static_cast<unsigned>(arguments.threads), arguments.temp, arguments.json);
      return done ? 0 : harness(done.error());
    }
    return judge(arguments);
  } catch (const std::exception& problem) {  // out of memory, or JSON of an unexpected shape: never a pass
    return harness({Errc::internal, problem.what()});
  }
}
