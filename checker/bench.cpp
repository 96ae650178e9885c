// Figures of the checker itself: load and check told apart, medians of several runs. A child process generates, so the
// peak memory printed is the judge's alone.
#include "checker/bench.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include "checker/check.h"
#include "checker/story.h"
#include "workloads/history/reader.h"

namespace ordeal::checker {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Wall time on a shared machine says little; processor time of all threads says what the work is.
double cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

std::uint64_t peak_rss() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

Status generate_in_child(const std::string& folder, std::uint64_t operations) {
  std::fflush(stdout);
  const pid_t child = ::fork();
  if (child < 0) return fail(Errc::io, "cannot fork");
  if (child == 0) {
    GeneratorOptions options;
    options.operations = operations;
    const auto done = generate_history(folder, options);
    if (!done) fmt::print(stderr, "{}\n", done.error().to_string());
    ::_exit(done ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return fail(Errc::io, "the generator failed");
  return {};
}

Status measure(const std::string& folder, std::uint64_t operations, int repeats, unsigned threads, bool json) {
  ORDEAL_TRY(generate_in_child(folder, operations));
  std::vector<double> load, judge, cpu;
  std::uint64_t records = 0;
  Verdict verdict;
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    auto history = history::read_folder(folder);
    if (!history) return fail(history.error());
    load.push_back(seconds_since(start));
    records = history->records();
    const auto loaded = std::chrono::steady_clock::now();
    const double cpu_before = cpu_seconds();
    Options options;
    options.threads = threads;
    auto result = check(*history, Context{}, options);
    if (!result) return fail(result.error());
    judge.push_back(seconds_since(loaded));
    cpu.push_back(cpu_seconds() - cpu_before);
    verdict = std::move(*result);
  }
  if (verdict.outcome != Outcome::pass)
    return fail(Errc::internal, "the generated history did not pass: " + verdict.sentence);
  const auto done = static_cast<double>(verdict.counts.operations);
  const double rate = done / median(judge);
  const double bytes = static_cast<double>(peak_rss()) / done;
  if (json) {
    fmt::print("{}\n", nlohmann::json{{"operations", verdict.counts.operations},
                                      {"records", records},
                                      {"load_s", median(load)},
                                      {"check_s", median(judge)},
                                      {"check_cpu_s", median(cpu)},
                                      {"ops_per_s", rate},
                                      {"bytes_per_op", bytes},
                                      {"peak_rss", peak_rss()},
                                      {"threads", threads},
                                      {"repeats", repeats}}
                           .dump());
  } else {
    fmt::print(
        "{:>12} operations ({} records): load {:.3f} s, check {:.3f} s (processor {:.3f} s, {} ops/s), {:.0f} "
        "bytes/op, peak {:.2f} GiB "
        "(median of {}, {} threads)\n",
        grouped(verdict.counts.operations), grouped(records), median(load), median(judge), median(cpu),
        grouped(static_cast<std::uint64_t>(rate)), bytes, static_cast<double>(peak_rss()) / (1 << 30), repeats,
        threads);
  }
  return {};
}

}  // namespace

Status run_bench(std::uint64_t operations, int repeats, unsigned threads, const std::string& temp, bool json) {
  std::string folder = temp + "/ordeal-bench-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) return fail(Errc::io, folder + ": cannot be created");
  const auto done = measure(folder, operations, repeats, threads, json);
  std::filesystem::remove_all(folder);
  return done;
}

}  // namespace ordeal::checker
